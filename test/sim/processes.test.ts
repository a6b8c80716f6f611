// Processes that are paused, killed and restarted at any moment, on machines whose clocks drift and whose disks fail.
import { test as register } from 'node:test';
import { played } from './_early.ts';
import { testSeeds } from './_seeds.ts';

testSeeds({
  title: 'what was acknowledged stays true whatever happens to processes and disks',
  faults: ['pause', 'kill', 'crash', 'restart', 'join', 'drift', 'slow-disk', 'full-disk', 'fsync-error'],
  first: 2_000,
  seeds: 60,
  steps: 2,
});

for (const [title, verdict] of await played()) register(title, verdict);
