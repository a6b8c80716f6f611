// `opera keys ls`: the epochs of the network key that this member holds. Prints numbers, never keys.
import { OperaError } from '../errors/errors.ts';
import { withConnection } from './_connection.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera keys ls', 'opera keys ls --json'],
  run: async (context) => {
    const { io, signal } = context;
    await withConnection(context, async (connection) => {
      const { keys, rosters } = connection;
      await connection.refresh(signal);
      if (!keys.hasKeys) throw new OperaError('unknown-key', 'this member holds no network keys');
      const newest = rosters.roster.keyEpoch;
      const held = new Set(keys.keyring.epochs);
      await io.table(
        [
          { key: 'epoch', id: true, kind: 'number', value: (epoch: number) => epoch },
          { key: 'held', value: (epoch) => held.has(epoch), style: (epoch) => (held.has(epoch) ? 'good' : 'bad') },
          { key: 'newest', value: (epoch) => epoch === newest },
        ],
        Array.from({ length: newest }, (_, at) => at + 1),
      );
    });
  },
});
