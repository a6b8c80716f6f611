// A network with its registry in a real Redis, as docs/operations.md sets it up: a user with few rights, whose password
// comes from a file. Files are put, overwritten, renamed and removed with the four public keys as other programs read
// them, and it is looked at what a dump and the append-only file of Redis hold. All cases of files are played against
// Redis in redis-files-long.test.ts.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { LocalNet } from '../support/local-net.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';
import { Sandbox } from '../support/sandbox.ts';
import { listTree } from '../support/file-tree.ts';
import { testPublicKeys } from './_public-keys.ts';
import { testSecrecy } from './_secrecy.ts';

const sandbox = new Sandbox();
const redis: RedisServer | undefined = await startRedisServer();
let net: LocalNet;

before(async () => {
  if (!redis) return;
  assert.match(await redis.command('CONFIG SET appendonly yes'), /^\+OK/);
  const user = readFileSync('docs/operations.md', 'utf8').match(/^user opera .*$/m)?.[0] ?? '';
  assert.match(
    await redis.command(`ACL SETUSER ${user.replace('user ', '').replace('LONG-PASSWORD', password)}`),
    /^\+OK/,
  );
  const file = sandbox.path('registry.url');
  writeFileSync(file, redis.url.replace('unix://', `unix://opera:${password}@`), { mode: 0o600 });
  net = await LocalNet.up(sandbox, [], { env: { OPERA_REGISTRY_FILE: file } });
});
after(async () => {
  await sandbox.close();
  await redis?.stop();
});

const password = 'a-long-password-of-redis';
const socket = redis?.url.replace('unix://', '') ?? '';

/** Elements of a LIST, with a client that knows nothing of this program. */
const readList = async (key: string): Promise<string[]> => {
  const { stdout } = await sandbox.run('redis-cli', ['-s', socket, '--json', 'LRANGE', key, '0', '-1']);
  return JSON.parse(stdout) as string[];
};

/** The folder where Redis keeps its dump and its append-only file, both up to date. */
const dump = async (): Promise<string[]> => {
  assert.match((await redis?.command('SAVE')) ?? '', /^\+OK/);
  const folder = dirname(socket);
  const written = listTree(folder).filter((name) => /\.rdb$|\.aof$/.test(name));
  assert.ok(written.includes('dump.rdb') && written.some((name) => name.endsWith('.aof')), written.join());
  assert.ok(readFileSync(join(folder, 'dump.rdb')).includes('secret/small'), 'names are in it, so it is the registry');
  return [folder];
};

if (redis) {
  test('the password of the registry is in no argument, log or file, and not with nodes at all', async () => {
    for (const { name, role, pid, log } of net.facts.processes) {
      assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, 'latin1'), /a-long-password/, name);
      assert.doesNotMatch(readFileSync(log, 'latin1'), /a-long-password/, name);
      assert.equal(/a-long-password/.test(readFileSync(`/proc/${pid}/environ`, 'latin1')), role !== 'node', name);
    }
    for (const path of listTree(net.dir)) {
      assert.equal(readFileSync(join(net.dir, path)).includes(password), false, path);
    }
  });
  testSecrecy(() => net, dump);
  testPublicKeys(() => net, {
    nodes: () => readList('network:nodes'),
    data: () => readList('network:data'),
    dataOfNode: (address) => readList(`network:data:node:${address}`),
    nodesOfFile: (name) => readList(`network:data:file:${name}`),
  });
} else {
  test('a registry in Redis', { skip: 'redis-server is not installed' }, () => undefined);
}
