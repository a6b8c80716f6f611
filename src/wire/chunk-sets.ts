// Chunks of versions as messages name them: a version, where the set begins, and one bit a chunk. Both sides use this,
// so that a bit means the same chunk to both. Bits beyond the last chunk are zero; chunks of a version may be in
// several sets. It knows nothing of who holds them.
import { setBit } from '../model/bits.ts';
import type { VersionId } from '../model/ids.ts';
import type { WireChunkSet } from './messages-index.ts';

export interface ChunkAddress {
  readonly version: VersionId;
  readonly index: number;
}

/** Bits of one set; chunkSet's schema says the same in bytes. */
const setChunksMax = 65_536;

/** The sets that name exactly these chunks, versions in the order in which they first come. Repeats do not count. */
export const chunkSetsOf = (chunks: Iterable<ChunkAddress>): WireChunkSet[] => {
  const byVersion = new Map<VersionId, number[]>();
  for (const { version, index } of chunks) {
    const known = byVersion.get(version);
    if (known) known.push(index);
    else byVersion.set(version, [index]);
  }
  const sets: WireChunkSet[] = [];
  for (const [version, indices] of byVersion) {
    indices.sort((a, b) => a - b);
    for (let at = 0; at < indices.length; ) {
      const from = indices[at] ?? 0;
      let end = at;
      while ((indices[end] ?? Number.POSITIVE_INFINITY) - from < setChunksMax) end++;
      const bits = new Uint8Array((((indices[end - 1] ?? from) - from) >> 3) + 1);
      for (; at < end; at++) setBit(bits, (indices[at] ?? from) - from);
      sets.push({ version, from, bits });
    }
  }
  return sets;
};

/** The chunks that sets name, in their order; one that stands in two sets comes twice. */
export function* chunksOf(sets: Iterable<WireChunkSet>): Generator<ChunkAddress, void, void> {
  for (const { version, from, bits } of sets) {
    for (const [at, byte] of bits.entries()) {
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) yield { version, index: from + at * 8 + bit };
    }
  }
}
