// Founding a network: its id, authority, first network key, first roster, first gateway and first operator. Only `init`
// and `up` come here. Everything rests on disk, fsynced, before the registry learns of the network.
// Invariant: a marker file stands from the first byte until the registry knows the network. A founding that was killed
// is finished from disk when both identities are whole, and begun anew otherwise; anything else that is found in the
// way is `exists` and stays untouched.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyKeeper } from '../../client/key-keeper.ts';
import { mergeAddresses, openHome, profilePathOf } from '../../client/home.ts';
import { type Profile, readProfile, writeProfile } from '../../client/profile.ts';
import { RosterKeeper } from '../../client/roster-keeper.ts';
import { keyBoxKinds, parseKeyBox, sealKeyBox } from '../../crypto/key-box.ts';
import { recoveryKeyHashOf } from '../../crypto/x25519.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { type Authority, createAuthority, exportAuthorityScalar, issueCertificate } from '../../identity/authority.ts';
import {
  agreementKeyOf,
  completeIdentity,
  type Identity,
  prepareIdentity,
  readIdentity,
} from '../../identity/identity-folder.ts';
import { pinOf } from '../../identity/ca-bundle.ts';
import { checkSettings, type NetworkSettings } from '../../identity/network-settings.ts';
import { keyCheckOf } from '../../identity/roster.ts';
import { firstRoster, type RosterTrust } from '../../identity/roster-rules.ts';
import { bytesToHex, type KeyHash, type NetworkId, networkIdFromBytes } from '../../model/ids.ts';
import type { Role } from '../../model/roles.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import type { StoredKeyBox } from '../../registry/epoch-records.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import type { Clock } from '../../runtime/clock.ts';
import { createSecretFolder, syncFolder, systemErrorCode, writeFileDurably } from '../../runtime/files.ts';
import type { Random } from '../../runtime/random.ts';

export interface FounderHome {
  readonly home: string;
  readonly identityFolder: string;
}

export interface FoundOptions {
  /** Recovery keys in it get boxes of the network key and the authority's key. */
  readonly settings: NetworkSettings;
  readonly registry: Registry;
  readonly gateway: FounderHome & {
    /** `host:port`, first the preferred one. */
    readonly meshAddresses: readonly string[];
    readonly joinAddresses: readonly string[];
  };
  readonly operator: FounderHome;
  readonly clock: Clock;
  readonly random: Random;
  /** Runs before anything is written: the place to write the recovery kit. A failure ends the founding. */
  readonly onDrafted?: (draft: { readonly networkId: NetworkId; readonly caPin: Uint8Array }) => Promise<void>;
}

export interface Founded {
  readonly networkId: NetworkId;
  readonly gateway: Identity;
  readonly operator: Identity;
}

const markerOf = (gatewayHome: string): string => join(gatewayHome, 'founding.json');

const isMarked = async (gatewayHome: string): Promise<boolean> => {
  try {
    await readFile(markerOf(gatewayHome));
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return false;
    throw error;
  }
};

const networkInRegistry = async (registry: Registry): Promise<NetworkId | undefined> => {
  try {
    return (await registry.readLife()).networkId;
  } catch (error) {
    if (isOperaError(error, 'registry-lost')) return undefined;
    throw error;
  }
};

const exists = (what: string): never => {
  throw new OperaError('exists', `${what} already; nothing was changed`, {
    hint: 'Use another folder with --home, or another registry with --registry',
  });
};

/** `exists` when a member lives in one of the homes, unless a founding that was killed left it there. */
export const assertFoundable = async (gateway: FounderHome, operator: FounderHome): Promise<void> => {
  if (await isMarked(gateway.home)) return;
  for (const { home, identityFolder } of [gateway, operator]) {
    if (await readProfile(home)) exists(`${home} is the home of a member`);
    if (await readIdentity(identityFolder)) exists(`${identityFolder} holds an identity`);
  }
};

/** Takes away what a founding that was killed left, and nothing else. */
const removeLeftovers = async ({ gateway, operator }: FoundOptions): Promise<void> => {
  for (const { home, identityFolder } of [gateway, operator]) {
    // member.json first: without it the rest counts as unfinished.
    for (const file of ['member.json', 'certificate.pem', 'authority.pem', 'ca.der']) {
      await rm(join(identityFolder, file), { force: true });
    }
    for (const file of ['profile.json', 'keys.json', 'roster', 'rosters']) {
      await rm(join(home, file), { force: true, recursive: true });
    }
  }
};

/** What founding makes before it is written. */
interface Draft {
  readonly authority: Authority;
  readonly networkKey: Uint8Array;
  readonly roster: SignedRecord;
  readonly trust: RosterTrust;
}

const draftNetwork = async (options: FoundOptions): Promise<Draft> => {
  const { settings, clock, random } = options;
  const networkId = networkIdFromBytes(random.bytes(16));
  const authority = await createAuthority(networkId, clock);
  const networkKey = random.bytes(32);
  const entryOf = async (folder: string, role: Role) => {
    const keys = await prepareIdentity(folder);
    return { keyHash: keys.signer.keyHash, role, state: 'valid' as const, x25519: agreementKeyOf(keys, role) };
  };
  const members = [
    await entryOf(options.gateway.identityFolder, 'gateway'),
    await entryOf(options.operator.identityFolder, 'operator'),
  ];
  const keyCheck = keyCheckOf(networkId, networkKey);
  const roster = firstRoster({ networkId, keyEpoch: 1, keyCheck, settings, members }, authority.signer);
  return { authority, networkKey, roster, trust: { networkId, caSpki: authority.certificate.spki } };
};

/** Boxes of the first network key and of the authority's key, all signed by the authority. */
const sealFirstBoxes = async (draft: Draft, options: FoundOptions): Promise<readonly SignedRecord[]> => {
  const { authority, networkKey } = draft;
  const scalar = exportAuthorityScalar(authority);
  const seal = (kind: 1 | 2 | 3, recipient: KeyHash, recipientKey: Uint8Array): SignedRecord => {
    const secret = kind === keyBoxKinds.caKeyPart ? scalar : networkKey;
    const fields = { kind, epoch: 1, recipient, recipientKey, secret };
    const bytes = sealKeyBox(authority.networkId, fields, authority.signer, options.random);
    return { bytes, signerSpki: authority.signer.spki };
  };
  const gateway = await prepareIdentity(options.gateway.identityFolder);
  const operator = await prepareIdentity(options.operator.identityFolder);
  const recovery = options.settings.recoveryKeys.flatMap((text) => {
    const key = new Uint8Array(Buffer.from(text, 'base64'));
    const hash = recoveryKeyHashOf(key);
    return [seal(keyBoxKinds.recovery, hash, key), seal(keyBoxKinds.caKeyPart, hash, key)];
  });
  const boxes = [
    seal(keyBoxKinds.networkKey, gateway.signer.keyHash, gateway.x25519.publicKey),
    seal(keyBoxKinds.caKeyPart, gateway.signer.keyHash, gateway.x25519.publicKey),
    seal(keyBoxKinds.networkKey, operator.signer.keyHash, operator.x25519.publicKey),
    ...recovery,
  ];
  scalar.fill(0);
  return boxes;
};

const writeFounder = async (
  draft: Draft,
  options: FoundOptions,
  founder: FounderHome & { readonly role: 'gateway' | 'operator' },
  boxes: readonly SignedRecord[],
): Promise<void> => {
  const { home, identityFolder, role } = founder;
  const { authority, trust } = draft;
  const keys = await prepareIdentity(identityFolder);
  const profile: Profile = {
    version: 1,
    networkId: authority.networkId,
    role,
    memberId: keys.memberId,
    identity: profilePathOf(home, identityFolder),
    gateways: mergeAddresses(options.gateway.meshAddresses),
    joinAddresses: mergeAddresses(options.gateway.joinAddresses),
    masters: [],
  };
  await createSecretFolder(home);
  const keepHistory = role === 'gateway';
  const rosters = await RosterKeeper.load({ folder: home, trust, keepHistory });
  await rosters.accept([draft.roster]);
  const keeper = await KeyKeeper.load({
    folder: home,
    networkId: authority.networkId,
    keyHash: keys.signer.keyHash,
    privateKey: keys.x25519.privateKey,
    caSpki: trust.caSpki,
    roster: () => rosters.roster,
    keepOthers: keepHistory,
  });
  await keeper.accept(boxes, []);
  const nowMs = options.clock.nowMs();
  const certificate = await issueCertificate(authority, { role, spki: keys.signer.spki, nowMs });
  const membership = { certificate, bundle: authority.bundle.bytes };
  await completeIdentity(identityFolder, role === 'gateway' ? { ...membership, authority } : membership);
  await writeProfile(home, profile);
};

const founderRecord = (identity: Identity, addresses: readonly string[], nowMs: number): MemberRecord => ({
  memberId: identity.memberId,
  keyHash: identity.signer.keyHash,
  role: identity.role,
  addresses,
  zone: '',
  capacityBytes: 0,
  spki: identity.signer.spki,
  joinedMs: nowMs,
  certificateExpiresMs: identity.claims.notAfterMs,
  state: 'joining',
  stateSinceMs: nowMs,
  stateReason: 'founded',
});

const storedBox = (box: SignedRecord): StoredKeyBox => {
  const { recipient, kind, epoch } = parseKeyBox(box.bytes);
  return { recipient, kind, epoch, box };
};

/** Tells the registry what lies on disk; may be repeated. */
const register = async (options: FoundOptions, gateway: Identity, operator: Identity): Promise<void> => {
  const { registry, clock, random } = options;
  const { rosters, keys } = await openHome(options.gateway.home);
  const { networkId } = gateway;
  if ((await networkInRegistry(registry)) === undefined) {
    const { number, hash, keyEpoch } = rosters.roster;
    await registry.createNetwork(networkId, { number, hash, keyEpoch, roster: rosters.record, keep: true });
  }
  await registry.putKeyBoxes(keys.records.keyBoxes.map(storedBox));
  const nowMs = clock.nowMs();
  await registry.putMember(founderRecord(gateway, options.gateway.meshAddresses, nowMs));
  await registry.putMember({ ...founderRecord(operator, [], nowMs), state: 'up' });
  const causeId = bytesToHex(random.bytes(16));
  await registry.appendEvent({ atMs: nowMs, kind: 'network-founded', causeId, memberId: gateway.memberId, facts: {} });
};

const write = async (options: FoundOptions): Promise<void> => {
  const { gateway, operator } = options;
  const draft = await draftNetwork(options);
  const boxes = await sealFirstBoxes(draft, options);
  const { networkId, bundle } = draft.authority;
  await options.onDrafted?.({ networkId, caPin: pinOf(bundle.bytes) });
  await writeFounder(draft, options, { ...operator, role: 'operator' }, boxes);
  // The gateway last: its identity, which holds the authority's key, says that the rest is there.
  await writeFounder(draft, options, { ...gateway, role: 'gateway' }, boxes);
  draft.networkKey.fill(0);
};

/** A founding that goes on must not leave a recovery kit behind that opens nothing. */
const hasSettings = async (options: FoundOptions): Promise<boolean> => {
  const { rosters } = await openHome(options.gateway.home);
  return JSON.stringify(rosters.roster.settings) === JSON.stringify(checkSettings(options.settings));
};

/** Makes a network. `exists` when the registry or one of the homes is in use; nothing was changed then. */
export const foundNetwork = async (options: FoundOptions): Promise<Founded> => {
  const { gateway, operator, registry } = options;
  const marked = await isMarked(gateway.home);
  await assertFoundable(gateway, operator);
  const known = await networkInRegistry(registry);
  if (!marked && known !== undefined) exists('the registry holds a network');
  const read = async () => ({
    first: await readIdentity(gateway.identityFolder),
    second: await readIdentity(operator.identityFolder),
  });
  const before = marked ? await read() : undefined;
  const hasHomes = marked && (await readProfile(gateway.home)) !== undefined;
  const isWhole = hasHomes && before?.first !== undefined && before.first.networkId === before.second?.networkId;
  const isSame = isWhole && (await hasSettings(options));
  if (known !== undefined && (!isSame || known !== before?.first?.networkId)) exists('the registry holds a network');
  if (!isSame) {
    await createSecretFolder(gateway.home);
    await writeFileDurably(markerOf(gateway.home), `${JSON.stringify({ version: 1 })}\n`, 0o600);
    if (marked) await removeLeftovers(options);
    await write(options);
  }
  const { first, second } = await read();
  if (!first || !second) throw new OperaError('internal', 'the founded identities cannot be read back');
  await register(options, first, second);
  await rm(markerOf(gateway.home), { force: true });
  await syncFolder(gateway.home);
  return { networkId: first.networkId, gateway: first, operator: second };
};
