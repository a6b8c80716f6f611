// Bitmaps as messages carry them: bit `at` is bit `at mod 8`, the lowest first, of byte ⌊at / 8⌋. What a bit stands for
// is the caller's.

/** False beyond either end. */
export const hasBit = (bits: Uint8Array, at: number): boolean => ((bits[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;

/** Sets it in place; `bits` must be long enough. */
export const setBit = (bits: Uint8Array, at: number): void => {
  bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7));
};
