// `opera nodes ls`: the nodes with state, zone, use and what they hold.
import { openProfile } from '../client/connection.ts';
import type { NetworkStatus } from '../client/verdict.ts';
import type { Style } from './_table.ts';
import { defineVerb } from './_verb.ts';

const styleOf = ({ state }: NetworkStatus['members'][number]): Style | undefined => {
  if (state === 'up') return 'good';
  return state === 'down' || state === 'out' ? 'bad' : 'warn';
};

export const command = defineVerb({
  examples: ['opera nodes ls', 'opera nodes ls --json', 'opera nodes ls -q'],
  flags: { all: { type: 'boolean', short: 'a', summary: 'revoked and removed nodes too' } },
  run: async ({ flags, config, io, signal }) => {
    const connection = await openProfile(config.home);
    try {
      const status = await connection.call('network.status', {}, { signal });
      const facts = new Map(status.nodes.map((node) => [node.memberId, node]));
      const rows = status.members.filter(
        ({ role, revoked, state }) => role === 'node' && (flags.all || (!revoked && state !== 'removed')),
      );
      type Row = NetworkStatus['members'][number];
      const of = (row: Row) => facts.get(row.memberId);
      await io.table(
        [
          { key: 'id', id: true, value: (row: Row) => row.memberId },
          { key: 'address', value: (row) => row.addresses[0] },
          { key: 'state', value: (row) => (row.revoked ? 'revoked' : row.state), style: styleOf },
          { key: 'why', value: (row) => (row.state === 'up' ? undefined : row.stateReason) },
          { key: 'since', kind: 'time', value: (row) => row.stateSinceMs },
          { key: 'zone', value: (row) => row.zone },
          { key: 'chunks', kind: 'number', value: (row) => of(row)?.chunks },
          { key: 'used', kind: 'bytes', value: (row) => of(row)?.chunkBytes },
          { key: 'free', kind: 'bytes', value: (row) => of(row)?.freeBytes },
          { key: 'toCopy', title: 'TO COPY', kind: 'bytes', value: (row) => of(row)?.repair.bytes },
          { key: 'layout', kind: 'number', value: (row) => of(row)?.completeLayout },
          { key: 'heard', kind: 'time', value: (row) => of(row)?.heardMs },
        ],
        rows,
      );
    } finally {
      await connection.close();
    }
  },
});
