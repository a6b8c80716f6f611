// All chunks of one version that a store holds, however many pages they take.
import type { VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { ChunkInfo, StorageAdapter } from '../../storage-adapters/storage-adapter.ts';

/** In order of their indices. Chunks that come or go while it is read are there or not. */
export async function* storedChunks(storage: StorageAdapter, version: VersionId): AsyncGenerator<ChunkInfo> {
  for (let from = 0; ; ) {
    const page = await storage.listVersion(version, from, limits.chunkIndexMax + 1);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < limits.storeVersionPageMax) return;
    from = last.index + 1;
  }
}
