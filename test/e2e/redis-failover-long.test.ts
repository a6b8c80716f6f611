// A network on a Redis with a replica and a Sentinel whose primary is killed under load: verbs repeat until the replica
// has taken over, and every acknowledged file is read and listed afterwards, also when the old primary is back.
// It takes half a minute, so it runs with OPERA_TEST_LONG=1, as in continuous integration, or when asked for by name.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { LocalNet } from '../support/local-net.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { Sandbox, type Started } from '../support/sandbox.ts';

const isInstalled = async (): Promise<boolean> => {
  const probe = await startRedisServer();
  await probe?.stop();
  return probe !== undefined;
};

const skip = (await isInstalled()) ? false : 'redis-server is not installed';
const sandbox = new Sandbox();
/** Redis writes over its environment, by which the sandbox knows what to end. */
const servers: Started[] = [];
after(async () => {
  for (const { child } of servers) child.kill('SIGKILL');
  await sandbox.close();
});

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

const spawnRedis = (args: readonly string[]): Started => {
  const server = sandbox.spawn('redis-server', args);
  servers.push(server);
  return server;
};

const startRedis = (name: string, port: number, ...flags: readonly string[]): Started => {
  const folder = sandbox.path(name);
  mkdirSync(folder, { recursive: true });
  const kept = ['--save', '', '--appendonly', 'yes', '--dir', folder, '--bind', '127.0.0.1'];
  return spawnRedis(['--port', String(port), ...kept, ...flags]);
};

const answers = async (port: number, command: string, expected: RegExp): Promise<void> => {
  await eventually(async () => {
    const ran = await sandbox.run('redis-cli', ['-p', String(port), ...command.split(' ')]);
    return expected.test(ran.stdout);
  });
};

test('no acknowledged file is lost when Sentinel fails over under load', { skip }, async () => {
  const [primary, replica, sentinel] = [await freePort(), await freePort(), await freePort()];
  const first = startRedis('primary', primary);
  await answers(primary, 'PING', /PONG/);
  startRedis('replica', replica, '--replicaof', `127.0.0.1 ${primary}`);
  await answers(replica, 'INFO replication', /master_link_status:up/);
  const config = sandbox.path('sentinel.conf');
  const lines = [
    ...[`port ${sentinel}`, 'bind 127.0.0.1', `sentinel monitor opera 127.0.0.1 ${primary} 1`],
    ...['sentinel down-after-milliseconds opera 1500', 'sentinel failover-timeout opera 5000'],
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  spawnRedis([config, '--sentinel']);
  await answers(sentinel, 'SENTINEL replicas opera', new RegExp(`\n${replica}\n`));

  const net = await LocalNet.up(sandbox, ['--redis', `redis+sentinel://127.0.0.1:${sentinel}/opera`]);
  const acknowledged: string[] = [];
  let [count, stop] = [0, false];
  const load = (async (): Promise<void> => {
    while (!stop) {
      const name = `file ${count++}`;
      const ran = await net.opera(['put', '-', '--name', name], { input: name });
      if (ran.code === 0) acknowledged.push(name);
      else assert.equal(ran.code, 5, ran.stderr);
    }
  })();
  await eventually(() => acknowledged.length >= 3, processPatienceMs);
  first.child.kill('SIGKILL');
  const before = acknowledged.length;
  // Five seconds on a quiet machine; a Sentinel whose timer was held up does nothing for half a minute.
  await eventually(() => acknowledged.length >= before + 3, processPatienceMs);
  startRedis('primary', primary);
  await answers(primary, 'INFO replication', /role:slave/);
  stop = true;
  await load;
  const listed = new Set((await net.ok(['ls', '-q'])).trim().split('\n'));
  for (const name of acknowledged) {
    assert.ok(listed.has(name), name);
    assert.equal(await net.ok(['cat', name]), name);
  }
  await net.down();
});
