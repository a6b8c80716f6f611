// The acceptance suite of StorageAdapter: every adapter passes it, third parties' too. It tests the contract and
// nothing an adapter adds to it. A setup gives a place for data and makes adapters over that same place.
// Durability against kill -9 and full disks is tested per adapter, because the faults are.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, isOperaError } from '../../src/errors/errors.ts';
import { MemoryStorage } from '../../src/storage-adapters/memory.ts';
import type { ChunkAddress, StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import { bytesOf, chunkOf, infoOf, manifestOf, naiveDigests, versionOf } from '../support/storage-data.ts';
import { compareWithModel, randomSteps } from './_storage-random.ts';
import { noteCases } from './storage-notes.ts';
import { wrapCases } from './storage-wraps.ts';

export interface StoragePlace {
  /** A new adapter over this place, not opened. Called again after the one before was closed. */
  readonly create: () => StorageAdapter | Promise<StorageAdapter>;
  /** Removes the place; every adapter over it is closed. */
  readonly teardown: () => Promise<void>;
}

/** Makes an empty place. Adapters over it take their wall-clock time from `nowMs`. */
export type StorageSetup = (nowMs: () => number) => Promise<StoragePlace>;

/** A sealed chunk of 64 full segments, the longest there is. */
const fullChunkBytes = 4_195_328;
const nowMs = (): number => 1_750_000_000_000;

const rejectsWith = (promise: Promise<unknown>, code: ErrorCode): Promise<void> =>
  assert.rejects(promise, (error) => isOperaError(error, code), `expected ${code}`);

export interface Opened {
  readonly store: StorageAdapter;
  readonly reopen: (store: StorageAdapter) => Promise<StorageAdapter>;
}

export type Case = (opened: Opened) => Promise<void>;

const withStore = async (setup: StorageSetup, run: Case): Promise<void> => {
  const place = await setup(nowMs);
  const opened: StorageAdapter[] = [];
  const open = async (): Promise<StorageAdapter> => {
    const store = await place.create();
    opened.push(store);
    await store.open();
    return store;
  };
  try {
    const reopen = async (store: StorageAdapter): Promise<StorageAdapter> => {
      await store.close();
      return open();
    };
    await run({ store: await open(), reopen });
  } finally {
    for (const store of opened) await store.close();
    await place.teardown();
  }
};

const chunkCases: Readonly<Record<string, Case>> = {
  'an empty store lists nothing, has zero digests and knows no sequence': async ({ store }) => {
    assert.deepEqual(await store.listChunks(0, undefined, 10), { items: [], next: undefined });
    assert.deepEqual(await store.listManifests(4_095, undefined, 10), { items: [], next: undefined });
    assert.deepEqual(await store.listVersion(versionOf(1), 0, 2 ** 31), []);
    assert.deepEqual(await store.listState(''), []);
    assert.equal(await store.getChunk({ version: versionOf(1), index: 0 }), undefined);
    assert.equal(await store.getManifest(versionOf(1)), undefined);
    assert.equal(await store.getNote(versionOf(1)), undefined);
    assert.deepEqual(await store.listNotes(undefined, 10), { items: [], next: undefined });
    assert.equal(await store.getState('none'), undefined);
    assert.equal(await store.highestSequence(), 0n);
    const empty = new Uint8Array(64 * 32);
    assert.deepEqual(await store.digests(9), { chunks: empty, manifests: empty });
    const { chunks, manifests, chunkBytes, readOnly } = await store.usage();
    assert.deepEqual(
      { chunks, manifests, chunkBytes, readOnly },
      { chunks: 0, manifests: 0, chunkBytes: 0, readOnly: false },
    );
    await store.deleteChunks([{ version: versionOf(1), index: 0 }]);
    await store.deleteManifests([versionOf(1)]);
    await store.deleteNote(versionOf(1));
    await store.deleteState('none');
    assert.deepEqual(await store.putChunks([]), []);
    assert.deepEqual(await store.putManifests([]), []);
  },

  'bodies of every size come back byte for byte with their facts': async ({ store }) => {
    const lengths = [16, 17, 1_024, 65_551, 65_552, 65_553, 131_104, fullChunkBytes];
    const highest = { servedHour: 0xffff_ffff, layoutNumber: 0xffff_ffff };
    const chunks = lengths.map((length, index) => chunkOf({ index, length, seed: index + 1, ...highest }));
    assert.deepEqual(
      await store.putChunks(chunks),
      chunks.map(() => 'stored'),
    );
    for (const chunk of chunks) {
      const found = await store.getChunk(chunk);
      assert.deepEqual(found?.info, infoOf(chunk, nowMs()));
      assert.equal(Buffer.compare(found.body, chunk.body), 0, `body of ${chunk.body.length} bytes`);
    }
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const { chunks: count, chunkBytes } = await store.usage();
    assert.deepEqual([count, chunkBytes], [lengths.length, total]);
  },

  'the last chunk index and the first and last partition are addresses like any other': async ({ store }) => {
    const chunks = [chunkOf({ index: 2 ** 31 - 1, partition: 4_095 }), chunkOf({ index: 0, partition: 0, seed: 2 })];
    await store.putChunks(chunks);
    assert.deepEqual(
      (await store.listVersion(versionOf(1), 0, 2 ** 31)).map(({ index }) => index),
      [0, 2 ** 31 - 1],
    );
    assert.deepEqual(
      (await store.listVersion(versionOf(1), 1, 2 ** 31 - 1)).map(({ index }) => index),
      [],
    );
    assert.equal((await store.listChunks(4_095, undefined, 10)).items.length, 1);
    assert.equal((await store.listChunks(0, undefined, 10)).items.length, 1);
  },

  'a path, where there is one, is of a file with the whole sealed body, until the chunk is gone': async ({ store }) => {
    for (const chunk of [1_000, 300_000].map((length) => chunkOf({ version: length, length }))) {
      await store.putChunks([chunk]);
      const { path } = (await store.getChunk(chunk, { from: 5, to: 10 })) ?? {};
      if (path !== undefined) assert.equal(Buffer.compare(readFileSync(path), chunk.body), 0);
      await store.deleteChunks([chunk]);
      assert.ok(path === undefined || !existsSync(path));
    }
  },

  'a range is half open and clamped to the end of the body': async ({ store }) => {
    for (const length of [1_000, 70_000]) {
      const chunk = chunkOf({ version: length, length });
      await store.putChunks([chunk]);
      const read = async (from: number, to: number): Promise<Uint8Array> => {
        const found = await store.getChunk(chunk, { from, to });
        assert.equal(found?.info.length, length);
        return found.body;
      };
      assert.deepEqual(await read(0, 1), chunk.body.slice(0, 1));
      assert.deepEqual(await read(10, 20), chunk.body.slice(10, 20));
      assert.deepEqual(await read(length - 5, length + 50), chunk.body.slice(-5));
      assert.deepEqual(await read(0, Number.MAX_SAFE_INTEGER), chunk.body);
      assert.deepEqual(await read(7, 7), new Uint8Array());
      assert.deepEqual(await read(length, length + 1), new Uint8Array());
      assert.deepEqual(await read(length + 9, length + 10), new Uint8Array());
    }
  },

  'the same hash again is present, another hash at the address is a conflict and changes nothing': async ({
    store,
  }) => {
    for (const length of [50, 70_000]) {
      const first = chunkOf({ version: length, length });
      const other = chunkOf({ version: length, length, seed: 2 });
      const beside = chunkOf({ version: length, index: 1, length, seed: 3 });
      assert.deepEqual(await store.putChunks([first]), ['stored']);
      assert.deepEqual(await store.putChunks([first, other, beside]), ['present', 'conflict', 'stored']);
      assert.deepEqual((await store.getChunk(first))?.body, first.body);
      const fresh = chunkOf({ version: length, index: 2, length });
      const rival = chunkOf({ version: length, index: 2, length, seed: 2 });
      assert.deepEqual(await store.putChunks([fresh, rival, fresh]), ['stored', 'conflict', 'present']);
    }
    assert.equal((await store.usage()).chunks, 6);
  },

  'a chunk put again keeps its facts, but for its layout number: the lower one stays': async ({ store, reopen }) => {
    const lengths = [50, 70_000];
    const put = async (length: number, layoutNumber: number, seed = 1) =>
      store.putChunks([chunkOf({ version: length, length, seed, layoutNumber, servedHour: layoutNumber })]);
    const assertRow = async (from: StorageAdapter, length: number, layoutNumber: number): Promise<void> => {
      const row = infoOf(chunkOf({ version: length, length, layoutNumber, servedHour: 5 }), nowMs());
      assert.deepEqual((await from.getChunk(row))?.info, row);
      assert.deepEqual(await from.listVersion(row.version, 0, 1), [row]);
      assert.ok((await from.listChunks(7, undefined, 10)).items.some((item) => item.layoutNumber === layoutNumber));
    };
    for (const length of lengths) {
      assert.deepEqual(await put(length, 5), ['stored']);
      assert.deepEqual(await put(length, 6), ['present']);
      await assertRow(store, length, 5);
      assert.deepEqual(await put(length, 1, 2), ['conflict'], 'other bytes say nothing of these');
      await assertRow(store, length, 5);
      assert.deepEqual(await put(length, 3), ['present']);
      await assertRow(store, length, 3);
      assert.deepEqual((await store.getChunk(chunkOf({ version: length })))?.body, bytesOf(length));
    }
    assert.deepEqual(await store.digests(7), await naiveDigests(store, 7));
    assert.equal((await store.usage()).chunks, 2);
    if (!store.durable) return;
    const again = await reopen(store);
    for (const length of lengths) await assertRow(again, length, 3);
  },

  'of concurrent puts of different bytes at one address exactly one is stored': async ({ store }) => {
    for (const length of [50, 70_000]) {
      const rivals = [1, 2, 3, 4, 5, 6].map((seed) => chunkOf({ version: length, length, seed }));
      const outcomes = await Promise.all(rivals.map(async (rival) => (await store.putChunks([rival]))[0]));
      assert.equal(outcomes.filter((outcome) => outcome === 'stored').length, 1);
      assert.equal(outcomes.filter((outcome) => outcome === 'conflict').length, 5);
      const winner = rivals[outcomes.indexOf('stored')];
      assert.deepEqual((await store.getChunk(chunkOf({ version: length })))?.body, winner?.body);
    }
  },

  'buffers may be reused after the put, and returned ones belong to the caller': async ({ store }) => {
    for (const length of [64, 70_000]) {
      // Views into the middle of a larger buffer, as bodies cut from a message are.
      const message = new Uint8Array(length + 200);
      const { body, hash } = chunkOf({ version: length, length });
      message.set(body, 100);
      message.set(hash, 0);
      const address = { version: versionOf(length), index: 0 };
      const views = { hash: message.subarray(0, 32), body: message.subarray(100, 100 + length) };
      await store.putChunks([{ ...address, partition: 1, servedHour: 0, layoutNumber: 1, ...views }]);
      message.fill(0xee);
      const first = await store.getChunk(address);
      assert.deepEqual(first?.body, body);
      assert.deepEqual(first.info.hash, hash);
      first.body.fill(0);
      first.info.hash.fill(0);
      const second = await store.getChunk(address);
      assert.deepEqual(second?.body, body);
      assert.deepEqual(second.info.hash, hash);
    }
    const note = bytesOf(50);
    const value = bytesOf(50, 2);
    await store.putNote(versionOf(1), note);
    await store.putState('k', value);
    note.fill(0);
    value.fill(0);
    (await store.getNote(versionOf(1)))?.fill(1);
    (await store.getState('k'))?.fill(1);
    assert.deepEqual(await store.getNote(versionOf(1)), bytesOf(50));
    assert.deepEqual(await store.getState('k'), bytesOf(50, 2));
  },

  'deleted chunks are gone from reads, listings, digests and usage, and the address is free again': async ({
    store,
  }) => {
    for (const length of [64, 70_000]) {
      const keep = chunkOf({ version: length, index: 0, length });
      const drop = chunkOf({ version: length, index: 1, length });
      await store.putChunks([keep, drop]);
      await store.deleteChunks([drop, drop, chunkOf({ version: length, index: 9 })]);
      assert.equal(await store.getChunk(drop), undefined);
      assert.deepEqual(
        (await store.listVersion(keep.version, 0, 10)).map(({ index }) => index),
        [0],
      );
      assert.deepEqual(await store.digests(7), await naiveDigests(store, 7));
      const again = chunkOf({ version: length, index: 1, length, seed: 5 });
      assert.deepEqual(await store.putChunks([again]), ['stored']);
      assert.deepEqual((await store.getChunk(again))?.body, again.body);
      await store.deleteChunks([keep, again]);
    }
    const { chunks, chunkBytes } = await store.usage();
    assert.deepEqual([chunks, chunkBytes], [0, 0]);
  },

  'pages go by key: complete, ascending, without repeats, while other chunks come and go': async ({ store }) => {
    const stays = Array.from({ length: 30 }, (_, i) => chunkOf({ version: 10 + Math.floor(i / 3) * 10, index: i % 3 }));
    await store.putChunks([...stays, chunkOf({ version: 55, partition: 8 })]);
    const seen: string[] = [];
    let after: ChunkAddress | undefined;
    for (let round = 0; ; round++) {
      const page = await store.listChunks(7, after, 4);
      assert.ok(page.items.length <= 4);
      seen.push(...page.items.map(({ version, index }) => `${version}/${index.toString().padStart(3, '0')}`));
      if (!page.next) break;
      after = page.next;
      // Before and behind the cursor, and one that was listed goes.
      await store.putChunks([chunkOf({ version: 1 + round }), chunkOf({ version: 93 + round, index: 5 })]);
      await store.deleteChunks([chunkOf({ version: round }), chunkOf({ version: 93 + round - 1, index: 5 })]);
    }
    assert.deepEqual(seen, [...new Set(seen)].sort());
    for (const { version, index } of stays) assert.ok(seen.includes(`${version}/${index.toString().padStart(3, '0')}`));
  },

  'a page that ends with the listing has no next': async ({ store }) => {
    await store.putChunks([1, 2, 3, 4].map((version) => chunkOf({ version })));
    await store.putManifests([1, 2].map((version) => manifestOf({ version })));
    const first = await store.listChunks(7, undefined, 2);
    assert.deepEqual(first.next, { version: versionOf(2), index: 0 });
    assert.equal((await store.listChunks(7, first.next, 2)).next, undefined);
    assert.equal((await store.listManifests(7, undefined, 2)).next, undefined);
    assert.equal((await store.listManifests(7, undefined, 1)).next, versionOf(1));
  },
};

const asideCases: Readonly<Record<string, Case>> = {
  'partitions in use are named once each, in order': async ({ store, reopen }) => {
    assert.deepEqual(await store.listPartitions(), []);
    const chunks = [9, 4_000].map((partition, index) => chunkOf({ partition, index }));
    await store.putChunks(chunks);
    await store.putManifests([manifestOf({ partition: 9 }), manifestOf({ version: 2, partition: 12 })]);
    const current = store.durable ? await reopen(store) : store;
    if (store.durable) assert.deepEqual(await current.listPartitions(), [9, 12, 4_000]);
    await current.deleteManifests([versionOf(2)]);
    const left = await current.listPartitions();
    assert.ok(left.includes(9) && left.includes(4_000), 'one that holds something is always named');
  },

  'a copy that is set aside is absent for every call until a put of its address replaces it': async ({
    store,
    reopen,
  }) => {
    let current = store;
    for (const length of [50, 70_000]) {
      const chunk = chunkOf({ version: length, length });
      const beside = chunkOf({ version: length, index: 1, length, seed: 2 });
      await current.putChunks([chunk, beside]);
      assert.equal(await current.setAside(chunk, beside.hash), false, 'another hash is another copy');
      assert.equal(await current.setAside({ version: versionOf(99), index: 0 }, chunk.hash), false);
      assert.equal(await current.setAside(chunk, chunk.hash), true);
      assert.equal(await current.setAside(chunk, chunk.hash), false, 'what is aside is not there to be set aside');
      if (current.durable) current = await reopen(current);
      assert.equal(await current.getChunk(chunk), undefined);
      const left = (await current.listVersion(chunk.version, 0, 9)).map(({ index }) => index);
      assert.deepEqual(left, [1]);
      assert.deepEqual(await current.digests(7), await naiveDigests(current, 7));
      const { chunks, chunkBytes, chunksAside } = await current.usage();
      assert.deepEqual([chunks, chunkBytes, chunksAside], [1, length, 1]);
      assert.deepEqual(await current.putChunks([chunk]), ['stored']);
      assert.deepEqual((await current.getChunk(chunk))?.body, chunk.body);
      assert.equal((await current.usage()).chunksAside, 0);
      await current.deleteChunks([chunk, beside]);
    }
  },

  'a delete names what is set aside too': async ({ store }) => {
    for (const length of [50, 70_000]) {
      const chunk = chunkOf({ version: length, length });
      await store.putChunks([chunk]);
      await store.setAside(chunk, chunk.hash);
      await store.deleteChunks([chunk]);
      const { chunks, chunkBytes, chunksAside } = await store.usage();
      assert.deepEqual([chunks, chunkBytes, chunksAside], [0, 0, 0]);
    }
  },

  'a store that nothing happened to shows no damage': async ({ store }) => {
    await store.putChunks([chunkOf()]);
    assert.deepEqual(await store.findDamage(), []);
  },
};

const recordCases: Readonly<Record<string, Case>> = {
  'manifests are ordered by sequence, then wrap epoch; lower ones are stale': async ({ store }) => {
    const put = async (parts: Parameters<typeof manifestOf>[0]): Promise<unknown> =>
      (await store.putManifests([manifestOf(parts)]))[0];
    assert.equal(await put({ sequence: 10n, wrapEpoch: 1 }), 'stored');
    assert.equal(await put({ sequence: 10n, wrapEpoch: 1 }), 'present');
    assert.equal(await put({ sequence: 10n, wrapEpoch: 1, seed: 2 }), 'stale');
    assert.deepEqual(await store.getManifest(versionOf(1)), manifestOf({ sequence: 10n, wrapEpoch: 1 }));
    assert.equal(await put({ sequence: 10n, wrapEpoch: 2, seed: 3 }), 'stored');
    assert.equal(await put({ sequence: 10n, wrapEpoch: 1 }), 'stale');
    assert.equal(await put({ sequence: 11n, wrapEpoch: 1, state: 'dead' }), 'stored');
    assert.equal(await put({ sequence: 10n, wrapEpoch: 9 }), 'stale');
    assert.deepEqual(await store.getManifest(versionOf(1)), manifestOf({ sequence: 11n, state: 'dead' }));
    assert.equal((await store.usage()).manifests, 1);
    assert.deepEqual(await store.digests(7), await naiveDigests(store, 7));
  },

  'sequences keep all 63 bits and the highest is that of any manifest kept': async ({ store }) => {
    const top = 2n ** 63n - 1n;
    const sequences = [2n ** 53n, 2n ** 53n + 1n, top];
    await store.putManifests(
      sequences.map((sequence, version) => manifestOf({ version, sequence, wrapEpoch: 0xffff_ffff })),
    );
    for (const [version, sequence] of sequences.entries()) {
      assert.equal((await store.getManifest(versionOf(version)))?.sequence, sequence);
    }
    assert.equal(await store.highestSequence(), top);
    await store.deleteManifests([versionOf(2)]);
    assert.equal(await store.highestSequence(), 2n ** 53n + 1n);
  },

  'digests equal those computed from the listing, also after replacing and deleting': async ({ store }) => {
    const versions = [0, 1, 63, 64, 127, 128, 191, 255];
    await store.putChunks(
      versions.flatMap((version) => [0, 1].map((index) => chunkOf({ version, index, seed: version + 1 }))),
    );
    await store.putManifests(versions.map((version) => manifestOf({ version })));
    await store.putManifests([manifestOf({ version: 63, sequence: 11n, state: 'dead' })]);
    await store.deleteManifests([versionOf(64)]);
    await store.deleteChunks([{ version: versionOf(127), index: 1 }]);
    const digests = await store.digests(7);
    assert.deepEqual(digests, await naiveDigests(store, 7));
    assert.ok(digests.chunks.some((byte) => byte !== 0));
    assert.ok(digests.manifests.some((byte) => byte !== 0));
    await store.deleteChunks(
      versions.flatMap((version) => [0, 1].map((index) => ({ version: versionOf(version), index }))),
    );
    await store.deleteManifests(versions.map(versionOf));
    const empty = new Uint8Array(64 * 32);
    assert.deepEqual(await store.digests(7), { chunks: empty, manifests: empty });
  },

  'state keys are listed by prefix in ASCII order, and no character in them is a pattern': async ({ store }) => {
    const keys = [
      'sol',
      'sola',
      'sol/1',
      'so',
      'Sol',
      'sol%',
      'sol_',
      'sol*',
      'sol?',
      "sol'",
      'sol"',
      'sol\\',
      'sol~',
      ' ',
      '~',
    ];
    for (const key of keys) await store.putState(key, bytesOf(4, key.length));
    const inOrder = (prefix: string): string[] => keys.filter((key) => key.startsWith(prefix)).sort();
    for (const prefix of ['', 's', 'sol', 'sola', 'sol%', 'sol_', 'sol~', 'S', '~', 'x', ' ']) {
      assert.deepEqual(await store.listState(prefix), inOrder(prefix), `prefix ${JSON.stringify(prefix)}`);
    }
    await store.putState('sol', bytesOf(9, 9));
    assert.deepEqual(await store.getState('sol'), bytesOf(9, 9));
    await store.deleteState('sol');
    assert.deepEqual(
      await store.listState('sol'),
      inOrder('sol').filter((key) => key !== 'sol'),
    );
    const longest = 'k'.repeat(200);
    await store.putState(longest, bytesOf(1024 * 1024));
    await store.putState('empty', new Uint8Array());
    assert.equal((await store.getState(longest))?.length, 1024 * 1024);
    assert.deepEqual(await store.getState('empty'), new Uint8Array());
  },

  'arguments beyond the limits are refused and nothing of the call is kept': async ({ store }) => {
    const good = chunkOf({ version: 2 });
    await rejectsWith(store.putChunks([good, { ...chunkOf(), partition: 4_096 }]), 'bad-request');
    await rejectsWith(store.putChunks([good, { ...chunkOf(), index: 2 ** 31 }]), 'bad-request');
    await rejectsWith(store.putChunks([good, { ...chunkOf(), index: -1 }]), 'bad-request');
    await rejectsWith(store.putChunks([good, { ...chunkOf(), layoutNumber: 2 ** 32 }]), 'bad-request');
    await rejectsWith(store.putChunks([good, { ...chunkOf(), hash: bytesOf(31) }]), 'bad-request');
    await rejectsWith(store.putChunks([good, chunkOf({ length: 15 })]), 'bad-request');
    await rejectsWith(store.putChunks([good, chunkOf({ length: fullChunkBytes + 1 })]), 'too-large');
    await rejectsWith(
      store.putChunks(Array.from({ length: 1_001 }, (_, version) => chunkOf({ version }))),
      'bad-request',
    );
    await rejectsWith(store.putManifests([manifestOf({ sequence: 2n ** 63n })]), 'bad-request');
    await rejectsWith(store.listChunks(7, undefined, 0), 'bad-request');
    await rejectsWith(store.listChunks(7, undefined, 10_001), 'bad-request');
    await rejectsWith(store.getChunk(good, { from: 5, to: 4 }), 'bad-request');
    await rejectsWith(store.putState('', bytesOf(1)), 'bad-request');
    await rejectsWith(store.putState('k'.repeat(201), bytesOf(1)), 'bad-request');
    await rejectsWith(store.putState('größe', bytesOf(1)), 'bad-request');
    await rejectsWith(store.putState('k', bytesOf(1024 * 1024 + 1)), 'too-large');
    assert.equal((await store.usage()).chunks, 0);
  },

  'a read that starts after a write resolved sees it, among many calls at once': async ({ store }) => {
    await Promise.all(
      Array.from({ length: 40 }, async (_, version) => {
        const chunk = chunkOf({ version, length: version % 4 === 0 ? 70_000 : 200, seed: version + 1 });
        assert.deepEqual(await store.putChunks([chunk]), ['stored']);
        assert.deepEqual((await store.getChunk(chunk))?.body, chunk.body);
        await store.putManifests([manifestOf({ version, sequence: BigInt(version + 1) })]);
        assert.equal((await store.getManifest(versionOf(version)))?.sequence, BigInt(version + 1));
      }),
    );
    assert.equal((await store.usage()).chunks, 40);
    assert.equal(await store.highestSequence(), 40n);
  },

  'the write counter rises with every write that was waited for': async ({ store }) => {
    let last = await store.writeCounter();
    for (const version of [1, 2, 3]) {
      await store.putChunks([chunkOf({ version })]);
      const now = await store.writeCounter();
      assert.ok(now > last);
      last = now;
    }
  },
};

const lifeCases: Readonly<Record<string, Case>> = {
  'a durable store opens with everything it acknowledged, its id and its counter': async ({ store, reopen }) => {
    if (!store.durable) return;
    const chunks = [100, 70_000].map((length, index) => chunkOf({ index, length }));
    await store.adoptStoreId('0123456789abcdef0123456789abcdef');
    await store.putChunks(chunks);
    await store.putManifests([manifestOf()]);
    await store.putNote(versionOf(1), bytesOf(233));
    await store.putState('promise', bytesOf(12));
    const digests = await store.digests(7);
    const counter = await store.writeCounter();
    const again = await reopen(store);
    for (const chunk of chunks) {
      const found = await again.getChunk(chunk);
      assert.deepEqual([found?.info, found?.body], [infoOf(chunk, nowMs()), chunk.body]);
    }
    assert.deepEqual(await again.getManifest(versionOf(1)), manifestOf());
    assert.deepEqual(await again.getNote(versionOf(1)), bytesOf(233));
    assert.deepEqual(await again.getState('promise'), bytesOf(12));
    assert.deepEqual(await again.digests(7), digests);
    assert.ok((await again.writeCounter()) >= counter);
    const { chunks: count, chunkBytes } = await again.usage();
    assert.deepEqual([count, chunkBytes], [2, 70_100]);
    const third = await reopen(again);
    assert.deepEqual(
      await third.listVersion(versionOf(1), 0, 9),
      chunks.map((chunk) => infoOf(chunk, nowMs())),
    );
  },

  'calls under way when the store closes still succeed': async ({ store }) => {
    const puts = [100, 70_000].map((length, version) => store.putChunks([chunkOf({ version, length })]));
    const closed = store.close();
    assert.deepEqual(await Promise.all(puts), [['stored'], ['stored']]);
    await closed;
  },

  'closing twice is allowed, and every call after it rejects with not-ready': async ({ store }) => {
    await Promise.all([store.close(), store.close()]);
    await store.close();
    const calls: (() => Promise<unknown>)[] = [
      () => store.putChunks([chunkOf()]),
      () => store.getChunk(chunkOf()),
      () => store.listVersion(versionOf(1), 0, 1),
      () => store.listChunks(0, undefined, 1),
      () => store.deleteChunks([chunkOf()]),
      () => store.putManifests([manifestOf()]),
      () => store.getManifest(versionOf(1)),
      () => store.listManifests(0, undefined, 1),
      () => store.deleteManifests([versionOf(1)]),
      () => store.highestSequence(),
      () => store.putNote(versionOf(1), bytesOf(1)),
      () => store.getNote(versionOf(1)),
      () => store.replaceNote(versionOf(1), bytesOf(1)),
      () => store.deleteNote(versionOf(1)),
      () => store.listNotes(undefined, 1),
      () => store.digests(0),
      () => store.putState('k', bytesOf(1)),
      () => store.getState('k'),
      () => store.listState(''),
      () => store.deleteState('k'),
      () => store.adoptStoreId('0'.repeat(32)),
      () => store.writeCounter(),
      () => store.usage(),
      () => store.open(),
    ];
    for (const call of calls) await rejectsWith(call(), 'not-ready');
  },
};

/** Declares the suite under `name`. */
export const testStorageAdapter = (name: string, setup: StorageSetup): void => {
  describe(`storage adapter ${name}`, () => {
    for (const [sentence, run] of Object.entries({
      ...chunkCases,
      ...asideCases,
      ...recordCases,
      ...noteCases,
      ...wrapCases,
      ...lifeCases,
    })) {
      test(sentence, () => withStore(setup, run));
    }

    test('a blank store opens without an id and before that refuses calls', async () => {
      const place = await setup(nowMs);
      const store = await place.create();
      try {
        await rejectsWith(store.usage(), 'not-ready');
        assert.deepEqual(await store.open(), { previousStoreId: undefined, writeCounter: 0 });
        await store.adoptStoreId('f'.repeat(32));
        if (!store.durable) return;
        await store.close();
        const again = await place.create();
        const opening = await again.open();
        await again.close();
        assert.equal(opening.previousStoreId, 'f'.repeat(32));
        assert.ok(opening.writeCounter >= 1);
      } finally {
        await store.close();
        await place.teardown();
      }
    });

    test('random sequences of calls answer as the store in memory does', async () => {
      const property = fc.asyncProperty(randomSteps, (steps) =>
        withStore(setup, async ({ store, reopen }) => {
          const model = new MemoryStorage({ nowMs });
          await model.open();
          await compareWithModel(steps, store, model, store.durable ? reopen : undefined);
        }),
      );
      await fc.assert(property, { numRuns: 12, seed: 20_260_101, endOnFailure: true });
    });
  });
};
