// The registry's address, parsed: redis://, rediss:// (TLS), unix:///path, redis+sentinel://host:port,host:port/name.
// User and password may stand before the host; whether they may at all (never on argv) is the configuration's check.
// Errors never repeat the address, because it may hold a password.
import { OperaError } from '../errors/errors.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

interface RedisLogin {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

export type RedisTarget = RedisLogin &
  (
    | { readonly kind: 'tcp'; readonly address: HostPort; readonly tls: boolean }
    | { readonly kind: 'unix'; readonly path: string }
    | { readonly kind: 'sentinel'; readonly sentinels: readonly HostPort[]; readonly name: string }
  );

const defaultPort = 6379;
const defaultSentinelPort = 26379;
/** Databases of one server; Redis has 16 unless configured otherwise. */
const databaseMax = 65_535;

const malformed = (what: string): OperaError =>
  new OperaError('config', `the registry address is malformed: ${what}`, {
    hint: 'It is redis://host:port, rediss://host:port, unix:///path or redis+sentinel://host:port,host:port/name.',
  });

const parseHost = (text: string, port: number): HostPort => {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?$/.exec(text);
  const host = found?.[1] ?? found?.[2];
  const given = found?.[3] === undefined ? port : Number(found[3]);
  if (host === undefined || given < 1 || given > 65_535) throw malformed('a host is not host or host:port');
  return { host, port: given };
};

const parseDatabase = (text: string | undefined): number => {
  if (text === undefined || text === '') return 0;
  if (/^\d{1,5}$/.test(text) && Number(text) <= databaseMax) return Number(text);
  throw malformed('the database is not a number');
};

const decode = (text: string | undefined): string | undefined => {
  if (text === undefined || text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed('a percent escape is wrong');
  }
};

/** The part before the last `@`, if any: `user:password`, `:password` or `user`. */
const splitLogin = (text: string): readonly [string | undefined, string | undefined, string] => {
  const at = text.lastIndexOf('@');
  if (at < 0) return [undefined, undefined, text];
  const [user, ...rest] = text.slice(0, at).split(':');
  return [decode(user), decode(rest.join(':')), text.slice(at + 1)];
};

/** `config` when the address is none of the forms above. */
export const parseRedisUrl = (url: string): RedisTarget => {
  const parts = /^([a-z+]+):\/\/([^?#]*)$/.exec(url);
  const [, scheme, text] = parts ?? [];
  if (scheme === undefined || text === undefined) throw malformed('it is not a URL, or it has a query');
  if (scheme === 'unix') {
    const [username, password, path] = splitLogin(text);
    if (!path.startsWith('/')) throw malformed('the socket is not an absolute path');
    return { kind: 'unix', path: decode(path) ?? path, username, password, database: 0 };
  }
  const [username, password, rest] = splitLogin(text);
  const [hosts = '', ...path] = rest.split('/');
  if (scheme === 'redis' || scheme === 'rediss') {
    if (path.length > 1) throw malformed('more than a database stands after the host');
    const address = parseHost(hosts, defaultPort);
    return { kind: 'tcp', address, tls: scheme === 'rediss', username, password, database: parseDatabase(path[0]) };
  }
  if (scheme !== 'redis+sentinel') throw malformed('unknown scheme');
  const [name, database, ...more] = path;
  if (!name || more.length > 0) throw malformed('the name of the Sentinel group is missing');
  const sentinels = hosts.split(',').map((host) => parseHost(host, defaultSentinelPort));
  return { kind: 'sentinel', sentinels, name, username, password, database: parseDatabase(database) };
};
