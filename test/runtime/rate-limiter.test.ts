// Token buckets under a clock that the test moves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiter } from '../../src/runtime/rate-limiter.ts';
import { liveBytes } from '../support/garbage.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** How many of `count` attempts are let through now. */
const takeMany = (limiter: RateLimiter, key: string, count: number): number =>
  Array.from({ length: count }, () => limiter.take(key)).filter(Boolean).length;

test('a burst is let through at once, and then as many as the rate refills', () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter(clock, 10, 100);
  assert.equal(takeMany(limiter, 'a', 150), 100);
  clock.advance(1_000);
  assert.equal(takeMany(limiter, 'a', 150), 10);
  clock.advance(60_000);
  assert.equal(takeMany(limiter, 'a', 150), 100);
});

test('attempts that were refused cost nothing: nobody locks himself out', () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter(clock, 1, 1);
  takeMany(limiter, 'a', 1_000);
  clock.advance(1_000);
  assert.equal(limiter.take('a'), true);
});

test('one key does not slow down another', () => {
  const limiter = new RateLimiter(new ManualClock(), 1, 2);
  takeMany(limiter, 'a', 10);
  assert.equal(takeMany(limiter, 'b', 10), 2);
});

test('a hundred thousand keys do not stay in memory', () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter(clock, 1_000, 1);
  const before = liveBytes();
  for (let i = 0; i < 100_000; i++) {
    limiter.take(`key ${i}`);
    clock.advance(1);
  }
  assert.ok(liveBytes() - before < 4 * 1024 * 1024);
});

test('a flood of new keys does not give one that goes on trying its tokens back', () => {
  const limiter = new RateLimiter(new ManualClock(), 1, 5);
  takeMany(limiter, 'attacker', 5);
  for (let i = 0; i < 30_000; i++) {
    limiter.take(`key ${i}`);
    if (i % 5_000 === 0) assert.equal(limiter.take('attacker'), false);
  }
});
