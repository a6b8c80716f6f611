// `opera whoami`: which member lives in this home, of which network, and until when. Asks nobody.
import { openHome } from '../client/home.ts';
import { findMember } from '../identity/roster.ts';
import { formatTime } from '../runtime/clock.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera whoami', 'opera whoami --home DIR --json', 'opera whoami -q    # the member id'],
  details: 'An expired certificate renews itself with the next command, as long as the member is not revoked.',
  run: async ({ io, config, clock }) => {
    const { home, identity, identityFolder, profile, rosters, keys } = await openHome(config.home);
    const { networkId, memberId, role, claims } = identity;
    const { roster } = rosters;
    const listed = findMember(roster, identity.signer.keyHash);
    const state = listed?.state ?? 'unknown';
    const expired = claims.notAfterMs <= clock.nowMs();
    const keyEpoch = keys.hasKeys ? keys.keyring.newestEpoch : undefined;
    await io.document(
      {
        network: networkId,
        memberId,
        role,
        state,
        certificateExpires: formatTime(claims.notAfterMs),
        expired,
        rosterNumber: String(roster.number),
        keyEpoch: keyEpoch ?? null,
        home,
        identity: identityFolder,
        gateways: profile.gateways,
      },
      {
        id: memberId,
        facts: [
          ['network', networkId],
          ['member', memberId],
          ['role', role],
          ['state', state, 'text', state === 'valid' ? 'good' : 'bad'],
          [expired ? 'certificate expired' : 'certificate until', claims.notAfterMs, 'time', expired ? 'warn' : 'good'],
          ['roster', Number(roster.number), 'number'],
          ['network key', keyEpoch === undefined ? 'none' : `epoch ${keyEpoch}`],
          ['home', home],
          ['identity', identityFolder],
          ['gateways', profile.gateways],
        ],
      },
    );
  },
});
