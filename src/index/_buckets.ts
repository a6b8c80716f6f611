// Buckets of numbers: monotone, so that a range of values is a range of buckets, and bounded by the field's odd range:
// what lies beyond falls into the first or last bucket. Sixteen fine buckets make a coarse one; both are indexed, so
// that a wide range needs few codes.
import { type BucketSpec, type FieldName, fieldTable } from './fields.ts';

export const fineLevel = 0;
export const coarseLevel = 1;
const finePerCoarse = 16;

/** Zero and less have no logarithm: they share the bucket of the smallest value. */
const smallest = 1e-12;

export interface Bucketed {
  readonly spec: BucketSpec;
  readonly min: number;
  readonly max: number;
}

const bucketed: ReadonlyMap<FieldName, Bucketed> = new Map(
  (Object.keys(fieldTable) as FieldName[]).flatMap((field): [FieldName, Bucketed][] => {
    const { index, odd, valid } = fieldTable[field];
    const bounds = odd ?? valid;
    return index?.kind === 'bucket' && bounds ? [[field, { spec: index, min: bounds.min, max: bounds.max }]] : [];
  }),
);

/** How a field is bucketed; undefined when it is not. */
export const bucketsOf = (field: FieldName): Bucketed | undefined => bucketed.get(field);

/** Every field with buckets. */
export const bucketFields: readonly FieldName[] = [...bucketed.keys()];

/** The fine bucket of a value; infinities stand for open ends. */
export const fineBucket = ({ spec, min, max }: Bucketed, value: number): number => {
  const bounded = Math.min(Math.max(value, min), max);
  if (spec.scale === 'linear') return Math.floor(bounded / spec.step);
  return Math.floor(Math.log10(Math.max(bounded, smallest)) * spec.step);
};

export const coarseBucket = (fine: number): number => Math.floor(fine / finePerCoarse);

export interface BucketRange {
  readonly level: number;
  readonly code: number;
}

/** Buckets that hold every value of [low, high]; undefined when more than `most` are needed. */
export const coverBuckets = (
  buckets: Bucketed,
  low: number,
  high: number,
  most: number,
): readonly BucketRange[] | undefined => {
  const first = fineBucket(buckets, low);
  const last = fineBucket(buckets, high);
  const codes: BucketRange[] = [];
  for (let fine = first; fine <= last; ) {
    // Open ends may as well take a whole coarse bucket: nothing lies beyond.
    const wholeAhead = fine % finePerCoarse === 0 || (fine === first && low === Number.NEGATIVE_INFINITY);
    const coarse = coarseBucket(fine);
    const next = (coarse + 1) * finePerCoarse;
    if (wholeAhead && (next - 1 <= last || high === Number.POSITIVE_INFINITY)) {
      codes.push({ level: coarseLevel, code: coarse });
      fine = next;
    } else {
      codes.push({ level: fineLevel, code: fine });
      fine += 1;
    }
    if (codes.length > most) return undefined;
  }
  return codes;
};

/** Part of the buckets that [low, high] takes: a guess at the part of records, for want of counts. */
export const bucketShare = (buckets: Bucketed, low: number, high: number): number => {
  const all = fineBucket(buckets, buckets.max) - fineBucket(buckets, buckets.min) + 1;
  return Math.min(1, Math.max(0, (fineBucket(buckets, high) - fineBucket(buckets, low) + 1) / all));
};
