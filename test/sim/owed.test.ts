// What an owner missed while it was away for seconds: the nodes that stored the chunks and the master that wrote the
// manifests know of it, give it as soon as the owner is back, and the status is not healthy before. Comparing, which
// finds the same a minute later, is kept from it here.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { removeFile } from '../../src/client/names.ts';
import type { Session } from '../../src/client/session.ts';
import { judge, type Verdict } from '../../src/client/verdict.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { copiesOf, put } from '../support/cluster-client.ts';
import { gatewayAddress, MemoryCluster } from '../support/memory-cluster.ts';
import type { Link } from '../support/memory-transport.ts';
import { isNoted, withNotes } from '../support/noted-session.ts';
import { describe, played, test } from './_early.ts';

const verdictOf = async (cluster: MemoryCluster): Promise<Verdict> => {
  const [client] = cluster.clients;
  if (!client) throw new Error('no client');
  const to = { address: gatewayAddress, expect: { role: 'gateway' as const } };
  return judge((await cluster.during(cluster.transportOf(client).call(to, 'network.status', {}))).answer);
};

/** What finds missing copies without any help. */
const isComparing = ({ route }: Link): boolean => route.startsWith('digest.');
/** Messages to the third node that would bring it copies. */
const isCopy = ({ route, to }: Link, cluster: MemoryCluster): boolean =>
  to.address === cluster.node(2).address && /^(?:chunk\.(?:copy|store|give|confirm)|manifest\.store)$/.test(route);

interface World {
  readonly cluster: MemoryCluster;
  readonly session: Session;
  /** Closes and opens the line to the third node for copies. */
  readonly cut: (closed: boolean) => void;
}

/** Three nodes, each of which owns everything, without comparing. */
const start = async (): Promise<World> => {
  const cluster = await MemoryCluster.start({ nodes: 3, settings: { copies: 3, writeCopies: 2 } });
  let closed = false;
  cluster.faultOf = (link) => (isComparing(link) || (closed && isCopy(link, cluster)) ? { refused: true } : undefined);
  return { cluster, session: await cluster.session(), cut: (to) => (closed = to) };
};

const putAll = async ({ cluster, session }: World, names: readonly string[], bytes = 500): Promise<VersionId[]> => {
  const versions: VersionId[] = [];
  for (const name of names) {
    const { version } = await cluster.during(put(session, name, Buffer.alloc(bytes, name)));
    versions.push(version);
  }
  return versions;
};

/** Nodes that hold the first chunk of each, and those that hold its manifest. */
const heldBy = async ({ cluster }: World, versions: readonly VersionId[]): Promise<(readonly [number, number])[]> => {
  const all = await Promise.all(versions.map((version) => copiesOf(cluster, version)));
  return all.map(({ chunks, manifests }) => [chunks, manifests]);
};

describe('copies that an owner missed for seconds', () => {
  test('are named by the status, and there within seconds after it is back', async () => {
    const world = await start();
    const { cluster, cut } = world;
    cut(true);
    const versions = await putAll(world, ['a', 'b', 'c', 'd', 'e']);
    await cluster.clock.advance(3_000);
    assert.deepEqual(await heldBy(world, versions), Array(5).fill([2, 2]));
    const { memberId } = cluster.node(2).member;
    assert.deepEqual(await verdictOf(cluster), {
      health: 'degraded',
      reasons: [`5 chunks wait for a copy on ${memberId}`],
    });
    cut(false);
    await cluster.clock.advance(3_000);
    assert.deepEqual(await heldBy(world, versions), Array(5).fill([3, 3]));
    assert.deepEqual(await verdictOf(cluster), { health: 'healthy', reasons: [] });
    cluster.stopAll();
  });

  test('bring the notes of catalogues along', async () => {
    const world = await start();
    const { cluster, session, cut } = world;
    withNotes(session);
    cut(true);
    const versions = await putAll(world, ['a', 'b', 'c', 'd', 'e', 'f']);
    await cluster.clock.advance(1_000);
    cut(false);
    await cluster.clock.advance(3_000);
    const { storage } = cluster.node(2);
    const noted = await Promise.all(versions.map(async (version) => (await storage.getNote(version)) !== undefined));
    assert.deepEqual(noted, versions.map(isNoted));
    assert.deepEqual(new Set(noted), new Set([false, true]));
    cluster.stopAll();
  });

  test('are given after a short stop of its process as well', async () => {
    const world = await start();
    const { cluster } = world;
    cluster.stopNode(2);
    const versions = await putAll(world, ['a', 'b', 'c']);
    await cluster.startNode(2);
    await cluster.clock.advance(5_000);
    assert.deepEqual(await heldBy(world, versions), Array(3).fill([3, 3]));
    assert.equal((await verdictOf(cluster)).health, 'healthy');
    cluster.stopAll();
  });

  test('of a long file come too, and more of them than fit one message', async () => {
    const world = await start();
    const { cluster, cut } = world;
    cut(true);
    const [version] = await putAll(world, ['long'], 9 << 20);
    assert.ok(version);
    await cluster.clock.advance(1_000);
    cut(false);
    await cluster.clock.advance(5_000);
    for (const index of [0, 1, 2]) assert.equal((await copiesOf(cluster, version, index)).chunks, 3, `chunk ${index}`);
    assert.equal((await verdictOf(cluster)).health, 'healthy');
    cluster.stopAll();
  });

  test('are not given when their file was removed meanwhile, and nothing waits for them for ever', async () => {
    const world = await start();
    const { cluster, session, cut } = world;
    cut(true);
    const [gone, kept] = await putAll(world, ['gone', 'kept']);
    assert.ok(gone && kept);
    // Beyond the tries of the put itself.
    await cluster.clock.advance(1_000);
    await cluster.during(removeFile(session, 'gone'));
    cut(false);
    await cluster.clock.advance(5_000);
    assert.deepEqual(await heldBy(world, [kept]), [[3, 3]]);
    const { storage } = cluster.node(2);
    assert.deepEqual(await storage.listVersion(gone, 0, 1), []);
    assert.equal((await storage.getManifest(gone))?.state, 'dead');
    await cluster.clock.advance(240_000);
    assert.deepEqual(await verdictOf(cluster), { health: 'healthy', reasons: [] });
    cluster.stopAll();
  });

  test('are forgotten by a restart of who stored them, and then found by comparing', async () => {
    const world = await start();
    const { cluster, cut } = world;
    cut(true);
    const versions = await putAll(world, ['a', 'b']);
    for (const at of [0, 1]) cluster.stopNode(at);
    for (const at of [0, 1]) await cluster.startNode(at);
    cluster.stopMaster(0);
    await cluster.startMaster(0);
    cluster.faultOf = () => undefined;
    await cluster.clock.advance(10_000);
    assert.deepEqual(await heldBy(world, versions), Array(2).fill([2, 2]));
    await cluster.clock.advance(120_000);
    assert.deepEqual(await heldBy(world, versions), Array(2).fill([3, 3]));
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
