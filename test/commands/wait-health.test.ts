// `opera status --wait` waits for a network that is not there yet, says what for, and gives up only on what stays.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkStatus } from '../../src/client/verdict.ts';
import { waitForHealth } from '../../src/commands/_wait-health.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { rejects } from '../support/refuses.ts';

/** Without a layout and nodes: down. */
const status = {
  ...{ members: [], nodes: [], alarms: [], safeToRemove: [], layoutNumber: 0, layoutCopies: 0, copies: 3 },
  ...{ layoutWriteCopies: 0, underReplicated: 0, registryMode: 'normal', nowMs: 1_700_000_000_000 },
} as unknown as NetworkStatus;

const wait = async (answers: readonly (NetworkStatus | OperaError)[], wanted: 'healthy' | 'down' | undefined) => {
  const notes: string[] = [];
  const left = [...answers];
  const read = async (): Promise<NetworkStatus> => {
    const next = left.shift();
    if (!next || next instanceof OperaError) throw next ?? new OperaError('internal');
    return next;
  };
  const clock = Object.assign(new SystemClock(), { sleep: () => Promise.resolve() });
  const { signal } = new AbortController();
  const answer = waitForHealth({ read, wanted, clock, signal, note: (text) => notes.push(text) });
  return { answer, notes };
};

test('a network that cannot be reached yet is waited for, and each reason is told once', async () => {
  const away = new OperaError('unavailable', 'nobody answers');
  const { answer, notes } = await wait([away, away, new OperaError('not-ready', 'it starts'), status], 'down');
  assert.equal((await answer).status, status);
  assert.deepEqual(notes, ['waiting: nobody answers', 'waiting: it starts']);
});

test('without --wait nothing is waited for, and what cannot pass ends a wait', async () => {
  await rejects((await wait([new OperaError('unavailable'), status], undefined)).answer, 'unavailable');
  await rejects((await wait([new OperaError('revoked'), status], 'down')).answer, 'revoked');
  const { answer, notes } = await wait([status, new OperaError('revoked')], 'healthy');
  await rejects(answer, 'revoked');
  assert.equal(notes.length, 1);
});
