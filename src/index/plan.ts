// From a question to what is asked of the index: which codes to look up, and what remains to be tested. Pure.
// The promise: every record that matches has one of the codes, or the plan is a scan. The remaining test is always the
// whole question (matcher.ts), so a poor plan costs time and never a wrong answer.
import {
  type CodeRange,
  coverBox,
  coverCone,
  coverEqual,
  coverName,
  coverNear,
  coverPrefix,
  coverRange,
  type Cover,
  fieldOf,
  mergeRanges,
} from './codes.ts';
import { bucketsOf } from './_buckets.ts';
import { limits } from '../model/limits.ts';
import { formatCount } from '../model/units.ts';
import { type Expression, expressionText, type Operator } from './expression.ts';
import { type FieldName, fieldTable } from './fields.ts';
import type { Centre, Query } from './query.ts';

export type Access =
  /** Every record is read. */
  | { readonly kind: 'scan' }
  /** Records with at least one code in the ranges, which are ascending and apart. */
  | { readonly kind: 'codes'; readonly ranges: readonly CodeRange[]; readonly share: number }
  /** No record can match. */
  | { readonly kind: 'nothing' };

export interface Plan {
  readonly access: Access;
  /** The exact test that every candidate must pass; undefined accepts all. */
  readonly test: Expression | undefined;
  /** One sentence a line, for --explain. */
  readonly explain: readonly string[];
}

/** Part of the records that a cover's codes stand for, when someone has counted; undefined keeps the guess. */
export type EstimateShare = (ranges: readonly CodeRange[]) => number | undefined;

const flipped: Readonly<Record<Operator, Operator>> = {
  '=': '!=',
  '!=': '=',
  '<': '>=',
  '<=': '>',
  '>': '<=',
  '>=': '<',
};

/** `not` pushed down to the leaves. Exact in three-valued logic: a flipped comparison is unknown where it was. */
export const pushNot = (expression: Expression, negate = false): Expression => {
  switch (expression.kind) {
    case 'and':
    case 'or': {
      const other = expression.kind === 'and' ? 'or' : 'and';
      const kind = negate ? other : expression.kind;
      // Chains become flat, so that both ends of a range meet in one place.
      const parts = expression.parts
        .map((part) => pushNot(part, negate))
        .flatMap((part) => (part.kind === kind ? part.parts : [part]));
      return { kind, parts };
    }
    case 'not':
      return pushNot(expression.part, !negate);
    case 'number':
      return negate ? { ...expression, operator: flipped[expression.operator] } : expression;
    default:
      return negate ? { kind: 'not', part: expression } : expression;
  }
};

interface Interval {
  low: number;
  high: number;
}

/** Values that a comparison allows, borders included; undefined for `!=`, which allows nearly all. */
const intervalOf = (operator: Operator, value: number): Interval | undefined => {
  if (operator === '!=') return undefined;
  return {
    low: operator === '<' || operator === '<=' ? Number.NEGATIVE_INFINITY : value,
    high: operator === '>' || operator === '>=' ? Number.POSITIVE_INFINITY : value,
  };
};

type Candidates = Cover | undefined;

const coverLeaf = (expression: Expression): Candidates => {
  switch (expression.kind) {
    case 'equal':
      // A type as short as an indexed prefix is found with all that begin so; the test leaves the equal ones.
      if (expression.field === 'spectral_type') return coverPrefix(String(expression.value));
      return coverEqual(expression.field, expression.value);
    case 'prefix':
      return expression.field === 'spectral_type' ? coverPrefix(expression.prefix) : undefined;
    case 'name':
      return coverName(expression.key);
    case 'cone':
      return expression.centre.kind === 'sky'
        ? coverCone(expression.centre.ra, expression.centre.dec, expression.radius)
        : undefined;
    case 'box':
      return coverBox(expression.raFrom, expression.raTo, expression.decFrom, expression.decTo);
    case 'near': {
      if (expression.centre.kind !== 'space') return undefined;
      const { x, y, z } = expression.centre;
      return coverNear([x, y, z], expression.radius);
    }
    case 'number': {
      const interval = intervalOf(expression.operator, expression.value);
      return interval && coverRange(expression.field, interval.low, interval.high);
    }
    case 'and':
    case 'or':
    case 'not':
    case 'known':
      return undefined;
  }
};

const nothing: Cover = { ranges: [], share: 0 };

/** Ranges of codes that one question may take: more are no faster than reading everything. */
const rangesMax = 4 * limits.queryCellsMax;

class Planner {
  readonly #estimate: EstimateShare;
  readonly notes: string[] = [];

  constructor(estimate: EstimateShare) {
    this.#estimate = estimate;
  }

  cover(expression: Expression): Candidates {
    if (expression.kind === 'and') return this.#and(expression.parts);
    if (expression.kind === 'or') return this.#or(expression.parts);
    return this.#note(expressionText(expression), this.#counted(coverLeaf(expression)));
  }

  #counted(cover: Candidates): Candidates {
    return cover && { ranges: cover.ranges, share: this.#estimate(cover.ranges) ?? cover.share };
  }

  #note(what: string, cover: Candidates): Candidates {
    const share = ((cover?.share ?? 0) * 100).toPrecision(2);
    const found = cover
      ? `${formatCount(cover.ranges.length, 'range')} of codes, about ${share} % of the records`
      : 'no index';
    this.notes.push(`${what}: ${found}`);
    return cover;
  }

  /** The best of the parts; comparisons of one field are one interval first. */
  #and(parts: readonly Expression[]): Candidates {
    const intervals = new Map<FieldName, Interval>();
    const covers: Candidates[] = [];
    for (const part of parts) {
      const interval = part.kind === 'number' ? intervalOf(part.operator, part.value) : undefined;
      if (part.kind !== 'number' || !interval) {
        covers.push(this.cover(part));
        continue;
      }
      const known = intervals.get(part.field) ?? { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
      intervals.set(part.field, { low: Math.max(known.low, interval.low), high: Math.min(known.high, interval.high) });
    }
    for (const [field, { low, high }] of intervals) {
      if (low > high) {
        this.notes.push(`${field}: no value is at least ${low} and at most ${high}`);
        return nothing;
      }
      covers.push(this.#note(`${field} in [${low}, ${high}]`, this.#counted(coverRange(field, low, high))));
    }
    covers.push(this.#boxOf(intervals));
    return covers.reduce((best, cover) => (cover && (!best || cover.share < best.share) ? cover : best), undefined);
  }

  /** Ranges of both coordinates are a box on the sky, which is far smaller than either. */
  #boxOf(intervals: ReadonlyMap<FieldName, Interval>): Candidates {
    const [ra, dec] = [intervals.get('ra'), intervals.get('dec')];
    if (!ra || !dec || !bucketsOf('ra')) return undefined;
    const [from, to] = [Math.max(ra.low, 0), Math.min(ra.high, 360)];
    const [low, high] = [Math.max(dec.low, -90), Math.min(dec.high, 90)];
    if (from > to || low > high) return nothing;
    return this.#note('ra and dec as a box', this.#counted(coverBox(from, to, low, high)));
  }

  /** All parts together, or nothing if one has no cover: its records could be anywhere. */
  #or(parts: readonly Expression[]): Candidates {
    const ranges: CodeRange[] = [];
    let share = 0;
    for (const part of parts) {
      const cover = this.cover(part);
      if (!cover) return undefined;
      ranges.push(...cover.ranges);
      share += cover.share;
      if (ranges.length > rangesMax) return undefined;
    }
    return { ranges: mergeRanges(ranges), share: Math.min(1, share) };
  }
}

/** Looking up more than this part of the records one by one is slower than reading all in order. */
const shareMax = 0.5;

const accessOf = (cover: Candidates): Access => {
  if (!cover) return { kind: 'scan' };
  if (cover.ranges.length === 0) return { kind: 'nothing' };
  return cover.share > shareMax ? { kind: 'scan' } : { kind: 'codes', ...cover };
};

const describe = (access: Access): string => {
  if (access.kind === 'nothing') return 'nothing can match: no node is asked';
  if (access.kind === 'scan') return 'every record is read and tested';
  const ids = new Set(access.ranges.map(({ from }) => fieldOf(from)));
  const fields = Object.entries(fieldTable).flatMap(([name, { id }]) => (ids.has(id) ? [name] : []));
  const looked = access.ranges.length === 1 ? 'is' : 'are';
  const ranges = `${formatCount(access.ranges.length, 'range')} of codes of ${fields.join(', ')}`;
  return `${ranges} ${looked} looked up, then each candidate is tested`;
};

/** Plans by guesses, which are asked for several times while a question is answered. */
const guessed = new WeakMap<Query, Plan>();

/** The plan of a query whose stars were looked up (bindQuery). */
export const planQuery = (query: Query, estimate?: EstimateShare): Plan => {
  if (estimate) return makePlan(query, estimate);
  const known = guessed.get(query) ?? makePlan(query, () => undefined);
  guessed.set(query, known);
  return known;
};

const makePlan = (query: Query, estimate: EstimateShare): Plan => {
  const planner = new Planner(estimate);
  const cover = query.where && planner.cover(pushNot(query.where));
  const access = query.where ? accessOf(cover) : { kind: 'scan' as const };
  const isRows = query.output.kind === 'rows';
  const order = query.sort.map(({ by, descending }) => `${by}${descending ? ' descending' : ''}`).join(', ');
  const explain = [
    ...planner.notes,
    describe(access),
    isRows
      ? `each node sends its first ${query.limit} rows${order === '' ? '' : ` by ${order}`}; they are merged`
      : `each node sends its ${query.output.kind}; they are added up`,
  ];
  return { access, test: query.where, explain };
};

export interface NearestStep {
  /** Up to this separation; undefined: without an end. */
  readonly radius: number | undefined;
  readonly query: Query;
}

/** Radii that are tried in turn: four times as far is up to 64 times as many stars. */
const spaceRadii: readonly number[] = [4, 16, 64, 256];
const skyRadii: readonly number[] = [0.05, 0.5, 5];

const within = ({ kind, place }: Centre, radius: number): Expression | undefined => {
  if (kind === 'sky') return place.kind === 'sky' ? { kind: 'cone', centre: place, radius } : undefined;
  return place.kind === 'space' ? { kind: 'near', centre: place, radius } : undefined;
};

/**
 * A query for the nearest rows without a radius, as growing spheres: ask them in turn and stop at the first that gives
 * `limit` rows, for whatever is outside is further away. Any other query is one step. For bound queries.
 */
export const nearestSteps = (query: Query): NearestStep[] => {
  const [first] = query.sort;
  const { centre } = query;
  const isNearest =
    query.output.kind === 'rows' && first?.by === 'separation' && !first.descending && centre !== undefined;
  if (!isNearest || planQuery(query).access.kind !== 'scan') return [{ radius: undefined, query }];
  const steps = (centre.kind === 'sky' ? skyRadii : spaceRadii).flatMap((radius): NearestStep[] => {
    const region = within(centre, radius);
    if (!region) return [];
    const where: Expression = query.where ? { kind: 'and', parts: [region, query.where] } : region;
    return [{ radius, query: { ...query, where } }];
  });
  return [...steps, { radius: undefined, query }];
};
