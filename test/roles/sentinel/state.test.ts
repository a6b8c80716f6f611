// What a sentinel concludes, round by round, as a pure function.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import type { MemberState } from '../../../src/registry/registry.ts';
import {
  emptySentinelState,
  type ProbeFailure,
  type ProbeResult,
  type SentinelEffect,
  type SentinelState,
  step,
} from '../../../src/roles/sentinel/state.ts';
import { member } from '../../support/registry-builders.ts';

const node = member('node').memberId;
const master = member('master').memberId;

const result = (state: MemberState, failure?: ProbeFailure, memberId: MemberId = node): ProbeResult => ({
  memberId,
  state,
  failure,
});
/** The master always answers, so that a failing node does not look like our own fault. */
const witness = result('up', undefined, master);

/** Plays rounds in which the registry follows the verdicts, and answers what was said of the node in each. */
const play = (start: MemberState, failures: readonly (ProbeFailure | undefined)[], lagMs = 0) => {
  let state: SentinelState = emptySentinelState;
  let told = start;
  const verdicts: string[] = [];
  const all: SentinelEffect[] = [];
  failures.forEach((failure, at) => {
    const next = step(state, { kind: 'round', results: [result(told, failure), witness], lagMs }, at * 1_000);
    state = next.state;
    all.push(...next.effects);
    const set = next.effects.find((effect) => effect.kind === 'set-state');
    if (set) told = set.state;
    verdicts.push(set ? `${set.from}>${set.state} ${set.reason}` : '');
  });
  return { verdicts, told, all };
};

const repeat = <T>(times: number, value: T): T[] => Array.from({ length: times }, () => value);

test('a member is suspect after three failures in a row, down after six, and up with the first answer', () => {
  assert.equal(limits.probesToSuspect, 3);
  assert.equal(limits.probesToDown, 6);
  const { verdicts } = play('up', [...repeat(8, 'timeout' as const), undefined, undefined]);
  assert.deepEqual(verdicts, [
    '',
    '',
    'up>suspect timeout',
    '',
    '',
    'suspect>down timeout',
    '',
    '',
    'down>up answers probes',
    '',
  ]);
});

test('one answer between failures starts the count anew', () => {
  const flapping = [undefined, 'refused', 'refused', undefined, 'refused', 'refused', undefined] as const;
  assert.deepEqual(play('up', flapping).verdicts.filter(Boolean), []);
});

test('a suspect that answers is up again', () => {
  const { verdicts } = play('up', ['refused', 'refused', 'refused', undefined]);
  assert.deepEqual(verdicts, ['', '', 'up>suspect refused', 'suspect>up answers probes']);
});

test('the reason is the one of the probe that decided', () => {
  const { verdicts } = play('up', ['timeout', 'timeout', 'peer-mismatch']);
  assert.equal(verdicts.at(-1), 'up>suspect peer-mismatch');
});

test('a joining member is up with its first answer, and no failure moves it', () => {
  assert.deepEqual(play('joining', repeat(10, 'refused' as const)).verdicts.filter(Boolean), []);
  assert.equal(play('joining', ['refused', undefined]).told, 'up');
});

test('members that drain, are out or removed are moved by no probe', () => {
  for (const state of ['draining', 'out', 'removed'] as const) {
    assert.equal(play(state, repeat(10, 'refused' as const)).told, state);
    assert.equal(play(state, repeat(3, undefined)).told, state);
  }
});

test('a round in which our own loop stood still for more than 500 ms proves nothing and counts nothing', () => {
  const lagged = play('up', repeat(10, 'timeout' as const), limits.sentinelLagMs + 1);
  assert.equal(lagged.told, 'up');
  assert.deepEqual(lagged.all[0], { kind: 'round-dropped', reason: 'lagged' });
  assert.equal(play('up', repeat(10, 'timeout' as const), limits.sentinelLagMs).told, 'down');
  let state = emptySentinelState;
  for (const lagMs of [0, 0, 900, 900, 0]) {
    const next = step(state, { kind: 'round', results: [result('up', 'timeout'), witness], lagMs }, 0);
    state = next.state;
    assert.equal(
      next.effects.some((effect) => effect.kind === 'set-state'),
      lagMs === 0 && state.watched.get(node)?.failures === 3,
    );
  }
});

test('a round in which nobody answered is our own fault and moves nobody', () => {
  const results = [result('up', 'timeout'), result('up', 'timeout', master)];
  let state = emptySentinelState;
  for (let round = 0; round < 10; round++) {
    const next = step(state, { kind: 'round', results, lagMs: 0 }, round);
    state = next.state;
    assert.deepEqual(next.effects, [{ kind: 'round-dropped', reason: 'nobody-answered' }]);
  }
});

test('members that are watched no more are forgotten', () => {
  const first = step(emptySentinelState, { kind: 'round', results: [result('up'), witness], lagMs: 0 }, 5);
  assert.deepEqual(first.state.watched.get(node), { failures: 0, answeredMs: 5 });
  const second = step(first.state, { kind: 'round', results: [witness], lagMs: 0 }, 6);
  assert.deepEqual([...second.state.watched.keys()], [master]);
});
