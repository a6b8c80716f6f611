// The opening of SQLite files: durability settings on every open and one mapping of errors.
// Damage is made for real, by writing over the file; disk faults of SQLite itself are covered by the storage tests.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isOperaError } from '../../src/errors/errors.ts';
import { isSqliteBusy, openSqlite, toSqliteError } from '../../src/runtime/sqlite.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-sqlite-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const options = { busyTimeoutMs: 50 };

test('every open of one file runs WAL with synchronous FULL and temporary tables in memory', async () => {
  const path = join(folder, 'settings.db');
  for (let round = 0; round < 3; round++) {
    const database = await openSqlite(path, options);
    assert.equal(database.pragma('journal_mode', { simple: true }), 'wal');
    assert.equal(database.pragma('synchronous', { simple: true }), 2);
    assert.equal(database.pragma('temp_store', { simple: true }), 2);
    assert.equal(database.pragma('foreign_keys', { simple: true }), 1);
    database.exec('CREATE TABLE IF NOT EXISTS t (a)');
    database.close();
  }
});

test('the switch that turns fsync off is visible, so the test above can fail', async () => {
  const database = await openSqlite(join(folder, 'off.db'), { ...options, synchronousForTests: 'OFF' });
  assert.equal(database.pragma('synchronous', { simple: true }), 0);
  database.close();
});

test('a file that is no database is refused as integrity and named', async () => {
  const path = join(folder, 'text.db');
  await writeFile(path, 'this is a letter, not a database, and it is long enough to have a header of its own');
  await assert.rejects(
    openSqlite(path, options),
    (error) => isOperaError(error, 'integrity') && /text\.db/.test(error.message),
  );
});

test('a missing folder and a missing file for reading are configuration errors', async () => {
  await assert.rejects(openSqlite(join(folder, 'no', 'where.db'), options), (error) => isOperaError(error, 'config'));
  const readonly = { ...options, readonly: true };
  await assert.rejects(openSqlite(join(folder, 'absent.db'), readonly), (error) => isOperaError(error, 'config'));
});

test('a reader sees commits and cannot write', async () => {
  const path = join(folder, 'shared.db');
  const writer = await openSqlite(path, options);
  writer.exec('CREATE TABLE t (a); INSERT INTO t VALUES (7)');
  const reader = await openSqlite(path, { ...options, readonly: true });
  assert.deepEqual(reader.prepare('SELECT a FROM t').pluck().all(), [7]);
  assert.throws(
    () => reader.exec('INSERT INTO t VALUES (8)'),
    (error) => isOperaError(toSqliteError(error, path), 'read-only'),
  );
  reader.close();
  writer.close();
});

test('a lock held elsewhere is busy, and overloaded in our words', async () => {
  const path = join(folder, 'busy.db');
  const first = await openSqlite(path, options);
  const second = await openSqlite(path, options);
  first.exec('BEGIN IMMEDIATE');
  assert.throws(
    () => second.exec('BEGIN IMMEDIATE'),
    (error) => isSqliteBusy(error) && isOperaError(toSqliteError(error, path), 'overloaded'),
  );
  first.exec('ROLLBACK');
  second.close();
  first.close();
});
