// A small network for tests: an authority and one member of each role, with a first roster that lists them.
// Real keys and real signatures; the time is fixed, so that nothing depends on when the test runs.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createSigner, type Signer } from '../../src/crypto/signature.ts';
import { createX25519, type X25519KeyPair } from '../../src/crypto/x25519.ts';
import { type Authority, createAuthority, issueCertificate } from '../../src/identity/authority.ts';
import { defaultSettings } from '../../src/identity/network-settings.ts';
import { keyCheckOf, parseRoster, type Roster, type RosterMember } from '../../src/identity/roster.ts';
import { firstRoster } from '../../src/identity/roster-rules.ts';
import { type MemberId, memberIdOf, type NetworkId, networkIdFromBytes } from '../../src/model/ids.ts';
import { holdsNetworkKeys, type Role, roles } from '../../src/model/roles.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { SystemRandom } from '../../src/runtime/random.ts';

/** 2026-11-23 00:00 UTC. */
export const testNowMs = 1_795_392_000_000;

export class FixedClock extends SystemClock {
  readonly #nowMs: number;

  constructor(nowMs: number) {
    super();
    this.#nowMs = nowMs;
  }

  override nowMs(): number {
    return this.#nowMs;
  }
}

export interface TestMember {
  readonly role: Role;
  readonly privateKey: KeyObject;
  readonly signer: Signer;
  readonly memberId: MemberId;
  readonly x25519: X25519KeyPair;
  readonly entry: Omit<RosterMember, 'state'>;
}

export const createTestMember = (role: Role): TestMember => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = createSigner(privateKey);
  const x25519 = createX25519(new SystemRandom());
  const agreementKey = holdsNetworkKeys(role) ? x25519.publicKey : new Uint8Array(32);
  const entry = { keyHash: signer.keyHash, role, x25519: agreementKey };
  return { role, privateKey, signer, memberId: memberIdOf(signer.keyHash), x25519, entry };
};

export interface TestNetwork {
  readonly networkId: NetworkId;
  readonly authority: Authority;
  readonly networkKey: Uint8Array;
  readonly members: Readonly<Record<Role, TestMember>>;
  readonly record: SignedRecord;
  readonly roster: Roster;
}

export const createTestNetwork = async (nowMs: number = testNowMs): Promise<TestNetwork> => {
  const random = new SystemRandom();
  const networkId = networkIdFromBytes(random.bytes(16));
  const authority = await createAuthority(networkId, new FixedClock(nowMs));
  const networkKey = random.bytes(32);
  const members = Object.fromEntries(roles.map((role) => [role, createTestMember(role)])) as Record<Role, TestMember>;
  const record = firstRoster(
    {
      networkId,
      keyEpoch: 1,
      keyCheck: keyCheckOf(networkId, networkKey),
      settings: defaultSettings,
      members: roles.map((role) => ({ ...members[role].entry, state: 'valid' as const })),
    },
    authority.signer,
  );
  return { networkId, authority, networkKey, members, record, roster: parseRoster(record.bytes) };
};

export const certify = (
  network: TestNetwork,
  member: TestMember,
  options: { readonly role?: Role; readonly nowMs?: number; readonly lifeMs?: number } = {},
): Promise<Uint8Array> =>
  issueCertificate(network.authority, {
    role: options.role ?? member.role,
    spki: member.signer.spki,
    nowMs: options.nowMs ?? testNowMs,
    ...(options.lifeMs === undefined ? {} : { lifeMs: options.lifeMs }),
  });

/** `bytes` with one bit of byte `at` flipped. */
export const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
  return copy;
};
