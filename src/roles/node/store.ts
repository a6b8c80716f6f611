// Taking chunks: from a client (stored here, sent on to the other owners, answered at W′ durable copies) and from
// another node that passes them on. Sealed bytes are copied as they are; nothing here could read them.
import type { Handler, IncomingCall, Peer } from '../../client/transport.ts';
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError, OperaError, toOperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkWrite, ChunkWriteOutcome } from '../../storage-adapters/storage-adapter.ts';
import type { RequestOf } from '../../wire/routes.ts';
import { destinationOf } from '../peer-book.ts';
import { destinationOfNode, type NodeCore, requirePeer, requireTicket } from './core.ts';
import type { SentNote } from './notes.ts';
import type { OwedCopies } from './owed-copies.ts';
import { admitWrite } from './state.ts';

type StoreRequest = Pick<RequestOf<'chunk.store'>, 'ticket' | 'versions' | 'chunks' | 'notes'>;

/** A message of chunks that was admitted. */
interface Taken {
  readonly request: StoreRequest;
  readonly chunks: readonly ChunkWrite[];
  readonly notes: readonly SentNote[];
}

/** Cuts the binary part into the chunks the message lists, each checked against its hash. */
const readChunks = (core: NodeCore, request: StoreRequest, binary: Uint8Array, layoutNumber: number): ChunkWrite[] => {
  const { servedHour } = core;
  const allowed = new Set(request.versions);
  let at = 0;
  const chunks = request.chunks.map(({ version, index, length, hash }): ChunkWrite => {
    if (!allowed.has(version)) throw new OperaError('ticket-invalid', 'the ticket does not cover that version');
    const body = binary.subarray(at, at + length);
    at += length;
    if (body.length !== length) throw new OperaError('bad-request', 'the binary part is shorter than its chunks');
    if (!equalBytes(sha256(body), hash)) throw new OperaError('integrity', 'a chunk does not match its hash');
    return { version, index, partition: partitionOf(version, index), hash, body, servedHour, layoutNumber };
  });
  if (at !== binary.length) throw new OperaError('bad-request', 'the binary part is longer than its chunks');
  return chunks;
};

const requireNoConflict = (outcomes: readonly ChunkWriteOutcome[]): void => {
  if (outcomes.includes('conflict')) throw new OperaError('hash-conflict');
};

/** Counts the durable copies of each chunk and wakes a waiter when all have enough, or when nothing more can come. */
class CopyCount {
  readonly counts: number[];
  readonly #needed: readonly number[];
  /** Why attempts failed. */
  readonly #failures: OperaError[] = [];
  #open: number;
  #wake: (() => void) | undefined;
  readonly done: Promise<void>;

  constructor(needed: readonly number[], attempts: number) {
    this.counts = needed.map(() => 0);
    this.#needed = needed;
    this.#open = attempts;
    this.done = new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  get enough(): boolean {
    return this.counts.every((count, at) => count >= (this.#needed[at] ?? 0));
  }

  /** What is answered when there are not enough: disks that are full, if nothing else is in the way. */
  get refusal(): OperaError {
    const [first] = this.#failures;
    const details = { copies: Math.min(...this.counts), needed: Math.max(...this.#needed) };
    const full = this.#failures.every((error) => isOperaError(error, 'no-space', 'read-only'));
    if (!first || !full) return new OperaError('write-quorum', 'too few owners of the chunk stored it', { details });
    return new OperaError(first.code, 'other owners of the chunk have no space left', { cause: first, details });
  }

  failed(error: unknown): void {
    this.#failures.push(toOperaError(error));
    this.ended([]);
  }

  /** One attempt ended; `stored` are the positions of the chunks it made durable. */
  ended(stored: readonly number[]): void {
    for (const at of stored) this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.#open--;
    if (this.enough || this.#open === 0) this.#wake?.();
  }
}

export class ChunkIntake {
  readonly #core: NodeCore;
  readonly #owed: Pick<OwedCopies, 'note'>;
  #lateCopies = 0;

  constructor(core: NodeCore, owed: Pick<OwedCopies, 'note'>) {
    this.#core = core;
    this.#owed = owed;
  }

  readonly store: Handler<'chunk.store'> = async (call) => {
    const { request, signal } = call;
    const peer = requirePeer(call.peer);
    const { chunks, notes, owners, needed, layoutNumber } = this.#admit(call, peer, false);
    const answer = await this.#core.barrier.run(layoutNumber, async () => {
      const everyone = chunks.map((_, at) => at);
      const others = new Map<KeyHash, number[]>();
      for (const [at, keys] of owners.entries()) {
        for (const key of keys) if (key !== this.#core.self) others.set(key, [...(others.get(key) ?? []), at]);
      }
      const copies = new CopyCount(needed, others.size + 1);
      const own = this.#put(chunks, notes).then(
        (outcomes) => {
          copies.ended(everyone.filter((at) => outcomes[at] !== 'conflict'));
          return outcomes;
        },
        (error: unknown) => {
          copies.ended([]);
          throw error;
        },
      );
      const ending = new AbortController();
      const sent = [...others].map(async ([key, positions]) => {
        if (await this.#send(key, { request, chunks, notes }, positions, copies, ending.signal)) return;
        const missed = positions.flatMap((at) => chunks[at] ?? []);
        // Only what is stored here can be offered again.
        await own.then(
          () => this.#owed.note(key, missed),
          () => undefined,
        );
      });
      const outcomes = await own.catch((error: unknown) => {
        // The client tries another owner, who sends to everybody: these copies would only be sent twice.
        ending.abort();
        throw error;
      });
      requireNoConflict(outcomes);
      await copies.done;
      await this.#late(sent, ending);
      if (!copies.enough) throw copies.refusal;
      return { outcomes: [...outcomes], copies: [...copies.counts] };
    });
    // The copies are durable: the barrier need not wait for a master that may itself wait for a new layout.
    const commit = request.commit && (await this.#commit(request, peer, signal));
    return { answer: { ...answer, ...(commit ? { commit } : {}) } };
  };

  /**
   * Copies that are under way hold their bytes in memory. Up to a bound they go on behind the answer; beyond it the
   * answer waits for them a little, and then they are given up, so that a silent owner stops nobody.
   */
  async #late(sent: readonly Promise<void>[], ending: AbortController): Promise<void> {
    const all = Promise.all(sent);
    if (this.#lateCopies < limits.lateCopiesMax) {
      this.#lateCopies += sent.length;
      void all.finally(() => {
        this.#lateCopies -= sent.length;
      });
      return;
    }
    const stop = this.#core.context.clock.after(limits.lateCopyWaitMs, () => ending.abort());
    await all.finally(stop);
  }

  readonly copy: Handler<'chunk.copy'> = async (call) => {
    const { chunks, notes, layoutNumber } = this.#admit(call, requirePeer(call.peer), true);
    const outcomes = await this.#core.barrier.run(layoutNumber, () => this.#put(chunks, notes));
    return { answer: { outcomes } };
  };

  #put(chunks: readonly ChunkWrite[], notes: readonly SentNote[]): Promise<ChunkWriteOutcome[]> {
    return this.#core.notes.putSent(notes, () => this.#core.storage.putChunks(chunks));
  }

  #admit(call: IncomingCall<'chunk.store'> | IncomingCall<'chunk.copy'>, peer: Peer, passedOn: boolean) {
    const { request, binary } = call;
    const chunkIndex = Math.max(...request.chunks.map(({ index }) => index));
    const { ticket, versions } = request;
    const { layoutNumber } = requireTicket(this.#core, peer, 'put', { ticket, versions, chunkIndex }, passedOn);
    const chunks = readChunks(this.#core, request, binary, layoutNumber);
    const notes = this.#core.notes.check(
      request.notes,
      chunks.map(({ version }) => version),
    );
    const { state } = this.#core.memory;
    const admitted = chunks.map(({ partition }) => admitWrite(state, this.#core.self, layoutNumber, partition));
    return {
      chunks,
      notes,
      layoutNumber,
      owners: admitted.map(({ owners }) => owners),
      needed: admitted.map(({ writeCopies }) => writeCopies),
    };
  }

  /** Passes chunks on to one owner, a few times at most; true when it answered. Never rejects. */
  async #send(
    key: KeyHash,
    taken: Taken,
    positions: readonly number[],
    copies: CopyCount,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { context } = this.#core;
    const { request, chunks } = taken;
    const listed = positions.flatMap((at) => request.chunks[at] ?? []);
    const sent = new Set(listed.map(({ version }) => version));
    const notes = taken.notes.filter(({ version }) => sent.has(version)).map(({ record }) => record);
    const message = {
      ticket: request.ticket,
      versions: request.versions,
      chunks: listed,
      ...(notes.length > 0 ? { notes } : {}),
    };
    const binary = positions.map((at) => chunks[at]?.body ?? new Uint8Array());
    for (let attempt = 1; ; attempt++) {
      try {
        const to = destinationOfNode(this.#core, key);
        const { answer } = await context.transport.call(to, 'chunk.copy', message, { binary, signal });
        copies.ended(positions.filter((_, at) => answer.outcomes[at] !== 'conflict'));
        return true;
      } catch (error) {
        const again = attempt < 3 && isOperaError(error, 'not-ready', 'unavailable', 'overloaded');
        if (!again) {
          context.log.warn('copy-failed', { to: key, chunks: positions.length, ...errorFacts(error) });
          copies.failed(error);
          return false;
        }
        await context.clock.sleep(limits.retryBaseMs * attempt, { signal, unref: true }).catch(() => undefined);
      }
    }
  }

  /** Passes the commit of single-chunk files to a master. Undefined when that failed: the client repeats it itself. */
  async #commit(request: RequestOf<'chunk.store'>, peer: Peer, signal: AbortSignal) {
    const { context, book } = this.#core;
    const forward = {
      client: peer.keyHash,
      clientRole: peer.role,
      request: { changes: request.commit ?? [], ticket: request.ticket, versions: request.versions },
    };
    const options = { signal, timeoutMs: limits.relayTryMs };
    for (const master of book.list('master')) {
      try {
        const to = destinationOf(master);
        return (await context.transport.call(to, 'master.name.commit', forward, options)).answer.outcomes;
      } catch (error) {
        context.log.debug('commit-not-passed', { to: master.memberId, ...errorFacts(error) });
        if (!isOperaError(error, 'unavailable', 'timeout', 'overloaded')) return undefined;
      }
    }
    return undefined;
  }
}
