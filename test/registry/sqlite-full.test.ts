// The embedded registry on a disk that is really full: what does not fit is refused, what was acknowledged stays and is
// read, and it goes on when there is room. This file starts itself below a small file system of its own.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isOperaError } from '../../src/errors/errors.ts';
import { SqliteRegistry } from '../../src/registry/sqlite.ts';
import { ManualClock } from '../support/manual-clock.ts';
import * as build from '../support/registry-builders.ts';

const self = fileURLToPath(import.meta.url);

/** Puts names until there is no room; exits 0 when the registry behaved. */
const fillAndRecover = async (folder: string): Promise<void> => {
  const ballast = join(folder, 'ballast');
  writeFileSync(ballast, Buffer.alloc(512 * 1024));
  const open = () => new SqliteRegistry({ path: join(folder, 'registry.db'), clock: new ManualClock() });
  const registry = open();
  await build.createNetwork(registry);
  const names: string[] = [];
  const refusals: unknown[] = [];
  while (refusals.length < 5) {
    const name = `${names.length}-${refusals.length}/${'x'.repeat(900)}`;
    await build.putName(registry, name).then(
      () => names.push(name),
      (error: unknown) => refusals.push(error),
    );
    assert.ok(names.length < 2_000, 'the disk is never full');
  }
  for (const error of refusals) {
    assert.ok(isOperaError(error, 'registry-unavailable') && /no space is left/.test(error.message), String(error));
  }
  assert.ok(names.length > 10, `${names.length} names fitted`);
  const assertThere = async (of: SqliteRegistry): Promise<void> => {
    for (const name of names) assert.equal((await of.getNames([name]))[0]?.name, name);
    assert.equal((await of.listNames({ prefix: '', limit: 1_000 })).records.length, Math.min(names.length, 1_000));
  };
  await assertThere(registry);
  rmSync(ballast);
  await build.putName(registry, 'afterwards');
  names.push('afterwards');
  await assertThere(registry);
  await registry.close();
  const again = open();
  await assertThere(again);
  await again.close();
};

const [, , role, folder = ''] = process.argv;
if (role === 'fill') await fillAndRecover(folder);
else {
  test('on a full disk steps are refused, nothing acknowledged is lost, and room is used again', (t) => {
    if (spawnSync('unshare', ['-m', 'true']).status !== 0) return t.skip('needs root and unshare');
    const below = mkdtempSync(join(tmpdir(), 'opera-registry-full-'));
    const script = 'mount -t tmpfs -o size=2m tmpfs "$1" && exec "$2" "$3" fill "$1"';
    const args = ['-m', 'sh', '-c', script, 'sh', below, process.execPath, self];
    const run = spawnSync('unshare', args, { encoding: 'utf8', timeout: 120_000 });
    rmSync(below, { recursive: true, force: true });
    assert.equal(run.status, 0, run.stderr + run.stdout);
  });
}
