// How many copies each node ought to hold: proportional to capacity, as far as distinct nodes and zones allow.
// Invariant: shares sum to partitions × R′, none exceeds the number of partitions (a node holds a copy once), and a
// zone's sum stays within what spreading over zones forces on it or allows it. Real numbers; caps round them.
import type { KeyHash } from '../model/ids.ts';

export interface PlacementMember {
  readonly keyHash: KeyHash;
  /** Capacity in bytes, above 0; set by the master from what the roster's members offer. */
  readonly weight: number;
  /** Members with the same text share a fate; the empty text is a zone too. */
  readonly zone: string;
}

export interface Quota {
  readonly share: number;
  /** No node is given more than this while any other way is open: share × 1.05, rounded so that all copies fit. */
  readonly cap: number;
  /** A node below this is raised: share × 0.95, rounded to leave room. */
  readonly floor: number;
}

/** How far a node's copies may lie from its share before the plan moves data for balance alone. */
const slack = 0.05;

/** Bisection leaves an error far below this; without it a share of exactly 12 could be rounded up to 13. */
export const shareError = 1e-6;

/** The level at which the monotone `amountAt` reaches `total`; bisection to the last bit that matters. */
const levelFor = (total: number, high: number, amountAt: (level: number) => number): number => {
  let low = 0;
  let top = high;
  for (let round = 0; round < 200 && low < top; round++) {
    const middle = (low + top) / 2;
    if (middle === low || middle === top) break;
    if (amountAt(middle) < total) low = middle;
    else top = middle;
  }
  return top;
};

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Zones that every partition must touch: as many as there are, up to R′. */
export const zonesWanted = (members: readonly PlacementMember[], copies: number): number =>
  Math.min(copies, new Set(members.map((member) => member.zone)).size);

/** Share of each member, in the order of `members`. */
export const sharesOf = (members: readonly PlacementMember[], partitions: number, copies: number): number[] => {
  const zones = new Map<string, number[]>();
  members.forEach((member, index) => zones.set(member.zone, [...(zones.get(member.zone) ?? []), index]));
  const wanted = zonesWanted(members, copies);
  // With fewer zones than copies each zone holds one copy at least; with more, one at most.
  const forced = zones.size <= copies ? partitions : 0;
  const allowed = (nodes: number): number => partitions * Math.min(nodes, copies - wanted + 1);
  const weights = members.map((member) => member.weight);
  const weightAt = (index: number, level: number): number => Math.min(partitions, level * (weights[index] ?? 0));
  const zoneAt = (nodes: readonly number[], level: number): number => {
    const free = sum(nodes.map((index) => weightAt(index, level)));
    return Math.min(allowed(nodes.length), Math.max(forced, free));
  };
  const lists = [...zones.values()];
  const high = partitions / Math.min(...weights);
  const total = partitions * copies;
  const level = levelFor(total, high, (at) => sum(lists.map((nodes) => zoneAt(nodes, at))));
  const shares = new Array<number>(members.length).fill(0);
  for (const nodes of lists) {
    const part = zoneAt(nodes, level);
    const inZone = levelFor(part, high, (at) => sum(nodes.map((index) => weightAt(index, at))));
    for (const index of nodes) shares[index] = weightAt(index, inZone);
  }
  return shares;
};

/** Bounds around a share. They always leave a whole number, and all copies fit under the caps. */
export const quotaOf = (share: number, partitions: number): Quota => {
  const ceiling = Math.ceil(share - shareError);
  const below = Math.floor(share + shareError);
  return {
    share,
    cap: Math.min(partitions, Math.max(ceiling, Math.floor(share * (1 + slack) + shareError))),
    floor: Math.min(below, Math.ceil(share * (1 - slack) - shareError)),
  };
};
