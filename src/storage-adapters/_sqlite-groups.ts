// Group commit: writes that wait at the same moment share one transaction and one fsync, each in its own savepoint.
// While a commit blocks the thread the next writes pile up, so groups grow with the load and nobody waits for a timer.
// Invariant: nothing is answered before the commit that carries it. After a failed write or fsync the store takes no
// more writes and no fsync is repeated: the kernel may have dropped the dirty pages it reported once.
import { isOperaError, OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { type SqliteDatabase, toSqliteError } from '../runtime/sqlite.ts';

/** One call's write: what it does, roughly how many bytes, and whether it must leave the reserve of the disk alone. */
export interface GroupedWrite {
  readonly run: () => unknown;
  readonly bytes: number;
  readonly sparesReserve: boolean;
}

interface Waiting extends GroupedWrite {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Settled = () => void;

/** Pages that one small write makes dirty, roughly: table, two indexes, digests, store. */
const writeBytesMin = 5 * 4096;

/** The writing side of one connection. */
export class WriteGroups {
  readonly #database: SqliteDatabase;
  readonly #waiting: Waiting[] = [];
  readonly #raiseCounter: () => unknown;
  readonly #unreservedBytes: () => number;
  #failure: OperaError | undefined;
  #scheduled = false;
  #sinceCheckpoint = 0;

  /** `unreservedBytes` tells how much of the disk puts may still fill. */
  constructor(database: SqliteDatabase, unreservedBytes: () => number) {
    this.#database = database;
    this.#unreservedBytes = unreservedBytes;
    const counter = database.prepare('UPDATE store SET write_counter = write_counter + 1');
    this.#raiseCounter = () => counter.run();
  }

  /** Why the store takes no more writes; undefined while it does. */
  get failure(): OperaError | undefined {
    return this.#failure;
  }

  /** Runs the write in the next group; settles when that is on disk. */
  push(write: GroupedWrite): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...write, bytes: write.bytes + writeBytesMin, resolve, reject });
      this.#schedule();
    });
  }

  /** Commits everything that waits; for closing. */
  drain(): void {
    while (this.#waiting.length > 0) this.#flush();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // All messages that have arrived are handled before this runs, and so join the group.
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const group: Waiting[] = [];
    let bytes = 0;
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const full = group.length >= limits.storeGroupCallsMax || bytes + next.bytes > limits.storeGroupBytesMax;
      if (full && group.length > 0) break;
      this.#waiting.shift();
      group.push(next);
      bytes += next.bytes;
    }
    if (group.length > 0) this.#commit(group, bytes);
  }

  #commit(group: readonly Waiting[], bytes: number): void {
    if (this.#failure) return this.#refuse(group, this.#failure);
    try {
      if (group.some(({ sparesReserve }) => sparesReserve)) this.#requireRoom(bytes);
      for (const settle of this.#transact(group)) settle();
    } catch (thrown) {
      const error = toSqliteError(thrown, this.#database.name);
      // A full disk refuses one large write and may still take the small ones beside it.
      if (isOperaError(error, 'no-space') && group.length > 1) {
        for (const one of group) this.#commit([one], one.bytes);
        return;
      }
      if (!isOperaError(error, 'no-space', 'overloaded')) this.#fail(error);
      for (const { reject } of group) reject(error);
      return;
    }
    this.#sinceCheckpoint += bytes;
    if (this.#sinceCheckpoint >= limits.storeCheckpointBytes) this.checkpoint();
  }

  /** Every byte is written twice, to the WAL and by a checkpoint, also those that no checkpoint has copied yet. */
  #requireRoom(bytes: number): void {
    const hasRoom = (): boolean => this.#unreservedBytes() >= 2 * (bytes + this.#sinceCheckpoint);
    if (hasRoom()) return;
    // With the WAL copied back its space is used again.
    this.checkpoint();
    if (!hasRoom()) throw new OperaError('no-space', `${this.#database.name}: no space is left`);
  }

  /** One transaction; what it returns settles the callers and must only be called after it. */
  #transact(group: readonly Waiting[]): Settled[] {
    const database = this.#database;
    return database
      .transaction(() => {
        this.#raiseCounter();
        return group.map(({ run, resolve, reject }): Settled => {
          try {
            const value = database.transaction(run)();
            return () => resolve(value);
          } catch (error) {
            // A full disk or a failed read ends the whole transaction; anything else only this savepoint.
            if (!database.inTransaction || isFatal(toSqliteError(error, database.name))) throw error;
            return () => reject(toSqliteError(error, database.name));
          }
        });
      })
      .immediate();
  }

  /** Copies the WAL into the database. Not left to SQLite, whose own checkpoints swallow a failed fsync. */
  checkpoint(): void {
    this.#sinceCheckpoint = 0;
    try {
      this.#database.pragma('wal_checkpoint(PASSIVE)');
    } catch (thrown) {
      const error = toSqliteError(thrown, this.#database.name);
      // Without space or beside a reader the WAL just stays longer; it holds everything.
      if (!isOperaError(error, 'no-space', 'overloaded')) this.#fail(error);
    }
  }

  #fail(error: OperaError): void {
    this.#failure ??= new OperaError('read-only', `${error.message}; the store takes no writes until it is reopened`, {
      cause: error,
    });
  }

  #refuse(group: readonly Waiting[], failure: OperaError): void {
    for (const { reject } of group) reject(failure);
  }
}

const isFatal = (error: OperaError): boolean => isOperaError(error, 'no-space', 'read-only', 'integrity', 'overloaded');
