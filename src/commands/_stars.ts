// What the verbs about star systems share: flags, asking, and the answer in the shape that was asked for. On a terminal
// numbers are rounded and columns have units; everywhere else they are as records have them. Values are data of the
// catalogues.
import {
  type FoundRow,
  type MissingChunks,
  missingText,
  queryStars,
  type QueryReport,
  type StarAnswer,
} from '../client/query.ts';
import type { Session } from '../client/session.ts';
import { OperaError } from '../errors/errors.ts';
import { type FieldName, fieldNames, fieldTable } from '../index/fields.ts';
import { parseQuery, type Query, type QueryColumn, type QueryText } from '../index/query.ts';
import { toJson } from '../index/star-system.ts';
import { limits } from '../model/limits.ts';
import { formatCount } from '../model/units.ts';
import { type Format, formats, printRecords } from './_formats.ts';
import type { Output } from './_output.ts';
import { withSession } from './_session.ts';
import type { Column } from './_table.ts';
import { escapeText } from '../model/terminal-text.ts';
import { toJsonLine } from './_text.ts';
import type { VerbBase } from './_verb.ts';

const count = { type: 'boolean', summary: 'print how many match, no rows' } as const;
const shape = {
  columns: { type: 'string', placeholder: 'FIELDS', summary: 'name,ra,dec …, or all' },
  format: { type: 'enum', options: formats, summary: 'how rows are printed' },
  in: { type: 'string', placeholder: 'FILE', summary: 'only this catalogue or quoted glob', repeatable: true },
  partial: { type: 'boolean', summary: 'answer without what cannot be reached (exit 6)' },
  explain: { type: 'boolean', summary: 'say how the answer came about' },
  failEmpty: { type: 'boolean', summary: 'exit 9 when nothing matches' },
} as const;

/** Flags of questions that look for certain records. */
export const findFlags = {
  limit: { type: 'number', min: 1, max: limits.queryRowsMax, summary: 'at most so many rows' },
  ...shape,
} as const;

/** Flags of questions about many records. */
export const starFlags = {
  sort: { type: 'string', placeholder: 'FIELDS', summary: 'order: dist, -mag, class,mag desc, separation' },
  ...findFlags,
  count,
  group: { type: 'string', placeholder: 'FIELD', summary: 'count by the values of a field' },
  histogram: { type: 'string', placeholder: 'FIELD:WIDTH', summary: 'count by bins: mag:0.5' },
} as const;

/** For the verbs whose arguments are a place. */
export const whereFlag = {
  where: { type: 'string', placeholder: 'EXPR', summary: "and this: 'mag < 6 and has planets'" },
} as const;

export interface StarFlags {
  readonly in: readonly string[];
  readonly limit?: number | undefined;
  readonly columns?: string | undefined;
  readonly format?: Format | undefined;
  readonly partial: boolean;
  readonly explain: boolean;
  readonly failEmpty: boolean;
  readonly sort?: string | undefined;
  readonly count?: boolean;
  readonly group?: string | undefined;
  readonly histogram?: string | undefined;
}

type StarContext = VerbBase & { readonly flags: StarFlags };

/** The parts of a question that flags say, without those that were not given. */
export const textOf = ({ sort, limit, columns, count: counts, group, histogram }: StarFlags): QueryText => ({
  ...(sort === undefined ? {} : { sort }),
  ...(limit === undefined ? {} : { limit }),
  ...(columns === undefined ? {} : { columns }),
  ...(counts === true ? { count: true } : {}),
  ...(group === undefined ? {} : { group }),
  ...(histogram === undefined ? {} : { histogram }),
});

/** `MAG_V [mag]` */
const titleOf = (name: string, unit: string): string => `${name.toUpperCase()}${unit === '' ? '' : ` [${unit}]`}`;

/** Eight digits are more than any catalogue knows of a distance, and 4 mas of a position. */
const rounded = (value: number): number => Number(value.toPrecision(8));

const fieldColumn = (field: FieldName, pretty: boolean): Column<FoundRow> => {
  const { type, unit } = fieldTable[field];
  const isNumber = type === 'number' || type === 'integer';
  return {
    key: field,
    title: titleOf(field, unit),
    ...(isNumber ? { kind: 'number' } : {}),
    ...(field === 'name' ? { id: true } : {}),
    value: ({ system }) => {
      const value = system.values[field];
      return typeof value === 'number' && pretty ? rounded(value) : value;
    },
  };
};

/** One digit fewer than the coordinates it is from (src/index/_derive.ts); answers are ordered by the exact one. */
const shownSeparation = (value: number): number => Number(value.toPrecision(6));

const separationColumn = ({ centre }: Query): Column<FoundRow> => ({
  key: 'separation',
  title: titleOf('separation', centre?.kind === 'sky' ? 'deg' : 'pc'),
  kind: 'number',
  value: ({ separation }) => (separation === null ? undefined : shownSeparation(separation)),
});

/** With `all`: the fields that any row has, what it is apart from the centre, and its file. */
const columnsOf = ({ query, rows }: StarAnswer, pretty: boolean): Column<FoundRow>[] => {
  const fields: readonly QueryColumn[] =
    query.columns === 'all'
      ? [
          ...fieldNames.filter((field) => rows.some(({ system }) => system.values[field] !== undefined)),
          ...(query.centre ? (['separation'] as const) : []),
        ]
      : query.columns;
  const columns = fields.map((column) =>
    column === 'separation' ? separationColumn(query) : fieldColumn(column, pretty),
  );
  return query.columns === 'all' ? [...columns, { key: 'file', value: ({ file }) => file }] : columns;
};

/** A whole record as JSON: what is known, and where that is from. */
const wholeObject = ({ system, separation, file, id }: FoundRow): Readonly<Record<string, unknown>> => ({
  ...toJson(system),
  ...(separation === null ? {} : { separation: shownSeparation(separation) }),
  file,
  version: id.version,
  chunk: id.chunk,
  ordinal: id.ordinal,
});

interface Group {
  readonly group: string | number | null;
  readonly count: number;
}

/** Ends of bins, without the noise of multiplying by fractions. */
const edge = (bin: number, width: number): number => Number((bin * width).toPrecision(12));

const groupColumns = ({ output }: Query): Column<Group>[] => {
  const counted: Column<Group> = { key: 'count', kind: 'number', value: (group) => group.count };
  if (output.kind === 'groups') {
    const { field } = output;
    return [{ key: field, title: titleOf(field, ''), id: true, value: ({ group }) => group ?? undefined }, counted];
  }
  if (output.kind !== 'histogram') return [counted];
  const { field, width } = output;
  const edgeColumn = (key: string, title: string, offset: number): Column<Group> => ({
    key,
    title: titleOf(title, fieldTable[field].unit),
    kind: 'number',
    value: ({ group }) => (typeof group === 'number' ? edge(group + offset, width) : undefined),
  });
  return [edgeColumn('from', `${field} from`, 0), edgeColumn('to', 'to', 1), counted];
};

const printCount = async (io: Output, format: Format | undefined, total: number): Promise<void> => {
  const column: Column<number> = { key: 'count', kind: 'number', value: (value) => value };
  if (format !== undefined) return printRecords(io, format, [column], [total]);
  await io.document({ count: total }, { id: String(total), lines: [String(total)] });
};

const printRows = async (io: Output, format: Format | undefined, answer: StarAnswer): Promise<void> => {
  const pretty = format === 'table' || (format === undefined && io.isTerminal && !io.json && !io.quiet);
  const objectOf = answer.query.columns === 'all' ? wholeObject : undefined;
  await printRecords(io, format, columnsOf(answer, pretty), answer.rows, objectOf);
};

const milliseconds = (ms: number): string => `${ms.toFixed(1)} ms`;

/** How the answer came about, for people. */
const explainLines = ({ catalogues, chunks, plan, places, steps, snapshotMs, totalMs }: QueryReport): string[] => [
  ...plan,
  ...places.map(
    ({ star, file, chunk, ordinal }) => `${star}: place of record ${ordinal + 1} in chunk ${chunk}, ${file}`,
  ),
  `snapshot: ${formatCount(catalogues, 'catalogue')}, ${formatCount(chunks, 'chunk')}, ${milliseconds(snapshotMs)}`,
  ...steps.flatMap(({ what, nodes, ms }) => [
    `${what}: ${formatCount(nodes.length, 'answer')} of nodes, ${milliseconds(ms)}`,
    ...nodes.map(
      ({ address, chunks: vouched, asked, candidates, records, access, nodeMs, ms: waitedMs }) =>
        `  ${address}: ${vouched} of ${formatCount(asked, 'chunk')}, ${access || 'index'}, ` +
        `${formatCount(candidates, 'candidate')}, ${formatCount(records, 'record')} read, ` +
        `${milliseconds(nodeMs)} there, ${milliseconds(waitedMs)} in all`,
    ),
  ]),
  `total: ${milliseconds(totalMs)}`,
];

const explain = (io: Output, report: QueryReport): void => {
  const lines = io.json ? [toJsonLine({ v: 1, explain: report })] : explainLines(report).map(escapeText);
  io.complain(`${lines.join('\n')}\n`);
};

/** Says what the answer lacks, file by file, and ends with `partial`. */
const reportMissing = (io: Output, missing: readonly MissingChunks[]): void => {
  if (missing.length === 0) return;
  for (const { file, chunks, chunkCount } of missing) {
    io.warn(`${file}: nobody answers for ${chunks.length} of its ${formatCount(chunkCount, 'chunk')}`);
  }
  throw new OperaError('partial', `the answer lacks ${missingText(missing)}`, { hint: 'See opera status' });
};

const reportCut = (io: Output, { query, rows, count: total, countsAll }: StarAnswer, asked: boolean): void => {
  if (query.output.kind !== 'rows' || rows.length >= total || !countsAll) return;
  const text = `these are the first ${rows.length} of ${total} that match`;
  // What nobody asked to be cut must not be taken for everything.
  if (asked) io.note(text);
  else io.warn(`${text}; --limit goes up to ${limits.queryRowsMax}`);
};

const reportNothing = (io: Output, failEmpty: boolean): void => {
  if (failEmpty) throw new OperaError('nothing-matched', 'no star system matches');
  io.note('no star system matches');
};

/** Prints rows in another shape than a list; for people only. */
export type PrintRows = (answer: StarAnswer) => Promise<void>;

/** Prints an answer as the flags say, and on standard error what it lacks. Throws `partial`, `nothing-matched`. */
export const printAnswer = async (
  io: Output,
  flags: StarFlags,
  answer: StarAnswer,
  print?: PrintRows,
): Promise<void> => {
  const format = io.json ? undefined : flags.format;
  const { kind } = answer.query.output;
  if (kind === 'count') await printCount(io, format, answer.count);
  else if (kind !== 'rows') {
    const groups = answer.groups.map(([group, records]): Group => ({ group, count: records }));
    await printRecords(io, format, groupColumns(answer.query), groups);
  } else if (print && format === undefined && !io.json && !io.quiet) await print(answer);
  else await printRows(io, format, answer);
  if (flags.explain) explain(io, answer.report);
  reportCut(io, answer, flags.limit !== undefined);
  reportMissing(io, answer.missing);
  if (answer.count === 0 && (kind !== 'count' || flags.failEmpty)) reportNothing(io, flags.failEmpty);
};

/** Asks and prints. `print` is for rows that are shown to people in another shape than a list. */
export const answerStars = async (
  context: StarContext,
  text: QueryText,
  print?: (session: Session, answer: StarAnswer) => Promise<void>,
): Promise<void> => {
  const { io, signal, flags } = context;
  const { format, partial, in: patterns } = flags;
  if (io.json && format !== undefined && format !== 'ndjson') {
    throw new OperaError('usage', `--json and --format ${format} contradict each other`);
  }
  // What makes no sense is said before anybody is dialled.
  const query = parseQuery(text);
  await withSession(context, async (session) => {
    const answer = await queryStars(session, query, { in: patterns, partial, signal });
    await printAnswer(io, flags, answer, print && ((found) => print(session, found)));
  });
};
