// How fast a node's store takes 4 MiB chunks with fsync, against raw files on the same disk in the same run, with one
// store and with three at once as on one machine; then small bodies in groups. Prints a table; asserts nothing.
// Set TMPDIR to the disk in question. Part of `npm run bench`, never of the tests.
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseVersionId } from '../src/model/ids.ts';
import { SystemClock } from '../src/runtime/clock.ts';
import { SqliteStorage } from '../src/storage-adapters/sqlite.ts';
import type { ChunkWrite } from '../src/storage-adapters/storage-adapter.ts';

const clock = new SystemClock();
const fullChunk = new Uint8Array(4_195_328).map((_, i) => (i * 2_654_435_761) >>> 13);

const chunkOf = (version: number, body: Uint8Array): ChunkWrite => ({
  version: parseVersionId(version.toString(16).padStart(32, '0')),
  index: 0,
  partition: version % 4_096,
  hash: new Uint8Array(createHash('sha256').update(body).digest()),
  body,
  servedHour: 0,
  layoutNumber: 1,
});

const print = (what: string, value: number, unit: string): void => {
  process.stdout.write(`${what.padEnd(58)} ${value.toFixed(0).padStart(7)} ${unit}\n`);
};

const timed = async (run: () => Promise<void>): Promise<number> => {
  const start = clock.monotonicMs();
  await run();
  return (clock.monotonicMs() - start) / 1_000;
};

const withFolder = async (run: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'opera-bench-'));
  await run(folder);
  await rm(folder, { recursive: true });
};

const rawWrites = async (folder: string, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    const file = openSync(join(folder, `raw-${i}`), 'w');
    writeSync(file, fullChunk);
    fsyncSync(file);
    closeSync(file);
  }
};

/** Puts `count` chunks, `width` at a time. */
const putAll = async (store: SqliteStorage, count: number, width: number, body: Uint8Array): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await store.putChunks([chunkOf(next++, body)]);
  };
  await Promise.all(Array.from({ length: width }, lane));
};

const openStore = async (folder: string): Promise<SqliteStorage> => {
  const store = new SqliteStorage({ folder, nowMs: () => clock.nowMs() });
  await store.open();
  return store;
};

const megabytes = (count: number, body: Uint8Array): number => (count * body.length) / 1_000_000;

const count = 48;
process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, ${tmpdir()}\n`);
for (const round of ['warm-up', 'measured']) {
  process.stdout.write(`-- ${round}\n`);
  await withFolder(async (folder) => {
    const seconds = await timed(() => rawWrites(folder, count));
    print('raw 4 MiB files, write and fsync, one after the other', megabytes(count, fullChunk) / seconds, 'MB/s');
  });
  for (const stores of [1, 3]) {
    for (const width of [1, 4]) {
      const open: SqliteStorage[] = [];
      const folders: string[] = [];
      for (let i = 0; i < stores; i++) {
        const folder = await mkdtemp(join(tmpdir(), 'opera-bench-'));
        folders.push(folder);
        open.push(await openStore(folder));
      }
      const each = count / stores;
      const seconds = await timed(async () => {
        await Promise.all(open.map((store) => putAll(store, each, width, fullChunk)));
      });
      print(`${stores} store(s), ${width} puts of 4 MiB at a time each`, megabytes(count, fullChunk) / seconds, 'MB/s');
      for (const store of open) await store.close();
      for (const folder of folders) await rm(folder, { recursive: true });
    }
  }
  for (const [bytes, width] of [
    [1_040, 1],
    [1_040, 64],
    [16_400, 64],
    [65_552, 16],
  ] as const) {
    await withFolder(async (folder) => {
      const store = await openStore(folder);
      const small = fullChunk.slice(0, bytes);
      const puts = width === 1 ? 300 : 3_000_000 / Math.max(bytes, 1_500);
      const seconds = await timed(() => putAll(store, puts, width, small));
      print(`1 store, ${width} puts of ${bytes} bytes at a time`, puts / seconds, 'puts/s');
      await store.close();
    });
  }
}
