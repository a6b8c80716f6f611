// The roster: the numbered, signed list of members, revocations, their X25519 keys and the network's settings.
//   01 | network 16 | number u64 | previous roster's SHA-256 32 | key epoch u32 | key check 32 |
//   settings length u32 | settings JSON | n u32 | n × (SPKI hash 32 | role u8 | state u8 | X25519 32) |
//   signer SPKI hash 32 | signature 64 over "opera/roster/v1" ‖ all before
// Invariant: a parsed roster is well formed and its key hashes are distinct. Parsing does not check the signature:
// whether a roster may replace another is decided in roster-rules.ts.
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { type Signer, signatureBytes } from '../crypto/signature.ts';
import { ByteReader, concatBytes, u8, u32, u64, utf8 } from '../model/bytes.ts';
import { type KeyHash, keyHashToBytes, type NetworkId, networkIdToBytes } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { holdsNetworkKeys, type Role, roleCodes, roleOfCode } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { exactly, isZero, parseAs } from './_records.ts';
import { encodeSettings, type NetworkSettings, parseSettings } from './network-settings.ts';

export interface RosterMember {
  readonly keyHash: KeyHash;
  readonly role: Role;
  readonly state: 'valid' | 'revoked';
  /** Public key for key boxes, 32 bytes; all zero for masters and sentinels, which never hold network keys. */
  readonly x25519: Uint8Array;
}

export interface RosterFields {
  readonly networkId: NetworkId;
  /** 1 for the first; each change raises it. */
  readonly number: bigint;
  /** SHA-256 of all bytes of the roster before; 32 zero bytes for the first. */
  readonly previousHash: Uint8Array;
  /** Newest network-key epoch, from 1. */
  readonly keyEpoch: number;
  /** keyCheckOf the newest network key: whoever opens a key box compares. */
  readonly keyCheck: Uint8Array;
  readonly settings: NetworkSettings;
  /** In the order they joined; never shortened. */
  readonly members: readonly RosterMember[];
}

export interface Roster extends RosterFields {
  /** Every byte, signature included. */
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`. */
  readonly hash: Uint8Array;
  readonly signer: KeyHash;
  readonly signature: Uint8Array;
  readonly byKeyHash: ReadonlyMap<KeyHash, RosterMember>;
}

const stateCodes = { valid: 1, revoked: 2 } as const;

/** What the roster says of the newest network key without giving it away. */
export const keyCheckOf = (networkId: NetworkId, networkKey: Uint8Array): Uint8Array =>
  sha256(utf8('opera/key-check/v1'), networkIdToBytes(networkId), networkKey);

const encodeMember = (member: RosterMember): Uint8Array =>
  concatBytes(
    keyHashToBytes(member.keyHash),
    u8(roleCodes[member.role]),
    u8(stateCodes[member.state]),
    exactly(member.x25519, 32, 'an X25519 key'),
  );

/** Signs and encodes; throws like parseRoster, so no unreadable roster is ever made. */
export const encodeRoster = (fields: RosterFields, signer: Signer): SignedRecord => {
  const settings = encodeSettings(fields.settings);
  const body = concatBytes(
    u8(1),
    networkIdToBytes(fields.networkId),
    u64(fields.number),
    exactly(fields.previousHash, 32, 'the hash of the previous roster'),
    u32(fields.keyEpoch),
    exactly(fields.keyCheck, 32, 'the key check'),
    u32(settings.length),
    settings,
    u32(fields.members.length),
    ...fields.members.map(encodeMember),
    keyHashToBytes(signer.keyHash),
  );
  const record = { bytes: concatBytes(body, signer.sign('opera/roster/v1', body)), signerSpki: signer.spki };
  parseRoster(record.bytes);
  return record;
};

const readMember = (reader: ByteReader): RosterMember => {
  const keyHash = reader.keyHash();
  const role = roleOfCode(reader.u8()) ?? reader.fail('unknown role');
  const code = reader.u8();
  const x25519 = reader.take(32);
  if (code !== stateCodes.valid && code !== stateCodes.revoked) return reader.fail('unknown state');
  if (isZero(x25519) === holdsNetworkKeys(role)) return reader.fail('an X25519 key does not fit its role');
  return { keyHash, role, state: code === stateCodes.valid ? 'valid' : 'revoked', x25519 };
};

const readMembers = (reader: ByteReader): Pick<Roster, 'members' | 'byKeyHash'> => {
  const count = reader.u32();
  if (count > limits.rosterMembersMax) reader.fail(`more than ${limits.rosterMembersMax} members`);
  const members: RosterMember[] = [];
  const byKeyHash = new Map<KeyHash, RosterMember>();
  for (let i = 0; i < count; i += 1) {
    const member = readMember(reader);
    if (byKeyHash.has(member.keyHash)) reader.fail('a member is listed twice');
    members.push(member);
    byKeyHash.set(member.keyHash, member);
  }
  return { members, byKeyHash };
};

/** Strict parsing of a roster's bytes; `integrity` for anything malformed. The signature is not checked here. */
export const parseRoster = (bytes: Uint8Array): Roster => {
  const reader = new ByteReader(bytes, 'the roster');
  reader.expect(u8(1), 'version');
  const networkId = reader.networkId();
  const number = reader.u64();
  const previousHash = reader.take(32);
  if (number === 0n || (number === 1n) !== isZero(previousHash)) reader.fail('number and previous hash do not fit');
  const keyEpoch = reader.u32();
  if (keyEpoch === 0) reader.fail('key epochs begin at 1');
  const keyCheck = reader.take(32);
  const settingsJson = reader.take(reader.u32());
  const settings = parseAs('integrity', () => parseSettings(settingsJson));
  const list = readMembers(reader);
  const signer = reader.keyHash();
  const signature = reader.take(signatureBytes);
  reader.end();
  const own = bytes.slice();
  const fields = { networkId, number, previousHash, keyEpoch, keyCheck, settings, ...list };
  return { ...fields, signer, signature, bytes: own, hash: sha256(own) };
};

/** The member with this key in any state; constant time in the number of members. */
export const findMember = (roster: Roster, keyHash: KeyHash): RosterMember | undefined => roster.byKeyHash.get(keyHash);

export const isValidMember = (roster: Roster, keyHash: KeyHash, ...roles: readonly Role[]): boolean => {
  const member = findMember(roster, keyHash);
  return member?.state === 'valid' && (roles.length === 0 || roles.includes(member.role));
};

/** Valid members of these roles (all roles when none is given), in the order they joined. */
export const listValidMembers = (roster: Roster, ...roles: readonly Role[]): readonly RosterMember[] =>
  roster.members.filter(({ state, role }) => state === 'valid' && (roles.length === 0 || roles.includes(role)));

/** True when the valid gateways differ: such rosters are kept for roles that slept. */
export const gatewaysDiffer = (a: Roster, b: Roster): boolean => {
  const text = (roster: Roster): string =>
    listValidMembers(roster, 'gateway')
      .map(({ keyHash }) => keyHash)
      .sort()
      .join();
  return text(a) !== text(b);
};

export const sameRoster = (a: Roster, b: Roster): boolean => equalBytes(a.hash, b.hash);
