// What a node has to copy, from whom, and when it has enough: pure. A layout that gives it partitions makes it list
// them at the owners of all unretired layouts; it holds what they list when, in each of those layouts, so many sound
// owners answered that every acknowledged write is in some answer. Owners that died for good block nothing.
import type { KeyHash } from '../../model/ids.ts';
import { isCovered } from '../../placement/coverage.ts';
import { type Layout, ownersOf } from '../../placement/layout.ts';
import type { NodeState } from './state.ts';

export interface PullPlan {
  /** Partitions whose content this node cannot be sure to hold. */
  readonly gained: readonly number[];
  /** Who may hold something of them, each with its partitions in ascending order. */
  readonly sources: ReadonlyMap<KeyHash, readonly number[]>;
  /** Layouts whose owners must cover what is gained. */
  readonly tables: readonly Layout[];
  /** Whether the own store counts as an answer, as it does in layouts that were written to here. */
  readonly countsSelf: boolean;
}

/** Owners of a partition that may miss a write which is acknowledged. */
const spareCopies = ({ copies, writeCopies }: Layout): number => copies - writeCopies;

/**
 * What is to be pulled from whom. A store that is not `sound` answers for nothing, not even to its own node, and it
 * pulls for every unretired layout: it is asked about them all when it is believed again.
 */
export const planPull = (state: NodeState, self: KeyHash, sound = true): PullPlan => {
  const layouts = state.layouts.map(({ layout }) => layout);
  const newest = layouts.at(-1);
  if (!newest) return { gained: [], sources: new Map(), tables: [], countsSelf: true };
  const older = layouts.slice(0, -1);
  // A node that was away while everything older was retired finds it at the other owners of the newest layout; and a
  // store that lost what it took under the newest one finds that there as well.
  const alone = older.length === 0 && newest.number > 1;
  const tables = alone ? [newest] : sound ? older : layouts;
  const countsSelf = sound && !alone;
  const gained: number[] = [];
  const sources = new Map<KeyHash, number[]>();
  const from = tables.findIndex(({ number }) => number === state.completeLayout);
  // An owner may lack as many writes' copies as the layout they were made under could spare. Where the newest one can
  // spare fewer (two nodes are left of three), what was missed before has to be looked for as well.
  const sparing = from >= 0 && tables.slice(from).every((table) => spareCopies(table) <= spareCopies(newest));
  for (let partition = 0; partition < newest.owners.length / newest.copies; partition++) {
    const needing = sound ? [newest] : layouts;
    if (!needing.some((table) => ownersOf(table, partition).includes(self))) continue;
    // Kept only if it was owned all the time since the layout that was held completely: what was written under a
    // layout in between went to others.
    const kept = sparing && tables.slice(from).every((table) => ownersOf(table, partition).includes(self));
    const others = new Set(tables.flatMap((table) => ownersOf(table, partition)));
    others.delete(self);
    // Nobody else ever had it: what is not here is nowhere.
    if (kept || others.size === 0) continue;
    gained.push(partition);
    for (const owner of others) {
      const listed = sources.get(owner);
      if (listed) listed.push(partition);
      else sources.set(owner, [partition]);
    }
  }
  return { gained, sources, tables, countsSelf };
};

/** True when the answers of `answered`, all sound, contain every acknowledged write to the partition. */
export const isAnswered = (
  { tables, countsSelf }: PullPlan,
  self: KeyHash,
  partition: number,
  answered: ReadonlySet<KeyHash>,
): boolean => {
  if (countsSelf) return isCovered(tables, partition, new Set([...answered, self]));
  // A layout in which this node was the only owner can be covered by nobody; waiting would bring nothing back.
  const asked = tables.filter((table) => ownersOf(table, partition).some((owner) => owner !== self));
  return asked.length === 0 || isCovered(asked, partition, answered);
};

/** Partitions with the fewest live sources first: what is nearest to being lost is copied before the rest. */
export const orderByNeed = (plan: PullPlan, live: ReadonlySet<KeyHash>): number[] => {
  const counts = new Map<number, number>();
  for (const [source, partitions] of plan.sources) {
    if (live.has(source)) for (const at of partitions) counts.set(at, (counts.get(at) ?? 0) + 1);
  }
  return [...plan.gained].sort((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0) || a - b);
};

/** Something listed that is to be copied, and who may have it. */
export interface Wanted {
  readonly bytes: number;
  readonly sources: readonly KeyHash[];
}

export interface PullGroup<Item extends Wanted> {
  readonly source: KeyHash;
  readonly items: Item[];
}

/**
 * Groups that fit one message each, fewest copies first, spread over the sources by bytes. Items whose sources are all
 * in `avoided` are left out.
 */
export const groupBySource = <Item extends Wanted>(
  items: readonly Item[],
  avoided: ReadonlySet<KeyHash>,
  most: { readonly bytes: number; readonly items: number },
): PullGroup<Item>[] => {
  const groups: PullGroup<Item>[] = [];
  const open = new Map<KeyHash, { group: PullGroup<Item>; bytes: number }>();
  const load = new Map<KeyHash, number>();
  const loadOf = (source: KeyHash): number => load.get(source) ?? 0;
  for (const item of [...items].sort((a, b) => a.sources.length - b.sources.length)) {
    const usable = item.sources.filter((source) => !avoided.has(source));
    const [first] = usable;
    if (first === undefined) continue;
    const source = usable.reduce((least, next) => (loadOf(next) < loadOf(least) ? next : least), first);
    load.set(source, loadOf(source) + item.bytes);
    let at = open.get(source);
    if (!at || at.bytes + item.bytes > most.bytes || at.group.items.length >= most.items) {
      at = { group: { source, items: [] }, bytes: 0 };
      open.set(source, at);
      groups.push(at.group);
    }
    at.group.items.push(item);
    at.bytes += item.bytes;
  }
  return groups;
};
