// The join code: `opera1.<network>.<pin>.<seed>@host:port`, base32 in lower case. The seed is the only secret in it.
// Invariant: one code has one spelling; errors never repeat any part of a code.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { OperaError } from '../errors/errors.ts';
import { concatBytes } from '../model/bytes.ts';
import { decodeBase32, encodeBase32, type NetworkId, parseNetworkId } from '../model/ids.ts';
import { exactly } from './_records.ts';
import { formatHostPort, type HostPort, parseHostPort } from './address.ts';

export interface JoinCode {
  readonly networkId: NetworkId;
  /** SHA-256 of the CA bundle. */
  readonly pin: Uint8Array;
  /** Ed25519 seed, 32 bytes. Secret. */
  readonly seed: Uint8Array;
  /** A gateway's join listener. */
  readonly gateway: HostPort;
}

export const encodeJoinCode = ({ networkId, pin, seed, gateway }: JoinCode): string => {
  const parts = [
    'opera1',
    networkId,
    encodeBase32(exactly(pin, 32, 'a pin')),
    encodeBase32(exactly(seed, 32, 'a seed')),
  ];
  return `${parts.join('.')}@${formatHostPort(gateway)}`;
};

const malformed = (): never => {
  throw new OperaError('token-invalid', 'this is not a join code', {
    hint: 'A join code looks like opera1.….….…@host:port; it must be copied whole',
  });
};

/** Strict inverse of encodeJoinCode; `token-invalid`, without any part of the code, for anything else. */
export const parseJoinCode = (text: string): JoinCode => {
  const match = /^opera1\.([a-z2-7]{26})\.([a-z2-7]{52})\.([a-z2-7]{52})@(.{3,300})$/.exec(text);
  if (!match) return malformed();
  const [, network = '', pinText = '', seedText = '', address = ''] = match;
  const pin = decodeBase32(pinText);
  const seed = decodeBase32(seedText);
  const gateway = parseHostPort(address);
  if (!decodeBase32(network) || !pin || !seed || !gateway) return malformed();
  return { networkId: parseNetworkId(network), pin, seed, gateway };
};

// The DER around an Ed25519 seed and public key (RFC 8410 sections 4 and 7).
const pkcs8Prefix = new Uint8Array(Buffer.from('302e020100300506032b657004220420', 'hex'));
const spkiPrefix = new Uint8Array(Buffer.from('302a300506032b6570032100', 'hex'));

export const ed25519PrivateKey = (seed: Uint8Array): KeyObject =>
  createPrivateKey({
    key: Buffer.from(concatBytes(pkcs8Prefix, exactly(seed, 32, 'a seed'))),
    format: 'der',
    type: 'pkcs8',
  });

export const ed25519PublicKey = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({
    key: Buffer.from(concatBytes(spkiPrefix, exactly(publicKey, 32, 'an Ed25519 key'))),
    format: 'der',
    type: 'spki',
  });

/** Raw Ed25519 public key of a seed, 32 bytes: what the token record holds. */
export const publicKeyOfSeed = (seed: Uint8Array): Uint8Array =>
  new Uint8Array(createPublicKey(ed25519PrivateKey(seed)).export({ format: 'der', type: 'spki' })).slice(-32);
