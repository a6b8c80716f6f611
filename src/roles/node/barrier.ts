// The write barrier: writes enter under a layout number, and a new layout is acknowledged only when every write that
// entered under a lower one has ended. Without it a write could land on an owner of the past after the owners of the
// future had copied everything, and be lost when the past is retired.

export class WriteBarrier {
  readonly #inFlight = new Map<number, number>();
  #waiting: (() => void)[] = [];

  /** Runs one write under `layoutNumber`; check admission inside or right before, in the same tick. */
  async run<T>(layoutNumber: number, write: () => Promise<T>): Promise<T> {
    this.#inFlight.set(layoutNumber, (this.#inFlight.get(layoutNumber) ?? 0) + 1);
    try {
      return await write();
    } finally {
      const left = (this.#inFlight.get(layoutNumber) ?? 1) - 1;
      if (left === 0) this.#inFlight.delete(layoutNumber);
      else this.#inFlight.set(layoutNumber, left);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const wake of waiting) wake();
    }
  }

  /** The lowest layout number under which a write is under way, when it is below `layoutNumber`. */
  lowestBelow(layoutNumber: number): number | undefined {
    const lower = [...this.#inFlight.keys()].filter((number) => number < layoutNumber);
    return lower.length > 0 ? Math.min(...lower) : undefined;
  }

  /** Resolves when no write under a layout below `layoutNumber` is under way. */
  async drained(layoutNumber: number): Promise<void> {
    while (this.lowestBelow(layoutNumber) !== undefined) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
