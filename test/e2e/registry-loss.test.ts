// The registry of a running network is deleted, damaged, put back to a copy, emptied or killed. What was acknowledged
// is read afterwards without anybody's help, what was removed stays removed, and new files are taken.
import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { processPatienceMs } from '../support/eventually.ts';
import { LocalNet } from '../support/local-net.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { Sandbox } from '../support/sandbox.ts';

/** Each loss takes some seconds: restored copies and a damaged file come with OPERA_TEST_LONG=1. */
const everything = process.env.OPERA_TEST_LONG === '1';
const clock = new SystemClock();
const sandbox = new Sandbox();
const redis = await startRedisServer();
after(async () => {
  await sandbox.close();
  await redis?.stop();
});

/** Verbs are repeated while they say that a retry may help: exit 5. */
const patiently = async (net: LocalNet, args: readonly string[], input?: string): Promise<string> => {
  const deadline = clock.monotonicMs() + processPatienceMs;
  for (;;) {
    const ran = await net.opera(args, input === undefined ? {} : { input });
    if (ran.code === 0) return ran.stdout;
    assert.equal(ran.code, 5, `opera ${args.join(' ')}: ${ran.stderr}`);
    assert.ok(clock.monotonicMs() < deadline, `opera ${args.join(' ')} goes on failing: ${ran.stderr}`);
    await clock.sleep(100);
  }
};

const write = (net: LocalNet, name: string, text: string): Promise<string> =>
  patiently(net, ['put', '-', '--name', name], text);

/** Names that are listed, and what the first of them holds; answers only what processes say. */
const expectNames = async (net: LocalNet, names: readonly string[], contents: Readonly<Record<string, string>>) => {
  assert.deepEqual((await patiently(net, ['ls', '-q'])).trim().split('\n').sort(), [...names].sort());
  for (const [name, text] of Object.entries(contents)) assert.equal(await patiently(net, ['cat', name]), text);
};

test('an embedded registry that is deleted or damaged under a running network comes back from the nodes', async () => {
  const net = await LocalNet.up(sandbox, [], { name: 'sqlite' });
  const path = net.facts.registry;
  await write(net, 'a', 'first');
  await write(net, 'b', 'to be removed');
  await net.ok(['rm', 'b', '--yes']);
  await write(net, 'a', 'second');

  for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
  await expectNames(net, ['a'], { a: 'second' });
  await write(net, 'c', 'after the loss');
  assert.equal(statSync(path).mode & 0o777, 0o600);

  if (!everything) return void (await net.down());
  // A copy from before, put in place by a rename, as a person would restore a backup.
  copyFileSync(path, `${path}.copy`);
  await write(net, 'd', 'after the copy');
  for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
  renameSync(`${path}.copy`, path);
  await expectNames(net, ['a', 'c', 'd'], { d: 'after the copy' });

  // Damaged while it was off: the file is kept, and another one takes its place.
  await net.down();
  for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
  writeFileSync(path, new Uint8Array(statSync(path).size).fill(0xee));
  await net.upAgain();
  await expectNames(net, ['a', 'c', 'd'], { a: 'second', c: 'after the loss' });
  assert.ok(readdirSync(dirname(path)).some((name) => name.startsWith(`${basename(path)}.damaged-`)));
  await write(net, 'a', 'third');
  await expectNames(net, ['a', 'c', 'd'], { a: 'third' });
  await net.down();
});

test('a Redis that is emptied, killed or put back to a copy comes back from the nodes', {
  skip: redis ? false : 'redis-server is not installed',
}, async () => {
  if (!redis) return;
  const net = await LocalNet.up(sandbox, ['--redis', redis.url], { name: 'redis' });
  await write(net, 'a', 'first');
  await write(net, 'b', 'to be removed');
  await redis.command('SAVE');
  const dump = join(dirname(redis.url.replace('unix://', '')), 'dump.rdb');
  copyFileSync(dump, `${dump}.copy`);
  await net.ok(['rm', 'b', '--yes']);
  await write(net, 'a', 'second');

  assert.match(await redis.command('FLUSHALL'), /^\+OK/);
  await expectNames(net, ['a'], { a: 'second' });
  await write(net, 'c', 'after the loss');

  if (!everything) return void (await net.down());
  // Killed, and started with the copy from before the removal.
  await redis.kill();
  renameSync(`${dump}.copy`, dump);
  await redis.start();
  await expectNames(net, ['a', 'c'], { a: 'second', c: 'after the loss' });
  await net.down();
});
