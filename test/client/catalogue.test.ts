// Putting catalogues: cut where records end, with a note beside every chunk, counted and judged, waited for, and given
// back byte for byte; whatever is no catalogue goes as any other file.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { type ByteSource, sourceOfBytes, sourceOfStream } from '../../src/client/byte-source.ts';
import type { CatalogueOptions } from '../../src/client/catalogue.ts';
import { fetchFile } from '../../src/client/get.ts';
import { statFile } from '../../src/client/names.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { putMany, type PutItem } from '../../src/client/put-many.ts';
import { putFile, type PutResult } from '../../src/client/put.ts';
import type { Session } from '../../src/client/session.ts';
import { openNote, parseNote as parseSealedNote } from '../../src/crypto/note.ts';
import { openWrap } from '../../src/crypto/wrap.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { parseNote } from '../../src/index/catalogue.ts';
import type { RecordFault } from '../../src/index/check.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { limits } from '../../src/model/limits.ts';
import { content, mebibyte, newFolder, put, read, stamped } from '../support/client-files.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { rejects } from '../support/refuses.ts';

const fixture = (name: string): Buffer => readFileSync(`fixtures/catalogues/${name}`);
const nested = fixture('oec_1086_systems.ndjson');
const flat = fixture('oec_1086_systems.csv');
const real = gunzipSync(fixture('d3celestial_xhip.csv.gz'));

/** More than 4 MiB of long rows that differ: reading many short ones would take the tests' time. */
const rows = (count: number): Buffer => {
  const lines = ['name,ra,dec,mag,spect,note'];
  const note = `a, "" note\n${'of more than a line '.repeat(20)}`;
  for (let at = 0; at < count; at++) lines.push(`star ${at},${at % 360},${at % 90},${at % 15},G2V,"${note}"`);
  return Buffer.from(`${lines.join('\n')}\n`);
};
const large = rows(11_000);

/** What a node that holds only its chunks and the note reads of a catalogue. */
const recordsOnNodes = async (cluster: FakeCluster, session: Session, name: string): Promise<number[]> => {
  const { content: found, record, geometry } = await statFile(session, name);
  const [owner] = cluster.nodes;
  const sealed = owner?.notes.get(record.version);
  assert.ok(sealed, 'the node has the note');
  const note = parseSealedNote(sealed);
  const fileKey = openWrap(cluster.keyring, cluster.networkId, record.version, note.wrap);
  const { dialect } = parseNote(JSON.stringify(openNote(fileKey, cluster.networkId, note)));
  const { plan, file } = await resolveName(session, name);
  const counts: number[] = [];
  for (let index = 0; index < geometry.chunkCount; index++) {
    const range = { from: geometry.startOf(index), to: geometry.startOf(index) + geometry.lengthOf(index) };
    const parts: Uint8Array[] = [];
    for await (const part of fetchFile(session, plan, file, range)) parts.push(part);
    counts.push([...parseRecords(Buffer.concat(parts), dialect, index === 0)].length);
  }
  assert.deepEqual(counts, found.chunkRecords, 'the manifest counts the records of each chunk');
  return counts;
};

test('the catalogues of the fixtures are recognised, counted, and come back as they were', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  for (const [name, bytes, records, format] of [
    ['oec.ndjson', nested, 1086, 'ndjson'],
    ['oec.csv', flat, 1086, 'csv'],
    ['xhip.csv', real, undefined, 'csv'],
  ] as const) {
    const { catalogue, chunkCount } = await put(session, name, bytes);
    assert.ok(catalogue, name);
    const { rows: found, indexed, rejected, queryable } = catalogue;
    assert.equal(catalogue.format, format);
    assert.equal(found, records ?? bytes.toString().trimEnd().split('\n').length - 1);
    assert.deepEqual([indexed, queryable], [found - rejected, true]);
    assert.ok((await read(session, name)).equals(bytes), name);
    const counts = await recordsOnNodes(cluster, session, name);
    assert.equal(counts.length, chunkCount);
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      found,
    );
    assert.ok(cluster.catalogues.has(name));
  }
});

test('every chunk of a catalogue holds whole records and travels with the note, file and stream alike', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  let without = 0;
  cluster.onStore = (_, { notes }) => {
    if (notes?.length !== 1) without++;
  };
  const pieces = (async function* () {
    for (let at = 0; at < large.length; at += 100_003) yield large.subarray(at, at + 100_003);
  })();
  await put(session, 'file', large);
  await putFile(session, sourceOfStream(pieces), { name: 'stream' });
  const [a, b] = [await recordsOnNodes(cluster, session, 'file'), await recordsOnNodes(cluster, session, 'stream')];
  assert.deepEqual(a, b, 'lengths follow from the bytes alone');
  assert.ok(a.length >= 2 && a.every((count) => count > 0 && count <= limits.catalogueChunkRecordsMax));
  assert.equal(without, 0);
  assert.ok((await read(session, 'stream')).equals(large));
});

test('ranges over chunks that end at records are the bytes asked for', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', large);
  const { file, plan } = await resolveName(session, 'f');
  const edge = file.geometry.startOf(1);
  assert.ok(edge < 4 * mebibyte && edge > 0);
  for (const range of [
    { from: edge - 10, to: edge + 10 },
    { from: edge, to: edge + 1 },
    { from: edge - 1, to: edge },
    { from: 70_000, to: large.length },
  ]) {
    const parts: Uint8Array[] = [];
    for await (const part of fetchFile(session, plan, file, range)) parts.push(part);
    assert.ok(Buffer.concat(parts).equals(large.subarray(range.from, range.to)));
  }
});

test('any table that is put comes back as it was, catalogue or not', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const field = fc.oneof(
    fc.constantFrom('', 'G2V', '"C5,5"', '"a\n""b"""', 'α CMa', '\r', '"', '12.5', '-100', 'nan'),
    fc.string({ maxLength: 6 }),
  );
  const number = fc.integer({ min: -1, max: 91 }).map(String);
  const table = fc
    .record({
      mark: fc.constantFrom('', '\ufeff'),
      header: fc.constantFrom('name,ra,dec', 'hip,ra,dec', '# c\nname,ra,dec', 'a,b,c', '"na\nme",ra,dec'),
      lines: fc.array(fc.oneof(fc.tuple(field, number, number), fc.array(field, { maxLength: 4 })), { maxLength: 8 }),
      eol: fc.constantFrom('\n', '\r\n'),
    })
    .map(({ mark, header, lines, eol }) => mark + [header, ...lines.map((line) => line.join(','))].join(eol));
  let catalogues = 0;
  await fc.assert(
    fc.asyncProperty(table, async (text) => {
      const bytes = Buffer.from(text);
      const { catalogue } = await put(session, 'table', bytes);
      if (catalogue) catalogues++;
      assert.ok((await read(session, 'table')).equals(bytes));
      assert.equal(cluster.catalogues.has('table'), catalogue !== undefined);
    }),
    { numRuns: 150 },
  );
  assert.ok(catalogues > 20, 'some of them are catalogues');
});

const fine = 'fine,1,2,3\n'.repeat(3);
const faulty = Buffer.from(`name,ra,dec,age\n${fine}wrong,361,2,3\nodd,1,2,80\nshort,1\nboth,1,-91,80\n`);

test('every impossible and every odd value is told with its record, field, value and limit', async () => {
  const cluster = await FakeCluster.create();
  const faults: RecordFault[] = [];
  const options: CatalogueOptions = { onFault: (fault) => void faults.push(fault) };
  const { catalogue } = await put(await cluster.session(), 'f', faulty, { catalogue: options });
  assert.ok(catalogue);
  const { rows: found, indexed, flagged, rejected } = catalogue;
  assert.deepEqual([found, indexed, flagged, rejected], [7, 4, 1, 3]);
  assert.deepEqual(
    faults.map(({ record, level, field, value }) => [record, level, field, value]),
    [
      [4, 'rejected', 'ra', '361'],
      [5, 'flagged', 'age', '80'],
      [6, 'rejected', 'record', ''],
      [7, 'rejected', 'dec', '-91'],
    ],
  );
  assert.match(faults[0]?.limit ?? '', /360/);
  assert.deepEqual(catalogue.faults, faults);
});

test('of a file full of faults all are told in order, and the result keeps the first', async () => {
  const cluster = await FakeCluster.create();
  const text = `name,ra,dec\nfine,1,2\nfine,1,2\n${'x,1,2\ny,400,2\n'.repeat(70_000)}`;
  const records: number[] = [];
  const options: CatalogueOptions = { onFault: ({ record }) => void records.push(record) };
  const source = Buffer.from(text);
  const { catalogue, chunkCount } = await put(await cluster.session(), 'f', source, { catalogue: options });
  assert.equal(chunkCount, 3, 'of 65,536 records at most');
  assert.deepEqual([catalogue?.rows, catalogue?.rejected], [140_002, 70_000]);
  assert.equal(catalogue?.faults.length, limits.catalogueFaultsKept);
  assert.ok(records.length === 70_000 && records.every((record, at) => record === 4 + 2 * at));
});

test('what is no catalogue is an ordinary file, and an error only for who insists', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const reasons: string[] = [];
  const catalogue: CatalogueOptions = { onOrdinary: (given) => void reasons.push(...given) };
  for (const bytes of [Buffer.alloc(0), Buffer.from('a,b\n1,2\n'), Buffer.from('[1, 2]'), content(100_000)]) {
    const result = await put(session, 'f', bytes, { catalogue });
    assert.equal(result.catalogue, undefined);
    assert.ok((await read(session, 'f')).equals(bytes));
    assert.equal((await statFile(session, 'f')).content.chunkLengths, undefined);
  }
  assert.ok(reasons.length >= 4);
  const before = cluster.sent.length;
  await rejects(put(session, 'f', Buffer.from('qq,zz\n1,2\n'), { catalogue: { force: true } }), 'usage');
  await rejects(put(session, 'f', flat, { catalogue: { map: ['ra=nowhere'] } }), 'usage');
  assert.equal(cluster.sent.length, before, 'nothing was sent');
  assert.equal((await put(session, 'f', flat, { catalogue: false })).catalogue, undefined);
  const mapped = await put(session, 'f', Buffer.from('a,b\n1,2\n'), { catalogue: { map: ['ra=a', 'dec=b'] } });
  assert.equal(mapped.catalogue?.rows, 1);
});

test('a record that no chunk can hold makes an ordinary file of it, which comes back whole', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const text = `name,ra,dec\n${'a,1,2\n'.repeat(70_000)}"${'x'.repeat(9 * mebibyte)}",1,2\n${'a,1,2\n'.repeat(9)}`;
  const bytes = Buffer.from(text);
  const sources: ByteSource[] = [
    sourceOfBytes(bytes),
    sourceOfStream(
      (async function* () {
        yield bytes;
      })(),
    ),
  ];
  for (const source of sources) {
    const reasons: string[] = [];
    const catalogue: CatalogueOptions = { onOrdinary: (given) => void reasons.push(...given) };
    const result = await putFile(session, source, { name: 'f', catalogue });
    assert.equal(result.catalogue, undefined);
    assert.match(reasons.join(), /record 70001 is longer than 4194304 bytes/);
    assert.ok((await read(session, 'f')).equals(bytes));
    assert.equal((await statFile(session, 'f')).content.chunkRecords, undefined);
    assert.ok(!cluster.catalogues.has('f'));
  }
});

test('a catalogue that was cut off goes on with equal chunks, and anew when it is read otherwise', async () => {
  for (const [options, same] of [
    [{}, true],
    [{ map: ['mag_v=dec'] }, false],
    [false, false],
  ] as const) {
    const cluster = await FakeCluster.create();
    const home = newFolder();
    const request = { name: 'f', resumeKey: '/data/f' };
    cluster.onStore = (_, { chunks }) => {
      if (chunks.some(({ index }) => index >= 1)) throw new OperaError('forbidden', 'killed');
    };
    await rejects(putFile(await cluster.session(home), stamped(large), request), 'forbidden');
    cluster.onStore = () => undefined;
    const session = await cluster.session(home);
    const result = await putFile(session, stamped(large), { ...request, catalogue: options });
    assert.equal(result.resumedChunks > 0, same);
    assert.equal(new Set(cluster.sent.map(({ key }) => key.slice(0, 32))).size, same ? 1 : 2);
    assert.ok((await read(session, 'f')).equals(large));
    if (options !== false) await recordsOnNodes(cluster, session, 'f');
  }
});

test('chunks that lost their copies before the commit are read again where they were', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  let lost = 0;
  cluster.onCommit = ({ sealed }) => {
    if (lost++ > 0) return undefined;
    for (const { chunks } of cluster.nodes) chunks.delete(`${sealed.version}/1`);
    return { done: false, code: 'chunks-missing' };
  };
  await put(session, 'f', large);
  assert.ok((await read(session, 'f')).equals(large));
});

test('a put of a catalogue resolves when W′ owners have every chunk in their index', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const asked = new Map<string, number>();
  cluster.isIndexed = (node, _, index) => {
    const key = `${node.address}/${index}`;
    asked.set(key, (asked.get(key) ?? 0) + 1);
    // One of three never has it; the others after a while.
    return node !== cluster.nodes[0] && (asked.get(key) ?? 0) > 3;
  };
  let [indexed, expected] = [0, 0];
  const onIndexed = (now: number, more: number): void => {
    indexed += now;
    expected += more;
  };
  const { catalogue } = await put(session, 'f', large, { catalogue: { onIndexed } });
  assert.equal(catalogue?.queryable, true);
  assert.deepEqual([indexed, expected], [11_000, 11_000]);
  assert.ok([...asked.values()].every((times) => times >= 4 || times === 0));
});

test('without an index, or with one that stands still, the put says so and has failed nothing', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  cluster.isIndexed = () => false;
  assert.equal((await put(session, 'f', flat)).catalogue?.queryable, false);
  assert.ok((await read(session, 'f')).equals(flat));
  const calls = cluster.net.calls.length;
  const { catalogue } = await put(session, 'g', flat, { catalogue: { wait: false } });
  assert.equal(catalogue?.queryable, false);
  assert.ok(cluster.net.calls.slice(calls).every(({ route }) => route !== 'index.state'));
  cluster.net.fault = ({ route }) => {
    if (route === 'index.state') throw new OperaError('not-found', 'a node of a time before indexes');
  };
  assert.equal((await put(session, 'h', flat)).catalogue?.queryable, false);
});

test('small catalogues travel together with other small files, each with its note', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const many = Buffer.from(`name,ra,dec\n${'a,1,2\n'.repeat(70_000)}`);
  const files: Record<string, Buffer> = { flat, nested, faulty, many, text: Buffer.from('x'), noise: content(3000) };
  const items = Object.entries(files).map(
    ([name, bytes]): PutItem => ({ name, size: bytes.length, open: async () => sourceOfBytes(bytes) }),
  );
  const results = new Map<string, PutResult | OperaError>();
  const records: number[] = [];
  const catalogue: CatalogueOptions = { onIndexed: (now) => void records.push(now) };
  await putMany(session, items, {
    catalogueOf: () => catalogue,
    onResult: ({ name }, result) => void results.set(name, result),
  });
  for (const [name, bytes] of Object.entries(files)) {
    const result = results.get(name);
    assert.ok(result && !(result instanceof OperaError), name);
    const isCatalogue = !['text', 'noise'].includes(name);
    assert.equal(result.catalogue?.queryable, isCatalogue ? true : undefined, name);
    assert.ok((await read(session, name)).equals(bytes), name);
    if (isCatalogue) await recordsOnNodes(cluster, session, name);
  }
  assert.equal(
    records.reduce((sum, count) => sum + count, 0),
    1086 + 1086 + 7 + 70_000,
  );
});
