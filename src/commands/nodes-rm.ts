// `opera nodes rm`: the node is no part of the network's storage any more. Refused while something is only there,
// unless forced. Its membership stays: `members revoke` ends that.
import { withConnection } from './_connection.ts';
import { destructiveFlags } from './_flags.ts';
import { documentOf, findNode } from './_node-orders.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera nodes rm 7f3k', 'opera nodes rm 7f3k --force --yes   # it is lost for good'],
  details:
    'Drain a node that runs before removing it. A dead one that is out can be removed as soon as its copies are ' +
    'restored. With --force what only it holds is given up. The member itself stays: see opera members revoke.',
  arguments: [{ name: 'node', summary: 'id of the node (its first characters suffice) or its address' }],
  flags: {
    force: { type: 'boolean', summary: 'give up what only this node holds' },
    ...destructiveFlags,
  },
  run: async (context) => {
    const { args, flags, io, signal } = context;
    await withConnection(context, async (connection) => {
      const { memberId, state } = await findNode(connection, args.node, signal);
      if (flags.dryRun) {
        await io.record({ memberId, state, removed: false }, `would remove ${memberId}, which is ${state}`, memberId);
        return;
      }
      const { networkId } = connection.identity();
      const loss = flags.force ? ', and give up what only it holds' : '';
      await io.confirm(`Remove the node ${memberId} (${state}) from network ${networkId}${loss}?`);
      const answer = await connection.call('node.remove', { node: memberId, force: flags.force }, { signal });
      await io.document(documentOf(answer), { id: memberId, lines: [`removed the node ${memberId}`] });
    });
  },
});
