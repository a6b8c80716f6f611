// Processes that are paused, killed and restarted at any moment, on machines whose clocks drift and whose disks fail.
import { testSeeds } from './_seeds.ts';

await testSeeds({
  title: 'what was acknowledged stays true whatever happens to processes and disks',
  faults: ['pause', 'kill', 'crash', 'restart', 'join', 'drift', 'slow-disk', 'full-disk', 'fsync-error'],
  first: 2_000,
  seeds: 20,
  steps: 4,
});
