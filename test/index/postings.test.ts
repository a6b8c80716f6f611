// Postings and places: what was gathered is found again, whatever the codes and however pages fall.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  countPostings,
  ordinalLimit,
  PlacesWriter,
  placesPerPage,
  PostingsBuilder,
  readPlace,
  readPostings,
  type WritePage,
} from '../../src/index/postings.ts';

/** Keeps what is written; the writer uses its bytes again. */
const pagesOf = (write: (page: WritePage) => void): Uint8Array[] => {
  const pages: Uint8Array[] = [];
  write((page, number) => {
    assert.equal(number, pages.length);
    pages.push(Uint8Array.from(page));
  });
  return pages;
};

const postingsOf = (builder: PostingsBuilder) => {
  let directory: Uint8Array = new Uint8Array();
  const pages = pagesOf((page) => {
    directory = builder.write(page);
  });
  return { directory, pages, page: (number: number) => pages[number] ?? assert.fail(`there is no page ${number}`) };
};

test('every range finds the records with a code in it and no others, across pages and at the ends', () => {
  const last = 2 ** 48 - 1;
  const code = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 2 ** 16 - 20, max: 2 ** 16 + 20 }),
    fc.integer({ min: 2 ** 47 - 20, max: 2 ** 47 + 20 }),
    fc.constantFrom(last, last - 1),
  );
  const records = fc.array(fc.uniqueArray(code, { maxLength: 12 }), { maxLength: 300 });
  const ranges = fc
    .uniqueArray(code, { maxLength: 8, minLength: 2 })
    .map((ends) => [...ends].sort((a, b) => a - b))
    .map((ends) => ends.flatMap((from, at) => (at % 2 === 0 ? [{ from, to: ends[at + 1] ?? from }] : [])));
  fc.assert(
    fc.property(records, ranges, (codes, asked) => {
      const builder = new PostingsBuilder();
      for (const [ordinal, numbers] of codes.entries()) builder.add(ordinal, numbers);
      const postings = postingsOf(builder);
      const isAsked = (number: number): boolean => asked.some(({ from, to }) => number >= from && number <= to);
      const wanted = codes.flatMap((numbers, ordinal) => (numbers.some(isAsked) ? [ordinal] : []));
      assert.deepEqual(readPostings(postings, asked), wanted);
      assert.equal(
        countPostings(postings, asked),
        codes.reduce((sum, numbers) => sum + numbers.filter(isAsked).length, 0),
      );
    }),
    { numRuns: 200 },
  );
});

test('pages are about four thousand bytes, but for one posting that is longer', () => {
  const builder = new PostingsBuilder();
  for (let ordinal = 0; ordinal < ordinalLimit; ordinal++) builder.add(ordinal, [5, (ordinal + 1) * 1000]);
  const postings = postingsOf(builder);
  const find = (from: number, to: number): number[] => readPostings(postings, [{ from, to }]);
  assert.equal(find(5, 5).length, ordinalLimit);
  assert.deepEqual(find(77_000, 77_000), [76]);
  assert.deepEqual(find(77_001, 77_999), []);
  assert.equal(find(0, 2 ** 48 - 1).length, ordinalLimit);
  assert.equal(find(1_000_000, 2_000_000).length, 1001);
  const long = postings.pages.filter(({ length }) => length > 3_968);
  assert.equal(long.length, 1);
  assert.throws(() => builder.add(ordinalLimit, [1]), { code: 'integrity' });
});

test('a range opens only the pages that it lies in', () => {
  const builder = new PostingsBuilder();
  for (let ordinal = 0; ordinal < 20_000; ordinal++) builder.add(ordinal, [ordinal * 10]);
  const { directory, pages } = postingsOf(builder);
  const opened = new Set<number>();
  const page = (number: number): Uint8Array => {
    opened.add(number);
    return pages[number] ?? assert.fail();
  };
  const ranges = [
    { from: 50_000, to: 50_990 },
    { from: 51_000, to: 51_500 },
  ];
  assert.equal(readPostings({ directory, page }, ranges).length, 151);
  assert.ok(opened.size <= 2, `${opened.size} of ${pages.length} pages`);
});

test('a chunk without codes has no pages, and nothing is found', () => {
  const postings = postingsOf(new PostingsBuilder());
  assert.deepEqual(readPostings(postings, [{ from: 0, to: 2 ** 48 - 1 }]), []);
});

test('places come back by ordinal; records that are not in the index have none', () => {
  const places = Array.from({ length: 1_500 }, (_, at) =>
    at % 7 === 3 ? undefined : { start: at * 2_000, end: at * 2_000 + 9 + at },
  );
  const pages = pagesOf((page) => {
    const writer = new PlacesWriter(page);
    for (const place of places) writer.add(place);
    writer.end();
  });
  assert.equal(pages.length, Math.ceil(places.length / placesPerPage));
  for (const [ordinal, place] of places.entries()) {
    assert.deepEqual(readPlace(pages[Math.floor(ordinal / placesPerPage)] ?? new Uint8Array(), ordinal), place);
  }
  assert.throws(() => readPlace(pages.at(-1) ?? new Uint8Array(), 1_500), { code: 'integrity' });
});
