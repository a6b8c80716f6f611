// The work of a node's index: making the index of a chunk, and answering queries. It blocks, so it runs in worker
// threads (index-service.ts), one that builds and one that searches, over one file; in memory one does both. File keys,
// opened segments and opened pages stay in memory. Methods take and answer normal data.
import { PageSealer } from '../../crypto/index-keys.ts';
import { OperaError } from '../../errors/errors.ts';
import type { Query } from '../../index/query.ts';
import { parseNetworkId, type VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { SystemClock } from '../../runtime/clock.ts';
import { readFilePart } from '../../runtime/files.ts';
import { SystemRandom } from '../../runtime/random.ts';
import { buildRun, Catalogue, type CatalogueKeys, type ChunkToIndex, decodeFacts } from './index-build.ts';
import { factsKind, IndexFile, type IndexMode, pageKinds, type Run } from './index-file.ts';
import {
  type AskedChunk,
  type Need,
  type RunReader,
  Search,
  type SearchResult,
  type Supplied,
} from './index-search.ts';
import { LruMap } from './lru-map.ts';
import { SegmentCache } from './segment-cache.ts';

export interface IndexWorkOptions {
  /** Undefined for an index in memory. */
  readonly folder: string | undefined;
  readonly mode: IndexMode;
  readonly network: string;
  /** True for a second worker over the file of the first. */
  readonly readonly: boolean;
}

export interface IndexContents {
  /** The sealed index key; undefined in a new index and in plain mode. */
  readonly key: Uint8Array | undefined;
  /** Of the chunks that are indexed. */
  readonly runs: readonly Run[];
  /** Why a file that was there was thrown away; undefined when it was kept, or none was there. */
  readonly replaced: string | undefined;
}

export interface Ask {
  readonly query: Query;
  readonly chunks: readonly AskedChunk[];
  readonly catalogues: readonly CatalogueKeys[];
}

export type Step =
  | { readonly done: false; readonly id: number; readonly needs: readonly Need[] }
  | { readonly done: true; readonly result: SearchResult; readonly damaged: readonly AskedChunk[] };

interface OpenSearch {
  readonly search: Search;
  readonly damaged: AskedChunk[];
  touchedMs: number;
}

interface OpenRun extends RunReader {
  /** In memory, roughly. */
  readonly bytes: number;
}

/** What an opened run takes besides its directory: its summary and its key. */
const runBytes = 4_096;

export class IndexWork {
  readonly #options: IndexWorkOptions;
  readonly #file: IndexFile;
  readonly #random = new SystemRandom();
  readonly #clock = new SystemClock();
  #indexKey: Uint8Array | undefined;
  #cache = new SegmentCache();
  readonly #pages = new LruMap<string, Uint8Array>(limits.indexPageBytesKept, ({ length }) => length);
  readonly #runs = new LruMap<number, OpenRun>(limits.indexRunBytesKept, ({ bytes }) => bytes);
  readonly #catalogues = new LruMap<VersionId, Catalogue>(limits.indexCatalogueBytesKept, ({ bytes }) => bytes);
  readonly #searches = new Map<number, OpenSearch>();
  #nextId = 1;

  private constructor(options: IndexWorkOptions, file: IndexFile) {
    this.#options = options;
    this.#file = file;
  }

  static async open(options: IndexWorkOptions): Promise<IndexWork> {
    const { folder, mode, readonly } = options;
    const file =
      readonly && folder !== undefined ? await IndexFile.openToRead(folder, mode) : await IndexFile.open(folder, mode);
    return new IndexWork(options, file);
  }

  /** What the file holds, and what had to go for it. */
  contents(): IndexContents {
    return { key: this.#file.key, runs: this.#file.runs(), replaced: this.#file.replaced };
  }

  /** Takes the index key, and keeps its sealed record when one is given. */
  useKey(indexKey: Uint8Array, record?: Uint8Array): void {
    this.#indexKey = indexKey;
    if (record) this.#file.key = record;
  }

  /** Indexes one chunk, in the place of an older index of it. */
  build(chunk: ChunkToIndex): Run {
    const catalogue = this.#catalogueOf(chunk.catalogue);
    const options = { network: this.#network, indexKey: this.#key, random: this.#random };
    return buildRun(catalogue, chunk, options, this.#file);
  }

  drop(chunks: readonly { readonly version: VersionId; readonly chunk: number }[]): void {
    this.#file.drop(chunks);
  }

  begin({ query, chunks, catalogues }: Ask): Step {
    if (this.#searches.size >= limits.searchesMax) this.#expire();
    if (this.#searches.size >= limits.searchesMax) throw new OperaError('overloaded', 'too many queries at once');
    for (const keys of catalogues) this.#catalogueOf(keys);
    const known = new Map(catalogues.map((keys) => [keys.version, keys]));
    const damaged: AskedChunk[] = [];
    const search = new Search(query, chunks, {
      cache: this.#cache,
      run: (asked) => this.#runOf(asked),
      catalogue: (version) => {
        const keys = known.get(version);
        if (!keys) throw new OperaError('internal', 'the keys of a catalogue were not sent along');
        return this.#catalogueOf(keys);
      },
      readPart: readFilePart,
      onDamage: (asked) => damaged.push(asked),
    });
    const id = this.#nextId++;
    this.#searches.set(id, { search, damaged, touchedMs: 0 });
    return this.next(id, []);
  }

  /** Goes on with the bytes that were needed, in order; undefined for what is not there. */
  next(id: number, supplied: readonly (Supplied | undefined)[]): Step {
    const open = this.#searches.get(id);
    if (!open) throw new OperaError('aborted', 'the query was given up');
    open.touchedMs = this.#clock.monotonicMs();
    try {
      const needs = open.search.next(supplied);
      if (needs.length > 0) return { done: false, id, needs };
    } catch (error) {
      this.#searches.delete(id);
      throw error;
    }
    this.#searches.delete(id);
    return { done: true, result: open.search.result, damaged: open.damaged };
  }

  cancel(id: number): void {
    this.#searches.delete(id);
  }

  bytes(): number {
    return this.#file.bytes;
  }

  close(): void {
    this.#searches.clear();
    this.#file.close();
  }

  get #network() {
    return parseNetworkId(this.#options.network);
  }

  get #key(): Uint8Array {
    if (!this.#indexKey) throw new OperaError('not-ready', 'the index has no key yet');
    return this.#indexKey;
  }

  #expire(): void {
    const now = this.#clock.monotonicMs();
    for (const [id, { touchedMs }] of this.#searches) {
      if (now - touchedMs > limits.searchIdleMs) this.#searches.delete(id);
    }
  }

  #catalogueOf(keys: CatalogueKeys): Catalogue {
    const known = this.#catalogues.get(keys.version);
    if (known) return known;
    const catalogue = new Catalogue(this.#network, keys);
    this.#catalogues.set(keys.version, catalogue);
    return catalogue;
  }

  /** A chunk's index, opened; undefined when it was dropped. `integrity` when it does not read back. */
  #runOf({ run, version, chunk }: AskedChunk): RunReader | undefined {
    const known = this.#runs.get(run);
    if (known) return known;
    const head = this.#file.head(run);
    if (!head) return undefined;
    const sealer = new PageSealer(this.#key, head.salt, this.#network, version, chunk);
    const { facts, directory } = decodeFacts(sealer.open(factsKind, 0, head.facts));
    const page: RunReader['page'] = (kind, number) => {
      const key = `${run}/${kind}/${number}`;
      const opened = this.#pages.get(key);
      if (opened) return opened;
      const sealed = this.#file.page(run, kind, number);
      if (!sealed) throw new OperaError('integrity', 'a page of the index is missing');
      const body = sealer.open(pageKinds[kind], number, sealed);
      this.#pages.set(key, body);
      return body;
    };
    const reader: OpenRun = { facts, directory, page, bytes: runBytes + head.facts.length };
    this.#runs.set(run, reader);
    return reader;
  }
}
