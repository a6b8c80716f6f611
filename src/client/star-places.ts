// Where the stars are that a query names: looked up by name among the catalogues, as any other question.
// Several records may bear one name: a star in two catalogues, its components, or two stars. While their places differ
// by no more than catalogues do among each other the first is taken (by file, then place in it), so that the same
// question means the same place every time. When they differ by more, any choice would be a silent guess that moves the
// whole answer, so it is an error that lists them.
import { OperaError } from '../errors/errors.ts';
import type { Answer, Row } from '../index/aggregate.ts';
import { type KnownPlace, type NamedPlace, partsOf, type SkyPoint, type SpacePoint } from '../index/expression.ts';
import { skySeparation, spaceSeparation } from '../index/matcher.ts';
import { placesOf, type Query } from '../index/query.ts';
import { limits } from '../model/limits.ts';

/** A record that a star's place was taken from. */
export interface PlaceSource {
  readonly star: string;
  readonly file: string;
  readonly chunk: number;
  readonly ordinal: number;
}

/** Positions of one star in degrees: a century of the fastest (Barnard's, 10.4″ a year) is 0.29°, of any other 0.2°. */
const skyTrifle = 0.2;
/** Distances of one star: within so many parsecs, or such a part of the distance; parallaxes are no better. */
const spaceTriflePc = 0.5;
const spaceTrifleShare = 0.05;

/** Records of one name that are looked at. */
const namesakesMax = 100;

/** Asks for the records of a name; answers also which file a row is of. */
export type AskByName = (query: Query) => Promise<{ readonly answer: Answer; readonly fileOf: (row: Row) => string }>;

const lookup = ({ key }: NamedPlace): Query => ({
  where: { kind: 'name', key },
  centre: undefined,
  sort: [],
  limit: namesakesMax,
  columns: ['name', 'ra', 'dec', 'dist_pc', 'x_pc', 'y_pc', 'z_pc'],
  output: { kind: 'rows' },
});

type Kind = 'sky' | 'space';

/** What must be known of a star: its place on the sky for cones, in space for spheres. */
const kindsOf = ({ where, centre }: Query, { key }: NamedPlace): ReadonlySet<Kind> => {
  const kinds = new Set<Kind>();
  if (centre?.place.kind === 'star' && centre.place.key === key) kinds.add(centre.kind);
  for (const part of where ? partsOf(where) : []) {
    if (part.kind === 'cone' && part.centre.kind === 'star' && part.centre.key === key) kinds.add('sky');
    if (part.kind === 'near' && part.centre.kind === 'star' && part.centre.key === key) kinds.add('space');
  }
  return kinds;
};

const skyOf = ({ system: { values } }: Row): SkyPoint | undefined => {
  const { ra, dec } = values;
  return typeof ra === 'number' && typeof dec === 'number' ? { kind: 'sky', ra, dec } : undefined;
};

const spaceOf = ({ system: { values } }: Row): SpacePoint | undefined => {
  const { x_pc: x, y_pc: y, z_pc: z } = values;
  return typeof x === 'number' && typeof y === 'number' && typeof z === 'number'
    ? { kind: 'space', x, y, z }
    : undefined;
};

interface Found {
  readonly row: Row;
  readonly file: string;
}

const round = (value: unknown): string => (typeof value === 'number' ? String(Number(value.toPrecision(6))) : '?');

const placeText = ({ row, file }: Found): string => {
  const { name, ra, dec, dist_pc: distance } = row.system.values;
  const called = typeof name === 'string' ? name : '?';
  return `"${called}" of ${file} at ra ${round(ra)}, dec ${round(dec)} deg, ${round(distance)} pc`;
};

const ambiguous = (star: NamedPlace, found: readonly Found[]): OperaError => {
  const shown = found.slice(0, 4).map(placeText);
  const more = found.length > shown.length ? `; and ${found.length - shown.length} more` : '';
  return new OperaError('usage', `"${star.name}" is in different places: ${shown.join('; ')}${more}`, {
    hint: 'Name one of them by an identifier, or its file with --in, or give coordinates',
  });
};

/** The first record's place; undefined when none has one. Throws `usage` when the others are elsewhere. */
const settle = <P>(
  star: NamedPlace,
  found: readonly Found[],
  placeOf: (row: Row) => P | undefined,
  isFar: (row: Row, place: P) => boolean,
): { readonly place: P; readonly of: Found } | undefined => {
  const placed = found.filter(({ row }) => placeOf(row) !== undefined);
  const [first] = placed;
  const place = first && placeOf(first.row);
  if (!first || place === undefined) return undefined;
  if (placed.some(({ row }) => isFar(row, place))) throw ambiguous(star, placed);
  return { place, of: first };
};

const byFile = (a: Found, b: Found): number =>
  Buffer.compare(Buffer.from(a.file), Buffer.from(b.file)) ||
  a.row.id.chunk - b.row.id.chunk ||
  a.row.id.ordinal - b.row.id.ordinal;

const isFarOnSky = ({ system }: Row, place: SkyPoint): boolean => (skySeparation(system, place) ?? 0) > skyTrifle;

const isFarInSpace = ({ system }: Row, place: SpacePoint): boolean => {
  const trifle = Math.max(spaceTriflePc, spaceTrifleShare * Math.hypot(place.x, place.y, place.z));
  return (spaceSeparation(system, place) ?? 0) > trifle;
};

const findPlace = async (query: Query, star: NamedPlace, ask: AskByName) => {
  const { answer, fileOf } = await ask(lookup(star));
  const found = answer.rows.map((row) => ({ row, file: fileOf(row) })).sort(byFile);
  if (answer.count > found.length) throw ambiguous(star, found);
  if (found.length === 0) return undefined;
  const kinds = kindsOf(query, star);
  const sky = kinds.has('sky') ? settle(star, found, skyOf, isFarOnSky) : undefined;
  const space = kinds.has('space') ? settle(star, found, spaceOf, isFarInSpace) : undefined;
  const place: KnownPlace = { sky: sky?.place, space: space?.place };
  const sources = [...new Set([sky?.of, space?.of])].flatMap((of): PlaceSource[] =>
    of ? [{ star: star.name, file: of.file, chunk: of.row.id.chunk, ordinal: of.row.id.ordinal }] : [],
  );
  return { place, sources };
};

export interface FoundPlaces {
  /** For bindQuery. */
  readonly find: (star: NamedPlace) => KnownPlace | undefined;
  readonly sources: readonly PlaceSource[];
}

/** Places of every star that the query names. Throws `usage` for one that is in different places. */
export const findPlaces = async (query: Query, ask: AskByName): Promise<FoundPlaces> => {
  const stars = placesOf(query);
  if (stars.length > limits.queryStarsMax) {
    throw new OperaError('usage', `a query names at most ${limits.queryStarsMax} stars as places`);
  }
  const places = new Map<string, KnownPlace>();
  const sources: PlaceSource[] = [];
  for (const star of stars) {
    const found = await findPlace(query, star, ask);
    if (!found) continue;
    places.set(star.key, found.place);
    sources.push(...found.sources);
  }
  return { find: ({ key }) => places.get(key), sources };
};
