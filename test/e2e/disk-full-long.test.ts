// A node whose disk is full: writes that need it are refused as such, reads go on, and it recovers by itself when there
// is space again. The disk is a small tmpfs in a mount namespace of its own, so this needs root.
// The index over star systems stands back behind chunks, says so, and catches up.
// It takes two minutes, so it runs with OPERA_TEST_LONG=1, as in continuous integration, or when asked for by name.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { bytesOf, largeBytes } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine, parseLines } from '../support/local-net.ts';
import { executable, type Ran, requiresAll, Sandbox } from '../support/sandbox.ts';

const clock = new SystemClock();
const sandbox = new Sandbox();
after(() => sandbox.close());

const mounts = await sandbox.run('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).catch(() => undefined);
const skip = mounts?.code === 0 || requiresAll ? false : 'no right to mount';

/** A second node of the network, whose home is a tmpfs of so many megabytes. */
const joinSmall = async (net: LocalNet, name: string, megabytes: number) => {
  const code = (await net.ok(['token', 'create', '--role', 'node', '-q'])).trim();
  const home = sandbox.path(name);
  mkdirSync(home);
  const script =
    'mount -t tmpfs -o "size=$6m" tmpfs "$1" && exec "$2" "$3" node --json --home "$1" --join "$4" --identity "$5"';
  const identity = sandbox.path(`${name}-identity`);
  const args = ['-m', 'sh', '-c', script, 'sh', home, process.execPath, executable, code, identity, `${megabytes}`];
  const node = sandbox.spawn('unshare', args);
  const { pid, id } = parseLine<{ readonly pid: number; readonly id: string }>(await node.line());
  await net.until(({ layoutNumber, retiredUpTo }) => layoutNumber === 2 && retiredUpTo === 1);
  const grow = async (): Promise<void> => {
    exits(await sandbox.run('nsenter', ['-t', `${pid}`, '-m', 'mount', '-o', 'remount,size=256m', home]), 0);
  };
  return { pid, id, grow };
};

test('a full disk refuses writes with exit 11, serves reads, and takes writes when there is space', {
  skip,
}, async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '1']);
  const { pid, id, grow } = await joinSmall(net, 'small', 8);

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

  await grow();
  const deadline = clock.monotonicMs() + processPatienceMs;
  for (;;) {
    const ran = await net.opera(['put', '-', '--name', 'large'], { input: largeBytes(20 << 20, 'l') });
    if (ran.code === 0) break;
    assert.ok(clock.monotonicMs() < deadline, `it does not recover: ${ran.stderr}`);
  }
  assert.ok(exits(await net.opera(['cat', 'large']), 0).bytes.equals(largeBytes(20 << 20, 'l')));
  const status = await net.status();
  assert.equal(status.nodes.find(({ memberId }) => memberId === id)?.readOnly, false);
});

/** The reason of a status that the index of this node stands still. */
const isFull = (reason: string, id: string): boolean => reason.startsWith(`index of ${id}: the disk is full`);

interface IndexLine {
  readonly id: string;
  readonly chunks: number;
  readonly waiting: number;
  readonly failure?: string | null;
}

test('an index that does not fit says so, leaves the chunks readable, and is completed when there is space', {
  skip,
}, async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '1'], { name: 'net-index' });
  const { pid, id, grow } = await joinSmall(net, 'small-index', 8);
  const records = 60_000;
  const lines = Array.from(
    { length: records },
    (_, at) => `A star of the long list ${at},${at % 360},${at % 90},${at},5.5,G2V ${at}\n`,
  );
  const catalogue = Buffer.from(`name,ra,dec,dist_pc,mag_v,spect\n${lines.join('')}`);
  assert.ok(catalogue.length > 3 << 20 && catalogue.length < 4 << 20, `${catalogue.length}`);
  const count = (): Promise<Ran> => net.opera(['query', 'dist < 50000', '--count']);

  const putting = net.opera(['put', '-', '--name', 'stars.csv', '--json'], { input: catalogue });
  await net.until(({ health, reasons }) => health === 'degraded' && reasons.some((text) => isFull(text, id)));
  // It waits until nothing moves for a minute; the file is stored all the same.
  const error = parseLine<{ readonly code: string; readonly detail: string }>(exits(await putting, 8).stderr);
  assert.equal(error.code, 'degraded');
  assert.match(error.detail, /^stored, but not all records can be queried yet \(60,000\)/);
  const indexOf = async (): Promise<IndexLine | undefined> =>
    parseLines<IndexLine>(await net.ok(['index', 'ls', '--json'])).find((line) => line.id === id);
  const waiting = await indexOf();
  assert.match(waiting?.failure ?? '', /the disk is full/);
  assert.deepEqual([waiting?.chunks, waiting?.waiting], [0, 1]);
  assert.equal(exits(await count(), 0, 'from the other node').stdout, '50000\n');

  net.kill('node-1');
  assert.ok(exits(await net.opera(['cat', 'stars.csv']), 0, 'from the full node').bytes.equals(catalogue));
  exits(await count(), 5, 'nobody can answer');
  assert.ok(sandbox.processes().includes(pid), 'the node lives');

  await grow();
  await eventually(async () => (await count()).stdout === '50000\n', processPatienceMs, 500);
  const done = await indexOf();
  assert.deepEqual([done?.chunks, done?.waiting], [1, 0]);
  await net.until(({ reasons }) => !reasons.some((text) => isFull(text, id)));
});
