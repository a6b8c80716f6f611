// The sweep of pending changes, over real masters and nodes: what is stuck must not keep what came later waiting.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytesToHex, parseOperationId, parseVersionId, type VersionId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import type { Registry } from '../../../src/registry/registry.ts';
import { newestLayoutOf, ownerNodes } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { wrap } from '../../support/registry-builders.ts';

/** A page and a half of changes that only node 0 could take, and behind them one that node 1 can. */
const strand = async (cluster: MemoryCluster): Promise<bigint> => {
  const layout = await newestLayoutOf(cluster);
  const draw = (owner: number): VersionId => {
    for (;;) {
      const version = parseVersionId(bytesToHex(cluster.random.bytes(16)));
      if (ownerNodes(cluster, layout, version, 0)[0] === cluster.node(owner)) return version;
    }
  };
  const stuck = Math.ceil(limits.stepChangesMax * 1.5);
  for (let at = 0; at <= stuck; at++) {
    const sequence = cluster.store.sequence + 1n;
    cluster.store.sequence = sequence;
    const manifest = {
      version: draw(at < stuck ? 0 : 1),
      state: 'live' as const,
      body: cluster.random.bytes(100),
      wrap: wrap(),
    };
    const operationId = parseOperationId(bytesToHex(cluster.random.bytes(16)));
    cluster.store.pending.set(sequence, {
      name: `name ${at}`,
      sequence,
      incarnation: cluster.store.incarnation,
      operationId,
      manifests: [manifest],
    });
  }
  return cluster.store.sequence;
};

/** Knows only the oldest page, as if there were no cursor. */
const withoutCursor = (registry: Registry): Registry =>
  new Proxy(registry, {
    get: (target, key) => {
      if (key === 'listPending') {
        return async (limit: number, after = 0n) => (after > 0n ? [] : target.listPending(limit));
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

const sweepPast = async (registryOf?: (registry: Registry) => Registry): Promise<boolean> => {
  const cluster = await MemoryCluster.start({
    nodes: 2,
    settings: { copies: 1, writeCopies: 1 },
    ...(registryOf ? { registryOf } : {}),
  });
  const deaf = cluster.node(0).address;
  cluster.faultOf = ({ route, to }) =>
    route === 'manifest.store' && to.address === deaf ? { refused: true } : undefined;
  const last = await strand(cluster);
  await cluster.clock.advance(3 * limits.pendingSweepMs);
  const finished = !cluster.store.pending.has(last);
  assert.ok(cluster.store.pending.size >= limits.stepChangesMax, 'the others are stuck');
  cluster.stopAll();
  return finished;
};

describe('the sweep', () => {
  test('finishes changes behind more stuck ones than a page holds', async () => {
    assert.equal(await sweepPast(), true);
  });

  test('would not without a cursor', async () => {
    assert.equal(await sweepPast(withoutCursor), false);
  });
});
