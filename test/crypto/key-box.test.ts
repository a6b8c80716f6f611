// Key boxes: only the named recipient of this network opens them, only a signed one is trusted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  keyBoxBytes,
  keyBoxKinds,
  openKeyBox,
  parseKeyBox,
  sealKeyBox,
  verifyKeyBox,
} from '../../src/crypto/key-box.ts';
import { createX25519, recoveryKeyHashOf } from '../../src/crypto/x25519.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import { altered, labelled, network, newSigner, otherNetwork, refuses, SeededRandom } from './_support.ts';

const random = new SeededRandom('key-box');
const gateway = newSigner();
const member = newSigner();
const member25519 = createX25519(random);
const secret = labelled('network-key', 32);
const fields = {
  kind: keyBoxKinds.networkKey,
  epoch: 3,
  recipient: member.keyHash,
  recipientKey: member25519.publicKey,
  secret,
};
const record = sealKeyBox(network, fields, gateway, random);

test('the recipient opens what the gateway sealed', () => {
  assert.equal(record.length, keyBoxBytes);
  const box = parseKeyBox(record);
  assert.deepEqual([box.kind, box.epoch, box.recipient, box.signer], [1, 3, member.keyHash, gateway.keyHash]);
  verifyKeyBox(network, box, gateway.spki);
  assert.deepEqual(openKeyBox(network, box, member25519.privateKey), secret);
});

test('a recovery key is a recipient by the hash of its own key', () => {
  const recovery = createX25519(random);
  const recipient = recoveryKeyHashOf(recovery.publicKey);
  const made = { ...fields, kind: keyBoxKinds.recovery, recipient, recipientKey: recovery.publicKey };
  const box = parseKeyBox(sealKeyBox(network, made, gateway, random));
  assert.equal(box.recipient, recipient);
  assert.deepEqual(openKeyBox(network, box, recovery.privateKey), secret);
});

test('another key, network or kind does not open it', () => {
  const box = parseKeyBox(record);
  refuses(() => openKeyBox(network, box, createX25519(random).privateKey), 'integrity');
  refuses(() => openKeyBox(otherNetwork, box, member25519.privateKey), 'integrity');
  for (const kind of [2, 3]) {
    const relabelled = record.slice();
    relabelled[1] = kind;
    refuses(() => openKeyBox(network, parseKeyBox(relabelled), member25519.privateKey), 'integrity');
  }
});

test('another signer or network does not verify', () => {
  const box = parseKeyBox(record);
  refuses(() => verifyKeyBox(network, box, member.spki), 'integrity');
  refuses(() => verifyKeyBox(otherNetwork, box, gateway.spki), 'integrity');
  const forged = sealKeyBox(network, fields, { ...member, keyHash: gateway.keyHash }, random);
  refuses(() => verifyKeyBox(network, parseKeyBox(forged), gateway.spki), 'integrity');
});

test('every flipped byte is refused by form or signature', () => {
  for (let at = 0; at < record.length; at++) {
    refuses(() => verifyKeyBox(network, parseKeyBox(altered(record, at)), gateway.spki), 'integrity');
  }
});

test('every other length, kind and epoch is refused', () => {
  for (let length = 0; length < record.length; length++) {
    refuses(() => parseKeyBox(record.subarray(0, length)), 'integrity');
  }
  refuses(() => parseKeyBox(new Uint8Array([...record, 0])), 'integrity');
  for (const kind of [0, 4, 255]) {
    const bytes = record.slice();
    bytes[1] = kind;
    refuses(() => parseKeyBox(bytes), 'integrity');
  }
  const bytes = record.slice();
  bytes.fill(0, 2, 6);
  refuses(() => parseKeyBox(bytes), 'integrity');
  refuses(() => sealKeyBox(network, { ...fields, epoch: 0 }, gateway, random), 'internal');
  refuses(() => sealKeyBox(network, { ...fields, secret: new Uint8Array(31) }, gateway, random), 'internal');
});

test('two boxes of one key share no bytes of their sealed parts', () => {
  const boxes = [1, 2].map(() => parseKeyBox(sealKeyBox(network, fields, gateway, new SystemRandom())));
  assert.notDeepEqual(boxes[0]?.enc, boxes[1]?.enc);
  assert.notDeepEqual(boxes[0]?.sealed, boxes[1]?.sealed);
});

test('a box to a key of low order is not made: everybody could open it', () => {
  refuses(() => sealKeyBox(network, { ...fields, recipientKey: new Uint8Array(32) }, gateway, random), 'integrity');
});
