// `opera rm`: removes files. Globs and folders need -r; it says how many files of which network it is about, and asks.
import { removeMany } from '../client/remove-many.ts';
import { OperaError } from '../errors/errors.ts';
import { isGlob } from '../model/glob.ts';
import { destructiveFlags } from './_flags.ts';
import { emptyFlag, Fates, meantNames, printWhile, reportEmpty, Rows, withSession } from './_session.ts';
import type { Column } from './_table.ts';
import { defineVerb } from './_verb.ts';

interface Row {
  readonly name: string;
  readonly removed: boolean;
}

const columns: readonly Column<Row>[] = [
  { key: 'name', id: true, value: ({ name }) => name },
  { key: 'removed', value: ({ removed }) => removed },
];

const countOf = (names: readonly string[]): string => (names.length === 1 ? `${names[0]}` : `${names.length} files`);

export const command = defineVerb({
  examples: [
    'opera rm survey/old.csv',
    'opera rm -r survey -n            # show what would go',
    "opera rm -r 'tmp/**' --yes",
  ],
  details: 'Removed files cannot be brought back. With -n only the names are printed.',
  arguments: [{ name: 'name', summary: 'names; with -r also folders and quoted globs', variadic: true }],
  flags: {
    recursive: { type: 'boolean', short: 'r', summary: 'all files below the name, or matching the glob' },
    ...destructiveFlags,
    ...emptyFlag,
  },
  run: (context) =>
    withSession(context, async (session) => {
      const { args, io, signal, flags } = context;
      const { names, absent, exact } = await meantNames(session, args.name, flags.recursive, { signal });
      const selects = args.name.some((name) => isGlob(name) && !names.includes(name.normalize('NFC')));
      if (selects && !exact && !flags.recursive) {
        throw new OperaError('usage', `a glob needs -r (it matches ${names.length} files)`);
      }
      if (names.length + absent.length === 0) return reportEmpty(io, flags.failEmpty);
      const fates = new Fates(io, names.length + absent.length);
      fates.absent(absent, flags.recursive);
      if (names.length === 0) return fates.end('removed');
      if (flags.dryRun) {
        await io.table(
          columns,
          names.map((name) => ({ name, removed: false })),
        );
        io.note(`${countOf(names)} of network ${session.networkId} would be removed; nothing was done`);
        names.forEach(() => fates.succeeded());
        return fates.end('found');
      }
      await io.confirm(`Remove ${countOf(names)} from network ${session.networkId} for good?`);
      const rows = new Rows<Row>();
      const onResult = (name: string, error: OperaError | undefined): void => {
        if (error) return fates.failed(name, error);
        fates.succeeded();
        rows.push({ name, removed: true });
      };
      await printWhile(
        rows,
        (list) => io.table(columns, list),
        () => removeMany(session, names, { signal, onResult }),
      );
      fates.end('removed');
    }),
});
