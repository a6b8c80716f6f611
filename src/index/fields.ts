// The one table of star-system fields: number, name, unit, UCD, ranges, and how each is indexed.
// Field ids are stored in index codes and never used twice, not even when a field is given up. A value outside
// `valid` is impossible and keeps its record out of the index; outside `odd` it is kept and flagged. Ranges are wide on
// purpose: real catalogues hold ages of 80 Gyr. UCDs are of the IVOA vocabulary UCD1+ 1.5.
import type { Unit } from './units.ts';

export interface Range {
  readonly min: number;
  readonly max: number;
  /** True when `max` itself is outside, as for right ascension. */
  readonly open?: boolean;
}

/** Buckets of a number. Widths are in the field's unit, or parts of a decade. */
export interface BucketSpec {
  readonly kind: 'bucket';
  readonly scale: 'linear' | 'log';
  /** linear: width of a fine bucket; log: fine buckets a decade. */
  readonly step: number;
  /** A guess at the part of a large catalogue in [low, high], better than `part`, which is that of the buckets. */
  readonly share?: (low: number, high: number, part: number) => number;
}

export type IndexSpec =
  | BucketSpec
  | { readonly kind: 'equal' }
  | { readonly kind: 'prefix'; readonly lengthMax: number }
  | { readonly kind: 'name' }
  | { readonly kind: 'cell' };

export interface FieldSpec {
  /** u16, fixed for ever. */
  readonly id: number;
  readonly type: 'number' | 'integer' | 'text' | 'flag' | 'cell';
  readonly unit: Unit;
  readonly ucd: string;
  readonly about: string;
  readonly valid?: Range;
  readonly odd?: Range;
  readonly index?: IndexSpec;
  /** Other words for it in queries and `--map`. */
  readonly also?: readonly string[];
}

/** Goes with rows that were made by this table; raised when a field changes its meaning. */
export const fieldTableVersion = 1;

const range = (min: number, max: number): Range => ({ min, max });
const linear = (step: number): BucketSpec => ({ kind: 'bucket', scale: 'linear', step });
const log = (step: number): BucketSpec => ({ kind: 'bucket', scale: 'log', step });
/** Counts of stars rise by half a decade a magnitude (a third to a half in real surveys); most end at 8 or fainter. */
const bright = (_low: number, high: number, part: number): number => Math.min(part, 10 ** ((high - 8) / 2));
/** Half of a large catalogue lies within so many parsecs, and so beyond the parallax of that distance, in mas. */
export const typicalRadius = 500;
const typicalParallax = 1000 / typicalRadius;
const near = (_low: number, high: number, part: number): number => Math.min(part, (high / typicalRadius) ** 3);
const largeParallax = (low: number, high: number, part: number): number => {
  if (low >= typicalParallax) return Math.min(part, (typicalParallax / low) ** 3);
  const inSmall = (Math.min(high, typicalParallax) - Math.max(low, 0)) / typicalParallax;
  return Math.max(part, inSmall / 2);
};
const text = (id: number, ucd: string, about: string, more: Partial<FieldSpec> = {}): FieldSpec => ({
  id,
  type: 'text',
  unit: '',
  ucd,
  about,
  ...more,
});
const number = (id: number, unit: Unit, ucd: string, about: string, more: Partial<FieldSpec> = {}): FieldSpec => ({
  id,
  type: 'number',
  unit,
  ucd,
  about,
  ...more,
});
const identifier = (id: number, about: string, also: readonly string[] = []): FieldSpec =>
  text(id, 'meta.id', about, { index: { kind: 'equal' }, also });
const magnitude = (id: number, band: string, about: string, also: readonly string[] = []): FieldSpec =>
  number(id, 'mag', `phot.mag;${band}`, about, {
    valid: range(-30, 45),
    odd: range(-27, 35),
    index: { ...linear(0.25), share: bright },
    also,
  });
const cartesian = (id: number, axis: string, about: string): FieldSpec =>
  number(id, 'pc', `pos.cartesian.${axis}`, about, { valid: range(-1e9, 1e9), odd: range(-3e4, 3e4), also: [axis] });
const count = (id: number, about: string, odd: number, also: readonly string[]): FieldSpec => ({
  ...number(id, '', 'meta.number', about, { valid: range(0, 1000), odd: range(0, odd), index: linear(1), also }),
  type: 'integer',
});

const specs = {
  name: text(1, 'meta.id;meta.main', 'the name the catalogue uses', { index: { kind: 'name' }, also: ['id'] }),
  hip: identifier(2, 'number in the Hipparcos catalogue'),
  hd: identifier(3, 'number in the Henry Draper catalogue'),
  hr: identifier(4, 'number in the Bright Star catalogue'),
  gj: identifier(5, 'number in the Gliese–Jahreiß catalogue', ['gl', 'gliese']),
  gaia: identifier(6, 'source_id of Gaia EDR3 and DR3, which share one list', ['gaia_dr3', 'gaia_edr3', 'source_id']),
  gaia_dr2: identifier(7, 'source_id of Gaia DR2, another list'),
  tyc: identifier(8, 'number in the Tycho-2 catalogue'),
  bayer: text(9, 'meta.id', 'Bayer letter', {}),
  flamsteed: text(10, 'meta.id', 'Flamsteed number', {}),
  variable: text(11, 'meta.id', 'designation as a variable star', {}),
  ra: number(20, 'deg', 'pos.eq.ra;meta.main', 'right ascension, ICRS', {
    valid: { min: 0, max: 360, open: true },
    index: linear(0.5),
    also: ['right_ascension'],
  }),
  dec: number(21, 'deg', 'pos.eq.dec;meta.main', 'declination, ICRS', {
    valid: range(-90, 90),
    index: linear(0.25),
    also: ['declination', 'de'],
  }),
  ref_epoch: number(22, 'yr', 'time.epoch', 'epoch of the position, Julian year', {
    valid: range(1600, 2300),
    odd: range(1850, 2060),
    also: ['epoch'],
  }),
  parallax: number(23, 'mas', 'pos.parallax.trig', 'parallax; noise makes small ones negative', {
    valid: range(-5000, 5000),
    odd: range(0, 800),
    index: { ...linear(2), share: largeParallax },
    also: ['plx'],
  }),
  parallax_error: number(24, 'mas', 'stat.error;pos.parallax.trig', 'standard error of the parallax', {
    valid: range(0, 5000),
    odd: range(0, 50),
    also: ['plx_error', 'e_plx'],
  }),
  dist_pc: number(25, 'pc', 'pos.distance', 'distance from the Sun', {
    valid: range(0, 1e9),
    odd: range(0, 3e4),
    index: { ...log(16), share: near },
    also: ['dist', 'distance'],
  }),
  x_pc: cartesian(26, 'x', 'towards right ascension 0°, declination 0°'),
  y_pc: cartesian(27, 'y', 'towards right ascension 90°, declination 0°'),
  z_pc: cartesian(28, 'z', 'towards declination +90°'),
  pmra: number(29, 'mas/yr', 'pos.pm;pos.eq.ra', 'proper motion in right ascension, times cos δ', {
    valid: range(-20_000, 20_000),
    odd: range(-10_400, 10_400),
    index: linear(20),
  }),
  pmdec: number(30, 'mas/yr', 'pos.pm;pos.eq.dec', 'proper motion in declination', {
    valid: range(-20_000, 20_000),
    odd: range(-10_400, 10_400),
    index: linear(20),
    also: ['pmde'],
  }),
  rv: number(31, 'km/s', 'spect.dopplerVeloc', 'radial velocity, away from us positive', {
    valid: range(-299_792.458, 299_792.458),
    odd: range(-1000, 1000),
    index: linear(10),
    also: ['radial_velocity'],
  }),
  mag_v: magnitude(40, 'em.opt.V', 'apparent magnitude in V', ['mag', 'vmag', 'v']),
  mag_b: magnitude(41, 'em.opt.B', 'apparent magnitude in B', ['bmag']),
  mag_g: magnitude(42, 'em.opt', 'apparent magnitude in Gaia G', ['gmag']),
  mag_bp: magnitude(43, 'em.opt.B', 'apparent magnitude in Gaia BP', ['bpmag']),
  mag_rp: magnitude(44, 'em.opt.R', 'apparent magnitude in Gaia RP', ['rpmag']),
  mag_j: magnitude(45, 'em.IR.J', 'apparent magnitude in J', ['jmag']),
  mag_h: magnitude(46, 'em.IR.H', 'apparent magnitude in H', ['hmag']),
  mag_k: magnitude(47, 'em.IR.K', 'apparent magnitude in K', ['kmag']),
  abs_mag: number(48, 'mag', 'phys.magAbs;em.opt.V', 'absolute magnitude in V', {
    valid: range(-40, 50),
    odd: range(-12, 30),
    index: linear(0.5),
    also: ['absmag', 'absolute_magnitude'],
  }),
  bv: number(49, 'mag', 'phot.color;em.opt.B;em.opt.V', 'colour B−V', {
    valid: range(-10, 20),
    odd: range(-0.7, 7),
    index: linear(0.1),
    also: ['ci', 'b_v'],
  }),
  bp_rp: number(50, 'mag', 'phot.color;em.opt.B;em.opt.R', 'Gaia colour BP−RP', {
    valid: range(-10, 20),
    odd: range(-1, 9),
    index: linear(0.1),
  }),
  spectral_type: text(60, 'src.spType', 'spectral type as the catalogue writes it', {
    index: { kind: 'prefix', lengthMax: 3 },
    also: ['spect', 'sptype', 'sp_type', 'spectral'],
  }),
  class: text(61, 'src.spType', 'letter of the spectral class: O B A F G K M L T Y, W C S N D', {
    index: { kind: 'equal' },
    also: ['spectral_class'],
  }),
  luminosity_class: text(62, 'src.class.luminosity', 'luminosity class: 0 Ia Iab Ib II III IV V VI', {
    index: { kind: 'equal' },
    also: ['lum_class'],
  }),
  teff_k: number(70, 'K', 'phys.temperature.effective', 'effective temperature', {
    valid: range(1, 1e7),
    odd: range(200, 300_000),
    index: log(64),
    also: ['teff', 'temperature'],
  }),
  logg: number(71, 'dex', 'phys.gravity', 'surface gravity, log10 of cm/s²', {
    valid: range(-10, 20),
    odd: range(-2, 10),
    index: linear(0.25),
  }),
  mass: number(72, 'Msun', 'phys.mass', 'mass', {
    valid: range(0, 1e5),
    odd: range(0.001, 300),
    index: log(32),
    also: ['mass_msun'],
  }),
  radius: number(73, 'Rsun', 'phys.size.radius', 'radius', {
    valid: range(0, 1e5),
    odd: range(0.0005, 2500),
    index: log(32),
    also: ['radius_rsun'],
  }),
  luminosity: number(74, 'Lsun', 'phys.luminosity', 'luminosity', {
    valid: range(0, 1e10),
    odd: range(1e-9, 1e7),
    index: log(16),
    also: ['lum', 'luminosity_lsun'],
  }),
  feh: number(75, 'dex', 'phys.abund.Z', 'metallicity [Fe/H]', {
    valid: range(-20, 20),
    odd: range(-7, 1.5),
    index: linear(0.1),
    also: ['metallicity', 'metallicity_dex'],
  }),
  age: number(76, 'Gyr', 'time.age', 'age', {
    valid: range(0, 1000),
    odd: range(0, 15),
    index: linear(0.5),
    also: ['age_gyr'],
  }),
  n_stars: count(80, 'stars of the system', 10, ['stars']),
  n_planets: count(81, 'known planets of the system', 12, ['planets']),
  hz_candidate: {
    id: 82,
    type: 'flag',
    unit: '',
    ucd: 'meta.code',
    about: 'a planet may be in the habitable zone, says the catalogue',
    index: { kind: 'equal' },
    also: ['hz', 'habitable'],
  },
  constellation: text(83, 'meta.id', 'IAU abbreviation of the constellation', {
    index: { kind: 'equal' },
    also: ['con'],
  }),
  /** Where the codes of sky and space cells live; no values of their own. */
  sky: {
    id: 100,
    type: 'cell',
    unit: '',
    ucd: 'pos.healpix',
    about: 'sky cell of ra and dec',
    index: { kind: 'cell' },
  },
  space: { id: 101, type: 'cell', unit: '', ucd: 'pos.cartesian', about: 'cube of x, y, z', index: { kind: 'cell' } },
} as const satisfies Record<string, FieldSpec>;

type Specs = typeof specs;
type AnyName = keyof Specs;
type OfType<T extends FieldSpec['type']> = { [N in AnyName]: T extends Specs[N]['type'] ? N : never }[AnyName];

export type CellField = 'sky' | 'space';
export type FieldName = Exclude<AnyName, CellField>;
export type { OfType };

export const fieldTable: Readonly<Record<AnyName, FieldSpec>> = specs;

/** Every field a record may have a value for, in the order of the table. */
export const fieldNames: readonly FieldName[] = (Object.keys(specs) as AnyName[]).filter(
  (name): name is FieldName => name !== 'sky' && name !== 'space',
);

const byWord: ReadonlyMap<string, FieldName> = new Map(
  fieldNames.flatMap((name) =>
    [name, ...(fieldTable[name].also ?? [])].map((word): [string, FieldName] => [word, name]),
  ),
);

/** The field meant by a word of a query or of `--map`, whatever its case; undefined when there is none. */
export const fieldOf = (word: string): FieldName | undefined => byWord.get(word.toLowerCase());

export const fieldWords: readonly string[] = [...byWord.keys()];

export const isInRange = (value: number, { min, max, open }: Range): boolean =>
  value >= min && (open === true ? value < max : value <= max);

/** `[0, 360)`, `[-90, 90]`: for messages. */
export const rangeText = ({ min, max, open }: Range): string => `[${min}, ${max}${open === true ? ')' : ']'}`;
