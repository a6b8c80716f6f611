// Not faults, but what operators do while things are broken: the network key is rotated, nodes are drained and taken
// back.
import { toOperaError } from '../../src/errors/errors.ts';
import type { ClusterNode } from '../support/memory-cluster.ts';
import type { FaultKind } from './_nemesis.ts';
import type { World } from './_world.ts';

/** As a gateway passes an operator's order to the leader. True when it was carried out; when not, it may have been. */
const order = async (world: World, what: 'drain' | 'resume', { member }: ClusterNode): Promise<boolean> => {
  const { cluster, trace } = world;
  const leader = cluster.masters.find(({ address }) => address === cluster.store.lease?.address);
  const [client] = cluster.clients;
  if (!leader || !client) return false;
  const to = { address: leader.address, expect: { memberId: leader.member.memberId } };
  const request = { node: member.memberId, force: false };
  const onBehalf = { client: client.signer.keyHash, clientRole: 'operator' as const, request };
  const call = cluster.transportOf(cluster.gateway.member).call(to, `master.node.${what}`, onBehalf);
  const outcome = await call.then(
    () => 'ok',
    (error: unknown) => toOperaError(error).code,
  );
  trace.add(`order ${what} ${member.memberId.slice(0, 6)} → ${outcome}`);
  return outcome === 'ok';
};

/** Nodes that are still drained are taken back, as often as it takes. */
export const resumeAll = async (world: World): Promise<void> => {
  const { cluster, drained } = world;
  for (const node of drained) {
    const state = cluster.store.members.get(node.member.memberId)?.state;
    if (state !== 'draining' || (await order(world, 'resume', node))) drained.delete(node);
  }
};

export const orderFaults = {
  rotate: {
    weight: 1,
    inject: ({ cluster }) => {
      cluster.rotate();
      return () => undefined;
    },
  },
  drain: {
    weight: 1,
    inject: (world) => {
      const nodes = world.nodesRunning().filter((node) => world.joined.has(node) && !world.drained.has(node));
      if (nodes.length === 0) return undefined;
      const node = world.random.pick(nodes);
      world.drained.add(node);
      // Not waited for: the leader may be paused, or the database away.
      void order(world, 'drain', node);
      return () => void order(world, 'resume', node);
    },
  },
} satisfies Record<string, FaultKind>;
