// The field table: ids are for ever, words lead to one field, ranges and units fit.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fieldNames, fieldOf, fieldTable, fieldWords, isInRange, rangeText } from '../../src/index/fields.ts';
import { dimensionOf } from '../../src/index/units.ts';

/** Written down apart from the table: an id that moves or is used again makes stored tokens mean something else. */
const ids: Readonly<Record<string, number>> = {
  name: 1,
  hip: 2,
  hd: 3,
  hr: 4,
  gj: 5,
  gaia: 6,
  gaia_dr2: 7,
  tyc: 8,
  bayer: 9,
  flamsteed: 10,
  variable: 11,
  ra: 20,
  dec: 21,
  ref_epoch: 22,
  parallax: 23,
  parallax_error: 24,
  dist_pc: 25,
  x_pc: 26,
  y_pc: 27,
  z_pc: 28,
  pmra: 29,
  pmdec: 30,
  rv: 31,
  mag_v: 40,
  mag_b: 41,
  mag_g: 42,
  mag_bp: 43,
  mag_rp: 44,
  mag_j: 45,
  mag_h: 46,
  mag_k: 47,
  abs_mag: 48,
  bv: 49,
  bp_rp: 50,
  spectral_type: 60,
  class: 61,
  luminosity_class: 62,
  teff_k: 70,
  logg: 71,
  mass: 72,
  radius: 73,
  luminosity: 74,
  feh: 75,
  age: 76,
  n_stars: 80,
  n_planets: 81,
  hz_candidate: 82,
  constellation: 83,
  sky: 100,
  space: 101,
};

test('the ids of fields never change', () => {
  assert.deepEqual(Object.fromEntries(Object.entries(fieldTable).map(([name, { id }]) => [name, id])), ids);
  assert.equal(new Set(Object.values(ids)).size, Object.keys(ids).length);
});

test('a word leads to one field, whatever its case', () => {
  assert.equal(
    new Set(fieldWords).size,
    fieldNames.reduce((sum, name) => sum + 1 + (fieldTable[name].also ?? []).length, 0),
  );
  assert.equal(fieldOf('MAG'), 'mag_v');
  assert.equal(fieldOf('dist'), 'dist_pc');
  for (const word of ['sky', 'space', 'constructor', '__proto__', '']) assert.equal(fieldOf(word), undefined, word);
});

test('every number has a valid range, and what is odd lies within it', () => {
  for (const name of fieldNames) {
    const { type, valid, odd } = fieldTable[name];
    if (type !== 'number' && type !== 'integer') continue;
    assert.ok(valid && valid.min < valid.max, name);
    if (odd) assert.ok(odd.min >= valid.min && odd.max <= valid.max, name);
  }
});

test('every field has a UCD and a unit with a dimension', () => {
  for (const [name, { ucd, unit }] of Object.entries(fieldTable)) {
    assert.match(ucd, /^[a-z]+(?:\.[A-Za-z]+)*(?:;[a-z]+(?:\.[A-Za-z]+)*)*$/, name);
    assert.ok(dimensionOf(unit).length > 0);
  }
});

test('right ascension ends before 360, declination at 90', () => {
  const { ra, dec } = fieldTable;
  assert.ok(ra.valid && dec.valid);
  assert.deepEqual([isInRange(360, ra.valid), isInRange(0, ra.valid), isInRange(90, dec.valid)], [false, true, true]);
  assert.equal(rangeText(ra.valid), '[0, 360)');
  assert.equal(isInRange(Number.NaN, dec.valid), false);
});

test('the page on catalogues has a row for every field, with its id, words, unit, UCD, ranges and meaning', () => {
  const page = readFileSync('docs/catalogues.md', 'utf8').split('\n');
  for (const [name, { id, also = [], unit, ucd, valid, odd, about }] of Object.entries(fieldTable)) {
    const cells = page
      .find((line) => line.startsWith(`| ${id} | ${name}`))
      ?.split('|')
      .map((cell) => cell.trim());
    const shown = (range: typeof valid): string =>
      range ? `${range.min} … ${range.max}${range.open === true ? ' (excl.)' : ''}` : '';
    const words = also.length > 0 ? `${name} (${also.join(', ')})` : name;
    assert.deepEqual(cells?.slice(1, 7), [String(id), words, unit, ucd, shown(valid), shown(odd)], name);
    assert.equal(cells?.[8], about, name);
  }
});
