// `opera get`: files of the network into local files. One name becomes a file of its last part, or what -o says;
// globs and -r become paths below the folder of -o. Nothing is overwritten without --force, nothing written outside.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { getInto, getMany, type GetResult } from '../client/get-many.ts';
import { fetchFile, parseRange, type RangeRequest, resolveRange } from '../client/get.ts';
import { pathPartsOf } from '../client/local-path.ts';
import { writeWholeFile } from '../client/local-target.ts';
import { resolveName } from '../client/open-file.ts';
import type { Session } from '../client/session.ts';
import { OperaError } from '../errors/errors.ts';
import {
  emptyFlag,
  Fates,
  type Meant,
  meantNames,
  printWhile,
  reportEmpty,
  Rows,
  staleFlag,
  withSession,
} from './_session.ts';
import type { Column } from './_table.ts';
import { defineVerb, type VerbContext } from './_verb.ts';

const flags = {
  output: { type: 'path', short: 'o', summary: 'file or folder to write to, - for standard output' },
  recursive: { type: 'boolean', short: 'r', summary: 'all files below the name' },
  range: { type: 'string', placeholder: 'A-B', summary: 'only these bytes: A-B (inclusive), A- or -N' },
  jobs: { type: 'number', short: 'j', min: 1, max: 16, default: 1, summary: 'large files got at once' },
  force: { type: 'boolean', short: 'f', summary: 'replace local files that are there' },
  ...staleFlag,
  ...emptyFlag,
} as const;

const nameArguments = [{ name: 'name', summary: 'names or quoted globs', variadic: true }] as const;

type Context = VerbContext<typeof flags, typeof nameArguments>;

const columns: readonly Column<GetResult>[] = [
  { key: 'name', id: true, value: ({ name }) => name },
  { key: 'path', value: ({ path }) => path },
  { key: 'size', kind: 'bytes', value: ({ size }) => size },
  { key: 'version', value: ({ version }) => version },
];

const isFolder = async (path: string): Promise<boolean> =>
  path.endsWith('/') || ((await stat(path).catch(() => undefined))?.isDirectory() ?? false);

/** Where one file goes: its last part in the folder given, or exactly where the user says. */
const pathFor = async (name: string, output: string | undefined): Promise<string> => {
  if (output !== undefined && !(await isFolder(output))) return output;
  return join(output ?? '.', pathPartsOf(name).at(-1) ?? '');
};

const getOne = async (
  context: Context,
  session: Session,
  name: string,
  asked: RangeRequest | undefined,
): Promise<void> => {
  const { io, signal, flags: given } = context;
  const { file, plan } = await resolveName(session, name, { signal, staleOk: given.staleOk });
  const range = asked && resolveRange(asked, file.geometry.size);
  if (given.output === '-') {
    for await (const bytes of fetchFile(session, plan, file, range, { signal })) await io.bytes(bytes);
    return;
  }
  const path = await pathFor(name, given.output);
  const size = range ? range.to - range.from : file.geometry.size;
  const progress = io.progress({ label: name, totalBytes: size });
  try {
    const { force } = given;
    const row: GetResult = range
      ? { name, path, size, version: file.record.version, resumedChunks: 0 }
      : await getInto(session, plan, file, path, { force, signal, onProgress: (bytes) => progress.add(bytes) });
    if (range) await writeWholeFile(path, fetchFile(session, plan, file, range, { signal }), { force });
    progress.end();
    await io.table(columns, [row]);
  } finally {
    progress.end();
  }
};

const getSelection = async (context: Context, session: Session, { names, absent }: Meant): Promise<void> => {
  const { io, signal, flags: given } = context;
  if (given.output === '-') throw new OperaError('usage', '-o - is for one file; use opera cat for several');
  const [rows, fates] = [new Rows<GetResult>(), new Fates(io, names.length + absent.length)];
  fates.absent(absent, given.recursive);
  const progress = io.progress({ label: `${names.length} files` });
  const onResult = (name: string, result: GetResult | OperaError): void => {
    if (result instanceof OperaError) return fates.failed(name, result);
    fates.succeeded();
    rows.push(result);
  };
  const request = {
    folder: given.output ?? '.',
    force: given.force,
    width: given.jobs,
    staleOk: given.staleOk,
    signal,
    onResult,
    onProgress: (bytes: number) => progress.add(bytes),
  };
  await printWhile(
    rows,
    (list) => io.table(columns, list),
    () => getMany(session, names, request).finally(() => progress.end()),
  );
  fates.end('got');
};

export const command = defineVerb({
  examples: [
    'opera get survey/stars.csv               # into ./stars.csv',
    'opera get survey/stars.csv -o copy.csv',
    'opera get -r survey -o back              # into back/survey/…',
    "opera get 'survey/**/*.csv' -o back",
    'opera get stars.csv --range 0-1023 -o -',
  ],
  details:
    'Several names, globs and -r become paths below the folder of -o, with the whole name as the way. A get that was ' +
    'interrupted goes on with FILE.part. Every byte is verified before it is written.',
  arguments: nameArguments,
  flags,
  run: async (context) => {
    const { args, io, signal, flags: given } = context;
    const range = given.range === undefined ? undefined : parseRange(given.range);
    await withSession(context, async (session) => {
      const meant = await meantNames(session, args.name, given.recursive, { signal, staleOk: given.staleOk });
      const [only] = meant.names;
      if (only === undefined && meant.absent.length === 0) return reportEmpty(io, given.failEmpty);
      if (only !== undefined && meant.exact && !given.recursive) return getOne(context, session, only, range);
      if (range && only !== undefined) throw new OperaError('usage', '--range is for one file');
      await getSelection(context, session, meant);
    });
  },
});
