// index.db: a node's index over the star systems in the chunks it holds. Derived, and never more: it is written without
// fsync, may be deleted at any time, and is built anew from the chunks. The only file that knows its tables:
//   index_store   one row: format, mode, field table, the sealed index key (none in plain mode)
//   runs          one row for each indexed chunk: which, of which bytes, how many records; sealed facts about it
//   pages         sealed postings and places (src/index/postings.ts); id = run · 2^22 + kind · 2^21 + number
//   systems       plain mode only: a row a record, columns by the names of the field table; view star_systems
import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { OperaError } from '../../errors/errors.ts';
import { fieldNames, fieldTable, fieldTableVersion } from '../../index/fields.ts';
import type { StarSystem } from '../../index/star-system.ts';
import { parseVersionId, type VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { openSqlite, type SqliteDatabase, type SqliteStatement, toSqliteError } from '../../runtime/sqlite.ts';

export type IndexMode = 'sealed' | 'plain';

/** "OPRI" in ASCII. */
export const indexApplicationId = 0x4f_50_52_49;
/** Raised with what codes are made of: 3 rounds derived values, and codes of other values would miss records. */
const formatVersion = 3;

export const pageKinds = { postings: 0, places: 1 } as const;
export type PageKind = keyof typeof pageKinds;
/** Facts are kept in their run's row, sealed as a page of this kind. */
export const factsKind = 2;

export interface Run {
  readonly run: number;
  readonly version: VersionId;
  readonly chunk: number;
  /** SHA-256 of the sealed chunk it was made from. */
  readonly hash: Uint8Array;
  readonly indexed: number;
  readonly flagged: number;
  readonly rejected: number;
}

/** Of which chunk and bytes an index is made, and the salt that it is sealed with. */
export interface RunHead extends Pick<Run, 'version' | 'chunk' | 'hash'> {
  readonly salt: Uint8Array;
}

/** What is known of a chunk's index when all of it is made. */
export interface RunTotals extends Pick<Run, 'indexed' | 'flagged' | 'rejected'> {
  /** Sealed. */
  readonly facts: Uint8Array;
}

/** Takes the parts of a chunk's index one by one, so that they are never in memory together. */
export interface RunSink {
  /** Writes a sealed page; afterwards `body` is the caller's again. */
  page(kind: PageKind, number: number, body: Uint8Array): void;
  /** Writes a record's row in plain mode, and nothing in sealed mode. */
  system(ordinal: number, system: StarSystem): void;
}

const sqlTypes = { number: 'REAL', integer: 'INTEGER', flag: 'INTEGER', text: 'TEXT', cell: 'BLOB' } as const;

/** Columns that people look for first. */
const sqlIndexed = ['name', 'hip', 'ra', 'dec', 'dist_pc', 'mag_v', 'spectral_type'] as const;

const tables = `
CREATE TABLE index_store (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  mode TEXT NOT NULL CHECK (mode IN ('sealed', 'plain')),
  field_table INTEGER NOT NULL,
  index_key BLOB
) STRICT;
CREATE TABLE runs (
  run INTEGER PRIMARY KEY AUTOINCREMENT,
  version TEXT NOT NULL,
  chunk_index INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  indexed INTEGER NOT NULL,
  flagged INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  salt BLOB NOT NULL,
  facts BLOB NOT NULL,
  UNIQUE (version, chunk_index)
) STRICT;
CREATE TABLE pages (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE VIEW page_overview AS
  SELECT id >> 22 AS run, CASE (id >> 21) & 1 WHEN 0 THEN 'postings' ELSE 'places' END AS kind,
    id & 0x1fffff AS number, length(body) AS bytes
  FROM pages;
`;

const plainTables = `
CREATE TABLE systems (
  run INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  ${fieldNames.map((name) => `${name} ${sqlTypes[fieldTable[name].type]}`).join(',\n  ')},
  aliases TEXT,
  PRIMARY KEY (run, ordinal)
) STRICT, WITHOUT ROWID;
${sqlIndexed.map((name) => `CREATE INDEX systems_${name} ON systems (${name}) WHERE ${name} IS NOT NULL;`).join('\n')}
CREATE VIEW star_systems AS
  SELECT version, chunk_index, ordinal, ${fieldNames.join(', ')}, aliases FROM systems JOIN runs USING (run);
`;

/** Lowest row of a run's pages of one kind. */
const rowOf = (run: number, kind: PageKind, number: number): number =>
  run * 2 ** 22 + pageKinds[kind] * 2 ** 21 + number;

interface RunRow extends Omit<Run, 'chunk' | 'hash' | 'version'> {
  readonly version: string;
  readonly chunk_index: number;
  readonly sha256: Buffer;
}

const runOf = ({ run, version, chunk_index: chunk, sha256, indexed, flagged, rejected }: RunRow): Run => ({
  run,
  version: parseVersionId(version),
  chunk,
  hash: new Uint8Array(sha256),
  indexed,
  flagged,
  rejected,
});

const sqlValue = (value: unknown): string | number | null => {
  if (typeof value === 'boolean') return Number(value);
  return typeof value === 'string' || typeof value === 'number' ? value : null;
};

/** True for a file of this format, mode and field table; anything else is made anew. */
const isCurrent = (database: SqliteDatabase, mode: IndexMode): boolean => {
  if (database.pragma('application_id', { simple: true }) !== indexApplicationId) return false;
  if (database.pragma('user_version', { simple: true }) !== formatVersion) return false;
  const sql = 'SELECT mode, field_table FROM index_store';
  const row = database.prepare<[], { mode: string; field_table: number }>(sql).get();
  return row?.mode === mode && row.field_table === fieldTableVersion;
};

/** What an index says of itself and holds, for one who looks into the file from beside. */
export interface IndexOverview {
  readonly mode: IndexMode;
  /** Number of the field table. */
  readonly fields: number;
  /** The sealed index key; undefined in plain mode. */
  readonly key: Uint8Array | undefined;
  readonly runs: number;
  readonly indexed: number;
  readonly flagged: number;
  readonly rejected: number;
  readonly pages: number;
  readonly pageBytes: number;
}

/** `config` when the database is no index, or one of a format that this program does not read. */
export const readIndexOverview = (database: SqliteDatabase): IndexOverview => {
  if (database.pragma('application_id', { simple: true }) !== indexApplicationId) {
    throw new OperaError('config', `${database.name}: a database, but not the index of a node`);
  }
  const found = database.pragma('user_version', { simple: true });
  if (found !== formatVersion) {
    const message = `${database.name}: format ${found}, this program reads format ${formatVersion}`;
    throw new OperaError('config', message, { hint: 'install the version of the program that wrote it' });
  }
  const sql = `SELECT mode, field_table AS fields, index_key AS key, r.*, p.* FROM index_store,
    (SELECT count(*) AS runs, total(indexed) AS indexed, total(flagged) AS flagged, total(rejected) AS rejected
      FROM runs) r,
    (SELECT count(*) AS pages, total(length(body)) AS pageBytes FROM pages) p`;
  const row = database.prepare<[], Omit<IndexOverview, 'key'> & { readonly key: Buffer | null }>(sql).get();
  if (!row) throw new OperaError('integrity', `${database.name}: the table index_store is empty`);
  return { ...row, key: row.key ? new Uint8Array(row.key) : undefined };
};

const create = (database: SqliteDatabase, mode: IndexMode): void => {
  database.transaction(() => {
    database.exec(tables);
    if (mode === 'plain') database.exec(plainTables);
    database.prepare('INSERT INTO index_store VALUES (1, ?, ?, NULL)').run(mode, fieldTableVersion);
    database.pragma(`application_id = ${indexApplicationId}`);
    database.pragma(`user_version = ${formatVersion}`);
  })();
};

export const removeIndexFile = (folder: string): void => {
  for (const end of ['', '-wal', '-shm']) rmSync(join(folder, `index.db${end}`), { force: true });
};

const isEmpty = (database: SqliteDatabase): boolean =>
  database.prepare<[], number>('SELECT count(*) FROM sqlite_schema').pluck().get() === 0;

const bytesOfFile = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

export class IndexFile {
  readonly #database: SqliteDatabase;
  readonly #mode: IndexMode;
  readonly #page: SqliteStatement<[number], { body: Buffer }>;
  /** Why the file that was there had to go for this one; undefined when it was of use, or none was there. */
  readonly replaced: string | undefined;

  private constructor(database: SqliteDatabase, mode: IndexMode, replaced?: string) {
    this.#database = database;
    this.#mode = mode;
    this.replaced = replaced;
    this.#page = database.prepare('SELECT body FROM pages WHERE id = ?');
  }

  /** Opens the file in `folder`, or makes it when it is absent, damaged or of another kind; memory without a folder. */
  static async open(folder: string | undefined, mode: IndexMode): Promise<IndexFile> {
    let replaced: string | undefined;
    for (let attempt = 1; ; attempt++) {
      const path = folder === undefined ? ':memory:' : join(folder, 'index.db');
      const options = { busyTimeoutMs: limits.storeBusyTimeoutMs, derived: true };
      try {
        // With its mode before SQLite opens it: in plain mode the file is readable, and the files beside it follow.
        if (folder !== undefined) closeSync(openSync(path, 'a', 0o600));
        const database = await openSqlite(path, options);
        if (isEmpty(database)) create(database, mode);
        if (isCurrent(database, mode)) return new IndexFile(database, mode, replaced);
        database.close();
        replaced = `${path}: an index of another format or mode`;
        if (attempt > 1) throw new OperaError('internal', `${path}: the index cannot be made`);
      } catch (error) {
        const { code, message } = toSqliteError(error, path);
        if (attempt > 1 || code !== 'integrity') throw toSqliteError(error, path);
        replaced = message;
      }
      if (folder !== undefined) removeIndexFile(folder);
    }
  }

  /** A second connection, of another thread, that only reads. */
  static async openToRead(folder: string, mode: IndexMode): Promise<IndexFile> {
    const options = { busyTimeoutMs: limits.storeBusyTimeoutMs, readonly: true };
    return new IndexFile(await openSqlite(join(folder, 'index.db'), options), mode);
  }

  /** The sealed index key; undefined in a new file and in plain mode. */
  get key(): Uint8Array | undefined {
    const found = this.#database.prepare<[], Buffer | null>('SELECT index_key FROM index_store').pluck().get();
    return found ? new Uint8Array(found) : undefined;
  }

  set key(record: Uint8Array | undefined) {
    this.#database.prepare('UPDATE index_store SET index_key = ?').run(record ?? null);
  }

  runs(): Run[] {
    const sql = 'SELECT run, version, chunk_index, sha256, indexed, flagged, rejected FROM runs ORDER BY run';
    return this.#database.prepare<[], RunRow>(sql).all().map(runOf);
  }

  /** Salt and sealed facts of a run; undefined when it was dropped. */
  head(run: number): { readonly salt: Uint8Array; readonly facts: Uint8Array } | undefined {
    const sql = 'SELECT salt, facts FROM runs WHERE run = ?';
    return this.#database.prepare<[number], { salt: Buffer; facts: Buffer }>(sql).get(run);
  }

  page(run: number, kind: PageKind, number: number): Uint8Array | undefined {
    return this.#page.get(rowOf(run, kind, number))?.body;
  }

  /** Puts what `fill` makes in the place of an older index of the chunk; when `fill` throws, all is as before. */
  put({ version, chunk, hash, salt }: RunHead, fill: (sink: RunSink) => RunTotals): Run {
    return this.#database.transaction((): Run => {
      this.#drop(version, chunk);
      const begin = `INSERT INTO runs (version, chunk_index, sha256, indexed, flagged, rejected, salt, facts)
        VALUES (?, ?, ?, 0, 0, 0, ?, x'')`;
      const run = Number(this.#database.prepare(begin).run(version, chunk, hash, salt).lastInsertRowid);
      const insert = this.#database.prepare('INSERT INTO pages VALUES (?, ?)');
      const { facts, indexed, flagged, rejected } = fill({
        page: (kind, number, body) => void insert.run(rowOf(run, kind, number), body),
        system: this.#mode === 'plain' ? this.#systemsOf(run) : () => undefined,
      });
      const end = 'UPDATE runs SET indexed = ?, flagged = ?, rejected = ?, facts = ? WHERE run = ?';
      this.#database.prepare(end).run(indexed, flagged, rejected, facts, run);
      return { run, version, chunk, hash, indexed, flagged, rejected };
    })();
  }

  drop(chunks: readonly { readonly version: VersionId; readonly chunk: number }[]): void {
    this.#database.transaction(() => {
      for (const { version, chunk } of chunks) this.#drop(version, chunk);
    })();
  }

  /** Bytes on disk, with those of the log beside it; in memory without a folder. */
  get bytes(): number {
    // Asked in any case, since it reads the file: damage shows.
    const pages = Number(this.#database.pragma('page_count', { simple: true }));
    const { name, memory } = this.#database;
    if (memory) return pages * Number(this.#database.pragma('page_size', { simple: true }));
    return bytesOfFile(name) + bytesOfFile(`${name}-wal`);
  }

  close(): void {
    this.#database.close();
  }

  #drop(version: VersionId, chunk: number): void {
    const found = this.#database
      .prepare<[string, number], number>('DELETE FROM runs WHERE version = ? AND chunk_index = ? RETURNING run')
      .pluck()
      .get(version, chunk);
    if (found === undefined) return;
    const [from, to] = [rowOf(found, 'postings', 0), rowOf(found + 1, 'postings', 0)];
    this.#database.prepare('DELETE FROM pages WHERE id >= ? AND id < ?').run(from, to);
    if (this.#mode === 'plain') this.#database.prepare('DELETE FROM systems WHERE run = ?').run(found);
  }

  #systemsOf(run: number): RunSink['system'] {
    const places = Array.from({ length: fieldNames.length + 3 }, () => '?').join(', ');
    const insert = this.#database.prepare(`INSERT INTO systems VALUES (${places})`);
    return (ordinal, { values, names }) => {
      const others = names.filter((name) => name !== values.name);
      const row = fieldNames.map((name) => sqlValue(values[name]));
      insert.run(run, ordinal, ...row, others.length > 0 ? others.join('|') : null);
    };
  }
}
