// Seeds as tests: each simulation of a profile has to end well. A failing one is run again alone with the command that
// stands in its error. OPERA_TEST_LONG=1, as in continuous integration, runs four times as many seeds; OPERA_TEST_SEEDS
// says how many.
import { test } from 'node:test';
import type { FaultName } from './_nemesis.ts';
import { type Outcome, simulate } from './_simulator.ts';

export interface Profile {
  readonly title: string;
  readonly faults: readonly FaultName[];
  readonly first: number;
  readonly seeds: number;
  readonly steps: number;
}

const explain = (seed: number, { steps, faults }: Profile, outcome: Outcome): string => {
  const command = `npm run sim -- --seed ${seed} --seeds 1 --steps ${steps} --faults ${faults.join(',')} --trace`;
  return [outcome.failure, ...outcome.tail.slice(-40), `again: ${command}`].join('\n');
};

/** The simulations run before a test is registered: the runner's hooks on every promise would take most of the time. */
export const testSeeds = async (profile: Profile): Promise<void> => {
  const { title, faults, first, steps } = profile;
  const most = profile.seeds * (process.env['OPERA_TEST_LONG'] === '1' ? 4 : 1);
  const seeds = Number(process.env['OPERA_TEST_SEEDS'] ?? most);
  for (let seed = first; seed < first + seeds; seed++) {
    const outcome = await simulate({ seed, steps, faults });
    test(`${title}: seed ${seed}`, () => {
      if (outcome.failure !== undefined) throw new Error(explain(seed, profile, outcome));
    });
  }
};
