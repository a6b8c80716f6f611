// Shared by the tests of src/crypto: seeded bytes, one network, and the check that a call is refused with a code.
// The seeded stream is the one of fixtures/vectors/seal-v1.json: SHA-256("label/0") ‖ SHA-256("label/1") ‖ …
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { createSigner, type Signer } from '../../src/crypto/signature.ts';
import { type ErrorCode, isOperaError } from '../../src/errors/errors.ts';
import {
  hexToBytes,
  networkIdFromBytes,
  type OperationId,
  operationIdFromBytes,
  type VersionId,
  versionIdFromBytes,
} from '../../src/model/ids.ts';
import type { Random } from '../../src/runtime/random.ts';

/** `length` bytes that depend on `label` only. */
export const labelled = (label: string, length: number): Uint8Array => {
  const blocks: Buffer[] = [];
  for (let block = 0; block * 32 < length; block++) {
    blocks.push(createHash('sha256').update(`${label}/${block}`).digest());
  }
  return new Uint8Array(Buffer.concat(blocks).subarray(0, length));
};

/** A different, reproducible answer to each call. */
export class SeededRandom implements Random {
  readonly #seed: string;
  #calls = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  bytes(length: number): Uint8Array {
    this.#calls += 1;
    return labelled(`${this.#seed}/${this.#calls}`, length);
  }
}

/** Answers the given bytes in order; a call for another length, or one too many, fails the test. */
export class ScriptedRandom implements Random {
  readonly #answers: Uint8Array[];

  constructor(...answers: readonly Uint8Array[]) {
    this.#answers = [...answers];
  }

  bytes(length: number): Uint8Array {
    const answer = this.#answers.shift();
    assert.equal(answer?.length, length);
    return answer.slice();
  }
}

export const hex = (text: string): Uint8Array => {
  const bytes = hexToBytes(text, text.length / 2);
  assert.ok(bytes, 'the hex text is malformed');
  return bytes;
};

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export const network = networkIdFromBytes(labelled('network', 16));
export const otherNetwork = networkIdFromBytes(labelled('other network', 16));
export const versionOf = (label: string): VersionId => versionIdFromBytes(labelled(`version/${label}`, 16));
export const operationOf = (label: string): OperationId => operationIdFromBytes(labelled(`operation/${label}`, 16));

export const newSigner = (): Signer => createSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

/** Passes when `call` throws our error with one of `codes`, and nothing else. */
export const refuses = (call: () => unknown, ...codes: readonly ErrorCode[]): void => {
  assert.throws(call, (error: unknown) => isOperaError(error, ...codes));
};

/** A copy with `change` XORed into byte `at`. */
export const altered = (bytes: Uint8Array, at: number, change = 1): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ change;
  return copy;
};
