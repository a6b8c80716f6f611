// Sealing of file contents, format 1. The header is authenticated by every segment, the wrapped key is not.
//
//   header 112 : "OPERA" 01 suite=01 00 | network 16 | version 16 | segment size u32 = 65536 | 0 u32 | salt 32 |
//                commitment 32
//   derive     : HKDF(file key, salt, "opera/file/v1" ‖ 00 ‖ network ‖ version, 64) = segment key ‖ commitment
//   segment    : XChaCha20-Poly1305(segment key, plaintext; aad = SHA-256(header),
//                nonce = salt[0..16) ‖ chunk index u32 ‖ segment in chunk u16 ‖ 00 ‖ flags u8)
//   flags      : 0 full and not the chunk's last; 1 the chunk's last; 3 the version's last
//
// The commitment is checked before anything is opened; no plaintext leaves a chunk of which any part is wrong.
// The caller guarantees that one chunk of one version is sealed from one plaintext only.
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u32, utf8 } from '../model/bytes.ts';
import { type NetworkId, networkIdToBytes, type VersionId, versionIdToBytes } from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';
import { chachaOpenInto, chachaSealInto, deriveSubkey, keyBytes, tagBytes } from './chacha.ts';
import { equalBytes, sha256 } from './digest.ts';
import {
  chunkBytesMax,
  chunkCountMax,
  plaintextLengthOf,
  sealedLength,
  sealedSegmentBytes,
  segmentBytes,
  segmentCountOf,
} from './geometry.ts';
import { hkdf } from './hkdf.ts';

export const headerBytes = 112;

const magic = concatBytes(utf8('OPERA'), Uint8Array.of(1, 1, 0));
const sizes = concatBytes(u32(segmentBytes), u32(0));
const fileLabel = utf8('opera/file/v1\0');
const flagChunkEnd = 1;
const flagVersionEnd = 3;

export interface SealHeader {
  readonly network: NetworkId;
  readonly version: VersionId;
  /** 32 random bytes. */
  readonly salt: Uint8Array;
  /** 32 bytes that only this file key derives. */
  readonly commitment: Uint8Array;
}

/** Everything needed to seal and open the chunks of one version. Secret; lives in memory only. */
export interface FileKeys {
  readonly network: NetworkId;
  readonly version: VersionId;
  readonly fileKey: Uint8Array;
  /** 112 bytes, as in the manifest. */
  readonly header: Uint8Array;
  /** SHA-256 of `header`, the associated data of every segment. */
  readonly headerHash: Uint8Array;
  /** HChaCha20 of the segment key and the first half of the salt; the same for all segments of the version. */
  readonly subkey: Uint8Array;
}

export interface SealOptions {
  /** True for the version's last chunk. */
  readonly last: boolean;
}

export interface OpenOptions {
  /** 'either' only for who does not hold the manifest (a node that indexes from a note); readers of files know. */
  readonly last: boolean | 'either';
  /** What the manifest says; another length is refused. */
  readonly plaintextLength?: number;
}

export const encodeHeader = (header: SealHeader): Uint8Array => {
  const { network, version, salt, commitment } = header;
  const bytes = concatBytes(magic, networkIdToBytes(network), versionIdToBytes(version), sizes, salt, commitment);
  if (bytes.length !== headerBytes) throw new OperaError('internal', 'the salt and commitment have 32 bytes each');
  return bytes;
};

/** Refuses every byte that is not as the format has it; does not check the commitment, which needs the key. */
export const parseHeader = (bytes: Uint8Array): SealHeader => {
  const reader = new ByteReader(bytes, 'the file header');
  reader.expect(magic, 'magic, version, suite or reserved byte');
  const network = reader.networkId();
  const version = reader.versionId();
  reader.expect(sizes, 'segment size or reserved field');
  const salt = reader.take(32);
  const commitment = reader.take(32);
  reader.end();
  return { network, version, salt, commitment };
};

const derive = (network: NetworkId, version: VersionId, fileKey: Uint8Array, salt: Uint8Array) => {
  if (fileKey.length !== keyBytes) throw new OperaError('internal', 'a file key has 32 bytes');
  const info = concatBytes(fileLabel, networkIdToBytes(network), versionIdToBytes(version));
  const derived = hkdf(fileKey, salt, info, 64);
  return { segmentKey: derived.subarray(0, 32), commitment: derived.slice(32) };
};

const fileKeysOf = (header: SealHeader, fileKey: Uint8Array, segmentKey: Uint8Array): FileKeys => {
  const bytes = encodeHeader(header);
  const { network, version, salt } = header;
  const subkey = deriveSubkey(segmentKey, salt.subarray(0, 16));
  return { network, version, fileKey, header: bytes, headerHash: sha256(bytes), subkey };
};

/** Keys and header of a new version; the salt, and the file key unless given, are drawn from `random`. */
export const createFileKeys = (
  random: Random,
  network: NetworkId,
  version: VersionId,
  fileKey: Uint8Array = random.bytes(keyBytes),
): FileKeys => {
  const salt = random.bytes(32);
  const { segmentKey, commitment } = derive(network, version, fileKey, salt);
  return fileKeysOf({ network, version, salt, commitment }, fileKey, segmentKey);
};

/**
 * Keys of an existing version from its manifest's header. `wrong-network` when the header names another network,
 * `integrity` when it names another version, has any byte wrong or was not made with this file key.
 */
export const deriveFileKeys = (
  network: NetworkId,
  version: VersionId,
  fileKey: Uint8Array,
  headerRecord: Uint8Array,
): FileKeys => {
  const header = parseHeader(headerRecord);
  requireHeaderOf(header, network, version);
  const { segmentKey, commitment } = derive(network, version, fileKey, header.salt);
  if (!equalBytes(commitment, header.commitment)) {
    throw new OperaError('integrity', 'the file key is not the one the header commits to');
  }
  return fileKeysOf(header, fileKey, segmentKey);
};

/** Throws unless the header names this network and version. */
export const requireHeaderOf = (header: SealHeader, network: NetworkId, version: VersionId): void => {
  if (header.network !== network) throw new OperaError('wrong-network', 'the file header names another network');
  if (header.version !== version) throw new OperaError('integrity', 'the file header names another version');
};

/** Inner nonce of a segment: 4 zero bytes, then the last 8 of the 24 (chunk index, segment, 00, flags). */
const segmentNonce = (chunkIndex: number, segment: number, flags: number): Uint8Array => {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, chunkIndex);
  view.setUint16(8, segment);
  view.setUint8(11, flags);
  return nonce;
};

const flagsOf = (segment: number, segments: number, last: boolean): number => {
  if (segment < segments - 1) return 0;
  return last ? flagVersionEnd : flagChunkEnd;
};

const requireIndex = (chunkIndex: number): void => {
  if (!Number.isInteger(chunkIndex) || chunkIndex < 0 || chunkIndex >= chunkCountMax) {
    throw new OperaError('integrity', 'a chunk index must be an integer in [0, 2^31)');
  }
};

const mayBeEmpty = (chunkIndex: number, last: boolean | 'either'): boolean => chunkIndex === 0 && last !== false;

/** Sealed bytes of one chunk of 0 to 4 MiB; empty only as the one chunk of an empty version. */
export const sealChunk = (
  keys: FileKeys,
  chunkIndex: number,
  plaintext: Uint8Array,
  { last }: SealOptions,
): Uint8Array => {
  requireIndex(chunkIndex);
  const possible = plaintext.length <= chunkBytesMax && (plaintext.length > 0 || mayBeEmpty(chunkIndex, last));
  if (!possible) throw new OperaError('internal', 'a chunk has 1 byte to 4 MiB, or none in an empty version');
  const segments = segmentCountOf(plaintext.length);
  const sealed = new Uint8Array(sealedLength(plaintext.length));
  for (let segment = 0; segment < segments; segment++) {
    const part = plaintext.subarray(segment * segmentBytes, (segment + 1) * segmentBytes);
    const nonce = segmentNonce(chunkIndex, segment, flagsOf(segment, segments, last));
    const target = { out: sealed, at: segment * sealedSegmentBytes };
    chachaSealInto(target, keys.subkey, nonce, part, keys.headerHash);
  }
  return sealed;
};

/** Some consecutive segments of one chunk. */
interface SegmentRun {
  readonly chunkIndex: number;
  readonly sealed: Uint8Array;
  readonly firstSegment: number;
  /** Segments of the whole chunk. */
  readonly segments: number;
  readonly last: boolean;
}

const openRun = (keys: FileKeys, run: SegmentRun): Uint8Array => {
  const count = Math.ceil(run.sealed.length / sealedSegmentBytes);
  const plaintext = new Uint8Array(run.sealed.length - count * tagBytes);
  try {
    for (let at = 0; at < count; at++) {
      const part = run.sealed.subarray(at * sealedSegmentBytes, (at + 1) * sealedSegmentBytes);
      const segment = run.firstSegment + at;
      const nonce = segmentNonce(run.chunkIndex, segment, flagsOf(segment, run.segments, run.last));
      chachaOpenInto({ out: plaintext, at: at * segmentBytes }, keys.subkey, nonce, part, keys.headerHash);
    }
  } catch (error) {
    plaintext.fill(0);
    throw error;
  }
  return plaintext;
};

const openEither = (keys: FileKeys, run: Omit<SegmentRun, 'last'>): Uint8Array => {
  try {
    return openRun(keys, { ...run, last: false });
  } catch {
    return openRun(keys, { ...run, last: true });
  }
};

/** Plaintext of one whole sealed chunk. `integrity`, and nothing released, unless every byte of it is right. */
export const openChunk = (
  keys: FileKeys,
  chunkIndex: number,
  sealed: Uint8Array,
  { last, plaintextLength }: OpenOptions,
): Uint8Array => {
  requireIndex(chunkIndex);
  const length = plaintextLengthOf(sealed.length);
  const possible = length !== undefined && (length > 0 || mayBeEmpty(chunkIndex, last));
  if (!possible || (plaintextLength !== undefined && plaintextLength !== length)) {
    throw new OperaError('integrity', 'a sealed chunk has another length than its version says');
  }
  const run = { chunkIndex, sealed, firstSegment: 0, segments: segmentCountOf(length) };
  // An empty chunk is the whole of its version, so it is the last one whoever asks.
  return last === 'either' && length > 0 ? openEither(keys, run) : openRun(keys, { ...run, last: last !== false });
};

/**
 * Plaintext of the whole segments `sealed` that begin with segment `firstSegment` of a chunk of `plaintextLength`
 * bytes (at least one), as planned by planSegmentRange. `integrity`, and nothing released, unless every byte is right.
 */
export const openSegments = (
  keys: FileKeys,
  chunkIndex: number,
  sealed: Uint8Array,
  firstSegment: number,
  { last, plaintextLength }: { readonly last: boolean; readonly plaintextLength: number },
): Uint8Array => {
  requireIndex(chunkIndex);
  const segments = segmentCountOf(plaintextLength);
  const start = firstSegment * sealedSegmentBytes;
  const end = start + sealed.length;
  const total = sealedLength(plaintextLength);
  const whole = sealed.length > 0 && (end === total || (end < total && sealed.length % sealedSegmentBytes === 0));
  const possible =
    Number.isInteger(firstSegment) && firstSegment >= 0 && plaintextLength > 0 && plaintextLength <= chunkBytesMax;
  if (!possible || !whole)
    throw new OperaError('integrity', 'a part of a sealed chunk has another length than asked for');
  return openRun(keys, { chunkIndex, sealed, firstSegment, segments, last });
};
