// The system's clock: waits that end with their signal and leave nothing behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dateOf, formatTime, SystemClock } from '../../src/runtime/clock.ts';
import { startDeadline } from '../../src/runtime/deadline.ts';
import { rejects } from '../support/refuses.ts';

const clock = new SystemClock();
const hours = 7_200_000;
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('a sleep takes its time, and monotonic time never goes back', async () => {
  const start = clock.monotonicMs();
  await clock.sleep(20);
  const took = clock.monotonicMs() - start;
  assert.ok(took >= 18, `${took} ms`);
});

test('a sleep ends with aborted as soon as its signal aborts, and at once when it was aborted before', async () => {
  const caller = new AbortController();
  // A sleep that went on would outlast the test.
  const sleep = clock.sleep(hours, { signal: caller.signal });
  caller.abort();
  await rejects(sleep, 'aborted');
  await rejects(clock.sleep(hours, { signal: caller.signal }), 'aborted');
});

test('a sleep that was aborted leaves no timer', async () => {
  const before = timers();
  const caller = new AbortController();
  const sleeps = Array.from({ length: 50 }, () => clock.sleep(60_000, { signal: caller.signal }));
  assert.equal(timers(), before + 50);
  caller.abort();
  await Promise.allSettled(sleeps);
  assert.equal(timers(), before);
});

test('many waits may end with one signal without a warning of Node', async () => {
  const warnings: Error[] = [];
  const hear = (warning: Error): void => void warnings.push(warning);
  process.on('warning', hear);
  const caller = new AbortController();
  const sleeps = Array.from({ length: 30 }, () => clock.sleep(60_000, { signal: caller.signal }));
  const deadlines = Array.from({ length: 30 }, () => startDeadline(60_000, caller.signal));
  await new Promise((resolve) => setImmediate(resolve));
  caller.abort();
  await Promise.allSettled(sleeps);
  for (const deadline of deadlines) deadline.end();
  process.off('warning', hear);
  assert.deepEqual(warnings, []);
});

test('what was to be called later is not called after it was taken back, and keeps no process alive', async () => {
  const before = timers();
  let called = 0;
  const cancel = clock.after(5, () => called++);
  clock.after(5, () => called++);
  cancel();
  assert.equal(timers(), before);
  await clock.sleep(40);
  assert.equal(called, 1);
});

test('times are told in UTC', () => {
  assert.equal(formatTime(1_795_392_000_000), '2026-11-23T00:00:00.000Z');
  assert.equal(dateOf(0).getTime(), 0);
});

test('a deadline aborts after its time, and says so', async () => {
  const deadline = startDeadline(10);
  assert.equal(deadline.passed, false);
  await clock.sleep(60);
  assert.equal(deadline.signal.aborted, true);
  assert.equal(deadline.passed, true);
  deadline.end();
});

test('a deadline follows the outer signal without having passed, also one that aborted before', () => {
  const caller = new AbortController();
  const deadline = startDeadline(60_000, caller.signal);
  caller.abort('enough');
  assert.deepEqual([deadline.signal.aborted, deadline.signal.reason, deadline.passed], [true, 'enough', false]);
  const late = startDeadline(60_000, caller.signal);
  assert.equal(late.signal.aborted, true);
  deadline.end();
  late.end();
});

test('a deadline that ended lets go: it aborts no more, neither by time nor by the outer signal', async () => {
  const caller = new AbortController();
  const deadline = startDeadline(5, caller.signal);
  deadline.end();
  await clock.sleep(30);
  caller.abort();
  assert.equal(deadline.signal.aborted, false);
});
