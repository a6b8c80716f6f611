// Quorum arithmetic: covered means that every acknowledged write is in some answer, in every unretired layout.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyHash } from '../../src/model/ids.ts';
import {
  hasWriteQuorum,
  isCovered,
  isDurable,
  listUncovered,
  owningNodes,
  readersOf,
} from '../../src/placement/coverage.ts';
import type { OwnerTable } from '../../src/placement/layout.ts';
import { keyOf } from './_oracle.ts';

const nodes = [0, 1, 2, 3, 4].map(keyOf).sort();
const node = (index: number): KeyHash => nodes[index] ?? keyOf(99);
const set = (...indexes: number[]): Set<KeyHash> => new Set(indexes.map(node));

const tableOf = (copies: number, writeCopies: number, ...owners: number[]): OwnerTable => ({
  copies,
  writeCopies,
  nodes,
  owners: Uint16Array.from(owners),
});

test('a partition is covered by R′−W′+1 answers and not by one fewer', () => {
  const table = tableOf(3, 2, 0, 1, 2);
  assert.equal(isCovered([table], 0, set(0)), false);
  assert.equal(isCovered([table], 0, set(0, 2)), true);
  assert.equal(isCovered([table], 0, set(3, 4)), false, 'answers of strangers count for nothing');
  assert.equal(isCovered([tableOf(3, 3, 0, 1, 2)], 0, set(1)), true);
  assert.equal(isCovered([tableOf(3, 1, 0, 1, 2)], 0, set(0, 1)), false);
});

test('any W′ owners that hold a write meet any set of answers that covers', () => {
  for (const [copies, writeCopies] of [
    [1, 1],
    [2, 1],
    [2, 2],
    [3, 1],
    [3, 2],
    [3, 3],
    [5, 3],
  ] as const) {
    const table = tableOf(copies, writeCopies, ...Array.from({ length: copies }, (_, index) => index));
    const subsets = Array.from({ length: 2 ** copies }, (_, bits) =>
      set(...Array.from({ length: copies }, (_, index) => index).filter((index) => (bits >> index) & 1)),
    );
    for (const holders of subsets.filter((subset) => hasWriteQuorum([table], 0, subset))) {
      for (const answered of subsets.filter((subset) => isCovered([table], 0, subset))) {
        assert.ok([...holders].some((holder) => answered.has(holder)));
      }
    }
  }
});

test('every unretired layout has to be covered, and without a layout nothing is', () => {
  const older = tableOf(3, 2, 0, 1, 2);
  const newer = tableOf(3, 2, 2, 3, 4);
  assert.equal(isCovered([newer, older], 0, set(2, 3)), false);
  assert.equal(isCovered([newer, older], 0, set(1, 2, 3)), true);
  assert.equal(isCovered([], 0, set(0, 1, 2)), false);
});

test('copies under different layouts are never added to a write quorum', () => {
  const older = tableOf(3, 2, 0, 1, 2);
  const newer = tableOf(3, 2, 2, 3, 4);
  assert.equal(hasWriteQuorum([newer, older], 0, set(0, 4)), false);
  assert.equal(hasWriteQuorum([newer, older], 0, set(3, 4)), true);
  assert.equal(hasWriteQuorum([newer, older], 0, set(0, 1)), true);
});

test('each layout is judged with its own W′', () => {
  const strict = tableOf(3, 3, 0, 1, 2);
  const loose = tableOf(3, 1, 0, 1, 2);
  assert.equal(hasWriteQuorum([strict], 0, set(0, 1)), false);
  assert.equal(hasWriteQuorum([strict, loose], 0, set(0)), true);
});

test('what is not covered is listed by partition', () => {
  const table = tableOf(2, 2, 0, 1, 2, 3, 0, 4);
  assert.deepEqual(listUncovered([table], set(0)), [1]);
  assert.deepEqual(listUncovered([table], set(0, 3)), []);
});

test('reads try the owners of the newest layout, then those of older ones, each once', () => {
  const newer = tableOf(3, 2, 2, 3, 4);
  const older = tableOf(3, 2, 0, 3, 2);
  assert.deepEqual(readersOf([newer, older], 0), [node(2), node(3), node(4), node(0)]);
});

test('a node without a partition is no owning node', () => {
  assert.deepEqual(owningNodes(tableOf(2, 1, 3, 0)), [node(0), node(3)]);
});

test('a chunk is durable by the holders of one layout, each judged with its own', () => {
  const tables = [tableOf(3, 2, 0, 1, 2), tableOf(3, 2, 1, 2, 3)];
  assert.equal(isDurable(tables, 0, [set(0, 1), set(1)]), true);
  assert.equal(isDurable(tables, 0, [set(0), set(1, 3)]), true);
  assert.equal(isDurable(tables, 0, [set(0), set(0, 1)]), false, 'what the newer layout may count, the older may not');
  assert.equal(isDurable(tables, 0, [set(0), set(1)]), false);
  assert.equal(isDurable(tables, 0, []), false);
});
