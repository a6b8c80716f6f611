// The cutter and the parser of records against a slow reading of the same text, whatever the pieces and the limits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CutChunk, RecordCutter } from '../../src/index/cut.ts';
import type { Dialect } from '../../src/index/dialect.ts';
import { detectDialect } from '../../src/index/detect-dialect.ts';
import { parseRecords, type RawRecord } from '../../src/index/parse-records.ts';
import { limits } from '../../src/model/limits.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const dialectOf = (text: string): Dialect => {
  const found = detectDialect(bytesOf(text), true);
  assert.ok('dialect' in found, 'reason' in found ? found.reason : '');
  return found.dialect;
};

interface Cut {
  readonly chunks: readonly CutChunk[];
  readonly refusal: string | undefined;
}

/** Cuts `bytes` fed in pieces of the given lengths, repeated until the end. */
const cut = (
  bytes: Uint8Array,
  dialect: Dialect,
  limit: number,
  pieces: readonly number[],
  recordsMax: number = limits.catalogueChunkRecordsMax,
): Cut => {
  const cutter = new RecordCutter(dialect, limit, recordsMax);
  const chunks: CutChunk[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const piece = bytes.slice(at, at + (pieces[turn % pieces.length] ?? 1));
    chunks.push(...cutter.push(piece));
    at += piece.length;
    // The cutter keeps no reference: what happens to the piece afterwards does not matter.
    piece.fill(0x22);
  }
  chunks.push(...cutter.end());
  return { chunks, refusal: cutter.refusal };
};

const parseAll = (bytes: Uint8Array, dialect: Dialect, chunks: readonly CutChunk[]): RawRecord[][] => {
  let start = 0;
  return chunks.map(({ bytes: length }, index) => {
    const records = [...parseRecords(bytes.subarray(start, start + length), dialect, index === 0)];
    start += length;
    return records;
  });
};

interface Sample {
  readonly text: string;
  readonly rows: readonly (readonly string[])[];
  /** Records as the text holds them, with what stands before them; for the greedy reference. */
  readonly pieces: readonly string[];
  readonly header: string;
}

const field = fc.oneof(
  fc.constantFrom(
    '',
    'G2V',
    'C5,5',
    'a "quoted" b',
    'line\nbreak',
    'cr\r\nlf',
    'α CMa',
    '  pad  ',
    '\t',
    '#1',
    "5'",
    '🌟',
  ),
  fc.string({ maxLength: 8 }).filter((text) => !/[\r\n\0]/.test(text)),
);

/** A table as a careful writer writes it: a field is quoted when it must be, and sometimes when it need not be. */
const csvSample = (delimiter: string): fc.Arbitrary<Sample> =>
  fc
    .record({
      rows: fc.array(fc.tuple(field, field, field), { minLength: 1, maxLength: 12 }),
      eol: fc.constantFrom('\n', '\r\n'),
      mark: fc.boolean(),
      blank: fc.array(fc.nat(), { maxLength: 3 }),
      lastEol: fc.boolean(),
      quoteAll: fc.boolean(),
    })
    .map(({ rows, eol, mark, blank, lastEol, quoteAll }) => {
      const write = (value: string): string =>
        quoteAll || value === '' || /["\r\n#]|^\s|\s$/.test(value) || value.includes(delimiter)
          ? `"${value.replaceAll('"', '""')}"`
          : value;
      const header = `${mark ? '\ufeff' : ''}name${delimiter}spect${delimiter}note${eol}`;
      const pieces: string[] = [];
      rows.forEach((row, index) => {
        if (blank.includes(index)) pieces.push(eol);
        const last = index === rows.length - 1 && !lastEol;
        pieces.push(row.map(write).join(delimiter) + (last ? '' : eol));
      });
      return { text: header + pieces.join(''), rows, pieces, header };
    });

/** The next piece goes into the chunk while it fits: what the cutter promises, said simply. */
const pack = (
  pieces: readonly string[],
  header: string,
  limit: number,
  recordsMax: number = limits.catalogueChunkRecordsMax,
): number[] => {
  const lengths: number[] = [];
  let length = bytesOf(header).length;
  let records = 0;
  for (const piece of pieces) {
    const bytes = bytesOf(piece).length;
    const isBlank = piece.trim() === '';
    if ((length + bytes > limit && length > 0) || (records === recordsMax && !isBlank)) {
      lengths.push(length);
      length = 0;
      records = 0;
    }
    length += bytes;
    if (!isBlank) records += 1;
  }
  if (length > 0) lengths.push(length);
  return lengths;
};

for (const delimiter of [',', '\t', ';', '|']) {
  test(`rows with "${delimiter === '\t' ? 'tab' : delimiter}" are cut where records end, however they arrive`, () => {
    fc.assert(
      fc.property(
        csvSample(delimiter),
        fc.integer({ min: 90, max: 200 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 14 }),
        (sample, limit, pieces, recordsMax) => {
          const bytes = bytesOf(sample.text);
          const dialect: Dialect = {
            ...dialectOf(`name${delimiter}spect${delimiter}note\n"a"${delimiter}b${delimiter}c\n`),
            preamble: bytesOf(sample.header).length,
            quoted: true,
          };
          const { chunks, refusal } = cut(bytes, dialect, limit, pieces, recordsMax);
          if (refusal !== undefined) {
            assert.ok(sample.pieces.some((piece) => bytesOf(piece).length > limit));
            return;
          }
          assert.deepEqual(
            chunks.map((chunk) => chunk.bytes),
            pack(sample.pieces, sample.header, limit, recordsMax),
          );
          assert.ok(chunks.every(({ records }) => records <= recordsMax));
          const parsed = parseAll(bytes, dialect, chunks);
          assert.deepEqual(
            parsed.map((records) => records.length),
            chunks.map((chunk) => chunk.records),
          );
          assert.deepEqual(
            parsed.flat().map(({ fields }) => fields),
            sample.rows,
          );
          for (const records of parsed)
            assert.deepEqual(
              records.map(({ ordinal }) => ordinal),
              [...records.keys()],
            );
        },
      ),
      { numRuns: 300 },
    );
  });
}

const jsonValue = fc.record(
  {
    name: field,
    spect: fc.constantFrom('C5,5', '}{', '[]', '\\"', '"'),
    ids: fc.record({ hip: fc.nat() }, { noNullPrototype: true }),
    stars: fc.array(fc.record({ name: field }, { noNullPrototype: true }), { maxLength: 2 }),
  },
  { noNullPrototype: true },
);

for (const format of ['ndjson', 'json'] as const) {
  test(`${format} is cut where records end, however it arrives`, () => {
    fc.assert(
      fc.property(
        fc.array(jsonValue, { minLength: 1, maxLength: 8 }),
        fc.constantFrom('\n', '\r\n', '\n\n', '\n  '),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 250, max: 900 }),
        (values, gap, pieces, limit) => {
          const indent = format === 'json' && gap === '\n  ' ? 2 : undefined;
          const texts = values.map((value) => JSON.stringify(value, undefined, indent));
          const text =
            format === 'json' ? `[${gap}${texts.join(`,${gap}`)}${gap}]` : texts.map((row) => row + gap).join('');
          const bytes = bytesOf(text);
          const dialect = dialectOf(text);
          assert.equal(dialect.format, format);
          const { chunks, refusal } = cut(bytes, dialect, limit, pieces);
          if (refusal !== undefined) {
            assert.ok(texts.some((row) => bytesOf(row).length + 8 > limit));
            return;
          }
          assert.equal(
            chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
            bytes.length,
          );
          assert.ok(chunks.every((chunk) => chunk.bytes <= limit));
          assert.deepEqual(chunks, cut(bytes, dialect, limit, [bytes.length]).chunks);
          const parsed = parseAll(bytes, dialect, chunks);
          assert.deepEqual(
            parsed.map((records) => records.length),
            chunks.map((chunk) => chunk.records),
          );
          assert.deepEqual(
            parsed.flat().map(({ json }) => json),
            values,
          );
        },
      ),
      { numRuns: 300 },
    );
  });
}

test('a cutter that does not know quotes is found out', () => {
  const property = (quoted: boolean) =>
    fc.property(csvSample(','), (sample) => {
      if (sample.pieces.some((piece) => bytesOf(piece).length > 120)) return;
      const dialect = { ...dialectOf('name,spect,note\na,b,c\n'), preamble: bytesOf(sample.header).length, quoted };
      const { chunks } = cut(bytesOf(sample.text), dialect, 120, [50]);
      assert.deepEqual(
        chunks.map((chunk) => chunk.bytes),
        pack(sample.pieces, sample.header, 120),
      );
    });
  assert.equal(fc.check(property(true), { numRuns: 200, seed: 1 }).failed, false);
  assert.equal(fc.check(property(false), { numRuns: 500, seed: 1 }).failed, true);
});

test('a byte range is exactly the record', () => {
  const text = 'name,spect\r\n"Y CVn","C5,5"\r\n\r\n"two\nlines",K\r\n';
  const bytes = bytesOf(text);
  const ranges = [...parseRecords(bytes, dialectOf(text), true)].map(({ start, end }) => text.slice(start, end));
  assert.deepEqual(ranges, ['"Y CVn","C5,5"', '"two\nlines",K']);
  const array = '[ {"a":1},\n\t{"a":"]"} ]';
  const inArray = [...parseRecords(bytesOf(array), dialectOf(array), true)];
  assert.deepEqual(
    inArray.map(({ start, end }) => array.slice(start, end)),
    ['{"a":1}', '{"a":"]"}'],
  );
});

test('a record that no chunk can hold is refused with its number, and nothing comes out afterwards', () => {
  const text = `name,spect\na,b\n"${'x'.repeat(300)}",c\nd,e\n`;
  for (const pieces of [[1], [7], [1000]]) {
    const { refusal } = cut(bytesOf(text), dialectOf(text), 100, pieces);
    assert.equal(refusal, 'record 2 is longer than 100 bytes');
  }
  const cutter = new RecordCutter(dialectOf(text), 100);
  cutter.push(bytesOf(text));
  assert.deepEqual([cutter.push(bytesOf('f,g\n')), cutter.end()], [[], []]);
});

test('a quote that never closes is one long record, not a wrong cut', () => {
  const text = `name,spect\n"open,b\n${'c,d\n'.repeat(50)}`;
  assert.equal(
    cut(bytesOf(text), dialectOf('name,spect\na,b\n'), 100, [13]).refusal,
    'record 1 is longer than 100 bytes',
  );
});

test('chunks of a real size are at most 4 MiB and nearly full', () => {
  const row = 'HIP 12345,101.28715533,-16.71611586,8.44,"C5,5","a name that makes it longer than 64 bytes"\n';
  const text = `name,ra,dec,mag,spect,note\n${row.repeat(100_000)}`;
  const bytes = bytesOf(text);
  const { chunks } = cut(bytes, dialectOf(text.slice(0, 1000)), limits.catalogueChunkBytesMax, [65_536]);
  assert.deepEqual(chunks.length, 3);
  for (const chunk of chunks.slice(0, -1)) {
    assert.ok(chunk.bytes <= 4_194_304 && chunk.bytes > 4_194_304 - row.length);
  }
  assert.equal(
    chunks.reduce((sum, chunk) => sum + chunk.records, 0),
    100_000,
  );
});

test('chunks of short records hold at most 65,536 of them', () => {
  const text = `name,ra,dec\n${'a,1,2\n'.repeat(131_072)}`;
  for (const [end, more] of [
    ['', []],
    ['\n# no record\n', []],
    ['b,3,4\n', [1]],
    ['b,3,4', [1]],
  ] as const) {
    const bytes = bytesOf(text + end);
    const dialect = { ...dialectOf(text.slice(0, 1000)), comments: true };
    const { chunks } = cut(bytes, dialect, limits.catalogueChunkBytesMax, [65_536, 7]);
    assert.deepEqual(
      chunks.map(({ records }) => records),
      [65_536, 65_536, ...more],
    );
    assert.equal(
      chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
      bytes.length,
    );
  }
});

test('a row with too few or too many values is a fault that keeps its place', () => {
  const text = 'name,ra,dec\na,1,2\nb,1\nc,1,2,3\nd,1,2,\ne,3,4\n';
  const records = [...parseRecords(bytesOf(text), dialectOf(text), true)];
  assert.deepEqual(
    records.map(({ ordinal, fault }) => [ordinal, fault]),
    [
      [0, undefined],
      [1, 'has 2 fields, the header has 3'],
      [2, 'has 4 fields, the header has 3'],
      [3, undefined],
      [4, undefined],
    ],
  );
});

test('faulty JSON is a fault that keeps its place', () => {
  const deep = `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`;
  const text = `{"name":"a"}\n{"name":\n[1]\n{"name":"b"}\n${deep}\n{"__proto__":{"x":1},"name":"c"}\n`;
  const records = [...parseRecords(bytesOf(text), { ...dialectOf('{"name":"a"}\n') }, true)];
  assert.deepEqual(
    records.map(({ fault }) => fault),
    [undefined, 'is not JSON', 'is no JSON object', undefined, 'is nested deeper than 32 levels', undefined],
  );
});

test('integers of 16 digits and more stay exact in JSON, and numbers in texts stay as they are', () => {
  const text =
    '{"source_id": 4472832130942575873, "n":-1234567890123456789,' +
    '"t":"id 4472832130942575873","x":1.2345678901234567,"e":1234567890123456e3}\n';
  const [record] = parseRecords(bytesOf(text), dialectOf(text), true);
  assert.deepEqual(record?.json, {
    source_id: '4472832130942575873',
    n: '-1234567890123456789',
    t: 'id 4472832130942575873',
    x: 1.2345678901234567,
    e: 1234567890123456e3,
  });
});
