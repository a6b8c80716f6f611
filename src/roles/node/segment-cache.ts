// Opened segments of chunks, kept in memory for the next query: plaintext, so it is never written anywhere.
// The oldest go when there are too many; a search keeps those of the batch it works on by itself.
import { segmentBytes } from '../../crypto/geometry.ts';
import { limits } from '../../model/limits.ts';
import { LruMap } from './lru-map.ts';

/** The name of a segment of an indexed chunk. */
export const segmentKey = (run: number, segment: number): string => `${run}/${segment}`;

export class SegmentCache {
  readonly #segments: LruMap<string, Uint8Array>;

  /** `most` segments are kept. */
  constructor(most: number = limits.indexSegmentsKept) {
    this.#segments = new LruMap(most);
  }

  get(key: string): Uint8Array | undefined {
    return this.#segments.get(key);
  }

  set(key: string, opened: Uint8Array): void {
    this.#segments.set(key, opened);
  }
}

/** Bytes [start, end) of a chunk's plaintext; undefined when a segment of them is not there. */
export const readSpan = (
  segmentAt: (segment: number) => Uint8Array | undefined,
  start: number,
  end: number,
): Uint8Array | undefined => {
  const first = Math.floor(start / segmentBytes);
  const last = Math.floor((end - 1) / segmentBytes);
  const parts: Uint8Array[] = [];
  for (let segment = first; segment <= last; segment++) {
    const found = segmentAt(segment);
    if (!found) return undefined;
    const base = segment * segmentBytes;
    parts.push(found.subarray(Math.max(start - base, 0), Math.min(end - base, segmentBytes)));
  }
  return parts.length === 1 ? parts[0] : Buffer.concat(parts);
};
