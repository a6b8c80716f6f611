// Reading and writing the fixed binary records of this folder: big-endian, no padding, no optional fields.
// The reader never reads past its end and `end()` refuses leftovers, so one record has exactly one length.
// It knows no format; each codec beside it does.
import { OperaError } from '../errors/errors.ts';

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** `value` as `length` big-endian bytes; throws `internal` when it does not fit. */
export const uint = (value: number | bigint, length: number): Uint8Array => {
  let rest = BigInt(value);
  if (rest < 0n || rest >= 1n << BigInt(length * 8)) {
    throw new OperaError('internal', `a number does not fit ${length} bytes`);
  }
  const bytes = new Uint8Array(length);
  for (let i = length - 1; i >= 0; i -= 1) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
};

/** `bytes` when it has exactly `length`; throws `internal` otherwise: a wrong length here is our own mistake. */
export const exactly = (bytes: Uint8Array, length: number, what: string): Uint8Array => {
  if (bytes.length !== length) throw new OperaError('internal', `${what} is not ${length} bytes`);
  return bytes;
};

export const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** A cursor over an untrusted record; every failure is `fail(reason)`, which must throw. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #fail: (reason: string) => never;
  #offset = 0;

  constructor(bytes: Uint8Array, fail: (reason: string) => never) {
    this.#bytes = bytes;
    this.#fail = fail;
  }

  /** A copy, so that a record never changes when its buffer is reused. */
  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#offset) this.#fail('it is too short');
    const slice = this.#bytes.slice(this.#offset, this.#offset + length);
    this.#offset += length;
    return slice;
  }

  u8(): number {
    return Number(this.#uint(1));
  }

  u16(): number {
    return Number(this.#uint(2));
  }

  u32(): number {
    return Number(this.#uint(4));
  }

  u64(): bigint {
    return this.#uint(8);
  }

  /** Milliseconds since 1970; refused beyond the year 10889, where arithmetic on numbers would still be exact. */
  timeMs(): number {
    const value = this.#uint(8);
    if (value > 2n ** 48n) this.#fail('a time is out of range');
    return Number(value);
  }

  /** Refuses the record unless the next bytes are these. */
  expect(bytes: readonly number[], what: string): void {
    const found = this.take(bytes.length);
    if (bytes.some((byte, i) => found[i] !== byte)) this.#fail(`${what} is wrong`);
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) this.#fail('it is too long');
  }

  #uint(length: number): bigint {
    return this.take(length).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }
}
