// The hour that all nodes follow: nobody's word alone moves it, since everything that is deleted ages by it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { limits } from '../../../src/model/limits.ts';
import type { RunningNode } from '../../../src/roles/node/app.ts';
import type { NodeCore } from '../../../src/roles/node/core.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';

const coreOf = (cluster: MemoryCluster, at: number): NodeCore => {
  const { running } = cluster.node(at);
  if (!running) throw new Error(`node ${at} does not run`);
  return (running as RunningNode).hygiene.core;
};

const hoursOf = (cluster: MemoryCluster): number[] =>
  [...cluster.nodes.keys()].map((at) => coreOf(cluster, at).servedHour);

const setHour = (cluster: MemoryCluster, at: number, servedHour: number): Promise<unknown> =>
  cluster.during(coreOf(cluster, at).memory.change((state) => ({ ...state, servedHour })));

describe('the served hour', () => {
  test('of a node whose notes are damaged moves no other node', async () => {
    const cluster = await MemoryCluster.start({ nodes: 3 });
    for (const at of [0, 1, 2]) await setHour(cluster, at, 7);
    await cluster.clock.advance(3 * limits.heartbeatMs);
    await setHour(cluster, 0, 4_000_000_000);
    await cluster.clock.advance(3 * limits.heartbeatMs);
    assert.deepEqual(hoursOf(cluster), [4_000_000_000, 7, 7]);
    for (const at of [1, 2]) assert.ok(coreOf(cluster, at).soundness.sound, 'nobody was away for long');
    cluster.stopAll();
  });

  test('that two nodes know is told to a third one', async () => {
    const cluster = await MemoryCluster.start({ nodes: 3 });
    for (const at of [0, 1]) await setHour(cluster, at, 9);
    await cluster.clock.advance(3 * limits.heartbeatMs);
    assert.deepEqual(hoursOf(cluster), [9, 9, 9]);
    cluster.stopAll();
  });
});
