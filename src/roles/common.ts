// Handlers every role has (ping, rosters) and the loop that every periodic work of a role runs in.
import type { KeyKeeper } from '../client/key-keeper.ts';
import type { Handlers } from '../client/transport.ts';
import { isOperaError } from '../errors/errors.ts';
import { errorFacts } from '../runtime/log.ts';
import type { RoleContext } from './context.ts';

/**
 * Handlers of `ping`, `roster.put` and `roster.since`. `notReady` says why the role cannot work yet, if it cannot;
 * `nowMs` is what a ping answers as the clock, ms since 1970.
 */
export const commonHandlers = (
  context: RoleContext,
  notReady: () => string | undefined,
  nowMs: () => number = () => context.clock.nowMs(),
): Handlers => ({
  ping: async () => ({
    answer: {
      memberId: context.memberId,
      role: context.role,
      instance: context.instance,
      ready: notReady() === undefined,
      rosterNumber: context.rosters.roster.number,
      rosterHash: context.rosters.roster.hash,
      nowMs: nowMs(),
    },
  }),
  'roster.put': async ({ request }) => {
    await context.rosters.accept(request.rosters);
    return { answer: { number: context.rosters.roster.number } };
  },
  'roster.since': async ({ request }) => ({ answer: { rosters: await context.rosters.since(request.number) } }),
});

/** Handlers of the roles that keep key boxes for others: `keys.prepare`, `keys.put` and `keys.held`. */
export const keyHandlers = (keys: KeyKeeper): Handlers => ({
  'keys.prepare': async ({ request }) => {
    await keys.prepare(request);
    return { answer: {} };
  },
  'keys.put': async ({ request }) => {
    await keys.accept(request.keyBoxes, request.keyChain);
    return { answer: {} };
  },
  'keys.held': async () => {
    const { keyBoxes, keyChain } = keys.records;
    return { answer: { keyBoxes: [...keyBoxes], keyChain: [...keyChain] } };
  },
});

/**
 * Runs `work` every `intervalMs` until the role stops; a failure is logged, once for the same code in a row, and the
 * next round comes. Rounds never overlap. The first one starts at once.
 */
export const every = async (
  context: RoleContext,
  name: string,
  intervalMs: number,
  work: () => Promise<void>,
): Promise<void> => {
  let last: string | undefined;
  while (!context.stopping.aborted) {
    try {
      await work();
      last = undefined;
    } catch (error) {
      // The same again and again is one fact: a registry that is away for minutes must not fill the disk with lines.
      const code = isOperaError(error) ? error.code : 'internal';
      const level = code === last && code !== 'internal' ? 'debug' : 'warn';
      if (code !== 'aborted') context.log[level](`${name}-failed`, errorFacts(error));
      last = code;
    }
    await context.clock.sleep(intervalMs, { signal: context.stopping, unref: true }).catch(() => undefined);
  }
};
