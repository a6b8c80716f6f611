// Sky cells against astropy_healpix, and against what must hold for any point.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { cellCentre, cellRadius, cellVector, orderMax, separation, skyCell } from '../../src/index/_healpix.ts';

const golden: { orders: number[]; points: number[][]; centres: [number, number, number, number][] } = JSON.parse(
  readFileSync('fixtures/vectors/sky-cells.json', 'utf8'),
);

const point = fc.record({
  ra: fc.oneof(
    fc.double({ min: 0, max: 360, maxExcluded: true, noNaN: true }),
    fc.constantFrom(0, 90, 180, 270, 359.9999999999999, 1e-300),
  ),
  dec: fc.oneof(
    fc.double({ min: -90, max: 90, noNaN: true }),
    fc.constantFrom(90, -90, 0, 41.810314895778596, -41.810314895778596, 89.99999999999999, -89.99999999999999),
  ),
});

test('every cell is the one astropy_healpix finds: anywhere, at the poles, at the seam, at the caps', () => {
  assert.ok(golden.points.length === 1000);
  for (const [ra = 0, dec = 0, ...cells] of golden.points) {
    assert.deepEqual(
      golden.orders.map((order) => skyCell(order, ra, dec)),
      cells,
      `${ra} ${dec}`,
    );
  }
});

test('every centre is the one astropy_healpix finds', () => {
  assert.ok(golden.centres.length > 400);
  for (const [order, cell, ra, dec] of golden.centres) {
    const [ourRa, ourDec] = cellCentre(order, cell);
    assert.ok(separation(ra, dec, ourRa, ourDec) < 1e-9, `${order}/${cell}: ${ourRa} ${ourDec}`);
    const [x, y, z] = cellVector(order, cell);
    const [phi, theta] = [(ra * Math.PI) / 180, (dec * Math.PI) / 180];
    const there = [Math.cos(theta) * Math.cos(phi), Math.cos(theta) * Math.sin(phi), Math.sin(theta)];
    for (const [axis, value] of [x, y, z].entries()) assert.ok(Math.abs(value - (there[axis] ?? 9)) < 1e-11);
  }
});

test('the centre of a cell lies in the cell, at every order', () => {
  for (let order = 0; order <= orderMax; order++) {
    const count = 12 * 4 ** order;
    for (let step = 0; step < Math.min(count, 300); step++) {
      const cell = Math.floor((step * count) / Math.min(count, 300));
      assert.equal(skyCell(order, ...cellCentre(order, cell)), cell);
    }
  }
});

test('no point is further from the centre of its cell than the radius, and cells nest', () => {
  fc.assert(
    fc.property(point, fc.integer({ min: 0, max: orderMax }), ({ ra, dec }, order) => {
      const cell = skyCell(order, ra, dec);
      assert.ok(cell >= 0 && cell < 12 * 4 ** order);
      assert.ok(separation(ra, dec, ...cellCentre(order, cell)) <= cellRadius(order) + 1e-9);
      if (order > 0 && separation(ra, dec, ...cellCentre(order, cell)) < cellRadius(order) / 4) {
        assert.equal(Math.floor(cell / 4), skyCell(order - 1, ra, dec));
      }
    }),
    { numRuns: 3000 },
  );
});

test('angles are exact where cosines are not', () => {
  assert.ok(Math.abs(separation(10, 20, 10, 20 + 1e-9) - 1e-9) < 1e-14);
  assert.equal(separation(0, 90, 123, 90) < 1e-14, true);
  assert.ok(Math.abs(separation(0, 0, 180, 0) - 180) < 1e-12);
  assert.ok(Math.abs(separation(359.5, 0, 0.5, 0) - 1) < 1e-12);
  assert.equal(separation(1, 2, 1, 2), 0);
});
