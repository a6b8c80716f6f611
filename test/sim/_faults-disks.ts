// Faults of disks. Those that lose or alter what was durable are kept to as many disks at once as the network promises
// to survive, W − 1.
import type { ClusterNode } from '../support/memory-cluster.ts';
import type { FaultKind } from './_nemesis.ts';
import type { World } from './_world.ts';

const pick = (world: World): ClusterNode | undefined => {
  const running = world.nodesRunning();
  return running.length > 0 ? world.random.pick(running) : undefined;
};

/** A disk changes while no process runs on it. */
const changeWhileStopped = (world: World, change: (node: ClusterNode) => void) => {
  const node = pick(world);
  if (!node || !world.mayDamage()) return undefined;
  world.stop(node);
  change(node);
  node.index.restore();
  return () => world.start(node);
};

export const diskFaults = {
  'slow-disk': {
    weight: 3,
    inject: (world) => {
      const disk = pick(world)?.disk;
      if (!disk || disk.slowMs > 0) return undefined;
      disk.slowMs = world.random.pick([5, 100, 2_000]);
      return () => {
        disk.slowMs = 0;
      };
    },
  },
  'full-disk': {
    weight: 1,
    inject: (world) => {
      const disk = pick(world)?.disk;
      if (!disk) return undefined;
      disk.full = true;
      return () => {
        disk.full = false;
      };
    },
  },
  /** The store takes no more until its process starts anew. */
  'fsync-error': {
    weight: 1,
    inject: (world) => {
      const node = pick(world);
      if (!node) return undefined;
      node.disk.fsyncFails = true;
      return async () => {
        node.disk.fsyncFails = false;
        world.stop(node);
        await world.start(node);
      };
    },
  },
  rot: {
    weight: 1,
    inject: async (world) => {
      const node = pick(world);
      if (!node || !world.mayDamage()) return undefined;
      const versions = [...world.cluster.store.names.values()].map(({ record }) => record.version);
      for (const version of versions) {
        const held = await node.storage.listVersion(version, 0, 64);
        const [chunk] = held;
        if (!chunk) continue;
        node.disk.rot(chunk);
        return () => undefined;
      }
      return undefined;
    },
  },
  'wiped-disk': { weight: 1, inject: (world) => changeWhileStopped(world, ({ disk }) => disk.wipe()) },
  'restored-disk': {
    weight: 1,
    inject: (world) => changeWhileStopped(world, ({ disk }) => disk.restore(world.random.below(disk.writes + 1))),
  },
} satisfies Record<string, FaultKind>;
