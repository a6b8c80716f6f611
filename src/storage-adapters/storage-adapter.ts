// The contract of a node's store: sealed chunks, manifests, notes and small state records, durable on one machine.
// An adapter keeps what it is given and never interprets it: it holds no keys and knows no layout.
// Every implementation passes test/acceptance/storage-adapter.ts; third parties run the same suite
// (docs/storage-adapters.md).
//
// Durability: when a promise of a writing method resolves, the write survives kill -9 and power loss (fsynced),
// unless the adapter says `durable: false`. Writes of one call are atomic; concurrent calls may share one fsync.
// Errors: `no-space` (nothing of that call was kept), `read-only` (an earlier fsync or write failed: the adapter
// takes no more writes until it is opened anew, reads go on), `integrity` (a stored row or file cannot be read back;
// at open: the store as a whole), `overloaded` (another process holds the store for a moment; the call may be
// repeated), `bad-request` and `too-large` (an argument breaks a limit below; nothing was touched). After `no-space`
// the next write tries again: a full disk recovers by itself, and deletes stay possible as far as the disk lets them.
// Buffers: the adapter copies or fully consumes what it is given before its promise resolves, callers may then reuse
// it; what it returns belongs to the caller.
// Concurrency: any number of calls may be in flight. A read that starts after a write resolved sees that write.
// After close() every call rejects with `not-ready`; closing twice is allowed.
import type { KeyHash, VersionId } from '../model/ids.ts';

/** Buckets of anti-entropy digests within one partition; a version's bucket is the low 6 bits of its id's last byte. */
export const digestBuckets = 64;

export interface ChunkAddress {
  readonly version: VersionId;
  /** Chunk index in [0, 2^31). */
  readonly index: number;
}

export interface ChunkWrite extends ChunkAddress {
  /** Partition in [0, 4096), computed by the caller from the address. */
  readonly partition: number;
  /** SHA-256 of `body`, 32 bytes, already checked by the caller. */
  readonly hash: Uint8Array;
  /** Sealed bytes, 16 to 4,195,328. */
  readonly body: Uint8Array;
  /** Served hours of the network at this write (u32); the age of a chunk is counted in these. */
  readonly servedHour: number;
  /** Number of the layout under which the node took the chunk (u32). */
  readonly layoutNumber: number;
}

/**
 * stored: new; present: the same hash was there; conflict: another hash is there and was kept. `present` keeps the row
 * as it is, but for its layout number: the lower one of the two stays, durably, because the chunk was held then.
 */
export type ChunkWriteOutcome = 'stored' | 'present' | 'conflict';

export interface ChunkInfo extends ChunkAddress {
  readonly partition: number;
  readonly hash: Uint8Array;
  /** Length of the sealed body in bytes. */
  readonly length: number;
  readonly servedHour: number;
  /** The lowest layout number it was put under. */
  readonly layoutNumber: number;
  /** Wall-clock time of the write in ms, for people and for the 60 s window of anti-entropy. */
  readonly storedAtMs: number;
}

export interface ManifestWrite {
  readonly version: VersionId;
  /** Partition of chunk 0 of the version. */
  readonly partition: number;
  /** In [0, 2^63). */
  readonly sequence: bigint;
  /** u32. */
  readonly wrapEpoch: number;
  readonly state: 'live' | 'dead';
  /** The whole record as in docs/formats.md, wrap included. */
  readonly record: Uint8Array;
  readonly signer: KeyHash;
  readonly signerSpki: Uint8Array;
  readonly servedHour: number;
}

export type StoredManifest = ManifestWrite;

/** Place in the order of wraps. */
export type WrapPosition = Pick<StoredManifest, 'wrapEpoch' | 'version'>;
export type WrapPage = Page<StoredManifest, WrapPosition>;

/**
 * stored: new or newer by (sequence, wrapEpoch); present: identical order and bytes; stale: a higher one is kept, or
 * one of the same order with other bytes (a master that finished another's commit signed it anew): the first one stays,
 * and callers that must tell the two apart compare with getManifest.
 */
export type ManifestWriteOutcome = 'stored' | 'present' | 'stale';

/** Inside the hashes versions are 16 bytes, numbers big-endian, states 1 for live and 2 for dead. */
export interface PartitionDigests {
  /** Per bucket the XOR over its chunks of SHA-256(version ‖ index u32 ‖ hash); digestBuckets × 32 bytes. */
  readonly chunks: Uint8Array;
  /** Per bucket the XOR over its manifests of SHA-256(version ‖ sequence u64 ‖ wrapEpoch u32 ‖ state u8). */
  readonly manifests: Uint8Array;
}

export interface StoreUsage {
  readonly chunks: number;
  readonly manifests: number;
  /** Sealed bytes of all chunks. */
  readonly chunkBytes: number;
  /** Altered copies that are kept out of sight. */
  readonly chunksAside: number;
  /** Free bytes of the file system the store lives on; undefined where there is none. */
  readonly freeBytes: number | undefined;
  /**
   * The part of them that puts may take, below zero when they take none; absent where it is not known. What else grows
   * beside the store, as an index does, stops no later than puts.
   */
  readonly unreservedBytes?: number;
  /** Writes fail: after a failed write or fsync for good, on a full disk until what did not fit would fit. */
  readonly readOnly: boolean;
}

export interface StoreOpening {
  /** The id the store carried when it was opened; undefined when it is blank. 32 hex characters. */
  readonly previousStoreId: string | undefined;
  /** Rises by at least one in every fsynced batch; 0 in a blank store. */
  readonly writeCounter: number;
}

/** A page of a keyset listing: `next` is what to pass as `after`; undefined at the end. */
export interface Page<Item, Key> {
  readonly items: readonly Item[];
  readonly next: Key | undefined;
}

export interface StorageAdapter {
  /** False when what is acknowledged may be lost with the process (memory). */
  readonly durable: boolean;

  /** Opens or creates the store. Called once, before anything else. Removes leftovers of interrupted writes. */
  open(): Promise<StoreOpening>;
  /** Writes the store id drawn for this opening (32 hex characters), durably. */
  adoptStoreId(storeId: string): Promise<void>;
  /** The write counter after the newest durable batch. */
  writeCounter(): Promise<number>;

  /** Stores up to 1,000 chunks; outcomes in order. A `conflict` keeps what is there and does not fail the others. */
  putChunks(chunks: readonly ChunkWrite[]): Promise<ChunkWriteOutcome[]>;
  /**
   * Sealed bytes of one chunk with its hash. `range` is [from, to) in bytes of the sealed body, clamped to its end;
   * a whole body is not hashed again here (callers do). undefined when absent. `path`, where there is one, is a file
   * that holds the sealed body and nothing else until the chunk is removed or found to be bad: threads may read it.
   */
  getChunk(
    address: ChunkAddress,
    range?: { readonly from: number; readonly to: number },
  ): Promise<{ readonly info: ChunkInfo; readonly body: Uint8Array; readonly path?: string } | undefined>;
  /** Facts of one version's chunks with indices in [from, to), ascending, without absent ones; the first 65,536. */
  listVersion(version: VersionId, from: number, to: number): Promise<ChunkInfo[]>;
  /** Chunks of one partition by (version, index), strictly after `after`; `limit` 1 to 10,000. */
  listChunks(partition: number, after: ChunkAddress | undefined, limit: number): Promise<Page<ChunkInfo, ChunkAddress>>;
  /** Removes chunks, and what was set aside of them; absent ones are ignored. The row goes before the file. */
  deleteChunks(addresses: readonly ChunkAddress[]): Promise<void>;
  /**
   * Takes a copy that was found altered out of sight: afterwards it is absent for every other call, digests and counts
   * included, but its bytes are kept, as far as they can be, until a put of the same address is `stored` or a delete
   * names it. Only a copy whose hash is `hash` is meant. False when there is none.
   */
  setAside(address: ChunkAddress, hash: Uint8Array): Promise<boolean>;

  /** Stores up to 1,000 manifests, keeping per version the highest (sequence, wrapEpoch); outcomes in order. */
  putManifests(manifests: readonly ManifestWrite[]): Promise<ManifestWriteOutcome[]>;
  getManifest(version: VersionId): Promise<StoredManifest | undefined>;
  /** Manifests of one partition by version, strictly after `after`; `limit` 1 to 10,000. */
  listManifests(
    partition: number,
    after: VersionId | undefined,
    limit: number,
  ): Promise<Page<StoredManifest, VersionId>>;
  deleteManifests(versions: readonly VersionId[]): Promise<void>;
  /**
   * Manifests whose wrap is of a lower key epoch, by (wrapEpoch, version), strictly after `after`; `limit` 1 to 10,000.
   * Quick when there is none, however many manifests are kept: it is asked every few seconds.
   */
  listManifestsBelow(wrapEpoch: number, after: WrapPosition | undefined, limit: number): Promise<WrapPage>;
  /** How many manifests listManifestsBelow lists in all. */
  countManifestsBelow(wrapEpoch: number): Promise<number>;
  /** Highest sequence of any manifest kept; 0n when there is none. */
  highestSequence(): Promise<bigint>;

  /**
   * The sealed note of a catalogue version, at most 1 MiB; the first one kept wins, a later put of other bytes is
   * ignored.
   */
  putNote(version: VersionId, note: Uint8Array): Promise<void>;
  getNote(version: VersionId): Promise<Uint8Array | undefined>;
  /** Another note in the place of the one kept, as after a rotation; false, and nothing is kept, when there is none. */
  replaceNote(version: VersionId, note: Uint8Array): Promise<boolean>;
  deleteNote(version: VersionId): Promise<void>;
  /** Versions whose note is kept, ascending, strictly after `after`; `limit` 1 to 10,000. */
  listNotes(after: VersionId | undefined, limit: number): Promise<Page<VersionId, VersionId>>;

  /** Partitions that hold chunks or manifests, ascending; may name some that once did. */
  listPartitions(): Promise<number[]>;
  /** Digests of one partition, kept in the transaction that changes them. */
  digests(partition: number): Promise<PartitionDigests>;

  /**
   * Small durable records of the role (promises, layouts, served hours), at most 1 MiB each; a key has 1 to 200
   * printable ASCII characters.
   */
  putState(key: string, value: Uint8Array): Promise<void>;
  getState(key: string): Promise<Uint8Array | undefined>;
  /** Keys that begin with `prefix` (empty for all), in ASCII order. */
  listState(prefix: string): Promise<string[]>;
  deleteState(key: string): Promise<void>;

  /**
   * Looks for damage of the store itself (its database, not the bodies of chunks, which carry hashes): sentences for
   * people, none when it is whole. It may take minutes and must not hold up other calls.
   */
  findDamage(): Promise<string[]>;

  usage(): Promise<StoreUsage>;
  /** Lets the calls under way finish, then releases everything. */
  close(): Promise<void>;
}

/**
 * What a module loaded with `--storage ./my-adapter.mjs` exports as `createStorage`. Its errors are told apart by a
 * `code` property with one of the codes above; any other error is `internal`.
 */
export interface StorageFactory {
  createStorage(options: StorageFactoryOptions): StorageAdapter | Promise<StorageAdapter>;
}

export interface StorageFactoryOptions {
  /** The node's data folder; exists, 0700. */
  readonly folder: string;
  /** Wall-clock milliseconds, for storedAtMs. */
  readonly nowMs: () => number;
}
