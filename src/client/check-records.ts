// Tells what the records of a catalogue are worth while its chunks pass by: small files here, others in a thread.
// At most two chunks are under way, so that memory stays bounded. It never changes what is put.
import { CheckService, checkServiceName, type CheckPage } from './_check-service.ts';
import { limits } from '../model/limits.ts';
import { startWorker, type WorkerClient } from '../runtime/worker.ts';
import type { RecordCounts, RecordFault } from '../index/check.ts';

/** Told of each fault in the file's order; awaited, which is the back-pressure. */
export type OnFault = (fault: RecordFault) => void | Promise<void>;

const noRecords: RecordCounts = { rows: 0, indexed: 0, flagged: 0, rejected: 0 };

export class RecordChecker {
  readonly #onFault: OnFault;
  readonly #service: CheckService | undefined;
  readonly #worker: WorkerClient | undefined;
  /** Resolves when every chunk given so far was read; rejects with what went wrong. */
  #last: Promise<void> = Promise.resolve();
  #before: Promise<void> = Promise.resolve();
  #counts = noRecords;

  /** `note` is the JSON of the catalogue's note; `bytes` what is expected, undefined when not known. */
  constructor(note: string, bytes: number | undefined, onFault: OnFault) {
    this.#onFault = onFault;
    const isSmall = bytes !== undefined && bytes <= limits.catalogueCheckInlineBytesMax;
    if (isSmall) this.#service = new CheckService(note);
    else this.#worker = startWorker(checkServiceName, note);
  }

  /** Takes the next chunk, which stays the caller's; resolves when another one may come. */
  async add(chunk: Uint8Array): Promise<void> {
    await this.#before;
    // The caller's buffer is used again while the thread still reads.
    const own = this.#worker ? new Uint8Array(chunk) : chunk;
    this.#before = this.#last;
    this.#last = this.#last.then(() => this.#read(own));
    // Whoever comes next, add or end, meets the failure.
    this.#last.catch(() => undefined);
    if (this.#service) await this.#last;
  }

  async #read(chunk: Uint8Array): Promise<void> {
    let page = await this.#page(chunk);
    for (;;) {
      for (const fault of page.faults) await this.#onFault(fault);
      this.#counts = page.counts;
      if (page.done) return;
      page = await this.#page();
    }
  }

  async #page(chunk?: Uint8Array): Promise<CheckPage> {
    if (this.#service) return this.#service.page(chunk);
    const transfer = chunk ? [chunk.buffer as ArrayBuffer] : [];
    const answer = await this.#worker?.call('page', chunk ? [chunk] : [], transfer);
    return answer as CheckPage;
  }

  /** Of all chunks given; call it once they are all there. */
  async end(): Promise<RecordCounts> {
    await this.#last;
    return this.#counts;
  }

  /** Ends the thread; call it in `finally`. */
  async close(): Promise<void> {
    await this.#worker?.close();
  }
}
