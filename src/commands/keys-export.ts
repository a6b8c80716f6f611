// `opera keys export`: writes a recovery kit. Its key is drawn here; the network lists the public half and boxes every
// newest network key and the authority's key to it from now on, so the kit never gets stale.
import { createX25519 } from '../crypto/x25519.ts';
import { pinOf } from '../identity/ca-bundle.ts';
import { withConnection } from './_connection.ts';
import { checkKitPath, writeKit } from './_kit.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera keys export /media/stick/opera-kit.txt'],
  details: 'Whoever holds the kit can read every file of the network: keep it offline. Only operators can make one.',
  arguments: [{ name: 'file', summary: 'new file for the kit, outside the home' }],
  run: async (context) => {
    const { io, args, config, clock, signal } = context;
    const path = await checkKitPath(args.file, config.home);
    await withConnection(context, async (connection) => {
      const { networkId: network, bundle } = connection.identity();
      const { privateKey, publicKey } = createX25519(connection.random);
      const kit = { network, caPin: pinOf(bundle.bytes), privateKey };
      let recoveryKeys = 0;
      await writeKit(path, kit, clock, async () => {
        const answer = await connection.call('recovery.add', { agreementKey: publicKey }, { signal });
        recoveryKeys = answer.recoveryKeys;
      });
      privateKey.fill(0);
      await io.document(
        { network, file: path, recoveryKeys },
        { id: path, lines: [`recovery kit written to ${path}`] },
      );
      io.note(`The network now has ${recoveryKeys === 1 ? 'one recovery key' : `${recoveryKeys} recovery keys`}.`);
    });
  },
});
