// What a sentinel thinks of members, and what several may say together, as pure functions.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { timings } from '../../../src/model/timing.ts';
import type { MemberState } from '../../../src/registry/registry.ts';
import { majorityOf } from '../../../src/roles/probe.ts';
import {
  type Ballot,
  ballotOf,
  emptySentinelState,
  isAgreed,
  type Opinion,
  type SentinelEvent,
  type SentinelState,
  step,
  wishesOf,
} from '../../../src/roles/sentinel/state.ts';
import { member } from '../../support/registry-builders.ts';

const node = member('node').memberId;
const master = member('master').memberId;
const timing = timings.local;

/** Events by their time; the master answers every second, so that a silent node does not look like our own fault. */
const play = (events: readonly (readonly [number, SentinelEvent])[], untilMs: number): SentinelState => {
  let state = step(emptySentinelState, { kind: 'members', memberIds: [node, master] }, 0);
  const witness = Array.from({ length: Math.floor(untilMs / 1_000) + 1 }, (_, at) => {
    return [at * 1_000, { kind: 'answered', memberId: master, tookMs: 5 }] as const;
  });
  for (const [now, event] of [...events, ...witness].sort((a, b) => a[0] - b[0])) state = step(state, event, now);
  return state;
};

const answered = (at: number, tookMs = 5): readonly [number, SentinelEvent] => [
  at,
  { kind: 'answered', memberId: node, tookMs },
];
const refused = (at: number): readonly [number, SentinelEvent] => [
  at,
  { kind: 'failed', memberId: node, failure: 'refused' },
];
const saidOf = (state: SentinelState, now: number): string => {
  const { abstains, opinions } = ballotOf(state, timing, now);
  const opinion = opinions.find(({ memberId }) => memberId === node);
  return abstains ?? (opinion ? `${opinion.state} ${opinion.failure ?? ''}`.trim() : 'nothing');
};

test('silence is nothing, then suspicious, then down, with the word of the last failure', () => {
  const state = play([answered(1_000), refused(2_000)], 7_000);
  assert.equal(saidOf(play([answered(1_000), refused(2_000)], 2_000), 2_900), 'up');
  const table: readonly (readonly [number, string])[] = [
    [3_000, 'suspect refused'],
    [5_999, 'suspect refused'],
    [6_000, 'down refused'],
    [7_000, 'down refused'],
  ];
  for (const [now, said] of table) assert.equal(saidOf(state, now), said, `${now}`);
  assert.equal(saidOf(play([answered(1_000)], 7_000), 7_000), 'down timeout');
});

test('an answer, however late, is a sign of life at the moment it comes', () => {
  assert.equal(saidOf(play([answered(1_000), answered(5_500, 4_500)], 6_000), 6_000), 'up');
});

test('a member that never answered has no opinion, and is down after it was watched in vain for long enough', () => {
  const silent = play([], 10_000);
  assert.equal(saidOf(play([], 1_000), 1_000), 'nothing');
  assert.equal(saidOf(silent, timing.suspectMs), 'suspect timeout');
  assert.equal(saidOf(silent, timing.downMs), 'down timeout');
});

test('while this process stood still nobody was silent, and it abstains for a probe', () => {
  const stall: readonly [number, SentinelEvent] = [9_000, { kind: 'lagged', lagMs: 8_000 }];
  let state = step(emptySentinelState, { kind: 'members', memberIds: [node, master] }, 0);
  for (const [now, event] of [
    answered(1_000),
    [1_000, { kind: 'answered', memberId: master, tookMs: 5 }] as const,
    stall,
  ]) {
    state = step(state, event, now);
  }
  assert.equal(saidOf(state, 9_000), 'lagged');
  assert.equal(saidOf(state, 9_000 + limits.probeIntervalMs), 'up');
  assert.equal(saidOf(state, 9_000 + timing.suspectMs), 'nobody-answered');
});

test('who hears nobody says nothing', () => {
  const state = step(emptySentinelState, { kind: 'members', memberIds: [node, master] }, 0);
  assert.equal(ballotOf(state, timing, 60_000).abstains, 'nobody-answered');
  assert.equal(ballotOf(emptySentinelState, timing, 60_000).abstains, 'starting');
  const alone = step(emptySentinelState, { kind: 'members', memberIds: [node] }, 0);
  assert.equal(saidOf(alone, 60_000), 'down timeout');
});

test('members that are watched no more are forgotten, and their late answers change nothing', () => {
  const first = play([answered(1_000)], 1_000);
  const second = step(first, { kind: 'members', memberIds: [master] }, 2_000);
  assert.deepEqual([...second.watched.keys()], [master]);
  assert.equal(step(second, { kind: 'answered', memberId: node, tookMs: 1 }, 2_001), second);
});

const ballot = (state: Opinion['state'], memberId: MemberId = node): Ballot => ({
  abstains: undefined,
  opinions: [{ memberId, state, failure: state === 'up' ? undefined : 'refused', silentMs: 1 }],
});
const abstaining: Ballot = { abstains: 'lagged', opinions: [] };

test('an opinion moves joining, up, suspect and down, and nothing else', () => {
  const table: readonly (readonly [MemberState, Opinion['state'], string])[] = [
    ['joining', 'up', 'up answers probes'],
    ['joining', 'down', ''],
    ['up', 'up', ''],
    ['up', 'suspect', 'suspect refused'],
    ['up', 'down', 'down refused'],
    ['suspect', 'up', 'up answers probes'],
    ['suspect', 'down', 'down refused'],
    ['down', 'suspect', ''],
    ['down', 'up', 'up answers probes'],
    ...(['out', 'quarantine', 'draining', 'removed'] as const).flatMap((state) =>
      (['up', 'suspect', 'down'] as const).map((said) => [state, said, ''] as const),
    ),
  ];
  for (const [from, said, expected] of table) {
    const [move] = wishesOf([{ memberId: node, state: from }], ballot(said));
    assert.equal(move ? `${move.state} ${move.reason}` : '', expected, `${from}, ${said}`);
    assert.ok(!move || move.from === from);
  }
});

test('a verdict needs a majority of the sentinels of the roster, those that abstain or are silent counted', () => {
  const move = { memberId: node, from: 'up', state: 'down', reason: 'refused' } as const;
  const table: readonly (readonly [readonly Ballot[], number, boolean])[] = [
    [[ballot('down')], 1, true],
    [[ballot('down')], 2, false],
    [[ballot('down'), ballot('down')], 2, true],
    [[ballot('down'), ballot('up'), ballot('up')], 3, false],
    [[ballot('down'), ballot('suspect'), ballot('up')], 3, false],
    [[ballot('down'), abstaining, abstaining], 3, false],
    [[ballot('down'), ballot('down'), ballot('up')], 3, true],
    [[ballot('down'), ballot('down')], 4, false],
    [[ballot('down'), ballot('down', master)], 3, false],
  ];
  for (const [ballots, sentinels, agreed] of table) {
    assert.equal(isAgreed(move, ballots, sentinels), agreed, JSON.stringify([ballots, sentinels]));
  }
  assert.equal(isAgreed({ ...move, state: 'suspect' }, [ballot('down'), ballot('suspect')], 3), true);
  assert.deepEqual([1, 2, 3, 4, 5].map(majorityOf), [1, 2, 2, 3, 3]);
});
