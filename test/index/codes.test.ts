// The promise of codes: what a predicate accepts has a code of its cover. Random points and regions, with the places
// where covers break first: poles, the seam at 0°, borders of cells and buckets. Broken covers must be found out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bucketFields, bucketsOf, coverBuckets, fineBucket } from '../../src/index/_buckets.ts';
import { cellRadius, separation, skyCell } from '../../src/index/_healpix.ts';
import { coverSky, skyOrders, touchesBox, touchesCone } from '../../src/index/_sky-covers.ts';
import { coverSphere, spaceCell, spaceLevels } from '../../src/index/_space-cells.ts';
import {
  type Code,
  codeKey,
  codesOf,
  coverBox,
  coverCone,
  coverEqual,
  coverName,
  coverNear,
  coverPrefix,
  coverRange,
} from '../../src/index/codes.ts';
import { fieldTable } from '../../src/index/fields.ts';
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

const hits = (codes: readonly Code[], cover: readonly Code[]): boolean => {
  const asked = new Set(cover.map(codeKey));
  return codes.some((code) => asked.has(codeKey(code)));
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
    if (found) assert.ok(hits(codesOf(system({ ra: pointRa, dec: pointDec })), found.codes));
  });

test('every point within a cone has a code of its cover, at the poles and across 0° too', () => {
  fc.assert(coneProperty(coverCone), { numRuns: 800 });
});

test('a cone cover that is a little too small is found out', () => {
  const broken = (ra0: number, dec0: number, angle: number): ReturnType<typeof coverCone> => {
    const found = coverSky((cellRa, cellDec, size) => touchesCone(ra0, dec0, angle)(cellRa, cellDec, size * 0.8), 256);
    return (
      found && {
        share: 0,
        codes: found.cells.map((code) => ({ field: fieldTable.sky.id, kind: 3, level: found.order, code })),
      }
    );
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
      const found = coverSky(touchesCone(ra0, dec0, angle), limits.queryCodesMax);
      assert.ok(found && found.cells.length > 0 && found.cells.length <= 256, `${angle}`);
      const side = cellRadius(found.order);
      assert.ok(found.cells.length <= 12 + 8 * (angle / side + 1) ** 2, `${angle}: ${found.cells.length}`);
      assert.ok(found.order === Math.max(...skyOrders) || angle > side, `${angle} takes order ${found.order}`);
    }
  }
  assert.equal(coverCone(0, 0, 120), undefined);
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
      if (found) assert.ok(hits(codesOf(system({ ra: pointRa, dec: pointDec })), found.codes));
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
      if (inside) assert.ok(hits(codesOf(system({ ra: pointRa, dec: high })), found.codes));
    }),
    { numRuns: 600 },
  );
});

test('a box cover that forgets the seam is found out', () => {
  const broken = (from: number, to: number, low: number, high: number): ReturnType<typeof coverBox> => {
    const found = coverSky(touchesBox(Math.min(from, to), Math.max(from, to), low, high), 256);
    return (
      found && {
        share: 0,
        codes: found.cells.map((code) => ({ field: fieldTable.sky.id, kind: 3, level: found.order, code })),
      }
    );
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
      if (found) assert.ok(hits(codesOf(system({ x_pc, y_pc, z_pc })), found.codes));
    },
  );

test('every point within a sphere has a code of its cover, far out too', () => {
  fc.assert(sphereProperty(coverNear), { numRuns: 1500 });
});

test('a sphere cover without its rim is found out', () => {
  const broken = (centre: readonly [number, number, number], reach: number): ReturnType<typeof coverNear> => {
    const found = coverSphere(5, centre, reach * 0.97, 2000);
    return found && { share: 0, codes: found.map((code) => ({ field: fieldTable.space.id, kind: 3, level: 5, code })) };
  };
  assert.equal(fc.check(sphereProperty(broken), { numRuns: 5000, seed: 1 }).failed, true);
});

test('ten light years around a star take few cells, and a cell has room for what it is for', () => {
  const found = coverNear([2.3, -1.1, 0.4], 10 / 3.26156);
  assert.ok(found && found.codes.length < 120 && found.codes[0]?.level === 1);
  assert.equal(coverNear([0, 0, 0], 5000), undefined);
  for (const level of spaceLevels) assert.ok(Number.isSafeInteger(spaceCell(level, 1e9, 1e9, 1e9)));
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
          assert.ok(hits(codesOf(system({ [field]: value })), found.codes), `${field} ${low} ${value} ${high}`);
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
      const fine = fineBucket(buckets, buckets.min + ((buckets.max - buckets.min) * step) / 1000);
      assert.ok(fine >= last, field);
      last = fine;
    }
    // Open at both ends is everything: few coarse buckets, or no cover at all.
    const all = coverBuckets(buckets, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, limits.queryCodesMax);
    assert.ok(all && all.length <= 256, field);
  }
  const mags = coverRange('mag_v', 4, 6);
  assert.deepEqual(
    mags?.codes.map(({ level, code }) => `${level}:${code}`),
    ['0:16', '0:17', '0:18', '0:19', '0:20', '0:21', '0:22', '0:23', '0:24'],
  );
  assert.ok(!hits(codesOf(system({ mag_v: 6.3 })), mags?.codes ?? []));
  assert.deepEqual(coverRange('mag_v', 6, 4)?.codes, []);
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
    assert.ok(cover && hits(codes, cover.codes));
  }
  for (const cover of [
    coverEqual('hd', '32349'),
    coverEqual('hip', '3234'),
    coverEqual('hz_candidate', false),
    coverName('siriu'),
    coverPrefix('K'),
  ]) {
    assert.ok(cover && !hits(codes, cover.codes));
  }
  assert.deepEqual([coverEqual('mag_v', '1'), coverPrefix('')], [undefined, undefined]);
});

test('an absent value has no code, and no code comes twice', () => {
  assert.deepEqual(codesOf(system({})), []);
  assert.deepEqual(
    codesOf(system({ ra: 1 })).map(({ field }) => field),
    [fieldTable.ra.id, fieldTable.ra.id],
  );
  const codes = codesOf(
    system({ ra: 1, dec: 2, x_pc: 1, y_pc: 2, z_pc: 3, mag_v: 4, spectral_type: 'G2V', class: 'G' }, ['a', 'b']),
  ).map(codeKey);
  assert.equal(new Set(codes).size, codes.length);
  assert.equal(skyCell(10, 1, 2) < 12 * 4 ** 10, true);
});

test('the codes of a record never change: tokens of stored indexes are made from them', () => {
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
  assert.deepEqual(
    codesOf(star).map(codeKey),
    (
      '1/5/0/sirius 1/5/0/alfcma 100/3/4/1308 ' +
      '100/3/7/83760 100/3/10/5360653 101/3/1/1125891317104639 101/3/3/1125891316973567 ' +
      '101/3/5/1125891316973567 101/3/7/1125891316973567 101/3/9/1125891316973567 ' +
      '20/2/0/202 20/2/1/12 21/2/0/-67 21/2/1/-5 ' +
      '40/2/0/-6 40/2/1/-1 81/2/0/0 81/2/1/0 2/1/0/32349 60/4/1/A 60/4/2/A0 60/4/3/A0M'
    ).split(' '),
  );
});
