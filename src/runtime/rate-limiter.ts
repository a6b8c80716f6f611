// Token buckets by key: `rate` a second on average, `burst` at once. It never locks anybody out for longer than the
// bucket takes to refill, and it forgets idle keys, so that its memory is bounded by the traffic of one window.
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
    if (this.#buckets.size >= keysMax) this.#forget(now);
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.atMs) * this.#ratePerMs);
    bucket.atMs = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #forget(now: number): void {
    const refillMs = this.#burst / this.#ratePerMs;
    for (const [key, bucket] of this.#buckets) if (now - bucket.atMs > refillMs) this.#buckets.delete(key);
    if (this.#buckets.size >= keysMax) this.#buckets.clear();
  }
}
