// Questions and answers as they travel: what arrives is what was sent, bit by bit, and what nobody would have sent is
// refused before anything is done with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Answer, Gathering } from '../../src/index/aggregate.ts';
import { encodeAnswer, parseAnswer } from '../../src/index/answer-wire.ts';
import { fieldNames } from '../../src/index/fields.ts';
import { matches } from '../../src/index/matcher.ts';
import { bindQuery, parseQuery, type Query, type QueryText } from '../../src/index/query.ts';
import { encodeQuery, parseQueryTree } from '../../src/index/query-wire.ts';
import type { StarSystem } from '../../src/index/star-system.ts';
import { limits } from '../../src/model/limits.ts';
import { refuses } from '../support/refuses.ts';
import { crowd, question, system, systemOf } from './_systems.ts';

const texts: readonly QueryText[] = [
  {},
  { sort: '-mag,class desc', limit: 5 },
  { cone: '10,20,180deg', columns: 'name,ra,separation' },
  { near: 'Sol', columns: 'all', limit: 7 },
  { near: 'Sol,10ly', sort: 'mag' },
  { count: true },
  { group: 'class' },
  { group: 'hz' },
  { group: 'planets' },
  { histogram: 'mag:0.5' },
  { columns: 'all', sort: 'name' },
];
const queries: readonly Query[] = texts.map((text) => parseQuery(text));

test('a question arrives as it was sent, whatever it asks', () => {
  fc.assert(
    fc.property(fc.constantFrom(...queries), fc.option(question, { nil: undefined }), (frame, where) => {
      const query: Query = { ...frame, where };
      assert.deepEqual(parseQueryTree(encodeQuery(query)), query);
    }),
    { numRuns: 1_000 },
  );
});

test('a question in words is bound, and then no star is left in it', () => {
  const query = parseQuery({ near: 'Sirius,3pc', where: 'cone(Sirius, 1deg) or mag < -0' });
  refuses(() => parseQueryTree(encodeQuery(query)), 'bad-request');
  const place = { sky: { kind: 'sky', ra: 101.28, dec: -16.7 }, space: { kind: 'space', x: -0, y: 2, z: 3 } } as const;
  const bound = bindQuery(query, () => place);
  assert.deepEqual(parseQueryTree(encodeQuery(bound)), bound);
});

test('anything that this program would not have sent is refused', () => {
  const good = parseQuery({ where: 'mag < 6 and class = G', cone: '1,2,3', near: 'Sol,4', histogram: 'mag:1' });
  const change = (edit: (json: Record<string, unknown>) => void): string => {
    const json = JSON.parse(encodeQuery(good)) as Record<string, unknown>;
    edit(json);
    return JSON.stringify(json);
  };
  const where = (expression: unknown): string => change((json) => Object.assign(json, { where: expression }));
  const bad = [
    '',
    'null',
    '[]',
    '{"where":',
    change((json) => delete json.limit),
    change((json) => Object.assign(json, { more: 1 })),
    ...[0, 1.5, limits.queryRowsMax + 1, '5', null].map((limit) => change((json) => Object.assign(json, { limit }))),
    ...['some', null, ['nothing'], [1], { 0: 'name' }].map((columns) =>
      change((json) => Object.assign(json, { columns })),
    ),
    ...[[{ by: 'mag_v' }], [{ by: 'x', descending: true }], 'mag', [['mag_v', true]]].map((sort) =>
      change((json) => Object.assign(json, { sort })),
    ),
    ...[
      { kind: 'rows', field: 'mag_v' },
      { kind: 'groups', field: 'mag_v' },
      { kind: 'histogram', field: 'class', width: 1 },
      { kind: 'histogram', field: 'mag_v', width: 0 },
      { kind: 'histogram', field: 'mag_v', width: -1 },
      { kind: 'everything' },
    ].map((output) => change((json) => Object.assign(json, { output }))),
    change((json) => Object.assign(json, { centre: { kind: 'sky', place: { kind: 'space', x: 1, y: 2, z: 3 } } })),
    change((json) => {
      delete json.centre;
      json.sort = [{ by: 'separation', descending: false }];
    }),
    ...[
      null,
      'mag < 6',
      { kind: 'number', field: 'mag_v', operator: '<' },
      { kind: 'number', field: 'mag_v', operator: '<', value: '6' },
      { kind: 'number', field: 'mag_v', operator: '<', value: null },
      { kind: 'number', field: 'mag_v', operator: '~', value: 6 },
      { kind: 'number', field: 'class', operator: '<', value: 6 },
      { kind: 'number', field: 'mag_v', operator: '<', value: 6, unit: 'mag' },
      { kind: 'equal', field: 'mag_v', value: '6' },
      { kind: 'equal', field: 'class', value: true },
      { kind: 'equal', field: 'hz_candidate', value: 'yes' },
      { kind: 'equal', field: 'toString', value: 'x' },
      { kind: 'prefix', field: 'hip', prefix: '1' },
      { kind: 'prefix', field: 'name', prefix: '' },
      { kind: 'name', key: 7 },
      { kind: 'known', field: 'sky' },
      { kind: 'and', parts: [] },
      { kind: 'or', parts: [{}] },
      { kind: 'not' },
      { kind: 'cone', centre: { kind: 'star', name: 'Sirius', key: 'sirius' }, radius: 1 },
      { kind: 'cone', centre: { kind: 'sky', ra: 360, dec: 0 }, radius: 1 },
      { kind: 'cone', centre: { kind: 'sky', ra: 0, dec: 90.1 }, radius: 1 },
      { kind: 'cone', centre: { kind: 'sky', ra: 0, dec: 0 }, radius: 181 },
      { kind: 'near', centre: { kind: 'space', x: 0, y: 0, z: 0 }, radius: -1 },
      { kind: 'box', raFrom: 0, raTo: 1, decFrom: -91, decTo: 0 },
    ].map(where),
  ];
  for (const text of bad) refuses(() => parseQueryTree(text), 'bad-request');
  refuses(() => parseQueryTree(where(JSON.parse('{"kind":"known","field":"name","__proto__":{}}'))), 'bad-request');
  let deep: object = { kind: 'known', field: 'name' };
  for (let level = 0; level < 400; level++) deep = { kind: 'not', part: deep };
  refuses(() => parseQueryTree(where(deep)), 'too-large');
  const wide = Array.from({ length: 3_999 }, () => ({ kind: 'not', part: { kind: 'known', field: 'name' } }));
  refuses(() => parseQueryTree(where({ kind: 'or', parts: wide })), 'too-large');
});

test('every field may be asked about, ordered by and shown', () => {
  for (const field of fieldNames) {
    const query = parseQuery({ where: `${field} is known`, sort: field, columns: field });
    assert.deepEqual(parseQueryTree(encodeQuery(query)), query);
  }
});

const version = '0f'.repeat(16);
const vouched = (asked: string, chunk: number): boolean => asked === version && chunk < 3;

const gather = (query: Query, systems: readonly StarSystem[]): Answer => {
  const gathering = new Gathering(query);
  for (const [ordinal, found] of systems.entries()) {
    if (matches(query.where, found)) gathering.add({ version, chunk: ordinal % 3, ordinal }, found);
  }
  return gathering.answer();
};

/** What is left of a record when only its columns were sent. */
const cut = (query: Query, { count, rows, groups }: Answer): Answer => ({
  count,
  groups,
  rows: rows.map((row) => {
    if (query.columns === 'all') return row;
    const columns = new Set<string>(query.columns);
    const values = Object.fromEntries(Object.entries(row.system.values).filter(([name]) => columns.has(name)));
    const bare = { names: [], nameKeys: [], derived: {}, odd: [], stars: undefined, planets: undefined };
    return { ...row, system: { values, ...bare } };
  }),
});

test('an answer arrives as it was given, with the columns asked for and no others', () => {
  fc.assert(
    fc.property(fc.constantFrom(...queries), fc.array(system, { maxLength: 30 }), (query, systems) => {
      const answer = gather(query, systems);
      const text = encodeAnswer(answer, query);
      assert.deepEqual(parseAnswer(text, query, vouched), cut(query, answer));
    }),
    { numRuns: 500 },
  );
});

test('−0, texts that look like numbers and nested stars arrive as they are', () => {
  const found: StarSystem = {
    ...systemOf({ name: 'NaN', ra: 0, dec: -0, gaia: '4472832130942575872', variable: 'null', hz_candidate: false }),
    names: ['NaN', 'α CMa'],
    nameKeys: ['nan', 'alfcma'],
    odd: [{ field: 'age', value: '80', limit: 'is mostly in [0, 15]' }],
    stars: [{ name: 'A', mass: null, planets: [{ name: 'b' }] }],
  };
  const query = parseQuery({ columns: 'all', cone: '0,0,1' });
  const [row] = parseAnswer(encodeAnswer(gather(query, [found]), query), query, vouched).rows;
  assert.deepEqual(row?.system, found);
  assert.ok(Object.is(row.system.values.dec, -0));
});

test('an answer that cannot be one is refused whole', () => {
  const query = parseQuery({ sort: 'mag', limit: 5 });
  const groups = parseQuery({ group: 'class' });
  const bins = parseQuery({ histogram: 'mag:1' });
  const whole = parseQuery({ columns: 'all', limit: 5 });
  const brighter = crowd.filter(({ values }) => values.mag_v !== undefined).slice(0, 12);
  type Json = { count: number; rows: unknown[][]; groups: unknown[][] };
  const change = (asked: Query, edit: (json: Json) => void): (() => void) => {
    const json = JSON.parse(encodeAnswer(gather(asked, brighter), asked)) as Json;
    edit(json);
    return () => void parseAnswer(JSON.stringify(json), asked, vouched);
  };
  const cell = (at: number, value: unknown): (() => void) =>
    change(query, ({ rows }) => void rows[0]?.splice(at, 1, value));
  const edits = [
    () => parseAnswer('{', query, vouched),
    () => parseAnswer('[]', query, vouched),
    change(query, (json) => void (json.count = -1)),
    change(query, (json) => void (json.count = 3)),
    change(query, ({ rows }) => void rows.pop()),
    change(query, ({ rows }) => void rows.reverse()),
    change(query, ({ rows }) => void rows.splice(1, 1, rows[0] ?? [])),
    change(query, (json) => void (json.groups = [['G', 3]])),
    cell(0, 'ff'.repeat(16)),
    cell(1, 3),
    cell(2, 65_536),
    cell(2, -1),
    cell(3, []),
    cell(3, ['bright']),
    cell(3, [1e9]),
    cell(4, -1),
    cell(5, []),
    cell(
      5,
      Array.from({ length: 7 }, () => ({})),
    ),
    change(groups, ({ groups: found }) => void found.pop()),
    change(groups, ({ groups: found }) => void found.reverse()),
    change(groups, ({ groups: found }) => void found[0]?.splice(1, 1, 1e6)),
    change(bins, ({ groups: found }) => void found[0]?.splice(0, 1, 'G')),
    change(whole, ({ rows }) => void rows[0]?.splice(5, 1, { values: { ra: 361 }, names: [], derived: {}, odd: [] })),
    change(whole, ({ rows }) => void rows[0]?.splice(5, 1, { values: {}, names: [1], derived: {}, odd: [] })),
    change(whole, ({ rows }) => void rows[0]?.splice(5, 1, { values: {}, names: [], derived: {}, odd: [], stars: 1 })),
  ];
  for (const edit of edits) refuses(edit, 'integrity');
});
