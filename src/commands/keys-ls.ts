// `opera keys ls`: the epochs of the network key, whether this member holds them, and how far the wraps of files are
// under the newest one. Prints numbers, never keys.
import { OperaError } from '../errors/errors.ts';
import { formatCount } from '../model/units.ts';
import { withConnection } from './_connection.ts';
import { wrapsLeft } from './_rotation.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera keys ls', 'opera keys ls --json'],
  details:
    'OLD WRAPS counts, for the newest epoch, the manifests on nodes whose file key is still sealed under an older ' +
    'one: nodes renew them after a rotation. They can be read all the same.',
  run: async (context) => {
    const { io, signal } = context;
    await withConnection(context, async (connection) => {
      const { keys } = connection;
      await connection.refresh(signal);
      if (!keys.hasKeys) throw new OperaError('unknown-key', 'this member holds no network keys');
      const { epochs, keyEpoch, manifestsLeft, namesDone, files } = await wrapsLeft(connection, signal);
      const held = new Set(keys.keyring.epochs);
      type Epoch = (typeof epochs)[number];
      await io.table(
        [
          { key: 'epoch', id: true, kind: 'number', value: ({ epoch }: Epoch) => epoch },
          {
            key: 'held',
            value: ({ epoch }) => held.has(epoch),
            style: ({ epoch }) => (held.has(epoch) ? 'good' : 'bad'),
          },
          { key: 'newest', value: ({ epoch }) => epoch === keyEpoch },
          { key: 'made', kind: 'time', value: ({ madeMs }) => madeMs },
          {
            key: 'oldWraps',
            title: 'OLD WRAPS',
            kind: 'number',
            value: ({ epoch }) => (epoch === keyEpoch ? manifestsLeft : undefined),
          },
        ],
        epochs,
      );
      if (!namesDone) io.note(`The wraps of ${formatCount(files, 'file')} in the registry are being renewed.`);
    });
  },
});
