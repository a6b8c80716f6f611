// Who leads: the lease, the promises of the nodes, and what becomes of a leader that was paused or cut off.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge } from '../../../src/client/verdict.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { limits } from '../../../src/model/limits.ts';
import { get, newestLayoutOf, put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { overriding } from '../../support/overriding.ts';

const leaderOf = (cluster: MemoryCluster): number =>
  cluster.masters.findIndex(({ address }) => address === cluster.store.lease?.address);

/** Everything between masters and the rest, in both directions. */
const cutMaster = (cluster: MemoryCluster, at: number): void => {
  const { member, address } = cluster.masters[at] ?? {};
  cluster.faultOf = ({ from, to }) =>
    from?.memberId === member?.memberId || to.address === address ? { lost: true } : undefined;
};

/** Orders as nodes received them: epoch and sender. */
const ordersOf = (cluster: MemoryCluster) =>
  cluster.net.calls
    .filter(({ route }) => route === 'layout.adopt' || route === 'layout.covered')
    .map(({ from, request }) => ({ from: from?.memberId, epoch: (request as { epoch: bigint }).epoch }));

describe('leadership', () => {
  test('passes on when a leader is gone, no sooner than its lease ends, and every epoch has one master', async () => {
    const cluster = await MemoryCluster.start({ nodes: 4, masters: 3 });
    const first = leaderOf(cluster);
    cluster.stopMaster(first);
    const goneMs = cluster.clock.monotonicMs();
    await cluster.until(() => cluster.store.lease?.epoch === 2n);
    const tookMs = cluster.clock.monotonicMs() - goneMs;
    assert.ok(tookMs >= limits.leaseMs - limits.leaseRenewMs && tookMs <= 15_000, `${tookMs} ms`);
    assert.notEqual(leaderOf(cluster), first);
    await cluster.clock.advance(3_000);
    const byEpoch = new Map<bigint, Set<unknown>>();
    for (const { from, epoch } of ordersOf(cluster)) byEpoch.set(epoch, (byEpoch.get(epoch) ?? new Set()).add(from));
    assert.deepEqual(
      [...byEpoch.values()].map(({ size }) => size),
      [1, 1],
    );
    cluster.stopAll();
  });

  test('a released lease is taken at once', async () => {
    const cluster = await MemoryCluster.start({ masters: 2 });
    const first = leaderOf(cluster);
    await cluster.masters[first]?.running?.resign();
    cluster.stopMaster(first);
    await cluster.clock.advance(2 * limits.leaseRenewMs);
    assert.equal(leaderOf(cluster), 1 - first);
    cluster.stopAll();
  });

  test('a leader that hears no node gives way to a master that does, and leads on when there is none', async () => {
    const cluster = await MemoryCluster.create({ nodes: 3, masters: 2 });
    for (const at of [0, 1]) await cluster.startMaster(at);
    for (const at of [0, 1, 2]) await cluster.startNode(at);
    await cluster.quiet(3);
    const first = leaderOf(cluster);
    const { member } = cluster.masters[1 - first] ?? {};
    assert.ok(member);
    cutMaster(cluster, first);
    // As sentinels say it: a master that is down is nobody to give way to.
    await cluster.registry().setMemberState(member.memberId, 'down', 'silent');
    await cluster.clock.advance(limits.leaderDeafMs + 10_000);
    assert.equal(leaderOf(cluster), first);
    assert.equal(cluster.store.lease?.epoch, 1n);
    await cluster.registry().setMemberState(member.memberId, 'up', 'heard');
    await cluster.clock.advance(5_000);
    assert.equal(leaderOf(cluster), 1 - first);
    await cluster.clock.advance(limits.leaderDeafMs + 10_000);
    assert.equal(cluster.store.lease?.epoch, 2n, 'and that one, which hears them, stays');
    cluster.stopAll();
  });

  test('a leader that lost its nodes stops ordering, and its later orders are refused', async () => {
    const cluster = await MemoryCluster.create({ nodes: 4, masters: 2 });
    for (const at of [0, 1]) await cluster.startMaster(at);
    for (const at of [0, 1, 2]) await cluster.startNode(at);
    await cluster.quiet(3);
    const first = leaderOf(cluster);
    const old = cluster.masters[first]?.member;
    if (!old) throw new Error('nobody leads');
    // As a paused process: its lease runs out while it still believes to hold it.
    cutMaster(cluster, first);
    cluster.stopMaster(first);
    await cluster.until(() => cluster.store.lease?.epoch === 2n);
    cluster.faultOf = () => undefined;
    await cluster.until(async () => {
      const bytes = await cluster.node(0).storage.getState('order');
      return Buffer.from(bytes ?? [])
        .toString()
        .includes('"promisedEpoch":"2"');
    });
    const [stored] = (await cluster.registry().readLayouts()).unretired;
    if (!stored) throw new Error('no layout');
    const from = { epoch: 1n, instance: 'f'.repeat(32), incarnation: 1 };
    const order = { ...from, layouts: [{ ...stored.layout }], retiredUpTo: 0, peers: [] };
    const { address, member } = cluster.node(0);
    const to = { address, expect: { memberId: member.memberId } };
    const answer = cluster.transportOf(old).call(to, 'layout.adopt', order);
    await assert.rejects(cluster.during(answer), { code: 'stale-leader' });
    await cluster.startNode(3);
    await cluster.quiet(4);
    assert.equal((await newestLayoutOf(cluster)).leaderEpoch, 2n);
    cluster.stopAll();
  });

  test('without promises of a majority nothing is ordered, and files are written and read all the same', async () => {
    const cluster = await MemoryCluster.create({ nodes: 5, masters: 2 });
    for (const at of [0, 1]) await cluster.startMaster(at);
    for (const at of [0, 1, 2, 3]) await cluster.startNode(at);
    await cluster.quiet(4);
    cluster.stopMaster(leaderOf(cluster));
    let refusing = true;
    const promising = cluster.node(0).address;
    cluster.faultOf = ({ route, to }) =>
      refusing && route === 'leader.promise' && to.address !== promising ? { refused: true } : undefined;
    await cluster.until(() => cluster.store.lease?.epoch === 2n);
    cluster.net.calls.length = 0;
    await cluster.startNode(4);
    await cluster.clock.advance(20_000);
    assert.equal((await newestLayoutOf(cluster)).nodes.length, 4);
    assert.equal(ordersOf(cluster).length, 0);
    const session = await cluster.session();
    await cluster.during(put(session, 'a', Buffer.from('x')));
    assert.equal(Buffer.from((await cluster.during(get(session, 'a'))) ?? []).toString(), 'x');
    refusing = false;
    await cluster.quiet(5);
    cluster.stopAll();
  });

  test('a database that takes no writes has no leader after a lease, and the status says why', async () => {
    let isFull = false;
    const refuse = async (): Promise<never> => {
      throw new OperaError('registry-unavailable', 'the registry cannot be reached: OOM');
    };
    const cluster = await MemoryCluster.start({
      masters: 2,
      registryOf: (registry) =>
        overriding(registry, {
          renewLease: (...args) => (isFull ? refuse() : registry.renewLease(...args)),
          takeLease: (...args) => (isFull ? refuse() : registry.takeLease(...args)),
        }),
    });
    const [client] = cluster.clients;
    assert.ok(client);
    const to = { address: cluster.gateway.address, expect: { role: 'gateway' as const } };
    const verdict = async () => {
      const { answer } = await cluster.during(cluster.transportOf(client).call(to, 'network.status', {}));
      return judge(answer);
    };
    assert.equal((await verdict()).health, 'healthy');
    isFull = true;
    await cluster.clock.advance(2 * limits.leaseMs + 2 * limits.leaseRenewMs);
    const reason = 'nothing is committed: the registry cannot be reached: OOM';
    assert.deepEqual(await verdict(), { health: 'down', reasons: [reason, 'no master leads'] });
    isFull = false;
    await cluster.clock.advance(2 * limits.leaseMs);
    assert.equal((await verdict()).health, 'healthy');
    cluster.stopAll();
  });

  test('a database that restarted gets a new incarnation before anything is committed', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    await cluster.during(put(session, 'a', Buffer.from('x')));
    cluster.store.restart();
    await cluster.during(put(session, 'b', Buffer.from('y')));
    assert.equal(cluster.store.incarnation, 2);
    assert.equal(Buffer.from((await cluster.during(get(session, 'a'))) ?? []).toString(), 'x');
    cluster.stopAll();
  });
});
