// Index codes: what is stored of a record so that it can be found, and what a predicate asks for.
// The promise: a record that a predicate accepts has at least one code of the predicate's cover. The other way round
// nothing is promised: codes give candidates, the exact test runs on the record (matcher.ts). Keyed tokens and hashes
// of texts ("opera/name/v1") are made from codes elsewhere.
import { limits } from '../model/limits.ts';
import {
  bucketFields,
  bucketShare,
  bucketsOf,
  coarseBucket,
  coarseLevel,
  coverBuckets,
  fineBucket,
  fineLevel,
} from './_buckets.ts';
import { skyCell } from './_healpix.ts';
import { coverSky, skyOrders, type Touches, touchesBox, touchesCone } from './_sky-covers.ts';
import { coverSphere, spaceCell, spaceLevels } from './_space-cells.ts';
import { type FieldName, fieldNames, fieldTable } from './fields.ts';
import { normaliseSpectralType } from './spectral.ts';
import type { StarSystem } from './star-system.ts';

/** Numbers of kinds are stored in tokens (formats.md). */
export const codeKinds = { equal: 1, bucket: 2, cell: 3, prefix: 4, name: 5 } as const;

export interface Code {
  /** Id of the field. */
  readonly field: number;
  readonly kind: (typeof codeKinds)[keyof typeof codeKinds];
  /** bucket: 0 fine, 1 coarse; cell: order or log2 of the edge; prefix: length; else 0. */
  readonly level: number;
  /** An integer below 2^53, or a text that is hashed before it is stored. */
  readonly code: number | string;
}

/** Codes that hold every match, and a guess at the part of all records they stand for. */
export interface Cover {
  readonly codes: readonly Code[];
  readonly share: number;
}

/** As a key of maps and sets. */
export const codeKey = ({ field, kind, level, code }: Code): string => `${field}/${kind}/${level}/${code}`;

const equalFields = fieldNames.filter((field) => fieldTable[field].index?.kind === 'equal');
const prefixMax = fieldTable.spectral_type.index?.kind === 'prefix' ? fieldTable.spectral_type.index.lengthMax : 0;

const skyCode = (level: number, code: number): Code => ({
  field: fieldTable.sky.id,
  kind: codeKinds.cell,
  level,
  code,
});
const spaceCode = (level: number, code: number): Code => ({
  field: fieldTable.space.id,
  kind: codeKinds.cell,
  level,
  code,
});
const nameCode = (key: string): Code => ({ field: fieldTable.name.id, kind: codeKinds.name, level: 0, code: key });
const equalCode = (field: FieldName, value: string | boolean): Code => ({
  field: fieldTable[field].id,
  kind: codeKinds.equal,
  level: 0,
  code: typeof value === 'boolean' ? Number(value) : value,
});
const prefixCode = (prefix: string): Code => ({
  field: fieldTable.spectral_type.id,
  kind: codeKinds.prefix,
  level: prefix.length,
  code: prefix,
});

/** Every code of a record, without repeats. */
export const codesOf = ({ values, nameKeys }: StarSystem): Code[] => {
  const codes: Code[] = nameKeys.map(nameCode);
  const { ra, dec, x_pc: x, y_pc: y, z_pc: z, spectral_type: type } = values;
  if (typeof ra === 'number' && typeof dec === 'number') {
    for (const order of skyOrders) codes.push(skyCode(order, skyCell(order, ra, dec)));
  }
  if (typeof x === 'number' && typeof y === 'number' && typeof z === 'number') {
    for (const level of spaceLevels) codes.push(spaceCode(level, spaceCell(level, x, y, z)));
  }
  for (const field of bucketFields) {
    const value = values[field];
    const buckets = bucketsOf(field);
    if (typeof value !== 'number' || !buckets) continue;
    const fine = fineBucket(buckets, value);
    const { id } = fieldTable[field];
    codes.push({ field: id, kind: codeKinds.bucket, level: fineLevel, code: fine });
    codes.push({ field: id, kind: codeKinds.bucket, level: coarseLevel, code: coarseBucket(fine) });
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
  return { codes: [equalCode(field, value)], share };
};

/** Records one of whose names has this key. */
export const coverName = (key: string): Cover => ({ codes: [nameCode(key)], share: shares.name });

/** Records whose spectral type begins so (normalised); a longer prefix is covered by its first letters. */
export const coverPrefix = (prefix: string): Cover | undefined => {
  if (prefix === '') return undefined;
  const known = prefix.slice(0, prefixMax);
  return { codes: [prefixCode(known)], share: 0.15 / 5 ** (known.length - 1) };
};

/** Records whose value lies in [low, high]; infinities leave an end open. Undefined when it takes too many. */
export const coverRange = (field: FieldName, low: number, high: number): Cover | undefined => {
  const buckets = bucketsOf(field);
  if (!buckets) return undefined;
  if (low > high) return { codes: [], share: 0 };
  const { id } = fieldTable[field];
  const ranges = coverBuckets(buckets, low, high, limits.queryCodesMax);
  return (
    ranges && {
      codes: ranges.map((range) => ({ field: id, kind: codeKinds.bucket, ...range })),
      share: bucketShare(buckets, low, high),
    }
  );
};

const coverRegion = (touches: Touches, share: number): Cover | undefined => {
  const cover = coverSky(touches, limits.queryCodesMax);
  return cover && { codes: cover.cells.map((cell) => skyCode(cover.order, cell)), share };
};

/** Records within `radius` degrees of a point. */
export const coverCone = (ra: number, dec: number, radius: number): Cover | undefined =>
  coverRegion(touchesCone(ra, dec, radius), (1 - Math.cos((Math.min(radius, 180) * Math.PI) / 180)) / 2);

/** Records in a box of right ascension (eastward, across 0° when `raFrom` > `raTo`) and declination. */
export const coverBox = (raFrom: number, raTo: number, decFrom: number, decTo: number): Cover | undefined => {
  if (decFrom > decTo) return { codes: [], share: 0 };
  const width = raFrom <= raTo ? raTo - raFrom : raTo - raFrom + 360;
  const height = Math.sin((decTo * Math.PI) / 180) - Math.sin((decFrom * Math.PI) / 180);
  return coverRegion(touchesBox(raFrom, raTo, decFrom, decTo), ((width / 360) * height) / 2);
};

/** Half of a large catalogue lies within so many parsecs; a guess as the others. */
const typicalRadius = 500;

/** Records within `radius` pc of a point in space. */
export const coverNear = (centre: readonly [number, number, number], radius: number): Cover | undefined => {
  for (const level of spaceLevels) {
    const cells = coverSphere(level, centre, radius, limits.queryCodesMax);
    if (cells)
      return { codes: cells.map((cell) => spaceCode(level, cell)), share: Math.min(1, (radius / typicalRadius) ** 3) };
  }
  return undefined;
};
