// Repair: nodes that die for good, come back, lose their disk or get an old copy of it, and copies that nobody needs
// any more. Each rule has a mutant that loses something.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import type { VersionId } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import type { FormerRules } from '../../src/roles/node/former-owner.ts';
import type { PullRules } from '../../src/roles/node/pull.ts';
import { planPull } from '../../src/roles/node/repair.ts';
import { newWitness } from '../../src/roles/node/soundness.ts';
import { initialNodeState } from '../../src/roles/node/state.ts';
import { copiesOf, get, newestLayoutOf, ownerNodes, put } from '../support/cluster-client.ts';
import { type ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import { describe, played, test } from './_early.ts';
import { untilState, watched } from './_deaths.ts';

const nameOf = (at: number): string => `file ${at}`;
const bytesOf = (at: number): Uint8Array => new Uint8Array(Buffer.from(`content of file ${at}`));

const putFiles = async (cluster: MemoryCluster, count: number, from = 0): Promise<VersionId[]> => {
  const session = await cluster.session();
  const versions: VersionId[] = [];
  for (let at = from; at < from + count; at++) {
    versions.push((await cluster.during(put(session, nameOf(at), bytesOf(at)))).version);
  }
  return versions;
};

const readFiles = async (cluster: MemoryCluster, count: number): Promise<void> => {
  const session = await cluster.session();
  for (let at = 0; at < count; at++) assert.deepEqual(await cluster.during(get(session, nameOf(at))), bytesOf(at));
};

/** Fails unless every owner in the newest layout holds chunk and manifest. */
const assertFull = async (cluster: MemoryCluster, versions: readonly VersionId[], copies: number): Promise<void> => {
  for (const version of versions) {
    assert.deepEqual(await copiesOf(cluster, version), { owners: copies, chunks: copies, manifests: copies });
  }
};

const completeLayoutOf = async (cluster: MemoryCluster, at: number): Promise<number> => {
  const bytes = await cluster.node(at).storage.getState('order');
  return bytes ? (JSON.parse(Buffer.from(bytes).toString()) as typeof initialNodeState).completeLayout : 0;
};

const callsOf = (cluster: MemoryCluster, route: string): number =>
  cluster.net.calls.filter((call) => call.route === route).length;

/** Nodes of a network without sentinels, the first `count` of them running. */
const running = async (count: number, options: ClusterOptions): Promise<MemoryCluster> => {
  const cluster = await MemoryCluster.create(options);
  await cluster.startMaster(0);
  for (let at = 0; at < count; at++) await cluster.startNode(at);
  await cluster.quiet(count);
  return cluster;
};

describe('losing nodes', () => {
  test('a node lost for good costs no copy, and neither does a second one after the repair', async () => {
    const cluster = await watched({ nodes: 5 });
    const versions = await putFiles(cluster, 24);
    for (const [lost, left] of [
      [4, 4],
      [3, 3],
    ] as const) {
      cluster.stopNode(lost);
      await untilState(cluster, lost, 'out', 200_000);
      await cluster.quiet(left, 120_000);
      await assertFull(cluster, versions, 3);
    }
    await readFiles(cluster, 24);
    cluster.stopAll();
  });

  test('a node that comes back keeps what it held and pulls only what it missed', async () => {
    const cluster = await watched({ nodes: 4 });
    const versions = await putFiles(cluster, 24);
    cluster.stopNode(3);
    await untilState(cluster, 3, 'out', 200_000);
    await cluster.quiet(3, 120_000);
    versions.push(...(await putFiles(cluster, 4, 24)));
    const { node } = { node: cluster.node(3) };
    const held = new Set(
      (await Promise.all(versions.map((version) => node.storage.listVersion(version, 0, 1)))).flat(),
    );
    cluster.net.calls.length = 0;
    await cluster.startNode(3);
    await cluster.quiet(4, 120_000);
    await assertFull(cluster, versions, 3);
    const asked = cluster.net.calls
      .filter(({ route }) => route === 'chunk.read')
      .flatMap(({ request }) => (request as { chunks: { version: VersionId }[] }).chunks.map(({ version }) => version));
    const before = new Set([...held].map(({ version }) => version));
    assert.deepEqual(
      asked.filter((version) => before.has(version)),
      [],
      'it was given again what it had',
    );
    await readFiles(cluster, 28);
    cluster.stopAll();
  });
});

describe('a smaller network', () => {
  // Found by a random run: the node owned everything all along, listed nothing, and one answer covered what it lacked.
  test('holds every copy that its layout promises, also on owners that had missed a write before', async () => {
    const cluster = await watched({ nodes: 3 });
    const { address } = cluster.node(2);
    cluster.faultOf = ({ to }) => (to.address === address ? { refused: true } : undefined);
    const versions = await putFiles(cluster, 8);
    cluster.faultOf = () => undefined;
    cluster.stopNode(0);
    await untilState(cluster, 0, 'out', 200_000);
    await cluster.quiet(2, 120_000);
    await assertFull(cluster, versions, 2);
    cluster.stopAll();
  });
});

describe('a doubted store', () => {
  /** The disk of one node is replaced by an empty one; answers whether it holds its copies when it says so. */
  const wiped = async (options: ClusterOptions): Promise<boolean> => {
    const cluster = await running(4, { nodes: 4, ...options });
    const versions = await putFiles(cluster, 24);
    cluster.stopNode(1);
    cluster.node(1).disk.wipe();
    await cluster.startNode(1);
    await cluster.clock.advance(12_000);
    assert.equal(await completeLayoutOf(cluster, 1), 1);
    assert.equal(cluster.node(1).witness?.sound, true);
    const counts = await Promise.all(versions.map((version) => copiesOf(cluster, version)));
    await readFiles(cluster, 24);
    cluster.stopAll();
    return counts.every(({ owners, chunks, manifests }) => chunks === owners && manifests === owners);
  };

  test('that is blank is filled again by the others before its node is complete', async () => {
    assert.equal(await wiped({}), true);
  });

  test('mutant: a node that counts its own blank store is complete without its copies', async () => {
    const plan: PullRules['plan'] = (state, self) => planPull(state, self, true);
    assert.equal(await wiped({ nodeWith: { pullRules: { plan } } }), false);
  });

  /** A node gets an old copy of its disk with a manifest of a file whose removal is long forgotten everywhere. */
  const restored = async (options: ClusterOptions): Promise<{ stale: boolean; newer: boolean }> => {
    const cluster = await running(3, { nodes: 3, ...options });
    const [old] = await putFiles(cluster, 1);
    const copy = cluster.node(1).disk.writes;
    const [newer] = await putFiles(cluster, 1, 1);
    if (!old || !newer) throw new Error('nothing was put');
    for (const at of [0, 2]) {
      const storage = cluster.node(at).disk.open();
      await storage.deleteManifests([old]);
      await storage.deleteChunks([{ version: old, index: 0 }]);
    }
    // A heartbeat tells how far the store had got.
    await cluster.clock.advance(2 * limits.heartbeatMs);
    cluster.stopNode(1);
    cluster.node(1).disk.restore(copy);
    await cluster.startNode(1);
    await cluster.clock.advance(12_000);
    assert.ok(cluster.lines.some((line) => line.includes('store-unsound')) || options.nodeWith, 'nothing was noticed');
    const { storage } = cluster.node(1);
    const held = (await storage.getManifest(newer)) !== undefined;
    const facts = { stale: (await storage.getManifest(old)) !== undefined, newer: held };
    cluster.stopAll();
    return facts;
  };

  test('that was put back from a copy takes what it lacks, and forgets what was overtaken', async () => {
    assert.deepEqual(await restored({}), { stale: false, newer: true });
  });

  test('mutant: a node that believes any store keeps the manifest of a file that was removed', async () => {
    const witness = { witness: newWitness('0'.repeat(32)), save: async () => undefined };
    assert.equal((await restored({ nodeWith: { witness } })).stale, true);
  });

  /**
   * Owners 0 and 1 hold a file, owner 2 missed it. Owner 0 loses its disk, and a joiner cannot reach owner 1: what it
   * is told by 0 and 2 lacks the file. Answers whether it calls itself complete.
   */
  const joinsBesideBlank = async (options: ClusterOptions): Promise<boolean> => {
    const cluster = await running(3, { nodes: 4, ...options });
    const { address: missed } = cluster.node(2);
    cluster.faultOf = ({ to, route }) =>
      to.address === missed && /^(chunk\.(store|copy)|manifest\.store)$/.test(route) ? { refused: true } : undefined;
    await putFiles(cluster, 12);
    const away = cluster.node(1).address;
    const [blank, joiner] = [cluster.node(0).member.memberId, cluster.node(3).member.memberId];
    cluster.faultOf = ({ from, to }) =>
      to.address === away && (from?.memberId === joiner || from?.memberId === blank) ? { refused: true } : undefined;
    cluster.stopNode(0);
    cluster.node(0).disk.wipe();
    await cluster.startNode(0);
    await cluster.startNode(3);
    await cluster.until(async () => (await newestLayoutOf(cluster)).number === 2);
    await cluster.clock.advance(15_000);
    const complete = (await completeLayoutOf(cluster, 3)) >= 2;
    cluster.stopAll();
    return complete;
  };

  test('is no answer to a node that lists what it gained', async () => {
    assert.equal(await joinsBesideBlank({}), false);
  });

  test('mutant: counting answers of blank stores makes a joiner complete without an acknowledged file', async () => {
    const isAnswered: PullRules['isAnswered'] = () => true;
    assert.equal(await joinsBesideBlank({ nodeWith: { pullRules: { isAnswered } } }), true);
  });
});

describe('a source that gives other bytes', () => {
  /** Node 0 alters every chunk it gives to nodes; answers whether the joiner's copies are what was put. */
  const altered = async (pullRules: Partial<PullRules>): Promise<boolean> => {
    const cluster = await running(3, {
      nodes: 4,
      nodeWith: { pullRules },
      handlersOf: (handlers, at) => ({
        ...handlers,
        'chunk.read': async (call) => {
          const reply = await handlers['chunk.read']?.(call);
          if (!reply) throw new Error('chunks are not served');
          const binary = (reply.binary ?? []).map((bytes) => bytes.map((byte) => byte ^ (at === 0 ? 1 : 0)));
          return { ...reply, binary };
        },
      }),
    });
    const versions = await putFiles(cluster, 24);
    await cluster.startNode(3);
    await cluster.quiet(4);
    const good = new Map<VersionId, Uint8Array>();
    for (const version of versions) {
      for (const at of [0, 1, 2]) {
        const found = await cluster.node(at).storage.getChunk({ version, index: 0 });
        if (found) good.set(version, found.body);
      }
    }
    let same = true;
    for (const [version, body] of good) {
      const found = await cluster.node(3).storage.getChunk({ version, index: 0 });
      if (found && Buffer.compare(found.body, body) !== 0) same = false;
    }
    cluster.stopAll();
    return same;
  };

  test('is passed over for another one', async () => {
    assert.equal(await altered({}), true);
  });

  test('mutant: without looking at hashes its bytes are kept', async () => {
    assert.equal(await altered({ checksHashes: false }), false);
  });
});

describe('copies that others own now', () => {
  /** One node's copies after a join moved partitions away, when everything has had its time. */
  const afterJoin = async (
    options: ClusterOptions & {
      readonly fault?: (cluster: MemoryCluster, versions: readonly VersionId[]) => Promise<void>;
      readonly waitMs?: number;
    },
  ): Promise<{ total: number; files: number; full: boolean; cluster: MemoryCluster }> => {
    const { waitMs = 5_000, nodeWith } = options;
    const shape = { nodes: 3, settings: { copies: 2, writeCopies: 2 } };
    const with_ = { ...nodeWith, formerRules: { waitMs, ...nodeWith?.formerRules } };
    const cluster = await running(2, { ...shape, ...options, nodeWith: with_ });
    const versions = await putFiles(cluster, 12);
    await cluster.startNode(2);
    await cluster.quiet(3);
    await options.fault?.(cluster, versions);
    cluster.net.calls.length = 0;
    if (waitMs > 5_000) {
      await cluster.clock.advance(waitMs - 20_000);
      assert.equal(callsOf(cluster, 'chunk.confirm'), 0, 'nobody may ask before old tickets have ended');
    }
    await cluster.clock.advance(3 * limits.formerTickMs);
    const usages = await Promise.all(cluster.nodes.map(({ storage }) => storage.usage()));
    const total = usages.reduce((sum, { chunks }) => sum + chunks, 0);
    const counts = await Promise.all(versions.map((version) => copiesOf(cluster, version)));
    const full = counts.every(({ owners, chunks, manifests }) => chunks === owners && manifests === owners);
    return { total, files: versions.length, full, cluster };
  };

  /** One owner does not answer when it is asked. */
  const silentOwner = async (cluster: MemoryCluster): Promise<void> => {
    cluster.faultOf = ({ route, to }) =>
      route === 'chunk.confirm' && to.address === cluster.node(2).address ? { refused: true } : undefined;
  };

  test('are dropped when every owner confirmed them, with their manifests', async () => {
    const { total, files, full, cluster } = await afterJoin({ waitMs: 2 * limits.ticketLifeMs });
    assert.equal(total, 2 * files);
    assert.equal(full, true);
    const manifests = await Promise.all(cluster.nodes.map(({ storage }) => storage.usage()));
    assert.equal(
      manifests.reduce((sum, usage) => sum + usage.manifests, 0),
      2 * files,
    );
    await readFiles(cluster, files);
    cluster.stopAll();
  });

  test('are kept while one owner says nothing', async () => {
    const { total, files, cluster } = await afterJoin({ fault: silentOwner });
    assert.ok(total > 2 * files);
    cluster.stopAll();
  });

  test('mutant: some owners are not every owner', async () => {
    const isConfirmed: FormerRules['isConfirmed'] = (confirmed) => confirmed.size > 0;
    const { total, files, cluster } = await afterJoin({
      fault: silentOwner,
      nodeWith: { formerRules: { isConfirmed } },
    });
    assert.equal(total, 2 * files);
    cluster.stopAll();
  });

  /** The new owner lost its copies of everything; the others have them still, the former owner among them. */
  const forgetfulOwner = async (cluster: MemoryCluster, versions: readonly VersionId[]): Promise<void> => {
    cluster.faultOf = ({ route }) => (route.startsWith('digest.') ? { refused: true } : undefined);
    const storage = cluster.node(2).disk.open();
    await storage.deleteChunks(versions.map((version) => ({ version, index: 0 })));
  };

  test('are offered to an owner that lacks them, and dropped after that', async () => {
    const { total, files, full, cluster } = await afterJoin({ fault: forgetfulOwner });
    assert.ok(callsOf(cluster, 'chunk.give') > 0);
    assert.equal(full, true);
    assert.ok(total >= 2 * files);
    cluster.stopAll();
  });

  /** The new owner holds other bytes at each address. */
  const otherBytes = async (cluster: MemoryCluster, versions: readonly VersionId[]): Promise<void> => {
    const storage = cluster.node(2).disk.open();
    const { sha256 } = await import('../../src/crypto/digest.ts');
    const { partitionOf } = await import('../../src/placement/partition.ts');
    const layout = await newestLayoutOf(cluster);
    for (const version of versions) {
      if (!ownerNodes(cluster, layout, version, 0).includes(cluster.node(2))) continue;
      const body = new Uint8Array(Buffer.alloc(40, 1));
      await storage.deleteChunks([{ version, index: 0 }]);
      const at = { version, index: 0, partition: partitionOf(version, 0), servedHour: 0, layoutNumber: 2 };
      await storage.putChunks([{ ...at, hash: sha256(body), body }]);
    }
  };

  test('are kept where an owner has other bytes, and the mutant that asks for presence alone drops them', async () => {
    const { total, files, cluster } = await afterJoin({ fault: otherBytes });
    assert.ok(total > 2 * files);
    cluster.stopAll();
    const mutant = await afterJoin({
      fault: otherBytes,
      handlersOf: (handlers) => ({
        ...handlers,
        'chunk.confirm': async (call) => {
          const reply = await handlers['chunk.confirm']?.(call);
          if (!reply) throw new Error('nothing is confirmed');
          return { ...reply, answer: { ...reply.answer, held: reply.answer.held.map(() => 0xff) } };
        },
      }),
    });
    assert.equal(mutant.total, 2 * files);
    mutant.cluster.stopAll();
  });

  /** While the joiner cannot list, its layout is not complete; answers how many copies the old owners still have. */
  const unretired = async (formerRules: Partial<FormerRules>): Promise<number> => {
    const cluster = await running(2, {
      nodes: 3,
      settings: { copies: 2, writeCopies: 2 },
      nodeWith: { formerRules: { waitMs: 5_000, ...formerRules } },
    });
    await putFiles(cluster, 12);
    const joiner = cluster.node(2).member.memberId;
    cluster.faultOf = ({ from, route }) =>
      route === 'manifest.index' && from?.memberId === joiner ? { refused: true } : undefined;
    await cluster.startNode(2);
    await cluster.until(async () => (await newestLayoutOf(cluster)).number === 2);
    await cluster.clock.advance(40_000);
    const usages = await Promise.all([0, 1].map((at) => cluster.node(at).storage.usage()));
    cluster.stopAll();
    return usages.reduce((sum, { chunks }) => sum + chunks, 0);
  };

  test('stay while an older layout is not retired', async () => {
    assert.equal(await unretired({}), 24);
  });

  test('mutant: not waiting for retirement, nor for the joiner, drops what it may still lack', async () => {
    const settledLayout: FormerRules['settledLayout'] = (state) => state.layouts.at(-1)?.layout;
    assert.ok((await unretired({ settledLayout, isConfirmed: () => true })) < 24);
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
