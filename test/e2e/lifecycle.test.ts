// The life of a local network as a user sees it: up, down, up again, and every way to end it.
// Real processes of the built executable on loopback; every case has its own folder below one sandbox.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { exits, type LocalFacts, LocalNet, parseLine } from '../support/local-net.ts';
import { kill, Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
after(() => sandbox.close());

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const dials = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [host = '', port = ''] = address.split(':');
    const socket = createConnection({ host, port: Number(port) });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
  });

const gone = (facts: LocalFacts): Promise<void> =>
  eventually(() => {
    const alive = sandbox.processes();
    return [facts.pid, ...facts.processes.map(({ pid }) => pid)].every((pid) => !alive.includes(pid));
  });

test('three nodes: facts as documented, a second up refused, data and ports kept over Ctrl-C and up', async () => {
  const net = await LocalNet.up(sandbox, [], { name: 'three' });
  const { facts, dir } = net;
  assert.deepEqual(Object.keys(facts), [
    'v',
    'network',
    'dir',
    'gateway',
    'join',
    'registry',
    'profile',
    'pid',
    'processes',
  ]);
  assert.equal(facts.v, 1);
  assert.match(facts.network, /^[a-z2-7]{26}$/);
  assert.equal(facts.dir, dir);
  assert.equal(facts.registry, join(dir, 'registry.db'));
  assert.equal(facts.profile, join(dir, 'client'));
  assert.equal(facts.pid, net.up.pid);
  assert.deepEqual(facts.processes.map(({ name }) => name).sort(), [
    'gateway',
    'master',
    'node-1',
    'node-2',
    'node-3',
    'sentinel',
  ]);
  assert.equal(net.named('gateway').address, facts.gateway);
  for (const { name, role, pid, address, folder, log } of facts.processes) {
    assert.equal(role, name.replace(/-\d+$/, ''));
    assert.ok(isAlive(pid), `${name} lives`);
    assert.ok(await dials(address), `${name} listens on ${address}`);
    assert.equal(folder, join(dir, name));
    assert.equal(log, join(dir, 'logs', `${name}.log`));
    assert.ok(statSync(folder).isDirectory() && statSync(log).isFile());
    assert.equal(statSync(join(dir, 'identity', name)).mode & 0o777, 0o700, `identity of ${name}`);
  }
  assert.deepEqual(parseLine(readFileSync(join(dir, 'up.json'), 'utf8')), facts);

  const second = exits(await sandbox.opera(['up', '--dir', dir]), 10);
  assert.match(second.stderr, /is up already[\s\S]*opera down --dir/);

  writeFileSync(sandbox.path('a.txt'), 'as it was');
  await net.ok(['put', sandbox.path('a.txt'), '--name', 'a.txt']);

  const ended = exits(await net.down('SIGINT'), 0, 'up');
  assert.equal(ended.stdout.trim().split('\n').length, 1, 'nothing but the facts on stdout');
  await gone(facts);

  await net.upAgain();
  const again = net.facts;
  const places = (of: LocalFacts) => of.processes.map(({ name, id, address }) => `${name} ${id} ${address}`).sort();
  assert.deepEqual(places(again), places(facts), 'ids and ports are kept');
  assert.deepEqual([again.network, again.gateway, again.join], [facts.network, facts.gateway, facts.join]);
  assert.equal(await net.ok(['cat', 'a.txt']), 'as it was');
  await net.healthy();

  const down = exits(await sandbox.opera(['down', '--dir', dir]), 0);
  assert.match(down.stderr, /ended/);
  await gone(again);
  assert.match(exits(await sandbox.opera(['down', '--dir', dir]), 0).stderr, /was not running/);
  exits(await sandbox.opera(['down', '--dir', dir, '--purge']), 2);
  assert.ok(statSync(dir).isDirectory(), '--purge without --yes removes nothing');
  exits(await sandbox.opera(['down', '--dir', dir, '--purge', '--yes']), 0);
  assert.throws(() => statSync(dir), /ENOENT/);
});

test('one node is brought up with a warning, works, and ends when its supervisor is killed', async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '1'], { name: 'one' });
  await net.ok(['put', '-', '--name', 'one'], { input: 'single' });
  assert.equal(await net.ok(['cat', 'one']), 'single');
  const status = exits(await net.opera(['status']), 8);
  assert.match(status.stdout, /^degraded: .*1 copy instead of 3/);
  kill(net.facts.pid, 'SIGKILL');
  const { stderr } = await net.up.ended;
  assert.match(stderr, /nothing survives its loss/);
  await gone(net.facts);
  await net.upAgain();
  assert.equal(await net.ok(['cat', 'one']), 'single', 'what was acknowledged is there after kill -9 of everything');

  const folder = join(net.dir, 'identity', 'client');
  chmodSync(folder, 0o755);
  const open = exits(await net.opera(['ls']), 2, 'keys that others can reach');
  assert.match(open.stderr, /identity\/client holds keys but others can enter it[\s\S]*chmod 700/);
  chmodSync(folder, 0o700);
  await net.ok(['ls']);
  exits(await net.down('SIGTERM'), 0, 'up');
});

test('two nodes with stores in memory warn that every write needs both', async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '2', '--storage', 'memory'], { name: 'memory' });
  await net.ok(['put', '-', '--name', 'm'], { input: 'in memory' });
  assert.equal(await net.ok(['cat', 'm']), 'in memory');
  assert.match(readFileSync(join(net.dir, 'logs', 'node-1.log'), 'utf8'), /"store-not-durable"/);
  const { stderr } = exits(await net.down(), 0);
  assert.match(stderr, /every write needs both/);
});

// On other runs chaos.test.ts kills everything at once.
const long = process.env.OPERA_TEST_LONG === '1';
const longTest = (name: string, body: () => Promise<void>): void => {
  if (long) void test(name, body);
};

longTest('five nodes, all killed at once with -9, come back with every file', async () => {
  const net = await LocalNet.up(sandbox, ['--nodes', '5'], { name: 'five' });
  for (let at = 0; at < 3; at++) await net.ok(['put', '-', '--name', `f${at}`], { input: `file ${at}` });
  assert.equal((await net.status()).nodes.length, 5);
  for (const pid of [net.facts.pid, ...net.facts.processes.map((entry) => entry.pid)]) kill(pid, 'SIGKILL');
  await net.up.ended;
  await gone(net.facts);
  await net.upAgain();
  for (let at = 0; at < 3; at++) assert.equal(await net.ok(['cat', `f${at}`]), `file ${at}`);
  await net.healthy();
  exits(await net.down(), 0);
});

test('--detach returns when all is healthy; only the first network becomes the default profile', async () => {
  const env = { HOME: sandbox.path('other-home') };
  mkdirSync(env.HOME);
  const dir = sandbox.path('background');
  const up = ['up', '--nodes', '1', '--detach', '--json', '--dir'];
  const first = exits(await sandbox.opera([...up, dir], { env }), 0);
  const facts = parseLine<LocalFacts>(first.stdout);
  assert.match(first.stderr, /nothing survives its loss/, 'what the background process warns of is said here too');
  assert.ok(isAlive(facts.pid) && facts.processes.length === 4);
  assert.match(exits(await sandbox.opera([...up, dir], { env }), 10).stderr, /is up already/);

  const pointer = join(env.HOME, '.local/share/opera/default-profile');
  assert.equal(readFileSync(pointer, 'utf8').trim(), facts.profile);
  exits(await sandbox.opera(['put', '-', '--name', 'x'], { env, input: 'by default' }), 0);
  assert.equal(exits(await sandbox.opera(['cat', 'x'], { env }), 0).stdout, 'by default');

  const second = await sandbox.opera(['up', '--nodes', '1', '--detach', '--dir', sandbox.path('second')], { env });
  assert.match(exits(second, 0).stderr, /another profile is the default: use --home/);
  assert.equal(readFileSync(pointer, 'utf8').trim(), facts.profile);
  exits(await sandbox.opera(['down', '--dir', sandbox.path('second')], { env }), 0);
  exits(await sandbox.opera(['down', '--dir', dir], { env }), 0);
  await gone(facts);
  exits(await sandbox.opera(['ls'], { env }), 5, 'the default profile of a network that is down');
});

test('folders that cannot be used are refused with their name and without a stack', async () => {
  assert.match(exits(await sandbox.opera(['down', '--dir', sandbox.path('nowhere')]), 3).stderr, /no network was/);
  writeFileSync(sandbox.path('a-file'), '');
  const file = await sandbox.opera(['up', '--dir', sandbox.path('a-file')]);
  exits(file, 2);
  assert.match(file.stderr, /^opera: .*a-file is not a folder/);
  assert.doesNotMatch(file.stderr, /\n\s+at /);

  const dir = sandbox.path('broken');
  mkdirSync(join(dir, 'gateway'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, 'gateway', 'profile.json'), '{"version":');
  const broken = exits(await sandbox.opera(['up', '--dir', dir]), 2);
  assert.match(broken.stderr, /^opera: .*profile\.json is not a profile/);
  writeFileSync(join(dir, 'up.json'), 'not JSON');
  assert.match(exits(await sandbox.opera(['down', '--dir', dir]), 2).stderr, /up\.json is damaged/);
});

test('a URL with a password on the command line is refused', async () => {
  const ran = exits(
    await sandbox.opera(['up', '--redis', 'redis://:hunter2@127.0.0.1:1', '--dir', sandbox.path('p')]),
    2,
  );
  assert.match(ran.stderr, /OPERA_REGISTRY_FILE/);
  assert.doesNotMatch(ran.stderr, /hunter2/);
});
