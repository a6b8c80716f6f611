// The seam of time: every wait, deadline and timestamp goes through a Clock, so that the simulator can own time.
// This folder is the only one that may call Date.now, setTimeout or performance.now.
import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { OperaError } from '../errors/errors.ts';

export interface Clock {
  /** Wall-clock time, milliseconds since 1970 UTC. May jump; for certificates, tickets and what people read. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start, never going back. For deadlines, leases and measuring. */
  monotonicMs(): number;
  /** Resolves after `ms`, rejects with `aborted` when `signal` aborts. With `unref` it keeps no process alive. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal; readonly unref?: boolean }): Promise<void>;
  /** Calls `fn` once after `ms` unless the returned function is called first. Never keeps the process alive. */
  after(ms: number, fn: () => void): () => void;
}

/** One signal ends many waits of a role; Node would take more than ten listeners for a leak and print a warning. */
const listen = (signal: AbortSignal | undefined, aborted: () => void): void => {
  if (!signal) return;
  setMaxListeners(0, signal);
  signal.addEventListener('abort', aborted, { once: true });
};

export class SystemClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  sleep(ms: number, options: { readonly signal?: AbortSignal; readonly unref?: boolean } = {}): Promise<void> {
    const { signal, unref } = options;
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        clearTimeout(timer);
        reject(new OperaError('aborted', 'interrupted', { cause: signal?.reason }));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      }, ms);
      if (unref) timer.unref();
      if (signal?.aborted) aborted();
      else listen(signal, aborted);
    });
  }

  after(ms: number, fn: () => void): () => void {
    const timer = setTimeout(fn, ms);
    timer.unref();
    return () => clearTimeout(timer);
  }
}

/** RFC 3339 UTC text of a wall-clock time in milliseconds. */
export const formatTime = (ms: number): string => new Date(ms).toISOString();

/** The Date object of a wall-clock time in milliseconds, for libraries that want one. */
export const dateOf = (ms: number): Date => new Date(ms);
