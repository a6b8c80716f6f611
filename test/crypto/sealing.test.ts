// Sealing under attack: whatever is done to the stored bytes, a reader gets the plaintext that was sealed or an
// error, and no byte of a chunk of which any part is wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chachaSeal, deriveSubkey } from '../../src/crypto/chacha.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { createGeometry, planSegmentRange, sealedSegmentBytes, segmentBytes } from '../../src/crypto/geometry.ts';
import {
  createFileKeys,
  deriveFileKeys,
  encodeHeader,
  type FileKeys,
  headerBytes,
  openChunk,
  openSegments,
  parseHeader,
  sealChunk,
} from '../../src/crypto/sealing.ts';
import { altered, labelled, network, otherNetwork, refuses, SeededRandom, toHex, versionOf } from './_support.ts';

interface Sealed {
  readonly keys: FileKeys;
  readonly lengths: readonly number[];
  readonly chunks: readonly Uint8Array[];
  readonly plaintext: Uint8Array;
}

/** A version cut like a catalogue, so that small chunks can stand in any number. */
function sealVersion(label: string, lengths: readonly number[]): Sealed {
  const keys = createFileKeys(new SeededRandom(label), network, versionOf(label));
  const plaintext = labelled(
    `data/${label}`,
    lengths.reduce((sum, length) => sum + length, 0),
  );
  const geometry = createGeometry(plaintext.length, lengths);
  const chunks = lengths.map((length, index) => {
    const start = geometry.startOf(index);
    return sealChunk(keys, index, plaintext.subarray(start, start + length), { last: geometry.isLast(index) });
  });
  return { keys, lengths, chunks, plaintext };
}

/** Reads a version as a client does; `released` is what the caller has been given so far. */
function read(keys: FileKeys, lengths: readonly number[], chunks: readonly Uint8Array[], released: Uint8Array[] = []) {
  const size = lengths.reduce((sum, length) => sum + length, 0);
  const geometry = createGeometry(size, lengths);
  for (let index = 0; index < geometry.chunkCount; index++) {
    const plaintextLength = geometry.lengthOf(index);
    const sealed = chunks[index] ?? new Uint8Array(0);
    released.push(openChunk(keys, index, sealed, { last: geometry.isLast(index), plaintextLength }));
  }
  return Buffer.concat(released);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

const three = sealVersion('three', [2 * segmentBytes + 100, segmentBytes, 50]);
const other = sealVersion('other', [2 * segmentBytes + 100, segmentBytes, 50]);
const [first = new Uint8Array(0), second = new Uint8Array(0), third = new Uint8Array(0)] = three.chunks;
const firstOptions = { last: false, plaintextLength: 2 * segmentBytes + 100 };

/** The attacked chunk must be refused, and nothing of it or of what follows released. */
const attack = (name: string, chunks: readonly Uint8Array[], at: number): void => {
  test(`attack: ${name} is refused and releases nothing`, () => {
    const released: Uint8Array[] = [];
    refuses(() => read(three.keys, three.lengths, chunks, released), 'integrity');
    assert.equal(released.length, at);
  });
};

test('what was sealed is read', () => {
  assert.ok(Buffer.compare(read(three.keys, three.lengths, three.chunks), three.plaintext) === 0);
});

attack('a truncation at a chunk border', [first, second], 2);
attack('a truncation at a segment border', [first.subarray(0, sealedSegmentBytes), second, third], 0);
attack('a truncation inside a segment', [first.subarray(0, first.length - 1), second, third], 0);
attack('an empty chunk', [new Uint8Array(0), second, third], 0);
attack('a chunk of one bare tag', [first.subarray(0, 16), second, third], 0);
attack('an appended byte', [first, join(second, Uint8Array.of(0)), third], 1);
attack('an appended segment', [first, join(second, second), third], 1);
attack('swapped chunks', [first, third, second], 1);
attack('a duplicated chunk', [first, second, second], 2);
attack('a chunk of another version', [first, other.chunks[1] ?? first, third], 1);
attack('all chunks of another version', other.chunks, 0);

const equal = sealVersion('equal', [100, 100, 100, 100]);
const equalOther = sealVersion('equal, other', [100, 100, 100, 100]);
for (const [what, order] of [
  ['swapped chunks of one length', [0, 2, 1, 3]],
  ['a duplicated chunk of the length of the one it replaces', [0, 0, 2, 3]],
] as const) {
  test(`attack: ${what} are refused and release nothing`, () => {
    const released: Uint8Array[] = [];
    const chunks = order.map((index) => equal.chunks[index] ?? new Uint8Array(0));
    refuses(() => read(equal.keys, equal.lengths, chunks, released), 'integrity');
    assert.equal(released.length, 1);
  });
}

test('attack: a chunk of another version is refused at its own place, and so are all of them', () => {
  for (const foreign of [[1], [0, 1, 2, 3]]) {
    const released: Uint8Array[] = [];
    const chunks = equal.chunks.map((chunk, at) => (foreign.includes(at) ? (equalOther.chunks[at] ?? chunk) : chunk));
    refuses(() => read(equal.keys, equal.lengths, chunks, released), 'integrity');
    assert.equal(released.length, foreign[0]);
  }
});

attack(
  'swapped segments',
  [
    join(
      first.subarray(sealedSegmentBytes, 2 * sealedSegmentBytes),
      first.subarray(0, sealedSegmentBytes),
      first.subarray(2 * sealedSegmentBytes),
    ),
    second,
    third,
  ],
  0,
);
attack(
  'a duplicated segment',
  [
    join(
      first.subarray(0, sealedSegmentBytes),
      first.subarray(0, sealedSegmentBytes),
      first.subarray(2 * sealedSegmentBytes),
    ),
    second,
    third,
  ],
  0,
);
attack(
  'a segment spliced in from another version',
  [join(other.chunks[0]?.subarray(0, sealedSegmentBytes) ?? first, first.subarray(sealedSegmentBytes)), second, third],
  0,
);

test('attack: every flipped bit of a chunk is refused', () => {
  for (let bit = 0; bit < third.length * 8; bit++) {
    refuses(() => openChunk(three.keys, 2, altered(third, bit >> 3, 1 << (bit & 7)), { last: true }), 'integrity');
  }
  for (const at of [0, sealedSegmentBytes - 1, sealedSegmentBytes, first.length - 17, first.length - 1]) {
    refuses(() => openChunk(three.keys, 0, altered(first, at, 0x80), firstOptions), 'integrity');
  }
});

test('attack: patched lengths in the manifest are refused', () => {
  const [a, b, c] = three.lengths as [number, number, number];
  for (const lengths of [
    [a - 1, b + 1, c],
    [a, b - 1, c + 1],
    [a, b, c - 1],
    [a, b, c + 1],
    [a, b],
  ]) {
    refuses(() => read(three.keys, lengths, three.chunks), 'integrity');
  }
  refuses(() => createGeometry(2 ** 53 + 2), 'integrity');
});

test('attack: the end of a version cannot be moved', () => {
  refuses(() => openChunk(three.keys, 1, second, { last: true }), 'integrity');
  refuses(() => openChunk(three.keys, 2, third, { last: false }), 'integrity');
  const shorter = sealVersion('shorter', [segmentBytes]);
  refuses(() => openChunk(shorter.keys, 0, shorter.chunks[0] ?? third, { last: false }), 'integrity');
});

test('an empty segment is only that of an empty version', () => {
  const empty = sealVersion('empty', [1]).keys;
  const sealed = sealChunk(empty, 0, new Uint8Array(0), { last: true });
  assert.equal(openChunk(empty, 0, sealed, { last: true, plaintextLength: 0 }).length, 0);
  refuses(() => openChunk(empty, 0, sealed, { last: false }), 'integrity');
  refuses(() => openChunk(empty, 1, sealed, { last: true }), 'integrity');
  refuses(() => openChunk(empty, 0, sealed, { last: true, plaintextLength: 1 }), 'integrity');
  refuses(() => sealChunk(empty, 0, new Uint8Array(0), { last: false }), 'internal');
  refuses(() => sealChunk(empty, 1, new Uint8Array(0), { last: true }), 'internal');
});

test('attack: an empty segment with a right tag is refused anywhere but in an empty version', () => {
  for (const [chunkIndex, flags, last] of [
    [0, 1, false],
    [1, 1, false],
    [1, 3, true],
  ] as const) {
    const nonce = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, chunkIndex, 0, 0, 0, flags);
    const sealed = chachaSeal(three.keys.subkey, nonce, new Uint8Array(0), three.keys.headerHash);
    refuses(() => openChunk(three.keys, chunkIndex, sealed, { last }), 'integrity');
    refuses(() => openChunk(three.keys, chunkIndex, sealed, { last: 'either' }), 'integrity');
    refuses(() => openSegments(three.keys, chunkIndex, sealed, 0, { last, plaintextLength: 0 }), 'integrity');
  }
});

test('chunks over 4 MiB and indices from 2^31 are not sealed', () => {
  refuses(() => sealChunk(three.keys, 0, new Uint8Array(4 * 1024 * 1024 + 1), { last: true }), 'internal');
  for (const index of [-1, 0.5, 2 ** 31, Number.NaN]) {
    refuses(() => sealChunk(three.keys, index, Uint8Array.of(1), { last: true }), 'integrity');
    refuses(() => openChunk(three.keys, index, third, { last: true }), 'integrity');
  }
  const far = sealChunk(three.keys, 2 ** 31 - 1, Uint8Array.of(1), { last: true });
  assert.deepEqual(openChunk(three.keys, 2 ** 31 - 1, far, { last: true }), Uint8Array.of(1));
});

test('who has only a note opens a chunk without knowing whether it is the last, but not an altered one', () => {
  assert.equal(openChunk(three.keys, 1, second, { last: 'either' }).length, segmentBytes);
  assert.equal(openChunk(three.keys, 2, third, { last: 'either' }).length, 50);
  refuses(() => openChunk(three.keys, 1, third, { last: 'either' }), 'integrity');
  refuses(() => openChunk(three.keys, 2, altered(third, 3), { last: 'either' }), 'integrity');
});

test('ranges open from their segments alone', () => {
  const length = three.lengths[0] ?? 0;
  for (const [from, to] of [
    [0, 1],
    [segmentBytes - 1, segmentBytes + 1],
    [10, length],
    [length - 1, length],
  ] as const) {
    const plan = planSegmentRange(length, from, to);
    const slice = first.slice(plan.sealedFrom, plan.sealedTo);
    const opened = openSegments(three.keys, 0, slice, plan.firstSegment, firstOptions);
    assert.ok(
      Buffer.compare(opened.subarray(plan.skip, plan.skip + to - from), three.plaintext.subarray(from, to)) === 0,
    );
  }
});

test('attack: parts of a chunk that are not what was asked for are refused', () => {
  const part = first.slice(sealedSegmentBytes, 2 * sealedSegmentBytes);
  assert.equal(openSegments(three.keys, 0, part, 1, firstOptions).length, segmentBytes);
  for (const firstSegment of [-1, 0, 2, 3, 0.5, 2 ** 53]) {
    refuses(() => openSegments(three.keys, 0, part, firstSegment, firstOptions), 'integrity');
  }
  refuses(() => openSegments(three.keys, 0, part.subarray(1), 1, firstOptions), 'integrity');
  refuses(() => openSegments(three.keys, 0, new Uint8Array(0), 1, firstOptions), 'integrity');
  refuses(() => openSegments(three.keys, 1, part, 1, firstOptions), 'integrity');
  refuses(() => openSegments(three.keys, 0, part, 1, { last: false, plaintextLength: 2 * segmentBytes }), 'integrity');
  refuses(() => openSegments(three.keys, 0, altered(part, 9), 1, firstOptions), 'integrity');
  for (const plaintextLength of [-1, 2 ** 53, 4 * 1024 * 1024 + 1]) {
    refuses(() => openSegments(three.keys, 0, part, 1, { last: false, plaintextLength }), 'integrity');
  }
});

test('attack: every flipped bit of the header is refused before anything is opened', () => {
  const { header, fileKey, version } = three.keys;
  for (let bit = 0; bit < headerBytes * 8; bit++) {
    const at = bit >> 3;
    const code = at >= 8 && at < 24 ? 'wrong-network' : 'integrity';
    refuses(() => deriveFileKeys(network, version, fileKey, altered(header, at, 1 << (bit & 7))), code);
  }
  refuses(() => deriveFileKeys(network, version, fileKey, header.subarray(1)), 'integrity');
  refuses(() => deriveFileKeys(network, version, fileKey, join(header, Uint8Array.of(0))), 'integrity');
  refuses(() => deriveFileKeys(network, version, fileKey, new Uint8Array(0)), 'integrity');
});

test('attack: a header of another network, version or key is refused', () => {
  const { header, fileKey, version } = three.keys;
  refuses(() => deriveFileKeys(otherNetwork, version, fileKey, header), 'wrong-network');
  refuses(() => deriveFileKeys(network, versionOf('other'), fileKey, header), 'integrity');
  refuses(() => deriveFileKeys(network, version, other.keys.fileKey, header), 'integrity');
});

test('a chunk whose tag is right under a second key is refused by the commitment', () => {
  const { header, version, headerHash } = three.keys;
  const secondKey = labelled('second key', 32);
  // What a forger could hold who found one ciphertext for two keys: right tag, right header, wrong file key.
  const salt = parseHeader(header).salt;
  const honest = createFileKeys(new SeededRandom('x'), network, version, secondKey);
  const forged: FileKeys = { ...honest, header, headerHash, subkey: deriveSubkey(secondKey, salt.subarray(0, 16)) };
  const sealed = sealChunk(forged, 0, Uint8Array.of(1, 2, 3), { last: true });
  assert.equal(openChunk(forged, 0, sealed, { last: true }).length, 3);
  assert.throws(() => deriveFileKeys(network, version, secondKey, header), /commits to/);
});

test('the header reads back as it was written', () => {
  assert.deepEqual(encodeHeader(parseHeader(three.keys.header)), three.keys.header);
  assert.deepEqual(three.keys.headerHash, sha256(three.keys.header));
  assert.notDeepEqual(three.keys.header, other.keys.header);
});

test('no two segments of a version share a key stream', () => {
  const seen = new Set<string>();
  const zeros = new Uint8Array(3 * segmentBytes);
  for (let chunk = 0; chunk < 20; chunk++) {
    for (const last of [false, true]) {
      const sealed = sealChunk(three.keys, chunk, zeros, { last });
      for (let at = last ? 2 : 0; at < 3; at++) {
        const start = at * sealedSegmentBytes;
        seen.add(toHex(sealed.subarray(start, start + 32)));
      }
    }
  }
  assert.equal(seen.size, 20 * 4);
});
