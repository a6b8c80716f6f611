// Which records of one chunk have a code: gathered while its records are read, written as sorted pages, and found again
// by a search in a directory and a walk over the pages of a range. Pure: pages are sealed and stored outside.
//
//   page      : postings in ascending order of code: code u48 | count − 1 u16 | ordinals u16 × count
//   directory : the first code of each page, u48; pages hold 3,968 bytes, or one posting that is longer
//   places    : 6 bytes a record: first byte in the chunk u24 | length u24 (0: the record is not in the index)
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { Code, CodeRange } from './codes.ts';

const codeBytes = 6;
const headBytes = codeBytes + 2;

/** Records of one chunk have ordinals below this: they fit 16 bits. */
export const ordinalLimit: number = limits.catalogueChunkRecordsMax;

/** A page with its tag and its row fills one page of SQLite (4,096 bytes). */
const pageBytes = 3_968;

/** Takes the pages in order, from 0; the bytes are overwritten afterwards. */
export type WritePage = (page: Uint8Array, number: number) => void;

/** Which half of a 64-bit integer holds its lower bits on this machine. */
const low = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1;
const high = 1 - low;

/** Pairs of a code and an ordinal that there is room for at first. */
const pairsAtFirst = 16_384;

/**
 * Gathers the codes of a chunk's records as code u48 | ordinal u16 in one integer each: a million of them, which a full
 * chunk may have, are 8 MB, and sorting numbers is ten times faster than comparing objects.
 */
export class PostingsBuilder {
  #pairs = new Uint32Array(2 * pairsAtFirst);
  #count = 0;

  add(ordinal: number, codes: readonly Code[]): void {
    if (ordinal >= ordinalLimit) throw new OperaError('integrity', `a chunk has at most ${ordinalLimit} records`);
    if (2 * (this.#count + codes.length) > this.#pairs.length) {
      const larger = new Uint32Array(2 * (this.#pairs.length + codes.length));
      larger.set(this.#pairs);
      this.#pairs = larger;
    }
    for (const code of codes) {
      const pair = 2 * this.#count++;
      this.#pairs[pair + high] = Math.floor(code / 2 ** 16);
      this.#pairs[pair + low] = (code % 2 ** 16) * 2 ** 16 + ordinal;
    }
  }

  /** Writes everything that was added, and answers the directory. Once, after the last record. */
  write(page: WritePage): Uint8Array {
    new BigUint64Array(this.#pairs.buffer, 0, this.#count).sort();
    const pages = new PagesWriter(page);
    const ordinals = new Uint16Array(ordinalLimit);
    let [code, count] = [-1, 0];
    for (let at = 0; at < this.#count; at++) {
      const lower = this.#pairs[2 * at + low] ?? 0;
      const next = (this.#pairs[2 * at + high] ?? 0) * 2 ** 16 + (lower >>> 16);
      if (next !== code) {
        if (count > 0) pages.add(code, ordinals.subarray(0, count));
        [code, count] = [next, 0];
      }
      const ordinal = lower & 0xffff;
      // Two texts of one record may have one code.
      if (count === 0 || ordinals[count - 1] !== ordinal) ordinals[count++] = ordinal;
    }
    if (count > 0) pages.add(code, ordinals.subarray(0, count));
    return pages.end();
  }
}

/** Fills pages with postings, which come in ascending order of code. */
class PagesWriter {
  readonly #write: WritePage;
  readonly #firsts: Code[] = [];
  #page = Buffer.allocUnsafe(pageBytes);
  #used = 0;

  constructor(write: WritePage) {
    this.#write = write;
  }

  add(code: Code, ordinals: Uint16Array): void {
    const length = headBytes + 2 * ordinals.length;
    if (this.#used + length > pageBytes) this.#close();
    if (this.#used === 0) this.#firsts.push(code);
    if (length > this.#page.length) this.#page = Buffer.allocUnsafe(length);
    let at = this.#page.writeUIntBE(code, this.#used, codeBytes);
    at = this.#page.writeUInt16BE(ordinals.length - 1, at);
    for (const ordinal of ordinals) at = this.#page.writeUInt16BE(ordinal, at);
    this.#used = at;
  }

  end(): Uint8Array {
    this.#close();
    const directory = Buffer.allocUnsafe(this.#firsts.length * codeBytes);
    for (const [at, first] of this.#firsts.entries()) directory.writeUIntBE(first, at * codeBytes, codeBytes);
    return directory;
  }

  #close(): void {
    if (this.#used > 0) this.#write(this.#page.subarray(0, this.#used), this.#firsts.length - 1);
    this.#used = 0;
  }
}

/** The last page whose first code is not above `code`; 0 when all are. */
const findPage = (directory: Buffer, code: Code): number => {
  let lowest = 0;
  let highest = directory.length / codeBytes - 1;
  while (lowest < highest) {
    const middle = Math.ceil((lowest + highest) / 2);
    if (directory.readUIntBE(middle * codeBytes, codeBytes) <= code) lowest = middle;
    else highest = middle - 1;
  }
  return lowest;
};

/** The postings of one chunk's pages. */
export interface Postings {
  readonly directory: Uint8Array;
  /** The body of a page, opened. */
  readonly page: (number: number) => Uint8Array;
}

/** Calls `visit` with each posting of the ranges, which ascend: `count` ordinals of two bytes from `at` in a page. */
const visitPostings = (
  postings: Postings,
  ranges: readonly CodeRange[],
  visit: (page: Buffer, at: number, count: number) => void,
): void => {
  const directory = bufferOf(postings.directory);
  const pages = directory.length / codeBytes;
  // Ranges ascend: the next one begins in the page, and at the place, where the one before ended, or behind.
  let [number, at] = [-1, 0];
  let body: Buffer = Buffer.alloc(0);
  for (const { from, to } of ranges) {
    for (let next = Math.max(number, findPage(directory, from)); next < pages; next++) {
      if (directory.readUIntBE(next * codeBytes, codeBytes) > to) break;
      if (next !== number) [number, at, body] = [next, 0, bufferOf(postings.page(next))];
      while (at < body.length) {
        const code = body.readUIntBE(at, codeBytes);
        if (code > to) break;
        const count = body.readUInt16BE(at + codeBytes) + 1;
        if (code >= from) visit(body, at + headBytes, count);
        at += headBytes + 2 * count;
      }
    }
  }
};

/** How many ordinals the postings of the ranges have; a record with two of the codes counts twice. */
export const countPostings = (postings: Postings, ranges: readonly CodeRange[]): number => {
  let counted = 0;
  visitPostings(postings, ranges, (_page, _at, count) => {
    counted += count;
  });
  return counted;
};

/** Ordinals of the records with a code in the ranges, each once, ascending. */
export const readPostings = (postings: Postings, ranges: readonly CodeRange[]): number[] => {
  const found: number[] = [];
  visitPostings(postings, ranges, (page, at, count) => {
    for (let place = at; place < at + 2 * count; place += 2) found.push(page.readUInt16BE(place));
  });
  const ascending = Uint16Array.from(found).sort();
  return [...ascending.filter((ordinal, at) => ordinal !== ascending[at - 1])];
};

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const placeBytes = 6;
/** Records whose places lie in one page. */
export const placesPerPage: number = Math.floor(pageBytes / placeBytes);

export interface Place {
  /** Bytes [start, end) in the chunk's plaintext. */
  readonly start: number;
  readonly end: number;
}

/** Fills pages with the places of records, which come in the order of their ordinals. */
export class PlacesWriter {
  readonly #write: WritePage;
  readonly #page = Buffer.alloc(placesPerPage * placeBytes);
  #written = 0;
  #used = 0;

  constructor(write: WritePage) {
    this.#write = write;
  }

  /** The next record; undefined when it is not in the index. */
  add(place: Place | undefined): void {
    if (this.#used === this.#page.length) this.end();
    this.#page.writeUIntBE(place?.start ?? 0, this.#used, 3);
    this.#page.writeUIntBE(place ? place.end - place.start : 0, this.#used + 3, 3);
    this.#used += placeBytes;
  }

  /** Writes the last page. */
  end(): void {
    if (this.#used > 0) this.#write(this.#page.subarray(0, this.#used), this.#written++);
    this.#used = 0;
  }
}

/** The place of a record from the page that has it; undefined when the record is not in the index. */
export const readPlace = (page: Uint8Array, ordinal: number): Place | undefined => {
  const at = (ordinal % placesPerPage) * placeBytes;
  if (at + placeBytes > page.length) throw new OperaError('integrity', 'the index names a record that is not there');
  const bytes = bufferOf(page);
  const start = bytes.readUIntBE(at, 3);
  const length = bytes.readUIntBE(at + 3, 3);
  return length === 0 ? undefined : { start, end: start + length };
};
