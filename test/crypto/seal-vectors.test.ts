// fixtures/vectors/seal-v1.json was made by an independent implementation on libsodium: our code must make the same
// bytes from the same keys, and open them again.
import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import vectors from '../../fixtures/vectors/seal-v1.json' with { type: 'json' };
import { nobleOpen } from '../../src/crypto/chacha.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { createGeometry, sealedLength } from '../../src/crypto/geometry.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { openManifestBody, sealManifestBody } from '../../src/crypto/manifest-body.ts';
import { createFileKeys, deriveFileKeys, openChunk, sealChunk } from '../../src/crypto/sealing.ts';
import { openWrap, wrapFileKey } from '../../src/crypto/wrap.ts';
import { networkIdFromBytes, versionIdFromBytes } from '../../src/model/ids.ts';
import { hex, labelled, ScriptedRandom, toHex } from './_support.ts';

const network = networkIdFromBytes(hex(vectors.network));
const keyring = new Keyring(network, [{ epoch: vectors.keyEpoch, key: hex(vectors.networkKey) }]);

test('the network and its key are drawn as the vectors say', () => {
  assert.equal(toHex(labelled('network', 16)), vectors.network);
  assert.equal(toHex(labelled('network-key-1', 32)), vectors.networkKey);
});

for (const vector of vectors.cases) {
  const version = versionIdFromBytes(hex(vector.version));
  const fileKey = labelled(`file-key/${vector.name}`, 32);
  const header = hex(vector.header);
  const lengths = vector.chunkPlaintextLengths;

  test(`${vector.name}: header and keys come out of file key and salt`, () => {
    assert.equal(toHex(fileKey), vector.fileKey);
    const keys = createFileKeys(new ScriptedRandom(hex(vector.salt)), network, version, fileKey);
    assert.equal(toHex(keys.header), vector.header);
    assert.deepEqual(deriveFileKeys(network, version, fileKey, header), keys);
  });

  test(`${vector.name}: every chunk seals to the vector's bytes and opens again`, () => {
    const keys = deriveFileKeys(network, version, fileKey, header);
    const plaintext = labelled(`data/${vector.name}`, vector.size);
    assert.equal(toHex(sha256(plaintext)), vector.plaintextSha256);
    let start = 0;
    for (const [index, length] of lengths.entries()) {
      const last = index === lengths.length - 1;
      const chunk = plaintext.subarray(start, start + length);
      const sealed = sealChunk(keys, index, chunk, { last });
      assert.equal(sealed.length, vector.sealedChunkLengths[index]);
      assert.equal(sealedLength(length), vector.sealedChunkLengths[index]);
      assert.equal(toHex(sha256(sealed)), vector.sealedChunkSha256[index]);
      if (last) assert.equal(toHex(sealed.subarray(sealed.length - 16)), vector.lastTag);
      const opened = openChunk(keys, index, sealed, { last, plaintextLength: length });
      assert.ok(Buffer.compare(opened, chunk) === 0);
      start += length;
    }
  });

  test(`${vector.name}: the geometry of the version is the vector's`, () => {
    const isCatalogue = vector.name === 'catalogue';
    const geometry = createGeometry(vector.size, isCatalogue ? lengths : undefined);
    assert.deepEqual(
      Array.from({ length: geometry.chunkCount }, (_, index) => geometry.lengthOf(index)),
      lengths,
    );
  });

  test(`${vector.name}: the wrap is the vector's and opens to the file key`, () => {
    const random = new ScriptedRandom(hex(vector.wrapNonce));
    assert.equal(toHex(wrapFileKey(keyring, network, version, fileKey, random)), vector.wrap);
    assert.deepEqual(openWrap(keyring, network, version, hex(vector.wrap)), fileKey);
  });

  test(`${vector.name}: the manifest body opens to the vector's JSON and seals to its bytes`, () => {
    const body = hex(vector.manifestBody);
    const content = openManifestBody(fileKey, network, version, 'live', body);
    assert.deepEqual(content, {
      kind: 'file',
      name: `vectors/${vector.name}`,
      follows: 0n,
      size: vector.size,
      header,
      created: '2026-11-22T00:00:00Z',
    });
    const nonce = labelled(`manifest-nonce/${vector.name}`, 24);
    const again = sealManifestBody(fileKey, network, version, 'live', content, new ScriptedRandom(nonce));
    assert.equal(toHex(again), vector.manifestBody);
  });
}

test('a segment sealed by the fast path opens with noble alone, from the documented derivation', () => {
  const version = versionIdFromBytes(labelled('version/twin', 16));
  const salt = labelled('salt/twin', 32);
  const fileKey = labelled('file-key/twin', 32);
  const keys = createFileKeys(new ScriptedRandom(salt), network, version, fileKey);
  const sealed = sealChunk(keys, 7, labelled('data/twin', 1_000), { last: true });
  const info = Buffer.concat([Buffer.from('opera/file/v1\0'), hex(vectors.network), hex(version)]);
  const segmentKey = new Uint8Array(hkdfSync('sha256', fileKey, salt, info, 64)).subarray(0, 32);
  const nonce = new Uint8Array(Buffer.concat([salt.subarray(0, 16), hex('0000000700000003')]));
  assert.deepEqual(nobleOpen(segmentKey, nonce, sealed, sha256(keys.header)), labelled('data/twin', 1_000));
});
