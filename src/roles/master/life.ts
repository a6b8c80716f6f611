// Watching the life of the registry. Every master sees whether names may be answered; the leader compares the registry
// with what nodes know each time, raises the incarnation when it changed or went back, and has it put back.
// A registry that knows no network is lost, not new, to a master that has an identity: it is made again with the newest
// roster held here, under an incarnation above all that was heard of. A registry of another network is left alone.
// Invariant: safe mode ends only when the registry is settled in an incarnation that no node is ahead of.
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { bytesToHex } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { MemberRecord, RegistryLife } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { Known, MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';
import type { Rebuilder } from './rebuild.ts';

/** The number of the life that a founder begins. */
const firstIncarnation = 1;

export class LifeWatch {
  readonly #core: MasterCore;
  readonly #leadership: Leadership;
  readonly #rebuilder: Rebuilder;
  #lostSinceMs: number | undefined;
  /** Members as last read: what they were is put back with a registry that lost them. */
  #members: readonly MemberRecord[] = [];
  #incarnationSeen = 0;

  constructor(core: MasterCore, leadership: Leadership, rebuilder: Rebuilder) {
    this.#core = core;
    this.#leadership = leadership;
    this.#rebuilder = rebuilder;
  }

  async tick(): Promise<void> {
    const { registry, context } = this.#core;
    // First what nodes know, then the registry: what they learned of it in between is no lag.
    const { known } = this.#core;
    let life: RegistryLife;
    try {
      life = await registry.readLife();
    } catch (error) {
      this.#unsafe(isOperaError(error) ? error.code : 'internal');
      if (!isOperaError(error, 'registry-lost')) throw error;
      return this.#whileLost(known);
    }
    this.#lostSinceMs = undefined;
    if (life.networkId !== context.networkId) return this.#unsafe('the registry holds another network');
    // What was noticed of an earlier incarnation, somebody has raised it for.
    if (life.incarnation > this.#incarnationSeen) this.#core.lag = undefined;
    this.#incarnationSeen = Math.max(this.#incarnationSeen, life.incarnation);
    if (this.#leadership.epoch === undefined) return this.#follow(life);
    const behind = life.lifeId === life.raisedUnder ? await this.#lagOf(life, known) : 'another life';
    if (behind !== undefined) return this.#raise(life, known, behind);
    if (life.settled) {
      this.#members = await this.#core.members();
      return this.#follow(life);
    }
    const waits = await this.#rebuilder.attempt(life);
    if (waits === undefined) this.#follow(await registry.readLife());
    else this.#unsafe(waits);
  }

  /**
   * An operator's word: forget the registry and put it back from the nodes, or, with `force`, go on with the nodes that
   * there are. `not-leader`, `conflict` when a forced one is wanted while nothing is being put back.
   */
  async rebuild({ force }: { readonly force: boolean }): Promise<AnswerOf<'registry.rebuild'>> {
    const { registry, context } = this.#core;
    if (this.#leadership.epoch === undefined) throw new OperaError('not-leader');
    const life = await this.#core.life();
    if (force) {
      if (life.settled) throw new OperaError('conflict', 'the registry is not being put back');
      this.#rebuilder.force(life.incarnation);
    } else {
      this.#members = await registry.listMembers();
      await registry.forgetNetwork(life.incarnation);
    }
    context.log.warn('rebuild-ordered', { force, incarnation: life.incarnation });
    return { incarnation: life.incarnation, mode: 'safe' };
  }

  #follow(life: RegistryLife): void {
    if (!life.settled) return this.#unsafe('the registry is compared with the nodes');
    // Learned while this round was reading: the next one raises the incarnation for it.
    const { lag } = this.#core;
    if (lag !== undefined && this.#leadership.holdsLease) return this.#unsafe(`the registry went back: ${lag}`);
    if (this.#core.safety.mode === 'safe') this.#core.context.log.warn('safe-mode-left', {});
    this.#core.safety = { mode: 'normal', reason: '' };
  }

  #unsafe(reason: string): void {
    const { safety, context } = this.#core;
    if (safety.mode === 'safe' && safety.reason === reason) return;
    context.log.warn('safe-mode', { reason });
    this.#core.safety = { mode: 'safe', reason };
  }

  /** In what the registry is behind some node; undefined when in nothing. */
  async #lagOf(life: RegistryLife, known: Known): Promise<string | undefined> {
    if (known.incarnation > life.incarnation) return 'incarnation';
    if (this.#core.lag !== undefined) return this.#core.lag;
    // Until it is settled it is behind, and being caught up with.
    if (!life.settled) return undefined;
    if (known.sequence > life.sequence) return 'sequence';
    const { layouts } = await this.#core.layouts();
    if (known.layoutNumber > (layouts.at(-1)?.layout.number ?? 0)) return 'layout';
    const lease = await this.#core.registry.readLease();
    return lease && known.epoch > lease.epoch ? 'leader epoch' : undefined;
  }

  async #raise(life: RegistryLife, known: Known, why: string): Promise<void> {
    const { registry, context } = this.#core;
    this.#unsafe(`the registry began a new life: ${why}`);
    const behindMs = Number((known.sequence - life.sequence) / 1_000n);
    // Its counter tells what it lacks only if nothing was written since it went back: a new life takes no writes.
    const wrote = life.settled && life.lifeId === life.raisedUnder;
    const tooOld = life.sequence > 0n && behindMs > limits.registryBehindMaxMs;
    if (wrote || tooOld) return this.#forget(life, why);
    const raised = await registry.raiseIncarnation(life.incarnation, known.incarnation + 1);
    if (!raised) return;
    this.#core.lag = undefined;
    context.log.warn('incarnation-raised', { incarnation: raised.incarnation, why });
    await this.#event('incarnation-raised', { incarnation: raised.incarnation, why });
  }

  /**
   * A copy that cannot be caught up with, because it is too old and what ended since may have left no trace on the
   * nodes, or because it went back while it ran and was written to: what it lacks lies below its counter then.
   */
  async #forget(life: RegistryLife, why: string): Promise<void> {
    this.#members = await this.#core.registry.listMembers();
    const forgotten = await this.#core.registry.forgetNetwork(life.incarnation);
    if (!forgotten) return;
    this.#core.lag = undefined;
    this.#core.context.log.error('registry-forgotten', { why });
  }

  async #whileLost(known: Known): Promise<void> {
    const { registry, context } = this.#core;
    const nowMs = context.clock.monotonicMs();
    this.#lostSinceMs ??= nowMs;
    if (nowMs - this.#lostSinceMs < limits.registryLostMs) return;
    const { roster, record } = context.rosters;
    const { number, hash, keyEpoch } = roster;
    // The first life is a founder's: a master that began anew and has heard of none makes the second.
    const incarnation = Math.max(known.incarnation, this.#incarnationSeen, firstIncarnation) + 1;
    const first = { number, hash, keyEpoch, roster: record, keep: true };
    context.log.error('registry-lost', { incarnation });
    try {
      await registry.createNetwork(context.networkId, first, { incarnation });
    } catch (error) {
      if (isOperaError(error, 'exists')) return;
      throw error;
    }
    for (const member of this.#members) {
      // A role may have announced itself already: its own word is newer.
      await registry.putMember(member, 'none');
    }
    this.#core.forgetMembers();
    await this.#event('registry-made-again', { incarnation });
  }

  async #event(kind: string, facts: Readonly<Record<string, number | string>>): Promise<void> {
    const { context, registry } = this.#core;
    const causeId = bytesToHex(context.random.bytes(16));
    await registry
      .appendEvent({ atMs: context.clock.nowMs(), kind, causeId, memberId: undefined, facts })
      .catch((error: unknown) => context.log.debug('event-lost', errorFacts(error)));
  }
}
