// The frame: every lie about a length is refused before anything is allocated for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OperaError } from '../../src/errors/errors.ts';
import { limits } from '../../src/model/limits.ts';
import { decodeFrame, encodeFrame, frameLength } from '../../src/wire/frame.ts';
import { refuses } from '../support/refuses.ts';

const join = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const withLength = (length: number, body: string | Uint8Array): Uint8Array => {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return join([head, bytes]);
};

test('message and binary parts come back as they were sent', () => {
  const parts = encodeFrame({ name: 'ñ😀' }, [new Uint8Array([1, 2]), new Uint8Array(0), new Uint8Array([3])]);
  const bytes = join(parts);
  assert.equal(frameLength(parts), bytes.length);
  const { message, binary } = decodeFrame(bytes);
  assert.deepEqual(message, { name: 'ñ😀' });
  assert.deepEqual([...binary], [1, 2, 3]);
});

test('large parts are passed on as they are, not copied', () => {
  const chunk = new Uint8Array(1_000);
  assert.equal(encodeFrame({}, [chunk])[1], chunk);
});

test('a frame inside a larger buffer is read by its own bounds', () => {
  const bytes = join([new Uint8Array([9, 9, 9]), ...encodeFrame({ a: 1 }, [new Uint8Array([7])]), new Uint8Array([9])]);
  const { message, binary } = decodeFrame(bytes.subarray(3, bytes.length - 1));
  assert.deepEqual(message, { a: 1 });
  assert.deepEqual([...binary], [7]);
});

test('every length but the true one is refused, or gives another message than the one that was sent', () => {
  const body = '{"a":1}';
  for (const length of [body.length + 1, 100, limits.messageBytesMax, body.length - 1, 1, 0]) {
    refuses(() => decodeFrame(withLength(length, body)), 'bad-request');
  }
  for (const length of [limits.messageBytesMax + 1, 2 ** 31, 2 ** 32 - 1]) {
    refuses(() => decodeFrame(withLength(length, body)), 'too-large');
  }
  refuses(() => decodeFrame(withLength(11, '{"a":"12"}'), 10), 'too-large');
  assert.deepEqual(decodeFrame(withLength(10, '{"a":"12"}'), 10).message, { a: '12' });
});

test('fewer than four bytes, and bytes that are not UTF-8, are refused', () => {
  for (const length of [0, 1, 2, 3]) refuses(() => decodeFrame(new Uint8Array(length)), 'bad-request');
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
    [0x22, 0xc3],
  ]) {
    refuses(() => decodeFrame(withLength(bytes.length, new Uint8Array(bytes))), 'bad-request');
  }
});

test('a message is an object: arrays, texts, numbers and null are refused', () => {
  for (const text of ['[]', '[1]', '"a"', '1', 'null', 'true']) {
    refuses(() => decodeFrame(withLength(text.length, text)), 'bad-request');
  }
});

test('any bytes are a frame or refused with a code of ours, and a frame never reaches beyond its buffer', () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
  fc.assert(
    fc.property(length, fc.uint8Array({ maxLength: 40 }), fc.boolean(), (stated, rest, json) => {
      const bytes = withLength(stated, json ? Buffer.from(`{"a":[${[...rest].join(',')}]}`) : rest);
      try {
        const { binary } = decodeFrame(bytes);
        assert.equal(binary.length, bytes.length - 4 - stated);
      } catch (error) {
        assert.ok(error instanceof OperaError && ['bad-request', 'too-large'].includes(error.code));
      }
    }),
    { numRuns: 3_000 },
  );
});
