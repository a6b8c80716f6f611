// Messages about names and chunks: opening uploads, commits, listings, and the transfer of sealed bytes.
// Sealed chunks travel in the binary part, in the order the message lists them; everything else is small.
import * as v from 'valibot';
import { limits } from '../model/limits.ts';
import { layoutRecord, peers } from './messages-members.ts';
import {
  bytes,
  chunkIndex,
  count,
  integer,
  keyHash,
  listOf,
  memberId,
  milliseconds,
  operationId,
  role,
  signedRecord,
  text,
  u32,
  u64,
  versionId,
} from './schema.ts';

const batch = limits.batchEntriesMax;
/** Names are checked and normalised by model/names.ts where they matter; 1,024 bytes are at most 1,024 characters. */
const name = text(1, 1_024);
const wrap = bytes(76);
const body = bytes(40, limits.manifestBodyBytesMax);
const versions = listOf(versionId, batch, 1);
export const ticketRecord = signedRecord(224, 224);

const nameVersion = v.object({ version: versionId, sequence: u64 });

/** What every plan carries: where chunks live, whom to dial, and what to show the nodes. */
const plan = {
  /** All unretired layouts, ascending; empty when the newest is the one the request said it had. */
  layouts: listOf(layoutRecord, 16),
  layoutNumber: u32,
  nodes: peers,
  incarnation: u32,
  keyEpoch: u32,
  nowMs: milliseconds,
};

export const openRequest = v.strictObject({ names: listOf(name, batch, 1), haveLayout: u32 });
export const openAnswer = v.object({
  ...plan,
  uploads: listOf(v.object({ version: versionId, current: v.optional(nameVersion) }), batch),
  ticket: ticketRecord,
});

export const ticketRenewRequest = v.strictObject({ ticket: ticketRecord, versions, haveLayout: u32 });
export const ticketRenewAnswer = v.object({ ...plan, ticket: ticketRecord });

/** Which chunks of an open upload are durable already: what a resumed put need not send again. */
export const uploadHeldRequest = v.strictObject({
  ticket: ticketRecord,
  versions,
  version: versionId,
  from: chunkIndex,
  to: chunkIndex,
});
export const uploadHeldAnswer = v.object({ held: bytes(0, 8_192) });

const sealed = { version: versionId, body, wrap, follows: u64 };
const condition = v.strictObject({ ifAbsent: v.optional(v.boolean()), ifVersion: v.optional(versionId) });
const changeBase = { operationId, name, condition: v.optional(condition) };
const nameChange = v.variant('kind', [
  v.strictObject({
    kind: v.literal('put'),
    ...changeBase,
    sealed: v.strictObject(sealed),
    chunkCount: integer(1, limits.chunkIndexMax),
    /** True when its content is star systems: queries ask about it. */
    catalogue: v.optional(v.boolean()),
  }),
  v.strictObject({
    kind: v.literal('rename'),
    ...changeBase,
    to: name,
    sealed: v.strictObject(sealed),
    tombstone: v.strictObject(sealed),
  }),
  v.strictObject({ kind: v.literal('remove'), ...changeBase, sealed: v.strictObject(sealed) }),
]);
export type WireNameChange = v.InferOutput<typeof nameChange>;
const changes = listOf(nameChange, batch, 1);

/** Commits of a put show the upload's ticket; rename and remove need none. */
export const commitRequest = v.strictObject({
  changes,
  ticket: v.optional(ticketRecord),
  versions: v.optional(versions),
});
const changeOutcome = v.variant('done', [
  v.object({
    done: v.literal(true),
    sequence: u64,
    incarnation: u32,
    replaced: v.optional(nameVersion),
    repeated: v.boolean(),
  }),
  v.object({ done: v.literal(false), code: text(1, 40), current: v.optional(nameVersion) }),
]);
export type WireChangeOutcome = v.InferOutput<typeof changeOutcome>;
export const commitAnswer = v.object({ outcomes: listOf(changeOutcome, batch) });

const nameRecord = v.object({
  name,
  version: versionId,
  sequence: u64,
  incarnation: u32,
  operationId,
  chunkCount: count,
  /** True when its content is star systems; absent otherwise. */
  catalogue: v.optional(v.boolean()),
  body,
  wrap,
});
export type WireNameRecord = v.InferOutput<typeof nameRecord>;

/** While the registry is out of reach: an answer that may be behind is better than none. */
const staleOk = v.optional(v.boolean());

export const namesGetRequest = v.strictObject({ names: listOf(name, batch, 1), haveLayout: u32, staleOk });
export const namesGetAnswer = v.object({
  ...plan,
  /** In the order asked; null where there is no such name. With `more` only the first names are answered. */
  records: listOf(v.nullable(nameRecord), batch),
  /** True when later names were left out because the answer was full: ask for them again. */
  more: v.optional(v.boolean()),
  /** For the versions found; absent when none was. */
  ticket: v.optional(ticketRecord),
});
export const namesListRequest = v.strictObject({
  prefix: text(0, 1_024),
  after: v.optional(name),
  limit: integer(1, limits.listPageMax),
});
/** `next` also before `limit` names, when the answer was full. */
export const namesListAnswer = v.object({ records: listOf(nameRecord, limits.listPageMax), next: v.optional(name) });

export const whereRequest = v.strictObject({ name, from: chunkIndex, limit: integer(1, 10_000) });
/** Fewer chunks than asked for when the answer was full. */
export const whereAnswer = v.object({
  version: versionId,
  chunkCount: count,
  chunks: listOf(
    v.object({
      index: chunkIndex,
      partition: integer(0, 65_535),
      copies: listOf(
        v.object({
          memberId,
          state: v.picklist(['held', 'missing', 'unreachable']),
          owner: v.boolean(),
          /** When the node last read the copy and found it good; absent when it never did, or did not say. */
          verifiedMs: v.optional(milliseconds),
        }),
        1_000,
      ),
    }),
    10_000,
  ),
  nodes: peers,
  layoutNumber: u32,
});

/** A gateway passes a client's request on and says whose it is; masters trust gateways in this. */
export const onBehalf = <const S extends v.GenericSchema>(request: S) =>
  v.strictObject({
    client: keyHash,
    clientRole: role,
    request,
    /** No master reaches the registry: names are to be asked of the nodes. */
    fromNodes: v.optional(v.boolean()),
  });

// ---- nodes
const chunkAddress = { version: versionId, index: chunkIndex };
export const storedChunk = v.strictObject({ ...chunkAddress, length: integer(16, 4_195_328), hash: bytes(32) });
const chunksToStore = listOf(storedChunk, batch, 1);

/** Notes of the catalogues among the chunks, once for each version. */
export const notes = listOf(bytes(233, limits.noteBytesMax), batch);

export const storeRequest = v.strictObject({
  ticket: ticketRecord,
  versions,
  chunks: chunksToStore,
  notes: v.optional(notes),
  /** Changes of single-chunk files, which the node passes to a master when the copies are durable. */
  commit: v.optional(changes),
});
const storeOutcome = v.picklist(['stored', 'present', 'conflict']);
export const storeAnswer = v.object({
  outcomes: listOf(storeOutcome, batch),
  /** Durable copies of each chunk when this was answered. */
  copies: listOf(count, batch),
  commit: v.optional(listOf(changeOutcome, batch)),
});
export const copyRequest = v.strictObject({
  ticket: ticketRecord,
  versions,
  chunks: chunksToStore,
  notes: v.optional(notes),
});
export const copyAnswer = v.object({ outcomes: listOf(storeOutcome, batch) });

/** Clients show a ticket; nodes pulling copies need none. `from`/`to` are [from, to) in sealed bytes. */
export const readRequest = v.strictObject({
  ticket: v.optional(ticketRecord),
  versions: v.optional(versions),
  chunks: listOf(v.strictObject({ ...chunkAddress, from: v.optional(count), to: v.optional(count) }), batch, 1),
});
export const readAnswer = v.object({
  /**
   * In the order asked; null where the chunk is absent or did not fit this answer (`more`). `length` 0 (no sealed chunk
   * is that short) where the node has the chunk but found it altered.
   */
  chunks: listOf(v.nullable(v.object({ length: count, hash: bytes(32), totalLength: count })), batch),
  /** True when later chunks were left out because the answer was full: ask for them again. */
  more: v.boolean(),
});

export const holdRequest = v.strictObject({
  /** Only chunks that were taken under this layout or a lower one. */
  layoutNumber: u32,
  versions: listOf(v.strictObject({ version: versionId, from: chunkIndex, to: chunkIndex }), batch, 1),
  /** For people: also when each held chunk was last found whole. */
  verified: v.optional(v.boolean()),
});
/** Per version a bitmap of [from, to): bit i of byte i/8 (least significant first) is chunk from + i. */
export const holdAnswer = v.object({
  held: listOf(bytes(0, 8_192), batch),
  layoutNumber: u32,
  /** Per version a list for [from, to): ms since 1970, 0 where the chunk is not held. */
  verified: v.optional(listOf(listOf(milliseconds, 65_536), batch)),
});

/** A listing walks the partitions in the order given; `after` is the last item of the page before. */
const partitions = listOf(integer(0, 65_535), 65_536, 1);
export const chunkListRequest = v.strictObject({
  partitions,
  after: v.optional(v.strictObject({ partition: integer(0, 65_535), ...chunkAddress })),
  limit: integer(1, 10_000),
});
export const chunkListAnswer = v.object({
  chunks: listOf(
    v.object({ partition: integer(0, 65_535), ...chunkAddress, length: count, hash: bytes(32), servedHour: u32 }),
    10_000,
  ),
  /** True when there is more after the last chunk. */
  more: v.boolean(),
  layoutNumber: u32,
  /** False when the store proves nothing by what it has and lacks. */
  sound: v.boolean(),
});

const manifestRecord = signedRecord(240, limits.manifestBodyBytesMax + 240);
export const manifestStoreRequest = v.strictObject({
  incarnation: u32,
  layoutNumber: u32,
  /** Manifests as in docs/formats.md, all signed by the sender. */
  manifests: listOf(bytes(240, limits.manifestBodyBytesMax + 240), batch, 1),
});
export const manifestStoreAnswer = v.object({
  outcomes: listOf(v.picklist(['stored', 'present', 'stale']), batch),
});
export const manifestReadRequest = v.strictObject({ versions });
/** With `more` only the first versions are answered, because the answer was full: ask for the others again. */
export const manifestReadAnswer = v.object({
  manifests: listOf(v.nullable(manifestRecord), batch),
  more: v.optional(v.boolean()),
});
export const manifestListRequest = v.strictObject({
  partitions,
  after: v.optional(v.strictObject({ partition: integer(0, 65_535), version: versionId })),
  limit: integer(1, 1_000),
});
export const manifestListAnswer = v.object({
  manifests: listOf(v.object({ partition: integer(0, 65_535), record: manifestRecord }), 1_000),
  more: v.boolean(),
  layoutNumber: u32,
  sound: v.boolean(),
});
