// Key boxes: one of the newest network key for every key holder and recovery key, one of the authority's key for every
// gateway and recovery key. They rest with this gateway, in the registry for the other gateways, and on the nodes, so
// that keys outlive registry and gateways.
// Invariant: a box is made only to the X25519 key that the roster lists, never to one that a request names.
// It draws no network keys; key-rotation.ts does.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import { type KeyBoxKind, keyBoxKinds, parseKeyBox, sealKeyBox } from '../../crypto/key-box.ts';
import { chainRecordEpochOf, type EpochKey } from '../../crypto/key-chain.ts';
import { recoveryKeyHashOf } from '../../crypto/x25519.ts';
import { OperaError } from '../../errors/errors.ts';
import { type Authority, exportAuthorityScalar } from '../../identity/authority.ts';
import { findMember, isValidMember, listValidMembers, type Roster } from '../../identity/roster.ts';
import type { KeyHash, MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { holdsNetworkKeys } from '../../model/roles.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { RoleContext } from '../context.ts';

export interface KeyRecords {
  readonly keyBoxes: SignedRecord[];
  readonly keyChain: Uint8Array[];
}

const none: KeyRecords = { keyBoxes: [], keyChain: [] };

interface Wanted {
  readonly kind: KeyBoxKind;
  readonly recipient: KeyHash;
  readonly recipientKey: Uint8Array;
}

export class KeyOffice {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #keys: KeyKeeper;
  /** Nodes and gateways that could not be handed the newest boxes yet. */
  readonly #owed = new Set<MemberId>();

  constructor(context: RoleContext, registry: Registry, keys: KeyKeeper) {
    this.#context = context;
    this.#registry = registry;
    this.#keys = keys;
  }

  /** The authority's key; `not-ready` on a gateway that was not given it. */
  authority(): Authority {
    const { authority } = this.#context.identity();
    if (!authority) throw new OperaError('not-ready', 'this gateway does not hold the key of the authority');
    return authority;
  }

  /** What a member is handed: its own newest box, everything for nodes and gateways, nothing for the keyless. */
  async recordsFor(keyHash: KeyHash): Promise<KeyRecords> {
    const member = findMember(this.#context.rosters.roster, keyHash);
    if (member?.state !== 'valid' || !holdsNetworkKeys(member.role)) return none;
    const network = { kind: keyBoxKinds.networkKey, recipient: keyHash, recipientKey: member.x25519 };
    const wanted: Wanted[] = [network];
    if (member.role === 'gateway') wanted.push({ ...network, kind: keyBoxKinds.caKeyPart });
    await this.#provide(wanted);
    const { keyBoxes, keyChain } = this.#keys.records;
    const everything = member.role === 'gateway' || member.role === 'node';
    const own = (box: SignedRecord): boolean => parseKeyBox(box.bytes).recipient === keyHash;
    return { keyBoxes: everything ? [...keyBoxes] : keyBoxes.filter(own), keyChain: [...keyChain] };
  }

  /** Boxes of network key and authority key for every recovery key that the roster lists. */
  async provideRecovery(): Promise<void> {
    const wanted = recoveryOf(this.#context.rosters.roster).flatMap((box): Wanted[] => [
      box,
      { ...box, kind: keyBoxKinds.caKeyPart },
    ]);
    await this.#provide(wanted);
  }

  /** Boxes of a key that no roster names yet, for everyone who holds keys by `roster`; nothing is kept of them here. */
  sealEpoch(roster: Roster, { epoch, key: secret }: EpochKey): Uint8Array[] {
    const { networkId, identity, random } = this.#context;
    const holders = listValidMembers(roster).filter(({ role }) => holdsNetworkKeys(role));
    const wanted = holders.map(({ keyHash, x25519 }): Wanted => {
      return { kind: keyBoxKinds.networkKey, recipient: keyHash, recipientKey: x25519 };
    });
    return [...wanted, ...recoveryOf(roster)].map((box) =>
      sealKeyBox(networkId, { ...box, epoch, secret }, identity().signer, random),
    );
  }

  /** Takes what other gateways put into the registry, and puts there what it lacks. */
  async sync(): Promise<void> {
    const stored = await this.#registry.listKeyBoxes();
    const chain = await this.#registry.listKeyChain();
    await this.#keys.accept([], [...chain.values()]);
    const held = new Set(this.#keys.records.keyBoxes.map((box) => describe(box).name));
    const { newestEpoch } = this.#keys.keyring;
    for (const { box, kind, epoch, recipient } of stored) {
      const isOld = kind !== keyBoxKinds.caKeyPart && epoch < newestEpoch;
      if (isOld || held.has(`${kind}/${epoch}/${recipient}`)) continue;
      // One that is wrong must not keep the others out; the registry is no authority on keys.
      await this.#keys.accept([box], []).catch((error: unknown) => {
        this.#context.log.error('key-box-refused', errorFacts(error));
      });
    }
    for (const record of this.#keys.records.keyChain) {
      const epoch = chainRecordEpochOf(record);
      if (!chain.has(epoch)) await this.#registry.putKeyChain(epoch, record);
    }
    const known = new Set(stored.map(({ kind, epoch, recipient }) => `${kind}/${epoch}/${recipient}`));
    const missing = this.#keys.records.keyBoxes.map(describe).filter(({ name }) => !known.has(name));
    if (missing.length > 0) await this.#registry.putKeyBoxes(missing.map(({ stored: box }) => box));
  }

  /** True when the key that the roster names is held here. */
  get #isCurrent(): boolean {
    const { keyEpoch, keyCheck } = this.#context.rosters.roster;
    return this.#keys.hasKeys && this.#keys.keyring.matches(keyEpoch, keyCheck);
  }

  /**
   * Takes from nodes and gateways what they keep for all, while the key that the roster names is held neither here nor
   * in the registry: both may have been put back to a day before it.
   */
  async learn(members: readonly MemberRecord[]): Promise<void> {
    if (this.#isCurrent) return;
    const { transport, stopping, log } = this.#context;
    for (const { memberId, addresses, role } of members) {
      if (role !== 'node' && role !== 'gateway') continue;
      try {
        const to = { address: addresses[0] ?? '', expect: { memberId } };
        const options = { signal: stopping, timeoutMs: limits.rosterSpreadMs };
        const { answer } = await transport.call(to, 'keys.held', {}, options);
        await this.#keys.accept(answer.keyBoxes, answer.keyChain);
      } catch (error) {
        log.warn('keys-not-learned', { memberId, ...errorFacts(error) });
      }
      if (this.#isCurrent) return this.sync();
    }
  }

  /** Hands all boxes to nodes and gateways; answers who was not reached and gets them later from handOwed. */
  async handOut(members: readonly MemberRecord[]): Promise<readonly MemberId[]> {
    const keepers = members.filter(({ role }) => role === 'node' || role === 'gateway');
    for (const { memberId } of keepers) this.#owed.add(memberId);
    await this.handOwed(keepers);
    return keepers.map(({ memberId }) => memberId).filter((memberId) => this.#owed.has(memberId));
  }

  async handOwed(members: readonly MemberRecord[]): Promise<void> {
    const owed = members.filter(({ memberId }) => this.#owed.has(memberId));
    await Promise.all(owed.map((member) => this.#hand(member)));
  }

  async #hand({ memberId, keyHash, addresses: [address = ''] }: MemberRecord): Promise<void> {
    const { transport, rosters, stopping, log } = this.#context;
    if (!isValidMember(rosters.roster, keyHash)) {
      this.#owed.delete(memberId);
      return;
    }
    const { keyBoxes, keyChain } = this.#keys.records;
    const request = { keyBoxes: [...keyBoxes], keyChain: [...keyChain] };
    try {
      const options = { signal: stopping, timeoutMs: limits.rosterSpreadMs };
      await transport.call({ address, expect: { memberId } }, 'keys.put', request, options);
      this.#owed.delete(memberId);
    } catch (error) {
      log.debug('keys-not-taken', { memberId, ...errorFacts(error) });
    }
  }

  /** Seals the boxes that are missing. Durable here when it resolves; in the registry as soon as it can be reached. */
  async #provide(wanted: readonly Wanted[]): Promise<void> {
    const known = new Set(this.#keys.records.keyBoxes.map((box) => describe(box).name));
    const { epoch } = this.#keys.keyring.newest;
    const nameOf = ({ kind, recipient }: Wanted): string =>
      `${kind}/${kind === keyBoxKinds.caKeyPart ? 1 : epoch}/${recipient}`;
    const missing = wanted.filter((box) => !known.has(nameOf(box)));
    if (missing.length === 0) return;
    const boxes = missing.map((box) => this.#seal(box));
    await this.#keys.accept(boxes, []);
    await this.#registry.putKeyBoxes(boxes.map((box) => describe(box).stored)).catch((error: unknown) => {
      this.#context.log.warn('key-boxes-not-registered', errorFacts(error));
    });
  }

  #seal(wanted: Wanted): SignedRecord {
    const { networkId, identity, random } = this.#context;
    const { signer } = identity();
    const ofAuthority = wanted.kind === keyBoxKinds.caKeyPart;
    const { epoch, key } = this.#keys.keyring.newest;
    const secret = ofAuthority ? exportAuthorityScalar(this.authority()) : key;
    const fields = { ...wanted, epoch: ofAuthority ? 1 : epoch, secret };
    try {
      return { bytes: sealKeyBox(networkId, fields, signer, random), signerSpki: signer.spki };
    } finally {
      if (ofAuthority) secret.fill(0);
    }
  }
}

/** Boxes of the network key for the recovery keys of a roster. */
const recoveryOf = (roster: Roster): Wanted[] =>
  roster.settings.recoveryKeys.map((text) => {
    const recipientKey = new Uint8Array(Buffer.from(text, 'base64'));
    return { kind: keyBoxKinds.recovery, recipient: recoveryKeyHashOf(recipientKey), recipientKey };
  });

const describe = (box: SignedRecord) => {
  const { kind, epoch, recipient } = parseKeyBox(box.bytes);
  return { name: `${kind}/${epoch}/${recipient}`, stored: { kind, epoch, recipient, box } };
};
