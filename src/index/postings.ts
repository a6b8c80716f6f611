// Which records of one chunk have a code: gathered while its records are read, written as sorted pages, and found again
// by one search in a directory and one in a page. Pure: tokens come from outside (src/crypto/index-keys.ts), pages are
// sealed and stored outside.
//
//   page      : postings in ascending order of token: token u40 | count − 1 u16 | ordinals u16 × count
//   directory : the first token of each page, u40; pages hold 3,968 bytes, or one posting that is longer
//   places    : 6 bytes a record: first byte in the chunk u24 | length u24 (0: the record is not in the index)
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { Code } from './codes.ts';

const tokenBytes = 5;
const headBytes = tokenBytes + 2;

/** Records of one chunk have ordinals below this: they fit 16 bits. */
export const ordinalLimit: number = limits.catalogueChunkRecordsMax;

/** A page with its tag and its row fills one page of SQLite (4,096 bytes). */
const pageBytes = 3_968;

export interface PostingPages {
  readonly directory: Uint8Array;
  readonly pages: readonly Uint8Array[];
}

/** Tokens of codes, in order. */
export type TokensOf = (codes: readonly Code[]) => Float64Array;

/** Tokens are made for so many codes at once. */
const codesPerPass = 8_192;

/** Which half of a 64-bit integer holds its lower bits on this machine. */
const low = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 0 : 1;
const high = 1 - low;

/**
 * Gathers the codes of a chunk's records as token u40 | ordinal u16 in one integer each: two million of them, which a
 * full chunk may have, are 16 MB, and sorting numbers is ten times faster than comparing objects.
 */
export class PostingsBuilder {
  readonly #tokensOf: TokensOf;
  #codes: Code[] = [];
  #ordinals: number[] = [];
  #pairs = new BigUint64Array(2 * codesPerPass);
  #count = 0;

  constructor(tokensOf: TokensOf) {
    this.#tokensOf = tokensOf;
  }

  add(ordinal: number, codes: readonly Code[]): void {
    if (ordinal >= ordinalLimit) throw new OperaError('integrity', `a chunk has at most ${ordinalLimit} records`);
    for (const code of codes) {
      this.#codes.push(code);
      this.#ordinals.push(ordinal);
    }
    if (this.#codes.length >= codesPerPass) this.#pass();
  }

  /** Pages of everything that was added. */
  pages(): PostingPages {
    this.#pass();
    const pairs = this.#pairs.subarray(0, this.#count).sort();
    const halves = new Uint32Array(pairs.buffer, pairs.byteOffset, 2 * pairs.length);
    const pages = new PagesWriter();
    let token = -1;
    let ordinals: number[] = [];
    for (let at = 0; at < pairs.length; at++) {
      const lower = halves[2 * at + low] ?? 0;
      const next = (halves[2 * at + high] ?? 0) * 2 ** 16 + (lower >>> 16);
      if (next !== token && ordinals.length > 0) {
        pages.add(token, ordinals);
        ordinals = [];
      }
      token = next;
      const ordinal = lower & 0xffff;
      // Two codes of one record may have one token.
      if (ordinals.at(-1) !== ordinal) ordinals.push(ordinal);
    }
    if (ordinals.length > 0) pages.add(token, ordinals);
    return pages.end();
  }

  #pass(): void {
    const tokens = this.#tokensOf(this.#codes);
    if (this.#count + tokens.length > this.#pairs.length) {
      const larger = new BigUint64Array(2 * this.#pairs.length + tokens.length);
      larger.set(this.#pairs);
      this.#pairs = larger;
    }
    const halves = new Uint32Array(this.#pairs.buffer);
    for (const [at, token] of tokens.entries()) {
      const pair = 2 * this.#count++;
      halves[pair + high] = Math.floor(token / 2 ** 16);
      halves[pair + low] = (token % 2 ** 16) * 2 ** 16 + (this.#ordinals[at] ?? 0);
    }
    this.#codes = [];
    this.#ordinals = [];
  }
}

/** Fills pages with postings, which come in ascending order of token. */
class PagesWriter {
  readonly #pages: Buffer[] = [];
  readonly #firsts: number[] = [];
  #page = Buffer.allocUnsafe(pageBytes);
  #used = 0;

  add(token: number, ordinals: readonly number[]): void {
    const length = headBytes + 2 * ordinals.length;
    if (this.#used + length > pageBytes) this.#close();
    if (this.#used === 0) this.#firsts.push(token);
    if (length > this.#page.length) this.#page = Buffer.allocUnsafe(length);
    const at = this.#used;
    this.#page.writeUIntBE(token, at, tokenBytes);
    this.#page.writeUInt16BE(ordinals.length - 1, at + tokenBytes);
    for (const [place, ordinal] of ordinals.entries()) this.#page.writeUInt16BE(ordinal, at + headBytes + 2 * place);
    this.#used += length;
  }

  end(): PostingPages {
    this.#close();
    const directory = Buffer.allocUnsafe(this.#firsts.length * tokenBytes);
    for (const [at, first] of this.#firsts.entries()) directory.writeUIntBE(first, at * tokenBytes, tokenBytes);
    return { directory, pages: this.#pages };
  }

  #close(): void {
    if (this.#used > 0) this.#pages.push(Buffer.from(this.#page.subarray(0, this.#used)));
    this.#used = 0;
  }
}

/** The page that has `token` if any has it; undefined when it is below the first. */
export const findPage = (directory: Uint8Array, token: number): number | undefined => {
  const tokens = bufferOf(directory);
  let low = -1;
  let high = directory.length / tokenBytes - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (tokens.readUIntBE(middle * tokenBytes, tokenBytes) <= token) low = middle;
    else high = middle - 1;
  }
  return low < 0 ? undefined : low;
};

/** First byte of a token's ordinals in a page, and how many there are; undefined when the page has none. */
const seek = (bytes: Buffer, token: number): { readonly at: number; readonly count: number } | undefined => {
  for (let at = 0; at < bytes.length; ) {
    const known = bytes.readUIntBE(at, tokenBytes);
    const count = bytes.readUInt16BE(at + tokenBytes) + 1;
    if (known >= token) return known === token ? { at: at + headBytes, count } : undefined;
    at += headBytes + 2 * count;
  }
  return undefined;
};

/** How many records the token's posting names. */
export const countPosting = (page: Uint8Array, token: number): number => seek(bufferOf(page), token)?.count ?? 0;

/** Calls `found` with each ordinal of the token's posting. */
export const readPosting = (page: Uint8Array, token: number, found: (ordinal: number) => void): void => {
  const bytes = bufferOf(page);
  const { at, count } = seek(bytes, token) ?? { at: 0, count: 0 };
  for (let place = at; place < at + 2 * count; place += 2) found(bytes.readUInt16BE(place));
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

/** Pages of the places of records by ordinal; undefined for records that are not in the index. */
export const encodePlaces = (places: readonly (Place | undefined)[]): Uint8Array[] => {
  const pages: Uint8Array[] = [];
  for (let from = 0; from < places.length; from += placesPerPage) {
    const part = places.slice(from, from + placesPerPage);
    const page = Buffer.alloc(part.length * placeBytes);
    for (const [at, place] of part.entries()) {
      if (!place) continue;
      page.writeUIntBE(place.start, at * placeBytes, 3);
      page.writeUIntBE(place.end - place.start, at * placeBytes + 3, 3);
    }
    pages.push(page);
  }
  return pages;
};

/** The place of a record from the page that has it; undefined when the record is not in the index. */
export const readPlace = (page: Uint8Array, ordinal: number): Place | undefined => {
  const at = (ordinal % placesPerPage) * placeBytes;
  if (at + placeBytes > page.length) throw new OperaError('integrity', 'the index names a record that is not there');
  const bytes = bufferOf(page);
  const start = bytes.readUIntBE(at, 3);
  const length = bytes.readUIntBE(at + 3, 3);
  return length === 0 ? undefined : { start, end: start + length };
};
