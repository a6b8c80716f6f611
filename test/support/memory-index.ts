// The index of a simulated node: the real work over SQLite in memory, and what becomes of its file. The file outlives
// the process, and because it is written without fsync, a power cut may take what was written last, or all of it; what
// is left is always what it once was. Building takes time, longer on a slow disk.
import { OperaError } from '../../src/errors/errors.ts';
import { type NetworkId, networkIdFromBytes, type VersionId } from '../../src/model/ids.ts';
import type { ChunkToIndex } from '../../src/roles/node/index-build.ts';
import { type IndexEngine, MemoryIndex } from '../../src/roles/node/index-engine.ts';
import type { IndexContents } from '../../src/roles/node/index-work.ts';
import type { IndexMode, Run } from '../../src/roles/node/index-file.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { SeededRandom } from './seeded.ts';

interface ChunkOfIndex {
  readonly version: VersionId;
  readonly chunk: number;
}

/** A write that took effect. */
type Write = { readonly atMs: number } & (
  | { readonly kind: 'key'; readonly indexKey: Uint8Array; readonly record: Uint8Array }
  | { readonly kind: 'build'; readonly chunk: ChunkToIndex }
  | { readonly kind: 'drop'; readonly chunks: readonly ChunkOfIndex[] }
);

export interface MemoryIndexOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** The disk that it is on. */
  readonly disk: { readonly slowMs: number; readonly full: boolean };
}

/** Longest time of building a chunk's index on a good disk, ms. */
const buildMsMax = 40;
/** What is older was written to the platter by the system itself. */
const writeBackMs = 5_000;

const keyOf = ({ version, chunk }: ChunkOfIndex): string => `${version}/${chunk}`;

/** What an index file holds: the work over it, and what its rows say. */
interface Content {
  readonly engine: MemoryIndex;
  key: Uint8Array | undefined;
  readonly runs: Map<string, Run>;
}

const carryOut = async (content: Content, write: Write): Promise<Run | undefined> => {
  const { engine, runs } = content;
  if (write.kind === 'key') {
    await engine.useKey(write.indexKey, write.record);
    content.key = write.record;
    return undefined;
  }
  if (write.kind === 'drop') {
    await engine.drop(write.chunks);
    for (const chunk of write.chunks) runs.delete(keyOf(chunk));
    return undefined;
  }
  const run = await engine.build(write.chunk);
  runs.set(keyOf(run), run);
  return run;
};

export class MemoryIndexFile {
  readonly #options: MemoryIndexOptions;
  #content: Content | undefined;
  #log: Write[] = [];
  /** Rises when a process ends: what that one had under way takes no effect any more. */
  #life = 0;

  constructor(options: MemoryIndexOptions) {
    this.#options = options;
  }

  /** The index as one process has it. */
  engine(): IndexEngine {
    const life = this.#life;
    const alive = async <T>(work: () => Promise<T>): Promise<T> =>
      life === this.#life ? work() : new Promise<T>(() => undefined);
    const opened = (): Content => {
      if (!this.#content) throw new OperaError('not-ready', 'the index is not open');
      return this.#content;
    };
    const write = (next: Write): Promise<Run | undefined> =>
      alive(async () => {
        if (this.#options.disk.full && next.kind !== 'drop') throw new OperaError('no-space', 'the disk is full');
        const run = await carryOut(opened(), next);
        this.#log.push(next);
        return run;
      });
    return {
      open: (network, mode) => alive(() => this.#open(network, mode)),
      useKey: (indexKey, record) =>
        record
          ? write({ kind: 'key', indexKey, record, atMs: this.#nowMs }).then(() => undefined)
          : alive(async () => opened().engine.useKey(indexKey)),
      build: async (chunk) => {
        const { clock, random, disk } = this.#options;
        await clock.sleep(random.below(Math.max(buildMsMax, disk.slowMs)));
        const run = await write({ kind: 'build', chunk, atMs: this.#nowMs });
        if (!run) throw new Error('a chunk was built without a run');
        return run;
      },
      drop: (chunks) => write({ kind: 'drop', chunks, atMs: this.#nowMs }).then(() => undefined),
      search: (ask, supply, signal) => alive(async () => opened().engine.search(ask, supply, signal)),
      bytes: () => alive(async () => opened().engine.bytes()),
      discard: () => alive(async () => this.#cut(0)),
      close: async () => undefined,
    };
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  /** Without content it was cut, and is what the writes that are left had made of it, or there never was one. */
  async #open(network: NetworkId, mode: IndexMode): Promise<IndexContents> {
    if (!this.#content) {
      const content: Content = { engine: new MemoryIndex(), key: undefined, runs: new Map() };
      await content.engine.open(network, mode);
      for (const write of this.#log) await carryOut(content, write);
      this.#content = content;
    }
    const { key, runs } = this.#content;
    return { key, runs: [...runs.values()], replaced: undefined };
  }

  /** The file is what its first `writes` writes had made of it. */
  #cut(writes: number): void {
    if (writes > 0 && writes === this.#log.length) return;
    this.#log = this.#log.slice(0, writes);
    void this.#content?.engine.close();
    this.#content = undefined;
  }

  /** The process ends, and perhaps the power goes: nothing is lost, or the last writes, or the file. */
  crash(): void {
    this.#life++;
    const { random } = this.#options;
    const durable = this.#log.findLastIndex(({ atMs }) => atMs < this.#nowMs - writeBackMs) + 1;
    const kept = durable + random.below(this.#log.length - durable + 1);
    this.#cut(random.pick([this.#log.length, this.#log.length, kept, 0]));
  }

  /** An earlier copy of the disk, or a blank one: what it held then, or nothing. Only while no process runs on it. */
  restore(): void {
    this.#cut(this.#options.random.below(this.#log.length + 1));
  }
}

let loading: Promise<void> | undefined;

/** SQLite is loaded once and that takes real time: before simulated time begins. */
export const loadSqlite = (): Promise<void> => {
  const load = async (): Promise<void> => {
    const engine = new MemoryIndex();
    await engine.open(networkIdFromBytes(new Uint8Array(16)), 'sealed');
    await engine.close();
  };
  loading ??= load();
  return loading;
};
