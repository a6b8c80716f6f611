// Joins: what is written, acknowledged and read while layouts change.
// The mutant of the write barrier must lose a chunk.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { WriteBarrier } from '../../src/roles/node/barrier.ts';
import { initialNodeState } from '../../src/roles/node/state.ts';
import { copiesOf, get, layoutsOf, newestLayoutOf, put } from '../support/cluster-client.ts';
import { MemoryCluster, peerOf } from '../support/memory-cluster.ts';
import { describe, played, test } from './_early.ts';

const nameOf = (at: number): string => `file ${at}`;
const bytesOf = (at: number): Uint8Array => Buffer.from(`content of file ${at}`);

/** Acknowledges a layout while writes under an older one are under way. */
class EagerBarrier extends WriteBarrier {
  override lowestBelow(): undefined {
    return undefined;
  }
}

const isComplete = async (cluster: MemoryCluster, at: number, number: number): Promise<boolean> => {
  const bytes = await cluster.node(at).storage.getState('order');
  const state = bytes ? (JSON.parse(Buffer.from(bytes).toString()) as typeof initialNodeState) : initialNodeState;
  return state.completeLayout >= number;
};

/**
 * One node with slow writes under way, two joiners, the second of which cannot list yet. The writes end when the first
 * joiner is complete, or when waiting for that is in vain. Answers how many of the acknowledged files can be read.
 */
const writesDuringJoin = async (barrierOf: () => WriteBarrier): Promise<{ acknowledged: number; read: number }> => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const cluster = await MemoryCluster.create({
    nodes: 3,
    settings: { copies: 1, writeCopies: 1 },
    barrierOf,
    storageOf: (storage, at) =>
      at > 0
        ? storage
        : new Proxy(storage, {
            get: (target, key) => {
              const value: unknown = Reflect.get(target, key, target);
              if (typeof value !== 'function') return value;
              return async (...args: unknown[]) => {
                if (key === 'putChunks') await gate;
                return Reflect.apply(value, target, args) as unknown;
              };
            },
          }),
  });
  try {
    await cluster.startMaster(0);
    await cluster.startNode(0);
    await cluster.quiet(1);
    const session = await cluster.session();
    const files = Array.from({ length: 24 }, (_, at) => at);
    const puts = Promise.allSettled(files.map((at) => put(session, nameOf(at), bytesOf(at))));
    await cluster.clock.advance(200);
    let blocked = true;
    const slow = peerOf(cluster.node(2).member).memberId;
    cluster.faultOf = ({ from, route }) =>
      blocked && route === 'chunk.list' && from?.memberId === slow ? { refused: true } : undefined;
    await cluster.startNode(1);
    await cluster.startNode(2);
    await cluster.until(async () => (await newestLayoutOf(cluster)).nodes.length === 3);
    await cluster.until(() => isComplete(cluster, 1, 2), 8_000).catch(() => undefined);
    open();
    const answers = await cluster.during(puts);
    blocked = false;
    await cluster.quiet(3);
    let read = 0;
    const acknowledged = files.filter((at) => answers[at]?.status === 'fulfilled');
    for (const at of acknowledged) {
      const bytes = await cluster.during(get(session, nameOf(at))).catch(() => undefined);
      if (bytes && Buffer.compare(bytes, bytesOf(at)) === 0) read++;
    }
    return { acknowledged: acknowledged.length, read };
  } finally {
    cluster.stopAll();
  }
};

describe('joins', () => {
  test('what was being written under an old layout is in the new one', async () => {
    assert.deepEqual(await writesDuringJoin(() => new WriteBarrier()), { acknowledged: 24, read: 24 });
  });

  test('mutant: a barrier that does not wait for writes under way loses acknowledged files', async () => {
    const { acknowledged, read } = await writesDuringJoin(() => new EagerBarrier());
    assert.ok(read < acknowledged, `${read} of ${acknowledged} were read`);
  });

  test('reads during a join see every acknowledged file, and afterwards every owner has its copy', async () => {
    const cluster = await MemoryCluster.create({ nodes: 5 });
    await cluster.startMaster(0);
    for (const at of [0, 1, 2]) await cluster.startNode(at);
    await cluster.quiet(3);
    const session = await cluster.session();
    const puts = [];
    for (let at = 0; at < 20; at++) puts.push(await cluster.during(put(session, nameOf(at), bytesOf(at))));
    await cluster.startNode(3);
    for (let at = 20; at < 40; at++) {
      puts.push(await cluster.during(put(session, nameOf(at), bytesOf(at))));
      if (at === 25) await cluster.startNode(4);
      await cluster.clock.advance(150);
      for (const old of [at, at - 20, at % 7]) {
        assert.deepEqual(await cluster.during(get(session, nameOf(old))), new Uint8Array(bytesOf(old)));
      }
    }
    await cluster.quiet(5);
    for (const { version } of puts) {
      assert.deepEqual(await copiesOf(cluster, version), { owners: 3, chunks: 3, manifests: 3 });
    }
    cluster.stopAll();
  });

  test('a listing counts of owners that had acknowledged the new layout, and copies name it', async () => {
    const cluster = await MemoryCluster.create({ nodes: 4 });
    await cluster.startMaster(0);
    for (const at of [0, 1, 2]) await cluster.startNode(at);
    await cluster.quiet(3);
    const session = await cluster.session();
    const { version } = await cluster.during(put(session, 'a', bytesOf(1)));
    // Two owners acknowledge, and the joiner hears of one of them and of the third: that one still takes writes.
    let blocked = true;
    const [silent, behind] = [cluster.node(0).address, cluster.node(2).address];
    cluster.faultOf = ({ route, to }) => {
      const refused =
        (route === 'chunk.list' && to.address === silent) || (route === 'layout.adopt' && to.address === behind);
      return blocked && refused ? { refused } : undefined;
    };
    await cluster.startNode(3);
    await cluster.until(async () => (await newestLayoutOf(cluster)).number === 2);
    await cluster.clock.advance(15_000);
    const told = cluster.net.calls.filter(({ route }) => route === 'layout.covered').length;
    assert.ok(told > 0, 'the joiner was never told to list again');
    assert.equal(await isComplete(cluster, 3, 2), false);
    blocked = false;
    await cluster.quiet(4);
    for (const [at, { storage }] of cluster.nodes.entries()) {
      for (const { layoutNumber } of await storage.listVersion(version, 0, 1))
        assert.equal(layoutNumber, at < 3 ? 1 : 2);
    }
    cluster.stopAll();
  });

  test('two joins within a second make one layout', async () => {
    const cluster = await MemoryCluster.create({ nodes: 4 });
    await cluster.startMaster(0);
    await cluster.startNode(0);
    await cluster.startNode(1);
    await cluster.quiet(2);
    assert.equal((await newestLayoutOf(cluster)).number, 1);
    await cluster.startNode(2);
    await cluster.clock.advance(500);
    await cluster.startNode(3);
    await cluster.quiet(4);
    assert.equal((await newestLayoutOf(cluster)).number, 2);
    cluster.stopAll();
  });

  test('with four unretired layouts no fifth is made until they can be retired', async () => {
    const cluster = await MemoryCluster.create({ nodes: 6, settings: { copies: 1, writeCopies: 1 } });
    await cluster.startMaster(0);
    await cluster.startNode(0);
    await cluster.quiet(1);
    let blocked = true;
    cluster.faultOf = ({ route }) => (blocked && route === 'chunk.list' ? { refused: true } : undefined);
    for (let at = 1; at < 6; at++) {
      await cluster.startNode(at);
      await cluster.clock.advance(3_000);
      assert.ok((await layoutsOf(cluster)).length <= 4);
    }
    assert.equal((await layoutsOf(cluster)).length, 4);
    blocked = false;
    await cluster.quiet(6);
    cluster.stopAll();
  });

  test('a master that is replaced in the middle of a join lets the next one finish it', async () => {
    const cluster = await MemoryCluster.create({ nodes: 4, masters: 2 });
    await cluster.startMaster(0);
    await cluster.startMaster(1);
    for (const at of [0, 1, 2]) await cluster.startNode(at);
    await cluster.quiet(3);
    const session = await cluster.session();
    const { version } = await cluster.during(put(session, 'a', bytesOf(1)));
    const leader = cluster.store.lease?.address === cluster.masters[0]?.address ? 0 : 1;
    await cluster.startNode(3);
    await cluster.until(async () => (await newestLayoutOf(cluster)).number === 2);
    cluster.stopMaster(leader);
    await cluster.quiet(4);
    assert.equal(cluster.store.lease?.epoch, 2n);
    assert.deepEqual(await cluster.during(get(session, 'a')), new Uint8Array(bytesOf(1)));
    assert.equal((await copiesOf(cluster, version)).chunks, 3);
    cluster.stopAll();
  });

  test('a node that restarts in the middle of a join keeps the layouts it acknowledged', async () => {
    const cluster = await MemoryCluster.create({ nodes: 4 });
    await cluster.startMaster(0);
    for (const at of [0, 1, 2]) await cluster.startNode(at);
    await cluster.quiet(3);
    const session = await cluster.session();
    const { version } = await cluster.during(put(session, 'a', bytesOf(1)));
    cluster.faultOf = ({ route }) => (route === 'chunk.list' ? { refused: true } : undefined);
    await cluster.startNode(3);
    await cluster.until(async () => (await newestLayoutOf(cluster)).number === 2);
    await cluster.clock.advance(2_000);
    cluster.stopNode(0);
    cluster.stopMaster(0);
    await cluster.startNode(0);
    await cluster.clock.advance(3_000);
    const bytes = await cluster.node(0).storage.getState('order');
    const { layouts } = JSON.parse(Buffer.from(bytes ?? []).toString()) as { layouts: unknown[] };
    assert.equal(layouts.length, 2);
    await cluster.startMaster(0);
    cluster.faultOf = () => undefined;
    await cluster.quiet(4);
    assert.equal((await copiesOf(cluster, version)).chunks, 3);
    assert.deepEqual(await cluster.during(get(session, 'a')), new Uint8Array(bytesOf(1)));
    cluster.stopAll();
  });

  test('a node that comes back at another address is found by the others, and by the public keys', async () => {
    const cluster = await MemoryCluster.start({ nodes: 3 });
    const session = await cluster.session();
    await cluster.during(put(session, 'a', bytesOf(1)));
    cluster.stopNode(1);
    cluster.node(1).address = '10.0.9.9:7001';
    await cluster.startNode(1);
    await cluster.clock.advance(5_000);
    const { version } = await cluster.during(put(session, 'b', bytesOf(2)));
    await cluster.clock.advance(1_000);
    assert.deepEqual(await copiesOf(cluster, version), { owners: 3, chunks: 3, manifests: 3 });
    const keys = await cluster.registry().readPublicKeys();
    assert.deepEqual([...(keys.get('network:data:node:10.0.9.9:7001') ?? [])].sort(), ['a', 'b']);
    cluster.stopAll();
  });

  test('the public keys follow a node that moved while no master ran', async () => {
    const cluster = await MemoryCluster.start({ nodes: 3 });
    const session = await cluster.session();
    await cluster.during(put(session, 'a', bytesOf(1)));
    await cluster.quiet(3);
    cluster.stopMaster(0);
    cluster.stopNode(1);
    cluster.node(1).address = '10.0.9.9:7001';
    await cluster.startNode(1);
    await cluster.clock.advance(5_000);
    await cluster.startMaster(0);
    await cluster.clock.advance(10_000);
    assert.deepEqual((await cluster.registry().readPublicKeys()).get('network:data:node:10.0.9.9:7001'), ['a']);
    await cluster.quiet(3);
    cluster.stopAll();
  });

  test('ten thousand small files move to a joiner in a few rounds', async () => {
    const cluster = await MemoryCluster.create({ nodes: 2, settings: { copies: 1, writeCopies: 1 } });
    await cluster.startMaster(0);
    await cluster.startNode(0);
    await cluster.quiet(1);
    const { sha256 } = await import('../../src/crypto/digest.ts');
    const { versionIdFromBytes } = await import('../../src/model/ids.ts');
    const { partitionOf } = await import('../../src/placement/partition.ts');
    const storage = cluster.node(0).disk.open();
    const body = Buffer.alloc(64, 7);
    for (let batch = 0; batch < 10; batch++) {
      const chunks = Array.from({ length: 1_000 }, () => {
        const version = versionIdFromBytes(cluster.random.bytes(16));
        const at = { version, index: 0, partition: partitionOf(version, 0), servedHour: 0, layoutNumber: 1 };
        return { ...at, hash: sha256(body), body };
      });
      await storage.putChunks(chunks);
    }
    cluster.net.calls.length = 0;
    await cluster.startNode(1);
    await cluster.quiet(2);
    const moved = (await cluster.node(1).storage.usage()).chunks;
    assert.ok(moved > 4_000 && moved < 6_000, `${moved} moved`);
    const asked = cluster.net.calls.filter(({ route }) => route === 'chunk.list' || route === 'chunk.read').length;
    assert.ok(asked < 40, `${asked} calls for ${moved} chunks`);
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
