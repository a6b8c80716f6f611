// The steps that move copies between nodes: fill open slots, raise nodes below their floor, lower those above the cap.
// Invariant: distinct nodes before zones before caps; a step moves no more copies than the bound it restores asks for,
// and prefers copies that are not there yet, whose moving costs nothing.
// Direct moves go in rendezvous order; when none is left, a breadth-first search finds the shortest chain of moves.
import {
  type Draft,
  empty,
  fillOf,
  holds,
  loadOf,
  mayTake,
  nodeAt,
  openSlots,
  quotaAt,
  setSlot,
  slotsByNode,
} from './_draft.ts';
import type { Score } from './_rendezvous.ts';
import { shareError } from './_shares.ts';

/** True when a node can give a copy away without falling below its share by more than rounding, nor below its floor. */
const isAboveShare = (draft: Draft, node: number): boolean => {
  const { share, floor } = quotaAt(draft, node);
  return loadOf(draft, node) > Math.max(floor, share + shareError);
};

/** 0 below the floor, 1 below the share, 2 below the cap, 3 full. */
const tierOf = (draft: Draft, node: number): number => {
  const { floor, share, cap } = quotaAt(draft, node);
  const load = loadOf(draft, node);
  if (load < floor) return 0;
  if (load < Math.ceil(share - shareError)) return 1;
  return load < cap ? 2 : 3;
};

/** The neediest node that may take the slot, by tier and then by score; `empty` when none may. */
const chooseNode = (draft: Draft, score: Score, partition: number, slot: number, tierMax: number): number => {
  let chosen = empty;
  let bestTier = tierMax + 1;
  let bestScore = 0;
  for (let node = 0; node < draft.nodes; node++) {
    const tier = tierOf(draft, node);
    if (tier > bestTier || tier > tierMax || !mayTake(draft, partition, slot, node)) continue;
    // Among full nodes the least overfull takes the copy: only zones or a lack of nodes lead here.
    const value = tier < 3 ? score(partition, node) : 1 / fillOf(draft, node);
    if (tier === bestTier && value <= bestScore) continue;
    chosen = node;
    bestTier = tier;
    bestScore = value;
  }
  return chosen;
};

/** Fills every open slot, partitions with the fewest copies first. */
export const fillOpenSlots = (draft: Draft, score: Score): void => {
  for (let missing = draft.copies; missing > 0; missing--) {
    for (let partition = 0; partition < draft.partitions; partition++) {
      if (openSlots(draft, partition) !== missing) continue;
      for (let slot = 0; slot < draft.copies; slot++) {
        if (nodeAt(draft, partition, slot) !== empty) continue;
        setSlot(draft, partition, slot, chooseNode(draft, score, partition, slot, 3), false);
      }
    }
  }
};

interface Step {
  readonly from: number;
  readonly at: number;
}

/** Carries out a found chain, last move first; false when two moves touch one partition in a way that clashes. */
const runChain = (draft: Draft, steps: ReadonlyMap<number, Step>, last: number): boolean => {
  const chain: { at: number; to: number }[] = [];
  for (let to = last, step = steps.get(to); step; to = step.from, step = steps.get(to)) chain.push({ at: step.at, to });
  const partitions = new Set(chain.map(({ at }) => Math.floor(at / draft.copies)));
  if (partitions.size !== chain.length) return false;
  for (const { at, to } of chain) setSlot(draft, Math.floor(at / draft.copies), at % draft.copies, to, false);
  return true;
};

/**
 * Moves the surplus of one copy from some node of `sources` along the shortest chain of nodes to one that `accepts`.
 * False when no chain was found. O(nodes × copies of a node × nodes) at worst.
 */
const shiftOne = (draft: Draft, sources: readonly number[], accepts: (node: number) => boolean): boolean => {
  const held = slotsByNode(draft);
  const steps = new Map<number, Step>();
  const seen = new Set(sources);
  const queue = [...sources];
  for (let from = queue.shift(); from !== undefined; from = queue.shift()) {
    const slots = held[from] ?? [];
    const ordered = [...slots.filter((at) => !draft.kept[at]), ...slots.filter((at) => draft.kept[at])];
    for (const at of ordered) {
      const partition = Math.floor(at / draft.copies);
      for (let node = 0; node < draft.nodes; node++) {
        if (seen.has(node) || !mayTake(draft, partition, at % draft.copies, node)) continue;
        steps.set(node, { from, at });
        if (!accepts(node)) {
          seen.add(node);
          queue.push(node);
        } else if (runChain(draft, steps, node)) return true;
        // After a clash the node stays unseen: another way to it may do.
      }
    }
  }
  return false;
};

const byScore = (draft: Draft, score: Score, node: number): number[] =>
  Array.from({ length: draft.partitions }, (_, partition) => partition).sort((a, b) => score(b, node) - score(a, node));

/** The slot of `partition` whose owner can best spare a copy for `node`; `empty` when none is above its share. */
const findDonor = (draft: Draft, partition: number, node: number): number => {
  let chosen = empty;
  let fullest = 0;
  for (let slot = 0; slot < draft.copies; slot++) {
    const donor = nodeAt(draft, partition, slot);
    if (donor === empty || !isAboveShare(draft, donor)) continue;
    const fill = fillOf(draft, donor);
    if (fill <= fullest || !mayTake(draft, partition, slot, node)) continue;
    chosen = slot;
    fullest = fill;
  }
  return chosen;
};

/** Gives `node` copies until it has `need`, taking from nodes above their share, best scores first. */
export const raise = (draft: Draft, score: Score, node: number, need: number): void => {
  if (loadOf(draft, node) >= need) return;
  for (const partition of byScore(draft, score, node)) {
    if (loadOf(draft, node) >= need) return;
    if (holds(draft, partition, node)) continue;
    const slot = findDonor(draft, partition, node);
    if (slot !== empty) setSlot(draft, partition, slot, node, false);
  }
  const isNode = (other: number): boolean => other === node;
  while (loadOf(draft, node) < need) {
    const fill = fillOf(draft, node);
    const donors = Array.from({ length: draft.nodes }, (_, other) => other)
      .filter((other) => loadOf(draft, other) > quotaAt(draft, other).floor && fillOf(draft, other) > fill)
      .sort((a, b) => fillOf(draft, b) - fillOf(draft, a));
    if (!shiftOne(draft, donors.slice(0, Math.ceil(donors.length / 2)), isNode) && !shiftOne(draft, donors, isNode)) {
      return;
    }
  }
};

/** Takes copies from `node` until it is within its cap: new ones first, then those it scores worst for. */
export const lower = (draft: Draft, score: Score, node: number): void => {
  const { cap } = quotaAt(draft, node);
  if (loadOf(draft, node) <= cap) return;
  const partitionOfSlot = (at: number): number => Math.floor(at / draft.copies);
  const slots = (slotsByNode(draft)[node] ?? []).sort(
    (a, b) =>
      (draft.kept[a] ?? 0) - (draft.kept[b] ?? 0) || score(partitionOfSlot(a), node) - score(partitionOfSlot(b), node),
  );
  for (const at of slots) {
    if (loadOf(draft, node) <= cap) return;
    const taker = chooseNode(draft, score, partitionOfSlot(at), at % draft.copies, 2);
    if (taker !== empty) setSlot(draft, partitionOfSlot(at), at % draft.copies, taker, false);
  }
  while (loadOf(draft, node) > cap) {
    if (!shiftOne(draft, [node], (other) => loadOf(draft, other) < quotaAt(draft, other).cap)) return;
  }
};
