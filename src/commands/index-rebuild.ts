// `opera index rebuild [NODE]`: nodes drop their index of star systems and build it anew from the chunks they hold.
// Nothing can be lost by it, so nobody is asked; until a node is done other nodes answer queries for it.
import { OperaError } from '../errors/errors.ts';
import { withConnection } from './_connection.ts';
import { indexColumns, indexTrouble, rebuildIndexes } from './_indexes.ts';
import { findNode } from './_node-orders.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: [
    'opera index rebuild 5f3a        # one node, by its id or how it begins',
    'opera index rebuild             # all nodes at once',
    'opera index rebuild --no-wait   # they go on by themselves',
  ],
  details:
    'No data is touched: the index is made from the chunks and can always be made again. Chunks that are not indexed ' +
    'yet are asked of their other owners; while all nodes rebuild at once, queries wait. Exit 6 when a node did not ' +
    'answer or chunks could not be indexed.',
  arguments: [{ name: 'node', summary: 'only this one; its id, the beginning of it, or its address', optional: true }],
  flags: { wait: { type: 'boolean', default: true, summary: 'wait until everything is indexed' } },
  run: async (context) => {
    const { args, flags, io, signal } = context;
    await withConnection(context, async (connection) => {
      const node = args.node === undefined ? undefined : await findNode(connection, args.node, signal);
      const rows = await rebuildIndexes(context, connection, { memberId: node?.memberId, wait: flags.wait });
      await io.table(indexColumns, rows);
      const trouble = indexTrouble(rows);
      if (trouble !== undefined) throw new OperaError('partial', trouble, { hint: 'See opera index ls' });
    });
  },
});
