// What members and operators ask about members: announcing addresses, the list, revoking, recovery keys.
// Invariant: a revocation is in the registry and on this gateway's disk before anybody is told that it holds, and the
// answer says who has confirmed it. The last gateway cannot be revoked: nobody could sign the next roster.
import type { Handlers, IncomingCall, Peer, Reply } from '../../client/transport.ts';
import { OperaError } from '../../errors/errors.ts';
import { requireAddressesOf } from '../../identity/address.ts';
import type { Roster, RosterMember } from '../../identity/roster.ts';
import { bytesToHex, type MemberId, memberIdOf } from '../../model/ids.ts';
import type { Role } from '../../model/roles.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import type { MemberDirectory } from './directory.ts';
import type { KeyOffice } from './key-office.ts';
import { changeMember } from './member-records.ts';
import type { Relay } from './relay.ts';
import type { RosterOffice } from './roster-office.ts';

export interface MembersDeps {
  readonly context: RoleContext;
  readonly registry: Registry;
  readonly directory: MemberDirectory;
  readonly rosterOffice: RosterOffice;
  readonly keyOffice: KeyOffice;
  readonly relay: Relay;
  readonly joinAddresses: () => readonly string[];
}

const listens = (role: Role): boolean => role !== 'client' && role !== 'operator';

const checkAddresses = (role: Role, addresses: readonly string[]): void => {
  if (!listens(role) && addresses.length > 0) throw new OperaError('bad-request', `a ${role} has no addresses`);
  requireAddressesOf(role, addresses);
};

const same = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join();

export class Members {
  readonly #deps: MembersDeps;

  constructor(deps: MembersDeps) {
    this.#deps = deps;
  }

  get handlers(): Handlers {
    return {
      'member.announce': (call) => this.#announce(call),
      'member.list': async () => ({
        answer: {
          members: await this.#deps.directory.describe(),
          rosterNumber: this.#deps.context.rosters.roster.number,
        },
      }),
      'member.revoke': (call) => this.#revoke(call),
      'recovery.add': ({ request }) => this.#addRecovery(request),
    };
  }

  /** Notes where a role listens; for this gateway itself, too. Without addresses nothing is noted. */
  async note(
    peer: Peer,
    at: Pick<RequestOf<'member.announce'>, 'addresses' | 'zone' | 'capacityBytes'>,
  ): Promise<void> {
    if (at.addresses.length === 0) return;
    const { registry, context, directory, relay } = this.#deps;
    const nowMs = context.clock.nowMs();
    const { memberId, keyHash, role, spki } = peer;
    const fresh: MemberRecord = {
      ...{ memberId, keyHash, role, spki, ...at },
      joinedMs: nowMs,
      certificateExpiresMs: 0,
      state: 'joining',
      stateSinceMs: nowMs,
      stateReason: 'announced',
    };
    let changed = false;
    await changeMember(registry, memberId, (before) => {
      // Sentinels judge the others; only who has just begun is up by its own word.
      const begins = !before || before.state === 'joining';
      changed = begins || !same(before.addresses, at.addresses);
      changed ||= before?.zone !== at.zone || before.capacityBytes !== at.capacityBytes;
      if (!changed) return undefined;
      const up = { state: 'up', stateSinceMs: nowMs, stateReason: 'announced' } as const;
      return { ...(before ?? fresh), ...at, ...(begins ? up : {}) };
    });
    if (!changed) return;
    directory.invalidate();
    if (memberId !== context.memberId) void relay.tellMasters(memberId);
  }

  async #announce({ peer, request }: IncomingCall<'member.announce'>): Promise<Reply<'member.announce'>> {
    if (!peer) throw new OperaError('unauthenticated');
    const { context, directory, keyOffice, joinAddresses } = this.#deps;
    checkAddresses(peer.role, request.addresses);
    const { addresses, zone, capacityBytes } = request;
    await this.note(peer, { addresses, zone, capacityBytes });
    const rosters = await context.rosters.since(request.rosterNumber ?? 0n);
    const { keyBoxes, keyChain } = await keyOffice.recordsFor(peer.keyHash);
    const peers = await directory.peersFor(peer.keyHash);
    return { answer: { peers, rosters, keyBoxes, keyChain, joinAddresses: [...joinAddresses()] } };
  }

  async #revoke({ peer, request }: IncomingCall<'member.revoke'>): Promise<Reply<'member.revoke'>> {
    const { context, rosterOffice } = this.#deps;
    const find = (roster: Roster): RosterMember | undefined =>
      roster.members.find(({ keyHash }) => memberIdOf(keyHash) === request.memberId);
    let changed = false;
    const roster = await rosterOffice.change((current) => {
      const member = find(current);
      if (!member) throw new OperaError('not-found', `no member has the id ${request.memberId}`);
      changed = member.state === 'valid';
      return changed ? { revoke: [member.keyHash] } : undefined;
    });
    const role = find(roster)?.role ?? 'client';
    await this.#noteRevoked(request.memberId, role, changed ? peer?.memberId : undefined);
    const { confirmed, unconfirmed } = await rosterOffice.spread();
    context.log.info('member-revoked', { memberId: request.memberId, was: role, unconfirmed });
    return {
      answer: { rosterNumber: roster.number, confirmed: [...confirmed], unconfirmed: [...unconfirmed] },
    };
  }

  /** The roster holds it already: what follows helps people and masters, and may fail. */
  async #noteRevoked(memberId: MemberId, role: Role, by: MemberId | undefined): Promise<void> {
    const { registry, context, directory, relay } = this.#deps;
    try {
      await registry.setMemberState(memberId, 'removed', 'revoked');
      directory.invalidate();
      void relay.tellMasters(memberId);
      if (by === undefined) return;
      const causeId = bytesToHex(context.random.bytes(16));
      const atMs = context.clock.nowMs();
      await registry.appendEvent({ atMs, kind: 'member-revoked', causeId, memberId, facts: { role, by } });
    } catch (error) {
      context.log.warn('revocation-not-registered', { memberId, ...errorFacts(error) });
    }
  }

  async #addRecovery(request: RequestOf<'recovery.add'>): Promise<Reply<'recovery.add'>> {
    const { directory, rosterOffice, keyOffice } = this.#deps;
    // A gateway that cannot box the authority's key must not list a kit that would not open the network.
    keyOffice.authority();
    const key = Buffer.from(request.agreementKey).toString('base64');
    const roster = await rosterOffice.change(({ settings }) =>
      settings.recoveryKeys.includes(key)
        ? undefined
        : { settings: { ...settings, recoveryKeys: [...settings.recoveryKeys, key] } },
    );
    await keyOffice.provideRecovery();
    await rosterOffice.settle();
    await keyOffice.handOut(await directory.dialable('node', 'gateway'));
    const { number, keyEpoch, settings } = roster;
    return { answer: { rosterNumber: number, keyEpoch, recoveryKeys: settings.recoveryKeys.length } };
  }
}
