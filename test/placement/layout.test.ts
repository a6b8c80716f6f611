// The bytes of a layout: the golden file opens, a round trip keeps everything, and nothing else is let in.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '../../src/crypto/digest.ts';
import { createSigner } from '../../src/crypto/signature.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { bytesToHex, networkIdFromBytes } from '../../src/model/ids.ts';
import {
  encodeLayout,
  follows,
  hashOfLayout,
  type LayoutFields,
  noOwner,
  ownersOf,
  parseLayout,
  verifyLayout,
} from '../../src/placement/layout.ts';
import { partitionCount } from '../../src/placement/partition.ts';
import { planLayout } from '../../src/placement/plan.ts';
import { membersOf } from './_oracle.ts';

const signer = createSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

const fieldsOf = (nodes: number): LayoutFields => {
  const settings = { copies: 3, writeCopies: 2, partitions: partitionCount, reason: 'join' } as const;
  const { copies, writeCopies, nodes: keys, owners } = planLayout(undefined, membersOf(nodes), settings);
  return {
    networkId: networkIdFromBytes(new Uint8Array(16).fill(7)),
    number: 4_000_000_000,
    leaderEpoch: 2n ** 63n + 1n,
    incarnation: 9,
    previousHash: new Uint8Array(32).fill(3),
    copies,
    writeCopies,
    nodes: keys,
    owners,
  };
};

const refuses = (bytes: Uint8Array): void => {
  assert.throws(
    () => parseLayout(bytes),
    (error: unknown) => isOperaError(error, 'bad-request'),
  );
};

test('the golden layout of format version 1 opens, with the bytes where the format says', () => {
  const bytes = new Uint8Array(readFileSync('fixtures/formats/v1/layout.bin'));
  const facts = JSON.parse(readFileSync('fixtures/formats/v1/layout.json', 'utf8'));
  const layout = verifyLayout({ bytes, signerSpki: new Uint8Array(Buffer.from(facts.signerSpki, 'base64')) });
  assert.equal(bytes.length, 71 + 32 * 5 + 2 * 4096 * 3 + 96);
  assert.equal(layout.networkId, facts.networkId);
  assert.equal(layout.number, facts.number);
  assert.equal(layout.leaderEpoch, BigInt(facts.leaderEpoch));
  assert.equal(layout.incarnation, facts.incarnation);
  assert.equal(bytesToHex(layout.previousHash), facts.previousHash);
  assert.deepEqual([layout.copies, layout.writeCopies], [3, 2]);
  assert.deepEqual(layout.nodes, facts.nodes);
  assert.deepEqual(ownersOf(layout, 0), facts.ownersOfFirst);
  assert.deepEqual(ownersOf(layout, 4095), facts.ownersOfLast);
  assert.equal(bytesToHex(hashOfLayout(bytes)), facts.sha256);
});

test('a layout survives its bytes whole', () => {
  for (const nodes of [1, 2, 3, 20]) {
    const fields = fieldsOf(nodes);
    const layout = verifyLayout({ bytes: encodeLayout(fields, signer), signerSpki: signer.spki });
    assert.deepEqual(layout, { ...fields, signer: signer.keyHash });
  }
});

test('absent owners are read as absent', () => {
  const fields = fieldsOf(4);
  const owners = Uint16Array.from(fields.owners);
  owners[2] = noOwner;
  const layout = parseLayout(encodeLayout({ ...fields, owners }, signer));
  assert.equal(ownersOf(layout, 0).length, 2);
  assert.deepEqual(ownersOf(layout, 4096), []);
});

test('a table that breaks the rules is not encoded', () => {
  const fields = fieldsOf(4);
  const withOwners = (...first: number[]): LayoutFields => {
    const owners = Uint16Array.from(fields.owners);
    owners.set(first);
    return { ...fields, owners };
  };
  const [one, two, ...rest] = fields.nodes;
  assert.ok(one !== undefined && two !== undefined);
  const broken: LayoutFields[] = [
    withOwners(0, 0, 1),
    withOwners(0, noOwner, 1),
    withOwners(noOwner, noOwner, noOwner),
    withOwners(0, 1, 4),
    { ...fields, nodes: [two, one, ...rest] },
    { ...fields, nodes: [one, one, ...rest] },
    { ...fields, nodes: [] },
    { ...fields, number: 0 },
    { ...fields, number: 2 ** 32 },
    { ...fields, leaderEpoch: -1n },
    { ...fields, incarnation: 1.5 },
    { ...fields, writeCopies: 4 },
    { ...fields, writeCopies: 0 },
    { ...fields, copies: 5 },
    { ...fields, owners: fields.owners.subarray(3) },
    { ...fields, previousHash: new Uint8Array(31) },
  ];
  for (const [index, bad] of broken.entries()) {
    assert.throws(() => encodeLayout(bad, signer), { code: 'bad-request' }, `case ${index}`);
  }
});

test('every cut, extension and foreign version is refused', () => {
  const bytes = encodeLayout(fieldsOf(3), signer);
  for (const length of [0, 1, 70, 166, 167, bytes.length - 1]) refuses(bytes.subarray(0, length));
  refuses(Buffer.concat([bytes, Buffer.alloc(1)]));
  for (const [at, value] of [
    [0, 0],
    [0, 2],
    [65, 0],
    [66, 1],
    [67, 0],
    [67, 255],
    [68, 0],
    [68, 4],
    [69, 255],
  ] as const) {
    const bad = Uint8Array.from(bytes);
    bad[at] = value;
    refuses(bad);
  }
});

test('any changed byte is refused by the reader or by the signature', () => {
  const bytes = encodeLayout(fieldsOf(3), signer);
  const check = (at: number, flip: number): void => {
    const bad = Uint8Array.from(bytes);
    bad[at] = (bad[at] ?? 0) ^ flip;
    assert.throws(
      () => verifyLayout({ bytes: bad, signerSpki: signer.spki }),
      (error: unknown) => isOperaError(error, 'bad-request', 'integrity'),
    );
  };
  for (let at = 0; at < 171; at++) check(at, 1);
  for (let back = 1; back <= 96; back++) check(bytes.length - back, 128);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => check(at, flip)),
    { numRuns: 200 },
  );
});

test('bytes from anywhere give a typed error and never anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => refuses(bytes)),
    { numRuns: 300 },
  );
});

test('a layout signed by another key is refused, also when it names that key', () => {
  const other = createSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const bytes = encodeLayout(fieldsOf(3), signer);
  assert.throws(() => verifyLayout({ bytes, signerSpki: other.spki }), { code: 'integrity' });
  const forged = encodeLayout(fieldsOf(3), { ...other, keyHash: signer.keyHash });
  assert.throws(() => verifyLayout({ bytes: forged, signerSpki: signer.spki }), { code: 'integrity' });
});

test('a layout names its predecessor by the hash of all its bytes', () => {
  const first = encodeLayout({ ...fieldsOf(3), previousHash: new Uint8Array(32) }, signer);
  const second = encodeLayout({ ...fieldsOf(3), previousHash: sha256(first) }, signer);
  assert.equal(follows(parseLayout(first), undefined), true);
  assert.equal(follows(parseLayout(second), first), true);
  assert.equal(follows(parseLayout(second), second), false);
  assert.equal(follows(parseLayout(second), undefined), false);
});
