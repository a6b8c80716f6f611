// `opera verify`: reads copies from every owner and checks them as a reader would: hash, seal, equality. Prints what is
// not good. It mends nothing: nodes do that by themselves, `opera repair` at once.
import { listFiles } from '../client/names.ts';
import { type CopyVerdict, verifyFiles } from '../client/verify.ts';
import { OperaError } from '../errors/errors.ts';
import { formatByteSize, formatCount } from '../model/units.ts';
import { meantNames, printWhile, Rows, withSession } from './_session.ts';
import type { Column } from './_table.ts';
import { defineVerb } from './_verb.ts';

const columns: readonly Column<CopyVerdict>[] = [
  { key: 'name', id: true, value: ({ name }) => name },
  { key: 'chunk', kind: 'number', value: ({ index }) => index },
  { key: 'node', value: ({ memberId }) => memberId },
  { key: 'copy', value: ({ state }) => state, style: ({ state }) => (state === 'altered' ? 'bad' : 'warn') },
];

/** A fraction from `5%`, `5` or `0.5%`; 1 when absent. */
const parseSample = (text: string | undefined): number => {
  if (text === undefined) return 1;
  const percent = /^(\d{1,3}(?:\.\d{1,6})?)%?$/.exec(text)?.[1];
  const fraction = percent === undefined ? 0 : Number(percent) / 100;
  if (fraction > 0 && fraction <= 1) return fraction;
  throw new OperaError(
    'usage',
    `--sample takes a percentage above 0 up to 100, such as 5%, not ${JSON.stringify(text)}`,
  );
};

export const command = defineVerb({
  examples: ['opera verify', 'opera verify --sample 5%', 'opera verify -r survey --json', 'opera verify stars.csv'],
  details:
    'Only copies that are not good are printed: altered, missing, or unreachable when the node does not answer. ' +
    'Exit 7: a copy is altered. Exit 8: copies are missing or out of reach. Nodes also check what they hold by ' +
    'themselves, at a low rate, and fetch a good copy when one is damaged.',
  arguments: [
    {
      name: 'name',
      summary: 'names; with -r folders and globs; all files when absent',
      variadic: true,
      optional: true,
    },
  ],
  flags: {
    recursive: { type: 'boolean', short: 'r', summary: 'all files below the name, or matching the glob' },
    sample: { type: 'string', placeholder: 'PERCENT', summary: 'read only so many of the chunks, drawn at random' },
  },
  run: (context) =>
    withSession(context, async (session) => {
      const { args, flags, io, signal } = context;
      const sample = parseSample(flags.sample);
      const given = args.name ?? [];
      let names: readonly string[] = [];
      if (given.length > 0) {
        const meant = await meantNames(session, given, flags.recursive, { signal });
        const [absent] = meant.absent;
        if (absent !== undefined) throw new OperaError('not-found', `no file is named ${absent}`);
        names = meant.names;
      } else {
        const all: string[] = [];
        for await (const { name } of listFiles(session, { signal })) all.push(name);
        names = all;
      }
      const counts = { good: 0, missing: 0, unreachable: 0, altered: 0, unreadable: 0, bytes: 0 };
      const rows = new Rows<CopyVerdict>();
      const progress = io.progress({ label: 'verify' });
      try {
        await printWhile(
          rows,
          (list) => io.table(columns, list),
          () =>
            verifyFiles(session, names, {
              sample,
              signal,
              onName: (name, error) => {
                if (error.code === 'not-found') return;
                counts.unreadable++;
                io.warn(`${name}: ${error.message}`);
              },
              onCopy: (verdict) => {
                counts[verdict.state]++;
                counts.bytes += verdict.bytes;
                progress.add(verdict.bytes);
                if (verdict.state !== 'good') rows.push(verdict);
              },
            }),
        );
      } finally {
        progress.end();
      }
      const { good, missing, unreachable, altered, unreadable, bytes } = counts;
      io.note(
        `${formatCount(good, 'good copy', 'good copies')} (${formatByteSize(bytes)} read) of ` +
          `${formatCount(names.length, 'file')}; ` +
          `${altered} altered, ${missing} missing, ${unreachable} out of reach`,
      );
      if (altered + unreadable > 0) {
        throw new OperaError('integrity', `${altered} copies are altered, ${unreadable} files cannot be opened`, {
          hint: 'Nodes replace altered copies from good ones; start it now: opera repair --start',
        });
      }
      if (missing + unreachable > 0) {
        throw new OperaError('degraded', `${missing} copies are missing, ${unreachable} are out of reach`);
      }
    }),
});
