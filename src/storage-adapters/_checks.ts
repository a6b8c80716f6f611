// Limits of the contract, asserted by every adapter before it touches anything: what breaks one is `bad-request` or
// `too-large` and leaves the store as it was. Ids are branded text and were parsed at the border; hashes were checked
// there too, so that nothing is hashed here.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { ChunkAddress, ChunkWrite, ManifestWrite } from './storage-adapter.ts';

/** Sealed bytes of a chunk: one empty segment (its tag) to 64 full segments. */
const chunkBytesMin = 16;
const chunkBytesMax = 4_195_328;
const partitions = 4_096;
const u32Max = 0xffff_ffff;
/** SQLite's integers are signed; a sequence counts microseconds and gets there in the year 294,247. */
const sequenceMax = 2n ** 63n - 1n;

const require = (holds: boolean, message: string): void => {
  if (!holds) throw new OperaError('bad-request', `storage: ${message}`);
};

const requireSize = (bytes: number, max: number, what: string): void => {
  if (bytes > max) throw new OperaError('too-large', `storage: ${what} has ${bytes} bytes, at most ${max} are allowed`);
};

const requireInteger = (value: number, min: number, max: number, what: string): void =>
  require(Number.isInteger(value) && value >= min && value <= max, `${what} must be an integer in [${min}, ${max}]`);

export const checkPartition = (partition: number): void => requireInteger(partition, 0, partitions - 1, 'a partition');

export const checkAddress = (address: ChunkAddress): void =>
  requireInteger(address.index, 0, limits.chunkIndexMax, 'a chunk index');

export const checkChunks = (chunks: readonly ChunkWrite[]): void => {
  require(chunks.length <= limits.batchEntriesMax, `at most ${limits.batchEntriesMax} chunks a call`);
  for (const chunk of chunks) {
    checkAddress(chunk);
    checkPartition(chunk.partition);
    requireInteger(chunk.servedHour, 0, u32Max, 'a served hour');
    requireInteger(chunk.layoutNumber, 0, u32Max, 'a layout number');
    require(chunk.hash.length === 32, 'a hash has 32 bytes');
    require(chunk.body.length >= chunkBytesMin, `a sealed chunk has at least ${chunkBytesMin} bytes`);
    requireSize(chunk.body.length, chunkBytesMax, 'a sealed chunk');
  }
};

export const checkManifests = (manifests: readonly ManifestWrite[]): void => {
  require(manifests.length <= limits.batchEntriesMax, `at most ${limits.batchEntriesMax} manifests a call`);
  for (const manifest of manifests) {
    checkPartition(manifest.partition);
    requireInteger(manifest.wrapEpoch, 0, u32Max, 'a wrap epoch');
    requireInteger(manifest.servedHour, 0, u32Max, 'a served hour');
    require(manifest.sequence >= 0n && manifest.sequence <= sequenceMax, 'a sequence lies in [0, 2^63)');
    requireSize(manifest.record.length, limits.manifestBodyBytesMax + 1_024, 'a manifest');
    requireSize(manifest.signerSpki.length, 1_024, 'a public key');
  }
};

export const checkNote = (note: Uint8Array): void => requireSize(note.length, limits.noteBytesMax, 'a note');

const isStateText = (text: string): boolean =>
  text.length <= limits.storeStateKeyLengthMax && /^[\x20-\x7e]*$/.test(text);

export const checkStateKey = (key: string): void =>
  require(key.length > 0 && isStateText(key), 'a state key has 1 to 200 printable ASCII characters');

export const checkStatePrefix = (prefix: string): void =>
  require(isStateText(prefix), 'a state prefix has at most 200 printable ASCII characters');

export const checkState = (key: string, value: Uint8Array): void => {
  checkStateKey(key);
  requireSize(value.length, limits.storeStateBytesMax, 'a state record');
};

export const checkLimit = (limit: number): void => requireInteger(limit, 1, limits.storePageMax, 'a page limit');

export const checkPage = (partition: number, limit: number): void => {
  checkPartition(partition);
  checkLimit(limit);
};

export const checkWrapEpoch = (wrapEpoch: number): void => requireInteger(wrapEpoch, 0, u32Max, 'a wrap epoch');

export const checkRange = (from: number, to: number): void =>
  require(Number.isInteger(from) &&
    Number.isInteger(to) &&
    from >= 0 &&
    to >= from, 'a range is [from, to), from ≤ to');

export const checkStoreId = (storeId: string): void =>
  require(/^[0-9a-f]{32}$/.test(storeId), 'a store id has 32 hex characters');
