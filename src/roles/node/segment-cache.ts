// Opened segments of chunks, kept in memory for the next query: plaintext, so it is never written anywhere.
// The oldest go when there are too many. Segments that a search just got are there until it has used them.
import { segmentBytes } from '../../crypto/geometry.ts';
import { limits } from '../../model/limits.ts';
import { LruMap } from './lru-map.ts';

export class SegmentCache {
  readonly #segments: LruMap<string, Uint8Array>;

  /** `most` segments are kept. */
  constructor(most: number = limits.indexSegmentsKept) {
    this.#segments = new LruMap(most);
  }

  has(run: number, segment: number): boolean {
    return this.#segments.get(`${run}/${segment}`) !== undefined;
  }

  /** Keeps whole segments that begin with segment `first`; all are full but the last of a chunk. */
  put(run: number, first: number, opened: Uint8Array): void {
    for (let at = 0; at < opened.length; at += segmentBytes) {
      // A copy of its own, or one segment would keep a whole chunk in memory.
      this.#segments.set(`${run}/${first + at / segmentBytes}`, opened.slice(at, at + segmentBytes));
    }
  }

  /** Bytes [start, end) of a chunk's plaintext; undefined when a segment of them is not here. */
  read(run: number, start: number, end: number): Uint8Array | undefined {
    const first = Math.floor(start / segmentBytes);
    const last = Math.floor((end - 1) / segmentBytes);
    const parts: Uint8Array[] = [];
    for (let segment = first; segment <= last; segment++) {
      const found = this.#segments.get(`${run}/${segment}`);
      if (!found) return undefined;
      const base = segment * segmentBytes;
      parts.push(found.subarray(Math.max(start - base, 0), Math.min(end - base, segmentBytes)));
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }
}
