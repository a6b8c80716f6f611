// One life of a process in the simulated network: it can be paused (its code stands still, what reaches it waits), be
// killed between any two awaits, and read a clock of its machine that jumps and drifts. Everything a role awaits goes
// through `bound`, everything it is asked through `served`: past its end nothing of it acts or answers any more.
import { setMaxListeners } from 'node:events';
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import type { Clock } from '../../src/runtime/clock.ts';

type Method = (...args: unknown[]) => unknown;

/** What is given up because the caller is gone ends with the reason of the caller's signal, which handlers get here. */
const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

export class Life {
  readonly stopping = new AbortController();
  /** Unlike any other life's; orders are told apart by it. */
  readonly id: number;
  /** Errors that are none of ours: each is a bug of the role, or of the test. */
  readonly #strange: unknown[];
  #paused = false;
  #held: (() => void)[] = [];
  #death: { stepsLeft: number; readonly die: () => void } | undefined;
  ended = false;

  static #count = 0;

  constructor(strange: unknown[]) {
    setMaxListeners(0, this.stopping.signal);
    this.#strange = strange;
    this.id = ++Life.#count;
  }

  get paused(): boolean {
    return this.#paused;
  }

  end(): void {
    this.ended = true;
    this.#held = [];
    this.stopping.abort();
  }

  pause(): void {
    this.#paused = true;
  }

  /** What came in meanwhile happens now, in order. */
  resume(): void {
    this.#paused = false;
    const held = this.#held;
    this.#held = [];
    for (const step of held) this.run(step);
  }

  /** `die` is called after so many more steps through a seam: before the step takes effect, or before its answer. */
  dieWithin(steps: number, die: () => void): void {
    this.#death = { stepsLeft: steps, die };
  }

  /** One thing that happens to the process: later when it is paused, never when it ended. */
  run(step: () => void): void {
    if (this.ended) return;
    if (this.#paused) this.#held.push(step);
    else step();
  }

  /** True when the process does not get past this step. */
  #step(): boolean {
    const death = this.#death;
    if (!this.ended && death && --death.stepsLeft < 0) {
      this.#death = undefined;
      death.die();
    }
    return this.ended;
  }

  #settle<T>(result: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      result.then(
        (answer) => this.run(() => this.#step() || resolve(answer)),
        (error: unknown) => {
          if (!isOperaError(error) && !isAbort(error)) this.#strange.push(error);
          this.run(() => this.#step() || reject(error));
        },
      );
    });
  }

  /** `target`, a seam of the process. */
  bound<T extends object>(target: T): T {
    return this.#wrap(target, (call) => {
      if (this.#step()) return new Promise(() => undefined);
      const result = call();
      return result instanceof Promise ? this.#settle(result) : result;
    });
  }

  /** `target`, through which others call the process. */
  served<T extends object>(target: T): T {
    return this.#wrap(
      target,
      (call) =>
        new Promise((resolve, reject) =>
          this.run(() => void this.#settle(call() as Promise<unknown>).then(resolve, reject)),
        ),
    );
  }

  #wrap<T extends object>(target: T, around: (call: () => unknown) => unknown): T {
    return new Proxy(target, {
      get: (object, key) => {
        const value: unknown = Reflect.get(object, key, object);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => around(() => Reflect.apply(value as Method, object, args));
      },
    });
  }
}

/** The clock of one machine; it outlives the processes there. */
export class MachineTime {
  readonly #base: Clock;
  #rate = 1;
  #localMs: number;
  #sinceMs: number;
  /** What the wall clock has been put right by. */
  #rightedMs = 0;
  /** What the wall clock is wrong by. */
  offsetMs = 0;

  constructor(base: Clock) {
    this.#base = base;
    this.#sinceMs = base.monotonicMs();
    this.#localMs = this.#sinceMs;
  }

  get rate(): number {
    return this.#rate;
  }

  /** From now on so many of its seconds pass in each true one. */
  set rate(rate: number) {
    this.#localMs = this.monotonicMs();
    this.#sinceMs = this.#base.monotonicMs();
    this.#rate = rate;
  }

  /** The wall clock is set by somebody who knows the time; what drifted is drifted for the monotonic one. */
  putRight(): void {
    this.#rightedMs = this.#driftedMs;
  }

  get #driftedMs(): number {
    return this.monotonicMs() - this.#base.monotonicMs();
  }

  monotonicMs(): number {
    return this.#localMs + (this.#base.monotonicMs() - this.#sinceMs) * this.#rate;
  }

  nowMs(): number {
    return Math.floor(this.#base.nowMs() + this.#driftedMs - this.#rightedMs + this.offsetMs);
  }
}

/** The clock as one process sees it. */
export class ProcessClock implements Clock {
  readonly #base: Clock;
  readonly #time: MachineTime;
  readonly #life: Life;

  constructor(base: Clock, time: MachineTime, life: Life) {
    this.#base = base;
    this.#time = time;
    this.#life = life;
  }

  nowMs(): number {
    return this.#time.nowMs();
  }

  monotonicMs(): number {
    return this.#time.monotonicMs();
  }

  after(ms: number, fn: () => void): () => void {
    let cancelled = false;
    const due = (): void => this.#life.run(() => cancelled || fn());
    const stop = this.#base.after(ms / this.#time.rate, due);
    return () => {
      cancelled = true;
      stop();
    };
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
        this.#life.run(() => reject(new OperaError('aborted', 'interrupted', { cause: signal?.reason })));
      };
      if (signal?.aborted) aborted();
      else signal?.addEventListener('abort', aborted, { once: true });
    });
  }
}
