// A clock whose time passes only when a test says so: sleepers and timers due by then wake in order of their time.
// Between two of them everything that can run without time runs, as in a process with an idle loop.
import type { Clock } from '../../src/runtime/clock.ts';
import { OperaError } from '../../src/errors/errors.ts';

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Lets every promise that waits for nothing but other promises settle. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

export class SteppedClock implements Clock {
  readonly #startMs: number;
  readonly #timers = new Set<Timer>();
  #elapsedMs = 0;

  constructor(startMs = 1_795_392_000_000) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return Math.floor(this.#startMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const cancel = this.after(ms, () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      });
      const aborted = (): void => {
        cancel();
        reject(new OperaError('aborted', 'interrupted', { cause: signal?.reason }));
      };
      if (signal?.aborted) aborted();
      else signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { atMs: this.#elapsedMs + ms, fire: fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Time passes; what is due on the way happens at its own time. */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsedMs + ms;
    await settle();
    for (let timer = this.#next(until); timer; timer = this.#next(until)) {
      this.#timers.delete(timer);
      this.#elapsedMs = Math.max(this.#elapsedMs, timer.atMs);
      timer.fire();
      await settle();
    }
    this.#elapsedMs = until;
  }

  /** The process stands still: time passes, and only then everything that is due happens, late. */
  async stall(ms: number): Promise<void> {
    this.#elapsedMs += ms;
    await this.advance(0);
  }

  #next(until: number): Timer | undefined {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= until);
    return due.sort((a, b) => a.atMs - b.atMs)[0];
  }
}
