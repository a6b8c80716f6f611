// `opera index ls`: how far the index of star systems is on each node.
import { withConnection } from './_connection.ts';
import { indexColumns, indexTrouble } from './_indexes.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera index ls', 'opera index ls --json'],
  details:
    'Each node indexes the chunks of catalogues that it holds. Records are counted once for every node that has ' +
    'them: with three copies the sum is three times what a query finds. A node that does not answer has no figures.',
  run: async (context) => {
    const { io, signal } = context;
    await withConnection(context, async (connection) => {
      const { nodes } = await connection.call('index.list', {}, { signal });
      await io.table(indexColumns, nodes);
      const trouble = indexTrouble(nodes);
      if (trouble !== undefined) io.note(trouble);
    });
  },
});
