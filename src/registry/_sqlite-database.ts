// One connection to the registry file inside the worker thread, and the rules every step on it keeps: the file at the
// path is still the one that is open (a deleted file goes on taking writes), writes begin IMMEDIATE, a held lock is
// retried with jitter for a bounded time, and SQLite's errors become ours.
// Decision: when another file stands at the path it is opened, and its life gate (device:inode against the one its
// incarnation was raised under) refuses name steps until the incarnation is raised; when none stands there, the
// registry is lost. It knows no table but `life`.
import { closeSync, existsSync, fsyncSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { OperaError, type ErrorCode, isOperaError } from '../errors/errors.ts';
import { type Clock, SystemClock } from '../runtime/clock.ts';
import { randomFraction, SystemRandom } from '../runtime/random.ts';
import {
  isSqliteBusy,
  openSqlite,
  type SqliteDatabase,
  sqliteCodeOf,
  type SqliteStatement,
  toSqliteError,
} from '../runtime/sqlite.ts';
import { unsettled } from './_check.ts';
import { createSchema, hasSchema, migrateSchema } from './_sqlite-schema.ts';

/** A held lock blocks this thread so long before it is asked again; more would starve the thread's other calls. */
const busyTimeoutMs = 100;
/** Total patience with locks, then `registry-unavailable`: several roles share the file, a step takes milliseconds. */
const lockPatienceMs = 4000;
const retryJitterMs = 40;

type Value = string | number | bigint | Uint8Array | null;

interface Prepared {
  readonly statement: SqliteStatement<unknown[]>;
  /** better-sqlite3 takes `?1` for a name: such statements are bound by an object. */
  readonly numbered: boolean;
}

/** Statements by their text, prepared once. Parameters are `?` in order, or `?1` … `?n`. */
export class Rows {
  readonly #database: SqliteDatabase;
  readonly #statements = new Map<string, Prepared>();

  constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  #prepare(sql: string, values: readonly Value[]): [SqliteStatement<unknown[]>, readonly unknown[]] {
    let prepared = this.#statements.get(sql);
    if (!prepared) {
      prepared = { statement: this.#database.prepare<unknown[]>(sql), numbered: sql.includes('?1') };
      this.#statements.set(sql, prepared);
    }
    const bound = prepared.numbered ? [Object.fromEntries(values.map((value, at) => [at + 1, value]))] : values;
    return [prepared.statement, bound];
  }

  /** Number of rows changed. */
  run(sql: string, ...values: Value[]): number {
    const [statement, bound] = this.#prepare(sql, values);
    return statement.run(...bound).changes;
  }

  get<Row>(sql: string, ...values: Value[]): Row | undefined {
    const [statement, bound] = this.#prepare(sql, values);
    return statement.get(...bound) as Row | undefined;
  }

  all<Row>(sql: string, ...values: Value[]): Row[] {
    const [statement, bound] = this.#prepare(sql, values);
    return statement.all(...bound) as Row[];
  }
}

export interface LifeRow {
  readonly network_id: string;
  readonly incarnation: number;
  readonly raised_under: string;
  readonly sequence: number;
  readonly key_epoch: number;
  readonly newest_layout: number;
  readonly retired_layouts: number;
  readonly placements_layout: number;
  readonly lease_epoch: number;
}

/** What a step works on: the rows, the life as it stands, and the registry's clock. */
export interface StepContext {
  readonly rows: Rows;
  readonly life: LifeRow;
  /** The present lifeId; unlike `life.raised_under` when the file was replaced or rolled back. */
  readonly lifeId: string;
  readonly nowMs: number;
  /** Highest incarnation this process saw in the file; a rollback ends only with a higher one. */
  readonly incarnationSeen: number;
}

interface OpenFile {
  readonly database: SqliteDatabase;
  readonly rows: Rows;
  readonly fileId: string;
}

const fileIdOf = (path: string): string | undefined => {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
};

const unavailable = (message: string, cause?: unknown): OperaError =>
  new OperaError('registry-unavailable', `the registry cannot be used: ${message}`, { cause });

const keptCodes: readonly ErrorCode[] = ['config'];

/** A damaged database and the files beside it move to this name; nothing deletes them. */
const damagedPath = (path: string, nowMs: number): string => `${path}.damaged-${nowMs}`;

export class RegistryDatabase {
  readonly #path: string;
  readonly #clock: Clock = new SystemClock();
  readonly #random = new SystemRandom();
  #open: OpenFile | undefined;
  /** The file in which damage was met: it is as good as lost, whatever can still be read of it. */
  #damaged: string | undefined;
  /** Highest (incarnation, sequence) seen in this file by this process: less is a rollback by other hands. */
  #seen = { fileId: '', seen: { incarnation: 0, sequence: 0 } };

  constructor(path: string) {
    this.#path = path;
  }

  /** A step that only reads, on one snapshot. */
  read<T>(nowMs: number, body: (context: StepContext) => T): Promise<T> {
    return this.#patiently((file) => this.#inTransaction(file, 'BEGIN', () => body(this.#contextOf(file, nowMs))));
  }

  /** A step that writes, whole or not at all, fsynced when it resolves. */
  write<T>(nowMs: number, body: (context: StepContext) => T): Promise<T> {
    return this.#patiently((file) => {
      const answer = this.#inTransaction(file, 'BEGIN IMMEDIATE', () => body(this.#contextOf(file, nowMs)));
      if (fileIdOf(this.#path) !== file.fileId) throw unavailable('its file was replaced during a step');
      return answer;
    });
  }

  /**
   * Makes the file (0600) and its tables when they are not there; `exists` when a network is. With `setAside` a damaged
   * file makes room first, and is kept.
   */
  async create(body: (rows: Rows, lifeId: string) => void, setAside = false): Promise<void> {
    if (setAside) await this.#setAside();
    this.#makeFile();
    await this.#patiently((file) =>
      this.#inTransaction(file, 'BEGIN IMMEDIATE', () => {
        if (!hasSchema(file.database)) createSchema(file.database);
        const known = file.rows.get('SELECT 1 FROM life');
        if (known) throw new OperaError('exists', 'the registry holds a network already');
        body(file.rows, file.fileId);
      }),
    );
  }

  close(): void {
    this.#open?.database.close();
    this.#open = undefined;
  }

  /** Renames the file at the path when it is damaged. Whoever has it open notices by the file id. */
  async #setAside(): Promise<void> {
    const fileId = fileIdOf(this.#path);
    if (fileId === undefined) return;
    if (fileId !== this.#damaged) {
      try {
        const { database } = await this.#current();
        if (database.pragma('quick_check(1)', { simple: true }) === 'ok') return;
      } catch (error) {
        if (!isOperaError(this.#translate(error), 'registry-lost')) return;
      }
    }
    this.close();
    if (fileIdOf(this.#path) !== fileId) return;
    const to = damagedPath(this.#path, this.#clock.nowMs());
    for (const end of ['-wal', '-shm', '']) {
      if (existsSync(`${this.#path}${end}`)) renameSync(`${this.#path}${end}`, `${to}${end}`);
    }
  }

  #makeFile(): void {
    try {
      const file = openSync(this.#path, 'wx', 0o600);
      fsyncSync(file);
      closeSync(file);
      const folder = openSync(dirname(this.#path), 'r');
      fsyncSync(folder);
      closeSync(folder);
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return;
      throw new OperaError('config', `${this.#path}: the registry file cannot be made`, { cause });
    }
  }

  #contextOf(file: OpenFile, nowMs: number): StepContext {
    if (!hasSchema(file.database)) throw new OperaError('registry-lost');
    const life = file.rows.get<LifeRow>('SELECT * FROM life');
    if (!life) throw new OperaError('registry-lost');
    const { incarnation, sequence } = life;
    const { seen } = this.#seen.fileId === file.fileId ? this.#seen : { seen: { incarnation: 0, sequence: 0 } };
    const older = incarnation === seen.incarnation && sequence < seen.sequence;
    const rolledBack = incarnation < seen.incarnation || older;
    if (!rolledBack) this.#seen = { fileId: file.fileId, seen: { incarnation, sequence } };
    const lifeId = rolledBack ? `${file.fileId}:rolled-back` : file.fileId;
    return { rows: file.rows, life, lifeId, nowMs, incarnationSeen: seen.incarnation };
  }

  #inTransaction<T>(file: OpenFile, begin: string, body: () => T): T {
    file.rows.run(begin);
    try {
      const answer = body();
      file.rows.run('COMMIT');
      return answer;
    } finally {
      // A failed COMMIT or body leaves the transaction open, unless SQLite rolled it back by itself.
      if (file.database.inTransaction) file.database.exec('ROLLBACK');
    }
  }

  async #patiently<T>(step: (file: OpenFile) => T): Promise<T> {
    const deadline = this.#clock.monotonicMs() + lockPatienceMs;
    for (;;) {
      try {
        return step(await this.#current());
      } catch (error) {
        const busy = isSqliteBusy(error) || isOperaError(error, 'overloaded');
        if (!busy || this.#clock.monotonicMs() >= deadline) throw this.#translate(error);
      }
      await this.#clock.sleep(1 + randomFraction(this.#random) * retryJitterMs);
    }
  }

  #translate(error: unknown): OperaError {
    const translated = toSqliteError(error, this.#path);
    if (translated.code === 'integrity') {
      this.#damaged = this.#open?.fileId ?? fileIdOf(this.#path);
      this.close();
      return new OperaError('registry-lost', `${this.#path}: the registry is damaged`, { cause: error });
    }
    const ours = sqliteCodeOf(error) === undefined && sqliteCodeOf(translated.cause) === undefined;
    if (ours || keptCodes.includes(translated.code)) return translated;
    // What failed may be the connection's own state: the next step begins with a new one.
    if (!isSqliteBusy(error)) this.close();
    return unavailable(translated.message, error);
  }

  /** The connection to the file that stands at the path now. */
  async #current(): Promise<OpenFile> {
    const fileId = fileIdOf(this.#path);
    if (fileId !== undefined && fileId === this.#damaged) {
      throw new OperaError('registry-lost', `${this.#path}: the registry is damaged`);
    }
    if (this.#open?.fileId === fileId && this.#open) return this.#open;
    this.close();
    if (fileId === undefined) throw new OperaError('registry-lost', `${this.#path}: there is no registry file`);
    const database = await openSqlite(this.#path, { busyTimeoutMs });
    // Other calls may have opened it while this one waited; one connection is enough.
    const other: OpenFile | undefined = this.#open;
    if (other) {
      database.close();
      return other;
    }
    if (fileIdOf(this.#path) !== fileId) {
      database.close();
      throw unavailable('its file was replaced while it was opened');
    }
    try {
      migrateSchema(database);
    } catch (error) {
      database.close();
      throw error;
    }
    this.#open = { database, rows: new Rows(database), fileId };
    return this.#open;
  }
}

/** The context, when the life is the one its incarnation began under and `incarnation` is the current one. */
export const requireLife = (context: StepContext, incarnation = context.life.incarnation): StepContext => {
  if (isLiving(context) && context.life.incarnation === incarnation) return context;
  throw new OperaError('stale-incarnation');
};

export const isLiving = ({ life, lifeId }: StepContext): boolean => life.raised_under === lifeId;

/** As living, and also between raiseIncarnation and settle. */
export const isBegun = (context: StepContext): boolean =>
  isLiving(context) || context.life.raised_under === unsettled(context.lifeId);

/** Bytes of a BLOB in memory of their own: what better-sqlite3 returns may lie in a shared pool. */
export const bytesOf = (blob: Uint8Array): Uint8Array => new Uint8Array(blob);
