// What a verb prints with. Standard output carries data only: aligned and coloured on a terminal, TSV in a pipe, JSON
// with --json, ids with -q. Everything else (notes, warnings, progress, questions) goes to standard error.
// All text is escaped here, so that a name from a peer cannot steer the terminal; colour comes from styles, not from
// escape sequences in texts. Every promise must be awaited: it is the back-pressure.
import { createInterface } from 'node:readline';
import { OperaError } from '../errors/errors.ts';
import type { Environment } from '../config/environment.ts';
import type { Host, InputStream } from './_host.ts';
import { type Progress, type ProgressOptions, silentProgress, StatusLine, startProgress } from './_progress.ts';
import {
  type Cell,
  type CellKind,
  type Column,
  humanCell,
  idCell,
  jsonRow,
  type Style,
  TableLayout,
  tsvCell,
  tsvRow,
} from './_table.ts';
import { displayWidth, escapeText } from '../model/terminal-text.ts';
import { escapeLines, padText, toJsonLine } from './_text.ts';
import { StreamWriter } from './_writer.ts';

/** Part of a line: plain, or with a style. */
export type Part = string | readonly [Style, string];
export type Line = string | readonly Part[];
/** A labelled value: `['size', 1234, 'bytes']`. */
export type Fact = readonly [label: string, cell: Cell, kind?: CellKind, style?: Style];

/** How an answer looks when it is not printed as JSON: facts first, then lines. */
export interface Rendering {
  readonly facts?: readonly Fact[];
  readonly lines?: readonly Line[];
  /** What `-q` prints; without it `-q` prints the same as otherwise. */
  readonly id?: string;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly header: boolean;
  /** From a flag or a setting; undefined: decided from the terminal and the environment. */
  readonly color: boolean | undefined;
  /** --yes was given. */
  readonly yes: boolean;
  /** The verb goes on when the reader of standard output goes away. */
  readonly outlivesReader: boolean;
}

/** Rows aligned at once; more would hold back the first ones too long. */
const pageRows = 200;

const sequences: Readonly<Record<Style, string>> = { bold: '1', dim: '2', good: '32', warn: '33', bad: '31' };

/** Flag or setting, then NO_COLOR (https://no-color.org), FORCE_COLOR, TERM=dumb, then whether it is a terminal. */
export const decideColor = (asked: boolean | undefined, env: Environment, isTerminal: boolean): boolean => {
  if (asked !== undefined) return asked;
  if (env.NO_COLOR !== undefined) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return isTerminal && env.TERM !== 'dumb';
};

export class Output {
  /** Standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: boolean;
  private readonly host: Host;
  private readonly options: OutputOptions;
  private readonly writer: StreamWriter;
  private readonly status: StatusLine;
  private readonly signal: AbortSignal;

  /** `onEnd` is called when standard output can take no more. */
  constructor(host: Host, options: OutputOptions, signal: AbortSignal, onEnd: () => void) {
    this.host = host;
    this.options = options;
    this.signal = signal;
    this.json = options.json;
    this.quiet = options.quiet;
    this.isTerminal = host.stdout.isTTY === true;
    this.color = decideColor(options.color, host.env, this.isTerminal);
    this.writer = new StreamWriter(host.stdout, onEnd, options.outlivesReader);
    this.status = new StatusLine(
      (text) => host.stderr.write(text),
      // Some terminals report 0 columns, which means they do not know.
      () => host.stderr.columns || 80,
    );
    // A closed standard error must not end anything.
    host.stderr.on('error', () => undefined);
  }

  /** Standard input, opened now. */
  get stdin(): InputStream {
    return this.host.stdin;
  }

  /** True after the reader of standard output went away. */
  get isPipeClosed(): boolean {
    return this.writer.isPipeClosed;
  }

  /** Why standard output failed, unless its reader went away. */
  get writeError(): OperaError | undefined {
    return this.writer.error;
  }

  /** One line on standard output, as it is, whatever the format. */
  async line(...parts: readonly Part[]): Promise<void> {
    await this.print(`${this.renderLine(parts)}\n`);
  }

  /** Raw bytes on standard output. The buffer is ours until the promise resolves. */
  async bytes(bytes: Uint8Array): Promise<void> {
    this.status.wipe();
    await this.writer.bytes(bytes);
  }

  /** A list; answers how many rows it had. Terminal: a table; pipe: TSV; --json: one object per row; -q: ids. */
  async table<Row>(columns: readonly Column<Row>[], rows: Iterable<Row> | AsyncIterable<Row>): Promise<number> {
    if (this.isTerminal && !this.json && !this.quiet) return this.alignedTable(columns, rows);
    let count = 0;
    if (this.options.header && !this.json && !this.quiet) {
      await this.print(`${columns.map(({ key }) => key).join('\t')}\n`);
    }
    for await (const row of rows) {
      count += 1;
      const text = this.quiet
        ? idCell(columns, row)
        : this.json
          ? toJsonLine(jsonRow(columns, row))
          : tsvRow(columns, row);
      await this.print(`${text}\n`);
    }
    return count;
  }

  /** A single answer. --json: the value with "v":1 as one document; -q: its id; otherwise the rendering. */
  async document(value: Readonly<Record<string, unknown>>, rendering: Rendering): Promise<void> {
    if (this.quiet && rendering.id !== undefined) return this.print(`${escapeText(rendering.id)}\n`);
    if (this.json) return this.print(`${toJsonLine({ v: 1, ...value })}\n`);
    await this.facts(rendering.facts ?? []);
    for (const line of rendering.lines ?? []) await this.line(...(typeof line === 'string' ? [line] : line));
  }

  /** One entry of a stream. --json: an object with "v":1; -q: its id; otherwise its line. */
  async record(value: Readonly<Record<string, unknown>>, line: Line, id?: string): Promise<void> {
    await this.document(value, id === undefined ? { lines: [line] } : { lines: [line], id });
  }

  /** For people, on standard error: what happened, what to do next. Silent with -q and --json. */
  note(text: string): void {
    if (!this.quiet && !this.json) this.complain(`${escapeLines(text)}\n`);
  }

  /** Something the reader must know although the command goes on; an object per line with --json. */
  warn(text: string): void {
    if (this.json) this.complain(`${toJsonLine({ v: 1, level: 'warning', detail: text })}\n`);
    else this.complain(`opera: warning: ${escapeLines(text)}\n`);
  }

  /** A progress line on a terminal; silent elsewhere, with -q and with --json. End it in `finally`. */
  progress(options: ProgressOptions): Progress {
    const shown = this.host.stderr.isTTY === true && !this.quiet && !this.json && this.host.env.TERM !== 'dumb';
    return shown ? startProgress(this.status, this.host.clock, options) : silentProgress;
  }

  /**
   * Returns when the user agrees. With --yes at once; on a terminal after "y"; otherwise throws: `usage` where nobody
   * can be asked, `aborted` when the answer is no. Say what will be done and on which network.
   */
  async confirm(question: string): Promise<void> {
    if (this.options.yes) return;
    const { stdin, stderr } = this.host;
    if (stdin.isTTY !== true || stderr.isTTY !== true) {
      throw new OperaError('usage', `${question} Nobody can be asked here`, { hint: 'Repeat it with --yes' });
    }
    this.complain(`${escapeLines(question)} [y/N] `);
    const answer = await readAnswer(stdin, this.signal);
    if (/^\s*y(es)?\s*$/i.test(answer)) return;
    throw new OperaError('aborted', 'not confirmed; nothing was done', { hint: '' });
  }

  /** Text on standard error that is already safe to show. */
  complain(text: string): void {
    this.status.wipe();
    this.host.stderr.write(text);
  }

  /** Resolves when all output is with the operating system. Never throws. */
  async flush(): Promise<void> {
    this.status.wipe();
    await this.writer.flush();
  }

  /** Labels and values: aligned and rounded on a terminal, exact behind a tab in a pipe. */
  private async facts(facts: readonly Fact[]): Promise<void> {
    const width = facts.reduce((widest, [label]) => Math.max(widest, displayWidth(label) + 1), 0);
    for (const [label, cell, kind, style] of facts) {
      const name = escapeText(label);
      const text = this.isTerminal
        ? `${padText(`${name}:`, width, false)} ${this.paint(style, humanCell(cell, kind))}`
        : `${name}\t${tsvCell(cell, kind)}`;
      await this.print(`${text}\n`);
    }
  }

  private async print(text: string): Promise<void> {
    this.status.wipe();
    await this.writer.text(text);
  }

  private renderLine(parts: readonly Part[]): string {
    return parts
      .map((part) => (typeof part === 'string' ? escapeText(part) : this.paint(part[0], escapeText(part[1]))))
      .join('');
  }

  private paint(style: Style | undefined, text: string): string {
    return style && this.color ? `\x1b[${sequences[style]}m${text}\x1b[0m` : text;
  }

  private async alignedTable<Row>(
    columns: readonly Column<Row>[],
    rows: Iterable<Row> | AsyncIterable<Row>,
  ): Promise<number> {
    const layout = new TableLayout(columns, (style, text) => this.paint(style, text));
    let page: Row[] = [];
    let count = 0;
    const printPage = async (): Promise<void> => {
      const first = count === page.length;
      const text = layout.page(page);
      page = [];
      await this.print(first ? `${layout.header()}\n${text}` : text);
    };
    for await (const row of rows) {
      count += 1;
      page.push(row);
      if (page.length === pageRows) await printPage();
    }
    if (page.length > 0) await printPage();
    return count;
  }
}

const readAnswer = (stdin: InputStream, signal: AbortSignal): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = createInterface({ input: stdin, terminal: false });
    const aborted = (): void => {
      reader.close();
      reject(signal.reason);
    };
    signal.addEventListener('abort', aborted, { once: true });
    reader.once('line', (line) => {
      resolve(line);
      reader.close();
    });
    reader.once('close', () => {
      signal.removeEventListener('abort', aborted);
      resolve('');
    });
  });
