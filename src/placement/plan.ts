// next layout = f(previous layout, members): the pure decision who owns what. No clock, no randomness, no I/O.
// It keeps every copy it can, fills open places in weighted rendezvous order, and moves copies only to bring a node
// back between 0.95 and 1.05 of its share. Distinct nodes come before distinct zones, zones before caps.
// What it does not decide: which members take part, when a layout is made, numbers and signatures (the master's work).
import { OperaError } from '../errors/errors.ts';
import type { KeyHash } from '../model/ids.ts';
import { fillOpenSlots, lower, raise } from './_balance.ts';
import { countZones, type Draft, empty, fillOf, nodeAt, openSlots, quotaAt, setSlot } from './_draft.ts';
import { balanceLeads } from './_leads.ts';
import { createScore } from './_rendezvous.ts';
import { type PlacementMember, quotaOf, shareError, sharesOf, zonesWanted } from './_shares.ts';
import { layoutNodesMax, noOwner, type OwnerTable } from './layout.ts';
import { countMoved } from './movement.ts';

export type { PlacementMember } from './_shares.ts';

/** Why a layout is made. Only `drain` and `remove` are an operator's word, and only they may lower W′. */
export type PlanReason = 'join' | 'failure' | 'drain' | 'remove';

export interface PlanSettings {
  /** R of the network, 1–255. */
  readonly copies: number;
  /** W of the network, 1–R. */
  readonly writeCopies: number;
  readonly partitions: number;
  readonly reason: PlanReason;
}

export interface LayoutPlan extends OwnerTable {
  /** Copies that someone must pull; all of them when there was no layout. */
  readonly moved: number;
}

const checkMembers = (members: readonly PlacementMember[]): void => {
  if (members.length === 0) throw new OperaError('no-nodes');
  if (members.length > layoutNodesMax)
    throw new OperaError('too-large', `a layout has at most ${layoutNodesMax} nodes`);
  if (new Set(members.map((member) => member.keyHash)).size !== members.length) {
    throw new OperaError('bad-request', 'a node stands twice in the plan');
  }
  if (!members.every(({ weight }) => Number.isFinite(weight) && weight > 0)) {
    throw new OperaError('bad-request', 'the weight of a node must be above 0');
  }
};

const checkSettings = ({ copies, writeCopies, partitions }: PlanSettings): void => {
  const inRange = (value: number, max: number): boolean => Number.isInteger(value) && value >= 1 && value <= max;
  if (!inRange(copies, 255) || !inRange(writeCopies, copies) || !inRange(partitions, 0xffff)) {
    throw new OperaError('bad-request', 'copies, write copies or partitions are out of range');
  }
};

/**
 * W′ = min(W, R′), but a failure or a join never takes it below the predecessor's: then there is no layout
 * (`write-quorum`), the old one stays, and reads go on under it. A lower W of the network is an operator's word.
 */
const writeCopiesOf = (previous: OwnerTable | undefined, copies: number, settings: PlanSettings): number => {
  const writeCopies = Math.min(settings.writeCopies, copies);
  const mayLower = settings.reason === 'drain' || settings.reason === 'remove';
  const least = mayLower ? 1 : Math.min(previous?.writeCopies ?? 1, settings.writeCopies);
  if (writeCopies < least) {
    throw new OperaError('write-quorum', `${copies} nodes are left, a write needs ${least}`, {
      hint: 'bring a node back, or remove the lost ones for good',
    });
  }
  return writeCopies;
};

const createDraft = (members: readonly PlacementMember[], copies: number, partitions: number): Draft => {
  const zoneNumbers = new Map<string, number>();
  for (const { zone } of members) if (!zoneNumbers.has(zone)) zoneNumbers.set(zone, zoneNumbers.size);
  return {
    partitions,
    copies,
    nodes: members.length,
    slots: new Int32Array(partitions * copies).fill(empty),
    kept: new Uint8Array(partitions * copies),
    load: new Int32Array(members.length),
    quotas: sharesOf(members, partitions, copies).map((share) => quotaOf(share, partitions)),
    zones: Int32Array.from(members, ({ zone }) => zoneNumbers.get(zone) ?? 0),
    zonesWanted: zonesWanted(members, copies),
  };
};

/** Takes over the owners that are still members; when R′ fell, the least useful copies stay out. */
const inherit = (draft: Draft, previous: OwnerTable, indexOf: ReadonlyMap<KeyHash, number>): void => {
  const translate = previous.nodes.map((node) => indexOf.get(node) ?? empty);
  const surplus: { partition: number; nodes: number[] }[] = [];
  for (let partition = 0; partition < draft.partitions; partition++) {
    const owners = previous.owners.subarray(partition * previous.copies, (partition + 1) * previous.copies);
    const nodes = [...owners].map((owner) => (owner === noOwner ? empty : (translate[owner] ?? empty)));
    const present = nodes.filter((node) => node !== empty);
    if (present.length > draft.copies) surplus.push({ partition, nodes: present });
    else present.forEach((node, slot) => setSlot(draft, partition, slot, node, true));
  }
  for (const { partition, nodes } of surplus) {
    for (let slot = 0; slot < draft.copies; slot++) {
      const rank = (node: number): number => countZones(draft, partition, empty, node) * 1e6 - fillOf(draft, node);
      const best = nodes.reduce((chosen, node) => (rank(node) > rank(chosen) ? node : chosen));
      setSlot(draft, partition, slot, best, true);
      nodes.splice(nodes.indexOf(best), 1);
    }
  }
};

/** Releases copies that share a zone until the open slots suffice to reach every zone that is wanted. */
const makeRoomForZones = (draft: Draft): void => {
  for (let partition = 0; partition < draft.partitions; partition++) {
    for (;;) {
      const zones = countZones(draft, partition, empty, empty);
      if (zones + openSlots(draft, partition) >= draft.zonesWanted) break;
      let chosen = empty;
      for (let slot = 0; slot < draft.copies; slot++) {
        const node = nodeAt(draft, partition, slot);
        if (node === empty || countZones(draft, partition, slot, empty) < zones) continue;
        if (chosen === empty || fillOf(draft, node) > fillOf(draft, nodeAt(draft, partition, chosen))) chosen = slot;
      }
      if (chosen === empty) break;
      setSlot(draft, partition, chosen, empty, false);
    }
  }
};

const toOwners = (draft: Draft): Uint16Array =>
  Uint16Array.from(draft.slots, (node) => (node === empty ? noOwner : node));

/**
 * Plans the next layout. `previous` is undefined before the first one. Members may come in any order; `nodes` of the
 * plan ascends. Throws `no-nodes`, `write-quorum`, or `bad-request` for members or settings out of range.
 */
export const planLayout = (
  previous: OwnerTable | undefined,
  members: readonly PlacementMember[],
  settings: PlanSettings,
): LayoutPlan => {
  checkMembers(members);
  checkSettings(settings);
  if (previous && previous.owners.length !== settings.partitions * previous.copies) {
    throw new OperaError('bad-request', 'the number of partitions of a network never changes');
  }
  const ordered = [...members].sort((a, b) => (a.keyHash < b.keyHash ? -1 : 1));
  const nodes = ordered.map((member) => member.keyHash);
  const copies = Math.min(settings.copies, nodes.length);
  const writeCopies = writeCopiesOf(previous, copies, settings);
  const draft = createDraft(ordered, copies, settings.partitions);
  const score = createScore(ordered);
  if (previous) inherit(draft, previous, new Map(nodes.map((node, index) => [node, index])));
  makeRoomForZones(draft);
  fillOpenSlots(draft, score);
  const known = new Set(previous?.nodes);
  // Newcomers are filled to their share at once, so that the next change finds them like the others.
  nodes.forEach((node, index) => {
    const { floor, share } = quotaAt(draft, index);
    raise(draft, score, index, known.has(node) ? floor : Math.floor(share + shareError));
  });
  for (let node = 0; node < nodes.length; node++) lower(draft, score, node);
  balanceLeads(draft);
  const table: OwnerTable = { copies, writeCopies, nodes, owners: toOwners(draft) };
  return { ...table, moved: countMoved(previous, table) };
};
