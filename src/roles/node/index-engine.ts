// The calling side of a node's index: the same work in two worker threads over one file (a node), or in this thread
// over memory (a node without a folder, tests). What is asked before the index has its key is refused `not-ready`.
import { OperaError } from '../../errors/errors.ts';
import type { NetworkId, VersionId } from '../../model/ids.ts';
import { startWorker, wholeBuffers, type WorkerClient } from '../../runtime/worker.ts';
import type { ChunkToIndex } from './index-build.ts';
import { type IndexMode, removeIndexFile, type Run } from './index-file.ts';
import type { AskedChunk, Need, SearchResult, Supplied } from './index-search.ts';
import { type Ask, type IndexContents, IndexWork, type IndexWorkOptions, type Step } from './index-work.ts';

const notOpen = (): OperaError => new OperaError('not-ready', 'the index is not open');

/** Sealed bytes of each need, in order; undefined for what cannot be read. They are the index's from then on. */
export type Supply = (needs: readonly Need[]) => Promise<readonly (Supplied | undefined)[]>;

export interface Found {
  readonly result: SearchResult;
  /** Chunks whose index does not read back: to be built anew. */
  readonly damaged: readonly AskedChunk[];
}

export interface IndexEngine {
  /** Opens the index, or makes an empty one when there is none, or it is damaged or of another kind. */
  open(network: NetworkId, mode: IndexMode): Promise<IndexContents>;
  /** Gives it its key; `record` is kept in the file, for the next time. */
  useKey(indexKey: Uint8Array, record?: Uint8Array): Promise<void>;
  /** The sealed bytes are the index's from then on: the caller reads them no more. */
  build(chunk: ChunkToIndex): Promise<Run>;
  drop(chunks: readonly { readonly version: VersionId; readonly chunk: number }[]): Promise<void>;
  search(ask: Ask, supply: Supply, signal?: AbortSignal): Promise<Found>;
  /** Bytes on disk. */
  bytes(): Promise<number>;
  /** Closes the index and removes its file; open it again afterwards. */
  discard(): Promise<void>;
  close(): Promise<void>;
}

/** Runs a search to its end: steps of the index and reads of the store in turn. */
const searchBy = async (
  begin: () => Promise<Step>,
  next: (id: number, supplied: readonly (Supplied | undefined)[]) => Promise<Step>,
  cancel: (id: number) => void,
  supply: Supply,
  signal: AbortSignal | undefined,
): Promise<Found> => {
  let step = await begin();
  while (!step.done) {
    const { id, needs } = step;
    try {
      signal?.throwIfAborted();
      const supplied = await supply(needs);
      signal?.throwIfAborted();
      step = await next(id, supplied);
    } catch (error) {
      cancel(id);
      throw error;
    }
  }
  return { result: step.result, damaged: step.damaged };
};

/** The index of a node with a folder. */
export class ThreadIndex implements IndexEngine {
  readonly #folder: string;
  #builder: WorkerClient | undefined;
  #searcher: WorkerClient | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(network: NetworkId, mode: IndexMode): Promise<IndexContents> {
    const options = { folder: this.#folder, mode, network };
    this.#builder = startWorker('index', { ...options, readonly: false } satisfies IndexWorkOptions);
    const contents = (await this.#builder.call('contents', [])) as IndexContents;
    // The file is there now.
    this.#searcher = startWorker('index', { ...options, readonly: true } satisfies IndexWorkOptions);
    return contents;
  }

  async useKey(indexKey: Uint8Array, record?: Uint8Array): Promise<void> {
    await this.#call(this.#builder, 'useKey', [indexKey, record]);
    await this.#call(this.#searcher, 'useKey', [indexKey]);
  }

  async build(chunk: ChunkToIndex): Promise<Run> {
    // A buffer of its own moves to the thread; a copy would be there twice while it is built.
    return (await this.#call(this.#builder, 'build', [chunk], wholeBuffers([chunk.sealed]))) as Run;
  }

  async drop(chunks: readonly { readonly version: VersionId; readonly chunk: number }[]): Promise<void> {
    await this.#call(this.#builder, 'drop', [chunks]);
  }

  search(ask: Ask, supply: Supply, signal?: AbortSignal): Promise<Found> {
    const call = async (method: string, args: readonly unknown[], transfer: ArrayBuffer[] = []): Promise<Step> =>
      (await this.#call(this.#searcher, method, args, transfer)) as Step;
    return searchBy(
      () => call('begin', [ask]),
      (id, supplied) => call('next', [id, supplied], wholeBuffers(supplied.map((part) => part?.bytes))),
      (id) => void this.#call(this.#searcher, 'cancel', [id]).catch(() => undefined),
      supply,
      signal,
    );
  }

  async bytes(): Promise<number> {
    // The builder may be busy with a chunk for seconds.
    return (await this.#call(this.#searcher, 'bytes', [])) as number;
  }

  async discard(): Promise<void> {
    await this.close();
    removeIndexFile(this.#folder);
  }

  async close(): Promise<void> {
    const workers = [this.#searcher, this.#builder];
    this.#searcher = undefined;
    this.#builder = undefined;
    for (const worker of workers) {
      await worker?.call('close', []).catch(() => undefined);
      await worker?.close();
    }
  }

  async #call(
    worker: WorkerClient | undefined,
    method: string,
    args: readonly unknown[],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<unknown> {
    if (!worker) throw notOpen();
    return worker.call(method, args, transfer);
  }
}

/** The index of a node whose store is in memory; also where a test wants no threads. */
export class MemoryIndex implements IndexEngine {
  #work: IndexWork | undefined;

  async open(network: NetworkId, mode: IndexMode): Promise<IndexContents> {
    this.#work = await IndexWork.open({ folder: undefined, mode, network, readonly: false });
    return this.#work.contents();
  }

  async useKey(indexKey: Uint8Array, record?: Uint8Array): Promise<void> {
    this.#open.useKey(indexKey, record);
  }

  async build(chunk: ChunkToIndex): Promise<Run> {
    return this.#open.build(chunk);
  }

  async drop(chunks: readonly { readonly version: VersionId; readonly chunk: number }[]): Promise<void> {
    this.#work?.drop(chunks);
  }

  search(ask: Ask, supply: Supply, signal?: AbortSignal): Promise<Found> {
    return searchBy(
      async () => this.#open.begin(ask),
      async (id, supplied) => this.#open.next(id, supplied),
      (id) => this.#work?.cancel(id),
      supply,
      signal,
    );
  }

  async bytes(): Promise<number> {
    return this.#open.bytes();
  }

  async discard(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    this.#work?.close();
    this.#work = undefined;
  }

  get #open(): IndexWork {
    if (!this.#work) throw notOpen();
    return this.#work;
  }
}
