// The reference matcher: geometry worked out by hand, borders that count, and three-valued logic for absent values.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isOperaError } from '../../src/errors/errors.ts';
import { evaluate, matches, type Truth } from '../../src/index/matcher.ts';
import { parseExpression } from '../../src/index/parse-expression.ts';
import type { StarSystem } from '../../src/index/star-system.ts';
import { question, system, systemOf } from './_systems.ts';

const ask = (query: string, values: StarSystem['values'], names: readonly string[] = []): Truth =>
  evaluate(parseExpression(query), systemOf(values, names));

test('a cone holds what is near its centre, across 0° and over the pole', () => {
  assert.equal(ask('cone(359.5, 0, 1deg)', { ra: 0.4, dec: 0 }), true);
  assert.equal(ask('cone(359.5, 0, 1deg)', { ra: 0.6, dec: 0 }), false);
  assert.equal(ask('cone(0, 89.5, 1deg)', { ra: 180, dec: 89.6 }), true);
  assert.equal(ask('cone(0, 89.5, 1deg)', { ra: 180, dec: 89.4 }), false);
  assert.equal(ask('cone(0, 90, 1e-12deg)', { ra: 77, dec: 90 }), true);
  assert.equal(ask('cone(10, 0, 180deg)', { ra: 190, dec: 0 }), true);
  // At 60° of declination a degree of right ascension is half a degree.
  assert.equal(ask('cone(10, 60, 0.5deg)', { ra: 10.99, dec: 60 }), true);
  assert.equal(ask('cone(10, 60, 0.5deg)', { ra: 11.01, dec: 60 }), false);
});

test('a box runs eastward, across 0° when it begins behind its end, with its borders', () => {
  for (const [ra, dec, inside] of [
    [355, 0, true],
    [5, 0, true],
    [350, 5, true],
    [10, -5, true],
    [20, 0, false],
    [340, 0, false],
    [0, 5.1, false],
  ] as const) {
    assert.equal(ask('box(350, -5, 10, 5)', { ra, dec }), inside, `${ra} ${dec}`);
  }
});

test('a sphere is measured in space, not on the sky', () => {
  const sirius = { ra: 101.287, dec: -16.716, dist_pc: 2.637 };
  assert.equal(ask('near(Sol, 8.7ly)', sirius), true);
  assert.equal(ask('near(Sol, 8.5ly)', sirius), false);
  assert.equal(ask('near(Sol, 10pc)', { ra: 1, dec: 2 }), undefined);
});

test('borders count as they are written', () => {
  for (const [query, truth] of [
    ['mag < 6', false],
    ['mag <= 6', true],
    ['mag = 6', true],
    ['mag != 6', false],
    ['mag > 6', false],
    ['mag >= 6', true],
  ] as const) {
    assert.equal(ask(query, { mag_v: 6 }), truth, query);
  }
});

test('an absent value is unknown, under "not" too, and only "is unknown" finds it', () => {
  for (const query of [
    'mag < 6',
    'not mag < 6',
    'mag != 6',
    'not mag = 6',
    'class = G',
    'not class = G',
    'hz',
    'not hz',
    'spect = G*',
    'cone(1, 2, 3)',
    'not box(1, 2, 3, 4)',
    'name = Sirius',
    'name = S*',
  ]) {
    assert.equal(ask(query, {}), undefined, query);
    assert.equal(matches(parseExpression(query), systemOf({})), false);
  }
  assert.deepEqual(
    [ask('mag is unknown', {}), ask('mag is known', {}), ask('name is known', {}, ['x'])],
    [true, false, true],
  );
});

test('"and", "or" and "not" follow the tables of Kleene', () => {
  // mag_v is 5: T is true, F false, and bv is absent: U unknown.
  const word = { T: 'mag < 6', F: 'mag > 6', U: 'bv < 1' };
  const truth = { T: true, F: false, U: undefined };
  const and = { TT: 'T', TF: 'F', TU: 'U', FT: 'F', FF: 'F', FU: 'F', UT: 'U', UF: 'F', UU: 'U' } as const;
  const or = { TT: 'T', TF: 'T', TU: 'T', FT: 'T', FF: 'F', FU: 'U', UT: 'T', UF: 'U', UU: 'U' } as const;
  const wordOf = (letter: string | undefined): string => word[letter as keyof typeof word];
  for (const [pair, result] of Object.entries(and))
    assert.equal(ask(`${wordOf(pair[0])} and ${wordOf(pair[1])}`, { mag_v: 5 }), truth[result], pair);
  for (const [pair, result] of Object.entries(or))
    assert.equal(ask(`${wordOf(pair[0])} or ${wordOf(pair[1])}`, { mag_v: 5 }), truth[result], pair);
  assert.deepEqual([ask(`not ${word.T}`, { mag_v: 5 }), ask(`not ${word.U}`, { mag_v: 5 })], [false, undefined]);
});

test('a question and its negation never match the same record', () => {
  fc.assert(
    fc.property(question, system, (part, record) => {
      assert.ok(!(matches(part, record) && matches({ kind: 'not', part }, record)));
    }),
    { numRuns: 1000 },
  );
});

test('names and texts are compared in their one spelling', () => {
  assert.equal(ask("name = 'Alpha Canis Majoris'", {}, ['alfcma']), true);
  assert.equal(ask('spect = g2v', { spectral_type: 'G2 V' }), true);
  assert.equal(ask('spect = G2*', { spectral_type: 'G2 V' }), true);
  assert.equal(ask('spect = G2', { spectral_type: 'G2 V' }), false);
  assert.equal(ask('gaia = 4472832130942575873', { gaia: '4472832130942575872' }), false);
});

test('a star that was not looked up is a fault of the program', () => {
  assert.throws(
    () => ask('near(Sirius, 1pc)', { x_pc: 1, y_pc: 1, z_pc: 1 }),
    (error) => isOperaError(error, 'internal'),
  );
});
