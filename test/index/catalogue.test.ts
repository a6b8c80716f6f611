// From a file's head to its note and back: real catalogues, tables that only look like ones, and altered notes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { isOperaError } from '../../src/errors/errors.ts';
import { encodeNote, parseNote, recogniseCatalogue, type Verdict } from '../../src/index/catalogue.ts';
import { RecordCutter } from '../../src/index/cut.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { RecordReader } from '../../src/index/record.ts';

const judge = (text: string, ...map: string[]): Verdict =>
  recogniseCatalogue(new TextEncoder().encode(text), true, { map });

const files = {
  'd3celestial_xhip.csv.gz': 118_216,
  'oec_1086_systems.csv': 1086,
  'oec_1086_systems.ndjson': 1086,
} as const;

test('real catalogues are recognised from their heads, and any chunk is read by the note alone', () => {
  for (const [file, count] of Object.entries(files)) {
    const raw = readFileSync(`fixtures/catalogues/${file}`);
    const bytes = file.endsWith('.gz') ? gunzipSync(raw) : raw;
    const { note } = recogniseCatalogue(bytes, true);
    assert.ok(note, file);
    const { dialect, bindings } = parseNote(encodeNote(note));
    assert.deepEqual([dialect, bindings], [note.dialect, note.bindings]);
    const cutter = new RecordCutter(dialect, 1_000_000);
    const chunks = [...cutter.push(bytes), ...cutter.end()];
    const reader = new RecordReader(dialect, bindings);
    let start = 0;
    let systems = 0;
    for (const [index, { bytes: length, records }] of chunks.entries()) {
      const raws = [...parseRecords(bytes.subarray(start, start + length), dialect, index === 0)];
      assert.equal(raws.length, records);
      // The reader is not the subject here: every fiftieth record shows that the columns are where the note says.
      for (const record of raws) if (record.ordinal % 50 === 0 && 'system' in reader.read(record)) systems += 1;
      start += length;
    }
    assert.equal(
      chunks.reduce((sum, { records }) => sum + records, 0),
      count,
    );
    assert.ok(systems >= count / 50);
  }
});

test('a table whose values make no stars is no catalogue, whatever its columns are called', () => {
  const { note, reasons } = judge('ra,dec,what\nleft,up,a\nright,down,b\n');
  assert.equal(note, undefined);
  assert.ok(
    reasons.some((reason) => /2 of its first 2 records make no star system: record 1: ra = left, must be/.test(reason)),
  );
  assert.ok(judge('ra,dec,what\n1,2,a\nright,down,b\n3,4,c\n').note);
});

test('a head that ends inside a record is judged by the whole ones', () => {
  const text = 'name,ra,dec\na,1,2\nb,3,"4';
  assert.ok(recogniseCatalogue(new TextEncoder().encode(text), false).note);
});

test('a text is an ordinary file with a reason, and an error when somebody said it is a catalogue', () => {
  assert.deepEqual(judge('hello\n').note, undefined);
  assert.equal(judge('hello\n').reasons.length, 1);
  const bytes = new TextEncoder().encode('a,b\n1,2\n');
  for (const options of [{ force: true }, { map: ['ra=a'] }]) {
    assert.throws(
      () => recogniseCatalogue(options.force ? new TextEncoder().encode('hello\n') : bytes, true, options),
      (error) => isOperaError(error, 'usage') && /this is no catalogue/.test(error.message),
    );
  }
  assert.ok(recogniseCatalogue(new TextEncoder().encode('name,mass\nx,2\n'), true, { force: true }).note);
  assert.ok(judge('a,b\n1,2\n', 'ra=a', 'dec=b').note);
});

test('a note that is none is refused, and a field of a later table is left out', () => {
  const { note } = judge('name,ra,dec\na,1,2\n');
  assert.ok(note);
  const json = JSON.parse(encodeNote(note));
  const later = { ...json, map: [...json.map, ['wobble', 'w', '', false]], fields: 9 };
  assert.deepEqual(parseNote(JSON.stringify(later)).bindings, note.bindings);
  for (const broken of [
    '',
    'null',
    '[]',
    '{}',
    ...Object.keys(json)
      .filter((key) => !['quoted', 'comments'].includes(key))
      .map((key) => JSON.stringify({ ...json, [key]: {} })),
  ]) {
    assert.throws(
      () => parseNote(broken),
      (error) => isOperaError(error, 'integrity'),
      broken,
    );
  }
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.throws(
        () => parseNote(text),
        (error) => isOperaError(error, 'integrity'),
      );
    }),
    { numRuns: 300 },
  );
});
