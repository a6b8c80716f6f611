// The exact least number of copies that must move between two layouts, one zone: a minimum-cost flow, slow and plain.
// source → partition (R′ copies) → node (once; free where the copy is already) → sink (between floor and cap).
// Bellman-Ford for every unit of flow: for small tables only. It does not plan; it only says how good a plan could be.
import type { OwnerTable } from '../../src/placement/layout.ts';
import type { PlacementMember } from '../../src/placement/plan.ts';
import { limits, naiveShares } from './_oracle.ts';

interface Arc {
  readonly from: number;
  readonly to: number;
  room: number;
  readonly cost: number;
}

/** Pushes one unit along the cheapest path from 0 to 1; undefined when there is none. Arc i ^ 1 is the reverse of i. */
const pushOne = (arcs: readonly Arc[], nodes: number): number | undefined => {
  const cost = new Array<number>(nodes).fill(Number.POSITIVE_INFINITY);
  const via = new Array<number>(nodes).fill(-1);
  cost[0] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    arcs.forEach((arc, index) => {
      const next = (cost[arc.from] ?? 0) + arc.cost;
      if (arc.room === 0 || next >= (cost[arc.to] ?? 0)) return;
      cost[arc.to] = next;
      via[arc.to] = index;
      changed = true;
    });
  }
  if (cost[1] === Number.POSITIVE_INFINITY) return undefined;
  for (let at = 1; at !== 0; ) {
    const index = via[at] ?? 0;
    const [arc, back] = [arcs[index], arcs[index ^ 1]];
    if (!arc || !back) return undefined;
    arc.room--;
    back.room++;
    at = arc.from;
  }
  return cost[1];
};

/** The least copies to move so that every node ends between floor and cap, and newcomers at their share. */
export const exactLeastMoved = (
  previous: OwnerTable,
  members: readonly PlacementMember[],
  partitions: number,
  copies: number,
): number => {
  const arcs: Arc[] = [];
  const connect = (from: number, to: number, room: number, cost: number): void => {
    arcs.push({ from, to, room, cost }, { from: to, to: from, room: 0, cost: -cost });
  };
  const shares = naiveShares(
    members.map((member) => member.weight),
    partitions,
    copies,
  );
  const before = new Set(
    [...previous.owners].map((owner, slot) => `${Math.floor(slot / previous.copies)} ${previous.nodes[owner]}`),
  );
  const fill = 1e6;
  for (let partition = 0; partition < partitions; partition++) connect(0, 2 + partition, copies, 0);
  members.forEach((member, index) => {
    const node = 2 + partitions + index;
    const share = (shares[index] ?? 0) + 1e-6;
    const cap = Math.min(partitions, Math.max(Math.ceil(share - 2e-6), Math.floor(share * limits.overShare)));
    const known = previous.nodes.includes(member.keyHash);
    const least = known ? Math.min(Math.floor(share), Math.ceil(share * 0.95 - 2e-6)) : Math.floor(share);
    connect(node, 1, least, -fill);
    connect(node, 1, cap - least, 0);
    for (let partition = 0; partition < partitions; partition++) {
      connect(2 + partition, node, 1, before.has(`${partition} ${member.keyHash}`) ? 0 : 1);
    }
  });
  let moved = 0;
  for (let unit = 0; unit < partitions * copies; unit++) {
    const cost = pushOne(arcs, 2 + partitions + members.length);
    if (cost === undefined) throw new Error('the bounds leave no assignment');
    moved += cost + Math.round(-cost / fill) * fill;
  }
  return moved;
};
