// What a new layout means for the nodes: which partitions each gains and loses, and which nodes hold a file.
// Pure and bounded: O(partitions × R′) for a movement, at most one visit of each partition's owners for a file.
// Pulling, confirming and deleting what moved is the nodes' work.
import type { KeyHash, VersionId } from '../model/ids.ts';
import { owningNodes } from './coverage.ts';
import { noOwner, type OwnerTable, ownersOf } from './layout.ts';
import { partitionsOf } from './partition.ts';

/** Partitions, ascending. */
export interface Movement {
  readonly gained: readonly number[];
  readonly lost: readonly number[];
}

/** Partitions a node owns, ascending; empty for a stranger. */
export const partitionsOwnedBy = (table: OwnerTable, node: KeyHash): number[] => {
  const index = table.nodes.indexOf(node);
  const partitions: number[] = [];
  if (index < 0) return partitions;
  for (let slot = 0; slot < table.owners.length; slot++) {
    if (table.owners[slot] === index) partitions.push(Math.floor(slot / table.copies));
  }
  return partitions;
};

/** What `node` gains and loses when `next` follows `previous` (undefined before the first layout). */
export const movementOf = (previous: OwnerTable | undefined, next: OwnerTable, node: KeyHash): Movement => {
  const before = previous ? partitionsOwnedBy(previous, node) : [];
  const after = partitionsOwnedBy(next, node);
  const had = new Set(before);
  const has = new Set(after);
  return {
    gained: after.filter((partition) => !had.has(partition)),
    lost: before.filter((partition) => !has.has(partition)),
  };
};

/** Copies that must be pulled when `next` follows `previous`: all of them when there is no previous layout. */
export const countMoved = (previous: OwnerTable | undefined, next: OwnerTable): number => {
  let moved = 0;
  for (let partition = 0; partition < next.owners.length / next.copies; partition++) {
    const before = previous ? ownersOf(previous, partition) : [];
    for (const owner of ownersOf(next, partition)) if (!before.includes(owner)) moved++;
  }
  return moved;
};

/** Layouts never change, so each is counted once: a batch asks for a thousand files under one layout. */
const owningCounts = new WeakMap<OwnerTable, number>();

const countOwning = (layout: OwnerTable): number => {
  const known = owningCounts.get(layout);
  if (known !== undefined) return known;
  const counted = owningNodes(layout).length;
  owningCounts.set(layout, counted);
  return counted;
};

/**
 * Nodes that own a chunk of a file in `layout`, in the layout's order. Stops as soon as every node that owns anything
 * is in, or every partition was met, so the cost has a bound that does not grow with the file.
 */
export const nodesOfFile = (layout: OwnerTable, version: VersionId, chunkCount: number): KeyHash[] => {
  const all = countOwning(layout);
  const partitions = layout.owners.length / layout.copies;
  const met = new Set<number>();
  const found = new Set<number>();
  for (const partition of partitionsOf(version, chunkCount)) {
    if (met.has(partition)) continue;
    met.add(partition);
    for (let slot = 0; slot < layout.copies; slot++) {
      const owner = layout.owners[partition * layout.copies + slot];
      if (owner !== undefined && owner !== noOwner) found.add(owner);
    }
    if (found.size === all || met.size === partitions) break;
  }
  return layout.nodes.filter((_, index) => found.has(index));
};
