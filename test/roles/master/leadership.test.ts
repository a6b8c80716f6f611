// Who leads: the lease, the promises of the nodes, and what becomes of a leader that was paused or cut off.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type KeyHash, networkIdFromBytes } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { encodeLayout, parseLayout } from '../../../src/placement/layout.ts';
import { partitionCount } from '../../../src/placement/partition.ts';
import { dueActions, joiningNodes, type NodeView } from '../../../src/roles/master/state.ts';
import { get, newestLayoutOf, put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { createSeededMember, SeededRandom } from '../../support/seeded.ts';

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
    assert.ok(cluster.clock.monotonicMs() - goneMs >= limits.leaseMs - limits.leaseRenewMs);
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
    const order = { epoch: 1n, incarnation: 1, layouts: [{ ...stored.layout }], retiredUpTo: 0, peers: [] };
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

describe('what is due', () => {
  const random = new SeededRandom('due');
  const members = Array.from({ length: 4 }, () => createSeededMember('node', random).signer.keyHash).sort();
  const layoutOf = (number: number, nodes: readonly KeyHash[]) => {
    const copies = Math.min(3, nodes.length);
    const owners = new Uint16Array(partitionCount * copies).map((_, slot) => slot % copies);
    const fields = { networkId: networkIdFromBytes(random.bytes(16)), number, leaderEpoch: 1n, incarnation: 1 };
    const table = { copies, writeCopies: Math.min(2, copies), nodes, owners, previousHash: new Uint8Array(32) };
    return parseLayout(encodeLayout({ ...fields, ...table }, createSeededMember('master', random).signer));
  };
  const nodesAt = (layoutNumber: number, completeLayout: number, keys: readonly KeyHash[] = members): NodeView[] =>
    keys.map((keyHash) => ({ keyHash, layoutNumber, completeLayout, alive: true, out: false }));
  const [first, second] = [layoutOf(1, members.slice(0, 3)), layoutOf(2, members)];
  const kindsOf = (view: Partial<Parameters<typeof dueActions>[0]>) =>
    dueActions({
      layouts: [first, second],
      retiredUpTo: 0,
      nodes: [],
      waitingSinceMs: undefined,
      nowMs: 0,
      ...view,
    }).map(({ kind }) => kind);

  test('is to announce, then to say what is covered, then to retire', () => {
    assert.deepEqual(kindsOf({ nodes: nodesAt(1, 1) }), ['announce']);
    assert.deepEqual(kindsOf({ nodes: nodesAt(2, 1) }), ['covered']);
    assert.deepEqual(kindsOf({ nodes: nodesAt(2, 2) }), ['retire']);
    assert.deepEqual(kindsOf({ nodes: nodesAt(2, 2), layouts: [second] }), []);
  });

  test('is not to retire while an owner that is not out is incomplete, alive or not', () => {
    const [slow, ...others] = nodesAt(2, 2);
    if (!slow) throw new Error('no node');
    const away = { ...slow, completeLayout: 1, alive: false };
    assert.deepEqual(kindsOf({ nodes: [away, ...others] }), ['covered']);
    assert.deepEqual(kindsOf({ nodes: [{ ...away, out: true }, ...others] }), ['retire']);
  });

  test('is no layout before joins were gathered, and none of a fifth unretired one', () => {
    const nodes = nodesAt(1, 1);
    const waiting = { layouts: [first], nodes, waitingSinceMs: 1_000 };
    assert.deepEqual(joiningNodes({ layouts: [first], nodes }), [members[3]]);
    assert.deepEqual(kindsOf({ ...waiting, nowMs: 1_999 }), []);
    assert.deepEqual(kindsOf({ ...waiting, nowMs: 2_000 }), ['plan']);
    const four = [1, 2, 3, 4].map((number) => layoutOf(number, members.slice(0, 3)));
    assert.ok(!kindsOf({ layouts: four, nodes: nodesAt(4, 1), waitingSinceMs: 0, nowMs: 9_000 }).includes('plan'));
  });
});
