// What the record codecs of this folder share beside model/bytes.ts: their own error codes, times and lengths.
// It knows no format; each codec beside it does.
import { type ErrorCode, isOperaError, OperaError } from '../errors/errors.ts';
import type { ByteReader } from '../model/bytes.ts';

/** Runs a codec; what it refuses as malformed (`integrity`, `bad-request`) becomes `code`, with the reason kept. */
export const parseAs = <T>(code: ErrorCode, parse: () => T): T => {
  try {
    return parse();
  } catch (cause) {
    if (!isOperaError(cause, 'integrity', 'bad-request')) throw cause;
    throw new OperaError(code, cause.message, { cause });
  }
};

/** Milliseconds since 1970; refused beyond the year 10889, long before arithmetic on numbers loses exactness. */
export const readTimeMs = (reader: ByteReader): number => {
  const value = reader.u64();
  return value > 2n ** 48n ? reader.fail('a time is out of range') : Number(value);
};

/** `bytes` when it has exactly `length`; throws `internal` otherwise: a wrong length here is our own mistake. */
export const exactly = (bytes: Uint8Array, length: number, what: string): Uint8Array => {
  if (bytes.length !== length) throw new OperaError('internal', `${what} is not ${length} bytes`);
  return bytes;
};

export const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
