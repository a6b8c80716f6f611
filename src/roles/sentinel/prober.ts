// One round of probes: whom to ask, asking them all at once, and how long our own loop stood still meanwhile.
// Invariant: never rejects and never takes much longer than one probe; whatever goes wrong is a failure with a word.
// It draws no conclusions: state.ts does.
import { isOperaError } from '../../errors/errors.ts';
import type { Roster } from '../../identity/roster.ts';
import { isValidMember } from '../../identity/roster.ts';
import { limits } from '../../model/limits.ts';
import type { Role } from '../../model/roles.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { RoleContext } from '../context.ts';
import type { ProbeFailure, ProbeResult, ProbeRound } from './state.ts';

const probedRoles: readonly Role[] = ['node', 'gateway', 'master'];

/** Members a sentinel watches: they serve, the roster trusts them, they can be dialled, and it is not ourselves. */
export const membersToProbe = (
  members: readonly MemberRecord[],
  roster: Roster,
  self: MemberRecord['memberId'],
): readonly MemberRecord[] =>
  members.filter(
    ({ memberId, keyHash, role, addresses, state }) =>
      memberId !== self &&
      probedRoles.includes(role) &&
      addresses.length > 0 &&
      state !== 'removed' &&
      isValidMember(roster, keyHash, role),
  );

const failureOf = (error: unknown): ProbeFailure | undefined => {
  if (!isOperaError(error)) return 'cut-off';
  // The other side's own error came over a connection that proved its identity: it lives, whatever it says.
  if (error.requestId !== undefined) return undefined;
  if (error.code === 'peer-mismatch' || error.code === 'timeout') return error.code;
  if (error.code === 'unauthenticated' || error.code === 'revoked') return 'untrusted';
  return error.details?.['reason'] === 'ECONNREFUSED' ? 'refused' : 'cut-off';
};

const probe = async (context: RoleContext, member: MemberRecord): Promise<ProbeResult> => {
  const { memberId, state, addresses } = member;
  const to = { address: addresses[0] ?? '', expect: { memberId } };
  try {
    const options = { timeoutMs: limits.probeTimeoutMs, signal: context.stopping };
    await context.transport.call(to, 'ping', {}, options);
    return { memberId, state, failure: undefined };
  } catch (error) {
    return { memberId, state, failure: failureOf(error) };
  }
};

/** Measures how long the loop of this process stands still, by waking up often and seeing how late that was. */
export class LagMeter {
  readonly #clock: Clock;
  #lastMs: number;
  #worstMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.monotonicMs();
  }

  /** Ticks until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(limits.sentinelTickMs, { signal, unref: true }).catch(() => undefined);
      this.#tick();
    }
  }

  /** The worst since the last call. Counts a standstill whose tick is still to come, too. */
  takeMs(): number {
    this.#tick();
    const worst = this.#worstMs;
    this.#worstMs = 0;
    return worst;
  }

  #tick(): void {
    const now = this.#clock.monotonicMs();
    this.#worstMs = Math.max(this.#worstMs, now - this.#lastMs - limits.sentinelTickMs);
    this.#lastMs = now;
  }
}

/** Probes all members at the same time; lists of any length, but at most `limits.probesInFlight` at once. */
export const probeRound = async (
  context: RoleContext,
  members: readonly MemberRecord[],
  lag: LagMeter,
): Promise<ProbeRound> => {
  // What stood still before the round does not spoil it.
  lag.takeMs();
  const results: ProbeResult[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let member = members[next++]; member; member = members[next++]) results.push(await probe(context, member));
  };
  await Promise.all(Array.from({ length: Math.min(members.length, limits.probesInFlight) }, lane));
  return { kind: 'round', results, lagMs: lag.takeMs() };
};
