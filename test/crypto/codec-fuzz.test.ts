// Every reader of foreign bytes, under random and half-right input: it answers or throws one of our errors, and never
// answers anything that would not be written again as the same bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openChainRecord, sealChainRecord } from '../../src/crypto/key-chain.ts';
import { openKeyBox, parseKeyBox, sealKeyBox } from '../../src/crypto/key-box.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { encodeManifest, parseManifest } from '../../src/crypto/manifest.ts';
import { openManifestBody, sealManifestBody } from '../../src/crypto/manifest-body.ts';
import { openNote, parseNote, sealNote } from '../../src/crypto/note.ts';
import { parseRecoveryKit } from '../../src/crypto/recovery-kit.ts';
import {
  createFileKeys,
  deriveFileKeys,
  encodeHeader,
  openChunk,
  parseHeader,
  sealChunk,
} from '../../src/crypto/sealing.ts';
import { openWrap, wrapFileKey } from '../../src/crypto/wrap.ts';
import { createX25519 } from '../../src/crypto/x25519.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { labelled, network, newSigner, operationOf, SeededRandom, versionOf } from './_support.ts';

const random = new SeededRandom('fuzz');
const version = versionOf('fuzz');
const keys = createFileKeys(random, network, version);
const epochs = [1, 2].map((epoch) => ({ epoch, key: labelled(`epoch-${epoch}`, 32) }));
const [epoch1, epoch2] = epochs as [(typeof epochs)[0], (typeof epochs)[0]];
const keyring = new Keyring(network, epochs);
const wrap = wrapFileKey(keyring, network, version, keys.fileKey, random);
const signer = newSigner();
const recipient = createX25519(random);
const content = { kind: 'name-tombstone', name: 'x', follows: 1n } as const;
const body = sealManifestBody(keys.fileKey, network, version, 'dead', content, random);
const manifest = encodeManifest(
  { state: 'dead', network, version, sequence: 9n, incarnation: 1, operationId: operationOf('x'), body, wrap },
  signer,
);
const note = sealNote(keys.fileKey, keys.header, wrap, { format: 'csv' }, random);
const box = sealKeyBox(
  network,
  { kind: 1, epoch: 1, recipient: signer.keyHash, recipientKey: recipient.publicKey, secret: epoch1.key },
  signer,
  random,
);
const chain = sealChainRecord(network, epoch1, epoch2, random);
const chunk = sealChunk(keys, 0, labelled('chunk', 70_000), { last: true });

interface Codec {
  readonly good: Uint8Array;
  /** Offsets and widths of all length, count and number fields. */
  readonly numbers: readonly (readonly [at: number, width: 1 | 2 | 4 | 8])[];
  readonly read: (bytes: Uint8Array) => void;
}

const codecs: Readonly<Record<string, Codec>> = {
  header: {
    good: keys.header,
    numbers: [
      [40, 4],
      [44, 4],
      [5, 1],
      [6, 1],
      [7, 1],
    ],
    read: (bytes) => {
      assert.deepEqual(encodeHeader(parseHeader(bytes)), bytes);
      deriveFileKeys(network, version, keys.fileKey, bytes);
    },
  },
  wrap: { good: wrap, numbers: [[0, 4]], read: (bytes) => void openWrap(keyring, network, version, bytes) },
  manifest: {
    good: manifest,
    numbers: [
      [0, 1],
      [1, 1],
      [2, 2],
      [36, 8],
      [44, 4],
      [64, 4],
    ],
    read: (bytes) => {
      const parsed = parseManifest(bytes);
      const again = encodeManifest(parsed, { ...signer, keyHash: parsed.signer, sign: () => parsed.signature });
      assert.deepEqual(again, bytes);
    },
  },
  body: {
    good: body,
    numbers: [],
    read: (bytes) => void openManifestBody(keys.fileKey, network, version, 'dead', bytes),
  },
  note: {
    good: note,
    numbers: [
      [0, 1],
      [57, 4],
      [61, 4],
      [129, 4],
      [229, 4],
    ],
    read: (bytes) => void openNote(keys.fileKey, network, parseNote(bytes)),
  },
  'key box': {
    good: box,
    numbers: [
      [0, 1],
      [1, 1],
      [2, 4],
    ],
    read: (bytes) => void openKeyBox(network, parseKeyBox(bytes), recipient.privateKey),
  },
  'key chain': {
    good: chain,
    numbers: [
      [0, 1],
      [1, 4],
    ],
    read: (bytes) => void openChainRecord(network, bytes, epoch2),
  },
  chunk: { good: chunk, numbers: [], read: (bytes) => void openChunk(keys, 0, bytes, { last: true }) },
  'recovery kit': {
    good: new TextEncoder().encode('Space Opera recovery kit, version 1\nnetwork aaaa\nauthority\nkey 22\ncheck a'),
    numbers: [],
    read: (bytes) => void parseRecoveryKit(new TextDecoder().decode(bytes)),
  },
};

/** True when the reader took the bytes; any error that is not ours fails the test. */
const takes = (codec: Codec, bytes: Uint8Array): boolean => {
  const before = bytes.slice();
  try {
    codec.read(bytes);
    return true;
  } catch (error) {
    assert.ok(error instanceof OperaError, `not our error: ${String(error)}`);
    assert.notEqual(error.code, 'internal');
    return false;
  } finally {
    assert.ok(Buffer.compare(bytes, before) === 0, 'a reader changed its input');
  }
};

const mutated = (good: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc
    .record({
      flips: fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      cut: fc.option(fc.nat(good.length), { freq: 4 }),
      tail: fc.uint8Array({ maxLength: 8 }),
    })
    .map(({ flips, cut, tail }) => {
      const bytes = good.slice(0, cut ?? good.length);
      for (const [at, change] of flips) if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ change;
      return new Uint8Array(Buffer.concat([bytes, tail]));
    });

for (const [name, codec] of Object.entries(codecs)) {
  test(`${name}: random and mutated bytes are refused with one of our errors`, () => {
    const inputs = fc.oneof(
      { weight: 4, arbitrary: mutated(codec.good) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }) },
    );
    const numRuns = codec.good.length > 10_000 ? 200 : 2_000;
    fc.assert(
      fc.property(inputs, (bytes) => {
        takes(codec, bytes);
      }),
      { numRuns },
    );
  });

  if (codec.numbers.length === 0) continue;
  test(`${name}: every number one less, one more, zero or at its most is refused or means itself`, () => {
    assert.ok(takes(codec, codec.good));
    for (const [at, width] of codec.numbers) {
      for (const value of neighbours(codec.good, at, width)) {
        const bytes = codec.good.slice();
        writeNumber(bytes, at, width, value);
        takes(codec, bytes);
      }
    }
  });
}

function readNumber(bytes: Uint8Array, at: number, width: number): bigint {
  return BigInt(`0x${Buffer.from(bytes.subarray(at, at + width)).toString('hex')}`);
}

function writeNumber(bytes: Uint8Array, at: number, width: number, value: bigint): void {
  bytes.set(Buffer.from(value.toString(16).padStart(width * 2, '0'), 'hex'), at);
}

function neighbours(bytes: Uint8Array, at: number, width: number): bigint[] {
  const value = readNumber(bytes, at, width);
  const max = 2n ** BigInt(width * 8) - 1n;
  return [value - 1n, value + 1n, 0n, max, max / 2n, max / 2n + 1n].filter((n) => n >= 0n && n <= max && n !== value);
}

test('every length field of a record that is off by anything is refused', () => {
  for (const [codec, at] of [
    ['manifest', 64],
    ['note', 229],
    ['header', 40],
  ] as const) {
    const { good } = codecs[codec] as Codec;
    for (const value of neighbours(good, at, 4)) {
      const bytes = good.slice();
      writeNumber(bytes, at, 4, value);
      assert.ok(!takes(codecs[codec] as Codec, bytes), `${codec} took a length of ${value}`);
    }
  }
});
