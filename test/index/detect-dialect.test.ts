// What the first bytes say about a file: real headers of catalogues, and files that are none.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Dialect } from '../../src/index/dialect.ts';
import { detectDialect } from '../../src/index/detect-dialect.ts';
import { parseRecords } from '../../src/index/parse-records.ts';

const detect = (text: string | Uint8Array): Dialect => {
  const found = detectDialect(typeof text === 'string' ? new TextEncoder().encode(text) : text, true);
  assert.ok('dialect' in found, 'reason' in found ? found.reason : '');
  return found.dialect;
};

const refusalOf = (text: string | Uint8Array): string => {
  const found = detectDialect(typeof text === 'string' ? new TextEncoder().encode(text) : text, true);
  assert.ok('reason' in found);
  return found.reason;
};

const recordsOf = (text: string): (readonly string[])[] =>
  [...parseRecords(new TextEncoder().encode(text), detect(text), true)].map(({ fields }) =>
    fields.map((field) => field.trim()),
  );

test('the real catalogues are read in full', () => {
  const stars = gunzipSync(readFileSync('fixtures/catalogues/d3celestial_xhip.csv.gz'));
  const xhip = detect(stars);
  assert.deepEqual([xhip.format, xhip.delimiter, xhip.columns.length, xhip.preamble], ['csv', ',', 12, 83]);
  let count = 0;
  for (const { fields, fault } of parseRecords(stars, xhip, true)) {
    assert.equal(fault, undefined);
    assert.equal(fields.length, 12);
    count += 1;
  }
  assert.equal(count, 118_216);
  const flat = readFileSync('fixtures/catalogues/oec_1086_systems.csv');
  assert.equal([...parseRecords(flat, detect(flat), true)].filter(({ fault }) => fault === undefined).length, 1086);
  const nested = readFileSync('fixtures/catalogues/oec_1086_systems.ndjson');
  const oec = detect(nested);
  assert.equal(oec.format, 'ndjson');
  assert.ok(oec.columns.includes('ids.hip') && oec.columns.includes('stars'));
  assert.equal([...parseRecords(nested, oec, true)].filter(({ json }) => json !== undefined).length, 1086);
});

test('delimiters are told apart by the shape of the rows', () => {
  assert.equal(detect('name;ra;dec\n"a,b";1,5;2\nc;2,5;3\n').delimiter, ';');
  assert.equal(detect('name|ra|dec\na|1|2\n').delimiter, '|');
  assert.equal(detect('name\tra\tdec\nC5,5\t1\t2\n').format, 'tsv');
  assert.equal(detect('name,ra,dec\n"a;b;c;d",1,2\n').delimiter, ',');
});

test('a byte order mark, CRLF and quoted names of columns do not end up in the names', () => {
  const dialect = detect('\ufeff"name","ra [deg]",dec\r\n"a\nb",1,2\r\n');
  assert.deepEqual(dialect.columns, ['name', 'ra [deg]', 'dec']);
  assert.deepEqual(recordsOf('\ufeff"name","ra [deg]",dec\r\n"a\nb",1,2\r\n'), [['a\nb', '1', '2']]);
});

test('TSV from VizieR: comments, names, units, dashes, values padded with spaces', () => {
  const text = [
    '#\n#   VizieR Astronomical Server\n#Name: I/239/hip_main "unclosed\n',
    '_RAJ2000\tHIP\tVmag\tSpType\ndeg\t \tmag\t \n--------\t------\t-----\t------\n',
    '101.28855\t 32349\t-1.44\tA0m...\n219.92041\t 71683\t-0.01\tG2V\n\n#END#\n',
  ].join('');
  const dialect = detect(text);
  assert.deepEqual(dialect.columns, ['_RAJ2000', 'HIP', 'Vmag', 'SpType']);
  assert.deepEqual(dialect.units, ['deg', '', 'mag', '']);
  assert.deepEqual(recordsOf(text), [
    ['101.28855', '32349', '-1.44', 'A0m...'],
    ['219.92041', '71683', '-0.01', 'G2V'],
  ]);
});

test('a header in the last comment is the header', () => {
  const text = '# made by hand\n# name, ra, dec\nSirius, 101.28, -16.7\nVega, 279.2, 38.8\n';
  assert.deepEqual(detect(text).columns, ['name', 'ra', 'dec']);
  assert.deepEqual(recordsOf(text), [
    ['Sirius', '101.28', '-16.7'],
    ['Vega', '279.2', '38.8'],
  ]);
});

test('in TSV a quote is an inch until whole fields are quoted', () => {
  assert.deepEqual(recordsOf('name\tra\n5"\t1\n"odd\t2\n'), [
    ['5"', '1'],
    ['"odd', '2'],
  ]);
  assert.deepEqual(recordsOf('name\tra\n"a\tb"\t1\n"c"\t2\n'), [
    ['a\tb', '1'],
    ['c', '2'],
  ]);
});

test('what is no table of records says why', () => {
  assert.match(refusalOf(''), /empty/);
  assert.match(refusalOf('\n \n'), /empty/);
  assert.match(refusalOf('once upon a time\nthere was a star\n'), /no table/);
  assert.match(refusalOf('1,2,3\n4,5,6\n'), /numbers, not names/);
  assert.match(refusalOf('{\n "name": "one object over many lines"\n}\n'), /no JSON objects/);
  assert.match(refusalOf('[1,2,3]'), /no objects/);
  assert.match(refusalOf('[]'), /no objects/);
  assert.match(refusalOf(new Uint8Array([0x50, 0x4b, 3, 4, 0, 0])), /NUL/);
  assert.match(refusalOf(Buffer.from('name,ra\n', 'utf16le')), /NUL/);
});

test('a head that ends inside a record does not mislead', () => {
  const rows = Array.from({ length: 50 }, (_, index) => `star ${index},${index},"a, b"`).join('\n');
  for (let end = 30; end < rows.length; end += 17) {
    const found = detectDialect(new TextEncoder().encode(`name,ra,note\n${rows.slice(0, end)}`), false);
    assert.ok('dialect' in found && found.dialect.columns.length === 3 && found.dialect.delimiter === ',');
  }
});

test('no bytes make detection or parsing fail', () => {
  const nasty = fc.array(
    fc.constantFrom('"', ',', '\t', '\n', '\r', '#', '{', '}', '[', ']', 'a', '1', ' ', '-', '\\', 'é'),
    {
      maxLength: 60,
    },
  );
  fc.assert(
    fc.property(nasty, fc.boolean(), (parts, whole) => {
      const bytes = new TextEncoder().encode(parts.join(''));
      const found = detectDialect(bytes, whole);
      if (!('dialect' in found)) return;
      const { dialect } = found;
      assert.ok(dialect.preamble <= bytes.length);
      for (const { start, end } of parseRecords(bytes, dialect, true)) assert.ok(start <= end && end <= bytes.length);
    }),
    { numRuns: 1500 },
  );
});
