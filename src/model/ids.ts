// Identifiers as branded text: JSON, logs, SQL and URLs carry text; only the binary codecs turn it into bytes.
// Network ids, member ids and join codes are base32 (RFC 4648, lower case, unpadded); version, operation and
// key-hash ids are hex. Parsing is strict: one id has exactly one spelling.
import { OperaError } from '../errors/errors.ts';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** 16 random bytes, base32 (26 characters). */
export type NetworkId = Branded<'NetworkId'>;
/** First 26 base32 characters of SHA-256(SubjectPublicKeyInfo). */
export type MemberId = Branded<'MemberId'>;
/** SHA-256 of a DER SubjectPublicKeyInfo, 32 bytes, hex (64 characters). */
export type KeyHash = Branded<'KeyHash'>;
/** 16 random bytes, hex (32 characters). */
export type VersionId = Branded<'VersionId'>;
/** 16 random bytes, hex (32 characters); one id per user operation, repeated on retries. */
export type OperationId = Branded<'OperationId'>;

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** RFC 4648 section 6, lower case, no padding. */
export const encodeBase32 = (bytes: Uint8Array): string => {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(buffer >>> bits) & 31] ?? '';
    }
    buffer &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + (alphabet[(buffer << (5 - bits)) & 31] ?? '');
};

/** Strict inverse of encodeBase32; undefined for a foreign character, a wrong length or non-zero spare bits. */
export const decodeBase32 = (text: string): Uint8Array | undefined => {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let buffer = 0;
  let bits = 0;
  let length = 0;
  for (const character of text) {
    const value = alphabet.indexOf(character);
    if (value < 0) return undefined;
    buffer = (buffer << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[length++] = (buffer >>> bits) & 255;
    }
    buffer &= (1 << bits) - 1;
  }
  return buffer === 0 && bits < 5 && length === bytes.length ? bytes : undefined;
};

export const bytesToHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

/** Bytes of a lower-case hex text of exactly `byteLength` bytes; undefined when it is anything else. */
export const hexToBytes = (text: string, byteLength: number): Uint8Array | undefined =>
  text.length === byteLength * 2 && /^[0-9a-f]*$/.test(text) ? new Uint8Array(Buffer.from(text, 'hex')) : undefined;

const required = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new OperaError('bad-request', `${what} is malformed`);
  return value;
};

const base32Id = (text: unknown, what: string): string => {
  const bytes = typeof text === 'string' && text.length === 26 ? decodeBase32(text) : undefined;
  return required(bytes && typeof text === 'string' ? text : undefined, what);
};

const hexId = (text: unknown, byteLength: number, what: string): string =>
  required(typeof text === 'string' && hexToBytes(text, byteLength) ? text : undefined, what);

export const parseNetworkId = (text: unknown): NetworkId => base32Id(text, 'the network id') as NetworkId;
export const parseKeyHash = (text: unknown): KeyHash => hexId(text, 32, 'the key hash') as KeyHash;
export const parseVersionId = (text: unknown): VersionId => hexId(text, 16, 'the version id') as VersionId;
export const parseOperationId = (text: unknown): OperationId => hexId(text, 16, 'the operation id') as OperationId;

/** A member id is cut from a hash (130 bits), so its last character is not checked for spare bits. */
export const parseMemberId = (text: unknown): MemberId =>
  required(typeof text === 'string' && /^[a-z2-7]{26}$/.test(text) ? text : undefined, 'the member id') as MemberId;

export const networkIdFromBytes = (bytes: Uint8Array): NetworkId => parseNetworkId(encodeBase32(bytes));
export const networkIdToBytes = (id: NetworkId): Uint8Array => required(decodeBase32(id), 'the network id');
export const versionIdFromBytes = (bytes: Uint8Array): VersionId => parseVersionId(bytesToHex(bytes));
export const versionIdToBytes = (id: VersionId): Uint8Array => required(hexToBytes(id, 16), 'the version id');
export const operationIdFromBytes = (bytes: Uint8Array): OperationId => parseOperationId(bytesToHex(bytes));
export const operationIdToBytes = (id: OperationId): Uint8Array => required(hexToBytes(id, 16), 'the operation id');
export const keyHashFromBytes = (bytes: Uint8Array): KeyHash => parseKeyHash(bytesToHex(bytes));
export const keyHashToBytes = (id: KeyHash): Uint8Array => required(hexToBytes(id, 32), 'the key hash');

/** Member id of a key: the first 26 base32 characters of its SPKI hash. */
export const memberIdOf = (keyHash: KeyHash): MemberId =>
  parseMemberId(encodeBase32(keyHashToBytes(keyHash)).slice(0, 26));
