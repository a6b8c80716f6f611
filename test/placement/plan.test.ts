// The planner against its naive oracle and under random lives of a network: joins, losses, new weights, new zones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createScore } from '../../src/placement/_rendezvous.ts';
import type { OwnerTable } from '../../src/placement/layout.ts';
import { partitionCount } from '../../src/placement/partition.ts';
import { type LayoutPlan, type PlacementMember, type PlanReason, planLayout } from '../../src/placement/plan.ts';
import { exactLeastMoved } from './_least.ts';
import { keyOf, leadsOf, leastMoved, limits, loadsOf, membersOf, naiveMoved, naiveShares } from './_oracle.ts';

const plan = (
  previous: OwnerTable | undefined,
  members: readonly PlacementMember[],
  { copies = 3, writeCopies = Math.min(2, copies), partitions = partitionCount, reason = 'remove' as PlanReason } = {},
): LayoutPlan => planLayout(previous, members, { copies, writeCopies, partitions, reason });

const max = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), 0);
const mean = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0) / values.length;

const ascending = (members: readonly PlacementMember[]): PlacementMember[] =>
  [...members].sort((a, b) => (a.keyHash < b.keyHash ? -1 : 1));

const ownersAt = (table: OwnerTable, partition: number): number[] => [
  ...table.owners.slice(partition * table.copies, (partition + 1) * table.copies),
];

const assertDistinct = (table: OwnerTable): void => {
  for (let partition = 0; partition < table.owners.length / table.copies; partition++) {
    const owners = ownersAt(table, partition);
    assert.equal(new Set(owners).size, table.copies);
    assert.ok(owners.every((owner) => owner < table.nodes.length));
  }
};

const assertZonesSpread = (table: OwnerTable, members: readonly PlacementMember[]): void => {
  const zones = ascending(members).map((member) => member.zone);
  const wanted = Math.min(table.copies, new Set(zones).size);
  for (let partition = 0; partition < table.owners.length / table.copies; partition++) {
    const touched = new Set(ownersAt(table, partition).map((owner) => zones[owner]));
    assert.ok(touched.size >= wanted, `partition ${partition} touches ${touched.size} of ${wanted} zones`);
  }
};

/** One zone: no node above its cap, none below its floor, against the shares of the oracle. */
const assertWithinCaps = (table: OwnerTable, members: readonly PlacementMember[]): void => {
  const partitions = table.owners.length / table.copies;
  const weights = ascending(members).map((member) => member.weight);
  const shares = naiveShares(weights, partitions, table.copies);
  loadsOf(table).forEach((load, node) => {
    const share = shares[node] ?? 0;
    assert.ok(load <= Math.max(Math.ceil(share - 1e-6), share * limits.overShare + 1e-6), `${load} of ${share}`);
    assert.ok(load >= Math.min(Math.floor(share + 1e-6), share * 0.95 - 1e-6), `${load} of ${share}`);
  });
};

const assertLeadsShared = (table: OwnerTable): void => {
  const loads = loadsOf(table);
  leadsOf(table).forEach((leads, node) => {
    const part = (loads[node] ?? 0) / table.copies;
    assert.ok(leads >= Math.floor(part) && leads <= Math.ceil(part), `${leads} leads of ${part}`);
  });
};

test('equal nodes share copies and firsts within the limits, 1 to 100 nodes', () => {
  for (const count of [1, 2, 3, 4, 5, 8, 13, 21, 50, 77, 100]) {
    const first = plan(undefined, membersOf(count));
    assertDistinct(first);
    assertLeadsShared(first);
    const loads = loadsOf(first);
    assert.ok(max(loads) / mean(loads) <= limits.fullestOverMean, `${count} nodes`);
    assert.ok(max(leadsOf(first)) / (partitionCount / count) <= limits.fullestOverMean, `${count} nodes, firsts`);
  }
});

test('a join and a leave move at most 1.05 times the least, 3 to 100 nodes', () => {
  for (const count of [3, 4, 5, 8, 13, 30, 60, 100]) {
    const members = membersOf(count + 1);
    const before = plan(undefined, members.slice(0, count));
    const joined = plan(before, members, { reason: 'join' });
    assert.equal(joined.moved, naiveMoved(before, joined));
    const leastJoin = leastMoved(before, members, joined.copies);
    assert.ok(joined.moved <= limits.movedOverLeast * leastJoin, `join ${count}: ${joined.moved} of ${leastJoin}`);
    const left = members.slice(1);
    const after = plan(joined, left);
    const leastLeave = leastMoved(joined, left, after.copies);
    assert.ok(after.moved <= limits.movedOverLeast * leastLeave, `leave ${count}: ${after.moved} of ${leastLeave}`);
    const loads = loadsOf(after);
    assert.ok(max(loads) / mean(loads) <= limits.fullestOverMean, `${count} nodes after both`);
  }
});

test('a newcomer gets its share at once, not only what others have too much of', () => {
  const joined = plan(plan(undefined, membersOf(50)), membersOf(51), { reason: 'join' });
  const load = loadsOf(joined)[joined.nodes.indexOf(keyOf(50))] ?? 0;
  assert.ok(load >= Math.floor((partitionCount * 3) / 51), `${load}`);
});

test('planning again with the same members moves nothing and changes no order', () => {
  const members = [...membersOf(9, 1e12, 'a'), { keyHash: keyOf(20), weight: 3e12, zone: 'b' }];
  const first = plan(undefined, members);
  const again = plan(first, [...members].reverse());
  assert.equal(again.moved, 0);
  assert.deepEqual(again.owners, first.owners);
});

test('copies follow weights, and a node too large for its share holds every partition once', () => {
  const weights = [1, 2, 3, 4, 100];
  const members = weights.map((weight, number) => ({ keyHash: keyOf(number), weight, zone: '' }));
  const first = plan(undefined, members);
  assertWithinCaps(first, members);
  const giant = first.nodes.indexOf(keyOf(4));
  assert.equal(loadsOf(first)[giant], partitionCount);
});

test('distinct zones come before caps: one small node in its own zone gets a copy of everything', () => {
  const members = [...membersOf(5, 1e12, 'hall'), { keyHash: keyOf(50), weight: 1e11, zone: 'cellar' }];
  const first = plan(undefined, members);
  assertZonesSpread(first, members);
  assert.equal(loadsOf(first)[first.nodes.indexOf(keyOf(50))], partitionCount);
});

test('moving a node to another zone spreads the copies anew', () => {
  const members = membersOf(6, 1e12, 'a').map((member, index) => ({ ...member, zone: index < 3 ? 'a' : 'b' }));
  const first = plan(undefined, members);
  const three = members.map((member, index) => (index % 3 === 0 ? { ...member, zone: 'c' } : member));
  const next = plan(first, three);
  assertZonesSpread(next, three);
  assertDistinct(next);
});

test('key hashes chosen to win a partition get no more than their share of all', () => {
  const honest = membersOf(10);
  const tried = Array.from({ length: 400 }, (_, number) => ({ keyHash: keyOf(1000 + number), weight: 1e12, zone: '' }));
  const score = createScore(tried);
  const wins = (node: number): number => [0, 1, 2, 3].reduce((total, partition) => total + score(partition, node), 0);
  const best = tried.map((_, node) => node).sort((a, b) => wins(b) - wins(a));
  const chosen = best.slice(0, 3).flatMap((node) => tried[node] ?? []);
  const members = [...honest, ...chosen];
  const planned = plan(undefined, members, { partitions: 512 });
  const owners = ownersAt(planned, 0).map((owner) => planned.nodes[owner]);
  assert.ok(
    chosen.some((member) => owners.includes(member.keyHash)),
    'the choice had its effect on the partition',
  );
  assertWithinCaps(planned, members);
});

test('R′ and W′ follow the number of nodes, and one node is enough to begin', () => {
  const sizes = [1, 2, 3, 4].map((count) => plan(undefined, membersOf(count)));
  assert.deepEqual(
    sizes.map(({ copies, writeCopies }) => [copies, writeCopies]),
    [
      [1, 1],
      [2, 2],
      [3, 2],
      [3, 2],
    ],
  );
});

test('a failure or a join never lowers W′; drain and remove may', () => {
  const three = plan(undefined, membersOf(3), { copies: 3, writeCopies: 3 });
  for (const reason of ['failure', 'join'] as const) {
    assert.throws(() => plan(three, membersOf(2), { copies: 3, writeCopies: 3, reason }), { code: 'write-quorum' });
  }
  for (const reason of ['drain', 'remove'] as const) {
    assert.equal(plan(three, membersOf(2), { copies: 3, writeCopies: 3, reason }).writeCopies, 2);
  }
  const two = plan(undefined, membersOf(3));
  assert.equal(plan(two, membersOf(2), { reason: 'failure' }).writeCopies, 2);
  assert.throws(() => plan(two, membersOf(1), { reason: 'failure' }), { code: 'write-quorum' });
});

test('lowering W in the settings of the network is honoured after a failure too', () => {
  const three = plan(undefined, membersOf(3));
  assert.equal(plan(three, membersOf(3), { copies: 3, writeCopies: 1, reason: 'failure' }).writeCopies, 1);
});

test('a lower R keeps copies where they are and drops the rest', () => {
  const three = plan(undefined, membersOf(8));
  const two = plan(three, membersOf(8), { copies: 2 });
  assertDistinct(two);
  assertWithinCaps(two, membersOf(8));
  // Choosing which copy to drop balances nearly all; a few may still move.
  assert.ok(two.moved <= 0.02 * partitionCount, `${two.moved}`);
});

test('bad members and settings are refused', () => {
  const [member] = membersOf(1);
  assert.ok(member);
  assert.throws(() => plan(undefined, []), { code: 'no-nodes' });
  assert.throws(() => plan(undefined, [member, member]), { code: 'bad-request' });
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => plan(undefined, [{ ...member, weight }]), { code: 'bad-request' });
  }
  assert.throws(() => plan(undefined, [member], { copies: 0 }), { code: 'bad-request' });
  assert.throws(() => plan(undefined, [member], { copies: 2, writeCopies: 3 }), { code: 'bad-request' });
  const other = plan(undefined, [member], { partitions: 64 });
  assert.throws(() => plan(other, [member], { partitions: 128 }), { code: 'bad-request' });
});

// ---- random lives of a network ---------------------------------------------------------------------------------

type Change =
  | { readonly kind: 'join'; readonly weight: number; readonly zone: number }
  | {
      readonly kind: 'leave' | 'rezone' | 'reweigh';
      readonly which: number;
      readonly weight: number;
      readonly zone: number;
    };

const weightOf = fc.oneof(
  fc.constant(1e12),
  fc.integer({ min: 1, max: 50 }).map((units) => units * 1e11),
);
const join = fc.record({ kind: fc.constant('join' as const), weight: weightOf, zone: fc.nat(3) });
const change: fc.Arbitrary<Change> = fc.oneof(
  join,
  fc.record({
    kind: fc.constantFrom('leave' as const, 'rezone' as const, 'reweigh' as const),
    which: fc.nat(20),
    weight: weightOf,
    zone: fc.nat(3),
  }),
);

const applyChange = (members: readonly PlacementMember[], step: Change, number: number): PlacementMember[] => {
  const zone = `zone ${step.zone}`;
  if (step.kind === 'join') return [...members, { keyHash: keyOf(number), weight: step.weight, zone }];
  const which = step.which % members.length;
  if (step.kind === 'leave') return members.length === 1 ? [...members] : members.filter((_, index) => index !== which);
  return members.map((member, index) => {
    if (index !== which) return member;
    return step.kind === 'rezone' ? { ...member, zone } : { ...member, weight: step.weight };
  });
};

const liveThrough = (
  first: readonly Change[],
  life: readonly Change[],
  { copies, partitions, oneZone }: { copies: number; partitions: number; oneZone: boolean },
  check: (before: OwnerTable, next: LayoutPlan, members: readonly PlacementMember[]) => void,
): void => {
  let members: PlacementMember[] = [];
  let table: LayoutPlan | undefined;
  for (const [number, step] of [...first, ...life].entries()) {
    members = applyChange(members, oneZone ? { ...step, zone: 0 } : step, number);
    if (number + 1 < first.length) continue;
    const next = plan(table, members, { copies, partitions });
    if (table) check(table, next, members);
    table = next;
  }
};

const lives = {
  first: fc.array(join, { minLength: 1, maxLength: 10 }),
  life: fc.array(change, { minLength: 1, maxLength: 10 }),
  copies: fc.integer({ min: 1, max: 4 }),
};

test('through any life, owners are distinct, zones are spread and firsts are shared', () => {
  fc.assert(
    fc.property(lives.first, lives.life, lives.copies, (first, life, copies) =>
      liveThrough(first, life, { copies, partitions: 256, oneZone: false }, (before, next, members) => {
        assertDistinct(next);
        assertZonesSpread(next, members);
        assertLeadsShared(next);
        assert.equal(next.moved, naiveMoved(before, next));
      }),
    ),
    { numRuns: 120 },
  );
});

test('through any life in one zone, nodes stay within their caps', () => {
  fc.assert(
    fc.property(lives.first, lives.life, lives.copies, (first, life, copies) =>
      liveThrough(first, life, { copies, partitions: 256, oneZone: true }, (_, next, members) =>
        assertWithinCaps(next, members),
      ),
    ),
    { numRuns: 100 },
  );
});

test('through any life in one zone, hardly more moves than an exact solver would move', () => {
  let moved = 0;
  let least = 0;
  fc.assert(
    fc.property(lives.first, lives.life, lives.copies, (first, life, copies) =>
      liveThrough(first, life, { copies, partitions: 32, oneZone: true }, (before, next, members) => {
        const exact = exactLeastMoved(before, members, 32, next.copies);
        assert.ok(next.moved <= limits.movedOverExact * exact + members.length, `${next.moved} of ${exact}`);
        moved += next.moved;
        least += exact;
      }),
    ),
    { numRuns: 60 },
  );
  assert.ok(moved <= limits.movedOverLeast * least, `${moved} of ${least} over all lives`);
});
