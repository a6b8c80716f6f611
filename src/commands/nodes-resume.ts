// `opera nodes resume`: takes a drain, a removal or a quarantine back; the node joins the next layout.
import { withConnection } from './_connection.ts';
import { documentOf, findNode, standOf } from './_node-orders.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera nodes resume 7f3k'],
  details: 'What the node still holds is not copied again. A node that is out comes back by itself once it runs.',
  arguments: [{ name: 'node', summary: 'id of the node (its first characters suffice) or its address' }],
  run: async (context) => {
    const { args, io, signal } = context;
    await withConnection(context, async (connection) => {
      const { memberId } = await findNode(connection, args.node, signal);
      const answer = await connection.call('node.resume', { node: memberId, force: false }, { signal });
      await io.document(documentOf(answer), { id: memberId, lines: [standOf(answer)] });
    });
  },
});
