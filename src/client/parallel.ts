// Running a bounded number of tasks at once: in order of arrival, or answering in order.
// The first failure aborts the others and is what the caller gets; no task is left running when a call returns.
import { setMaxListeners } from 'node:events';
import { OperaError } from '../errors/errors.ts';

export interface ChildSignal {
  readonly signal: AbortSignal;
  readonly abort: (reason?: unknown) => void;
  /** To be called when nothing waits on the signal any more: `outer` keeps what it holds until then. */
  readonly release: () => void;
}

/** Why a signal ends without another reason: made once, for a stack is as dear as a small request. */
const notNeeded = new OperaError('aborted', 'no longer needed');

/**
 * A signal that ends with `outer` and that its owner can end by itself. AbortSignal.any would do, but Node 20 keeps
 * such signals and all that listens on them until they abort: a transfer would keep every chunk it ever sent.
 */
export const childSignal = (outer: AbortSignal | undefined): ChildSignal => {
  const controller = new AbortController();
  const { signal } = controller;
  // One signal ends many calls at once; Node would take more than ten listeners for a leak.
  setMaxListeners(0, signal);
  const follow = (): void => controller.abort(outer?.reason);
  if (outer?.aborted) follow();
  outer?.addEventListener('abort', follow, { once: true });
  return {
    signal,
    abort: (reason = notNeeded) => controller.abort(reason),
    release: () => outer?.removeEventListener('abort', follow),
  };
};

/** Runs `task` for each item, `width` at once. Rejects with the first failure after all that had begun have ended. */
export const forEachAtOnce = async <T>(
  items: Iterable<T> | AsyncIterable<T>,
  width: number,
  outer: AbortSignal | undefined,
  task: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> => {
  const { signal, abort, release } = childSignal(outer);
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    abort(error);
  };
  try {
    for await (const item of items) {
      if (failure) break;
      outer?.throwIfAborted();
      const run = task(item, signal)
        .catch(fail)
        .finally(() => running.delete(run));
      running.add(run);
      if (running.size >= width) await Promise.race(running);
      if (failure) break;
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(running);
  release();
  if (failure) throw failure.error;
};

/** Results of `task` for 0 … count − 1 in order, computed `width` ahead. Ending early aborts what is under way. */
export async function* inOrder<T>(
  count: number,
  width: number,
  outer: AbortSignal | undefined,
  task: (index: number, signal: AbortSignal) => Promise<T>,
): AsyncGenerator<T, void, void> {
  const { signal, abort, release } = childSignal(outer);
  const ahead: Promise<T>[] = [];
  let next = 0;
  try {
    while (next < count || ahead.length > 0) {
      while (next < count && ahead.length < width) {
        const run = task(next++, signal);
        // A failure is met when its turn comes; until then it must not count as unhandled.
        run.catch(() => undefined);
        ahead.push(run);
      }
      const first = ahead.shift();
      if (first) yield await first;
    }
  } finally {
    abort();
    await Promise.allSettled(ahead);
    release();
  }
}
