// Messages between nodes that keep the store clean: what became of versions, who knows a name, digests of partitions
// and the lists behind them. Names travel between nodes because nodes open bodies; no master is asked for any of this.
import * as v from 'valibot';
import { limits } from '../model/limits.ts';
import {
  bytes,
  chunkIndex,
  count,
  integer,
  listOf,
  memberId,
  signedRecord,
  text,
  u32,
  u64,
  versionId,
} from './schema.ts';

const record = signedRecord(240, limits.manifestBodyBytesMax + 240);
const partition = integer(0, 4_095);

// ---- the operator's look at what nodes compare and read back
export const checkRequest = v.strictObject({
  /** Begin a whole comparison and a whole read-back now, unless one that was asked for is under way. */
  start: v.boolean(),
});
export const nodeCheck = v.object({
  /** True while what was asked for is under way. */
  running: v.boolean(),
  /** Of 4,096 partitions: how far the comparison with the other owners and the read-back are. */
  compared: integer(0, 4_096),
  readBack: integer(0, 4_096),
  /** Since the process began: chunks read back and found whole; copies found altered, and replaced by good ones. */
  verified: count,
  altered: count,
  repaired: count,
  /** Chunks fetched because another owner had them. */
  pulled: count,
  /** Altered copies kept out of sight because no good one was found yet. */
  aside: count,
  /** Addresses at which another owner has other bytes. */
  conflicts: count,
  /** Versions of which the last sweep could not tell what they are; kept. */
  unknown: count,
  /** What the database says of itself, if it is damaged. */
  damage: listOf(text(0, 1_000), 100),
});
export const checksAnswer = v.object({
  nodes: listOf(v.object({ memberId, address: text(0, 262), check: v.optional(nodeCheck) }), 10_000),
});

// ---- what became of a version, asked of the owners of its chunk 0
export const fateRequest = v.strictObject({ versions: listOf(versionId, limits.batchEntriesMax, 1) });
const fate = v.variant('kind', [
  v.object({ kind: v.literal('none') }),
  v.object({ kind: v.literal('live'), sequence: u64 }),
  /** `manifest` is the version's own; `evidence` is another of the same name when that one is still live. */
  v.object({ kind: v.literal('dead'), manifest: record, evidence: v.optional(record) }),
  /** Did not fit this answer. */
  v.object({ kind: v.literal('later') }),
]);
export type WireFate = v.InferOutput<typeof fate>;
export const fateAnswer = v.object({
  /** In the order asked. */
  fates: listOf(fate, limits.batchEntriesMax),
  /** False from a store that is blank or was restored: what it lacks proves nothing. */
  sound: v.boolean(),
});

// ---- who knows a name
export const traceRequest = v.strictObject({
  names: listOf(v.strictObject({ name: text(1, 1_024), sequence: u64 }), limits.traceNamesMax, 1),
  /** Whether manifests that follow are wanted too. */
  evidence: v.boolean(),
});
export const traceAnswer = v.object({
  traces: listOf(
    v.object({
      /** A live manifest of that name with a lower sequence is held, or it cannot be said. */
      older: v.boolean(),
      /** A manifest of that name with a higher sequence that follows it. */
      newer: v.optional(record),
    }),
    limits.traceNamesMax,
  ),
  sound: v.boolean(),
});

// ---- digests
export const digestReadRequest = v.strictObject({
  partitions: listOf(partition, limits.digestPartitionsMax, 1),
  /** SHA-256 over the asker's sums; without it one partition is asked for its digests in full. */
  sum: v.optional(bytes(32)),
});
export const digestReadAnswer = v.object({
  layoutNumber: u32,
  /**
   * Nothing when all is equal; else in the order asked SHA-256 over both digests of each partition, 32 bytes each. In
   * full: the 64 digests of chunks, then the 64 of manifests.
   */
  digests: bytes(0, 32 * limits.digestPartitionsMax),
});
export const digestListRequest = v.strictObject({ partition, buckets: listOf(integer(0, 63), 64, 1) });
export const digestListAnswer = v.object({
  layoutNumber: u32,
  /** What was stored in the last minute is left out; so is what exceeds the page, until the rest is equal. */
  chunks: listOf(
    v.object({ version: versionId, index: chunkIndex, length: count, hash: bytes(32), servedHour: u32 }),
    limits.digestItemsMax,
  ),
  manifests: listOf(v.object({ version: versionId, sequence: u64, wrapEpoch: u32 }), limits.digestItemsMax),
});
