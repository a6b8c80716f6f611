// Random star systems and random questions about them, biased to where they meet: few distinct values, borders of
// cells and buckets, poles, the seam at 0°, absent values.
import fc from 'fast-check';
import { derive, type Sources, type Values } from '../../src/index/_derive.ts';
import type { Expression, SkyPoint, SpacePoint } from '../../src/index/expression.ts';
import type { StarSystem } from '../../src/index/star-system.ts';

export const systemOf = (values: StarSystem['values'], nameKeys: readonly string[] = []): StarSystem => {
  const all: Values = { ...values };
  const derived: Sources = {};
  derive(all, derived);
  return { values: all, nameKeys, names: nameKeys, derived, odd: [], stars: undefined, planets: undefined };
};

const ras = [0, 0.5, 10, 89.99999999, 90, 180, 270, 359.5, 359.9999999999];
const decs = [90, 89.9999, 45, 41.810314895778596, 0.25, 0, -0.25, -30, -89.99999, -90];
const magnitudes = [-1.44, 0, 5.75, 5.999999999999999, 6, 6.25, 10, 44];
const distances = [0, 1.3, 2, 3.0660139, 8, 10, 32, 100, 40_000];
const classes = ['G', 'K', 'M', 'D', 'C'];
const types = ['G2V', 'G2 V', 'K0III', 'M', 'sdM4', 'DA2', 'C5,5', 'G'];
const names = ['sirius', 'alfcma', '55cnc', 'kepler22', 'hip32349'];

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 4 });
const ra = fc.oneof(fc.constantFrom(...ras), fc.double({ min: 0, max: 360, maxExcluded: true, noNaN: true }));
const dec = fc.oneof(fc.constantFrom(...decs), fc.double({ min: -90, max: 90, noNaN: true }));
const magnitude = fc.oneof(fc.constantFrom(...magnitudes), fc.double({ min: -30, max: 45, noNaN: true }));
const distance = fc.oneof(fc.constantFrom(...distances), fc.double({ min: 0, max: 500, noNaN: true }));

export const system: fc.Arbitrary<StarSystem> = fc
  .record({
    position: maybe(fc.record({ ra, dec }, { noNullPrototype: true })),
    dist_pc: maybe(distance),
    mag_v: maybe(magnitude),
    bv: maybe(fc.constantFrom(-0.3, 0, 0.1, 0.65, 2)),
    spectral_type: maybe(fc.constantFrom(...types)),
    hip: maybe(fc.constantFrom('1', '32349', '70890')),
    teff_k: maybe(fc.constantFrom(1, 3000, 5778, 10_000, 1e7)),
    age: maybe(fc.constantFrom(0, 4.6, 15, 80)),
    n_planets: maybe(fc.constantFrom(0, 1, 8)),
    hz_candidate: maybe(fc.boolean()),
    constellation: maybe(fc.constantFrom('CMa', 'Ori')),
    nameKeys: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 }),
  })
  .map(({ position, nameKeys, ...rest }) => {
    const values = Object.fromEntries(
      Object.entries({ ...position, ...rest }).filter(([, value]) => value !== undefined),
    );
    return systemOf(values as StarSystem['values'], nameKeys);
  });

const sky = fc.record(
  { kind: fc.constant('sky' as const), ra, dec },
  { noNullPrototype: true },
) as fc.Arbitrary<SkyPoint>;
const axis = fc.oneof(fc.constantFrom(0, 2, -8, 10), fc.double({ min: -100, max: 100, noNaN: true }));
const space = fc.record(
  { kind: fc.constant('space' as const), x: axis, y: axis, z: axis },
  { noNullPrototype: true },
) as fc.Arbitrary<SpacePoint>;

const operator = fc.constantFrom('=', '!=', '<', '<=', '>', '>=');
const number = (field: string, value: fc.Arbitrary<number>): fc.Arbitrary<Expression> =>
  fc
    .tuple(operator, value)
    .map(([sign, wanted]) => ({ kind: 'number', field, operator: sign, value: wanted }) as Expression);
const equal = (field: string, ...values: (string | boolean)[]): fc.Arbitrary<Expression> =>
  fc.constantFrom(...values).map((value) => ({ kind: 'equal', field, value }) as Expression);

/** Questions with one condition. */
export const leaf: fc.Arbitrary<Expression> = fc.oneof(
  number('mag_v', magnitude),
  number('dist_pc', distance),
  number('ra', ra),
  number('dec', dec),
  number('bv', fc.constantFrom(0, 0.1, 0.65)),
  number('teff_k', fc.constantFrom(3000, 5778, 1e6)),
  number('age', fc.constantFrom(4.6, 15, 20, 80, 2000)),
  number('n_planets', fc.constantFrom(0, 1, 8, 20)),
  number('x_pc', axis),
  equal('class', ...classes),
  equal('spectral_type', 'G2V', 'K0III', 'M', 'SDM4'),
  equal('hip', '1', '32349', '7'),
  equal('constellation', 'CMa', 'Ori', 'UMa'),
  equal('hz_candidate', true, false),
  fc
    .constantFrom('G', 'G2', 'G2V', 'K0III', 'SD', 'C5,5')
    .map((prefix): Expression => ({ kind: 'prefix', field: 'spectral_type', prefix })),
  fc.constantFrom('sir', '55', 'x').map((prefix): Expression => ({ kind: 'prefix', field: 'name', prefix })),
  fc.constantFrom(...names, 'nobody').map((key): Expression => ({ kind: 'name', key })),
  fc.constantFrom('mag_v', 'name', 'ra', 'hip').map((field) => ({ kind: 'known', field }) as Expression),
  fc
    .tuple(sky, fc.oneof(fc.constantFrom(0, 1e-9, 0.5, 90, 180), fc.double({ min: 0, max: 40, noNaN: true })))
    .map(([centre, radius]): Expression => ({ kind: 'cone', centre, radius })),
  fc
    .tuple(ra, ra, dec, dec)
    .map(([raFrom, raTo, decFrom, decTo]): Expression => ({ kind: 'box', raFrom, raTo, decFrom, decTo })),
  fc
    .tuple(space, fc.oneof(fc.constantFrom(0, 2, 10), distance))
    .map(([centre, radius]): Expression => ({ kind: 'near', centre, radius })),
);

/** Questions of a few conditions. */
export const { question } = fc.letrec<{ question: Expression }>((tie) => ({
  question: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 3, arbitrary: leaf },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          fc.constantFrom('and' as const, 'or' as const),
          fc.array(tie('question'), { minLength: 2, maxLength: 3 }),
        )
        .map(([kind, parts]): Expression => ({ kind, parts })),
    },
    {
      weight: 1,
      arbitrary: tie('question').map((part): Expression => (part.kind === 'not' ? part : { kind: 'not', part })),
    },
  ),
}));

/** A fixed crowd of systems: the same for every question, so that what is costly is done once. */
export const crowd: readonly StarSystem[] = fc.sample(system, { numRuns: 400, seed: 20_261_123 });
