// Which column is which field, in which unit, and whether the file is a catalogue of star systems at all.
// Recognised by the names of the columns alone; `--map ra=RAdeg` overrides. The result goes into the catalogue's note,
// so a network reads a catalogue for ever as it was read when it was put. Values are judged in record.ts.
import { OperaError } from '../errors/errors.ts';
import { nearestText } from '../model/nearest.ts';
import { hygMarks, logarithms, spellings } from './_spellings.ts';
import type { Dialect } from './dialect.ts';
import { type FieldName, fieldNames, fieldOf, fieldTable, fieldWords } from './fields.ts';
import { identifierFields } from './names.ts';
import { dimensionOf, parseUnit, type Unit } from './units.ts';

export interface ColumnBinding {
  /** `aliases`: further names, as a list or separated by `|`. */
  readonly field: FieldName | 'aliases';
  /** As the dialect names it. */
  readonly column: string;
  /** The unit of the column. */
  readonly unit: Unit;
  /** True when the column holds log10 of the value. */
  readonly log10: boolean;
}

export interface Recognised {
  readonly isCatalogue: boolean;
  readonly bindings: readonly ColumnBinding[];
  /** Sentences for people: why it is or is not a catalogue, and which columns could not be taken. */
  readonly reasons: readonly string[];
}

/** Longer names are no spelling of ours, and patterns on them would take the square of their length. */
const columnLengthMax = 200;

const keyOf = (column: string): string =>
  column
    .replace(/\[fe\/h\]/i, 'fe_h')
    .replace(/[[(].*?[\])]/g, ' ')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');

/** The unit in a header's brackets: `RA [h]`, `dist (ly)`; undefined when it says none that we know. */
const bracketUnit = (column: string): Unit | undefined => parseUnit(/[[(]([^\])]*)[\])]/.exec(column)?.[1] ?? '');

interface Spelling {
  readonly field: FieldName | 'aliases';
  readonly rank: number;
  readonly unit: Unit | undefined;
  readonly weak: boolean;
}

const bySpelling: ReadonlyMap<string, readonly Spelling[]> = (() => {
  const map = new Map<string, Spelling[]>();
  for (const field of [...fieldNames, 'aliases' as const]) {
    (spellings[field] ?? '').split(/\s+/).forEach((entry, rank) => {
      const [word = '', unit = ''] = entry.replace('?', '').split(':');
      const spelling = { field, rank, unit: parseUnit(unit), weak: entry.startsWith('?') };
      map.set(word, [...(map.get(word) ?? []), spelling]);
    });
  }
  return map;
})();

interface Candidate extends ColumnBinding {
  readonly rank: number;
  readonly weak: boolean;
}

const unitOf = (field: FieldName | 'aliases'): Unit => (field === 'aliases' ? '' : fieldTable[field].unit);

/** True when numbers of `unit` can become the field's: right ascension takes hours, a mass takes no kelvin. */
const fits = (field: FieldName | 'aliases', unit: Unit): boolean => dimensionOf(unit) === dimensionOf(unitOf(field));

const candidatesOf = ({ columns, units }: Dialect, reasons: string[]): Candidate[] => {
  const keys = columns.map((column) => (column.length > columnLengthMax ? '' : keyOf(column)));
  const isHyg = hygMarks.some((mark) => keys.includes(mark));
  return columns.flatMap((column, index) => {
    const key = keys[index] ?? '';
    if (key === '') return [];
    return (bySpelling.get(key) ?? []).flatMap(({ field, rank, unit, weak }) => {
      const written = bracketUnit(column) ?? parseUnit(units[index] ?? '');
      const hours: Unit | undefined = isHyg && key === 'ra' ? 'hour' : undefined;
      if (written !== undefined && !fits(field, written)) {
        reasons.push(`column "${column}" is in ${written}, which is no unit of ${field}: it is not used`);
        return [];
      }
      const own = written ?? hours ?? unit ?? unitOf(field);
      return [{ field, column, unit: own, log10: logarithms.has(key), rank, weak }];
    });
  });
};

const knownColumn = (columns: readonly string[], wanted: string): string | undefined =>
  columns.find((column) => column === wanted) ??
  columns.find((column) => column.toLowerCase() === wanted.toLowerCase());

const parseOverride = (text: string, columns: readonly string[]): Candidate | FieldName | 'aliases' => {
  const [, word = '', wanted = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const field = word === 'aliases' ? 'aliases' : fieldOf(word);
  if (word === '') throw new OperaError('usage', `--map ${text}: write FIELD=COLUMN, such as ra=RAdeg`);
  if (field === undefined) {
    throw new OperaError('usage', `--map ${text}: there is no field "${word}"${nearestText(word, fieldWords)}`);
  }
  if (wanted === '') return field;
  const whole = knownColumn(columns, wanted);
  const [, before = '', unitText = ''] = /^(.*)\[([^\]]*)\]$/s.exec(wanted) ?? [];
  const column = whole ?? knownColumn(columns, before.trim());
  if (column === undefined) {
    throw new OperaError('usage', `--map ${text}: there is no column "${wanted}"${nearestText(wanted, columns)}`);
  }
  const unit = whole === undefined ? parseUnit(unitText) : (bracketUnit(column) ?? unitOf(field));
  if (unit === undefined || !fits(field, unit)) {
    throw new OperaError('usage', `--map ${text}: "${unitText || unit}" is no unit of ${field}`);
  }
  return { field, column, unit, log10: false, rank: -1, weak: false };
};

const quantities: ReadonlySet<string> = new Set(
  fieldNames.filter((field) => {
    const { type } = fieldTable[field];
    return (
      (type !== 'text' && type !== 'flag' && field !== 'ref_epoch') || field === 'spectral_type' || field === 'class'
    );
  }),
);

/** Coordinates make a catalogue; so do an identifier and one quantity whose column only star tables have. */
const judge = (bound: ReadonlyMap<string, Candidate>, columns: readonly string[], reasons: string[]): boolean => {
  const telling = [...bound.values()].filter((binding) => !binding.weak).map(({ field }) => field);
  if (bound.has('ra') && bound.has('dec')) {
    reasons.push(`coordinates in "${bound.get('ra')?.column}" and "${bound.get('dec')?.column}"`);
    return true;
  }
  const identifier = [...identifierFields, 'name' as const].find((field) => bound.has(field));
  const quantity = telling.find((field) => quantities.has(field));
  if (identifier !== undefined && quantity !== undefined) {
    reasons.push(
      `an identifier in "${bound.get(identifier)?.column}" and ${quantity} in "${bound.get(quantity)?.column}"`,
    );
    return true;
  }
  const first = columns.slice(0, 8).map((column) => column.slice(0, 40));
  const shown = first.join(', ') + (columns.length > 8 ? ', …' : '');
  const lacks =
    identifier === undefined
      ? 'no column is known for coordinates or for an identifier'
      : 'beside a name or identifier no column is known for coordinates or a quantity of stars';
  reasons.push(`${lacks} (columns: ${shown}); --map FIELD=COLUMN names them`);
  return false;
};

/** Bindings of a file's columns. Throws `usage` for an override that names no field, column or unit. */
export const recogniseColumns = (dialect: Dialect, overrides: readonly string[] = []): Recognised => {
  const reasons: string[] = [];
  const bound = new Map<string, Candidate>();
  for (const candidate of candidatesOf(dialect, reasons)) {
    const other = bound.get(candidate.field);
    // Aliases may stand in several columns; every other field has one.
    const key = candidate.field === 'aliases' ? `aliases ${candidate.column}` : candidate.field;
    if (!other || candidate.rank < other.rank) bound.set(key, candidate);
  }
  for (const text of overrides) {
    const override = parseOverride(text, dialect.columns);
    if (typeof override === 'string') bound.delete(override);
    else bound.set(override.field === 'aliases' ? `aliases ${override.column}` : override.field, override);
  }
  const isCatalogue = judge(bound, dialect.columns, reasons);
  const bindings = [...bound.values()].map(({ field, column, unit, log10 }) => ({ field, column, unit, log10 }));
  return { isCatalogue, bindings, reasons };
};
