// Who is out, who is back, who flaps and when too many are gone: the pure step, in rounds of one second.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MemberId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { type Timing, timings } from '../../../src/model/timing.ts';
import {
  type Evidence,
  massFailureOf,
  noVerdicts,
  quarantineMsOf,
  stepVerdicts,
  type Verdict,
} from '../../../src/roles/master/verdicts.ts';
import { member } from '../../support/registry-builders.ts';

const node = (name = 'n', over: Partial<Evidence> = {}): Evidence => ({
  ...{ memberId: member(name).memberId, state: 'up', alive: true, ping: undefined, sentinels: undefined },
  ...{ placed: true, downs: 0, quarantines: 0, sentenced: false, ...over },
});
const dead = { state: 'down', alive: false, ping: 'silent', sentinels: 'down' } as const;
const refusing = { ...dead, ping: 'refused', sentinels: 'refused' } as const;
const others = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => node(name));

interface Played {
  readonly atMs: number;
  readonly verdict: Verdict;
}

/** Plays rounds until the first verdict; answers when it came and what it is. */
const play = (
  seen: (atMs: number) => Partial<Evidence>,
  options: { timing?: Timing; untilMs?: number; stepMs?: number; mayPutOut?: boolean } = {},
): Played | undefined => {
  const { timing = timings.local, untilMs = 2 * 3_600_000, stepMs = 1_000, mayPutOut = true } = options;
  let state = noVerdicts;
  for (let atMs = 0; atMs <= untilMs; atMs += stepMs) {
    const next = stepVerdicts(state, [node('n', seen(atMs)), ...others], timing, mayPutOut, atMs);
    state = next.state;
    const [verdict] = next.verdicts;
    if (verdict) return { atMs, verdict };
  }
  return undefined;
};
const outAfter = (seen: (atMs: number) => Partial<Evidence>, timing: Timing = timings.local): number | undefined => {
  const played = play(seen, { timing });
  assert.ok(!played || played.verdict.state === 'out');
  return played?.atMs;
};

describe('a node that is down', () => {
  test('is out when the grace is over, and sooner only while its port refuses', () => {
    const table: readonly (readonly [Timing, Partial<Evidence>, number])[] = [
      [timings.local, dead, 60_000],
      [timings.local, refusing, 5_000],
      [timings.local, { ...refusing, sentinels: 'down' }, 60_000],
      [timings.local, { ...refusing, ping: 'silent' }, 60_000],
      [timings.lan, dead, 60_000],
      [timings.lan, refusing, 60_000],
      [timings.wide, refusing, 600_000],
    ];
    for (const [timing, seen, afterMs] of table) {
      assert.equal(
        outAfter(() => seen, timing),
        afterMs,
        `${timing.name} ${JSON.stringify(seen)}`,
      );
    }
  });

  test('is not out on the word of the registry, of the sentinels or of the leader alone', () => {
    assert.equal(
      outAfter(() => ({ ...dead, sentinels: undefined })),
      undefined,
    );
    assert.equal(
      outAfter(() => ({ ...dead, ping: 'answered' })),
      undefined,
    );
    assert.equal(
      outAfter(() => ({ ...dead, state: 'up' })),
      undefined,
    );
    assert.equal(
      outAfter(() => ({ ...dead, state: 'suspect' })),
      undefined,
    );
  });

  test('that answers once begins its grace anew', () => {
    assert.equal(
      outAfter((atMs) => (atMs === 59_000 ? { ...dead, ping: 'answered' } : dead)),
      120_000,
    );
    assert.equal(
      outAfter((atMs) => (atMs === 4_000 ? dead : refusing)),
      10_000,
    );
  });

  test('is not out because the leader slept: a gap begins every grace anew', () => {
    const rounds = [0, 1_000, 2_000, 500_000, 501_000, 504_000];
    let state = noVerdicts;
    for (const atMs of rounds) {
      const next = stepVerdicts(state, [node('n', refusing), ...others], timings.local, true, atMs);
      state = next.state;
      assert.deepEqual(next.verdicts, [], `${atMs}`);
    }
    const next = stepVerdicts(state, [node('n', refusing), ...others], timings.local, true, 505_000);
    assert.equal(next.verdicts[0]?.state, 'out');
  });

  test('waits while nobody may be put out, and its grace runs', () => {
    assert.equal(
      play(() => refusing, { mayPutOut: false, untilMs: 90_000 }),
      undefined,
    );
  });
});

describe('a node that is out', () => {
  const back = { state: 'out', alive: true, ping: 'answered', placed: false } as const;

  test('is up after it was heard and answered for a moment', () => {
    const played = play(() => back);
    assert.deepEqual([played?.verdict.state, played?.verdict.from], ['up', 'out']);
    assert.equal(played?.atMs, limits.returnMs);
  });

  test('stays out on heartbeats without an answer, or an answer without heartbeats', () => {
    assert.equal(
      play(() => ({ ...back, ping: 'silent' })),
      undefined,
    );
    assert.equal(
      play(() => ({ ...back, alive: false })),
      undefined,
    );
  });

  test('goes back to quarantine when its quarantine was not served', () => {
    assert.equal(play(() => ({ ...back, sentenced: true }))?.verdict.state, 'quarantine');
  });
});

describe('a node that flaps', () => {
  const flapping = { downs: limits.flapDownsMax };

  test('is kept in quarantine, whatever it does at the moment, and not for fewer deaths', () => {
    for (const state of ['up', 'suspect', 'down'] as const) {
      assert.equal(play(() => ({ ...flapping, state }))?.verdict.state, 'quarantine');
      assert.equal(
        play(() => ({ downs: limits.flapDownsMax - 1, state }), { untilMs: 4_000 }),
        undefined,
      );
    }
  });

  test('is up again after it stayed up for long enough, which doubles each time and ends at an hour', () => {
    const served = (quarantines: number) =>
      play(() => ({ ...flapping, state: 'quarantine', sentenced: true, quarantines, ping: 'answered' }))?.atMs;
    assert.deepEqual(
      [1, 2, 3].map(served),
      [1, 2, 4].map((times) => times * timings.local.quarantineMs),
    );
    assert.equal(served(40), limits.quarantineMaxMs);
    assert.deepEqual(
      [0, 1, 2].map((times) => quarantineMsOf(timings.local, times)),
      [1, 1, 2].map((times) => times * timings.local.quarantineMs),
    );
  });

  test('serves its time in quarantine, however long it was up before', () => {
    const atMs = 3 * timings.local.quarantineMs;
    const played = play((now) =>
      now < atMs ? {} : { state: 'quarantine', sentenced: true, quarantines: 1, ping: 'answered' },
    );
    assert.equal(played?.atMs, atMs + timings.local.quarantineMs);
  });

  test('begins its time anew when it goes silent, and is out when it stays so', () => {
    const quarantined = { ...flapping, state: 'quarantine', sentenced: true, quarantines: 1 } as const;
    const restless = play(
      (atMs) => ({ ...quarantined, ping: 'answered', alive: atMs % (timings.local.quarantineMs / 2) !== 0 }),
      { untilMs: 4 * timings.local.quarantineMs },
    );
    assert.equal(restless, undefined);
    assert.equal(play(() => ({ ...dead, ...quarantined }))?.verdict.state, 'out');
  });
});

describe('many nodes at once', () => {
  const group = (gone: number, all: number, over: Partial<Evidence> = dead): Evidence[] =>
    Array.from({ length: all }, (_, at) => node(`m${at}`, at < gone ? over : {}));

  test('are a mass failure above a quarter, and one alone never is', () => {
    const table: readonly (readonly [number, number, boolean])[] = [
      [1, 1, false],
      [1, 2, false],
      [2, 3, true],
      [1, 4, false],
      [2, 4, true],
      [2, 8, false],
      [3, 8, true],
      [25, 100, false],
      [26, 100, true],
    ];
    for (const [gone, all, alarm] of table) {
      assert.equal(massFailureOf(group(gone, all)) !== undefined, alarm, `${gone} of ${all}`);
    }
  });

  test('count while their copies are not made elsewhere, and no longer', () => {
    const out = { state: 'out', alive: false, ping: 'silent' } as const;
    assert.ok(massFailureOf([...group(1, 3), node('x', out)]));
    assert.equal(massFailureOf([...group(1, 3), node('x', { ...out, placed: false })]), undefined);
    assert.equal(massFailureOf(group(2, 4, { ...dead, ping: 'answered' })), undefined);
  });

  test('are not put out, also not long after, until some are back', () => {
    let state = noVerdicts;
    const put: MemberId[] = [];
    for (let atMs = 0; atMs <= 200_000; atMs += 1_000) {
      const next = stepVerdicts(state, group(atMs < 150_000 ? 4 : 2, 8, refusing), timings.local, true, atMs);
      state = next.state;
      if (atMs < 150_000) assert.deepEqual([next.verdicts, state.massFailure], [[], { gone: 4, nodes: 8 }]);
      put.push(...next.verdicts.map(({ memberId }) => memberId));
    }
    assert.deepEqual(new Set(put), new Set(group(2, 2).map(({ memberId }) => memberId)));
  });

  test('that flapped and stayed up since are not quarantined when there is room at last', () => {
    const flapping = group(4, 4, { downs: limits.flapDownsMax });
    const full = [...flapping, node('x', { state: 'quarantine', sentenced: true })];
    let state = noVerdicts;
    for (let atMs = 0; atMs < timings.local.quarantineMs; atMs += 1_000) {
      const next = stepVerdicts(state, full, timings.local, true, atMs);
      state = next.state;
      assert.deepEqual([next.verdicts, state.restless], [[], 4]);
    }
    const next = stepVerdicts(state, flapping, timings.local, true, timings.local.quarantineMs);
    assert.deepEqual([next.verdicts, next.state.restless], [[], 0]);
  });

  test('are not all quarantined when all flap: no more than may be gone, and the rest is an alarm', () => {
    const flapping = { downs: limits.flapDownsMax } as const;
    const sentenced = { ...flapping, state: 'quarantine', sentenced: true, ping: 'answered' } as const;
    const step = (nodes: readonly Evidence[]) => {
      const { state, verdicts } = stepVerdicts(noVerdicts, nodes, timings.local, true, 0);
      return [verdicts.filter((verdict) => verdict.state === 'quarantine').length, state.restless];
    };
    assert.deepEqual(step(group(4, 4, flapping)), [1, 3]);
    assert.deepEqual(step(group(8, 8, flapping)), [2, 6]);
    assert.deepEqual(step([...group(2, 2, flapping), ...group(3, 3, sentenced)]), [0, 2]);
    assert.deepEqual(step([...group(3, 8), node('x', flapping)]), [0, 1], 'many are gone');
    assert.deepEqual(step([...group(1, 4), node('x', { ...flapping })]), [0, 1], 'one is gone');
    assert.deepEqual(step([...group(0, 4), node('x', { ...dead, ...flapping })]), [1, 0]);
  });
});
