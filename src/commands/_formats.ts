// Rows in a format that was asked for by name: an aligned table, CSV (RFC 4180), one JSON object a line, or one JSON
// array. Without a name a list is printed as everywhere (_output.ts). What these write can be put back as a catalogue:
// CSV and JSON have plain field names and exact values.
import type { Output } from './_output.ts';
import { type Cell, type Column, jsonCell, TableLayout, tsvCell } from './_table.ts';
import { toJsonLine } from './_text.ts';

export const formats = ['table', 'csv', 'ndjson', 'json'] as const;
export type Format = (typeof formats)[number];

type ObjectOf<Row> = (row: Row) => Readonly<Record<string, unknown>>;

/** Quoted when it must be: quotes, commas, line ends, and spaces at either end, which readers may drop. */
const csvText = (text: string): string => (/[",\n\r]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

const csvCell = (cell: Cell): string => csvText(typeof cell === 'string' ? cell : tsvCell(cell));

const objectOfColumns =
  <Row>(columns: readonly Column<Row>[]): ObjectOf<Row> =>
  (row) =>
    Object.fromEntries(columns.map(({ key, kind, value }) => [key, jsonCell(value(row), kind)]));

const printTable = async <Row>(io: Output, columns: readonly Column<Row>[], rows: readonly Row[]): Promise<void> => {
  if (rows.length === 0) return;
  const layout = new TableLayout(columns, (_, text) => text);
  const text = layout.page(rows);
  for (const line of `${layout.header()}\n${text}`.trimEnd().split('\n')) await io.line(line);
};

const printCsv = async <Row>(io: Output, columns: readonly Column<Row>[], rows: readonly Row[]): Promise<void> => {
  const lines = [columns.map(({ key }) => key), ...rows.map((row) => columns.map(({ value }) => csvCell(value(row))))];
  if (io.isTerminal) {
    for (const line of lines) await io.line(line.join(','));
    return;
  }
  // Elsewhere texts are data and come as they are, line ends and all.
  await io.bytes(Buffer.from(`${lines.map((line) => line.join(',')).join('\n')}\n`));
};

/**
 * Prints rows. `objectOf` makes the JSON of a row when that is more than its columns. Without a format: a table on a
 * terminal, TSV in a pipe, and with --json one object a line.
 */
export const printRecords = async <Row>(
  io: Output,
  format: Format | undefined,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  objectOf: ObjectOf<Row> = objectOfColumns(columns),
): Promise<void> => {
  if (format === 'table') return printTable(io, columns, rows);
  if (format === 'csv') return printCsv(io, columns, rows);
  if (format === 'ndjson') {
    for (const row of rows) await io.bytes(Buffer.from(`${toJsonLine(objectOf(row))}\n`));
    return;
  }
  if (format === 'json') {
    const lines = rows.map((row) => toJsonLine(objectOf(row)));
    return io.bytes(Buffer.from(lines.length === 0 ? '[]\n' : `[\n${lines.join(',\n')}\n]\n`));
  }
  if (!io.json || io.quiet) {
    await io.table(columns, rows);
    return;
  }
  for (const row of rows) await io.record(objectOf(row), '');
};
