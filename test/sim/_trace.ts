// What happened in a simulation, in order: a hash over every line, so that two runs can be compared, and the last
// lines, for people who look for a cause. Lines hold addresses, routes and codes, never bytes that differ between equal
// runs.
import { createHash } from 'node:crypto';

const keptLines = 20_000;

export class Trace {
  readonly #hash = createHash('sha256');
  readonly #now: () => number;
  readonly #lines: string[] = [];
  count = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  add(line: string): void {
    const stamped = `${this.#now().toFixed(0).padStart(7)} ${line}`;
    this.#hash.update(stamped).update('\n');
    this.count++;
    this.#lines.push(stamped);
    if (this.#lines.length > 2 * keptLines) this.#lines.splice(0, keptLines);
  }

  get tail(): readonly string[] {
    return this.#lines.slice(-keptLines);
  }

  /** 16 hex characters; ask once, at the end. */
  digest(): string {
    return this.#hash.digest('hex').slice(0, 16);
  }
}
