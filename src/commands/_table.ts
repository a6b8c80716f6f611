// Turns rows into the three shapes a list is printed in: aligned columns for a terminal, TSV for a pipe, JSON lines.
// One column declaration serves all three; sizes and times are rounded only on a terminal. Writes nothing itself.
import { formatByteSize, formatDuration } from '../model/units.ts';
import { formatTime } from '../runtime/clock.ts';
import { displayWidth, escapeText } from '../model/terminal-text.ts';
import { padText } from './_text.ts';

export type Style = 'bold' | 'dim' | 'good' | 'warn' | 'bad';

/** A cell; undefined is "not known": `-` on a terminal, empty in TSV, null in JSON. */
export type Cell = string | number | bigint | boolean | readonly string[] | undefined;

/** bytes: a count of bytes; time: ms since 1970; duration: ms; number, text: as they are. */
export type CellKind = 'text' | 'number' | 'bytes' | 'time' | 'duration';

export interface Column<Row> {
  /** Key in JSON, camelCase with its unit last when it has one (`size`, `ageMs`); also the TSV header. */
  readonly key: string;
  /** Header on a terminal; the key in upper case when left out. */
  readonly title?: string;
  readonly kind?: CellKind;
  /** The column that `-q` prints; the first one when no column says so. */
  readonly id?: true;
  readonly value: (row: Row) => Cell;
  readonly style?: (row: Row) => Style | undefined;
}

/** RFC 3339; a time outside the calendar is shown as the number it is. */
const showTime = (ms: number): string => (Math.abs(ms) <= 8.64e15 ? formatTime(ms) : String(ms));

/** As people read it: sizes in KiB, durations in two units, times without milliseconds. */
export const humanCell = (cell: Cell, kind: CellKind = 'text'): string => {
  if (cell === undefined || cell === '') return '-';
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  if (typeof cell === 'object') return cell.length === 0 ? '-' : cell.map(escapeText).join(', ');
  if (typeof cell === 'string') return escapeText(cell);
  if (kind === 'bytes') return formatByteSize(cell);
  if (kind === 'time') return showTime(Number(cell)).replace(/\.\d+Z$/, 'Z');
  return kind === 'duration' ? formatDuration(Number(cell)) : String(cell);
};

/** Exact, on one line, without tabs. */
export const tsvCell = (cell: Cell, kind: CellKind = 'text'): string => {
  if (cell === undefined) return '';
  if (typeof cell === 'object') return cell.map(escapeText).join(',');
  if (typeof cell === 'string') return escapeText(cell);
  return kind === 'time' && typeof cell !== 'boolean' ? showTime(Number(cell)) : String(cell);
};

export const jsonCell = (cell: Cell, kind: CellKind = 'text'): unknown => {
  if (cell === undefined) return null;
  return kind === 'time' && (typeof cell === 'number' || typeof cell === 'bigint') ? showTime(Number(cell)) : cell;
};

export const jsonRow = <Row>(columns: readonly Column<Row>[], row: Row): Readonly<Record<string, unknown>> => ({
  v: 1,
  ...Object.fromEntries(columns.map(({ key, kind, value }) => [key, jsonCell(value(row), kind)])),
});

export const tsvRow = <Row>(columns: readonly Column<Row>[], row: Row): string =>
  columns.map(({ kind, value }) => tsvCell(value(row), kind)).join('\t');

export const idCell = <Row>(columns: readonly Column<Row>[], row: Row): string => {
  const column = columns.find(({ id }) => id) ?? columns[0];
  return column ? tsvCell(column.value(row), column.kind) : '';
};

const isRight = (kind: CellKind | undefined): boolean => kind === 'number' || kind === 'bytes' || kind === 'duration';

/** Aligns rows page by page: widths of the first page stay, and only grow, so that memory stays bounded. */
export class TableLayout<Row> {
  private readonly columns: readonly Column<Row>[];
  private readonly paint: (style: Style | undefined, text: string) => string;
  private widths: number[];

  /** `paint` colours a text that is already escaped and padded. */
  constructor(columns: readonly Column<Row>[], paint: (style: Style | undefined, text: string) => string) {
    this.columns = columns;
    this.paint = paint;
    this.widths = columns.map((column) => displayWidth(this.titleOf(column)));
  }

  header(): string {
    const cells = this.columns.map((column) => this.titleOf(column));
    return this.paint(
      'bold',
      this.align(cells, () => undefined),
    );
  }

  page(rows: readonly Row[]): string {
    const cells = rows.map((row) => this.columns.map(({ kind, value }) => humanCell(value(row), kind)));
    this.widths = this.widths.map((width, at) =>
      cells.reduce((widest, line) => Math.max(widest, displayWidth(line[at] ?? '')), width),
    );
    return cells
      .map((line, index) => {
        const row = rows[index];
        return `${this.align(line, (column) => (row === undefined ? undefined : column.style?.(row)))}\n`;
      })
      .join('');
  }

  /** Widths are known only after the first page, so the header is asked for after it. */
  private align(cells: readonly string[], styleOf: (column: Column<Row>) => Style | undefined): string {
    return this.columns
      .map((column, at) => {
        const right = isRight(column.kind);
        const last = at === this.columns.length - 1 && !right;
        const text = cells[at] ?? '';
        return this.paint(styleOf(column), last ? text : padText(text, this.widths[at] ?? 0, right));
      })
      .join('  ');
  }

  private titleOf(column: Column<Row>): string {
    return column.title ?? column.key.toUpperCase();
  }
}
