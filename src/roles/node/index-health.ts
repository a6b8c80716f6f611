// Whether a node's index does its work, in one line for the network's status: what a heartbeat carries while it does
// not. What is under way is no trouble; what has not come to an end for long is. The text names no file and no value.
import { limits } from '../../model/limits.ts';
import { formatCount } from '../../model/units.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Indexer } from './indexer.ts';

export class IndexHealth {
  readonly #indexer: Pick<Indexer, 'progress'>;
  readonly #clock: Clock;
  /** When nothing was waiting last. */
  #idleMs: number;

  constructor(indexer: Pick<Indexer, 'progress'>, clock: Clock) {
    this.#indexer = indexer;
    this.#clock = clock;
    this.#idleMs = clock.monotonicMs();
  }

  /** What is wrong; undefined while all is well. To be asked with every heartbeat: it also takes the time. */
  trouble(): string | undefined {
    const { waiting, failed, halted } = this.#indexer.progress;
    const now = this.#clock.monotonicMs();
    if (waiting === 0) this.#idleMs = now;
    if (halted !== undefined) return halted.slice(0, limits.indexTroubleMax);
    if (failed > 0) return `${formatCount(failed, 'chunk')} could not be indexed`;
    if (now - this.#idleMs < limits.indexPatienceMs) return undefined;
    return `behind, ${formatCount(waiting, 'chunk')} to index`;
  }
}
