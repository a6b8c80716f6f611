// What operators order about nodes, carried out in a network of real masters and nodes in simulated time.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { isOperaError } from '../../src/errors/errors.ts';
import type { AnswerOf } from '../../src/wire/routes.ts';
import { copiesOf, get, newestLayoutOf, put } from '../support/cluster-client.ts';
import { gatewayAddress, type MemoryCluster } from '../support/memory-cluster.ts';
import { describe, played, test } from './_early.ts';
import { eventsOf, leaderOf, placedNodes, stateOf, untilState, watched } from './_deaths.ts';

type Order = 'drain' | 'resume' | 'remove';

/** As the gateway passes an operator's order on. */
const order = async (
  cluster: MemoryCluster,
  what: Order,
  at: number,
  options: { readonly force?: boolean; readonly master?: number } = {},
): Promise<AnswerOf<'node.drain'>> => {
  const master = cluster.masters[options.master ?? leaderOf(cluster)];
  const [client] = cluster.clients;
  if (!master || !client) throw new Error('nobody leads');
  const { memberId } = cluster.node(at).member;
  const request = {
    client: client.signer.keyHash,
    clientRole: 'operator' as const,
    request: { node: at % 2 === 0 ? memberId : cluster.node(at).address, force: options.force ?? false },
  };
  const to = { address: master.address, expect: { memberId: master.member.memberId } };
  const sent = cluster.transportOf(cluster.gateway.member).call(to, `master.node.${what}`, request);
  return (await cluster.during(sent)).answer;
};

const statusOf = async (cluster: MemoryCluster): Promise<AnswerOf<'network.status'>> => {
  const [client] = cluster.clients;
  if (!client) throw new Error('no client');
  const to = { address: gatewayAddress, expect: { role: 'gateway' as const } };
  return (await cluster.during(cluster.transportOf(client).call(to, 'network.status', {}))).answer;
};

const refused = (text: RegExp) => (error: unknown) => isOperaError(error, 'refused') && text.test(error.message);

describe('a drain', () => {
  test('empties a node that serves until the others hold everything, and then it can be removed', async () => {
    const cluster = await watched();
    const session = await cluster.session();
    const files = [];
    for (let at = 0; at < 8; at++) files.push(await cluster.during(put(session, `f${at}`, Buffer.from(`file ${at}`))));
    await assert.rejects(order(cluster, 'remove', 3), refused(/is up: it still is in the layout/));
    const first = await order(cluster, 'drain', 3);
    assert.deepEqual([first.state, first.inLayout, first.safeToRemove], ['draining', true, false]);
    await cluster.quiet(3);
    await cluster.clock.advance(2_000);
    assert.deepEqual(await placedNodes(cluster), [0, 1, 2]);
    for (const { version } of files) assert.equal((await copiesOf(cluster, version)).chunks, 3);
    const status = await statusOf(cluster);
    assert.deepEqual(status.safeToRemove, [cluster.node(3).member.memberId]);
    assert.deepEqual([status.underReplicated, status.alarms, status.wanted], [0, [], undefined]);
    assert.equal((await order(cluster, 'drain', 3)).safeToRemove, true);
    assert.equal((await order(cluster, 'remove', 3)).state, 'removed');
    assert.equal((await order(cluster, 'remove', 3)).state, 'removed');
    const keys = await cluster.registry().readPublicKeys();
    assert.equal(keys.get('network:nodes')?.includes(cluster.node(3).address), false);
    const events = await eventsOf(cluster);
    const cause = events.find(({ kind }) => kind === 'node-draining')?.causeId;
    assert.deepEqual(
      events.filter(({ causeId }) => causeId === cause).map(({ kind }) => kind),
      ['node-draining', 'layout-made', 'layout-complete', 'safe-to-remove'],
    );
    cluster.stopAll();
  });

  test('that would leave too few copies is refused with the numbers, and forced all the same', async () => {
    const cluster = await watched({ nodes: 3 });
    await assert.rejects(order(cluster, 'drain', 2), refused(/2 nodes would be left for 3 copies/));
    assert.equal(await stateOf(cluster, 2), 'up');
    await order(cluster, 'drain', 2, { force: true });
    await cluster.quiet(2);
    assert.deepEqual([(await newestLayoutOf(cluster)).copies, (await newestLayoutOf(cluster)).writeCopies], [2, 2]);
    await order(cluster, 'drain', 1, { force: true });
    await cluster.quiet(1);
    assert.equal((await newestLayoutOf(cluster)).writeCopies, 1);
    cluster.stopAll();
  });

  test('is taken back, and the node is in the next layout again', async () => {
    const cluster = await watched();
    await order(cluster, 'drain', 3);
    await cluster.until(async () => (await placedNodes(cluster)).length === 3);
    assert.equal((await order(cluster, 'resume', 3)).state, 'up');
    await cluster.quiet(4);
    assert.equal((await order(cluster, 'resume', 3)).state, 'up');
    cluster.stopAll();
  });
});

describe('an order', () => {
  test('is carried out by the leader only; others say who leads', async () => {
    const cluster = await watched({ masters: 2 });
    const leader = leaderOf(cluster);
    await assert.rejects(
      order(cluster, 'drain', 3, { master: 1 - leader }),
      (error) => isOperaError(error, 'not-leader') && error.details?.['leader'] === cluster.masters[leader]?.address,
    );
    assert.equal(await stateOf(cluster, 3), 'up');
    cluster.stopAll();
  });

  test('and the state of the network come from the leader, whichever master the gateway asks', async () => {
    const cluster = await watched({ masters: 2 });
    for (let times = 0; times < 2; times++) {
      const status = await statusOf(cluster);
      assert.deepEqual([status.underReplicated, status.nodes.length], [0, 4]);
      assert.equal(status.leader?.memberId, cluster.masters[leaderOf(cluster)]?.member.memberId);
      const leader = cluster.masters[leaderOf(cluster)];
      await leader?.running?.resign();
      await cluster.clock.advance(5_000);
    }
    cluster.stopAll();
  });

  test('about a node that nobody knows is refused', async () => {
    const cluster = await watched({ nodes: 5 }, 4);
    await assert.rejects(order(cluster, 'drain', 4), (error) => isOperaError(error, 'not-found'));
    cluster.stopAll();
  });

  test('to remove a lost node by force lets a network that waited for it go on', async () => {
    const cluster = await watched({ nodes: 2 });
    const session = await cluster.session();
    await cluster.during(put(session, 'a', Buffer.from('x')));
    cluster.stopNode(1);
    await untilState(cluster, 1, 'out');
    await cluster.until(async () => (await statusOf(cluster)).alarms.length > 0);
    const status = await statusOf(cluster);
    assert.deepEqual(
      status.alarms.map(({ kind }) => kind),
      ['write-quorum'],
    );
    assert.deepEqual(status.wanted, { joining: 0, leaving: 1, blocked: 'write-quorum' });
    assert.equal(status.underReplicated, 4_096);
    await assert.rejects(order(cluster, 'remove', 1), refused(/is out/));
    await order(cluster, 'remove', 1, { force: true });
    await cluster.quiet(1);
    assert.equal((await newestLayoutOf(cluster)).writeCopies, 1);
    await cluster.during(put(session, 'b', Buffer.from('y')));
    assert.equal(Buffer.from((await cluster.during(get(session, 'a'))) ?? []).toString(), 'x');
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
