// The sentinel: probes the members that serve, writes what it finds to the registry and tells the masters.
// Invariant: writes only changes, and only if the member still is in the state that was judged.
// It holds no network key and gives no orders: who leaves the layout is the leading master's decision.
import type { Handlers } from '../../client/transport.ts';
import { limits } from '../../model/limits.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { commonHandlers, every } from '../common.ts';
import type { RoleContext } from '../context.ts';
import { LagMeter, membersToProbe, probeRound } from './prober.ts';
import { emptySentinelState, type SentinelState, type SetState, step } from './state.ts';

export interface Sentinel {
  readonly handlers: Handlers;
  /** Starts the rounds, which go on until the role stops; resolves at once. */
  start(): Promise<void>;
  /** Why it cannot watch now, if it cannot. */
  notReady(): string | undefined;
}

/** Tells every master that a member changed. One that is not reached finds it in the registry by itself. */
const tellMasters = async (
  context: RoleContext,
  members: readonly MemberRecord[],
  memberId: MemberRecord['memberId'],
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

export const createSentinel = (context: RoleContext, { registry }: { readonly registry: Registry }): Sentinel => {
  const lag = new LagMeter(context.clock);
  let state: SentinelState = emptySentinelState;
  let waitsFor: string | undefined = 'no round of probes has ended yet';

  const carryOut = async (effect: SetState, members: readonly MemberRecord[]): Promise<void> => {
    const { memberId, from, reason } = effect;
    // A drain or a removal may have come in while we probed: then the verdict is void.
    if ((await registry.getMember(memberId))?.state !== from) return;
    if (!(await registry.setMemberState(memberId, effect.state, reason))) return;
    context.log.info('member-state-set', { memberId, from, state: effect.state, reason });
    await tellMasters(context, members, memberId);
  };

  const round = async (): Promise<void> => {
    let members: readonly MemberRecord[];
    try {
      members = membersToProbe(await registry.listMembers(), context.rosters.roster, context.memberId);
    } catch (error) {
      waitsFor = 'the list of members cannot be read';
      throw error;
    }
    const event = await probeRound(context, members, lag);
    if (context.stopping.aborted) return;
    const next = step(state, event, context.clock.monotonicMs());
    state = next.state;
    waitsFor = undefined;
    for (const effect of next.effects) {
      if (effect.kind === 'round-dropped') {
        context.log.warn('round-dropped', { reason: effect.reason, lagMs: Math.round(event.lagMs) });
        continue;
      }
      // One that fails is judged again in the next round: its state in the registry is unchanged.
      await carryOut(effect, members).catch((error: unknown) => {
        context.log.warn('member-state-not-set', { memberId: effect.memberId, ...errorFacts(error) });
      });
    }
  };

  const notReady = (): string | undefined => waitsFor;
  return {
    handlers: commonHandlers(context, notReady),
    start: async () => {
      void lag.run(context.stopping);
      void every(context, 'probe-round', limits.probeIntervalMs, round);
    },
    notReady,
  };
};
