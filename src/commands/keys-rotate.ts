// `opera keys rotate`: a new epoch of the network key. It is in force when the gateway answers; then the verb waits
// until nodes and registry have new wraps. Interrupting it takes nothing back: they go on by themselves.
import { formatCount } from '../model/units.ts';
import { withConnection } from './_connection.ts';
import { destructiveFlags } from './_flags.ts';
import { rotate, waitForWraps, wrapsLeft } from './_rotation.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera keys rotate', 'opera keys rotate --yes --no-wait   # in a script', 'opera keys rotate -n'],
  details:
    'Do it after you revoked a member that held the key: what is put from then on is closed to it. No data is sealed ' +
    'anew; each file gets 76 new bytes. Older keys stay, sealed under the new one, so everything remains readable, ' +
    'and a put that is under way goes on. A member that was away learns the new key when it is back.',
  flags: {
    ...destructiveFlags,
    wait: { type: 'boolean', default: true, summary: 'wait until every file has its new wrap' },
  },
  run: async (context) => {
    const { io, flags, signal } = context;
    await withConnection(context, async (connection) => {
      const before = await wrapsLeft(connection, signal);
      const { keyEpoch: fromEpoch, manifests, files } = before;
      const next = fromEpoch + 1;
      if (flags.dryRun) {
        const found = `${formatCount(files, 'file')} (${formatCount(manifests, 'manifest')} on nodes)`;
        const line = `would begin key epoch ${next} and rewrap ${found}`;
        await io.record({ fromEpoch, epoch: next, rotated: false, manifests, files }, line, String(next));
        return;
      }
      const { networkId } = connection.identity();
      await io.confirm(`Begin key epoch ${next} of network ${networkId}?`);
      const { keyEpoch, rotated, unconfirmed } = await rotate(connection, signal);
      io.note(
        rotated ? `Key epoch ${keyEpoch} is in force.` : `Another rotation came first: epoch ${keyEpoch} is in force.`,
      );
      const left = flags.wait ? await waitForWraps(context, connection) : await wrapsLeft(connection, signal);
      const { manifestsLeft, namesDone, away } = left;
      const done = manifestsLeft === 0 && namesDone;
      await io.document(
        { fromEpoch, epoch: keyEpoch, rotated, manifests: left.manifests, manifestsLeft, namesDone, away, unconfirmed },
        {
          id: String(keyEpoch),
          lines: [`key epoch ${keyEpoch}; ${done ? 'all wraps are new' : 'wraps are being renewed'}`],
        },
      );
      if (away.length > 0) io.note(`Nodes that are away renew their wraps when they are back: ${away.join(', ')}`);
    });
  },
});
