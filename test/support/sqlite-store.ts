// What the tests of the durable store share: a folder that goes away, stores over it, and looking at the disk.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/runtime/sqlite.ts';
import { SqliteStorage, type StorageFaults } from '../../src/storage-adapters/sqlite.ts';
import type { ChunkAddress, ChunkInfo } from '../../src/storage-adapters/storage-adapter.ts';
import { bytesOf, naiveDigests, sha256 } from './storage-data.ts';

export const withFolder = async (run: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'opera-store-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Opens a store over `folder`, runs, closes. */
export const withStore = async <Value>(
  folder: string,
  faults: StorageFaults,
  run: (store: SqliteStorage) => Promise<Value>,
): Promise<Value> => {
  const store = new SqliteStorage({ folder, nowMs: () => 0, faults });
  await store.open();
  try {
    return await run(store);
  } finally {
    await store.close();
  }
};

/** Files below chunks/, as `<xx>/<name>`, in order. */
export const filesOnDisk = async (folder: string): Promise<string[]> => {
  const folders = await readdir(join(folder, 'chunks'));
  const files = await Promise.all(
    folders.map(async (name) => (await readdir(join(folder, 'chunks', name))).map((file) => `${name}/${file}`)),
  );
  return files.flat().sort();
};

/** One column of a query on node.db, by a connection of its own. */
export const queryColumn = async (folder: string, sql: string): Promise<unknown[]> => {
  const database = await openSqlite(join(folder, 'node.db'), { busyTimeoutMs: 1_000, readonly: true });
  try {
    return database.prepare(sql).pluck().all();
  } finally {
    database.close();
  }
};

export interface Expected extends ChunkAddress {
  readonly length: number;
  readonly seed: number;
}

/** Fails unless the store has each expected chunk whole and agrees with itself: digests, counts, files and rows. */
export const assertSound = async (
  folder: string,
  store: SqliteStorage,
  expected: readonly Expected[],
): Promise<void> => {
  for (const { version, index, length, seed } of expected) {
    const found = await store.getChunk({ version, index });
    assert.ok(found, `acknowledged chunk ${version}/${index} is gone`);
    assert.equal(Buffer.compare(found.body, bytesOf(length, seed)), 0, `chunk ${version}/${index} is altered`);
  }
  const infos: ChunkInfo[] = [];
  for (let after: ChunkAddress | undefined; ; ) {
    const page = await store.listChunks(7, after, 1_000);
    infos.push(...page.items);
    if (!page.next) break;
    after = page.next;
  }
  for (const info of infos) {
    const body = (await store.getChunk(info))?.body;
    assert.deepEqual(body && sha256(body), info.hash, `row ${info.version}/${info.index} has other bytes`);
  }
  assert.deepEqual(await store.digests(7), await naiveDigests(store, 7));
  const usage = await store.usage();
  assert.equal(usage.chunks, infos.length);
  assert.equal(
    usage.chunkBytes,
    infos.reduce((sum, { length }) => sum + length, 0),
  );
  const rows = await queryColumn(folder, 'SELECT file FROM chunks WHERE file IS NOT NULL ORDER BY file');
  assert.deepEqual(await filesOnDisk(folder), rows);
};
