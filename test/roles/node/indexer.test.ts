// What is indexed follows what is stored: chunks that come, go, are replaced or were there before, over restarts,
// deleted and damaged index files, key rotations; in memory and in the worker threads of a real node.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isOperaError, OperaError } from '../../../src/errors/errors.ts';
import { sha256 } from '../../../src/crypto/digest.ts';
import { sealChainRecord } from '../../../src/crypto/key-chain.ts';
import { createKeyring, type Keyring } from '../../../src/crypto/keyring.ts';
import { sealNote } from '../../../src/crypto/note.ts';
import { createFileKeys, sealChunk } from '../../../src/crypto/sealing.ts';
import { wrapFileKey } from '../../../src/crypto/wrap.ts';
import { encodeNote, recogniseCatalogue } from '../../../src/index/catalogue.ts';
import { bindQuery, parseQuery, type QueryText } from '../../../src/index/query.ts';
import { keyHashFromBytes, networkIdFromBytes, type VersionId, versionIdFromBytes } from '../../../src/model/ids.ts';
import type { ChunkToIndex } from '../../../src/roles/node/index-build.ts';
import type { Run } from '../../../src/roles/node/index-file.ts';
import type { NodeCore } from '../../../src/roles/node/core.ts';
import { type IndexEngine, MemoryIndex, ThreadIndex } from '../../../src/roles/node/index-engine.ts';
import { Indexer } from '../../../src/roles/node/indexer.ts';
import { SystemClock } from '../../../src/runtime/clock.ts';
import type { LogFacts } from '../../../src/runtime/log.ts';
import { SystemRandom } from '../../../src/runtime/random.ts';
import { MemoryStorage } from '../../../src/storage-adapters/memory.ts';
import type { ChunkWrite, StorageAdapter } from '../../../src/storage-adapters/storage-adapter.ts';
import { eventually } from '../../support/eventually.ts';
import { withFolder } from '../../support/sqlite-store.ts';

const random = new SystemRandom();
const network = networkIdFromBytes(random.bytes(16));
const self = keyHashFromBytes(random.bytes(32));
const csv = (from: number, count: number): string =>
  Array.from(
    { length: count },
    (_, at) => `Star ${from + at},${(from + at) % 360},${(from + at) % 90},${from + at},G2V\n`,
  ).join('');
const header = 'name,ra,dec,dist_pc,spect\n';

interface MadeCatalogue {
  readonly version: VersionId;
  readonly note: Uint8Array;
  readonly chunks: readonly ChunkWrite[];
}

const makeCatalogue = (keyring: Keyring, chunkCount = 3): MadeCatalogue => {
  const version = versionIdFromBytes(random.bytes(16));
  const keys = createFileKeys(random, network, version);
  const { note } = recogniseCatalogue(Buffer.from(header + csv(0, 20)), true);
  assert.ok(note);
  const chunks = Array.from({ length: chunkCount }, (_, index): ChunkWrite => {
    const plaintext = Buffer.from((index === 0 ? header : '') + csv(index * 100, 100));
    const body = sealChunk(keys, index, plaintext, { last: index === chunkCount - 1 });
    return { version, index, partition: 0, hash: sha256(body), body, servedHour: 0, layoutNumber: 1 };
  });
  const wrap = wrapFileKey(keyring, network, version, keys.fileKey, random);
  const content = JSON.parse(encodeNote(note)) as Record<string, unknown>;
  return { version, note: sealNote(keys.fileKey, keys.header, wrap, content as never, random), chunks };
};

class Rig {
  readonly indexer: Indexer;
  readonly storage: StorageAdapter;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  readonly reported: string[] = [];
  /** Event and reason of each warning. */
  readonly warned: string[] = [];

  constructor(inner: StorageAdapter, engine: IndexEngine, keyring: { current: Keyring }, mode = 'sealed') {
    this.indexer = new Indexer(engine);
    this.storage = this.indexer.watch(inner);
    const warn = (event: string, facts?: LogFacts): void => void this.warned.push(`${event} ${facts?.why ?? ''}`);
    const log = { warn, error: () => undefined, info: () => undefined, debug: () => undefined };
    const core = {
      context: {
        networkId: network,
        stopping: this.#stop.signal,
        clock: new SystemClock(),
        random,
        log,
        rosters: { roster: { settings: { indexMode: mode } } },
      },
      keys: {
        hasKeys: true,
        get keyring() {
          return keyring.current;
        },
      },
      storage: this.storage,
      self,
      copies: { report: ({ version }: { version: VersionId }) => this.reported.push(version) },
    };
    this.indexer.attach(core as unknown as NodeCore);
    this.#ended = this.indexer.run();
  }

  async put({ version, note, chunks }: MadeCatalogue): Promise<void> {
    await this.storage.putNote(version, note);
    await this.storage.putChunks(chunks);
  }

  indexed(version: VersionId): number {
    return [0, 1, 2, 3].filter((index) => this.indexer.runOf(version, index) !== undefined).length;
  }

  async whenIndexed(version: VersionId, count: number): Promise<void> {
    await eventually(() => this.indexed(version) === count);
  }

  async count(version: VersionId, text: QueryText): Promise<number> {
    const query = bindQuery(parseQuery(text), () => undefined);
    const chunks = [0, 1, 2, 3].flatMap((index) => {
      const run = this.indexer.runOf(version, index);
      return run ? [{ version, chunk: index, run: run.run }] : [];
    });
    const catalogues = [await this.indexer.keysOf(version)];
    const searching = this.indexer.engine.search({ query, chunks, catalogues }, (needs) =>
      Promise.all(
        needs.map(async ({ version: of, chunk: index, from, to }) => {
          const found = await this.storage.getChunk({ version: of, index }, { from, to });
          return found && { bytes: found.body, path: found.path };
        }),
      ),
    );
    const found = await searching.catch(async (error: unknown) => {
      // As the handler of queries does.
      assert.ok(isOperaError(error, 'integrity', 'not-ready'), String(error));
      if (isOperaError(error, 'integrity')) this.indexer.rebuild();
      return undefined;
    });
    if (!found) return -1;
    for (const { chunk: index } of found.damaged) this.indexer.redo({ version, index });
    return found.result.answer.count;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

const openStore = async (): Promise<StorageAdapter> => {
  const storage = new MemoryStorage({ nowMs: () => 0 });
  await storage.open();
  return storage;
};

/** Turns bytes in the middle of a file, where pages of the index lie. */
const flipInside = (file: string): void => {
  const bytes = readFileSync(file);
  for (let at = Math.floor(bytes.length * 0.4); at < bytes.length - 2_000; at += 3_000)
    bytes[at] = (bytes[at] ?? 0) ^ 255;
  writeFileSync(file, bytes);
};

const newKeyring = (): { current: Keyring } => ({
  current: createKeyring(network, { epoch: 1, key: random.bytes(32) }),
});

test('chunks are indexed as they come, forgotten as they go, and indexed again when they come back', async () => {
  const keyring = newKeyring();
  const rig = new Rig(await openStore(), new MemoryIndex(), keyring);
  const made = makeCatalogue(keyring.current);
  await rig.put(made);
  await rig.whenIndexed(made.version, 3);
  assert.equal(await rig.count(made.version, { where: 'dist < 150' }), 150);
  await rig.storage.deleteChunks([{ version: made.version, index: 1 }]);
  assert.equal(rig.indexed(made.version), 2);
  assert.equal(await rig.count(made.version, { where: 'dist < 150' }), 100);
  await rig.storage.putChunks(made.chunks.slice(1, 2));
  await rig.whenIndexed(made.version, 3);
  const [first] = made.chunks;
  assert.ok(first);
  await rig.storage.setAside(first, first.hash);
  assert.equal(rig.indexed(made.version), 2);
  const look = await rig.indexer.look();
  assert.deepEqual([look.chunks, look.indexed, look.failed], [2, 200, 0]);
  await rig.stop();
});

test('an ordinary file is not looked at, and a chunk that came before its note is found', async () => {
  const keyring = newKeyring();
  const rig = new Rig(await openStore(), new MemoryIndex(), keyring);
  const made = makeCatalogue(keyring.current);
  await rig.storage.putChunks(made.chunks);
  assert.equal((await rig.indexer.look()).waiting, 0);
  await rig.storage.putNote(made.version, made.note);
  await rig.whenIndexed(made.version, 3);
  await rig.stop();
});

test('a chunk that cannot be indexed is counted, and hinders no other', async () => {
  const keyring = newKeyring();
  const rig = new Rig(await openStore(), new MemoryIndex(), keyring);
  const made = makeCatalogue(keyring.current);
  const body = Uint8Array.from(made.chunks[1]?.body ?? []);
  body[100] = (body[100] ?? 0) ^ 1;
  const broken = made.chunks.map((chunk) => (chunk.index === 1 ? { ...chunk, body, hash: sha256(body) } : chunk));
  await rig.put({ ...made, chunks: broken });
  await eventually(async () => (await rig.indexer.look()).failed === 1);
  await rig.whenIndexed(made.version, 2);
  assert.match((await rig.indexer.look()).failure ?? '', /^chunk 1 of /);
  await rig.stop();
});

test('an index that is rebuilt while it is being built has everything in the end', async () => {
  await withFolder(async (folder) => {
    const keyring = newKeyring();
    const rig = new Rig(await openStore(), new ThreadIndex(folder), keyring);
    const made = makeCatalogue(keyring.current);
    await rig.put(made);
    for (let turn = 0; turn < 6; turn++) {
      rig.indexer.rebuild();
      if (turn % 2 === 0) await eventually(async () => (await rig.indexer.look()).waiting < 3);
    }
    await rig.whenIndexed(made.version, 3);
    assert.equal(await rig.count(made.version, { where: 'dist < 150' }), 150);
    await rig.stop();
    assert.ok(readdirSync(folder).includes('index.db'));
  });
});

test('on disk: kept over restarts and rotations, made anew when deleted, damaged or of another mode', async () => {
  await withFolder(async (folder) => {
    const keyring = newKeyring();
    const storage = await openStore();
    const made = makeCatalogue(keyring.current);
    const begin = (mode?: 'plain'): Rig => new Rig(storage, new ThreadIndex(folder), keyring, mode);
    const check = async (rig: Rig): Promise<void> => {
      await rig.whenIndexed(made.version, 3);
      assert.equal(await rig.count(made.version, { where: 'dist < 150 and class = G' }), 150);
      assert.equal(await rig.count(made.version, { find: 'Star 217' }), 1);
    };
    let rig = begin();
    await rig.put(made);
    await check(rig);
    const runs = (of: Rig) => [0, 1, 2].map((index) => of.indexer.runOf(made.version, index)?.run);
    const before = runs(rig);
    await rig.stop();

    // Kept: the same runs, although one chunk is not there any more.
    await storage.deleteChunks([{ version: made.version, index: 2 }]);
    rig = begin();
    await rig.whenIndexed(made.version, 2);
    assert.deepEqual(runs(rig), [before[0], before[1], undefined]);
    await rig.storage.putChunks(made.chunks.slice(2));
    await check(rig);

    // A rotation reseals the key; the index stays.
    const old = keyring.current;
    const key = random.bytes(32);
    keyring.current = createKeyring(network, { epoch: 2, key }, [
      sealChainRecord(network, old.newest, { epoch: 2, key }, random),
    ]);
    const kept = runs(rig);
    await rig.storage.deleteChunks([{ version: made.version, index: 2 }]);
    await rig.storage.putChunks(made.chunks.slice(2));
    await check(rig);
    await rig.stop();
    rig = begin();
    await check(rig);
    assert.deepEqual(runs(rig).slice(0, 2), kept.slice(0, 2));
    await rig.stop();

    for (const harm of ['delete', 'truncate', 'garbage', 'page'] as const) {
      const file = join(folder, 'index.db');
      if (harm === 'delete') rmSync(file);
      if (harm === 'truncate') truncateSync(file, 5_000);
      if (harm === 'garbage') writeFileSync(file, random.bytes(50_000));
      if (harm === 'page') flipInside(file);
      rig = begin();
      await rig.whenIndexed(made.version, 3);
      // What does not read back is noticed by whoever asks, and made again.
      const right = async (): Promise<boolean> =>
        (await rig.count(made.version, { where: 'dist < 150 and class = G' })) === 150;
      await eventually(right);
      // Said once, with the file and what is wrong with it; the page shows only when it is read, and is said then.
      const said = rig.warned.filter((line) => line.startsWith('index-replaced'));
      assert.deepEqual(said.length, harm === 'truncate' || harm === 'garbage' ? 1 : 0, `${harm}: ${said.join()}`);
      for (const line of said)
        assert.match(line, /index\.db: the (database is damaged|file is not a SQLite database)$/);
      await rig.stop();
    }

    rig = begin('plain');
    await check(rig);
    assert.match(rig.warned.join(), /^index-replaced .*index\.db: an index of another format or mode$/);
    rig.indexer.rebuild();
    await check(rig);
    await rig.stop();
    assert.ok(readdirSync(folder).includes('index.db'));
  });
});

test('why nothing is indexed is told, until something is', async () => {
  class FullOnce extends MemoryIndex {
    full = true;
    override async build(chunk: ChunkToIndex): Promise<Run> {
      if (this.full) throw new OperaError('no-space', 'index.db: no space is left');
      return super.build(chunk);
    }
  }
  const keyring = newKeyring();
  const engine = new FullOnce();
  const rig = new Rig(await openStore(), engine, keyring);
  const made = makeCatalogue(keyring.current);
  await rig.put(made);
  const failure = async (): Promise<string | undefined> => (await rig.indexer.look()).failure;
  await eventually(async () => (await failure()) === 'index.db: no space is left');
  engine.full = false;
  await rig.whenIndexed(made.version, 3);
  await eventually(async () => (await failure()) === undefined);
  await rig.stop();
});

test('on a disk without room it keeps what it has, says so, and goes on by itself when there is room', async () => {
  const keyring = newKeyring();
  let unreservedBytes = 1 << 30;
  const storage = new Proxy(await openStore(), {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (key === 'usage') return async () => ({ ...(await target.usage()), unreservedBytes });
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const rig = new Rig(storage, new MemoryIndex(), keyring);
  const [made, more] = [makeCatalogue(keyring.current), makeCatalogue(keyring.current)];
  await rig.put(made);
  await rig.whenIndexed(made.version, 3);
  const runs = [0, 1, 2].map((index) => rig.indexer.runOf(made.version, index));
  unreservedBytes = 1_000;
  await rig.put(more);
  await eventually(() => rig.indexer.progress.halted?.startsWith('the disk is full') ?? false);
  const { waiting, failed, chunks } = await rig.indexer.look();
  assert.deepEqual({ waiting, failed, chunks }, { waiting: 3, failed: 0, chunks: 3 });
  assert.equal(await rig.count(made.version, { where: 'dist < 150' }), 150);
  assert.deepEqual(
    [0, 1, 2].map((index) => rig.indexer.runOf(made.version, index)),
    runs,
  );
  unreservedBytes = 1 << 30;
  await rig.whenIndexed(more.version, 3);
  await eventually(() => rig.indexer.progress.halted === undefined);
  await rig.stop();
});

test('damage that shows when the index is only looked at is mended, too', async () => {
  const damage = new OperaError('integrity', 'index.db: the database is damaged');
  class DamagedOnce extends MemoryIndex {
    damaged = true;
    override async bytes(): Promise<number> {
      if (!this.damaged) return super.bytes();
      this.damaged = false;
      throw damage;
    }
  }
  const keyring = newKeyring();
  const engine = new DamagedOnce();
  const rig = new Rig(await openStore(), engine, keyring);
  const made = makeCatalogue(keyring.current);
  await rig.put(made);
  await rig.whenIndexed(made.version, 3);
  const before = rig.indexer.runOf(made.version, 0);
  assert.deepEqual([(await rig.indexer.look()).bytes, engine.damaged], [0, false]);
  await eventually(() => rig.indexed(made.version) === 3 && rig.indexer.runOf(made.version, 0) !== before);
  assert.ok((await rig.indexer.look()).bytes > 0);
  await rig.stop();
});

test('a sealed index shows no name and no value', async () => {
  await withFolder(async (folder) => {
    const keyring = newKeyring();
    const rig = new Rig(await openStore(), new ThreadIndex(folder), keyring);
    const made = makeCatalogue(keyring.current);
    await rig.put(made);
    await rig.whenIndexed(made.version, 3);
    await rig.stop();
    const bytes = Buffer.concat(readdirSync(folder).map((name) => readFileSync(join(folder, name))));
    for (const text of ['Star 2', 'star2', 'spect', 'dist_pc']) assert.equal(bytes.includes(text), false, text);
  });
});

test('the keys of thousands of small catalogues stay open: a question about all of them opens none again', async () => {
  const keyring = newKeyring();
  const storage = await openStore();
  const rig = new Rig(storage, new MemoryIndex(), keyring);
  const versions: VersionId[] = [];
  for (let at = 0; at < 3_000; at++) {
    const { version, note } = makeCatalogue(keyring.current, 0);
    await storage.putNote(version, note);
    versions.push(version);
  }
  const first = await Promise.all(versions.map((version) => rig.indexer.keysOf(version)));
  const again = await Promise.all(versions.map((version) => rig.indexer.keysOf(version)));
  assert.equal(again.filter((keys, at) => keys !== first[at]).length, 0);
  await rig.stop();
});
