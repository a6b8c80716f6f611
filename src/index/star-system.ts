// The typed form of one record: values by field, its names, what was derived and how, what is odd, and the stars and
// planets of a nested record as they came. Sparse: an absent value is undefined, never 0 or an empty text.
import { escapeText } from '../model/terminal-text.ts';
import { type FieldName, fieldNames } from './fields.ts';

export type Value = number | string | boolean;

/** An odd value that was kept, or an impossible one that was not. */
export interface Fault {
  /** A field, or a place in a nested record such as `stars[0].teff_k`. */
  readonly field: string;
  /** As the file has it. Shown to the one who put the file, never logged by a role. */
  readonly value: string;
  /** What it should be: `must be in [0, 360)`. */
  readonly limit: string;
}

export interface StarSystem {
  readonly values: Readonly<Partial<Record<FieldName, Value>>>;
  /** Every name as written, without repeats: the main name, aliases, identifiers, Bayer and Flamsteed designations. */
  readonly names: readonly string[];
  /** The same in their one spelling (names.ts). */
  readonly nameKeys: readonly string[];
  /** Field → formula and source, for values that the record does not hold itself. */
  readonly derived: Readonly<Partial<Record<FieldName, string>>>;
  readonly odd: readonly Fault[];
  readonly stars: readonly unknown[] | undefined;
  readonly planets: readonly unknown[] | undefined;
}

/** `record 12: ra = 361.2, must be in [0, 360)`, on one line; records count from 1 for people. */
export const faultText = (record: number, { field, value, limit }: Fault): string => {
  if (field === 'record') return `record ${record} ${limit}`;
  return `record ${record}: ${field} = ${escapeText(value.length > 80 ? `${value.slice(0, 80)}…` : value)}, ${limit}`;
};

/** The record for output as JSON: fields in the table's order, then names, sources, oddities, and the hierarchy. */
export const toJson = (system: StarSystem): Record<string, unknown> => {
  const out: Record<string, unknown> = {};
  for (const name of fieldNames) if (system.values[name] !== undefined) out[name] = system.values[name];
  const aliases = system.names.filter((name) => name !== system.values.name);
  if (aliases.length > 0) out.aliases = aliases;
  if (Object.keys(system.derived).length > 0) out.derived = system.derived;
  if (system.odd.length > 0) out.odd = system.odd;
  if (system.stars) out.stars = system.stars;
  if (system.planets) out.planets = system.planets;
  return out;
};
