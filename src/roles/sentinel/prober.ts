// Asking members whether they are there: each at its own pace, so that one that hangs delays nobody else's, and again
// while an answer is waited for, so that a lost message is not taken for silence; and how long our own process stood
// still meanwhile.
// Conclusions are drawn in state.ts.
import type { Roster } from '../../identity/roster.ts';
import { isValidMember } from '../../identity/roster.ts';
import type { MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Role } from '../../model/roles.ts';
import type { Timing } from '../../model/timing.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { RoleContext } from '../context.ts';
import { probe } from '../probe.ts';
import type { SentinelEvent } from './state.ts';

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

/** Probes each watched member once per interval, also while a few probes before are not answered yet. */
export class Prober {
  readonly #context: RoleContext;
  readonly #timing: Timing;
  readonly #report: (event: SentinelEvent) => void;
  readonly #addresses = new Map<MemberId, string>();
  readonly #running = new Set<MemberId>();

  constructor(context: RoleContext, timing: Timing, report: (event: SentinelEvent) => void) {
    this.#context = context;
    this.#timing = timing;
    this.#report = report;
  }

  /** The members from now on; the loops of those that are no longer among them end. */
  watch(members: readonly MemberRecord[]): void {
    this.#addresses.clear();
    for (const { memberId, addresses } of members) this.#addresses.set(memberId, addresses[0] ?? '');
    for (const { memberId } of members) if (!this.#running.has(memberId)) void this.#follow(memberId);
  }

  async #follow(memberId: MemberId): Promise<void> {
    const { clock, stopping } = this.#context;
    const underWay = new Set<Promise<void>>();
    this.#running.add(memberId);
    for (let address = this.#addresses.get(memberId); address !== undefined && !stopping.aborted; ) {
      const probing: Promise<void> = this.#probe(memberId, address).finally(() => underWay.delete(probing));
      underWay.add(probing);
      await clock.sleep(limits.probeIntervalMs, { signal: stopping, unref: true }).catch(() => undefined);
      if (underWay.size >= limits.probesInFlight) await Promise.race(underWay);
      address = this.#addresses.get(memberId);
    }
    this.#running.delete(memberId);
  }

  async #probe(memberId: MemberId, address: string): Promise<void> {
    const { clock, stopping } = this.#context;
    const sentMs = clock.monotonicMs();
    // Waited for as long as the verdict takes: a late answer is an answer.
    const failure = await probe(this.#context, memberId, address, this.#timing.downMaxMs);
    if (stopping.aborted) return;
    if (failure === undefined) this.#report({ kind: 'answered', memberId, tookMs: clock.monotonicMs() - sentMs });
    else this.#report({ kind: 'failed', memberId, failure });
  }
}

/** Measures how long the loop of this process stands still, by waking up often and seeing how late that was. */
export class LagMeter {
  readonly #clock: Clock;
  readonly #onLag: (lagMs: number) => void;
  #lastMs: number;

  constructor(clock: Clock, onLag: (lagMs: number) => void) {
    this.#clock = clock;
    this.#onLag = onLag;
    this.#lastMs = clock.monotonicMs();
  }

  /** Ticks until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(limits.sentinelTickMs, { signal, unref: true }).catch(() => undefined);
      this.look();
    }
  }

  /** Counts a standstill whose tick is still to come, too: whoever says anything looks first. */
  look(): void {
    const now = this.#clock.monotonicMs();
    const lagMs = now - this.#lastMs - limits.sentinelTickMs;
    this.#lastMs = now;
    if (lagMs > limits.sentinelLagMs) this.#onLag(lagMs);
  }
}
