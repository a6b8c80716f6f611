// Which chunks of catalogues are indexed here, and seeing to it that all are: chunks that come are queued, chunks that
// go are forgotten, and at the start the index and the store are compared. The index itself is index-engine.ts.
// Invariant: a chunk is vouched for only while the store has it and the index was made from those very bytes. A chunk
// leaves the list before it leaves the store, and enters it after its index is written.
import { openIndexKey, indexKeyEpochOf, publicIndexKey, sealIndexKey, indexKeyBytes } from '../../crypto/index-keys.ts';
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError, OperaError, toOperaError } from '../../errors/errors.ts';
import type { VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkAddress, StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { NodeCore } from './core.ts';
import { bytesOf, type CatalogueKeys } from './index-build.ts';
import type { IndexEngine } from './index-engine.ts';
import type { Run } from './index-file.ts';
import { LruMap } from './lru-map.ts';
import { openNoteKeys } from './note-keys.ts';
import { storedChunks } from './stored-chunks.ts';
import { type StoreWatch, watchedStore } from './watched-store.ts';

type IndexCore = Pick<NodeCore, 'context' | 'keys' | 'storage' | 'self' | 'copies'>;

const keyOf = ({ version, index }: ChunkAddress): string => `${version}/${index}`;

export class Indexer {
  readonly #engine: IndexEngine;
  #core: IndexCore | undefined;
  /** Indexed chunks by version and index. */
  readonly #runs = new Map<VersionId, Map<number, Run>>();
  /** Versions whose note is kept here: only their chunks are worth a look. */
  readonly #catalogues = new Set<VersionId>();
  readonly #waiting = new Map<string, ChunkAddress>();
  readonly #failed = new Map<string, { readonly address: ChunkAddress; readonly why: string }>();
  readonly #keys = new LruMap<VersionId, CatalogueKeys>(limits.indexCatalogueBytesKept, bytesOf);
  /** Drops under way or to be done; they are the index's alone, nobody waits for them. */
  #dropping: ChunkAddress[] = [];
  #state: 'closed' | 'opening' | 'open' = 'closed';
  #indexKey: Uint8Array | undefined;
  #keyEpoch = 0;
  /** The index is to be dropped. */
  #stale = false;
  #wake: () => void = () => undefined;
  #building: string | undefined;
  /** Why the last round ended, when it failed: no chunk is to blame. */
  #halted: string | undefined;

  constructor(engine: IndexEngine) {
    this.#engine = engine;
  }

  /** The parts of the node it works with; before this nothing is indexed. */
  attach(core: IndexCore): void {
    this.#core = core;
  }

  /** The store, whose chunks and notes are followed as they come and go. */
  watch(storage: StorageAdapter): StorageAdapter {
    const forget = (addresses: unknown): void => this.#forget(addresses as readonly ChunkAddress[]);
    const forgetOne = (address: unknown): void => this.#forget([address as ChunkAddress]);
    const before: StoreWatch = {
      deleteChunks: forget,
      setAside: forgetOne,
      deleteNote: (version) => void this.#catalogues.delete(version as VersionId),
      replaceNote: (version) => this.#keys.delete(version as VersionId),
    };
    const after: StoreWatch = {
      // What was built meanwhile goes as well.
      deleteChunks: forget,
      setAside: forgetOne,
      putNote: (version) => this.#noteCame(version as VersionId),
      putChunks: (chunks) => {
        for (const { version, index } of chunks as readonly ChunkAddress[]) this.#chunkCame({ version, index });
      },
    };
    return watchedStore(storage, { before, after });
  }

  /** The indexed chunk; undefined when this node does not vouch for it. */
  runOf(version: VersionId, index: number): Run | undefined {
    return this.#runs.get(version)?.get(index);
  }

  /** True when the note of the version is kept here. */
  isCatalogue(version: VersionId): boolean {
    return this.#catalogues.has(version);
  }

  /** Keys and columns of a catalogue; `not-found` when its note is not here, `integrity` when it is altered. */
  async keysOf(version: VersionId): Promise<CatalogueKeys> {
    const known = this.#keys.get(version);
    if (known) return known;
    const { storage, keys, context, copies } = this.#attached;
    const record = await storage.getNote(version);
    if (!record) throw new OperaError('not-found', 'the note of a catalogue is not here');
    try {
      const opened = openNoteKeys(keys.keyring, context.networkId, version, record);
      this.#keys.set(version, opened);
      return opened;
    } catch (error) {
      if (isOperaError(error, 'integrity', 'wrong-network', 'unknown-key')) copies.reportNote(version);
      throw error;
    }
  }

  get engine(): IndexEngine {
    return this.#engine;
  }

  /** The chunk's index does not read back, or not what it should: it is made again. */
  redo(address: ChunkAddress): void {
    this.#forget([address]);
    this.#chunkCame(address);
  }

  /** Runs until the node stops. */
  async run(): Promise<void> {
    const { context } = this.#attached;
    const { stopping, clock } = context;
    while (!stopping.aborted) {
      try {
        if (this.#stale) await this.#begin();
        if (this.#state !== 'open' && (await this.#isNeeded())) await this.#open();
        await this.#reseal();
        this.#halt(await this.#work());
      } catch (error) {
        if (stopping.aborted) break;
        this.#halt(toOperaError(error));
        await this.#reopen(isOperaError(error, 'integrity'));
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        const isHalted = this.#halted !== undefined;
        if (this.#stale || (this.#waiting.size > 0 && this.#state === 'open' && !isHalted)) resolve();
        const isStarting = this.#state !== 'open' && this.#catalogues.size > 0;
        const pause = isStarting || isHalted ? limits.heartbeatMs : limits.indexRoundMs;
        void clock.sleep(pause, { signal: stopping, unref: true }).then(resolve, resolve);
      });
    }
    await this.#engine.close().catch(() => undefined);
  }

  /**
   * Has the index dropped and built anew. Only `run` opens and closes the index: a build under way ends first, and what
   * it made is forgotten with the rest.
   */
  rebuild(): void {
    this.#state = 'closed';
    this.#stale = true;
    this.#forgetAll();
    this.#wake();
  }

  /** Chunks that wait and chunks that failed; `halted` is why the work stands still, when no chunk is to blame. */
  get progress(): { readonly waiting: number; readonly failed: number; readonly halted: string | undefined } {
    const isStarting = this.#state !== 'open' && this.#catalogues.size > 0;
    const waiting = this.#waiting.size + (this.#building === undefined && !isStarting ? 0 : 1);
    return { waiting, failed: this.#failed.size, halted: this.#halted };
  }

  async look(): Promise<AnswerOf<'index.look'>> {
    const runs = [...this.#runs.values()].flatMap((byIndex) => [...byIndex.values()]);
    const sum = (of: (run: Run) => number): number => runs.reduce((total, run) => total + of(run), 0);
    const { waiting, failed, halted } = this.progress;
    const failure = [...this.#failed.values()].at(-1)?.why ?? halted;
    return {
      mode: this.#attached.context.rosters.roster.settings.indexMode,
      chunks: runs.length,
      indexed: sum(({ indexed }) => indexed),
      flagged: sum(({ flagged }) => flagged),
      rejected: sum(({ rejected }) => rejected),
      waiting,
      failed,
      ...(failure === undefined ? {} : { failure }),
      bytes: this.#state === 'open' ? await this.#bytes() : 0,
    };
  }

  /** Damage that shows here is mended at once, not when somebody asks. */
  async #bytes(): Promise<number> {
    try {
      return await this.#engine.bytes();
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
      this.#attached.context.log.error('index-damaged', errorFacts(error));
      this.rebuild();
      return 0;
    }
  }

  get #attached(): IndexCore {
    if (!this.#core) throw new OperaError('not-ready', 'the index is not part of a node yet');
    return this.#core;
  }

  #chunkCame(address: ChunkAddress): void {
    if (!this.#catalogues.has(address.version) || this.runOf(address.version, address.index)) return;
    this.#waiting.set(keyOf(address), address);
    this.#wake();
  }

  /** Chunks usually come after their note; those that were here before it are looked up. */
  #noteCame(version: VersionId): void {
    if (this.#catalogues.has(version)) return;
    this.#catalogues.add(version);
    if (this.#state === 'closed') this.#wake();
    if (this.#state !== 'closed') void this.#enqueueVersion(version).catch(() => undefined);
  }

  #forget(addresses: readonly ChunkAddress[]): void {
    for (const address of addresses) {
      const { version, index } = address;
      this.#waiting.delete(keyOf(address));
      this.#failed.delete(keyOf(address));
      const byIndex = this.#runs.get(version);
      if (!byIndex?.delete(index)) continue;
      if (byIndex.size === 0) this.#runs.delete(version);
      this.#dropping.push({ version, index });
      this.#wake();
    }
  }

  #forgetAll(): void {
    this.#runs.clear();
    this.#waiting.clear();
    this.#failed.clear();
    this.#dropping = [];
  }

  /** The same again and again, as on a full disk, is one fact. */
  #halt(error: OperaError | undefined): void {
    const { log } = this.#attached.context;
    if (error) log[error.message === this.#halted ? 'debug' : 'warn']('index-failed', errorFacts(error));
    this.#halted = error?.message;
  }

  async #begin(): Promise<void> {
    this.#state = 'closed';
    this.#stale = false;
    this.#forgetAll();
    await this.#engine.discard();
  }

  /** After a failure: closed and opened again; begun anew when the file is damaged. */
  async #reopen(damaged: boolean): Promise<void> {
    this.#state = 'closed';
    this.#forgetAll();
    await (damaged ? this.#engine.discard() : this.#engine.close()).catch(() => undefined);
  }

  /** A node without catalogues opens no index and starts no thread. */
  async #isNeeded(): Promise<boolean> {
    return this.#catalogues.size > 0 || (await this.#attached.storage.listNotes(undefined, 1)).items.length > 0;
  }

  async #open(): Promise<void> {
    const { context, keys } = this.#attached;
    if (!keys.hasKeys) return;
    this.#state = 'opening';
    const { indexMode } = context.rosters.roster.settings;
    const { key, runs, replaced } = await this.#engine.open(context.networkId, indexMode);
    if (replaced !== undefined) context.log.warn('index-replaced', { why: replaced, now: 'it is built anew' });
    const kept = await this.#useKey(indexMode, key);
    await this.#compare(kept ? runs : []);
    this.#state = 'open';
  }

  /** False when the index has no key that opens: it was emptied. */
  async #useKey(mode: 'sealed' | 'plain', record: Uint8Array | undefined): Promise<boolean> {
    const { context, keys, self } = this.#attached;
    if (mode === 'plain') {
      await this.#engine.useKey(publicIndexKey);
      return true;
    }
    if (record) {
      try {
        this.#indexKey = openIndexKey(keys.keyring, context.networkId, self, record);
        await this.#engine.useKey(this.#indexKey);
        this.#keyEpoch = indexKeyEpochOf(record);
        return true;
      } catch (error) {
        context.log.warn('index-key-unopened', errorFacts(error));
        await this.#engine.discard();
        await this.#engine.open(context.networkId, mode);
      }
    }
    const indexKey = context.random.bytes(indexKeyBytes);
    await this.#sealKey(indexKey);
    return record === undefined;
  }

  async #sealKey(indexKey: Uint8Array): Promise<void> {
    const { context, keys, self } = this.#attached;
    this.#indexKey = indexKey;
    this.#keyEpoch = keys.keyring.newestEpoch;
    const record = sealIndexKey(keys.keyring, context.networkId, self, indexKey, context.random);
    await this.#engine.useKey(indexKey, record);
  }

  /** After a rotation the key of the index goes under the newest network key; the index stays as it is. */
  async #reseal(): Promise<void> {
    const { keys } = this.#attached;
    if (this.#state !== 'open' || !this.#indexKey || this.#keyEpoch >= keys.keyring.newestEpoch) return;
    await this.#sealKey(this.#indexKey);
  }

  /** Drops what the index has and the store has not; queues what the store has of catalogues and the index has not. */
  async #compare(runs: readonly Run[]): Promise<void> {
    const { storage, context } = this.#attached;
    const byVersion = new Map<VersionId, Run[]>();
    for (const run of runs) byVersion.set(run.version, [...(byVersion.get(run.version) ?? []), run]);
    const gone: Run[] = [];
    for (const [version, indexed] of byVersion) {
      const stored = new Map<number, Uint8Array>();
      for await (const { index, hash } of storedChunks(storage, version)) stored.set(index, hash);
      const kept = indexed.filter(({ chunk, hash }) => equalBytes(stored.get(chunk) ?? new Uint8Array(), hash));
      gone.push(...indexed.filter((run) => !kept.includes(run)));
      if (kept.length > 0) this.#runs.set(version, new Map(kept.map((run) => [run.chunk, run])));
    }
    if (gone.length > 0) await this.#engine.drop(gone);
    for (let after: VersionId | undefined; ; ) {
      const page = await storage.listNotes(after, limits.batchEntriesMax);
      for (const version of page.items) {
        context.stopping.throwIfAborted();
        this.#catalogues.add(version);
        await this.#enqueueVersion(version);
      }
      if (page.next === undefined) break;
      after = page.next;
    }
  }

  async #enqueueVersion(version: VersionId): Promise<void> {
    for await (const { index } of storedChunks(this.#attached.storage, version)) this.#chunkCame({ version, index });
  }

  /** Builds what waits. Answers why it stopped when the disk is full: what is there stays of use and grows no more. */
  async #work(): Promise<OperaError | undefined> {
    const { context } = this.#attached;
    if (this.#state !== 'open') return undefined;
    for (const { address } of this.#failed.values()) this.#waiting.set(keyOf(address), address);
    this.#failed.clear();
    for (;;) {
      context.stopping.throwIfAborted();
      if (this.#state !== 'open' || this.#stale) return undefined;
      const gone = this.#dropping.splice(0);
      if (gone.length > 0) await this.#engine.drop(gone.map(({ version, index }) => ({ version, chunk: index })));
      const [next] = this.#waiting.values();
      if (!next) return undefined;
      this.#waiting.delete(keyOf(next));
      this.#building = keyOf(next);
      try {
        await this.#build(next);
      } catch (error) {
        if (!isOperaError(error, 'no-space')) throw error;
        this.#waiting.set(keyOf(next), next);
        return error;
      } finally {
        this.#building = undefined;
      }
    }
  }

  /** Chunks come first: the index leaves them at least as much of the disk as puts leave free. */
  async #requireSpace(bytes: number): Promise<void> {
    const { unreservedBytes } = await this.#attached.storage.usage();
    if (unreservedBytes === undefined || unreservedBytes >= bytes) return;
    throw new OperaError('no-space', 'the disk is full; the index goes on when there is space');
  }

  async #build(address: ChunkAddress): Promise<void> {
    const { storage, context, copies } = this.#attached;
    const { version, index } = address;
    try {
      const found = await storage.getChunk(address);
      if (!found) return;
      const { info, body } = found;
      if (!equalBytes(sha256(body), info.hash)) {
        copies.report(address);
        throw new OperaError('integrity', 'the stored copy is altered');
      }
      // Its pages stand in the log of the database as well before they are in the file.
      await this.#requireSpace(2 * body.length);
      const catalogue = await this.keysOf(version);
      const run = await this.#engine.build({ catalogue, chunk: index, hash: info.hash, sealed: body });
      // Between reading and writing the chunk may have gone, or been replaced by a good copy.
      const [now] = await storage.listVersion(version, index, index + 1);
      if (!now || !equalBytes(now.hash, run.hash)) {
        this.#dropping.push(address);
        return;
      }
      this.#runs.set(version, (this.#runs.get(version) ?? new Map<number, Run>()).set(index, run));
    } catch (thrown) {
      const error = toOperaError(thrown);
      if (isOperaError(thrown, 'aborted', 'not-ready', 'no-space', 'read-only')) throw thrown;
      context.log.error('chunk-not-indexed', { version, index, ...errorFacts(error) });
      this.#failed.set(keyOf(address), { address, why: `chunk ${index} of ${version}: ${error.message}` });
    }
  }
}
