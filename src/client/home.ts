// The home of a member: opening it, and filling it when the member joined.
//   <home>/profile.json   network, role, whom to dial        <home>/keys.json   key boxes and chain
//   <home>/roster         newest roster (and rosters/)       identity folder    keys and certificate, apart from data
// Invariant: the profile is written last, so that a kill at any point leaves either a whole member or a folder without
// profile, whose owner joins again with the same code and keys and gets the same answer.
import { stat } from 'node:fs/promises';
import { basename, isAbsolute, join, relative } from 'node:path';
import { keyBoxKinds, openKeyBox, parseKeyBox } from '../crypto/key-box.ts';
import { OperaError } from '../errors/errors.ts';
import { type Authority, authorityFromPrivate } from '../identity/authority.ts';
import { completeIdentity, type Identity, type IdentityKeys, readIdentity } from '../identity/identity-folder.ts';
import type { RosterTrust } from '../identity/roster-rules.ts';
import { limits } from '../model/limits.ts';
import { createSecretFolder, systemErrorCode } from '../runtime/files.ts';
import type { Role } from '../model/roles.ts';
import type { Joined } from './join-network.ts';
import { KeyKeeper } from './key-keeper.ts';
import { identityFolderOf, type Profile, profileTime, readProfile, writeProfile } from './profile.ts';
import { putBack, RosterKeeper } from './roster-keeper.ts';

export interface OpenHome {
  readonly home: string;
  readonly profile: Profile;
  readonly identityFolder: string;
  readonly identity: Identity;
  readonly rosters: RosterKeeper;
  /** Empty for masters and sentinels, which never hold network keys. */
  readonly keys: KeyKeeper;
  /** Wall-clock ms when a gateway last told all it knows (the time of the profile); undefined: ask at once. */
  readonly refreshedMs?: number;
}

/** Gateways and nodes keep the boxes and rosters that others need. */
const keepsForOthers = (role: Role): boolean => role === 'gateway' || role === 'node';

const openKeepers = async (
  home: string,
  keys: IdentityKeys,
  role: Role,
  trust: RosterTrust,
): Promise<{ readonly rosters: RosterKeeper; readonly keepers: () => Promise<KeyKeeper> }> => {
  const rosters = await RosterKeeper.load({ folder: home, trust, keepHistory: keepsForOthers(role) });
  // The roster must be there first: key boxes are judged by it.
  const keepers = async (): Promise<KeyKeeper> => {
    const keeper = await KeyKeeper.load({
      folder: home,
      networkId: trust.networkId,
      keyHash: keys.signer.keyHash,
      privateKey: keys.x25519.privateKey,
      caSpki: trust.caSpki,
      roster: () => rosters.roster,
      keepOthers: keepsForOthers(role),
    });
    // When it cannot be written now, what a later start reads leads to the same keys.
    rosters.onChange(() => void keeper.follow().catch(() => undefined));
    return keeper;
  };
  return { rosters, keepers };
};

/** What a joined member keeps. `config` with what to do when the folder is no home or the join was not finished. */
export const openHome = async (home: string): Promise<OpenHome> => {
  const profile = await readProfile(home);
  if (!profile) {
    throw new OperaError('config', `${home} is not the home of a member`, {
      hint: 'Start a local network with `opera up`, join one with `opera join CODE`, or name a home with --home',
    });
  }
  const identityFolder = identityFolderOf(home, profile);
  const identity = await readIdentity(identityFolder);
  if (!identity) {
    throw new OperaError('config', `${identityFolder} holds no finished identity`, {
      hint: 'Put the identity folder back where it was, from its backup',
    });
  }
  const { networkId, role } = identity;
  if (networkId !== profile.networkId || role !== profile.role) {
    throw new OperaError('config', `${home} and ${identityFolder} are of two members`, {
      hint: 'Put the identity folder of this home back',
    });
  }
  const trust = { networkId, caSpki: identity.bundle.certificates[0].spki };
  const { rosters, keepers } = await openKeepers(home, identity, role, trust);
  // The profile is written last, so it was there.
  if (!rosters.hasRoster) throw new OperaError('config', `${join(home, 'roster')} is missing`, { hint: putBack });
  const refreshedMs = await profileTime(home);
  return { home, profile, identityFolder, identity, rosters, keys: await keepers(), refreshedMs };
};

/** First addresses win; a profile keeps only so many. */
export const mergeAddresses = (...lists: readonly (readonly string[])[]): string[] =>
  [...new Set(lists.flat())].slice(0, limits.addressesMax);

export interface EnterOptions {
  readonly home: string;
  readonly identityFolder: string;
  readonly keys: IdentityKeys;
  readonly joined: Joined;
}

/** Identity folders inside the home, or beside it, move with it. */
export const profilePathOf = (home: string, identityFolder: string): string => {
  const path = relative(home, identityFolder);
  const near = !path.startsWith('..') || path === join('..', 'identity', basename(identityFolder));
  return near && !isAbsolute(path) ? path : identityFolder;
};

const openAuthority = (keys: IdentityKeys, joined: Joined, keeper: KeyKeeper): Authority | undefined => {
  if (joined.role !== 'gateway') return undefined;
  for (const record of keeper.records.keyBoxes) {
    const box = parseKeyBox(record.bytes);
    if (box.kind !== keyBoxKinds.caKeyPart || box.recipient !== keys.signer.keyHash) continue;
    const scalar = openKeyBox(joined.networkId, box, keys.x25519.privateKey);
    try {
      return authorityFromPrivate(scalar, joined.bundle.bytes);
    } finally {
      scalar.fill(0);
    }
  }
  return undefined;
};

const isFile = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
};

/** `exists` when another member lives in this home or identity folder. */
export const assertHomeFree = async (home: string, identityFolder: string): Promise<void> => {
  const profile = await readProfile(home);
  const hint = 'Use another folder with --home';
  if (profile) {
    throw new OperaError('exists', `${home} is the home of ${profile.memberId}, a ${profile.role}, already`, { hint });
  }
  // Without a profile the join was not finished and may be repeated, unless a home elsewhere uses this identity.
  if ((await readIdentity(identityFolder)) && !(await isFile(join(home, 'roster')))) {
    throw new OperaError('exists', `${identityFolder} is the identity of a member whose home is elsewhere`, { hint });
  }
};

/** Writes what joining gave; repeatable. The home is a member's when it resolves. */
export const enterHome = async (options: EnterOptions): Promise<OpenHome> => {
  const { home, identityFolder, keys, joined } = options;
  const { admission, role, networkId, bundle } = joined;
  const profile: Profile = {
    version: 1,
    networkId,
    role,
    memberId: keys.memberId,
    identity: profilePathOf(home, identityFolder),
    gateways: mergeAddresses(admission.peers.filter((peer) => peer.role === 'gateway').map((peer) => peer.address)),
    joinAddresses: mergeAddresses([joined.gateway], admission.joinAddresses),
    masters: mergeAddresses(admission.peers.filter((peer) => peer.role === 'master').map((peer) => peer.address)),
  };
  await createSecretFolder(home);
  const { rosters, keepers } = await openKeepers(home, keys, role, joined.trust);
  await rosters.accept(admission.rosters);
  const keeper = await keepers();
  await keeper.accept(admission.keyBoxes, admission.keyChain);
  const authority = openAuthority(keys, joined, keeper);
  const membership = { certificate: admission.certificate, bundle: bundle.bytes };
  const identity = await completeIdentity(identityFolder, authority ? { ...membership, authority } : membership);
  await writeProfile(home, profile);
  return { home, profile, identityFolder, identity, rosters, keys: keeper };
};
