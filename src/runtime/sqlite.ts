// Opening of SQLite files: the only importer of better-sqlite3, loaded on the first open so that commands without a
// database start fast. Invariant: every connection that can write runs WAL with synchronous=FULL, because a reopened
// WAL file falls back to NORMAL, which loses acknowledged commits at a power cut. Only files that
// say they are derived do with NORMAL.
// better-sqlite3 blocks its thread: open from worker threads or one-shot commands only. No schema and no retry here.
import type { Database } from 'better-sqlite3';
import { OperaError } from '../errors/errors.ts';

export type { Database as SqliteDatabase, Statement as SqliteStatement } from 'better-sqlite3';

export interface SqliteOptions {
  /** Longest wait for another connection's lock before `overloaded`. At most 250 where a role shares the file. */
  readonly busyTimeoutMs: number;
  /** Opens an existing file for reading only; sets no journal mode and writes nothing. */
  readonly readonly?: boolean;
  /** Pages in the WAL after which a commit checkpoints by itself; SQLite's 1000 by default, 0 for never. */
  readonly walAutocheckpointPages?: number;
  /** What it holds can be made again from elsewhere: commits are not fsynced, a power cut may take the last ones. */
  readonly derived?: boolean;
  /** For tests that must fail without fsync; production never passes it. */
  readonly synchronousForTests?: 'OFF' | 'NORMAL';
}

/** SQLite's own extended code (`SQLITE_BUSY_SNAPSHOT`, …), undefined for any other error. */
export const sqliteCodeOf = (error: unknown): string | undefined => {
  if (!(error instanceof Error) || error.name !== 'SqliteError' || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
};

/** True when another connection holds the lock: nothing was changed and the same step may be repeated. */
export const isSqliteBusy = (error: unknown): boolean => /^SQLITE_(BUSY|LOCKED)/.test(sqliteCodeOf(error) ?? '');

/** SQLite's error in our words; `file` is the path that a person must look at. Others become `internal`. */
export const toSqliteError = (error: unknown, file: string): OperaError => {
  if (error instanceof OperaError) return error;
  const code = sqliteCodeOf(error) ?? '';
  const fail = (as: OperaError['code'], message: string): OperaError =>
    new OperaError(as, `${file}: ${message}`, { cause: error });
  // The shared-memory file grows by a write whose ENOSPC SQLite reports as an I/O error of its own.
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE') return fail('no-space', 'no space is left');
  if (code.startsWith('SQLITE_CORRUPT')) return fail('integrity', 'the database is damaged');
  if (code === 'SQLITE_NOTADB') return fail('integrity', 'the file is not a SQLite database');
  if (code.startsWith('SQLITE_IOERR')) return fail('read-only', `the disk failed (${code})`);
  if (code.startsWith('SQLITE_READONLY')) return fail('read-only', 'the file or its folder cannot be written');
  if (isSqliteBusy(error)) return fail('overloaded', 'another process holds the database');
  if (/^SQLITE_(CANTOPEN|PERM|AUTH)/.test(code)) return fail('config', 'the file cannot be opened');
  return fail('internal', 'an unexpected database error');
};

/** A process that is just ending may still hold the lock; a second covers it, and a person does not wait long. */
const lockTimeoutMs = 1_000;

const configure = (database: Database, options: SqliteOptions): void => {
  database.pragma('temp_store = MEMORY');
  database.pragma('foreign_keys = ON');
  database.pragma('trusted_schema = OFF');
  if (options.readonly) return;
  const mode = database.pragma('journal_mode = WAL', { simple: true });
  if (mode !== 'wal' && mode !== 'memory') {
    throw new OperaError('config', `${database.name}: the file system does not carry a WAL (journal mode ${mode})`);
  }
  database.pragma(`synchronous = ${options.synchronousForTests ?? (options.derived ? 'NORMAL' : 'FULL')}`);
  if (options.walAutocheckpointPages !== undefined) {
    database.pragma(`wal_autocheckpoint = ${options.walAutocheckpointPages}`);
  }
};

/**
 * Opens (and creates, unless readonly) the SQLite file at `path`; its folder must exist. The caller closes it.
 * Errors: `integrity` (damaged or no database), `config` (cannot be opened), `overloaded`, `no-space`, `read-only`.
 */
export const openSqlite = async (path: string, options: SqliteOptions): Promise<Database> => {
  const { default: Connection } = await import('better-sqlite3');
  let database: Database | undefined;
  try {
    const readonly = options.readonly ?? false;
    database = new Connection(path, { readonly, fileMustExist: readonly, timeout: options.busyTimeoutMs });
    configure(database, options);
    // Pragmas alone do not read the header of an existing file; this does, so damage shows here and not later.
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof TypeError)
      throw new OperaError('config', `${path}: the folder does not exist`, { cause: error });
    throw toSqliteError(error, path);
  }
};

/**
 * Takes an advisory lock that only one process (and one owner in it) can hold; the system drops it with the process,
 * kill -9 included. `path` becomes an empty file that stays. Returns the release; `config` when someone else holds it.
 */
export const acquireFileLock = async (path: string): Promise<() => void> => {
  const { default: Connection } = await import('better-sqlite3');
  let lock: Database | undefined;
  try {
    lock = new Connection(path, { timeout: lockTimeoutMs });
    // An exclusive transaction without a write holds the operating system's lock and touches no byte of the file.
    lock.exec('BEGIN EXCLUSIVE');
    const held = lock;
    return () => held.close();
  } catch (error) {
    lock?.close();
    if (!isSqliteBusy(error)) throw toSqliteError(error, path);
    throw new OperaError('config', `${path}: in use by another process`, { cause: error });
  }
};
