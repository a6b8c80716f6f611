// `opera mv`: another name for a file, or with -r for all files below a name. The data stays where it is.
import { listFiles, renameFile } from '../client/names.ts';
import type { Session } from '../client/session.ts';
import { OperaError, toOperaError } from '../errors/errors.ts';
import { parseName } from '../model/names.ts';
import { Fates, nameNetwork, withSession } from './_session.ts';
import type { Column } from './_table.ts';
import { defineVerb, type VerbContext } from './_verb.ts';

const flags = {
  recursive: { type: 'boolean', short: 'r', summary: 'all files below FROM' },
  force: { type: 'boolean', short: 'f', summary: 'replace files that have the new names' },
  dryRun: { type: 'boolean', short: 'n', summary: 'show what would be done, and do nothing' },
} as const;

const nameArguments = [
  { name: 'from', summary: 'name of a file, or with -r of a folder' },
  { name: 'to', summary: 'the new name; with / at the end the folder to move into' },
] as const;

type Context = VerbContext<typeof flags, typeof nameArguments>;

interface Row {
  readonly from: string;
  readonly to: string;
  readonly moved: boolean;
}

const columns: readonly Column<Row>[] = [
  { key: 'from', value: ({ from }) => from },
  { key: 'to', id: true, value: ({ to }) => to },
  { key: 'moved', value: ({ moved }) => moved },
];

/** `a/b.csv` to `c/` is `c/b.csv`. */
const targetOf = (from: string, to: string): string => (to.endsWith('/') ? `${to}${from.split('/').at(-1) ?? ''}` : to);

const listMoves = async ({ args, flags: given, signal }: Context, session: Session): Promise<readonly Row[]> => {
  const from = parseName(given.recursive ? args.from.replace(/\/+$/, '') : args.from);
  const to = parseName(targetOf(from, args.to));
  if (!given.recursive) return [{ from, to, moved: false }];
  if (`${to}/`.startsWith(`${from}/`)) throw new OperaError('usage', 'a folder cannot be moved into itself');
  const moves: Row[] = [];
  for await (const { name } of listFiles(session, { prefix: `${from}/`, signal })) {
    moves.push({ from: name, to: `${to}${name.slice(from.length)}`, moved: false });
  }
  if (moves.length === 0) throw new OperaError('not-found', `no file is below ${from}`);
  return moves;
};

export const command = defineVerb({
  examples: ['opera mv stars.csv survey/stars.csv', 'opera mv stars.csv survey/', 'opera mv -r survey archive/2026'],
  arguments: nameArguments,
  flags,
  run: (context) =>
    withSession(context, async (session) => {
      const { io, signal, flags: given } = context;
      nameNetwork(io, session);
      const moves = await listMoves(context, session);
      const fates = new Fates(io, moves.length);
      const carryOut = async function* (): AsyncGenerator<Row, void, void> {
        for (const { from, to } of moves) {
          if (!given.dryRun) {
            try {
              await renameFile(session, { from, to, replace: given.force, signal });
            } catch (error) {
              signal.throwIfAborted();
              fates.failed(from, toOperaError(error));
              continue;
            }
          }
          fates.succeeded();
          yield { from, to, moved: !given.dryRun };
        }
      };
      await io.table(columns, carryOut());
      fates.end('moved');
    }),
});
