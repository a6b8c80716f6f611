// Putting one file: open, seal each chunk once, store, commit. Chunks travel a few at a time in constant memory; a
// file of one chunk is stored and committed in one message. A put that was killed goes on from its journal. A file of
// star systems is cut where records end, and the put resolves when these can be queried (catalogue.ts).
// Invariant: nothing is committed unless the source was the same from its first byte to its last.
import { equalBytes } from '../crypto/digest.ts';
import { chunkBytesMax, createGeometry } from '../crypto/geometry.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { hasBit } from '../model/bits.ts';
import type { VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { parseName } from '../model/names.ts';
import { type ByteSource, cutChunks, type PlainChunk } from './byte-source.ts';
import {
  type Catalogue,
  type CatalogueOptions,
  type CatalogueReading,
  type CatalogueResult,
  lookAt,
} from './catalogue.ts';
import { commitChange, type DoneOutcome } from './commit.ts';
import { waitForIndex } from './index-wait.ts';
import { forEachAtOnce } from './parallel.ts';
import { Patience } from './patience.ts';
import type { Plan } from './plan.ts';
import { type PutJournal, openJournal } from './journal.ts';
import type { Session } from './session.ts';
import { type SealedChunk, storeChunk, storeChunks } from './store-chunks.ts';
import { checkCondition, openUploads, type PutCondition, putChange, sealOf, type Upload } from './upload.ts';

export interface PutRequest {
  readonly name: string;
  readonly condition?: PutCondition;
  /** Star systems: recognised by the columns when left out; false: an ordinary file whatever it holds. */
  readonly catalogue?: CatalogueOptions | false;
  /** Names the source for resuming, as an absolute path does; without it a killed put begins anew. */
  readonly resumeKey?: string;
  readonly signal?: AbortSignal;
  /** Told plaintext bytes as they become durable. */
  readonly onProgress?: (bytes: number) => void;
}

export interface PutResult {
  readonly name: string;
  readonly version: VersionId;
  readonly sequence: bigint;
  readonly size: number;
  readonly chunkCount: number;
  /** Durable copies of the chunk that had the fewest when it was answered. */
  readonly copies: number;
  /** The version it took the place of. */
  readonly replaced: VersionId | undefined;
  /** Chunks that were durable already, from a put that had been interrupted. */
  readonly resumedChunks: number;
  /** What became of its records; absent for an ordinary file. */
  readonly catalogue?: CatalogueResult;
}

/** What a put has to do with: the upload, where it goes, and what is known of it from before. */
interface Work {
  readonly session: Session;
  readonly request: PutRequest;
  readonly source: ByteSource;
  readonly upload: Upload;
  readonly plan: Plan;
  readonly journal: PutJournal | undefined;
  readonly catalogue: Catalogue | undefined;
  /** Of the catalogue, from its first byte. */
  readonly reading: CatalogueReading | undefined;
}

/** Waits for the index of a committed catalogue, unless told not to. */
const awaitIndex = async (
  { session, plan, request, upload, catalogue }: Work,
  chunkRecords: readonly number[],
): Promise<Pick<CatalogueResult, 'queryable' | 'gone'>> => {
  const { wait = true, onIndexed } = catalogue?.options ?? {};
  if (!wait) return { queryable: false };
  onIndexed?.(
    0,
    chunkRecords.reduce((sum, count) => sum + count, 0),
  );
  const { name, version } = upload;
  const { late, gone } = await waitForIndex(session, plan, [{ name, version, chunkRecords }], {
    signal: request.signal,
    onIndexed: (_, records) => onIndexed?.(records, 0),
  });
  return gone.size > 0 ? { queryable: false, gone: true } : { queryable: late.size === 0 };
};

const resultOf = async (
  work: Work,
  done: DoneOutcome,
  facts: Pick<PutResult, 'size' | 'chunkCount' | 'copies' | 'resumedChunks'>,
): Promise<PutResult> => {
  const { name, version } = work.upload;
  work.session.seen.raise(name, done.sequence);
  const result = { name, version, sequence: done.sequence, replaced: done.replaced?.version, ...facts };
  const { reading } = work;
  const counts = await reading?.end();
  if (!reading?.chunkRecords || !counts) return result;
  return { ...result, catalogue: { ...counts, ...(await awaitIndex(work, reading.chunkRecords)) } };
};

/** Begins reading from the first byte, at which the source is. */
const startReading = (
  source: ByteSource,
  catalogue: Catalogue | undefined,
): { readonly chunks: AsyncGenerator<PlainChunk, void, void>; readonly reading: CatalogueReading | undefined } => {
  const reading = catalogue?.read(source.size);
  return { reading, chunks: reading ? reading.chunks(source) : cutChunks(source) };
};

/** What the manifest says of chunks that end at records. */
const lengthsOf = ({ reading }: Work) => ({
  chunkLengths: reading?.chunkLengths,
  chunkRecords: reading?.chunkRecords,
});

/** The whole file in one message, which carries the commit, too. */
const putSingle = async (work: Work, chunk: PlainChunk): Promise<PutResult> => {
  const { session, source, upload, plan, request } = work;
  const { signal, condition = {} } = request;
  const size = chunk.plaintext.length;
  const facts = { size, modified: source.modified, chunkCount: 1, ...lengthsOf(work) };
  const build = putChange(session, upload, facts, condition);
  const change = build(upload.follows, session.connection.keys.keyring);
  const sealed = sealOf(upload, chunk);
  await source.verifyUnchanged();
  const [result] = await storeChunks(session, plan, [{ ...sealed, commit: change }], { signal });
  if (!result?.stored) throw result?.error ?? new OperaError('internal', 'a chunk was forgotten');
  request.onProgress?.(size);
  const { outcome, copies } = result;
  const done = await commitChange(session, {
    build,
    follows: upload.follows,
    plan,
    onChunksMissing: async () => {
      await storeChunk(session, plan, sealed, { signal });
    },
    ...(outcome ? { first: { change, outcome } } : {}),
    signal,
  });
  return resultOf(work, done, { size, chunkCount: 1, copies, resumedChunks: 0 });
};

/** Sends many chunks; keeps 32 bytes of each for the case that copies get lost before the commit. */
class ManyChunks {
  readonly #work: Work;
  readonly #patience: Patience;
  readonly #hashes: Uint8Array[] = [];
  #size = 0;
  #copies = Number.POSITIVE_INFINITY;
  #resumed = 0;

  constructor(work: Work) {
    this.#work = work;
    this.#patience = new Patience(work.session.connection);
  }

  async run(chunks: AsyncIterable<PlainChunk>): Promise<PutResult> {
    const { session, source, upload, plan, request } = this.#work;
    const { signal, condition = {} } = request;
    const held = this.#work.journal ? await this.#listHeld() : () => false;
    await forEachAtOnce(this.#seal(chunks, held), limits.chunksInFlight, signal, async ({ sealed, length }, inner) => {
      const options = { signal: inner, patience: this.#patience };
      const { copies } = await storeChunk(session, plan, sealed, options);
      this.#copies = Math.min(this.#copies, copies);
      request.onProgress?.(length);
    });
    await source.verifyUnchanged();
    const size = this.#size;
    const chunkCount = this.#hashes.length;
    const facts = { size, modified: source.modified, chunkCount, ...lengthsOf(this.#work) };
    const done = await commitChange(session, {
      build: putChange(session, upload, facts, condition),
      follows: upload.follows,
      plan,
      onChunksMissing: () => this.#sendMissing(),
      signal,
    });
    await this.#work.journal?.finish();
    const copies = Number.isFinite(this.#copies) ? this.#copies : session.view.writeCopies;
    return resultOf(this.#work, done, { size, chunkCount, copies, resumedChunks: this.#resumed });
  }

  /** Sealed chunks to send; those that are durable already are sealed and compared, and left out. */
  async *#seal(
    chunks: AsyncIterable<PlainChunk>,
    isHeld: (index: number) => boolean,
  ): AsyncGenerator<{ readonly sealed: SealedChunk; readonly length: number }, void, void> {
    const { upload, journal, plan, request } = this.#work;
    for await (const chunk of chunks) {
      if (chunk.index >= limits.chunkIndexMax) throw new OperaError('too-large', 'the file has too many chunks');
      const sealed = sealOf(upload, chunk);
      await journal?.record(chunk.index, sealed.hash, plan.last.ticket);
      this.#hashes.push(sealed.hash);
      this.#size += chunk.plaintext.length;
      if (isHeld(chunk.index)) {
        this.#resumed++;
        request.onProgress?.(chunk.plaintext.length);
        continue;
      }
      yield { sealed, length: chunk.plaintext.length };
    }
  }

  /** Which chunks the network holds durably. */
  async #listHeld(): Promise<(index: number) => boolean> {
    const { source, journal } = this.#work;
    const recorded = journal?.recorded ?? 0;
    if (recorded === 0 || source.size === undefined) return () => false;
    const pages: Uint8Array[] = [];
    try {
      for (let from = 0; from < recorded; from += heldPage) pages.push(await this.#heldPage(from, recorded));
    } catch (error) {
      if (!isOperaError(error, 'upload-closed')) throw error;
      // Its own commit closes an upload, too. Then every chunk was recorded, and the operation id gets the answer that
      // was lost; all are sealed and compared, and none is sent.
      return (index) => {
        if (index < recorded) return true;
        throw error;
      };
    }
    return (index) => {
      const bits = pages[Math.floor(index / heldPage)];
      return bits !== undefined && hasBit(bits, index % heldPage);
    };
  }

  async #heldPage(from: number, count: number): Promise<Uint8Array> {
    const { session, plan, upload, request } = this.#work;
    const { signal } = request;
    const shown = await plan.grant(signal);
    const to = Math.min(count, from + heldPage);
    const asked = { ...shown, version: upload.version, from, to };
    return (await session.connection.call('upload.held', asked, signal ? { signal } : {})).held;
  }

  /** Reads and seals anew what lost its copies; the result must be byte for byte what it was. */
  async #sendMissing(): Promise<void> {
    const { session, source, upload, plan, request } = this.#work;
    const { readAt } = source;
    if (!readAt) return;
    const count = this.#hashes.length;
    const geometry = createGeometry(this.#size, this.#work.reading?.chunkLengths);
    for (let from = 0; from < count; from += heldPage) {
      const bits = await this.#heldPage(from, count);
      for (let index = from; index < Math.min(count, from + heldPage); index++) {
        if (hasBit(bits, index - from)) continue;
        const plaintext = await readAt(geometry.startOf(index), geometry.lengthOf(index));
        const sealed = sealOf(upload, { index, plaintext, last: geometry.isLast(index) });
        if (!equalBytes(sealed.hash, this.#hashes[index] ?? new Uint8Array())) throw new OperaError('source-changed');
        await storeChunk(session, plan, sealed, { signal: request.signal, patience: this.#patience });
      }
    }
  }
}

/** Chunks one question about held chunks covers. */
const heldPage = 65_536;

const putFresh = async (
  session: Session,
  source: ByteSource,
  request: PutRequest,
  journal: PutJournal | undefined,
  catalogue: Catalogue | undefined,
): Promise<PutResult> => {
  const { name, condition = {}, signal } = request;
  const { plan, uploads, current } = await openUploads(session, [name], signal);
  const [opened] = uploads;
  if (!opened) throw new OperaError('internal', 'an upload was forgotten');
  checkCondition(name, current[0], condition);
  const upload = catalogue?.noted(session, opened) ?? opened;
  const { chunks, reading } = startReading(source, catalogue);
  const work: Work = { session, request, source, upload, plan, journal, catalogue, reading };
  try {
    const first = await chunks.next();
    if (first.done) throw new OperaError('internal', 'a source has at least one chunk');
    if (first.value.last) return await putSingle(work, first.value);
    await journal?.begin(session, upload, plan, catalogue?.json);
    return await new ManyChunks(work).run(startingWith(first.value, chunks));
  } finally {
    await chunks.return();
    await reading?.close();
  }
};

async function* startingWith<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  yield first;
  yield* rest;
}

/** Goes on with what the journal holds; undefined when that is of no use any more. */
const putResumed = async (
  session: Session,
  source: ByteSource,
  request: PutRequest,
  journal: PutJournal,
  catalogue: Catalogue | undefined,
): Promise<PutResult | undefined> => {
  const resumed = await journal.resume(session, catalogue?.json, request.signal);
  if (!resumed) return undefined;
  const upload = catalogue?.noted(session, resumed.upload) ?? resumed.upload;
  const { chunks, reading } = startReading(source, catalogue);
  const work: Work = { session, request, source, journal, catalogue, reading, upload, plan: resumed.plan };
  try {
    return await new ManyChunks(work).run(chunks);
  } catch (error) {
    // The content changed although its stamp did not, or the upload is over: another version, another file key.
    if (!isOperaError(error, 'hash-conflict', 'upload-closed', 'ticket-invalid')) throw error;
    await journal.discard();
    await source.rewind?.();
    return undefined;
  } finally {
    await reading?.close();
  }
};

const putOnce = async (
  session: Session,
  source: ByteSource,
  request: PutRequest,
  journal: PutJournal | undefined,
  catalogue: Catalogue | undefined,
): Promise<PutResult> => {
  const resumed = journal && (await putResumed(session, source, request, journal, catalogue));
  return resumed ?? putFresh(session, source, request, journal, catalogue);
};

/** Only files of several chunks that can be recognised are worth a journal. */
const journalOf = async (
  { connection }: Session,
  { size, stamp }: ByteSource,
  { name, resumeKey }: PutRequest,
): Promise<PutJournal | undefined> => {
  if (size === undefined || size <= chunkBytesMax || !stamp || resumeKey === undefined) return undefined;
  return openJournal(connection.home, { source: resumeKey, name }, stamp, connection.clock.nowMs());
};

/**
 * Puts one file; resolves when W′ copies of everything are durable and the name is committed, and the records of a
 * catalogue can be queried (or `queryable` says that they cannot yet). Throws `exists` or `conflict` (conditions),
 * `usage` (it must be a catalogue and is none), `source-changed`, or what the network said last when patience ended.
 */
export const putFile = async (session: Session, given: ByteSource, request: PutRequest): Promise<PutResult> => {
  const named: PutRequest = { ...request, name: parseName(request.name) };
  const { source, catalogue } = await lookAt(given, request.catalogue);
  const journal = await journalOf(session, source, named);
  try {
    return await putOnce(session, source, named, journal, catalogue);
  } catch (error) {
    // Nothing that could be gone on with: the answer would be the same.
    if (isOperaError(error, 'exists', 'conflict', 'source-changed')) await journal?.discard();
    if (!isOperaError(error, 'upload-closed') || !source.rewind) throw error;
    // The registry began a new life and forgot the upload: once more from the start, as a new version.
    await journal?.discard();
    await source.rewind();
    return await putFresh(session, source, named, journal, catalogue);
  } finally {
    await journal?.release();
  }
};
