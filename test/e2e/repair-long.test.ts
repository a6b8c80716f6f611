// Machines that die for good and come back, with real processes: kill -9, the copies come back without anybody's word,
// a node with an empty disk is filled again, and every file is what was put.
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { largeBytes, writeTree } from '../support/file-tree.ts';
import { LocalNet, parseLines } from '../support/local-net.ts';
import { Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
after(() => sandbox.close());

const chunk = 4 * 1024 * 1024;
const names = ['small', 'one', 'three chunks'];
/** Of all of them. */
const chunks = 1 + 1 + 3;

interface Copy {
  readonly chunk: number;
  readonly copy: string;
  readonly owner: boolean;
}

/** Fewest owners that hold a chunk of any file, asked now. */
const fewestCopies = async (net: LocalNet): Promise<number> => {
  const counts: number[] = [];
  for (const name of names) {
    const { stdout } = await net.opera(['where', name, '--json']);
    const copies = parseLines<Copy>(stdout);
    for (const chunk of new Set(copies.map((row) => row.chunk))) {
      counts.push(copies.filter((row) => row.chunk === chunk && row.owner && row.copy === 'held').length);
    }
  }
  return counts.length < chunks ? 0 : Math.min(...counts);
};

const readAll = async (net: LocalNet, from: string): Promise<void> => {
  for (const name of names) {
    const to = sandbox.path(`copy of ${name}`);
    await net.ok(['get', name, '-o', to, '--force']);
    assert.ok(readFileSync(to).equals(readFileSync(join(from, name))), `${name} came back different`);
  }
};

test('a node that is killed for good is replaced by copies, and comes back with an empty disk', async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '4']);
  const from = sandbox.path('from');
  writeTree(from, {
    small: 'x',
    one: largeBytes(chunk, 'one'),
    'three chunks': largeBytes(2 * chunk + 4_321, 'three'),
  });
  for (const name of names) await net.ok(['put', join(from, name), '--name', name]);
  const { layoutNumber } = await net.status();
  net.kill('node-2');
  await net.until((status) => status.layoutNumber > layoutNumber && status.retiredUpTo >= layoutNumber);
  await eventually(async () => (await fewestCopies(net)) >= 3, processPatienceMs, 250);
  await readAll(net, from);

  const { folder } = net.named('node-2');
  for (const name of ['node.db', 'node.db-wal', 'node.db-shm', 'chunks']) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
  const back = await net.restart('node-2');
  await net.until((status) => {
    return status.layoutNumber > layoutNumber + 1 && status.retiredUpTo === status.layoutNumber - 1;
  });
  await eventually(async () => (await fewestCopies(net)) >= 3, processPatienceMs, 250);
  await readAll(net, from);
  back.child.kill('SIGTERM');
  const { stderr } = await sandbox.finish(back, 'node-2');
  assert.match(stderr, /"event":"store-unknown"[\s\S]*"event":"store-sound"/);
  await net.down();
});
