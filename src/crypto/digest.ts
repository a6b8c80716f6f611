// SHA-256 and constant-time comparison, the only digests stored formats use (FIPS 180-4).
import { createHash, timingSafeEqual } from 'node:crypto';

/** SHA-256 over the concatenation of `parts`; 32 bytes. */
export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** Equality of secrets and digests in time that depends on the length only. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a === b || (a.length === b.length && timingSafeEqual(a, b));
