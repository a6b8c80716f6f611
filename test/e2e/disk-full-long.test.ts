// A node whose disk is full: writes that need it are refused as such, reads go on, and it recovers by itself when there
// is space again. The disk is a small tmpfs in a mount namespace of its own, so this needs root.
// It takes half a minute, so it runs with OPERA_TEST_LONG=1, as in continuous integration, or when asked for by name.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { bytesOf, largeBytes } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine } from '../support/local-net.ts';
import { executable, requiresAll, Sandbox } from '../support/sandbox.ts';

const clock = new SystemClock();
const sandbox = new Sandbox();
after(() => sandbox.close());

const mounts = await sandbox.run('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).catch(() => undefined);
const skip = mounts?.code === 0 || requiresAll ? false : 'no right to mount';

test('a full disk refuses writes with exit 11, serves reads, and takes writes when there is space', {
  skip,
}, async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '1']);
  const code = (await net.ok(['token', 'create', '--role', 'node', '-q'])).trim();
  const home = sandbox.path('small');
  mkdirSync(home);
  const script =
    'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" "$3" node --json --home "$1" --join "$4" --identity "$5"';
  const identity = sandbox.path('small-identity');
  const args = ['-m', 'sh', '-c', script, 'sh', home, process.execPath, executable, code, identity];
  const node = sandbox.spawn('unshare', args);
  const { pid, id } = parseLine<{ readonly pid: number; readonly id: string }>(await node.line());
  await net.until(({ layoutNumber, retiredUpTo }) => layoutNumber === 2 && retiredUpTo === 1);

  const kept = bytesOf(100_000, 'kept');
  await net.ok(['put', '-', '--name', 'kept'], { input: kept });
  const refused = await net.opera(['put', '-', '--name', 'large', '--json'], { input: largeBytes(20 << 20, 'l') });
  exits(refused, 11);
  const error = parseLine<{ readonly code: string; readonly hint: string }>(refused.stderr);
  assert.match(error.code, /^(no-space|read-only)$/);
  assert.notEqual(error.hint, '');
  exits(await net.opera(['stat', 'large']), 3, 'the refused file');
  assert.ok(exits(await net.opera(['cat', 'kept']), 0).bytes.equals(kept));
  net.kill('node-1');
  assert.ok(exits(await net.opera(['cat', 'kept']), 0, 'cat from the full node').bytes.equals(kept));
  await net.restart('node-1');
  assert.ok(sandbox.processes().includes(pid), 'the node lives');

  exits(await sandbox.run('nsenter', ['-t', `${pid}`, '-m', 'mount', '-o', 'remount,size=256m', home]), 0);
  const deadline = clock.monotonicMs() + 45_000;
  for (;;) {
    const ran = await net.opera(['put', '-', '--name', 'large'], { input: largeBytes(20 << 20, 'l') });
    if (ran.code === 0) break;
    assert.ok(clock.monotonicMs() < deadline, `it does not recover: ${ran.stderr}`);
  }
  assert.ok(exits(await net.opera(['cat', 'large']), 0).bytes.equals(largeBytes(20 << 20, 'l')));
  const status = await net.status();
  assert.equal(status.nodes.find(({ memberId }) => memberId === id)?.readOnly, false);
});
