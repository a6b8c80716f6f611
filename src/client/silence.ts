// Noticing a machine that stands still while it is waited for. A slow answer alone says little: the way may be slow, or
// much is being written. So a node that has not answered for a moment is asked for a sign of life, again and again;
// only one that gives none counts as silent. Nothing is sent twice on a slow way, and nothing waits for a paused node.
import { isOperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { childSignal } from './parallel.ts';
import type { Session } from './session.ts';
import type { Owner } from './view.ts';

/** Calls `onSilent` once, unless stopped before; the owner is avoided from then on. Answers how to stop. */
export const watchSilence = (
  { connection, view }: Session,
  { keyHash, to }: Owner,
  outer: AbortSignal | undefined,
  onSilent: () => void,
): (() => void) => {
  const { signal, abort, release } = childSignal(outer);
  let cancel: () => void = () => undefined;
  const look = async (): Promise<void> => {
    try {
      await connection.transport.call(to, 'ping', {}, { signal, timeoutMs: limits.silencePingMs });
    } catch (error) {
      if (signal.aborted) return;
      if (isOperaError(error, 'unavailable', 'timeout')) {
        view.avoid(keyHash);
        return onSilent();
      }
      // Any other answer is one.
    }
    if (!signal.aborted) lookLater();
  };
  const lookLater = (): void => {
    cancel = connection.clock.after(limits.silenceMs, () => void look());
  };
  lookLater();
  return () => {
    cancel();
    abort();
    release();
  };
};

/**
 * Asks owners in turn until one attempt gives a value: the next one when an attempt gave none, or beside it while its
 * owner is silent. Rejects with the first attempt that rejects. Undefined when all attempts ended without a value, or
 * when `stopped` and those under way have ended. What is still under way then is aborted.
 */
export const tryInTurn = async <T>(
  session: Session,
  owners: readonly Owner[],
  outer: AbortSignal | undefined,
  attempt: (owner: Owner, signal: AbortSignal) => Promise<T | undefined>,
  stopped: () => boolean = () => false,
): Promise<T | undefined> => {
  const { signal, abort, release } = childSignal(outer);
  const rest = owners[Symbol.iterator]();
  let running = 0;
  try {
    return await new Promise<T | undefined>((resolve, reject) => {
      const begin = (): void => {
        const next = stopped() ? undefined : rest.next();
        if (!next || next.done) return running === 0 ? resolve(undefined) : undefined;
        running++;
        let last = true;
        // Each attempt brings at most one more on the way.
        const pass = (): void => {
          if (last) begin();
          last = false;
        };
        const stop = watchSilence(session, next.value, signal, pass);
        attempt(next.value, signal)
          .finally(() => {
            stop();
            running--;
          })
          .then((value) => {
            if (value !== undefined) return resolve(value);
            pass();
            if (running === 0) resolve(undefined);
          })
          .catch(reject);
      };
      begin();
    });
  } finally {
    abort();
    release();
  }
};
