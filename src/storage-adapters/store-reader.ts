// A node's store as somebody beside it reads it, also while the node runs: a connection that only reads, on the
// caller's thread. It changes nothing in the folder but SQLite's own -wal and -shm. All is read in pages, so that no
// long snapshot keeps the node's WAL from being checkpointed; what comes or goes meanwhile may be seen or not.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import type { VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { systemErrorCode } from '../runtime/files.ts';
import { openSqlite, type SqliteDatabase } from '../runtime/sqlite.ts';
import { StoreReads } from './_sqlite-reads.ts';
import { prepareToRead } from './_sqlite-schema.ts';
import type { ChunkAddress, ChunkInfo, StoredManifest } from './storage-adapter.ts';

export { storeApplicationId } from './_sqlite-schema.ts';

/** Rows and bytes of a whole store. */
export interface StoreCounts {
  readonly storeId: string | undefined;
  readonly chunks: number;
  readonly chunkBytes: number;
  readonly aside: number;
  readonly partitions: number;
  readonly live: number;
  readonly dead: number;
  readonly notes: number;
  /** Chunks of versions whose note is here. */
  readonly catalogueChunks: number;
  /** Manifests by the epoch of their wrap, ascending. */
  readonly wraps: readonly { readonly epoch: number; readonly manifests: number }[];
}

/** Times a read follows a chunk that the node writes anew meanwhile. */
const attemptsMax = 8;

export class StoreReader {
  readonly path: string;
  readonly #database: SqliteDatabase;
  readonly #reads: StoreReads;

  private constructor(path: string, database: SqliteDatabase) {
    this.path = path;
    this.#database = database;
    this.#reads = new StoreReads(database);
  }

  /**
   * Opens `path`, the node.db of a store, with chunks/ beside it. `config` when it is no store or of a newer format,
   * `integrity` when it is damaged.
   */
  static async open(path: string): Promise<StoreReader> {
    const database = await openSqlite(path, { busyTimeoutMs: limits.storeBusyTimeoutMs, readonly: true });
    try {
      prepareToRead(database);
      return new StoreReader(path, database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  counts(): StoreCounts {
    const { store_id: storeId, chunk_count: chunks, chunk_bytes: chunkBytes, aside_count: aside } = this.#reads.store();
    const count = (sql: string): number => this.#database.prepare<[], number>(sql).pluck().get() ?? 0;
    const sql = 'SELECT wrap_epoch AS epoch, count(*) AS manifests FROM manifests GROUP BY 1 ORDER BY 1';
    return {
      storeId: storeId ?? undefined,
      chunks,
      chunkBytes,
      aside,
      partitions: count('SELECT count(DISTINCT partition) FROM chunks'),
      live: count("SELECT count(*) FROM manifests WHERE state = 'live'"),
      dead: count("SELECT count(*) FROM manifests WHERE state = 'dead'"),
      notes: count('SELECT count(*) FROM notes'),
      catalogueChunks: count('SELECT count(*) FROM chunks WHERE version IN (SELECT version FROM notes)'),
      wraps: this.#database.prepare<[], StoreCounts['wraps'][number]>(sql).all(),
    };
  }

  /** Every manifest, by partition and version. */
  *manifests(): Generator<StoredManifest, void, void> {
    for (const partition of this.#reads.listPartitions()) {
      for (let after: string | undefined; ; ) {
        const { items, next } = this.#reads.listManifests(partition, after, limits.batchEntriesMax);
        yield* items;
        if (next === undefined) break;
        after = next;
      }
    }
  }

  manifest(version: VersionId): StoredManifest | undefined {
    return this.#reads.manifest(version);
  }

  /** Every version whose note is kept, ascending. */
  *catalogues(): Generator<VersionId, void, void> {
    for (let after: VersionId | undefined; ; ) {
      const { items, next } = this.#reads.listNotes(after, limits.batchEntriesMax);
      yield* items;
      if (next === undefined) return;
      after = next;
    }
  }

  note(version: VersionId): Uint8Array | undefined {
    return this.#reads.note(version);
  }

  /** Facts of the version's chunks that are here, ascending. */
  *chunks(version: VersionId): Generator<ChunkInfo, void, void> {
    for (let from = 0; ; ) {
      const page = this.#reads.listVersion(version, from, limits.chunkIndexMax + 1);
      yield* page;
      const last = page.at(-1);
      if (!last || page.length < limits.storeVersionPageMax) return;
      from = last.index + 1;
    }
  }

  countChunks(version: VersionId): number {
    const sql = 'SELECT count(*) FROM chunks WHERE version = ?';
    return this.#database.prepare<[string], number>(sql).pluck().get(version) ?? 0;
  }

  /** The whole sealed chunk; undefined when it is gone. `integrity` when its row has no bytes that can be read. */
  chunk(address: ChunkAddress): Uint8Array | undefined {
    for (let attempt = 1; ; attempt++) {
      const found = this.#reads.chunk(address, 0, Number.MAX_SAFE_INTEGER);
      if (!found) return undefined;
      if (found.body) return found.body;
      const path = join(dirname(this.path), 'chunks', found.file ?? '');
      try {
        return new Uint8Array(readFileSync(path));
      } catch (cause) {
        // The node deleted it, or wrote it anew under another name.
        if (systemErrorCode(cause) === 'ENOENT' && attempt < attemptsMax) continue;
        throw new OperaError('integrity', `${path} cannot be read`, { cause });
      }
    }
  }

  close(): void {
    this.#database.close();
  }
}
