// A network whose messages get lost, come late, twice and out of order, while nodes join.
import { testSeeds } from './_seeds.ts';

await testSeeds({
  title: 'what was acknowledged stays true whatever happens to messages',
  faults: ['loss', 'delay', 'duplicate', 'partition', 'one-way', 'clog', 'swizzle', 'join'],
  first: 1_000,
  seeds: 20,
  steps: 4,
});
