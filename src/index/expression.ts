// The language of queries: its tree, and what every reader of the tree needs. Parsing is in parse-expression.ts.
// The tree is normal data (it goes over the wire) with every text already in its one spelling and every number in its
// field's unit, so that matching and planning convert nothing and cannot disagree.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { type FieldName, fieldTable } from './fields.ts';
import { normaliseName } from './names.ts';

/** A point on the sky, degrees. */
export interface SkyPoint {
  readonly kind: 'sky';
  readonly ra: number;
  readonly dec: number;
}

/** A point in space, parsecs from the Sun. */
export interface SpacePoint {
  readonly kind: 'space';
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** A star whose place must be looked up before the query can be answered. */
export interface NamedPlace {
  readonly kind: 'star';
  /** As written, for messages. */
  readonly name: string;
  readonly key: string;
}

export type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=';

export type Expression =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Expression[] }
  | { readonly kind: 'not'; readonly part: Expression }
  | { readonly kind: 'number'; readonly field: FieldName; readonly operator: Operator; readonly value: number }
  | { readonly kind: 'equal'; readonly field: FieldName; readonly value: string | boolean }
  /** Spectral types and names that begin so; in their one spelling. */
  | { readonly kind: 'prefix'; readonly field: 'spectral_type' | 'name'; readonly prefix: string }
  | { readonly kind: 'name'; readonly key: string }
  | { readonly kind: 'known'; readonly field: FieldName }
  | { readonly kind: 'cone'; readonly centre: SkyPoint | NamedPlace; readonly radius: number }
  | {
      readonly kind: 'box';
      readonly raFrom: number;
      readonly raTo: number;
      readonly decFrom: number;
      readonly decTo: number;
    }
  | { readonly kind: 'near'; readonly centre: SpacePoint | NamedPlace; readonly radius: number };

export const sun: SpacePoint = { kind: 'space', x: 0, y: 0, z: 0 };

/** A star by name; the Sun is where distances begin, whatever the catalogues hold. */
export const namedPlace = (name: string): NamedPlace => ({ kind: 'star', name, key: normaliseName(name) });
export const isSun = ({ key }: NamedPlace): boolean => key === 'sol' || key === 'sun' || key === 'thesun';

/** Every part of the tree, itself first. */
export function* partsOf(expression: Expression): Generator<Expression> {
  yield expression;
  if (expression.kind === 'and' || expression.kind === 'or') for (const part of expression.parts) yield* partsOf(part);
  if (expression.kind === 'not') yield* partsOf(expression.part);
}

/** Stars that must be looked up before the query runs. */
export const placesIn = (expression: Expression): NamedPlace[] => {
  const places = new Map<string, NamedPlace>();
  for (const part of partsOf(expression)) {
    if ((part.kind === 'cone' || part.kind === 'near') && part.centre.kind === 'star')
      places.set(part.centre.key, part.centre);
  }
  return [...places.values()];
};

/** What is known of a star that was looked up. */
export interface KnownPlace {
  readonly sky: SkyPoint | undefined;
  readonly space: SpacePoint | undefined;
}

/** Where a star is on the sky or in space. Throws when that is not known. */
export const locate = <K extends 'sky' | 'space'>(
  kind: K,
  place: NamedPlace,
  find: (place: NamedPlace) => KnownPlace | undefined,
): NonNullable<KnownPlace[K]> => {
  const found = find(place);
  if (!found) {
    const hint = `Stars have the names that catalogues give them; see those that begin so: opera query 'name = "X*"'`;
    throw new OperaError('not-found', `no star is called "${place.name}"`, { hint });
  }
  const point = found[kind];
  if (point) return point;
  const lacks = kind === 'space' ? 'no known distance' : 'no coordinates';
  throw new OperaError('usage', `"${place.name}" has ${lacks}, so nothing can be near it`);
};

/** The same question with every star replaced by its place. */
export const bindPlaces = (expression: Expression, find: (place: NamedPlace) => KnownPlace | undefined): Expression => {
  const bind = (part: Expression): Expression => {
    if (part.kind === 'and' || part.kind === 'or') return { ...part, parts: part.parts.map(bind) };
    if (part.kind === 'not') return { kind: 'not', part: bind(part.part) };
    if (part.kind === 'cone' && part.centre.kind === 'star')
      return { ...part, centre: locate('sky', part.centre, find) };
    if (part.kind === 'near' && part.centre.kind === 'star')
      return { ...part, centre: locate('space', part.centre, find) };
    return part;
  };
  return bind(expression);
};

/**
 * What a text of queryTermsMax terms nested queryDepthMax deep can become at most: a term is up to four parts (`not`,
 * `and` and two comparisons of `not between`) and is joined by another; a bracket is an `or`, an `and` and a `not`.
 */
const partsMax = 8 * limits.queryTermsMax;
const depthMax = 4 * limits.queryDepthMax;

/** Refuses trees that are too large to be worked on, while they are read or walked. */
export class TreeBounds {
  #parts = 0;

  /** Counts a part `depth` below the root. Throws `too-large`. */
  count(depth: number): void {
    this.#parts += 1;
    if (this.#parts > partsMax) throw new OperaError('too-large', `a query has at most ${partsMax} parts`);
    if (depth > depthMax) throw new OperaError('too-large', `a query is nested at most ${depthMax} deep`);
  }
}

export const assertBounded = (expression: Expression): void => {
  const bounds = new TreeBounds();
  const walk = (part: Expression, depth: number): void => {
    bounds.count(depth);
    if (part.kind === 'and' || part.kind === 'or') for (const inner of part.parts) walk(inner, depth + 1);
    if (part.kind === 'not') walk(part.part, depth + 1);
  };
  walk(expression, 0);
};

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const valueText = (value: string | boolean): string => (typeof value === 'string' ? quoted(value) : String(value));
const placeText = (place: SkyPoint | SpacePoint | NamedPlace): string => {
  if (place.kind === 'star') return quoted(place.name);
  if (place.kind === 'sky') return `${place.ra}, ${place.dec}`;
  return place.x === 0 && place.y === 0 && place.z === 0 ? 'Sol' : `(${place.x}, ${place.y}, ${place.z})`;
};

/** The tree as a text, which parses to the same tree while stars are still names. */
export const expressionText = (expression: Expression): string => {
  switch (expression.kind) {
    case 'and':
    case 'or':
      return `(${expression.parts.map(expressionText).join(` ${expression.kind} `)})`;
    case 'not':
      return `not ${expressionText(expression.part)}`;
    case 'number':
      return `${expression.field} ${expression.operator} ${expression.value}${fieldTable[expression.field].unit}`;
    case 'equal':
      return `${expression.field} = ${valueText(expression.value)}`;
    case 'prefix':
      return `${expression.field} = ${quoted(`${expression.prefix}*`)}`;
    case 'name':
      return `name = ${quoted(expression.key)}`;
    case 'known':
      return `${expression.field} is known`;
    case 'cone':
      return `cone(${placeText(expression.centre)}, ${expression.radius}deg)`;
    case 'box':
      return `box(${expression.raFrom}, ${expression.decFrom}, ${expression.raTo}, ${expression.decTo})`;
    case 'near':
      return `near(${placeText(expression.centre)}, ${expression.radius}pc)`;
  }
};
