// The budget of background work: free while no client is served, a share of it beside clients.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { limits } from '../../../src/model/limits.ts';
import { Throttle } from '../../../src/roles/node/throttle.ts';
import { rejects } from '../../support/refuses.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';

const megabyte = 1024 * 1024;
const never = new AbortController().signal;

/** Time that `count` chunks of 1 MiB take at 4 MiB a second while a client is served all the time. */
const timeBeside = async (throttleOf: (clock: SteppedClock) => Throttle, count: number): Promise<number> => {
  const clock = new SteppedClock();
  const throttle = throttleOf(clock);
  let left = count;
  void throttle.serve(() => new Promise(() => undefined));
  const takes = Array.from({ length: count }, () => throttle.take(megabyte, never).then(() => left--));
  while (left > 0 && clock.monotonicMs() < 60_000) await clock.advance(5);
  await Promise.all(takes);
  return clock.monotonicMs();
};

describe('the budget of background work', () => {
  test('is unlimited while no client is served', async () => {
    const clock = new SteppedClock();
    const throttle = new Throttle(clock, 1);
    for (let at = 0; at < 1_000; at++) await throttle.take(4 * megabyte, never);
    assert.equal(clock.monotonicMs(), 0);
  });

  test('is its share of bytes a second beside clients, however many ask at once', async () => {
    const took = await timeBeside((clock) => new Throttle(clock, 4 * megabyte), 40);
    assert.ok(took >= 9_000 && took <= 10_500, `${took} ms`);
  });

  test('mutant: a budget that takes no notice of clients is not held to its share', async () => {
    class Deaf extends Throttle {
      override get isBusy(): boolean {
        return false;
      }
    }
    assert.ok((await timeBeside((clock) => new Deaf(clock, 4 * megabyte), 40)) < 100);
  });

  test('is free again soon after the last request, and a wait ends with its signal', async () => {
    const clock = new SteppedClock();
    const throttle = new Throttle(clock, megabyte);
    await throttle.serve(async () => undefined);
    assert.equal(throttle.isBusy, true);
    let taken = 0;
    for (let at = 0; at < 100; at++) void throttle.take(megabyte, never).then(() => taken++);
    const ending = new AbortController();
    const ended = rejects(throttle.take(megabyte, ending.signal), 'aborted');
    await clock.advance(500);
    ending.abort();
    await ended;
    assert.ok(taken < 3, `${taken} were taken beside clients`);
    await clock.advance(limits.backgroundQuietMs);
    assert.equal(taken, 100);
  });
});
