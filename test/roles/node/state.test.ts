// The rules of order of a node, without I/O: promises, layouts, retirement, admission, and what is to be pulled.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { networkIdFromBytes, type KeyHash } from '../../../src/model/ids.ts';
import { encodeLayout, hashOfLayout, parseLayout } from '../../../src/placement/layout.ts';
import { partitionCount } from '../../../src/placement/partition.ts';
import { WriteBarrier } from '../../../src/roles/node/barrier.ts';
import { planPull } from '../../../src/roles/node/repair.ts';
import {
  admitWrite,
  adoptLayouts,
  followHeartbeat,
  followIncarnation,
  followLeader,
  type HeldLayout,
  initialNodeState,
  promise,
} from '../../../src/roles/node/state.ts';
import { refuses } from '../../support/refuses.ts';
import { createSeededMember, SeededRandom } from '../../support/seeded.ts';

const random = new SeededRandom('node state');
const networkId = networkIdFromBytes(random.bytes(16));
const master = createSeededMember('master', random).signer;
const members = Array.from({ length: 5 }, () => createSeededMember('node', random).signer.keyHash).sort();
const [a, b, c, d, e] = members as [KeyHash, KeyHash, KeyHash, KeyHash, KeyHash];

/** A layout in which `owners(partition)` own each partition. */
const layoutOf = (number: number, before: HeldLayout | undefined, owners: (partition: number) => KeyHash[]) => {
  const copies = owners(0).length;
  const table = new Uint16Array(partitionCount * copies);
  for (let partition = 0; partition < partitionCount; partition++) {
    for (const [slot, owner] of owners(partition).entries()) table[partition * copies + slot] = members.indexOf(owner);
  }
  const bytes = encodeLayout(
    {
      networkId,
      number,
      leaderEpoch: 1n,
      incarnation: 1,
      previousHash: before ? hashOfLayout(before.record.bytes) : new Uint8Array(32),
      copies,
      writeCopies: Math.min(2, copies),
      nodes: members,
      owners: table,
    },
    master,
  );
  return { layout: parseLayout(bytes), record: { bytes, signerSpki: master.spki } };
};

const one = layoutOf(1, undefined, () => [a, b, c]);
const two = layoutOf(2, one, (partition) => (partition % 2 === 0 ? [a, b, d] : [b, c, d]));
const three = layoutOf(3, two, () => [a, b, e]);

describe('promises', () => {
  test('only rise, and one epoch belongs to one process', () => {
    const first = promise(initialNodeState, 3n, 'x');
    assert.ok(first);
    assert.equal(promise(first, 3n, 'y'), undefined);
    assert.equal(promise(first, 2n, 'x'), undefined);
    assert.equal(promise(first, 3n, 'x'), first);
    assert.equal(promise(first, 4n, 'y')?.promisedEpoch, 4n);
    refuses(() => followLeader(first, 2n, 'x'), 'stale-leader');
    refuses(() => followLeader(first, 3n, 'y'), 'stale-leader');
    assert.equal(followLeader(first, 3n, 'x'), first);
    assert.equal(followLeader(first, 5n, 'y').promisedEpoch, 5n);
    assert.equal(promise(followLeader(first, 5n, 'y'), 5n, 'x'), undefined);
  });

  test('an epoch that only a heartbeat told belongs to whoever orders first in it', () => {
    const told = followHeartbeat(initialNodeState, { epoch: 3n, retiredUpTo: 0, servedHour: 1 });
    assert.deepEqual([told.promisedEpoch, told.promisedTo], [3n, '']);
    refuses(() => followLeader(followLeader(told, 3n, 'x'), 3n, 'y'), 'stale-leader');
  });

  test('a lower life of the registry is refused', () => {
    const later = followIncarnation(initialNodeState, 4);
    refuses(() => followIncarnation(later, 3), 'stale-incarnation');
    assert.equal(followIncarnation(later, 4), later);
  });
});

describe('layouts', () => {
  test('another one of a number that is held is refused, and one that does not follow the one before it', () => {
    const state = adoptLayouts(initialNodeState, [one, two], 0);
    refuses(() => adoptLayouts(state, [layoutOf(2, one, () => [a, c, e])], 0), 'conflict');
    refuses(() => adoptLayouts(state, [layoutOf(3, one, () => [a, b, e])], 0), 'conflict');
    assert.equal(adoptLayouts(state, [two, three], 0).layouts.length, 3);
  });

  test('an order that arrives late neither lowers anything nor brings back what was retired', () => {
    const state = adoptLayouts(adoptLayouts(initialNodeState, [one, two], 0), [two, three], 2);
    const after = adoptLayouts(state, [one, two], 0);
    assert.deepEqual(
      after.layouts.map(({ layout }) => layout.number),
      [3],
    );
    assert.equal(after.retiredUpTo, 2);
  });

  test('writes are admitted under the newest one only, and only for owned partitions', () => {
    const state = adoptLayouts(initialNodeState, [one, two], 0);
    assert.deepEqual(admitWrite(state, a, 2, 0).owners, [a, b, d]);
    refuses(() => admitWrite(state, a, 1, 0), 'layout-changed');
    refuses(() => admitWrite(state, a, 3, 0), 'not-ready');
    refuses(() => admitWrite(state, a, 2, 1), 'layout-changed');
    refuses(() => admitWrite(initialNodeState, a, 1, 0), 'not-ready');
  });
});

describe('what a node pulls', () => {
  test('is what it gained since the layout it holds completely', () => {
    const state = { ...adoptLayouts(initialNodeState, [one, two], 0), completeLayout: 1 };
    assert.equal(planPull(state, b).gained.length, 0);
    const plan = planPull(state, d);
    assert.equal(plan.gained.length, partitionCount);
    assert.deepEqual([...plan.sources.keys()].sort(), [a, b, c].sort());
  });

  test('includes what it lost and got back: what was written in between went to others', () => {
    const state = { ...adoptLayouts(initialNodeState, [one, two, three], 0), completeLayout: 1 };
    const { gained } = planPull(state, a);
    assert.equal(gained.length, partitionCount / 2);
    assert.ok(gained.every((partition) => partition % 2 === 1));
  });

  test('comes from the other owners of the newest layout when everything older was retired in its absence', () => {
    const state = { ...adoptLayouts(initialNodeState, [three], 2), completeLayout: 1 };
    const plan = planPull(state, a);
    assert.equal(plan.gained.length, partitionCount);
    assert.deepEqual([...plan.sources.keys()].sort(), [b, e].sort());
    assert.equal(plan.countsSelf, false, 'its own store is what is in doubt');
  });

  test('is nothing under the very first layout', () => {
    assert.equal(planPull(adoptLayouts(initialNodeState, [one], 0), a).gained.length, 0);
  });
});

describe('the answer to a heartbeat', () => {
  const state = { ...adoptLayouts(initialNodeState, [one, two, three], 0), promisedEpoch: 5n, servedHour: 7 };

  test('retires layouts and raises served hours, and its epoch is promised', () => {
    const after = followHeartbeat(state, { epoch: 6n, retiredUpTo: 2, servedHour: 9 });
    assert.deepEqual(
      after.layouts.map(({ layout }) => layout.number),
      [3],
    );
    assert.deepEqual([after.retiredUpTo, after.servedHour, after.promisedEpoch], [2, 9, 6n]);
  });

  test('never lowers anything, and the newest layout stays', () => {
    assert.equal(followHeartbeat(state, { epoch: 5n, retiredUpTo: 0, servedHour: 6 }), state);
    const after = followHeartbeat(state, { epoch: 5n, retiredUpTo: 9, servedHour: 7 });
    assert.deepEqual(
      after.layouts.map(({ layout }) => layout.number),
      [3],
    );
  });

  test('is not followed from a master that does not lead, or led before', () => {
    for (const epoch of [0n, 4n]) assert.equal(followHeartbeat(state, { epoch, retiredUpTo: 2, servedHour: 9 }), state);
  });
});

describe('the write barrier', () => {
  test('lets a layout be acknowledged only when writes under lower ones have ended, also failed ones', async () => {
    const barrier = new WriteBarrier();
    let end: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      end = resolve;
    });
    const failing = barrier.run(1, () => gate.then(() => Promise.reject(new Error('disk'))));
    const newer = barrier.run(2, () => new Promise<void>(() => undefined));
    void newer;
    assert.equal(barrier.lowestBelow(2), 1);
    assert.equal(barrier.lowestBelow(1), undefined);
    let drained = false;
    const waiting = barrier.drained(2).then(() => {
      drained = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(drained, false);
    end();
    await assert.rejects(failing);
    await waiting;
    assert.equal(barrier.lowestBelow(2), undefined);
  });
});
