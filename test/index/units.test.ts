// Units and the ways people write numbers, against values worked out by hand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { convert, parseNumber, parseQuantity, parseSexagesimal, parseUnit } from '../../src/index/units.ts';

const near = (actual: number | undefined, expected: number, tolerance = 1e-12): void => {
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${actual}`,
  );
};

test('lengths, angles and masses convert by the constants of the IAU', () => {
  near(convert(1, 'pc', 'ly'), 3.261_563_777_167_433);
  near(convert(1, 'pc', 'au'), 206_264.806_247_096);
  near(convert(10, 'ly', 'pc'), 3.066_013_937_855_505);
  near(convert(1, 'hour', 'deg'), 15);
  near(convert(3600, 'arcsec', 'deg'), 1);
  near(convert(1, 'rad', 'deg'), 57.295_779_513_082_32);
  near(convert(1, 'arcsec/yr', 'mas/yr'), 1000);
  near(convert(1, 'Mjup', 'Msun'), 9.545_94e-4, 1e-5);
  near(convert(1, 'Rjup', 'Rsun'), 0.102_763, 1e-5);
});

test('a number keeps its bits in its own unit and has no value in another dimension', () => {
  assert.equal(convert(0.1 + 0.2, 'pc', 'pc'), 0.1 + 0.2);
  assert.equal(convert(1, 'pc', 'deg'), undefined);
  assert.equal(convert(1, 'mag', 'K'), undefined);
});

test('units are found whatever their case and spelling, and nothing else is a unit', () => {
  const cases = { LY: 'ly', parsecs: 'pc', '°': 'deg', Degrees: 'deg', ArcMin: 'arcmin', h: 'hour', km_s: undefined };
  for (const [text, unit] of Object.entries(cases)) assert.equal(parseUnit(text), unit, text);
  for (const text of ['', 'constructor', 'pcs2', "'"]) assert.equal(parseUnit(text), undefined);
});

test('sexagesimal angles are read in every common spelling', () => {
  near(parseSexagesimal('06:45:08.9173', 'hours'), 101.287_155_416_666);
  near(parseSexagesimal('06 45 08.9173', 'hours'), 101.287_155_416_666);
  near(parseSexagesimal('6h45m08.9173s', 'degrees'), 101.287_155_416_666);
  near(parseSexagesimal('-16:42:58.017', 'degrees'), -16.716_115_833_333);
  near(parseSexagesimal('−16°42′58.017″', 'hours'), -16.716_115_833_333);
  near(parseSexagesimal('-16d42m58.017s', 'degrees'), -16.716_115_833_333);
  near(parseSexagesimal('+12:30', 'degrees'), 12.5);
  near(parseSexagesimal('12 30.5', 'degrees'), 12.508_333_333_333);
});

test('the sign of an angle whose degrees are zero is kept', () => {
  near(parseSexagesimal('-00:30:00', 'degrees'), -0.5);
});

test('what is no sexagesimal angle is none', () => {
  for (const text of ['12.5', '12', '', '12:61:00', '12:00:61', '12:30.5:10', 'a:b:c', '1234:00:00', '12:30:10x']) {
    assert.equal(parseSexagesimal(text, 'degrees'), undefined, text);
  }
});

test('a number is decimal, finite and whole: no other text becomes one', () => {
  for (const [text, value] of [
    ['1', 1],
    ['-1.5', -1.5],
    ['+2', 2],
    ['.5', 0.5],
    ['5.', 5],
    ['1e-3', 0.001],
    ['−3', -3],
  ] as const) {
    assert.equal(parseNumber(text), value, text);
  }
  for (const text of [
    '',
    ' ',
    'nan',
    'NaN',
    'inf',
    'Infinity',
    '0x10',
    '1_000',
    '1,5',
    '1e999',
    '--',
    '1 2',
    '.',
    '-',
  ]) {
    assert.equal(parseNumber(text), undefined, text);
  }
});

test('every finite number that JavaScript prints is read back exactly', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      assert.equal(parseNumber(String(value)), Object.is(value, -0) ? 0 : value);
    }),
    { numRuns: 500 },
  );
});

test('a quantity is a number with an optional unit', () => {
  assert.deepEqual(parseQuantity('10ly'), { value: 10, unit: 'ly' });
  assert.deepEqual(parseQuantity('-2.5 deg'), { value: -2.5, unit: 'deg' });
  assert.deepEqual(parseQuantity('1e3pc'), { value: 1000, unit: 'pc' });
  assert.deepEqual(parseQuantity('30′'), { value: 30, unit: 'arcmin' });
  assert.deepEqual(parseQuantity('7'), { value: 7, unit: undefined });
  for (const text of ['ly', '', '10 furlongs', '1.2.3pc', 'ten pc']) assert.equal(parseQuantity(text), undefined, text);
});
