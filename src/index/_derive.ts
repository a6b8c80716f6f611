// Values that follow from others: distance, cartesian coordinates, absolute magnitude, class, counts, identifiers.
// A value of the record is never replaced; each derived one states its formula. Distance follows from a parallax only
// when it is more than five times its error: below that 1/parallax is biased (Bailer-Jones 2015, PASP 127, 994).
// What is derived is rounded here, where it is made, to what catalogues know: so it is compared, ordered, indexed and
// printed as one and the same number.
import { type FieldName, fieldTable, isInRange } from './fields.ts';
import { parseSpectralType } from './spectral.ts';
import type { Value } from './star-system.ts';

export type Values = Partial<Record<FieldName, Value>>;
export type Sources = Partial<Record<FieldName, string>>;

const radians = Math.PI / 180;

/** More digits than any parallax or magnitude has; the noise of binary fractions begins at the sixteenth. */
const significantDigits = 7;
/** Power of ten that directions are rounded to: 1e-6° is 3.6 mas, finer than coordinates in parsecs tell. */
const directionPower = -6;

/** 1, 10 … 1e22: all of these are exact in a double, which makes quotients by them print short. */
const powers: readonly number[] = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));

/** To a multiple of 10^power; as it is when the power is beyond the table. */
const roundTo = (value: number, power: number): number => {
  const scale = powers[Math.abs(power)];
  if (scale === undefined) return value;
  // + 0 makes 0 of −0.
  return (power <= 0 ? Math.round(value * scale) / scale : Math.round(value / scale) * scale) + 0;
};

/** To seven digits of `size`: coordinates all end where their distance does, so cos 90° is 0 and not 6e-17. */
const roundLike = (value: number, size: number): number =>
  roundTo(value, Math.floor(Math.log10(Math.abs(size))) + 1 - significantDigits);

/** Parallax over error above which the inverse is a distance. */
const parallaxOverErrorMin = 5;

const numberIn = (values: Values, field: FieldName): number | undefined => {
  const value = values[field];
  return typeof value === 'number' ? value : undefined;
};

/** Cartesian coordinates in the unit of `distance`; x to (0°, 0°), y to (90°, 0°), z to the north pole. */
const toCartesian = (ra: number, dec: number, distance: number): readonly [number, number, number] => {
  const flat = distance * Math.cos(dec * radians);
  return [flat * Math.cos(ra * radians), flat * Math.sin(ra * radians), distance * Math.sin(dec * radians)];
};

const deriveDistance = (values: Values, set: (field: FieldName, value: Value, source: string) => void): void => {
  if (values.dist_pc !== undefined) return;
  const [x, y, z] = [numberIn(values, 'x_pc'), numberIn(values, 'y_pc'), numberIn(values, 'z_pc')];
  if (x !== undefined && y !== undefined && z !== undefined) {
    const distance = Math.hypot(x, y, z);
    set('dist_pc', roundLike(distance, distance), '√(x_pc² + y_pc² + z_pc²)');
    return;
  }
  const parallax = numberIn(values, 'parallax');
  const error = numberIn(values, 'parallax_error');
  if (parallax === undefined || error === undefined || error <= 0) return;
  if (parallax / error > parallaxOverErrorMin) {
    set('dist_pc', roundLike(1000 / parallax, 1000 / parallax), '1000 / parallax, as parallax / parallax_error > 5');
  }
};

const deriveDirection = (values: Values, set: (field: FieldName, value: Value, source: string) => void): void => {
  const [x, y, z] = [numberIn(values, 'x_pc'), numberIn(values, 'y_pc'), numberIn(values, 'z_pc')];
  const complete = x !== undefined && y !== undefined && z !== undefined;
  const [ra, dec] = [numberIn(values, 'ra'), numberIn(values, 'dec')];
  if (complete && ra === undefined && dec === undefined && Math.hypot(x, y, z) > 0) {
    const degrees = Math.atan2(y, x) / radians;
    const turned = roundTo(degrees < 0 ? degrees + 360 : degrees, directionPower);
    // Just below 360 is 360 now: the range is half open, so it is 0.
    set('ra', turned >= 360 ? 0 : turned, 'atan2(y_pc, x_pc)');
    set('dec', roundTo(Math.atan2(z, Math.hypot(x, y)) / radians, directionPower), 'atan2(z_pc, √(x_pc² + y_pc²))');
  }
  const distance = numberIn(values, 'dist_pc');
  if (complete || ra === undefined || dec === undefined || distance === undefined) return;
  const at = toCartesian(ra, dec, distance);
  (['x_pc', 'y_pc', 'z_pc'] as const).forEach((field, axis) => {
    // One or two axes of three say nothing, and would not fit the ones that follow.
    delete values[field];
    set(field, roundLike(at[axis] ?? 0, distance), 'from ra, dec and dist_pc');
  });
};

/** Fills in what follows; `sources` gets the formula of each value that was added. */
export const derive = (values: Values, sources: Sources): void => {
  const set = (field: FieldName, value: Value, source: string): void => {
    const { valid } = fieldTable[field];
    if (values[field] !== undefined) return;
    if (typeof value === 'number' && (!Number.isFinite(value) || (valid && !isInRange(value, valid)))) return;
    values[field] = value;
    sources[field] = source;
  };
  deriveDistance(values, set);
  deriveDirection(values, set);
  const magnitude = numberIn(values, 'mag_v');
  const distance = numberIn(values, 'dist_pc');
  if (magnitude !== undefined && distance !== undefined && distance > 0) {
    const absolute = magnitude + 5 - 5 * Math.log10(distance);
    set('abs_mag', roundLike(absolute, Math.max(1, Math.abs(absolute))), 'mag_v + 5 − 5 log10(dist_pc)');
  }
  if (typeof values.spectral_type === 'string') {
    const { letter, luminosity } = parseSpectralType(values.spectral_type);
    if (letter !== undefined) set('class', letter, 'first letter of spectral_type');
    if (luminosity !== undefined) set('luminosity_class', luminosity, 'from spectral_type');
  }
};
