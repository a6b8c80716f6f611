// Where records end, found byte by byte in one pass: rows of CSV and TSV, lines of NDJSON, values of a JSON array.
// The state lives between pieces, so the ends do not depend on how the bytes were cut into pieces. The cutter and the
// parser use the same scanners: they cannot disagree about what a record is. Nothing here decodes or validates.
import type { Dialect } from './dialect.ts';

const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const backslash = 0x5c;
const hash = 0x23;

/** Called at every end: offset behind the record's last byte, and false when it was a blank line or a comment. */
export type OnEnd = (end: number, isRecord: boolean) => void;

export interface RecordScanner {
  /** Reads `bytes` from `from` to `to`; ends are offsets into `bytes`. */
  scan(bytes: Uint8Array, from: number, to: number, onEnd: OnEnd): void;
  /** True when the bytes since the last end hold a record that no end closed. */
  readonly isOpen: boolean;
}

/** Nothing but spaces so far; at a field's start; inside; inside quotes; behind a quote in quotes; in a comment. */
const rowStart = 0;
const fieldStart = 1;
const inField = 2;
const inQuotes = 3;
const behindQuote = 4;
const inComment = 5;

/** Rows of RFC 4180, with any one-byte delimiter; a quote opens only at a field's start, `""` stands for one inside. */
class RowScanner implements RecordScanner {
  readonly #delimiter: number;
  readonly #quote: number;
  readonly #comment: number;
  #state = rowStart;

  constructor({ delimiter, quoted, comments }: Dialect) {
    this.#delimiter = delimiter.charCodeAt(0);
    this.#quote = quoted ? quote : -1;
    this.#comment = comments ? hash : -1;
  }

  get isOpen(): boolean {
    return this.#state !== rowStart && this.#state !== inComment;
  }

  scan(bytes: Uint8Array, from: number, to: number, onEnd: OnEnd): void {
    const delimiter = this.#delimiter;
    const quoteByte = this.#quote;
    let state = this.#state;
    for (let at = from; at < to; at++) {
      const byte = bytes[at];
      if (state === inQuotes) {
        if (byte === quoteByte) state = behindQuote;
      } else if (byte === newline) {
        onEnd(at + 1, state !== rowStart && state !== inComment);
        state = rowStart;
      } else if (state === inComment) {
        // Nothing in a comment counts but its end.
      } else if (byte === delimiter) {
        state = fieldStart;
      } else if (byte === quoteByte && state !== inField) {
        state = inQuotes;
      } else if (state === rowStart && byte === this.#comment) {
        state = inComment;
      } else if ((byte !== space || state > fieldStart) && (byte !== carriageReturn || state !== rowStart)) {
        state = inField;
      }
    }
    this.#state = state;
  }
}

class LineScanner implements RecordScanner {
  #blank = true;

  get isOpen(): boolean {
    return !this.#blank;
  }

  scan(bytes: Uint8Array, from: number, to: number, onEnd: OnEnd): void {
    for (let at = from; at < to; at++) {
      const byte = bytes[at] ?? 0;
      if (byte === newline) {
        onEnd(at + 1, !this.#blank);
        this.#blank = true;
      } else if (this.#blank && byte > space) {
        this.#blank = false;
        // The rest of the line decides nothing: let the native search find its end.
        const end = bytes.indexOf(newline, at);
        if (end === -1 || end >= to) return;
        at = end - 1;
      } else if (!this.#blank) {
        const end = bytes.indexOf(newline, at);
        if (end === -1 || end >= to) return;
        at = end - 1;
      }
    }
  }
}

/** Objects of one array. A record ends behind its `}`; commas and spaces before it belong to it, `]` to no record. */
class ArrayScanner implements RecordScanner {
  #depth = 0;
  #inText = false;
  #escaped = false;

  get isOpen(): boolean {
    return this.#depth > 0;
  }

  scan(bytes: Uint8Array, from: number, to: number, onEnd: OnEnd): void {
    let depth = this.#depth;
    let inText = this.#inText;
    let escaped = this.#escaped;
    for (let at = from; at < to; at++) {
      const byte = bytes[at];
      if (inText) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inText = false;
      } else if (byte === quote) inText = true;
      else if (byte === 0x7b || byte === 0x5b) depth += 1;
      else if ((byte === 0x7d || byte === 0x5d) && depth > 0) {
        depth -= 1;
        if (depth === 0) onEnd(at + 1, true);
      }
    }
    this.#depth = depth;
    this.#inText = inText;
    this.#escaped = escaped;
  }
}

/** A scanner for the bytes behind the preamble. */
export const createScanner = (dialect: Dialect): RecordScanner => {
  switch (dialect.format) {
    case 'csv':
    case 'tsv':
      return new RowScanner(dialect);
    case 'ndjson':
      return new LineScanner();
    case 'json':
      return new ArrayScanner();
  }
};

/** The fields of one row without its line end; the delimiter in quotes is no delimiter. */
export const splitRow = (row: string, delimiter: string, quoted: boolean): string[] => {
  const fields: string[] = [];
  if (!quoted || !row.includes('"')) {
    // Twice as fast as split(), which looks every part up in a table of known strings.
    const code = delimiter.charCodeAt(0);
    let start = 0;
    for (let at = 0; at < row.length; at++) {
      if (row.charCodeAt(at) !== code) continue;
      fields.push(at === start ? '' : row.slice(start, at));
      start = at + 1;
    }
    fields.push(row.slice(start));
    return fields;
  }
  for (let at = 0; at <= row.length; ) {
    let start = at;
    while (row[start] === ' ') start += 1;
    if (row[start] !== '"') {
      const end = row.indexOf(delimiter, at);
      fields.push(row.slice(at, end === -1 ? row.length : end));
      if (end === -1) return fields;
      at = end + 1;
      continue;
    }
    let close = row.indexOf('"', start + 1);
    while (close !== -1 && row[close + 1] === '"') close = row.indexOf('"', close + 2);
    const inside = row.slice(start + 1, close === -1 ? row.length : close).replaceAll('""', '"');
    const end = close === -1 ? -1 : row.indexOf(delimiter, close + 1);
    // What stands behind a closing quote belongs to the field, as the scanner reads it.
    fields.push(inside + (close === -1 ? '' : row.slice(close + 1, end === -1 ? row.length : end).trimEnd()));
    if (end === -1) return fields;
    at = end + 1;
  }
  return fields;
};
