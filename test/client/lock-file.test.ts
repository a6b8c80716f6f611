// A lock between processes: held once, taken over from the dead, also from one that died before it wrote its name.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lockFile } from '../../src/client/lock-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'opera-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a lock is held once, and free again when it was released', async () => {
  const path = join(folder, 'held');
  const release = await lockFile(path);
  assert.ok(release);
  assert.equal(await lockFile(path), undefined);
  await release();
  const again = await lockFile(path);
  assert.ok(again);
  await again();
  assert.deepEqual(readdirSync(folder), []);
});

test('the lock of a process that is gone is taken over, that of another start of the same number too', async () => {
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  for (const owner of [`${gone} 1\n`, `${process.pid} 1\n`, 'nonsense\n']) {
    const path = join(folder, 'gone');
    writeFileSync(path, owner);
    const release = await lockFile(path);
    assert.ok(release, owner);
    await release();
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('an empty lock is respected while its owner may be writing it, and taken over later', async () => {
  const path = join(folder, 'empty');
  writeFileSync(path, '');
  assert.equal(await lockFile(path), undefined);
  utimesSync(path, 1_000_000_000, 1_000_000_000);
  const release = await lockFile(path);
  assert.ok(release);
  await release();
  assert.deepEqual(readdirSync(folder), []);
});
