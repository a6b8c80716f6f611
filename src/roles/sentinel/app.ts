// The sentinel: watches the members that serve, agrees with the other sentinels, writes what they agreed on to the
// registry and tells the masters.
// Invariant: writes only what a majority of the sentinels in the roster says, and only if the member still is in the
// state that was judged. It holds no network key and gives no orders: who leaves the layout is the leading master's
// decision, who asks the sentinels for their opinions himself, also while the registry is out of reach.
import type { Handlers } from '../../client/transport.ts';
import { isValidMember } from '../../identity/roster.ts';
import { bytesToHex, type MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { type Timing, timingOf } from '../../model/timing.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { commonHandlers, every } from '../common.ts';
import type { RoleContext } from '../context.ts';
import { LagMeter, membersToProbe, Prober } from './prober.ts';
import { type Ballot, ballotOf, emptySentinelState, isAgreed, type Move, step, wishesOf } from './state.ts';

export interface SentinelDependencies {
  readonly registry: Registry;
  /** How long silence may last; `lan` when not given. */
  readonly timing?: Timing;
  /** Tests pass a broken one, to see that they notice. */
  readonly isAgreed?: typeof isAgreed;
}

export interface Sentinel {
  readonly handlers: Handlers;
  /** Starts watching, which goes on until the role stops; resolves at once. */
  start(): Promise<void>;
  /** Why it cannot watch now, if it cannot. */
  notReady(): string | undefined;
}

/** Tells every master that a member changed. One that is not reached finds it in the registry by itself. */
const tellMasters = async (
  context: RoleContext,
  members: readonly MemberRecord[],
  memberId: MemberId,
): Promise<void> => {
  const masters = members.filter(({ role, state }) => role === 'master' && state !== 'down');
  await Promise.allSettled(
    masters.map(({ memberId: master, addresses }) =>
      context.transport.call(
        { address: addresses[0] ?? '', expect: { memberId: master } },
        'member.changed',
        { memberId },
        { timeoutMs: limits.probeTimeoutMs, signal: context.stopping },
      ),
    ),
  );
};

class Watch {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #timing: Timing;
  readonly #agreed: typeof isAgreed;
  readonly #prober: Prober;
  readonly lag: LagMeter;
  #state = emptySentinelState;
  /** As last read; outlives the registry. */
  #members: readonly MemberRecord[] = [];
  #told: Ballot['abstains'];
  waitsFor: string | undefined = 'the list of members was not read yet';

  constructor(context: RoleContext, dependencies: SentinelDependencies) {
    this.#context = context;
    this.#registry = dependencies.registry;
    this.#timing = dependencies.timing ?? timingOf(undefined);
    this.#agreed = dependencies.isAgreed ?? isAgreed;
    const { clock } = context;
    this.#prober = new Prober(context, this.#timing, (event) => {
      this.#state = step(this.#state, event, clock.monotonicMs());
    });
    this.lag = new LagMeter(clock, (lagMs) => {
      this.#state = step(this.#state, { kind: 'lagged', lagMs }, clock.monotonicMs());
    });
  }

  ballot(): Ballot {
    this.lag.look();
    return ballotOf(this.#state, this.#timing, this.#context.clock.monotonicMs());
  }

  /** Reads the members, and carries out what the sentinels agree on. */
  async round(): Promise<void> {
    try {
      this.#members = await this.#registry.listMembers();
    } catch (error) {
      this.waitsFor = 'the list of members cannot be read';
      throw error;
    }
    const { clock, rosters, memberId, log } = this.#context;
    const watched = membersToProbe(this.#members, rosters.roster, memberId);
    const memberIds = watched.map((member) => member.memberId);
    this.#state = step(this.#state, { kind: 'members', memberIds }, clock.monotonicMs());
    this.#prober.watch(watched);
    this.waitsFor = undefined;
    const own = this.ballot();
    if (own.abstains !== this.#told && own.abstains) log.warn('sentinel-abstains', { reason: own.abstains });
    this.#told = own.abstains;
    const wishes = wishesOf(watched, own);
    if (wishes.length > 0) await this.#agree(wishes, own);
  }

  async #agree(wishes: readonly Move[], own: Ballot): Promise<void> {
    const { rosters, log } = this.#context;
    const ids = wishes.map(({ memberId }) => memberId);
    const ballots = [own, ...(await this.#askOthers(ids))];
    const sentinels = rosters.roster.members.filter(({ role, state }) => role === 'sentinel' && state === 'valid');
    for (const move of wishes) {
      if (!this.#agreed(move, ballots, sentinels.length)) continue;
      // One that fails is judged again in the next round: its state in the registry is unchanged.
      await this.#carryOut(move).catch((error: unknown) => {
        log.warn('member-state-not-set', { memberId: move.memberId, ...errorFacts(error) });
      });
    }
  }

  async #askOthers(memberIds: readonly MemberId[]): Promise<Ballot[]> {
    const { transport, rosters, stopping, memberId: self, log } = this.#context;
    const others = this.#members.filter(
      ({ memberId, keyHash, addresses }) =>
        memberId !== self && addresses.length > 0 && isValidMember(rosters.roster, keyHash, 'sentinel'),
    );
    const asked = others.map(async ({ memberId, addresses: [address = ''] }): Promise<Ballot> => {
      try {
        const options = { timeoutMs: limits.opinionTimeoutMs, signal: stopping };
        const to = { address, expect: { memberId } };
        const { answer } = await transport.call(to, 'sentinel.opinion', { memberIds: [...memberIds] }, options);
        return { abstains: answer.abstains, opinions: answer.opinions };
      } catch (error) {
        log.debug('opinion-unanswered', { sentinel: memberId, ...errorFacts(error) });
        return { abstains: 'nobody-answered', opinions: [] };
      }
    });
    return Promise.all(asked);
  }

  async #carryOut({ memberId, from, state, reason }: Move): Promise<void> {
    const { log, clock, random } = this.#context;
    if (!(await this.#registry.setMemberState(memberId, state, reason, from))) return;
    log.info('member-state-set', { memberId, from, state, reason });
    await tellMasters(this.#context, this.#members, memberId);
    if (state !== 'down' && from !== 'down') return;
    // The cause that everything done about this death is tied to begins here.
    const causeId = bytesToHex(random.bytes(16));
    const kind = state === 'down' ? 'member-down' : 'member-up';
    await this.#registry.appendEvent({ atMs: clock.nowMs(), kind, causeId, memberId, facts: { reason } });
  }
}

export const createSentinel = (context: RoleContext, dependencies: SentinelDependencies): Sentinel => {
  const watch = new Watch(context, dependencies);
  const notReady = (): string | undefined => watch.waitsFor;
  return {
    handlers: {
      ...commonHandlers(context, notReady),
      'sentinel.opinion': async ({ request }) => {
        const { abstains, opinions } = watch.ballot();
        const asked = new Set(request.memberIds);
        return {
          answer: {
            ...(abstains ? { abstains } : {}),
            opinions: opinions
              .filter(({ memberId }) => asked.has(memberId))
              .map((opinion) => ({ ...opinion, silentMs: Math.round(opinion.silentMs) })),
          },
        };
      },
    },
    start: async () => {
      void watch.lag.run(context.stopping);
      void every(context, 'sentinel-round', limits.sentinelRoundMs, () => watch.round());
    },
    notReady,
  };
};
