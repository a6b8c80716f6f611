// The verbs about star systems: what they refuse before they dial anybody, and the shapes an answer is printed in.
// The answers come over a network in memory whose nodes read every record (star-oracle.ts).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { queryStars, type StarAnswer } from '../../src/client/query.ts';
import type { Session } from '../../src/client/session.ts';
import { printSystems } from '../../src/commands/find.ts';
import { Output } from '../../src/commands/_output.ts';
import { printAnswer, type StarFlags, starFlags, whereFlag } from '../../src/commands/_stars.ts';
import { recogniseCatalogue } from '../../src/index/catalogue.ts';
import type { QueryText } from '../../src/index/query.ts';
import { fieldNames, fieldTable } from '../../src/index/fields.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';
import { rejects } from '../support/refuses.ts';
import { StarOracle } from '../support/star-oracle.ts';
import { MemoryStream, run } from './_host.ts';

test('questions that make no sense are refused with a caret, before anything is opened', async () => {
  const lines: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ['query', 'magg < 6'],
      /column 1: there is no field "magg"; the nearest is mag\n {2}magg < 6\n {2}\^\^\^\^\nusage: /,
    ],
    [['query', 'mag < 6 and'], /column 12: .*\n {2}mag < 6 and\n {13}\^\n/],
    [['query', 'a', 'b'], /unexpected argument/],
    [['query', '--sort', 'brightness'], /no field "brightness"/],
    [['query', '--columns', 'name,colour'], /no field "colour"/],
    [['query', '--count', '--group', 'class'], /only one of/],
    [['query', '--histogram', 'class:1'], /no number/],
    [['query', '--limit', '0'], /limit/],
    [['query', '--format', 'xml'], /xml/],
    [['query', '--columns', 'separation'], /separation/],
    [['cone'], /missing|place/i],
    [['cone', 'Sirius'], /STAR RADIUS/],
    [['cone', '101.28', '-16.7'], /RA DEC RADIUS/],
    [['cone', '101.28', '-96.7', '1deg'], /\[-90, 90\]/],
    [['near'], /star/i],
    [['near', 'Sol', 'far'], /radius/],
    [['find'], /name/i],
    [['find', '()'], /letters or digits/],
  ];
  for (const [line, message] of lines) {
    const { exit, stdout, stderr } = await run(line);
    assert.equal(exit, 2, `${line.join(' ')}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, message, line.join(' '));
  }
  const json = await run(['query', '--json', '--format', 'csv']);
  assert.equal(json.exit, 2);
  assert.match(json.stderr, /contradict/);
});

test('the help names every field and the words of the language', async () => {
  const { stdout } = await run(['help', 'queries']);
  for (const field of fieldNames) assert.match(stdout, new RegExp(`^ {2}${field}\\b`, 'm'));
  for (const word of ['cone(', 'near(', 'box(', 'find(', 'between', 'is unknown', 'has planets']) {
    assert.ok(stdout.includes(word), word);
  }
});

test('the page on questions has a row for every field, with its words, type and unit, and shows every flag', () => {
  const page = readFileSync('docs/queries.md', 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  for (const field of fieldNames) {
    const { also = [], type, unit, index } = fieldTable[field];
    const cells = rows.find((row) => row.startsWith(`| \`${field}\` |`))?.split('|');
    const how = index === undefined ? 'read' : index.kind === 'bucket' ? 'range' : index.kind;
    assert.deepEqual(
      cells?.slice(2, 6).map((cell) => cell.trim()),
      [also.join(', '), type, unit, how],
      field,
    );
  }
  for (const flag of Object.keys({ ...starFlags, ...whereFlag })) {
    assert.ok(page.includes(`--${flag === 'failEmpty' ? 'fail-empty' : flag}`), flag);
  }
});

const csv = `name,hip,ra,dec,dist,mag,spect
Sirius,32349,101.287,-16.716,2.637,-1.44,A0V
"Odd, ""quoted""",7,10,0.1234567891,100000,30,
Vega,91262,279.234,38.784,7.68,0.03,A0V
`;
const nested = `{"name":"55 Cnc","aliases":["HD 75732"],"ra":133.15,"dec":28.33,"dist_pc":12.3,"mag_v":5.95,\
"stars":[{"name":"55 Cnc A","mass_msun":0.9},{"name":"55 Cnc B"}],"planets":[{"name":"b","a_au":0.11}]}
`;

const oracle = new StarOracle();
let cluster: MemoryCluster | undefined;
let session: Session | undefined;
before(async () => {
  const made: () => MemoryCluster = () => cluster ?? assert.fail();
  cluster = await MemoryCluster.start({
    handlersOf: (handlers, at) => ({ ...handlers, 'index.query': oracle.handler(made, at) }),
  });
  session = await cluster.session();
  await cluster.during(oracle.publish(session, 'stars.csv', csv));
  await cluster.during(oracle.publish(session, 'systems.ndjson', nested));
});
after(() => cluster?.stopAll());

interface Shape {
  readonly terminal?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly header?: boolean;
  readonly flags?: Partial<StarFlags>;
  readonly whole?: boolean;
}

const asked = async (text: QueryText, shape: Shape = {}) => {
  const { terminal = false, json = false, quiet = false, header = false, flags = {}, whole = false } = shape;
  assert.ok(cluster && session);
  const found: StarAnswer = await cluster.during(queryStars(session, text, { partial: flags.partial }));
  const [stdout, stderr] = [new MemoryStream(terminal), new MemoryStream(terminal)];
  const options = { json, quiet, header, color: false, yes: false, outlivesReader: false };
  const signal = new AbortController().signal;
  const host = { stdout, stderr, env: {}, stdin: {} } as unknown as ConstructorParameters<typeof Output>[0];
  const io = new Output(host, options, signal, () => undefined);
  const all: StarFlags = { in: [], partial: false, explain: false, failEmpty: false, ...flags };
  const print = async ({ rows }: StarAnswer): Promise<void> => printSystems(io, session ?? assert.fail(), rows, signal);
  const ended = printAnswer(io, all, found, whole ? print : undefined);
  const error = await ended.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  await io.flush();
  return { stdout: stdout.text, stderr: stderr.text, ended: error === undefined ? ended : Promise.reject(error) };
};

test('a terminal gets a table with units, a pipe exact values without header', async () => {
  const question = { columns: 'name,dec,mag,hip', sort: 'mag' };
  assert.equal(
    (await asked(question, { terminal: true })).stdout,
    [
      'NAME            DEC [deg]  MAG_V [mag]  HIP\n',
      'Sirius            -16.716        -1.44  32349\n',
      'Vega               38.784         0.03  91262\n',
      '55 Cnc              28.33         5.95  -\n',
      'Odd, "quoted"  0.12345679           30  7\n',
    ].join(''),
  );
  const { stdout, stderr } = await asked({ ...question, limit: 1 }, { header: true });
  assert.equal(stdout, 'name\tdec\tmag_v\thip\nSirius\t-16.716\t-1.44\t32349\n');
  assert.match(stderr, /first 1 of 4/);
  assert.equal((await asked(question, { quiet: true })).stdout, 'Sirius\nVega\n55 Cnc\nOdd, "quoted"\n');
  const rows = (await asked({ ...question, find: 'Vega' }, { json: true })).stdout;
  assert.deepEqual(JSON.parse(rows), { v: 1, name: 'Vega', dec: 38.784, mag_v: 0.03, hip: '91262' });
});

test('a format that is asked for by name is the same on a terminal and in a pipe', async () => {
  const question = { columns: 'name,mag,hip', sort: '-mag', where: 'name = "Odd quoted" or name = "55 Cnc"' };
  const as = async (format: NonNullable<StarFlags['format']>, terminal = false): Promise<string> =>
    (await asked(question, { terminal, flags: { format } })).stdout;
  assert.equal(await as('csv'), 'name,mag_v,hip\n"Odd, ""quoted""",30,7\n55 Cnc,5.95,\n');
  assert.equal(await as('csv', true), await as('csv'));
  assert.equal(
    await as('ndjson'),
    '{"name":"Odd, \\"quoted\\"","mag_v":30,"hip":"7"}\n{"name":"55 Cnc","mag_v":5.95,"hip":null}\n',
  );
  assert.equal((JSON.parse(await as('json')) as unknown[]).length, 2);
  assert.equal(await as('table'), await as('table', true));
  assert.match(await as('table'), /^NAME +MAG_V \[mag\] +HIP\n/);
  const none = await asked({ where: 'mag > 31' }, { flags: { format: 'json' } });
  assert.equal(none.stdout, '[]\n');
});

test('what is printed as CSV or JSON lines is a catalogue again, of the same values', async () => {
  for (const format of ['csv', 'ndjson'] as const) {
    const { stdout } = await asked({ columns: 'name,hip,ra,dec,dist,mag,spectral_type' }, { flags: { format } });
    const { note } = recogniseCatalogue(Buffer.from(stdout), true);
    const fields = note?.bindings.map(({ field }) => field).sort();
    assert.deepEqual(fields, ['dec', 'dist_pc', 'hip', 'mag_v', 'name', 'ra', 'spectral_type']);
    assert.ok(note?.bindings.every(({ unit }) => ['', 'deg', 'pc', 'mag'].includes(unit)));
  }
});

test('counts, groups and histograms', async () => {
  assert.equal((await asked({ count: true })).stdout, '4\n');
  assert.equal((await asked({ count: true }, { json: true })).stdout, '{"v":1,"count":4}\n');
  assert.equal((await asked({ count: true }, { flags: { format: 'csv' } })).stdout, 'count\n4\n');
  assert.equal((await asked({ group: 'class' })).stdout, 'A\t2\n\t2\n');
  assert.equal(
    (await asked({ group: 'class' }, { terminal: true })).stdout,
    'CLASS  COUNT\nA          2\n-          2\n',
  );
  assert.equal((await asked({ group: 'class' }, { quiet: true })).stdout, 'A\n\n');
  const bins = await asked({ histogram: 'mag:0.3' }, { flags: { format: 'csv' } });
  assert.equal(bins.stdout, 'from,to,count\n-1.5,-1.2,1\n0,0.3,1\n5.7,6,1\n30,30.3,1\n');
});

test('everything known of a system is a block that says where it is from', async () => {
  const { stdout } = await asked({ find: '55 Cnc', columns: 'all' }, { whole: true });
  for (const line of [
    /^55 Cnc\n {2}systems\.ndjson, record 1\n {2}also HD 75732/,
    /^ {2}ra: +133\.15 deg$/m,
    /^ {2}abs_mag: +5\.500474 mag {2}\(mag_v \+ 5 − 5 log10\(dist_pc\)\)$/m,
    /^ {2}mass: +0\.9 Msun {2}\(stars\[0\]\.mass_msun\)$/m,
    /^ {2}star 2:\n {4}name: 55 Cnc B\n/m,
    /^ {2}planet 1:\n {4}name: b\n {4}a_au: 0\.11\n/m,
  ]) {
    assert.match(stdout, line);
  }
  assert.match((await asked({ find: 'HIP 7', columns: 'all' }, { whole: true })).stdout, /odd: dist_pc = 100000, /);
  const json = (await asked({ find: 'HD 75732', columns: 'all' }, { json: true, whole: true })).stdout;
  const whole = JSON.parse(json) as Record<string, unknown>;
  assert.deepEqual([whole.v, whole.file, whole.chunk, whole.ordinal], [1, 'systems.ndjson', 0, 0]);
  assert.deepEqual(whole.planets, [{ name: 'b', a_au: 0.11 }]);
});

test('derived values have seven digits and separations six in every shape, and come in their exact order', async () => {
  const question = { near: 'Sirius,20pc', columns: 'name,abs_mag,x_pc,separation', sort: 'separation' };
  const { stdout } = await asked(question, { flags: { format: 'csv' } });
  assert.equal(
    stdout,
    [
      'name,abs_mag,x_pc,separation\n',
      'Sirius,1.454449,-0.494313,0\n',
      'Vega,0.603194,0.960661,10.1712\n',
      '55 Cnc,5.500474,-7.40458,10.9841\n',
    ].join(''),
  );
  const { stdout: json } = await asked({ ...question, columns: 'all' }, { json: true });
  const separations = json
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { separation: number }).separation);
  assert.deepEqual(separations, [0, 10.1712, 10.9841]);
});

test('all columns are those that a row has a value for', async () => {
  const { stdout } = await asked({ columns: 'all', cone: 'Sirius,1' }, { header: true });
  const [head = ''] = stdout.split('\n');
  assert.equal(
    head,
    'name\thip\tra\tdec\tdist_pc\tx_pc\ty_pc\tz_pc\tmag_v\tabs_mag\tspectral_type\tclass\t' +
      'luminosity_class\tseparation\tfile',
  );
});

test('nothing found is said, and is an error only for those who want one', async () => {
  const none = await asked({ find: 'Nobody' });
  await none.ended;
  assert.deepEqual([none.stdout, none.stderr], ['', 'no star system matches\n']);
  await rejects((await asked({ find: 'Nobody' }, { flags: { failEmpty: true } })).ended, 'nothing-matched');
  await rejects(
    (await asked({ find: 'Nobody', count: true }, { flags: { failEmpty: true } })).ended,
    'nothing-matched',
  );
});

test('a partial answer is printed whole, then what it lacks, and ends with partial', async () => {
  oracle.isUnvouched = (_, { version }) => oracle.nameOf(version) === 'stars.csv';
  const { stdout, stderr, ended } = await asked({ columns: 'name' }, { flags: { partial: true } });
  oracle.behave();
  assert.equal(stdout, '55 Cnc\n');
  assert.match(stderr, /stars\.csv: nobody answers for 1 of its 1 chunk$/m);
  await rejects(ended, 'partial');
});

test('an explanation names nodes, chunks, records and time, on standard error', async () => {
  const { stderr, stdout } = await asked({ near: 'Sirius,9pc', count: true }, { flags: { explain: true } });
  assert.equal(stdout, '1\n');
  for (const part of [/Sirius: place of record 1 in chunk 0, stars\.csv/, /2 catalogues, 2 chunks/, /look up sirius/]) {
    assert.match(stderr, part);
  }
  assert.match(stderr, /10\.0\.1\.\d:7000: \d of \d chunks, scan, 0 candidates, 0 records read, /);
  const json = await asked({ count: true }, { json: true, flags: { explain: true } });
  const { explain } = JSON.parse(json.stderr) as { explain: { chunks: number } };
  assert.equal(explain.chunks, 2);
});
