// Not faults, but what is dangerous at a wrong moment: hours of the network's service pass, so that what is dead may be
// deleted, and nodes compare, read back and sweep while others are away.
import { limits } from '../../src/model/limits.ts';
import type { RunningNode } from '../../src/roles/node/app.ts';
import type { FaultKind } from './_nemesis.ts';
import type { World } from './_world.ts';

/** Refused passes (a node that doubts its store, no leave to delete) are part of the game; they are tried again. */
const quietly = (work: Promise<unknown>): void => void work.catch(() => undefined);

/**
 * Hours of a leader's lease, for the nodes that run; an upload gets older with them. Who is away for too long is not
 * trusted when it comes back, which counts as a damaged disk: no hours pass while that may not be.
 */
const passHours = (world: World, hours: number): void => {
  const away = [...world.joined].filter((node) => !node.runs || node.life?.paused);
  for (const node of away) {
    const total = (world.hoursAway.get(node) ?? 0) + hours;
    if (total > limits.awayHoursMax && !world.untrusted.has(node)) {
      if (!world.mayDamage()) return;
      world.untrusted.add(node);
    }
  }
  for (const node of away) world.hoursAway.set(node, (world.hoursAway.get(node) ?? 0) + hours);
  for (const { hygiene } of running(world)) {
    quietly(hygiene.core.memory.change((state) => ({ ...state, servedHour: state.servedHour + hours })));
  }
  const { uploads } = world.cluster.store;
  for (const [version, upload] of uploads) {
    uploads.set(version, { ...upload, openedMs: upload.openedMs - hours * limits.servedHourMs });
  }
};

/** While a node is away a week passes in about ten seconds, and those that are left sweep. */
const awayTickMs = 500;
const awayHours = 10;

const running = (world: World): RunningNode[] => world.nodesRunning().flatMap((node) => node.running ?? []);

export const hygieneFaults = {
  /** Longer than anything is kept: dead chunks 24 hours, chunks without a manifest 7 days, tombstones 30 days. */
  age: {
    weight: 2,
    inject: (world) => {
      passHours(world, world.random.pick([25, 25, 8 * 24, 31 * 24]));
      return () => undefined;
    },
  },
  /** Away for days or for longer than tombstones are kept. */
  'long-absence': {
    weight: 1,
    inject: (world) => {
      const nodes = world.nodesRunning();
      if (nodes.length < 2) return undefined;
      const node = world.random.pick(nodes);
      const { clock } = world.cluster;
      world.stop(node);
      let [ticks, stop] = [0, () => {}];
      const tick = (): void => {
        passHours(world, awayHours);
        if (++ticks % 4 === 0) for (const { hygiene } of running(world)) quietly(hygiene.sweep.pass());
        stop = clock.after(awayTickMs, tick);
      };
      stop = clock.after(awayTickMs, tick);
      return () => {
        stop();
        return world.start(node);
      };
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
