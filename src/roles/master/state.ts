// What the leading master does next about layouts, as a pure function of what it sees. One decision at a time: gather
// joins, make the next layout, tell the nodes, tell them when it is covered, retire what came before.
// It never shrinks a layout: who died is a later decision with rules of its own.
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { listUncovered } from '../../placement/coverage.ts';
import type { Layout } from '../../placement/layout.ts';

/** What heartbeats and the registry say of one node that may take part. */
export interface NodeView {
  readonly keyHash: KeyHash;
  /** Newest layout it acknowledged, and the newest it holds completely. */
  readonly layoutNumber: number;
  readonly completeLayout: number;
  /** True when a heartbeat came within the last few seconds. */
  readonly alive: boolean;
  readonly out: boolean;
}

export interface LayoutsView {
  /** Unretired, ascending. */
  readonly layouts: readonly Layout[];
  readonly retiredUpTo: number;
  readonly nodes: readonly NodeView[];
  /** Monotonic ms since when a node has been waiting to join; undefined when none waits. */
  readonly waitingSinceMs: number | undefined;
  readonly nowMs: number;
}

export type LayoutAction =
  /** Make layout newest + 1 of the newest's nodes and these. */
  | { readonly kind: 'plan'; readonly joining: readonly KeyHash[] }
  /** Tell these nodes of all unretired layouts. */
  | { readonly kind: 'announce'; readonly to: readonly KeyHash[] }
  /** Tell these nodes that the newest layout is covered. */
  | { readonly kind: 'covered'; readonly to: readonly KeyHash[] }
  /** Retire these layouts, and tell these nodes. */
  | { readonly kind: 'retire'; readonly upTo: number; readonly to: readonly KeyHash[] };

/** Live nodes that the newest layout does not name. */
export const joiningNodes = (view: Pick<LayoutsView, 'layouts' | 'nodes'>): KeyHash[] => {
  const named = new Set(view.layouts.at(-1)?.nodes ?? []);
  return view.nodes.filter((node) => node.alive && !node.out && !named.has(node.keyHash)).map((node) => node.keyHash);
};

/** All actions that are due now; an empty list means that nothing is. Order matters: announce before covered. */
export const dueActions = (view: LayoutsView): LayoutAction[] => {
  const actions: LayoutAction[] = [];
  const newest = view.layouts.at(-1);
  const joining = joiningNodes(view);
  const gathered = view.waitingSinceMs !== undefined && view.nowMs - view.waitingSinceMs >= limits.layoutGatherMs;
  if (joining.length > 0 && gathered && view.layouts.length < limits.layoutsUnretiredMax) {
    return [{ kind: 'plan', joining }];
  }
  if (!newest) return actions;
  const concerned = new Set(view.layouts.flatMap(({ nodes }) => nodes));
  const nodes = view.nodes.filter(({ keyHash }) => concerned.has(keyHash));
  const behind = nodes.filter((node) => node.alive && node.layoutNumber < newest.number);
  if (behind.length > 0) actions.push({ kind: 'announce', to: behind.map(({ keyHash }) => keyHash) });
  const owners = nodes.filter(({ keyHash }) => newest.nodes.includes(keyHash));
  const incomplete = owners.filter((node) => node.completeLayout < newest.number && !node.out);
  if (incomplete.length === 0 && view.layouts.length === 1) return actions;
  const acknowledged = new Set(
    nodes.filter((node) => node.layoutNumber >= newest.number).map(({ keyHash }) => keyHash),
  );
  if (listUncovered(view.layouts, acknowledged).length > 0) return actions;
  if (incomplete.length > 0) {
    const to = incomplete.filter((node) => acknowledged.has(node.keyHash)).map(({ keyHash }) => keyHash);
    if (to.length > 0) actions.push({ kind: 'covered', to });
    return actions;
  }
  const to = view.nodes.filter(({ alive }) => alive).map(({ keyHash }) => keyHash);
  actions.push({ kind: 'retire', upTo: newest.number - 1, to });
  return actions;
};
