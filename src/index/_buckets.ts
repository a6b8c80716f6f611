// Buckets of numbers: monotone, so that a range of values is a range of buckets, and bounded by the field's odd range:
// what lies beyond falls into the first or last bucket.
import { type BucketSpec, type FieldName, fieldTable } from './fields.ts';

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

/** The bucket of a value, an integer of at most 32 bits; infinities stand for open ends. */
export const bucketOf = ({ spec, min, max }: Bucketed, value: number): number => {
  const bounded = Math.min(Math.max(value, min), max);
  if (spec.scale === 'linear') return Math.floor(bounded / spec.step);
  return Math.floor(Math.log10(Math.max(bounded, smallest)) * spec.step);
};

/** A guess at the part of the records in [low, high], for want of counts: its part of the buckets, or a better one. */
export const bucketShare = (buckets: Bucketed, low: number, high: number): number => {
  const all = bucketOf(buckets, buckets.max) - bucketOf(buckets, buckets.min) + 1;
  const part = Math.min(1, Math.max(0, (bucketOf(buckets, high) - bucketOf(buckets, low) + 1) / all));
  return Math.min(1, Math.max(0, buckets.spec.share?.(low, high, part) ?? part));
};
