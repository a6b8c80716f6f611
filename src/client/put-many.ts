// Putting many files: small ones in batches (one plan, few stores with their commits), large ones one by one.
// Each file succeeds or fails alone. Two sources that come to one name are both refused: which one would win would be
// chance. Memory is bounded by two batches, whatever the number of files. Small files of star systems travel in the
// same batches, with their notes; their indexes are waited for together.
import { chunkBytesMax, sealedLength } from '../crypto/geometry.ts';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import { RecordCutter } from '../index/cut.ts';
import { fromSystemError } from '../errors/system-error.ts';
import { limits } from '../model/limits.ts';
import { parseName } from '../model/names.ts';
import type { WireChangeOutcome, WireNameChange } from '../wire/messages-names.ts';
import { type ByteSource, sourceOfBytes } from './byte-source.ts';
import { type Catalogue, type CatalogueResult, recognise } from './catalogue.ts';
import { commitChange } from './commit.ts';
import { waitForIndex } from './index-wait.ts';
import { forEachAtOnce } from './parallel.ts';
import type { Plan } from './plan.ts';
import { putFile, type PutRequest, type PutResult } from './put.ts';
import type { Session } from './session.ts';
import { type SealedChunk, storeChunk, storeChunks, type StoreResult } from './store-chunks.ts';
import { checkCondition, openUploads, putChange, sealOf, type Upload } from './upload.ts';

export interface PutItem {
  /** As given; in one spelling afterwards. */
  readonly name: string;
  /** Bytes as far as known; decides how the file travels. */
  readonly size: number;
  readonly resumeKey?: string;
  /** The local path, as the user knows it. */
  readonly path?: string;
  open(): Promise<ByteSource>;
}

export interface PutManyRequest extends Pick<PutRequest, 'condition' | 'signal' | 'onProgress'> {
  /** As in PutRequest, for each item; asked again when an item turns out to be a large one. */
  readonly catalogueOf?: (item: PutItem) => PutRequest['catalogue'];
  /** Small files read at once, and large files sent at once. */
  readonly width?: number;
  /** Told of each file as soon as its fate is known; no order. */
  readonly onResult: (item: PutItem, result: PutResult | OperaError) => void;
}

/** A small file that was read whole. */
interface ReadItem {
  readonly item: PutItem;
  readonly plaintext: Uint8Array;
  readonly modified: string | undefined;
  readonly small: SmallCatalogue | undefined;
}

/** A catalogue of one chunk, whose records were read. */
interface SmallCatalogue {
  readonly catalogue: Catalogue;
  readonly counts: Omit<CatalogueResult, 'queryable' | 'gone'>;
}

interface CommittedCatalogue {
  readonly item: PutItem;
  readonly small: SmallCatalogue;
  readonly result: PutResult;
}

/** A small file sealed for its upload. */
interface SealedItem {
  readonly item: PutItem;
  readonly size: number;
  readonly upload: Upload;
  readonly sealed: SealedChunk;
  readonly build: ReturnType<typeof putChange>;
  readonly change: WireNameChange;
  readonly small: SmallCatalogue | undefined;
}

/** Bytes of one entry's part of a store message: name twice (clear and sealed), hashes, ids, keys. */
const messageBytesOf = ({ name }: PutItem): number => 1_500 + 4 * Buffer.byteLength(name);

const cutBatches = (items: readonly PutItem[]): PutItem[][] => {
  const batches: PutItem[][] = [];
  let batch: PutItem[] = [];
  let [plaintext, message] = [0, 0];
  for (const item of items) {
    const full =
      batch.length >= limits.batchEntriesMax ||
      plaintext + item.size > limits.batchPlaintextMax ||
      message + messageBytesOf(item) > limits.messageBytesMax / 2;
    if (full && batch.length > 0) {
      batches.push(batch);
      batch = [];
      [plaintext, message] = [0, 0];
    }
    batch.push(item);
    plaintext += item.size;
    message += messageBytesOf(item);
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
};

class PutMany {
  readonly #session: Session;
  readonly #request: PutManyRequest;

  constructor(session: Session, request: PutManyRequest) {
    this.#session = session;
    this.#request = request;
  }

  async run(items: readonly PutItem[]): Promise<void> {
    const wanted = this.#distinct(items);
    const small = wanted.filter(({ size }) => size <= chunkBytesMax);
    const large = wanted.filter(({ size }) => size > chunkBytesMax);
    const { signal, width = 1 } = this.#request;
    await forEachAtOnce(cutBatches(small), 2, signal, (batch, inner) => this.#putBatch(batch, inner));
    await forEachAtOnce(large, width, signal, (item, inner) => this.#putLarge(item, inner));
  }

  /** In one spelling; refused names and those that stand twice are reported. */
  #distinct(items: readonly PutItem[]): PutItem[] {
    const byName = new Map<string, PutItem[]>();
    for (const item of items) {
      try {
        const name = parseName(item.name);
        byName.set(name, [...(byName.get(name) ?? []), { ...item, name }]);
      } catch (error) {
        this.#failed(item, error);
      }
    }
    return [...byName].flatMap(([name, same]) => {
      if (same.length === 1) return same;
      for (const item of same) {
        const from = item.path === undefined ? '' : `, ${item.path} among them`;
        const message = `${same.length} files would get the name ${name}${from}; none was put`;
        this.#failed(item, new OperaError('bad-name', message));
      }
      return [];
    });
  }

  /** An interruption ends everything; any other error is that file's alone. */
  #failed(item: PutItem, error: unknown): void {
    if (isOperaError(error, 'aborted') || this.#request.signal?.aborted) throw error;
    this.#request.onResult(item, fromSystemError(error) ?? toOperaError(error));
  }

  async #putLarge(item: PutItem, signal: AbortSignal): Promise<void> {
    const { condition, onProgress, onResult } = this.#request;
    try {
      const source = await item.open();
      try {
        const request: PutRequest = {
          name: item.name,
          signal,
          ...(condition ? { condition } : {}),
          ...(onProgress ? { onProgress } : {}),
          ...(item.resumeKey === undefined ? {} : { resumeKey: item.resumeKey }),
          ...this.#catalogueOf(item),
        };
        onResult(item, await putFile(this.#session, source, request));
      } finally {
        await source.close();
      }
    } catch (error) {
      this.#failed(item, error);
    }
  }

  #catalogueOf(item: PutItem): Pick<PutRequest, 'catalogue'> {
    const catalogue = this.#request.catalogueOf?.(item);
    return catalogue === undefined ? {} : { catalogue };
  }

  async #putBatch(batch: readonly PutItem[], signal: AbortSignal): Promise<void> {
    const read: ReadItem[] = [];
    const grown: PutItem[] = [];
    await forEachAtOnce(batch, Math.max(8, this.#request.width ?? 1), signal, async (item) => {
      try {
        const found = await readWhole(item, this.#catalogueOf(item).catalogue);
        if (found) read.push(found);
        else grown.push(item);
      } catch (error) {
        this.#failed(item, error);
      }
    });
    if (read.length > 0) {
      try {
        await this.#putRead(read, signal);
      } catch (error) {
        if (isOperaError(error, 'aborted') || signal.aborted) throw error;
        for (const { item } of read) if (!this.#told.has(item)) this.#failed(item, error);
      }
    }
    for (const item of grown) await this.#putLarge(item, signal);
  }

  readonly #told = new Set<PutItem>();

  #tell(item: PutItem, result: PutResult | OperaError): void {
    this.#told.add(item);
    this.#request.onResult(item, result);
  }

  async #putRead(read: readonly ReadItem[], signal: AbortSignal): Promise<void> {
    const names = read.map(({ item }) => item.name);
    const { plan, uploads, current } = await openUploads(this.#session, names, signal);
    const sealed = read.flatMap((entry, at) => {
      const upload = uploads[at];
      if (!upload) return [];
      try {
        checkCondition(entry.item.name, current[at], this.#request.condition ?? {});
        return [this.#seal(entry, upload)];
      } catch (error) {
        this.#tell(entry.item, toOperaError(error));
        return [];
      }
    });
    const chunks = sealed.map((entry) => ({ ...entry.sealed, commit: entry.change }));
    const results = await storeChunks(this.#session, plan, chunks, { signal });
    const outcomes = await this.#commitTogether(plan, sealed, results, signal);
    const committed: CommittedCatalogue[] = [];
    await forEachAtOnce(sealed.entries(), limits.chunksInFlight, signal, async ([at, entry], inner) => {
      const result = await this.#finish(plan, entry, results[at], outcomes.get(entry), inner);
      if (!result) return;
      if (entry.small) committed.push({ item: entry.item, small: entry.small, result });
      else this.#tell(entry.item, result);
    });
    await this.#tellWhenIndexed(plan, committed, signal);
  }

  /** Catalogues are told when their records can be queried; other files do not wait for them. */
  async #tellWhenIndexed(plan: Plan, committed: readonly CommittedCatalogue[], signal: AbortSignal): Promise<void> {
    const awaited = committed.filter(({ small }) => small.catalogue.options.wait ?? true);
    const byVersion = new Map(committed.map(({ small, result }) => [result.version, small]));
    for (const { small } of awaited) small.catalogue.options.onIndexed?.(0, small.counts.rows);
    const versions = awaited.map(({ small, result: { name, version } }) => ({
      ...{ name, version, chunkRecords: [small.counts.rows] },
    }));
    const { late, gone } = await waitForIndex(this.#session, plan, versions, {
      signal,
      onIndexed: (version, records) => byVersion.get(version)?.catalogue.options.onIndexed?.(records, 0),
    });
    const ready = new Set(versions.flatMap(({ version }) => (late.has(version) || gone.has(version) ? [] : version)));
    for (const { item, small, result } of committed) {
      const { version } = result;
      const state = gone.has(version) ? { queryable: false, gone: true as const } : { queryable: ready.has(version) };
      this.#tell(item, { ...result, catalogue: { ...small.counts, ...state } });
    }
  }

  #seal({ item, plaintext, modified, small }: ReadItem, opened: Upload): SealedItem {
    const upload = small?.catalogue.noted(this.#session, opened) ?? opened;
    const sealed = sealOf(upload, { index: 0, plaintext, last: true });
    const size = plaintext.length;
    const lengths = small && { chunkLengths: [size], chunkRecords: [small.counts.rows] };
    const facts = { size, modified, chunkCount: 1, ...lengths };
    const build = putChange(this.#session, upload, facts, this.#request.condition ?? {});
    const change = build(upload.follows, this.#session.connection.keys.keyring);
    return { item, size, upload, sealed, build, change, small };
  }

  /** What nodes did not pass on is committed in one message; what fails there is tried one by one. */
  async #commitTogether(
    plan: Plan,
    sealed: readonly SealedItem[],
    results: readonly StoreResult[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<SealedItem, WireChangeOutcome>> {
    const outcomes = new Map<SealedItem, WireChangeOutcome>();
    const open: SealedItem[] = [];
    for (const [at, entry] of sealed.entries()) {
      const result = results[at];
      if (!result?.stored) continue;
      if (result.outcome) outcomes.set(entry, result.outcome);
      else open.push(entry);
    }
    if (open.length < 2) return outcomes;
    try {
      const changes = open.map(({ change }) => change);
      const grant = await plan.grant(signal);
      const answer = await this.#session.connection.call('name.commit', { changes, ...grant }, { signal });
      for (const [at, entry] of open.entries()) {
        const outcome = answer.outcomes[at];
        if (outcome) outcomes.set(entry, outcome);
      }
    } catch (error) {
      if (isOperaError(error, 'aborted')) throw error;
    }
    return outcomes;
  }

  /** The file once it is committed; undefined when it was told that it is not. */
  async #finish(
    plan: Plan,
    { item, size, upload, sealed, build, change }: SealedItem,
    result: StoreResult | undefined,
    outcome: WireChangeOutcome | undefined,
    signal: AbortSignal,
  ): Promise<PutResult | undefined> {
    try {
      if (!result?.stored) throw result?.error ?? new OperaError('internal', 'a chunk was forgotten');
      const done = await commitChange(this.#session, {
        build,
        follows: upload.follows,
        plan,
        ...(outcome ? { first: { change, outcome } } : {}),
        onChunksMissing: async () => {
          await storeChunk(this.#session, plan, sealed, { signal });
        },
        signal,
      });
      const { name, version } = upload;
      const { sequence, replaced } = done;
      this.#session.seen.raise(name, sequence);
      this.#request.onProgress?.(size);
      const facts = { size, chunkCount: 1, copies: result.copies, resumedChunks: 0 };
      return { name, version, sequence, replaced: replaced?.version, ...facts };
    } catch (error) {
      if (isOperaError(error, 'aborted') || signal.aborted) throw error;
      this.#tell(item, toOperaError(error));
      return undefined;
    }
  }
}

/** The records of a small catalogue; undefined when they need more than one chunk. */
const readRecords = async (catalogue: Catalogue, plaintext: Uint8Array): Promise<SmallCatalogue | undefined> => {
  const cutter = new RecordCutter(catalogue.note.dialect);
  if ([...cutter.push(plaintext), ...cutter.end()].length !== 1) return undefined;
  const reading = catalogue.read(plaintext.length);
  try {
    for await (const _ of reading.chunks(sourceOfBytes(plaintext)));
    const counts = await reading.end();
    return counts && { catalogue, counts };
  } finally {
    await reading.close();
  }
};

/** The content of a small file; undefined when it needs more than one chunk, or has grown since it was listed. */
const readWhole = async (item: PutItem, options: PutRequest['catalogue']): Promise<ReadItem | undefined> => {
  const source = await item.open();
  try {
    const { size, modified } = source;
    if (size === undefined || sealedLength(size) > limits.batchBytesMax || size > chunkBytesMax) return undefined;
    const plaintext = new Uint8Array(size);
    if ((await source.read(plaintext)) !== size)
      throw new OperaError('source-changed', 'the file became shorter while it was read');
    await source.verifyUnchanged();
    const catalogue = recognise(plaintext, true, options);
    const small = catalogue && (await readRecords(catalogue, plaintext));
    return catalogue && !small ? undefined : { item, plaintext, modified, small };
  } finally {
    await source.close();
  }
};

/** Puts many files. Rejects only when interrupted; everything else is told by `onResult`, once for each item. */
export const putMany = (session: Session, items: readonly PutItem[], request: PutManyRequest): Promise<void> =>
  new PutMany(session, request).run(items);
