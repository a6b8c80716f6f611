// Randomness from a seed, and members whose keys come from it: the same seed gives the same ids, layouts and faults.
// For tests only: nothing here is fit for secrets.
import { createECDH, createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { createSigner } from '../../src/crypto/signature.ts';
import { createX25519 } from '../../src/crypto/x25519.ts';
import { memberIdOf } from '../../src/model/ids.ts';
import { holdsNetworkKeys, type Role } from '../../src/model/roles.ts';
import type { Random } from '../../src/runtime/random.ts';
import type { TestMember } from './identity-network.ts';

/** Bytes of a counter hashed with the seed. */
export class SeededRandom implements Random {
  readonly #seed: string;
  #count = 0;

  constructor(seed: string | number) {
    this.#seed = String(seed);
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      const block = createHash('sha256')
        .update(`${this.#seed}/${this.#count++}`)
        .digest();
      out.set(block.subarray(0, Math.min(32, length - at)), at);
    }
    return out;
  }

  /** In [0, 1). */
  fraction(): number {
    return new DataView(this.bytes(4).buffer).getUint32(0) / 0x1_0000_0000;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

/** As good for dice and a hundred times as quick: mulberry32 by T. Ettinger, seeded with a hash. */
export class QuickRandom extends SeededRandom {
  #state: number;

  constructor(seed: string | number) {
    super(seed);
    this.#state = new DataView(this.bytes(4).buffer).getUint32(0);
  }

  override fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }
}

const keyOf = (random: Random): KeyObject => {
  const ecdh = createECDH('prime256v1');
  const scalar = Buffer.from(random.bytes(32));
  ecdh.setPrivateKey(scalar);
  const point = ecdh.getPublicKey();
  const part = (from: number): string => point.subarray(from, from + 32).toString('base64url');
  const jwk = { kty: 'EC', crv: 'P-256', d: scalar.toString('base64url'), x: part(1), y: part(33) };
  return createPrivateKey({ key: jwk, format: 'jwk' });
};

export const createSeededMember = (role: Role, random: Random): TestMember => {
  const privateKey = keyOf(random);
  const signer = createSigner(privateKey);
  const x25519 = createX25519(random);
  const agreementKey = holdsNetworkKeys(role) ? x25519.publicKey : new Uint8Array(32);
  const entry = { keyHash: signer.keyHash, role, x25519: agreementKey };
  return { role, privateKey, signer, memberId: memberIdOf(signer.keyHash), x25519, entry };
};
