// Files in and out through the command line, for every kind of registry. Each registry's own test file brings a
// network and calls this; the cases share it and keep to names of their own.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { bytesOf, largeBytes, listTree, sameTrees, writeTree } from '../support/file-tree.ts';
import { exits, type LocalNet, parseLine, parseLines } from '../support/local-net.ts';

const segment = 65_536;
const chunk = 64 * segment;
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

interface Listed {
  readonly name: string;
  readonly size: number;
  readonly version: string;
}

/** Names that programs stumble over: each is one file below a folder. */
const oddNames = [
  'with space.txt',
  ' leading and trailing ',
  '-r',
  '--name',
  '%2f',
  '%2e%2e',
  '*?[x]{a,b}',
  'semi;colon:and"quote\'',
  '🚀 étoile ✨',
  'NFC \u00e9',
  '__proto__',
  'constructor',
  'con',
  'dot.',
  '.hidden',
  '...',
  'مجرة',
  `${'x'.repeat(255)}`,
];

/** `small`: how many small files go in and out together. */
export const testFiles = (net: () => LocalNet, small: number): void => {
  const path = (...parts: readonly string[]): string => net().sandbox.path(...parts);

  test('every catalogue and every size at the edge of a segment or chunk comes back bit for bit', async () => {
    const from = path('sizes');
    mkdirSync(from);
    const fixtures = resolve('fixtures/catalogues');
    for (const name of readdirSync(fixtures)) copyFileSync(join(fixtures, name), join(from, name));
    for (const edge of [segment, 2 * segment, chunk]) {
      for (const size of [edge - 1, edge, edge + 1]) writeFileSync(join(from, `${size}`), bytesOf(size, `${size}`));
    }
    writeTree(from, { empty: '', one: 'x', 'three chunks': largeBytes(2 * chunk + 12_345, 'three') });
    if (process.env.OPERA_TEST_BIG === '1') writeFileSync(join(from, 'big'), largeBytes(300 * 1024 * 1024 + 1, 'big'));
    const printed = lines(await net().ok(['put', '-r', from], { deadlineMs: 120_000 }));
    assert.equal(printed.length, listTree(from).length);
    assert.ok(
      printed.every((line) => /^[23]$/.test(line.split('\t')[2] ?? '')),
      printed.join('\n'),
    );
    await net().ok(['get', '-r', 'sizes', '-o', path('sizes-back')]);
    sameTrees(path('sizes-back', 'sizes'), from);
    const listed = parseLines<Listed>(await net().ok(['ls', 'sizes/', '--json']));
    assert.equal(listed.find(({ name }) => name === 'sizes/three chunks')?.size, 2 * chunk + 12_345);
  });

  test('star systems are asked for by name, place and expression', async () => {
    const text = 'name,ra,dec,dist,mag,spect\nVega,279.23,38.78,7.68,0.03,A0V\nSirius,101.29,-16.72,2.64,-1.44,A1V\n';
    await net().ok(['put', '-', '--name', 'asked/bright.csv'], { input: text });
    const inFile = ['--in', 'asked/*.csv'];
    const nearest = await net().ok(['near', 'Sol', '10pc', ...inFile, '--columns', 'name,dist,class']);
    assert.deepEqual(lines(nearest), ['Sirius\t2.64\tA', 'Vega\t7.68\tA']);
    assert.deepEqual(lines(await net().ok(['cone', '279', '38', '2deg', ...inFile, '-q'])), ['Vega']);
    assert.match(await net().ok(['find', 'vega', ...inFile]), /^Vega\n {2}asked\/bright\.csv, record 1\n/);
    assert.equal(await net().ok(['query', 'mag < 0', ...inFile, '--count']), '1\n');
    exits(await net().opera(['find', 'Nobody', '--fail-empty']), 9, 'find of nobody');
    exits(await net().opera(['query', 'mag < 0', '--in', 'asked/none.csv']), 3, 'query of no catalogue');
    const wrong = exits(await net().opera(['query', 'magg < 0']), 2, 'query with a wrong word');
    assert.match(wrong.stderr, /\n {2}magg < 0\n {2}\^{4}\n/);
    await net().ok(['rm', 'asked/bright.csv', '--yes']);
    assert.equal(await net().ok(['query', '--count', '--in', 'asked/*']), '0\n');
  });

  test('many small files go in and out in batches', async () => {
    const from = path('many');
    const files = Array.from({ length: small }, (_, at) => [`d${at % 10}/f${at}`, bytesOf(at, `${at}`)] as const);
    writeTree(from, Object.fromEntries(files));
    await net().ok(['put', '-r', from, '-q']);
    assert.equal(lines(await net().ok(['ls', 'many/'])).length, small);
    await net().ok(['get', '-r', 'many', '-o', path('many-back'), '-q']);
    sameTrees(path('many-back', 'many'), from);
    exits(await net().opera(['rm', '-r', 'many']), 2, 'rm without --yes in a pipe');
    await net().ok(['rm', '-r', 'many', '--yes', '-q']);
    assert.equal(await net().ok(['ls', 'many/']), '');
  });

  test('odd names are one name each, and come back as they went', async () => {
    const from = path('odd');
    writeTree(from, Object.fromEntries(oddNames.map((name) => [name, `content of ${name}`])));
    await net().ok(['put', '-r', from]);
    const listed = parseLines<Listed>(await net().ok(['ls', 'odd/', '--json'])).map(({ name }) => name);
    assert.deepEqual(listed.sort(), oddNames.map((name) => `odd/${name}`).sort());
    await net().ok(['get', '-r', 'odd', '-o', path('odd-back')]);
    sameTrees(path('odd-back', 'odd'), from);
    assert.equal(await net().ok(['cat', 'odd/*?[x]{a,b}']), 'content of *?[x]{a,b}', 'an exact name beats a glob');
    assert.equal(await net().ok(['cat', '--', 'odd/-r']), 'content of -r');

    const long = `${'a'.repeat(1_019)}/🚀`;
    assert.equal(Buffer.byteLength(long), 1_024);
    await net().ok(['put', '-', '--name', long], { input: 'long' });
    assert.equal(await net().ok(['cat', long]), 'long');
    await net().ok(['rm', long, '--yes']);
    for (const name of [`${long}b`, 'a//b', '/a', 'a/', 'a/../b', '.', 'a\u0000b', 'a\nb', '']) {
      if (name.includes('\0')) continue;
      exits(await net().opera(['put', '-', '--name', name], { input: '' }), 2, JSON.stringify(name));
    }
    await net().ok(['put', '-', '--name', 'decomposed e\u0301'], { input: 'NFD' });
    assert.equal(await net().ok(['cat', 'decomposed \u00e9']), 'NFD');
    assert.equal(await net().ok(['ls', 'decomposed', '-q']), 'decomposed \u00e9\n');
  });

  test('names that are equal after normalisation are refused together in one put', async () => {
    const from = path('twins');
    writeTree(from, { 'e\u0301': 'decomposed', '\u00e9': 'composed', other: 'alone' });
    assert.equal(listTree(from).length, 3, 'this file system keeps both');
    const ran = exits(await net().opera(['put', '-r', from]), 6);
    assert.match(ran.stderr, /twins\/é/);
  });

  test('standard input and output, ranges as in HTTP', async () => {
    const bytes = largeBytes(chunk + segment + 77, 'range');
    await net().ok(['put', '-', '--name', 'range/a'], { input: bytes });
    const cat = async (...range: readonly string[]): Promise<Buffer> =>
      exits(await net().opera(['cat', 'range/a', ...range]), 0).bytes;
    assert.ok((await cat()).equals(bytes));
    assert.ok((await cat('--range', '0-0')).equals(bytes.subarray(0, 1)));
    assert.ok((await cat('--range', `${segment - 1}-${segment}`)).equals(bytes.subarray(segment - 1, segment + 1)));
    assert.ok((await cat('--range', `${chunk - 1}-`)).equals(bytes.subarray(chunk - 1)));
    assert.ok((await cat('--range', '-10')).equals(bytes.subarray(-10)));
    assert.ok((await cat('--range', '5-99999999999')).equals(bytes.subarray(5)));
    for (const range of ['9-5', 'x', '-', '99999999999-']) {
      const { code, stdout } = await net().opera(['cat', 'range/a', `--range=${range}`]);
      assert.ok(code !== 0 && stdout === '', `range ${range} exits ${code}`);
    }
    const out = exits(await net().opera(['get', 'range/a', '-o', '-']), 0).bytes;
    assert.ok(out.equals(bytes));
    exits(await net().opera(['put', '-'], { input: 'x' }), 2, 'stdin without a name');
  });

  test('overwriting, conditions and their exit codes', async () => {
    const put = (input: string, ...flags: readonly string[]) =>
      net().opera(['put', '-', '--name', 'cond', '--json', ...flags], { input });
    const version = async (): Promise<string> => (await net().ok(['stat', 'cond', '-q'])).trim();
    exits(await put('one', '--if-absent'), 0);
    const first = await version();
    exits(await put('two', '--if-absent'), 10);
    assert.equal(await net().ok(['cat', 'cond']), 'one');
    exits(await put('two', `--if-version=${first}`), 0);
    const second = await version();
    assert.notEqual(second, first);
    const refused = exits(await put('three', `--if-version=${first}`), 10);
    assert.equal(parseLine<{ readonly code: string }>(refused.stderr).code, 'conflict');
    exits(await put('three'), 0);
    assert.equal(await net().ok(['cat', 'cond']), 'three');
    exits(await put('x', '--if-version=nonsense'), 2);
    const missing = exits(
      await net().opera(['put', '-', '--name', 'none', `--if-version=${first}`], { input: '' }),
      10,
    );
    assert.match(missing.stderr, /^opera: /);
  });

  test('rm and mv: what is gone is not found, what moved has its bytes, targets are not overwritten', async () => {
    for (const name of ['mv/a', 'mv/b']) await net().ok(['put', '-', '--name', name], { input: name });
    await net().ok(['mv', 'mv/a', 'mv/c']);
    assert.equal(await net().ok(['cat', 'mv/c']), 'mv/a');
    exits(await net().opera(['cat', 'mv/a']), 3);
    exits(await net().opera(['mv', 'mv/b', 'mv/c']), 10);
    assert.equal(await net().ok(['cat', 'mv/c']), 'mv/a');
    exits(await net().opera(['mv', 'mv/absent', 'mv/d']), 3);
    await net().ok(['mv', '--force', 'mv/b', 'mv/c']);
    assert.equal(await net().ok(['cat', 'mv/c']), 'mv/b');
    await net().ok(['mv', '-r', 'mv', 'moved/here']);
    assert.equal(await net().ok(['ls', 'moved']), 'moved/here/c\n');
    exits(await net().opera(['rm', 'moved/*', '--yes']), 2, 'a glob without -r');
    assert.match(exits(await net().opera(['rm', '-r', 'moved', '-n']), 0).stdout, /moved\/here\/c/);
    assert.equal(await net().ok(['ls', 'moved']), 'moved/here/c\n', '-n removes nothing');
    await net().ok(['rm', 'moved/here/c', '--yes']);
    exits(await net().opera(['rm', 'moved/here/c', '--yes']), 3);
    exits(await net().opera(['stat', 'moved/here/c']), 3);
    await net().ok(['put', '-', '--name', 'moved/here/c'], { input: 'anew' });
    assert.equal(await net().ok(['cat', 'moved/here/c']), 'anew');
  });

  test('ls by prefix, glob, page; stat and where tell the facts', async () => {
    for (const name of ['sol', 'sola', 'sol/a.csv', 'sol/b/c.csv', 'sol/b/d.txt']) {
      await net().ok(['put', '-', '--name', `list/${name}`], { input: name });
    }
    const ls = async (...args: readonly string[]): Promise<string[]> => lines(await net().ok(['ls', ...args]));
    assert.deepEqual(await ls('list/sol/'), ['list/sol/a.csv', 'list/sol/b/c.csv', 'list/sol/b/d.txt']);
    assert.equal((await ls('list/sol')).length, 5, 'a prefix is no folder');
    assert.deepEqual(await ls('list/**/*.csv'), ['list/sol/a.csv', 'list/sol/b/c.csv']);
    assert.deepEqual(await ls('list/sol/*.csv'), ['list/sol/a.csv']);
    assert.deepEqual(await ls('list/', '--limit', '2'), ['list/sol', 'list/sol/a.csv']);
    assert.deepEqual(await ls('list/', '--limit', '1', '--after', 'list/sol'), ['list/sol/a.csv']);
    assert.deepEqual(await ls('nothing/here'), []);
    exits(await net().opera(['ls', 'nothing/here', '--fail-empty']), 9);
    const [row = ''] = await ls('list/sola', '-l');
    const cells = row.split('\t');
    assert.ok(cells.includes('list/sola') && cells.includes('4'), row);
    const stat = parseLine<Listed & { readonly chunks: number }>(await net().ok(['stat', 'list/sola', '--json']));
    assert.deepEqual([stat.name, stat.size, stat.chunks], ['list/sola', 4, 1]);
    const copies = parseLines<{ readonly copy: string; readonly address: string }>(
      await net().ok(['where', 'list/sola', '--json']),
    );
    const nodes = net().facts.processes.filter(({ role }) => role === 'node');
    assert.ok(copies.filter(({ copy }) => copy === 'held').length >= 2, JSON.stringify(copies));
    for (const { address } of copies) assert.ok(nodes.some((node) => node.address === address));
  });

  test('get overwrites nothing and writes nowhere else', async () => {
    await net().ok(['put', '-', '--name', 'over/a'], { input: 'remote' });
    const folder = path('over');
    mkdirSync(folder);
    writeFileSync(join(folder, 'a'), 'local');
    exits(await net().opera(['get', 'over/a'], { cwd: folder }), 10);
    assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'local');
    await net().ok(['get', 'over/a', '--force'], { cwd: folder });
    assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'remote');
    await net().ok(['put', '-', '--name', 'over/\\..\\..\\evil'], { input: 'evil' });
    const ran = await net().opera(['get', '-r', 'over', '-o', path('over-back')]);
    exits(ran, 6);
    assert.deepEqual(listTree(path('over-back')), ['over/a']);
    assert.deepEqual(
      listTree(net().sandbox.root).filter((name) => name.includes('evil')),
      [],
    );
    await net().ok(['rm', 'over/\\..\\..\\evil', '--yes']);
    assert.ok(!existsSync(path('evil')));
  });
};
