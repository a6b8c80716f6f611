// `opera registry rebuild`: forgets what the registry says of names and puts it back from the nodes. A registry that
// was lost or went back in time is rebuilt by itself; this is for one that is suspected. Nothing is committed
// meanwhile.
import type { Connection } from '../client/connection.ts';
import { judge, type NetworkStatus } from '../client/verdict.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { formatCount } from '../model/units.ts';
import { withConnection } from './_connection.ts';
import { destructiveFlags } from './_flags.ts';
import { defineVerb } from './_verb.ts';

/** The leader is asked so often how far it is. */
const pollMs = 500;
const partitionsOfNetwork = 4_096;

const readStatus = async (connection: Connection, signal: AbortSignal): Promise<NetworkStatus | undefined> => {
  try {
    return await connection.call('network.status', {}, { signal });
  } catch (error) {
    if (isOperaError(error, 'registry-lost', 'registry-unavailable', 'unavailable', 'timeout')) return undefined;
    throw error;
  }
};

export const command = defineVerb({
  examples: ['opera registry rebuild', 'opera registry rebuild --yes --json', 'opera registry rebuild --force --yes'],
  details:
    'Until every partition is covered by nodes with sound stores nothing is committed and no names are told. With ' +
    '--force it goes on with the nodes that there are: files whose manifests are on none of them are lost from the ' +
    'list of names, until those nodes come back. Join codes that wait become void.',
  flags: {
    force: { type: 'boolean', summary: 'go on although nodes are missing that may know more' },
    wait: { type: 'boolean', default: true, summary: 'wait until the names are back' },
    ...destructiveFlags,
  },
  run: async (context) => {
    const { flags, io, clock, signal } = context;
    await withConnection(context, async (connection) => {
      const { networkId } = connection.identity();
      const before = await connection.call('network.status', {}, { signal });
      if (flags.dryRun) {
        const line = `would rebuild the registry of network ${networkId}: ${formatCount(before.files, 'file')}`;
        await io.record({ networkId, files: before.files, rebuilt: false }, line, networkId);
        return;
      }
      const loss = flags.force ? ' with the nodes that there are' : '';
      await io.confirm(`Rebuild the registry of network ${networkId} from its nodes${loss}?`);
      const order = await connection.call('registry.rebuild', { force: flags.force }, { signal });
      const progress = io.progress({ label: 'rebuild', unit: 'partitions' });
      // For a moment there is no registry at all, and nothing to ask it for.
      let status = (await readStatus(connection, signal)) ?? before;
      const isDone = (): boolean =>
        status.registryMode === 'normal' && status.incarnation >= order.incarnation + (flags.force ? 0 : 1);
      try {
        while (flags.wait && !isDone()) {
          progress.set(status.rebuild?.partitions ?? 0, partitionsOfNetwork);
          await clock.sleep(pollMs, { signal });
          status = (await readStatus(connection, signal)) ?? status;
        }
      } finally {
        progress.end();
      }
      const { incarnation, files, registryMode, rebuild } = status;
      await io.document(
        { networkId, incarnation, files, filesBefore: before.files, registryMode, rebuild: rebuild ?? null },
        {
          id: networkId,
          lines: [
            !isDone()
              ? `the registry is being rebuilt (life ${incarnation}); see opera status`
              : `rebuilt: ${formatCount(files, 'file')} (${before.files} before), registry life ${incarnation}`,
          ],
        },
      );
      if (rebuild && rebuild.unreadable > 0) {
        throw new OperaError('partial', `${rebuild.unreadable} manifests could not be opened by any node`);
      }
      const { health, reasons } = judge(status);
      if (flags.wait && health === 'down') throw new OperaError('unavailable', reasons.join('; '));
    });
  },
});
