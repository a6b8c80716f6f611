// A disk for a simulated node: MemoryStorage behind a model of what disks do to writes. A write that was answered is
// durable; one that is under way when the power goes is kept or lost as a whole. The disk can be slow, full, refuse
// an fsync, be wiped, be put back to an earlier copy, and give back other bytes than were written.
// Everything that was written is kept as a log of calls, so that any earlier content can be made again.
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { MemoryStorage } from '../../src/storage-adapters/memory.ts';
import type { ChunkAddress, StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import type { SeededRandom } from './seeded.ts';

interface Write {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly atMs: number;
}

export interface DiskOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  /** Mutant: a write is answered before it is durable; it becomes so every few seconds. */
  readonly noFsync?: boolean;
}

const reads = /^(get|list|digests|usage|highest|writeCounter|open|close|durable|is|has)/;
/** What has to be possible on a full disk. */
const frees = /^delete/;
/** Without fsync the system writes pages back by itself, this often. */
const writeBackMs = 5_000;

const keyOf = ({ version, index }: ChunkAddress): string => `${version}/${index}`;

type Method = (...args: unknown[]) => unknown;

export class MemoryDisk {
  readonly #options: DiskOptions;
  #content: MemoryStorage;
  /** Every write that took effect, in order. */
  #log: Write[] = [];
  /** How many of them are on the platter; all, unless the mutant is at work. */
  #durable = 0;
  #replayMs: number | undefined;
  #queue: { readonly write: Write; lost: boolean }[] = [];
  readonly #rotten = new Set<string>();
  /** Partitions anything was ever put into: listings walk through thousands of others. */
  readonly #used = new Set<number>();
  #failed = false;
  #storeId: string | undefined;
  /** Longest time of a write, ms. */
  slowMs = 0;
  full = false;
  /** The next write fails in its fsync, and the store takes no more until it is opened anew. */
  fsyncFails = false;
  /** Copies on this disk are not what they were: it was wiped, put back, or something on it went bad. */
  damaged = false;
  /** Told of every write before it takes effect. */
  onWrite: (method: string, args: readonly unknown[]) => void = () => undefined;

  constructor(options: DiskOptions) {
    this.#options = options;
    this.#content = this.#empty();
  }

  /** What is on it now, past all faults. */
  get content(): MemoryStorage {
    return this.#content;
  }

  /** Id that the last process which opened the store gave it. */
  get storeId(): string | undefined {
    return this.#storeId;
  }

  get writes(): number {
    return this.#log.length;
  }

  /** Partitions anything was ever put into. */
  get partitions(): ReadonlySet<number> {
    return this.#used;
  }

  isRotten(address: ChunkAddress): boolean {
    return this.#rotten.has(keyOf(address));
  }

  #empty(): MemoryStorage {
    const { clock } = this.#options;
    const storage = new MemoryStorage({ nowMs: () => this.#replayMs ?? clock.nowMs() });
    void storage.open();
    return storage;
  }

  /** The store as a process opens it; one that broke is whole again. */
  open(): StorageAdapter {
    this.#failed = false;
    return new Proxy<StorageAdapter>(this.#content, {
      get: (_, key) => {
        // Looked up on each call: a process never sees the content change under it, since it has ended by then.
        const value: unknown = Reflect.get(this.#content, key, this.#content);
        if (typeof value !== 'function') return value;
        const method = String(key);
        if (!reads.test(method)) return (...args: unknown[]) => this.#write(method, args);
        return (...args: unknown[]) => this.#read(method, args, value as Method);
      },
    });
  }

  async #read(method: string, args: readonly unknown[], call: Method): Promise<unknown> {
    if (method === 'open') return { previousStoreId: this.#storeId, writeCounter: await this.#content.writeCounter() };
    if ((method === 'listChunks' || method === 'listManifests') && !this.#used.has(Number(args[0]))) {
      return { items: [], next: undefined };
    }
    const found = await (Reflect.apply(call, this.#content, args) as Promise<unknown>);
    const [address] = args;
    if (method === 'getChunk' && found && this.#rotten.has(keyOf(address as ChunkAddress))) {
      const { body, ...rest } = found as { body: Uint8Array };
      return { ...rest, body: body.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) };
    }
    if (method !== 'usage') return found;
    return { ...(found as object), readOnly: this.#failed || this.full };
  }

  async #write(method: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#failed) throw new OperaError('read-only', 'an earlier write failed');
    if (this.full && !frees.test(method)) throw new OperaError('no-space', 'the disk is full');
    const { clock, random } = this.#options;
    const entry = { write: { method, args, atMs: clock.nowMs() }, lost: false };
    if (this.slowMs > 0) {
      this.#queue.push(entry);
      await clock.sleep(random.below(this.slowMs));
      if (entry.lost) return new Promise(() => undefined);
      this.#queue = this.#queue.filter((other) => other !== entry);
    }
    if (this.fsyncFails) {
      this.fsyncFails = false;
      this.#failed = true;
      // The write may be there or not; who looks after the next start finds out.
      if (random.below(2) === 0) await this.#apply(entry.write);
      throw new OperaError('read-only', 'an fsync failed');
    }
    return this.#apply(entry.write);
  }

  async #apply(write: Write): Promise<unknown> {
    const { method, args } = write;
    this.onWrite(method, args);
    const answer = (Reflect.get(this.#content, method) as Method).apply(this.#content, [...args]) as Promise<unknown>;
    // One that is refused changed nothing.
    const result = await answer;
    this.#log.push(write);
    if (!this.#options.noFsync) this.#durable = this.#log.length;
    else this.#writeBack();
    if (method === 'adoptStoreId') this.#storeId = String(args[0]);
    this.#follow(method, args);
    return result;
  }

  #writeBack(): void {
    const length = this.#log.length;
    const content = this.#content;
    this.#options.clock.after(writeBackMs, () => {
      if (this.#content === content) this.#durable = Math.max(this.#durable, length);
    });
  }

  /** Which partitions are in use; what was deleted or replaced is not rotten any more. */
  #follow(method: string, args: readonly unknown[]): void {
    for (const item of args.flat()) {
      if (typeof item !== 'object' || item === null) continue;
      if ('partition' in item) this.#used.add(Number(item.partition));
      if (method !== 'putChunks' && 'index' in item) this.#rotten.delete(keyOf(item as ChunkAddress));
    }
  }

  /** The power goes: writes under way are kept or lost, each as a whole. */
  crash(): void {
    for (const entry of this.#queue) {
      entry.lost = true;
      if (this.#options.random.below(2) === 0) {
        void this.#apply(entry.write).catch((error: unknown) => {
          if (!isOperaError(error)) throw error;
        });
      }
    }
    this.#queue = [];
    if (this.#durable < this.#log.length) this.#rebuild(this.#durable);
  }

  /** Blank: another disk. */
  wipe(): void {
    this.damaged = true;
    this.#storeId = undefined;
    this.#rebuild(0);
  }

  /** An earlier copy of the disk: its first `writes` writes. */
  restore(writes: number): void {
    this.damaged = true;
    this.#rebuild(writes);
  }

  /** One bit of a chunk turns; it is given back so until it is replaced. */
  rot(address: ChunkAddress): void {
    this.damaged = true;
    this.#rotten.add(keyOf(address));
  }

  #rebuild(writes: number): void {
    this.#log = this.#log.slice(0, writes);
    this.#durable = this.#log.length;
    this.#rotten.clear();
    this.#content = this.#empty();
    for (const { method, args, atMs } of this.#log) {
      this.#replayMs = atMs;
      // A memory store acts before it answers.
      void (Reflect.get(this.#content, method) as Method).apply(this.#content, [...args]);
      if (method === 'adoptStoreId') this.#storeId = String(args[0]);
      this.#follow(method, args);
    }
    this.#replayMs = undefined;
  }
}
