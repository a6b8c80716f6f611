// The wires between simulated processes, one for each direction of each pair: a wire can be cut (messages vanish) or
// clogged (they wait until it is free again, and then arrive in the order they were sent).

const keyOf = (from: string, to: string): string => `${from} > ${to}`;

export class Links {
  readonly #cut = new Set<string>();
  readonly #clogged = new Map<string, (() => void)[]>();

  cut(from: string, to: string): void {
    this.#cut.add(keyOf(from, to));
  }

  mend(from: string, to: string): void {
    this.#cut.delete(keyOf(from, to));
  }

  clog(from: string, to: string): void {
    const key = keyOf(from, to);
    if (!this.#clogged.has(key)) this.#clogged.set(key, []);
  }

  unclog(from: string, to: string): void {
    const key = keyOf(from, to);
    const waiting = this.#clogged.get(key) ?? [];
    this.#clogged.delete(key);
    for (const go of waiting) go();
  }

  /** Everything flows again; what was lost stays lost. */
  heal(): void {
    this.#cut.clear();
    for (const [key, waiting] of [...this.#clogged]) {
      this.#clogged.delete(key);
      for (const go of waiting) go();
    }
  }

  /** True when a message gets through, which may take until the wire is free; false when it is lost. */
  async pass(from: string, to: string): Promise<boolean> {
    const key = keyOf(from, to);
    const waiting = this.#clogged.get(key);
    if (waiting) await new Promise<void>((resolve) => waiting.push(resolve));
    return !this.#cut.has(key);
  }
}
