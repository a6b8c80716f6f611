// Every fault that the network is expected to stand, at once; the same seed gives the same run to the last message.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { played, test } from './_early.ts';
import { defaultFaults } from './_profiles.ts';
import { testSeeds } from './_seeds.ts';
import { simulate } from './_simulator.ts';

testSeeds({
  title: 'what was acknowledged stays true whatever happens at once',
  faults: defaultFaults,
  first: 3_000,
  seeds: 80,
  steps: 3,
});

test('the same seed gives the same trace, another seed another', async () => {
  const play = (seed: number) => simulate({ seed, steps: 4, faults: defaultFaults });
  const [first, second, other] = [await play(7), await play(7), await play(8)];
  assert.equal(first.hash, second.hash);
  assert.equal(first.lines, second.lines);
  assert.notEqual(first.hash, other.hash);
  assert.ok(first.lines > 100 && first.operations > 20, 'nothing happened in it');
});

for (const [title, verdict] of await played()) register(title, verdict);
