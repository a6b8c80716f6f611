// Questions about star systems over a network in memory, whose nodes answer by reading all (star-oracle.ts): the answer
// is that of every record once, whatever nodes are there, silent, behind or wrong; or it says what it lacks.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { removeFile, renameFile } from '../../src/client/names.ts';
import { queryStars, type QueryOptions, type StarAnswer } from '../../src/client/query.ts';
import type { Session } from '../../src/client/session.ts';
import { commonPrefix } from '../../src/client/snapshot.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { encodeAnswer } from '../../src/index/answer-wire.ts';
import type { QueryText } from '../../src/index/query.ts';
import { limits } from '../../src/model/limits.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { type ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import { rejects } from '../support/refuses.ts';
import { SeededRandom } from '../support/seeded.ts';
import { type Asked, type Said, StarOracle } from '../support/star-oracle.ts';

const header = 'name,hip,ra,dec,dist,mag,spect,remark';

/** Rows of random stars near the Sun; with `remarkBytes` so long that a catalogue has several chunks. */
const catalogueOf = (prefix: string, count: number, remarkBytes = 0): string => {
  const random = new SeededRandom(prefix);
  const between = (low: number, high: number): number => {
    const fraction = Buffer.from(random.bytes(4)).readUInt32BE() / 2 ** 32;
    return Number((low + fraction * (high - low)).toFixed(4));
  };
  const remark = 'x'.repeat(remarkBytes);
  const rows = Array.from({ length: count }, (_, at) => {
    const mag = at % 7 === 0 ? '' : between(-1, 12);
    const type = ['G2V', 'K1III', 'M4V', ''][at % 4];
    const place = `${between(0, 360)},${between(-90, 90)},${between(1, 60)}`;
    return `${prefix} ${at},${at + 1},${place},${mag},${type},${remark}`;
  });
  return `${[header, ...rows].join('\n')}\n`;
};

const special = `${header}
Sirius,32349,101.287,-16.716,2.637,-1.44,A0V,
Vega,91262,279.234,38.784,7.68,0.03,A0V,
Far Star,,10,10,,5,K0,
`;

interface World {
  readonly cluster: MemoryCluster;
  readonly session: Session;
  readonly oracle: StarOracle;
  readonly ask: (text: QueryText, options?: QueryOptions) => Promise<StarAnswer>;
  readonly publish: (name: string, text: string) => Promise<VersionId>;
}

const start = async (options: ClusterOptions = {}): Promise<World> => {
  const oracle = new StarOracle();
  let made: MemoryCluster | undefined;
  const cluster = (): MemoryCluster => made ?? assert.fail();
  made = await MemoryCluster.create({
    ...options,
    handlersOf: (handlers, at) => ({ ...handlers, 'index.query': oracle.handler(cluster, at) }),
  });
  await made.startMaster(0);
  for (let at = 0; at < 3; at++) await made.startNode(at);
  await made.quiet(3);
  const session = await made.session();
  return {
    cluster: made,
    session,
    oracle,
    ask: (text, more) => cluster().during(queryStars(session, text, more)),
    publish: (name, text) => cluster().during(oracle.publish(session, name, text)),
  };
};

/** Catalogues of one chunk each, in a network of their own. */
const startSmall = async (options: ClusterOptions = {}) => {
  const world = await start(options);
  const versions = [await world.publish('special.csv', special)];
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    versions.push(await world.publish(`${name}.csv`, catalogueOf(name.toUpperCase(), 40)));
  }
  return { ...world, versions };
};

/** Three catalogues, one of them of several chunks; made once, for tests that leave it as it was. */
const startFull = async () => {
  const world = await start();
  const versions = [
    await world.publish('a.csv', catalogueOf('A', 40)),
    await world.publish('big.csv', catalogueOf('B', 45, 100_000)),
    await world.publish('special.csv', special),
  ];
  assert.equal(world.oracle.chunkCountOf(versions[1] ?? assert.fail()), 2);
  return { ...world, versions };
};
let full: ReturnType<typeof startFull> | undefined;
const fullWorld = async () => {
  full ??= startFull();
  const world = await full;
  world.oracle.behave();
  // What a test did before is not shared with the next one.
  await world.cluster.clock.advance(limits.snapshotGoodMs);
  return { ...world, session: await world.cluster.session() };
};
after(async () => (await full)?.cluster.stopAll());

const shown = ({ count, rows, groups }: Pick<StarAnswer, 'count' | 'groups'> & { rows: StarAnswer['rows'] }) => ({
  count,
  groups,
  rows: rows.map(({ id, keys, separation }) => ({ id, keys, separation })),
});

/** Fails unless the answer is that of a scan over all that was published. */
const checkWhole = ({ oracle }: World, answer: StarAnswer, versions?: readonly VersionId[]): void => {
  const truth = oracle.scan(answer.query, versions);
  assert.deepEqual(shown(answer), shown({ ...truth, rows: truth.rows.map((row) => ({ ...row, file: '' })) }));
  assert.deepEqual(answer.missing, []);
};

const scans: readonly QueryText[] = [
  {},
  { where: 'mag < 6 and class = G', sort: '-mag', limit: 5 },
  { where: 'mag is unknown', columns: 'all' },
  { count: true },
  { group: 'class' },
  { histogram: 'mag:2' },
  { cone: '100,-20,40deg', limit: 3 },
  { near: 'Sol,10pc' },
];

test('answers are those of all records, each once, with the file of each row', async () => {
  const world = await fullWorld();
  for (const text of scans) checkWhole(world, await world.ask(text));
  const { rows } = await world.ask({ find: 'HIP 91262' });
  assert.deepEqual(
    rows.map(({ file, system }) => [file, system.values.name]),
    [['special.csv', 'Vega']],
  );
});

test('the stars of a question are looked up, and the nearest are found in growing spheres', async () => {
  const world = await fullWorld();
  checkWhole(world, await world.ask({ near: 'Sirius,10pc' }));
  checkWhole(world, await world.ask({ cone: 'HIP 91262,90' }));
  const nearest = await world.ask({ near: 'Vega', limit: 4 });
  assert.deepEqual(
    nearest.rows.map(({ id }) => id),
    world.oracle.scan({ ...nearest.query, where: undefined }).rows.map(({ id }) => id),
  );
  assert.ok(nearest.report.steps.length > 1);
  assert.deepEqual(nearest.report.places[0]?.file, 'special.csv');
  await rejects(world.ask({ near: 'Nobody,3pc' }), 'not-found');
  await rejects(world.ask({ near: 'Far Star,3pc' }), 'usage');
  checkWhole(world, await world.ask({ cone: 'Far Star,3' }));
});

test('a name in two places is an error that lists them, and one that differs by a trifle is not', async () => {
  const world = await fullWorld();
  const other = await world.publish(
    'other.csv',
    `${header}\nSirius,,101.29,-16.71,2.64,-1.4,A1V,\nVega,,280.5,38.8,9,0,A0V,\n`,
  );
  checkWhole(world, await world.ask({ near: 'Sirius,10pc' }));
  const { report } = await world.ask({ cone: 'Sirius,1' });
  assert.deepEqual(
    report.places.map(({ file, ordinal }) => [file, ordinal]),
    [['other.csv', 0]],
  );
  for (const text of [{ cone: 'Vega,1' }, { near: 'Vega,1' }, { near: 'Vega' }]) {
    const error = await rejects(world.ask(text), 'usage');
    assert.match(error.message, /other\.csv/);
    assert.match(error.message, /special\.csv/);
  }
  const [special] = (await world.ask({ cone: 'Vega,1' }, { in: ['special.csv'] })).report.places;
  assert.equal(special?.file, 'special.csv');
  await world.cluster.during(removeFile(world.session, 'other.csv'));
  world.oracle.forget(other);
});

test('a question may be about some files only, and takes places of stars from others when it must', async () => {
  const world = await fullWorld();
  const [first, big] = world.versions;
  assert.ok(first && big);
  checkWhole(world, await world.ask({ count: true }, { in: ['a.csv'] }), [first]);
  checkWhole(world, await world.ask({ count: true }, { in: ['{a,big}.csv', 'a.csv'] }), [first, big]);
  assert.equal((await world.ask({ count: true }, { in: ['x/*'] })).count, 0);
  const near = await world.ask({ near: 'Sirius,30pc' }, { in: ['a.csv'] });
  checkWhole(world, near, [first]);
  assert.equal(near.report.places[0]?.file, 'special.csv');
  await rejects(world.ask({}, { in: ['nothing.csv'] }), 'not-found');
});

test('a cheap question is asked of one node that has everything, a scan of all nodes', async () => {
  const { ask, oracle } = await fullWorld();
  await ask({ find: 'Sirius' });
  assert.equal(oracle.asked.length, 1);
  oracle.asked.length = 0;
  await ask({ count: true });
  assert.deepEqual(oracle.asked.map(({ node }) => node).sort(), [0, 1, 2]);
  oracle.asked.length = 0;
  await ask({ where: 'mag < 3 and mag > 4' });
  assert.equal(oracle.asked.length, 0);
});

test('small questions in a row stay with one node, and those at once go to all', async () => {
  const world = await startSmall();
  const { cluster, session, ask } = world;
  const asked = (): string[] => {
    const found = cluster.net.calls.flatMap(({ route, to }) => (route === 'index.query' ? [to.address] : []));
    cluster.net.calls.length = 0;
    return found;
  };
  asked();
  for (let turn = 0; turn < 12; turn++) await ask({ find: 'Vega' });
  const inARow = asked();
  assert.deepEqual([inARow.length, new Set(inARow).size], [12, 1]);
  await ask({ find: 'Vega' });
  asked();
  const atOnce = Array.from({ length: 9 }, () => queryStars(session, { find: 'Vega' }));
  await cluster.during(Promise.all(atOnce));
  const tally = new Map<string, number>();
  for (const address of asked()) tally.set(address, (tally.get(address) ?? 0) + 1);
  assert.deepEqual([...tally.values()], [3, 3, 3]);
  // Sessions begin with different nodes, or all clients would ask the same one.
  const firsts = new Set<string>();
  for (let turn = 0; turn < 30; turn++) {
    await cluster.during(queryStars(await cluster.session(), { find: 'Vega' }));
    for (const address of asked()) firsts.add(address);
  }
  assert.equal(firsts.size, 3);
  cluster.stopAll();
});

test('with any node dead or paused the answer is the same', async () => {
  for (const at of [0, 1, 2]) {
    const world = await startSmall({ seed: at });
    const { cluster } = world;
    const address = cluster.node(at).address;
    cluster.faultOf = ({ from, to }) =>
      to.address === address && from?.role === 'client' ? { lost: true } : undefined;
    const before = cluster.clock.monotonicMs();
    for (const text of scans.slice(0, 4)) checkWhole(world, await world.ask(text));
    const took = cluster.clock.monotonicMs() - before;
    assert.ok(took >= limits.silenceMs && took <= 5_000, `its silence was waited for once: ${took} ms`);
    cluster.faultOf = () => undefined;
    cluster.stopNode(at);
    for (const text of scans) {
      const fresh = await cluster.session();
      checkWhole(world, await cluster.during(queryStars(fresh, text)));
    }
    cluster.stopAll();
  }
});

test('what a node does not vouch for is asked of other owners, and then again until somebody does', async () => {
  const world = await fullWorld();
  const { oracle, cluster } = world;
  oracle.isUnvouched = (node, { index }) => node === 0 || index === 1;
  const asking = queryStars(world.session, { group: 'class' });
  await cluster.clock.advance(10_000);
  oracle.isUnvouched = (node) => node < 2;
  checkWhole(world, await cluster.during(asking));
});

test('what nobody vouches for is an error that names it, or is left out and said when a part will do', async () => {
  const world = await fullWorld();
  const { oracle, versions } = world;
  const [first, big] = versions;
  assert.ok(first && big);
  oracle.isUnvouched = (_, { version, index }) => version === first || (version === big && index === 1);
  const error = await rejects(world.ask({ count: true }), 'unavailable');
  assert.match(error.message, /2 chunks of 2 files: a\.csv \(1 of 1\), big\.csv \(1 of 2\)/);
  const part = await world.ask({ near: 'Vega', limit: 100 }, { partial: true });
  assert.deepEqual(
    part.missing.map(({ file, chunks, chunkCount }) => [file, chunks, chunkCount]),
    [
      ['a.csv', [0], 1],
      ['big.csv', [1], 2],
    ],
  );
  assert.equal(part.rows.length, part.count);
  assert.ok(part.rows.every(({ id, file }) => file !== 'a.csv' && !(file === 'big.csv' && id.chunk === 1)));
  const before = world.cluster.clock.monotonicMs();
  checkWhole(world, await world.ask({ count: true }, { in: ['special.csv'], partial: true }), versions.slice(2));
  assert.ok(world.cluster.clock.monotonicMs() - before < 1_000);
});

test('an answer about chunks that were not asked for, about one twice, or that is altered, is not taken', async () => {
  const world = await fullWorld();
  const { oracle, versions } = world;
  const big = versions[1] ?? assert.fail();
  const everything = versions.flatMap((version) =>
    Array.from({ length: oracle.chunkCountOf(version) }, (_, index) => ({ version, index })),
  );
  const counting = ({ query }: Asked, said: Said): void => {
    said.text = encodeAnswer(oracle.gather(query, said.vouched), query);
  };
  const lies: readonly StarOracle['intervene'][] = [
    (asked, said) => {
      said.vouched = everything;
      counting(asked, said);
    },
    (asked, said) => {
      said.twice = true;
      const [first] = said.vouched;
      if (first) said.vouched.push(first);
      counting(asked, said);
    },
    (_, said) => void said.vouched.push({ version: big, index: 2 }),
    (_, said) => void said.vouched.push({ version: 'ff'.repeat(16) as VersionId, index: 0 }),
    (_, said) => void said.vouched.splice(0, 1),
    (_, said) => void (said.twice = true),
    ({ query }, said) => {
      // A bare count that is wrong looks like one that is right: nodes are members, and members are trusted.
      if (query.output.kind === 'rows') said.text = said.text.replace(/"count":\d+/, '"count":1');
    },
    (_, said) => void (said.text = said.text.slice(0, -1)),
    (_, said) => void (said.text = said.text.replace(/,0,\[/, ',65536,[')),
    () => {
      throw new OperaError('internal');
    },
  ];
  for (const lie of lies) {
    for (const text of [{}, { sort: 'mag', limit: 9 }, { count: true }]) {
      oracle.asked.length = 0;
      oracle.intervene = (asked, said) => (asked.node === 1 ? lie(asked, said) : undefined);
      checkWhole(world, await world.ask(text));
      assert.ok(oracle.asked.some(({ node }) => node === 1));
    }
  }
});

test('a full answer is continued by the same node', async () => {
  const world = await fullWorld();
  world.oracle.answerChunksMax = 1;
  for (const text of scans) checkWhole(world, await world.ask(text));
});

test('a ticket or layout that a node finds too old is renewed', async () => {
  const world = await fullWorld();
  const refused = new Set<number>();
  world.oracle.intervene = ({ node }) => {
    if (refused.has(node)) return;
    refused.add(node);
    throw new OperaError(node === 0 ? 'ticket-expired' : 'layout-changed');
  };
  checkWhole(world, await world.ask({ count: true }));
  assert.equal(refused.size, 3);
  assert.ok(world.cluster.net.calls.some(({ route }) => route === 'ticket.renew'));
});

test('answers stay whole while a node joins and another one leaves', async () => {
  const world = await startSmall({ nodes: 4 });
  const { cluster } = world;
  await cluster.startNode(3);
  let asked = 0;
  const until = async (nodes: number): Promise<void> => {
    for (let settled = false; !settled; asked++) {
      checkWhole(world, await world.ask(scans[asked % scans.length] ?? {}));
      const { unretired } = await cluster.registry().readLayouts();
      settled = unretired.length === 1 && asked > nodes;
      await cluster.clock.advance(200);
    }
  };
  await until(4);
  await cluster.quiet(4);
  cluster.stopNode(0);
  for (let round = 0; round < 8; round++) checkWhole(world, await world.ask(scans[round] ?? {}));
  assert.ok(world.oracle.asked.some(({ node }) => node === 3));
  cluster.stopAll();
});

test('a file that is removed while it is asked about is in no part of the answer', async () => {
  const world = await startSmall();
  const { oracle, session, versions } = world;
  const [first, ...others] = versions;
  assert.ok(first);
  let removed: Promise<unknown> | undefined;
  oracle.intervene = async ({ chunks }, said) => {
    if (!chunks.some(({ version }) => version === first)) return;
    removed ??= removeFile(session, 'special.csv');
    await removed;
    oracle.forget(first);
    said.vouched = said.vouched.filter(({ version }) => version !== first);
    throw new OperaError('unavailable');
  };
  checkWhole(world, await world.ask({ count: true }), others);
  assert.ok(world.cluster.net.calls.filter(({ route }) => route === 'catalogue.list').length >= 3);
  world.cluster.stopAll();
});

test('a later question is asked beside its snapshot, and answers what was put or removed before', async () => {
  const { cluster, session, ask, publish } = await startSmall();
  assert.equal((await ask({ find: 'Vega' })).count, 1);
  const { calls } = cluster.net;
  await cluster.clock.advance(limits.snapshotGoodMs);
  calls.length = 0;
  assert.equal((await ask({ find: 'Vega' })).count, 1);
  const order = calls
    .map(({ route }) => route)
    .filter((route) => route === 'index.query' || route === 'catalogue.list');
  assert.deepEqual(
    [...order].sort(),
    ['catalogue.list', 'index.query'],
    'the guess was right, and was not asked twice',
  );
  await publish('more.csv', special);
  assert.equal((await ask({ find: 'Vega' })).count, 2);
  await publish('more.csv', catalogueOf('F', 10));
  assert.equal((await ask({ find: 'Vega' })).count, 1);
  assert.equal((await ask({ find: 'F 3' })).count, 1);
  await cluster.during(removeFile(session, 'special.csv'));
  assert.equal((await ask({ find: 'Vega' })).count, 0);
  cluster.stopAll();
});

const routesOf = ({ cluster: { net } }: World): readonly string[] =>
  net.calls.flatMap(({ route }) => (route === 'index.query' || route === 'catalogue.list' ? [route] : []));

test('questions in a row share a snapshot, unless the session has seen more or a clock jumped', async () => {
  const world = await startSmall();
  const { cluster, session, ask } = world;
  const { clock, net } = cluster;
  const asked = async (): Promise<readonly string[]> => {
    net.calls.length = 0;
    assert.equal((await ask({ find: 'Vega' })).count, 1);
    return [...routesOf(world)].sort();
  };
  const both = ['catalogue.list', 'index.query'];
  await ask({ find: 'Vega' });
  await clock.advance(limits.snapshotGoodMs);
  assert.deepEqual([await asked(), await asked()], [both, ['index.query']]);
  await clock.advance(limits.snapshotGoodMs / 2);
  assert.deepEqual(await asked(), ['index.query']);
  await clock.advance(limits.snapshotGoodMs / 2);
  assert.deepEqual([await asked(), await asked()], [both, ['index.query']], 'from when it was asked for');
  session.seen.raise('another name', 2n ** 50n);
  assert.deepEqual([await asked(), await asked()], [both, ['index.query']], 'it has seen what is newer');
  // A machine that slept: only the wall clock knows.
  const jump = 3_600_000;
  const nowMs = clock.nowMs.bind(clock);
  clock.nowMs = () => nowMs() + jump;
  assert.deepEqual(await asked(), both);
  cluster.stopAll();
});

test('who shares snapshots still sees every change that was acknowledged before the question', async () => {
  const world = await startSmall();
  const { cluster, session, oracle } = world;
  const reader = await cluster.session();
  /** Of acknowledged changes: what Vega is counted from then on, until the next change begins. */
  let sure: number | undefined = 1;
  let [shared, fresh, ended] = [0, 0, false];
  const read = async (): Promise<void> => {
    while (!ended) {
      const expected = sure;
      cluster.net.calls.length = 0;
      const { count } = await queryStars(reader, { find: 'Vega' });
      if (routesOf(world).includes('catalogue.list')) fresh++;
      else shared++;
      if (expected !== undefined && expected === sure) assert.equal(count, expected);
      await cluster.clock.sleep(7);
    }
  };
  const reading = read();
  const change = async (count: number, work: Promise<unknown>): Promise<void> => {
    sure = undefined;
    await work;
    sure = count;
    await cluster.clock.sleep(40);
  };
  const changes = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) {
      await change(2, oracle.publish(session, 'more.csv', special));
      await change(2, renameFile(session, { from: 'more.csv', to: 'moved.csv' }));
      await change(1, removeFile(session, 'moved.csv'));
    }
    ended = true;
  };
  await cluster.during(Promise.all([changes(), reading]));
  assert.ok(shared > fresh && fresh > 10, `${shared} of ${shared + fresh} shared`);
  cluster.stopAll();
});

test('where there are more catalogues than one answer names, those of --in are asked for', async () => {
  const world = await fullWorld();
  const { cluster, versions } = world;
  const big = versions[1] ?? assert.fail();
  cluster.net.fault = ({ route, request }) => {
    if (route === 'catalogue.list' && !(request as { prefix?: string }).prefix) throw new OperaError('too-large');
  };
  await rejects(world.ask({ count: true }), 'too-large');
  await rejects(world.ask({ count: true }, { in: ['a.csv', 'big.csv'] }), 'too-large');
  checkWhole(world, await world.ask({ count: true }, { in: ['big.csv', 'bi*'] }), [big]);
  cluster.net.fault = () => undefined;
});

test('what patterns have in common is what their names begin with', () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[], ''],
    [['survey/a.csv'], 'survey/a.csv'],
    [['survey/*.csv', 'survey/2020/**'], 'survey/'],
    [['a', 'b'], ''],
    [['*'], ''],
    [['x😀', 'x😁'], 'x'],
  ];
  for (const [patterns, prefix] of cases) assert.equal(commonPrefix(patterns), prefix);
});

test('without catalogues every question has an empty answer', async () => {
  const { ask, cluster } = await start();
  const answer = await ask({ count: true });
  assert.deepEqual([answer.count, answer.report.catalogues], [0, 0]);
  assert.deepEqual((await ask({ near: 'Sol', limit: limits.queryRowsMax })).rows, []);
  cluster.stopAll();
});
