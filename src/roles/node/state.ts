// The rules of order of a node, without I/O: which layouts and leader epoch it acknowledged, which writes it admits.
// Invariants: a layout once acknowledged is never replaced by another of the same number; a write under a lower
// layout or incarnation is refused; retirement and promises only rise.
import { equalBytes } from '../../crypto/digest.ts';
import { OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import { follows, hashOfLayout, type Layout, ownersOf } from '../../placement/layout.ts';

export interface HeldLayout {
  readonly layout: Layout;
  readonly record: SignedRecord;
}

export interface NodeState {
  /** Acknowledged, unretired layouts, ascending. */
  readonly layouts: readonly HeldLayout[];
  readonly retiredUpTo: number;
  /** Highest leader epoch promised, and by which process of it. */
  readonly promisedEpoch: bigint;
  readonly promisedTo: string;
  readonly incarnation: number;
  /** Highest layout all of whose chunks this node holds as far as it owns them. */
  readonly completeLayout: number;
  /** Hours that the network was served, as the highest leader epoch said (u32); ages are counted in these. */
  readonly servedHour: number;
}

export const initialNodeState: NodeState = {
  layouts: [],
  retiredUpTo: 0,
  promisedEpoch: 0n,
  promisedTo: '',
  incarnation: 0,
  completeLayout: 0,
  servedHour: 0,
};

export const newestLayout = (state: NodeState): Layout | undefined => state.layouts.at(-1)?.layout;

/** A promise to follow nobody older: one process for each epoch. Undefined when it cannot be given. */
export const promise = (state: NodeState, epoch: bigint, instance: string): NodeState | undefined => {
  if (epoch < state.promisedEpoch) return undefined;
  if (epoch > state.promisedEpoch) return { ...state, promisedEpoch: epoch, promisedTo: instance };
  if (state.promisedTo === '') return { ...state, promisedTo: instance };
  return state.promisedTo === instance ? state : undefined;
};

/**
 * `stale-leader` unless `epoch` is at least the one promised, and in that epoch no other process gave an order or was
 * promised: a registry that was lost may hand an epoch out twice. Answers the state that has promised it.
 */
export const followLeader = (state: NodeState, epoch: bigint, instance: string): NodeState => {
  const bound = promise(state, epoch, instance);
  if (!bound) throw new OperaError('stale-leader', `leader epoch ${state.promisedEpoch} was promised`);
  return bound;
};

/**
 * Takes layouts of a leader; `conflict` when another layout of a number is held. Lower ones than the newest that are
 * unknown are taken too (a node that joined late reads from them), retired ones are dropped.
 */
export const adoptLayouts = (state: NodeState, layouts: readonly HeldLayout[], retiredUpTo: number): NodeState => {
  const held = new Map(state.layouts.map((entry) => [entry.layout.number, entry]));
  for (const entry of layouts) {
    const known = held.get(entry.layout.number);
    if (known && !equalBytes(hashOfLayout(known.record.bytes), hashOfLayout(entry.record.bytes))) {
      throw new OperaError('conflict', `another layout of number ${entry.layout.number} is held`);
    }
    if (!known) held.set(entry.layout.number, entry);
  }
  for (const { layout } of held.values()) {
    const before = held.get(layout.number - 1);
    if (before && !follows(layout, before.record.bytes)) {
      throw new OperaError('conflict', `layout ${layout.number} does not follow the layout before it that is held`);
    }
  }
  return retire({ ...state, layouts: [...held.values()] }, retiredUpTo);
};

/** Drops what is retired; the newest layout stays in any case. */
const retire = (state: NodeState, upTo: number): NodeState => {
  const retiredUpTo = Math.max(state.retiredUpTo, upTo);
  const newest = Math.max(...state.layouts.map(({ layout }) => layout.number));
  const layouts = state.layouts
    .filter(({ layout }) => layout.number > retiredUpTo || layout.number === newest)
    .sort((a, b) => a.layout.number - b.layout.number);
  return { ...state, layouts, retiredUpTo };
};

/**
 * What the answer to a heartbeat tells: retirement and served hours, if it comes from a leader that is not older than
 * the one promised. Both only rise. Answers the same state when there is nothing new.
 */
export const followHeartbeat = (
  state: NodeState,
  answer: { readonly epoch: bigint; readonly retiredUpTo: number; readonly servedHour: number },
): NodeState => {
  if (answer.epoch === 0n || answer.epoch < state.promisedEpoch) return state;
  // Heartbeats carry no instance: the epoch binds whoever orders first in it.
  const led = answer.epoch > state.promisedEpoch ? { ...state, promisedEpoch: answer.epoch, promisedTo: '' } : state;
  const retired = answer.retiredUpTo > led.retiredUpTo ? retire(led, answer.retiredUpTo) : led;
  return answer.servedHour > retired.servedHour ? { ...retired, servedHour: answer.servedHour } : retired;
};

/** `stale-incarnation` for a lower life of the registry; answers the state that knows the given one. */
export const followIncarnation = (state: NodeState, incarnation: number): NodeState => {
  if (incarnation < state.incarnation) {
    throw new OperaError('stale-incarnation', `incarnation ${state.incarnation} of the registry is known`);
  }
  return incarnation === state.incarnation ? state : { ...state, incarnation };
};

/**
 * The owners of a partition in the newest layout, when this node may take a write under `layoutNumber`:
 * `layout-changed` for an older layout or when it owns no copy, `not-ready` for a layout it has not yet acknowledged.
 */
export const admitWrite = (
  state: NodeState,
  self: KeyHash,
  layoutNumber: number,
  partition: number,
): { readonly owners: readonly KeyHash[]; readonly writeCopies: number } => {
  const newest = newestLayout(state);
  if (!newest || layoutNumber > newest.number) {
    throw new OperaError('not-ready', 'this node has not acknowledged that layout yet');
  }
  if (layoutNumber < newest.number) throw new OperaError('layout-changed', `layout ${newest.number} is in force`);
  const owners = ownersOf(newest, partition);
  if (!owners.includes(self)) throw new OperaError('layout-changed', 'this node owns no copy of that partition');
  return { owners, writeCopies: newest.writeCopies };
};
