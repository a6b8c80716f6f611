// Driving what nodes do about their stores: served hours pass, leaders allow deleting, passes run to their end.
import type { RunningNode } from '../../src/roles/node/app.ts';
import type { Hygiene } from '../../src/roles/node/hygiene.ts';
import type { SweepReport } from '../../src/roles/node/sweep.ts';
import type { MemoryCluster } from '../support/memory-cluster.ts';

export const hygieneOf = (cluster: MemoryCluster, at: number): Hygiene => {
  const { running } = cluster.node(at);
  if (!running) throw new Error(`node ${at} does not run`);
  return (running as RunningNode).hygiene;
};

/** All nodes that run. */
export const runningOf = (cluster: MemoryCluster): number[] =>
  [...cluster.nodes.keys()].filter((at) => cluster.node(at).runs);

/** So many hours of a leader's lease pass for the nodes that run. */
export const serveHours = async (cluster: MemoryCluster, hours: number): Promise<void> => {
  for (const at of runningOf(cluster)) {
    const { memory } = hygieneOf(cluster, at).core;
    await cluster.during(memory.change((state) => ({ ...state, servedHour: state.servedHour + hours })));
  }
};

/** A leader's word that deleting is safe, given now. */
export const allow = (cluster: MemoryCluster, at: number): void => {
  const { core } = hygieneOf(cluster, at);
  const { incarnation } = core.memory.state;
  const layoutNumber = core.memory.state.layouts.at(-1)?.layout.number ?? 0;
  core.deletion = { allowed: true, incarnation, layoutNumber, atMs: core.context.clock.monotonicMs() };
};

/** One sweep of each node that runs, one after the other, with leave to delete. */
export const sweep = async (cluster: MemoryCluster, only = runningOf(cluster)): Promise<SweepReport[]> => {
  const reports: SweepReport[] = [];
  for (const at of only) {
    allow(cluster, at);
    reports.push(await cluster.during(hygieneOf(cluster, at).sweep.pass()));
  }
  return reports;
};

/** Each node that runs compares all its partitions with the other owners, several times over. */
export const compare = async (cluster: MemoryCluster, rounds = 4): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    for (const at of runningOf(cluster)) await cluster.during(hygieneOf(cluster, at).antiEntropy.round());
  }
};
