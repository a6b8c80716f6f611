// The file of `put --report`: one JSON object a line, the fate of every file and every fault of a catalogue's records.
// Written as it becomes known, because a catalogue may have more faults than memory has room for.
import { type FileHandle, open } from 'node:fs/promises';
import type { PutResult } from '../client/put.ts';
import type { OperaError } from '../errors/errors.ts';
import type { RecordFault } from '../index/check.ts';
import { toJsonLine } from './_text.ts';

/** Lines gathered before they are written. */
const flushCharacters = 64 * 1024;

export class PutReport {
  readonly #handle: FileHandle | undefined;
  #text = '';
  #writing: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  private constructor(handle: FileHandle | undefined) {
    this.#handle = handle;
  }

  /** An empty report at `path`; without a path nothing is written anywhere. */
  static async open(path: string | undefined): Promise<PutReport> {
    return new PutReport(path === undefined ? undefined : await open(path, 'w', 0o644));
  }

  /** Resolves when there is room for more. */
  async fault(name: string, { record, level, field, value, limit }: RecordFault): Promise<void> {
    this.#add({ v: 1, name, record, level, field, value, limit });
    await this.#writing;
  }

  stored({ catalogue, ...result }: PutResult): void {
    const { faults: _, ...counts } = catalogue ?? { faults: [] };
    const replaced = result.replaced ?? null;
    this.#add({ v: 1, ok: true, ...result, replaced, catalogue: catalogue ? counts : null });
  }

  failed(name: string, { code, message }: OperaError): void {
    this.#add({ v: 1, name, ok: false, code, detail: message });
  }

  #add(line: Readonly<Record<string, unknown>>): void {
    if (!this.#handle) return;
    this.#text += `${toJsonLine(line)}\n`;
    if (this.#text.length >= flushCharacters) this.#flush();
  }

  #flush(): void {
    const text = this.#text;
    this.#text = '';
    this.#writing = this.#writing
      .then(async () => {
        if (this.#failure === undefined) await this.#handle?.appendFile(text);
      })
      .catch((error: unknown) => {
        this.#failure = { error };
      });
  }

  /** Everything is on disk when it resolves; throws what kept a line from being written. Call it in `finally`. */
  async close(): Promise<void> {
    this.#flush();
    await this.#writing;
    try {
      if (this.#failure) throw this.#failure.error;
      await this.#handle?.sync();
    } finally {
      await this.#handle?.close();
    }
  }
}
