// `opera put`: files, folders and standard input into the network. A name is a file's own name, or --name; --to puts
// a prefix before it. Exits 0 when every file has W copies; prints name, size, copies, rate and version.
import { sourceOfStream } from '../client/byte-source.ts';
import { listLocalFiles } from '../client/local-tree.ts';
import { type PutItem, putMany } from '../client/put-many.ts';
import { putFile, type PutResult } from '../client/put.ts';
import type { Session } from '../client/session.ts';
import { OperaError, toOperaError } from '../errors/errors.ts';
import { parseVersionId, type VersionId } from '../model/ids.ts';
import { writeFileDurably } from '../runtime/files.ts';
import { toReportedError } from './_report.ts';
import { Fates, nameNetwork, printWhile, Rows, withSession } from './_session.ts';
import type { Column } from './_table.ts';
import { toJsonLine } from './_text.ts';
import { defineVerb, type VerbContext } from './_verb.ts';

const flags = {
  recursive: { type: 'boolean', short: 'r', summary: 'folders with all that is in them' },
  name: { type: 'string', placeholder: 'NAME', summary: 'the name it gets (one FILE, or - for standard input)' },
  to: { type: 'string', placeholder: 'PREFIX/', summary: 'put this before every name' },
  jobs: { type: 'number', short: 'j', min: 1, max: 16, default: 1, summary: 'large files sent at once' },
  ifAbsent: { type: 'boolean', summary: 'refuse (exit 10) when a file of that name exists' },
  ifVersion: { type: 'string', placeholder: 'VERSION', summary: 'refuse (exit 10) unless this version is current' },
  resume: { type: 'boolean', default: true, summary: 'go on with a put that was interrupted' },
  report: { type: 'path', summary: 'write the fate of every file to this file, one JSON object per line' },
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
};

const rateOf = (bytes: number, ms: number): number | undefined =>
  ms > 0 ? Math.round((bytes * 1_000) / ms) : undefined;

const putStdin = async (context: Context, session: Session): Promise<void> => {
  const { io, signal, clock, flags: given } = context;
  const started = clock.monotonicMs();
  const progress = io.progress({ label: given.name ?? '-' });
  // A read of standard input waits for its writer, perhaps for ever; an interruption must not.
  signal.addEventListener('abort', () => io.stdin.destroy(toOperaError(signal.reason)), { once: true });
  // Nobody may be reading it then, and the error of a stream that nobody listens to ends the process.
  io.stdin.on('error', () => undefined);
  try {
    const name = `${prefixOf(given.to)}${given.name ?? ''}`;
    const request = {
      name,
      signal,
      condition: conditionOf(context),
      onProgress: (bytes: number) => progress.add(bytes),
    };
    const result = await putFile(session, sourceOfStream(io.stdin), request);
    progress.end();
    await io.table(columns, [{ result, bytesPerSecond: rateOf(result.size, clock.monotonicMs() - started) }]);
  } finally {
    progress.end();
  }
};

/** A local path that cannot be put, and why. */
type Unreadable = readonly [path: string, error: OperaError];

const listItems = async ({ args, flags: given, io }: Context) => {
  const unreadable: Unreadable[] = [];
  const items = await listLocalFiles({
    paths: args.file,
    recursive: given.recursive,
    prefix: prefixOf(given.to),
    onSkipped: (path, why) => io.warn(`${path} is left out: ${why}`),
    onUnreadable: (path, error) => void unreadable.push([path, toReportedError(error, undefined)]),
  });
  const named = items.map((item) =>
    given.name === undefined ? item : { ...item, name: `${prefixOf(given.to)}${given.name}` },
  );
  const fresh = (item: PutItem): PutItem => ({ name: item.name, size: item.size, open: () => item.open() });
  return { items: given.resume ? named : named.map(fresh), unreadable };
};

const reportLine = (name: string, result: PutResult | OperaError): string =>
  result instanceof OperaError
    ? toJsonLine({ v: 1, name, ok: false, code: result.code, detail: result.message })
    : toJsonLine({ v: 1, ok: true, ...result, name: result.name, replaced: result.replaced ?? null });

const putFiles = async (context: Context, session: Session): Promise<void> => {
  const { io, signal, clock, flags: given } = context;
  const { items, unreadable } = await listItems(context);
  const totalBytes = items.reduce((sum, { size }) => sum + size, 0);
  const [fates, rows] = [new Fates(io, items.length + unreadable.length), new Rows<Row>()];
  const report: string[] = unreadable.map(([path, error]) => reportLine(path, error));
  for (const [path, error] of unreadable) fates.failed(path, error);
  const startedMs = new Map<string, number>();
  const timed = items.map((item) => ({
    ...item,
    open: () => {
      startedMs.set(item.name, clock.monotonicMs());
      return item.open();
    },
  }));
  const progress = io.progress({
    label: items.length === 1 ? (items[0]?.name ?? '') : `${items.length} files`,
    totalBytes,
  });
  const onResult = (item: PutItem, result: PutResult | OperaError): void => {
    if (given.report !== undefined) report.push(reportLine(item.name, result));
    if (result instanceof OperaError) return fates.failed(item.name, result);
    fates.succeeded();
    const elapsed = clock.monotonicMs() - (startedMs.get(item.name) ?? clock.monotonicMs());
    rows.push({ result, bytesPerSecond: rateOf(result.size, elapsed) });
  };
  const request = {
    signal,
    condition: conditionOf(context),
    width: given.jobs,
    onResult,
    onProgress: (bytes: number) => progress.add(bytes),
  };
  try {
    await printWhile(
      rows,
      (list) => io.table(columns, list),
      () => putMany(session, timed, request).finally(() => progress.end()),
    );
  } finally {
    if (given.report !== undefined)
      await writeFileDurably(given.report, report.map((line) => `${line}\n`).join(''), 0o644);
  }
  fates.end('put');
};

export const command = defineVerb({
  examples: [
    'opera put stars.csv                      # as stars.csv',
    'opera put -r survey                      # as survey/…',
    'opera put stars.csv --name gaia/dr3.csv',
    'opera put *.csv --to archive/2026/',
    'tar c data | opera put - --name data.tar',
  ],
  details:
    'A file gets its own name, files of a folder the folder’s name and the way from there. Exits 0 when every file ' +
    'has as many durable copies as the network asks for. An interrupted put goes on where it was.',
  arguments: fileArguments,
  flags,
  run: async (context) => {
    checkUsage(context);
    await withSession(context, async (session) => {
      nameNetwork(context.io, session);
      await (context.args.file[0] === '-' ? putStdin(context, session) : putFiles(context, session));
    });
  },
});
