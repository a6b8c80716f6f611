// `opera mv`: another name for a file, or with -r for all files below a name. The data stays where it is.
import { listFiles } from '../client/names.ts';
import { type Move, renameMany } from '../client/rename-many.ts';
import type { Session } from '../client/session.ts';
import { OperaError } from '../errors/errors.ts';
import { parseName } from '../model/names.ts';
import { Fates, nameNetwork, printWhile, Rows, withSession } from './_session.ts';
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

interface Row extends Move {
  readonly moved: boolean;
}

const columns: readonly Column<Row>[] = [
  { key: 'from', value: ({ from }) => from },
  { key: 'to', id: true, value: ({ to }) => to },
  { key: 'moved', value: ({ moved }) => moved },
];

/** `a/b.csv` to `c/` is `c/b.csv`. */
const targetOf = (from: string, to: string): string => (to.endsWith('/') ? `${to}${from.split('/').at(-1) ?? ''}` : to);

const listMoves = async ({ args, flags: given, signal }: Context, session: Session): Promise<readonly Move[]> => {
  const from = parseName(given.recursive ? args.from.replace(/\/+$/, '') : args.from);
  const to = parseName(targetOf(from, args.to));
  if (!given.recursive) return [{ from, to }];
  if (`${to}/`.startsWith(`${from}/`)) throw new OperaError('usage', 'a folder cannot be moved into itself');
  const moves: Move[] = [];
  for await (const { name } of listFiles(session, { prefix: `${from}/`, signal })) {
    moves.push({ from: name, to: `${to}${name.slice(from.length)}` });
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
      const rows = new Rows<Row>();
      const moved = (done: boolean, move: Move): void => {
        fates.succeeded();
        rows.push({ ...move, moved: done });
      };
      const carryOut = async (): Promise<void> => {
        if (given.dryRun) return moves.forEach((move) => moved(false, move));
        await renameMany(session, moves, {
          ...{ replace: given.force, signal },
          onResult: (move, error) => (error ? fates.failed(move.from, error) : moved(true, move)),
        });
      };
      await printWhile(rows, (list) => io.table(columns, list), carryOut);
      fates.end('moved');
    }),
});
