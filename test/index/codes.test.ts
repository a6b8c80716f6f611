// The promise of codes: what a predicate accepts has a code of its cover. Random points and regions, with the places
// where covers break first: poles, the seam at 0°, borders of cells and buckets. Broken covers must be found out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bucketFields, bucketOf, bucketsOf } from '../../src/index/_buckets.ts';
import { cellRadius, separation, skyCell } from '../../src/index/_healpix.ts';
import { type CellRange, coverSky, skyOrder, touchesBox, touchesCone } from '../../src/index/_sky-covers.ts';
import { coverSphere, spaceCell } from '../../src/index/_space-cells.ts';
import {
  type Code,
  type CodeRange,
  codesOf,
  coverBox,
  coverCone,
  coverEqual,
  coverName,
  coverNear,
  coverPrefix,
  coverRange,
  fieldOf,
  mergeRanges,
} from '../../src/index/codes.ts';
import { type FieldName, fieldTable } from '../../src/index/fields.ts';
import { limits } from '../../src/model/limits.ts';
import type { StarSystem } from '../../src/index/star-system.ts';

const system = (values: StarSystem['values'], nameKeys: readonly string[] = []): StarSystem => ({
  values,
  nameKeys,
  names: nameKeys,
  derived: {},
  odd: [],
  stars: undefined,
  planets: undefined,
});

const hits = (codes: readonly Code[], cover: readonly CodeRange[]): boolean =>
  codes.some((code) => cover.some(({ from, to }) => code >= from && code <= to));

/** A cover of cells as codes.ts makes it. */
const rangesOf = (field: 'sky' | 'space', cells: readonly CellRange[]): CodeRange[] => {
  const base = (fieldTable[field].id * 8 + 3) * 2 ** 36;
  return cells.map(({ from, to }) => ({ from: base + from, to: base + to }));
};

const ra = fc.oneof(
  { weight: 3, arbitrary: fc.double({ min: 0, max: 360, maxExcluded: true, noNaN: true }) },
  fc.constantFrom(0, 90, 180, 270, 45, 359.9999999999999, 1e-13),
);
const dec = fc.oneof(
  { weight: 3, arbitrary: fc.double({ min: -90, max: 90, noNaN: true }) },
  fc.constantFrom(90, -90, 0, 89.99999999, -89.99999999, 41.810314895778596),
);
const radius = fc.oneof(
  fc.double({ min: 0, max: 180, noNaN: true }),
  fc.double({ min: -6, max: 1, noNaN: true }).map((power) => 10 ** power),
  fc.constantFrom(0, 1e-9, 90, 180),
);

/** A point at most `angle` from (ra, dec): mostly just inside the rim, where covers fail. */
const pointNear = (ra0: number, dec0: number, angle: number, turn: number, part: number): readonly [number, number] => {
  const rad = Math.PI / 180;
  const reach = angle * part * rad;
  const sinDec = Math.sin(dec0 * rad) * Math.cos(reach) + Math.cos(dec0 * rad) * Math.sin(reach) * Math.cos(turn);
  const d = Math.asin(Math.min(1, Math.max(-1, sinDec)));
  const east = Math.atan2(
    Math.sin(turn) * Math.sin(reach) * Math.cos(dec0 * rad),
    Math.cos(reach) - Math.sin(dec0 * rad) * sinDec,
  );
  const turned = (((ra0 + east / rad) % 360) + 360) % 360;
  return [turned >= 360 ? 0 : turned, d / rad];
};

const turn = fc.double({ min: 0, max: 2 * Math.PI, noNaN: true });
const part = fc.oneof(fc.constantFrom(1, 0.999999, 0), fc.double({ min: 0, max: 1, noNaN: true }));

const coneProperty = (cover: typeof coverCone) =>
  fc.property(ra, dec, radius, turn, part, (ra0, dec0, angle, direction, fraction) => {
    const [pointRa, pointDec] = pointNear(ra0, dec0, angle, direction, fraction);
    if (separation(ra0, dec0, pointRa, pointDec) > angle) return;
    const found = cover(ra0, dec0, angle);
    if (found) assert.ok(hits(codesOf(system({ ra: pointRa, dec: pointDec })), found.ranges));
  });

test('every point within a cone has a code of its cover, at the poles and across 0° too', () => {
  fc.assert(coneProperty(coverCone), { numRuns: 800 });
});

test('a cone cover that is a little too small is found out', () => {
  const broken = (ra0: number, dec0: number, angle: number): ReturnType<typeof coverCone> => {
    const found = coverSky((order, cell, size) => touchesCone(ra0, dec0, angle)(order, cell, size * 0.8), 256);
    return { share: 0, ranges: rangesOf('sky', found) };
  };
  assert.equal(fc.check(coneProperty(broken), { numRuns: 3000, seed: 1 }).failed, true);
});

test('a cone cover is not much larger than the cone, and not of many cells', () => {
  for (const angle of [0.001, 0.05, 0.2, 0.5, 2, 10, 20]) {
    for (const [ra0, dec0] of [
      [10, 20],
      [0, 90],
      [359.99, -89.9],
      [180, 41.8],
    ] as const) {
      const found = coverSky(touchesCone(ra0, dec0, angle), limits.queryCellsMax);
      assert.ok(found.length > 0 && found.length <= 256, `${angle}`);
      const area = found.reduce((sum, { from, to }) => sum + to - from + 1, 0) / (12 * 4 ** skyOrder);
      const cone = (1 - Math.cos((angle * Math.PI) / 180)) / 2;
      const cell = cellRadius(skyOrder);
      const rim = (1 + (3 * cell) / angle) ** 2;
      assert.ok(area < cone * 2.2 * rim, `${angle}: ${(area / cone).toFixed(2)} times as large`);
      for (const [at, { from }] of found.entries()) assert.ok(at === 0 || from > (found[at - 1]?.to ?? 0) + 1);
    }
  }
  // As much of the sky as this is read in order.
  assert.ok((coverCone(0, 0, 120).share ?? 0) > 0.5);
});

const boxProperty = (cover: typeof coverBox) =>
  fc.property(
    ra,
    ra,
    dec,
    dec,
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (from, to, decA, decB, eastward, upward) => {
      const [low, high] = [Math.min(decA, decB), Math.max(decA, decB)];
      const width = from <= to ? to - from : to - from + 360;
      const pointRa = (from + width * eastward) % 360;
      const pointDec = Math.min(high, low + (high - low) * upward);
      const inside = from <= to ? pointRa >= from && pointRa <= to : pointRa >= from || pointRa <= to;
      if (!inside) return;
      const found = cover(from, to, low, high);
      if (found) assert.ok(hits(codesOf(system({ ra: pointRa, dec: pointDec })), found.ranges));
    },
  );

test('every point of a box has a code of its cover, across 0° and at the poles too', () => {
  fc.assert(boxProperty(coverBox), { numRuns: 300 });
});

test('small boxes anywhere are covered', () => {
  const edge = fc.double({ min: 0, max: 3, noNaN: true });
  fc.assert(
    fc.property(ra, dec, edge, edge, turn, (from, low, width, height, where) => {
      const to = (from + width) % 360;
      const high = Math.min(90, low + height);
      const pointRa = (from + (width * where) / 7) % 360;
      const found = coverBox(from, to, low, high);
      assert.ok(found);
      const inside = from <= to ? pointRa >= from && pointRa <= to : pointRa >= from || pointRa <= to;
      if (inside) assert.ok(hits(codesOf(system({ ra: pointRa, dec: high })), found.ranges));
    }),
    { numRuns: 600 },
  );
});

test('a box cover that forgets the seam is found out', () => {
  const broken = (from: number, to: number, low: number, high: number): ReturnType<typeof coverBox> => {
    const found = coverSky(touchesBox(Math.min(from, to), Math.max(from, to), low, high), 256);
    return { share: 0, ranges: rangesOf('sky', found) };
  };
  assert.equal(fc.check(boxProperty(broken), { numRuns: 3000, seed: 1 }).failed, true);
});

const length = fc.oneof(
  fc.double({ min: -3000, max: 3000, noNaN: true }),
  fc.constantFrom(0, 2, -2, 8, 512, -512, 1e-9, 131_072, 1e8, -1e8),
);

const sphereProperty = (cover: typeof coverNear) =>
  fc.property(
    length,
    length,
    length,
    fc.double({ min: 0, max: 600, noNaN: true }),
    turn,
    turn,
    part,
    (x, y, z, reach, a, b, fraction) => {
      const r = reach * fraction;
      const point: [number, number, number] = [
        x + r * Math.cos(a) * Math.sin(b),
        y + r * Math.sin(a) * Math.sin(b),
        z + r * Math.cos(b),
      ];
      if (Math.hypot(point[0] - x, point[1] - y, point[2] - z) > reach) return;
      const found = cover([x, y, z], reach);
      const [x_pc, y_pc, z_pc] = point;
      if (found) assert.ok(hits(codesOf(system({ x_pc, y_pc, z_pc })), found.ranges));
    },
  );

test('every point within a sphere has a code of its cover, far out too', () => {
  fc.assert(sphereProperty(coverNear), { numRuns: 1500 });
});

test('a sphere cover without its rim is found out', () => {
  const broken = (centre: readonly [number, number, number], reach: number): ReturnType<typeof coverNear> => {
    return { share: 0, ranges: rangesOf('space', coverSphere(centre, reach * 0.97, 2000)) };
  };
  assert.equal(fc.check(sphereProperty(broken), { numRuns: 5000, seed: 1 }).failed, true);
});

test('ten light years around a star are few ranges of few cells, and a cell has room for what it is for', () => {
  const found = coverSphere([2.3, -1.1, 0.4], 10 / 3.26156, limits.queryCellsMax);
  const cells = found.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  assert.ok(found.length < 40 && cells < 100, `${found.length} ranges, ${cells} cells`);
  assert.ok(coverNear([0, 0, 0], 5000).share > 0.5);
  assert.equal(spaceCell(1e9, 1e9, 1e9), 2 ** 36 - 1);
  assert.equal(spaceCell(-1e9, -1e9, -1e9), 0);
});

test('neighbours in space have neighbouring cells: each octant is one range', () => {
  const corner = spaceCell(0, 0, 0);
  const found = new Set<number>();
  for (const x of [0, 2, 4, 6])
    for (const y of [0, 2, 4, 6]) for (const z of [0, 2, 4, 6]) found.add(spaceCell(x, y, z));
  assert.deepEqual(
    [...found].sort((a, b) => a - b),
    Array.from({ length: 64 }, (_, at) => corner + at),
  );
});

test('ranges that touch or overlap become one', () => {
  const range = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 8 }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (pairs) => {
      const ranges = pairs.map(([from, length]) => ({ from, to: from + length }));
      const merged = mergeRanges(ranges);
      for (let code = 0; code < 80; code++) assert.equal(hits([code], merged), hits([code], ranges));
      for (const [at, { from }] of merged.entries()) assert.ok(at === 0 || from > (merged[at - 1]?.to ?? 0) + 1);
    }),
  );
});

const numberField = fc.constantFrom(...bucketFields);
const valueOf = (field: (typeof bucketFields)[number], part: number): number => {
  const { min = 0, max = 1 } = fieldTable[field].valid ?? {};
  return min + (max - min) * part;
};

test('every value of a range has a bucket of its cover, at borders and beyond the odd range too', () => {
  const position = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      numberField,
      position,
      position,
      position,
      fc.boolean(),
      fc.integer({ min: 0, max: 3 }),
      (field, a, b, c, narrow, open) => {
        const buckets = bucketsOf(field);
        assert.ok(buckets);
        const [odd0, odd1] = [buckets.min, buckets.max];
        // Half of the time within the odd range, on the borders of fine buckets: there floor() decides.
        const scale = (at: number): number =>
          narrow ? odd0 + Math.round(at * 64) * ((odd1 - odd0) / 64) : valueOf(field, at);
        const [low = 0, value = 0, high = 0] = [scale(a), scale(b), scale(c)].sort((x, y) => x - y);
        const found = coverRange(
          field,
          open & 1 ? Number.NEGATIVE_INFINITY : low,
          open & 2 ? Number.POSITIVE_INFINITY : high,
        );
        if (found)
          assert.ok(hits(codesOf(system({ [field]: value })), found.ranges), `${field} ${low} ${value} ${high}`);
      },
    ),
    { numRuns: 4000 },
  );
});

test('buckets are monotone, and a range is covered without the rest of the field', () => {
  for (const field of bucketFields) {
    const buckets = bucketsOf(field);
    assert.ok(buckets);
    let last = Number.NEGATIVE_INFINITY;
    for (let step = 0; step <= 1000; step++) {
      const bucket = bucketOf(buckets, buckets.min + ((buckets.max - buckets.min) * step) / 1000);
      assert.ok(bucket >= last && Math.abs(bucket) < 2 ** 31, field);
      last = bucket;
    }
    const all = coverRange(field, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
    assert.ok(all && all.share > 0.5, field);
  }
  const mags = coverRange('mag_v', 4, 6);
  assert.deepEqual(
    mags?.ranges.map(({ from, to }) => to - from),
    [8],
  );
  assert.ok(!hits(codesOf(system({ mag_v: 6.3 })), mags?.ranges ?? []));
  assert.deepEqual(coverRange('mag_v', 6, 4)?.ranges, []);
});

test('few stars are bright or near, and no guess says so of the others', () => {
  const shareOf = (field: FieldName, low: number, high: number): number => coverRange(field, low, high)?.share ?? -1;
  const { POSITIVE_INFINITY: most, NEGATIVE_INFINITY: least } = Number;
  for (const share of [shareOf('mag_v', least, 2), shareOf('dist_pc', least, 20), shareOf('parallax', 50, most)]) {
    assert.ok(share > 0 && share < 0.005, `${share}`);
  }
  const others = [shareOf('mag_v', 8, most), shareOf('dist_pc', 300, most), shareOf('parallax', least, 2)];
  for (const share of [...others, shareOf('mag_v', least, 12), shareOf('dist_pc', least, 2000)]) {
    assert.ok(share > 0.05 && share <= 1, `${share}`);
  }
});

test('equal values, names and prefixes are found by their codes, and others are not', () => {
  const star = system(
    { hip: '32349', class: 'A', hz_candidate: true, spectral_type: 'A0m A1Va', constellation: 'CMa' },
    ['alfcma', 'sirius'],
  );
  const codes = codesOf(star);
  for (const cover of [
    coverEqual('hip', '32349'),
    coverEqual('class', 'A'),
    coverEqual('hz_candidate', true),
    coverEqual('constellation', 'CMa'),
    coverName('sirius'),
    coverPrefix('A'),
    coverPrefix('A0'),
    coverPrefix('A0MA1V'),
  ]) {
    assert.ok(cover && hits(codes, cover.ranges));
  }
  for (const cover of [
    coverEqual('hd', '32349'),
    coverEqual('hip', '3234'),
    coverEqual('hz_candidate', false),
    coverName('siriu'),
    coverPrefix('K'),
  ]) {
    assert.ok(cover && !hits(codes, cover.ranges));
  }
  assert.deepEqual([coverEqual('mag_v', '1'), coverPrefix('')], [undefined, undefined]);
});

test('an absent value has no code, and no code comes twice', () => {
  assert.deepEqual(codesOf(system({})), []);
  assert.deepEqual(codesOf(system({ ra: 1 })).map(fieldOf), [fieldTable.ra.id]);
  const codes = codesOf(
    system({ ra: 1, dec: 2, x_pc: 1, y_pc: 2, z_pc: 3, mag_v: 4, spectral_type: 'G2V', class: 'G' }, ['a', 'b']),
  );
  assert.equal(new Set(codes).size, codes.length);
  assert.ok(codes.every((code) => Number.isSafeInteger(code) && code >= 0 && code < 2 ** 48));
  assert.ok(Object.values(fieldTable).every(({ id }) => id < 512));
  assert.equal(skyCell(skyOrder, 1, 2) < 12 * 4 ** skyOrder, true);
});

test('the codes of a record never change while the format of the index stays: stored indexes hold them', () => {
  const star = system(
    {
      ra: 101.287155,
      dec: -16.716116,
      x_pc: -0.494,
      y_pc: 2.477,
      z_pc: -0.758,
      mag_v: -1.44,
      hip: '32349',
      spectral_type: 'A0mA1Va',
      n_planets: 0,
    },
    ['sirius', 'alfcma'],
  );
  const shown = codesOf(star).map((code) => `${fieldOf(code)}/${Math.floor(code / 2 ** 36) % 8}/${code % 2 ** 36}`);
  assert.deepEqual(
    shown,
    (
      '1/5/2011037976 1/5/3020465457 100/3/85770460 101/3/23315536751 20/2/2147483850 21/2/2147483581 ' +
      '40/2/2147483642 81/2/2147483648 2/1/2131339480 60/4/1294499476 60/4/3281300829 60/4/393848015'
    ).split(' '),
  );
});
