// The worker service `storage`: the one connection to a node's node.db, in a thread of its own because better-sqlite3
// blocks. It holds the lock of the data folder for as long as it lives; two processes on one folder would each take
// the other's files for leftovers. Chunk files are written and read outside, in the
// store's own thread, but for short parts.
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { acquireFileLock, openSqlite, type SqliteDatabase, toSqliteError } from '../runtime/sqlite.ts';
import { defineWorkerService, givingAway, type WorkerService } from '../runtime/worker.ts';
import { measureDiskSpace } from './_disk-space.ts';
import { createCheckService, markPathOf, searchTables } from './_sqlite-damage.ts';
import { WriteGroups } from './_sqlite-groups.ts';
import { ensureIndexes } from './_sqlite-indexes.ts';
import { StoreReads } from './_sqlite-reads.ts';
import type { StoreServiceOptions, WriteCommand } from './_sqlite-rows.ts';
import { prepareSchema } from './_sqlite-schema.ts';
import { StoreWrites } from './_sqlite-writes.ts';
import type { ChunkAddress, WrapPosition } from './storage-adapter.ts';

const bytesOf = (command: WriteCommand): number => {
  switch (command.kind) {
    case 'put-chunks':
      return command.bodies.byteLength;
    case 'put-manifests':
      return command.manifests.reduce((sum, { record }) => sum + record.byteLength, 0);
    case 'put-note':
    case 'replace-note':
      return command.note.byteLength;
    case 'put-state':
      return command.value.byteLength;
    default:
      return 0;
  }
};

/** Makes the file with its mode before SQLite opens it; the files beside it take the mode over. */
const makePrivate = (path: string): void => {
  try {
    closeSync(openSync(path, 'a', 0o600));
  } catch {
    // SQLite says what is wrong with it, in its own words.
  }
};

/** Damage that was found before is not forgotten; a small store is searched at each open, a large one while it runs. */
const requireWhole = (database: SqliteDatabase, folder: string): void => {
  const damaged = (how: string): OperaError => new OperaError('integrity', `${database.name}: ${how}`);
  if (existsSync(markPathOf(folder))) throw damaged('damage was found in it before');
  const rows = database.prepare<[], number>('SELECT chunk_count + manifest_count FROM store').pluck().get() ?? 0;
  const found = rows <= limits.storeSearchRowsMax ? searchTables(database) : [];
  if (found.length > 0) throw damaged(`it is damaged: ${found[0]}`);
};

const openDatabase = async (options: StoreServiceOptions): Promise<SqliteDatabase> => {
  const { synchronousForTests } = options;
  const path = join(options.folder, 'node.db');
  makePrivate(path);
  const database = await openSqlite(path, {
    busyTimeoutMs: limits.storeBusyTimeoutMs,
    // WriteGroups checkpoints itself, because SQLite's automatic checkpoints swallow errors.
    walAutocheckpointPages: 0,
    ...(synchronousForTests && { synchronousForTests }),
  });
  try {
    prepareSchema(database);
    requireWhole(database, options.folder);
    ensureIndexes(database);
    if (options.pagesMaxForTests !== undefined) database.pragma(`max_page_count = ${options.pagesMaxForTests}`);
    return database;
  } catch (error) {
    database.close();
    throw toSqliteError(error, database.name);
  }
};

/** Closing the last connection copies the WAL back; after a failure that would repeat an fsync, so a reader stays. */
const closeDatabase = async (database: SqliteDatabase, failed: boolean): Promise<void> => {
  if (!failed) {
    database.close();
    return;
  }
  const options = { busyTimeoutMs: 0, readonly: true };
  const guard = await openSqlite(database.name, options).catch(() => undefined);
  guard?.prepare('SELECT 1 FROM store').get();
  database.close();
  guard?.close();
};

const createStoreService = async (options: StoreServiceOptions): Promise<WorkerService> => {
  const unlock = await acquireFileLock(join(options.folder, 'node.lock'));
  const database = await openDatabase(options).catch((error: unknown) => {
    unlock();
    throw error;
  });
  const reads = new StoreReads(database);
  const writes = new StoreWrites(database);
  const groups = new WriteGroups(database, () => measureDiskSpace(options.folder).unreservedBytes);
  const read =
    <Args extends readonly unknown[], Value>(method: (...args: Args) => Value) =>
    (...args: Args): Value => {
      try {
        return method(...args);
      } catch (error) {
        throw toSqliteError(error, database.name);
      }
    };
  return {
    write: (command: WriteCommand) =>
      groups.push({
        run: () => writes.run(command),
        bytes: bytesOf(command),
        sparesReserve: command.kind === 'put-chunks',
      }),
    store: read(() => reads.store()),
    chunk: read((address: ChunkAddress, from: number, to: number) => {
      const found = reads.chunk(address, from, to);
      return found?.body ? givingAway(found, found.body) : found;
    }),
    infos: read((addresses: readonly ChunkAddress[]) => reads.infos(addresses)),
    listVersion: read((version: string, from: number, to: number) => reads.listVersion(version, from, to)),
    listChunks: read((partition: number, after: ChunkAddress | undefined, limit: number) =>
      reads.listChunks(partition, after, limit),
    ),
    manifest: read((version: string) => reads.manifest(version)),
    listManifests: read((partition: number, after: string | undefined, limit: number) =>
      reads.listManifests(partition, after, limit),
    ),
    listManifestsBelow: read((wrapEpoch: number, after: WrapPosition | undefined, limit: number) =>
      reads.listManifestsBelow(wrapEpoch, after, limit),
    ),
    countManifestsBelow: read((wrapEpoch: number) => reads.countManifestsBelow(wrapEpoch)),
    highestSequence: read(() => reads.highestSequence()),
    note: read((version: string) => reads.note(version)),
    listNotes: read((after: string | undefined, limit: number) => reads.listNotes(after, limit)),
    state: read((key: string) => reads.state(key)),
    listState: read((prefix: string) => reads.listState(prefix)),
    listPartitions: read(() => reads.listPartitions()),
    digests: read((partition: number) => reads.digests(partition)),
    files: read((folder: string) => reads.files(folder)),
    /** What decides durability on this very connection, for tests and `opera status`. */
    settings: read(() => ({
      journalMode: database.pragma('journal_mode', { simple: true }),
      synchronous: database.pragma('synchronous', { simple: true }),
    })),
    close: async () => {
      groups.drain();
      await closeDatabase(database, groups.failure !== undefined);
      unlock();
    },
  };
};

defineWorkerService('storage', createStoreService);
defineWorkerService('storage-check', createCheckService);
