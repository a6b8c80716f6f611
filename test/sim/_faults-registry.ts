// Faults of the database: out of reach, slow, answers lost, restarted, failed over to a copy that lags, put back to an
// earlier state with and without a new life, emptied.
import { empty, putBack } from '../support/memory-registry-faults.ts';
import type { FaultKind } from './_nemesis.ts';
import type { World } from './_world.ts';

/** The state of the database at least so long ago; undefined when the simulation is younger. */
const stateBefore = (world: World, ageMs: number) => {
  const until = world.cluster.clock.monotonicMs() - ageMs;
  return world.snapshots.filter(({ atMs }) => atMs <= until).at(-1)?.snapshot;
};

const goBack = (world: World, ageMs: number, restarts: boolean) => {
  const snapshot = stateBefore(world, ageMs);
  if (!snapshot) return undefined;
  const { store, keyring } = world.cluster;
  putBack(store, snapshot);
  // Gateways put the newest roster back, and with it the epoch of the key.
  store.keyEpoch = keyring.newestEpoch;
  if (restarts) store.restart();
  return () => undefined;
};

export const registryFaults = {
  'registry-away': {
    weight: 2,
    inject: ({ cluster: { store } }) => {
      store.unavailable = true;
      return () => {
        store.unavailable = false;
      };
    },
  },
  'registry-slow': {
    weight: 2,
    inject: ({ cluster: { weather }, random }) => {
      weather.slowMs = random.pick([20, 500]);
      weather.answersLost = random.pick([0, 0.05]);
      return () => {
        weather.slowMs = 0;
        weather.answersLost = 0;
      };
    },
  },
  'registry-restart': {
    weight: 1,
    inject: ({ cluster: { store } }) => {
      store.restart();
      return () => undefined;
    },
  },
  'registry-failover': { weight: 1, inject: (world) => goBack(world, world.random.pick([0, 500, 3_000]), true) },
  'registry-rollback': { weight: 1, inject: (world) => goBack(world, world.random.pick([5_000, 60_000]), true) },
  /** In the same life and the same file, as when somebody restores rows by hand. */
  'silent-rollback': { weight: 1, inject: (world) => goBack(world, world.random.pick([5_000, 60_000]), false) },
  'registry-emptied': {
    weight: 1,
    inject: ({ cluster: { store } }) => {
      empty(store);
      store.restart();
      return () => undefined;
    },
  },
} satisfies Record<string, FaultKind>;
