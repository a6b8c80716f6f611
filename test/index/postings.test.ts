// Postings and places: what was gathered is found again, whatever the tokens and however pages fall.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Code } from '../../src/index/codes.ts';
import {
  countPosting,
  encodePlaces,
  findPage,
  ordinalLimit,
  placesPerPage,
  type PostingPages,
  PostingsBuilder,
  readPlace,
  readPosting,
} from '../../src/index/postings.ts';

const code = (number: number) => ({ field: 40, kind: 2, level: 0, code: number }) as const;

const tokensBy = (tokenOf: (number: number) => number) => (codes: readonly Code[]) =>
  Float64Array.from(codes, ({ code: number }) => tokenOf(Number(number)));

const ordinalsOf = ({ directory, pages }: PostingPages, token: number): number[] => {
  const found: number[] = [];
  const page = findPage(directory, token);
  if (page === undefined) return found;
  readPosting(pages[page] ?? new Uint8Array(), token, (ordinal) => found.push(ordinal));
  assert.equal(countPosting(pages[page] ?? new Uint8Array(), token), found.length);
  return found;
};

test('every token finds its records and no others, also where tokens collide or are at the ends', () => {
  const tokens = fc.integer({ min: 0, max: 40 }).map((n) => (n === 40 ? 2 ** 40 - 1 : n * 7));
  const records = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { maxLength: 12 }), { maxLength: 300 });
  fc.assert(
    fc.property(records, fc.array(tokens, { minLength: 201, maxLength: 201 }), (codes, tokenOf) => {
      const builder = new PostingsBuilder(tokensBy((number) => tokenOf[number] ?? 0));
      for (const [ordinal, numbers] of codes.entries()) builder.add(ordinal, numbers.map(code));
      const pages = builder.pages();
      for (const token of [...new Set(tokenOf), 3, 2 ** 39]) {
        const wanted = codes.flatMap((numbers, ordinal) =>
          numbers.some((n) => tokenOf[n] === token) ? [ordinal] : [],
        );
        assert.deepEqual(ordinalsOf(pages, token), wanted);
      }
    }),
    { numRuns: 100 },
  );
});

test('pages are about four thousand bytes, but for one posting that is longer', () => {
  const builder = new PostingsBuilder(tokensBy((number) => (number < 0 ? 5 : (number + 1) * 1000)));
  for (let ordinal = 0; ordinal < ordinalLimit; ordinal++) builder.add(ordinal, [code(-1), code(ordinal)]);
  const pages = builder.pages();
  assert.equal(ordinalsOf(pages, 5).length, ordinalLimit);
  assert.deepEqual(ordinalsOf(pages, 77_000), [76]);
  const long = pages.pages.filter(({ length }) => length > 3_968);
  assert.equal(long.length, 1);
  assert.throws(() => builder.add(ordinalLimit, [code(1)]), { code: 'integrity' });
});

test('places come back by ordinal; records that are not in the index have none', () => {
  const places = Array.from({ length: 1_500 }, (_, at) =>
    at % 7 === 3 ? undefined : { start: at * 2_000, end: at * 2_000 + 9 + at },
  );
  const pages = encodePlaces(places);
  assert.equal(pages.length, Math.ceil(places.length / placesPerPage));
  for (const [ordinal, place] of places.entries()) {
    assert.deepEqual(readPlace(pages[Math.floor(ordinal / placesPerPage)] ?? new Uint8Array(), ordinal), place);
  }
  assert.throws(() => readPlace(pages.at(-1) ?? new Uint8Array(), 1_500), { code: 'integrity' });
});
