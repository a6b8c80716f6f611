// Star systems over real processes: whatever node is drained, killed or stands still, or builds its index anew, while
// questions are asked, the answers are those of a full scan of the file; nothing readable lies on a disk in sealed
// mode; in plain mode `sqlite3` shows it. Draining, and rebuilding all indexes, come with OPERA_TEST_LONG=1.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { openProfile } from '../../src/client/connection.ts';
import { queryStars } from '../../src/client/query.ts';
import { closeSession, createSession, type Session } from '../../src/client/session.ts';
import { recogniseCatalogue } from '../../src/index/catalogue.ts';
import { matches } from '../../src/index/matcher.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { bindQuery, parseQuery, type QueryText } from '../../src/index/query.ts';
import { RecordReader } from '../../src/index/record.ts';
import type { StarSystem } from '../../src/index/star-system.ts';
import { openSqlite } from '../../src/runtime/sqlite.ts';
import { LocalNet } from '../support/local-net.ts';
import { Sandbox } from '../support/sandbox.ts';

/** A folder for each network. */
const [sandbox, plainSandbox] = [new Sandbox(), new Sandbox()];
after(async () => {
  await sandbox.close();
  await plainSandbox.close();
});

const file = resolve('fixtures/catalogues/oec_1086_systems.ndjson');

/** Every system of the file, as the reference reads it. */
const systems: readonly StarSystem[] = (() => {
  const bytes = readFileSync(file);
  const { note } = recogniseCatalogue(bytes, true);
  assert.ok(note);
  const reader = new RecordReader(note.dialect, note.bindings);
  return [...parseRecords(bytes, note.dialect, true)].flatMap((raw) => {
    const read = reader.read(raw);
    return 'system' in read ? [read.system] : [];
  });
})();

const questions: readonly QueryText[] = [
  { where: 'dist < 10pc', columns: 'name' },
  { find: '55 Cnc', columns: 'name' },
  { where: 'class = M and mag < 12', columns: 'name' },
  { cone: '290, 45, 2deg', columns: 'name' },
  { where: 'n_planets > 3', columns: 'name' },
];

const expected = questions.map((text) => {
  const { where } = bindQuery(parseQuery(text), () => undefined);
  return systems
    .filter((system) => matches(where, system))
    .map(({ values }) => String(values.name))
    .sort();
});

/** Copies of the catalogue, so that chunks lie on every node. */
const copies = ['a.ndjson', 'b.ndjson', 'c.ndjson'];

const askAll = async (session: Session): Promise<void> => {
  for (const [at, text] of questions.entries()) {
    const { rows, count } = await queryStars(session, text);
    const wanted = (expected[at] ?? []).flatMap((name) => copies.map(() => name));
    assert.deepEqual(rows.map(({ system }) => String(system.values.name)).sort(), wanted, JSON.stringify(text));
    assert.equal(count, wanted.length);
  }
};

test('answers are those of a full scan while nodes are ordered about, killed, stand still and come back', async () => {
  assert.ok(expected.every((names) => names.length > 0));
  const net = await LocalNet.up(sandbox, ['--nodes', '4']);
  for (const name of copies) await net.ok(['put', file, '--name', name]);
  const session = await createSession(await openProfile(net.facts.profile));
  let stop = false;
  let asked = 0;
  const asking = (async () => {
    while (!stop) {
      await askAll(session);
      asked += 1;
    }
  })();
  const rounds = async (more: number): Promise<void> => {
    const until = asked + more;
    while (asked < until) {
      // A failed question ends the loop: it is thrown here.
      await Promise.race([asking, new Promise((done) => setTimeout(done, 20))]);
    }
  };
  /** The work ends while questions are asked and answered. */
  const meanwhile = async (work: Promise<unknown>): Promise<void> => {
    await Promise.race([asking, work]);
    await work;
    await rounds(1);
  };
  await rounds(2);
  await meanwhile(net.ok(['index', 'rebuild', net.named('node-1').id]));
  if (process.env.OPERA_TEST_LONG === '1') {
    await meanwhile(net.ok(['index', 'rebuild']));
    await meanwhile(net.ok(['nodes', 'drain', net.named('node-4').id]));
    await meanwhile(net.ok(['nodes', 'resume', net.named('node-4').id]));
    await meanwhile(net.healthy());
  }
  net.kill('node-2');
  await rounds(3);
  net.kill('node-3', 'SIGSTOP');
  await rounds(2);
  net.kill('node-3', 'SIGCONT');
  // Index and chunks are gone from the disk of one; the index alone from that of another.
  const folderOf = (name: string): string => net.named(name).folder;
  rmSync(join(folderOf('node-2'), 'index.db'), { force: true });
  await net.restart('node-2');
  await rounds(2);
  net.kill('node-1');
  net.kill('node-4', 'SIGSTOP');
  await rounds(2);
  net.kill('node-4', 'SIGCONT');
  await net.restart('node-1');
  stop = true;
  await asking;
  await closeSession(session);

  let indexes = 0;
  for (const name of ['node-1', 'node-2', 'node-3', 'node-4']) {
    const files = readdirSync(folderOf(name), { withFileTypes: true }).filter((entry) => entry.isFile());
    for (const { name: entry } of files) {
      const bytes = readFileSync(join(folderOf(name), entry));
      if (entry === 'index.db') indexes += 1;
      for (const plain of ['55 Cancri', 'Kepler-', '133.154167', 'spectral_type":']) {
        assert.equal(bytes.includes(plain), false, `${name}/${entry} holds ${plain}`);
      }
    }
  }
  // A node may hold no chunk by chance, or build its index just now.
  assert.ok(indexes >= 2, `${indexes} indexes`);
  await net.down();
});

test('in plain mode the index of a node can be read with SQL, and a removed file leaves it', async () => {
  const net = await LocalNet.up(plainSandbox, ['--nodes', '1', '--index', 'plain']);
  await net.ok(['put', file]);
  const index = join(net.named('node-1').folder, 'index.db');
  const database = await openSqlite(index, { busyTimeoutMs: 1_000, readonly: true });
  const names = (sql: string): unknown[] => database.prepare(sql).pluck().all();
  assert.deepEqual(names('SELECT name FROM star_systems WHERE dist_pc <= 10 ORDER BY name'), expectedWithin(10));
  const plan = database.prepare('EXPLAIN QUERY PLAN SELECT name FROM star_systems WHERE dist_pc < 10').all();
  assert.match(JSON.stringify(plan), /systems_dist_pc/);
  database.close();
  const answer = await net.ok(['query', 'dist <= 10pc', '--count']);
  assert.equal(Number(answer), expectedWithin(10).length);
  await net.ok(['rm', 'oec_1086_systems.ndjson', '--yes']);
  assert.equal(Number(await net.ok(['query', 'dist <= 10pc', '--count'])), 0);
  await net.down();
});

const expectedWithin = (pc: number): string[] =>
  systems
    .filter(({ values: { dist_pc: dist } }) => typeof dist === 'number' && dist <= pc)
    .map(({ values }) => String(values.name))
    .sort();
