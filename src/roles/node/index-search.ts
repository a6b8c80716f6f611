// One query over indexed chunks: which records may match (postings), where they are (places), the exact test on the
// records themselves, and what the answer gathers. Needs sealed bytes of chunks from outside, a batch at a time, so
// that other queries get their turn and memory stays bounded.
// Invariant: a chunk counts wholly or not at all. Whatever does not open, or is not there, leaves its chunk out.
import { segmentBytes, sealedSegmentBytes, sealedLength } from '../../crypto/geometry.ts';
import { openSegments } from '../../crypto/sealing.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { type Answer, Gathering, mergeAnswers, noAnswer } from '../../index/aggregate.ts';
import type { CodeRange } from '../../index/codes.ts';
import { matches } from '../../index/matcher.ts';
import { parseRecord } from '../../index/parse-records.ts';
import { planQuery } from '../../index/plan.ts';
import { countPostings, type Place, placesPerPage, readPlace, readPostings } from '../../index/postings.ts';
import type { Query } from '../../index/query.ts';
import { answerFromSummary } from '../../index/summary.ts';
import type { VersionId } from '../../model/ids.ts';
import type { Catalogue, RunFacts } from './index-build.ts';
import type { PageKind } from './index-file.ts';
import { readSpan, type SegmentCache, segmentKey } from './segment-cache.ts';

/** Bytes [from, to) of a sealed chunk. */
export interface Need {
  readonly version: VersionId;
  readonly chunk: number;
  readonly from: number;
  readonly to: number;
}

/** What is there of them. */
export interface Supplied {
  readonly bytes: Uint8Array;
  /** A file that holds the sealed chunk, when there is one: more of it can be read there at once. */
  readonly path: string | undefined;
}

export interface AskedChunk {
  readonly version: VersionId;
  readonly chunk: number;
  readonly run: number;
}

export interface SearchResult {
  readonly answer: Answer;
  /** Of the chunks asked about, by position, those that the answer is about. */
  readonly vouched: readonly number[];
  /** Records that the postings named, and records that were read and tested. */
  readonly candidates: number;
  readonly records: number;
  readonly access: 'summary' | 'codes' | 'scan' | 'nothing';
}

/** What a search sees of one indexed chunk; undefined facts mean that it was dropped. */
export interface RunReader {
  readonly facts: RunFacts;
  readonly directory: Uint8Array;
  page(kind: PageKind, number: number): Uint8Array;
  /** The file with the sealed chunk, once it is known. */
  path?: string | undefined;
}

export interface SearchSeams {
  readonly cache: SegmentCache;
  readonly run: (asked: AskedChunk) => RunReader | undefined;
  readonly catalogue: (version: VersionId) => Catalogue;
  /** Bytes [from, to) of a file; undefined when it has not got them. */
  readonly readPart: (path: string, from: number, to: number) => Uint8Array | undefined;
  /** A run that does not read back: it is to be made anew. */
  readonly onDamage: (asked: AskedChunk) => void;
}

interface Candidate extends Place {
  readonly ordinal: number;
}

/** Some candidates of one chunk, and the segments [first, end) that hold them. */
interface Part {
  readonly position: number;
  readonly candidates: readonly Candidate[];
  readonly segments: readonly number[];
  readonly isLast: boolean;
}

/**
 * A batch is at most so much work and so much memory at once: 4,000 records take 50 ms, 32 segments are 2 MiB. Few
 * candidates far apart are fetched together: each batch is a way to the store and back.
 */
const recordsPerBatch = 4_000;
const segmentsPerBatch = 32;

/** Chunks in which codes are counted, to choose between them. */
const chunksSampled = 2;

const postingsOf = (run: RunReader) => ({
  directory: run.directory,
  page: (number: number) => run.page('postings', number),
});

const segmentsOf = ({ start, end }: Place): readonly [number, number] => [
  Math.floor(start / segmentBytes),
  Math.floor((end - 1) / segmentBytes),
];

/** Cuts a chunk's candidates, in order of place, into parts of few segments. */
const partsOf = (position: number, candidates: readonly Candidate[]): Part[] => {
  const parts: Part[] = [];
  let current: Candidate[] = [];
  let segments = new Set<number>();
  for (const candidate of candidates) {
    const [first, last] = segmentsOf(candidate);
    const isFull = !segments.has(last) && segments.size + (last - first) >= segmentsPerBatch;
    if (current.length > 0 && (isFull || current.length >= recordsPerBatch)) {
      parts.push({ position, candidates: current, segments: [...segments], isLast: false });
      current = [];
      segments = new Set();
    }
    for (let segment = first; segment <= last; segment++) segments.add(segment);
    current.push(candidate);
  }
  parts.push({ position, candidates: current, segments: [...segments], isLast: true });
  return parts;
};

export class Search {
  readonly #query: Query;
  readonly #chunks: readonly AskedChunk[];
  readonly #seams: SearchSeams;
  readonly #vouched: number[] = [];
  readonly #lost = new Set<number>();
  readonly #access: SearchResult['access'];
  readonly #ranges: readonly CodeRange[];
  /** Positions of chunks that were not looked up yet, the next one last. */
  readonly #todo: number[];
  #parts: Part[] = [];
  #gathering: Gathering;
  /** The chunk that is gathered now. */
  #gathered = -1;
  #total: Answer = noAnswer;
  #candidates = 0;
  #summed = false;
  #records = 0;
  /** Opened segments of the batch. */
  readonly #segments = new Map<string, Uint8Array>();
  /** What the last call of `next` asked for, with the part of the chunk that each belongs to. */
  #batch: readonly Part[] = [];
  #needs: readonly (Need & { readonly first: number; readonly position: number })[] = [];

  constructor(query: Query, chunks: readonly AskedChunk[], seams: SearchSeams) {
    this.#query = query;
    this.#chunks = chunks;
    this.#seams = seams;
    this.#gathering = new Gathering(query);
    const { access } = planQuery(query, (ranges) => this.#shareOf(ranges));
    this.#access = access.kind;
    this.#ranges = access.kind === 'codes' ? access.ranges : [];
    this.#todo = [...chunks.keys()].reverse();
  }

  /**
   * Goes on with the bytes asked for before (undefined for what is not there); answers what is needed next, or nothing
   * when the result is complete.
   */
  next(supplied: readonly (Supplied | undefined)[]): readonly Need[] {
    this.#openSupplied(supplied);
    for (const part of this.#batch) this.#test(part);
    for (;;) {
      this.#takeBatch();
      if (this.#batch.length === 0) return [];
      if (this.#needs.length > 0) {
        return this.#needs.map(({ version, chunk, from, to }) => ({ version, chunk, from, to }));
      }
      for (const part of this.#batch) this.#test(part);
    }
  }

  get result(): SearchResult {
    return {
      answer: this.#total,
      vouched: [...this.#vouched].sort((a, b) => a - b),
      candidates: this.#candidates,
      records: this.#records,
      access: this.#summed ? 'summary' : this.#access,
    };
  }

  /** Part of the records with a code in the ranges, counted in a few chunks; a record may count more than once. */
  #shareOf(ranges: readonly CodeRange[]): number | undefined {
    let [counted, records] = [0, 0];
    for (const asked of this.#chunks.slice(0, chunksSampled)) {
      try {
        const run = this.#seams.run(asked);
        if (!run) continue;
        records += run.facts.records;
        counted += countPostings(postingsOf(run), ranges);
      } catch (error) {
        // Whoever reads it for the answer says so.
        if (!isOperaError(error, 'integrity')) throw error;
      }
    }
    return records === 0 ? undefined : Math.min(1, counted / records);
  }

  /** The next part to be tested; chunks are looked up one by one, so that memory holds the candidates of one. */
  #nextPart(): Part | undefined {
    while (this.#parts.length === 0) {
      const position = this.#todo.pop();
      if (position === undefined) return undefined;
      this.#lookUp(position);
    }
    return this.#parts.at(-1);
  }

  #lookUp(position: number): void {
    const asked = this.#chunks[position];
    if (!asked) return;
    try {
      const run = this.#seams.run(asked);
      if (!run) return;
      const summed = answerFromSummary(this.#query, run.facts.summary);
      if (summed || this.#access === 'nothing') {
        this.#summed ||= summed !== undefined;
        this.#count(position, summed ?? noAnswer);
        return;
      }
      const candidates = this.#candidatesOf(run);
      this.#candidates += candidates.length;
      if (candidates.length === 0) this.#count(position, noAnswer);
      else this.#parts = partsOf(position, candidates).reverse();
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
      this.#seams.onDamage(asked);
    }
  }

  #count(position: number, answer: Answer): void {
    this.#total = mergeAnswers(this.#query, this.#total, answer);
    this.#vouched.push(position);
  }

  /** Records of a chunk with a code in the ranges, or all of them, in order of place. */
  #candidatesOf(run: RunReader): Candidate[] {
    const isScan = this.#access === 'scan';
    const ordinals = isScan ? Array(run.facts.records).keys() : readPostings(postingsOf(run), this.#ranges);
    const candidates: Candidate[] = [];
    let page: Uint8Array | undefined;
    let pageNumber = -1;
    for (const ordinal of ordinals) {
      const number = Math.floor(ordinal / placesPerPage);
      if (!page || number !== pageNumber) page = run.page('places', (pageNumber = number));
      const place = readPlace(page, ordinal);
      if (place) candidates.push({ ordinal, ...place });
    }
    return candidates;
  }

  /** The next parts, of a few segments together, and the bytes that are not in the cache. */
  #takeBatch(): void {
    const batch: Part[] = [];
    const needs: (Need & { first: number; position: number })[] = [];
    let [segments, records] = [0, 0];
    this.#segments.clear();
    for (let part = this.#nextPart(); part; part = this.#nextPart()) {
      segments += part.segments.length;
      records += part.candidates.length;
      if (batch.length > 0 && (segments > segmentsPerBatch || records > recordsPerBatch)) break;
      this.#parts.pop();
      if (this.#lost.has(part.position)) continue;
      batch.push(part);
      needs.push(...this.#needsOf(part));
    }
    this.#batch = batch;
    this.#needs = needs;
  }

  /** Runs of segments that must be fetched. */
  #needsOf({ position, segments }: Part): (Need & { first: number; position: number })[] {
    const asked = this.#chunks[position];
    const run = asked && this.#seams.run(asked);
    if (!asked || !run) {
      this.#lost.add(position);
      return [];
    }
    const { version, chunk } = asked;
    const total = sealedLength(run.facts.length);
    const needs: (Need & { first: number; position: number })[] = [];
    for (const segment of [...segments].sort((a, b) => a - b)) {
      const key = segmentKey(asked.run, segment);
      const from = segment * sealedSegmentBytes;
      const to = Math.min(from + sealedSegmentBytes, total);
      const known = this.#seams.cache.get(key) ?? this.#readOwn(asked, run, { segment, from, to });
      if (known) {
        this.#segments.set(key, known);
        continue;
      }
      const before = needs.at(-1);
      if (before?.to === from) needs[needs.length - 1] = { ...before, to };
      else needs.push({ version, chunk, from, to, first: segment, position });
    }
    return needs;
  }

  /** Plaintext of whole segments; undefined when they are not what was sealed. */
  #open(
    { version, chunk }: AskedChunk,
    { facts: { last, length } }: RunReader,
    sealed: Uint8Array,
    first: number,
  ): Uint8Array | undefined {
    try {
      const { keys } = this.#seams.catalogue(version);
      return openSegments(keys, chunk, sealed, first, { last, plaintextLength: length });
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
      return undefined;
    }
  }

  /** From the file itself, where it is known: without a way through two threads. What fails is asked of the store. */
  #readOwn(
    asked: AskedChunk,
    run: RunReader,
    { segment, from, to }: { readonly segment: number; readonly from: number; readonly to: number },
  ): Uint8Array | undefined {
    if (run.path === undefined) return undefined;
    const sealed = this.#seams.readPart(run.path, from, to);
    const opened = sealed && this.#open(asked, run, sealed, segment);
    if (opened) this.#seams.cache.set(segmentKey(asked.run, segment), opened);
    else run.path = undefined;
    return opened;
  }

  #openSupplied(supplied: readonly (Supplied | undefined)[]): void {
    for (const [at, { position, first }] of this.#needs.entries()) {
      const asked = this.#chunks[position];
      const run = asked && this.#seams.run(asked);
      const part = supplied[at];
      if (!asked || !run || !part || this.#lost.has(position)) {
        this.#lost.add(position);
        continue;
      }
      const opened = this.#open(asked, run, part.bytes, first);
      if (!opened) {
        this.#lost.add(position);
        continue;
      }
      run.path = part.path;
      for (let from = 0; from < opened.length; from += segmentBytes) {
        // A copy of its own, or one segment would keep all that was opened with it in memory.
        const segment = opened.length > segmentBytes ? opened.slice(from, from + segmentBytes) : opened;
        const key = segmentKey(asked.run, first + from / segmentBytes);
        this.#segments.set(key, segment);
        this.#seams.cache.set(key, segment);
      }
    }
    this.#needs = [];
  }

  /** Tests the candidates of a part; with the last one of its chunk, the chunk counts. */
  #test({ position, candidates, isLast }: Part): void {
    const asked = this.#chunks[position];
    if (!asked || this.#lost.has(position)) return;
    if (this.#gathered !== position) {
      this.#gathering = new Gathering(this.#query);
      this.#gathered = position;
    }
    const { version, chunk, run } = asked;
    const { reader, dialect } = this.#seams.catalogue(version);
    for (const { ordinal, start, end } of candidates) {
      const bytes = readSpan((segment) => this.#segments.get(segmentKey(run, segment)), start, end);
      if (!bytes) throw new OperaError('internal', 'a record was tested before it was read');
      const read = reader.read(parseRecord(bytes, dialect, { ordinal, start, end }));
      this.#records += 1;
      if ('system' in read && matches(this.#query.where, read.system)) {
        this.#gathering.add({ version, chunk, ordinal }, read.system);
      }
    }
    if (isLast) this.#count(position, this.#gathering.answer());
  }
}
