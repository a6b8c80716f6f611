// How a version's plaintext is cut into chunks and segments, and where a byte of it lies: pure arithmetic.
//
//   segment   65,536 bytes of a chunk; the last of a chunk is shorter or full, empty only in a version of size 0
//   chunk     up to 64 segments (4 MiB); all but the last are full, except in a catalogue, whose manifest lists
//             the lengths because its chunks end where records end
//   sealed    every segment grows by one tag of 16 bytes
import { OperaError } from '../errors/errors.ts';
import { tagBytes } from './chacha.ts';

export const segmentBytes = 65_536;
const chunkSegmentsMax = 64;
export const chunkBytesMax = segmentBytes * chunkSegmentsMax;
export const sealedSegmentBytes = segmentBytes + tagBytes;
export const sealedChunkBytesMax = sealedSegmentBytes * chunkSegmentsMax;
/** Chunk indices are below this; with full chunks that is 2^53 bytes, which is also where exact integers end. */
export const chunkCountMax = 2 ** 31;

const refuse = (why: string): never => {
  throw new OperaError('integrity', why);
};

const requireSize = (size: number): void => {
  if (!Number.isSafeInteger(size) || size < 0) refuse('the size of the version is not an integer in [0, 2^53)');
};

/** Segments of a chunk of `plaintextLength` bytes; an empty one has one, empty, segment. */
export const segmentCountOf = (plaintextLength: number): number =>
  Math.max(1, Math.ceil(plaintextLength / segmentBytes));

/** Bytes of a sealed chunk. */
export const sealedLength = (plaintextLength: number): number =>
  plaintextLength + segmentCountOf(plaintextLength) * tagBytes;

/** Plaintext bytes of a sealed chunk of that length; undefined when no chunk seals to it. */
export const plaintextLengthOf = (sealedChunkLength: number): number | undefined => {
  const segments = Math.ceil(sealedChunkLength / sealedSegmentBytes);
  const plaintext = sealedChunkLength - segments * tagBytes;
  const possible = segments >= 1 && segments <= chunkSegmentsMax && plaintext >= 0;
  return possible && sealedLength(plaintext) === sealedChunkLength ? plaintext : undefined;
};

/** Chunks of an ordinary version of `size` bytes; an empty one has one, empty, chunk. */
export const chunkCountOf = (size: number): number => {
  requireSize(size);
  return Math.max(1, Math.ceil(size / chunkBytesMax));
};

/** Plaintext bytes of chunk `index` of an ordinary version. */
export const chunkPlaintextLength = (size: number, index: number): number => {
  const count = chunkCountOf(size);
  if (!Number.isInteger(index) || index < 0 || index >= count) refuse('the version has no such chunk');
  return index < count - 1 ? chunkBytesMax : size - index * chunkBytesMax;
};

/** The chunks of one version, ordinary or a catalogue. */
export interface ChunkGeometry {
  readonly size: number;
  readonly chunkCount: number;
  lengthOf(index: number): number;
  /** Offset of the chunk's first byte in the version. */
  startOf(index: number): number;
  /** Index of the chunk that holds byte `offset`, which must be in [0, size). */
  chunkAt(offset: number): number;
  isLast(index: number): boolean;
}

const ordinaryGeometry = (size: number): ChunkGeometry => {
  const chunkCount = chunkCountOf(size);
  return {
    size,
    chunkCount,
    lengthOf: (index) => chunkPlaintextLength(size, index),
    startOf: (index) => index * chunkBytesMax,
    chunkAt: (offset) => Math.floor(offset / chunkBytesMax),
    isLast: (index) => index === chunkCount - 1,
  };
};

const startsOf = (size: number, chunkLengths: readonly number[]): number[] => {
  const starts: number[] = [];
  let sum = 0;
  for (const length of chunkLengths) {
    const possible = Number.isInteger(length) && length >= 1 && length <= chunkBytesMax;
    if (!possible) refuse('a chunk of the catalogue has an impossible length');
    starts.push(sum);
    sum += length;
  }
  if (sum !== size) refuse('the chunk lengths of the catalogue do not sum to its size');
  return starts;
};

const catalogueGeometry = (size: number, chunkLengths: readonly number[]): ChunkGeometry => {
  const starts = startsOf(size, chunkLengths);
  const at = (list: readonly number[], index: number): number => list[index] ?? refuse('the version has no such chunk');
  return {
    size,
    chunkCount: chunkLengths.length,
    lengthOf: (index) => at(chunkLengths, index),
    startOf: (index) => at(starts, index),
    chunkAt: (offset) => {
      let low = 0;
      let high = starts.length - 1;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (at(starts, middle) <= offset) low = middle;
        else high = middle - 1;
      }
      return low;
    },
    isLast: (index) => index === chunkLengths.length - 1,
  };
};

/** Geometry of a version; throws `integrity` unless every length is possible and they sum to `size`. */
export const createGeometry = (size: number, chunkLengths?: readonly number[]): ChunkGeometry => {
  requireSize(size);
  return chunkLengths === undefined ? ordinaryGeometry(size) : catalogueGeometry(size, chunkLengths);
};

/** The part of one sealed chunk that covers plaintext bytes [from, to) of the chunk. */
export interface SegmentRange {
  readonly firstSegment: number;
  /** Bytes [sealedFrom, sealedTo) of the sealed chunk: whole segments. */
  readonly sealedFrom: number;
  readonly sealedTo: number;
  /** Bytes to drop from the front of what these segments open to. */
  readonly skip: number;
}

/** Segments to fetch for plaintext bytes [from, to) of a chunk of `plaintextLength` bytes; 0 ≤ from < to ≤ length. */
export const planSegmentRange = (plaintextLength: number, from: number, to: number): SegmentRange => {
  if (!(from >= 0 && from < to && to <= plaintextLength)) throw new OperaError('internal', 'an impossible range');
  const firstSegment = Math.floor(from / segmentBytes);
  const lastSegment = Math.floor((to - 1) / segmentBytes);
  return {
    firstSegment,
    sealedFrom: firstSegment * sealedSegmentBytes,
    sealedTo: Math.min((lastSegment + 1) * sealedSegmentBytes, sealedLength(plaintextLength)),
    skip: from - firstSegment * segmentBytes,
  };
};
