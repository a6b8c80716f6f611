// Waits for something that other tasks bring about, with a deadline instead of a sleep.
import assert from 'node:assert/strict';
import { SystemClock } from '../../src/runtime/clock.ts';

const clock = new SystemClock();

/** Resolves when `holds` answers true; fails after `deadlineMs`. It is asked again `everyMs` after each answer. */
export const eventually = async (
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 5_000,
  everyMs = 5,
): Promise<void> => {
  const until = clock.monotonicMs() + deadlineMs;
  while (!(await holds())) {
    if (clock.monotonicMs() > until) assert.fail(`it did not happen within ${deadlineMs} ms: ${String(holds)}`);
    await clock.sleep(everyMs);
  }
};
