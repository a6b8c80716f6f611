// The part of the registry in memory that is not about names: life, rosters, members, keys, tokens, leases, layouts.
// Each method runs to its end without an await, which makes it atomic.
// It does not know names, uploads or events; memory.ts adds them.
import { OperaError } from '../errors/errors.ts';
import type { KeyHash, MemberId, NetworkId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { Clock } from '../runtime/clock.ts';
import * as check from './_check.ts';
import { movesNode } from './_decide.ts';
import type { MemoryRegistryStore } from './memory-store.ts';
import type { StoredKeyBox } from './epoch-records.ts';
import type * as contract from './registry.ts';
import type { Lease, LeaseHolder, LeaseSeen, MemberRecord } from './registry.ts';
import type { LostNetwork } from './restore.ts';
import type { FirstRoster, RosterSwap } from './roster-swap.ts';
import type { StoredToken, TakeTokenOutcome } from './tokens.ts';

export class MemoryMembers {
  protected readonly store: MemoryRegistryStore;
  protected readonly clock: Clock;
  #closed = false;

  constructor(store: MemoryRegistryStore, clock: Clock) {
    this.store = store;
    this.clock = clock;
  }

  #reach(): MemoryRegistryStore {
    if (this.#closed) throw new OperaError('not-ready', 'the registry was closed');
    if (this.store.unavailable) throw new OperaError('registry-unavailable');
    return this.store;
  }

  protected open(): MemoryRegistryStore {
    const store = this.#reach();
    if (store.networkId === undefined) throw new OperaError('registry-lost');
    return store;
  }

  /** The store, when its life is the one its incarnation began under. */
  protected living(incarnation?: number): MemoryRegistryStore {
    const store = this.open();
    const lives = store.lifeId === store.raisedUnder;
    if (!lives || (incarnation ?? store.incarnation) !== store.incarnation) throw new OperaError('stale-incarnation');
    return store;
  }

  /** As living(), and also between raiseIncarnation and settle. */
  protected begun(incarnation: number): MemoryRegistryStore {
    const store = this.open();
    const begun = store.raisedUnder === store.lifeId || store.raisedUnder === check.unsettled(store.lifeId);
    if (!begun || incarnation !== store.incarnation) throw new OperaError('stale-incarnation');
    return store;
  }

  async createNetwork(networkId: NetworkId, first: FirstRoster, again?: LostNetwork): Promise<contract.RegistryLife> {
    const store = this.#reach();
    if (store.networkId !== undefined) throw new OperaError('exists', 'the registry holds a network already');
    store.clear();
    store.networkId = networkId;
    store.incarnation = again?.incarnation ?? 1;
    store.raisedUnder = again ? check.unsettled(store.lifeId) : store.lifeId;
    this.#setRoster({ ...first, keep: true });
    return this.readLife();
  }

  async readLife(): Promise<contract.RegistryLife> {
    const { networkId, incarnation, lifeId, raisedUnder, sequence, keyEpoch } = this.open();
    if (networkId === undefined) throw new OperaError('registry-lost');
    return { networkId, incarnation, lifeId, sequence, keyEpoch, ...check.raisedOf(raisedUnder, lifeId) };
  }

  async raiseIncarnation(expect: number, atLeast = 0): Promise<contract.RegistryLife | undefined> {
    const store = this.open();
    if (store.incarnation !== expect) return undefined;
    store.incarnation = Math.max(expect + 1, atLeast);
    store.raisedUnder = check.unsettled(store.lifeId);
    return this.readLife();
  }

  /** True when `epoch` holds the lease, or nobody asks. */
  protected leads(epoch: bigint | undefined): boolean {
    const { lease } = this.open();
    return epoch === undefined || (lease?.epoch === epoch && !lease.released);
  }

  protected requireLead(epoch: bigint | undefined): void {
    if (!this.leads(epoch)) throw new OperaError('stale-leader', 'another leader holds the lease');
  }

  async settle(incarnation: number, sequence: bigint, epoch?: bigint): Promise<boolean> {
    check.checkSequence(sequence);
    const store = this.open();
    if (!this.leads(epoch)) return false;
    const begun = store.raisedUnder === store.lifeId || store.raisedUnder === check.unsettled(store.lifeId);
    if (!begun || store.incarnation !== incarnation) return false;
    if (sequence > store.sequence) store.sequence = sequence;
    store.raisedUnder = store.lifeId;
    return true;
  }

  async forgetNetwork(incarnation: number): Promise<boolean> {
    const store = this.open();
    if (store.incarnation !== incarnation) return false;
    store.clear();
    return true;
  }

  #setRoster(swap: FirstRoster): void {
    const { number, hash, roster: record } = structuredClone(swap);
    this.store.roster = { number, hash, record };
    this.store.keyEpoch = swap.keyEpoch;
    if (swap.keep) this.store.keptRosters.set(number, record);
  }

  async readRoster(): Promise<SignedRecord | undefined> {
    return structuredClone(this.open().roster?.record);
  }

  async swapRoster(swap: RosterSwap): Promise<boolean> {
    check.checkRosterSwap(swap);
    const { roster } = this.open();
    if (roster?.number !== swap.expectNumber || !Buffer.from(roster.hash).equals(swap.expectHash)) return false;
    this.#setRoster(swap);
    if (swap.keys) {
      for (const { recipient, kind, epoch } of swap.keys.boxes) {
        for (const [key, box] of this.store.boxes) {
          if (box.recipient === recipient && box.kind === kind && box.epoch < epoch) this.store.boxes.delete(key);
        }
      }
      this.#setBoxes(swap.keys.boxes);
      this.store.chain.set(swap.keys.chain.epoch, swap.keys.chain.record.slice());
    }
    return true;
  }

  async listKeptRosters(after: bigint): Promise<readonly SignedRecord[]> {
    const kept = [...this.open().keptRosters].filter(([number]) => number > after);
    return structuredClone(kept.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record));
  }

  async putMember(member: MemberRecord, from?: contract.MemberState | 'none'): Promise<boolean> {
    check.checkNodes(member.addresses);
    const { members } = this.open();
    const before = members.get(member.memberId);
    if (from !== undefined && (before?.state ?? 'none') !== from) return false;
    if (movesNode(before, member)) this.store.endRebuild();
    members.set(member.memberId, structuredClone(member));
    return true;
  }

  async getMember(memberId: MemberId): Promise<MemberRecord | undefined> {
    return structuredClone(this.open().members.get(memberId));
  }

  async listMembers(): Promise<readonly MemberRecord[]> {
    return structuredClone([...this.open().members.values()]);
  }

  async setMemberState(
    memberId: MemberId,
    state: contract.MemberState,
    reason: string,
    from?: contract.MemberState,
    epoch?: bigint,
  ): Promise<boolean> {
    const { members } = this.open();
    const member = members.get(memberId);
    if (!member || !this.leads(epoch) || (from !== undefined && member.state !== from)) return false;
    const stateSinceMs = member.state === state ? member.stateSinceMs : this.clock.nowMs();
    members.set(memberId, { ...member, state, stateSinceMs, stateReason: reason });
    return true;
  }

  async putKeyBoxes(boxes: readonly StoredKeyBox[]): Promise<void> {
    this.open();
    this.#setBoxes(boxes);
  }

  #setBoxes(boxes: readonly StoredKeyBox[]): void {
    for (const box of boxes) this.store.boxes.set(`${box.recipient}:${box.kind}:${box.epoch}`, structuredClone(box));
  }

  async listKeyBoxes(recipient?: KeyHash): Promise<readonly StoredKeyBox[]> {
    const boxes = [...this.open().boxes.values()];
    return structuredClone(boxes.filter((box) => recipient === undefined || box.recipient === recipient));
  }

  async putKeyChain(epoch: number, record: Uint8Array): Promise<void> {
    const { chain } = this.open();
    if (!chain.has(epoch)) chain.set(epoch, record.slice());
  }

  async listKeyChain(): Promise<ReadonlyMap<number, Uint8Array>> {
    return structuredClone(this.open().chain);
  }

  async putToken(token: Omit<StoredToken, 'usedBy'>): Promise<void> {
    const { tokens } = this.open();
    if (!tokens.has(token.tokenId)) tokens.set(token.tokenId, { ...structuredClone(token), usedBy: [] });
  }

  async getToken(tokenId: string): Promise<StoredToken | undefined> {
    return structuredClone(this.open().tokens.get(tokenId));
  }

  async listTokens(): Promise<readonly StoredToken[]> {
    return structuredClone([...this.open().tokens.values()]);
  }

  async removeToken(tokenId: string): Promise<boolean> {
    return this.open().tokens.delete(tokenId);
  }

  async takeToken(tokenId: string, key: KeyHash): Promise<TakeTokenOutcome> {
    const { tokens } = this.open();
    const token = tokens.get(tokenId);
    if (!token) return 'unknown';
    if (token.usedBy.includes(key)) return 'repeated';
    if (token.usedBy.length >= token.usesMax) return 'used';
    tokens.set(tokenId, { ...token, usedBy: [...token.usedBy, key] });
    return 'taken';
  }

  async readLease(): Promise<Lease | undefined> {
    return this.open().lease;
  }

  async takeLease(holder: LeaseHolder, seen: LeaseSeen | undefined, above = 0n): Promise<Lease | undefined> {
    const store = this.open();
    const { lease } = store;
    if (lease && !lease.released && (lease.epoch !== seen?.epoch || lease.renewal !== seen.renewal)) return undefined;
    const { memberId, instance, address } = holder;
    store.leaseEpoch = (above > store.leaseEpoch ? above : store.leaseEpoch) + 1n;
    const epoch = store.leaseEpoch;
    store.lease = { epoch, renewal: 1n, holder: memberId, instance, address, released: false };
    return store.lease;
  }

  async renewLease(epoch: bigint, instance: string): Promise<Lease | undefined> {
    const store = this.open();
    const { lease } = store;
    if (lease?.epoch !== epoch || lease.instance !== instance || lease.released) return undefined;
    store.lease = { ...lease, renewal: lease.renewal + 1n };
    return store.lease;
  }

  async releaseLease(epoch: bigint, instance: string): Promise<void> {
    const store = this.open();
    const { lease } = store;
    if (lease?.epoch === epoch && lease.instance === instance) store.lease = { ...lease, released: true };
  }

  protected newestLayout(): number {
    return Math.max(0, ...this.store.layouts.keys());
  }

  async readLayouts(): Promise<contract.LayoutState> {
    const { layouts, retiredUpTo } = this.open();
    const unretired = [...layouts.values()].sort((a, b) => a.number - b.number);
    return { unretired: structuredClone(unretired), retiredUpTo };
  }

  async appendLayout(layout: contract.StoredLayout, incarnation: number, epoch?: bigint): Promise<boolean> {
    const store = this.open();
    const lives = store.lifeId === store.raisedUnder && store.incarnation === incarnation;
    if (!lives || !this.leads(epoch) || layout.number !== this.newestLayout() + 1) return false;
    store.layouts.set(layout.number, structuredClone(layout));
    return true;
  }

  async retireLayouts(upTo: number, incarnation: number, epoch?: bigint): Promise<void> {
    this.living(incarnation);
    this.requireLead(epoch);
    this.retire(upTo);
  }

  protected retire(upTo: number): void {
    const { store } = this;
    store.retiredUpTo = Math.max(store.retiredUpTo, Math.min(upTo, this.newestLayout() - 1));
    for (const number of store.layouts.keys()) if (number <= store.retiredUpTo) store.layouts.delete(number);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
