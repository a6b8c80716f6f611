// What keeps a node in touch: whether anybody of the network was heard of lately, and heartbeats to the leading master.
// The answer of a leader tells what only rises (retired layouts, served hours) and whether deleting is safe.
import type { Peer } from '../../client/transport.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { limits } from '../../model/limits.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import { destinationOf, type PeerBook, type PeerEntry } from '../peer-book.ts';
import { acknowledgedLayout, type NodeCore } from './core.ts';
import type { IndexHealth } from './index-health.ts';
import type { OwedCopies } from './owed-copies.ts';
import type { Puller } from './pull.ts';
import type { Rewrapper } from './rewrap.ts';
import { followHeartbeat } from './state.ts';

/** A loop that wakes this often notices a pause of the process long before it is mistaken for silence of others. */
export const contactTickMs = 1_000;

/** Contact with the network: without any for a minute a node answers only those who could end its isolation. */
export class Contact {
  readonly #context: RoleContext;
  readonly #book: PeerBook;
  #lastMs: number;
  #seenMs: number;

  constructor(context: RoleContext, book: PeerBook) {
    this.#context = context;
    this.#book = book;
    this.#lastMs = context.clock.monotonicMs();
    this.#seenMs = this.#lastMs;
  }

  made(): void {
    this.#lastMs = this.#context.clock.monotonicMs();
  }

  /** Called by a loop of its own: a gap means this process was paused, and its silence proves nothing. */
  tick(): void {
    const now = this.#context.clock.monotonicMs();
    if (now - this.#seenMs > limits.isolationGapMs) this.#lastMs = now;
    this.#seenMs = now;
  }

  #isIsolated(): boolean {
    const lastMs = Math.max(this.#lastMs, this.#book.announcedMs ?? 0);
    return this.#context.clock.monotonicMs() - lastMs > limits.isolationMs;
  }

  readonly admit = (peer: Peer): void => {
    if (peer.role === 'gateway' || peer.role === 'master') this.made();
    else if (this.#isIsolated()) throw new OperaError('isolated');
  };
}

/** Whose state heartbeats tell of. */
export interface HeartParts {
  readonly puller: Puller;
  readonly contact: Contact;
  readonly rewrapper: Rewrapper;
  readonly indexHealth: IndexHealth;
  readonly owed: OwedCopies;
}

/** Heartbeats to the leading master; one that does not lead says who does. */
export class Heart {
  readonly #core: NodeCore;
  readonly #parts: HeartParts;
  #leader: Pick<PeerEntry, 'memberId' | 'address'> | undefined;

  constructor(core: NodeCore, parts: HeartParts) {
    this.#core = core;
    this.#parts = parts;
  }

  async beat(): Promise<void> {
    const masters = this.#core.book.list('master');
    const candidates = this.#leader ? [this.#leader, ...masters] : masters;
    let last: unknown = new OperaError('unavailable', 'no master is known');
    for (const master of candidates) {
      try {
        const answer = await this.#send(master);
        this.#leader = answer.leads ? master : answer.leader;
        return;
      } catch (error) {
        if (isOperaError(error, 'aborted')) throw error;
        // A master that answers an error, as while the registry is out of reach, is contact all the same.
        if (isOperaError(error) && error.requestId !== undefined) this.#parts.contact.made();
        if (this.#leader === master) this.#leader = undefined;
        last = error;
      }
    }
    throw last;
  }

  async #send(master: Pick<PeerEntry, 'memberId' | 'address'>): Promise<AnswerOf<'node.heartbeat'>> {
    const core = this.#core;
    const { context, memory, storage, soundness } = core;
    const [usage, writeCounter, highestSequence] = await Promise.all([
      storage.usage(),
      storage.writeCounter(),
      storage.highestSequence(),
    ]);
    const { state } = memory;
    const reported = await soundness.report(writeCounter);
    const owed = this.#parts.owed.report;
    const indexTrouble = this.#parts.indexHealth.trouble();
    const sentMs = context.clock.nowMs();
    const sentMonotonicMs = context.clock.monotonicMs();
    const { answer } = await context.transport.call(
      destinationOf(master),
      'node.heartbeat',
      {
        instance: context.instance,
        storeId: soundness.storeId,
        writeCounter: reported,
        highestSequence,
        incarnation: state.incarnation,
        promisedEpoch: state.promisedEpoch,
        layoutNumber: acknowledgedLayout(core),
        completeLayout: state.completeLayout,
        rosterNumber: context.rosters.roster.number,
        chunks: usage.chunks,
        manifests: usage.manifests,
        chunkBytes: usage.chunkBytes,
        ...(usage.freeBytes === undefined ? {} : { freeBytes: usage.freeBytes }),
        readOnly: usage.readOnly,
        sound: soundness.sound,
        servedHour: core.servedHour,
        repair: this.#parts.puller.left,
        wraps: this.#parts.rewrapper.progress,
        ...(indexTrouble === undefined ? {} : { indexTrouble }),
        ...(owed.length > 0 ? { owed } : {}),
      },
      { timeoutMs: limits.probeTimeoutMs, signal: context.stopping },
    );
    const receivedMs = context.clock.nowMs();
    core.clockOffsetMs = Math.round(answer.nowMs - (sentMs + receivedMs) / 2);
    this.#parts.contact.made();
    await this.#follow(answer, sentMonotonicMs, writeCounter, highestSequence);
    if (answer.rosterNumber > context.rosters.roster.number) await this.#fetchRoster(master);
    return answer;
  }

  /** What only rises is followed by epoch; what may be a sign of an old store is judged before. */
  async #follow(
    answer: AnswerOf<'node.heartbeat'>,
    sentMonotonicMs: number,
    writeCounter: number,
    highestSequence: bigint,
  ): Promise<void> {
    const core = this.#core;
    const { memory, soundness } = core;
    await soundness.compare(answer.writeCounterSeen ?? 0, writeCounter, highestSequence);
    const { epoch, incarnation, layoutNumber, mayDelete: allowed } = answer;
    if (epoch === 0n || epoch < memory.state.promisedEpoch) return;
    const away = answer.servedHour - memory.state.servedHour;
    if (memory.state.layouts.length > 0 && away > limits.awayHoursMax) {
      await soundness.distrust('away-too-long', highestSequence);
    }
    await memory.change((before) => followHeartbeat(before, answer));
    // As old as the question: an answer may have waited for a node that stood still.
    core.deletion = { allowed, incarnation, layoutNumber, atMs: sentMonotonicMs };
  }

  async #fetchRoster(from: Pick<PeerEntry, 'memberId' | 'address'>): Promise<void> {
    const { transport, rosters, stopping } = this.#core.context;
    const request = { number: rosters.roster.number };
    const { answer } = await transport.call(destinationOf(from), 'roster.since', request, { signal: stopping });
    await rosters.accept(answer.rosters);
  }
}
