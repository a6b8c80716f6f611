// The arithmetic of anti-entropy digests, shared by all adapters so that two stores agree bit by bit.
// A digest is the XOR of one SHA-256 per item, so adding and removing are the same operation and order is irrelevant.
import { createHash } from 'node:crypto';
import type { ChunkAddress, ManifestWrite } from './storage-adapter.ts';

/** Bytes of one bucket's digest. */
export const digestBytes = 32;

/** Bucket in [0, 64) of a version: the low 6 bits of its id's last byte. */
export const bucketOf = (version: string): number => Number.parseInt(version.slice(-2), 16) & 63;

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

/** SHA-256(version 16 ‖ index u32 ‖ hash 32). */
export const chunkDigest = (address: ChunkAddress, hash: Uint8Array): Uint8Array => {
  const bytes = Buffer.alloc(52);
  bytes.write(address.version, 0, 'hex');
  bytes.writeUInt32BE(address.index, 16);
  bytes.set(hash, 20);
  return sha256(bytes);
};

/** SHA-256(version 16 ‖ sequence u64 ‖ wrapEpoch u32 ‖ state u8), state 1 live, 2 dead. */
export const manifestDigest = (
  manifest: Pick<ManifestWrite, 'version' | 'sequence' | 'wrapEpoch' | 'state'>,
): Uint8Array => {
  const bytes = Buffer.alloc(29);
  bytes.write(manifest.version, 0, 'hex');
  bytes.writeBigUInt64BE(manifest.sequence, 16);
  bytes.writeUInt32BE(manifest.wrapEpoch, 24);
  bytes.writeUInt8(manifest.state === 'live' ? 1 : 2, 28);
  return sha256(bytes);
};

/** target[at…] ^= source. */
export const xorInto = (target: Uint8Array, source: Uint8Array, at = 0): void => {
  for (let i = 0; i < source.length; i++) target[at + i] = (target[at + i] ?? 0) ^ (source[i] ?? 0);
};
