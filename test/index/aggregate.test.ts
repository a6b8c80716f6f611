// Answers of nodes put together: in any order and grouping they make the answer of one node that has all records.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOperaError } from '../../src/errors/errors.ts';
import { type Answer, compareRows, Gathering, mergeAnswers, noAnswer, rowOf } from '../../src/index/aggregate.ts';
import { parseQuery, type Query } from '../../src/index/query.ts';
import type { StarSystem } from '../../src/index/star-system.ts';
import { limits } from '../../src/model/limits.ts';
import { crowd, system, systemOf } from './_systems.ts';

const queries: readonly Query[] = [
  parseQuery({ sort: 'mag', limit: 5 }),
  parseQuery({ sort: '-class,dist', limit: 7 }),
  parseQuery({ limit: 3 }),
  parseQuery({ cone: '10,20,180deg', limit: 4 }),
  parseQuery({ near: 'Sol', limit: 6 }),
  parseQuery({ count: true }),
  parseQuery({ group: 'class' }),
  parseQuery({ group: 'hz' }),
  parseQuery({ histogram: 'mag:0.5' }),
];

const gather = (query: Query, systems: readonly (readonly [StarSystem, number])[]): Answer => {
  const gathering = new Gathering(query);
  for (const [found, ordinal] of systems) gathering.add({ version: 'v', chunk: ordinal % 3, ordinal }, found);
  return gathering.answer();
};

test('answers merge to the same whole, in any order and grouping', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...queries),
      fc.array(fc.tuple(system, fc.integer({ min: 0, max: 3 })), { maxLength: 30 }),
      (query, parts) => {
        const numbered = parts.map(([found, node], ordinal) => ({ node, entry: [found, ordinal] as const }));
        const whole = gather(
          query,
          numbered.map(({ entry }) => entry),
        );
        const nodes = [0, 1, 2, 3].map((node) =>
          gather(
            query,
            numbered.filter((part) => part.node === node).map(({ entry }) => entry),
          ),
        );
        const [a = noAnswer, b = noAnswer, c = noAnswer, d = noAnswer] = nodes;
        const merge = (left: Answer, right: Answer): Answer => mergeAnswers(query, left, right);
        assert.deepEqual(merge(merge(a, b), merge(c, d)), whole);
        assert.deepEqual(merge(d, merge(c, merge(b, a))), whole);
        assert.deepEqual(merge(whole, noAnswer), whole);
        // Answers travel as JSON.
        assert.deepEqual(merge(JSON.parse(JSON.stringify(noAnswer)), whole), whole);
      },
    ),
    { numRuns: 400 },
  );
});

test('rows are those a full sort would give, absent values last in either direction', () => {
  for (const sort of ['mag', '-mag']) {
    const query = parseQuery({ sort, limit: 10_000 });
    const rows = gather(
      query,
      crowd.map((found, ordinal) => [found, ordinal] as const),
    ).rows.map(({ keys }) => keys[0]);
    const known = rows.filter((value) => value !== null).map(Number);
    assert.equal(rows.length, crowd.length);
    assert.deepEqual(
      known,
      [...known].sort((a, b) => (sort === 'mag' ? a - b : b - a)),
    );
    assert.deepEqual(
      rows.slice(known.length),
      Array.from({ length: rows.length - known.length }, () => null),
    );
  }
});

test('a small limit keeps the same rows as a large one', () => {
  const all = gather(
    parseQuery({ sort: 'dist,mag' }),
    crowd.map((found, ordinal) => [found, ordinal] as const),
  ).rows;
  const few = gather(
    parseQuery({ sort: 'dist,mag', limit: 9 }),
    crowd.map((found, ordinal) => [found, ordinal] as const),
  ).rows;
  assert.deepEqual(
    few.map(({ id }) => id),
    all.slice(0, 9).map(({ id }) => id),
  );
});

test('equal rows are ordered by their place, so that every node agrees', () => {
  const query = parseQuery({ sort: 'mag' });
  const row = (version: string, chunk: number, ordinal: number) =>
    rowOf(query, { version, chunk, ordinal }, systemOf({ mag_v: 1 }));
  const rows = [row('b', 0, 0), row('a', 1, 0), row('a', 0, 2), row('a', 0, 1)].sort(compareRows(query.sort));
  assert.deepEqual(
    rows.map(({ id }) => `${id.version}${id.chunk}${id.ordinal}`),
    ['a01', 'a02', 'a10', 'b00'],
  );
});

test('groups and bins count every record once, those without a value apart', () => {
  const systems = [{ class: 'G' }, { class: 'K' }, { class: 'G' }, {}].map(
    (values, ordinal) => [systemOf(values), ordinal] as const,
  );
  assert.deepEqual(gather(parseQuery({ group: 'class' }), systems).groups, [
    ['G', 2],
    ['K', 1],
    [null, 1],
  ]);
  const stars = [-0.1, 0, 0.49, 0.5, 3].map((mag_v, ordinal) => [systemOf({ mag_v }), ordinal] as const);
  const { groups, count, rows } = gather(parseQuery({ histogram: 'mag:0.5' }), stars);
  assert.deepEqual(
    [groups, count, rows],
    [
      [
        [-1, 1],
        [0, 2],
        [1, 1],
        [6, 1],
      ],
      5,
      [],
    ],
  );
});

test('an answer of too many groups is refused with a hint', () => {
  const gathering = new Gathering(parseQuery({ group: 'hip' }));
  assert.throws(
    () => {
      for (let ordinal = 0; ordinal <= limits.queryGroupsMax; ordinal++) {
        gathering.add({ version: 'v', chunk: 0, ordinal }, systemOf({ hip: String(ordinal) }));
      }
    },
    (error) => isOperaError(error, 'too-large') && error.hint !== undefined,
  );
});
