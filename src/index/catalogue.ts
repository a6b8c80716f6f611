// Is this file a catalogue, and how is it read? The one question of a put, answered from the file's head: dialect,
// columns, and a try at the first records. The answer is what the note of a catalogue says, as JSON, so that whoever
// holds any chunk reads it as it was read when it was put.
import { OperaError } from '../errors/errors.ts';
import { type ColumnBinding, recogniseColumns } from './columns.ts';
import { type Dialect, dialectHeadBytes } from './dialect.ts';
import { detectDialect } from './detect-dialect.ts';
import { fieldNames, fieldTableVersion } from './fields.ts';
import { parseRecords } from './parse-records.ts';
import { RecordReader } from './record.ts';
import { faultText } from './star-system.ts';
import { parseUnit } from './units.ts';

/** What the note of a catalogue says. */
export interface CatalogueNote {
  readonly dialect: Dialect;
  readonly bindings: readonly ColumnBinding[];
  /** The field table that the bindings were made with. */
  readonly fields: number;
}

export interface Verdict {
  /** Undefined when the file is stored as an ordinary one. */
  readonly note: CatalogueNote | undefined;
  /** Sentences for people, the deciding one among them. */
  readonly reasons: readonly string[];
}

export interface RecogniseOptions {
  /** `FIELD=COLUMN` of --map. */
  readonly map?: readonly string[];
  /** --catalogue: whatever the columns look like; what then cannot be read at all is an error. */
  readonly force?: boolean;
}

/** Of the records tried, so many may be faulty before the columns are taken to mean something else. */
const faultyShareMax = 0.5;

/** Tries the whole records of the head; the sentence says what went wrong when most of them fail. */
const trySample = (head: Uint8Array, whole: boolean, note: CatalogueNote): string | undefined => {
  const reader = new RecordReader(note.dialect, note.bindings);
  const records = [...parseRecords(head, note.dialect, true)];
  // The last record of a head that goes on is cut.
  const tried = whole ? records : records.slice(0, -1);
  let faulty = 0;
  let first = '';
  for (const raw of tried) {
    const read = reader.read(raw);
    const fault = 'faults' in read ? read.faults[0] : undefined;
    if (!fault) continue;
    faulty += 1;
    if (first === '') first = faultText(raw.ordinal + 1, fault);
  }
  if (tried.length === 0 || faulty <= tried.length * faultyShareMax) return undefined;
  return `${faulty} of its first ${tried.length} records make no star system: ${first}`;
};

/** Judges a file by its head, of which it reads at most dialectHeadBytes. Throws `usage` for bad flags. */
export const recogniseCatalogue = (bytes: Uint8Array, whole: boolean, options: RecogniseOptions = {}): Verdict => {
  const { map = [], force = false } = options;
  const head = bytes.subarray(0, dialectHeadBytes);
  const complete = whole && head.length === bytes.length;
  const refuse = (reasons: readonly string[]): Verdict => {
    if (force || map.length > 0) throw new OperaError('usage', `this is no catalogue: ${reasons.join('; ')}`);
    return { note: undefined, reasons };
  };
  const found = detectDialect(head, complete);
  if ('reason' in found) return refuse([found.reason]);
  const { isCatalogue, bindings, reasons } = recogniseColumns(found.dialect, map);
  if (bindings.length === 0 || (!isCatalogue && !force)) return refuse(reasons);
  const note: CatalogueNote = { dialect: found.dialect, bindings, fields: fieldTableVersion };
  const fault = trySample(head, complete, note);
  if (fault !== undefined) return force ? { note, reasons: [...reasons, fault] } : refuse([...reasons, fault]);
  return { note, reasons };
};

/** The note's JSON; keys in fixed order. */
export const encodeNote = ({ dialect, bindings, fields }: CatalogueNote): string => {
  const { format, delimiter, quoted, comments, columns, units, preamble } = dialect;
  const map = bindings.map(({ field, column, unit, log10 }) => [field, column, unit, log10]);
  return JSON.stringify({ format, delimiter, quoted, comments, columns, units, preamble, map, fields });
};

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

const known: ReadonlySet<unknown> = new Set<unknown>([...fieldNames, 'aliases']);
const formats: ReadonlySet<unknown> = new Set(['csv', 'tsv', 'ndjson', 'json']);

/** A binding of a field that this program knows; those of a later table are left out, not refused. */
const parseBinding = (value: unknown): ColumnBinding[] => {
  if (!Array.isArray(value)) throw new OperaError('integrity', 'the note of a catalogue is malformed');
  const [field, column, unitText, log10]: unknown[] = value;
  const unit = unitText === '' ? '' : parseUnit(String(unitText));
  if (!known.has(field) || typeof column !== 'string' || unit === undefined) return [];
  return [{ field: field as ColumnBinding['field'], column, unit, log10: log10 === true }];
};

/** A note from its JSON. Throws `integrity` when it is none. */
export const parseNote = (text: string): CatalogueNote => {
  const malformed = (cause?: unknown): OperaError =>
    new OperaError('integrity', 'the note of a catalogue is malformed', cause === undefined ? {} : { cause });
  let json: Readonly<Record<string, unknown>>;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw malformed(cause);
  }
  if (typeof json !== 'object' || json === null) throw malformed();
  const { format, delimiter, quoted, comments, columns, units, preamble, map, fields } = json;
  const isRows = format === 'csv' || format === 'tsv';
  const isSound =
    formats.has(format) &&
    typeof delimiter === 'string' &&
    delimiter.length === (isRows ? 1 : 0) &&
    isTexts(columns) &&
    isTexts(units) &&
    typeof preamble === 'number' &&
    Number.isInteger(preamble) &&
    preamble >= 0 &&
    preamble <= dialectHeadBytes &&
    typeof fields === 'number' &&
    Array.isArray(map);
  if (!isSound) throw malformed();
  const dialect: Dialect = {
    format: format as Dialect['format'],
    delimiter,
    quoted: quoted === true,
    comments: comments === true,
    columns,
    units,
    preamble,
  };
  return { dialect, bindings: map.flatMap(parseBinding), fields };
};
