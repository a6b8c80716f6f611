// The worker service `inspect`: SQLite blocks its thread, and a question over a whole store may take minutes, so it has
// one that can be ended. One read-only connection, with node.db attached as `node` and index.db as `idx`, and
// the opened tables as virtual ones, which make rows as they are asked for.
// Invariants: exactly one statement runs, and only one that reads; nothing that was opened touches a disk (SQLite's
// temporary tables are in memory, and the connection cannot write).
import { basename, dirname, join, resolve } from 'node:path';
import { statSync } from 'node:fs';
import type { EpochKey } from '../crypto/key-chain.ts';
import { Keyring } from '../crypto/keyring.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { KeyHash, NetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { indexApplicationId, readIndexOverview } from '../roles/node/index-file.ts';
import { SystemClock } from '../runtime/clock.ts';
import { systemErrorCode } from '../runtime/files.ts';
import { openSqlite, type SqliteDatabase, sqliteCodeOf, toSqliteError } from '../runtime/sqlite.ts';
import { defineWorkerService, type WorkerService } from '../runtime/worker.ts';
import { storeApplicationId, StoreReader } from '../storage-adapters/store-reader.ts';
import { type IndexLook, lookAtIndex, lookAtStore, type StoreLook } from './_inspect-overview.ts';
import { Faults, fileColumns, OpenedStore, systemColumns } from './_inspect-tables.ts';

export interface InspectOptions {
  /** node.db, index.db or the folder they are in. */
  readonly path: string;
  readonly network: NetworkId;
  readonly keys: readonly EpochKey[];
  /** Nodes of the roster: the index is one of theirs. */
  readonly nodes: readonly KeyHash[];
}

export interface InspectLook {
  readonly store: StoreLook | undefined;
  readonly index: IndexLook | undefined;
}

export interface Begun {
  readonly columns: readonly string[];
  readonly catalogues: number;
  readonly catalogueChunks: number;
}

/** A value of an answer; blobs as hex. */
export type InspectCell = string | number | bigint | null;

export interface Batch {
  readonly rows: readonly (readonly InspectCell[])[];
  readonly done: boolean;
}

/** What is to be told beside the answer. */
export interface Told {
  /** Sentences that were not told before: of what does not open, and of what was left out. */
  readonly sentences: readonly string[];
  readonly unopened: number;
  readonly codes: Faults['codes'];
}

/** A batch ends after so long, so that what was found is seen, and the thread can be ended. */
const batchMs = 250;
/** It ends after so many characters: one row may hold a manifest of 2 MiB, which is 4 in hex. */
const batchCharactersMax = 1_000_000;

const openToRead = (path: string): Promise<SqliteDatabase> =>
  openSqlite(path, { busyTimeoutMs: limits.storeBusyTimeoutMs, readonly: true });

interface Files {
  readonly node: string | undefined;
  readonly index: string | undefined;
  /** Named itself, so that it must be readable. */
  readonly named: 'node' | 'index' | 'folder';
}

const kindOf = (path: string): 'file' | 'folder' | undefined => {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw new OperaError('config', `${path} cannot be looked at`, { cause: error });
  }
};

const ifFile = (path: string): string | undefined => (kindOf(path) === 'file' ? path : undefined);

const whichFolder = 'Name the data folder of a node; under `opera up --dir DIR` it is DIR/node-1';

const findFiles = async (given: string): Promise<Files> => {
  const path = resolve(given);
  const kind = kindOf(path);
  if (!kind) throw new OperaError('not-found', `${path} does not exist`, { hint: whichFolder });
  const folder = kind === 'folder' ? path : dirname(path);
  const [node, index] = [ifFile(join(folder, 'node.db')), ifFile(join(folder, 'index.db'))];
  if (kind === 'folder') {
    if (node === undefined && index === undefined) {
      throw new OperaError('config', `${path} holds no node.db and no index.db`, { hint: whichFolder });
    }
    return { node, index, named: 'folder' };
  }
  const id = await applicationIdOf(path);
  if (id === storeApplicationId) return { node: path, index, named: 'node' };
  if (id === indexApplicationId) return { node, index: path, named: 'index' };
  throw new OperaError('config', `${path}: neither the store nor the index of a node`, { hint: whichFolder });
};

/** What kind of database it is; `config` for a file that was never one, `integrity` for a damaged one of a node. */
const applicationIdOf = async (path: string): Promise<unknown> => {
  try {
    const database = await openToRead(path);
    const id = database.pragma('application_id', { simple: true });
    database.close();
    return id;
  } catch (error) {
    const isNodes = basename(path) === 'node.db' || basename(path) === 'index.db';
    if (isNodes || !isOperaError(error, 'integrity')) throw error;
    throw new OperaError('config', `${path}: neither the store nor the index of a node`, {
      cause: error,
      hint: whichFolder,
    });
  }
};

const cellOf = (value: unknown): InspectCell => {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex');
  return value as InspectCell;
};

/** What SQLite says of a statement is about the statement, unless it says that a file is at fault. */
const statementError = (error: unknown, path: string): OperaError => {
  if (isOperaError(error)) return error;
  const code = sqliteCodeOf(error);
  const isOurs = error instanceof RangeError || code === 'SQLITE_ERROR' || code === 'SQLITE_AUTH';
  if (!isOurs && code !== undefined) return toSqliteError(error, path);
  if (!isOurs) throw error;
  return new OperaError('usage', `SQL: ${error instanceof Error ? error.message : ''}`, { cause: error });
};

class Inspection {
  readonly #files: Files;
  readonly #keyring: Keyring;
  readonly #nodes: readonly KeyHash[];
  readonly #faults = new Faults();
  readonly #clock = new SystemClock();
  readonly #database: SqliteDatabase;
  readonly #store: StoreReader | undefined;
  readonly #opened: OpenedStore | undefined;
  readonly #sentences: string[] = [];
  #rows: Iterator<unknown> | undefined;

  private constructor(
    options: InspectOptions,
    files: Files,
    database: SqliteDatabase,
    store: StoreReader | undefined,
    sentences: readonly string[],
  ) {
    this.#files = files;
    this.#keyring = new Keyring(options.network, options.keys);
    this.#nodes = options.nodes;
    this.#database = database;
    this.#store = store;
    this.#opened = store && new OpenedStore(store, this.#keyring, this.#faults);
    this.#sentences.push(...sentences);
    this.#opened?.requireNetwork();
  }

  static async open(options: InspectOptions): Promise<Inspection> {
    const found = await findFiles(options.path);
    const sentences: string[] = [];
    const store = found.node === undefined ? undefined : await StoreReader.open(found.node);
    let { index } = found;
    if (index !== undefined) {
      // The index is derived: one that cannot be read does not keep anybody from the store.
      const trouble = await Inspection.#checkIndex(index);
      if (trouble && store && found.named !== 'index') {
        sentences.push(`left out: ${trouble.message}`);
        index = undefined;
      } else if (trouble) throw trouble;
    }
    const files = { ...found, index };
    const main = files.node ?? index ?? '';
    const database = await openToRead(main);
    // Attached files are opened as the main one is: for reading only.
    if (files.node !== undefined) database.prepare('ATTACH ? AS node').run(files.node);
    if (index !== undefined) database.prepare('ATTACH ? AS idx').run(index);
    const inspection = new Inspection(options, files, database, store, sentences);
    inspection.#defineTables();
    return inspection;
  }

  static async #checkIndex(path: string): Promise<OperaError | undefined> {
    try {
      const database = await openToRead(path);
      try {
        readIndexOverview(database);
        return undefined;
      } finally {
        database.close();
      }
    } catch (error) {
      return toSqliteError(error, path);
    }
  }

  async look(): Promise<InspectLook> {
    const { node, index: path } = this.#files;
    const store = this.#store && this.#opened && lookAtStore(this.#store, this.#opened);
    if (path === undefined) return { store, index: undefined };
    const database = await openToRead(path);
    let looked: Omit<IndexLook, 'vouched'>;
    try {
      looked = lookAtIndex(database, path, this.#keyring, this.#nodes, this.#faults);
    } finally {
      database.close();
    }
    const sql = `SELECT count(*) FROM idx.runs r JOIN node.chunks c USING (version, chunk_index)
      WHERE c.sha256 = r.sha256`;
    const vouched = node === undefined ? undefined : this.#database.prepare<[], number>(sql).pluck().get();
    return { store, index: { ...looked, vouched } };
  }

  begin(sql: string): Begun {
    try {
      const statement = this.#database.prepare(sql);
      if (!statement.readonly || !statement.reader) {
        throw new OperaError('usage', 'SQL: only a statement that reads, and answers rows, is run here');
      }
      const columns = statement.columns().map(({ name }) => name);
      this.#rows = statement.raw(true).safeIntegers(true).iterate();
      const { notes: catalogues = 0, catalogueChunks = 0 } = this.#store?.counts() ?? {};
      return { columns, catalogues, catalogueChunks };
    } catch (error) {
      throw statementError(error, this.#database.name);
    }
  }

  next(rowsMax: number): Batch {
    const rows: InspectCell[][] = [];
    try {
      const end = this.#clock.monotonicMs() + batchMs;
      for (let characters = 0; rows.length < rowsMax && characters < batchCharactersMax; ) {
        const step = this.#rows?.next();
        if (!step || step.done) return { rows, done: true };
        const row = (step.value as readonly unknown[]).map(cellOf);
        rows.push(row);
        for (const cell of row) if (typeof cell === 'string') characters += cell.length;
        if (this.#clock.monotonicMs() > end) break;
      }
      return { rows, done: false };
    } catch (error) {
      throw statementError(error, this.#database.name);
    }
  }

  told(): Told {
    const sentences = [...this.#sentences.splice(0), ...this.#faults.take()];
    return { sentences, unopened: this.#faults.total, codes: this.#faults.codes };
  }

  #defineTables(): void {
    const opened = this.#opened;
    if (!opened) return;
    // A file that was tampered with must not answer in the place of what was opened.
    for (const schema of ['node', ...(this.#files.index === undefined ? [] : ['idx'])]) {
      const sql = `SELECT name FROM ${schema}.sqlite_schema WHERE name IN ('files_open', 'star_systems_open')`;
      const name = this.#database.prepare<[], string>(sql).pluck().get();
      if (name !== undefined) throw new OperaError('integrity', `${this.#database.name}: it has a table ${name}`);
    }
    this.#database.table('files_open', {
      columns: [...fileColumns],
      *rows() {
        yield* opened.files();
      },
    });
    this.#database.table('star_systems_open', {
      columns: [...systemColumns],
      parameters: ['of_file'],
      *rows(of: unknown) {
        // Without an argument; a null never comes here.
        if (of === undefined || typeof of === 'string') yield* opened.systems(of);
      },
    });
  }
}

defineWorkerService('inspect', async (options: InspectOptions): Promise<WorkerService> => {
  const inspection = await Inspection.open(options);
  return {
    look: () => inspection.look().catch((error: unknown) => Promise.reject(statementError(error, options.path))),
    begin: (sql: string) => inspection.begin(sql),
    next: (rowsMax: number) => inspection.next(rowsMax),
    told: () => inspection.told(),
  };
});
