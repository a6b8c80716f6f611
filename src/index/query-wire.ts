// Questions between members: a bound query as JSON, and its strict reading. Who answers believes nothing of it: each
// member is known, of its type and in its range, and the tree is bounded, before anything is planned or matched.
// Texts are compared as they come: the side that asks has put them into their one spelling.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { exactJson, isObject } from './_exact-json.ts';
import {
  assertBounded,
  type Expression,
  type Operator,
  type SkyPoint,
  type SpacePoint,
  TreeBounds,
} from './expression.ts';
import { type FieldName, fieldNames, fieldTable } from './fields.ts';
import type { Centre, Output, Query, QueryColumn, SortKey } from './query.ts';

/** JSON of a query whose stars were looked up (bindQuery). Throws `too-large` when no node would take it. */
export const encodeQuery = (query: Query): string => {
  const text = exactJson(query);
  if (text.length > limits.queryBytesMax) throw new OperaError('too-large', 'the query is too long');
  if (query.where) assertBounded(query.where);
  return text;
};

type Members = Readonly<Record<string, unknown>>;

const malformed = (what: string): OperaError => new OperaError('bad-request', `the query is malformed: ${what}`);

/** An object with these members and no others; those with `?` may be absent. */
const membersOf = (value: unknown, what: string, names: readonly string[]): Members => {
  if (!isObject(value)) throw malformed(`${what} is no object`);
  const known = new Set(names.map((name) => name.replace('?', '')));
  for (const name of Object.keys(value)) if (!known.has(name)) throw malformed(`${what} has an unknown member`);
  for (const name of names) {
    if (!name.endsWith('?') && !Object.hasOwn(value, name)) throw malformed(`${what} has no ${name}`);
  }
  return value;
};

const listOf = (value: unknown, what: string, min = 0): readonly unknown[] => {
  if (!Array.isArray(value) || value.length < min || value.length > limits.queryTermsMax * 8) {
    throw malformed(`${what} is no list of a right length`);
  }
  return value;
};

const numberIn = (value: unknown, what: string, min: number, max: number): number => {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
    throw malformed(`${what} is no number in its range`);
  }
  return value;
};

const finite = (value: unknown, what: string): number => numberIn(value, what, -Number.MAX_VALUE, Number.MAX_VALUE);

const textIn = (value: unknown, what: string): string => {
  if (typeof value !== 'string' || value === '' || value.length > limits.queryLengthMax) {
    throw malformed(`${what} is no text`);
  }
  return value;
};

const flagIn = (value: unknown, what: string): boolean => {
  if (typeof value !== 'boolean') throw malformed(`${what} is neither true nor false`);
  return value;
};

const known: ReadonlySet<unknown> = new Set<unknown>(fieldNames);
const isField = (value: unknown): value is FieldName => known.has(value);

const fieldIn = (value: unknown): FieldName => {
  if (!isField(value)) throw malformed('it names a field that is not known here');
  return value;
};

const isNumeric = (field: FieldName): boolean =>
  fieldTable[field].type === 'number' || fieldTable[field].type === 'integer';

const numericField = (value: unknown): FieldName => {
  const field = fieldIn(value);
  if (!isNumeric(field)) throw malformed('a field that is no number is compared as one');
  return field;
};

const columnIn = (value: unknown): QueryColumn => (value === 'separation' ? value : fieldIn(value));

const operators: ReadonlySet<unknown> = new Set<unknown>(['=', '!=', '<', '<=', '>', '>=']);
const isOperator = (value: unknown): value is Operator => operators.has(value);

/** Right ascension as the field has it, in [0, 360). */
const rightAscension = (value: unknown): number => {
  const ra = numberIn(value, 'a right ascension', 0, 360);
  if (ra === 360) throw malformed('a right ascension is no number in its range');
  return ra;
};

const declination = (value: unknown): number => numberIn(value, 'a declination', -90, 90);

const skyPoint = (value: unknown): SkyPoint => {
  const { kind, ra, dec } = membersOf(value, 'a point', ['kind', 'ra', 'dec']);
  if (kind !== 'sky') throw malformed('a point is not on the sky');
  return { kind, ra: rightAscension(ra), dec: declination(dec) };
};

const spacePoint = (value: unknown): SpacePoint => {
  const { kind, x, y, z } = membersOf(value, 'a point', ['kind', 'x', 'y', 'z']);
  if (kind !== 'space') throw malformed('a point is not in space');
  return { kind, x: finite(x, 'x'), y: finite(y, 'y'), z: finite(z, 'z') };
};

const equalIn = (value: unknown): Expression => {
  const members = membersOf(value, 'a comparison', ['kind', 'field', 'value']);
  const field = fieldIn(members.field);
  if (isNumeric(field)) throw malformed('a number is compared as a text');
  const isFlag = fieldTable[field].type === 'flag';
  return { kind: 'equal', field, value: isFlag ? flagIn(members.value, field) : textIn(members.value, field) };
};

const prefixIn = (value: unknown): Expression => {
  const { field, prefix } = membersOf(value, 'a prefix', ['kind', 'field', 'prefix']);
  if (field !== 'name' && field !== 'spectral_type') throw malformed('a field has no prefixes');
  return { kind: 'prefix', field, prefix: textIn(prefix, 'a prefix') };
};

const boxIn = (value: unknown): Expression => {
  const box = membersOf(value, 'a box', ['kind', 'raFrom', 'raTo', 'decFrom', 'decTo']);
  return {
    kind: 'box',
    raFrom: rightAscension(box.raFrom),
    raTo: rightAscension(box.raTo),
    decFrom: declination(box.decFrom),
    decTo: declination(box.decTo),
  };
};

const expressionIn = (value: unknown, depth: number, bounds: TreeBounds): Expression => {
  bounds.count(depth);
  const kind = isObject(value) ? value.kind : undefined;
  switch (kind) {
    case 'and':
    case 'or': {
      const { parts } = membersOf(value, kind, ['kind', 'parts']);
      return { kind, parts: listOf(parts, kind, 1).map((part) => expressionIn(part, depth + 1, bounds)) };
    }
    case 'not':
      return { kind, part: expressionIn(membersOf(value, kind, ['kind', 'part']).part, depth + 1, bounds) };
    case 'number': {
      const { field, operator, value: wanted } = membersOf(value, kind, ['kind', 'field', 'operator', 'value']);
      if (!isOperator(operator)) throw malformed('an operator is not known');
      return { kind, field: numericField(field), operator, value: finite(wanted, 'a number') };
    }
    case 'equal':
      return equalIn(value);
    case 'prefix':
      return prefixIn(value);
    case 'name':
      return { kind, key: textIn(membersOf(value, kind, ['kind', 'key']).key, 'a name') };
    case 'known':
      return { kind, field: fieldIn(membersOf(value, kind, ['kind', 'field']).field) };
    case 'cone': {
      const { centre, radius } = membersOf(value, kind, ['kind', 'centre', 'radius']);
      return { kind, centre: skyPoint(centre), radius: numberIn(radius, 'a radius', 0, 180) };
    }
    case 'near': {
      const { centre, radius } = membersOf(value, kind, ['kind', 'centre', 'radius']);
      return { kind, centre: spacePoint(centre), radius: numberIn(radius, 'a radius', 0, Number.MAX_VALUE) };
    }
    case 'box':
      return boxIn(value);
    default:
      throw malformed('it has a part of an unknown kind');
  }
};

const centreIn = (value: unknown): Centre => {
  const { kind, place } = membersOf(value, 'the centre', ['kind', 'place']);
  if (kind === 'sky') return { kind, place: skyPoint(place) };
  if (kind === 'space') return { kind, place: spacePoint(place) };
  throw malformed('the centre is of an unknown kind');
};

const sortKey = (value: unknown): SortKey => {
  const { by, descending } = membersOf(value, 'an order', ['by', 'descending']);
  return { by: columnIn(by), descending: flagIn(descending, 'an order') };
};

const outputIn = (value: unknown): Output => {
  const kind = isObject(value) ? value.kind : undefined;
  if (kind === 'rows' || kind === 'count') {
    membersOf(value, 'the output', ['kind']);
    return { kind };
  }
  if (kind === 'groups') {
    const field = fieldIn(membersOf(value, 'the output', ['kind', 'field']).field);
    if (fieldTable[field].type === 'number') throw malformed('a number makes no groups');
    return { kind, field };
  }
  if (kind !== 'histogram') throw malformed('the output is of an unknown kind');
  const { field, width } = membersOf(value, 'the output', ['kind', 'field', 'width']);
  const bin = numberIn(width, 'a width', 0, Number.MAX_VALUE);
  if (bin === 0) throw malformed('a width is 0');
  return { kind, field: numericField(field), width: bin };
};

/**
 * A query from a peer's JSON; every star in it has its place. Throws `bad-request` for anything this program would not
 * have written, `too-large` for trees beyond all limits; neither repeats any of it.
 */
export const parseQueryTree = (text: string): Query => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw malformed('it is no JSON');
  }
  const members = membersOf(json, 'it', ['where?', 'centre?', 'sort', 'limit', 'columns', 'output']);
  const { where, centre, sort, limit, columns } = members;
  const rows = numberIn(limit, 'the limit', 1, limits.queryRowsMax);
  if (!Number.isInteger(rows)) throw malformed('the limit is no whole number');
  const query: Query = {
    where: where === undefined ? undefined : expressionIn(where, 0, new TreeBounds()),
    centre: centre === undefined ? undefined : centreIn(centre),
    sort: listOf(sort, 'the order').map(sortKey),
    limit: rows,
    columns: columns === 'all' ? columns : listOf(columns, 'the columns').map(columnIn),
    output: outputIn(members.output),
  };
  const measures = query.sort.some(({ by }) => by === 'separation') || query.columns.includes('separation');
  if (!query.centre && measures) throw malformed('separation has no centre');
  return query;
};
