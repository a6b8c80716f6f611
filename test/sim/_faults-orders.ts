// Not faults, but what operators do while things are broken: the network key is rotated, nodes are drained, taken back
// and removed: those that are empty, and by force those that are lost.
import { toOperaError } from '../../src/errors/errors.ts';
import { ownersOf, parseLayout } from '../../src/placement/layout.ts';
import { partitionOf } from '../../src/placement/partition.ts';
import type { ClusterNode } from '../support/memory-cluster.ts';
import type { FaultKind } from './_nemesis.ts';
import type { World } from './_world.ts';

/** As a gateway passes an operator's order to the leader. True when it was carried out; when not, it may have been. */
const order = async (
  world: World,
  what: 'drain' | 'resume' | 'remove',
  { member }: ClusterNode,
  force = false,
): Promise<boolean> => {
  const { cluster, trace } = world;
  const leader = cluster.masters.find(({ address }) => address === cluster.store.lease?.address);
  const [client] = cluster.clients;
  if (!leader || !client) return false;
  const to = { address: leader.address, expect: { memberId: leader.member.memberId } };
  const request = { node: member.memberId, force };
  const onBehalf = { client: client.signer.keyHash, clientRole: 'operator' as const, request };
  const call = cluster.transportOf(cluster.gateway.member).call(to, `master.node.${what}`, onBehalf);
  const outcome = await call.then(
    () => 'ok',
    (error: unknown) => toOperaError(error).code,
  );
  trace.add(`order ${what} ${member.memberId.slice(0, 6)} → ${outcome}`);
  return outcome === 'ok';
};

const stateOf = ({ cluster: { store } }: World, { member }: ClusterNode): string | undefined =>
  store.members.get(member.memberId)?.state;

/** Nodes that are still drained or removed are taken back, as often as it takes; those gone for good are not. */
export const resumeAll = async (world: World): Promise<void> => {
  const { drained } = world;
  for (const node of drained) {
    const state = stateOf(world, node);
    if ((state !== 'draining' && state !== 'removed') || (await order(world, 'resume', node))) drained.delete(node);
  }
};

/** A node that was removed without force was in no layout, and what lives has its copies without it. */
const lookAtRemoved = async ({ cluster, findings }: World, { member, address }: ClusterNode): Promise<void> => {
  const { keyHash } = member.signer;
  const layouts = [...cluster.store.layouts.values()].map(({ layout }) => parseLayout(layout.bytes));
  if (layouts.some(({ nodes }) => nodes.includes(keyHash))) findings.push(`${address} was removed from a layout`);
  for (const [name, { record }] of cluster.store.names) {
    let copies = 0;
    const owners = new Set(layouts.flatMap((layout) => ownersOf(layout, partitionOf(record.version, 0))));
    for (const { member: other, storage, disk } of cluster.nodes) {
      if (!owners.has(other.signer.keyHash) && !disk.damaged) continue;
      const held = (await storage.listVersion(record.version, 0, 1)).length > 0;
      if (held || disk.damaged) copies++;
    }
    const demanded = Math.min(...layouts.map(({ writeCopies }) => writeCopies));
    if (copies < demanded) findings.push(`${address} was removed, which leaves ${name} with ${copies} copies`);
  }
};

/** Asks again and again until the node is removed; what is refused meanwhile is as it should be. */
const removeWhenSafe = async (world: World, node: ClusterNode, stopped: () => boolean): Promise<void> => {
  const { clock } = world.cluster;
  while (!stopped()) {
    const before = stateOf(world, node);
    if (await order(world, 'remove', node)) {
      if (before !== 'removed' && stateOf(world, node) === 'removed') await lookAtRemoved(world, node);
      return;
    }
    await clock.sleep(2_000);
  }
};

const candidates = (world: World): ClusterNode[] =>
  world.nodesRunning().filter((node) => world.joined.has(node) && !world.drained.has(node));

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
      const nodes = candidates(world);
      if (nodes.length === 0) return undefined;
      const node = world.random.pick(nodes);
      world.drained.add(node);
      // Not waited for: the leader may be paused, or the database away.
      void order(world, 'drain', node);
      return () => void order(world, 'resume', node);
    },
  },
  /** By the book: drained, and removed as soon as that is safe; taken back later. */
  remove: {
    weight: 1,
    inject: (world) => {
      const nodes = candidates(world);
      if (nodes.length === 0) return undefined;
      const node = world.random.pick(nodes);
      world.drained.add(node);
      let stopped = false;
      // Half of those who order it forget to drain: then it is refused as long as the node has a place.
      const first = world.random.below(2) === 0 ? order(world, 'drain', node) : Promise.resolve(false);
      void first.then(() => removeWhenSafe(world, node, () => stopped));
      return () => {
        stopped = true;
      };
    },
  },
  /** A machine that burned down: nobody waits for it, what it held is given up, and it never counts again. */
  'remove-lost': {
    weight: 1,
    inject: async (world) => {
      const nodes = candidates(world);
      if (nodes.length < 2 || !world.mayDamage()) return undefined;
      const node = world.random.pick(nodes);
      world.stop(node);
      node.disk.wipe();
      node.index.restore();
      world.gone.add(node);
      void order(world, 'remove', node, true);
      return () => undefined;
    },
  },
} satisfies Record<string, FaultKind>;

/** Nodes that are lost for good are removed by force, as often as it takes. */
export const removeGone = async (world: World): Promise<void> => {
  for (const node of world.gone) if (stateOf(world, node) !== 'removed') await order(world, 'remove', node, true);
};
