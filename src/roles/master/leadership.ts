// Leadership: a lease in the registry, and an epoch that a majority of nodes promised. Only a master that has both
// gives orders. A candidate takes the lease when it was released, or after it watched the same (epoch, renewal) for a
// whole lease on its own monotonic clock: wall clocks of different machines are never compared.
import { toOperaError } from '../../errors/errors.ts';
import { isValidMember } from '../../identity/roster.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Lease } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { isBeating, type MasterCore } from './core.ts';

export class Leadership {
  readonly #core: MasterCore;
  readonly #address: () => string;
  #held: { readonly lease: Lease; readonly renewedMs: number } | undefined;
  #promised = false;
  /** A node refused the last promise that was asked for. */
  #refused = false;
  #watched: { readonly epoch: bigint; readonly renewal: bigint; readonly sinceMs: number } | undefined;
  #seen: Lease | undefined;
  #trouble: string | undefined;
  /** Since when fewer than a majority of the nodes were heard while the lease was held. */
  #deafSinceMs: number | undefined;
  /** Until then another master may take what was given up here. */
  #yieldUntilMs = 0;
  /** The highest lease that was seen: (epoch, renewal) only rises as long as the registry goes on. */
  #latest: Pick<Lease, 'epoch' | 'renewal'> = { epoch: 0n, renewal: 0n };

  constructor(core: MasterCore, address: () => string) {
    this.#core = core;
    this.#address = address;
  }

  /** The epoch this process leads in; undefined when it may not give orders now. Check again when an order runs. */
  get epoch(): bigint | undefined {
    const now = this.#core.context.clock.monotonicMs();
    if (!this.#held || !this.#promised || now - this.#held.renewedMs > limits.leaseMs) return undefined;
    return this.#held.lease.epoch;
  }

  /**
   * The lease as last read, whoever holds it and leads or not; undefined when nobody is known to have renewed it within
   * its life: what a registry kept of it that cannot be written to is no sign of a leader.
   */
  get lease(): Lease | undefined {
    const [lease, renewedMs] = this.#held
      ? [this.#held.lease, this.#held.renewedMs]
      : [this.#seen, this.#watched?.sinceMs];
    if (!lease || lease.released) return lease;
    const silentMs = this.#core.context.clock.monotonicMs() - (renewedMs ?? Number.NEGATIVE_INFINITY);
    return silentMs <= limits.leaseMs ? lease : undefined;
  }

  /** Why the lease could be neither renewed nor taken when that was tried last; undefined when it could. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** True while the lease is held here, promised or not. */
  get holdsLease(): boolean {
    return this.#held !== undefined;
  }

  /** One round: renew, or watch and take. */
  async tick(): Promise<void> {
    try {
      await this.#renewOrWatch();
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = toOperaError(error).message;
      throw error;
    }
  }

  async #renewOrWatch(): Promise<void> {
    const { registry, context } = this.#core;
    const now = context.clock.monotonicMs();
    if (this.#held) {
      const renewed = await registry.renewLease(this.#held.lease.epoch, context.instance);
      if (renewed) {
        this.#notice({ ...renewed, renewal: renewed.renewal - 1n });
        this.#held = { lease: renewed, renewedMs: now };
        if (await this.#makesRoom(now)) return await this.resign();
        if (!this.#promised) this.#promised = await this.#gatherPromises(renewed.epoch);
        if (this.#promised || !this.#refused) return;
        // Nodes promised this epoch to another process, or a higher one: the registry went back, and the lease must be
        // above what they promised.
        this.#core.lag = 'leader epoch';
        await this.resign();
        return await this.#watch(now);
      }
      context.log.warn('leadership-lost', { epoch: this.#held.lease.epoch });
      this.#held = undefined;
      this.#promised = false;
    }
    await this.#watch(now);
  }

  /**
   * A node knows a newer layout than the registry: whoever leads now may only put the registry back, and asks for
   * promises again over what is put back.
   */
  #wentBack(): void {
    this.#core.lag = 'layout';
    this.#core.safety = { mode: 'safe', reason: 'the registry went back: layout' };
  }

  /**
   * A lease that is lower than before tells that the registry went back while it ran, as a machine does that is put
   * back to a snapshot. Nothing else may: who wrote since has made its counter of sequences higher than ever.
   */
  #notice({ epoch, renewal }: Pick<Lease, 'epoch' | 'renewal'>): void {
    const { epoch: last, renewal: lastRenewal } = this.#latest;
    if (epoch < last || (epoch === last && renewal < lastRenewal)) this.#core.lag ??= 'lease';
    this.#latest = { epoch, renewal };
  }

  /** Promises count over the layouts that were known: more became known, so they are asked for again. */
  reconfirm(): void {
    this.#promised = false;
  }

  /** A leader that does not hear a majority of the nodes gives way, if there is a master that may hear them. */
  async #makesRoom(now: number): Promise<boolean> {
    const core = this.#core;
    const { log, memberId } = core.context;
    const newest = (await core.layouts()).layouts.at(-1)?.layout;
    const members = newest ? await core.members() : [];
    const heard = members.filter(
      (member) => newest?.nodes.includes(member.keyHash) && isBeating(core, member.memberId),
    );
    if (!newest || heard.length * 2 > newest.nodes.length) this.#deafSinceMs = undefined;
    else this.#deafSinceMs ??= now;
    if (this.#deafSinceMs === undefined || now - this.#deafSinceMs < limits.leaderDeafMs) return false;
    const { roster } = core.context.rosters;
    const others = members.filter((member) => isValidMember(roster, member.keyHash, 'master') && member.state === 'up');
    if (others.every((member) => member.memberId === memberId)) return false;
    log.warn('leadership-given-up', {
      epoch: this.#held?.lease.epoch,
      heard: heard.length,
      nodes: newest?.nodes.length,
    });
    this.#deafSinceMs = undefined;
    this.#yieldUntilMs = now + limits.leaderDeafMs;
    return true;
  }

  async resign(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    this.#promised = false;
    if (held) await this.#core.registry.releaseLease(held.lease.epoch, this.#core.context.instance);
  }

  async #watch(now: number): Promise<void> {
    const { registry, context } = this.#core;
    const lease = await registry.readLease();
    this.#seen = lease;
    if (lease) this.#notice(lease);
    if (lease && !lease.released) {
      const { epoch, renewal } = lease;
      const same = this.#watched?.epoch === epoch && this.#watched.renewal === renewal;
      if (!same) this.#watched = { epoch, renewal, sinceMs: now };
      if (!same || !this.#watched || now - this.#watched.sinceMs < limits.leaseMs) return;
    }
    if (now < this.#yieldUntilMs) return;
    const { memberId, instance } = context;
    const seen = lease ? { epoch: lease.epoch, renewal: lease.renewal } : undefined;
    const above = this.#core.known.epoch;
    const taken = await registry.takeLease({ memberId, instance, address: this.#address() }, seen, above);
    this.#watched = undefined;
    if (!taken) return;
    this.#held = { lease: taken, renewedMs: now };
    this.#promised = await this.#gatherPromises(taken.epoch);
    context.log.info('leadership-taken', { epoch: taken.epoch, promised: this.#promised });
  }

  /** Promises of a majority of the nodes of each unretired layout; before the first layout the lease alone counts. */
  async #gatherPromises(epoch: bigint): Promise<boolean> {
    const { context } = this.#core;
    const { layouts } = await this.#core.layouts();
    if (layouts.length === 0) return true;
    const view = await this.#core.view();
    const nodes = new Set(layouts.flatMap(({ layout }) => layout.nodes));
    const promised = new Set<KeyHash>();
    this.#refused = false;
    await Promise.all(
      [...nodes].map(async (node) => {
        const to = this.#core.destination(view, node);
        if (!to) return;
        try {
          const request = { epoch, instance: context.instance };
          const timeoutMs = limits.probeTimeoutMs;
          const options = { timeoutMs, signal: context.stopping };
          const { answer } = await context.transport.call(to, 'leader.promise', request, options);
          if (answer.promised) promised.add(node);
          else this.#refused = true;
          this.#core.learn({ epoch: answer.epoch, layoutNumber: answer.layoutNumber });
          if (answer.layoutNumber > view.newest.number) this.#wentBack();
        } catch (error) {
          context.log.debug('promise-unanswered', { node, ...errorFacts(error) });
        }
      }),
    );
    return layouts.every(({ layout }) => {
      const count = layout.nodes.filter((node) => promised.has(node)).length;
      return count * 2 > layout.nodes.length;
    });
  }
}
