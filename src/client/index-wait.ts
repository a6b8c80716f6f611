// Waiting until records can be queried: the owners of each chunk are asked how far their indexes are, with growing
// pauses, until W′ of them have it. It changes nothing and fails nothing: when the indexes make no progress for long,
// it says which versions are not ready, and their data is as safe as ever. A file that somebody else renames, replaces
// or removes meanwhile is not waited for any longer.
import { isOperaError, OperaError } from '../errors/errors.ts';
import { hasBit, setBit } from '../model/bits.ts';
import type { KeyHash, VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { WireChunkSet } from '../wire/messages-index.ts';
import { findFiles } from './open-file.ts';
import { remedyOf } from './patience.ts';
import type { Plan } from './plan.ts';
import type { Session } from './session.ts';
import type { Owner } from './view.ts';

export interface AwaitedVersion {
  readonly name: string;
  readonly version: VersionId;
  /** Records of each chunk. */
  readonly chunkRecords: readonly number[];
}

export interface IndexWaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told records that can be queried now. */
  readonly onIndexed?: (version: VersionId, records: number) => void;
}

/** Versions that cannot be queried under their names: none as a rule. */
export interface IndexWaitResult {
  /** Not in the index yet; they will be. */
  readonly late: ReadonlySet<VersionId>;
  /** Their names have another content now, or none. */
  readonly gone: ReadonlySet<VersionId>;
}

/** A chunk that too few owners have in their index yet. */
interface OpenChunk {
  readonly version: VersionId;
  readonly index: number;
  readonly records: number;
  readonly indexedBy: Set<KeyHash>;
}

/** Chunks that one set of the wire covers. */
const windowChunks = 65_536;
/** Without progress it is looked up so often whether the files are still there to be queried: one small call. */
const nameCheckMs = 5_000;
/** Bytes of the sets of one question; in base64 with the ticket's versions a fraction of a message. */
const questionBytesMax = limits.messageBytesMax / 4;

/** Sets of chunks, in messages that are not too long. */
const questionsOf = (chunks: readonly OpenChunk[]): WireChunkSet[][] => {
  const windows = new Map<string, { readonly version: VersionId; readonly from: number; readonly at: number[] }>();
  for (const { version, index } of chunks) {
    const from = index - (index % windowChunks);
    const key = `${version}/${from}`;
    const window = windows.get(key) ?? { version, from, at: [] };
    windows.set(key, window);
    window.at.push(index - from);
  }
  const questions: WireChunkSet[][] = [];
  let room = 0;
  for (const { version, from, at } of windows.values()) {
    const bits = new Uint8Array(Math.floor((at.at(-1) ?? 0) / 8) + 1);
    for (const one of at) setBit(bits, one);
    let question = questions.at(-1);
    if (!question || question.length >= limits.batchEntriesMax || bits.length > room) {
      question = [];
      questions.push(question);
      room = questionBytesMax;
    }
    question.push({ version, from, bits });
    room -= bits.length;
  }
  return questions;
};

const has = ({ from, bits }: WireChunkSet, index: number): boolean => hasBit(bits, index - from);

class IndexWait {
  readonly #session: Session;
  readonly #plan: Plan;
  readonly #options: IndexWaitOptions;
  readonly #names: ReadonlyMap<VersionId, string>;
  readonly #gone = new Set<VersionId>();
  #open: OpenChunk[];
  /** Owners that cannot answer, until that time on the monotonic clock. */
  readonly #restUntilMs = new Map<KeyHash, number>();
  #progressMs: number;
  /** When the names were looked up last. */
  #namesMs: number;
  /** True while no owner that was asked may ever answer, as when all are of a time before indexes. */
  #hopeless = false;

  constructor(session: Session, plan: Plan, versions: readonly AwaitedVersion[], options: IndexWaitOptions) {
    this.#session = session;
    this.#plan = plan;
    this.#options = options;
    this.#names = new Map(versions.map(({ version, name }) => [version, name]));
    this.#open = versions.flatMap(({ version, chunkRecords }) =>
      chunkRecords.map((records, index) => ({ version, index, records, indexedBy: new Set<KeyHash>() })),
    );
    this.#progressMs = session.connection.clock.monotonicMs();
    this.#namesMs = this.#progressMs;
  }

  async run(): Promise<IndexWaitResult> {
    const { clock } = this.#session.connection;
    const { signal } = this.#options;
    for (;;) {
      await this.#ask();
      await this.#checkNames();
      if (this.#open.length === 0 || this.#hopeless) break;
      const waitedMs = clock.monotonicMs() - this.#progressMs;
      if (waitedMs >= limits.indexPatienceMs) break;
      const pauseMs = Math.min(limits.indexPollMaxMs, Math.max(limits.indexPollMs, waitedMs / 4));
      await clock.sleep(pauseMs, signal ? { signal } : {});
    }
    return { late: new Set(this.#open.map(({ version }) => version)), gone: this.#gone };
  }

  /** Drops what nobody would find under its name any more. */
  async #checkNames(): Promise<void> {
    const { signal } = this.#options;
    const now = this.#session.connection.clock.monotonicMs();
    if (now < Math.max(this.#progressMs, this.#namesMs) + nameCheckMs) return;
    this.#namesMs = now;
    const versions = [...new Set(this.#open.map(({ version }) => version))];
    const names = versions.map((version) => this.#names.get(version) ?? '');
    const files = await findFiles(this.#session, names, { signal }).catch((error: unknown) => {
      if (signal?.aborted || isOperaError(error, 'aborted')) throw error;
      return [];
    });
    for (const [at, file] of files.entries()) {
      const version = versions[at];
      // A record that is refused says nothing.
      if (version === undefined || file instanceof OperaError || file?.record.version === version) continue;
      this.#gone.add(version);
    }
    this.#open = this.#open.filter(({ version }) => !this.#gone.has(version));
  }

  /** One question to each owner that has not said yes to something. */
  async #ask(): Promise<void> {
    const { view, connection } = this.#session;
    const nowMs = connection.clock.monotonicMs();
    const asked = new Map<KeyHash, { readonly owner: Owner; readonly chunks: OpenChunk[] }>();
    for (const chunk of this.#open) {
      for (const owner of view.writersOf(chunk.version, chunk.index)) {
        const { keyHash } = owner;
        if (chunk.indexedBy.has(keyHash) || (this.#restUntilMs.get(keyHash) ?? 0) > nowMs) continue;
        const entry = asked.get(keyHash) ?? { owner, chunks: [] };
        asked.set(keyHash, entry);
        entry.chunks.push(chunk);
      }
    }
    const answered = await Promise.all([...asked.values()].map(({ owner, chunks }) => this.#askOwner(owner, chunks)));
    this.#hopeless = answered.length > 0 && answered.every((answer) => answer === 'never');
    this.#settle();
  }

  async #askOwner(owner: Owner, chunks: readonly OpenChunk[]): Promise<'answered' | 'later' | 'never'> {
    const { connection } = this.#session;
    const { signal } = this.#options;
    let shown = this.#plan.last;
    try {
      for (const sets of questionsOf(chunks)) {
        shown = await this.#plan.grant(signal);
        const { answer } = await connection.transport.call(
          owner.to,
          'index.state',
          { ...shown, chunks: sets },
          { timeoutMs: limits.probeTimeoutMs, ...(signal ? { signal } : {}) },
        );
        this.#note(owner, chunks, answer.indexed);
      }
      return 'answered';
    } catch (error) {
      if (signal?.aborted || isOperaError(error, 'aborted')) throw error;
      const remedy = remedyOf(error);
      const { clock } = connection;
      if (remedy !== 'renew') this.#restUntilMs.set(owner.keyHash, clock.monotonicMs() + limits.retryCeilingMs);
      else await this.#plan.renew(shown.ticket, signal).catch(() => undefined);
      return remedy === 'none' ? 'never' : 'later';
    }
  }

  #note({ keyHash }: Owner, chunks: readonly OpenChunk[], indexed: readonly WireChunkSet[]): void {
    const sets = new Map<VersionId, WireChunkSet[]>();
    for (const set of indexed) sets.set(set.version, [...(sets.get(set.version) ?? []), set]);
    for (const chunk of chunks) {
      if (sets.get(chunk.version)?.some((set) => has(set, chunk.index))) chunk.indexedBy.add(keyHash);
    }
  }

  /** Takes out what W′ of its present owners have. */
  #settle(): void {
    const { view, connection } = this.#session;
    const before = this.#open.length;
    this.#open = this.#open.filter(({ version, index, records, indexedBy }) => {
      const count = view.writersOf(version, index).filter(({ keyHash }) => indexedBy.has(keyHash)).length;
      if (count < Math.max(1, view.writeCopies)) return true;
      this.#options.onIndexed?.(version, records);
      return false;
    });
    if (this.#open.length < before) this.#progressMs = connection.clock.monotonicMs();
  }
}

/**
 * Waits until the records of these versions, all of the plan and of distinct names, can be queried. Ends after
 * limits.indexPatienceMs without any progress. Rejects only with `aborted`.
 */
export const waitForIndex = (
  session: Session,
  plan: Plan,
  versions: readonly AwaitedVersion[],
  options: IndexWaitOptions = {},
): Promise<IndexWaitResult> => new IndexWait(session, plan, versions, options).run();
