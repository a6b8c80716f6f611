// Signatures of the network: ECDSA P-256 with SHA-256, IEEE P1363 form (64 bytes), by a member's certificate key.
// Every signature is over a domain label ‖ the record, so that one record can never pass for another kind.
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { OperaError } from '../errors/errors.ts';
import { type KeyHash, keyHashFromBytes } from '../model/ids.ts';
import { sha256 } from './digest.ts';

export const signatureBytes = 64;

/** Labels of all signed records; the label is UTF-8 and precedes the record in what is signed. */
export type SignatureDomain =
  | 'opera/manifest/v1'
  | 'opera/key-box/v1'
  | 'opera/roster/v1'
  | 'opera/layout/v1'
  | 'opera/token/v1'
  | 'opera/ticket/v1'
  | 'opera/renew/v1';

/** Something that can sign as one member (or as the certificate authority). */
export interface Signer {
  /** SHA-256 of `spki`. */
  readonly keyHash: KeyHash;
  /** DER SubjectPublicKeyInfo of the P-256 key. */
  readonly spki: Uint8Array;
  /** 64-byte signature over the UTF-8 `domain` followed by `parts`. */
  sign(domain: SignatureDomain, ...parts: readonly Uint8Array[]): Uint8Array;
}

export const keyHashOfSpki = (spki: Uint8Array): KeyHash => keyHashFromBytes(sha256(spki));

const message = (domain: SignatureDomain, parts: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from(domain, 'utf8'), ...parts]);

/** A signer over a P-256 private key held by node:crypto. */
export const createSigner = (privateKey: KeyObject): Signer => {
  const spki = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
  return {
    spki,
    keyHash: keyHashOfSpki(spki),
    sign: (domain, ...parts) =>
      new Uint8Array(sign('sha256', message(domain, parts), { key: privateKey, dsaEncoding: 'ieee-p1363' })),
  };
};

/** Parsed keys by their DER bytes: parsing costs more than verifying, and signers are few. The oldest go first. */
const parsedKeys = new Map<string, KeyObject>();
const parsedKeysMax = 1_000;

const parseFresh = (spki: Uint8Array): KeyObject => {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new OperaError('bad-request', 'the public key is malformed', { cause });
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new OperaError('bad-request', 'the public key is not P-256');
  }
  return key;
};

/** Parses a peer's SubjectPublicKeyInfo; throws `bad-request` unless it is a P-256 key. */
export const parsePublicKey = (spki: Uint8Array): KeyObject => {
  const name = Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength).toString('latin1');
  const known = parsedKeys.get(name);
  if (known) return known;
  const key = parseFresh(spki);
  const oldest = parsedKeys.keys().next();
  if (parsedKeys.size >= parsedKeysMax && !oldest.done) parsedKeys.delete(oldest.value);
  parsedKeys.set(name, key);
  return key;
};

/**
 * Digests of key, signature and message that were found good: one ticket comes with each of thousands of requests, and
 * verifying takes 130 µs. What was found bad is looked at again. The oldest go first.
 */
const foundGood = new Set<string>();
const foundGoodMax = 1_000;

const rememberGood = (digest: string): void => {
  const oldest = foundGood.values().next();
  if (foundGood.size >= foundGoodMax && !oldest.done) foundGood.delete(oldest.value);
  foundGood.add(digest);
};

/** True when `signature` is by the key `spki` over `domain` ‖ `parts`. False, never a throw, for anything else. */
export const verifySignature = (
  spki: Uint8Array,
  signature: Uint8Array,
  domain: SignatureDomain,
  ...parts: readonly Uint8Array[]
): boolean => {
  if (signature.length !== signatureBytes) return false;
  const signed = message(domain, parts);
  const lengths = `${spki.length}/${signature.length}/`;
  const digest = createHash('sha256').update(lengths).update(spki).update(signature).update(signed).digest('base64');
  if (foundGood.has(digest)) return true;
  try {
    const isGood = verify('sha256', signed, { key: parsePublicKey(spki), dsaEncoding: 'ieee-p1363' }, signature);
    if (isGood) rememberGood(digest);
    return isGood;
  } catch {
    return false;
  }
};
