// `opera nodes drain`: takes a node out of the layout while it goes on serving; ends when nothing is only there any
// more: "safe to remove". Interrupting it does not take the order back: `nodes resume` does.
import { OperaError } from '../errors/errors.ts';
import { withConnection } from './_connection.ts';
import { documentOf, findNode, standOf } from './_node-orders.ts';
import { defineVerb } from './_verb.ts';

/** The leader is asked so often how far it is. */
const pollMs = 500;

export const command = defineVerb({
  examples: [
    'opera nodes drain 7f3k',
    'opera nodes drain 10.0.0.7:7000 --no-wait',
    'opera nodes drain 7f3k --force   # live with fewer copies',
  ],
  details:
    'The node serves until the others hold what it holds. It is refused when fewer nodes would be left than the ' +
    'network keeps copies; with --force the number of copies is lowered to what the nodes left can hold.',
  arguments: [{ name: 'node', summary: 'id of the node (its first characters suffice) or its address' }],
  flags: {
    wait: { type: 'boolean', default: true, summary: 'wait until it is safe to remove' },
    force: { type: 'boolean', summary: 'even if fewer copies than the target are left' },
    dryRun: { type: 'boolean', short: 'n', summary: 'show what would be done, and do nothing' },
  },
  run: async (context) => {
    const { args, flags, io, clock, signal } = context;
    await withConnection(context, async (connection) => {
      const { memberId, state } = await findNode(connection, args.node, signal);
      if (flags.dryRun) {
        await io.record({ memberId, state, drained: false }, `would drain ${memberId}, which is ${state}`, memberId);
        return;
      }
      const order = () => connection.call('node.drain', { node: memberId, force: flags.force }, { signal });
      let answer = await order();
      const total = answer.bytesLeft;
      const progress = io.progress({ label: 'drain', totalBytes: total });
      try {
        for (let most = total; flags.wait && !answer.safeToRemove; ) {
          // What is left is known only once the others have listed it.
          most = Math.max(most, answer.bytesLeft);
          progress.set(most - answer.bytesLeft, most);
          await clock.sleep(pollMs, { signal });
          answer = await order();
          if (answer.state !== 'draining') {
            throw new OperaError('conflict', `the drain of ${memberId} was taken back: it is ${answer.state}`);
          }
        }
      } finally {
        progress.end();
      }
      await io.document(documentOf(answer), { id: memberId, lines: [standOf(answer)] });
    });
  },
});
