// `opera ls`: names of the network in byte order, all of them or those of a prefix or glob. An exact name wins over a
// glob. Sizes and dates come from sealed records, which are opened here.
import { findFile, type ListedFile, listFiles } from '../client/names.ts';
import type { LookOptions } from '../client/open-file.ts';
import type { Session } from '../client/session.ts';
import { type ErrorCode, OperaError } from '../errors/errors.ts';
import { isGlob, parseGlob } from '../model/glob.ts';
import { isName, parseName } from '../model/names.ts';
import { emptyFlag, reportEmpty, withSession } from './_session.ts';
import type { Column } from './_table.ts';
import { defineVerb } from './_verb.ts';

const nameColumn: Column<ListedFile> = { key: 'name', id: true, value: ({ name }) => name };
const longColumns: readonly Column<ListedFile>[] = [
  { key: 'size', kind: 'bytes', value: ({ content }) => content?.size },
  { key: 'modified', value: ({ content }) => content?.modified ?? content?.created },
  { key: 'chunks', kind: 'number', value: ({ record }) => record.chunkCount },
  { key: 'version', value: ({ record }) => record.version },
  nameColumn,
];

/** A plain text is the beginning of names; a glob is matched, unless a file has that very name. */
const queryOf = async (session: Session, pattern: string | undefined, options: LookOptions) => {
  if (pattern === undefined) return {};
  const normal = pattern.normalize('NFC');
  if (!isGlob(pattern)) return { prefix: normal };
  if (isName(normal) && (await findFile(session, normal, options))) {
    return { prefix: normal, accept: (name: string) => name === normal };
  }
  const glob = parseGlob(pattern);
  return { prefix: glob.prefix, accept: (name: string) => glob.matches(name) };
};

export const command = defineVerb({
  examples: [
    'opera ls',
    'opera ls survey/',
    "opera ls 'survey/**/*.csv' -l",
    'opera ls --limit 100 --after survey/m.csv',
  ],
  arguments: [{ name: 'pattern', summary: 'beginning of names, or a quoted glob', optional: true }],
  flags: {
    long: { type: 'boolean', short: 'l', summary: 'with size, time, chunks and version' },
    limit: { type: 'number', min: 1, summary: 'at most so many names' },
    after: { type: 'string', placeholder: 'NAME', summary: 'only names behind this one' },
    ...emptyFlag,
  },
  run: (context) =>
    withSession(context, async (session) => {
      const { args, io, signal, flags } = context;
      const options = { signal };
      const query = {
        ...(await queryOf(session, args.pattern, options)),
        ...(flags.limit === undefined ? {} : { limit: flags.limit }),
        ...(flags.after === undefined ? {} : { after: parseName(flags.after) }),
        ...options,
      };
      const problems: { readonly code: ErrorCode }[] = [];
      const listed = async function* (): AsyncGenerator<ListedFile, void, void> {
        for await (const file of listFiles(session, query)) {
          if (file.error) {
            problems.push(file.error);
            io.warn(`${file.name}: ${file.error.message}`);
          }
          yield file;
        }
      };
      const columns = flags.long || io.json ? longColumns : [nameColumn];
      const count = await io.table(columns, listed());
      if (count === 0) reportEmpty(io, flags.failEmpty);
      const [first] = problems;
      if (first) throw new OperaError(first.code, `the records of ${problems.length} names could not be opened`);
    }),
});
