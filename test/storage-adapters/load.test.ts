// Loading a store by name or path. A module of somebody else's passes the acceptance suite through the loader, and
// modules that are no stores are refused with a message that says what is missing. OPERA_TEST_STORAGE names another
// module to be judged in the example's place (docs/storage-adapters.md).
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import { loadStorage } from '../../src/storage-adapters/load.ts';
import { MemoryStorage } from '../../src/storage-adapters/memory.ts';
import { SqliteStorage } from '../../src/storage-adapters/sqlite.ts';
import { testStorageAdapter } from '../acceptance/storage-adapter.ts';

// Tests run from the root of the project, and a module is found by a path relative to that.
const thirdParty = process.env.OPERA_TEST_STORAGE ?? './test/storage-adapters/third-party-adapter.mjs';
const nowMs = (): number => 0;

testStorageAdapter(`loaded from ${thirdParty}`, async (clock) => {
  const place = await mkdtemp(join(tmpdir(), 'opera-store-'));
  return {
    create: () => loadStorage(thirdParty, { folder: place, nowMs: clock }),
    teardown: () => rm(place, { recursive: true, force: true }),
  };
});

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-load-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const loadText = async (name: string, text: string): Promise<unknown> => {
  const path = join(folder, name);
  await writeFile(path, text);
  return loadStorage(path, { folder, nowMs });
};

const refused = (promise: Promise<unknown>, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => isOperaError(error, 'config') && message.test(error.message));

test('sqlite and memory are loaded by name', async () => {
  assert.ok((await loadStorage('sqlite', { folder, nowMs })) instanceof SqliteStorage);
  assert.ok((await loadStorage('memory', { folder, nowMs })) instanceof MemoryStorage);
});

test('a bare word is never taken for a module', async () => {
  await refused(loadStorage('better-sqlite3', { folder, nowMs }), /sqlite, memory or a path/);
  await refused(loadStorage('', { folder, nowMs }), /sqlite, memory or a path/);
});

test('a module that is absent, broken or without createStorage is refused by name', async () => {
  await refused(loadStorage('./no/such/module.mjs', { folder, nowMs }), /no\/such\/module\.mjs cannot be loaded/);
  await refused(loadText('broken.mjs', 'export const = 3'), /broken\.mjs cannot be loaded/);
  await refused(loadText('other.mjs', 'export const createStore = () => 3'), /exports no function createStorage/);
  await refused(loadText('throws.mjs', 'export const createStorage = () => { throw new Error("x") }'), /failed/);
});

test('an incomplete store is refused with the methods that it lacks', async () => {
  await refused(loadText('none.mjs', 'export const createStorage = () => undefined'), /lacks durable, open/);
  const some = 'export const createStorage = async () => ({ durable: true, open() {}, close() {} })';
  await refused(loadText('some.mjs', some), /lacks adoptStoreId, writeCounter/);
});

test('errors of a module are told apart by their code, and unknown ones are internal', async () => {
  const names =
    'adoptStoreId writeCounter putChunks getChunk listVersion listChunks deleteChunks setAside ' +
    'findDamage putManifests getManifest listManifests deleteManifests highestSequence putNote getNote ' +
    'deleteNote digests putState getState listState deleteState listPartitions usage close ' +
    'listManifestsBelow countManifestsBelow replaceNote listNotes';
  const store = (await loadText(
    'fails.mjs',
    `const store = { durable: false, open() { throw Object.assign(new Error('full'), { code: 'no-space' }) } };
     const fail = () => { throw Object.assign(new Error(), { code: 'ENOENT' }) };
     for (const name of ${JSON.stringify(names.split(' '))}) store[name] = fail;
     export const createStorage = () => store;`,
  )) as MemoryStorage;
  await assert.rejects(store.open(), (error) => error instanceof OperaError && error.code === 'no-space');
  await assert.rejects(store.usage(), (error) => error instanceof OperaError && error.code === 'internal');
  assert.equal(store.durable, false);
});
