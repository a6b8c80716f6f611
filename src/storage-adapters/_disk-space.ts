// How much of a disk puts may fill. A reserve stays for what frees space or must be kept anyway (deletions, promises,
// tombstones), because on a disk that is full to the last block not even a deletion can be written down.
// It measures and never allocates.
import { statfsSync } from 'node:fs';
import { limits } from '../model/limits.ts';

export interface DiskSpace {
  /** Bytes that this user can still write. */
  readonly freeBytes: number;
  /** The part of them that puts may take; may be below zero. */
  readonly unreservedBytes: number;
}

/** Space of the file system that holds `path`; a system call of some microseconds. */
export const measureDiskSpace = (path: string): DiskSpace => {
  const { bavail, bsize, blocks } = statfsSync(path);
  const share = (blocks * bsize) / 64;
  const reserve = Math.min(limits.storeReserveBytesMax, Math.max(limits.storeReserveBytesMin, share));
  const freeBytes = bavail * bsize;
  return { freeBytes, unreservedBytes: freeBytes - reserve };
};
