// Bit rot on a real disk: a node of the network in memory keeps its data in SQLite, bytes on the disk are altered while
// it is down, and the scrub of its next life finds each of them and gets good copies from the other owners.
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { whereIs } from '../../src/client/names.ts';
import type { HygieneFaults } from '../../src/roles/node/hygiene.ts';
import { SqliteStorage } from '../../src/storage-adapters/sqlite.ts';
import { hygieneOf } from './_hygiene.ts';
import { filesOnDisk, withFolder } from '../support/sqlite-store.ts';
import { get, put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';

const openStore = async (folder: string): Promise<SqliteStorage> => {
  const store = new SqliteStorage({ folder, nowMs: () => 1_000 });
  await store.open();
  return store;
};

const flip = async (path: string, at: number): Promise<void> => {
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.of((buffer[0] ?? 0) ^ 0x10), 0, 1, at);
  await file.close();
};

/** Where the sealed bytes of a body begin in the database file. */
const placeOf = async (folder: string, body: Uint8Array): Promise<number> => {
  const file = await open(join(folder, 'node.db'), 'r');
  const bytes = await file.readFile();
  await file.close();
  return bytes.indexOf(Buffer.from(body.subarray(40, 80)));
};

const findRot = async (folder: string, hygieneFaults: HygieneFaults): Promise<void> => {
  let store = await openStore(folder);
  const cluster = await MemoryCluster.start({
    nodes: 3,
    storageOf: (storage, at) => (at === 0 ? store : storage),
    nodeWith: { hygieneFaults },
  });
  try {
    const session = await cluster.session();
    const [small, large] = [Buffer.alloc(500, 7), Buffer.alloc(100_000, 9)];
    const { version } = await cluster.during(put(session, 'small', small));
    await cluster.during(put(session, 'large', large));
    const row = await store.getChunk({ version, index: 0 });
    cluster.stopNode(0);
    await store.close();
    await flip(join(folder, 'node.db'), await placeOf(folder, row?.body ?? new Uint8Array(80)));
    const [file = ''] = await filesOnDisk(folder);
    await flip(join(folder, 'chunks', file), 70_000);
    store = await openStore(folder);
    await cluster.startNode(0);
    await cluster.until(() => hygieneOf(cluster, 0).core.book.announced);
    const { scrub } = hygieneOf(cluster, 0);
    await cluster.during(scrub.pass());
    assert.deepEqual([scrub.altered, scrub.repaired], [2, 2]);
    const good = await store.getChunk({ version, index: 0 });
    assert.deepEqual(good?.body, row?.body);
    assert.equal((await store.usage()).chunksAside, 0, 'good copies took the place of what was set aside');
    assert.notDeepEqual(await filesOnDisk(folder), [file]);
    assert.deepEqual(Buffer.from((await cluster.during(get(session, 'large'))) ?? []), large);
    const places = whereIs(session, 'small', new AbortController().signal);
    const first = await cluster.during(places[Symbol.asyncIterator]().next());
    const times = first.done ? [] : first.value.chunk.copies.map(({ verifiedMs }) => verifiedMs ?? 0);
    assert.equal(times.filter((time) => time > 0).length, 3, 'each copy says when it was last whole');
  } finally {
    cluster.stopAll();
    await store.close();
  }
};

test('flipped bytes in the database and in a chunk file are found, and replaced by good copies', async () => {
  await withFolder((folder) => findRot(folder, {}));
  await withFolder((folder) => assert.rejects(findRot(folder, { scrub: { trusting: true } }), assert.AssertionError));
});
