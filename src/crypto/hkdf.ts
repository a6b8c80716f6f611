// HKDF-SHA-256 (RFC 5869) and its HMAC: every key of a format is derived here, with a label of its own, from a
// key that is used for nothing else.
import { createHmac, hkdfSync } from 'node:crypto';

/** Extract and expand; `length` up to 8,160 bytes. */
export const hkdf = (key: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', key, salt, info, length));

/** HMAC-SHA-256 over the concatenation of `parts`; 32 bytes. */
export const hmacSha256 = (key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array => {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return new Uint8Array(hmac.digest());
};
