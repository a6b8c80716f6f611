// What a put tells of a catalogue's records: how many there are, how many queries will find, and every value that is
// impossible or odd. The same reading as the index's (record.ts), so both say the same; the bytes are not changed.
import type { CatalogueNote } from './catalogue.ts';
import { parseRecords } from './parse-records.ts';
import { RecordReader } from './record.ts';
import type { Fault } from './star-system.ts';

export interface RecordFault extends Fault {
  /** Counted from 1 over the whole file. */
  readonly record: number;
  /** Rejected: the value is impossible, and the record is not in the index. Flagged: odd, and kept. */
  readonly level: 'rejected' | 'flagged';
}

export interface RecordCounts {
  readonly rows: number;
  /** Records that queries find. */
  readonly indexed: number;
  /** Of these, those with odd values. */
  readonly flagged: number;
  /** Records with impossible values; rows = indexed + rejected. */
  readonly rejected: number;
}

export class RecordCheck {
  readonly #note: CatalogueNote;
  readonly #reader: RecordReader;
  #rows = 0;
  #flagged = 0;
  #rejected = 0;
  #first = true;

  constructor(note: CatalogueNote) {
    this.#note = note;
    this.#reader = new RecordReader(note.dialect, note.bindings);
  }

  /** Of all chunks whose faults were taken to the end. */
  get counts(): RecordCounts {
    const [rows, flagged, rejected] = [this.#rows, this.#flagged, this.#rejected];
    return { rows, indexed: rows - rejected, flagged, rejected };
  }

  /** Faults of the next chunk, in order; chunks come in theirs, and each is taken to its end. */
  *faultsOf(chunk: Uint8Array): Generator<RecordFault, void, void> {
    const first = this.#first;
    this.#first = false;
    for (const raw of parseRecords(chunk, this.#note.dialect, first)) {
      const record = ++this.#rows;
      const { faults, odd } = this.#reader.judge(raw);
      if (faults.length > 0) {
        this.#rejected += 1;
        for (const fault of faults) yield { record, level: 'rejected', ...fault };
        continue;
      }
      if (odd.length > 0) this.#flagged += 1;
      for (const fault of odd) yield { record, level: 'flagged', ...fault };
    }
  }
}
