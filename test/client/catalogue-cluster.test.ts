// Putting catalogues on real nodes: their records can be queried when the put resolves, also while a node is away or
// silent, and a node that comes back changes nothing about it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { waitForIndex } from '../../src/client/index-wait.ts';
import { findFile, removeFile, statFile } from '../../src/client/names.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { judge } from '../../src/client/verdict.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { limits } from '../../src/model/limits.ts';
import { get, put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';

const nested = readFileSync('fixtures/catalogues/oec_1086_systems.ndjson').subarray(0, 100_000);
const text = nested.subarray(0, nested.lastIndexOf(10) + 1);
const records = text.toString().trimEnd().split('\n').length;

test('a put resolves when its records can be queried, and the registry lists the catalogue', async () => {
  const cluster = await MemoryCluster.start();
  const session = await cluster.session();
  const { catalogue, version } = await cluster.during(put(session, 'stars', text));
  assert.equal(catalogue?.rows, records);
  assert.equal(catalogue?.queryable, true);
  const answer = await cluster.during(session.connection.call('catalogue.list', { haveLayout: 0 }));
  assert.deepEqual(
    answer.catalogues.map((listed) => [listed.name, listed.version, listed.chunkCount]),
    [['stars', version, 1]],
  );
  assert.ok(Buffer.from((await cluster.during(get(session, 'stars'))) ?? []).equals(text));
  await cluster.during(put(session, 'stars', Buffer.from('no catalogue any more')));
  const after = await cluster.during(session.connection.call('catalogue.list', { haveLayout: 0 }));
  assert.deepEqual(after.catalogues, []);
  cluster.stopAll();
});

test('with a node that is away or silent the others suffice, and the wait is short', async () => {
  for (const fault of ['stopped', 'silent'] as const) {
    const cluster = await MemoryCluster.start({ seed: fault });
    const session = await cluster.session();
    if (fault === 'stopped') cluster.stopNode(0);
    else cluster.node(0).life?.pause();
    const { catalogue } = await cluster.during(put(session, 'stars', text));
    assert.equal(catalogue?.queryable, true, fault);
    cluster.stopAll();
  }
});

test('the records of a file can be waited for later, with the ticket of a get', async () => {
  const cluster = await MemoryCluster.start({ seed: 'later' });
  const session = await cluster.session();
  const { catalogue } = await cluster.during(put(session, 'stars', text, { catalogue: { wait: false } }));
  assert.equal(catalogue?.queryable, false);
  const { plan, file } = await cluster.during(resolveName(session, 'stars'));
  const { chunkRecords = [] } = (await cluster.during(statFile(session, 'stars'))).content;
  const { version } = file.record;
  const awaited = { name: 'stars', version, chunkRecords };
  assert.equal((await cluster.during(waitForIndex(session, plan, [awaited]))).late.size, 0);
  // Chunks that nobody has are not in any index, and it is said in the end.
  const more = [{ ...awaited, chunkRecords: [...chunkRecords, 5] }];
  const { late, gone } = await cluster.during(waitForIndex(session, plan, more), 2 * limits.indexPatienceMs);
  assert.deepEqual([...late, ...gone], [version]);
  cluster.stopAll();
});

test('a node whose index cannot be opened is named by the status, with the reason, until it can', async () => {
  let broken = true;
  const cluster = await MemoryCluster.start({
    seed: 'broken',
    indexOf: (engine, at) => ({
      ...engine,
      open: async (...args) => {
        if (broken && at === 1) throw new OperaError('internal', 'index.db: the file cannot be made');
        return engine.open(...args);
      },
    }),
  });
  const session = await cluster.session();
  const { catalogue } = await cluster.during(put(session, 'stars', text));
  assert.equal(catalogue?.queryable, true);
  const reasons = async (): Promise<readonly string[]> =>
    judge(await cluster.during(session.connection.call('network.status', {}))).reasons;
  const { memberId } = cluster.node(1).member;
  await cluster.until(async () => (await reasons()).length > 0);
  assert.deepEqual(await reasons(), [`index of ${memberId}: index.db: the file cannot be made`]);
  broken = false;
  await cluster.until(async () => (await reasons()).length === 0);
  cluster.stopAll();
});

test('a put ends its wait when somebody else replaces or removes the file, and says so', async () => {
  for (const change of ['replaced', 'removed'] as const) {
    const cluster = await MemoryCluster.start({
      seed: change,
      indexOf: (engine) => ({ ...engine, build: () => new Promise(() => undefined) }),
    });
    const [session, other] = [await cluster.session(), await cluster.session(1)];
    const waiting = put(session, 'stars', text);
    const began = cluster.clock.monotonicMs();
    await cluster.until(async () => (await findFile(other, 'stars')) !== undefined);
    if (change === 'replaced') await cluster.during(put(other, 'stars', Buffer.from('something else')));
    else await cluster.during(removeFile(other, 'stars'));
    const { catalogue } = await cluster.during(waiting);
    assert.deepEqual([catalogue?.queryable, catalogue?.gone], [false, true], change);
    assert.ok(cluster.clock.monotonicMs() - began < limits.indexPatienceMs / 2);
    cluster.stopAll();
  }
});
