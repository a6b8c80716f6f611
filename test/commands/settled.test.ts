// Waiting for a local network: as long as a registry is put back it goes on, and standing still ends it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitSettled } from '../../src/commands/_settled.ts';
import { parseMemberId } from '../../src/model/ids.ts';
import type { AnswerOf } from '../../src/wire/routes.ts';
import { ManualClock } from '../support/manual-clock.ts';

type Status = AnswerOf<'network.status'>;

const settled = {
  layoutNumber: 3,
  placementsLayout: 3,
  registryMode: 'normal',
  nodes: [{ memberId: parseMemberId('a'.repeat(26)), layoutNumber: 3, completeLayout: 3 }],
} as unknown as Status;

const comingBack = (names: number): Status => ({
  ...settled,
  layoutNumber: 0,
  registryMode: 'safe',
  rebuild: { incarnation: 2, partitions: 0, names, dead: 0, spread: 0, unreadable: 0 },
});

/** Waits with a status that depends on the seconds passed. */
const wait = async (statusAt: (seconds: number) => Status | undefined) => {
  const clock = new ManualClock();
  const beganMs = clock.monotonicMs();
  const secondsPassed = (): number => Math.floor((clock.monotonicMs() - beganMs) / 1_000);
  const notes: string[] = [];
  const waiting = waitSettled({
    ask: async () => statusAt(secondsPassed()),
    ...{ nodes: 1, clock, patienceMs: 30_000, hint: 'Read the logs.' },
    signal: new AbortController().signal,
    note: (text) => notes.push(text),
  });
  const outcome = await waiting.then(
    () => 'settled',
    (error: unknown) => error,
  );
  return { outcome, seconds: secondsPassed(), notes };
};

test('a network that settles is waited for, one that never tells anything is given up', async () => {
  assert.equal((await wait((seconds) => (seconds < 20 ? undefined : settled))).outcome, 'settled');
  const { outcome, seconds, notes } = await wait(() => undefined);
  assert.deepEqual([seconds, notes], [30, []]);
  assert.match(String(outcome), /did not become healthy in time/);
});

test('a registry that is put back for minutes is waited for, and that is said once', async () => {
  const { outcome, seconds, notes } = await wait((at) => (at < 400 ? comingBack(Math.floor(at / 20)) : settled));
  assert.equal(outcome, 'settled');
  assert.equal(seconds, 400);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? '', /put back from the nodes/);
});

test('a registry that is put back no further ends the wait', async () => {
  const { outcome, seconds } = await wait((at) => comingBack(Math.min(at, 100)));
  assert.match(String(outcome), /did not become healthy in time/);
  assert.ok(seconds >= 130 && seconds <= 132, `${seconds}`);
});
