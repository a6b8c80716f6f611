// What crosses between a store and its worker thread, and how rows of node.db become the contract's values.
// Everything here survives structured cloning: plain objects, numbers, bigints, text and buffers of their own.
// It runs no statement.
import type { VersionId, KeyHash } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type {
  ChunkAddress,
  ChunkInfo,
  ChunkWrite,
  ChunkWriteOutcome,
  ManifestWrite,
  StoredManifest,
} from './storage-adapter.ts';

/** One chunk to note down; its body lies in `file`, or at `bodyAt` in the packed bodies of its command. */
export interface ChunkRecord extends ChunkInfo {
  readonly file: string | undefined;
  readonly bodyAt: number;
}

/** One atomic write. Those that wait together share a transaction and its fsync. */
export type WriteCommand =
  | { readonly kind: 'put-chunks'; readonly chunks: readonly ChunkRecord[]; readonly bodies: Uint8Array }
  | { readonly kind: 'delete-chunks'; readonly addresses: readonly ChunkAddress[] }
  | { readonly kind: 'set-aside'; readonly address: ChunkAddress; readonly hash: Uint8Array; readonly atMs: number }
  | { readonly kind: 'put-manifests'; readonly manifests: readonly ManifestWrite[] }
  | { readonly kind: 'delete-manifests'; readonly versions: readonly VersionId[] }
  | { readonly kind: 'put-note'; readonly version: VersionId; readonly note: Uint8Array }
  | { readonly kind: 'replace-note'; readonly version: VersionId; readonly note: Uint8Array }
  | { readonly kind: 'delete-note'; readonly version: VersionId }
  | { readonly kind: 'put-state'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'delete-state'; readonly key: string }
  | { readonly kind: 'adopt-store-id'; readonly storeId: string };

/** What a put of chunks answers: outcomes in order, and files of set-aside copies that it replaced. */
export interface PutOutcome {
  readonly outcomes: ChunkWriteOutcome[];
  readonly files: string[];
}

/** Options of the worker service `storage`. */
export interface StoreServiceOptions {
  readonly folder: string;
  readonly synchronousForTests?: 'OFF' | 'NORMAL';
  /** SQLITE_FULL beyond so many pages, as a full disk would answer; for tests. */
  readonly pagesMaxForTests?: number;
}

/** A chunk as the worker finds it: with the bytes asked for when they lie in the database, else with its file. */
export interface FoundChunk {
  readonly info: ChunkInfo;
  readonly body: Uint8Array | undefined;
  readonly file: string | undefined;
}

export interface ChunkRow {
  readonly version: string;
  readonly chunk_index: number;
  readonly partition: number;
  readonly sha256: Uint8Array;
  readonly sealed_bytes: number;
  readonly served_hour: number;
  readonly layout: number;
  readonly stored_at_ms: number;
  readonly body_id: number | null;
  readonly file: string | null;
}

/** Read with safe integers: a sequence may exceed 2^53. */
export interface ManifestRow {
  readonly version: string;
  readonly partition: bigint;
  readonly sequence: bigint;
  readonly wrap_epoch: bigint;
  readonly state: 'live' | 'dead';
  readonly served_hour: bigint;
  readonly signer: string;
  readonly signer_spki: Uint8Array;
  readonly record: Uint8Array;
}

/** A plain Uint8Array over a buffer of its own, so that cloning copies these bytes and not a pool around them. */
export const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength && !Buffer.isBuffer(bytes) ? bytes : new Uint8Array(bytes);

/** True for a body that becomes a file. */
export const isLarge = ({ body }: ChunkWrite): boolean => body.length > limits.storeInlineBytesMax;

/**
 * Outcomes of large chunks that are there already (`infos`, one for each large chunk), so that no megabytes are written
 * to be thrown away. A rare one whose layout number must fall is not known: it goes through the transaction like a new
 * one.
 */
export const knownOutcomes = (
  chunks: readonly ChunkWrite[],
  infos: readonly (ChunkInfo | undefined)[],
): (ChunkWriteOutcome | undefined)[] => {
  const next = infos.values();
  return chunks.map((chunk) => {
    const info = isLarge(chunk) ? next.next().value : undefined;
    if (!info) return undefined;
    if (Buffer.compare(info.hash, chunk.hash) !== 0) return 'conflict';
    return info.layoutNumber <= chunk.layoutNumber ? 'present' : undefined;
  });
};

/** Manifests that can be cloned, and the bytes of their records. */
export const packManifests = (
  manifests: readonly ManifestWrite[],
): { readonly records: ManifestWrite[]; readonly bytes: number } => {
  const records = manifests.map((manifest): ManifestWrite => {
    const { version, partition, sequence, wrapEpoch, state, signer, servedHour } = manifest;
    const bytesOwned = { record: ownBytes(manifest.record), signerSpki: ownBytes(manifest.signerSpki) };
    return { version, partition, sequence, wrapEpoch, state, signer, servedHour, ...bytesOwned };
  });
  return { records, bytes: records.reduce((sum, { record }) => sum + record.byteLength, 0) };
};

/** Records of chunks; the bodies of those without a file are packed into one buffer, which can be handed over whole. */
export const packChunks = (
  chunks: readonly ChunkWrite[],
  files: readonly (string | undefined)[],
  storedAtMs: number,
): { readonly records: ChunkRecord[]; readonly bodies: Uint8Array } => {
  const inline = chunks.filter((_, at) => files[at] === undefined);
  const bodies = new Uint8Array(inline.reduce((sum, { body }) => sum + body.length, 0));
  let bodyAt = 0;
  const records = chunks.map((chunk, at): ChunkRecord => {
    const { version, index, partition, servedHour, layoutNumber, body } = chunk;
    const file = files[at];
    const facts = { version, index, partition, servedHour, layoutNumber, storedAtMs, length: body.length };
    const record = { ...facts, hash: ownBytes(chunk.hash), file, bodyAt };
    if (file !== undefined) return record;
    bodies.set(body, bodyAt);
    bodyAt += body.length;
    return record;
  });
  return { records, bodies };
};

/** Ids in rows were parsed before they were stored. */
export const chunkOfRow = (row: ChunkRow): ChunkInfo => ({
  version: row.version as VersionId,
  index: row.chunk_index,
  partition: row.partition,
  hash: ownBytes(row.sha256),
  length: row.sealed_bytes,
  servedHour: row.served_hour,
  layoutNumber: row.layout,
  storedAtMs: row.stored_at_ms,
});

export const manifestOfRow = (row: ManifestRow): StoredManifest => ({
  version: row.version as VersionId,
  partition: Number(row.partition),
  sequence: row.sequence,
  wrapEpoch: Number(row.wrap_epoch),
  state: row.state,
  record: ownBytes(row.record),
  signer: row.signer as KeyHash,
  signerSpki: ownBytes(row.signer_spki),
  servedHour: Number(row.served_hour),
});
