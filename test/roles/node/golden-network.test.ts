// Old data stays readable: the home of a member and the data folders of two nodes in fixtures/formats/v1/network/, as
// the program wrote them when the format was fixed, are opened by today's code with all that is in them.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import expected from '../../../fixtures/formats/v1/network/expected.json' with { type: 'json' };
import { openHome, type OpenHome } from '../../../src/client/home.ts';
import { KeyKeeper } from '../../../src/client/key-keeper.ts';
import { RosterKeeper } from '../../../src/client/roster-keeper.ts';
import { createGeometry } from '../../../src/crypto/geometry.ts';
import type { Keyring } from '../../../src/crypto/keyring.ts';
import { parseManifest, verifyManifest } from '../../../src/crypto/manifest.ts';
import { type ManifestContent, openManifestBody } from '../../../src/crypto/manifest-body.ts';
import { openNote, parseNote } from '../../../src/crypto/note.ts';
import { parseRecoveryKit } from '../../../src/crypto/recovery-kit.ts';
import { deriveFileKeys, openChunk } from '../../../src/crypto/sealing.ts';
import { openWrap } from '../../../src/crypto/wrap.ts';
import { parseNote as parseCatalogueNote } from '../../../src/index/catalogue.ts';
import { NodeMemory } from '../../../src/roles/node/memory.ts';
import { parseWitness } from '../../../src/roles/node/soundness.ts';
import { SqliteStorage } from '../../../src/storage-adapters/sqlite.ts';
import type { StoredManifest } from '../../../src/storage-adapters/storage-adapter.ts';

let folder: string;
let client: OpenHome;
/** What the folder of node-1 holds, opened with the client's key: nodes keep the boxes of all. */
let rosters: RosterKeeper;
let keys: KeyKeeper;
let keyring: Keyring;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'opera-golden-'));
  cpSync('fixtures/formats/v1/network', folder, { recursive: true });
  // A repository keeps no permissions, and an identity that others can read is refused.
  chmodSync(join(folder, 'client', 'identity'), 0o700);
  for (const file of ['key.pem', 'x25519.pem', 'certificate.pem', 'ca.der', 'member.json']) {
    chmodSync(join(folder, 'client', 'identity', file), 0o600);
  }
  client = await openHome(join(folder, 'client'));
  const { identity } = client;
  const trust = { networkId: identity.networkId, caSpki: identity.bundle.certificates[0].spki };
  rosters = await RosterKeeper.load({ folder: join(folder, 'node-1'), trust, keepHistory: true });
  keys = await KeyKeeper.load({
    folder: join(folder, 'node-1'),
    networkId: identity.networkId,
    keyHash: identity.signer.keyHash,
    privateKey: identity.x25519.privateKey,
    caSpki: trust.caSpki,
    roster: () => rosters.roster,
    keepOthers: true,
  });
  ({ keyring } = keys);
});

after(() => rmSync(folder, { recursive: true, force: true }));

const withStore = async (name: string, run: (storage: SqliteStorage) => Promise<void>): Promise<void> => {
  const storage = new SqliteStorage({ folder: join(folder, name), nowMs: () => 0 });
  await storage.open();
  try {
    await run(storage);
  } finally {
    await storage.close();
  }
};

const manifestsOf = async (storage: SqliteStorage): Promise<StoredManifest[]> => {
  const found: StoredManifest[] = [];
  for (const partition of await storage.listPartitions()) {
    found.push(...(await storage.listManifests(partition, undefined, 100)).items);
  }
  return found;
};

/** The content of one, with the file key; fails unless its signature and its tag are right. */
const opened = (stored: StoredManifest): { readonly fileKey: Uint8Array; readonly content: ManifestContent } => {
  const manifest = parseManifest(stored.record);
  verifyManifest(manifest, stored.signerSpki);
  const { version, state, body, wrap } = manifest;
  const fileKey = openWrap(keyring, keyring.network, version, wrap);
  return { fileKey, content: openManifestBody(fileKey, keyring.network, version, state, body) };
};

test('the golden home of a member gives its network, roster and key, and the kit names the same authority', () => {
  const { profile, identity } = client;
  assert.deepEqual(
    [profile.networkId, identity.networkId, identity.role],
    [expected.network, expected.network, 'client'],
  );
  // It slept through both rotations.
  assert.deepEqual([client.rosters.roster.number, client.keys.keyring.newestEpoch], [6n, 1]);
  assert.deepEqual(client.keys.keyring.key(1), keyring.key(1));
  const kit = parseRecoveryKit(readFileSync(join(folder, 'kit.txt'), 'utf8'));
  assert.deepEqual([kit.network, Buffer.from(kit.caPin).toString('hex')], [expected.network, expected.authority]);
});

test('the golden folder of a node gives rosters to others, boxes and a draft of an epoch that never came', async () => {
  const numbers = (await rosters.since(0n)).map(({ bytes }) => Buffer.from(bytes).readBigUInt64BE(17));
  assert.deepEqual(numbers, [1n, BigInt(expected.roster)]);
  const held = Array.from({ length: expected.keyEpoch + 2 }, (_, epoch) => keyring.has(epoch));
  assert.deepEqual(held, [false, true, true, true, false]);
  assert.deepEqual(
    keys.notes.map(({ epoch }) => epoch),
    [2, 3],
  );
  const stored = JSON.parse(readFileSync(join(folder, 'node-1', 'keys.json'), 'utf8'));
  assert.equal(stored.drafts[0].epoch, expected.keyEpoch + 1);
  const witness = parseWitness(readFileSync(join(folder, 'node-1', 'identity', 'store.json'), 'utf8'));
  assert.deepEqual([witness.sound, witness.placed, witness.distrustedUpTo], [true, true, 0n]);
});

test('the golden store of a node gives its state, manifests, notes and every byte of its chunks', async () => {
  await withStore('node-1', async (storage) => {
    assert.deepEqual(await storage.findDamage(), []);
    const { state, peers } = await NodeMemory.load(storage);
    assert.deepEqual([state.layouts.map(({ layout }) => layout.number), state.incarnation, peers.length], [[2], 1, 2]);
    const newest = new Map<string, StoredManifest>();
    for (const stored of await manifestsOf(storage)) {
      const { name } = opened(stored).content;
      if (stored.sequence > (newest.get(name)?.sequence ?? 0n)) newest.set(name, stored);
    }
    const files: Record<string, { size: number; sha256: string }> = {};
    for (const [name, stored] of [...newest].filter(([, { state: which }]) => which === 'live').sort()) {
      const { fileKey, content } = opened(stored);
      assert.ok(content.kind === 'file');
      const fileKeys = deriveFileKeys(keyring.network, stored.version, fileKey, content.header);
      const { chunkCount } = createGeometry(content.size, content.chunkLengths);
      const hash = createHash('sha256');
      for (let index = 0; index < chunkCount; index++) {
        const chunk = await storage.getChunk({ version: stored.version, index });
        assert.ok(chunk);
        hash.update(openChunk(fileKeys, index, chunk.body, { last: index === chunkCount - 1 }));
      }
      files[name] = { size: content.size, sha256: hash.digest('hex') };
      const record = await storage.getNote(stored.version);
      assert.equal(record !== undefined, content.chunkRecords !== undefined);
      if (record) parseCatalogueNote(JSON.stringify(openNote(fileKey, keyring.network, parseNote(record))));
    }
    assert.deepEqual(files, expected.files);
    const dead = [...newest].filter(([, { state: which }]) => which === 'dead').map(([name]) => name);
    assert.deepEqual(dead.sort(), expected.dead);
  });
});
