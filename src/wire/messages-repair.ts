// Messages between nodes for repair: listings that tell facts and no contents, what a former owner asks before it
// drops its copies, and what it gives to an owner that lacks one.
import * as v from 'valibot';
import { limits } from '../model/limits.ts';
import { notes, storedChunk } from './messages-names.ts';
import { bytes, chunkIndex, count, integer, listOf, u32, u64, versionId } from './schema.ts';

const batch = limits.batchEntriesMax;
const partition = integer(0, 65_535);

export const manifestIndexRequest = v.strictObject({
  partitions: listOf(partition, 65_536, 1),
  after: v.optional(v.strictObject({ partition, version: versionId })),
  limit: integer(1, 10_000),
});
export const manifestIndexAnswer = v.object({
  manifests: listOf(v.object({ partition, version: versionId, sequence: u64, wrapEpoch: u32, length: count }), 10_000),
  more: v.boolean(),
  layoutNumber: u32,
  /** False when the store proves nothing by what it has and lacks. */
  sound: v.boolean(),
});

export const confirmRequest = v.strictObject({
  chunks: listOf(v.strictObject({ version: versionId, index: chunkIndex, hash: bytes(32) }), batch),
  manifests: listOf(v.strictObject({ version: versionId, sequence: u64, wrapEpoch: u32 }), batch),
});
/** Bitmaps in the order asked: bit i of byte i/8, least significant first. */
const bitmap = bytes(0, batch / 8);
export const confirmAnswer = v.object({
  /** Chunks held with that very hash. */
  held: bitmap,
  /** Chunks that are not held although their version is live: they would be taken. */
  wanted: bitmap,
  /** Manifests held of that order or a higher one. */
  manifests: bitmap,
  layoutNumber: u32,
  sound: v.boolean(),
});

export const giveRequest = v.strictObject({ chunks: listOf(storedChunk, batch, 1), notes: v.optional(notes) });
export const giveAnswer = v.object({ taken: count });
