// The table a plan works on: slots per partition, loads per node, and the one test whether a copy may stand somewhere.
// Invariant: a partition never holds a node twice; once spread over the zones it wants, no step takes that away.
// It knows nothing of where copies came from besides `kept`, and decides nothing: the steps of the plan do.
import type { Quota } from './_shares.ts';

export const empty = -1;

export interface Draft {
  readonly partitions: number;
  readonly copies: number;
  readonly nodes: number;
  /** partitions × copies node indexes, or `empty`. */
  readonly slots: Int32Array;
  /** 1 where the copy is there already: moving it costs a transfer. */
  readonly kept: Uint8Array;
  readonly load: Int32Array;
  readonly quotas: readonly Quota[];
  /** Zone number of each node. */
  readonly zones: Int32Array;
  readonly zonesWanted: number;
}

export const nodeAt = (draft: Draft, partition: number, slot: number): number =>
  draft.slots[partition * draft.copies + slot] ?? empty;

export const loadOf = (draft: Draft, node: number): number => draft.load[node] ?? 0;

export const quotaAt = (draft: Draft, node: number): Quota => draft.quotas[node] ?? { share: 0, cap: 0, floor: 0 };

/** How full a node is against its share; a node without a share is full. */
export const fillOf = (draft: Draft, node: number): number => {
  const { share } = quotaAt(draft, node);
  return share > 0 ? loadOf(draft, node) / share : Number.POSITIVE_INFINITY;
};

export const holds = (draft: Draft, partition: number, node: number): boolean => {
  for (let slot = 0; slot < draft.copies; slot++) if (nodeAt(draft, partition, slot) === node) return true;
  return false;
};

export const openSlots = (draft: Draft, partition: number): number => {
  let open = 0;
  for (let slot = 0; slot < draft.copies; slot++) if (nodeAt(draft, partition, slot) === empty) open++;
  return open;
};

/** Distinct zones of a partition, leaving out slot `without` and adding the zone of node `extra` (or `empty`). */
export const countZones = (draft: Draft, partition: number, without: number, extra: number): number => {
  let count = extra === empty ? 0 : 1;
  const extraZone = draft.zones[extra];
  for (let slot = 0; slot < draft.copies; slot++) {
    const node = nodeAt(draft, partition, slot);
    if (slot === without || node === empty) continue;
    const zone = draft.zones[node];
    let seen = extra !== empty && zone === extraZone;
    for (let earlier = 0; earlier < slot && !seen; earlier++) {
      const other = nodeAt(draft, partition, earlier);
      seen = earlier !== without && other !== empty && draft.zones[other] === zone;
    }
    if (!seen) count++;
  }
  return count;
};

/** True when `node` may take the copy in `slot` (taken or open) and the zones can still be spread as wanted. */
export const mayTake = (draft: Draft, partition: number, slot: number, node: number): boolean => {
  if (holds(draft, partition, node)) return false;
  const taken = nodeAt(draft, partition, slot) !== empty;
  const stillOpen = openSlots(draft, partition) - (taken ? 0 : 1);
  return countZones(draft, partition, slot, node) + stillOpen >= draft.zonesWanted;
};

/** Puts `node` (or `empty`) into a slot; what stood there is released. */
export const setSlot = (draft: Draft, partition: number, slot: number, node: number, kept: boolean): void => {
  const at = partition * draft.copies + slot;
  const before = draft.slots[at] ?? empty;
  if (before !== empty) draft.load[before] = loadOf(draft, before) - 1;
  if (node !== empty) draft.load[node] = loadOf(draft, node) + 1;
  draft.slots[at] = node;
  draft.kept[at] = kept && node !== empty ? 1 : 0;
};

/** Slots (partition × copies + slot) held by each node. */
export const slotsByNode = (draft: Draft): number[][] => {
  const lists: number[][] = Array.from({ length: draft.nodes }, () => []);
  draft.slots.forEach((node, at) => {
    if (node !== empty) lists[node]?.push(at);
  });
  return lists;
};
