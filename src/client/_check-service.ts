// Reading the records of a catalogue while it is put, in a thread of its own: nested records take 30 µs each, which
// would hold up the transfer beside it. Faults leave the thread in pages, so that a file full of them fills no memory.
import { parseNote } from '../index/catalogue.ts';
import { RecordCheck, type RecordCounts, type RecordFault } from '../index/check.ts';
import { defineWorkerService } from '../runtime/worker.ts';

export const checkServiceName = 'catalogue-check';

/** Faults of one page: a few MB at most. */
const pageFaults = 2_000;

export interface CheckPage {
  readonly faults: readonly RecordFault[];
  /** False when the chunk has more. */
  readonly done: boolean;
  /** So far. */
  readonly counts: RecordCounts;
}

export class CheckService {
  readonly #check: RecordCheck;
  #open: Iterator<RecordFault> | undefined;

  /** `note` is the JSON of a catalogue's note. */
  constructor(note: string) {
    this.#check = new RecordCheck(parseNote(note));
  }

  /** The first page of the next chunk, or (without one) the next page of the same. */
  page(chunk?: Uint8Array): CheckPage {
    if (chunk) this.#open = this.#check.faultsOf(chunk);
    const faults: RecordFault[] = [];
    for (;;) {
      const next = this.#open?.next();
      if (!next || next.done) return { faults, done: true, counts: this.#check.counts };
      faults.push(next.value);
      if (faults.length === pageFaults) return { faults, done: false, counts: this.#check.counts };
    }
  }
}

defineWorkerService(checkServiceName, (note: string) => {
  const service = new CheckService(note);
  return { page: (chunk?: Uint8Array) => service.page(chunk) };
});
