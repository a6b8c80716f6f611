// A network whose messages get lost, come late, twice and out of order, while nodes join.
import { test as register } from 'node:test';
import { played } from './_early.ts';
import { testSeeds } from './_seeds.ts';

testSeeds({
  title: 'what was acknowledged stays true whatever happens to messages',
  faults: ['loss', 'delay', 'duplicate', 'partition', 'one-way', 'clog', 'swizzle', 'join'],
  first: 1_000,
  seeds: 60,
  steps: 2,
});

for (const [title, verdict] of await played()) register(title, verdict);
