// Counts of one chunk that answer the commonest questions without reading a record: how many systems there are, and how
// many by class, luminosity class, constellation, stars, planets. Kept sealed beside the postings of the chunk.
import { type Answer, noAnswer } from './aggregate.ts';
import type { FieldName } from './fields.ts';
import type { Query } from './query.ts';
import type { StarSystem } from './star-system.ts';

/** Fields with few values; a field with more than `valuesMax` in a chunk is left out of its summary. */
const fields = ['class', 'luminosity_class', 'constellation', 'n_stars', 'n_planets', 'hz_candidate'] as const;
const valuesMax = 200;

export type Group = string | number | null;

export interface SummaryJson {
  readonly count: number;
  readonly groups: Readonly<Partial<Record<FieldName, readonly (readonly [Group, number])[]>>>;
}

/** As aggregate.ts names groups: flags by their text. */
const groupOf = (value: string | number | boolean | undefined): Group =>
  value === undefined ? null : typeof value === 'boolean' ? String(value) : value;

export class Summary {
  #count = 0;
  readonly #groups = new Map<FieldName, Map<Group, number> | undefined>(fields.map((field) => [field, new Map()]));

  add({ values }: StarSystem): void {
    this.#count += 1;
    for (const field of fields) {
      const groups = this.#groups.get(field);
      if (!groups) continue;
      const group = groupOf(values[field]);
      groups.set(group, (groups.get(group) ?? 0) + 1);
      if (groups.size > valuesMax) this.#groups.set(field, undefined);
    }
  }

  toJson(): SummaryJson {
    const groups = [...this.#groups].flatMap(([field, counts]) => (counts ? [[field, [...counts]] as const] : []));
    return { count: this.#count, groups: Object.fromEntries(groups) };
  }
}

/** The answer of a chunk by its summary alone; undefined when its records must be looked at. */
export const answerFromSummary = ({ where, output }: Query, { count, groups }: SummaryJson): Answer | undefined => {
  if (output.kind === 'count' && where === undefined) return { ...noAnswer, count };
  if (output.kind === 'count' && where?.kind === 'equal' && where.field !== 'spectral_type') {
    const found = groups[where.field];
    const wanted = groupOf(where.value);
    return found && { ...noAnswer, count: found.find(([group]) => group === wanted)?.[1] ?? 0 };
  }
  if (output.kind !== 'groups' || where !== undefined) return undefined;
  const found = groups[output.field];
  // Their order is the merger's.
  return found && { count, rows: [], groups: found };
};
