// The store in memory passes the acceptance suite. It is also the suite's model, so this shows that the suite and the
// model agree; the other adapters show that the model is not alone.
import { MemoryStorage } from '../../src/storage-adapters/memory.ts';
import { testStorageAdapter } from '../acceptance/storage-adapter.ts';

testStorageAdapter('memory', async (nowMs) => ({
  create: () => new MemoryStorage({ nowMs }),
  teardown: async () => undefined,
}));
