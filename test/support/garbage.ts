// Live memory for tests of "it comes back": what is left after a full collection, without flags of the test runner.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes of the heap and of buffers outside it that are still reachable. */
export const liveBytes = (): number => {
  if (typeof collect !== 'function') throw new Error('this Node exposes no gc');
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
