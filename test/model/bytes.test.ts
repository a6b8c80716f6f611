// The reader and writer of binary records at their borders: never past the end, never a byte left over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, isOperaError } from '../../src/errors/errors.ts';
import { ByteReader, concatBytes, u8, u16, u32, u64, utf8 } from '../../src/model/bytes.ts';

const refuses = (call: () => unknown, code: ErrorCode): void => {
  assert.throws(call, (error: unknown) => isOperaError(error, code));
};

test('integers are written big-endian and read back', () => {
  const bytes = concatBytes(u8(255), u16(0x0102), u32(0xfffe_fdfc), u64(2n ** 64n - 2n), utf8('é'));
  assert.equal(Buffer.from(bytes).toString('hex'), 'ff0102fffefdfcfffffffffffffffec3a9');
  const reader = new ByteReader(bytes, 'the record');
  assert.deepEqual(
    [reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.position, reader.remaining],
    [255, 0x0102, 0xfffe_fdfc, 2n ** 64n - 2n, 15, 2],
  );
  reader.expect(utf8('é'), 'text');
  reader.end();
});

test('numbers that do not fit are a bug of ours', () => {
  for (const call of [
    () => u8(256),
    () => u8(-1),
    () => u8(0.5),
    () => u16(65_536),
    () => u32(2 ** 32),
    () => u32(-1),
  ]) {
    refuses(call, 'internal');
  }
  refuses(() => u64(-1n), 'internal');
  refuses(() => u64(2n ** 64n), 'internal');
});

test('a short record is refused by every kind of read', () => {
  const reader = (): ByteReader => new ByteReader(new Uint8Array(0), 'the record');
  for (const read of [
    () => reader().u8(),
    () => reader().u16(),
    () => reader().u32(),
    () => reader().u64(),
    () => reader().take(1),
    () => reader().take(2 ** 53),
    () => reader().networkId(),
    () => reader().expect(u8(0), 'version'),
  ]) {
    refuses(read, 'integrity');
  }
});

test('left-over bytes and wrong constants are refused with the name of the record', () => {
  const reader = new ByteReader(u16(1), 'the ticket');
  assert.throws(() => reader.end(), /the ticket is malformed: it is too long/);
  assert.throws(() => reader.expect(u16(2), 'reserved field'), /the ticket is malformed: its reserved field is wrong/);
});

test('a reader works inside a larger buffer and copies what it takes', () => {
  const buffer = Uint8Array.of(9, 1, 2, 3, 9);
  const reader = new ByteReader(buffer.subarray(1, 4), 'the record');
  const taken = reader.take(2);
  buffer.fill(0);
  assert.deepEqual(taken, Uint8Array.of(1, 2));
  assert.equal(reader.remaining, 1);
});

test('concatBytes makes a buffer of its own', () => {
  const part = Uint8Array.of(1);
  const joined = concatBytes(part);
  part[0] = 2;
  assert.deepEqual(joined, Uint8Array.of(1));
  assert.equal(concatBytes().length, 0);
});
