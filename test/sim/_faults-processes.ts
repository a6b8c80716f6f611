// Faults of processes and of their machines' clocks: paused, killed, killed between two awaits, restarted, late to
// join.
import type { ClusterProcess } from '../support/memory-cluster.ts';
import type { FaultKind, Heal } from './_nemesis.ts';
import type { World } from './_world.ts';

/** Steps through a seam that a process still takes at most before it dies. */
const stepsMax = 300;

/** The kind first: there are more nodes than masters, and masters matter as much. */
const pick = (world: World): ClusterProcess | undefined => {
  const running = world.running(world.random.pick(['node', 'node', 'master', 'sentinel', 'gateway']));
  return running.length > 0 ? world.random.pick(running) : undefined;
};

const startAgain =
  (world: World, process: ClusterProcess): Heal =>
  () =>
    world.start(process);

export const processFaults = {
  pause: {
    weight: 3,
    inject: (world) => {
      const life = pick(world)?.life;
      if (!life || life.paused) return undefined;
      life.pause();
      return () => life.resume();
    },
  },
  kill: {
    weight: 3,
    inject: (world) => {
      const process = pick(world);
      if (!process) return undefined;
      world.stop(process);
      return startAgain(world, process);
    },
  },
  /** Dies in the middle of whatever it does. */
  crash: {
    weight: 4,
    inject: (world) => {
      const process = pick(world);
      const { life } = process ?? {};
      if (!process || !life) return undefined;
      life.dieWithin(world.random.below(stepsMax), () => world.stop(process));
      return () => {
        life.dieWithin(Number.POSITIVE_INFINITY, () => undefined);
        return world.start(process);
      };
    },
  },
  /** The lease is given up while the old leader's orders may still be under way. */
  'leader-change': {
    weight: 1,
    inject: ({ cluster: { masters, store } }) => {
      const leader = masters.find(({ member, runs }) => runs && member.memberId === store.lease?.holder);
      // Not waited for: it may be paused, or the database away.
      void leader?.running?.resign();
      return leader && (() => undefined);
    },
  },
  restart: {
    weight: 2,
    inject: async (world) => {
      const process = pick(world);
      if (!process) return undefined;
      world.stop(process);
      await world.start(process);
      return () => undefined;
    },
  },
  /** Not a fault, but what faults are worst with. */
  join: {
    weight: 3,
    inject: async (world) => {
      const fresh = world.cluster.nodes.find((node) => !world.joined.has(node));
      if (!fresh) return undefined;
      await world.start(fresh);
      return () => undefined;
    },
  },
  'clock-jump': {
    weight: 1,
    inject: (world) => {
      const process = pick(world);
      if (!process) return undefined;
      process.time.offsetMs = world.random.pick([-86_400_000, -30_000, -4_000, 4_000, 30_000, 7_200_000]);
      return () => {
        process.time.offsetMs = 0;
      };
    },
  },
  drift: {
    weight: 1,
    inject: (world) => {
      const process = pick(world);
      if (!process) return undefined;
      process.time.rate = world.random.pick([0.5, 0.9, 1.1, 3]);
      return () => {
        process.time.rate = 1;
        // Otherwise a master's tickets would be old or of the future for ever, and nodes right to refuse them.
        process.time.putRight();
      };
    },
  },
} satisfies Record<string, FaultKind>;
