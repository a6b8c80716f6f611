// A naive twin of the planner, slow and obvious, and the limits the planner is judged by.
// It knows one zone only: there the best possible spread and the least possible movement can be written down.
// Zones make copies move for their own sake; what is checked under zones is that they are spread, see plan.test.ts.
import { createHash } from 'node:crypto';
import { type KeyHash, parseKeyHash } from '../../src/model/ids.ts';
import type { OwnerTable } from '../../src/placement/layout.ts';
import type { PlacementMember } from '../../src/placement/plan.ts';

/** Limits of the plan against the oracle; docs/placement.md states the same numbers. */
export const limits = {
  /** Fullest node over mean, equal weights, up to 100 nodes. */
  fullestOverMean: 1.05,
  /** Copies moved over the least possible, when one node joins or leaves. */
  movedOverLeast: 1.05,
  /** Copies moved over the exact least of one change, any weights, plus one a node for rounding. */
  movedOverExact: 1.25,
  /** A node's copies over its share, any weights, when rounding allows it. */
  overShare: 1.05,
} as const;

export const keyOf = (number: number): KeyHash =>
  parseKeyHash(createHash('sha256').update(`node ${number}`).digest('hex'));

export const membersOf = (count: number, weight = 1e12, zone = ''): PlacementMember[] =>
  Array.from({ length: count }, (_, number) => ({ keyHash: keyOf(number), weight, zone }));

/** Shares by handing the rest round until nobody is above `partitions`: what a full node cannot take, others get. */
export const naiveShares = (weights: readonly number[], partitions: number, copies: number): number[] => {
  const shares = weights.map(() => 0);
  const full = new Set<number>();
  for (;;) {
    const rest = partitions * copies - partitions * full.size;
    const weightLeft = weights.reduce((total, weight, node) => (full.has(node) ? total : total + weight), 0);
    let changed = false;
    weights.forEach((weight, node) => {
      if (full.has(node)) shares[node] = partitions;
      else shares[node] = (rest * weight) / weightLeft;
    });
    shares.forEach((share, node) => {
      if (full.has(node) || share < partitions) return;
      full.add(node);
      changed = true;
    });
    if (!changed) return shares;
    if (full.size === weights.length) return shares.map(() => partitions);
  }
};

/** Copies of each node, in the order of `table.nodes`. */
export const loadsOf = (table: OwnerTable): number[] => {
  const loads = table.nodes.map(() => 0);
  for (const owner of table.owners) loads[owner] = (loads[owner] ?? 0) + 1;
  return loads;
};

/** Partitions that each node leads. */
export const leadsOf = (table: OwnerTable): number[] => {
  const leads = table.nodes.map(() => 0);
  table.owners.forEach((owner, slot) => {
    if (slot % table.copies === 0) leads[owner] = (leads[owner] ?? 0) + 1;
  });
  return leads;
};

/** Copies moved, counted the slow way: owners by key hash that were not owners before. */
export const naiveMoved = (previous: OwnerTable, next: OwnerTable): number => {
  let moved = 0;
  for (let partition = 0; partition < next.owners.length / next.copies; partition++) {
    const keysOf = (table: OwnerTable): string[] =>
      [...table.owners.slice(partition * table.copies, (partition + 1) * table.copies)].map(
        (owner) => table.nodes[owner] ?? 'none',
      );
    const before = new Set(keysOf(previous));
    moved += keysOf(next).filter((key) => !before.has(key)).length;
  }
  return moved;
};

/**
 * Copies that any planner must move from `previous` to `members`, one zone: each lost copy needs a new place, each copy
 * above a cap must go, and a newcomer's share has to be filled. A lower bound: no plan can do with less.
 */
export const leastMoved = (previous: OwnerTable, members: readonly PlacementMember[], copies: number): number => {
  const partitions = previous.owners.length / previous.copies;
  const weights = members.map((member) => member.weight);
  const shares = naiveShares(weights, partitions, copies);
  const before = new Map(loadsOf(previous).map((load, node) => [previous.nodes[node], load]));
  let kept = 0;
  let newcomers = 0;
  let surplus = 0;
  members.forEach((member, node) => {
    const share = shares[node] ?? 0;
    const load = before.get(member.keyHash);
    if (load === undefined) newcomers += Math.floor(share);
    kept += load ?? 0;
    surplus += Math.max(0, (load ?? 0) - Math.max(Math.ceil(share), Math.floor(share * limits.overShare)));
  });
  return Math.max(newcomers, partitions * copies - kept + surplus, 0);
};
