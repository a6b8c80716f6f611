// Quorum arithmetic over unretired layouts: when answers cover a partition, when a write is durable, whom to read from.
// Invariant: copies under different layouts are never added; each layout is judged with its own R′ and W′.
// Who is sound, silent or revoked is decided by the caller, who passes only the answers that count.
import type { KeyHash } from '../model/ids.ts';
import { noOwner, type OwnerTable, ownersOf } from './layout.ts';

const countOwners = (table: OwnerTable, partition: number, nodes: ReadonlySet<KeyHash>): number => {
  let count = 0;
  for (const owner of ownersOf(table, partition)) if (nodes.has(owner)) count++;
  return count;
};

/**
 * True when in every unretired layout at least R′−W′+1 owners of the partition answered: then each acknowledged write
 * is in some answer, because a write has W′ copies and (R′−W′+1) + W′ > R′. False when there is no layout.
 */
export const isCovered = (
  unretired: readonly OwnerTable[],
  partition: number,
  answered: ReadonlySet<KeyHash>,
): boolean =>
  unretired.length > 0 &&
  unretired.every((table) => countOwners(table, partition, answered) >= table.copies - table.writeCopies + 1);

/**
 * Per partition how many of its owners are among `nodes`; a leader asks this for every partition a few times a second.
 */
const countAll = (table: OwnerTable, nodes: ReadonlySet<KeyHash>): Uint8Array => {
  const { owners, copies } = table;
  const counted = table.nodes.map((node) => (nodes.has(node) ? 1 : 0));
  const counts = new Uint8Array(owners.length / copies);
  for (let at = 0, partition = 0; at < owners.length; partition++) {
    for (const end = at + copies; at < end; at++) {
      const owner = owners[at] ?? noOwner;
      if (owner !== noOwner) counts[partition] = (counts[partition] ?? 0) + (counted[owner] ?? 0);
    }
  }
  return counts;
};

/** Partitions that `answered` does not cover, ascending; empty means a complete view. */
export const listUncovered = (unretired: readonly OwnerTable[], answered: ReadonlySet<KeyHash>): number[] => {
  const first = unretired[0];
  const partitions = first ? first.owners.length / first.copies : 0;
  const open = new Set<number>();
  for (const table of unretired) {
    const needed = table.copies - table.writeCopies + 1;
    const counts = countAll(table, answered);
    for (let partition = 0; partition < partitions; partition++) {
      if ((counts[partition] ?? 0) < needed) open.add(partition);
    }
  }
  return [...open].sort((a, b) => a - b);
};

/** True when W′ owners of one and the same unretired layout hold it fsynced, with that layout's own W′. */
export const hasWriteQuorum = (
  unretired: readonly OwnerTable[],
  partition: number,
  holders: ReadonlySet<KeyHash>,
): boolean => unretired.some((table) => countOwners(table, partition, holders) >= table.writeCopies);

/**
 * True when W′ owners of one unretired layout hold a chunk that they took under that layout or a lower one; `holders`
 * are those nodes for each layout, in its place. A copy taken later proves nothing for a lower layout: who gained the
 * partition may have listed its holder before.
 */
export const isDurable = (
  unretired: readonly OwnerTable[],
  partition: number,
  holders: readonly ReadonlySet<KeyHash>[],
): boolean => unretired.some((table, at) => hasWriteQuorum([table], partition, holders[at] ?? new Set()));

/** Whom to read a partition from: owners of the newest layout in order, then those of older ones, each once. */
export const readersOf = (newestFirst: readonly OwnerTable[], partition: number): KeyHash[] => [
  ...new Set(newestFirst.flatMap((table) => ownersOf(table, partition))),
];

/** Nodes that own at least one partition. */
export const owningNodes = (table: OwnerTable): KeyHash[] => {
  const seen = new Uint8Array(table.nodes.length);
  for (const owner of table.owners) if (owner !== noOwner) seen[owner] = 1;
  return table.nodes.filter((_, index) => seen[index] === 1);
};
