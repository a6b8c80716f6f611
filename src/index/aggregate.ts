// Answers of nodes, put together: rows in order with a limit, counts, groups, histograms. Merging is commutative and
// associative, so it does not matter which node answers first or in which groups answers come. That every chunk is
// counted exactly once is the caller's work; here the same row twice is two rows.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { skySeparation, spaceSeparation } from './matcher.ts';
import type { Query, SortKey } from './query.ts';
import type { StarSystem, Value } from './star-system.ts';

/** Where a record is; orders rows that are equal otherwise, so that every order is total. */
export interface RecordId {
  /** Version id as text. */
  readonly version: string;
  readonly chunk: number;
  readonly ordinal: number;
}

export interface Row {
  readonly id: RecordId;
  /** Values of the sort keys; null when absent. */
  readonly keys: readonly (Value | null)[];
  /** From the query's centre, degrees or parsecs; null when unknown or when there is no centre. */
  readonly separation: number | null;
  readonly system: StarSystem;
}

/** What one node, or several together, have found. Normal data. */
export interface Answer {
  readonly count: number;
  /** In the query's order, at most its limit. */
  readonly rows: readonly Row[];
  /** Group or bin → records, in ascending order; null is for records without a value. Empty unless asked for. */
  readonly groups: readonly (readonly [string | number | null, number])[];
}

export const noAnswer: Answer = { count: 0, rows: [], groups: [] };

const compareValues = (a: Value, b: Value): number => {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  // By code points, not by a language: every node must order alike.
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
};

const compareIds = (a: RecordId, b: RecordId): number => {
  if (a.version !== b.version) return a.version < b.version ? -1 : 1;
  return a.chunk - b.chunk || a.ordinal - b.ordinal;
};

/** The order of rows: by the keys, absent values last in either direction, then by place. */
export const compareRows =
  (sort: readonly SortKey[]) =>
  (a: Row, b: Row): number => {
    for (const [index, { descending }] of sort.entries()) {
      const [left = null, right = null] = [a.keys[index], b.keys[index]];
      if (left === null && right === null) continue;
      if (left === null) return 1;
      if (right === null) return -1;
      const order = compareValues(left, right);
      if (order !== 0) return descending ? -order : order;
    }
    return compareIds(a.id, b.id);
  };

const separationOf = ({ centre }: Query, system: StarSystem): number | undefined => {
  if (!centre || centre.place.kind === 'star') return undefined;
  return centre.place.kind === 'sky' ? skySeparation(system, centre.place) : spaceSeparation(system, centre.place);
};

export const rowOf = (query: Query, id: RecordId, system: StarSystem): Row => {
  const separation = separationOf(query, system) ?? null;
  const keys = query.sort.map(({ by }) => (by === 'separation' ? separation : (system.values[by] ?? null)));
  return { id, keys, separation, system };
};

const groupOf = ({ output }: Query, { values }: StarSystem): string | number | null => {
  if (output.kind === 'groups') {
    const value = values[output.field];
    return value === undefined ? null : typeof value === 'boolean' ? String(value) : value;
  }
  if (output.kind !== 'histogram') return null;
  const value = values[output.field];
  // Bins are named by their number: bin n holds [n · width, (n + 1) · width).
  return typeof value === 'number' ? Math.floor(value / output.width) : null;
};

/** Groups in ascending order, null last. */
export const compareGroups = (
  [a]: readonly [string | number | null, number],
  [b]: readonly [string | number | null, number],
): number => {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return compareValues(a, b);
};

const addGroup = (groups: Map<string | number | null, number>, group: string | number | null, count: number): void => {
  groups.set(group, (groups.get(group) ?? 0) + count);
  if (groups.size > limits.queryGroupsMax) {
    throw new OperaError('too-large', `the answer has more than ${limits.queryGroupsMax} groups`, {
      hint: 'group by another field, or widen the bins',
    });
  }
};

/** Gathers matches of one node; keeps at most twice the limit of rows in memory. */
export class Gathering {
  readonly #query: Query;
  readonly #compare: (a: Row, b: Row) => number;
  readonly #groups = new Map<string | number | null, number>();
  #rows: Row[] = [];
  #count = 0;

  constructor(query: Query) {
    this.#query = query;
    this.#compare = compareRows(query.sort);
  }

  /** Adds a record that matches. */
  add(id: RecordId, system: StarSystem): void {
    this.#count += 1;
    const { kind } = this.#query.output;
    if (kind === 'groups' || kind === 'histogram') addGroup(this.#groups, groupOf(this.#query, system), 1);
    if (kind !== 'rows') return;
    this.#rows.push(rowOf(this.#query, id, system));
    if (this.#rows.length >= 2 * this.#query.limit + 64) this.#cut();
  }

  answer(): Answer {
    this.#cut();
    return { count: this.#count, rows: this.#rows, groups: [...this.#groups].sort(compareGroups) };
  }

  #cut(): void {
    this.#rows = this.#rows.sort(this.#compare).slice(0, this.#query.limit);
  }
}

/** Two answers of disjoint records as one. */
export const mergeAnswers = (query: Query, a: Answer, b: Answer): Answer => {
  const groups = new Map(a.groups);
  for (const [group, count] of b.groups) addGroup(groups, group, count);
  const rows = [...a.rows, ...b.rows].sort(compareRows(query.sort)).slice(0, query.limit);
  return { count: a.count + b.count, rows, groups: [...groups].sort(compareGroups) };
};
