// Token buckets by key: `rate` a second on average, `burst` at once. It never locks anybody out for longer than the
// bucket takes to refill. Its memory is bounded: of too many keys the one that was not seen for the longest time is
// forgotten, so that one that goes on trying stays limited whatever others do.
import type { Clock } from './clock.ts';

const keysMax = 10_000;

export class RateLimiter {
  readonly #clock: Clock;
  readonly #ratePerMs: number;
  readonly #burst: number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(clock: Clock, ratePerSecond: number, burst: number) {
    this.#clock = clock;
    this.#ratePerMs = ratePerSecond / 1_000;
    this.#burst = burst;
  }

  /** True when one more is allowed now for `key`. */
  take(key: string): boolean {
    const now = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: now };
    // The order of a Map is that of insertion: put last what was seen last.
    this.#buckets.delete(key);
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size >= keysMax && !oldest.done) this.#buckets.delete(oldest.value);
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.atMs) * this.#ratePerMs);
    bucket.atMs = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
