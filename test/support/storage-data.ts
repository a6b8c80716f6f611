// Data for the storage suite: versions, chunks and manifests drawn from small numbers, so that a failing test shows
// which one it was, and the digests as docs/formats.md defines them, computed from scratch.
import { createHash } from 'node:crypto';
import { type KeyHash, parseKeyHash, parseVersionId, type VersionId } from '../../src/model/ids.ts';
import type {
  ChunkInfo,
  ChunkWrite,
  ManifestWrite,
  StorageAdapter,
} from '../../src/storage-adapters/storage-adapter.ts';

export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** A version id whose hex text ends in `n`, so that order and bucket follow from it. */
export const versionOf = (n: number): VersionId => parseVersionId(n.toString(16).padStart(32, '0'));

/** `length` bytes that differ from one `seed` to the next and from place to place. */
export const bytesOf = (length: number, seed = 1): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed * 2_654_435_761; i < length; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = x >>> 16;
  }
  return bytes;
};

export interface ChunkParts {
  readonly version?: number;
  readonly index?: number;
  readonly partition?: number;
  readonly length?: number;
  readonly seed?: number;
  readonly servedHour?: number;
  readonly layoutNumber?: number;
}

export const chunkOf = (parts: ChunkParts = {}): ChunkWrite => {
  const { version = 1, index = 0, partition = 7, length = 100, seed = 1, servedHour = 3, layoutNumber = 2 } = parts;
  const body = bytesOf(length, seed);
  return { version: versionOf(version), index, partition, hash: sha256(body), body, servedHour, layoutNumber };
};

/** What a store must say of a chunk it took at `storedAtMs`. */
export const infoOf = (chunk: ChunkWrite, storedAtMs: number): ChunkInfo => {
  const { version, index, partition, hash, body, servedHour, layoutNumber } = chunk;
  return { version, index, partition, hash, length: body.length, servedHour, layoutNumber, storedAtMs };
};

const signer: KeyHash = parseKeyHash('ab'.repeat(32));

export interface ManifestParts {
  readonly version?: number;
  readonly partition?: number;
  readonly sequence?: bigint;
  readonly wrapEpoch?: number;
  readonly state?: 'live' | 'dead';
  readonly seed?: number;
}

export const manifestOf = (parts: ManifestParts = {}): ManifestWrite => {
  const { version = 1, partition = 7, sequence = 10n, wrapEpoch = 1, state = 'live', seed = 1 } = parts;
  const facts = { version: versionOf(version), partition, sequence, wrapEpoch, state, signer, servedHour: 4 };
  return { ...facts, record: bytesOf(300, seed), signerSpki: bytesOf(91, 9) };
};

const integer = (value: bigint, bytes: number): Uint8Array =>
  new Uint8Array(Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex'));

const bucketXor = (items: readonly { readonly version: VersionId; readonly digest: Uint8Array }[]): Uint8Array => {
  const sums = new Uint8Array(64 * 32);
  for (const { version, digest } of items) {
    const at = (Buffer.from(version, 'hex').readUInt8(15) % 64) * 32;
    digest.forEach((byte, i) => {
      sums[at + i] = (sums[at + i] ?? 0) ^ byte;
    });
  }
  return sums;
};

const everything = async <Item, Key>(
  list: (after: Key | undefined) => Promise<{ readonly items: readonly Item[]; readonly next: Key | undefined }>,
): Promise<Item[]> => {
  const items: Item[] = [];
  for (let after: Key | undefined; ; ) {
    const page = await list(after);
    items.push(...page.items);
    if (page.next === undefined) return items;
    after = page.next;
  }
};

/** The digests of a partition, from what the store lists and nothing else. */
export const naiveDigests = async (
  store: StorageAdapter,
  partition: number,
): Promise<{ readonly chunks: Uint8Array; readonly manifests: Uint8Array }> => {
  const chunks = await everything((after: ChunkInfo | undefined) => store.listChunks(partition, after, 3) as never);
  const manifests = await everything((after: VersionId | undefined) => store.listManifests(partition, after, 3));
  return {
    chunks: bucketXor(
      (chunks as ChunkInfo[]).map(({ version, index, hash }) => ({
        version,
        digest: sha256(Buffer.from(version, 'hex'), integer(BigInt(index), 4), hash),
      })),
    ),
    manifests: bucketXor(
      manifests.map(({ version, sequence, wrapEpoch, state }) => ({
        version,
        digest: sha256(
          Buffer.from(version, 'hex'),
          integer(sequence, 8),
          integer(BigInt(wrapEpoch), 4),
          Uint8Array.of(state === 'live' ? 1 : 2),
        ),
      })),
    ),
  };
};
