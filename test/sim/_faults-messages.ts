// Faults of the network: messages lost, late, out of order, twice; wires cut in both directions or one; wires clogged,
// all at once or one after the other (swizzle-clogging, as FoundationDB calls it).
import { registryAddress } from '../support/memory-registry-faults.ts';
import type { FaultKind, Heal } from './_nemesis.ts';
import type { World } from './_world.ts';

/** A part of everyone on the wires, the database among them, and the rest. */
const split = ({ addresses, random }: World): readonly [string[], string[]] => {
  const all = [...addresses, registryAddress];
  // Often just one is cut off: that is what happens most.
  const alone = random.below(2) === 0 ? random.pick(all) : undefined;
  const some = all.filter((address) => (alone === undefined ? random.below(2) === 0 : address === alone));
  return [some, all.filter((address) => !some.includes(address))];
};

const pairs = (from: readonly string[], to: readonly string[]): (readonly [string, string])[] =>
  from.flatMap((a) => to.map((b) => [a, b] as const));

const cut = ({ cluster: { links } }: World, wires: readonly (readonly [string, string])[]): Heal => {
  for (const [from, to] of wires) links.cut(from, to);
  return () => {
    for (const [from, to] of wires) links.mend(from, to);
  };
};

export const messageFaults = {
  loss: {
    weight: 3,
    inject: ({ messages, random }) => {
      if (messages.loss > 0) return undefined;
      messages.loss = random.pick([0.01, 0.03, 0.1]);
      return () => {
        messages.loss = 0;
      };
    },
  },
  /** Each takes its own time, so that they overtake one another. */
  delay: {
    weight: 3,
    inject: ({ messages, random }) => {
      if (messages.late > 0) return undefined;
      messages.late = random.pick([0.1, 0.3, 0.7]);
      messages.lateMs = random.pick([20, 400, 3_000, 8_000]);
      return () => {
        messages.late = 0;
      };
    },
  },
  duplicate: {
    weight: 2,
    inject: ({ messages, random }) => {
      if (messages.twice > 0) return undefined;
      messages.twice = random.pick([0.05, 0.3]);
      return () => {
        messages.twice = 0;
      };
    },
  },
  partition: {
    weight: 3,
    inject: (world) => {
      const [some, others] = split(world);
      return cut(world, [...pairs(some, others), ...pairs(others, some)]);
    },
  },
  'one-way': {
    weight: 2,
    inject: (world) => {
      const [some, others] = split(world);
      return cut(world, world.random.below(2) === 0 ? pairs(some, others) : pairs(others, some));
    },
  },
  clog: {
    weight: 2,
    inject: (world) => {
      const [some, others] = split(world);
      const { links } = world.cluster;
      const wires = [...pairs(some, others), ...pairs(others, some)];
      for (const [from, to] of wires) links.clog(from, to);
      return () => {
        for (const [from, to] of wires) links.unclog(from, to);
      };
    },
  },
  swizzle: {
    weight: 2,
    inject: (world) => {
      const { random, addresses, cluster } = world;
      const { links, clock } = cluster;
      const chosen = addresses.filter(() => random.below(3) === 0);
      const wiresOf = (address: string) => [...pairs([address], addresses), ...pairs(addresses, [address])];
      const stops = chosen.map((address) =>
        clock.after(random.below(4_000), () => {
          for (const [from, to] of wiresOf(address)) links.clog(from, to);
        }),
      );
      return () => {
        for (const stop of stops) stop();
        for (const address of [...chosen].sort(() => random.below(2) - 0.5)) {
          clock.after(random.below(2_000), () => {
            for (const [from, to] of wiresOf(address)) links.unclog(from, to);
          });
        }
      };
    },
  },
} satisfies Record<string, FaultKind>;
