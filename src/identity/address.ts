// Addresses as members state them: `host:port`, IPv6 in brackets. One text has one meaning and no room for paths,
// users, spaces or control characters, so that an address can never turn into another request.
// It resolves nothing and decides nothing about who may be dialled.
import { isIPv4, isIPv6 } from 'node:net';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';

export interface HostPort {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/** Names of RFC 1123; four numbers with dots must be a real IPv4 address, for resolvers read `127.1` as one. */
const isHost = (host: string): boolean => {
  if (isIPv4(host)) return true;
  const labels = host.split('.');
  return host.length <= 253 && labels.every((part) => label.test(part)) && !/^(\d+|0x.*)$/i.test(labels.at(-1) ?? '');
};

/** Undefined for anything but exactly one host and one decimal port. */
export const parseHostPort = (text: string): HostPort | undefined => {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([^[\]:]{1,253})):([1-9]\d{0,4})$/i.exec(text);
  if (!match) return undefined;
  const [, v6, name, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  if (v6 !== undefined) return isIPv6(v6) ? { host: v6, port } : undefined;
  return name !== undefined && isHost(name) ? { host: name, port } : undefined;
};

export const formatHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Only literal addresses: what nodes dial never goes through a name service. */
const parseIpPort = (text: string): HostPort | undefined => {
  const parsed = parseHostPort(text);
  return parsed && (isIPv4(parsed.host) || isIPv6(parsed.host)) ? parsed : undefined;
};

/**
 * Throws `bad-request` unless a member of this role may be found there. Nodes are dialled by what masters pass on, so
 * theirs are literal: no name service decides where data goes.
 */
export const requireAddressesOf = (role: Role, addresses: readonly string[]): void => {
  const parse = role === 'node' ? parseIpPort : parseHostPort;
  if (addresses.every((address) => parse(address))) return;
  throw new OperaError('bad-request', role === 'node' ? 'a node is found at ip:port' : 'an address is host:port');
};

/** Addresses joined by commas, as they are signed; `bad-request` for too many or for one that is malformed. */
export const joinAddresses = (addresses: readonly string[]): string => {
  if (addresses.length > limits.addressesMax || !addresses.every((address) => parseHostPort(address))) {
    throw new OperaError('bad-request', `addresses must be at most ${limits.addressesMax} of the form host:port`);
  }
  return addresses.join(',');
};
