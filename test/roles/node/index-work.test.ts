// The index of chunks against the oracle: whatever is asked, the index finds exactly the records that a full scan with
// the reference matcher finds, in both modes, on real catalogues and on made-up ones.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { sha256 } from '../../../src/crypto/digest.ts';
import { publicIndexKey } from '../../../src/crypto/index-keys.ts';
import { createFileKeys, deriveFileKeys, sealChunk } from '../../../src/crypto/sealing.ts';
import { type Answer, Gathering, mergeAnswers, noAnswer } from '../../../src/index/aggregate.ts';
import { encodeNote, recogniseCatalogue } from '../../../src/index/catalogue.ts';
import { RecordCutter } from '../../../src/index/cut.ts';
import { matches } from '../../../src/index/matcher.ts';
import { parseRecords } from '../../../src/index/parse-records.ts';
import { bindQuery, parseQuery, type Query, type QueryText } from '../../../src/index/query.ts';
import { RecordReader } from '../../../src/index/record.ts';
import { networkIdFromBytes, versionIdFromBytes } from '../../../src/model/ids.ts';
import type { CatalogueKeys } from '../../../src/roles/node/index-build.ts';
import type { IndexMode } from '../../../src/roles/node/index-file.ts';
import type { AskedChunk, Need, SearchResult } from '../../../src/roles/node/index-search.ts';
import { IndexWork } from '../../../src/roles/node/index-work.ts';
import { SystemRandom } from '../../../src/runtime/random.ts';

const random = new SystemRandom();
const network = networkIdFromBytes(random.bytes(16));

/** A catalogue, sealed, indexed, and the oracle beside it. */
class Indexed {
  readonly work: IndexWork;
  readonly chunks: AskedChunk[] = [];
  readonly sealed: Uint8Array[] = [];
  readonly plain: Uint8Array[] = [];
  /** Files with the sealed chunks, for tests that have them. */
  readonly paths: string[] = [];
  readonly keys: CatalogueKeys;
  readonly note: NonNullable<ReturnType<typeof recogniseCatalogue>['note']>;
  indexedCount = 0;

  private constructor(work: IndexWork, bytes: Uint8Array) {
    this.work = work;
    const { note } = recogniseCatalogue(bytes, true, { force: true });
    assert.ok(note);
    this.note = note;
    const version = versionIdFromBytes(random.bytes(16));
    const { fileKey, header } = createFileKeys(random, network, version);
    this.keys = { version, fileKey, header, note: encodeNote(note) };
  }

  static async of(bytes: Uint8Array, mode: IndexMode, chunkBytes?: number): Promise<Indexed> {
    const work = await IndexWork.open({ folder: undefined, mode, network, readonly: false });
    work.useKey(mode === 'plain' ? publicIndexKey : random.bytes(32));
    const made = new Indexed(work, bytes);
    const { version } = made.keys;
    const keys = createFileKeysOf(made.keys);
    const cutter = new RecordCutter(made.note.dialect, chunkBytes);
    const cuts = [...cutter.push(bytes), ...cutter.end()];
    let at = 0;
    for (const [chunk, cut] of cuts.entries()) {
      const plaintext = bytes.subarray(at, at + cut.bytes);
      at += cut.bytes;
      const sealed = sealChunk(keys, chunk, plaintext, { last: chunk === cuts.length - 1 });
      made.plain.push(plaintext);
      made.sealed.push(sealed);
      const run = work.build({ catalogue: made.keys, chunk, hash: sha256(sealed), sealed });
      made.indexedCount += run.indexed;
      made.chunks.push({ version, chunk, run: run.run });
    }
    return made;
  }

  search(query: Query, supply = (need: Need) => this.supply(need)): SearchResult {
    let step = this.work.begin({ query, chunks: this.chunks, catalogues: [this.keys] });
    while (!step.done) {
      const supplied = step.needs.map((need) => {
        const bytes = supply(need);
        return bytes && { bytes, path: this.paths[need.chunk] };
      });
      step = this.work.next(step.id, supplied);
    }
    return step.result;
  }

  supply({ chunk, from, to }: Need): Uint8Array | undefined {
    return this.sealed[chunk]?.slice(from, to);
  }

  oracle(query: Query): Answer {
    const reader = new RecordReader(this.note.dialect, this.note.bindings);
    let total = noAnswer;
    for (const [chunk, plaintext] of this.plain.entries()) {
      const gathering = new Gathering(query);
      for (const raw of parseRecords(plaintext, this.note.dialect, chunk === 0)) {
        const read = reader.read(raw);
        if (!('system' in read) || !matches(query.where, read.system)) continue;
        gathering.add({ version: this.keys.version, chunk, ordinal: raw.ordinal }, read.system);
      }
      total = mergeAnswers(query, total, gathering.answer());
    }
    return total;
  }
}

const createFileKeysOf = ({ version, fileKey, header }: CatalogueKeys) =>
  deriveFileKeys(network, version, fileKey, header);

const bound = (text: QueryText): Query => bindQuery(parseQuery(text), () => undefined);

const fixture = (name: string): Uint8Array => {
  const bytes = readFileSync(`fixtures/catalogues/${name}`);
  return name.endsWith('.gz') ? gunzipSync(bytes) : bytes;
};

const check = (indexed: Indexed, text: QueryText, access?: SearchResult['access']): SearchResult => {
  const query = bound(text);
  const found = indexed.search(query);
  assert.deepEqual(found.answer, indexed.oracle(query), JSON.stringify(text));
  assert.equal(found.vouched.length, indexed.chunks.length);
  if (access) assert.equal(found.access, access, JSON.stringify(text));
  return found;
};

for (const mode of ['sealed', 'plain'] as const) {
  test(`${mode}: real catalogues answer as a full scan does`, async () => {
    const systems = await Indexed.of(fixture('oec_1086_systems.ndjson'), mode, 100_000);
    assert.ok(systems.chunks.length > 5);
    check(systems, { cone: '290, 45, 3' }, 'codes');
    check(systems, { near: 'Sol, 10 pc' }, 'codes');
    check(systems, { find: '55 Cnc' }, 'codes');
    check(systems, { where: 'mag < 6' }, 'codes');
    check(systems, { where: 'n_planets >= 4 and dist < 100pc', sort: '-n_planets', limit: 7 }, 'codes');
    check(systems, { where: 'class = M and not mag < 12' });
    check(systems, { where: 'spectral_type = "G2*" or name = "Kepler-11"' });
    check(systems, { where: 'mag is known', histogram: 'mag_v:2' });
    check(systems, { count: true }, 'summary');
    check(systems, { group: 'class' }, 'summary');
    check(systems, { where: 'class = G', count: true }, 'summary');
    check(systems, { where: 'mag < 3 and mag > 4' }, 'nothing');
    systems.work.close();
  });
}

/** A made-up table of what index and matcher could disagree about: poles, wraps, borders of buckets, no values. */
const stars = fc.array(
  fc.record({
    name: fc.oneof(
      fc.constant(''),
      fc.stringMatching(/^[A-Za-z0-9 ]{1,6}$/),
      fc.constantFrom('HIP 5', 'alf CMa', 'Gl 3 A'),
    ),
    ra: fc.oneof(
      fc.constantFrom('', '0', '359.9999', '180', 'nan'),
      fc.double({ min: 0, max: 359.99, noNaN: true }).map(String),
    ),
    dec: fc.oneof(fc.constantFrom('', '90', '-90', '0'), fc.double({ min: -90, max: 90, noNaN: true }).map(String)),
    dist: fc.oneof(fc.constantFrom('', '0', '10', '1e-9'), fc.double({ min: 0, max: 2000, noNaN: true }).map(String)),
    mag: fc.oneof(
      fc.constantFrom('', '6', '6.25', '-1.44', 'inf', '99'),
      fc.integer({ min: -8, max: 60 }).map((n) => String(n / 4)),
    ),
    spect: fc.constantFrom('', 'G2V', 'G2 V', 'C5,5', 'M4.5Ve', 'K0III', 'DA2'),
    planets: fc.constantFrom('', '0', '1', '8'),
  }),
  { minLength: 1, maxLength: 60 },
);

const conditions = fc.constantFrom(
  'mag < 6',
  'mag >= 6.25',
  'mag between -2 and 1',
  'not mag < 6',
  'mag != 6',
  'dist < 10pc',
  'dist > 1000',
  'class = G',
  'class in (K, M)',
  'spectral_type = "C5*"',
  'spectral_type = "G2V"',
  'n_planets > 0',
  'n_planets = 0',
  'name = "HIP 5"',
  'hip = 5',
  "name = 'alpha CMa'",
  'ra < 0.5',
  'dec > 89.9',
  'mag is known',
  'not dist is known',
  'cone(0, 0, 5deg)',
  'cone(123, 90, 1deg)',
  'cone(359.9, -89, 2deg)',
  'box(350, -10, 10, 10)',
  'near(Sol, 30ly)',
  'abs_mag < 5',
);
const wheres = fc
  .tuple(
    conditions,
    conditions,
    conditions,
    fc.constantFrom('A', 'A and B', 'A or B', 'A and (B or not C)', 'not (A or B) and C'),
  )
  .map(([a, b, c, shape]) => shape.replace(/[ABC]/g, (letter) => `(${{ A: a, B: b, C: c }[letter] ?? a})`));

const csvOf = (rows: readonly Readonly<Record<string, string>>[]): Uint8Array => {
  const lines = rows.map(({ name, ra, dec, dist, mag, spect, planets }) =>
    [name, ra, dec, dist, mag, `"${spect}"`, planets].join(','),
  );
  return Buffer.from(['name,ra,dec,dist_pc,mag_v,spectral_type,n_planets', ...lines, ''].join('\n'));
};

test('made-up catalogues and questions: the index finds what a full scan finds', async () => {
  await fc.assert(
    fc.asyncProperty(
      stars,
      fc.array(wheres, { minLength: 4, maxLength: 8 }),
      fc.constantFrom('sealed', 'plain'),
      async (rows, questions, mode) => {
        const indexed = await Indexed.of(csvOf(rows), mode as IndexMode, 400);
        for (const where of questions) {
          check(indexed, { where, sort: 'name,-mag', limit: 20 });
          check(indexed, { where, group: 'class' });
        }
        indexed.work.close();
      },
    ),
    { numRuns: 60 },
  );
});

test('records are read from the file of their chunk once it is known, else from the store', async (t) => {
  const indexed = await Indexed.of(fixture('oec_1086_systems.ndjson'), 'sealed', 300_000);
  const folder = mkdtempSync(join(tmpdir(), 'opera-index-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [at, sealed] of indexed.sealed.entries()) {
    const path = join(folder, `${at}.chunk`);
    writeFileSync(path, sealed);
    indexed.paths.push(path);
  }
  const asked: Need[] = [];
  const ask = (query: Query): SearchResult => {
    asked.length = 0;
    return indexed.search(query, (need) => {
      asked.push(need);
      return indexed.supply(need);
    });
  };
  const everything = bound({ limit: 10_000 });
  const truth = indexed.oracle(everything);
  const sameRows = (result: SearchResult): void => {
    assert.deepEqual([result.answer.count, result.vouched.length], [truth.count, indexed.chunks.length]);
  };
  // The first record of each chunk tells where the chunk is.
  for (const text of indexed.plain) {
    const line = Buffer.from(text.subarray(0, text.indexOf(10))).toString('utf8');
    const { name } = JSON.parse(line) as { readonly name: string };
    assert.equal(ask(bound({ find: name })).answer.count, 1);
  }
  const known = new Set(indexed.chunks.keys());
  assert.ok(known.size >= 3);
  // One file is gone, another one altered: what is right is asked of the store, and nothing else.
  const [gone = -1, altered = -1] = known;
  rmSync(indexed.paths[gone] ?? assert.fail());
  const sealed = Buffer.from(indexed.sealed[altered] ?? assert.fail());
  sealed.fill(0, 0, sealed.length);
  writeFileSync(indexed.paths[altered] ?? assert.fail(), sealed);
  sameRows(ask(everything));
  for (const { chunk } of asked) assert.ok(!known.has(chunk) || chunk === gone || chunk === altered, `${chunk}`);
  for (const bad of [gone, altered]) assert.ok(asked.some(({ chunk }) => chunk === bad));
  sameRows(ask(everything));
  assert.deepEqual(asked, [], 'all is in memory');
});

test('a chunk whose bytes are altered, or gone, is left out whole, and the others are counted', async () => {
  const indexed = await Indexed.of(fixture('oec_1086_systems.ndjson'), 'sealed', 100_000);
  const query = bound({ where: 'dist < 200pc', limit: 10_000 });
  const whole = indexed.search(query);
  const ids = (result: SearchResult, without: number) =>
    result.answer.rows.map(({ id }) => id).filter(({ chunk }) => chunk !== without);
  for (const broken of ['altered', 'gone'] as const) {
    const fresh = await Indexed.of(fixture('oec_1086_systems.ndjson'), 'sealed', 100_000);
    const result = fresh.search(query, (need) => {
      const bytes = fresh.supply(need);
      if (need.chunk !== 3 || !bytes) return bytes;
      if (broken === 'gone') return undefined;
      bytes[40] = (bytes[40] ?? 0) ^ 1;
      return bytes;
    });
    assert.deepEqual(
      result.vouched,
      fresh.chunks.map((_, at) => at).filter((at) => at !== 3),
    );
    const places = ids(result, -1).map(({ chunk, ordinal }) => `${chunk}/${ordinal}`);
    assert.deepEqual(
      places,
      ids(whole, 3).map(({ chunk, ordinal }) => `${chunk}/${ordinal}`),
    );
    fresh.work.close();
  }
  indexed.work.close();
});
