// Copies that an owner missed while this node stored a chunk: it was away, busy or full for a moment. Who stored the
// chunk knows which, and offers them every second until the owner has them: sooner than comparing would find them.
// Kept in memory only: what a restart forgets, and what does not fit, is found by comparing. Nothing is promised on it.
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError } from '../../errors/errors.ts';
import { hasBit } from '../../model/bits.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { ownersOf } from '../../placement/layout.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkWrite } from '../../storage-adapters/storage-adapter.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import { newestLayout } from './state.ts';

/** What is known of a copy that is owed. */
type OwedChunk = Pick<ChunkWrite, 'version' | 'index' | 'partition' | 'hash'> & {
  /** When the owner first said that it has no use for it, as while its file is not committed. */
  refusedMs?: number;
};

interface Debt {
  readonly chunks: Map<string, OwedChunk>;
  /** The owner is left alone until then, monotonic. */
  restUntilMs: number;
  restMs: number;
}

/** Base64 of notes in one message, beside hashes. */
const noteBytesMax = limits.messageBytesMax / 4;

const keyOf = ({ version, index }: Pick<OwedChunk, 'version' | 'index'>): string => `${version}/${index}`;

export class OwedCopies {
  readonly #core: NodeCore;
  readonly #debts = new Map<KeyHash, Debt>();
  /** Copies that owners took, since the process began. */
  given = 0;

  constructor(core: NodeCore) {
    this.#core = core;
  }

  /** `owner` did not take these chunks, which are stored here. */
  note(owner: KeyHash, chunks: readonly OwedChunk[]): void {
    const debt = this.#debts.get(owner) ?? { chunks: new Map(), restUntilMs: 0, restMs: 0 };
    this.#debts.set(owner, debt);
    let room = limits.owedCopiesMax - [...this.#debts.values()].reduce((sum, { chunks: { size } }) => sum + size, 0);
    for (const { version, index, partition, hash } of chunks) {
      if (room-- <= 0) break;
      debt.chunks.set(keyOf({ version, index }), { version, index, partition, hash });
    }
    Object.assign(debt, { restUntilMs: 0, restMs: 0 });
  }

  /** How many copies wait for which owner. */
  get report(): { readonly node: KeyHash; readonly chunks: number }[] {
    const owed = [...this.#debts].filter(([, { chunks }]) => chunks.size > 0).slice(0, limits.batchEntriesMax);
    return owed.map(([node, { chunks }]) => ({ node, chunks: chunks.size }));
  }

  /** Offers each owner what it missed. */
  async round(): Promise<void> {
    const { clock } = this.#core.context;
    await Promise.all(
      [...this.#debts].map(async ([owner, debt]) => {
        this.#forgetForeign(owner, debt);
        if (debt.chunks.size === 0) this.#debts.delete(owner);
        else if (clock.monotonicMs() >= debt.restUntilMs) await this.#settle(owner, debt);
      }),
    );
  }

  /** A newer layout may have given the partition to others, who pull what they lack. */
  #forgetForeign(owner: KeyHash, { chunks }: Debt): void {
    const layout = newestLayout(this.#core.memory.state);
    for (const [key, { partition }] of chunks) {
      if (!layout || !ownersOf(layout, partition).includes(owner)) chunks.delete(key);
    }
  }

  async #settle(owner: KeyHash, debt: Debt): Promise<void> {
    const { context } = this.#core;
    const before = this.given;
    try {
      const all = [...debt.chunks.values()];
      for (let at = 0; at < all.length; at += limits.batchEntriesMax) {
        const wanted = await this.#ask(owner, debt, all.slice(at, at + limits.batchEntriesMax));
        while (wanted.length > 0) await this.#give(owner, debt, wanted);
      }
    } catch (error) {
      if (context.stopping.aborted) throw error;
      context.log.debug('owed-copies-kept', { to: owner, chunks: debt.chunks.size, ...errorFacts(error) });
      // Whoever is away is tried every second: that it is back is what is waited for.
      if (isOperaError(error, 'unavailable', 'timeout')) return;
    }
    const taken = this.given - before;
    if (taken > 0) context.log.info('owed-copies-given', { to: owner, chunks: taken, left: debt.chunks.size });
    debt.restMs = taken > 0 ? 0 : Math.min(limits.owedRestMaxMs, Math.max(limits.heartbeatMs, 2 * debt.restMs));
    debt.restUntilMs = context.clock.monotonicMs() + debt.restMs;
  }

  /** The chunks that the owner lacks and wants; those that it has are owed no more. */
  async #ask(owner: KeyHash, debt: Debt, asked: readonly OwedChunk[]): Promise<OwedChunk[]> {
    const { transport, stopping, clock } = this.#core.context;
    const chunks = asked.map(({ version, index, hash }) => ({ version, index, hash }));
    const to = destinationOfNode(this.#core, owner);
    const options = { signal: stopping, timeoutMs: limits.probeTimeoutMs };
    const { answer } = await transport.call(to, 'chunk.confirm', { chunks, manifests: [] }, options);
    const now = clock.monotonicMs();
    for (const [at, chunk] of asked.entries()) {
      if (hasBit(answer.held, at)) debt.chunks.delete(keyOf(chunk));
      else if (!hasBit(answer.wanted, at)) {
        chunk.refusedMs ??= now;
        if (now - chunk.refusedMs > limits.owedRefusedMaxMs) debt.chunks.delete(keyOf(chunk));
      }
    }
    return asked.filter((_, at) => hasBit(answer.wanted, at));
  }

  /** Takes from `wanted` what fits one message, and sends it. */
  async #give(owner: KeyHash, debt: Debt, wanted: OwedChunk[]): Promise<void> {
    const { context, storage, throttle } = this.#core;
    const notes = new Map<VersionId, Uint8Array | undefined>();
    const sent: { readonly chunk: OwedChunk; readonly body: Uint8Array }[] = [];
    let [bytes, noteBytes] = [0, 0];
    for (let next = wanted[0]; next; next = wanted[0]) {
      const found = await storage.getChunk(next);
      const note = notes.has(next.version) ? undefined : await this.#core.notes.get(next.version);
      const size = found?.body.length ?? 0;
      const isFull = bytes + size > limits.batchBytesMax || noteBytes + (note?.length ?? 0) > noteBytesMax;
      if (sent.length > 0 && (isFull || sent.length >= limits.batchEntriesMax)) break;
      wanted.shift();
      // Gone, or altered: nothing that could be given.
      if (!found || !equalBytes(sha256(found.body), next.hash)) {
        debt.chunks.delete(keyOf(next));
        continue;
      }
      sent.push({ chunk: next, body: found.body });
      notes.set(next.version, notes.get(next.version) ?? note);
      [bytes, noteBytes] = [bytes + size, noteBytes + (note?.length ?? 0)];
    }
    if (sent.length === 0) return;
    await throttle.take(bytes, context.stopping);
    const chunks = sent.map(({ chunk: { version, index, hash }, body: { length } }) => {
      return { version, index, length, hash };
    });
    const known = [...notes.values()].filter((note) => note !== undefined);
    const request = { chunks, ...(known.length > 0 ? { notes: known } : {}) };
    const binary = sent.map(({ body }) => body);
    const to = destinationOfNode(this.#core, owner);
    const { answer } = await context.transport.call(to, 'chunk.give', request, { binary, signal: context.stopping });
    this.given += answer.taken;
    if (answer.taken < sent.length) return;
    for (const { chunk } of sent) debt.chunks.delete(keyOf(chunk));
  }
}
