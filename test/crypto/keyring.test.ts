// Keyrings, key chains and wraps: old epochs stay readable, keys that are not held say so, nothing foreign opens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chainRecordBytes, type EpochKey, openChainRecord, sealChainRecord } from '../../src/crypto/key-chain.ts';
import { createKeyring, Keyring, keyCheckOf } from '../../src/crypto/keyring.ts';
import { openWrap, rewrapFileKey, wrapBytes, wrapEpochOf, wrapFileKey } from '../../src/crypto/wrap.ts';
import { altered, labelled, network, otherNetwork, refuses, SeededRandom, versionOf } from './_support.ts';

const random = new SeededRandom('keyring');
const epochKey = (epoch: number): EpochKey => ({ epoch, key: labelled(`epoch-${epoch}`, 32) });
const chain = [1, 2, 3].map((epoch) => sealChainRecord(network, epochKey(epoch), epochKey(epoch + 1), random));
const [record1 = new Uint8Array(0), record2 = record1, record3 = record1] = chain;
const version = versionOf('wrapped');
const fileKey = labelled('file-key', 32);

test('the newest key and the chain give every epoch, in whatever order the records come', () => {
  const keyring = createKeyring(network, epochKey(4), [record2, record3, record1]);
  assert.deepEqual(keyring.epochs, [1, 2, 3, 4]);
  assert.equal(keyring.newestEpoch, 4);
  for (const epoch of [1, 2, 3, 4]) assert.deepEqual(keyring.key(epoch), epochKey(epoch).key);
});

test('below a gap in the chain keys are unknown, not wrong', () => {
  const keyring = createKeyring(network, epochKey(4), [record1, record3]);
  assert.deepEqual(keyring.epochs, [3, 4]);
  refuses(() => keyring.key(2), 'unknown-key');
  refuses(() => keyring.key(5), 'unknown-key');
});

test('chain records of epochs to come are ignored', () => {
  assert.deepEqual(createKeyring(network, epochKey(2), chain).epochs, [1, 2]);
});

test('a chain record of another network, epoch or key is refused', () => {
  assert.equal(record1.length, chainRecordBytes);
  assert.deepEqual(openChainRecord(network, record1, epochKey(2)), epochKey(1));
  refuses(() => openChainRecord(otherNetwork, record1, epochKey(2)), 'integrity');
  refuses(() => openChainRecord(network, record1, epochKey(3)), 'integrity');
  refuses(() => openChainRecord(network, record1, { ...epochKey(2), epoch: 3 }), 'integrity');
  refuses(() => openChainRecord(network, record1, { epoch: 2, key: labelled('foreign', 32) }), 'integrity');
  refuses(() => createKeyring(network, { epoch: 4, key: labelled('foreign', 32) }, chain), 'integrity');
  refuses(() => sealChainRecord(network, epochKey(1), epochKey(3), random), 'internal');
});

test('every flipped byte of a chain record is refused', () => {
  for (let at = 0; at < record1.length; at++) {
    refuses(() => openChainRecord(network, altered(record1, at), epochKey(2)), 'integrity');
  }
});

test('an epoch seen before with another key is refused', () => {
  const keyring = createKeyring(network, epochKey(2), chain);
  refuses(() => keyring.with({ epoch: 1, key: labelled('foreign', 32) }), 'integrity');
  refuses(() => keyring.merged(new Keyring(network, [{ epoch: 2, key: labelled('foreign', 32) }])), 'integrity');
  refuses(() => keyring.merged(new Keyring(otherNetwork, [epochKey(2)])), 'wrong-network');
  assert.deepEqual(keyring.with(epochKey(2)).epochs, [1, 2]);
  assert.equal(keyring.with(epochKey(3)).newestEpoch, 3);
  assert.equal(keyring.newestEpoch, 2);
});

test('impossible epochs and keys never enter a keyring', () => {
  for (const epoch of [0, -1, 0.5, 2 ** 32])
    refuses(() => createKeyring(network, { ...epochKey(1), epoch }), 'integrity');
  refuses(() => createKeyring(network, { epoch: 1, key: new Uint8Array(31) }), 'integrity');
  refuses(() => new Keyring(network, []), 'internal');
});

test('the key check tells the right key from any other', () => {
  const keyring = createKeyring(network, epochKey(2), chain);
  assert.ok(keyring.matches(2, keyCheckOf(network, epochKey(2).key)));
  assert.ok(!keyring.matches(2, keyCheckOf(network, epochKey(1).key)));
  assert.ok(!keyring.matches(2, keyCheckOf(otherNetwork, epochKey(2).key)));
  assert.ok(!keyring.matches(3, keyCheckOf(network, epochKey(3).key)));
});

test('a keyring that is logged shows no key', () => {
  const shown = JSON.stringify(createKeyring(network, epochKey(2), chain));
  assert.deepEqual(JSON.parse(shown), { network, epochs: [1, 2] });
});

test('a wrap opens with its epoch, network and version only', () => {
  const keyring = createKeyring(network, epochKey(2), chain);
  const wrap = wrapFileKey(keyring, network, version, fileKey, random);
  assert.equal(wrap.length, wrapBytes);
  assert.equal(wrapEpochOf(wrap), 2);
  assert.deepEqual(openWrap(keyring, network, version, wrap), fileKey);
  assert.deepEqual(openWrap(createKeyring(network, epochKey(4), chain), network, version, wrap), fileKey);
  refuses(() => openWrap(keyring, network, versionOf('other'), wrap), 'integrity');
  refuses(() => openWrap(keyring, otherNetwork, version, wrap), 'wrong-network');
  refuses(() => openWrap(new Keyring(otherNetwork, [epochKey(2)]), otherNetwork, version, wrap), 'integrity');
  refuses(() => openWrap(new Keyring(network, [epochKey(1)]), network, version, wrap), 'unknown-key');
});

test('every flipped byte of a wrap is refused', () => {
  const keyring = createKeyring(network, epochKey(4), chain);
  const wrap = wrapFileKey(keyring, network, version, fileKey, random);
  for (let at = 0; at < wrap.length; at++) {
    refuses(() => openWrap(keyring, network, version, altered(wrap, at)), 'integrity', 'unknown-key');
  }
  refuses(() => wrapEpochOf(wrap.subarray(1)), 'integrity');
  refuses(() => wrapEpochOf(new Uint8Array(77)), 'integrity');
  refuses(() => wrapEpochOf(new Uint8Array(76)), 'integrity');
});

test('a rewrap gives the same bytes wherever it is done, under the newest epoch, for the same file key', () => {
  const before = createKeyring(network, epochKey(1));
  const after = createKeyring(network, epochKey(2), chain);
  const wrap = wrapFileKey(before, network, version, fileKey, random);
  const rewrapped = rewrapFileKey(after, network, version, wrap);
  assert.equal(wrapEpochOf(rewrapped), 2);
  assert.deepEqual(openWrap(after, network, version, rewrapped), fileKey);
  const elsewhere = wrapFileKey(before, network, version, fileKey, random);
  assert.notDeepEqual(elsewhere, wrap);
  assert.deepEqual(rewrapFileKey(after, network, version, elsewhere), rewrapped);
  assert.deepEqual(rewrapFileKey(after, network, version, rewrapped), rewrapped);
});

test('a rewrap never seals two file keys or versions under one nonce', () => {
  const before = createKeyring(network, epochKey(1));
  const after = createKeyring(network, epochKey(2), chain);
  const nonceOf = (of: typeof version, key: Uint8Array): string => {
    const rewrapped = rewrapFileKey(after, network, of, wrapFileKey(before, network, of, key, random));
    return Buffer.from(rewrapped.subarray(4, 28)).toString('hex');
  };
  const nonces = [nonceOf(version, fileKey), nonceOf(version, altered(fileKey, 0)), nonceOf(versionOf('b'), fileKey)];
  assert.equal(new Set(nonces).size, 3);
});

test('a rewrap of a wrap that does not open is refused', () => {
  const wrap = wrapFileKey(createKeyring(network, epochKey(1)), network, version, fileKey, random);
  const after = createKeyring(network, epochKey(2), chain);
  refuses(() => rewrapFileKey(after, network, versionOf('other'), wrap), 'integrity');
  refuses(() => rewrapFileKey(createKeyring(network, epochKey(2)), network, version, wrap), 'unknown-key');
});
