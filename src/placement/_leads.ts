// Who stands first: the first owner of a partition takes its uploads, so firsts are shared out like copies are.
// Invariant: only the order inside a partition changes, which moves no data; a node leads
// ⌊its copies / R′⌋ or ⌈its copies / R′⌉ partitions. That is always possible: giving each owner 1/R′ of a partition is
// a fractional assignment within those bounds, and bipartite flows with whole bounds have whole solutions.
import { type Draft, empty, loadOf, nodeAt } from './_draft.ts';

const swapToFront = (draft: Draft, partition: number, slot: number): void => {
  if (slot === 0) return;
  const first = partition * draft.copies;
  const at = first + slot;
  const node = draft.slots[at] ?? empty;
  const kept = draft.kept[at] ?? 0;
  draft.slots.copyWithin(first + 1, first, at);
  draft.kept.copyWithin(first + 1, first, at);
  draft.slots[first] = node;
  draft.kept[first] = kept;
};

const slotOf = (draft: Draft, partition: number, node: number): number => {
  for (let slot = 0; slot < draft.copies; slot++) if (nodeAt(draft, partition, slot) === node) return slot;
  return 0;
};

/** Moves one lead from some node of `sources` along the shortest chain of partitions to a node that `accepts` it. */
const passOn = (
  draft: Draft,
  led: readonly Set<number>[],
  sources: readonly number[],
  accepts: (node: number) => boolean,
): boolean => {
  const cameFrom = new Map<number, { node: number; partition: number }>();
  const seen = new Set(sources);
  const queue = [...sources];
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    for (const partition of led[node] ?? []) {
      for (let slot = 1; slot < draft.copies; slot++) {
        const other = nodeAt(draft, partition, slot);
        if (other === empty || seen.has(other)) continue;
        seen.add(other);
        cameFrom.set(other, { node, partition });
        if (!accepts(other)) {
          queue.push(other);
          continue;
        }
        for (let to = other, step = cameFrom.get(to); step; to = step.node, step = cameFrom.get(to)) {
          swapToFront(draft, step.partition, slotOf(draft, step.partition, to));
          led[step.node]?.delete(step.partition);
          led[to]?.add(step.partition);
        }
        return true;
      }
    }
  }
  return false;
};

/** Reorders owners so that every node leads its part, give or take one; the present lead stays where it can. */
export const balanceLeads = (draft: Draft): void => {
  const led: Set<number>[] = Array.from({ length: draft.nodes }, () => new Set<number>());
  for (let partition = 0; partition < draft.partitions; partition++) {
    const node = nodeAt(draft, partition, 0);
    if (node !== empty) led[node]?.add(partition);
  }
  const nodes = led.map((_, node) => node);
  const leads = (node: number): number => led[node]?.size ?? 0;
  const most = (node: number): number => Math.ceil(loadOf(draft, node) / draft.copies);
  const least = (node: number): number => Math.floor(loadOf(draft, node) / draft.copies);
  const hasRoom = (node: number): boolean => leads(node) < most(node);
  for (const node of nodes) {
    while (leads(node) > most(node) && passOn(draft, led, [node], hasRoom));
  }
  for (const node of nodes) {
    const isNode = (other: number): boolean => other === node;
    const donors = (): number[] => nodes.filter((other) => leads(other) > least(other));
    while (leads(node) < least(node) && passOn(draft, led, donors(), isNode));
  }
};
