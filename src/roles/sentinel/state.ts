// What a sentinel concludes from its probes: a pure function of what it saw, without clock, network or registry.
// Invariant: only joining, up, suspect and down are moved, and only on evidence of rounds that can be trusted; a
// member that drains, left or was removed is the masters' business. Agreement with other sentinels is not made here.
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { MemberState } from '../../registry/registry.ts';

/** Why a probe failed: `refused` is a port that nobody listens on, `cut-off` any other lost connection. */
export type ProbeFailure = 'refused' | 'timeout' | 'cut-off' | 'peer-mismatch' | 'untrusted';

export interface ProbeResult {
  readonly memberId: MemberId;
  /** The state the registry told for it when the round began. */
  readonly state: MemberState;
  /** Undefined when it answered. */
  readonly failure: ProbeFailure | undefined;
}

export interface ProbeRound {
  readonly kind: 'round';
  readonly results: readonly ProbeResult[];
  /** The longest time this process's own loop stood still during the round. */
  readonly lagMs: number;
}

export type SentinelEvent = ProbeRound;

interface Watched {
  /** Failed probes in a row. */
  readonly failures: number;
  /** Monotonic ms of the last answer; undefined when none was seen yet. */
  readonly answeredMs: number | undefined;
}

export interface SentinelState {
  readonly watched: ReadonlyMap<MemberId, Watched>;
}

export interface SetState {
  readonly kind: 'set-state';
  readonly memberId: MemberId;
  /** The state it was judged in; another one by now makes the verdict void. */
  readonly from: MemberState;
  readonly state: 'up' | 'suspect' | 'down';
  readonly reason: string;
}

export interface RoundDropped {
  readonly kind: 'round-dropped';
  readonly reason: 'lagged' | 'nobody-answered';
}

export type SentinelEffect = SetState | RoundDropped;

export const emptySentinelState: SentinelState = { watched: new Map() };

/** Why a round says nothing about others, if so: then it is we who stood still or are cut off. */
const doubtOf = (round: ProbeRound): RoundDropped['reason'] | undefined => {
  if (round.lagMs > limits.sentinelLagMs) return 'lagged';
  const { results } = round;
  return results.length > 1 && results.every(({ failure }) => failure !== undefined) ? 'nobody-answered' : undefined;
};

const judge = ({ memberId, state: from, failure }: ProbeResult, failures: number): SetState | undefined => {
  const move = (state: SetState['state'], reason: string): SetState | undefined =>
    state === from ? undefined : { kind: 'set-state', memberId, from, state, reason };
  if (failure === undefined) {
    return from === 'joining' || from === 'suspect' || from === 'down' ? move('up', 'answers probes') : undefined;
  }
  if (from !== 'up' && from !== 'suspect') return undefined;
  if (failures >= limits.probesToDown) return move('down', failure);
  return failures >= limits.probesToSuspect ? move('suspect', failure) : undefined;
};

/** The state after `event` and what is to be done; `now` is monotonic ms. Members no round names are forgotten. */
export const step = (
  state: SentinelState,
  event: SentinelEvent,
  now: number,
): { readonly state: SentinelState; readonly effects: readonly SentinelEffect[] } => {
  const doubt = doubtOf(event);
  if (doubt) return { state, effects: [{ kind: 'round-dropped', reason: doubt }] };
  const watched = new Map<MemberId, Watched>();
  const effects: SentinelEffect[] = [];
  for (const result of event.results) {
    const before = state.watched.get(result.memberId);
    const failures = result.failure === undefined ? 0 : (before?.failures ?? 0) + 1;
    watched.set(result.memberId, { failures, answeredMs: failures === 0 ? now : before?.answeredMs });
    const verdict = judge(result, failures);
    if (verdict) effects.push(verdict);
  }
  return { state: { watched }, effects };
};
