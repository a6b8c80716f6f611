// The mapping chunk address → partition is part of the format: these vectors were computed by another program.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVersionId } from '../../src/model/ids.ts';
import { partitionCount, partitionOf, partitionsOf } from '../../src/placement/partition.ts';

/** Python: int.from_bytes(sha256(version + index.to_bytes(4, 'big')).digest()[:2], 'big') >> 4 */
const vectors: readonly (readonly [string, number, number])[] = [
  ['00000000000000000000000000000000', 0, 3556],
  ['00000000000000000000000000000000', 1, 3743],
  ['ffffffffffffffffffffffffffffffff', 0, 247],
  ['000102030405060708090a0b0c0d0e0f', 2 ** 31 - 1, 3274],
  ['000102030405060708090a0b0c0d0e0f', 65_536, 340],
];

test('a chunk address maps to the partition that an independent program computed', () => {
  for (const [version, chunkIndex, partition] of vectors) {
    assert.equal(partitionOf(parseVersionId(version), chunkIndex), partition);
  }
});

test('the partitions of a whole file are those of its chunks one by one', () => {
  const version = parseVersionId('000102030405060708090a0b0c0d0e0f');
  const expected = Array.from({ length: 300 }, (_, chunkIndex) => partitionOf(version, chunkIndex));
  assert.deepEqual([...partitionsOf(version, 300)], expected);
  assert.deepEqual([...partitionsOf(version, 0)], []);
});

test('chunks of one file spread over the partitions as evenly as a hash does', () => {
  const counts = new Uint32Array(partitionCount);
  for (const partition of partitionsOf(parseVersionId('0f0e0d0c0b0a09080706050403020100'), 8 * partitionCount)) {
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  const chiSquare = counts.reduce((total, count) => total + (count - 8) ** 2 / 8, 0);
  // 4,095 degrees of freedom: mean 4,095, deviation 90; six deviations either way.
  assert.ok(chiSquare > 3555 && chiSquare < 4635, `chi-square ${chiSquare}`);
});

test('a chunk index outside [0, 2^31) is refused', () => {
  const version = parseVersionId('00000000000000000000000000000000');
  for (const index of [-1, 2 ** 31, 0.5, Number.NaN]) assert.throws(() => partitionOf(version, index), RangeError);
});
