// Reading and writing of the fixed binary records: big-endian integers and byte strings of known length.
// A reader never allocates by a number it was told and never reads past the end: whatever is short, long or
// reserved is `integrity`. It knows no record; the byte tables stand with the codecs and in docs/formats.md.
import { OperaError } from '../errors/errors.ts';
import {
  type KeyHash,
  keyHashFromBytes,
  type NetworkId,
  networkIdFromBytes,
  type OperationId,
  operationIdFromBytes,
  type VersionId,
  versionIdFromBytes,
} from './ids.ts';

/** Bytes of a text in UTF-8. */
export const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf8'));

/** The parts one after the other, in a buffer of its own. */
export const concatBytes = (...parts: readonly Uint8Array[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
};

const integerInRange = (value: number, max: number, what: string): void => {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new OperaError('internal', `${what} must be an integer in [0, ${max}]`);
  }
};

export const u8 = (value: number): Uint8Array => {
  integerInRange(value, 0xff, 'a u8');
  return Uint8Array.of(value);
};

export const u16 = (value: number): Uint8Array => {
  integerInRange(value, 0xffff, 'a u16');
  return Uint8Array.of(value >>> 8, value & 0xff);
};

export const u32 = (value: number): Uint8Array => {
  integerInRange(value, 0xffff_ffff, 'a u32');
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
};

export const u64 = (value: bigint): Uint8Array => {
  if (value < 0n || value > 0xffff_ffff_ffff_ffffn) {
    throw new OperaError('internal', 'a u64 must be an integer in [0, 2^64)');
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
};

/** Reads one record from its first byte to its last; `what` names the record in errors ("the manifest"). */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  /** The next `length` bytes, copied. */
  take(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.slice(at, at + length);
  }

  networkId(): NetworkId {
    return networkIdFromBytes(this.take(16));
  }

  versionId(): VersionId {
    return versionIdFromBytes(this.take(16));
  }

  operationId(): OperationId {
    return operationIdFromBytes(this.take(16));
  }

  keyHash(): KeyHash {
    return keyHashFromBytes(this.take(32));
  }

  /** Refuses the record unless the next bytes are exactly these (version, magic, reserved zeros). */
  expect(wanted: Uint8Array, field: string): void {
    const at = this.#advance(wanted.length);
    if (wanted.some((byte, index) => this.#bytes[at + index] !== byte)) this.fail(`its ${field} is wrong`);
  }

  /** Refuses the record when bytes are left over. */
  end(): void {
    if (this.remaining > 0) this.fail('it is too long');
  }

  fail(why: string): never {
    throw new OperaError('integrity', `${this.#what} is malformed: ${why}`);
  }

  #advance(length: number): number {
    const at = this.#at;
    if (length > this.remaining) this.fail('it is too short');
    this.#at = at + length;
    return at;
  }
}
