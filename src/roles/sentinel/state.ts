// What a sentinel thinks of each member, and what the sentinels together may say: pure functions of what was heard.
// Invariants: an opinion is `up` only after an answer; time in which this process stood still is nobody's silence;
// a state is moved only by a majority of the sentinels in the roster, abstainers counted; only joining, up, suspect and
// down are moved. A member that is out, drains, is kept in quarantine or was removed is the masters' business.
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Timing } from '../../model/timing.ts';
import type { MemberState } from '../../registry/registry.ts';
import { majorityOf, type ProbeFailure } from '../probe.ts';
import { boundsOf, type Rhythm, withAnswer } from './detector.ts';

export type SentinelEvent =
  /** The members to watch from now on. */
  | { readonly kind: 'members'; readonly memberIds: readonly MemberId[] }
  | { readonly kind: 'answered'; readonly memberId: MemberId; readonly tookMs: number }
  | { readonly kind: 'failed'; readonly memberId: MemberId; readonly failure: ProbeFailure }
  /** This process stood still for so long until now. */
  | { readonly kind: 'lagged'; readonly lagMs: number };

interface Watch {
  /** Monotonic ms of the last answer; of the first sight when there was none. */
  readonly heardMs: number;
  readonly answered: boolean;
  readonly rhythm: Rhythm | undefined;
  /** Of the last probe that ended, when that failed. */
  readonly failure: ProbeFailure | undefined;
}

export interface SentinelState {
  readonly watched: ReadonlyMap<MemberId, Watch>;
  /** Monotonic ms until which nothing is said, because this process stood still a moment ago. */
  readonly doubtUntilMs: number;
}

export interface Opinion {
  readonly memberId: MemberId;
  readonly state: 'up' | 'suspect' | 'down';
  readonly failure?: ProbeFailure | undefined;
  readonly silentMs: number;
}

export type Abstention = 'starting' | 'lagged' | 'nobody-answered';

/** What one sentinel says; one that abstains has no opinions. */
export interface Ballot {
  readonly abstains: Abstention | undefined;
  readonly opinions: readonly Opinion[];
}

export const emptySentinelState: SentinelState = { watched: new Map(), doubtUntilMs: 0 };

const withMembers = (state: SentinelState, memberIds: readonly MemberId[], now: number): SentinelState => {
  const fresh: Watch = { heardMs: now, answered: false, rhythm: undefined, failure: undefined };
  return { ...state, watched: new Map(memberIds.map((id) => [id, state.watched.get(id) ?? fresh])) };
};

/** The state after `event`, which came at monotonic `now`. Answers of members that are not watched are ignored. */
export const step = (state: SentinelState, event: SentinelEvent, now: number): SentinelState => {
  if (event.kind === 'members') return withMembers(state, event.memberIds, now);
  const watched = new Map(state.watched);
  if (event.kind === 'lagged') {
    for (const [id, watch] of watched) {
      watched.set(id, { ...watch, heardMs: Math.min(now, watch.heardMs + event.lagMs) });
    }
    return { watched, doubtUntilMs: now + limits.probeIntervalMs };
  }
  const watch = watched.get(event.memberId);
  if (!watch) return state;
  if (event.kind === 'failed') watched.set(event.memberId, { ...watch, failure: event.failure });
  else {
    const rhythm = withAnswer(watch.rhythm, event.tookMs);
    watched.set(event.memberId, { heardMs: now, answered: true, rhythm, failure: undefined });
  }
  return { ...state, watched };
};

const opinionOf = (memberId: MemberId, watch: Watch, timing: Timing, now: number): Opinion | undefined => {
  const { suspectMs, downMs } = boundsOf(timing, watch.rhythm, limits.probeIntervalMs);
  const silentMs = now - watch.heardMs;
  const { failure } = watch;
  if (silentMs >= downMs) return { memberId, state: 'down', failure: failure ?? 'timeout', silentMs };
  if (silentMs >= suspectMs) return { memberId, state: 'suspect', failure: failure ?? 'timeout', silentMs };
  return watch.answered ? { memberId, state: 'up', silentMs } : undefined;
};

/** What this sentinel would say now. When nobody answers, or it stood still, it is this process that is in doubt. */
export const ballotOf = (state: SentinelState, timing: Timing, now: number): Ballot => {
  const { watched, doubtUntilMs } = state;
  const abstaining = (abstains: Abstention): Ballot => ({ abstains, opinions: [] });
  if (watched.size === 0) return abstaining('starting');
  if (now < doubtUntilMs) return abstaining('lagged');
  const opinions = [...watched].flatMap(([id, watch]) => opinionOf(id, watch, timing, now) ?? []);
  const alone = watched.size > 1 && opinions.every(({ state: said }) => said !== 'up');
  return alone ? abstaining('nobody-answered') : { abstains: undefined, opinions };
};

export interface Move {
  readonly memberId: MemberId;
  /** The state it was judged in; another one by now makes the verdict void. */
  readonly from: MemberState;
  readonly state: 'up' | 'suspect' | 'down';
  readonly reason: string;
}

/** Where an opinion would move a member from the state that the registry tells; undefined when nowhere. */
const targetOf = (from: MemberState, opinion: Opinion['state']): Move['state'] | undefined => {
  if (from === 'joining') return opinion === 'up' ? 'up' : undefined;
  if (from !== 'up' && from !== 'suspect' && from !== 'down') return undefined;
  // Who is down comes back by an answer alone: one that is silent for less is not a bit better.
  if (opinion === from || (from === 'down' && opinion === 'suspect')) return undefined;
  return opinion;
};

/** What one ballot would change. Cheap: others are asked only when there is something to agree on. */
export const wishesOf = (
  members: readonly { readonly memberId: MemberId; readonly state: MemberState }[],
  ballot: Ballot,
): Move[] => {
  const opinions = new Map(ballot.opinions.map((opinion) => [opinion.memberId, opinion]));
  return members.flatMap(({ memberId, state: from }) => {
    const opinion = opinions.get(memberId);
    const state = opinion && targetOf(from, opinion.state);
    return state ? [{ memberId, from, state, reason: opinion.failure ?? 'answers probes' }] : [];
  });
};

/** True when enough of the ballots carry the move. Who says down also says suspect. */
export const isAgreed = (move: Move, ballots: readonly Ballot[], sentinels: number): boolean => {
  const votes = ballots.filter(({ opinions }) => {
    const said = opinions.find(({ memberId }) => memberId === move.memberId)?.state;
    return said === move.state || (move.state === 'suspect' && said === 'down');
  });
  return votes.length >= majorityOf(sentinels);
};
