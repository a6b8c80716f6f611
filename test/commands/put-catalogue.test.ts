// What `put` says about star systems, and what it exits with: counts, faults, reports, flags, compressed files.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { Session } from '../../src/client/session.ts';
import type { Output } from '../../src/commands/_output.ts';
import { PutProgress } from '../../src/commands/_put-catalogue.ts';
import { defineVerb } from '../../src/commands/_verb.ts';
import { command, putWith } from '../../src/commands/put.ts';
import { read } from '../support/client-files.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { run, type Setup, tableOf } from './_host.ts';

const folder = mkdtempSync(join(tmpdir(), 'opera-catalogues-'));
const local = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

/** `put` as it is, with a session of this cluster. */
const putting = (session: Session, args: readonly string[], setup: Setup = {}) => {
  const verb = defineVerb({
    examples: ['put'],
    arguments: command.arguments,
    flags: command.flags,
    run: (context) => putWith(context as never, session),
  });
  return run(['put', ...args], { ...setup, verbs: tableOf({ put: verb }) });
};

const good = `name,ra,dec,mag\n${'Sirius,101.28,-16.7,-1.46\n'.repeat(4)}`;
const bad = `${good}Nowhere,400,1,2\nOdd,1,2,44\n`;

interface JsonRow {
  readonly name: string;
  readonly catalogue: Readonly<Record<string, unknown>> | null;
}
const parse = <T>(text: string): T[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line): T => JSON.parse(line));

test('rejected records are counted on standard error; only --strict makes an exit code of them', async () => {
  const session = await (await FakeCluster.create()).session();
  const path = local('bad.csv', bad);
  const plain = await putting(session, [path]);
  assert.equal(plain.exit, 0, plain.stderr);
  assert.match(plain.stderr, /bad\.csv: csv, 6 records, 5 can be queried, 1 with odd values/);
  assert.match(plain.stderr, /1 of 6 records left out of the index, such as record 5: ra = 400, must be in \[0, 360\)/);
  assert.match(plain.stdout, /^bad\.csv\t\d+\t\d\t\d*\t[0-9a-f]{32}\n$/, 'rows for programs stay as they were');
  const strict = await putting(session, [path, '--strict']);
  assert.equal(strict.exit, 6);
  assert.match(strict.stderr, /stored, but not in the index: records with impossible values \(1\)/);
  assert.equal((await putting(session, [local('good.csv', good), '--strict'])).exit, 0);
});

test('--json tells what became of the records, and that a file is no catalogue', async () => {
  const session = await (await FakeCluster.create()).session();
  const { stdout, stderr } = await putting(session, [local('a.csv', bad), local('b.bin', 'x'), '--json']);
  const rows = parse<JsonRow>(stdout).sort((a, b) => (a.name < b.name ? -1 : 1));
  assert.deepEqual(
    rows.map(({ catalogue }) => catalogue),
    [{ format: 'csv', rows: 6, indexed: 5, flagged: 1, rejected: 1, queryable: true }, null],
  );
  assert.equal(parse<{ readonly level: string }>(stderr)[0]?.level, 'warning');
});

test('a report lists every faulty value and the fate of every file', async () => {
  const session = await (await FakeCluster.create()).session();
  const report = join(folder, 'report.ndjson');
  await putting(session, [local('bad.csv', bad), local('other', 'x'), '--report', report]);
  const lines = parse<Readonly<Record<string, unknown>>>(readFileSync(report, 'utf8'));
  const faults = lines.filter(({ record }) => record !== undefined);
  assert.deepEqual(
    faults.map(({ name, record, level, field, value }) => [name, record, level, field, value]),
    [
      ['bad.csv', 5, 'rejected', 'ra', '400'],
      ['bad.csv', 6, 'flagged', 'mag_v', '44'],
    ],
  );
  assert.ok(faults.every(({ limit }) => typeof limit === 'string' && limit !== ''));
  const fates = lines.filter(({ ok }) => ok === true).map(({ name, catalogue }) => [name, catalogue !== null]);
  assert.deepEqual(fates.sort(), [
    ['bad.csv', true],
    ['other', false],
  ]);
});

test('--catalogue decompresses gz and br, says so, and stores the text under its own name', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const gz = local('stars.csv.gz', gzipSync(good));
  const br = local('more.csv.br', brotliCompressSync(good));
  const both = await putting(session, [gz, br, '--catalogue']);
  assert.equal(both.exit, 0, both.stderr);
  for (const name of ['stars.csv', 'more.csv']) {
    assert.match(both.stderr, new RegExp(`${name}\\.(gz|br) is decompressed`));
    assert.equal((await read(session, name)).toString(), good);
  }
  await putting(session, [gz, '--catalogue', '--name', 'own.gz']);
  assert.equal((await read(session, 'own.gz')).toString(), good);
  const piped = await putting(session, ['-', '--name', 'in.csv', '--catalogue'], { stdin: good });
  assert.equal(piped.exit, 0, piped.stderr);
  assert.equal((await read(session, 'in.csv')).toString(), good);
  assert.deepEqual([...cluster.catalogues].sort(), ['in.csv', 'more.csv', 'own.gz', 'stars.csv']);
  await putting(session, [gz]);
  assert.ok(!cluster.catalogues.has('stars.csv.gz'), 'otherwise it is an ordinary file');
});

test('who insists on a catalogue that is none gets exit 2 and the reason; others get a file', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const path = local('orders.csv', 'order,customer\n1,2\n');
  const insisted = await putting(session, [path, '--catalogue']);
  assert.equal(insisted.exit, 2);
  assert.match(insisted.stderr, /this is no catalogue: .*order, customer/);
  assert.equal((await putting(session, [path, '--map', 'ra=nowhere'])).exit, 2);
  assert.equal(cluster.names.size, 0);
  assert.equal((await putting(session, [path, '--map', 'ra=order', '--map', 'dec=customer'])).exit, 0);
  assert.ok(cluster.catalogues.has('orders.csv'));
  assert.equal((await putting(session, [local('good.csv', good), '--no-catalogue'])).exit, 0);
  assert.ok(!cluster.catalogues.has('good.csv'));
  const terminal = await putting(session, [path], { terminal: true });
  assert.match(terminal.stderr, /orders\.csv: stored as an ordinary file, without an index/);
});

test('records that cannot be queried yet are told with exit 8, unless nobody waits for them', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  cluster.isIndexed = () => false;
  const path = local('good.csv', good);
  const waited = await putting(session, [path]);
  assert.equal(waited.exit, 8);
  assert.match(waited.stderr, /stored, but not all records can be queried yet \(4\)/);
  const unwaited = await putting(session, [path, '--no-wait']);
  assert.equal(unwaited.exit, 0);
  assert.match(unwaited.stderr, /4 records, 4 go into the index/);
  assert.ok(cluster.names.has('good.csv'));
});

test('on a terminal bytes are counted first, then records, and neither while the other is shown', () => {
  const shown: string[] = [];
  const progress = ({ label }: { readonly label: string }) => ({
    add: (amount: number) => void shown.push(`${label} +${amount}`),
    set: (done: number, total?: number) => void shown.push(`${label} ${done}/${total}`),
    end: () => void shown.push(`${label} ends`),
  });
  const bars = new PutProgress({ progress } as unknown as Output, '2 files', 30);
  bars.addBytes(10);
  bars.addRecords(0, 5);
  bars.addRecords(5, 0);
  bars.addBytes(20);
  bars.addRecords(0, 7);
  bars.addRecords(7, 0);
  bars.end();
  const [records, bytes] = [shown.filter((line) => /\//.test(line)), shown.filter((line) => /\+/.test(line))];
  assert.deepEqual(bytes, ['2 files +10', '2 files +20']);
  assert.deepEqual(records, ['can be queried 5/12', 'can be queried 12/12']);
  assert.ok(shown.indexOf('2 files ends') < shown.indexOf('can be queried 5/12'));
  assert.equal(shown.at(-1), 'can be queried ends');
});
