// What the leader does next about layouts, in tables of what it sees.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type KeyHash, networkIdFromBytes } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { encodeLayout, type Layout, parseLayout } from '../../../src/placement/layout.ts';
import { countMoved } from '../../../src/placement/movement.ts';
import { partitionCount } from '../../../src/placement/partition.ts';
import { planLayout } from '../../../src/placement/plan.ts';
import {
  countUnderReplicated,
  dueActions,
  incompleteOwners,
  type LayoutsView,
  type NodeView,
  type Standing,
  tableToPlanFrom,
  wantedLayout,
} from '../../../src/roles/master/state.ts';
import { createSeededMember, SeededRandom } from '../../support/seeded.ts';

const random = new SeededRandom('due');
const [a, b, c, d, e] = Array.from({ length: 5 }, () => createSeededMember('node', random).signer.keyHash).sort();
if (!a || !b || !c || !d || !e) throw new Error('five keys');
const signer = createSeededMember('master', random).signer;
const networkId = networkIdFromBytes(random.bytes(16));

const layoutOf = (number: number, nodes: readonly KeyHash[], from?: Layout, writeCopies = 2): Layout => {
  const members = nodes.map((keyHash) => ({ keyHash, weight: 1, zone: '' }));
  const plan = { copies: 3, writeCopies, partitions: partitionCount, reason: 'remove' as const };
  const { moved: _moved, ...table } = planLayout(from, members, plan);
  const fields = { networkId, number, leaderEpoch: 1n, incarnation: 1, previousHash: new Uint8Array(32) };
  return parseLayout(encodeLayout({ ...fields, ...table }, signer));
};

const node = (keyHash: KeyHash, at: number, over: Partial<NodeView> = {}): NodeView => ({
  ...{ keyHash, layoutNumber: at, completeLayout: at, alive: true, sound: true, standing: 'in', weight: 1, zone: '' },
  ...over,
});
const nodesAt = (keys: readonly KeyHash[], layoutNumber: number, completeLayout: number): NodeView[] =>
  keys.map((keyHash) => node(keyHash, layoutNumber, { completeLayout }));

const view = (over: Partial<LayoutsView>): LayoutsView => ({
  ...{ layouts: [], nodes: [], copies: 3, writeCopies: 2, reshaped: false, massFailure: false, safeMode: false },
  ...{ waitingSinceMs: undefined, nowMs: 0, ...over },
});
const kindsOf = (over: Partial<LayoutsView>): string[] => dueActions(view(over)).map(({ kind }) => kind);
const wantedOf = (over: Partial<LayoutsView>) => wantedLayout(view(over));

const one = layoutOf(1, [a, b, c]);
const two = layoutOf(2, [a, b, c, d], one);

describe('what is due', () => {
  test('is to announce, then to say what is covered, then to retire', () => {
    const layouts = [one, two];
    assert.deepEqual(kindsOf({ layouts, nodes: nodesAt([a, b, c, d], 1, 1) }), ['announce']);
    assert.deepEqual(kindsOf({ layouts, nodes: nodesAt([a, b, c, d], 2, 1) }), ['covered']);
    assert.deepEqual(kindsOf({ layouts, nodes: nodesAt([a, b, c, d], 2, 2) }), ['retire']);
    assert.deepEqual(kindsOf({ layouts: [two], nodes: nodesAt([a, b, c, d], 2, 2) }), []);
  });

  test('is not to retire while an owner that is not out is incomplete, alive or not', () => {
    const others = nodesAt([b, c, d], 2, 2);
    const away = (standing: Standing, alive = false): NodeView[] => [
      node(a, 2, { completeLayout: 1, alive, standing }),
      ...others,
    ];
    const kinds = (nodes: readonly NodeView[]): string[] => kindsOf({ layouts: [one, two], nodes });
    assert.ok(!kinds(away('in')).includes('retire'));
    assert.ok(!kinds(away('leaving', true)).includes('retire'));
    assert.ok(!kinds(away('quarantine', true)).includes('retire'));
    // One that was drained and died is declared out by nobody.
    for (const standing of ['out', 'gone', 'quarantine', 'leaving'] as const) {
      assert.ok(kinds(away(standing)).includes('retire') || kinds(away(standing)).includes('plan'), standing);
      assert.deepEqual(
        incompleteOwners(two, away(standing)).map(({ keyHash }) => keyHash),
        [],
      );
    }
    const alone = layoutOf(2, [a], undefined, 1);
    assert.equal(alone.copies, 1);
    assert.equal(incompleteOwners(alone, away('leaving')).length, 1, 'nobody else would have its copies');
  });

  test('is not to retire while partitions are not covered, whoever is complete', () => {
    const silent = [node(a, 1, { standing: 'out', alive: false }), node(b, 1, { standing: 'out', alive: false })];
    const nodes = [...silent, ...nodesAt([c, d], 2, 2)];
    assert.deepEqual(kindsOf({ layouts: [one, two], nodes }), []);
  });

  test('is to count neither acknowledgements nor copies of a store that is not sound', () => {
    const blank = nodesAt([a, b, c, d], 2, 2).map((each) => ({ ...each, sound: each.keyHash === d }));
    assert.deepEqual(kindsOf({ layouts: [one, two], nodes: blank }), []);
    const single = nodesAt([a, b, c, d], 2, 2).map((each) => ({ ...each, sound: each.keyHash !== d }));
    assert.deepEqual(kindsOf({ layouts: [one, two], nodes: single }), ['covered']);
    assert.deepEqual(kindsOf({ layouts: [two], nodes: single }), ['covered']);
  });

  test('is nothing that retires or plans while the registry is in safe mode', () => {
    assert.deepEqual(kindsOf({ layouts: [one, two], nodes: nodesAt([a, b, c, d], 2, 2), safeMode: true }), []);
    const joining = { layouts: [one], nodes: nodesAt([a, b, c, d], 1, 1), safeMode: true };
    assert.deepEqual(kindsOf({ ...joining, waitingSinceMs: 0, nowMs: 9_000 }), []);
    assert.equal(wantedOf(joining)?.blocked, 'safe-mode');
  });

  test('is no layout before changes were gathered, and none of a fifth unretired one', () => {
    const waiting = { layouts: [one], nodes: nodesAt([a, b, c, d], 1, 1), waitingSinceMs: 1_000 };
    assert.deepEqual(kindsOf({ ...waiting, nowMs: 1_000 + limits.layoutGatherMs - 1 }), []);
    assert.deepEqual(kindsOf({ ...waiting, nowMs: 1_000 + limits.layoutGatherMs }), ['plan']);
    const four = [1, 2, 3, 4].map((number) => layoutOf(number, [a, b, c]));
    const full = { layouts: four, nodes: nodesAt([a, b, c, d], 4, 1), waitingSinceMs: 0, nowMs: 9_000 };
    assert.ok(!kindsOf(full).includes('plan'));
    assert.equal(wantedOf(full)?.blocked, 'layouts');
  });

  test('is the first layout at once when every admitted node is heard and they can hold every copy', () => {
    const began = { layouts: [], waitingSinceMs: 1_000, nowMs: 1_000 };
    assert.deepEqual(kindsOf({ ...began, nodes: nodesAt([a, b, c], 0, 0) }), ['plan']);
    const waits = [nodesAt([a, b], 0, 0), [...nodesAt([a, b, c], 0, 0), node(d, 0, { alive: false })]];
    assert.deepEqual(kindsOf({ ...began, nodes: nodesAt([a], 0, 0), copies: 1 }), []);
    for (const nodes of waits) {
      assert.deepEqual(kindsOf({ ...began, nodes }), []);
      assert.deepEqual(kindsOf({ ...began, nodes, nowMs: 1_000 + limits.layoutGatherMs }), ['plan']);
    }
  });

  test('is a layout without a dead node at once, unless another one is silent or joins', () => {
    const before = layoutOf(1, [a, b, c, d]);
    const dead = node(a, 1, { standing: 'out', alive: false });
    const began = { layouts: [before], waitingSinceMs: 1_000, nowMs: 1_000 };
    assert.deepEqual(kindsOf({ ...began, nodes: [dead, ...nodesAt([b, c, d], 1, 1)] }), ['plan']);
    for (const other of [node(d, 1, { alive: false }), node(e, 0)]) {
      const nodes: NodeView[] = [
        dead,
        ...nodesAt([b, c], 1, 1),
        ...(other.keyHash === d ? [] : nodesAt([d], 1, 1)),
        other,
      ];
      assert.ok(!kindsOf({ ...began, nodes }).includes('plan'));
      assert.deepEqual(kindsOf({ ...began, nodes, nowMs: 1_000 + limits.layoutGatherMs }), ['plan']);
    }
  });

  test('is to say how many partitions lack a copy that is heard, sound and complete', () => {
    assert.equal(countUnderReplicated(one, nodesAt([a, b, c], 1, 1)), 0);
    assert.equal(countUnderReplicated(one, [...nodesAt([a, b], 1, 1), node(c, 1, { alive: false })]), partitionCount);
    const lacking = countUnderReplicated(two, [...nodesAt([a, b, c], 2, 2), node(d, 2, { completeLayout: 1 })]);
    assert.ok(lacking > 2_500 && lacking < 3_500, `${lacking}`);
  });
});

describe('the next layout', () => {
  const four = layoutOf(2, [a, b, c, d]);
  const with4 = (standing: Standing, over: Partial<NodeView> = {}): NodeView[] => [
    ...nodesAt([a, b, c], 2, 2),
    node(d, 2, { standing, ...over }),
  ];

  test('loses who is out, in quarantine, drained or gone, and keeps who is only silent', () => {
    const table: readonly (readonly [Standing, string | undefined])[] = [
      ['in', undefined],
      ['out', 'failure'],
      ['quarantine', 'failure'],
      ['leaving', 'drain'],
      ['gone', 'remove'],
    ];
    for (const [standing, reason] of table) {
      const wanted = wantedOf({ layouts: [four], nodes: with4(standing, { alive: false }) });
      assert.equal(wanted?.reason, reason, standing);
      if (wanted) assert.deepEqual([wanted.nodes, wanted.leaving], [[a, b, c], [d]]);
    }
  });

  test('gains who is heard and takes part, and nobody else', () => {
    for (const standing of ['out', 'quarantine', 'leaving', 'gone'] as const) {
      assert.equal(
        wantedOf({ layouts: [one], nodes: [...nodesAt([a, b, c], 1, 1), node(d, 0, { standing })] }),
        undefined,
      );
    }
    assert.deepEqual(wantedOf({ layouts: [one], nodes: nodesAt([a, b, c, d], 1, 1) })?.joining, [d]);
    const silent = [...nodesAt([a, b, c], 1, 1), node(d, 0, { alive: false })];
    assert.equal(wantedOf({ layouts: [one], nodes: silent }), undefined);
  });

  test('follows capacities and zones', () => {
    const wanted = wantedOf({ layouts: [one], nodes: nodesAt([a, b, c], 1, 1), reshaped: true });
    assert.deepEqual([wanted?.nodes, wanted?.blocked], [[a, b, c], undefined]);
  });

  test('never writes fewer copies after a failure; a drain or a removal may', () => {
    const pair = layoutOf(3, [a, b], undefined);
    const after = (standing: Standing) => wantedOf({ layouts: [pair], nodes: [node(a, 3), node(b, 3, { standing })] });
    assert.equal(after('out')?.blocked, 'write-quorum');
    assert.equal(after('quarantine')?.blocked, 'write-quorum');
    assert.equal(after('leaving')?.blocked, undefined);
    assert.equal(after('gone')?.blocked, undefined);
    const replaced = [node(a, 3), node(b, 3, { standing: 'out' }), node(c, 0)];
    assert.equal(wantedOf({ layouts: [pair], nodes: replaced })?.blocked, undefined);
    assert.deepEqual(
      kindsOf({
        layouts: [pair],
        nodes: [node(a, 3), node(b, 3, { standing: 'out' })],
        waitingSinceMs: 0,
        nowMs: 9_000,
      }),
      [],
    );
  });

  test('is made by order alone while too many are gone', () => {
    const nodes = [...nodesAt([a, b, e], 2, 2), node(c, 2, { standing: 'out' }), node(d, 2, { standing: 'leaving' })];
    const obeyed = wantedOf({ layouts: [four], nodes, massFailure: true });
    assert.deepEqual([obeyed?.nodes, obeyed?.joining, obeyed?.reason], [[a, b, c], [], 'drain']);
    const idle = nodes.map((each) => (each.keyHash === d ? { ...each, standing: 'in' as const } : each));
    assert.equal(wantedOf({ layouts: [four], nodes: idle, massFailure: true })?.blocked, 'mass-failure');
    assert.equal(wantedOf({ nodes: nodesAt([a, b, c], 0, 0), massFailure: true })?.blocked, undefined);
  });

  test('is made from the last complete table when who was lost is back, so that nothing moves', () => {
    const all = [a, b, c, d];
    const complete = layoutOf(4, all);
    const shrunk = layoutOf(5, [a, b, c], complete);
    assert.equal(tableToPlanFrom([complete, shrunk], all), complete);
    const back = layoutOf(6, all, tableToPlanFrom([complete, shrunk], all));
    assert.equal(countMoved(complete, back), 0);
    assert.ok(countMoved(shrunk, layoutOf(6, all, shrunk)) > 0);
    // Someone is still lost, or nobody of the complete one was: then it goes on from the newest.
    assert.equal(tableToPlanFrom([complete, layoutOf(5, [a, b], complete)], [a, b, c])?.number, 5);
    assert.equal(tableToPlanFrom([one, two], [a, b, c, d, e])?.number, 2);
    assert.equal(tableToPlanFrom([two], all)?.number, 2);
    assert.equal(tableToPlanFrom([], all), undefined);
  });
});
