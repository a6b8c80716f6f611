// What the parts of a master share. A master holds no keys and no names: everything durable is in the registry and on
// the nodes, and what it keeps in memory (parsed layouts, members for a second, heartbeats) it can lose at any time.
import { equalBytes } from '../../crypto/digest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { isValidMember } from '../../identity/roster.ts';
import type { KeyHash, MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { isDurable } from '../../placement/coverage.ts';
import { type Layout, verifyLayout } from '../../placement/layout.ts';
import type { MemberRecord, Registry, RegistryLife, StoredLayout } from '../../registry/registry.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import { destinationOf } from '../peer-book.ts';

export interface HeldLayout {
  readonly layout: Layout;
  readonly stored: StoredLayout;
}

export interface Heartbeat {
  readonly request: RequestOf<'node.heartbeat'>;
  /** Highest write counter heard of the node's store before it was opened the way it is open now. */
  readonly writeCounterSeen: number;
  /** Wall-clock and monotonic time it came. */
  readonly atMs: number;
  readonly atMonotonicMs: number;
}

/** A node counts as heard when a heartbeat came within this many of them. */
const aliveBeats = 5;

/** The unretired layouts and the members that a decision is made upon, read together. */
export interface View {
  /** Ascending; at least one, the last is the newest. */
  readonly layouts: readonly HeldLayout[];
  readonly newest: Layout;
  readonly retiredUpTo: number;
  readonly members: readonly MemberRecord[];
}

/** What nodes know of the order of things. */
export interface Known {
  readonly sequence: bigint;
  readonly incarnation: number;
  readonly epoch: bigint;
  readonly layoutNumber: number;
}

export class MasterCore {
  readonly context: RoleContext;
  readonly registry: Registry;
  readonly heartbeats = new Map<MemberId, Heartbeat>();
  /** In safe mode nothing is committed, deleted or laid out, and nobody is put out. */
  safety: { readonly mode: 'normal' | 'safe'; readonly reason: string } = { mode: 'normal', reason: '' };
  readonly #parsed = new Map<number, HeldLayout>();
  #members: { readonly records: readonly MemberRecord[]; readonly atMs: number } | undefined;

  #known: Known = { sequence: 0n, incarnation: 0, epoch: 0n, layoutNumber: 0 };
  #last: MasterCore['last'] = { view: undefined, life: undefined };
  /** When `last.view` was read, monotonic. */
  #viewedMs = Number.NEGATIVE_INFINITY;
  /** Why the registry is known to have gone back, until its incarnation was raised for it. */
  lag: string | undefined;

  /** Masters' clock minus the own one: nothing for who leads first, then what masters-clock.ts heard of the leader. */
  ticketOffsetMs = 0;

  /** The rule by which copies are counted; tests pass a broken one, to see that they notice. */
  readonly isDurable: typeof isDurable;

  constructor(context: RoleContext, registry: Registry, durable = isDurable) {
    this.context = context;
    this.registry = registry;
    this.isDurable = durable;
  }

  /** What tickets are dated by, ms since 1970. */
  get ticketMs(): number {
    return this.context.clock.nowMs() + this.ticketOffsetMs;
  }

  /** The highest that any node was ever heard to know: a registry that knows less went back. */
  get known(): Known {
    return this.#known;
  }

  learn(said: Partial<Known>): void {
    const before = this.#known;
    const higher = (a: bigint, b: bigint = 0n): bigint => (a > b ? a : b);
    this.#known = {
      sequence: higher(before.sequence, said.sequence),
      incarnation: Math.max(before.incarnation, said.incarnation ?? 0),
      epoch: higher(before.epoch, said.epoch),
      layoutNumber: Math.max(before.layoutNumber, said.layoutNumber ?? 0),
    };
  }

  /** What the registry last said, for the time when it cannot be asked; undefined before it was. */
  get last(): { readonly view: View | undefined; readonly life: RegistryLife | undefined } {
    return this.#last;
  }

  /** View and life as they are, or as they were last while the registry is away: enough for transfers under way. */
  async viewOrLast(): Promise<{ readonly view: View; readonly life: RegistryLife }> {
    try {
      const [view, life] = await Promise.all([this.view(), this.life()]);
      return { view, life };
    } catch (error) {
      const { view, life } = this.#last;
      const away = isOperaError(error, 'registry-unavailable', 'registry-lost', 'stale-incarnation');
      if (!away || !view || !life) throw error;
      // Nodes refuse tickets below the incarnation they know.
      return { view, life: { ...life, incarnation: Math.max(life.incarnation, this.#known.incarnation) } };
    }
  }

  /** The registry's life; `registry-lost` when there is none or it is another network's. */
  async life(): Promise<RegistryLife> {
    const life = await this.registry.readLife();
    if (life.networkId !== this.context.networkId) {
      throw new OperaError('registry-lost', 'the registry holds another network');
    }
    this.#last = { ...this.#last, life };
    return life;
  }

  /** Unretired layouts, ascending; parsed and verified once each. */
  async layouts(): Promise<{ readonly layouts: readonly HeldLayout[]; readonly retiredUpTo: number }> {
    const { unretired, retiredUpTo } = await this.registry.readLayouts();
    const layouts = unretired.map((stored): HeldLayout => {
      const known = this.#parsed.get(stored.number);
      if (known && equalBytes(known.stored.layout.bytes, stored.layout.bytes)) return known;
      const held = { stored, layout: verifyLayout(stored.layout) };
      if (held.layout.networkId !== this.context.networkId) throw new OperaError('wrong-network');
      this.#parsed.set(stored.number, held);
      return held;
    });
    for (const number of this.#parsed.keys()) if (number <= retiredUpTo) this.#parsed.delete(number);
    return { layouts, retiredUpTo };
  }

  /** Everything a plan or a commit needs; `no-nodes` before the first layout. */
  async view(): Promise<View> {
    const [{ layouts, retiredUpTo }, members] = await Promise.all([this.layouts(), this.members()]);
    const newest = layouts.at(-1)?.layout;
    if (!newest && this.safety.mode === 'safe') {
      throw new OperaError('stale-incarnation', 'the registry is compared with the nodes');
    }
    if (!newest) throw new OperaError('no-nodes', 'the network has no nodes yet');
    const view = { layouts, newest, retiredUpTo, members };
    // A registry that is being put back knows less than it did.
    if (this.safety.mode === 'normal') {
      this.#last = { ...this.#last, view };
      this.#viewedMs = this.context.clock.monotonicMs();
    }
    return view;
  }

  /** The view as it is, or as it was within the last second: for plans, which only say whom to ask first. */
  async recentView(): Promise<View> {
    const { view } = this.#last;
    const ageMs = this.context.clock.monotonicMs() - this.#viewedMs;
    return view && this.safety.mode === 'normal' && ageMs < limits.memberCacheMs ? view : this.view();
  }

  /** Members of the registry; kept for a second, since every request needs addresses. */
  async members(): Promise<readonly MemberRecord[]> {
    const now = this.context.clock.monotonicMs();
    if (this.#members && now - this.#members.atMs < limits.memberCacheMs) return this.#members.records;
    const records = await this.registry.listMembers();
    this.#members = { records, atMs: now };
    return records;
  }

  forgetMembers(): void {
    this.#members = undefined;
    this.#viewedMs = Number.NEGATIVE_INFINITY;
  }

  /** Nodes of the given layouts that can be dialled, with their states; revoked ones are left out. */
  nodesOf(view: View): AnswerOf<'upload.open'>['nodes'] {
    const { roster } = this.context.rosters;
    const named = new Set(view.layouts.flatMap(({ layout }) => layout.nodes));
    return view.members.flatMap((member) => {
      const [address] = member.addresses;
      if (!named.has(member.keyHash) || address === undefined) return [];
      if (!isValidMember(roster, member.keyHash, 'node')) return [];
      const { memberId, keyHash, role, zone, state } = member;
      return [{ memberId, keyHash, role, address, zone, state }];
    });
  }

  /** Where to dial a node; undefined when it is revoked, unknown or has no address. */
  destination(view: View, keyHash: KeyHash) {
    const node = this.nodesOf(view).find((entry) => entry.keyHash === keyHash);
    return node && destinationOf(node);
  }
}

/** True when the node was heard of within the last few heartbeats. */
export const isBeating = (core: MasterCore, memberId: MemberId): boolean => {
  const beat = core.heartbeats.get(memberId);
  return beat !== undefined && core.context.clock.monotonicMs() - beat.atMonotonicMs < aliveBeats * limits.heartbeatMs;
};
