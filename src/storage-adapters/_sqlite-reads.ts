// The reads of a node's store as statements. Each is one snapshot; pages go by key, never by offset.
// A chunk whose body is a file is answered with the file's name, and with a short part of it.
import { dirname, join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import type { VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { readFilePart } from '../runtime/files.ts';
import type { SqliteDatabase } from '../runtime/sqlite.ts';
import { digestBytes } from './_digest.ts';
import {
  type ChunkRow,
  chunkOfRow,
  type FoundChunk,
  type ManifestRow,
  manifestOfRow,
  ownBytes,
} from './_sqlite-rows.ts';
import {
  type ChunkAddress,
  type ChunkInfo,
  digestBuckets,
  type Page,
  type PartitionDigests,
  type StoredManifest,
  type WrapPage,
  type WrapPosition,
} from './storage-adapter.ts';

interface StoreRow {
  readonly store_id: string | null;
  readonly write_counter: number;
  readonly chunk_count: number;
  readonly chunk_bytes: number;
  readonly manifest_count: number;
  readonly aside_count: number;
}

const chunkColumns =
  'version, chunk_index, partition, sha256, sealed_bytes, served_hour, layout, stored_at_ms, body_id, file';
const manifestColumns = 'version, partition, sequence, wrap_epoch, state, served_hour, signer, signer_spki, record';

const prepareReads = (database: SqliteDatabase) => ({
  store: database.prepare<[], StoreRow>('SELECT *, (SELECT count(*) FROM aside) AS aside_count FROM store'),
  chunk: database.prepare<[string, number], ChunkRow>(
    `SELECT ${chunkColumns} FROM chunks WHERE version = ? AND chunk_index = ?`,
  ),
  body: database
    .prepare<[number, number, number], Uint8Array>('SELECT substr(body, ?, ?) FROM bodies WHERE body_id = ?')
    .pluck(),
  version: database.prepare<[string, number, number, number], ChunkRow>(
    `SELECT ${chunkColumns} FROM chunks WHERE version = ? AND chunk_index >= ? AND chunk_index < ?
     ORDER BY chunk_index LIMIT ?`,
  ),
  chunkPage: database.prepare<[number, string, number, number], ChunkRow>(
    `SELECT ${chunkColumns} FROM chunks WHERE partition = ? AND (version, chunk_index) > (?, ?)
     ORDER BY version, chunk_index LIMIT ?`,
  ),
  manifest: database
    .prepare<[string], ManifestRow>(`SELECT ${manifestColumns} FROM manifests WHERE version = ?`)
    .safeIntegers(),
  manifestPage: database
    .prepare<[number, string, number], ManifestRow>(
      `SELECT ${manifestColumns} FROM manifests WHERE partition = ? AND version > ? ORDER BY version LIMIT ?`,
    )
    .safeIntegers(),
  below: database
    .prepare<[number, number, string, number], ManifestRow>(
      `SELECT ${manifestColumns} FROM manifests WHERE wrap_epoch < ? AND (wrap_epoch, version) > (?, ?)
       ORDER BY wrap_epoch, version LIMIT ?`,
    )
    .safeIntegers(),
  countBelow: database.prepare<[number], number>('SELECT count(*) FROM manifests WHERE wrap_epoch < ?').pluck(),
  highest: database.prepare<[], bigint | null>('SELECT max(sequence) FROM manifests').pluck().safeIntegers(),
  note: database.prepare<[string], Uint8Array>('SELECT note FROM notes WHERE version = ?').pluck(),
  notes: database
    .prepare<[string, number], VersionId>('SELECT version FROM notes WHERE version > ? ORDER BY version LIMIT ?')
    .pluck(),
  state: database.prepare<[string], Uint8Array>('SELECT value FROM state WHERE key = ?').pluck(),
  // Keys are printable ASCII, so DEL ends the range of a prefix exactly.
  stateKeys: database
    .prepare<[string, string], string>('SELECT key FROM state WHERE key >= ? AND key < ? || char(127) ORDER BY key')
    .pluck(),
  partitions: database.prepare<[], number>('SELECT DISTINCT partition FROM digests ORDER BY partition').pluck(),
  digests: database.prepare<[number], { bucket: number; chunks: Uint8Array; manifests: Uint8Array }>(
    'SELECT bucket, chunks, manifests FROM digests WHERE partition = ?',
  ),
  files: database
    .prepare<{ folder: string }, string>(
      `SELECT file FROM chunks WHERE file >= @folder || '/' AND file < @folder || '0'
       UNION ALL SELECT file FROM aside WHERE file >= @folder || '/' AND file < @folder || '0'`,
    )
    .pluck(),
});

/** Reads of one connection. */
export class StoreReads {
  readonly #database: SqliteDatabase;
  readonly #statements: ReturnType<typeof prepareReads>;

  constructor(database: SqliteDatabase) {
    this.#database = database;
    this.#statements = prepareReads(database);
  }

  store(): StoreRow {
    const row = this.#statements.store.get();
    if (!row) throw new OperaError('integrity', `${this.#database.name}: the table store is empty`);
    return row;
  }

  /** The chunk with bytes [from, to) of its body if that lies in the database, or is short and in its file. */
  chunk(address: ChunkAddress, from: number, to: number): FoundChunk | undefined {
    const row = this.#statements.chunk.get(address.version, address.index);
    if (!row) return undefined;
    const info = chunkOfRow(row);
    const start = Math.min(from, info.length);
    const length = Math.min(to, info.length) - start;
    if (row.body_id === null) {
      const file = row.file ?? undefined;
      return { info, body: file === undefined ? undefined : this.#shortPart(file, start, length), file };
    }
    const body = this.#statements.body.get(start + 1, length, row.body_id);
    if (body?.length !== length) {
      throw new OperaError('integrity', `${this.#database.name}: the body of a chunk is missing or short`);
    }
    return { info, body: ownBytes(body), file: undefined };
  }

  /**
   * A few segments of a file are read here: outside they would cost three more ways through another thread each, four
   * times as long. Undefined when they are longer, or not to be had: whoever asked reads them, and says why not.
   */
  #shortPart(file: string, start: number, length: number): Uint8Array | undefined {
    if (length > limits.storeShortReadBytes) return undefined;
    return readFilePart(join(dirname(this.#database.name), 'chunks', file), start, start + length);
  }

  /** The facts of the chunk at each address, undefined where there is none. */
  infos(addresses: readonly ChunkAddress[]): (ChunkInfo | undefined)[] {
    return addresses.map(({ version, index }) => {
      const row = this.#statements.chunk.get(version, index);
      return row && chunkOfRow(row);
    });
  }

  listVersion(version: string, from: number, to: number): ChunkInfo[] {
    return this.#statements.version.all(version, from, to, limits.storeVersionPageMax).map(chunkOfRow);
  }

  listChunks(partition: number, after: ChunkAddress | undefined, limit: number): Page<ChunkInfo, ChunkAddress> {
    const rows = this.#statements.chunkPage.all(partition, after?.version ?? '', after?.index ?? -1, limit + 1);
    const items = rows.slice(0, limit).map(chunkOfRow);
    const last = items.at(-1);
    return { items, next: rows.length > limit && last ? { version: last.version, index: last.index } : undefined };
  }

  manifest(version: string): StoredManifest | undefined {
    const row = this.#statements.manifest.get(version);
    return row && manifestOfRow(row);
  }

  listManifests(partition: number, after: string | undefined, limit: number): Page<StoredManifest, string> {
    const rows = this.#statements.manifestPage.all(partition, after ?? '', limit + 1);
    const items = rows.slice(0, limit).map(manifestOfRow);
    return { items, next: rows.length > limit ? items.at(-1)?.version : undefined };
  }

  listManifestsBelow(wrapEpoch: number, after: WrapPosition | undefined, limit: number): WrapPage {
    const rows = this.#statements.below.all(wrapEpoch, after?.wrapEpoch ?? -1, after?.version ?? '', limit + 1);
    const items = rows.slice(0, limit).map(manifestOfRow);
    const last = items.at(-1);
    return {
      items,
      next: rows.length > limit && last ? { wrapEpoch: last.wrapEpoch, version: last.version } : undefined,
    };
  }

  countManifestsBelow(wrapEpoch: number): number {
    return this.#statements.countBelow.get(wrapEpoch) ?? 0;
  }

  highestSequence(): bigint {
    return this.#statements.highest.get() ?? 0n;
  }

  note(version: string): Uint8Array | undefined {
    const note = this.#statements.note.get(version);
    return note && ownBytes(note);
  }

  listNotes(after: string | undefined, limit: number): Page<VersionId, VersionId> {
    const rows = this.#statements.notes.all(after ?? '', limit + 1);
    const items = rows.slice(0, limit);
    return { items, next: rows.length > limit ? items.at(-1) : undefined };
  }

  state(key: string): Uint8Array | undefined {
    const value = this.#statements.state.get(key);
    return value && ownBytes(value);
  }

  listState(prefix: string): string[] {
    return this.#statements.stateKeys.all(prefix, prefix);
  }

  listPartitions(): number[] {
    return this.#statements.partitions.all();
  }

  digests(partition: number): PartitionDigests {
    const chunks = new Uint8Array(digestBuckets * digestBytes);
    const manifests = new Uint8Array(digestBuckets * digestBytes);
    for (const row of this.#statements.digests.all(partition)) {
      chunks.set(row.chunks, row.bucket * digestBytes);
      manifests.set(row.manifests, row.bucket * digestBytes);
    }
    return { chunks, manifests };
  }

  /** Files of chunks and of copies aside in one folder of chunks/, as `<folder>/<name>`; '0' comes after '/'. */
  files(folder: string): string[] {
    return this.#statements.files.all({ folder });
  }
}
