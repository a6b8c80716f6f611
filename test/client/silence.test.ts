// A machine that stands still while a transfer waits for it: another owner is tried beside it after a few seconds; one
// that is only slow is waited for, and nothing is sent twice.
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { getMany } from '../../src/client/get-many.ts';
import { limits } from '../../src/model/limits.ts';
import type { RouteName } from '../../src/wire/routes.ts';
import { get, newestLayoutOf, ownerNodes, put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';

const folder = mkdtempSync(join(tmpdir(), 'opera-silence-'));
after(() => rmSync(folder, { recursive: true }));

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

type Behaviour = 'paused' | 'slow' | 'hung';

/** From now on node 0 is paused (nothing is answered), slow (transfers take 12 s), or hung (it only answers pings). */
const hamper = (cluster: MemoryCluster, behaviour: Behaviour): void => {
  const transfers: readonly RouteName[] = ['chunk.store', 'chunk.read'];
  const { address } = cluster.node(0);
  cluster.faultOf = ({ from, to, route }) => {
    if (to.address !== address || from?.role === 'sentinel') return undefined;
    if (behaviour === 'paused') return { lost: true };
    if (behaviour === 'hung') return route === 'ping' ? undefined : { lost: true };
    return transfers.includes(route) ? { delayMs: 12_000 } : undefined;
  };
};

const start = async () => {
  const cluster = await MemoryCluster.start();
  return { cluster, session: await cluster.session() };
};

const timed = async (cluster: MemoryCluster, work: Promise<unknown>): Promise<number> => {
  const began = cluster.clock.monotonicMs();
  await cluster.during(work);
  return cluster.clock.monotonicMs() - began;
};

/** Puts names until node 0 was the first owner of one of them; answers the longest time a put took. */
const slowestPut = async (behaviour: Behaviour) => {
  const { cluster, session } = await start();
  hamper(cluster, behaviour);
  let longest = 0;
  for (let at = 0; at < 12; at++) {
    // Each name by a session of its own, that knows nothing of silent owners yet.
    const fresh = await cluster.session();
    longest = Math.max(longest, await timed(cluster, put(fresh, `name ${at}`, bytesOf(`${at}`))));
  }
  const stores = cluster.net.calls.filter(
    ({ from, route }) => route === 'chunk.store' && from?.role === 'client',
  ).length;
  cluster.faultOf = () => undefined;
  for (let at = 0; at < 12; at++) {
    assert.deepEqual(await cluster.during(get(session, `name ${at}`)), bytesOf(`${at}`));
  }
  cluster.stopAll();
  return { longest, stores };
};

test('a put goes on at another owner when the first one is paused', async () => {
  const { longest } = await slowestPut('paused');
  assert.ok(longest >= limits.silenceMs, 'a first owner was paused');
  assert.ok(longest <= 5_000, `${longest} ms`);
});

test('signs of life are what tells: an owner that still answers pings is waited for', async () => {
  const { longest } = await slowestPut('hung');
  assert.ok(longest >= limits.chunkFirstTryMs, `${longest} ms`);
});

test('an owner that is only slow gets the bytes once, and no other owner gets them from the client', async () => {
  const { longest, stores } = await slowestPut('slow');
  assert.ok(longest >= 12_000, 'the slow one was waited for');
  assert.equal(stores, 12);
});

test('a get reads the next copy when the first owner is paused, of one file and of many', async () => {
  const { cluster, session } = await start();
  const layout = await newestLayoutOf(cluster);
  const names: string[] = [];
  for (let at = 0; at < 12; at++) {
    const { version } = await cluster.during(put(session, `name ${at}`, bytesOf(`${at}`)));
    if (ownerNodes(cluster, layout, version, 0)[0] === cluster.node(0)) names.push(`name ${at}`);
  }
  assert.ok(names.length > 0);
  hamper(cluster, 'paused');
  for (const name of names) {
    const took = await timed(cluster, get(await cluster.session(), name));
    assert.ok(took >= limits.silenceMs && took <= 5_000, `${took} ms`);
  }
  const all = Array.from({ length: 12 }, (_, at) => `name ${at}`);
  const failed: string[] = [];
  const onResult = (name: string, result: object): void => void (result instanceof Error && failed.push(name));
  const request = { folder, force: false, onResult };
  const took = await timed(cluster, getMany(await cluster.session(), all, request));
  assert.deepEqual(failed, []);
  assert.ok(took >= limits.silenceMs, 'the paused owner was asked');
  assert.deepEqual(
    all.map((name) => readFileSync(join(folder, name), 'utf8')),
    all.map((_, at) => `${at}`),
  );
  cluster.stopAll();
});
