// The durable store passes the acceptance suite, in a folder of its own per case.
// What only it can get wrong (power cuts, full disks, leftovers) is tested in the sqlite-*.test.ts beside it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteStorage } from '../../src/storage-adapters/sqlite.ts';
import { testStorageAdapter } from '../acceptance/storage-adapter.ts';

testStorageAdapter('sqlite', async (nowMs) => {
  const folder = await mkdtemp(join(tmpdir(), 'opera-store-'));
  return {
    create: () => new SqliteStorage({ folder, nowMs }),
    teardown: () => rm(folder, { recursive: true, force: true }),
  };
});
