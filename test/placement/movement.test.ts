// What nodes gain and lose between layouts, and which nodes hold a file, against the slow way of counting.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVersionId } from '../../src/model/ids.ts';
import { ownersOf } from '../../src/placement/layout.ts';
import { countMoved, movementOf, nodesOfFile, partitionsOwnedBy } from '../../src/placement/movement.ts';
import { partitionCount, partitionOf } from '../../src/placement/partition.ts';
import { planLayout } from '../../src/placement/plan.ts';
import { keyOf, membersOf, naiveMoved } from './_oracle.ts';

const settings = { copies: 3, writeCopies: 2, partitions: partitionCount, reason: 'remove' } as const;
const version = parseVersionId('000102030405060708090a0b0c0d0e0f');

test('what the nodes gain adds up to what moved, and what they lose is no longer theirs', () => {
  const previous = planLayout(undefined, membersOf(6), settings);
  const next = planLayout(previous, membersOf(8).slice(1), settings);
  let gained = 0;
  for (const node of new Set([...previous.nodes, ...next.nodes])) {
    const movement = movementOf(previous, next, node);
    gained += movement.gained.length;
    for (const partition of movement.gained) {
      assert.ok(ownersOf(next, partition).includes(node) && !ownersOf(previous, partition).includes(node));
    }
    for (const partition of movement.lost) {
      assert.ok(!ownersOf(next, partition).includes(node) && ownersOf(previous, partition).includes(node));
    }
  }
  assert.equal(gained, next.moved);
  assert.equal(gained, countMoved(previous, next));
  assert.equal(gained, naiveMoved(previous, next));
});

test('before the first layout everything is gained', () => {
  const first = planLayout(undefined, membersOf(4), settings);
  const movement = movementOf(undefined, first, keyOf(0));
  assert.deepEqual(movement, { gained: partitionsOwnedBy(first, keyOf(0)), lost: [] });
  assert.equal(first.moved, partitionCount * 3);
});

test('a stranger owns, gains and loses nothing', () => {
  const first = planLayout(undefined, membersOf(4), settings);
  assert.deepEqual(movementOf(first, first, keyOf(77)), { gained: [], lost: [] });
});

test('the nodes of a file are the owners of its chunks, in the order of the layout', () => {
  const layout = planLayout(undefined, membersOf(40), settings);
  for (const chunkCount of [0, 1, 2, 7, 30, 400]) {
    const owners = new Set(
      Array.from({ length: chunkCount }, (_, index) => ownersOf(layout, partitionOf(version, index))).flat(),
    );
    assert.deepEqual(
      nodesOfFile(layout, version, chunkCount),
      layout.nodes.filter((node) => owners.has(node)),
    );
  }
});

test('the nodes of the largest file are found without visiting its chunks one by one', () => {
  const members = [...membersOf(12), { keyHash: keyOf(500), weight: 1, zone: '' }];
  const layout = planLayout(undefined, members, settings);
  // 2^31 hashes would take an hour: this test ends only because the search stops when all owning nodes are in.
  assert.equal(nodesOfFile(layout, version, 2 ** 31).length, 12);
});
