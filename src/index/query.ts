// A whole question: which records, around what, in which order, how many, and what comes out: rows, a count, groups or
// a histogram. Made once from what a person wrote; normal data afterwards.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { nearestText } from '../model/nearest.ts';
import { numberFor } from './_values.ts';
import {
  bindPlaces,
  type Expression,
  isSun,
  type KnownPlace,
  locate,
  type NamedPlace,
  namedPlace,
  placesIn,
  type SkyPoint,
  type SpacePoint,
  sun,
} from './expression.ts';
import { type FieldName, fieldOf, fieldTable, fieldWords } from './fields.ts';
import { parseExpression } from './parse-expression.ts';

/** What `separation` is measured from: degrees from a point on the sky, parsecs from a point in space. */
export type Centre =
  | { readonly kind: 'sky'; readonly place: SkyPoint | NamedPlace }
  | { readonly kind: 'space'; readonly place: SpacePoint | NamedPlace };

export interface SortKey {
  readonly by: FieldName | 'separation';
  readonly descending: boolean;
}

export type Output =
  | { readonly kind: 'rows' }
  | { readonly kind: 'count' }
  | { readonly kind: 'groups'; readonly field: FieldName }
  | { readonly kind: 'histogram'; readonly field: FieldName; readonly width: number };

export interface Query {
  readonly where: Expression | undefined;
  readonly centre: Centre | undefined;
  readonly sort: readonly SortKey[];
  /** Rows at most. */
  readonly limit: number;
  /** `all`: whole records, with names, sources of derived values, stars and planets. */
  readonly columns: readonly QueryColumn[] | 'all';
  readonly output: Output;
}

export type QueryColumn = FieldName | 'separation';

/** A question as people write it, one text a flag. */
export interface QueryText {
  readonly where?: string;
  /** `RA,DEC,R` or `STAR,R`. */
  readonly cone?: string;
  /** `STAR,DIST`, or `STAR` alone to order by distance from it. */
  readonly near?: string;
  /** A name or alias. */
  readonly find?: string;
  /** `dist`, `-mag`, `class,mag desc`. */
  readonly sort?: string;
  readonly limit?: number;
  /** `name,ra,dec`, or `all`. */
  readonly columns?: string;
  readonly count?: boolean;
  /** A field. */
  readonly group?: string;
  /** `FIELD:WIDTH`. */
  readonly histogram?: string;
}

const usage = (message: string): OperaError => new OperaError('usage', message);

const fieldIn = (word: string, flag: string): FieldName => {
  const field = fieldOf(word);
  if (field === undefined)
    throw usage(`${flag}: there is no field "${word}"${nearestText(word, [...fieldWords, 'separation'])}`);
  return field;
};

const parseSort = (text: string): SortKey[] =>
  text.split(',').map((part) => {
    const [, minus, word = '', direction = 'asc'] = /^\s*(-?)\s*(\w+)(?:\s+(asc|desc))?\s*$/i.exec(part) ?? [];
    if (word === '') throw usage(`--sort: "${part}" is no field with asc or desc behind it`);
    const descending = direction.toLowerCase() === 'desc' || minus === '-';
    return { by: word.toLowerCase() === 'separation' ? 'separation' : fieldIn(word, '--sort'), descending };
  });

const parseColumns = (text: string): QueryColumn[] | 'all' => {
  if (text.trim().toLowerCase() === 'all') return 'all';
  const words = text.split(',').map((word) => word.trim());
  const columns = words.map((word) =>
    word.toLowerCase() === 'separation' ? 'separation' : fieldIn(word, '--columns'),
  );
  return [...new Set(columns)];
};

const parseOutput = ({ count, group, histogram }: QueryText): Output => {
  const asked = [count === true, group !== undefined, histogram !== undefined].filter(Boolean).length;
  if (asked > 1) throw usage('only one of --count, --group and --histogram');
  if (count === true) return { kind: 'count' };
  if (group !== undefined) {
    const field = fieldIn(group, '--group');
    if (fieldTable[field].type === 'number')
      throw usage(`--group: ${field} is a number; --histogram ${field}:WIDTH counts it`);
    return { kind: 'groups', field };
  }
  if (histogram === undefined) return { kind: 'rows' };
  const [word = '', widthText = ''] = histogram.split(':');
  const field = fieldIn(word, '--histogram');
  if (fieldTable[field].type !== 'number' && fieldTable[field].type !== 'integer')
    throw usage(`--histogram: ${field} is no number`);
  const width = numberFor(field, widthText);
  if ('reason' in width || width.value <= 0) throw usage(`--histogram: write ${field}:WIDTH with a width above 0`);
  return { kind: 'histogram', field, width: width.value };
};

/** Flags of places are sugar: what they say is written as an expression, and read as every other one. */
const placeExpression = (call: 'cone' | 'near', text: string): Expression => {
  const parts = text.split(',').map((part) => part.trim());
  // Two coordinates are a place without its radius, as the expression says.
  const isStar = call === 'near' || (parts.length === 2 && !parts.every((part) => /^[-+]?[\d.:]+$/.test(part)));
  const star = parts.slice(0, -1).join(', ').replaceAll("'", "''");
  return parseExpression(isStar ? `${call}('${star}', ${parts.at(-1)})` : `${call}(${text})`);
};

const centreOf = (where: Expression | undefined): Centre | undefined => {
  const parts = where?.kind === 'and' ? where.parts : where ? [where] : [];
  for (const part of parts) {
    if (part.kind === 'cone') return { kind: 'sky', place: part.centre };
    if (part.kind === 'near') return { kind: 'space', place: part.centre };
  }
  return undefined;
};

const joinAnd = (parts: readonly (Expression | undefined)[]): Expression | undefined => {
  const present = parts.filter((part) => part !== undefined);
  const flat = present.flatMap((part) => (part.kind === 'and' ? part.parts : [part]));
  return flat.length > 1 ? { kind: 'and', parts: flat } : flat[0];
};

/** Columns of rows when none are named. */
const usualColumns: readonly FieldName[] = ['name', 'ra', 'dec', 'dist_pc', 'mag_v', 'spectral_type', 'n_planets'];

/** Throws `usage` for anything that makes no sense, pointing at the column where there is one. */
export const parseQuery = (text: QueryText): Query => {
  const nearest = text.near !== undefined && !text.near.includes(',') ? namedPlace(text.near) : undefined;
  if (nearest?.key === '') throw usage('--near: a name has letters or digits');
  const where = joinAnd([
    text.cone === undefined ? undefined : placeExpression('cone', text.cone),
    text.near === undefined || nearest ? undefined : placeExpression('near', text.near),
    text.find === undefined ? undefined : parseExpression(`find('${text.find.replaceAll("'", "''")}')`),
    text.where === undefined ? undefined : parseExpression(text.where),
  ]);
  const centre: Centre | undefined = nearest
    ? { kind: 'space', place: isSun(nearest) ? sun : nearest }
    : centreOf(where);
  const sort =
    text.sort === undefined ? (centre ? [{ by: 'separation', descending: false } as const] : []) : parseSort(text.sort);
  const asked = text.columns === undefined ? undefined : parseColumns(text.columns);
  if (!centre && (sort.some(({ by }) => by === 'separation') || asked?.includes('separation') === true)) {
    throw usage('separation is measured from the centre of --cone or --near, and there is none');
  }
  const limit = text.limit ?? limits.queryRowsMax;
  if (!Number.isInteger(limit) || limit < 1 || limit > limits.queryRowsMax) {
    throw usage(`--limit is a whole number in [1, ${limits.queryRowsMax}]`);
  }
  const columns = asked ?? (centre ? [...usualColumns, 'separation' as const] : usualColumns);
  return { where, centre, sort, limit, columns, output: parseOutput(text) };
};

/** Stars that must be looked up first. */
export const placesOf = ({ where, centre }: Query): NamedPlace[] => {
  const places = new Map((where ? placesIn(where) : []).map((place) => [place.key, place]));
  if (centre?.place.kind === 'star') places.set(centre.place.key, centre.place);
  return [...places.values()];
};

/** The query with every star replaced by its place. Throws `not-found` or `usage` when one has none. */
export const bindQuery = (query: Query, find: (place: NamedPlace) => KnownPlace | undefined): Query => {
  const { where, centre } = query;
  const bound: Centre | undefined =
    centre?.place.kind !== 'star'
      ? centre
      : centre.kind === 'sky'
        ? { kind: 'sky', place: locate('sky', centre.place, find) }
        : { kind: 'space', place: locate('space', centre.place, find) };
  return { ...query, where: where && bindPlaces(where, find), centre: bound };
};
