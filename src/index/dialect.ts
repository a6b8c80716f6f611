// What a dialect is: how a file writes its records. Found by detect-dialect.ts, kept in the note of a catalogue, and
// used by whoever cuts or parses. Normal data.

export interface Dialect {
  readonly format: 'csv' | 'tsv' | 'ndjson' | 'json';
  /** One ASCII character; empty in the JSON formats. */
  readonly delimiter: string;
  /** True when `"` at a field's start quotes the field. */
  readonly quoted: boolean;
  /** True when lines that begin with # are comments. */
  readonly comments: boolean;
  /** Names of the columns; in JSON the keys met in the head, `ids.hip` for keys of an object in a record. */
  readonly columns: readonly string[];
  /** Units beside the names where the file has a line of them; otherwise empty. */
  readonly units: readonly string[];
  /** Bytes of chunk 0 before the first record: byte order mark, comments, header, `[`. */
  readonly preamble: number;
}

/** The head that detection reads; a header and a few dozen records of the widest survey fit. */
export const dialectHeadBytes = 256 * 1024;
