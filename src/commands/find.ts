// `opera find`: everything that the catalogues know of a star system, by any of its names: values with units, derived
// ones with their formula, what is odd, its stars and planets, and which record of which file says so.
import type { FoundRow } from '../client/query.ts';
import { findFiles } from '../client/open-file.ts';
import type { Session } from '../client/session.ts';
import { OperaError } from '../errors/errors.ts';
import { fieldNames, fieldTable } from '../index/fields.ts';
import { answerStars, findFlags, textOf } from './_stars.ts';
import type { Line, Output } from './_output.ts';
import { defineVerb } from './_verb.ts';

/** Records that come before each chunk of the files of rows, by version; absent where the file changed since. */
const recordsBefore = async (
  session: Session,
  rows: readonly FoundRow[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly number[]>> => {
  const names = [...new Set(rows.filter(({ id }) => id.chunk > 0).map(({ file }) => file))];
  const before = new Map<string, readonly number[]>();
  for (const file of names.length > 0 ? await findFiles(session, names, { signal }) : []) {
    if (!file || file instanceof OperaError) continue;
    let total = 0;
    const starts = (file.content.chunkRecords ?? []).map((count) => (total += count) - count);
    before.set(file.record.version, starts);
  }
  return before;
};

/** `stars.csv, record 12`; within its chunk when the file's counts are not known any more. */
const placeText = ({ file, id }: FoundRow, before: ReadonlyMap<string, readonly number[]>): string => {
  const start = id.chunk === 0 ? 0 : before.get(id.version)?.[id.chunk];
  if (start === undefined) return `${file}, record ${id.ordinal + 1} of chunk ${id.chunk}`;
  return `${file}, record ${start + id.ordinal + 1}`;
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const scalarText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** A nested value as indented lines: `key: value`, lists of objects one below the other. */
const nestedLines = (key: string, value: unknown, indent: string): string[] => {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) {
    if (value.every((item) => !isObject(item) && !Array.isArray(item))) {
      return value.length === 0 ? [] : [`${indent}${key}: ${value.map(scalarText).join(', ')}`];
    }
    return value.flatMap((item, at) => nestedLines(`${key} ${at + 1}`, item, indent));
  }
  if (!isObject(value)) return [`${indent}${key}: ${scalarText(value)}`];
  const inner = Object.entries(value).flatMap(([name, item]) => nestedLines(name, item, `${indent}  `));
  return [`${indent}${key}:`, ...inner];
};

const systemLines = (row: FoundRow, place: string): Line[] => {
  const { values, names, derived, odd, stars, planets } = row.system;
  const others = names.filter((name) => name !== values.name);
  const known = fieldNames.filter((field) => field !== 'name' && values[field] !== undefined);
  const width = Math.max(...known.map((field) => field.length), 0) + 2;
  const title = typeof values.name === 'string' ? values.name : (names[0] ?? 'without a name');
  return [
    [['bold', title]],
    [['dim', `  ${place}`]],
    ...(others.length > 0 ? [`  also ${others.join(', ')}`] : []),
    ...known.map((field): Line => {
      const { unit } = fieldTable[field];
      const value = values[field];
      const shown = typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value);
      const source = derived[field];
      const text = `  ${`${field}:`.padEnd(width)}${shown}${unit === '' ? '' : ` ${unit}`}`;
      return source === undefined ? text : [text, ['dim', `  (${source})`]];
    }),
    ...odd.map(({ field, value, limit }): Line => [['warn', `  odd: ${field} = ${value}, ${limit}`]]),
    ...nestedLines('star', stars, '  '),
    ...nestedLines('planet', planets, '  '),
  ];
};

/** Every system as a block of lines. */
export const printSystems = async (
  io: Output,
  session: Session,
  rows: readonly FoundRow[],
  signal: AbortSignal,
): Promise<void> => {
  const before = await recordsBefore(session, rows, signal);
  for (const [at, row] of rows.entries()) {
    if (at > 0) await io.line('');
    for (const line of systemLines(row, placeText(row, before))) {
      await io.line(...(typeof line === 'string' ? [line] : line));
    }
  }
};

export const command = defineVerb({
  examples: ["opera find 'HIP 70890'", 'opera find 55 Cancri', "opera find 'α CMa' --json", 'opera find Vega -q'],
  details:
    'Names are compared in one spelling: α CMa, alf CMa and Alpha Canis Majoris are one, and so are HIP32349 and ' +
    'HIP 32349. Every record that bears the name is printed, with the file it is in.',
  arguments: [{ name: 'name', summary: 'a name, alias or identifier', variadic: true }],
  flags: { ...findFlags },
  run: (context) => {
    const { args, io, flags, signal } = context;
    const question = { columns: 'all', ...textOf(flags), find: args.name.join(' ') };
    const print = flags.columns === undefined || flags.columns === 'all';
    return answerStars(
      context,
      question,
      print ? (session, { rows }) => printSystems(io, session, rows, signal) : undefined,
    );
  },
});
