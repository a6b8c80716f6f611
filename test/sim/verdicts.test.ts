// Deaths, pauses and partitions, played in a network of real masters, sentinels and nodes in simulated time: who is
// given up, when, on whose word, and what becomes of the copies. Mutants show that each guard is needed.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { limits } from '../../src/model/limits.ts';
import { countMoved } from '../../src/placement/movement.ts';
import { dueActions } from '../../src/roles/master/state.ts';
import { stepVerdicts } from '../../src/roles/master/verdicts.ts';
import { copiesOf, get, layoutsOf, newestLayoutOf, put } from '../support/cluster-client.ts';
import type { MemoryCluster } from '../support/memory-cluster.ts';
import { describe, played, test } from './_early.ts';
import { downByMs, eventsOf, leaderOf, lose, placedNodes, stateOf, timing, untilState, watched } from './_deaths.ts';

/** Longer than any grace of the preset, and the layout that would follow. */
const pastGraceMs = downByMs + timing.graceMs + 5_000;

const kindsOf = async (cluster: MemoryCluster): Promise<string[]> => (await eventsOf(cluster)).map(({ kind }) => kind);

const lastsAs = async (cluster: MemoryCluster, at: number, forMs: number, never: string): Promise<void> => {
  for (let passed = 0; passed < forMs; passed += 500) {
    await cluster.clock.advance(500);
    assert.notEqual(await stateOf(cluster, at), never);
  }
};

describe('a node that dies', () => {
  test('is suspect, down and out in time, its copies come back, and one cause ties it all together', async () => {
    const cluster = await watched();
    const session = await cluster.session();
    const files = [];
    for (let at = 0; at < 12; at++) files.push(await cluster.during(put(session, `f${at}`, Buffer.from(`file ${at}`))));
    cluster.stopNode(3);
    assert.ok((await untilState(cluster, 3, 'suspect')) <= 3_000);
    const goneMs = cluster.clock.monotonicMs();
    await untilState(cluster, 3, 'down');
    await untilState(cluster, 3, 'out');
    assert.ok(cluster.clock.monotonicMs() - goneMs <= downByMs + timing.graceRefusedMs);
    await cluster.quiet(3);
    assert.deepEqual(await placedNodes(cluster), [0, 1, 2]);
    for (const { version } of files) {
      assert.deepEqual(await copiesOf(cluster, version), { owners: 3, chunks: 3, manifests: 3 });
    }
    await cluster.clock.advance(1_000);
    const events = await eventsOf(cluster);
    const cause = events.find(({ kind }) => kind === 'member-down')?.causeId;
    assert.deepEqual(
      events.filter(({ causeId }) => causeId === cause).map(({ kind }) => kind),
      ['member-down', 'member-out', 'layout-made', 'layout-complete', 'repair-complete'],
    );
    // It comes back, is up again and part of the next layout.
    await cluster.startNode(3);
    await cluster.quiet(4);
    assert.equal(await stateOf(cluster, 3), 'up');
    for (const [at] of files.entries()) {
      assert.equal(Buffer.from((await cluster.during(get(session, `f${at}`))) ?? []).toString(), `file ${at}`);
    }
    cluster.stopAll();
  });

  test('and is back within the grace moves nothing', async () => {
    const cluster = await watched();
    const { number } = await newestLayoutOf(cluster);
    cluster.node(3).life?.pause();
    await untilState(cluster, 3, 'down');
    await lastsAs(cluster, 3, timing.graceMs - 5_000, 'out');
    cluster.node(3).life?.resume();
    await untilState(cluster, 3, 'up');
    await cluster.clock.advance(5_000);
    assert.equal((await newestLayoutOf(cluster)).number, number);
    cluster.stopAll();
  });

  test('and is back before its copies were made elsewhere gets its place back, and nothing else moves', async () => {
    const cluster = await watched();
    const before = await newestLayoutOf(cluster);
    cluster.faultOf = ({ route }) =>
      route === 'chunk.list' || route === 'manifest.list' ? { refused: true } : undefined;
    cluster.stopNode(3);
    await cluster.until(async () => (await placedNodes(cluster)).length === 3);
    await cluster.startNode(3);
    await cluster.until(async () => (await placedNodes(cluster)).length === 4);
    assert.equal(countMoved(before, await newestLayoutOf(cluster)), 0);
    cluster.faultOf = () => undefined;
    await cluster.quiet(4);
    cluster.stopAll();
  });

  test('does not let older layouts go because those that live are complete', async () => {
    const play = async (masterWith: Parameters<typeof watched>[0]): Promise<boolean> => {
      const cluster = await watched({ ...masterWith }, 3);
      const session = await cluster.session();
      await cluster.during(put(session, 'a', Buffer.from('x')));
      // A joiner makes a second layout, and falls asleep before it has copied anything.
      cluster.faultOf = ({ route, fromAddress }) =>
        route === 'chunk.list' && fromAddress === cluster.node(3).address ? { refused: true } : undefined;
      await cluster.startNode(3);
      await cluster.until(async () => (await newestLayoutOf(cluster)).number === 2);
      await cluster.clock.advance(1_500);
      cluster.node(3).life?.pause();
      await cluster.clock.advance(20_000);
      const kept = (await layoutsOf(cluster)).length === 2;
      cluster.stopAll();
      return kept;
    };
    assert.equal(await play({}), true);
    const liveOnes: typeof dueActions = (view) =>
      dueActions({ ...view, nodes: view.nodes.map((node) => (node.alive ? node : { ...node, completeLayout: 99 })) });
    assert.equal(await play({ masterWith: { dueActions: liveOnes } }), false, 'mutant: live nodes alone');
  });
});

describe('a verdict', () => {
  test('is not made by one sentinel of three that is cut off, lies to the registry, or stands still', async () => {
    const cluster = await watched({ sentinels: 3 });
    const [liar] = cluster.sentinels;
    if (!liar) throw new Error('no sentinel');
    const { address, member } = cluster.node(1);
    lose(cluster, [liar.address], [address]);
    await lastsAs(cluster, 1, downByMs + 5_000, 'down');
    // It writes past everybody: the others take it back at once, and the leader never believed it.
    await cluster.registry().setMemberState(member.memberId, 'down', 'a lie');
    await untilState(cluster, 1, 'up', 3_000);
    cluster.links.heal();
    liar.life?.pause();
    await cluster.clock.advance(15_000);
    liar.life?.resume();
    await lastsAs(cluster, 1, 5_000, 'down');
    assert.equal((await kindsOf(cluster)).includes('member-down'), false);
    cluster.stopAll();
  });

  test('mutant: with one voice as a majority the cut-off sentinel takes the node down', async () => {
    const cluster = await watched({ sentinels: 3, sentinelWith: { isAgreed: () => true } });
    lose(cluster, [cluster.sentinels[0]?.address ?? ''], [cluster.node(1).address]);
    await cluster.until(async () => (await kindsOf(cluster)).includes('member-down'));
    cluster.stopAll();
  });

  test('is not made while this sentinel sleeps, nor when it wakes up', async () => {
    const cluster = await watched();
    cluster.sentinels[0]?.life?.pause();
    await cluster.clock.advance(20_000);
    cluster.sentinels[0]?.life?.resume();
    await lastsAs(cluster, 1, 10_000, 'down');
    cluster.stopAll();
  });

  test('is not made because one message in ten is lost', async () => {
    const cluster = await watched({ sentinels: 3 });
    cluster.faultOf = () => {
      const draw = cluster.random.fraction();
      return draw < 0.1 ? { [draw < 0.05 ? 'lost' : 'answerLost']: true } : undefined;
    };
    await cluster.clock.advance(2 * 60_000);
    const kinds = await kindsOf(cluster);
    assert.deepEqual(
      kinds.filter((kind) => kind.startsWith('member-')),
      [],
    );
    cluster.stopAll();
  });

  test('of sentinels that alone are cut off has no consequence', async () => {
    const cut = async (options: Parameters<typeof watched>[0]): Promise<boolean> => {
      const cluster = await watched(options);
      lose(cluster, [cluster.sentinels[0]?.address ?? ''], [cluster.node(1).address]);
      await untilState(cluster, 1, 'down');
      await cluster.clock.advance(pastGraceMs);
      const out = (await kindsOf(cluster)).includes('member-out');
      cluster.stopAll();
      return out;
    };
    assert.equal(await cut({}), false);
    const believing: typeof stepVerdicts = (state, nodes, ...rest) => {
      const deaf = { ping: 'silent', sentinels: 'down' } as const;
      const blind = nodes.map((node) => (node.state === 'down' ? { ...node, ...deaf } : node));
      return stepVerdicts(state, blind, ...rest);
    };
    assert.equal(await cut({ masterWith: { stepVerdicts: believing } }), true, 'mutant: no ping of its own');
  });

  test('of a leader that slept past its lease is carried out by nobody, and its successor counts anew', async () => {
    const cluster = await watched({ masters: 2 });
    const accepted: bigint[] = [];
    let old = '';
    cluster.onAnswered = ({ link, outcome }) => {
      const order = link.route === 'layout.adopt' || link.route === 'layout.covered';
      if (order && outcome === 'ok' && link.fromAddress === old)
        accepted.push((link.request as { epoch: bigint }).epoch);
    };
    const first = cluster.masters[leaderOf(cluster)];
    if (!first) throw new Error('nobody leads');
    // It sleeps right before it would put the dead node out.
    cluster.stopNode(3);
    await untilState(cluster, 3, 'down');
    await cluster.clock.advance(timing.graceRefusedMs - 2_000);
    old = first.address;
    first.life?.pause();
    await cluster.until(() => cluster.store.lease?.epoch === 2n);
    await cluster.quiet(3);
    const { number, leaderEpoch } = await newestLayoutOf(cluster);
    assert.equal(leaderEpoch, 2n);
    first.life?.resume();
    await cluster.clock.advance(20_000);
    assert.deepEqual(accepted, []);
    assert.equal((await newestLayoutOf(cluster)).number, number);
    cluster.stopAll();
  });
});

describe('many at once', () => {
  test('half of the nodes that vanish are an alarm and no repair, until they are back', async () => {
    const cluster = await watched();
    cluster.stopNode(2);
    cluster.stopNode(3);
    await cluster.until(async () => (await kindsOf(cluster)).includes('alarm-mass-failure'));
    await cluster.clock.advance(timing.graceMs + 10_000);
    assert.deepEqual([await stateOf(cluster, 2), await stateOf(cluster, 3)], ['down', 'down']);
    assert.equal((await layoutsOf(cluster)).length, 1);
    await cluster.startNode(2);
    await untilState(cluster, 3, 'out');
    await cluster.quiet(3);
    assert.ok((await eventsOf(cluster)).some(({ kind, facts }) => kind === 'back-to-normal' && facts['alarm']));
    cluster.stopAll();
  });

  test('mutant: without counting them the nodes that vanished are put out', async () => {
    const careless: typeof stepVerdicts = (state, nodes, ...rest) => {
      const verdicts = nodes.flatMap((node) => stepVerdicts(state, [node], ...rest).verdicts);
      return { ...stepVerdicts(state, nodes, ...rest), verdicts };
    };
    const cluster = await watched({ masterWith: { stepVerdicts: careless } });
    cluster.stopNode(2);
    cluster.stopNode(3);
    await untilState(cluster, 3, 'out');
    cluster.stopAll();
  });

  test('a second loss after the first was healed is healed, too', async () => {
    const cluster = await watched({ nodes: 5 });
    const session = await cluster.session();
    const { version } = await cluster.during(put(session, 'a', Buffer.from('x')));
    for (const [at, left] of [
      [4, 4],
      [3, 3],
    ] as const) {
      cluster.stopNode(at);
      await untilState(cluster, at, 'out');
      await cluster.quiet(left);
    }
    assert.deepEqual(await copiesOf(cluster, version), { owners: 3, chunks: 3, manifests: 3 });
    cluster.stopAll();
  });

  test('too few for W copies make no layout: the old one stays, and an alarm says so', async () => {
    const cluster = await watched({ nodes: 2 });
    cluster.stopNode(1);
    await untilState(cluster, 1, 'out');
    await cluster.clock.advance(10_000);
    assert.deepEqual(await placedNodes(cluster), [0, 1]);
    assert.ok((await kindsOf(cluster)).includes('alarm-write-quorum'));
    await cluster.startNode(1);
    await untilState(cluster, 1, 'up');
    assert.equal((await newestLayoutOf(cluster)).number, 1);
    cluster.stopAll();
  });

  test('a node that flaps is kept out of layouts until it stayed up', async () => {
    const cluster = await watched();
    for (let times = 0; times < limits.flapDownsMax; times++) {
      cluster.stopNode(3);
      await untilState(cluster, 3, 'down');
      await cluster.startNode(3);
      if (times < limits.flapDownsMax - 1) await untilState(cluster, 3, 'up');
    }
    await untilState(cluster, 3, 'quarantine', 10_000);
    await cluster.quiet(3);
    const { number } = await newestLayoutOf(cluster);
    await cluster.clock.advance(timing.quarantineMs - 20_000);
    assert.equal((await newestLayoutOf(cluster)).number, number);
    await untilState(cluster, 3, 'up');
    await cluster.quiet(4);
    assert.deepEqual(
      (await kindsOf(cluster)).filter((kind) => /quarantined|released/.test(kind)),
      ['member-quarantined', 'member-released'],
    );
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
