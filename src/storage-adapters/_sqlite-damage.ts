// Damage of node.db itself: looking for it, remembering that it was found, and beginning anew beside it.
// The search while the store runs has a thread and a read-only connection of its own, so that it holds up neither reads
// nor writes. The table of bodies is left out: bodies are many gigabytes, and the scrub compares each with its hash.
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { limits } from '../model/limits.ts';
import { syncFolder, systemErrorCode, writeFileDurably } from '../runtime/files.ts';
import { openSqlite, type SqliteDatabase, toSqliteError } from '../runtime/sqlite.ts';
import { startWorker, type WorkerService } from '../runtime/worker.ts';

/** Beside node.db once damage was found in it: the next open refuses it, whatever part of it can still be read. */
const markName = 'node.db-damage';
const searched = ['store', 'chunks', 'manifests', 'notes', 'state', 'digests', 'aside'] as const;
/** Sentences of one search; the first one is reason enough to act. */
const sentencesMax = 10;

/** Sentences about damage in the tables of an open database. */
export const searchTables = (database: SqliteDatabase): string[] => {
  const found: string[] = [];
  for (const table of searched) {
    try {
      const lines = database.prepare('SELECT quick_check FROM pragma_quick_check(?)').pluck().all(table) as string[];
      found.push(...lines.filter((line) => line !== 'ok'));
    } catch (error) {
      found.push(toSqliteError(error, database.name).message);
    }
    if (found.length >= sentencesMax) break;
  }
  return found.slice(0, sentencesMax);
};

/** The worker service `storage-check`. */
export const createCheckService = async ({ folder }: { readonly folder: string }): Promise<WorkerService> => ({
  find: async () => {
    const options = { busyTimeoutMs: limits.storeBusyTimeoutMs, readonly: true };
    const database = await openSqlite(join(folder, 'node.db'), options);
    try {
      return searchTables(database);
    } finally {
      database.close();
    }
  },
});

/** Sentences about damage of the database in `folder`; none when it is whole. What was found is remembered. */
export const findDamage = async (folder: string): Promise<string[]> => {
  const worker = startWorker('storage-check', { folder });
  try {
    const found = (await worker.call('find', [])) as string[];
    if (found.length > 0) await writeFileDurably(join(folder, markName), `${found.join('\n')}\n`, 0o600);
    return found;
  } finally {
    await worker.close();
  }
};

export const markPathOf = (folder: string): string => join(folder, markName);

const moveIfThere = async (path: string, suffix: string): Promise<void> => {
  await rename(path, path + suffix).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
};

/**
 * Moves a store that cannot be opened out of the way, whole: its database and the files whose rows are in it. Nothing
 * is deleted, and a blank store can begin in `folder`. Answers the suffix that the moved files carry.
 */
export const moveDamagedStore = async (folder: string, nowMs: number): Promise<string> => {
  const suffix = `.damaged-${nowMs}`;
  // The database goes last but for the mark: until then the next start finds the damage again and moves the rest.
  for (const name of ['chunks', 'node.db-wal', 'node.db-shm', 'node.db', markName]) {
    await moveIfThere(join(folder, name), suffix);
  }
  await syncFolder(folder);
  return suffix;
};
