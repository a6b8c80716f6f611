// Every fault that the network is expected to stand, at once; the same seed gives the same run to the last message.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaultFaults } from './_profiles.ts';
import { testSeeds } from './_seeds.ts';
import { type Outcome, simulate } from './_simulator.ts';

await testSeeds({
  title: 'what was acknowledged stays true whatever happens at once',
  faults: defaultFaults,
  first: 3_000,
  seeds: 40,
  steps: 4,
});

const runs: Outcome[] = [];
for (const seed of [7, 7, 8]) runs.push(await simulate({ seed, steps: 6, faults: defaultFaults }));

describe('a simulation', () => {
  test('the same seed gives the same trace, another seed another', () => {
    const [first, second, other] = runs;
    assert.equal(first?.hash, second?.hash);
    assert.equal(first?.lines, second?.lines);
    assert.notEqual(first?.hash, other?.hash);
    assert.ok((first?.lines ?? 0) > 100 && (first?.operations ?? 0) > 20, 'nothing happened in it');
  });
});
