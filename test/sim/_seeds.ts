// Seeds as tests: each simulation of a profile has to end well. A failing one is run again alone with the command that
// stands in its error. OPERA_TEST_LONG=1, as in continuous integration, runs four times as many seeds;
// OPERA_TEST_SEEDS says how many.
import { test } from './_early.ts';
import type { FaultName } from './_nemesis.ts';
import { gatewaysOf } from './_profiles.ts';
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

/** A case for each seed, as `_early.ts` plays them. */
export const testSeeds = (profile: Profile): void => {
  const { title, faults, first, steps } = profile;
  const most = profile.seeds * (process.env['OPERA_TEST_LONG'] === '1' ? 4 : 1);
  const seeds = Number(process.env['OPERA_TEST_SEEDS'] ?? most);
  for (let seed = first; seed < first + seeds; seed++) {
    test(`${title}: seed ${seed}`, async () => {
      const outcome = await simulate({ seed, steps, faults, gateways: gatewaysOf(seed) });
      if (outcome.failure !== undefined) throw new Error(explain(seed, profile, outcome));
    });
  }
};
