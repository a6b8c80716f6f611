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

interface Gathered {
  readonly code: Code;
  readonly ordinals: number[];
}

/** Gathers the codes of a chunk's records. */
export class PostingsBuilder {
  /** By field, kind and level, then by code: two look-ups by number are quicker than one by text. */
  readonly #groups = new Map<number, Map<number | string, Gathered>>();

  /** Ordinals ascend; a record's codes are without repeats. */
  add(ordinal: number, codes: readonly Code[]): void {
    if (ordinal >= ordinalLimit) throw new OperaError('integrity', `a chunk has at most ${ordinalLimit} records`);
    for (const code of codes) {
      const group = (code.field * 8 + code.kind) * 64 + code.level;
      let byCode = this.#groups.get(group);
      if (!byCode) this.#groups.set(group, (byCode = new Map()));
      const known = byCode.get(code.code);
      if (known) known.ordinals.push(ordinal);
      else byCode.set(code.code, { code, ordinals: [ordinal] });
    }
  }

  /** Every code met, with its records. */
  *[Symbol.iterator](): Generator<Gathered> {
    for (const byCode of this.#groups.values()) yield* byCode.values();
  }
}

export interface PostingPages {
  readonly directory: Uint8Array;
  readonly pages: readonly Uint8Array[];
}

/** Positions of `tokens` in ascending order of token; equal ones next to each other. */
const sortedPositions = (tokens: Float64Array): Uint32Array => {
  // 40 bits of token and 24 of position in one integer: sorting numbers is ten times faster than comparing objects.
  if (tokens.length >= 2 ** 24) throw new OperaError('too-large', 'a chunk has too many codes');
  const keys = new BigUint64Array(tokens.length);
  for (const [at, token] of tokens.entries()) keys[at] = (BigInt(token) << 24n) | BigInt(at);
  keys.sort();
  const positions = new Uint32Array(keys.length);
  for (const [at, key] of keys.entries()) positions[at] = Number(key & 0xff_ffffn);
  return positions;
};

const writePosting = (token: number, ordinals: readonly number[]): Buffer => {
  const bytes = Buffer.allocUnsafe(headBytes + 2 * ordinals.length);
  bytes.writeUIntBE(token, 0, tokenBytes);
  bytes.writeUInt16BE(ordinals.length - 1, tokenBytes);
  for (const [at, ordinal] of ordinals.entries()) bytes.writeUInt16BE(ordinal, headBytes + 2 * at);
  return bytes;
};

/** Two lists in ascending order as one. */
const mergeOrdinals = (a: readonly number[], b: readonly number[]): number[] =>
  [...new Set([...a, ...b])].sort((x, y) => x - y);

/** Pages of what was gathered; `tokens` are those of the codes, in the order of `gathered`. */
export const encodePostings = (gathered: readonly Gathered[], tokens: Float64Array): PostingPages => {
  const pages: Buffer[] = [];
  const firsts: number[] = [];
  let parts: Buffer[] = [];
  let bytes = 0;
  const close = (): void => {
    if (parts.length > 0) pages.push(Buffer.concat(parts, bytes));
    parts = [];
    bytes = 0;
  };
  const positions = sortedPositions(tokens);
  for (let at = 0; at < positions.length; at++) {
    const token = tokens[positions[at] ?? 0] ?? 0;
    let ordinals: readonly number[] = gathered[positions[at] ?? 0]?.ordinals ?? [];
    // Two codes may have one token: their records are candidates of both.
    while (at + 1 < positions.length && tokens[positions[at + 1] ?? 0] === token) {
      at += 1;
      ordinals = mergeOrdinals(ordinals, gathered[positions[at] ?? 0]?.ordinals ?? []);
    }
    const posting = writePosting(token, ordinals);
    if (bytes > 0 && bytes + posting.length > pageBytes) close();
    if (bytes === 0) firsts.push(token);
    parts.push(posting);
    bytes += posting.length;
  }
  close();
  const directory = Buffer.allocUnsafe(firsts.length * tokenBytes);
  for (const [at, first] of firsts.entries()) directory.writeUIntBE(first, at * tokenBytes, tokenBytes);
  return { directory, pages };
};

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
