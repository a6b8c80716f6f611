// The bytes of one chunk as raw records: ordinal, byte range, and fields by column or a JSON object. Every record that
// the cutter counts comes out, a faulty one with its fault: ordinals are places, and a fault must not move them.
// Values stay texts; whether they make sense is record.ts.
import { limits } from '../model/limits.ts';
import { createScanner, splitRow } from './_record-scanner.ts';
import type { Dialect } from './dialect.ts';

export interface RawRecord {
  /** Place in the chunk, from 0. */
  readonly ordinal: number;
  /** Its bytes in the chunk, [start, end), without line end and separators. */
  readonly start: number;
  readonly end: number;
  /** Fields in the order of the dialect's columns; empty for JSON and for faulty records. */
  readonly fields: readonly string[];
  readonly json: Readonly<Record<string, unknown>> | undefined;
  readonly fault: string | undefined;
}

const noFields: readonly string[] = [];

/** Integers that a double may not hold exactly, outside of texts: identifiers of Gaia have 19 digits. */
const longInteger = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

const depthOf = (value: unknown, depth = 1): number => {
  if (typeof value !== 'object' || value === null || depth > limits.jsonDepthMax) return depth;
  let deepest = depth;
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner, depth + 1));
  return deepest;
};

type Parsed = Omit<RawRecord, 'ordinal' | 'start' | 'end'>;

const faulty = (fault: string): Parsed => ({ fields: noFields, json: undefined, fault });

const parseJson = (text: string): Parsed => {
  const exact = /\d{16}/.test(text)
    ? text.replace(longInteger, (part) => (part[0] === '"' ? part : `"${part}"`))
    : text;
  let json: unknown;
  try {
    json = JSON.parse(exact);
  } catch {
    return faulty('is not JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return faulty('is no JSON object');
  if (depthOf(json) > limits.jsonDepthMax) return faulty(`is nested deeper than ${limits.jsonDepthMax} levels`);
  return { fields: noFields, json: json as Record<string, unknown>, fault: undefined };
};

const parseRow = (text: string, { delimiter, quoted, columns }: Dialect): Parsed => {
  const fields = splitRow(text, delimiter, quoted);
  if (fields.length === columns.length) return { fields, json: undefined, fault: undefined };
  // Empty fields too many come from a delimiter at the line's end; a value too many shifts all behind it.
  const trailing = fields.length > columns.length && fields.slice(columns.length).every((field) => field.trim() === '');
  if (trailing) return { fields, json: undefined, fault: undefined };
  return faulty(`has ${fields.length} fields, the header has ${columns.length}`);
};

export type RecordPlace = Pick<RawRecord, 'ordinal' | 'start' | 'end'>;

/** One record from its own bytes: those of `start` to `end` as parseRecords answered them. */
export const parseRecord = (bytes: Uint8Array, dialect: Dialect, place: RecordPlace): RawRecord => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const isJson = dialect.format === 'json' || dialect.format === 'ndjson';
  return { ...place, ...(isJson ? parseJson(text) : parseRow(text, dialect)) };
};

/** Spaces and commas in front of a record, line ends behind it. */
const isPadding = (byte: number | undefined, comma: boolean): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || (comma && (byte === 0x2c || byte === 0x09));

/** The records of a chunk in order. `first` when it is chunk 0, which begins with the preamble. */
export function* parseRecords(chunk: Uint8Array, dialect: Dialect, first: boolean): Generator<RawRecord> {
  const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  const isJson = dialect.format === 'json' || dialect.format === 'ndjson';
  const from = first ? Math.min(dialect.preamble, chunk.length) : 0;
  // Ends first, records after: two tight loops are faster than a generator between two bytes.
  const ends: number[] = [];
  const scanner = createScanner(dialect);
  scanner.scan(chunk, from, chunk.length, (end, isRecord) => ends.push(isRecord ? end : -end));
  if (scanner.isOpen) ends.push(chunk.length);
  let start = from;
  let ordinal = 0;
  for (const mark of ends) {
    if (mark > 0) {
      let begin = start;
      let end = mark;
      while (isJson && isPadding(buffer[begin], true)) begin += 1;
      while (end > begin && (buffer[end - 1] === 0x0a || buffer[end - 1] === 0x0d)) end -= 1;
      const text = buffer.toString('utf8', begin, end);
      const { fields, json, fault } = isJson ? parseJson(text) : parseRow(text, dialect);
      yield { ordinal, start: begin, end, fields, json, fault };
      ordinal += 1;
    }
    start = Math.abs(mark);
  }
}
