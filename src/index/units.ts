// Units of star-system data and the numbers people write with them: `10ly`, `30 arcmin`, `06:45:08.9`, `-16°42′58″`.
// A unit belongs to one dimension; a number changes its unit only within it. Nothing here knows fields or columns.

interface UnitRow {
  readonly dimension: string;
  /** How many of the dimension's base unit it is. */
  readonly factor: number;
}

const unit = (dimension: string, factor: number): UnitRow => ({ dimension, factor });

/** IAU 2012 B2: au = 149,597,870,700 m; IAU 2015 B2: pc = 648000/π au. A light year is 365.25 d at c. */
const pcInMetres = (149_597_870_700 * 648_000) / Math.PI;
/** IAU 2015 B3 nominal values; masses by the ratios of their nominal GM. */
const sunRadiusMetres = 695_700_000;
const sunGm = 1.327_124_4e20;

const table = {
  pc: unit('length', 1),
  kpc: unit('length', 1e3),
  Mpc: unit('length', 1e6),
  ly: unit('length', 9_460_730_472_580_800 / pcInMetres),
  au: unit('length', 149_597_870_700 / pcInMetres),
  deg: unit('angle', 1),
  arcmin: unit('angle', 1 / 60),
  arcsec: unit('angle', 1 / 3600),
  mas: unit('angle', 1 / 3_600_000),
  rad: unit('angle', 180 / Math.PI),
  hour: unit('angle', 15),
  'mas/yr': unit('proper motion', 1),
  'arcsec/yr': unit('proper motion', 1000),
  'km/s': unit('velocity', 1),
  'm/s': unit('velocity', 1e-3),
  mag: unit('brightness', 1),
  K: unit('temperature', 1),
  Msun: unit('mass', 1),
  Mjup: unit('mass', 1.266_865_3e17 / sunGm),
  Mearth: unit('mass', 3.986_004e14 / sunGm),
  Rsun: unit('radius', 1),
  Rjup: unit('radius', 71_492_000 / sunRadiusMetres),
  Rearth: unit('radius', 6_378_100 / sunRadiusMetres),
  Lsun: unit('luminosity', 1),
  dex: unit('abundance', 1),
  Gyr: unit('age', 1),
  Myr: unit('age', 1e-3),
  yr: unit('epoch', 1),
  '': unit('number', 1),
} as const satisfies Record<string, UnitRow>;

export type Unit = keyof typeof table;

/** Other ways to write a unit, in lower case. `'` and `"` are not among them: they quote texts in queries. */
const spellings: ReadonlyMap<string, Unit> = new Map<string, Unit>([
  ...(Object.keys(table) as Unit[]).map((name): [string, Unit] => [name.toLowerCase(), name]),
  ...Object.entries({
    deg: ['degree', 'degrees', '°', 'd'],
    arcmin: ['arcminute', 'arcminutes', '′'],
    arcsec: ['arcsecond', 'arcseconds', '″', 'as'],
    rad: ['radian', 'radians'],
    hour: ['h', 'hours', 'hourangle'],
    pc: ['parsec', 'parsecs'],
    ly: ['lyr', 'lightyear', 'lightyears', 'light-year', 'light-years'],
    'mas/yr': ['mas/year', 'mas/a', 'mas.yr-1', 'mas.yr**-1', 'mas yr-1'],
    'arcsec/yr': ['"/yr', 'as/yr', 'arcsec/a'],
    'km/s': ['km.s-1', 'km s-1', 'km.s**-1'],
    'm/s': ['m.s-1', 'm s-1'],
    K: ['kelvin'],
    Msun: ['m☉', 'solmass', 'm_sun'],
    Rsun: ['r☉', 'solrad', 'r_sun'],
    Lsun: ['l☉', 'sollum', 'l_sun'],
    Mjup: ['m_jup', 'mj', 'jupitermass'],
    Rjup: ['r_jup', 'rj', 'jupiterrad'],
    yr: ['year', 'years', 'jyear', 'a'],
  }).flatMap(([name, others]) => others.map((other): [string, Unit] => [other, name as Unit])),
]);

/** The unit meant by `text`, whatever its case; undefined when there is none. */
export const parseUnit = (text: string): Unit | undefined =>
  text === '' ? undefined : spellings.get(text.trim().toLowerCase());

export const dimensionOf = (name: Unit): string => table[name].dimension;

/** The units a number of `name` can be given in, for messages. */
export const unitsLike = (name: Unit): Unit[] =>
  (Object.keys(table) as Unit[]).filter((other) => table[other].dimension === table[name].dimension && other !== '');

/** `value` in another unit of its dimension; undefined when the dimensions differ. The same unit changes no bit. */
export const convert = (value: number, from: Unit, to: Unit): number | undefined => {
  if (from === to) return value;
  const source = table[from];
  const target = table[to];
  return source.dimension === target.dimension ? (value * source.factor) / target.factor : undefined;
};

const plainNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;

/** A decimal number as catalogues write it, in full; undefined for anything else, infinities and hexadecimals too. */
export const parseNumber = (text: string): number | undefined => {
  // Minus signs of typesetters come with copied tables.
  const plain = text.charCodeAt(0) === 0x2212 ? `-${text.slice(1)}` : text;
  if (plain.length > 40 || !plainNumber.test(plain)) return undefined;
  const value = Number(plain);
  return Number.isFinite(value) ? value : undefined;
};

/** Sign, hours or degrees with their mark, minutes, seconds. */
const sexagesimal = new RegExp(
  '^([+-])?(\\d{1,3})(?:([hd°])|[:\\s])\\s*' +
    "(\\d{1,2}(?:\\.\\d+)?)(?:[m′']|[:\\s]|$)\\s*" +
    "(?:(\\d{1,2}(?:\\.\\d+)?)\\s*(?:s|″|\"|'')?)?$",
  'i',
);

/**
 * Degrees of an angle in hours or degrees, minutes and seconds: `06:45:08.9`, `06 45 08.9`, `6h45m8.9s`, `-16d42m58s`,
 * `-16°42′58″`. Letters decide; colons and spaces mean `colons`. Undefined for plain numbers and for anything else.
 */
export const parseSexagesimal = (text: string, colons: 'hours' | 'degrees'): number | undefined => {
  if (text.length > 40) return undefined;
  const match = sexagesimal.exec(text.trim().replace(/^\u2212/, '-'));
  if (!match) return undefined;
  const [, sign, whole, letter, minuteText = '0', secondText = '0'] = match;
  const minutes = Number(minuteText);
  const seconds = Number(secondText);
  // 60 appears where tables round; a fraction of minutes leaves no room for seconds.
  if (minutes > 60 || seconds > 60 || (minuteText.includes('.') && match[5] !== undefined)) return undefined;
  const total = Number(whole) + minutes / 60 + seconds / 3600;
  const hours = letter === undefined ? colons === 'hours' : letter.toLowerCase() === 'h';
  // The sign is taken from the text: −00:30 is below zero although its degrees are not.
  return (sign === '-' ? -1 : 1) * total * (hours ? 15 : 1);
};

export interface Quantity {
  readonly value: number;
  readonly unit: Unit | undefined;
}

/** `10ly`, `2.5 deg`, `6`: a number with an optional unit behind it; undefined when it is neither. */
export const parseQuantity = (text: string): Quantity | undefined => {
  const match = /^([+\u2212-]?[\d.]+(?:[eE][+-]?\d{1,3})?)\s*(\D.*)?$/.exec(text.trim());
  const value = parseNumber(match?.[1] ?? '');
  if (value === undefined) return undefined;
  const unitText = match?.[2];
  if (unitText === undefined) return { value, unit: undefined };
  const found = parseUnit(unitText);
  return found === undefined ? undefined : { value, unit: found };
};
