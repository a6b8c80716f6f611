// What the leading master does next about layouts, as a pure function of what it sees. One decision at a time: gather
// changes, make the next layout, tell the nodes, tell them when it is covered, retire what came before.
// Invariants: a layout is complete when every partition is covered by sound nodes and all its owners that are not out
// hold what was listed, never because the live ones do; only then are older ones retired. W′ falls by an operator's
// word alone. Who is out is decided in verdicts.ts.
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { listUncovered } from '../../placement/coverage.ts';
import type { Layout } from '../../placement/layout.ts';
import type { PlacementMember, PlanReason } from '../../placement/plan.ts';

/**
 * `in`: takes part, or is away for a moment; `out`: its copies are made elsewhere; `quarantine`: as out, but its copies
 * count while it is heard; `leaving`: by an operator's word, serves until the others have its copies; `gone`: removed
 * or revoked.
 */
export type Standing = 'in' | 'out' | 'quarantine' | 'leaving' | 'gone';

/** What heartbeats, registry and roster say of one node that may take part, or that an unretired layout names. */
export interface NodeView extends PlacementMember {
  /** Newest layout it acknowledged, and the newest it holds completely. */
  readonly layoutNumber: number;
  readonly completeLayout: number;
  /** True when a heartbeat came within the last few seconds. */
  readonly alive: boolean;
  /** False for a store that is blank or was restored: its acknowledgements and its copies prove nothing. */
  readonly sound: boolean;
  readonly standing: Standing;
}

export interface LayoutsView {
  /** Unretired, ascending. */
  readonly layouts: readonly Layout[];
  readonly nodes: readonly NodeView[];
  /** Copies and write copies of the network. */
  readonly copies: number;
  readonly writeCopies: number;
  /** Weights and zones differ from those that the newest layout was made with. */
  readonly reshaped: boolean;
  /** Too many nodes are gone: only what an operator ordered is done. */
  readonly massFailure: boolean;
  /** The registry is being rebuilt: nothing is planned or retired. */
  readonly safeMode: boolean;
  /** Monotonic ms since when the newest layout is not the wanted one; undefined when it is. */
  readonly waitingSinceMs: number | undefined;
  readonly nowMs: number;
}

export type LayoutAction =
  /** Make layout newest + 1 with these nodes, moving as little as possible from the table `from`. */
  | {
      readonly kind: 'plan';
      readonly nodes: readonly KeyHash[];
      readonly leaving: readonly KeyHash[];
      readonly reason: PlanReason;
      readonly from: Layout | undefined;
    }
  /** Tell these nodes of all unretired layouts. */
  | { readonly kind: 'announce'; readonly to: readonly KeyHash[] }
  /** Tell these nodes that the newest layout is covered. */
  | { readonly kind: 'covered'; readonly to: readonly KeyHash[] }
  /** Retire these layouts, and tell these nodes. */
  | { readonly kind: 'retire'; readonly upTo: number; readonly to: readonly KeyHash[] };

/** What the next layout is to be; `blocked` says why it is not made although it is wanted. */
export interface Wanted {
  readonly nodes: readonly KeyHash[];
  readonly joining: readonly KeyHash[];
  readonly leaving: readonly KeyHash[];
  readonly reason: PlanReason;
  readonly blocked: 'write-quorum' | 'mass-failure' | 'layouts' | 'safe-mode' | undefined;
}

const reasonOf = (joining: readonly KeyHash[], leaving: readonly NodeView[]): PlanReason => {
  if (leaving.some(({ standing }) => standing === 'out' || standing === 'quarantine')) return 'failure';
  if (leaving.some(({ standing }) => standing === 'leaving')) return 'drain';
  return leaving.length > 0 || joining.length === 0 ? 'remove' : 'join';
};

/** The layout that the present nodes ask for; undefined when the newest one is it. */
export const wantedLayout = (view: Omit<LayoutsView, 'waitingSinceMs' | 'nowMs'>): Wanted | undefined => {
  const { layouts, massFailure, copies, safeMode } = view;
  const newest = layouts.at(-1);
  const named = new Set(newest?.nodes ?? []);
  const joining = view.nodes.filter(({ alive, standing, keyHash }) => {
    return alive && standing === 'in' && !named.has(keyHash);
  });
  const leaving = view.nodes.filter(({ standing, keyHash }) => standing !== 'in' && named.has(keyHash));
  if (joining.length + leaving.length === 0 && !(newest && view.reshaped)) return undefined;
  // While many are gone the operator's own orders are carried out, and nothing else.
  const ordered = leaving.filter(({ standing }) => standing === 'leaving' || standing === 'gone');
  const obeys = massFailure && newest !== undefined;
  const leave = obeys ? ordered : leaving;
  const join = (obeys ? [] : joining).map(({ keyHash }) => keyHash);
  const left = new Set(leave.map(({ keyHash }) => keyHash));
  const nodes = [...[...named].filter((keyHash) => !left.has(keyHash)), ...join];
  const reason = leave.length + join.length === 0 ? 'join' : reasonOf(join, leave);
  const wanted = { nodes, joining: join, leaving: [...left], reason };
  if (safeMode) return { ...wanted, blocked: 'safe-mode' };
  if (obeys && ordered.length === 0) return { ...wanted, blocked: 'mass-failure' };
  if (layouts.length >= limits.layoutsUnretiredMax) return { ...wanted, blocked: 'layouts' };
  const mayLower = reason === 'drain' || reason === 'remove';
  const least = mayLower ? 1 : Math.min(newest?.writeCopies ?? 1, view.writeCopies);
  if (Math.min(copies, nodes.length) < least) return { ...wanted, blocked: 'write-quorum' };
  return { ...wanted, blocked: undefined };
};

/**
 * The table that the next layout is made from: the newest one, or the last complete one when a node that only that one
 * names is back before the newest was complete: then what would have moved away stays where it is.
 */
export const tableToPlanFrom = (layouts: readonly Layout[], nodes: readonly KeyHash[]): Layout | undefined => {
  const newest = layouts.at(-1);
  const complete = layouts[0];
  if (!newest || !complete || newest === complete) return newest;
  const present = new Set(nodes);
  const returned = complete.nodes.some((node) => present.has(node) && !newest.nodes.includes(node));
  return returned && complete.nodes.every((node) => present.has(node)) ? complete : newest;
};

/** Owners of the newest layout that keep it from being complete. */
export const incompleteOwners = (newest: Layout, nodes: readonly NodeView[]): NodeView[] =>
  nodes.filter(({ keyHash, completeLayout, sound, standing, alive }) => {
    if (!newest.nodes.includes(keyHash)) return false;
    if (standing === 'out' || standing === 'gone') return false;
    if (standing === 'quarantine' && !alive) return false;
    // Nobody declares it out: silent, it would keep layouts from being retired, and so itself from ever leaving.
    if (standing === 'leaving' && !alive && newest.copies > 1) return false;
    return completeLayout < newest.number || !sound;
  });

/** Sound nodes that acknowledged the newest layout: no write under an older one can reach them any more. */
const acknowledgedBy = (newest: Layout, nodes: readonly NodeView[]): ReadonlySet<KeyHash> =>
  new Set(
    nodes.filter(({ layoutNumber, sound }) => sound && layoutNumber >= newest.number).map(({ keyHash }) => keyHash),
  );

/** Partitions of which fewer than R′ owners are heard, sound and complete. */
export const countUnderReplicated = (newest: Layout, nodes: readonly NodeView[]): number => {
  const good = new Set(
    nodes
      .filter(({ alive, sound, completeLayout }) => alive && sound && completeLayout >= newest.number)
      .map(({ keyHash }) => keyHash),
  );
  return listUncovered([{ ...newest, writeCopies: 1 }], good).length;
};

/**
 * So long changes are gathered. The first layout waits for nobody when its nodes can hold every copy and none that was
 * admitted is still on its way; of a single copy any first node could say so, and each other would move its share. A
 * death was watched for a whole grace, and what it took is missing: only a node that is silent as well, and may be out
 * in a moment, is waited for.
 */
const gatherMsOf = ({ layouts, nodes, copies }: LayoutsView, { reason, joining }: Wanted): number => {
  const isFirst = layouts.length === 0 && copies > 1;
  if (isFirst && joining.length >= copies && nodes.every(({ alive }) => alive)) return 0;
  const named = new Set(layouts.at(-1)?.nodes ?? []);
  const mayFollow = nodes.some(({ standing, alive, keyHash }) => standing === 'in' && !alive && named.has(keyHash));
  return reason === 'failure' && joining.length === 0 && !mayFollow ? 0 : limits.layoutGatherMs;
};

/** All actions that are due now; an empty list means that nothing is. Order matters: announce before covered. */
export const dueActions = (view: LayoutsView): LayoutAction[] => {
  const { layouts, nodes, waitingSinceMs, nowMs } = view;
  const newest = layouts.at(-1);
  const wanted = wantedLayout(view);
  const isGathered = (changes: Wanted): boolean =>
    waitingSinceMs !== undefined && nowMs - waitingSinceMs >= gatherMsOf(view, changes);
  if (wanted && !wanted.blocked && isGathered(wanted) && wanted.nodes.length > 0) {
    const { leaving, reason } = wanted;
    return [{ kind: 'plan', nodes: wanted.nodes, leaving, reason, from: tableToPlanFrom(layouts, wanted.nodes) }];
  }
  const actions: LayoutAction[] = [];
  if (!newest) return actions;
  const concerned = new Set(layouts.flatMap((layout) => layout.nodes));
  const behind = nodes.filter(
    ({ keyHash, alive, layoutNumber }) => alive && layoutNumber < newest.number && concerned.has(keyHash),
  );
  if (behind.length > 0) actions.push({ kind: 'announce', to: behind.map(({ keyHash }) => keyHash) });
  const incomplete = incompleteOwners(newest, nodes);
  if (incomplete.length === 0 && layouts.length === 1) return actions;
  const acknowledged = acknowledgedBy(newest, nodes);
  if (listUncovered(layouts, acknowledged).length > 0) return actions;
  if (incomplete.length > 0) {
    const to = incomplete.filter(({ alive, layoutNumber }) => alive && layoutNumber >= newest.number);
    if (to.length > 0) actions.push({ kind: 'covered', to: to.map(({ keyHash }) => keyHash) });
    return actions;
  }
  if (view.safeMode) return actions;
  const to = nodes.filter(({ alive }) => alive).map(({ keyHash }) => keyHash);
  actions.push({ kind: 'retire', upTo: newest.number - 1, to });
  return actions;
};
