// The highest sequence this member has seen of each name, in memory and in `<home>/seen.json`.
// A network that answers a lower one has been rolled back or lies; the answer is refused. Bounded: the names used
// longest ago are forgotten. A lost or damaged file only forgets: it is a memory, not a source of truth.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { writeFileDurably } from '../runtime/files.ts';

export class SeenSequences {
  readonly #path: string | undefined;
  /** Insertion order is order of use, the oldest first. */
  readonly #sequences = new Map<string, { readonly sequence: bigint; readonly learned: number }>();
  /** Counts what was learned; those of the file are older than every question. */
  #learned = 0;
  #changed = false;

  private constructor(path: string | undefined) {
    this.#path = path;
  }

  /** Without a home nothing is kept beyond the process. */
  static async load(home: string | undefined): Promise<SeenSequences> {
    const seen = new SeenSequences(home === undefined ? undefined : join(home, 'seen.json'));
    await seen.#read();
    return seen;
  }

  async #read(): Promise<void> {
    if (this.#path === undefined) return;
    try {
      const value: unknown = JSON.parse(await readFile(this.#path, 'utf8'));
      const entries = typeof value === 'object' && value !== null && 'seen' in value ? value.seen : undefined;
      if (!Array.isArray(entries)) return;
      for (const entry of entries.slice(-limits.seenNamesMax)) {
        if (!Array.isArray(entry)) continue;
        const [name, sequence] = entry as readonly unknown[];
        if (typeof name !== 'string' || typeof sequence !== 'string' || !/^\d{1,20}$/.test(sequence)) continue;
        this.#sequences.set(name, { sequence: BigInt(sequence), learned: 0 });
      }
    } catch {
      // Absent or damaged: nothing is remembered.
    }
  }

  /** A moment, to be taken before the network is asked: what this member learns later does not bind the answer. */
  get now(): number {
    return this.#learned;
  }

  /**
   * Notes what the network answered for a name; `integrity` when it had answered something newer before the moment
   * `asked`. A put of this very session may end while a get is under way: either answer is right for that get.
   */
  check(name: string, sequence: bigint, asked: number): void {
    const known = this.#sequences.get(name);
    if (known !== undefined && sequence < known.sequence && known.learned <= asked) {
      throw new OperaError('integrity', 'the network answers an older version of a name than this member has seen', {
        hint: 'The registry may have been restored from an old backup',
        details: { seen: known.sequence, answered: sequence },
      });
    }
    this.raise(name, sequence);
  }

  /** After an own commit: never lowers what is known. */
  raise(name: string, sequence: bigint): void {
    const known = this.#sequences.get(name);
    this.#sequences.delete(name);
    if (known && known.sequence >= sequence) {
      this.#sequences.set(name, known);
      return;
    }
    this.#changed = true;
    this.#sequences.set(name, { sequence, learned: ++this.#learned });
    if (this.#sequences.size > limits.seenNamesMax) {
      for (const oldest of this.#sequences.keys()) {
        this.#sequences.delete(oldest);
        break;
      }
    }
  }

  /** Writes the file when something changed. Processes that write at once: the last one wins, which only forgets. */
  async save(): Promise<void> {
    if (this.#path === undefined || !this.#changed) return;
    this.#changed = false;
    const seen = [...this.#sequences].map(([name, { sequence }]) => [name, sequence.toString()]);
    await writeFileDurably(this.#path, `${JSON.stringify({ v: 1, seen })}\n`, 0o600);
  }
}
