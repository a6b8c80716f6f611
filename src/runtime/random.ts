// The seam of randomness: keys, nonces and ids come from the system's generator in production and from a seed in
// the simulator. Never Math.random.
import { randomBytes } from 'node:crypto';

export interface Random {
  /** `length` fresh bytes, owned by the caller. Cryptographically strong in production. */
  bytes(length: number): Uint8Array;
}

export class SystemRandom implements Random {
  bytes(length: number): Uint8Array {
    return new Uint8Array(randomBytes(length));
  }
}

/** A number in [0, 1) with 32 bits of randomness; for jitter, never for secrets. */
export const randomFraction = (random: Random): number =>
  new DataView(random.bytes(4).buffer).getUint32(0) / 0x1_0000_0000;
