// Index codes: what is stored of a record so that it can be found, and what a predicate asks for.
// The promise: a record that a predicate accepts has at least one code in the predicate's cover. The other way round
// nothing is promised: codes give candidates, the exact test runs on the record (matcher.ts).
//
//   code, 48 bits : field 9 | kind 3 | value 36
//
// So the values of a field lie side by side in their order, and a range of values, a part of the sky or of space is a
// few ranges of codes. Texts are hashed: no order is kept of them.
import { limits } from '../model/limits.ts';
import { bucketFields, bucketShare, bucketsOf, bucketOf } from './_buckets.ts';
import { skyCell } from './_healpix.ts';
import { type CellRange, coverSky, skyOrder, type Touches, touchesBox, touchesCone } from './_sky-covers.ts';
import { coverSphere, spaceCell } from './_space-cells.ts';
import { type FieldName, fieldNames, fieldTable, typicalRadius } from './fields.ts';
import { normaliseSpectralType } from './spectral.ts';
import type { StarSystem } from './star-system.ts';

const codeKinds = { equal: 1, bucket: 2, cell: 3, prefix: 4, name: 5 } as const;
type Kind = keyof typeof codeKinds;

/** An integer below 2^48. */
export type Code = number;

/** Codes from … to, both ends included. */
export interface CodeRange {
  readonly from: Code;
  readonly to: Code;
}

/** Codes that hold every match, ascending and apart, and a guess at the part of all records they stand for. */
export interface Cover {
  readonly ranges: readonly CodeRange[];
  readonly share: number;
}

const valueLimit = 2 ** 36;
const codeOf = (id: number, kind: Kind, value: number): Code => (id * 8 + codeKinds[kind]) * valueLimit + value;

/** Id of the field that a code is of. */
export const fieldOf = (code: Code): number => Math.floor(code / (8 * valueLimit));

/** Ranges in ascending order, those that touch in one. */
export const mergeRanges = (ranges: readonly CodeRange[]): CodeRange[] => {
  const merged: CodeRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    const before = merged.at(-1);
    if (before && range.from <= before.to + 1) {
      merged[merged.length - 1] = { from: before.from, to: Math.max(before.to, range.to) };
    } else {
      merged.push(range);
    }
  }
  return merged;
};

/** Buckets are signed integers of 32 bits. */
const bucketZero = 2 ** 31;

/** FNV-1a over UTF-16 units and MurmurHash3's last mix: spreads well, and what collides only adds candidates. */
const hashText = (text: string): number => {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
};

const equalFields = fieldNames.filter((field) => fieldTable[field].index?.kind === 'equal');
const prefixMax = fieldTable.spectral_type.index?.kind === 'prefix' ? fieldTable.spectral_type.index.lengthMax : 0;

const nameCode = (key: string): Code => codeOf(fieldTable.name.id, 'name', hashText(key));
const equalCode = (field: FieldName, value: string | boolean): Code =>
  codeOf(fieldTable[field].id, 'equal', typeof value === 'boolean' ? Number(value) : hashText(value));
const prefixCode = (prefix: string): Code => codeOf(fieldTable.spectral_type.id, 'prefix', hashText(prefix));

/** Every code of a record, without repeats but for texts that collide. */
export const codesOf = ({ values, nameKeys }: StarSystem): Code[] => {
  const codes: Code[] = nameKeys.map(nameCode);
  const { ra, dec, x_pc: x, y_pc: y, z_pc: z, spectral_type: type } = values;
  if (typeof ra === 'number' && typeof dec === 'number') {
    codes.push(codeOf(fieldTable.sky.id, 'cell', skyCell(skyOrder, ra, dec)));
  }
  if (typeof x === 'number' && typeof y === 'number' && typeof z === 'number') {
    codes.push(codeOf(fieldTable.space.id, 'cell', spaceCell(x, y, z)));
  }
  for (const field of bucketFields) {
    const value = values[field];
    const buckets = bucketsOf(field);
    if (typeof value !== 'number' || !buckets) continue;
    codes.push(codeOf(fieldTable[field].id, 'bucket', bucketZero + bucketOf(buckets, value)));
  }
  for (const field of equalFields) {
    const value = values[field];
    if (typeof value === 'string' || typeof value === 'boolean') codes.push(equalCode(field, value));
  }
  if (typeof type === 'string') {
    const plain = normaliseSpectralType(type);
    for (let length = 1; length <= Math.min(prefixMax, plain.length); length++)
      codes.push(prefixCode(plain.slice(0, length)));
  }
  return codes;
};

/** Guesses at the part of a large catalogue that has one value; only their order matters, for choosing a cover. */
const shares = {
  name: 1e-7,
  identifier: 1e-7,
  constellation: 1 / 88,
  class: 0.15,
  luminosityClass: 0.3,
  flag: 0.01,
} as const;

const only = (code: Code): CodeRange[] => [{ from: code, to: code }];

/** Records of `field` with exactly this value, in its one spelling; undefined when the field is not indexed so. */
export const coverEqual = (field: FieldName, value: string | boolean): Cover | undefined => {
  if (fieldTable[field].index?.kind !== 'equal') return undefined;
  const share =
    field === 'class'
      ? shares.class
      : field === 'luminosity_class'
        ? shares.luminosityClass
        : field === 'constellation'
          ? shares.constellation
          : value === true
            ? shares.flag
            : value === false
              ? 1
              : shares.identifier;
  return { ranges: only(equalCode(field, value)), share };
};

/** Records one of whose names has this key. */
export const coverName = (key: string): Cover => ({ ranges: only(nameCode(key)), share: shares.name });

/** Records whose spectral type begins so (normalised); a longer prefix is covered by its first letters. */
export const coverPrefix = (prefix: string): Cover | undefined => {
  if (prefix === '') return undefined;
  const known = prefix.slice(0, prefixMax);
  return { ranges: only(prefixCode(known)), share: 0.15 / 5 ** (known.length - 1) };
};

/** Records whose value lies in [low, high]; infinities leave an end open. Undefined when the field has no buckets. */
export const coverRange = (field: FieldName, low: number, high: number): Cover | undefined => {
  const buckets = bucketsOf(field);
  if (!buckets) return undefined;
  if (low > high) return { ranges: [], share: 0 };
  const border = (value: number): Code => codeOf(fieldTable[field].id, 'bucket', bucketZero + bucketOf(buckets, value));
  return { ranges: [{ from: border(low), to: border(high) }], share: bucketShare(buckets, low, high) };
};

const rangesOf = (id: number, cells: readonly CellRange[]): CodeRange[] =>
  cells.map(({ from, to }) => ({ from: codeOf(id, 'cell', from), to: codeOf(id, 'cell', to) }));

const coverRegion = (touches: Touches, share: number): Cover => ({
  ranges: rangesOf(fieldTable.sky.id, coverSky(touches, limits.queryCellsMax)),
  share,
});

/** Records within `radius` degrees of a point. */
export const coverCone = (ra: number, dec: number, radius: number): Cover =>
  coverRegion(touchesCone(ra, dec, radius), (1 - Math.cos((Math.min(radius, 180) * Math.PI) / 180)) / 2);

/** Records in a box of right ascension (eastward, across 0° when `raFrom` > `raTo`) and declination. */
export const coverBox = (raFrom: number, raTo: number, decFrom: number, decTo: number): Cover => {
  if (decFrom > decTo) return { ranges: [], share: 0 };
  const width = raFrom <= raTo ? raTo - raFrom : raTo - raFrom + 360;
  const height = Math.sin((decTo * Math.PI) / 180) - Math.sin((decFrom * Math.PI) / 180);
  return coverRegion(touchesBox(raFrom, raTo, decFrom, decTo), ((width / 360) * height) / 2);
};

/** Records within `radius` pc of a point in space. */
export const coverNear = (centre: readonly [number, number, number], radius: number): Cover => ({
  ranges: rangesOf(fieldTable.space.id, coverSphere(centre, radius, limits.queryCellsMax)),
  share: Math.min(1, (radius / typicalRadius) ** 3),
});
