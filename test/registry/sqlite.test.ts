// SqliteRegistry against the acceptance suite, and what a file promises alone: its mode, its replacement, its views.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import type { Registry } from '../../src/registry/registry.ts';
import { SqliteRegistry } from '../../src/registry/sqlite.ts';
import { openSqlite } from '../../src/runtime/sqlite.ts';
import { testRegistry } from '../acceptance/registry.ts';
import { ManualClock } from '../support/manual-clock.ts';
import * as build from '../support/registry-builders.ts';

const folder = mkdtempSync(join(tmpdir(), 'opera-registry-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = (): string => join(folder, `registry-${++files}.db`);

testRegistry('sqlite', async () => {
  const path = newPath();
  const clock = new ManualClock();
  return {
    connect: () => new SqliteRegistry({ path, clock }),
    advance: (ms) => clock.advance(ms),
    teardown: async () => rmSync(path, { force: true }),
  };
});

const withFile = async (body: (registry: Registry, path: string) => Promise<void>): Promise<void> => {
  const path = newPath();
  const registry = new SqliteRegistry({ path, clock: new ManualClock() });
  try {
    await build.createNetwork(registry);
    await body(registry, path);
  } finally {
    await registry.close();
  }
};

test('the registry file is private to its owner and is not made by reading', async () => {
  await withFile(async (registry, path) => {
    await build.putName(registry, 'a');
    for (const file of [path, `${path}-wal`, `${path}-shm`]) assert.equal(statSync(file).mode & 0o777, 0o600);
  });
  const missing = new SqliteRegistry({ path: join(folder, 'missing.db'), clock: new ManualClock() });
  await assert.rejects(missing.readLife(), { code: 'registry-lost' });
  assert.equal(statSync(join(folder, 'missing.db'), { throwIfNoEntry: false }), undefined);
  await missing.close();
});

test('what was committed is there after reopening', async () => {
  const path = newPath();
  const first = new SqliteRegistry({ path, clock: new ManualClock() });
  await build.createNetwork(first);
  const put = await build.putName(first, 'a');
  await first.close();
  const second = new SqliteRegistry({ path, clock: new ManualClock() });
  assert.equal((await second.getNames(['a']))[0]?.version, put.version);
  await second.close();
});

test('a deleted file is a lost registry, not one that goes on taking writes', async () => {
  await withFile(async (registry, path) => {
    await build.putName(registry, 'a');
    rmSync(path);
    await assert.rejects(registry.getNames(['a']), { code: 'registry-lost' });
    await assert.rejects(registry.putMember(build.member('n1')), { code: 'registry-lost' });
  });
});

test('a file put back from a copy answers no names until its incarnation is raised', async () => {
  await withFile(async (registry, path) => {
    const database = await openSqlite(path, { busyTimeoutMs: 100 });
    const kept = await build.putName(registry, 'kept');
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    copyFileSync(path, `${path}.copy`);
    await build.putName(registry, 'newer');
    for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    renameSync(`${path}.copy`, path);
    await assert.rejects(registry.getNames(['kept']), { code: 'stale-incarnation' });
    const change = build.remove('kept', kept.version, kept.sequence);
    assert.equal(build.codeOf(await build.commitOne(registry, change)), 'stale-incarnation');
    const life = await registry.readLife();
    assert.notEqual(life.lifeId, life.raisedUnder);
    assert.equal((await registry.raiseIncarnation(life.incarnation))?.incarnation, 2);
    assert.equal(await registry.settle(2, 0n), true);
    const [found, lost] = await registry.getNames(['kept', 'newer']);
    assert.deepEqual([found?.version, lost], [kept.version, undefined]);
  });
});

test('a sequence that went back within one file is taken for a rollback', async () => {
  await withFile(async (registry, path) => {
    await build.putName(registry, 'a');
    await registry.readLife();
    const database = await openSqlite(path, { busyTimeoutMs: 100 });
    database.exec('UPDATE life SET sequence = 5');
    await assert.rejects(registry.listNames({ prefix: '', limit: 1 }), { code: 'stale-incarnation' });
    const life = await registry.readLife();
    assert.notEqual(life.lifeId, life.raisedUnder);
    const raised = await registry.raiseIncarnation(life.incarnation);
    assert.equal(raised?.lifeId, raised?.raisedUnder);
    assert.equal(await registry.settle(raised?.incarnation ?? 0, 0n), true);
    assert.equal((await registry.listNames({ prefix: '', limit: 1 })).records.length, 1);
    database.close();
  });
});

test('a damaged file is a lost registry, and is kept beside the one that takes its place', async () => {
  await withFile(async (registry, path) => {
    for (let at = 0; at < 50; at++) await build.putName(registry, `file ${at}`);
    const other = new SqliteRegistry({ path, clock: new ManualClock() });
    await other.readLife();
    const database = await openSqlite(path, { busyTimeoutMs: 100 });
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    // Every page but the first: what is read of it cannot be trusted, and some of it cannot be read at all.
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0xee, 4096));
    await assert.rejects(registry.listNames({ prefix: '', limit: 100 }), { code: 'registry-lost' });
    await assert.rejects(registry.readLife(), { code: 'registry-lost' });
    const life = await registry.createNetwork(build.networkId, build.firstRoster, { incarnation: 7 });
    assert.deepEqual([life.incarnation, life.settled], [7, false]);
    assert.equal((await other.readLife()).incarnation, 7);
    const kept = readdirSync(folder).filter((name) => name.startsWith(`${basename(path)}.damaged-`));
    assert.ok(kept.some((name) => readFileSync(join(folder, name)).equals(bytes)));
    await other.close();
    assert.equal(await registry.settle(7, 9n), true);
    assert.deepEqual(await registry.getNames(['file 1']), [undefined]);
  });
});

test('a person can read the public keys with sqlite3 as four views', async () => {
  await withFile(async (registry, path) => {
    await registry.putMember(build.member('n1'));
    await build.putName(registry, 'sol', ['n1:1']);
    const database = await openSqlite(path, { busyTimeoutMs: 100, readonly: true });
    assert.deepEqual(database.prepare('SELECT * FROM network_nodes').all(), [{ node: 'n1:1' }]);
    assert.deepEqual(database.prepare('SELECT * FROM network_data').all(), [{ name: 'sol' }]);
    const both = [{ node: 'n1:1', name: 'sol' }];
    assert.deepEqual(database.prepare('SELECT node, name FROM network_data_node').all(), both);
    assert.deepEqual(database.prepare('SELECT node, name FROM network_data_file').all(), both);
    database.close();
  });
});

test('a person sees with sqlite3 which names are catalogues', async () => {
  await withFile(async (registry, path) => {
    await build.putName(registry, 'notes');
    const version = await build.openUpload(registry, 'stars');
    const put = build.put('stars', version, { chunkCount: 4, catalogue: true });
    const { sequence } = await build.commitDone(registry, put);
    const database = await openSqlite(path, { busyTimeoutMs: 100, readonly: true });
    const shown = [{ name: 'stars', version, sequence: Number(sequence), chunk_count: 4 }];
    assert.deepEqual(database.prepare('SELECT * FROM catalogues').all(), shown);
    const flags = [
      { name: 'notes', catalogue: 0 },
      { name: 'stars', catalogue: 1 },
    ];
    assert.deepEqual(database.prepare('SELECT name, catalogue FROM names ORDER BY name').all(), flags);
    database.close();
  });
});

/** Makes a registry file what a program before catalogues made. */
const toFormat1 = async (path: string): Promise<void> => {
  const database = await openSqlite(path, { busyTimeoutMs: 100 });
  database.exec(`DROP VIEW catalogues; DROP INDEX catalogues_by_name; ALTER TABLE names DROP COLUMN catalogue;
    PRAGMA user_version = 1`);
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
};

const schemaOf = async (path: string): Promise<unknown> => {
  const database = await openSqlite(path, { busyTimeoutMs: 100, readonly: true });
  const schema = database.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY type, name').all();
  database.close();
  return schema;
};

test('a file of before there were catalogues becomes one of now, whichever process opens it first', async () => {
  await withFile(async (registry, path) => {
    const old = await build.putName(registry, 'old', ['n1:1']);
    const before = await registry.getNames(['old']);
    const schema = await schemaOf(path);
    await registry.close();
    await toFormat1(path);
    const clock = new ManualClock();
    const several = Array.from({ length: 4 }, () => new SqliteRegistry({ path, clock }));
    const [first] = several;
    assert.ok(first);
    assert.deepEqual(
      await Promise.all(several.map((each) => each.getNames(['old']))),
      several.map(() => before),
    );
    assert.deepEqual(await schemaOf(path), schema, 'as if it had been made now');
    const version = await build.openUpload(first, 'new');
    await build.commitDone(first, build.put('new', version, { catalogue: true }));
    assert.equal((await first.getNames(['old']))[0]?.version, old.version);
    const listed = await several.at(-1)?.listCatalogues({ prefix: '', max: 9 });
    assert.deepEqual(
      listed?.map(({ name }) => name),
      ['new'],
    );
    await Promise.all(several.map((each) => each.close()));
  });
});

test('a file of a later program is refused and left as it is', async () => {
  await withFile(async (registry, path) => {
    await registry.close();
    const database = await openSqlite(path, { busyTimeoutMs: 100 });
    database.pragma('user_version = 3');
    const later = new SqliteRegistry({ path, clock: new ManualClock() });
    await assert.rejects(later.readLife(), { code: 'config' });
    assert.equal(database.pragma('user_version', { simple: true }), 3);
    await later.close();
    database.close();
  });
});

test('a lock held by another process for a moment is waited for', async () => {
  await withFile(async (registry, path) => {
    const database = await openSqlite(path, { busyTimeoutMs: 100 });
    database.exec('BEGIN IMMEDIATE');
    const waiting = registry.putMember(build.member('n1'));
    await registry.readLease();
    database.exec('COMMIT');
    await waiting;
    assert.equal((await registry.listMembers()).length, 1);
    database.close();
  });
});

test('a foreign database is refused and left alone', async () => {
  const path = newPath();
  const database = await openSqlite(path, { busyTimeoutMs: 100 });
  database.exec('CREATE TABLE theirs (x); PRAGMA user_version = 7');
  database.close();
  const registry = new SqliteRegistry({ path, clock: new ManualClock() });
  await assert.rejects(registry.createNetwork(build.networkId, build.firstRoster), { code: 'config' });
  await registry.close();
  const garbage = newPath();
  writeFileSync(garbage, 'this is no database, but it is long enough to look at'.repeat(40));
  const second = new SqliteRegistry({ path: garbage, clock: new ManualClock() });
  await assert.rejects(second.readLife(), { code: 'registry-lost' });
  await second.close();
});
