// Cuts a catalogue into chunks that end where records end: every chunk holds whole records, at most 4 MiB and at most
// 65,536 records.
// The lengths depend on the bytes and the dialect alone, never on how the bytes arrive; memory is a few numbers. The
// bytes themselves are not touched. A record longer than a chunk means that the file is no catalogue: see `refusal`.
import { limits } from '../model/limits.ts';
import { createScanner, type RecordScanner } from './_record-scanner.ts';
import type { Dialect } from './dialect.ts';

export interface CutChunk {
  readonly bytes: number;
  /** Records in it, faulty ones included: their ordinals are 0 … records − 1. */
  readonly records: number;
}

export class RecordCutter {
  readonly #scanner: RecordScanner;
  readonly #chunkBytesMax: number;
  readonly #chunkRecordsMax: number;
  /** Bytes of the preamble still to come: they are not scanned, a quote in a comment opens nothing. */
  #preamble: number;
  /** Bytes since the chunk's start; the last end within the limit; records up to it; and since then. */
  #length = 0;
  #cut = 0;
  #records = 0;
  #recordsCut = 0;
  #recordsBefore = 0;
  #refusal: string | undefined;
  readonly #done: CutChunk[] = [];

  constructor(
    dialect: Dialect,
    chunkBytesMax: number = limits.catalogueChunkBytesMax,
    chunkRecordsMax: number = limits.catalogueChunkRecordsMax,
  ) {
    this.#scanner = createScanner(dialect);
    this.#preamble = dialect.preamble;
    this.#chunkBytesMax = chunkBytesMax;
    this.#chunkRecordsMax = chunkRecordsMax;
  }

  /** Why the file cannot be cut; from then on nothing comes out any more. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Takes the next bytes, which stay the caller's; returns the chunks that are complete, in order. */
  push(piece: Uint8Array): CutChunk[] {
    const skipped = Math.min(this.#preamble, piece.length);
    this.#preamble -= skipped;
    const base = this.#length;
    if (skipped > 0) this.#end(base + skipped, false);
    let shift = base;
    this.#scanner.scan(piece, skipped, piece.length, (end, isRecord) => {
      shift -= this.#end(shift + end, isRecord);
    });
    this.#length = shift + piece.length;
    this.#length -= this.#close(this.#length);
    return this.#done.splice(0);
  }

  /** The rest as the last chunk, or as two when a record without an end is one too many; none of an empty file. */
  end(): CutChunk[] {
    if (this.#refusal !== undefined || this.#length === 0) return [];
    if (this.#scanner.isOpen) {
      if (this.#records === this.#chunkRecordsMax) this.#length -= this.#closeAtCut();
      this.#records += 1;
    }
    return [...this.#done.splice(0), { bytes: this.#length, records: this.#records }];
  }

  /** Notes an end at `at` bytes of the chunk; returns how many bytes a chunk that closed took away. */
  #end(at: number, isRecord: boolean): number {
    let closed = this.#close(at);
    if (isRecord) {
      // A full chunk closes when the next record is seen: blank lines and comments behind its last one are its own.
      if (this.#records === this.#chunkRecordsMax) closed += this.#closeAtCut();
      this.#records += 1;
    }
    this.#cut = at - closed;
    this.#recordsCut = this.#records;
    return closed;
  }

  /** Closes the chunk at its last end when `at` lies beyond the limit; returns the bytes that left. */
  #close(at: number): number {
    if (at <= this.#chunkBytesMax || this.#refusal !== undefined) return 0;
    const bytes = this.#closeAtCut();
    // What is left is one piece of one record: when it is too long by itself, no cut can help.
    if (at - bytes > this.#chunkBytesMax) {
      const record = this.#recordsBefore + this.#records + 1;
      this.#refusal = `record ${record} is longer than ${this.#chunkBytesMax} bytes`;
      this.#done.length = 0;
    }
    return bytes;
  }

  /** Closes the chunk at its last end, if there is one; returns the bytes that left. */
  #closeAtCut(): number {
    const bytes = this.#cut;
    if (bytes === 0 || this.#refusal !== undefined) return 0;
    this.#done.push({ bytes, records: this.#recordsCut });
    this.#recordsBefore += this.#recordsCut;
    this.#records -= this.#recordsCut;
    this.#recordsCut = 0;
    this.#cut = 0;
    return bytes;
  }
}
