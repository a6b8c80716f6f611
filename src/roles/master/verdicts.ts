// Who is out, who is back, who flaps, and when so many are gone that nothing is done by itself: a pure step over what
// the leader has just seen, counted on its monotonic clock.
// Invariants: `out` needs the sentinels' majority, the leader's own failed ping and an unbroken grace; a leader that
// slept begins every count anew; more than a quarter of the nodes gone is an alarm and nobody is put out; no more than
// that are kept in quarantine at once; returning needs heartbeats and an answer. It moves states only: layouts follow
// from them in state.ts.
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Timing } from '../../model/timing.ts';
import type { MemberState } from '../../registry/registry.ts';

/** What was seen of one node in this round. */
export interface Evidence {
  readonly memberId: MemberId;
  readonly state: MemberState;
  /** A heartbeat came within the last few seconds. */
  readonly alive: boolean;
  /** The leader's own ping; undefined when there was no reason to send one. */
  readonly ping: 'answered' | 'refused' | 'silent' | undefined;
  /** What the sentinels say when asked now: a majority says down, or even that the port refuses. */
  readonly sentinels: 'down' | 'refused' | undefined;
  /** Named by an unretired layout: its copies are still counted on. */
  readonly placed: boolean;
  /** Times it went down within the window of flapping. */
  readonly downs: number;
  /** Times it was quarantined lately, and whether the last one is not served yet. */
  readonly quarantines: number;
  readonly sentenced: boolean;
}

/** Monotonic ms since when it has been so without a break; undefined when it is not so. */
interface Watch {
  readonly state: MemberState;
  readonly deadSinceMs: number | undefined;
  readonly refusedSinceMs: number | undefined;
  /** In its present state: what it was before is no part of a quarantine. */
  readonly aliveSinceMs: number | undefined;
}

export interface MassFailure {
  readonly gone: number;
  readonly nodes: number;
}

export interface VerdictState {
  readonly watches: ReadonlyMap<MemberId, Watch>;
  readonly massFailure: MassFailure | undefined;
  /** Nodes that flap and stay where they are, because as many as may be are gone or in quarantine. */
  readonly restless: number;
  readonly lastMs: number | undefined;
}

export interface Verdict {
  readonly memberId: MemberId;
  /** Another state by now makes it void. */
  readonly from: MemberState;
  readonly state: 'up' | 'out' | 'quarantine';
  readonly reason: string;
}

export const noVerdicts: VerdictState = { watches: new Map(), massFailure: undefined, restless: 0, lastMs: undefined };

/** Nodes whose copies cannot be counted on: down and silent, or out with their copies not made elsewhere yet. */
const isGone = ({ state, ping, placed }: Evidence): boolean =>
  (state === 'down' && ping !== 'answered') || (state === 'out' && placed);

/** As many of so many nodes may be missing before it is no accident of theirs. */
const missingMax = (nodes: number): number => Math.max(1, nodes * limits.goneShareMax);

const countOf = (nodes: readonly Evidence[]): number =>
  nodes.filter(({ state, placed }) => state !== 'removed' && (state !== 'out' || placed)).length;

/** Nodes that are gone, when they are too many to be a few accidents. */
export const massFailureOf = (nodes: readonly Evidence[]): MassFailure | undefined => {
  const count = countOf(nodes);
  const gone = nodes.filter(isGone).length;
  return gone > missingMax(count) ? { gone, nodes: count } : undefined;
};

const isDead = ({ ping, sentinels }: Evidence): boolean =>
  sentinels !== undefined && (ping === 'refused' || ping === 'silent');

const watchOf = (before: Watch | undefined, node: Evidence, now: number): Watch => {
  const since = (holds: boolean, was: number | undefined): number | undefined => (holds ? (was ?? now) : undefined);
  const dead = isDead(node);
  const refused = dead && node.ping === 'refused' && node.sentinels === 'refused';
  return {
    state: node.state,
    deadSinceMs: since(dead, before?.deadSinceMs),
    refusedSinceMs: since(refused, before?.refusedSinceMs),
    aliveSinceMs: since(
      node.alive && node.ping !== 'refused' && node.ping !== 'silent',
      before?.state === node.state ? before.aliveSinceMs : undefined,
    ),
  };
};

const lasted = (sinceMs: number | undefined, ms: number, now: number): boolean =>
  sinceMs !== undefined && now - sinceMs >= ms;

/** How long a node that was quarantined so often must stay up. */
export const quarantineMsOf = (timing: Timing, quarantines: number): number =>
  Math.min(limits.quarantineMaxMs, timing.quarantineMs * 2 ** Math.max(0, Math.min(quarantines, 30) - 1));

/** Who stayed up since for as long as quarantine would demand has served it where it is. */
const flaps = (node: Evidence, watch: Watch | undefined, timing: Timing, now: number): boolean => {
  const { state, downs, sentenced, quarantines } = node;
  if (sentenced || downs < limits.flapDownsMax) return false;
  if (state !== 'up' && state !== 'suspect' && state !== 'down') return false;
  return !lasted(watch?.aliveSinceMs, quarantineMsOf(timing, quarantines + 1), now);
};

/**
 * Those of the nodes that flap for whom there is room in quarantine. When many flap it is the network that does, and
 * emptying all of them would cost what quarantine is there to save.
 */
const toQuarantine = (nodes: readonly Evidence[], flapping: readonly Evidence[]): ReadonlySet<MemberId> => {
  if (massFailureOf(nodes)) return new Set();
  const missing = nodes.filter((node) => node.state === 'quarantine' || (isGone(node) && !flapping.includes(node)));
  const room = Math.max(0, Math.floor(missingMax(countOf(nodes))) - missing.length);
  return new Set(flapping.slice(0, room).map(({ memberId }) => memberId));
};

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;

interface Judging {
  readonly mayPutOut: boolean;
  readonly quarantined: ReadonlySet<MemberId>;
  readonly timing: Timing;
  readonly now: number;
}

const judge = (node: Evidence, watch: Watch, judging: Judging): Verdict | undefined => {
  const { mayPutOut, quarantined, timing, now } = judging;
  const { memberId, state: from } = node;
  const move = (state: Verdict['state'], reason: string): Verdict => ({ memberId, from, state, reason });
  const graceOver = lasted(watch.deadSinceMs, timing.graceMs, now);
  const refusalOver = lasted(watch.refusedSinceMs, timing.graceRefusedMs, now);
  if (quarantined.has(memberId)) return move('quarantine', `down ${node.downs} times`);
  switch (from) {
    case 'down':
      if (!mayPutOut || !(graceOver || refusalOver)) return undefined;
      return move('out', refusalOver ? `refused for ${seconds(timing.graceRefusedMs)}` : 'silent past the grace');
    case 'quarantine':
      if (mayPutOut && (graceOver || refusalOver)) return move('out', 'silent in quarantine');
      return lasted(watch.aliveSinceMs, quarantineMsOf(timing, node.quarantines), now)
        ? move('up', 'stayed up in quarantine')
        : undefined;
    case 'out':
      if (!lasted(watch.aliveSinceMs, limits.returnMs, now)) return undefined;
      return node.sentenced ? move('quarantine', 'back, and not yet trusted') : move('up', 'answers again');
    default:
      return undefined;
  }
};

/**
 * The state after a round of a leader, and the states to be moved. `mayPutOut` is false while nobody may be declared
 * lost (safe mode of the registry); counting goes on.
 */
export const stepVerdicts = (
  before: VerdictState,
  nodes: readonly Evidence[],
  timing: Timing,
  mayPutOut: boolean,
  now: number,
): { readonly state: VerdictState; readonly verdicts: readonly Verdict[] } => {
  const slept = before.lastMs !== undefined && now - before.lastMs > limits.verdictGapMs;
  const known: VerdictState['watches'] = slept ? new Map() : before.watches;
  const watches = new Map(nodes.map((node) => [node.memberId, watchOf(known.get(node.memberId), node, now)]));
  const massFailure = massFailureOf(nodes);
  const flapping = nodes.filter((node) => flaps(node, watches.get(node.memberId), timing, now));
  const quarantined = toQuarantine(nodes, flapping);
  const judging = { mayPutOut: mayPutOut && !massFailure, quarantined, timing, now };
  const verdicts = nodes.flatMap((node) => {
    const watch = watches.get(node.memberId);
    return (watch && judge(node, watch, judging)) ?? [];
  });
  const restless = flapping.length - quarantined.size;
  return { state: { watches, massFailure, restless, lastMs: now }, verdicts };
};

/** When a node in quarantine may be up, on the monotonic clock, if it stays as it is; undefined while it is silent. */
export const releaseMsOf = (
  state: VerdictState,
  timing: Timing,
  memberId: MemberId,
  quarantines: number,
): number | undefined => {
  const since = state.watches.get(memberId)?.aliveSinceMs;
  return since === undefined ? undefined : since + quarantineMsOf(timing, quarantines);
};
