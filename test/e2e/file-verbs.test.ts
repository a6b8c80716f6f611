// What the verbs about files print for programs and people: TSV, NDJSON, -q, reports, and names that would steer a
// terminal. Their work on contents is tested in files.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { writeTree } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine, parseLines } from '../support/local-net.ts';
import { Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox);
});
after(() => sandbox.close());

interface Row {
  readonly v: number;
  readonly name: string;
  readonly size: number;
  readonly version: string;
  readonly copies: number;
}

test('names that would steer a terminal are printed escaped, and exactly in JSON', async () => {
  const name = 'evil\u202etxt.\u2066csv';
  await net.ok(['put', '-', '--name', name], { input: 'x' });
  for (const args of [['ls'], ['ls', '-l'], ['ls', '-q'], ['stat', name], ['where', name], ['rm', name, '-n']]) {
    const { stdout, stderr } = exits(await net.opera(args), 0);
    assert.doesNotMatch(stdout + stderr, /[\u202e\u2066]/, args.join(' '));
  }
  const listed = await net.ok(['ls', '--json']);
  assert.doesNotMatch(listed, /[\u202e\u2066]/);
  assert.equal(parseLine<Row>(listed).name, name);
  const gone = exits(await net.opera(['get', 'none\u202e']), 3);
  assert.doesNotMatch(gone.stderr, /\u202e/);
  await net.ok(['rm', name, '--yes']);
});

test('put, get, ls, rm and mv print rows of the same facts as TSV, with --json and with -q', async () => {
  const from = sandbox.path('rows');
  writeTree(from, { a: 'a', b: 'bb' });
  const put = parseLines<Row>(await net.ok(['put', '-r', from, '--json']));
  assert.deepEqual(put.map(({ v, name, size }) => [v, name, size]).sort(), [
    [1, 'rows/a', 1],
    [1, 'rows/b', 2],
  ]);
  assert.ok(put.every(({ copies, version }) => copies >= 2 && /^[0-9a-f]{32}$/.test(version)));
  assert.equal((await net.ok(['put', `${from}/a`, '--to', 'x', '-q'])).trim(), 'x/a');
  assert.equal(
    (await net.ok(['ls', 'rows/', '-l', '--header'])).split('\n')[0],
    'size\tmodified\tchunks\tversion\tname',
  );
  const places = parseLines<{ readonly copy: string; readonly verified: string | null }>(
    await net.ok(['where', 'rows/a', '--json']),
  );
  assert.ok(places.length >= 2);
  for (const { verified } of places) assert.ok(verified === null || Date.parse(verified) > 0, 'unread, or when');
  const got = parseLines<Row & { readonly path: string }>(
    await net.ok(['get', 'rows/*', '-o', sandbox.path('rows-back'), '--json']),
  );
  assert.ok(got.every(({ name, path }) => path.endsWith(`rows-back/${name}`)));
  assert.equal(await net.ok(['mv', 'x/a', 'x/b', '-q']), 'x/b\n');
  assert.equal(await net.ok(['rm', 'x/b', '--yes']), 'x/b\ttrue\n');
});

test('a report holds the fate of every file, also when some fail', async () => {
  const from = sandbox.path('fates');
  writeTree(from, { fine: 'x', there: 'y' });
  await net.ok(['put', '-', '--name', 'fates/there'], { input: 'before' });
  const report = sandbox.path('report.ndjson');
  const ran = exits(await net.opera(['put', '-r', from, '--if-absent', '--report', report]), 6);
  assert.match(ran.stderr, /fates\/there/);
  const fates = parseLines<{ readonly name: string; readonly ok: boolean; readonly code?: string }>(
    readFileSync(report, 'utf8'),
  );
  assert.deepEqual(fates.map(({ name, ok, code }) => [name, ok, code]).sort(), [
    ['fates/fine', true, undefined],
    ['fates/there', false, 'exists'],
  ]);
  assert.equal(await net.ok(['cat', 'fates/there']), 'before');
});

test('a catalogue is put when its records can be queried, and comes back byte for byte', async () => {
  const text = `\ufeffname,ra,dec,spect\r\n${'"Y\nCVn",191.28,45.44,"C5,5"\r\n'.repeat(9)}nowhere,400,1,K\r\n`;
  writeTree(sandbox.path('stars'), { 'stars.csv': text });
  const ran = exits(await net.opera(['put', sandbox.path('stars', 'stars.csv'), '--json']), 0);
  const { catalogue } = parseLine<{ readonly catalogue: unknown }>(ran.stdout);
  assert.deepEqual(catalogue, { format: 'csv', rows: 10, indexed: 9, flagged: 0, rejected: 1, queryable: true });
  assert.match(ran.stderr, /record 10: ra = 400/);
  const { records } = parseLine<{ readonly records: number }>(await net.ok(['stat', 'stars.csv', '--json']));
  assert.equal(records, 10);
  assert.equal(await net.ok(['cat', 'stars.csv']), text);
  await net.ok(['rm', 'stars.csv', '--yes']);
});

test('inspect opens the files of a running node, and Ctrl-C ends a statement that never would', async () => {
  const stars = `name,ra,dec,dist_pc\n${Array.from({ length: 50 }, (_, at) => `S${at},${at},1,${at}\n`).join('')}`;
  await net.ok(['put', '-', '--name', 'looked/at.csv', '--catalogue'], { input: stars });
  const folder = net.named('node-1').folder;
  const sql = "SELECT count(*), max(dist_pc) FROM star_systems_open('looked/at.csv')";
  assert.equal(await net.ok(['inspect', folder, sql]), '50\t49\n');
  const { store, index } = parseLine<{
    readonly store: { readonly files: number; readonly filesUnopened: number };
    readonly index: { readonly node: string; readonly keyOpens: boolean; readonly runsUnopened: number };
  }>(await net.ok(['inspect', folder, '--json']));
  assert.ok(store.files > 0);
  assert.equal(store.filesUnopened, 0);
  assert.deepEqual([index.node, index.keyOpens, index.runsUnopened], [net.named('node-1').id, true, 0]);
  const own = ['inspect', `${folder}/index.db`, 'SELECT mode FROM index_store', '--home', folder];
  assert.equal(await net.ok(own), 'sealed\n');
  const endless = 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c';
  const running = net.start(['inspect', folder, `${endless} -- not files_open`]);
  const ended = sandbox.finish(running, 'inspect');
  // What is said once the statement is known to be one that runs.
  await once(running.child.stderr ?? assert.fail(), 'data');
  running.child.kill('SIGINT');
  // By its own code when SQLite was not stuck yet, else by the signal: a shell sees 130 in either case.
  const { code, signal } = await ended;
  assert.ok(code === 130 || signal === 'SIGINT', `exit ${code}, signal ${signal}`);
});

test('of many names every absent one is told, and the others are done', async () => {
  const from = sandbox.path('many');
  writeTree(from, { a: 'a', b: 'b' });
  const put = exits(await net.opera(['put', `${from}/a`, `${from}/no1`, `${from}/b`, `${from}/no2`, '--to', 'm']), 6);
  for (const name of ['no1', 'no2']) assert.match(put.stderr, new RegExp(`many/${name}: there is no such file`));
  assert.equal(await net.ok(['ls', 'm/', '-q']), 'm/a\nm/b\n');
  exits(await net.opera(['put', `${from}/no1`, `${from}/no2`]), 3);

  const got = exits(await net.opera(['get', 'm/x', 'm/a', 'm/y', '-o', sandbox.path('many-back')]), 6);
  assert.match(got.stderr, /m\/x: no file has that name\n(.|\n)*m\/y: no file has that name/);
  assert.equal(readFileSync(sandbox.path('many-back', 'm', 'a'), 'utf8'), 'a');
  const cat = exits(await net.opera(['cat', 'm/a', 'm/x', 'm/b']), 6);
  assert.equal(cat.stdout, 'ab');
  const dry = exits(await net.opera(['rm', 'm/a', 'm/x', '-n']), 6);
  assert.match(dry.stderr, /m\/x: no file has that name/);
  const removed = exits(await net.opera(['rm', 'm/x', 'm/a', 'm/y', '--yes']), 6);
  for (const name of ['m/x', 'm/y']) assert.match(removed.stderr, new RegExp(`${name}: no file has that name`));
  assert.equal(await net.ok(['ls', 'm/', '-q']), 'm/b\n');
  for (const args of [['get'], ['cat'], ['rm', '--yes']]) {
    const none = exits(await net.opera([...args, 'm/x', 'm/y']), 3);
    assert.match(none.stderr, /m\/x[\s\S]*m\/y/);
  }
});
