// What the durable store does when the disk fails, fills up, lies or was altered. Faults come in through the typed
// `faults` option; each promise is also run with the switch that breaks it, and must then be seen broken.
// Faults of real processes and file systems are in sqlite-crash.test.ts.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, open, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ErrorCode, isOperaError } from '../../src/errors/errors.ts';
import { openSqlite } from '../../src/runtime/sqlite.ts';
import { openStorage } from '../../src/storage-adapters/load.ts';
import { SqliteStorage, type StorageFaults } from '../../src/storage-adapters/sqlite.ts';
import { bytesOf, chunkOf, manifestOf, versionOf } from '../support/storage-data.ts';
import { assertSound, filesOnDisk, queryColumn, withFolder, withStore } from '../support/sqlite-store.ts';

type FileStep = NonNullable<NonNullable<StorageFaults['files']>['skip']>[number];

const rejectsWith = (promise: Promise<unknown>, code: ErrorCode, message = /./): Promise<void> =>
  assert.rejects(promise, (error) => isOperaError(error, code) && message.test(error.message), `expected ${code}`);

const errno = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code });

const large = (version: number, seed = 1) => chunkOf({ version, length: 70_000, seed });

const assertFullSync = async (folder: string, faults: StorageFaults): Promise<void> => {
  for (let round = 0; round < 3; round++) {
    const settings = await withStore(folder, faults, (store) => store.settings());
    assert.deepEqual(settings, { journalMode: 'wal', synchronous: 2 });
  }
};

test('the live connection runs WAL with synchronous FULL at each open, and a store without shows', async () => {
  await withFolder((folder) => assertFullSync(folder, {}));
  await withFolder((folder) => assert.rejects(assertFullSync(folder, { synchronous: 'OFF' }), assert.AssertionError));
});

/**
 * A power cut on a disk that forgets what was not fsynced: bodies without `sync` are emptied, folder entries without
 * `sync-folder` vanish. Fails if a chunk acknowledged before is not whole afterwards.
 */
const assertSurvivesPowerCut = async (folder: string, skip: readonly FileStep[]): Promise<void> => {
  const done = new Map<string, Set<FileStep>>();
  const before = (step: FileStep, path: string): void => {
    if (!skip.includes(step)) done.set(path, (done.get(path) ?? new Set()).add(step));
  };
  const chunks = [1, 2, 3].map((version) => large(version, version));
  await withStore(folder, { files: { before, skip } }, (store) => store.putChunks(chunks));
  for (const [path, steps] of done) {
    if (!steps.has('sync-folder')) await rm(path);
    else if (!steps.has('sync')) await truncate(path);
  }
  await withStore(folder, {}, (store) =>
    assertSound(
      folder,
      store,
      chunks.map(({ version }, at) => ({ version, index: 0, length: 70_000, seed: at + 1 })),
    ),
  );
};

test('what was acknowledged survives a power cut, and does not when an fsync is left out', async () => {
  await withFolder((folder) => assertSurvivesPowerCut(folder, []));
  await withFolder((folder) => assert.rejects(assertSurvivesPowerCut(folder, ['sync'])));
  await withFolder((folder) => assert.rejects(assertSurvivesPowerCut(folder, ['sync-folder'])));
});

test('after a failed fsync nothing is acknowledged, nothing synced again, reads go on, reopening recovers', () =>
  withFolder(async (folder) => {
    let failing = false;
    let syncs = 0;
    const before = (step: FileStep): void => {
      if (step !== 'sync' || !failing) return;
      syncs += 1;
      throw errno('EIO');
    };
    await withStore(folder, { files: { before } }, async (store) => {
      await store.putChunks([large(1)]);
      failing = true;
      await rejectsWith(store.putChunks([large(2)]), 'read-only', /EIO/);
      assert.equal((await store.usage()).readOnly, true);
      await rejectsWith(store.putChunks([chunkOf({ version: 3 })]), 'read-only', /until it is reopened/);
      await rejectsWith(store.putState('k', bytesOf(1)), 'read-only');
      await rejectsWith(store.deleteChunks([large(1)]), 'read-only');
      assert.equal(syncs, 1);
      assert.deepEqual((await store.getChunk(large(1)))?.body, large(1).body);
      assert.equal(await store.getChunk(large(2)), undefined);
    });
    await withStore(folder, {}, async (store) => {
      assert.equal((await store.usage()).readOnly, false);
      assert.deepEqual(await store.putChunks([large(2)]), ['stored']);
      await assertSound(folder, store, [{ version: versionOf(1), index: 0, length: 70_000, seed: 1 }]);
    });
  }));

test('a full disk refuses the call, keeps nothing of it, and the next call that fits succeeds', () =>
  withFolder(async (folder) => {
    let room = 1;
    const before = (step: FileStep): void => {
      if (step === 'write' && room-- <= 0) throw errno('ENOSPC');
    };
    await withStore(folder, { files: { before } }, async (store) => {
      await store.putChunks([large(1)]);
      room = 1;
      // One file of this call is written before the disk is full; it must go again.
      await rejectsWith(store.putChunks([large(2), large(3), chunkOf({ version: 4 })]), 'no-space');
      assert.equal((await filesOnDisk(folder)).length, 1);
      assert.equal((await store.usage()).chunks, 1);
      room = 9;
      assert.deepEqual(await store.putChunks([large(2)]), ['stored']);
      assert.equal((await store.usage()).readOnly, false);
      await assertSound(folder, store, [{ version: versionOf(1), index: 0, length: 70_000, seed: 1 }]);
    });
  }));

test('a full database refuses what does not fit beside what does, and takes more after deletions', () =>
  withFolder((folder) =>
    withStore(folder, { databasePagesMax: 120 }, async (store) => {
      const stored: number[] = [];
      for (let version = 1; ; version++) {
        const put = store.putChunks([chunkOf({ version, length: 60_000 })]);
        if (
          await put.then(
            () => false,
            (error) => isOperaError(error, 'no-space') || Promise.reject(error),
          )
        )
          break;
        stored.push(version);
      }
      assert.ok(stored.length >= 3, `${stored.length} stored`);
      const [big, small] = await Promise.allSettled([
        store.putChunks([chunkOf({ version: 91, length: 60_000 })]),
        store.putChunks([chunkOf({ version: 92, length: 50 })]),
        store.putManifests([manifestOf()]),
      ]);
      assert.equal(big.status, 'rejected');
      assert.equal(small.status, 'fulfilled');
      await store.deleteChunks([chunkOf({ version: 1 }), chunkOf({ version: 2 })]);
      assert.deepEqual(await store.putChunks([chunkOf({ version: 93, length: 60_000 })]), ['stored']);
      const expected = stored
        .slice(2)
        .map((version) => ({ version: versionOf(version), index: 0, length: 60_000, seed: 1 }));
      await assertSound(folder, store, expected);
    }),
  ));

test('a row goes before its file, so that no row is ever without', () =>
  withFolder(async (folder) => {
    const rowsAtRemoval: unknown[] = [];
    const pending: Promise<unknown>[] = [];
    const before = (step: FileStep): void => {
      if (step === 'remove')
        pending.push(queryColumn(folder, 'SELECT version FROM chunks').then((rows) => rowsAtRemoval.push(...rows)));
    };
    await withStore(folder, { files: { before } }, async (store) => {
      await store.putChunks([large(1)]);
      await store.deleteChunks([large(1)]);
      await Promise.all(pending);
    });
    assert.equal(pending.length, 1);
    assert.deepEqual(rowsAtRemoval, []);
    assert.deepEqual(await filesOnDisk(folder), []);
  }));

test('opening removes leftovers of interrupted writes and nothing else', () =>
  withFolder(async (folder) => {
    await withStore(folder, {}, (store) => store.putChunks([large(1)]));
    const kept = await filesOnDisk(folder);
    await mkdir(join(folder, 'chunks', 'ab'));
    await writeFile(join(folder, 'chunks', 'ab', `${versionOf(5)}-0-0011223344556677.chunk`), 'orphan');
    await writeFile(join(folder, 'chunks', 'ab', `${versionOf(5)}-1-0011223344556677.chunk.tmp`), 'half');
    await writeFile(join(folder, 'chunks', 'README'), 'a note of the operator');
    await withStore(folder, {}, async (store) => {
      await rm(join(folder, 'chunks', 'README'));
      assert.deepEqual(await filesOnDisk(folder), kept);
      assert.deepEqual((await store.getChunk(large(1)))?.body, large(1).body);
    });
  }));

test('a lost or shortened chunk file is an integrity error and not a missing chunk', () =>
  withFolder((folder) =>
    withStore(folder, {}, async (store) => {
      await store.putChunks([large(1), large(2)]);
      const [first = '', second = ''] = await filesOnDisk(folder);
      await unlink(join(folder, 'chunks', first));
      await truncate(join(folder, 'chunks', second), 60_000);
      await rejectsWith(store.getChunk(large(1)), 'integrity', /missing/);
      await rejectsWith(store.getChunk(large(2)), 'integrity', /shorter/);
      assert.equal((await store.getChunk(large(2), { from: 0, to: 100 }))?.body.length, 100);
      await store.deleteChunks([large(1), large(2)]);
      assert.deepEqual(await store.putChunks([large(1)]), ['stored']);
    }),
  ));

const damage = async (path: string, at: number, bytes: Uint8Array): Promise<void> => {
  const handle = await open(path, 'r+');
  await handle.write(bytes, 0, bytes.length, at);
  await handle.close();
};

test('a damaged, foreign or newer database is refused at open and named', async () => {
  const openDamaged = async (alter: (path: string) => Promise<void>, code: ErrorCode): Promise<void> =>
    withFolder(async (folder) => {
      await withStore(folder, {}, (store) => store.putManifests([manifestOf()]));
      const path = join(folder, 'node.db');
      await alter(path);
      const store = new SqliteStorage({ folder, nowMs: () => 0 });
      await rejectsWith(store.open(), code, /node\.db/);
      await rejectsWith(store.usage(), 'not-ready');
      await store.close();
    });
  await openDamaged((path) => damage(path, 0, bytesOf(100)), 'integrity');
  await openDamaged((path) => damage(path, 100, new Uint8Array(4_096)), 'integrity');
  await openDamaged((path) => truncate(path, 5_000), 'integrity');
  const execute =
    (sql: string) =>
    async (path: string): Promise<void> => {
      const database = await openSqlite(path, { busyTimeoutMs: 100 });
      database.exec(sql);
      database.close();
    };
  await openDamaged(execute('PRAGMA application_id = 7'), 'config');
  await openDamaged(execute('PRAGMA user_version = 2'), 'config');
  await openDamaged(execute('DELETE FROM store'), 'integrity');
});

/** Overwrites whole pages of the index of manifests: what a disk does that returns zeros. */
const zeroPages = async (folder: string, table: string): Promise<void> => {
  const sql = `SELECT pageno FROM dbstat WHERE name = '${table}'`;
  const pages = (await queryColumn(folder, sql).catch(() => [])) as number[];
  const [first = 3] = pages;
  await damage(join(folder, 'node.db'), (first - 1) * 4_096, new Uint8Array(4_096));
};

test('a damaged store is moved aside whole, kept, and a blank one begins that opens ever after', async () => {
  const start = async (folder: string) => {
    const opened = await openStorage('sqlite', { folder, nowMs: () => 1_234 });
    await opened.storage.close();
    return opened;
  };
  const alterations: readonly ((folder: string) => Promise<void>)[] = [
    (folder) => damage(join(folder, 'node.db'), 0, bytesOf(100)),
    (folder) => truncate(join(folder, 'node.db'), 5_000),
    (folder) => zeroPages(folder, 'manifests'),
    (folder) => zeroPages(folder, 'chunks'),
  ];
  for (const alter of alterations) {
    await withFolder(async (folder) => {
      await withStore(folder, {}, async (store) => {
        await store.adoptStoreId('a'.repeat(32));
        await store.putChunks([large(1)]);
        await store.putManifests([manifestOf()]);
      });
      const [file] = await filesOnDisk(folder);
      await alter(folder);
      const { damage: why, opening } = await start(folder);
      assert.match(why ?? '', /node\.db.*damaged/s);
      assert.equal(opening.previousStoreId, undefined, 'a blank store knows no id, so that nobody trusts it');
      const kept = await readFile(join(folder, 'chunks.damaged-1234', file ?? ''));
      assert.equal(Buffer.compare(kept, large(1).body), 0);
      assert.ok((await readFile(join(folder, 'node.db.damaged-1234'))).length > 0);
      assert.deepEqual(await filesOnDisk(folder), []);
      assert.equal((await start(folder)).damage, undefined, 'no loop');
    });
  }
});

test('damage found in a running store is remembered, and the next start begins anew', () =>
  withFolder(async (folder) => {
    await withStore(folder, {}, async (store) => {
      await store.putManifests(Array.from({ length: 50 }, (_, version) => manifestOf({ version })));
    });
    await withStore(folder, {}, async (store) => {
      assert.deepEqual(await store.findDamage(), []);
      await zeroPages(folder, 'manifests_by_partition');
      assert.ok((await store.findDamage()).length > 0);
    });
    const { storage, damage: why } = await openStorage('sqlite', { folder, nowMs: () => 5 });
    await storage.close();
    assert.match(why ?? '', /found in it before/);
  }));

test('the file of a copy that is set aside stays on disk until a good copy replaces it', () =>
  withFolder(async (folder) => {
    const chunk = large(1);
    const [bad] = await withStore(folder, {}, async (store) => {
      await store.putChunks([chunk]);
      await store.setAside(chunk, chunk.hash);
      return filesOnDisk(folder);
    });
    await withStore(folder, {}, async (store) => {
      assert.deepEqual(await filesOnDisk(folder), [bad]);
      await store.putChunks([chunk]);
      assert.ok(!(await filesOnDisk(folder)).includes(bad ?? ''));
      await assertSound(folder, store, [{ version: chunk.version, index: 0, length: 70_000, seed: 1 }]);
    });
  }));

test('damage found while reading is an integrity error that names the file', () =>
  withFolder(async (folder) => {
    const chunks = Array.from({ length: 40 }, (_, version) => chunkOf({ version, length: 3_000 }));
    await withStore(folder, {}, (store) => store.putChunks(chunks));
    const pages = Math.floor((await readFile(join(folder, 'node.db'))).length / 4_096);
    await damage(join(folder, 'node.db'), (pages - 6) * 4_096, new Uint8Array(6 * 4_096));
    await withStore(folder, {}, async (store) => {
      const results = await Promise.allSettled(chunks.map((chunk) => store.getChunk(chunk)));
      const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
      assert.ok(failed.length > 0);
      for (const error of failed) assert.ok(isOperaError(error, 'integrity') && /node\.db/.test(error.message));
    });
  }));

test('a data folder in use is refused, and free again after close', () =>
  withFolder(async (folder) => {
    await withStore(folder, {}, async () => {
      const second = new SqliteStorage({ folder, nowMs: () => 0 });
      await rejectsWith(second.open(), 'config', /in use/);
    });
    await withStore(folder, {}, async (store) => assert.equal((await store.usage()).chunks, 0));
  }));

test('the sqlite3 tool reads a live store by readable names', (t) =>
  withFolder((folder) =>
    withStore(folder, {}, async (store) => {
      await store.putChunks([chunkOf(), large(2)]);
      await store.putManifests([manifestOf({ sequence: 1_750_000_000_000_000n })]);
      const ask = (sql: string) =>
        spawnSync('sqlite3', ['-readonly', join(folder, 'node.db'), sql], { encoding: 'utf8' });
      const places = ask('SELECT version, sealed_bytes, place FROM chunk_overview ORDER BY version');
      if (places.error) return t.skip('no sqlite3 tool here');
      const [file] = await filesOnDisk(folder);
      assert.equal(places.stdout, `${versionOf(1)}|100|node.db\n${versionOf(2)}|70000|chunks/${file}\n`);
      const manifests = ask('SELECT state, written_at FROM manifest_overview');
      assert.equal(manifests.stdout, 'live|2025-06-15 15:06:40\n');
    }),
  ));

test('writes that wait together share commits', () =>
  withFolder((folder) =>
    withStore(folder, {}, async (store) => {
      const before = await store.writeCounter();
      await Promise.all(Array.from({ length: 200 }, (_, version) => store.putChunks([chunkOf({ version })])));
      assert.equal((await store.usage()).chunks, 200);
      const groups = (await store.writeCounter()) - before;
      assert.ok(groups <= 20, `${groups} commits for 200 writes`);
    }),
  ));
