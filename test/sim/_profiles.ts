// Which faults the network is expected to stand today. The others are options: they wait for work that is not done.
import type { FaultName } from './_nemesis.ts';

export const defaultFaults: readonly FaultName[] = [
  'loss',
  'delay',
  'duplicate',
  'partition',
  'one-way',
  'clog',
  'swizzle',
  'pause',
  'kill',
  'crash',
  'restart',
  'join',
  'drift',
  'slow-disk',
  'full-disk',
  'fsync-error',
  'registry-away',
  'registry-slow',
  'registry-restart',
];
