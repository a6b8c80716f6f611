// What the scenarios of deaths and orders share: a small watched network, and questions about it.
import type { MemberState } from '../../src/registry/registry.ts';
import { timings } from '../../src/model/timing.ts';
import { newestLayoutOf } from '../support/cluster-client.ts';
import { type ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';

/** The local preset with shorter waits: simulated minutes take real seconds. */
export const timing = { ...timings.local, graceMs: 20_000, quarantineMs: 30_000 };
/** A verdict of down is in the registry by then: silence, a round, the others' opinions. */
export const downByMs = timing.downMaxMs + 2_000;

/** A network with the local preset; `deployed` of its nodes run. */
export const watched = async (options: ClusterOptions = {}, deployed = options.nodes ?? 4): Promise<MemoryCluster> => {
  const { masterWith, sentinelWith } = options;
  const cluster = await MemoryCluster.create({
    ...{ nodes: 4, sentinels: 1, ...options },
    masterWith: { timing, ...masterWith },
    sentinelWith: { timing, ...sentinelWith },
  });
  for (const at of cluster.masters.keys()) await cluster.startMaster(at);
  for (const at of cluster.sentinels.keys()) await cluster.startSentinel(at);
  for (let at = 0; at < deployed; at++) await cluster.startNode(at);
  await cluster.quiet(deployed);
  await cluster.clock.advance(3_000);
  return cluster;
};

export const stateOf = async (cluster: MemoryCluster, at: number): Promise<MemberState | undefined> =>
  (await cluster.registry().getMember(cluster.node(at).member.memberId))?.state;

/** Time until the node is in that state. */
export const untilState = async (
  cluster: MemoryCluster,
  at: number,
  state: MemberState,
  maxMs = 60_000,
): Promise<number> => {
  const fromMs = cluster.clock.monotonicMs();
  await cluster.until(async () => (await stateOf(cluster, at)) === state, maxMs);
  return cluster.clock.monotonicMs() - fromMs;
};

/** Numbers of the nodes that the newest layout names. */
export const placedNodes = async (cluster: MemoryCluster): Promise<number[]> => {
  const { nodes } = await newestLayoutOf(cluster);
  return [...cluster.nodes.keys()].filter((at) => nodes.includes(cluster.node(at).member.signer.keyHash));
};

export const eventsOf = async (cluster: MemoryCluster) =>
  (await cluster.registry().listEvents(undefined, 1_000)).map(({ kind, causeId, facts }) => ({ kind, causeId, facts }));

/** Everything that one end says to the other is lost, one way. */
export const lose = (cluster: MemoryCluster, from: readonly string[], to: readonly string[]): void => {
  for (const each of from) for (const other of to) cluster.links.cut(each, other);
};

export const leaderOf = (cluster: MemoryCluster): number =>
  cluster.masters.findIndex(({ address }) => address === cluster.store.lease?.address);
