// The tables of a node's index: a chunk's index is there as a whole or as it was before, and never beside an older one.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { versionIdFromBytes } from '../../../src/model/ids.ts';
import { IndexFile, type IndexMode, type RunSink, type RunTotals } from '../../../src/roles/node/index-file.ts';
import { withFolder } from '../../support/sqlite-store.ts';

const version = versionIdFromBytes(new Uint8Array(16).fill(7));
const system = { values: { name: 'Vega', ra: 279 }, names: ['Vega'], nameKeys: ['vega'], derived: {}, odd: [] };
const star = { ...system, stars: undefined, planets: undefined };
const bytes = (value: number): Uint8Array => new Uint8Array(40).fill(value);

const fillWith =
  (value: number, pages: number) =>
  (sink: RunSink): RunTotals => {
    const page = new Uint8Array(100);
    for (let number = 0; number < pages; number++) {
      // One buffer for all pages, as a build has it.
      page.fill(value + number);
      sink.page('postings', number, page);
      sink.system(number, star);
    }
    return { facts: bytes(value), indexed: pages, flagged: 1, rejected: 2 };
  };

const put = (file: IndexFile, value: number, fill: (sink: RunSink) => RunTotals) =>
  file.put({ version, chunk: 3, hash: bytes(value), salt: bytes(value + 1) }, fill);

for (const mode of ['sealed', 'plain'] satisfies IndexMode[]) {
  test(`an index takes the place of an older one of its chunk (${mode})`, async () => {
    const file = await IndexFile.open(undefined, mode);
    const old = put(file, 10, fillWith(10, 3));
    const made = put(file, 20, fillWith(20, 2));
    assert.deepEqual(file.runs(), [made]);
    assert.deepEqual(made, {
      run: made.run,
      version,
      chunk: 3,
      hash: bytes(20),
      indexed: 2,
      flagged: 1,
      rejected: 2,
    });
    assert.equal(file.page(old.run, 'postings', 0), undefined);
    assert.deepEqual(new Uint8Array(file.page(made.run, 'postings', 1) ?? []), new Uint8Array(100).fill(21));
    assert.equal(file.page(made.run, 'postings', 2), undefined);
    assert.deepEqual(new Uint8Array(file.head(made.run)?.facts ?? []), bytes(20));
    assert.deepEqual(new Uint8Array(file.head(made.run)?.salt ?? []), bytes(21));
    file.close();
  });

  test(`an index that fails while it is made leaves the older one as it was (${mode})`, async () => {
    const file = await IndexFile.open(undefined, mode);
    const old = put(file, 10, fillWith(10, 3));
    const broken = (sink: RunSink): RunTotals => {
      fillWith(20, 2)(sink);
      throw new Error('a record too many');
    };
    assert.throws(() => put(file, 20, broken), /a record too many/);
    assert.deepEqual(file.runs(), [old]);
    assert.deepEqual(new Uint8Array(file.page(old.run, 'postings', 2) ?? []), new Uint8Array(100).fill(12));
    assert.deepEqual(put(file, 20, fillWith(20, 2)).indexed, 2);
    file.close();
  });
}

test('an index is as large as its files, the log of the last writes among them', async () => {
  await withFolder(async (folder) => {
    const file = await IndexFile.open(folder, 'plain');
    put(file, 10, fillWith(10, 100));
    const sizes = ['index.db', 'index.db-wal'].map((name) => statSync(join(folder, name)).size);
    assert.ok(sizes.every((size) => size > 0));
    assert.equal(
      file.bytes,
      sizes.reduce((sum, size) => sum + size),
    );
    file.close();
    const reopened = await IndexFile.open(folder, 'plain');
    assert.ok(reopened.bytes >= statSync(join(folder, 'index.db')).size);
    reopened.close();
  });
});
