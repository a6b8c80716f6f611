// The arithmetic of chunks and segments at its borders.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  chunkBytesMax,
  chunkCountOf,
  chunkPlaintextLength,
  createGeometry,
  plaintextLengthOf,
  planSegmentRange,
  sealedChunkBytesMax,
  sealedLength,
  segmentBytes,
} from '../../src/crypto/geometry.ts';
import { refuses } from './_support.ts';

test('a version has one chunk when empty and another after each 4 MiB', () => {
  assert.equal(chunkCountOf(0), 1);
  assert.equal(chunkCountOf(1), 1);
  assert.equal(chunkCountOf(chunkBytesMax), 1);
  assert.equal(chunkCountOf(chunkBytesMax + 1), 2);
  assert.equal(chunkPlaintextLength(0, 0), 0);
  assert.equal(chunkPlaintextLength(chunkBytesMax + 1, 0), chunkBytesMax);
  assert.equal(chunkPlaintextLength(chunkBytesMax + 1, 1), 1);
  assert.equal(chunkCountOf(Number.MAX_SAFE_INTEGER), 2 ** 31);
});

test('impossible sizes and indices are refused', () => {
  for (const size of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 53 + 2]) {
    refuses(() => chunkCountOf(size), 'integrity');
    refuses(() => createGeometry(size), 'integrity');
    refuses(() => createGeometry(size, [1]), 'integrity');
  }
  for (const index of [-1, 0.5, 1, 2 ** 31]) refuses(() => chunkPlaintextLength(10, index), 'integrity');
});

test('only lengths that a chunk can seal to have a plaintext length', () => {
  assert.equal(plaintextLengthOf(16), 0);
  assert.equal(plaintextLengthOf(sealedChunkBytesMax), chunkBytesMax);
  for (const length of [0, 1, 15, sealedChunkBytesMax + 1, sealedChunkBytesMax + 17, segmentBytes + 16 + 16]) {
    assert.equal(plaintextLengthOf(length), undefined);
  }
  const near = fc.constantFrom(0, 1, 64).map((segments) => segments * (segmentBytes + 16));
  fc.assert(
    fc.property(fc.oneof(near, fc.nat(sealedChunkBytesMax)), fc.integer({ min: -40, max: 40 }), (base, delta) => {
      const length = Math.max(0, base + delta);
      const plaintext = plaintextLengthOf(length);
      if (plaintext !== undefined) assert.equal(sealedLength(plaintext), length);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.nat(chunkBytesMax), (plaintext) => {
      assert.equal(plaintextLengthOf(sealedLength(plaintext)), plaintext);
    }),
    { numRuns: 300 },
  );
});

test('chunks of every geometry follow one another without gap and sum to the size', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: chunkBytesMax }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(lengths, fc.boolean(), (chunkLengths, isCatalogue) => {
      const size = chunkLengths.reduce((sum, length) => sum + length, 0);
      const geometry = createGeometry(size, isCatalogue ? chunkLengths : undefined);
      let offset = 0;
      for (let index = 0; index < geometry.chunkCount; index++) {
        assert.equal(geometry.startOf(index), offset);
        assert.equal(geometry.chunkAt(offset), index);
        offset += geometry.lengthOf(index);
        assert.equal(geometry.chunkAt(offset - 1), index);
        assert.equal(geometry.isLast(index), offset === size);
      }
      assert.equal(offset, size);
    }),
    { numRuns: 200 },
  );
});

test('a catalogue whose lengths do not fit is refused', () => {
  refuses(() => createGeometry(10, [4, 5]), 'integrity');
  refuses(() => createGeometry(10, [5, 6]), 'integrity');
  refuses(() => createGeometry(10, [10, 0]), 'integrity');
  refuses(() => createGeometry(1, []), 'integrity');
  refuses(() => createGeometry(10, [-1, 11]), 'integrity');
  refuses(() => createGeometry(chunkBytesMax + 1, [chunkBytesMax + 1]), 'integrity');
  refuses(() => createGeometry(10, [4, 6]).lengthOf(2), 'integrity');
});

test('a range costs only its segments', () => {
  const sealedSegment = segmentBytes + 16;
  const length = 3 * segmentBytes + 10;
  assert.deepEqual(planSegmentRange(length, 0, 1), {
    firstSegment: 0,
    sealedFrom: 0,
    sealedTo: sealedSegment,
    skip: 0,
  });
  assert.deepEqual(planSegmentRange(length, segmentBytes - 1, segmentBytes + 1), {
    firstSegment: 0,
    sealedFrom: 0,
    sealedTo: 2 * sealedSegment,
    skip: segmentBytes - 1,
  });
  assert.deepEqual(planSegmentRange(length, length - 1, length), {
    firstSegment: 3,
    sealedFrom: 3 * sealedSegment,
    sealedTo: sealedLength(length),
    skip: 9,
  });
  for (const [from, to] of [
    [-1, 1],
    [1, 1],
    [2, 1],
    [0, length + 1],
    [Number.NaN, 1],
  ] as const) {
    refuses(() => planSegmentRange(length, from, to), 'internal');
  }
});
