// Messages about star systems: the snapshot of catalogues a query is about, queries to nodes, notes between nodes, and
// what the nodes say of their indexes. A query is data here (src/index/query.ts); whoever receives one checks its tree
// again (parseQueryTree), because a schema of trees says less than the language does.
import * as v from 'valibot';
import { limits } from '../model/limits.ts';
import { openAnswer, ticketRecord } from './messages-names.ts';
import { bytes, chunkIndex, count, listOf, memberId, text, u32, u64, versionId } from './schema.ts';

const { layouts, layoutNumber, nodes, incarnation, keyEpoch, nowMs } = openAnswer.entries;
const plan = { layouts, layoutNumber, nodes, incarnation, keyEpoch, nowMs };
const versions = listOf(versionId, limits.ticketVersionsMax, 1);

// ---- the snapshot: every live catalogue, in one step of the registry
export const catalogueListRequest = v.strictObject({
  haveLayout: u32,
  /** Only catalogues whose names begin so; all when absent. */
  prefix: v.optional(text(0, 1_024)),
});
const catalogue = v.object({ name: text(1, 1_024), version: versionId, sequence: u64, chunkCount: count });
export const catalogueListAnswer = v.object({
  ...plan,
  /** By name, in byte order. */
  catalogues: listOf(catalogue, limits.cataloguesMax),
  /**
   * A change of catalogues is acknowledged at least so long after its step: until that time after the request was sent,
   * nothing acknowledged is missing here. Absent for none.
   */
  goodForMs: v.optional(count),
  /** For queries: the first is for the first ticketVersionsMax catalogues, the next for the next, and so on. */
  tickets: listOf(ticketRecord, Math.ceil(limits.cataloguesMax / limits.ticketVersionsMax)),
});

/** Chunks of one version: bit i of byte i/8 (least significant first) is chunk from + i. At most 65,536 of them. */
export const chunkSet = v.strictObject({ version: versionId, from: chunkIndex, bits: bytes(1, 8_192) });
export type WireChunkSet = v.InferOutput<typeof chunkSet>;
const chunkSets = listOf(chunkSet, limits.batchEntriesMax);

// ---- a query, asked of one node about chunks that it should hold
export const indexQueryRequest = v.strictObject({
  /** Of a query, with all the versions it is for. */
  ticket: ticketRecord,
  versions,
  chunks: chunkSets,
  /** JSON of a bound Query. */
  query: text(1, limits.queryBytesMax),
});
/** The binary part is the JSON of an Answer (src/index/aggregate.ts) about exactly the chunks vouched for. */
export const indexQueryAnswer = v.object({
  /** Chunks that are stored, indexed and whole here: those that were counted. The others are to be asked elsewhere. */
  vouched: chunkSets,
  /** True when some were left out only because the answer was full: the same node answers them next. */
  more: v.boolean(),
  /** What it cost, for --explain. */
  candidates: count,
  records: count,
  access: text(0, 40),
  elapsedUs: count,
});

// ---- how far the index of some chunks is; with the ticket of a put, a get or a query for the versions
export const indexStateRequest = v.strictObject({ ticket: ticketRecord, versions, chunks: chunkSets });
export const indexStateAnswer = v.object({
  /** Of the chunks asked about, those whose records can be queried here. */
  indexed: chunkSets,
});

// ---- notes, between nodes: whoever copies chunks of a catalogue needs its note
export const noteReadRequest = v.strictObject({ versions });
/** In the order asked; null where there is none. With `more` the answer was full: ask for the others again. */
export const noteReadAnswer = v.object({
  notes: listOf(v.nullable(bytes(233, limits.noteBytesMax)), limits.ticketVersionsMax),
  more: v.optional(v.boolean()),
});

// ---- the operator's look
export const nodeIndex = v.object({
  mode: v.picklist(['sealed', 'plain']),
  chunks: count,
  /** Records in these chunks: found by queries; among them flagged; left out because a value is impossible. */
  indexed: count,
  flagged: count,
  rejected: count,
  /** Chunks waiting to be indexed. */
  waiting: count,
  /** Chunks that could not be indexed, and why the last one could not. */
  failed: count,
  failure: v.optional(text(0, 1_000)),
  /** Of the index's file on disk. */
  bytes: count,
});
export const nodeIndexRequest = v.strictObject({
  /** Drop the index and build it anew from the chunks. */
  rebuild: v.boolean(),
});
export const indexListRequest = v.strictObject({});
export const indexRebuildRequest = v.strictObject({ memberId: v.optional(memberId) });
export const indexListAnswer = v.object({
  nodes: listOf(v.object({ memberId, address: text(0, 262), index: v.optional(nodeIndex) }), 10_000),
});
