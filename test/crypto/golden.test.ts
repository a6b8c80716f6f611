// Old data stays readable: fixtures/formats/v1/sealing.json opens forever, and today's code writes the same bytes
// from the same inputs, signatures replayed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import golden from '../../fixtures/formats/v1/sealing.json' with { type: 'json' };
import { openKeyBox, parseKeyBox, verifyKeyBox } from '../../src/crypto/key-box.ts';
import { createKeyring } from '../../src/crypto/keyring.ts';
import { parseManifest, verifyManifest } from '../../src/crypto/manifest.ts';
import { openManifestBody } from '../../src/crypto/manifest-body.ts';
import { openNote, parseNote } from '../../src/crypto/note.ts';
import { parseRecoveryKit } from '../../src/crypto/recovery-kit.ts';
import { deriveFileKeys, openChunk } from '../../src/crypto/sealing.ts';
import { keyHashOfSpki, type Signer, verifySignature } from '../../src/crypto/signature.ts';
import { openWrap } from '../../src/crypto/wrap.ts';
import { parseNetworkId, parseVersionId } from '../../src/model/ids.ts';
import { catalogueContent, kit, makeGolden, noteContent, plainContent, tombstoneContent } from './_golden.ts';
import { hex, toHex } from './_support.ts';

const { records } = golden;
const network = parseNetworkId(golden.network);
const version = parseVersionId(golden.version);
const fileKey = hex(golden.fileKey);
const signerSpki = hex(golden.signerSpki);
const keyring = createKeyring(network, { epoch: 2, key: hex(golden.networkKeys[2]) }, [hex(records.keyChain)]);

/** Signs with the signature the file keeps for exactly this message, so that records come out byte for byte. */
const replayingSigner = (): Signer => {
  const manifests = [records.manifestLive, records.manifestCatalogue, records.manifestDead, records.nameTombstone];
  const boxes = [records.keyBoxNetworkKey, records.keyBoxCaKeyPart, records.keyBoxRecovery];
  const signatures = [
    ...manifests.map((record) => hex(record).slice(-140, -76)),
    ...boxes.map((record) => hex(record).slice(-64)),
  ];
  return {
    spki: signerSpki,
    keyHash: keyHashOfSpki(signerSpki),
    sign: (domain, ...parts) => {
      const kept = signatures.find((signature) => verifySignature(signerSpki, signature, domain, ...parts));
      assert.ok(kept, 'the file keeps no signature over this message');
      return kept;
    },
  };
};

test("today's code writes every record byte for byte", () => {
  assert.deepEqual(makeGolden(replayingSigner()), records);
});

test('the key chain and wraps open', () => {
  assert.equal(toHex(keyring.key(1)), golden.networkKeys[1]);
  for (const wrap of [records.wrap, records.rewrap]) {
    assert.deepEqual(openWrap(keyring, network, version, hex(wrap)), fileKey);
  }
});

test('header and chunks open to the plaintext', () => {
  const keys = deriveFileKeys(network, version, fileKey, hex(records.header));
  const opened = [
    openChunk(keys, 0, hex(records.chunk0), { last: false, plaintextLength: 100 }),
    openChunk(keys, 1, hex(records.chunk1), { last: true, plaintextLength: 40 }),
  ];
  assert.equal(toHex(Buffer.concat(opened)), golden.plaintext);
});

for (const [name, state, content] of [
  ['manifestLive', 'live', plainContent],
  ['manifestRewrapped', 'live', plainContent],
  ['manifestCatalogue', 'live', catalogueContent],
  ['manifestDead', 'dead', plainContent],
  ['nameTombstone', 'dead', tombstoneContent],
] as const) {
  test(`${name} verifies and opens`, () => {
    const manifest = parseManifest(hex(records[name]));
    verifyManifest(manifest, signerSpki);
    assert.equal(manifest.state, state);
    const key = openWrap(keyring, network, manifest.version, manifest.wrap);
    assert.equal(toHex(key), name === 'nameTombstone' ? golden.tombstoneFileKey : golden.fileKey);
    assert.deepEqual(openManifestBody(key, network, manifest.version, state, manifest.body), content);
  });
}

test('the note opens', () => {
  const note = parseNote(hex(records.note));
  assert.deepEqual(openNote(openWrap(keyring, network, version, note.wrap), network, note), noteContent);
});

for (const [name, privateKey, secret] of [
  ['keyBoxNetworkKey', golden.memberX25519, golden.networkKeys[2]],
  ['keyBoxCaKeyPart', golden.memberX25519, golden.caScalar],
  ['keyBoxRecovery', golden.recoveryX25519, golden.networkKeys[2]],
] as const) {
  test(`${name} verifies and opens`, () => {
    const box = parseKeyBox(hex(records[name]));
    verifyKeyBox(network, box, signerSpki);
    assert.equal(toHex(openKeyBox(network, box, hex(privateKey))), secret);
  });
}

test('the recovery kit reads', () => {
  assert.deepEqual(parseRecoveryKit(records.recoveryKit), kit);
});
