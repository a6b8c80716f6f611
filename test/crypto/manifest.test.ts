// Manifests: strict form, signature, body bound to version and state, one spelling of every content.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { xchachaSeal } from '../../src/crypto/chacha.ts';
import { hkdf } from '../../src/crypto/hkdf.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { encodeManifest, parseManifest, replaceWrap, verifyManifest } from '../../src/crypto/manifest.ts';
import {
  type FileContent,
  type ManifestContent,
  type ManifestState,
  openManifestBody,
  sealManifestBody,
} from '../../src/crypto/manifest-body.ts';
import { createFileKeys } from '../../src/crypto/sealing.ts';
import { rewrapFileKey, wrapFileKey } from '../../src/crypto/wrap.ts';
import { networkIdToBytes, versionIdToBytes } from '../../src/model/ids.ts';
import {
  altered,
  labelled,
  network,
  newSigner,
  operationOf,
  otherNetwork,
  refuses,
  SeededRandom,
  versionOf,
} from './_support.ts';

const random = new SeededRandom('manifest');
const signer = newSigner();
const version = versionOf('manifest');
const keys = createFileKeys(random, network, version);
const epoch1 = { epoch: 1, key: labelled('epoch-1', 32) };
const keyring = new Keyring(network, [epoch1]);
const content: FileContent = {
  kind: 'file',
  name: 'survey/Größe "1"\\é😀.csv',
  follows: 1_790_000_000_000_000n,
  size: 12,
  header: keys.header,
  type: 'text/csv',
  created: '2026-11-22T00:00:00.000Z',
  modified: '2025-01-01T12:00:00+02:00',
  chunkLengths: [5, 7],
  chunkRecords: [0, 3],
};
const tombstone: ManifestContent = { kind: 'name-tombstone', name: 'old', follows: 5n };
const seal = (state: ManifestState, of: ManifestContent = content): Uint8Array =>
  sealManifestBody(keys.fileKey, network, version, state, of, random);
const open = (state: ManifestState, body: Uint8Array): ManifestContent =>
  openManifestBody(keys.fileKey, network, version, state, body);
const fields = {
  state: 'live',
  network,
  version,
  sequence: 2n ** 53n - 1n,
  incarnation: 0xffff_ffff,
  operationId: operationOf('put'),
  body: seal('live'),
  wrap: wrapFileKey(keyring, network, version, keys.fileKey, random),
} as const;
const record = encodeManifest(fields, signer);

test('a manifest reads back field by field and its signature holds', () => {
  const manifest = parseManifest(record);
  const { signer: named, signature, signedBytes, wrapEpoch, ...rest } = manifest;
  assert.deepEqual(rest, fields);
  assert.equal(named, signer.keyHash);
  assert.equal(signature.length, 64);
  assert.equal(signedBytes.length, record.length - 64 - 76);
  assert.equal(wrapEpoch, 1);
  assert.equal(record.length, 68 + fields.body.length + 172);
  verifyManifest(manifest, signer.spki);
});

test('another signer, also one whose key hash is written in, is refused', () => {
  const other = newSigner();
  refuses(() => verifyManifest(parseManifest(record), other.spki), 'integrity');
  const forged = encodeManifest(fields, { ...other, keyHash: signer.keyHash });
  refuses(() => verifyManifest(parseManifest(forged), signer.spki), 'integrity');
  refuses(() => verifyManifest(parseManifest(forged), other.spki), 'integrity');
  refuses(() => verifyManifest(parseManifest(record), new Uint8Array(0)), 'integrity');
});

test('every flipped byte before the wrap is refused by form or signature', () => {
  for (let at = 0; at < record.length - 76; at++) {
    refuses(() => verifyManifest(parseManifest(altered(record, at)), signer.spki), 'integrity');
  }
});

test('a rotation replaces the wrap and leaves the signature valid', () => {
  const after = new Keyring(network, [epoch1, { epoch: 2, key: labelled('epoch-2', 32) }]);
  const rewrapped = replaceWrap(record, rewrapFileKey(after, network, version, fields.wrap));
  const manifest = parseManifest(rewrapped);
  verifyManifest(manifest, signer.spki);
  assert.equal(manifest.wrapEpoch, 2);
  refuses(() => replaceWrap(record, fields.wrap.subarray(1)), 'integrity');
});

test('lengths, states and sequences that cannot be are refused', () => {
  for (let length = 0; length < record.length; length++) {
    refuses(() => parseManifest(record.subarray(0, length)), 'integrity');
  }
  refuses(() => parseManifest(new Uint8Array([...record, 0])), 'integrity');
  for (const state of [0, 3, 255]) refuses(() => parseManifest(withByte(1, state)), 'integrity');
  refuses(() => parseManifest(withByte(0, 2)), 'integrity');
  for (const sequence of [0n, 2n ** 53n, 2n ** 64n - 1n]) {
    const bytes = record.slice();
    new DataView(bytes.buffer).setBigUint64(36, sequence);
    refuses(() => parseManifest(bytes), 'integrity');
    refuses(() => encodeManifest({ ...fields, sequence }, signer), 'internal');
  }
  for (const delta of [-1, 1, -fields.body.length, 0xffff_ffff - fields.body.length]) {
    const bytes = record.slice();
    new DataView(bytes.buffer).setUint32(64, fields.body.length + delta);
    refuses(() => parseManifest(bytes), 'integrity');
  }
});

function withByte(at: number, value: number): Uint8Array {
  const bytes = record.slice();
  bytes[at] = value;
  return bytes;
}

test('a body reads back as it was written, with and without its optional fields', () => {
  assert.deepEqual(open('live', seal('live')), content);
  assert.deepEqual(open('dead', seal('dead')), content);
  const { type: _type, modified: _modified, chunkLengths: _lengths, chunkRecords: _records, ...plain } = content;
  assert.deepEqual(open('live', seal('live', plain)), plain);
  assert.deepEqual(open('dead', seal('dead', tombstone)), tombstone);
});

test('a body opens only for its own key, network, version and state', () => {
  const body = seal('live');
  refuses(() => open('dead', body), 'integrity');
  refuses(() => openManifestBody(keys.fileKey, otherNetwork, version, 'live', body), 'integrity');
  refuses(() => openManifestBody(keys.fileKey, network, versionOf('x'), 'live', body), 'integrity');
  refuses(() => openManifestBody(labelled('x', 32), network, version, 'live', body), 'integrity');
  for (const at of [0, 23, 24, body.length - 1]) refuses(() => open('live', altered(body, at)), 'integrity');
  for (const length of [0, 24, 39, body.length - 1]) refuses(() => open('live', body.subarray(0, length)), 'integrity');
});

test('a tombstone is never live, and a body never carries the header of another version or network', () => {
  refuses(() => seal('live', tombstone), 'integrity');
  const foreign = createFileKeys(random, network, versionOf('foreign'));
  refuses(() => seal('live', { ...content, header: foreign.header }), 'integrity');
  const elsewhere = createFileKeys(random, otherNetwork, version);
  refuses(() => seal('live', { ...content, header: elsewhere.header }), 'wrong-network');
  refuses(() => seal('live', { ...content, header: altered(keys.header, 0) }), 'integrity');
});

test('contents that no reader would take are not written', () => {
  const bad: Partial<FileContent>[] = [
    { name: '' },
    { name: 'n'.repeat(1_025) },
    { name: 'lone \ud800 surrogate' },
    { follows: -1n },
    { follows: 2n ** 53n },
    { size: -1 },
    { size: 1.5 },
    { size: 2 ** 53 + 2 },
    { size: 13 },
    { type: '' },
    { type: 'a\nb' },
    { created: '22 November 2026' },
    { created: '2026-13-01T00:00:00Z' },
    { modified: '' },
    { chunkLengths: [] },
    { chunkLengths: [12, 0] },
    { chunkRecords: [1] },
  ];
  for (const change of bad) refuses(() => seal('live', { ...content, ...change }), 'integrity');
  const { chunkLengths: _lengths, ...withoutLengths } = content;
  refuses(() => seal('live', withoutLengths), 'integrity');
});

test('a body over the limit is refused', () => {
  const chunkLengths = Array.from({ length: 400_000 }, () => 1);
  const { chunkRecords: _records, ...rest } = content;
  refuses(() => seal('live', { ...rest, size: chunkLengths.length, chunkLengths }), 'too-large');
});

test('JSON in any other than the one spelling is refused, though its tag is right', () => {
  const { name, size, created } = content;
  const header = Buffer.from(keys.header).toString('base64');
  const good = { name, follows: 0, size, header, created };
  const spelled = JSON.stringify(good);
  const bad = [
    '',
    'null',
    '[]',
    '"x"',
    '{}',
    '{"name":"x"}',
    spelled.slice(0, -1),
    ` ${spelled}`,
    `\ufeff${spelled}`,
    spelled.replace('"follows":0', '"follows":0.0'),
    spelled.replace('"follows":0', '"follows":-0'),
    spelled.replace('"follows":0', '"follows":"0"'),
    spelled.replace('"follows":0', '"follows":9007199254740993'),
    spelled.replace('"size":12', '"size":1e1'),
    spelled.replace('"size":12', '"size":12,"size":12'),
    spelled.replace('{"name"', '{"name":"other","name"'),
    spelled.replace('"created"', '"extra":1,"created"'),
    spelled.replace('"created"', '"__proto__":{},"created"'),
    spelled.replace(header, header.replace('T', ' T')),
    spelled.replace(header, `${header}====`),
    spelled.replace('}', ',"type":null}'),
    JSON.stringify({ size, name, follows: 0, header, created }),
    JSON.stringify({ ...good, chunkLengths: 'AAAADA' }),
    JSON.stringify({ ...good, chunkLengths: 'AAAA' }),
    JSON.stringify({ ...good, chunkLengths: [12] }),
  ];
  for (const json of bad) refuses(() => open('live', sealJson(json)), 'integrity');
  assert.deepEqual(open('live', sealJson(spelled)), {
    kind: 'file',
    name,
    follows: 0n,
    size,
    header: keys.header,
    created,
  });
  refuses(() => open('live', sealJson(Buffer.from([0xff, 0xfe]))), 'integrity');
});

/** A body with any JSON in it, sealed as docs/formats.md says. */
function sealJson(json: string | Buffer): Uint8Array {
  const info = Buffer.concat([Buffer.from('opera/manifest/v1\0'), networkIdToBytes(network)]);
  const key = hkdf(keys.fileKey, versionIdToBytes(version), new Uint8Array(info), 32);
  const aad = Buffer.concat([
    Buffer.from('opera/manifest/v1'),
    networkIdToBytes(network),
    versionIdToBytes(version),
    Buffer.from([1]),
  ]);
  const nonce = labelled('nonce', 24);
  const plaintext = new Uint8Array(Buffer.from(json));
  return new Uint8Array(Buffer.concat([nonce, xchachaSeal(key, nonce, plaintext, new Uint8Array(aad))]));
}
