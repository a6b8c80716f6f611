// The durable store under real faults: kill -9 in the middle of writes, a file system that is really full, and fsyncs
// that the kernel fails. This file starts itself as the victim: with a folder as argument it writes until it dies and
// reports each acknowledged change on a line of its own. Cases whose tool is missing are skipped and say so.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { isOperaError } from '../../src/errors/errors.ts';
import { parseVersionId } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import { SqliteStorage } from '../../src/storage-adapters/sqlite.ts';
import { chunkOf, manifestOf, versionOf } from '../support/storage-data.ts';
import { assertSound, type Expected, withFolder, withStore } from '../support/sqlite-store.ts';

const self = fileURLToPath(import.meta.url);
const report = (line: unknown): number => writeSync(1, `${JSON.stringify(line)}\n`);

/** The victim: four writers, mixed sizes, some deletions; every version is its own so that lines need no order. */
const writeUntilKilled = async (folder: string, round: number): Promise<void> => {
  const store = new SqliteStorage({ folder, nowMs: () => 0 });
  await store.open();
  const writer = async (lane: number): Promise<void> => {
    for (let n = 0; ; n++) {
      const version = round * 1_000_000 + lane * 10_000 + n;
      const length = n % 3 === 0 ? 70_000 + lane * 100_000 : 300 + n;
      const chunk = chunkOf({ version, length, seed: version });
      await store.putChunks([chunk]);
      await store.putManifests([manifestOf({ version, sequence: BigInt(version + 1) })]);
      report({ version: chunk.version, index: 0, length, seed: version });
      if (n % 5 !== 4) continue;
      report({ deleting: chunk.version });
      await store.deleteChunks([chunk]);
      report({ deleted: chunk.version });
    }
  };
  await Promise.all([1, 2, 3, 4].map(writer));
};

/** On a file system of a few MB: fill it, be refused, make room, go on. Exits 0 when the store behaved. */
const fillAndRecover = async (folder: string): Promise<void> => {
  const store = new SqliteStorage({ folder, nowMs: () => 0 });
  await store.open();
  const isFull = (error: unknown): boolean => isOperaError(error, 'no-space');
  const expected: Expected[] = [];
  let refusals = 0;
  // Large bodies fill the disk by files, then small ones by the database, until both are refused.
  for (let version = 1; refusals < 4; version++) {
    const length = refusals < 2 ? 200_000 : 30_000;
    try {
      await store.putChunks([chunkOf({ version, length, seed: version })]);
      expected.push({ version: versionOf(version), index: 0, length, seed: version });
    } catch (error) {
      assert.ok(isFull(error), String(error));
      refusals += 1;
    }
  }
  assert.ok(expected.length > 3);
  assert.equal((await store.usage()).readOnly, true);
  await assertSound(folder, store, expected);
  await store.deleteChunks(expected.splice(0, 3));
  assert.equal((await store.usage()).readOnly, false);
  const again = chunkOf({ version: 9_999, length: 150_000, seed: 7 });
  assert.deepEqual(await store.putChunks([again]), ['stored']);
  expected.push({ version: again.version, index: 0, length: 150_000, seed: 7 });
  await store.close();
  await withStore(folder, {}, (reopened) => assertSound(folder, reopened, expected));
};

/** Under a kernel that fails one fsync: eight writers until all are refused, then shows that reads go on. */
const writeUntilSyncFails = async (folder: string, length: number): Promise<void> => {
  const store = new SqliteStorage({ folder, nowMs: () => 0 });
  await store.open();
  const expected: Expected[] = [];
  let version = 0;
  let refused = false;
  const writer = async (): Promise<void> => {
    for (;;) {
      const seed = ++version;
      assert.ok(seed < 2_000, 'no fsync failed');
      try {
        await store.putChunks([chunkOf({ version: seed, length, seed })]);
      } catch (error) {
        assert.ok(isOperaError(error, 'read-only'), String(error));
        refused = true;
        return;
      }
      // Groups are answered in order; a body in the database that is acknowledged now was synced after the failure.
      assert.ok(!refused || length > limits.storeInlineBytesMax, 'acknowledged after a failed fsync');
      expected.push({ version: versionOf(seed), index: 0, length, seed });
    }
  };
  await Promise.all(Array.from({ length: 8 }, writer));
  await assert.rejects(store.putState('k', new Uint8Array(1)), (error) => isOperaError(error, 'read-only'));
  assert.equal((await store.usage()).readOnly, true);
  for (const { version: id, index, length: bytes } of expected) {
    assert.equal((await store.getChunk({ version: id, index }))?.body.length, bytes);
  }
  report(expected);
  await store.close();
};

const killedRound = async (folder: string, round: number, acknowledgements: number): Promise<string[]> => {
  const child = spawn(process.execPath, [self, 'write', folder, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const part of child.stdout.setEncoding('utf8')) {
    text += String(part);
    if (text.split('\n').length > acknowledgements) child.kill('SIGKILL');
  }
  // The last line may be cut; only whole lines were acknowledged.
  return text.split('\n').slice(0, -1);
};

const declareTests = (): void => {
  test('kill -9 in the middle of writes loses nothing acknowledged and leaves no orphans', () =>
    withFolder(async (folder) => {
      const live = new Map<string, Expected>();
      for (const [round, acknowledgements] of [3, 25, 60, 8].entries()) {
        for (const line of await killedRound(folder, round + 1, acknowledgements)) {
          const entry = JSON.parse(line) as Expected & { deleting?: string; deleted?: string };
          if (entry.deleting) live.delete(entry.deleting);
          else if (!entry.deleted) live.set(entry.version, { ...entry, version: parseVersionId(entry.version) });
        }
        await withStore(folder, {}, async (store) => {
          await assertSound(folder, store, [...live.values()]);
          for (const { version, seed } of live.values()) {
            assert.equal((await store.getManifest(version))?.sequence, BigInt(seed + 1));
          }
        });
      }
      assert.ok(live.size > 20);
    }));

  test('a really full disk refuses with no-space, keeps what it took, and recovers when there is room', (t) =>
    withFolder(async (folder) => {
      const script = `mount -t tmpfs -o size=3m tmpfs "$1" && exec "$2" "$3" fill "$1"`;
      const args = ['-m', 'sh', '-c', script, 'sh', folder, process.execPath, self];
      if (spawnSync('unshare', ['-m', 'true']).status !== 0) return t.skip('needs root and unshare');
      const run = spawnSync('unshare', args, { encoding: 'utf8', timeout: 120_000 });
      assert.equal(run.status, 0, run.stderr + run.stdout);
    }));

  const failSync = (folder: string, mode: string, after: number, length: number) =>
    spawnSync(
      'strace',
      [
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        'trace=fsync,fdatasync',
        '-e',
        `inject=${mode}:error=EIO:when=${after}`,
      ].concat([process.execPath, self, 'sync', folder, String(length)]),
      { encoding: 'utf8', timeout: 120_000 },
    );
  const hasStrace = spawnSync('strace', ['-V']).status === 0;

  for (const [what, length] of [
    ['chunk files', 70_000],
    ['the database', 500],
  ] as const) {
    test(`when the kernel fails fsyncs of ${what}, the store only reads, and what it took is there later`, (t) =>
      withFolder(async (folder) => {
        if (!hasStrace) return t.skip('needs strace');
        const run = failSync(folder, 'fsync,fdatasync', 40, length);
        assert.equal(run.status, 0, run.stderr + run.stdout);
        const expected = (JSON.parse(run.stdout) as Expected[]).map((entry) => {
          return { ...entry, version: parseVersionId(entry.version) };
        });
        assert.ok(expected.length > 0);
        await withStore(folder, {}, (store) => assertSound(folder, store, expected));
      }));
  }
};

const [, , role, folder = '', number = '0'] = process.argv;
if (role === 'write') await writeUntilKilled(folder, Number(number));
else if (role === 'fill') await fillAndRecover(folder);
else if (role === 'sync') await writeUntilSyncFails(folder, Number(number));
else declareTests();
