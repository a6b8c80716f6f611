// The law of silence in tables: what a kill, a slow machine and a pause mean in each preset.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOperaError } from '../../../src/errors/errors.ts';
import { limits } from '../../../src/model/limits.ts';
import { type Timing, timingNames, timingOf, timings } from '../../../src/model/timing.ts';
import { boundsOf, type Rhythm, withAnswer } from '../../../src/roles/sentinel/detector.ts';

const after = (...tookMs: readonly number[]): Rhythm | undefined =>
  tookMs.reduce<Rhythm | undefined>((rhythm, took) => withAnswer(rhythm, took), undefined);
const bounds = (timing: Timing, ...tookMs: readonly number[]) =>
  boundsOf(timing, after(...tookMs), limits.probeIntervalMs);
const repeated = (times: number, tookMs: number): number[] => Array.from({ length: times }, () => tookMs);

test('a quick member is suspected and given up as early as the preset allows', () => {
  for (const name of timingNames) {
    const timing = timings[name];
    assert.deepEqual(bounds(timing, ...repeated(50, 5)), { suspectMs: timing.suspectMs, downMs: timing.downMs });
    assert.deepEqual(bounds(timing), { suspectMs: timing.suspectMs, downMs: timing.downMs });
  }
});

test('on one machine a kill is suspicious within 3 s and down within 10 s, however slow the member was', () => {
  const { local } = timings;
  assert.ok(bounds(local, 5).suspectMs + limits.sentinelRoundMs <= 3_000);
  for (const slow of [5, 800, 3_000, 20_000]) {
    const lateMs = limits.sentinelRoundMs + limits.opinionTimeoutMs;
    assert.ok(bounds(local, ...repeated(20, slow)).downMs + lateMs <= 10_000, `${slow}`);
  }
});

test('a member that answers slowly stretches its own bounds: its usual silence is never suspicious', () => {
  for (const slow of [500, 1_000, 2_000, 3_500]) {
    const { suspectMs, downMs } = bounds(timings.local, ...repeated(20, slow));
    const usualSilenceMs = Math.max(limits.probeIntervalMs, slow);
    assert.ok(usualSilenceMs < suspectMs, `${slow} ms answers, suspect after ${suspectMs}`);
    assert.ok(2 * usualSilenceMs <= downMs || downMs === timings.local.downMaxMs, `${slow}: ${downMs}`);
  }
});

test('an answer that took long is remembered for a while, and forgotten after quick ones', () => {
  const { local } = timings;
  const shaken = bounds(local, ...repeated(10, 5), 4_000);
  assert.ok(shaken.suspectMs > local.suspectMs && shaken.downMs > local.downMs);
  assert.deepEqual(bounds(local, ...repeated(10, 5), 4_000, ...repeated(30, 5)), bounds(local, 5));
});

test('the bounds never leave those of the preset', () => {
  for (const timing of Object.values(timings)) {
    for (const took of [0, 1, 900, 5_000, 1e6]) {
      const { suspectMs, downMs } = bounds(timing, took, 0, took);
      assert.ok(timing.suspectMs <= suspectMs && suspectMs <= timing.downMs);
      assert.ok(timing.downMs <= downMs && downMs <= timing.downMaxMs);
      assert.ok(suspectMs <= downMs);
    }
  }
});

test('presets grow from local over lan to wide, and no grace is shorter than a verdict takes', () => {
  const [local, lan, wide] = timingNames.map((name) => timings[name]);
  assert.ok(local && lan && wide);
  for (const key of ['suspectMs', 'downMs', 'downMaxMs', 'graceMs', 'graceRefusedMs'] as const) {
    assert.ok(local[key] <= lan[key] && lan[key] <= wide[key], key);
  }
  for (const { suspectMs, downMs, downMaxMs, graceMs, graceRefusedMs } of [local, lan, wide]) {
    assert.ok(suspectMs < downMs && downMs < downMaxMs && graceRefusedMs <= graceMs && graceMs > downMaxMs);
    assert.ok(suspectMs >= 2 * limits.probeIntervalMs, 'one lost probe is not suspicious');
  }
});

test('a preset is found by its name, lan without one, and another name is an error', () => {
  assert.equal(timingOf(undefined), timings.lan);
  assert.equal(timingOf('local'), timings.local);
  assert.throws(
    () => timingOf('lunar'),
    (error) => isOperaError(error, 'config') && /local, lan, wide/.test(error.message),
  );
});
