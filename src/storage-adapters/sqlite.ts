// The durable store of a node: node.db (read by `sqlite3`) and large sealed bodies as files beside it, in chunks/.
// Invariant: a body is on disk before its row, a row is gone before its file, and nothing is answered before the
// transaction that carries it is fsynced. After a failed fsync the store only reads until it is opened anew; a full
// disk refuses single calls and recovers by itself. Blocking work runs in a worker thread (_sqlite-service.ts).
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { VersionId } from '../model/ids.ts';
import { type Random, SystemRandom } from '../runtime/random.ts';
import { startWorker, type WorkerClient } from '../runtime/worker.ts';
import * as check from './_checks.ts';
import { findDamage } from './_sqlite-damage.ts';
import { measureDiskSpace } from './_disk-space.ts';
import { ChunkFiles, type FileFaults } from './_chunk-files.ts';
import {
  type FoundChunk,
  isLarge,
  knownOutcomes,
  ownBytes,
  packChunks,
  packManifests,
  type PutOutcome,
  type WriteCommand,
} from './_sqlite-rows.ts';
import type { StoreReads } from './_sqlite-reads.ts';
import type {
  ChunkAddress,
  ChunkInfo,
  ChunkWrite,
  ChunkWriteOutcome,
  ManifestWrite,
  ManifestWriteOutcome,
  Page,
  PartitionDigests,
  StorageAdapter,
  StorageFactoryOptions,
  StoredManifest,
  StoreOpening,
  StoreUsage,
  WrapPage,
  WrapPosition,
} from './storage-adapter.ts';

/** Switches that break a promise on purpose, so that the tests of that promise can be seen to fail. */
export interface StorageFaults {
  readonly synchronous?: 'OFF' | 'NORMAL';
  /** The database answers SQLITE_FULL beyond so many pages. */
  readonly databasePagesMax?: number;
  readonly files?: FileFaults;
}

export interface SqliteStorageOptions extends StorageFactoryOptions {
  /** For the names of chunk files; the system's generator by default. */
  readonly random?: Random;
  readonly faults?: StorageFaults;
}

/** Times a read follows a chunk that is deleted and written anew before it gives up. */
const readAttemptsMax = 8;

export class SqliteStorage implements StorageAdapter {
  readonly durable = true;
  readonly #options: SqliteStorageOptions;
  readonly #files: ChunkFiles;
  readonly #underWay = new Set<Promise<unknown>>();
  #phase: 'new' | 'opening' | 'open' | 'closed' = 'new';
  #worker: WorkerClient | undefined;
  #closing: Promise<void> | undefined;
  #failure: OperaError | undefined;
  /** Bytes that were lacking when the disk was last found full; undefined when it was not. */
  #lackingBytes: number | undefined;

  constructor(options: SqliteStorageOptions) {
    this.#options = options;
    this.#files = new ChunkFiles(options.folder, options.random ?? new SystemRandom(), options.faults?.files ?? {});
  }

  async open(): Promise<StoreOpening> {
    if (this.#phase !== 'new') throw new OperaError('not-ready', 'the store was opened before');
    this.#phase = 'opening';
    const { folder, faults } = this.#options;
    const { synchronous: synchronousForTests, databasePagesMax: pagesMaxForTests } = faults ?? {};
    const worker = startWorker('storage', { folder, synchronousForTests, pagesMaxForTests });
    this.#worker = worker;
    try {
      const store = (await worker.call('store', [])) as ReturnType<StoreReads['store']>;
      await this.#files.prepare(async (name) => (await worker.call('files', [name])) as string[]);
      if (this.#closing) throw new OperaError('not-ready', 'the store was closed while it opened');
      this.#phase = 'open';
      return { previousStoreId: store.store_id ?? undefined, writeCounter: store.write_counter };
    } catch (error) {
      this.#phase = 'closed';
      await worker.close();
      throw error;
    }
  }

  async adoptStoreId(storeId: string): Promise<void> {
    check.checkStoreId(storeId);
    await this.#write({ kind: 'adopt-store-id', storeId }, 0);
  }

  async writeCounter(): Promise<number> {
    return (await this.#store()).write_counter;
  }

  async putChunks(chunks: readonly ChunkWrite[]): Promise<ChunkWriteOutcome[]> {
    check.checkChunks(chunks);
    this.#writable();
    return this.#track(this.#putChunks(chunks));
  }

  async getChunk(
    address: ChunkAddress,
    range?: { readonly from: number; readonly to: number },
  ): Promise<{ readonly info: ChunkInfo; readonly body: Uint8Array } | undefined> {
    check.checkAddress(address);
    const { from, to } = range ?? { from: 0, to: Number.MAX_SAFE_INTEGER };
    check.checkRange(from, to);
    this.#ready();
    return this.#track(this.#getChunk(address, from, to));
  }

  async listVersion(version: VersionId, from: number, to: number): Promise<ChunkInfo[]> {
    check.checkRange(from, to);
    return (await this.#read('listVersion', version, from, to)) as ChunkInfo[];
  }

  async listChunks(
    partition: number,
    after: ChunkAddress | undefined,
    limit: number,
  ): Promise<Page<ChunkInfo, ChunkAddress>> {
    check.checkPage(partition, limit);
    return (await this.#read('listChunks', partition, after, limit)) as Page<ChunkInfo, ChunkAddress>;
  }

  async deleteChunks(addresses: readonly ChunkAddress[]): Promise<void> {
    addresses.forEach(check.checkAddress);
    const plain = addresses.map(({ version, index }) => ({ version, index }));
    const files = (await this.#write({ kind: 'delete-chunks', addresses: plain }, 0)) as string[];
    await this.#track(this.#files.remove(files));
  }

  async setAside(address: ChunkAddress, hash: Uint8Array): Promise<boolean> {
    check.checkAddress(address);
    const { version, index } = address;
    const facts = { address: { version, index }, hash: ownBytes(hash), atMs: this.#options.nowMs() };
    return (await this.#write({ kind: 'set-aside', ...facts }, 0)) as boolean;
  }

  async putManifests(manifests: readonly ManifestWrite[]): Promise<ManifestWriteOutcome[]> {
    check.checkManifests(manifests);
    const { records, bytes } = packManifests(manifests);
    return (await this.#write({ kind: 'put-manifests', manifests: records }, bytes)) as ManifestWriteOutcome[];
  }

  async getManifest(version: VersionId): Promise<StoredManifest | undefined> {
    return (await this.#read('manifest', version)) as StoredManifest | undefined;
  }

  async listManifests(
    partition: number,
    after: VersionId | undefined,
    limit: number,
  ): Promise<Page<StoredManifest, VersionId>> {
    check.checkPage(partition, limit);
    return (await this.#read('listManifests', partition, after, limit)) as Page<StoredManifest, VersionId>;
  }

  async deleteManifests(versions: readonly VersionId[]): Promise<void> {
    await this.#write({ kind: 'delete-manifests', versions: [...versions] }, 0);
  }

  async listManifestsBelow(wrapEpoch: number, after: WrapPosition | undefined, limit: number): Promise<WrapPage> {
    check.checkWrapEpoch(wrapEpoch);
    check.checkPage(0, limit);
    return (await this.#read('listManifestsBelow', wrapEpoch, after, limit)) as WrapPage;
  }

  async countManifestsBelow(wrapEpoch: number): Promise<number> {
    check.checkWrapEpoch(wrapEpoch);
    return (await this.#read('countManifestsBelow', wrapEpoch)) as number;
  }

  async highestSequence(): Promise<bigint> {
    return (await this.#read('highestSequence')) as bigint;
  }

  async putNote(version: VersionId, note: Uint8Array): Promise<void> {
    check.checkNote(note);
    await this.#write({ kind: 'put-note', version, note: ownBytes(note) }, note.byteLength);
  }

  async getNote(version: VersionId): Promise<Uint8Array | undefined> {
    return (await this.#read('note', version)) as Uint8Array | undefined;
  }

  async replaceNote(version: VersionId, note: Uint8Array): Promise<boolean> {
    check.checkNote(note);
    return (await this.#write({ kind: 'replace-note', version, note: ownBytes(note) }, note.byteLength)) as boolean;
  }

  async deleteNote(version: VersionId): Promise<void> {
    await this.#write({ kind: 'delete-note', version }, 0);
  }

  async listNotes(after: VersionId | undefined, limit: number): Promise<Page<VersionId, VersionId>> {
    check.checkLimit(limit);
    return (await this.#read('listNotes', after, limit)) as Page<VersionId, VersionId>;
  }

  async listPartitions(): Promise<number[]> {
    return (await this.#read('listPartitions')) as number[];
  }

  async digests(partition: number): Promise<PartitionDigests> {
    check.checkPartition(partition);
    return (await this.#read('digests', partition)) as PartitionDigests;
  }

  async putState(key: string, value: Uint8Array): Promise<void> {
    check.checkState(key, value);
    await this.#write({ kind: 'put-state', key, value: ownBytes(value) }, value.byteLength);
  }

  async getState(key: string): Promise<Uint8Array | undefined> {
    check.checkStateKey(key);
    return (await this.#read('state', key)) as Uint8Array | undefined;
  }

  async listState(prefix: string): Promise<string[]> {
    check.checkStatePrefix(prefix);
    return (await this.#read('listState', prefix)) as string[];
  }

  async deleteState(key: string): Promise<void> {
    check.checkStateKey(key);
    await this.#write({ kind: 'delete-state', key }, 0);
  }

  async findDamage(): Promise<string[]> {
    return this.#ready() && this.#track(findDamage(this.#options.folder));
  }

  async usage(): Promise<StoreUsage> {
    const store = await this.#store();
    const { freeBytes, unreservedBytes } = measureDiskSpace(this.#options.folder);
    if (unreservedBytes >= (this.#lackingBytes ?? 0)) this.#lackingBytes = undefined;
    return {
      chunks: store.chunk_count,
      manifests: store.manifest_count,
      chunkBytes: store.chunk_bytes,
      chunksAside: store.aside_count,
      freeBytes,
      unreservedBytes,
      readOnly: this.#failure !== undefined || this.#lackingBytes !== undefined,
    };
  }

  /** Waits for the calls under way, which still succeed, then ends the worker. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Journal mode and synchronous level of the live connection; for tests. */
  async settings(): Promise<{ readonly journalMode: unknown; readonly synchronous: unknown }> {
    return (await this.#read('settings')) as { journalMode: unknown; synchronous: unknown };
  }

  async #close(): Promise<void> {
    const worker = this.#phase === 'open' ? this.#worker : undefined;
    this.#phase = 'closed';
    if (!worker) return;
    await Promise.allSettled(this.#underWay);
    try {
      await worker.call('close', []);
    } finally {
      await worker.close();
    }
  }

  #ready(): WorkerClient {
    if (this.#phase !== 'open' || !this.#worker) throw new OperaError('not-ready', 'the store is not open');
    return this.#worker;
  }

  #writable(): WorkerClient {
    const worker = this.#ready();
    if (this.#failure) throw this.#failure;
    return worker;
  }

  async #track<Value>(promise: Promise<Value>): Promise<Value> {
    this.#underWay.add(promise);
    return promise.finally(() => this.#underWay.delete(promise));
  }

  async #read(method: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.#track(this.#ready().call(method, args));
  }

  async #store(): Promise<ReturnType<StoreReads['store']>> {
    return (await this.#read('store')) as ReturnType<StoreReads['store']>;
  }

  async #write(command: WriteCommand, bytes: number): Promise<unknown> {
    const worker = this.#writable();
    return this.#track(this.#send(worker, command, bytes));
  }

  async #send(worker: WorkerClient, command: WriteCommand, bytes: number): Promise<unknown> {
    const transfer = command.kind === 'put-chunks' ? [command.bodies.buffer as ArrayBuffer] : [];
    try {
      return await worker.call('write', [command], transfer);
    } catch (error) {
      throw this.#noteFailure(error, bytes);
    }
  }

  /** Remembers what ends writing, or how much a full disk lacked; gives the error back to be thrown. */
  #noteFailure(error: unknown, bytes: number): unknown {
    if (isOperaError(error, 'no-space')) {
      this.#lackingBytes = Math.max(this.#lackingBytes ?? 0, 2 * bytes);
    } else if (isOperaError(error, 'read-only', 'integrity')) {
      const message = `${error.message}; the store takes no writes until it is reopened`;
      this.#failure ??= new OperaError('read-only', message, { cause: error });
    }
    return error;
  }

  async #putChunks(chunks: readonly ChunkWrite[]): Promise<ChunkWriteOutcome[]> {
    const worker = this.#ready();
    const large = chunks.filter(isLarge).map(({ version, index }) => ({ version, index }));
    const infos = large.length > 0 ? await worker.call('infos', [large]) : [];
    const known = knownOutcomes(chunks, infos as (ChunkInfo | undefined)[]);
    const missing = chunks.filter((_, at) => known[at] === undefined);
    const bytes = missing.reduce((sum, { body }) => sum + body.length, 0);
    const files = await this.#writeFiles(missing, bytes);
    const { records, bodies } = packChunks(missing, files, this.#options.nowMs());
    const written = files.flatMap((file) => file ?? []);
    try {
      const command: WriteCommand = { kind: 'put-chunks', chunks: records, bodies };
      const { outcomes, files: replaced } = (await this.#send(worker, command, bytes)) as PutOutcome;
      const unused = files.flatMap((file, at) => (file && outcomes[at] !== 'stored' ? file : []));
      await this.#files.remove([...unused, ...replaced]);
      const next = outcomes.values();
      return known.map((outcome) => outcome ?? next.next().value ?? 'conflict');
    } catch (error) {
      // After any other error the rows may be on disk all the same; then the next open decides by what it finds.
      if (isOperaError(error, 'no-space', 'overloaded')) await this.#files.remove(written);
      throw error;
    }
  }

  /** The file of each large chunk, undefined for the others; all of them or none. */
  async #writeFiles(chunks: readonly ChunkWrite[], bytes: number): Promise<(string | undefined)[]> {
    if (!chunks.some(isLarge)) return chunks.map(() => undefined);
    if (measureDiskSpace(this.#options.folder).unreservedBytes < bytes) {
      throw this.#noteFailure(new OperaError('no-space', `${this.#options.folder}: no space is left`), bytes);
    }
    const write = async (chunk: ChunkWrite): Promise<string | undefined> =>
      isLarge(chunk) ? this.#files.write(chunk, chunk.body) : undefined;
    const settled = await Promise.allSettled(chunks.map(write));
    const failed = settled.find((result) => result.status === 'rejected');
    const files = settled.map((result) => (result.status === 'fulfilled' ? result.value : undefined));
    if (!failed) return files;
    await this.#files.remove(files.flatMap((file) => file ?? []));
    throw this.#noteFailure(failed.reason, bytes);
  }

  async #getChunk(
    address: ChunkAddress,
    from: number,
    to: number,
  ): Promise<{ readonly info: ChunkInfo; readonly body: Uint8Array; readonly path?: string } | undefined> {
    const worker = this.#ready();
    const { version, index } = address;
    let missing = '';
    for (let attempt = 0; attempt < readAttemptsMax; attempt++) {
      const found = (await worker.call('chunk', [{ version, index }, from, to])) as FoundChunk | undefined;
      if (!found) return undefined;
      const { info, body, file } = found;
      const path = file === undefined ? {} : { path: this.#files.pathOf(file) };
      if (body) return { info, body, ...path };
      // The row goes before the file: a missing file whose row is still there was lost, else it was deleted meanwhile.
      if (file === undefined || file === missing) break;
      const start = Math.min(from, info.length);
      const bytes = await this.#files.read(file, start, Math.min(to, info.length));
      if (bytes) return { info, body: bytes, ...path };
      missing = file;
    }
    throw new OperaError('integrity', `chunks/${missing}: the file of a chunk is missing`);
  }
}
