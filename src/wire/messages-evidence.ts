// Messages by which a master learns from the nodes what the registry lost: what each node knows of the order of things,
// which manifests it holds, what they say, and what it knows of a name. Masters hold no keys: nodes open the bodies.
import * as v from 'valibot';
import { limits } from '../model/limits.ts';
import { layoutRecord } from './messages-members.ts';
import { count, integer, listOf, signedRecord, text, u32, u64, versionId } from './schema.ts';

const partition = integer(0, 65_535);

/** Without `force` the registry is forgotten and put back; with it, what is being put back waits for no nodes. */
export const rebuildRequest = v.strictObject({ force: v.boolean() });
export const rebuildAnswer = v.object({ incarnation: u32, mode: v.picklist(['normal', 'safe']) });

/** The node follows a higher incarnation before it answers; 0 only asks. */
export const evidenceStateRequest = v.strictObject({ incarnation: u32 });
export const evidenceStateAnswer = v.object({
  /** The highest incarnation known here. No manifest of a lower one is taken any more, nor is one under way. */
  incarnation: u32,
  /** False when the store proves nothing by what it has and lacks. */
  sound: v.boolean(),
  highestSequence: u64,
  promisedEpoch: u64,
  retiredUpTo: u32,
  /** Unretired layouts in force here, ascending. */
  layouts: listOf(layoutRecord, 64),
});

export const evidenceListRequest = v.strictObject({
  /** Refused `stale-incarnation` unless it is the one known here. */
  incarnation: u32,
  partitions: listOf(partition, 65_536, 1),
  /** Only manifests of a higher sequence. */
  above: u64,
  after: v.optional(v.strictObject({ partition, version: versionId })),
  limit: integer(1, 10_000),
});
export const evidenceListAnswer = v.object({
  manifests: listOf(v.object({ partition, version: versionId, sequence: u64 }), 10_000),
  /** Pass as `after` for the rest; absent at the end. */
  next: v.optional(v.object({ partition, version: versionId })),
});

const manifestRecord = signedRecord(240, limits.manifestBodyBytesMax + 240);
export const evidenceReadRequest = v.strictObject({ versions: listOf(versionId, limits.batchEntriesMax, 1) });
export const evidenceReadAnswer = v.object({
  /** In the order asked, as many as fit, at least one; null where there is none. */
  manifests: listOf(
    v.nullable(
      v.object({
        record: manifestRecord,
        /** What the body says; absent when it cannot be opened here. */
        content: v.optional(
          v.object({
            name: text(1, 1_024),
            chunkCount: count,
            /** True when it lists the lengths of its chunks, as catalogues do; absent otherwise. */
            catalogue: v.optional(v.boolean()),
          }),
        ),
      }),
    ),
    limits.batchEntriesMax,
  ),
});

export const evidenceFindRequest = v.strictObject({ names: listOf(text(1, 1_024), limits.batchEntriesMax, 1) });
export const evidenceFindAnswer = v.object({
  /** In the order asked: the manifest of that name with the highest sequence; null where none is held. */
  found: listOf(v.nullable(v.object({ version: versionId, sequence: u64 })), limits.batchEntriesMax),
  /** False when some manifest here cannot be opened: any name may be its. */
  whole: v.boolean(),
});
