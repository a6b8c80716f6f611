// `opera init`: founds a network: id, authority, first keys, first gateway and first operator, and the recovery kit.
// It starts nothing. The home becomes the operator's profile; the gateway's home lies in it.
import { join } from 'node:path';
import { createX25519 } from '../crypto/x25519.ts';
import { checkSettings, defaultSettings } from '../identity/network-settings.ts';
import { OperaError } from '../errors/errors.ts';
import { assertFoundable, foundNetwork } from '../roles/gateway/found-network.ts';
import { createSecretFolder } from '../runtime/files.ts';
import { chooseAddresses } from './_addresses.ts';
import { createRegistry, systemSeams } from './_compose.ts';
import { configFlags } from './_flags.ts';
import { checkKitPath, writeKit } from './_kit.ts';
import { defineVerb } from './_verb.ts';

const plainNames = 'File contents are sealed; file names are plain in the registry: whoever can read it can list them.';

export const command = defineVerb({
  examples: [
    'opera init --recovery-out /media/stick/opera-kit.txt',
    'opera init --recovery-out KIT.txt --registry redis://10.0.0.5',
    'opera init --recovery-out KIT.txt --copies 2 --write-copies 2',
  ],
  details: `The recovery kit opens the network when every member is lost: keep it offline. ${plainNames}`,
  flags: {
    recoveryOut: {
      type: 'path',
      placeholder: 'FILE',
      required: true,
      summary: 'new file for the recovery kit, outside the home',
    },
    copies: { type: 'number', default: 3, min: 1, max: 7, summary: 'copies of each chunk' },
    writeCopies: { type: 'number', min: 1, max: 7, summary: 'copies on disk before a put is done (default: 2)' },
    index: { type: 'enum', options: ['sealed', 'plain'], default: 'sealed', summary: 'how nodes keep the index' },
    joinListen: { type: 'string', placeholder: 'HOST:PORT', summary: 'where strangers join (default: a free port)' },
    ...configFlags('registry', 'listen', 'advertise'),
  },
  run: async ({ io, flags, config }) => {
    const { home } = config;
    const kitPath = await checkKitPath(flags.recoveryOut, home);
    const { copies, index: indexMode } = flags;
    const writeCopies = flags.writeCopies ?? Math.min(2, copies);
    if (writeCopies > copies) throw new OperaError('usage', '--write-copies must not be above --copies');
    const seams = systemSeams();
    const recovery = createX25519(seams.random);
    const recoveryKeys = [Buffer.from(recovery.publicKey).toString('base64')];
    const settings = checkSettings({ ...defaultSettings, copies, writeCopies, indexMode, recoveryKeys });
    const gatewayHome = join(home, 'gateway');
    const gatewayHomes = { home: gatewayHome, identityFolder: join(home, 'identity', 'gateway') };
    const operatorHomes = { home, identityFolder: join(home, 'identity', 'operator') };
    await assertFoundable(gatewayHomes, operatorHomes);
    await createSecretFolder(gatewayHome);
    const { listen, advertise } = config;
    const wishes = { listen, joinListen: flags.joinListen, advertise, joins: true, gateway: undefined };
    const addresses = await chooseAddresses(gatewayHome, wishes);
    const registry = createRegistry(config.registry ?? join(home, 'registry.db'), seams, (text) => io.warn(text));
    try {
      const founded = await foundNetwork({
        settings,
        registry,
        gateway: {
          ...gatewayHomes,
          meshAddresses: [addresses.advertised],
          joinAddresses: addresses.joinAdvertised === undefined ? [] : [addresses.joinAdvertised],
        },
        operator: operatorHomes,
        ...seams,
        onDrafted: ({ networkId: network, caPin }) =>
          writeKit(kitPath, { network, caPin, privateKey: recovery.privateKey }, seams.clock, async () => undefined),
      });
      const { networkId, gateway, operator } = founded;
      const facts = { network: networkId, operator: operator.memberId, gateway: gateway.memberId, home, gatewayHome };
      await io.document(
        { ...facts, address: addresses.advertised, join: addresses.joinAdvertised, recoveryKit: kitPath },
        {
          id: networkId,
          facts: [
            ['network', networkId],
            ['operator', `${operator.memberId} (${home})`],
            ['gateway', `${gateway.memberId} (${gatewayHome})`],
            ['recovery kit', kitPath],
          ],
        },
      );
    } finally {
      await registry.close();
      recovery.privateKey.fill(0);
    }
    io.note(plainNames);
    io.note(`Keep the recovery kit offline. Next: opera gateway --home ${gatewayHome}`);
  },
});
