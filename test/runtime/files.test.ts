// Durable and secret files.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  checkSecretFolder,
  createSecretFolder,
  readSecretFile,
  syncFolder,
  writeFileDurably,
} from '../../src/runtime/files.ts';
import { rejects } from '../support/refuses.ts';

let root: string;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'opera-files-'));
});

after(() => rm(root, { recursive: true, force: true }));

test('a durable write replaces the whole file, sets its mode and leaves nothing beside it', async () => {
  const folder = join(root, 'write');
  await mkdir(folder);
  const path = join(folder, 'a');
  await writeFileDurably(path, 'a longer first text', 0o644);
  await writeFileDurably(path, new Uint8Array([1, 2]), 0o600);
  assert.deepEqual(new Uint8Array(await readFile(path)), new Uint8Array([1, 2]));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await Promise.all(Array.from({ length: 8 }, (_, i) => writeFileDurably(path, `${i}`.repeat(100), 0o600)));
  assert.match(await readFile(path, 'utf8'), /^(\d)\1{99}$/);
  assert.deepEqual(await readdir(folder), ['a']);
});

test('what killed writers left is removed by a later write of the same file, once it is an hour old', async () => {
  const folder = join(root, 'leftovers');
  await mkdir(folder);
  const hourAgo = Date.now() / 1000 - 3_700;
  const make = async (name: string, old: boolean): Promise<void> => {
    await writeFile(join(folder, name), 'half');
    if (old) await utimes(join(folder, name), hourAgo, hourAgo);
  };
  const end = '0123456789abcdef.tmp';
  await make(`.seen.json.${end}`, true);
  await make(`.seen.json.f${end.slice(1)}`, false);
  await make(`.keys.json.${end}`, true);
  await make(`.seen.json.mine.tmp`, true);
  await make('seen.json.old', true);
  await writeFileDurably(join(folder, 'seen.json'), 'whole', 0o600);
  assert.deepEqual((await readdir(folder)).sort(), [
    `.keys.json.${end}`,
    `.seen.json.f${end.slice(1)}`,
    '.seen.json.mine.tmp',
    'seen.json',
    'seen.json.old',
  ]);
});

test('a failed durable write leaves the old file and no temporary one', async () => {
  const folder = join(root, 'failed');
  await mkdir(join(folder, 'taken', 'full'), { recursive: true });
  await assert.rejects(writeFileDurably(join(folder, 'taken'), 'x', 0o600));
  await assert.rejects(writeFileDurably(join(folder, 'absent', 'x'), 'x', 0o600));
  assert.deepEqual(await readdir(folder), ['taken']);
  await assert.rejects(syncFolder(join(folder, 'absent')));
});

test('a secret file is read only when nobody else can read it and it is a file of bounded size', async () => {
  const folder = join(root, 'secret');
  await createSecretFolder(folder);
  assert.equal(await checkSecretFolder(folder), true);
  const path = join(folder, 'key');
  assert.equal(await readSecretFile(path, 10), undefined);
  await writeFileDurably(path, 'secret', 0o600);
  assert.equal(Buffer.from((await readSecretFile(path, 10)) ?? []).toString(), 'secret');
  await rejects(readSecretFile(path, 5), 'config');
  for (const mode of [0o604, 0o640, 0o620]) {
    await chmod(path, mode);
    const error = await rejects(readSecretFile(path, 10), 'config');
    assert.equal(error.hint, `Close it: chmod 600 ${path}`);
  }
  await chmod(path, 0o600);
  await symlink(path, join(folder, 'link'));
  await rejects(readSecretFile(join(folder, 'link'), 10), 'config');
  await rejects(readSecretFile(folder, 10_000), 'config');
});

test('a secret folder that others can enter is refused, an absent one is not there', async () => {
  const folder = join(root, 'deep', 'folder');
  assert.equal(await checkSecretFolder(folder), false);
  await createSecretFolder(folder);
  await createSecretFolder(folder);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  await chmod(folder, 0o711);
  await rejects(checkSecretFolder(folder), 'config');
  await writeFileDurably(join(root, 'file'), '', 0o600);
  await rejects(checkSecretFolder(join(root, 'file')), 'config');
});
