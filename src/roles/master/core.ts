// What the parts of a master share. A master holds no keys and no names: everything durable is in the registry and on
// the nodes, and what it keeps in memory (parsed layouts, members for a second, heartbeats) it can lose at any time.
import { equalBytes } from '../../crypto/digest.ts';
import { OperaError } from '../../errors/errors.ts';
import { isValidMember } from '../../identity/roster.ts';
import type { KeyHash, MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { isDurable } from '../../placement/coverage.ts';
import { type Layout, verifyLayout } from '../../placement/layout.ts';
import type { MemberRecord, Registry, RegistryLife, StoredLayout } from '../../registry/registry.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';
import { destinationOf, type PeerBook } from '../peer-book.ts';

export interface HeldLayout {
  readonly layout: Layout;
  readonly stored: StoredLayout;
}

export interface Heartbeat {
  readonly request: RequestOf<'node.heartbeat'>;
  /** Highest write counter heard of the node before this one. */
  readonly writeCounterSeen: number;
  /** Wall-clock and monotonic time it came. */
  readonly atMs: number;
  readonly atMonotonicMs: number;
}

/** The unretired layouts and the members that a decision is made upon, read together. */
export interface View {
  /** Ascending; at least one, the last is the newest. */
  readonly layouts: readonly HeldLayout[];
  readonly newest: Layout;
  readonly retiredUpTo: number;
  readonly members: readonly MemberRecord[];
}

export class MasterCore {
  readonly context: RoleContext;
  readonly registry: Registry;
  readonly book: PeerBook;
  readonly heartbeats = new Map<MemberId, Heartbeat>();
  readonly #parsed = new Map<number, HeldLayout>();
  #members: { readonly records: readonly MemberRecord[]; readonly atMs: number } | undefined;

  /** The rule by which copies are counted; tests pass a broken one, to see that they notice. */
  readonly isDurable: typeof isDurable;

  constructor(context: RoleContext, registry: Registry, book: PeerBook, durable = isDurable) {
    this.context = context;
    this.registry = registry;
    this.book = book;
    this.isDurable = durable;
  }

  /** The registry's life; `registry-lost` or `wrong-network` when it is not this network's. */
  async life(): Promise<RegistryLife> {
    const life = await this.registry.readLife();
    if (life.networkId !== this.context.networkId) {
      throw new OperaError('registry-lost', 'the registry holds another network');
    }
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
    if (!newest) throw new OperaError('no-nodes', 'the network has no nodes yet');
    return { layouts, newest, retiredUpTo, members };
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
