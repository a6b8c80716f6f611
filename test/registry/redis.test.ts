// RedisRegistry against the acceptance suite, and what a server promises alone: restarts, lists beside their indexes,
// errors without secrets. Skipped where redis-server is not installed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { createServer } from 'node:tls';
import { certificatePem } from '../../src/identity/ca-bundle.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { parseServerInfo } from '../../src/registry/_redis-server.ts';
import { RedisRegistry } from '../../src/registry/redis.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import { testRegistry } from '../acceptance/registry.ts';
import { createMeshNetwork } from '../support/mesh.ts';
import { eventually, patienceMs } from '../support/eventually.ts';
import { type RedisServer, startRedisServer } from '../support/redis-server.ts';
import * as build from '../support/registry-builders.ts';

const server = await startRedisServer();
after(() => server?.stop());

const connect = (
  url: string,
  readyPatienceMs = patienceMs,
  warn: (sentence: string) => void = () => undefined,
): Registry => new RedisRegistry({ url, clock: new SystemClock(), random: new SystemRandom(), readyPatienceMs, warn });

testRegistry('redis', async () => {
  if (!server) return undefined;
  await server.command('FLUSHALL');
  return {
    connect: () => connect(server.url),
    teardown: async () => undefined,
    outcomeLifeMs: async (operationId) =>
      Number((await server.command(`PTTL network:outcome:${operationId}`)).replace(/^:/, '').trim()),
  };
});

const withServer = (
  name: string,
  body: (registry: Registry, running: RedisServer) => Promise<void>,
  readyPatienceMs = patienceMs,
): void =>
  void test(name, { skip: server ? false : 'redis-server is not on this machine' }, async () => {
    if (!server) return;
    await server.command('FLUSHALL');
    const registry = connect(server.url, readyPatienceMs);
    try {
      await build.createNetwork(registry);
      await body(registry, server);
    } finally {
      await registry.close();
    }
  });

withServer('scripts are sent again when the server forgot them', async (registry, running) => {
  await running.command('SCRIPT FLUSH');
  assert.equal((await registry.readLife()).incarnation, 1);
});

withServer('an emptied server is a lost registry', async (registry, running) => {
  await running.command('FLUSHALL');
  await assert.rejects(registry.readLife(), { code: 'registry-lost' });
  await assert.rejects(registry.commit(build.step([build.put('a', build.newVersion())])), { code: 'registry-lost' });
});

withServer(
  'a restarted server answers no names until the incarnation is raised',
  async (registry, running) => {
    const before = await registry.readLife();
    const put = await build.putName(registry, 'a');
    await running.command('SAVE');
    await running.kill();
    await assert.rejects(registry.getNames(['a']), { code: 'registry-unavailable' });
    await running.start();
    let life = before;
    await eventually(async () => {
      life = await registry.readLife().catch(() => before);
      return life !== before;
    });
    assert.notEqual(life.lifeId, before.lifeId);
    assert.equal(life.raisedUnder, before.lifeId);
    await assert.rejects(registry.getNames(['a']), { code: 'stale-incarnation' });
    await assert.rejects(registry.listNames({ prefix: '', limit: 1 }), { code: 'stale-incarnation' });
    const change = build.remove('a', put.version, put.sequence);
    assert.equal(build.codeOf(await build.commitOne(registry, change)), 'stale-incarnation');
    assert.equal((await registry.raiseIncarnation(1))?.incarnation, 2);
    await assert.rejects(registry.getNames(['a']), { code: 'stale-incarnation' });
    assert.equal(await registry.settle(2, 0n), true);
    assert.equal((await registry.getNames(['a']))[0]?.version, put.version);
    assert.equal(build.codeOf(await build.commitOne(registry, change, { incarnation: 2 })), 'done');
  },
  700,
);

withServer('the public keys are lists that redis-cli can read', async (registry, running) => {
  await registry.putMember(build.member('n1'));
  await build.putName(registry, 'sol', ['n1:1']);
  for (const [key, entry] of [
    ['network:nodes', 'n1:1'],
    ['network:data', 'sol'],
    ['network:data:node:n1:1', 'sol'],
    ['network:data:file:sol', 'n1:1'],
  ]) {
    assert.equal(await running.command(`LRANGE ${key} 0 -1`), `*1\r\n$${entry?.length}\r\n${entry}\r\n`);
  }
});

withServer(
  'a name that a master of before changed is a catalogue only if its own record says so',
  async (registry, running) => {
    for (const name of ['kept', 'overwritten', 'removed']) {
      const version = await build.openUpload(registry, name);
      await build.commitDone(registry, build.put(name, version, { catalogue: true }));
    }
    await running.command('HDEL network:name:overwritten catalogue');
    await running.command('DEL network:name:removed');
    const listed = await registry.listCatalogues({ prefix: '', max: 9 });
    assert.deepEqual(
      listed.map(({ name }) => name),
      ['kept'],
    );
  },
);

withServer('removing in any order leaves no list, index or name behind', async (registry, running) => {
  const names = Array.from({ length: 20 }, (_, at) => `f${at}`);
  const puts = new Map<string, Awaited<ReturnType<typeof build.putName>>>();
  for (const [at, name] of names.entries()) {
    const version = await build.openUpload(registry, name);
    const put = build.put(name, version, { catalogue: at % 2 === 0 });
    puts.set(name, { ...(await build.commitDone(registry, put)), version });
  }
  for (const name of [...names].sort((a, b) => ((a.length * 31 + a.charCodeAt(1)) % 7) - (b.charCodeAt(1) % 5))) {
    const put = puts.get(name);
    if (put) await build.commitDone(registry, build.remove(name, put.version, put.sequence));
  }
  await registry.clearPending((await registry.listPending(1000)).map((change) => change.sequence));
  for (const pattern of [
    'network:index:*',
    'network:data*',
    'network:name:*',
    'network:pending*',
    'network:uploads*',
    'network:catalogues*',
  ]) {
    assert.equal(await running.command(`KEYS ${pattern}`), '*0\r\n');
  }
});

test('an unreachable server is unavailable within the patience, and its password is in no error', async () => {
  const registry = connect('redis://user:secret-word@127.0.0.1:1', 200);
  await assert.rejects(registry.readLife(), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'registry-unavailable');
    assert.doesNotMatch(JSON.stringify([error.message, error.stack, error.cause]), /secret-word/);
    return true;
  });
  await registry.close();
  await registry.close();
});

withServer('a wrong password is unavailable, and is in no error', async (_, running) => {
  const registry = connect(running.url.replace('unix://', 'unix://user:secret-word@'), 200);
  await assert.rejects(registry.readLife(), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'registry-unavailable');
    assert.doesNotMatch(JSON.stringify([error.message, error.stack, error.cause]), /secret-word/);
    return true;
  });
  await registry.close();
});

withServer('a server that would evict names is not used until that is set right', async (_, running) => {
  await running.command('CONFIG SET maxmemory-policy allkeys-lru');
  const registry = connect(running.url, 700);
  try {
    await assert.rejects(registry.readLife(), { code: 'registry-unavailable', message: /allkeys-lru.*noeviction/ });
    await running.command('CONFIG SET maxmemory-policy noeviction');
    await eventually(async () => (await registry.readLife().catch(() => undefined)) !== undefined);
  } finally {
    await running.command('CONFIG SET maxmemory-policy noeviction');
    await registry.close();
  }
});

withServer('a server without an append-only file is used, and warned of', async (_, running) => {
  const warned = async (): Promise<readonly string[]> => {
    const warnings: string[] = [];
    const registry = connect(running.url, patienceMs, (sentence) => warnings.push(sentence));
    await registry.readLife();
    await registry.close();
    return warnings;
  };
  assert.match((await warned()).join(), /^Redis keeps no append-only file/);
  await running.command('CONFIG SET appendonly yes');
  try {
    assert.deepEqual(await warned(), []);
  } finally {
    await running.command('CONFIG SET appendonly no');
  }
});

test('a TLS server that nobody vouches for is named as that, and an address is no name for TLS', async () => {
  const { authority } = await createMeshNetwork();
  const key = authority.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const cert = certificatePem(authority.certificate.der);
  const named: unknown[] = [];
  const stranger = createServer({ key, cert, SNICallback: (name, done) => done(null, void named.push(name)) });
  stranger.on('tlsClientError', (_, socket) => socket.destroy());
  stranger.listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const { port } = stranger.address() as AddressInfo;
  const warned: string[] = [];
  const onWarning = ({ message }: Error): unknown => warned.push(message);
  process.on('warning', onWarning);
  const registry = connect(`rediss://:secret-word@127.0.0.1:${port}`, 700);
  try {
    await assert.rejects(registry.readLife(), { code: 'registry-unavailable', message: /SELF_SIGNED|INVALID_PURPOSE/ });
    assert.deepEqual([named, warned], [[], []]);
  } finally {
    process.off('warning', onWarning);
    await registry.close();
    stranger.close();
  }
});

test('a Redis Cluster is refused, and so is a server that tells no run id', () => {
  const info = '# Server\r\nrun_id:0a1b\r\n# Persistence\r\naof_enabled:1\r\n# Cluster\r\ncluster_enabled:';
  assert.deepEqual(parseServerInfo(`${info}0\r\n`), { runId: '0a1b', warning: undefined });
  assert.throws(() => parseServerInfo(`${info}1\r\n`), { code: 'config', message: /Cluster/ });
  assert.throws(() => parseServerInfo('# Server\r\n'), { code: 'config', message: /run id/ });
});
