// Chunk address → partition, the one computation that says where data lives without asking anyone.
// Invariant: the mapping is part of format version 1 and never changes; 4,096 is enough for 1,000 nodes at R = 3
// (12 copies a node) and small enough that a whole layout is a table of 25 kB.
import { sha256 } from '../crypto/digest.ts';
import { type VersionId, versionIdToBytes } from '../model/ids.ts';

/** Partitions of a network; a power of two because a partition is a prefix of a hash. */
export const partitionCount = 4096;

/** Chunk indexes are below this (formats: chunk index < 2^31). */
const chunkIndexEnd = 2 ** 31;

/** Fills the last four bytes of an address and returns its partition; the buffer is reused over many chunks. */
const partitionOfAddress = (address: Buffer, chunkIndex: number): number => {
  if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= chunkIndexEnd) {
    throw new RangeError('a chunk index is a whole number in [0, 2^31)');
  }
  address.writeUInt32BE(chunkIndex, 16);
  const hash = sha256(address);
  return ((hash[0] ?? 0) << 4) | ((hash[1] ?? 0) >>> 4);
};

const addressOf = (version: VersionId): Buffer => Buffer.concat([versionIdToBytes(version), Buffer.alloc(4)], 20);

/** Partition of a chunk: the first 12 bits of SHA-256(version id ‖ chunk index u32 big-endian), in [0, 4096). */
export const partitionOf = (version: VersionId, chunkIndex: number): number =>
  partitionOfAddress(addressOf(version), chunkIndex);

/** Partitions of the chunks [0, chunkCount) in order, computed one at a time so that a caller can stop early. */
export function* partitionsOf(version: VersionId, chunkCount: number): Generator<number, void, void> {
  const address = addressOf(version);
  for (let chunkIndex = 0; chunkIndex < chunkCount; chunkIndex++) yield partitionOfAddress(address, chunkIndex);
}
