// `opera inspect` over a store and an index that the real adapters wrote, with the home of a member of a real network:
// what opens, what is named when it does not, what is refused, and that nothing is changed beside a store in use.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { OpenHome } from '../../src/client/home.ts';
import { indexKeyBytes, publicIndexKey, sealIndexKey } from '../../src/crypto/index-keys.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { encodeManifest } from '../../src/crypto/manifest.ts';
import { type ManifestContent, sealManifestBody } from '../../src/crypto/manifest-body.ts';
import { sealNote } from '../../src/crypto/note.ts';
import { createFileKeys, sealChunk } from '../../src/crypto/sealing.ts';
import { createSigner } from '../../src/crypto/signature.ts';
import { wrapFileKey } from '../../src/crypto/wrap.ts';
import { encodeNote, recogniseCatalogue } from '../../src/index/catalogue.ts';
import { fieldNames } from '../../src/index/fields.ts';
import { parseOperationId, type VersionId, versionIdFromBytes } from '../../src/model/ids.ts';
import { IndexWork } from '../../src/roles/node/index-work.ts';
import { openSqlite } from '../../src/runtime/sqlite.ts';
import { SqliteStorage } from '../../src/storage-adapters/sqlite.ts';
import type { ChunkWrite } from '../../src/storage-adapters/storage-adapter.ts';
import { GatewayWorld, random } from '../support/gateway-world.ts';
import { filesOnDisk } from '../support/sqlite-store.ts';
import { run } from './_host.ts';

const signer = createSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

const header = 'name,hip,ra,dec,dist_pc,spect,aliases\n';
const long = 'A name as long as those that catalogues of surveys give to their stars';
const csv = (from: number, count: number): string =>
  Array.from({ length: count }, (_, at) => {
    const n = from + at;
    return `Star ${n},${n + 1},${n % 360}.5,${n % 90},${n + 0.25},G2V,Name ${n}|${long} ${n}\n`;
  }).join('');
/** The second chunk is longer than 64 KiB, so that it is a file of its own. */
const texts = [header + csv(0, 100), csv(100, 800), `${csv(900, 50)}Odd,1,361,0,1,G2V,\n`];

let world: GatewayWorld;
let node: OpenHome;
let stranger: OpenHome;
let storage: SqliteStorage;
let sequence = 1_795_392_000_000_000n;

interface Made {
  readonly version: VersionId;
  readonly manifest: Uint8Array;
  readonly note: Uint8Array;
  readonly chunks: readonly ChunkWrite[];
  readonly fileKey: Uint8Array;
  readonly header: Uint8Array;
}

const made = (name: string, plaintexts: readonly string[], isCatalogue: boolean, keyring: Keyring): Made => {
  const { network } = keyring;
  const version = versionIdFromBytes(random.bytes(16));
  const keys = createFileKeys(random, network, version);
  const lengths = plaintexts.map((text) => Buffer.byteLength(text));
  const chunks = plaintexts.map((text, index): ChunkWrite => {
    const body = sealChunk(keys, index, Buffer.from(text), { last: index === plaintexts.length - 1 });
    return { version, index, partition: 7, hash: sha256(body), body, servedHour: 0, layoutNumber: 1 };
  });
  const content: ManifestContent = {
    kind: 'file',
    name,
    follows: 0n,
    size: lengths.reduce((sum, length) => sum + length, 0),
    header: keys.header,
    created: '2026-11-23T00:00:00Z',
    ...(isCatalogue ? { chunkLengths: lengths, chunkRecords: [100, 800, 51] } : {}),
  };
  const wrap = wrapFileKey(keyring, network, version, keys.fileKey, random);
  const { note } = recogniseCatalogue(Buffer.from(header + csv(0, 20)), true);
  assert.ok(note);
  return {
    version,
    manifest: manifestOf(keys.fileKey, version, content, 'live', wrap, keyring),
    note: sealNote(keys.fileKey, keys.header, wrap, JSON.parse(encodeNote(note)) as never, random),
    chunks,
    fileKey: keys.fileKey,
    header: keys.header,
  };
};

const manifestOf = (
  fileKey: Uint8Array,
  version: VersionId,
  content: ManifestContent,
  state: 'live' | 'dead',
  wrap: Uint8Array,
  { network }: Keyring,
): Uint8Array => {
  sequence += 1n;
  const body = sealManifestBody(fileKey, network, version, state, content, random);
  const operationId = parseOperationId('ab'.repeat(16));
  return encodeManifest({ state, network, version, sequence, incarnation: 1, operationId, body, wrap }, signer);
};

const putManifest = async (version: VersionId, record: Uint8Array, state: 'live' | 'dead' = 'live', wrapEpoch = 1) => {
  const facts = { version, partition: 7, sequence, wrapEpoch, state, servedHour: 0 };
  await storage.putManifests([{ ...facts, record, signer: signer.keyHash, signerSpki: signer.spki }]);
};

const put = async (file: Made, isCatalogue: boolean): Promise<void> => {
  if (isCatalogue) await storage.putNote(file.version, file.note);
  await storage.putChunks(file.chunks);
  await putManifest(file.version, file.manifest);
};

/** Names that ended: a removed file and a renamed one. */
const putDead = async (keyring: Keyring): Promise<void> => {
  const removed = versionIdFromBytes(random.bytes(16));
  const keys = createFileKeys(random, keyring.network, removed);
  const wrap = wrapFileKey(keyring, keyring.network, removed, keys.fileKey, random);
  const created = '2026-11-23T00:00:00Z';
  const content = { kind: 'file', name: 'gone.txt', follows: 0n, size: 1, header: keys.header, created } as const;
  await putManifest(removed, manifestOf(keys.fileKey, removed, content, 'dead', wrap, keyring), 'dead');
  const renamed = versionIdFromBytes(random.bytes(16));
  const fileKey = random.bytes(32);
  const tombstone = { kind: 'name-tombstone', name: 'old.txt', follows: 5n } as const;
  const wrapOf = wrapFileKey(keyring, keyring.network, renamed, fileKey, random);
  await putManifest(renamed, manifestOf(fileKey, renamed, tombstone, 'dead', wrapOf, keyring), 'dead');
};

let near: Made;

/** The index of near.csv, as a node builds it. */
const buildIndex = async (folder: string, mode: 'sealed' | 'plain', indexKey: Uint8Array, record?: Uint8Array) => {
  const { network } = node.keys.keyring;
  const index = await IndexWork.open({ folder, mode, network, readonly: false });
  index.useKey(indexKey, record);
  const { version, fileKey } = near;
  const note = encodeNote(recogniseCatalogue(Buffer.from(texts[0] ?? ''), true).note ?? assert.fail());
  const catalogue = { version, fileKey, header: near.header, note };
  for (const { index: chunk, hash, body } of near.chunks) index.build({ catalogue, chunk, hash, sealed: body });
  index.close();
};

before(async () => {
  const created = await GatewayWorld.create();
  world = created.world;
  node = await world.join(await world.code(created.operator, 'node'), 'node');
  const other = await GatewayWorld.create();
  stranger = await other.world.join(await other.world.code(other.operator, 'node'), 'node');
  strangers.push(other.world);
  const { keyring } = node.keys;
  storage = new SqliteStorage({ folder: node.home, nowMs: () => 1_795_392_000_000 });
  await storage.open();
  near = made('near.csv', texts, true, keyring);
  await put(made('notes.txt', ['a note'], false, keyring), false);
  await put(near, true);
  await putDead(keyring);
  const indexKey = random.bytes(indexKeyBytes);
  const { keyHash } = node.identity.signer;
  await buildIndex(node.home, 'sealed', indexKey, sealIndexKey(keyring, keyring.network, keyHash, indexKey, random));
});

const strangers: GatewayWorld[] = [];
after(async () => {
  await storage.close();
  for (const one of [world, ...strangers]) await one.close();
});

const inspect = (args: readonly string[], home = node.home) => run(['inspect', ...args, '--home', home]);

/** Rows of an answer; the store is in use all the time. */
const rows = async (sql: string, path = node.home): Promise<Record<string, unknown>[]> => {
  const { stdout, stderr, exit } = await inspect([path, sql, '--json']);
  assert.equal(exit, 0, stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};

test('without SQL it says what is there and that it opens', async () => {
  const { stdout, stderr, exit } = await inspect([node.home, '--json']);
  assert.equal(exit, 0, stderr);
  const { store, index } = JSON.parse(stdout);
  const { chunks, live, dead, notes, files, removed, renamed, filesUnopened, catalogues, catalogueChunks } = store;
  assert.deepEqual(
    { chunks, live, dead, notes, files, removed, renamed, filesUnopened, catalogues, catalogueChunks },
    {
      chunks: 4,
      live: 2,
      dead: 2,
      notes: 1,
      files: 2,
      removed: 1,
      renamed: 1,
      filesUnopened: 0,
      catalogues: 1,
      catalogueChunks: 3,
    },
  );
  const { mode, keyOpens, node: of, runs, runsUnopened, indexed, rejected, vouched } = index;
  assert.deepEqual(
    { mode, keyOpens, of, runs, runsUnopened, indexed, rejected, vouched },
    {
      mode: 'sealed',
      keyOpens: true,
      of: node.identity.memberId,
      runs: 3,
      runsUnopened: 0,
      indexed: 950,
      rejected: 1,
      vouched: 3,
    },
  );
  const shown = await inspect([join(node.home, 'index.db')]);
  assert.match(shown.stdout, /files\t2 open, 1 removed, 1 renamed\n/);
  assert.match(shown.stdout, /index key\topens, of node /);
});

test('files_open has a row for every manifest, with types that SQL can reckon with', async () => {
  const sql = `SELECT name, state, kind, size, chunks, chunks_here, catalogue, records, key_epoch, written, follows,
    typeof(size) AS t FROM files_open ORDER BY name`;
  const size = texts.reduce((sum, text) => sum + text.length, 0);
  const found = await rows(sql);
  assert.deepEqual(
    found.map((row) => [row.name, row.state, row.kind, row.size, row.chunks, row.chunks_here, row.records]),
    [
      ['gone.txt', 'dead', 'file', 1, 1, 0, null],
      ['near.csv', 'live', 'file', size, 3, 3, 951],
      ['notes.txt', 'live', 'file', 6, 1, 1, null],
      ['old.txt', 'dead', 'name-tombstone', null, null, 0, null],
    ],
  );
  const [, catalogue] = found;
  assert.deepEqual([catalogue?.catalogue, catalogue?.key_epoch, catalogue?.t], [1, 1, 'integer']);
  assert.match(String(catalogue?.written), /^2026-11-23T00:00:00\.\d{3}Z$/);
  assert.equal(found[3]?.follows, 5);
});

test('star_systems_open has a row for every record that makes a star system, of one file when asked', async () => {
  const [counted] = await rows('SELECT count(*) AS n, count(DISTINCT chunk_index) AS c FROM star_systems_open');
  assert.deepEqual([counted?.n, counted?.c], [950, 3], 'one record is impossible, and in no index either');
  const sql = `SELECT file, version, chunk_index, ordinal, name, hip, ra, dist_pc, class, aliases, typeof(ordinal) AS t,
    typeof(ra) AS r FROM star_systems_open WHERE name = 'Star 101'`;
  const [star] = await rows(sql, join(node.home, 'node.db'));
  assert.deepEqual(star, {
    v: 1,
    file: 'near.csv',
    version: near.version,
    chunk_index: 1,
    ordinal: 1,
    name: 'Star 101',
    hip: '102',
    ra: 101.5,
    dist_pc: 101.25,
    class: 'G',
    aliases: `Name 101|${long} 101|HIP 102`,
    t: 'integer',
    r: 'real',
  });
  const count = async (from: string): Promise<unknown> => (await rows(`SELECT count(*) AS n FROM ${from}`))[0]?.n;
  assert.equal(await count("star_systems_open('near.csv')"), 950);
  assert.equal(await count(`star_systems_open('${near.version}')`), 950);
  assert.equal(await count("star_systems_open('notes.txt')"), 0);
  assert.equal(await count('star_systems_open(NULL)'), 0);
  assert.equal(await count('files_open f, star_systems_open(f.version) s WHERE s.file = f.name'), 950);
  assert.equal(await count('idx.runs r JOIN node.chunks c USING (version, chunk_index)'), 3);
});

test('an answer is TSV in a pipe, aligned on a terminal, with blobs as hex and every column of its own', async () => {
  const sql = "SELECT x'00ff' AS a, NULL AS b, 9007199254740993 AS c, 1 AS c, 0.5 AS d, 'x' || char(9) AS e";
  const piped = await inspect([node.home, sql, '--header']);
  assert.equal(piped.stdout, 'a\tb\tc\tc_2\td\te\n00ff\t\t9007199254740993\t1\t0.5\tx\\t\n');
  const [json] = await rows(sql);
  assert.deepEqual(json, { v: 1, a: '00ff', b: null, c: '9007199254740993', c_2: 1, d: 0.5, e: 'x\t' });
  const table = await run(['inspect', node.home, "SELECT 12 AS long_name, 'a' AS b", '--home', node.home], {
    terminal: true,
  });
  assert.match(table.stdout, /long_name {2}b.*\n {7}12 {2}a\n/);
  assert.equal((await inspect([node.home, 'SELECT name FROM files_open WHERE 0'])).stdout, '');
});

test('only one statement that reads is run, and the files stay as they were', async () => {
  const before = [readFileSync(join(node.home, 'node.db')), readFileSync(join(node.home, 'node.db-wal'))];
  for (const sql of [
    'DELETE FROM chunks',
    'CREATE TEMP TABLE x AS SELECT 1',
    'SELECT 1; SELECT 2',
    "ATTACH 'more.db' AS more",
    `VACUUM INTO '${join(node.home, 'copy.db')}'`,
    'INSERT INTO idx.pages VALUES (1, NULL) RETURNING id',
    'PRAGMA temp_store = FILE',
    'SELECT ?',
    'SELECT * FROM nothing',
    '',
  ]) {
    const { stdout, stderr, exit } = await inspect([node.home, sql]);
    assert.equal(exit, 2, `${sql}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, /^opera: SQL: .*\nusage: opera inspect/, sql);
  }
  const after = [readFileSync(join(node.home, 'node.db')), readFileSync(join(node.home, 'node.db-wal'))];
  assert.ok(before.every((bytes, at) => Buffer.compare(bytes, after[at] ?? Buffer.alloc(0)) === 0));
  assert.equal((await rows('PRAGMA temp_store'))[0]?.temp_store, 2, 'nothing that is sorted goes to a disk');
});

test('what does not open is named, and the rest is shown', async () => {
  const { keyring } = node.keys;
  const [file = ''] = await filesOnDisk(node.home);
  const path = join(node.home, 'chunks', file);
  const good = readFileSync(path);
  const bad = Buffer.from(good);
  bad[70_000] = (bad[70_000] ?? 0) ^ 1;
  writeFileSync(path, bad);
  const altered = await inspect([node.home, 'SELECT DISTINCT chunk_index FROM star_systems_open']);
  assert.equal(altered.exit, 7);
  assert.equal(altered.stdout, '0\n2\n');
  assert.match(altered.stderr, new RegExp(`warning: chunk 1 of ${near.version} does not open: `));
  assert.match(altered.stderr, /opera: one thing does not open; the rest is shown/);
  renameSync(path, `${path}.away`);
  assert.match((await inspect([node.home, 'SELECT count(*) FROM star_systems_open'])).stderr, /chunk 1 of .*cannot be/);
  rmSync(`${path}.away`);
  writeFileSync(path, good);
  // A manifest whose clear part says another sequence than its master signed.
  const database = await openSqlite(join(node.home, 'node.db'), { busyTimeoutMs: 1_000 });
  const forged = Buffer.from(near.manifest);
  forged[43] = (forged[43] ?? 0) ^ 1;
  const setRecord = database.prepare('UPDATE manifests SET record = ? WHERE version = ?');
  setRecord.run(forged, near.version);
  const unsigned = await inspect([node.home, "SELECT name FROM files_open WHERE state = 'live'"]);
  setRecord.run(near.manifest, near.version);
  database.close();
  assert.deepEqual([unsigned.exit, unsigned.stdout], [7, 'notes.txt\n']);
  assert.match(unsigned.stderr, /does not open: the signature of the manifest is wrong/);
  // A rotation that this member was not told of yet.
  const ahead = keyring.with({ epoch: 2, key: random.bytes(32) });
  const later = made('later.txt', ['later'], false, ahead);
  await putManifest(later.version, later.manifest, 'live', 2);
  const unknown = await inspect([node.home, 'SELECT count(*) FROM files_open']);
  assert.equal(unknown.exit, 7);
  assert.equal(unknown.stdout, '4\n');
  assert.match(unknown.stderr, new RegExp(`the manifest of ${later.version} does not open: .*epoch 2`));
  assert.match(unknown.stderr, /opera keys ls/);
  assert.equal((await inspect([node.home])).exit, 7);
  await storage.deleteManifests([later.version]);
});

test('files of another network, of no node, and of a newer program are refused in one line', async () => {
  const foreign = await inspect([node.home], stranger.home);
  assert.equal(foreign.exit, 7);
  assert.match(foreign.stderr, /^opera: .*node\.db is of network \w{26}, this member of \w{26}\. .*--home\n$/);
  const empty = join(world.folder, 'identity');
  assert.equal((await inspect([empty])).exit, 2);
  assert.equal((await inspect([join(node.home, 'profile.json')])).exit, 2);
  assert.equal((await inspect([join(node.home, 'nothing')])).exit, 3);
  assert.equal((await inspect([node.home], '/nonexistent/home')).exit, 2);
  const copy = join(world.folder, 'newer.db');
  const newer = await openSqlite(copy, { busyTimeoutMs: 1_000 });
  newer.exec('CREATE TABLE x (y)');
  assert.match((await inspect([copy])).stderr, /neither the store nor the index/);
  newer.pragma(`application_id = ${0x4f_50_52_41}`);
  newer.pragma('user_version = 2');
  const refused = await inspect([copy]);
  assert.equal(refused.exit, 2);
  assert.match(refused.stderr, /^opera: .*newer\.db: format 2, this program reads format 1\. install .*\n$/i);
  newer.close();
});

test('a store without set-aside copies, without an index, and with a plain one opens all the same', async () => {
  const folder = join(world.folder, 'older');
  const older = new SqliteStorage({ folder, nowMs: () => 0 });
  mkdirSync(folder, { mode: 0o700 });
  await older.open();
  const { version, chunks, note } = near;
  await older.putNote(version, note);
  await older.putChunks(chunks);
  await older.close();
  const database = await openSqlite(join(folder, 'node.db'), { busyTimeoutMs: 1_000 });
  database.exec('DROP TABLE aside');
  database.close();
  const [found] = await rows('SELECT count(*) AS n, min(file) AS f FROM star_systems_open', folder);
  assert.deepEqual([found?.n, found?.f], [950, null], 'the manifest, and with it the name, may be on other nodes');
  await buildIndex(folder, 'plain', publicIndexKey);
  const columns = ['version', 'chunk_index', 'ordinal', ...fieldNames, 'aliases'].join(', ');
  const [both] = await rows(
    `SELECT count(*) AS n
     FROM (SELECT ${columns} FROM star_systems INTERSECT SELECT ${columns} FROM star_systems_open)`,
    folder,
  );
  assert.equal(both?.n, 950, 'values and types are those of the table in plain mode');
  assert.match((await inspect([folder])).stdout, /mode\tplain\n.*\nindex key\tnone\nindexed chunks\t3\n/);
  writeFileSync(join(folder, 'index.db'), 'no database at all, but long enough to be looked at as one'.repeat(20));
  const damaged = await inspect([folder]);
  assert.equal(damaged.exit, 0);
  assert.match(damaged.stderr, /left out: .*index\.db/);
  assert.equal((await inspect([join(folder, 'index.db')])).exit, 7);
  const forged = await openSqlite(join(folder, 'node.db'), { busyTimeoutMs: 1_000 });
  forged.exec("CREATE VIEW files_open AS SELECT 'forged' AS name");
  forged.close();
  assert.equal((await inspect([folder, 'SELECT * FROM files_open'])).exit, 7);
});
