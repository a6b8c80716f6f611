// What a put tells of records is what the index does with them: the same faults, the same counts, however it is cut.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { recogniseCatalogue } from '../../src/index/catalogue.ts';
import { RecordCheck, type RecordFault } from '../../src/index/check.ts';
import { RecordCutter } from '../../src/index/cut.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { RecordReader } from '../../src/index/record.ts';

/** Checks the bytes as they are cut into chunks of at most so many records, and compares with the index's reading. */
const check = (bytes: Uint8Array, recordsMax: number) => {
  const { note } = recogniseCatalogue(bytes, true, { force: true });
  assert.ok(note);
  const checked = new RecordCheck(note);
  const cutter = new RecordCutter(note.dialect, undefined, recordsMax);
  const told: RecordFault[] = [];
  let start = 0;
  for (const chunk of [...cutter.push(bytes), ...cutter.end()]) {
    told.push(...checked.faultsOf(bytes.subarray(start, start + chunk.bytes)));
    start += chunk.bytes;
  }
  const reader = new RecordReader(note.dialect, note.bindings);
  const wanted: RecordFault[] = [];
  const counts = { rows: 0, indexed: 0, flagged: 0, rejected: 0 };
  for (const raw of parseRecords(bytes, note.dialect, true)) {
    const record = ++counts.rows;
    const read = reader.read(raw);
    if ('faults' in read) {
      counts.rejected++;
      for (const fault of read.faults) wanted.push({ record, level: 'rejected', ...fault });
    } else {
      counts.indexed++;
      if (read.system.odd.length > 0) counts.flagged++;
      for (const fault of read.system.odd) wanted.push({ record, level: 'flagged', ...fault });
    }
  }
  assert.deepEqual(told, wanted);
  assert.deepEqual(checked.counts, counts);
  return counts;
};

test('of real catalogues the check says what the index does', () => {
  const fixture = (name: string): Buffer => readFileSync(`fixtures/catalogues/${name}`);
  const stars = check(gunzipSync(fixture('d3celestial_xhip.csv.gz')), 50_000);
  assert.deepEqual(stars, { rows: 118_216, indexed: 118_216, flagged: 9, rejected: 0 });
  assert.equal(check(fixture('oec_1086_systems.ndjson'), 100).rows, 1086);
});

test('of records full of faults, too', () => {
  const value = fc.constantFrom('', '1', '-91', '361', 'x', '80', '400', '"a,b"', 'nan', '1,2');
  const rows = fc.array(fc.tuple(value, value, value, value), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 8 }), (list, recordsMax) => {
      const lines = ['name,ra,dec,age', ...list.map((row) => row.join(','))];
      check(Buffer.from(`${lines.join('\n')}\n`), recordsMax);
    }),
    { numRuns: 300 },
  );
  const nested = '{"name":"a","ra":1,"dec":2,"stars":[{"teff_k":-5,"mass":1}],"planets":3}\n{"name":"b"\n';
  assert.deepEqual(check(Buffer.from(nested), 1), { rows: 2, indexed: 0, flagged: 0, rejected: 2 });
});
