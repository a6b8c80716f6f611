// Not faults, but what is dangerous at a wrong moment: hours of the network's service pass, so that what is dead may be
// deleted, and nodes compare, read back and sweep while others are away.
import type { RunningNode } from '../../src/roles/node/app.ts';
import type { FaultKind } from './_nemesis.ts';
import type { World } from './_world.ts';

/** Refused passes (a node that doubts its store, no leave to delete) are part of the game; they are tried again. */
const quietly = (work: Promise<unknown>): void => void work.catch(() => undefined);

const running = (world: World): RunningNode[] => world.nodesRunning().flatMap((node) => node.running ?? []);

export const hygieneFaults = {
  /** Longer than anything is kept: dead chunks 24 hours, chunks without a manifest 7 days, tombstones 30 days. */
  age: {
    weight: 2,
    inject: (world) => {
      const hours = world.random.pick([25, 25, 8 * 24, 31 * 24]);
      for (const { hygiene } of running(world)) {
        quietly(hygiene.core.memory.change((state) => ({ ...state, servedHour: state.servedHour + hours })));
      }
      return () => undefined;
    },
  },
  sweep: {
    weight: 3,
    inject: (world) => {
      for (const { hygiene } of running(world)) if (world.random.below(2) === 0) quietly(hygiene.sweep.pass());
      return () => undefined;
    },
  },
  compare: {
    weight: 1,
    inject: (world) => {
      for (const { hygiene } of running(world)) if (world.random.below(2) === 0) quietly(hygiene.antiEntropy.pass());
      return () => undefined;
    },
  },
  'read-back': {
    weight: 1,
    inject: (world) => {
      for (const { hygiene } of running(world)) if (world.random.below(2) === 0) quietly(hygiene.scrub.pass());
      return () => undefined;
    },
  },
} satisfies Record<string, FaultKind>;
