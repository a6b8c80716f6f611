// Waits for something that other tasks bring about, with a deadline instead of a sleep. Deadlines end a test that would
// wait for ever, and are far beyond what the slowest machine takes: how fast something is, is for bench/.
import assert from 'node:assert/strict';
import { SystemClock } from '../../src/runtime/clock.ts';

const clock = new SystemClock();

/** How long a test waits for what must happen. */
export const patienceMs = 60_000;
/** The same where processes start, stop or elect. */
export const processPatienceMs = 180_000;

/** Resolves when `holds` answers true; fails after `deadlineMs`. It is asked again `everyMs` after each answer. */
export const eventually = async (
  holds: () => boolean | Promise<boolean>,
  deadlineMs = patienceMs,
  everyMs = 5,
): Promise<void> => {
  const until = clock.monotonicMs() + deadlineMs;
  while (!(await holds())) {
    if (clock.monotonicMs() > until) assert.fail(`it did not happen within ${deadlineMs} ms: ${String(holds)}`);
    await clock.sleep(everyMs);
  }
};
