// Storing sealed chunks: at the first live owner of each, then at the next one, until patience ends.
// Invariant: whatever fails, the same sealed bytes are sent again; a newer plan changes where, never what.
// Chunks of one call that have the same owner travel in one message, with the commits of those that have one.
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import type { KeyHash, VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { WireChangeOutcome, WireNameChange } from '../wire/messages-names.ts';
import { childSignal, forEachAtOnce } from './parallel.ts';
import { Patience, remedyOf } from './patience.ts';
import type { Plan } from './plan.ts';
import type { Session } from './session.ts';
import { watchSilence } from './silence.ts';
import type { Owner } from './view.ts';

export interface SealedChunk {
  readonly version: VersionId;
  readonly index: number;
  /** Not changed until the call ends. */
  readonly body: Uint8Array;
  /** SHA-256 of `body`. */
  readonly hash: Uint8Array;
  /** The commit of a single-chunk file, passed on by the node when the chunk is durable. */
  readonly commit?: WireNameChange;
  /** The note of its version, when that is a catalogue. */
  readonly note?: Uint8Array;
}

/** What became of one chunk: durable, with the answer to its commit if the node gave one; or why not. */
export type StoreResult =
  | { readonly stored: true; readonly copies: number; readonly outcome?: WireChangeOutcome }
  | { readonly stored: false; readonly error: OperaError };

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined;
  /** Shared by the chunks of one file, so that progress of one keeps the others waiting. */
  readonly patience?: Patience;
}

/** A chunk that is not stored yet. */
interface OpenChunk {
  readonly at: number;
  readonly chunk: SealedChunk;
  /** Owners that failed in this round. */
  readonly failed: Set<KeyHash>;
  error: OperaError;
  /** True when some owner of this round may take it later. */
  hope: boolean;
  /** Stored or given up: what another attempt says of it no longer counts. */
  done: boolean;
}

interface Group {
  readonly owner: Owner;
  readonly chunks: OpenChunk[];
  bytes: number;
  noteBytes: number;
}

/** Notes of one message: in base64 a third of it, beside hashes and commits. */
const messageNoteBytesMax = limits.messageBytesMax / 4;

/** Messages of the next tries: chunks by their best owner that has not failed, cut at the size of a message. */
const groupByOwner = (session: Session, open: readonly OpenChunk[]): Group[] => {
  const groups: Group[] = [];
  const last = new Map<KeyHash, Group>();
  for (const chunk of open) {
    const { version, index, body, note } = chunk.chunk;
    const noteBytes = note?.length ?? 0;
    const owner = session.view.writersOf(version, index).find(({ keyHash }) => !chunk.failed.has(keyHash));
    if (!owner) continue;
    let group = last.get(owner.keyHash);
    const full =
      group &&
      (group.bytes + body.length > limits.batchBytesMax ||
        group.noteBytes + noteBytes > messageNoteBytesMax ||
        group.chunks.length >= limits.batchEntriesMax);
    if (!group || full) {
      group = { owner, chunks: [], bytes: 0, noteBytes: 0 };
      groups.push(group);
      last.set(owner.keyHash, group);
    }
    group.chunks.push(chunk);
    group.bytes += body.length;
    group.noteBytes += noteBytes;
  }
  return groups;
};

/** Notes of the catalogues in a group, once for each version; undefined when there is none. */
const notesOf = ({ chunks }: Group): Uint8Array[] | undefined => {
  const notes = new Map(chunks.flatMap(({ chunk: { version, note } }) => (note ? [[version, note] as const] : [])));
  return notes.size > 0 ? [...notes.values()] : undefined;
};

/** Waiting would change nothing: all owners refused for good, as when every disk is full. */
const isHopeless = (open: OpenChunk): boolean => !open.hope && open.error.code !== 'no-nodes';

/** Of two owners' errors the one that says what is wrong with the network, not only that a machine is away. */
const moreTelling = (before: OperaError, after: OperaError): OperaError =>
  isOperaError(after, 'unavailable', 'timeout') && !isOperaError(before, 'no-nodes') ? before : after;

class ChunkStore {
  readonly #session: Session;
  readonly #plan: Plan;
  readonly #options: StoreOptions;
  readonly #patience: Patience;
  readonly #results: StoreResult[] = [];
  #open: OpenChunk[];
  #rounds = 0;
  #renewals = 0;
  /** Plans asked for because a node knew better. */
  #plans = 0;

  constructor(session: Session, plan: Plan, chunks: readonly SealedChunk[], options: StoreOptions) {
    this.#session = session;
    this.#plan = plan;
    this.#options = options;
    this.#patience = options.patience ?? new Patience(session.connection);
    this.#open = chunks.map((chunk, at) => ({
      at,
      chunk,
      failed: new Set<KeyHash>(),
      error: new OperaError('no-nodes', 'no owner of the chunk is known'),
      hope: false,
      done: false,
    }));
  }

  async run(): Promise<StoreResult[]> {
    const { signal } = this.#options;
    while (this.#open.length > 0) {
      signal?.throwIfAborted();
      const groups = groupByOwner(this.#session, this.#open);
      await forEachAtOnce(groups, limits.chunksInFlight, signal, (group, inner) => this.#send(group, inner));
      await this.#endRound();
    }
    return this.#results;
  }

  /** Chunks that every owner refused wait and begin anew, or are given up. */
  async #endRound(): Promise<void> {
    const waiting = this.#open.filter(
      ({ chunk, failed }) =>
        !this.#session.view.writersOf(chunk.version, chunk.index).some(({ keyHash }) => !failed.has(keyHash)),
    );
    if (waiting.length === 0) return;
    for (const open of waiting) if (isHopeless(open) || this.#patience.exhausted) this.#giveUp(open);
    const again = waiting.filter((open) => this.#open.includes(open));
    const [first] = again;
    if (!first) return;
    await this.#patience.wait(++this.#rounds, first.error, this.#options.signal);
    for (const open of again) {
      open.failed.clear();
      open.hope = false;
    }
    // Without an owner that takes it there may be a newer layout that no node told us of.
    await this.#renew(this.#plan.last.ticket);
  }

  #giveUp(open: OpenChunk): void {
    if (open.done) return;
    open.done = true;
    this.#results[open.at] = { stored: false, error: open.error };
    this.#open = this.#open.filter((other) => other !== open);
  }

  /** Sends a group to its owner, and beside that to the next ones while the owner is silent; the first one counts. */
  async #send(group: Group, outer: AbortSignal): Promise<void> {
    const { signal, abort, release } = childSignal(outer);
    const running: Promise<void>[] = [];
    const plans = this.#plans;
    const endWhenDone = (): void => {
      // Under a newer plan the chunks may belong elsewhere: a silent owner is not worth the wait.
      if (this.#plans > plans || group.chunks.every(({ done }) => done)) abort();
    };
    const stop = watchSilence(this.#session, group.owner, signal, () => {
      const error = new OperaError('timeout', `${group.owner.to.address} gives no sign of life`);
      const open = group.chunks.filter(({ done }) => !done);
      for (const chunk of open) Object.assign(chunk, { error, hope: true }).failed.add(group.owner.keyHash);
      for (const next of groupByOwner(this.#session, open)) running.push(this.#send(next, signal).finally(endWhenDone));
    });
    running.push(this.#try(group, signal).finally(endWhenDone));
    let failure: { readonly error: unknown } | undefined;
    // More may begin while the first ones are waited for.
    for (let at = 0; at < running.length; at++) {
      await running[at]?.catch((error: unknown) => {
        // Those that were ended because another one was quicker did not fail.
        if (!outer.aborted && isOperaError(error, 'aborted')) return;
        failure ??= { error };
      });
      if (at === 0) stop();
    }
    release();
    if (failure) throw failure.error;
  }

  async #try(group: Group, signal: AbortSignal): Promise<void> {
    const { connection, view } = this.#session;
    let shown = this.#plan.last;
    try {
      shown = await this.#plan.grant(signal);
      const chunks = group.chunks.map(({ chunk: { version, index, body, hash } }) => {
        return { version, index, length: body.length, hash };
      });
      const commit = group.chunks.flatMap(({ chunk }) => (chunk.commit ? [chunk.commit] : []));
      const notes = notesOf(group);
      const request = { ...shown, chunks, ...(notes && { notes }), ...(commit.length > 0 ? { commit } : {}) };
      const timeoutMs = this.#rounds === 0 ? limits.chunkFirstTryMs : limits.chunkTimeoutMs;
      const binary = group.chunks.map(({ chunk }) => chunk.body);
      const { answer } = await connection.transport.call(group.owner.to, 'chunk.store', request, {
        binary,
        signal,
        timeoutMs,
      });
      if (answer.copies.length !== chunks.length) throw new OperaError('integrity', 'a node answered another request');
      this.#stored(group, answer.copies, answer.commit);
    } catch (error) {
      if (isOperaError(error, 'unavailable', 'timeout')) view.avoid(group.owner.keyHash);
      await this.#failed(group, shown.ticket, error);
    }
  }

  #stored(group: Group, copies: readonly number[], outcomes: readonly WireChangeOutcome[] | undefined): void {
    this.#patience.progress();
    this.#renewals = 0;
    const answers = [...(outcomes ?? [])];
    for (const [position, open] of group.chunks.entries()) {
      const { at, chunk } = open;
      const outcome = chunk.commit ? answers.shift() : undefined;
      if (open.done) continue;
      open.done = true;
      this.#results[at] = { stored: true, copies: copies[position] ?? 0, ...(outcome ? { outcome } : {}) };
    }
    this.#open = this.#open.filter(({ done }) => !done);
  }

  async #failed(group: Group, shown: Plan['last']['ticket'], thrown: unknown): Promise<void> {
    if (isOperaError(thrown, 'aborted')) throw thrown;
    const error = toOperaError(thrown);
    const remedy = remedyOf(thrown);
    for (const open of group.chunks) open.error = open.failed.size > 0 ? moreTelling(open.error, error) : error;
    if (remedy === 'none' || (remedy === 'renew' && this.#patience.exhausted)) {
      for (const open of group.chunks) this.#giveUp(open);
      return;
    }
    if (remedy === 'renew') {
      this.#plans++;
      // A node may know a layout before the masters tell of it: from the second time on, wait a little.
      if (++this.#renewals > 1) await this.#patience.wait(this.#renewals, error, this.#options.signal);
      await this.#renew(shown);
      return;
    }
    for (const open of group.chunks) {
      open.failed.add(group.owner.keyHash);
      open.hope ||= error.retry || isOperaError(error, 'unauthenticated', 'peer-mismatch', 'integrity');
    }
  }

  /** A plan that cannot be renewed now is met again by the next try, and by patience in the end. */
  async #renew(shown: Plan['last']['ticket']): Promise<void> {
    try {
      await this.#plan.renew(shown, this.#options.signal);
    } catch (error) {
      if (remedyOf(error) === 'none') throw error;
    }
  }
}

/**
 * Makes sealed chunks durable at W′ owners; answers for each chunk in order. Rejects only with `aborted`, or when
 * the plan cannot be renewed for a reason that waiting does not mend.
 */
export const storeChunks = (
  session: Session,
  plan: Plan,
  chunks: readonly SealedChunk[],
  options: StoreOptions = {},
): Promise<StoreResult[]> => new ChunkStore(session, plan, chunks, options).run();

/** One chunk; throws what storeChunks would answer. */
export const storeChunk = async (
  session: Session,
  plan: Plan,
  chunk: SealedChunk,
  options: StoreOptions = {},
): Promise<Extract<StoreResult, { stored: true }>> => {
  const [result] = await storeChunks(session, plan, [chunk], options);
  if (!result) throw new OperaError('internal', 'a chunk was forgotten');
  if (!result.stored) throw result.error;
  return result;
};
