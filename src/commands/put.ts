// `opera put`: files, folders and standard input into the network. A name is a file's own name, or --name; --to puts
// a prefix before it. Exits 0 when every file has W copies and the records of catalogues can be queried; prints name,
// size, copies, rate and version.
import { type ByteSource, sourceOfStream } from '../client/byte-source.ts';
import { type Compression, compressionOf, decompressed, gunzipped } from '../client/decompress.ts';
import { listLocalFiles } from '../client/local-tree.ts';
import { type PutItem, putMany } from '../client/put-many.ts';
import { putFile, type PutResult } from '../client/put.ts';
import type { Session } from '../client/session.ts';
import { OperaError, toOperaError } from '../errors/errors.ts';
import { parseVersionId, type VersionId } from '../model/ids.ts';
import { catalogueFlags, checkCatalogueFlags, PutCatalogues, PutProgress } from './_put-catalogue.ts';
import { PutReport } from './_put-report.ts';
import { toReportedError } from './_report.ts';
import { Fates, nameNetwork, printWhile, Rows, withSession } from './_session.ts';
import { type Column, jsonRow } from './_table.ts';
import { defineVerb, type VerbContext } from './_verb.ts';

const flags = {
  recursive: { type: 'boolean', short: 'r', summary: 'folders with all that is in them' },
  name: { type: 'string', placeholder: 'NAME', summary: 'the name it gets (one FILE, or - for standard input)' },
  to: { type: 'string', placeholder: 'PREFIX/', summary: 'put this before every name' },
  jobs: { type: 'number', short: 'j', min: 1, max: 16, default: 1, summary: 'large files sent at once' },
  ifAbsent: { type: 'boolean', summary: 'refuse (exit 10) when a file of that name exists' },
  ifVersion: { type: 'string', placeholder: 'VERSION', summary: 'refuse (exit 10) unless this version is current' },
  resume: { type: 'boolean', default: true, summary: 'go on with a put that was interrupted' },
  ...catalogueFlags,
  report: { type: 'path', summary: 'write every file’s fate and every faulty value to this file, as JSON lines' },
} as const;

const fileArguments = [
  { name: 'file', summary: 'files, folders with -r, or - for standard input', variadic: true },
] as const;

type Context = VerbContext<typeof flags, typeof fileArguments>;

interface Row {
  readonly result: PutResult;
  readonly bytesPerSecond: number | undefined;
}

const columns: readonly Column<Row>[] = [
  { key: 'name', id: true, value: ({ result }) => result.name },
  { key: 'size', kind: 'bytes', value: ({ result }) => result.size },
  { key: 'copies', kind: 'number', value: ({ result }) => result.copies },
  { key: 'bytesPerSecond', title: 'RATE/S', kind: 'bytes', value: ({ bytesPerSecond }) => bytesPerSecond },
  { key: 'version', value: ({ result }) => result.version },
];

const parseVersion = (text: string): VersionId => {
  try {
    return parseVersionId(text);
  } catch (cause) {
    throw new OperaError('usage', '--if-version takes a version as `opera stat` shows it', { cause });
  }
};

const conditionOf = ({ flags: { ifAbsent, ifVersion } }: Context) => ({
  ...(ifAbsent ? { ifAbsent } : {}),
  ...(ifVersion === undefined ? {} : { ifVersion: parseVersion(ifVersion) }),
});

/** `archive` and `archive/` mean the same. */
const prefixOf = (to: string | undefined): string =>
  to === undefined || to === '' ? '' : `${to.replace(/\/+$/, '')}/`;

const checkUsage = ({ args, flags: given }: Context): void => {
  if (args.file.includes('')) throw new OperaError('usage', 'the path of a FILE is empty');
  const isStdin = args.file.includes('-');
  if (isStdin && args.file.length > 1) throw new OperaError('usage', 'standard input (-) is put alone');
  if (isStdin && given.name === undefined) throw new OperaError('usage', 'standard input (-) needs --name');
  if (given.name !== undefined && (args.file.length > 1 || given.recursive)) {
    throw new OperaError('usage', '--name names one FILE; use --to for several');
  }
  if (given.ifAbsent && given.ifVersion !== undefined) {
    throw new OperaError('usage', '--if-absent and --if-version exclude each other');
  }
  if (given.ifVersion !== undefined && (args.file.length > 1 || given.recursive)) {
    throw new OperaError('usage', '--if-version is about one FILE');
  }
  checkCatalogueFlags(given);
};

const rateOf = (bytes: number, ms: number): number | undefined =>
  ms > 0 ? Math.round((bytes * 1_000) / ms) : undefined;

/** Rows as they come; with --json also what became of records. */
const printRows = async (context: Context, rows: Iterable<Row> | AsyncIterable<Row>): Promise<void> => {
  const { io } = context;
  if (!io.json || io.quiet) return void (await io.table(columns, rows));
  for await (const row of rows) {
    const { faults: _, ...counts } = row.result.catalogue ?? { faults: [] };
    await io.record({ ...jsonRow(columns, row), catalogue: row.result.catalogue ? counts : null }, '');
  }
};

/** Standard input as it is; with --catalogue it may be gzip. */
const stdinSource = async ({ io, flags: given }: Context): Promise<ByteSource> => {
  const plain = sourceOfStream(io.stdin);
  if (given.catalogue !== true) return plain;
  const { source, packed } = await gunzipped(plain);
  if (packed) io.note(`standard input is decompressed: ${given.name ?? ''} holds the text itself`);
  return source;
};

const putStdin = async (context: Context, session: Session): Promise<void> => {
  const { io, signal, clock, flags: given } = context;
  const started = clock.monotonicMs();
  const report = await PutReport.open(given.report);
  const progress = new PutProgress(io, given.name ?? '-');
  const catalogues = new PutCatalogues(io, given, report, progress);
  // A read of standard input waits for its writer, perhaps for ever; an interruption must not.
  signal.addEventListener('abort', () => io.stdin.destroy(toOperaError(signal.reason)), { once: true });
  // Nobody may be reading it then, and the error of a stream that nobody listens to ends the process.
  io.stdin.on('error', () => undefined);
  const name = `${prefixOf(given.to)}${given.name ?? ''}`;
  try {
    const request = {
      name,
      signal,
      condition: conditionOf(context),
      catalogue: catalogues.optionsFor(name, true),
      onProgress: (bytes: number) => progress.addBytes(bytes),
    };
    const result = await putFile(session, await stdinSource(context), request);
    progress.end();
    report.stored(result);
    catalogues.tell(result);
    await printRows(context, [{ result, bytesPerSecond: rateOf(result.size, clock.monotonicMs() - started) }]);
  } catch (error) {
    report.failed(name, toOperaError(error));
    throw error;
  } finally {
    progress.end();
    await report.close();
  }
  catalogues.end();
};

/** A local path that cannot be put, and why. */
type Unreadable = readonly [path: string, error: OperaError];

interface LocalItem extends PutItem {
  readonly packed?: Compression;
}

/** With --catalogue the content of a compressed file is what is put, under the name without its ending. */
const unpackedItem = (item: PutItem, io: Context['io'], { catalogue, name }: Context['flags']): LocalItem => {
  const found = catalogue === true ? compressionOf(item.name) : undefined;
  if (!found) return item;
  io.note(`${item.name} is decompressed: ${name ?? found.name} holds the text itself`);
  const open = async (): Promise<ByteSource> => decompressed(await item.open(), found.compression);
  return { name: found.name, size: item.size, packed: found.compression, open };
};

const listItems = async ({ args, flags: given, io }: Context) => {
  const unreadable: Unreadable[] = [];
  const items = await listLocalFiles({
    paths: args.file,
    recursive: given.recursive,
    prefix: prefixOf(given.to),
    onSkipped: (path, why) => io.warn(`${path} is left out: ${why}`),
    onUnreadable: (path, error) => void unreadable.push([path, toReportedError(error, undefined)]),
  });
  const named = items
    .map((item) => unpackedItem(item, io, given))
    .map((item) => (given.name === undefined ? item : { ...item, name: `${prefixOf(given.to)}${given.name}` }));
  const fresh = ({ resumeKey: _, ...item }: LocalItem): LocalItem => item;
  return { items: given.resume ? named : named.map(fresh), unreadable };
};

const putFiles = async (context: Context, session: Session): Promise<void> => {
  const { io, signal, clock, flags: given } = context;
  const { items, unreadable } = await listItems(context);
  const totalBytes = items.some(({ packed }) => packed) ? undefined : items.reduce((sum, { size }) => sum + size, 0);
  const [fates, rows] = [new Fates(io, items.length + unreadable.length), new Rows<Row>()];
  const report = await PutReport.open(given.report);
  const progress = new PutProgress(
    io,
    items.length === 1 ? (items[0]?.name ?? '') : `${items.length} files`,
    totalBytes,
  );
  const catalogues = new PutCatalogues(io, given, report, progress);
  const startedMs = new Map<string, number>();
  const timed = items.map((item) => ({
    ...item,
    open: () => {
      startedMs.set(item.name, clock.monotonicMs());
      return item.open();
    },
  }));
  const failed = (name: string, error: OperaError): void => {
    report.failed(name, error);
    fates.failed(name, error);
  };
  const onResult = (item: PutItem, result: PutResult | OperaError): void => {
    if (result instanceof OperaError) return failed(item.name, result);
    report.stored(result);
    fates.succeeded();
    catalogues.tell(result);
    const elapsed = clock.monotonicMs() - (startedMs.get(item.name) ?? clock.monotonicMs());
    rows.push({ result, bytesPerSecond: rateOf(result.size, elapsed) });
  };
  const request = {
    signal,
    condition: conditionOf(context),
    width: given.jobs,
    catalogueOf: ({ name }: PutItem) => catalogues.optionsFor(name, items.length === 1),
    onResult,
    onProgress: (bytes: number) => progress.addBytes(bytes),
  };
  try {
    for (const [path, error] of unreadable) failed(path, error);
    await printWhile(
      rows,
      (list) => printRows(context, list),
      () => putMany(session, timed, request).finally(() => progress.end()),
    );
  } finally {
    await report.close();
  }
  fates.end('put');
  catalogues.end();
};

/** The verb with a session; files, folders or standard input. */
export const putWith = async (context: Context, session: Session): Promise<void> => {
  nameNetwork(context.io, session);
  await (context.args.file[0] === '-' ? putStdin(context, session) : putFiles(context, session));
};

export const command = defineVerb({
  examples: [
    'opera put stars.csv                      # as stars.csv',
    'opera put -r survey                      # as survey/…',
    'opera put stars.csv --name gaia/dr3.csv',
    'opera put *.csv --to archive/2026/',
    'tar c data | opera put - --name data.tar',
    'opera put hip.tsv --map ra=RAdeg         # a column of its own name',
    'opera put dr3.csv.gz --catalogue         # decompressed, as dr3.csv',
  ],
  details:
    'A file gets its own name, files of a folder the folder’s name and the way from there. Exits 0 when every file ' +
    'has as many durable copies as the network asks for. An interrupted put goes on where it was. CSV, TSV and JSON ' +
    'with columns of star systems are catalogues: their records are indexed, and put waits until they can be queried.',
  arguments: fileArguments,
  flags,
  run: async (context) => {
    checkUsage(context);
    await withSession(context, (session) => putWith(context, session));
  },
});
