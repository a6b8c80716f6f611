// The members as the registry lists them, seen through the roster, which alone says who is valid. The list is cached
// for a moment and outlives the registry: what was known goes on being answered while the database is out of reach.
// It changes nothing.
import { isOperaError } from '../../errors/errors.ts';
import { isValidMember } from '../../identity/roster.ts';
import { type KeyHash, memberIdOf } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Role } from '../../model/roles.ts';
import type { MemberRecord, Registry } from '../../registry/registry.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';

export type PeerEntry = AnswerOf<'member.announce'>['peers'][number];
export type MemberEntry = AnswerOf<'member.list'>['members'][number];

export class MemberDirectory {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #ownAddresses: () => readonly string[];
  #members: readonly MemberRecord[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(context: RoleContext, registry: Registry, ownAddresses: () => readonly string[]) {
    this.#context = context;
    this.#registry = registry;
    this.#ownAddresses = ownAddresses;
  }

  /** What was read before is not to be answered any more. */
  invalidate(): void {
    this.#readMs = Number.NEGATIVE_INFINITY;
  }

  /** At most limits.memberCacheMs old; as last known while the registry is out of reach. */
  async list(): Promise<readonly MemberRecord[]> {
    const nowMs = this.#context.clock.monotonicMs();
    if (nowMs - this.#readMs < limits.memberCacheMs) return this.#members;
    try {
      this.#members = await this.#registry.listMembers();
      this.#readMs = nowMs;
    } catch (error) {
      if (!isOperaError(error, 'registry-unavailable', 'registry-lost')) throw error;
    }
    return this.#members;
  }

  /** Valid members of these roles that can be dialled, this gateway left out. */
  async dialable(...roles: readonly Role[]): Promise<readonly MemberRecord[]> {
    const { rosters, memberId } = this.#context;
    return (await this.list()).filter(
      (member) =>
        member.addresses.length > 0 &&
        member.memberId !== memberId &&
        member.state !== 'removed' &&
        isValidMember(rosters.roster, member.keyHash, ...roles),
    );
  }

  /** Whom a member needs to find the rest: masters and gateways, this one first. */
  async peersFor(keyHash: KeyHash): Promise<PeerEntry[]> {
    const others = (await this.dialable('gateway', 'master')).filter((member) => member.keyHash !== keyHash);
    const { memberId, identity } = this.#context;
    const [address] = this.#ownAddresses();
    const own = { memberId, keyHash: identity().signer.keyHash, role: 'gateway', zone: '', state: 'up' } as const;
    return [
      ...(address === undefined ? [] : [{ ...own, address }]),
      ...others.flatMap(({ memberId: id, keyHash: hash, role, zone, state, addresses: [first] }) =>
        first === undefined ? [] : [{ memberId: id, keyHash: hash, role, address: first, zone, state }],
      ),
    ];
  }

  /** Every member the roster ever listed, with what the registry knows of it. */
  async describe(): Promise<MemberEntry[]> {
    const records = new Map((await this.list()).map((record) => [record.keyHash, record]));
    return this.#context.rosters.roster.members.map(({ keyHash, role, state }): MemberEntry => {
      const record = records.get(keyHash);
      const known = { memberId: memberIdOf(keyHash), keyHash, role, revoked: state === 'revoked' };
      if (!record) {
        const unknown = { addresses: [], zone: '', capacityBytes: 0, stateSinceMs: 0, joinedMs: 0 };
        const reason = 'not in the registry';
        return { ...known, ...unknown, state: 'down', stateReason: reason, certificateExpiresMs: 0 };
      }
      const { addresses, zone, capacityBytes, stateSinceMs, stateReason, joinedMs, certificateExpiresMs } = record;
      const facts = { zone, capacityBytes, stateSinceMs, stateReason, joinedMs, certificateExpiresMs };
      return { ...known, ...facts, addresses: [...addresses], state: record.state };
    });
  }
}
