// The members and the first roster of a simulated network, from a seed. They are costly to make and the same for every
// run of one shape, so each shape is made once.
import { keyCheckOf } from '../../src/crypto/keyring.ts';
import { createAuthority } from '../../src/identity/authority.ts';
import { defaultSettings, type NetworkSettings } from '../../src/identity/network-settings.ts';
import { firstRoster } from '../../src/identity/roster-rules.ts';
import { type NetworkId, networkIdFromBytes } from '../../src/model/ids.ts';
import type { Role } from '../../src/model/roles.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import { FixedClock, type TestMember, testNowMs } from './identity-network.ts';
import { createSeededMember, SeededRandom } from './seeded.ts';

export interface Shape {
  readonly gateways: number;
  readonly nodes: number;
  readonly masters: number;
  readonly sentinels: number;
  readonly clients: number;
}

export interface Founded {
  readonly networkId: NetworkId;
  readonly networkKey: Uint8Array;
  readonly record: SignedRecord;
  readonly gateways: readonly TestMember[];
  readonly masters: readonly TestMember[];
  readonly sentinels: readonly TestMember[];
  readonly nodes: readonly TestMember[];
  readonly clients: readonly TestMember[];
}

const shapes = new Map<string, Promise<Founded>>();

const makeNetwork = async (shape: Shape, settings: Partial<NetworkSettings>): Promise<Founded> => {
  const random = new SeededRandom('founding');
  const networkId = networkIdFromBytes(random.bytes(16));
  const networkKey = random.bytes(32);
  const authority = await createAuthority(networkId, new FixedClock(testNowMs));
  const several = (role: Role, count: number): TestMember[] =>
    Array.from({ length: count }, () => createSeededMember(role, random));
  const gateway = createSeededMember('gateway', random);
  const [masters, nodes] = [several('master', shape.masters), several('node', shape.nodes)];
  const [clients, sentinels] = [several('client', shape.clients), several('sentinel', shape.sentinels)];
  // Further ones last, so that the others are the same with one gateway and with two.
  const gateways = [gateway, ...several('gateway', shape.gateways - 1)];
  const members = [...gateways, ...masters, ...nodes, ...clients, ...sentinels];
  const record = firstRoster(
    {
      networkId,
      keyEpoch: 1,
      keyCheck: keyCheckOf(networkId, networkKey),
      settings: { ...defaultSettings, ...settings },
      members: members.map(({ entry }) => ({ ...entry, state: 'valid' as const })),
    },
    authority.signer,
  );
  return { networkId, networkKey, record, gateways, masters, sentinels, nodes, clients };
};

export const foundNetwork = (shape: Shape, settings: Partial<NetworkSettings>): Promise<Founded> => {
  const key = JSON.stringify([shape, settings]);
  const founding = shapes.get(key) ?? makeNetwork(shape, settings);
  shapes.set(key, founding);
  return founding;
};
