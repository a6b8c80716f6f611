// A clock whose time passes only when a test says so: sleepers and timers due by then wake in order of their time.
// Between two of them everything that can run without time runs, as in a process with an idle loop.
import { setMaxListeners } from 'node:events';
import { OperaError } from '../../src/errors/errors.ts';
import type { Clock } from '../../src/runtime/clock.ts';

interface Timer {
  readonly atMs: number;
  /** Timers of one time fire in the order they were set. */
  readonly order: number;
  readonly fire: () => void;
  cancelled: boolean;
}

/** Lets every promise that waits for nothing but other promises settle. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const isBefore = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** A binary heap: a run of the simulator sets a hundred thousand timers. */
class TimerHeap {
  readonly #timers: Timer[] = [];

  push(timer: Timer): void {
    const timers = this.#timers;
    let at = timers.push(timer) - 1;
    for (let up = (at - 1) >> 1; at > 0; up = (at - 1) >> 1) {
      const parent = timers[up];
      if (!parent || !isBefore(timer, parent)) break;
      timers[at] = parent;
      at = up;
    }
    timers[at] = timer;
  }

  get first(): Timer | undefined {
    while (this.#timers[0]?.cancelled) this.shift();
    return this.#timers[0];
  }

  shift(): void {
    const timers = this.#timers;
    const last = timers.pop();
    if (!last || timers.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [timers[left], timers[left + 1]];
      const child = a && b && isBefore(b, a) ? b : a;
      if (!child || !isBefore(child, last)) break;
      timers[at] = child;
      at = child === b ? left + 1 : left;
    }
    timers[at] = last;
  }
}

export class SteppedClock implements Clock {
  readonly #startMs: number;
  readonly #timers = new TimerHeap();
  #elapsedMs = 0;
  #order = 0;

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
    if (signal) setMaxListeners(0, signal);
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
    const timer = { atMs: this.#elapsedMs + ms, order: this.#order++, fire: fn, cancelled: false };
    this.#timers.push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** Time passes; what is due on the way happens at its own time. */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsedMs + ms;
    await settle();
    for (let timer = this.#next(until); timer; timer = this.#next(until)) {
      this.#timers.shift();
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
    const timer = this.#timers.first;
    return timer && timer.atMs <= until ? timer : undefined;
  }
}
