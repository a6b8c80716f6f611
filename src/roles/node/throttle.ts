// The one budget of background work on a node: pulling and giving copies, scrubbing, comparing. While no client is
// being served it goes as fast as the disk allows; else it keeps to a share, so that reads stay quick beside a repair.
// A token bucket that may run into debt: one large chunk passes whole, and the next one waits for what it cost.
import { limits } from '../../model/limits.ts';
import type { Clock } from '../../runtime/clock.ts';

export class Throttle {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  #serving = 0;
  #servedMs = Number.NEGATIVE_INFINITY;
  #tokens = 0;
  #filledMs: number;

  constructor(clock: Clock, bytesPerSecond: number = limits.backgroundBytesPerSecond) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#filledMs = clock.monotonicMs();
  }

  /** Runs the request of a client; background work keeps to its share meanwhile and for a moment after. */
  async serve<T>(work: () => Promise<T>): Promise<T> {
    this.#serving++;
    try {
      return await work();
    } finally {
      this.#serving--;
      this.#servedMs = this.#clock.monotonicMs();
    }
  }

  /** True while clients are served, and shortly after. */
  get isBusy(): boolean {
    return this.#serving > 0 || this.#clock.monotonicMs() - this.#servedMs < limits.backgroundQuietMs;
  }

  /** Waits until `bytes` may be read or written for background work. Rejects with `aborted` when `signal` aborts. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    while (this.isBusy) {
      const now = this.#clock.monotonicMs();
      const filled = this.#tokens + ((now - this.#filledMs) / 1_000) * this.#bytesPerSecond;
      // One step is saved up at most: what was not used is no licence for a burst beside clients.
      this.#tokens = Math.min(filled, limits.backgroundPieceBytes);
      this.#filledMs = now;
      if (this.#tokens > 0) {
        this.#tokens -= bytes;
        return;
      }
      // Waits are short, so that the end of the clients' requests is noticed.
      const debtMs = (-this.#tokens / this.#bytesPerSecond) * 1_000;
      await this.#clock.sleep(Math.min(Math.max(debtMs, 5), limits.backgroundQuietMs / 4), { signal, unref: true });
    }
  }
}
