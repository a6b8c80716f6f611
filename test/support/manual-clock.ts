// A clock that a test moves by hand; sleeping takes no time.
import type { Clock } from '../../src/runtime/clock.ts';

export class ManualClock implements Clock {
  #nowMs: number;

  constructor(nowMs = 1_763_868_000_000) {
    this.#nowMs = nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  async sleep(ms: number): Promise<void> {
    this.advance(ms);
  }

  after(_ms: number, _fn: () => void): () => void {
    return () => undefined;
  }
}
