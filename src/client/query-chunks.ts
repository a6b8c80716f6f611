// One bound query over the chunks of some catalogues: every chunk is answered for by exactly one node.
// Invariant: a chunk is asked of one node at a time, and leaves the open ones together with the answer that counts it;
// an answer is taken whole or not at all. Chunks that a node does not vouch for are asked of their next owners, then of
// all again with patience; what stays open is named, never left out in silence.
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import { type Answer, mergeAnswers, noAnswer } from '../index/aggregate.ts';
import { parseAnswer } from '../index/answer-wire.ts';
import { planQuery } from '../index/plan.ts';
import type { Query } from '../index/query.ts';
import { encodeQuery } from '../index/query-wire.ts';
import type { KeyHash, VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { formatCount } from '../model/units.ts';
import { randomFraction } from '../runtime/random.ts';
import { chunkSetsOf, chunksOf } from '../wire/chunk-sets.ts';
import type { WireChunkSet } from '../wire/messages-index.ts';
import { batchesOf } from './open-file.ts';
import { childSignal, forEachAtOnce } from './parallel.ts';
import { Patience, remedyOf } from './patience.ts';
import { type OpenChunk, type Share, shareOut } from './query-shares.ts';
import type { Session } from './session.ts';
import { watchSilence } from './silence.ts';
import { type Catalogue, type Snapshot, type SnapshotOptions, takeSnapshot } from './snapshot.ts';

/** What one message to a node cost. */
export interface NodeCost {
  readonly address: string;
  /** Chunks it vouched for, of so many asked. */
  readonly chunks: number;
  readonly asked: number;
  readonly candidates: number;
  readonly records: number;
  readonly access: string;
  /** In the node, and as it was waited for. */
  readonly nodeMs: number;
  readonly ms: number;
}

/** Chunks that nobody answered for. */
export interface MissingChunks {
  readonly file: string;
  readonly version: VersionId;
  /** Of so many that the file has. */
  readonly chunkCount: number;
  readonly chunks: readonly number[];
}

export interface ChunkOutcome {
  readonly answer: Answer;
  /** Empty unless a part will do. */
  readonly missing: readonly MissingChunks[];
}

/** With the prefix that the snapshot was taken with. */
export interface ChunkOptions extends SnapshotOptions {
  /** True when an answer without what cannot be reached will do. */
  readonly partial: boolean;
  /** Chunks that are known to be missing, and are not asked about. */
  readonly without: readonly MissingChunks[];
  readonly onCost: (cost: NodeCost) => void;
}

/** What a session keeps of the nodes it asks. */
interface Asking {
  readonly turn: number;
  readonly asked: Map<KeyHash, number>;
}

const askings = new WeakMap<Session, Asking>();

const askingOf = (session: Session): Asking => {
  const asking = askings.get(session) ?? { turn: randomFraction(session.connection.random), asked: new Map() };
  askings.set(session, asking);
  return asking;
};

/** Share of the records up to which a question is cheap: one round trip then costs more than the reading. */
const cheapShareMax = 0.01;

const keyOf = (version: string, index: number): string => `${version}/${index}`;

const missingOf = (open: Iterable<OpenChunk>): MissingChunks[] => {
  const files = new Map<Catalogue, number[]>();
  for (const { catalogue, index } of open) files.set(catalogue, [...(files.get(catalogue) ?? []), index]);
  return [...files].map(([{ name, version, chunkCount }, chunks]) => ({ file: name, version, chunkCount, chunks }));
};

/** `3 chunks of 2 files: a.csv (1 of 4), b.csv (2 of 2)`; the first files only. */
export const missingText = (missing: readonly MissingChunks[]): string => {
  const chunks = missing.reduce((sum, file) => sum + file.chunks.length, 0);
  const shown = missing.slice(0, 5).map((file) => `${file.file} (${file.chunks.length} of ${file.chunkCount})`);
  const more = missing.length > shown.length ? ', …' : '';
  return `${formatCount(chunks, 'chunk')} of ${formatCount(missing.length, 'file')}: ${shown.join(', ')}${more}`;
};

class ChunkQuery {
  readonly #session: Session;
  readonly #query: Query;
  readonly #text: string;
  readonly #options: ChunkOptions;
  readonly #open = new Map<string, OpenChunk>();
  readonly #patience: Patience;
  readonly #spread: boolean;
  readonly #asking: Asking;
  #answer: Answer = noAnswer;
  #last: OperaError | undefined;
  #renewed = false;

  constructor(session: Session, catalogues: Snapshot, query: Query, spread: boolean, options: ChunkOptions) {
    this.#session = session;
    this.#query = query;
    this.#text = encodeQuery(query);
    this.#options = options;
    this.#spread = spread;
    this.#asking = askingOf(session);
    const patienceMs = options.partial ? limits.queryPartialPatienceMs : limits.transferPatienceMs;
    this.#patience = new Patience(session.connection, patienceMs);
    const without = new Set(options.without.flatMap(({ version, chunks }) => chunks.map((at) => keyOf(version, at))));
    for (const catalogue of catalogues) {
      for (let index = 0; index < catalogue.chunkCount; index++) {
        const key = keyOf(catalogue.version, index);
        if (!without.has(key)) this.#open.set(key, { catalogue, index, tried: new Set() });
      }
    }
  }

  /** Undefined when a version is live no more: the snapshot is to be taken anew. */
  async run(): Promise<ChunkOutcome | undefined> {
    const { signal, partial } = this.#options;
    for (let round = 1; ; round++) {
      this.#renewed = false;
      await this.#askOwners(round);
      if (this.#open.size === 0) return { answer: this.#answer, missing: [] };
      if (await this.#isGone()) return undefined;
      const missing = missingOf(this.#open.values());
      if (partial && this.#patience.exhausted) return { answer: this.#answer, missing };
      // With newer tickets or layouts nodes may answer at once, the first time.
      if (!this.#renewed || round > 1) await this.#patience.wait(round, this.#failure(missing), signal);
      for (const { tried } of this.#open.values()) tried.clear();
    }
  }

  /** Asks until every open chunk was asked of all its owners. */
  async #askOwners(round: number): Promise<void> {
    const { view } = this.#session;
    const { turn, asked } = this.#asking;
    const options = { spread: this.#spread, turn, asked: (keyHash: KeyHash) => asked.get(keyHash) ?? 0 };
    for (;;) {
      const shares = shareOut(view, this.#open.values(), options);
      if (shares.length === 0) return;
      const count = (one: number): void => {
        for (const { owner } of shares) asked.set(owner.keyHash, (asked.get(owner.keyHash) ?? 0) + one);
      };
      count(1);
      try {
        await forEachAtOnce(shares, limits.queriesInFlight, this.#options.signal, (share, signal) =>
          this.#tryShare(share, round, signal),
        );
      } finally {
        count(-1);
      }
    }
  }

  /** What the node does not vouch for counts as asked of it, whatever happened. */
  async #tryShare(share: Share, round: number, outer: AbortSignal): Promise<void> {
    const { keyHash } = share.owner;
    const { signal, abort, release } = childSignal(outer);
    let silent = false;
    const stop = watchSilence(this.#session, share.owner, signal, () => {
      silent = true;
      abort();
    });
    try {
      for (const sets of messagesOf(share.chunks)) await this.#ask(share, sets, round, signal);
    } catch (thrown) {
      if (outer.aborted || (isOperaError(thrown, 'aborted') && !silent)) throw thrown;
      await this.#note(share, silent ? new OperaError('unavailable', 'a node is silent') : thrown, outer);
    } finally {
      stop();
      release();
      for (const { tried } of share.chunks) tried.add(keyHash);
    }
  }

  /** Throws what would be the same at every node. */
  async #note({ owner, plan }: Share, thrown: unknown, signal: AbortSignal): Promise<void> {
    const remedy = remedyOf(thrown);
    // A node of another version of the program may not know the route.
    if (remedy === 'none' && !isOperaError(thrown, 'not-found')) throw thrown;
    if (isOperaError(thrown, 'unavailable', 'timeout')) this.#session.view.avoid(owner.keyHash);
    this.#last = toOperaError(thrown);
    if (remedy !== 'renew') return;
    this.#renewed = true;
    await plan.renew(plan.last.ticket, signal).catch((error: unknown) => {
      if (remedyOf(error) === 'none') throw error;
    });
  }

  async #ask({ owner, plan }: Share, sets: readonly WireChunkSet[], round: number, signal: AbortSignal): Promise<void> {
    const { transport, clock } = this.#session.connection;
    // A node that reads much may take long at first, too; one that stands still is noticed by its silence.
    const timeoutMs = this.#spread || round > 1 ? limits.chunkTimeoutMs : limits.chunkFirstTryMs;
    for (let left = sets; left.length > 0; ) {
      const grant = await plan.grant(signal);
      const request = { ...grant, chunks: [...left], query: this.#text };
      const beganMs = clock.monotonicMs();
      const { answer, binary } = await transport.call(owner.to, 'index.query', request, { signal, timeoutMs });
      signal.throwIfAborted();
      const asked = new Set([...chunksOf(left)].map(({ version, index }) => keyOf(version, index)));
      const vouched = this.#take(asked, answer.vouched, binary);
      const { candidates, records, access, elapsedUs } = answer;
      this.#options.onCost({
        address: owner.to.address,
        chunks: vouched.size,
        asked: asked.size,
        candidates,
        records,
        access,
        nodeMs: elapsedUs / 1_000,
        ms: clock.monotonicMs() - beganMs,
      });
      if (!answer.more || vouched.size === 0) return;
      const rest = [...chunksOf(left)].filter(({ version, index }) => !vouched.has(keyOf(version, index)));
      left = chunkSetsOf(rest);
    }
  }

  /** Counts an answer, once it is sure that it is about open chunks that were asked, each once. */
  #take(asked: ReadonlySet<string>, sets: readonly WireChunkSet[], binary: Uint8Array): ReadonlySet<string> {
    const vouched = new Set<string>();
    for (const { version, index } of chunksOf(sets)) {
      const key = keyOf(version, index);
      if (!asked.has(key) || vouched.has(key) || !this.#open.has(key)) {
        throw new OperaError('integrity', 'a node answered for chunks that it was not asked about');
      }
      vouched.add(key);
    }
    const isVouched = (version: string, chunk: number): boolean => vouched.has(keyOf(version, chunk));
    const answer = parseAnswer(Buffer.from(binary).toString('utf8'), this.#query, isVouched);
    if (vouched.size === 0 && answer.count > 0) throw new OperaError('integrity', 'a node counted what nobody asked');
    this.#answer = mergeAnswers(this.#query, this.#answer, answer);
    for (const key of vouched) this.#open.delete(key);
    if (vouched.size > 0) this.#patience.progress();
    return vouched;
  }

  /** Nobody vouches for chunks of a version that is removed: waiting would be in vain. */
  async #isGone(): Promise<boolean> {
    let live: ReadonlySet<string>;
    try {
      const { snapshot } = await takeSnapshot(this.#session, this.#options);
      live = new Set(snapshot.map(({ version }) => version));
    } catch (error) {
      if (remedyOf(error) === 'none') throw error;
      this.#last = toOperaError(error);
      return false;
    }
    for (const { catalogue } of this.#open.values()) if (!live.has(catalogue.version)) return true;
    return false;
  }

  #failure(missing: readonly MissingChunks[]): OperaError {
    const why = this.#last ? `; ${this.#last.message}` : '';
    return new OperaError('unavailable', `no node answers for ${missingText(missing)}${why}`, {
      ...(this.#last ? { cause: this.#last } : {}),
      hint: 'See opera status and opera index ls; --partial answers without them',
      details: { chunks: this.#open.size, files: missing.length },
    });
  }
}

/** Chunks of one message: a node takes no more, and the bits of that many chunks close together are 8 KiB. */
const messageChunksMax = 65_536;
/** Bytes of bits in one message, which are long when the chunks are far apart. */
const messageBitsMax = limits.messageBytesMax / 8;

/** Sets of chunks, message by message. */
function* messagesOf(chunks: readonly OpenChunk[]): Generator<WireChunkSet[], void, void> {
  for (const part of batchesOf(chunks, messageChunksMax)) {
    let sets: WireChunkSet[] = [];
    let bytes = 0;
    for (const set of chunkSetsOf(part.map(({ catalogue, index }) => ({ version: catalogue.version, index })))) {
      if (sets.length === limits.batchEntriesMax || (sets.length > 0 && bytes + set.bits.length > messageBitsMax)) {
        yield sets;
        sets = [];
        bytes = 0;
      }
      sets.push(set);
      bytes += set.bits.length;
    }
    if (sets.length > 0) yield sets;
  }
}

/**
 * The answer of the catalogues to a bound query. Undefined when one of them ended meanwhile. Throws `unavailable` when
 * chunks stay unanswered and no part will do; `integrity` never by one node alone: another owner is asked.
 */
export const askCatalogues = async (
  session: Session,
  catalogues: Snapshot,
  query: Query,
  options: ChunkOptions,
): Promise<ChunkOutcome | undefined> => {
  const { access } = planQuery(query);
  if (access.kind === 'nothing') return { answer: noAnswer, missing: [] };
  const spread = access.kind === 'scan' || access.share > cheapShareMax;
  return new ChunkQuery(session, catalogues, query, spread, options).run();
};
