// The part of the storage suite about notes of catalogues: kept once, replaced only where one is, listed by version.
import assert from 'node:assert/strict';
import type { VersionId } from '../../src/model/ids.ts';
import { bytesOf, versionOf } from '../support/storage-data.ts';
import type { Case } from './storage-adapter.ts';

export const noteCases: Readonly<Record<string, Case>> = {
  'the first note of a version stays until it is deleted': async ({ store }) => {
    await store.putNote(versionOf(1), bytesOf(233, 1));
    await store.putNote(versionOf(1), bytesOf(240, 2));
    assert.deepEqual(await store.getNote(versionOf(1)), bytesOf(233, 1));
    assert.equal(await store.getNote(versionOf(2)), undefined);
    await store.deleteNote(versionOf(1));
    await store.putNote(versionOf(1), bytesOf(240, 2));
    assert.deepEqual(await store.getNote(versionOf(1)), bytesOf(240, 2));
  },

  'a note longer than 1 MiB is refused': async ({ store }) => {
    await store.putNote(versionOf(1), new Uint8Array(1024 * 1024));
    const longer = new Uint8Array(1024 * 1024 + 1);
    await assert.rejects(store.putNote(versionOf(2), longer), { code: 'too-large' });
    await assert.rejects(store.replaceNote(versionOf(1), longer), { code: 'too-large' });
    assert.equal((await store.getNote(versionOf(1)))?.length, 1024 * 1024);
    assert.equal(await store.getNote(versionOf(2)), undefined);
  },

  'a note is replaced where one is kept, and nowhere else': async ({ store, reopen }) => {
    const other = bytesOf(240, 2);
    assert.equal(await store.replaceNote(versionOf(1), other), false);
    assert.equal(await store.getNote(versionOf(1)), undefined);
    await store.putNote(versionOf(1), bytesOf(233, 1));
    await store.putNote(versionOf(2), bytesOf(233, 1));
    assert.equal(await store.replaceNote(versionOf(1), other), true);
    other.fill(0);
    const kept = store.durable ? await reopen(store) : store;
    assert.deepEqual(await kept.getNote(versionOf(1)), bytesOf(240, 2));
    assert.deepEqual(await kept.getNote(versionOf(2)), bytesOf(233, 1));
    await kept.deleteNote(versionOf(1));
    assert.equal(await kept.replaceNote(versionOf(1), bytesOf(240, 2)), false);
  },

  'notes are listed by version, page by page, while others come and go': async ({ store }) => {
    const stays = [300, 2, 255, 17, 64];
    for (const version of stays) await store.putNote(versionOf(version), bytesOf(233, 1));
    const seen: VersionId[] = [];
    for (let after: VersionId | undefined; ; ) {
      const { items, next } = await store.listNotes(after, 2);
      assert.ok(items.length <= 2);
      seen.push(...items);
      if (next === undefined) break;
      assert.equal(next, items.at(-1));
      after = next;
      await store.putNote(versionOf(1), bytesOf(233, 1));
      await store.deleteNote(versionOf(2));
    }
    assert.deepEqual(seen, [2, 17, 64, 255, 300].map(versionOf));
    assert.equal((await store.listNotes(versionOf(64), 2)).next, undefined, 'a page that ends the listing has no next');
    assert.deepEqual((await store.listNotes(versionOf(300), 10)).items, []);
    await assert.rejects(store.listNotes(undefined, 0), { code: 'bad-request' });
    await assert.rejects(store.listNotes(undefined, 10_001), { code: 'bad-request' });
  },
};
