// How a file writes its records: format, delimiter, quotes, byte order mark, comments, header; from its first bytes.
// What is found goes into the catalogue's note, so that any chunk can be read without the first. It is decided once,
// from the head alone; whether the columns are those of star systems is columns.ts.
import { createScanner, splitRow } from './_record-scanner.ts';
import { type Dialect, dialectHeadBytes } from './dialect.ts';

/** Records of the head that are looked at. */
const sampleRecords = 100;
const columnsMax = 4096;

export type Detected = { readonly dialect: Dialect } | { readonly reason: string };

interface Line {
  readonly text: string;
  /** Offset behind its line end. */
  readonly end: number;
}

/** A byte order mark is 3 bytes in front of everything. */
const markLength = (head: Uint8Array): number => (head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0);

const textOf = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');

/** Rows of the head as `dialect` reads them, blank ones left out, at most `most`. */
const rowsOf = (head: Uint8Array, from: number, whole: boolean, dialect: Dialect, most: number): Line[] => {
  const rows: Line[] = [];
  let start = from;
  const scanner = createScanner(dialect);
  const take = (end: number, isRecord: boolean): void => {
    if (isRecord && rows.length < most) rows.push({ text: textOf(head, start, end).replace(/\r?\n$/, ''), end });
    start = end;
  };
  scanner.scan(head, from, head.length, take);
  // The last row counts only when the file ends with it: a cut one has too few fields.
  if (scanner.isOpen && whole) take(head.length, true);
  return rows;
};

const rowDialect = (delimiter: string, quoted: boolean, comments: boolean): Dialect => ({
  format: delimiter === '\t' ? 'tsv' : 'csv',
  delimiter,
  quoted,
  comments,
  columns: [],
  units: [],
  preamble: 0,
});

const isNumeric = (text: string): boolean => /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i.test(text);
const isRule = (fields: readonly string[]): boolean => fields.every((field) => /^-+\s*$/.test(field));

/** In TSV a quote is mostly an inch or an arcsecond: it quotes only where whole fields stand in quotes. */
const quotesIn = (head: Uint8Array, delimiter: string): boolean => {
  if (delimiter !== '\t') return true;
  return /(?:^|[\t\n])"[^"\t\n]*(?:""[^"\t\n]*)*"(?:[\t\r\n]|$)/.test(textOf(head, 0, head.length));
};

interface Table {
  readonly dialect: Dialect;
  readonly rows: readonly Line[];
  /** Rows with as many fields as the first, of those looked at. */
  readonly alike: number;
  readonly fields: number;
}

/** The delimiter under which most rows have as many fields as the header; the one with more fields wins a tie. */
const bestTable = (head: Uint8Array, from: number, whole: boolean, comments: boolean): Table | undefined => {
  let best: Table | undefined;
  for (const delimiter of ['\t', ',', ';', '|']) {
    const dialect = rowDialect(delimiter, quotesIn(head, delimiter), comments);
    const rows = rowsOf(head, from, whole, dialect, sampleRecords);
    const widths = rows.map((row) => splitRow(row.text, delimiter, dialect.quoted).length);
    const fields = widths[0] ?? 0;
    if (fields < 2) continue;
    const alike = widths.filter((width) => width === fields).length / widths.length;
    if (!best || alike > best.alike + 0.1 || (alike > best.alike - 0.1 && fields > best.fields)) {
      best = { dialect, rows, alike, fields };
    }
  }
  return best;
};

/** The last comment in front of the first row; TOPCAT and others write the header there. */
const commentHeader = (head: Uint8Array, from: number, table: Table): string[] | undefined => {
  const first = table.rows[0];
  if (!first) return undefined;
  const { delimiter, quoted } = table.dialect;
  const before = textOf(head, from, first.end).split('\n').slice(0, -1);
  const last = before.filter((line) => line.startsWith('#') && line.trim() !== '#').at(-1);
  if (last === undefined) return undefined;
  const names = splitRow(last.replace(/^#+\s*/, '').trimEnd(), delimiter, quoted).map((name) => name.trim());
  const values = splitRow(first.text, delimiter, quoted);
  const fits = names.length === values.length && names.every((name) => name !== '' && !isNumeric(name));
  return fits && values.some(isNumeric) ? names : undefined;
};

const detectRows = (head: Uint8Array, from: number, whole: boolean): Detected => {
  const comments = /^\s*#/.test(textOf(head, from, Math.min(head.length, from + 4096)));
  const table = bestTable(head, from, whole, comments);
  const header = table?.rows[0];
  if (!table || !header) return { reason: 'its first lines are no table with a header and at least two columns' };
  const split = (line: Line | undefined): string[] =>
    line ? splitRow(line.text, table.dialect.delimiter, table.dialect.quoted).map((field) => field.trim()) : [];
  const above = comments ? commentHeader(head, from, table) : undefined;
  if (above) {
    // The bytes of the comment are skipped by the scanner as every comment is: only a mark is preamble.
    return { dialect: { ...table.dialect, columns: above, preamble: from } };
  }
  const columns = split(header);
  if (columns.length > columnsMax) return { reason: `it has more than ${columnsMax} columns` };
  if (columns.some(isNumeric)) return { reason: 'its first line holds numbers, not names of columns' };
  const [, second, third] = table.rows;
  // VizieR's TSV: names, units, dashes. The dashes make sure that the line above them is not a record.
  if (third && isRule(split(third))) {
    return { dialect: { ...table.dialect, columns, units: split(second), preamble: third.end } };
  }
  if (second && isRule(split(second))) return { dialect: { ...table.dialect, columns, preamble: second.end } };
  return { dialect: { ...table.dialect, columns, preamble: header.end } };
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const parseObject = (text: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** Keys of the sample in the order met; keys of objects inside as `outer.inner`. */
const keysOf = (records: readonly Record<string, unknown>[]): string[] => {
  const keys = new Set<string>();
  for (const record of records) {
    for (const [key, value] of Object.entries(record)) {
      if (isObject(value)) for (const inner of Object.keys(value)) keys.add(`${key}.${inner}`);
      else keys.add(key);
    }
  }
  return [...keys].slice(0, columnsMax);
};

const detectJson = (head: Uint8Array, from: number, whole: boolean, format: 'ndjson' | 'json'): Detected => {
  const dialect: Dialect = {
    format,
    delimiter: '',
    quoted: false,
    comments: false,
    columns: [],
    units: [],
    preamble: format === 'json' ? head.indexOf(0x5b, from) + 1 : from,
  };
  const rows = rowsOf(head, dialect.preamble, whole, dialect, sampleRecords);
  const records = rows
    .map((row) => parseObject(row.text.replace(/^[\s,]+/, '')))
    .filter((record) => record !== undefined);
  if (records.length * 2 < rows.length || records.length === 0) {
    return { reason: format === 'json' ? 'its array holds no objects' : 'its lines are no JSON objects' };
  }
  return { dialect: { ...dialect, columns: keysOf(records) } };
};

/** The dialect of a file from its first bytes (at most dialectHeadBytes are read); `whole` when they are all of it. */
export const detectDialect = (bytes: Uint8Array, whole: boolean): Detected => {
  const head = bytes.subarray(0, dialectHeadBytes);
  const complete = whole && bytes.length <= dialectHeadBytes;
  const from = markLength(head);
  if (head.includes(0)) return { reason: 'it holds NUL bytes, so it is no text in UTF-8' };
  let first = from;
  while ((head[first] ?? 0xff) <= 0x20) first += 1;
  if (first >= head.length) return { reason: 'it is empty' };
  if (head[first] === 0x5b) return detectJson(head, from, complete, 'json');
  if (head[first] === 0x7b) return detectJson(head, from, complete, 'ndjson');
  return detectRows(head, from, complete);
};
