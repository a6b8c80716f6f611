// Queries over the real index of real nodes, in memory: as query.test.ts proves the client against an oracle, this
// proves that nodes vouch for what they have and for nothing else, over losses of chunks, notes and indexes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { removeFile, renameFile } from '../../src/client/names.ts';
import { queryStars } from '../../src/client/query.ts';
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import { recogniseCatalogue } from '../../src/index/catalogue.ts';
import { matches } from '../../src/index/matcher.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { bindQuery, parseQuery, type QueryText } from '../../src/index/query.ts';
import { RecordReader } from '../../src/index/record.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';
import { rejects } from '../support/refuses.ts';

const bytes = readFileSync('fixtures/catalogues/oec_1086_systems.ndjson');

/** Names that a full scan of the file finds, sorted. */
const scan = (text: QueryText): string[] => {
  const { note } = recogniseCatalogue(bytes, true);
  assert.ok(note);
  const reader = new RecordReader(note.dialect, note.bindings);
  const { where } = bindQuery(parseQuery(text), () => undefined);
  return [...parseRecords(bytes, note.dialect, true)]
    .flatMap((raw) => {
      const read = reader.read(raw);
      return 'system' in read && matches(where, read.system) ? [String(read.system.values.name)] : [];
    })
    .sort();
};

const questions: readonly QueryText[] = [
  { where: 'dist < 15pc and n_planets > 1' },
  { find: '55 Cnc' },
  { cone: '290, 45, 4deg' },
  { where: 'spectral_type = "M3*" or mag < 5' },
  { where: 'n_planets is known', limit: 2_000 },
];

const start = async (seed: string) => {
  const cluster = await MemoryCluster.start({ seed, nodes: 4 });
  const session = await cluster.session();
  const { version } = await cluster.during(put(session, 'stars', bytes));
  const check = async (): Promise<void> => {
    for (const text of questions) {
      const { rows } = await cluster.during(queryStars(session, { ...text, columns: 'name' }));
      assert.deepEqual(rows.map(({ system }) => String(system.values.name)).sort(), scan(text), JSON.stringify(text));
    }
  };
  return { cluster, session, version, check };
};

/** Nodes that hold the one chunk of a version. */
const holders = async (cluster: MemoryCluster, version: VersionId): Promise<number[]> => {
  const held: number[] = [];
  for (let at = 0; at < 4; at++) {
    if ((await cluster.node(at).storage.listVersion(version, 0, 1)).length > 0) held.push(at);
  }
  return held;
};

test('every question is answered as by a full scan, with all owners but one away in turn', async () => {
  const { cluster, version, check } = await start('owners');
  await check();
  const owners = await holders(cluster, version);
  assert.equal(owners.length, 3);
  const [first, second] = owners;
  for (const at of [first, second]) {
    assert.ok(at !== undefined);
    cluster.stopNode(at);
    await check();
  }
  cluster.stopAll();
});

test('a chunk that is gone, or lost its note, is asked of others, and the note comes back', async () => {
  const { cluster, version, check } = await start('notes');
  const [first = 0, second = 0] = await holders(cluster, version);
  const { storage } = cluster.node(first);
  const { storage: watched } = cluster.node(second).running?.hygiene.core ?? assert.fail();
  // Behind the back of the node, as a damaged store would.
  await storage.deleteNote(version);
  await watched.deleteChunks([{ version, index: 0 }]);
  await check();
  cluster.stopAll();
});

test('an altered note is asked of the other owners when it is met, and costs no index', async () => {
  const { cluster, version, check } = await start('altered');
  const [first = 0, second = 0] = await holders(cluster, version);
  const good = await cluster.node(first).storage.getNote(version);
  assert.ok(good);
  for (const [at, place] of [
    [first, 60],
    [second, good.length - 1],
  ] as const) {
    cluster.stopNode(at);
    await cluster.node(at).storage.replaceNote(
      version,
      good.map((byte, index) => (index === place ? byte ^ 1 : byte)),
    );
    await cluster.startNode(at);
  }
  await cluster.until(() => [first, second].every((at) => cluster.node(at).running?.notReady() === undefined));
  for (const at of [first, second]) {
    await check();
    await cluster.until(
      async () => Buffer.compare((await cluster.node(at).storage.getNote(version)) ?? good, good) === 0,
    );
  }
  assert.ok(cluster.lines.every((line) => !line.includes('index-damaged')));
  await check();
  cluster.stopAll();
});

test('a damaged index without other owners is built anew; until then a part is answered, or why', async () => {
  let damaged = false;
  let buildMs = 0;
  const cluster = await MemoryCluster.start({
    ...{ seed: 'damaged', nodes: 3 },
    indexOf: (engine) => ({
      ...engine,
      search: async (...args) => {
        if (damaged) throw new OperaError('integrity', 'index.db: the database is damaged');
        return engine.search(...args);
      },
      discard: async () => {
        damaged = false;
        await engine.discard();
      },
      build: async (chunk) => {
        await cluster.clock.sleep(buildMs);
        return engine.build(chunk);
      },
    }),
  });
  const session = await cluster.session();
  await cluster.during(put(session, 'stars', bytes));
  const ask = (partial: boolean) => cluster.during(queryStars(session, { count: true }, { partial }), 60_000);
  const { count } = await ask(false);
  cluster.stopNode(1);
  cluster.stopNode(2);
  [damaged, buildMs] = [true, 50_000];
  const part = await ask(true);
  assert.deepEqual([part.count, part.missing.map(({ chunks }) => chunks)], [0, [[0]]]);
  assert.ok(!damaged, 'it was dropped');
  await assert.rejects(
    ask(false),
    (error) => isOperaError(error, 'unavailable') && /1 chunk of 1 file: stars/.test(error.message),
  );
  await cluster.clock.advance(buildMs);
  assert.equal((await ask(false)).count, count);
  cluster.stopAll();
});

test('names that change move the answers with them, and a removed file is in none', async () => {
  const { cluster, session, check } = await start('names');
  await cluster.during(renameFile(session, { from: 'stars', to: 'other' }));
  await check();
  const { rows } = await cluster.during(queryStars(session, { find: '55 Cnc' }, { in: ['other'] }));
  assert.deepEqual(
    rows.map(({ file }) => file),
    ['other'],
  );
  await rejects(cluster.during(queryStars(session, { count: true }, { in: ['stars'] })), 'not-found');
  await cluster.during(removeFile(session, 'other'));
  assert.equal((await cluster.during(queryStars(session, { count: true }))).count, 0);
  cluster.stopAll();
});
