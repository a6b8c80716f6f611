// A raw record becomes a star system: values typed and in our units, names gathered, derived values added.
// Two levels of judgement by the field table: an impossible value keeps the whole record out of the index and is named
// with its limit; an odd one is kept and flagged. The record's bytes are never changed by any of this.
import { limits } from '../model/limits.ts';
import { derive, type Sources, type Values } from './_derive.ts';
import { NameList } from './_name-list.ts';
import type { ColumnBinding } from './columns.ts';
import type { Dialect } from './dialect.ts';
import { type FieldName, fieldTable, isInRange, rangeText } from './fields.ts';
import {
  type IdentifierField,
  identifierFields,
  identifierIn,
  normaliseIdentifier,
  parseConstellation,
} from './names.ts';
import type { RawRecord } from './parse-records.ts';
import type { Fault, StarSystem } from './star-system.ts';
import { convert, parseNumber, parseSexagesimal, type Unit } from './units.ts';

/** What is wrong or odd in a record; it is in the index when nothing is wrong. */
export interface Judgement {
  readonly faults: readonly Fault[];
  readonly odd: readonly Fault[];
}

export type Read = { readonly system: StarSystem } | { readonly faults: readonly Fault[] };

/** What catalogues write for "no value", in lower case. */
const absent: ReadonlySet<string> = new Set(
  '|-|--|---|~|?|nan|null|none|n/a|na|\\n|...|…|inf|-inf|infinity|-infinity|undefined|<na>'.split('|'),
);

const isIdentifier: ReadonlySet<string> = new Set(identifierFields);
const identifierShape = /^\d[\d.]*(?:-\d+)*[a-z]{0,3}$/;

/** Fields of a star that its system has too, with their names in nested records. */
const starKeys: readonly (readonly [string, FieldName])[] = [
  ['spectral_type', 'spectral_type'],
  ['mag_v', 'mag_v'],
  ['teff_k', 'teff_k'],
  ['mass_msun', 'mass'],
  ['mass', 'mass'],
  ['radius_rsun', 'radius'],
  ['radius', 'radius'],
  ['luminosity_lsun', 'luminosity'],
  ['metallicity_dex', 'feh'],
  ['age_gyr', 'age'],
];

class Reading {
  readonly values: Values = {};
  readonly sources: Sources = {};
  readonly odd: Fault[] = [];
  readonly faults: Fault[] = [];

  reject(field: string, value: string, limit: string): void {
    // A value may be as long as its record; a fault only shows it.
    this.faults.push({ field, value: value.slice(0, limits.catalogueTextMax), limit });
  }

  /** Takes a value in the unit of its column. `label` is what a fault calls the field. */
  take(field: FieldName, text: string, unit: Unit, log10: boolean, label: string = field): void {
    const { type } = fieldTable[field];
    if (type === 'number' || type === 'integer') this.#takeNumber(field, text, unit, log10, label);
    else if (type === 'flag') this.#takeFlag(field, text, label);
    else this.#takeText(field, text, label);
  }

  #takeNumber(field: FieldName, text: string, unit: Unit, log10: boolean, label: string): void {
    const spec = fieldTable[field];
    let value = parseNumber(text);
    if (value !== undefined) value = convert(log10 ? 10 ** value : value, unit, spec.unit);
    else if (field === 'ra' || field === 'dec') value = parseSexagesimal(text, field === 'ra' ? 'hours' : 'degrees');
    if (value === undefined) return this.reject(label, text, 'must be a number');
    if (spec.type === 'integer' && !Number.isInteger(value)) return this.reject(label, text, 'must be a whole number');
    if (spec.valid && !isInRange(value, spec.valid)) {
      return this.reject(label, text, `must be in ${rangeText(spec.valid)}${spec.unit === '' ? '' : ` ${spec.unit}`}`);
    }
    if (spec.odd && !isInRange(value, spec.odd)) {
      this.odd.push({ field: label, value: text, limit: `is mostly in ${rangeText(spec.odd)}` });
    }
    this.values[field] = value;
  }

  #takeFlag(field: FieldName, text: string, label: string): void {
    const word = text.toLowerCase();
    const number = parseNumber(word);
    if (number !== undefined) this.values[field] = number > 0;
    else if (['true', 'yes', 'y', 't'].includes(word)) this.values[field] = true;
    else if (['false', 'no', 'n', 'f'].includes(word)) this.values[field] = false;
    else this.reject(label, text, 'must be yes or no');
  }

  #takeText(field: FieldName, text: string, label: string): void {
    if (text.length > limits.catalogueTextMax) {
      return this.reject(label, text, `must have at most ${limits.catalogueTextMax} characters`);
    }
    if (isIdentifier.has(field)) {
      const value = normaliseIdentifier(field as IdentifierField, text);
      // A spreadsheet makes 4.47E+18 of a source_id: kept as it is, but it is not the star's number any more.
      if (!identifierShape.test(value)) this.odd.push({ field: label, value: text, limit: 'is mostly a number' });
      this.values[field] = value;
    } else if (field === 'constellation') {
      const known = parseConstellation(text);
      if (known === undefined) this.odd.push({ field: label, value: text, limit: 'is mostly a constellation' });
      this.values[field] = known ?? text;
    } else {
      this.values[field] = field === 'class' ? text.toUpperCase() : text;
    }
  }
}

/** Texts of a JSON value: numbers as they print, nothing for null and for objects. */
const textOf = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const ownValue = (object: unknown, key: string): unknown =>
  isObject(object) && Object.hasOwn(object, key) ? object[key] : undefined;

const listOf = (value: unknown): readonly unknown[] | undefined => (Array.isArray(value) ? value : undefined);

/** Stars and planets of a nested record. */
const nestedOf = ({ json }: RawRecord) =>
  [listOf(json && ownValue(json, 'stars')), listOf(json && ownValue(json, 'planets'))] as const;

interface Source extends ColumnBinding {
  readonly index: number;
  readonly path: readonly string[];
}

/** Reads records of one catalogue; made once from what its note says. */
export class RecordReader {
  readonly #sources: readonly Source[];

  constructor(dialect: Dialect, bindings: readonly ColumnBinding[]) {
    this.#sources = bindings.map((binding) => {
      const dot = binding.column.indexOf('.');
      const path = dot > 0 ? [binding.column.slice(0, dot), binding.column.slice(dot + 1)] : [binding.column];
      return { ...binding, index: dialect.columns.indexOf(binding.column), path };
    });
  }

  read(raw: RawRecord): Read {
    const aliases: string[] = [];
    const reading = this.#take(raw, aliases);
    if (reading.faults.length > 0) return { faults: reading.faults };
    return { system: this.#finish(reading, aliases, ...nestedOf(raw)) };
  }

  /** What `read` finds wrong or odd, in a fraction of the time: no names are made, and nothing is derived. */
  judge(raw: RawRecord): Judgement {
    return this.#take(raw, []);
  }

  #take(raw: RawRecord, aliases: string[]): Reading {
    const reading = new Reading();
    if (raw.fault !== undefined) {
      reading.reject('record', '', raw.fault);
      return reading;
    }
    for (const source of this.#sources) {
      const value = raw.json ? this.#jsonValue(raw.json, source) : raw.fields[source.index];
      if (source.field === 'aliases') {
        const texts = listOf(value) ?? String(textOf(value) ?? '').split('|');
        aliases.push(...texts.map((text) => textOf(text)?.trim() ?? ''));
        continue;
      }
      const text = textOf(value)?.trim();
      if (text === undefined || (text.length < 12 && absent.has(text.toLowerCase()))) continue;
      reading.take(source.field, text, source.unit, source.log10);
    }
    const [stars, planets] = nestedOf(raw);
    if (stars || planets) this.#readNested(reading, stars, planets);
    return reading;
  }

  #jsonValue(json: Readonly<Record<string, unknown>>, { path: [outer = '', inner] }: Source): unknown {
    const value = ownValue(json, outer);
    return inner === undefined ? value : ownValue(value, inner);
  }

  /** What the system itself does not say is taken from its first star, its primary; lists are counted. */
  #readNested(reading: Reading, stars?: readonly unknown[], planets?: readonly unknown[]): void {
    for (const [key, field] of starKeys) {
      const text = textOf(ownValue(stars?.[0], key))?.trim();
      if (text === undefined || absent.has(text.toLowerCase()) || reading.values[field] !== undefined) continue;
      reading.take(field, text, fieldTable[field].unit, false, `stars[0].${key}`);
      reading.sources[field] = `stars[0].${key}`;
    }
    for (const [field, list] of [
      ['n_stars', stars],
      ['n_planets', planets],
    ] as const) {
      if (!list || reading.values[field] !== undefined) continue;
      reading.values[field] = list.length;
      reading.sources[field] = `length of ${field.slice(2)}`;
    }
  }

  #finish(
    { values, sources, odd }: Reading,
    aliases: readonly string[],
    stars: readonly unknown[] | undefined,
    planets: readonly unknown[] | undefined,
  ): StarSystem {
    const names = new NameList();
    if (typeof values.name === 'string') names.add(values.name);
    // Repeats do not count as names: without this a record of a million commas would be a million names to compare.
    for (const alias of aliases.slice(0, 4 * limits.catalogueNamesMax)) names.add(alias);
    // Identifiers among the names fill their fields: `hip = 71683` finds a record that says it only as an alias.
    for (const key of names.keys) {
      const [field, value] = identifierIn(key) ?? [];
      if (field === undefined || values[field] !== undefined) continue;
      values[field] = value ?? '';
      sources[field] = 'from a name';
    }
    names.addDesignations(values);
    for (const field of identifierFields) names.addIdentifier(field, values[field]);
    const first = names.names[0];
    if (values.name === undefined && first !== undefined) {
      values.name = first;
      sources.name = 'the first other name';
    }
    derive(values, sources);
    return { values, names: names.names, nameKeys: names.keys, derived: sources, odd, stars, planets };
  }
}
