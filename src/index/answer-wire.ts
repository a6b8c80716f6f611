// Answers between members: JSON with the columns that were asked for and nothing else of a record. Reading is strict:
// an answer that counts other chunks than it vouches for, whose rows are out of order, too few or too many, or whose
// values no record can have, is refused whole, for no part of it can be told from the rest.
//
//   {"count": n, "rows": [[version, chunk, ordinal, [keys…], separation, record], …], "groups": [[group, n], …]}
//   record: the values of the query's columns in their order, separation left out, null when absent; with columns `all`
//   {"values": {field: value}, "names": […], "derived": {field: source}, "odd": […], "stars": […], "planets": […]}
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { exactJson, isObject } from './_exact-json.ts';
import { type Answer, compareGroups, compareRows, type RecordId, type Row } from './aggregate.ts';
import { type FieldName, fieldNames, fieldTable, isInRange } from './fields.ts';
import { normaliseName } from './names.ts';
import type { Query } from './query.ts';
import type { Fault, StarSystem, Value } from './star-system.ts';

const isColumn = (column: FieldName | 'separation'): column is FieldName => column !== 'separation';

const recordOf = ({ columns }: Query, system: StarSystem): unknown => {
  if (columns !== 'all') return columns.filter(isColumn).map((field) => system.values[field] ?? null);
  const { values, names, derived, odd, stars, planets } = system;
  return { values, names, derived, odd, stars, planets };
};

/** The JSON of an answer to `query`. */
export const encodeAnswer = ({ count, rows, groups }: Answer, query: Query): string =>
  exactJson({
    count,
    rows: rows.map(({ id, keys, separation, system }) => [
      id.version,
      id.chunk,
      id.ordinal,
      keys,
      separation,
      recordOf(query, system),
    ]),
    groups,
  });

const refuse = (what: string): OperaError => new OperaError('integrity', `a node answered ${what}`);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

const known: ReadonlySet<string> = new Set(fieldNames);
const isField = (name: string): name is FieldName => known.has(name);

/** A value that a record can have in this field. */
const valueIn = (field: FieldName, value: unknown): Value => {
  const { type, valid } = fieldTable[field];
  if (type === 'flag' && typeof value === 'boolean') return value;
  if (type === 'text' && typeof value === 'string') return value;
  const isNumber = type === 'number' || (type === 'integer' && Number.isInteger(value));
  if (isNumber && typeof value === 'number' && (!valid || isInRange(value, valid))) return value;
  throw refuse(`a value that ${field} cannot have`);
};

const separationIn = (value: unknown): number | null => {
  if (value === null || (typeof value === 'number' && value >= 0)) return value;
  throw refuse('a separation that is none');
};

const textsIn = (value: unknown): string[] => {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw refuse('names that are none');
  return value;
};

const nestedIn = (value: unknown, depth = 0): unknown => {
  if (depth > limits.jsonDepthMax) throw refuse('a record nested too deep');
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) nestedIn(inner, depth + 1);
  }
  return value;
};

const hierarchyIn = (value: unknown): readonly unknown[] | undefined => {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw refuse('a hierarchy that is no list');
  nestedIn(value);
  return value;
};

const faultIn = (value: unknown): Fault => {
  const { field, value: text, limit } = isObject(value) ? value : {};
  if (typeof field === 'string' && typeof text === 'string' && typeof limit === 'string') {
    return { field, value: text, limit };
  }
  throw refuse('an oddity that is none');
};

type Entries = readonly (readonly [string, unknown])[];
const entriesOf = (value: unknown): Entries => {
  if (!isObject(value)) throw refuse('a record that is none');
  return Object.entries(value);
};

const fieldsOf = <T>(value: unknown, take: (field: FieldName, inner: unknown) => T): Partial<Record<FieldName, T>> => {
  const out: Partial<Record<FieldName, T>> = {};
  // Fields of a later table are left out: what is not known here cannot be shown in its unit.
  for (const [name, inner] of entriesOf(value)) if (isField(name)) out[name] = take(name, inner);
  return out;
};

const wholeSystem = (record: unknown): StarSystem => {
  if (!isObject(record)) throw refuse('a record that is none');
  const { values, derived, odd, stars, planets } = record;
  const names = textsIn(record.names);
  if (!Array.isArray(odd)) throw refuse('oddities that are none');
  return {
    values: fieldsOf(values, valueIn),
    names,
    nameKeys: names.map(normaliseName),
    derived: fieldsOf(derived, (_, source) => textsIn([source])[0] ?? ''),
    odd: odd.map(faultIn),
    stars: hierarchyIn(stars),
    planets: hierarchyIn(planets),
  };
};

const systemIn = ({ columns }: Query, record: unknown): StarSystem => {
  if (columns === 'all') return wholeSystem(record);
  const fields = columns.filter(isColumn);
  if (!Array.isArray(record) || record.length !== fields.length) throw refuse('other columns than asked for');
  const values: Partial<Record<FieldName, Value>> = {};
  for (const [at, field] of fields.entries()) {
    const value: unknown = record[at];
    if (value !== null) values[field] = valueIn(field, value);
  }
  return { values, names: [], nameKeys: [], derived: {}, odd: [], stars: undefined, planets: undefined };
};

/** True when the answer may hold records of this chunk: it was asked for, and the node vouches for it. */
export type IsVouched = (version: string, chunk: number) => boolean;

const rowIn = (query: Query, value: unknown, isVouched: IsVouched): Row => {
  if (!Array.isArray(value) || value.length !== 6) throw refuse('a row that is none');
  const [version, chunk, ordinal, keys, separation, record]: readonly unknown[] = value;
  if (typeof version !== 'string' || !isCount(chunk) || !isCount(ordinal) || !isVouched(version, chunk)) {
    throw refuse('a row of a chunk that it does not vouch for');
  }
  if (ordinal >= limits.catalogueChunkRecordsMax) throw refuse('a record that no chunk has');
  if (!Array.isArray(keys) || keys.length !== query.sort.length) throw refuse('a row without its order');
  const id: RecordId = { version, chunk, ordinal };
  return {
    id,
    keys: query.sort.map(({ by }, at): Value | null => {
      const key: unknown = keys[at];
      if (by === 'separation' || key === null) return separationIn(key);
      return valueIn(by, key);
    }),
    separation: separationIn(separation),
    system: systemIn(query, record),
  };
};

const rowsIn = (query: Query, value: unknown, count: number, isVouched: IsVouched): Row[] => {
  const wanted = query.output.kind === 'rows' ? Math.min(count, query.limit) : 0;
  if (!Array.isArray(value) || value.length !== wanted) throw refuse('another number of rows than it counted');
  const rows = value.map((row) => rowIn(query, row, isVouched));
  const compare = compareRows(query.sort);
  for (const [at, row] of rows.entries()) {
    const before = rows[at - 1];
    // No two rows are equal, for places are part of the order: the same record twice shows here.
    if (before && compare(before, row) >= 0) throw refuse('rows out of order');
  }
  return rows;
};

const groupIn = ({ output }: Query, value: unknown): readonly [string | number | null, number] => {
  const [group, count]: readonly unknown[] = Array.isArray(value) && value.length === 2 ? value : [];
  const isGroup =
    group === null ||
    (output.kind === 'groups' && (typeof group === 'string' || Number.isInteger(group))) ||
    (output.kind === 'histogram' && Number.isInteger(group));
  if (isGroup && isCount(count) && count > 0) return [group as string | number | null, count];
  throw refuse('a group that is none');
};

const groupsIn = (query: Query, value: unknown, count: number): Answer['groups'] => {
  const isGrouped = query.output.kind === 'groups' || query.output.kind === 'histogram';
  if (!Array.isArray(value) || value.length > limits.queryGroupsMax) throw refuse('groups that are none');
  const groups = value.map((group) => groupIn(query, group));
  const total = groups.reduce((sum, [, records]) => sum + records, 0);
  const ascending = groups.every((group, at) => {
    const before = groups[at - 1];
    return before === undefined || compareGroups(before, group) < 0;
  });
  if (!ascending || total !== (isGrouped ? count : 0)) throw refuse('groups that do not add up');
  return groups;
};

/**
 * An answer from a peer's JSON. Throws `integrity` unless it is one to `query` about chunks it vouches for, in the
 * query's order, with as many rows and groups as it counts.
 */
export const parseAnswer = (text: string, query: Query, isVouched: IsVouched): Answer => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new OperaError('integrity', 'a node answered what is no JSON', { cause });
  }
  if (!isObject(json) || !isCount(json.count)) throw refuse('without a count');
  const { count } = json;
  return { count, rows: rowsIn(query, json.rows, count, isVouched), groups: groupsIn(query, json.groups, count) };
};
