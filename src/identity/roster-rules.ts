// Which roster may follow which, and how the next one is made.
// Invariant: what a role accepts only grows: higher numbers, no entry removed or changed but valid → revoked, key
// epochs never back, signed by a gateway that the roster before lists as valid (the first by the founding CA key).
// It neither stores nor sends: roles write an accepted roster (fsync) before they act on it.
import { equalBytes } from '../crypto/digest.ts';
import { keyHashOfSpki, type Signer, verifySignature } from '../crypto/signature.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { KeyHash, NetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { NetworkSettings } from './network-settings.ts';
import {
  encodeRoster,
  findMember,
  isValidMember,
  parseRoster,
  type Roster,
  type RosterFields,
  type RosterMember,
  sameRoster,
} from './roster.ts';

export interface RosterTrust {
  readonly networkId: NetworkId;
  /** The key of the founding authority (first certificate of the CA bundle), DER SubjectPublicKeyInfo. */
  readonly caSpki: Uint8Array;
  /**
   * Only for a member that holds no roster yet: the gateway that TLS has just shown to be certified by the pinned
   * authority. It may hand over the newest roster, signed by itself or by another gateway that this roster lists.
   */
  readonly trustedSigner?: KeyHash;
}

/**
 * accepted: replaces the current one. same: the current one again. fork: another roster with the current number by a
 * valid gateway: raise an alarm, honour its revocations (withRevocationsOf), have a gateway merge both (mergeRosters).
 */
export type RosterVerdict =
  | { readonly kind: 'accepted'; readonly roster: Roster; readonly record: SignedRecord }
  | { readonly kind: 'same'; readonly roster: Roster }
  | { readonly kind: 'fork'; readonly roster: Roster; readonly other: Roster };

const distrust = (reason: string): never => {
  throw new OperaError('integrity', `the roster is refused: ${reason}`);
};

const withoutSignature = (roster: Roster): Uint8Array => roster.bytes.subarray(0, roster.bytes.length - 64);

const parseSigned = (record: SignedRecord, networkId: NetworkId): Roster => {
  const roster = parseRoster(record.bytes);
  if (roster.networkId !== networkId) throw new OperaError('wrong-network', 'the roster is of another network');
  if (keyHashOfSpki(record.signerSpki) !== roster.signer) distrust('the key sent along is not the signer');
  const body = withoutSignature(roster);
  if (!verifySignature(record.signerSpki, roster.signature, 'opera/roster/v1', body)) distrust('wrong signature');
  return roster;
};

const assertGrown = (before: Roster, after: Roster): void => {
  if (after.keyEpoch < before.keyEpoch) distrust('its key epoch is lower');
  if (after.keyEpoch === before.keyEpoch && !equalBytes(after.keyCheck, before.keyCheck)) {
    distrust('it names another key for the same epoch');
  }
  for (const member of before.members) {
    const now = findMember(after, member.keyHash) ?? distrust('a member is missing');
    if (now.role !== member.role || !equalBytes(now.x25519, member.x25519)) distrust('a member was changed');
    if (member.state === 'revoked' && now.state !== 'revoked') distrust('a revocation was undone');
  }
};

const acceptFirst = (roster: Roster, trust: RosterTrust): void => {
  if (roster.number === 1n) {
    if (roster.signer !== keyHashOfSpki(trust.caSpki)) distrust('the first is not signed by the authority');
    return;
  }
  const { trustedSigner } = trust;
  if (trustedSigner === undefined) distrust('there is no roster before it to check its signer against');
  else if (!isValidMember(roster, trustedSigner, 'gateway')) distrust('it does not list the gateway that sent it');
  // In any state: a gateway may have signed the roster that revokes it, and the trusted one vouches for this roster.
  if (findMember(roster, roster.signer)?.role !== 'gateway') distrust('its signer is not a gateway');
};

/** `integrity` unless `after` may come later than `before` in one line of rosters. Signatures are not looked at. */
const assertFollows = (before: Roster, after: Roster): void => {
  if (after.number === before.number + 1n && !equalBytes(after.previousHash, before.hash)) {
    distrust('it does not follow the roster held');
  }
  assertGrown(before, after);
};

/**
 * True when one of the two may have come from the other. Two of which neither did were signed by gateways that did not
 * know of each other, as after a registry and a gateway that were put back to an earlier day: mergeRosters heals it.
 */
export const areOfOneLine = (a: Roster, b: Roster): boolean => {
  if (a.number === b.number) return sameRoster(a, b);
  const [before, after] = a.number < b.number ? [a, b] : [b, a];
  try {
    assertFollows(before, after);
    return true;
  } catch (error) {
    if (isOperaError(error, 'integrity')) return false;
    throw error;
  }
};

/** A roster of any number, signed by a gateway that `current` lists as valid; `integrity` or `wrong-network` else. */
export const readRosterOfPeer = (current: Roster, record: SignedRecord): Roster => {
  const roster = parseSigned(record, current.networkId);
  if (!isValidMember(current, roster.signer, 'gateway')) distrust('its signer is not a gateway that is valid here');
  return roster;
};

/**
 * Judges one roster against the current one. Throws `wrong-network`, `integrity` (malformed, wrong
 * signature, signer or content) and `stale-roster` (a lower number). A lower number is judged before the signature:
 * it is refused in any case.
 */
export const acceptRoster = (current: Roster | undefined, next: SignedRecord, trust: RosterTrust): RosterVerdict => {
  if (current && equalBytes(current.bytes, next.bytes)) return { kind: 'same', roster: current };
  const roster = parseSigned(next, trust.networkId);
  if (!current) {
    acceptFirst(roster, trust);
    return { kind: 'accepted', roster, record: next };
  }
  if (roster.number < current.number) {
    throw new OperaError('stale-roster', `roster ${roster.number} is older than ${current.number}`);
  }
  const bySuccessor = isValidMember(current, roster.signer, 'gateway');
  if (roster.number === current.number) {
    // A revoked gateway must not be able to revoke others, so only valid signers make a fork worth an alarm. ECDSA is
    // randomised: one content signed twice counts as a fork too, for a gateway never signs one number twice.
    if (!bySuccessor) distrust('its signer is not a valid gateway');
    return { kind: 'fork', roster: current, other: roster };
  }
  if (!bySuccessor) distrust('its signer is not a gateway that the roster before lists as valid');
  assertFollows(current, roster);
  return { kind: 'accepted', roster, record: next };
};

/**
 * Brings a role that slept up to date: walks kept rosters (ascending; those at or below the current number are
 * skipped) and then the newest. Throws like acceptRoster; a fork on the way is `conflict`, for a walk cannot choose.
 */
export const walkRosters = (
  current: Roster | undefined,
  records: readonly SignedRecord[],
  trust: RosterTrust,
): { readonly roster: Roster; readonly record: SignedRecord } | undefined => {
  if (records.length > limits.rosterWalkMax) distrust('too many rosters at once');
  let last: { readonly roster: Roster; readonly record: SignedRecord } | undefined;
  for (const record of records) {
    const known = last?.roster ?? current;
    if (known && parseRoster(record.bytes).number < known.number) continue;
    const verdict = acceptRoster(known, record, trust);
    if (verdict.kind === 'fork') {
      throw new OperaError('conflict', `there are two rosters with number ${verdict.roster.number}`);
    }
    if (verdict.kind === 'accepted') last = { roster: verdict.roster, record };
  }
  return last;
};

const replaceMembers = (roster: Roster, members: readonly RosterMember[]): Roster => ({
  ...roster,
  members,
  byKeyHash: new Map(members.map((member) => [member.keyHash, member])),
});

/**
 * `roster` as it must be acted on while a fork of it is known: revoked in either is revoked. Bytes and hash stay those
 * of `roster`; members that only `other` lists are not taken over, except as revoked.
 */
export const withRevocationsOf = (roster: Roster, other: Roster): Roster => {
  const members = roster.members.map((member) =>
    findMember(other, member.keyHash)?.state === 'revoked' ? { ...member, state: 'revoked' as const } : member,
  );
  const unknown = other.members.filter(({ keyHash, state }) => state === 'revoked' && !findMember(roster, keyHash));
  return replaceMembers(roster, [...members, ...unknown]);
};

export interface RosterChange {
  readonly addMembers?: readonly Omit<RosterMember, 'state'>[];
  readonly revoke?: readonly KeyHash[];
  readonly settings?: NetworkSettings;
  /** Must be above the current epoch. */
  readonly key?: { readonly epoch: number; readonly check: Uint8Array };
}

const addMember = (members: Map<KeyHash, RosterMember>, added: Omit<RosterMember, 'state'>): void => {
  const known = members.get(added.keyHash);
  if (known?.state === 'revoked') throw new OperaError('revoked', 'a revoked key cannot join again; use a new key');
  if (known && (known.role !== added.role || !equalBytes(known.x25519, added.x25519))) {
    throw new OperaError('exists', 'this key is a member with another role or X25519 key');
  }
  if (!known) members.set(added.keyHash, { ...added, state: 'valid' });
};

const revokeMember = (members: Map<KeyHash, RosterMember>, keyHash: KeyHash): void => {
  const known = members.get(keyHash);
  if (!known) throw new OperaError('not-found', 'the roster does not list this member');
  members.set(keyHash, { ...known, state: 'revoked' });
};

/**
 * The roster after `current` with `change`, signed. Errors: `exists`, `revoked` (add), `not-found` (revoke),
 * `conflict` (key epoch not higher), `bad-request` (settings), `forbidden` (no valid gateway would be left, or the
 * signer is not one now).
 */
export const nextRoster = (current: Roster, change: RosterChange, signer: Signer): SignedRecord => {
  const members = new Map(current.byKeyHash);
  for (const added of change.addMembers ?? []) addMember(members, added);
  for (const keyHash of change.revoke ?? []) revokeMember(members, keyHash);
  if (change.key && change.key.epoch <= current.keyEpoch) {
    throw new OperaError('conflict', `key epoch ${change.key.epoch} is not above ${current.keyEpoch}`);
  }
  return signSuccessor(
    current,
    {
      ...current,
      number: current.number + 1n,
      previousHash: current.hash,
      settings: change.settings ?? current.settings,
      keyEpoch: change.key?.epoch ?? current.keyEpoch,
      keyCheck: change.key?.check ?? current.keyCheck,
      members: [...members.values()],
    },
    signer,
  );
};

const signSuccessor = (current: Roster, fields: RosterFields, signer: Signer): SignedRecord => {
  if (!isValidMember(current, signer.keyHash, 'gateway')) {
    throw new OperaError('forbidden', 'only a valid gateway signs rosters');
  }
  if (!fields.members.some(({ role, state }) => role === 'gateway' && state === 'valid')) {
    throw new OperaError('forbidden', 'the last gateway cannot be revoked: nobody could sign the next roster');
  }
  return encodeRoster(fields, signer);
};

/** The very first roster, signed by the authority's key; made by `init` alone. */
export const firstRoster = (
  fields: Omit<RosterFields, 'number' | 'previousHash'>,
  authoritySigner: Signer,
): SignedRecord => encodeRoster({ ...fields, number: 1n, previousHash: new Uint8Array(32) }, authoritySigner);

/** The higher number, of one number the higher hash. */
const isHigher = (a: Roster, b: Roster): boolean =>
  a.number === b.number ? Buffer.compare(a.hash, b.hash) > 0 : a.number > b.number;

/**
 * The roster that heals a fork: all members of both, revoked in either is revoked, the higher key epoch, settings of
 * the one with the higher number, or else hash. Its number is two above both, so that roles holding either one accept
 * it: the hash of the predecessor binds adjacent numbers only. When both name different keys for one epoch, `key` (a
 * new epoch, above both) is needed, else `conflict`. `bad-request` unless a and b are of one network, not of one line.
 */
export const mergeRosters = (a: Roster, b: Roster, signer: Signer, key?: RosterChange['key']): SignedRecord => {
  if (a.networkId !== b.networkId || areOfOneLine(a, b)) {
    throw new OperaError('bad-request', 'only two rosters of one network that forked can be merged');
  }
  const [base, other] = isHigher(a, b) ? [a, b] : [b, a];
  const newest = other.keyEpoch > base.keyEpoch ? other : base;
  if (key ? key.epoch <= newest.keyEpoch : a.keyEpoch === b.keyEpoch && !equalBytes(a.keyCheck, b.keyCheck)) {
    throw new OperaError('conflict', 'the rosters name different keys for one epoch: give a new, higher epoch');
  }
  if (!isValidMember(other, signer.keyHash, 'gateway')) {
    throw new OperaError('forbidden', 'only a gateway that both rosters list as valid can merge them');
  }
  const members = new Map(withRevocationsOf(base, other).byKeyHash);
  for (const member of other.members) {
    const known = members.get(member.keyHash);
    if (known && (known.role !== member.role || !equalBytes(known.x25519, member.x25519))) {
      throw new OperaError('conflict', 'the rosters list one member differently: no roster can follow both');
    }
    if (!known) members.set(member.keyHash, member);
  }
  return signSuccessor(
    base,
    {
      ...base,
      number: base.number + 2n,
      previousHash: base.hash,
      keyEpoch: key?.epoch ?? newest.keyEpoch,
      keyCheck: key?.check ?? newest.keyCheck,
      members: [...members.values()],
    },
    signer,
  );
};
