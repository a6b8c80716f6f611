// `npm run sim -- --seed 1 --seeds 200 --steps 8 --faults default`: one line a seed, and on a failure everything that
// is needed to see it again. Exits 1 when a seed failed. `--trace` prints what happened, `--twice` compares two runs.
import { parseArgs } from 'node:util';
import { type Mutant, type MutantName, mutants } from './_mutants.ts';
import { type FaultName, faultNames, parseFaults } from './_nemesis.ts';
import { defaultFaults, gatewaysOf } from './_profiles.ts';
import { type Outcome, type Simulation, simulate } from './_simulator.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '100' },
    steps: { type: 'string', default: '8' },
    faults: { type: 'string', default: 'default' },
    mutant: { type: 'string' },
    trace: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const numberOf = (key: 'seed' | 'seeds' | 'steps'): number => {
  const value = Number(values[key]);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${key} must be a number, it is ${values[key]}`);
  return value;
};

const mutantOf = (name: string): Mutant => {
  if (Object.hasOwn(mutants, name)) return mutants[name as MutantName];
  throw new Error(`there is no mutant ${name}; there are ${Object.keys(mutants).join(', ')}`);
};

const tellFailure = (seed: number, steps: number, outcome: Outcome): void => {
  const tail = values.trace ? outcome.tail : outcome.tail.slice(-60);
  say(tail.map((line) => `    ${line}`).join('\n'));
  say(`  ${outcome.failure?.replaceAll('\n', '\n  ')}`);
  say(`  again: npm run sim -- --seed ${seed} --seeds 1 --steps ${steps} --faults ${values.faults} --trace`);
};

const main = async (): Promise<void> => {
  if (values.help) {
    say('npm run sim -- [--seed N] [--seeds COUNT] [--steps N] [--faults LIST] [--trace] [--twice]');
    say(`     [--mutant NAME], with faults of its own: ${Object.keys(mutants).join(', ')}`);
    say(`faults: ${faultNames.join(', ')}; all, none, default = ${defaultFaults.join(', ')}`);
    return;
  }
  const [first, count, steps] = [numberOf('seed'), numberOf('seeds'), numberOf('steps')];
  const faults: FaultName[] = parseFaults(values.faults, defaultFaults);
  const mutant: Mutant | undefined = values.mutant === undefined ? undefined : mutantOf(values.mutant);
  const simulation = (seed: number): Simulation =>
    mutant ? { ...mutant, seed } : { seed, steps, faults, gateways: gatewaysOf(seed) };
  const failed: number[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const startedMs = performance.now();
    const outcome = await simulate(simulation(seed));
    const again = values.twice ? await simulate(simulation(seed)) : outcome;
    const failure = again.hash === outcome.hash ? outcome.failure : `two runs differ: ${outcome.hash}, ${again.hash}`;
    const verdict = failure === undefined ? 'ok    ' : 'FAILED';
    const seconds = (outcome.simulatedMs / 1000).toFixed(0);
    const facts = `${outcome.operations} operations, ${outcome.lines} events, ${seconds} s`;
    say(`seed ${seed} ${verdict} ${outcome.hash} ${facts} in ${(performance.now() - startedMs).toFixed(0)} ms`);
    if (values.trace && failure === undefined) say(outcome.tail.map((line) => `    ${line}`).join('\n'));
    if (failure === undefined) continue;
    failed.push(seed);
    tellFailure(seed, steps, { ...outcome, failure });
  }
  say(`${count - failed.length} of ${count} seeds passed${failed.length > 0 ? `; failed: ${failed.join(', ')}` : ''}`);
  if (failed.length > 0) process.exitCode = 1;
};

await main();
