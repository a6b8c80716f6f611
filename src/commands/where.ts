// `opera where`: where the copies of a file are, chunk by chunk, as the network sees them now.
import { type ChunkPlaces, type WhereFacts, whereIs } from '../client/names.ts';
import type { Style } from './_table.ts';
import { withSession } from './_session.ts';
import { defineVerb } from './_verb.ts';

interface Row {
  readonly facts: WhereFacts;
  readonly chunk: ChunkPlaces;
  readonly copy: ChunkPlaces['copies'][number];
}

const nodeOf = ({ facts, copy }: Row) => facts.nodes.find(({ memberId }) => memberId === copy.memberId);

const styles: Readonly<Record<Row['copy']['state'], Style>> = { held: 'good', missing: 'bad', unreachable: 'warn' };

export const command = defineVerb({
  examples: [
    'opera where survey/stars.csv',
    'opera where survey/stars.csv --json',
    'opera where stars.csv -q | sort -u',
  ],
  details:
    'One line for each copy of each chunk: held, missing, or unreachable when the node does not answer. A node that ' +
    'is no owner in the newest layout keeps its copy until the owners have theirs. The last column says when the ' +
    'node last read the copy and found it good; it is empty when it has not yet.',
  arguments: [{ name: 'name', summary: 'name of a file' }],
  run: (context) =>
    withSession(context, async (session) => {
      const { args, io, signal } = context;
      const rows = async function* (): AsyncGenerator<Row, void, void> {
        for await (const { facts, chunk } of whereIs(session, args.name, signal)) {
          for (const copy of chunk.copies) yield { facts, chunk, copy };
        }
      };
      await io.table(
        [
          { key: 'chunk', kind: 'number', value: ({ chunk }: Row) => chunk.index },
          { key: 'partition', kind: 'number', value: ({ chunk }) => chunk.partition },
          { key: 'node', id: true, value: ({ copy }) => copy.memberId },
          { key: 'address', value: (row) => nodeOf(row)?.address },
          { key: 'zone', value: (row) => nodeOf(row)?.zone },
          { key: 'nodeState', title: 'NODE STATE', value: (row) => nodeOf(row)?.state },
          { key: 'copy', value: ({ copy }) => copy.state, style: ({ copy }) => styles[copy.state] },
          { key: 'owner', value: ({ copy }) => copy.owner },
          { key: 'verified', kind: 'time', value: ({ copy }) => copy.verifiedMs },
        ],
        rows(),
      );
    }),
});
