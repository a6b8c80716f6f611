// X25519 keys (RFC 7748) as raw 32 bytes, which is how rosters, identities and recovery kits carry them.
// node:crypto wants DER; the fixed prefixes of RFC 8410 make the one from the other.
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { OperaError } from '../errors/errors.ts';
import { concatBytes } from '../model/bytes.ts';
import { type KeyHash, keyHashFromBytes } from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';
import { sha256 } from './digest.ts';

export const x25519Bytes = 32;

const privatePrefix = new Uint8Array(Buffer.from('302e020100300506032b656e04220420', 'hex'));
const publicPrefix = new Uint8Array(Buffer.from('302a300506032b656e032100', 'hex'));

export interface X25519KeyPair {
  /** 32 bytes; secret. */
  readonly privateKey: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

const requireKey = (bytes: Uint8Array): void => {
  if (bytes.length !== x25519Bytes) throw new OperaError('integrity', 'an X25519 key has 32 bytes');
};

const privateKeyObject = (privateKey: Uint8Array): KeyObject => {
  requireKey(privateKey);
  const der = Buffer.from(concatBytes(privatePrefix, privateKey));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
};

const publicKeyObject = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(x25519SpkiOf(publicKey)), format: 'der', type: 'spki' });

/** DER SubjectPublicKeyInfo of a raw public key. */
export const x25519SpkiOf = (publicKey: Uint8Array): Uint8Array => {
  requireKey(publicKey);
  return concatBytes(publicPrefix, publicKey);
};

/** How key boxes name a recovery key: SHA-256 of its SPKI. */
export const recoveryKeyHashOf = (publicKey: Uint8Array): KeyHash => keyHashFromBytes(sha256(x25519SpkiOf(publicKey)));

export const x25519PublicOf = (privateKey: Uint8Array): Uint8Array => {
  const spki = createPublicKey(privateKeyObject(privateKey)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(publicPrefix.length));
};

/** Any 32 bytes are a private key (RFC 7748 section 5 clamps them in use). */
export const createX25519 = (random: Random): X25519KeyPair => {
  const privateKey = random.bytes(x25519Bytes);
  return { privateKey, publicKey: x25519PublicOf(privateKey) };
};

/** The shared secret; `integrity` for a public key of low order, whose secret everybody knows. */
export const x25519 = (privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array => {
  const keys = { privateKey: privateKeyObject(privateKey), publicKey: publicKeyObject(publicKey) };
  try {
    // OpenSSL refuses the all-zero result (RFC 7748 section 6.1, RFC 9180 section 7.1.4); the tests hold it to that.
    return new Uint8Array(diffieHellman(keys));
  } catch (cause) {
    throw new OperaError('integrity', 'the X25519 public key is not acceptable', { cause });
  }
};
