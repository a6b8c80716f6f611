// A store in memory: for simulations, for tests and as the model that other adapters are compared with.
// It is the contract in its plainest form: every call takes effect at once and whole. It is not durable and says so,
// and it never refuses for want of space.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { VersionId } from '../model/ids.ts';
import * as check from './_checks.ts';
import { bucketOf, chunkDigest, digestBytes, manifestDigest, xorInto } from './_digest.ts';
import {
  type ChunkAddress,
  type ChunkInfo,
  type ChunkWrite,
  type ChunkWriteOutcome,
  digestBuckets,
  type ManifestWrite,
  type ManifestWriteOutcome,
  type Page,
  type PartitionDigests,
  type StorageAdapter,
  type StorageFactoryOptions,
  type StoredManifest,
  type StoreOpening,
  type StoreUsage,
  type WrapPage,
  type WrapPosition,
} from './storage-adapter.ts';

interface StoredChunk {
  readonly info: ChunkInfo & { layoutNumber: number };
  readonly body: Uint8Array;
}

interface Partition {
  readonly chunks: Map<string, StoredChunk>;
  readonly manifests: Map<VersionId, StoredManifest>;
  readonly digests: PartitionDigests;
}

/** Text whose order is (version, index): both parts have a fixed length. */
const orderKey = (address: ChunkAddress): string => address.version + address.index.toString(16).padStart(8, '0');

const copyInfo = (info: ChunkInfo): ChunkInfo => ({ ...info, hash: info.hash.slice() });
const copyManifest = (manifest: StoredManifest): StoredManifest => ({
  ...manifest,
  record: manifest.record.slice(),
  signerSpki: manifest.signerSpki.slice(),
});

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Up to `limit` values of `map` whose keys come after `after`, in key order. */
const pageOf = <Value, Key>(
  map: ReadonlyMap<string, Value>,
  after: string | undefined,
  limit: number,
  keyOf: (value: Value) => Key,
): Page<Value, Key> => {
  const keys = [...map.keys()].filter((key) => after === undefined || key > after).sort();
  const items = keys.slice(0, limit).flatMap((key) => map.get(key) ?? []);
  const last = items.at(-1);
  return { items, next: keys.length > limit && last !== undefined ? keyOf(last) : undefined };
};

export class MemoryStorage implements StorageAdapter {
  readonly durable = false;
  readonly #nowMs: () => number;
  readonly #versions = new Map<VersionId, Map<number, StoredChunk>>();
  readonly #manifests = new Map<VersionId, StoredManifest>();
  readonly #partitions = new Map<number, Partition>();
  readonly #notes = new Map<VersionId, Uint8Array>();
  readonly #aside = new Map<string, StoredChunk>();
  readonly #state = new Map<string, Uint8Array>();
  #phase: 'new' | 'open' | 'closed' = 'new';
  #writeCounter = 0;
  #chunkCount = 0;
  #chunkBytes = 0;

  constructor(options: Pick<StorageFactoryOptions, 'nowMs'>) {
    this.#nowMs = options.nowMs;
  }

  async open(): Promise<StoreOpening> {
    if (this.#phase !== 'new') throw new OperaError('not-ready', 'the store was opened before');
    this.#phase = 'open';
    return { previousStoreId: undefined, writeCounter: 0 };
  }

  async adoptStoreId(storeId: string): Promise<void> {
    check.checkStoreId(storeId);
    this.#write();
  }

  async writeCounter(): Promise<number> {
    this.#ready();
    return this.#writeCounter;
  }

  async putChunks(chunks: readonly ChunkWrite[]): Promise<ChunkWriteOutcome[]> {
    check.checkChunks(chunks);
    this.#write();
    return chunks.map((chunk) => this.#putChunk(chunk));
  }

  async getChunk(
    address: ChunkAddress,
    range?: { readonly from: number; readonly to: number },
  ): Promise<{ readonly info: ChunkInfo; readonly body: Uint8Array } | undefined> {
    check.checkAddress(address);
    if (range) check.checkRange(range.from, range.to);
    this.#ready();
    const stored = this.#versions.get(address.version)?.get(address.index);
    return stored && { info: copyInfo(stored.info), body: stored.body.slice(range?.from, range?.to) };
  }

  async listVersion(version: VersionId, from: number, to: number): Promise<ChunkInfo[]> {
    check.checkRange(from, to);
    this.#ready();
    const stored = [...(this.#versions.get(version)?.values() ?? [])];
    const within = stored.filter(({ info }) => info.index >= from && info.index < to);
    within.sort((a, b) => a.info.index - b.info.index);
    return within.slice(0, limits.storeVersionPageMax).map(({ info }) => copyInfo(info));
  }

  async listChunks(
    partition: number,
    after: ChunkAddress | undefined,
    limit: number,
  ): Promise<Page<ChunkInfo, ChunkAddress>> {
    check.checkPage(partition, limit);
    this.#ready();
    const chunks: ReadonlyMap<string, StoredChunk> = this.#partitions.get(partition)?.chunks ?? new Map();
    const page = pageOf(chunks, after && orderKey(after), limit, ({ info }): ChunkAddress => {
      return { version: info.version, index: info.index };
    });
    return { items: page.items.map(({ info }) => copyInfo(info)), next: page.next };
  }

  async deleteChunks(addresses: readonly ChunkAddress[]): Promise<void> {
    addresses.forEach(check.checkAddress);
    this.#write();
    for (const address of addresses) {
      this.#aside.delete(orderKey(address));
      this.#removeChunk(address);
    }
  }

  async setAside(address: ChunkAddress, hash: Uint8Array): Promise<boolean> {
    check.checkAddress(address);
    this.#write();
    const stored = this.#versions.get(address.version)?.get(address.index);
    if (!stored || !sameBytes(stored.info.hash, hash)) return false;
    this.#removeChunk(address);
    this.#aside.set(orderKey(address), stored);
    return true;
  }

  async putManifests(manifests: readonly ManifestWrite[]): Promise<ManifestWriteOutcome[]> {
    check.checkManifests(manifests);
    this.#write();
    return manifests.map((manifest) => this.#putManifest(manifest));
  }

  async getManifest(version: VersionId): Promise<StoredManifest | undefined> {
    this.#ready();
    const manifest = this.#manifests.get(version);
    return manifest && copyManifest(manifest);
  }

  async listManifests(
    partition: number,
    after: VersionId | undefined,
    limit: number,
  ): Promise<Page<StoredManifest, VersionId>> {
    check.checkPage(partition, limit);
    this.#ready();
    const manifests: ReadonlyMap<VersionId, StoredManifest> = this.#partitions.get(partition)?.manifests ?? new Map();
    const page = pageOf(manifests, after, limit, ({ version }) => version);
    return { items: page.items.map(copyManifest), next: page.next };
  }

  async deleteManifests(versions: readonly VersionId[]): Promise<void> {
    this.#write();
    for (const version of versions) this.#removeManifest(version);
  }

  async listManifestsBelow(wrapEpoch: number, after: WrapPosition | undefined, limit: number): Promise<WrapPage> {
    check.checkWrapEpoch(wrapEpoch);
    check.checkPage(0, limit);
    this.#ready();
    const order = (at: WrapPosition): string => at.wrapEpoch.toString(16).padStart(8, '0') + at.version;
    const below = this.#below(wrapEpoch).map((manifest) => [order(manifest), manifest] as const);
    const page = pageOf(new Map(below), after && order(after), limit, ({ version, wrapEpoch: epoch }) => {
      return { wrapEpoch: epoch, version };
    });
    return { items: page.items.map(copyManifest), next: page.next };
  }

  async countManifestsBelow(wrapEpoch: number): Promise<number> {
    check.checkWrapEpoch(wrapEpoch);
    this.#ready();
    return this.#below(wrapEpoch).length;
  }

  #below(wrapEpoch: number): StoredManifest[] {
    return [...this.#manifests.values()].filter((manifest) => manifest.wrapEpoch < wrapEpoch);
  }

  async highestSequence(): Promise<bigint> {
    this.#ready();
    let highest = 0n;
    for (const { sequence } of this.#manifests.values()) if (sequence > highest) highest = sequence;
    return highest;
  }

  async putNote(version: VersionId, note: Uint8Array): Promise<void> {
    check.checkNote(note);
    this.#write();
    if (!this.#notes.has(version)) this.#notes.set(version, note.slice());
  }

  async getNote(version: VersionId): Promise<Uint8Array | undefined> {
    this.#ready();
    return this.#notes.get(version)?.slice();
  }

  async replaceNote(version: VersionId, note: Uint8Array): Promise<boolean> {
    check.checkNote(note);
    this.#write();
    if (!this.#notes.has(version)) return false;
    this.#notes.set(version, note.slice());
    return true;
  }

  async deleteNote(version: VersionId): Promise<void> {
    this.#write();
    this.#notes.delete(version);
  }

  async listNotes(after: VersionId | undefined, limit: number): Promise<Page<VersionId, VersionId>> {
    check.checkLimit(limit);
    this.#ready();
    const versions = new Map([...this.#notes.keys()].map((version) => [version, version]));
    return pageOf(versions, after, limit, (version) => version);
  }

  async listPartitions(): Promise<number[]> {
    this.#ready();
    return [...this.#partitions.keys()].sort((a, b) => a - b);
  }

  async digests(partition: number): Promise<PartitionDigests> {
    check.checkPartition(partition);
    this.#ready();
    const digests = this.#partitions.get(partition)?.digests;
    const copyOf = (bytes: Uint8Array | undefined) => bytes?.slice() ?? new Uint8Array(digestBuckets * digestBytes);
    return { chunks: copyOf(digests?.chunks), manifests: copyOf(digests?.manifests) };
  }

  async putState(key: string, value: Uint8Array): Promise<void> {
    check.checkState(key, value);
    this.#write();
    this.#state.set(key, value.slice());
  }

  async getState(key: string): Promise<Uint8Array | undefined> {
    check.checkStateKey(key);
    this.#ready();
    return this.#state.get(key)?.slice();
  }

  async listState(prefix: string): Promise<string[]> {
    check.checkStatePrefix(prefix);
    this.#ready();
    return [...this.#state.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  async deleteState(key: string): Promise<void> {
    check.checkStateKey(key);
    this.#write();
    this.#state.delete(key);
  }

  async findDamage(): Promise<string[]> {
    this.#ready();
    return [];
  }

  async usage(): Promise<StoreUsage> {
    this.#ready();
    return {
      chunks: this.#chunkCount,
      manifests: this.#manifests.size,
      chunkBytes: this.#chunkBytes,
      chunksAside: this.#aside.size,
      freeBytes: undefined,
      readOnly: false,
    };
  }

  async close(): Promise<void> {
    this.#phase = 'closed';
  }

  #ready(): void {
    if (this.#phase !== 'open') throw new OperaError('not-ready', 'the store is not open');
  }

  #write(): void {
    this.#ready();
    this.#writeCounter += 1;
  }

  #partition(number: number): Partition {
    let partition = this.#partitions.get(number);
    if (!partition) {
      const empty = (): Uint8Array => new Uint8Array(digestBuckets * digestBytes);
      partition = { chunks: new Map(), manifests: new Map(), digests: { chunks: empty(), manifests: empty() } };
      this.#partitions.set(number, partition);
    }
    return partition;
  }

  #putChunk(chunk: ChunkWrite): ChunkWriteOutcome {
    const chunks = this.#versions.get(chunk.version) ?? new Map<number, StoredChunk>();
    const kept = chunks.get(chunk.index);
    if (kept) {
      if (!sameBytes(kept.info.hash, chunk.hash)) return 'conflict';
      kept.info.layoutNumber = Math.min(kept.info.layoutNumber, chunk.layoutNumber);
      return 'present';
    }
    const { version, index, partition, servedHour, layoutNumber, body } = chunk;
    const at = { version, index, partition, servedHour, layoutNumber };
    const facts = { ...at, length: body.length, storedAtMs: this.#nowMs() };
    const stored: StoredChunk = { info: { ...facts, hash: chunk.hash.slice() }, body: body.slice() };
    this.#aside.delete(orderKey(chunk));
    this.#versions.set(version, chunks.set(index, stored));
    this.#partition(partition).chunks.set(orderKey(chunk), stored);
    this.#toggleChunk(stored.info);
    this.#chunkCount += 1;
    this.#chunkBytes += body.length;
    return 'stored';
  }

  #removeChunk(address: ChunkAddress): void {
    const chunks = this.#versions.get(address.version);
    const stored = chunks?.get(address.index);
    if (!chunks || !stored) return;
    chunks.delete(address.index);
    if (chunks.size === 0) this.#versions.delete(address.version);
    this.#partition(stored.info.partition).chunks.delete(orderKey(address));
    this.#toggleChunk(stored.info);
    this.#chunkCount -= 1;
    this.#chunkBytes -= stored.body.length;
  }

  #toggleChunk(info: ChunkInfo): void {
    const { chunks } = this.#partition(info.partition).digests;
    xorInto(chunks, chunkDigest(info, info.hash), bucketOf(info.version) * digestBytes);
  }

  #putManifest(manifest: ManifestWrite): ManifestWriteOutcome {
    const kept = this.#manifests.get(manifest.version);
    if (kept) {
      const order = Number(manifest.sequence - kept.sequence) || manifest.wrapEpoch - kept.wrapEpoch;
      if (order === 0 && sameBytes(kept.record, manifest.record)) return 'present';
      if (order <= 0) return 'stale';
      this.#removeManifest(manifest.version);
    }
    const stored = copyManifest(manifest);
    this.#manifests.set(manifest.version, stored);
    this.#partition(manifest.partition).manifests.set(manifest.version, stored);
    this.#toggleManifest(stored);
    return 'stored';
  }

  #removeManifest(version: VersionId): void {
    const kept = this.#manifests.get(version);
    if (!kept) return;
    this.#manifests.delete(version);
    this.#partition(kept.partition).manifests.delete(version);
    this.#toggleManifest(kept);
  }

  #toggleManifest(manifest: StoredManifest): void {
    const { manifests } = this.#partition(manifest.partition).digests;
    xorInto(manifests, manifestDigest(manifest), bucketOf(manifest.version) * digestBytes);
  }
}
