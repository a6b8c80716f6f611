// Carries out what state.ts decides about layouts, as the leader of an epoch that is checked again before each order.
// Orders repeat until heartbeats show that they arrived, so a lost message delays and never loses.
import { isValidMember } from '../../identity/roster.ts';
import { isOperaError } from '../../errors/errors.ts';
import type { KeyHash, MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { encodeLayout, hashOfLayout } from '../../placement/layout.ts';
import { nodesOfFile } from '../../placement/movement.ts';
import { partitionCount } from '../../placement/partition.ts';
import { type LayoutPlan, planLayout } from '../../placement/plan.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { destinationOf } from '../peer-book.ts';
import type { HeldLayout, MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';
import type { Alarms } from './alarms.ts';
import { nodeViews, Shapes } from './node-views.ts';
import { dueActions, type LayoutAction, type LayoutsView, type NodeView, type Wanted, wantedLayout } from './state.ts';
import type { Timeline } from './timeline.ts';

/** An order whose effect no heartbeat shows is repeated after so long. */
const orderAgainMs = limits.heartbeatMs;
type PlanAction = Extract<LayoutAction, { kind: 'plan' }>;

export interface LayoutsOptions {
  readonly timeline: Timeline;
  readonly alarms: Alarms;
  /** True while too many nodes are gone for anything automatic. */
  readonly isMassFailure: () => boolean;
  /** Tests pass a broken one, to see that they notice. */
  readonly dueActions?: typeof dueActions;
}

export class Layouts {
  readonly #core: MasterCore;
  readonly #leadership: Leadership;
  readonly #options: LayoutsOptions;
  readonly #shapes = new Shapes();
  #waitingSinceMs: number | undefined;
  /** The table of addresses that each node was last told, and in which epoch. */
  readonly #told = new Map<KeyHash, string>();
  /** When each node was last sent each kind of order for the newest layout, on the monotonic clock. */
  readonly #sent = new Map<string, number>();
  /** Nodes that refused the layouts of this leader for good, as far as they did not take them since. */
  readonly #conflicts = new Set<MemberId>();
  /** Addresses of the newest layout's nodes when the public keys last followed them. */
  #placed: string | undefined;

  constructor(core: MasterCore, leadership: Leadership, options: LayoutsOptions) {
    this.#core = core;
    this.#leadership = leadership;
    this.#options = options;
  }

  /** One round of a leader; does nothing when this master does not lead. */
  async tick(): Promise<void> {
    const epoch = this.#leadership.epoch;
    if (epoch === undefined) {
      this.#waitingSinceMs = undefined;
      this.#conflicts.clear();
      return;
    }
    this.#core.forgetMembers();
    const { layouts } = await this.#core.layouts();
    const all = await this.#core.members();
    const members = all.filter((member) => this.#mayServe(member));
    const parsed = layouts.map(({ layout }) => layout);
    const nodes = nodeViews(this.#core, all, parsed);
    const view = this.#viewOf(parsed, nodes);
    await this.#tellBlocked(view.wanted);
    const decide = this.#options.dueActions ?? dueActions;
    for (const action of decide(view)) await this.#carryOut(action, layouts, members, nodes, epoch);
    await this.#tellConflicts(members);
    // A registry that lags behind the nodes must tell them nothing.
    if (view.safeMode) return;
    await this.#followAddresses(layouts, members, nodes, epoch);
    await this.#followPlacements(layouts.at(-1));
  }

  /** May be sent orders. */
  #mayServe(member: MemberRecord): boolean {
    const { roster } = this.#core.context.rosters;
    const valid = isValidMember(roster, member.keyHash, 'node');
    return valid && member.state !== 'removed' && member.addresses.length > 0;
  }

  #viewOf(layouts: LayoutsView['layouts'], nodes: readonly NodeView[]): LayoutsView & { readonly wanted?: Wanted } {
    const { copies, writeCopies } = this.#core.context.rosters.roster.settings;
    const nowMs = this.#core.context.clock.monotonicMs();
    const seen = {
      ...{ layouts, nodes, copies, writeCopies },
      reshaped: this.#shapes.isReshaped(layouts.at(-1), nodes),
      massFailure: this.#options.isMassFailure(),
      safeMode: this.#core.safety.mode === 'safe',
    };
    const wanted = wantedLayout(seen);
    if (!wanted || wanted.blocked) this.#waitingSinceMs = undefined;
    else this.#waitingSinceMs ??= nowMs;
    return { ...seen, waitingSinceMs: this.#waitingSinceMs, nowMs, ...(wanted ? { wanted } : {}) };
  }

  /** A layout that cannot be made for want of nodes waits for them, or for an operator's word. */
  async #tellBlocked(wanted: Wanted | undefined): Promise<void> {
    const short = wanted?.blocked === 'write-quorum' ? wanted.nodes.length : undefined;
    const text = short === undefined ? undefined : `${short} nodes are left, too few for a layout that writes safely`;
    await this.#options.alarms.set('write-quorum', text, short === undefined ? {} : { nodes: short });
  }

  async #carryOut(
    action: LayoutAction,
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    nodes: readonly NodeView[],
    epoch: bigint,
  ): Promise<void> {
    // The epoch is checked when the order runs, not only when it was decided.
    if (this.#leadership.epoch !== epoch) return;
    switch (action.kind) {
      case 'plan':
        return this.#plan(layouts, members, nodes, action, epoch);
      case 'announce':
        await this.#announce(layouts, members, this.#notSentLately('announce', layouts, action.to), epoch);
        return;
      case 'covered':
        return this.#tellCovered(layouts, members, this.#notSentLately('covered', layouts, action.to), epoch);
      case 'retire':
        return this.#retire(action, layouts, members, epoch);
    }
  }

  async #retire(
    { upTo, to }: Extract<LayoutAction, { kind: 'retire' }>,
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    epoch: bigint,
  ): Promise<void> {
    const { incarnation } = await this.#core.life();
    await this.#core.registry.retireLayouts(upTo, incarnation, epoch);
    this.#core.context.log.info('layout-retired', { upTo, epoch });
    const left = layouts.filter(({ layout }) => layout.number > upTo);
    await this.#tellComplete(left.at(-1), members);
    await this.#announce(left, members, to, epoch);
  }

  /** The end of what began with a death, a join or an order, under the cause it began with. */
  async #tellComplete(newest: HeldLayout | undefined, members: readonly MemberRecord[]): Promise<void> {
    if (!newest) return;
    const { timeline } = this.#options;
    const { number: layout, nodes } = newest.layout;
    await timeline.read();
    const { causeId, repairs } = timeline.causeOfLayout(layout) ?? { causeId: timeline.freshCause(), repairs: false };
    await timeline.append('layout-complete', causeId, undefined, { layout });
    if (repairs) await timeline.append('repair-complete', causeId, undefined, { layout });
    for (const { memberId, keyHash, state } of members) {
      if (state !== 'draining' || nodes.includes(keyHash)) continue;
      await timeline.append('safe-to-remove', causeId, memberId, { layout });
    }
  }

  async #plan(
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    nodes: readonly NodeView[],
    action: PlanAction,
    epoch: bigint,
  ): Promise<void> {
    const { context, registry } = this.#core;
    const before = layouts.at(-1);
    const { copies, writeCopies } = context.rosters.roster.settings;
    const placed = nodes.filter(({ keyHash }) => action.nodes.includes(keyHash));
    const settings = { copies, writeCopies, partitions: partitionCount, reason: action.reason };
    const table = planLayout(action.from, placed, settings);
    const { incarnation } = await this.#core.life();
    const number = (before?.layout.number ?? 0) + 1;
    const { signer } = context.identity();
    const bytes = encodeLayout(
      {
        copies: table.copies,
        writeCopies: table.writeCopies,
        nodes: table.nodes,
        owners: table.owners,
        networkId: context.networkId,
        number,
        leaderEpoch: epoch,
        incarnation,
        previousHash: before ? hashOfLayout(before.stored.layout.bytes) : new Uint8Array(32),
      },
      signer,
    );
    if (this.#leadership.epoch !== epoch) return;
    // The registry looks at the lease in the same step: a leader that slept since the line above appends nothing.
    const stored = { number, layout: { bytes, signerSpki: signer.spki } };
    const appended = await registry.appendLayout(stored, incarnation, epoch);
    if (!appended) return;
    this.#waitingSinceMs = undefined;
    await this.#tellMade(number, table, action, members, epoch);
    const { layouts: fresh } = await this.#core.layouts();
    await this.#announce(fresh, members, table.nodes, epoch);
  }

  async #tellMade(
    layout: number,
    { nodes, copies, moved }: LayoutPlan,
    { leaving, reason }: PlanAction,
    members: readonly MemberRecord[],
    epoch: bigint,
  ): Promise<void> {
    const { timeline } = this.#options;
    const facts = { layout, nodes: nodes.length, copies, moved, reason };
    this.#core.context.log.info('layout-made', { ...facts, epoch });
    await timeline.read();
    const lost = members.find(({ keyHash }) => leaving.includes(keyHash));
    await timeline.append('layout-made', timeline.causeOf(lost?.memberId), undefined, facts);
  }

  /** Orders repeat until a heartbeat shows their effect, and not more often than heartbeats come. */
  #notSentLately(kind: string, layouts: readonly HeldLayout[], to: readonly KeyHash[]): KeyHash[] {
    const number = layouts.at(-1)?.layout.number ?? 0;
    const nowMs = this.#core.context.clock.monotonicMs();
    for (const [key, sentMs] of this.#sent) if (nowMs - sentMs >= orderAgainMs) this.#sent.delete(key);
    const due = to.filter((node) => !this.#sent.has(`${kind} ${number} ${node}`));
    for (const node of due) this.#sent.set(`${kind} ${number} ${node}`, nowMs);
    return due;
  }

  /** Tells nodes all layouts; answers those that were reached. */
  async #announce(
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    to: readonly KeyHash[],
    epoch: bigint,
  ): Promise<readonly KeyHash[]> {
    const { context } = this.#core;
    if (layouts.length === 0 || to.length === 0) return [];
    const { incarnation } = await this.#core.life();
    const { retiredUpTo } = await this.#core.layouts();
    const view = await this.#core.view();
    const order = {
      epoch,
      instance: context.instance,
      incarnation,
      layouts: layouts.map(({ stored }) => ({ ...stored.layout })),
      retiredUpTo,
      peers: this.#core.nodesOf(view),
    };
    // Heartbeats acknowledge: the answer, which comes after the last write under an older layout, is not waited for.
    const options = { timeoutMs: limits.holdTimeoutMs };
    return this.#tell(members, to, async (destination, memberId) => {
      await context.transport.call(destination, 'layout.adopt', order, options);
      this.#conflicts.delete(memberId);
    });
  }

  async #tellCovered(
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    to: readonly KeyHash[],
    epoch: bigint,
  ): Promise<void> {
    const number = layouts.at(-1)?.layout.number ?? 0;
    const { transport, instance } = this.#core.context;
    await this.#tell(members, to, async (destination) => {
      const options = { timeoutMs: limits.probeTimeoutMs };
      await transport.call(destination, 'layout.covered', { epoch, instance, number }, options);
    });
  }

  async #tell(
    members: readonly MemberRecord[],
    to: readonly KeyHash[],
    send: (destination: ReturnType<typeof destinationOf>, memberId: MemberId) => Promise<void>,
  ): Promise<readonly KeyHash[]> {
    const reached: KeyHash[] = [];
    await Promise.all(
      members.map(async ({ keyHash, memberId, addresses }) => {
        const [address] = addresses;
        if (!to.includes(keyHash) || address === undefined) return;
        try {
          await send(destinationOf({ memberId, address }), memberId);
          reached.push(keyHash);
        } catch (error) {
          if (isOperaError(error, 'conflict')) this.#conflicts.add(memberId);
          this.#core.context.log.warn('order-undelivered', { node: memberId, ...errorFacts(error) });
        }
      }),
    );
    return reached;
  }

  /** Two layouts of one number: no order can mend that. Over when the node took ours or is a member no more. */
  async #tellConflicts(members: readonly MemberRecord[]): Promise<void> {
    const known = new Set(members.map(({ memberId }) => memberId));
    for (const memberId of this.#conflicts) if (!known.has(memberId)) this.#conflicts.delete(memberId);
    const [node] = this.#conflicts;
    const text = node && `${node} holds another layout of the same number and refuses this one`;
    await this.#options.alarms.set('layout-conflict', text, node ? { node } : {});
  }

  /** Nodes dial each other by the table that comes with layouts: a node that moved is made known with the same ones. */
  async #followAddresses(
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    nodes: readonly NodeView[],
    epoch: bigint,
  ): Promise<void> {
    const table = members.map(({ keyHash, addresses }) => `${keyHash} ${addresses[0] ?? ''}`).sort();
    const current = `${epoch} ${table.join(' ')}`;
    const behind = nodes.filter(({ keyHash, alive }) => alive && this.#told.get(keyHash) !== current);
    const to = this.#notSentLately(
      'addresses',
      layouts,
      behind.map(({ keyHash }) => keyHash),
    );
    if (to.length === 0 || layouts.length === 0 || this.#leadership.epoch !== epoch) return;
    const { layouts: fresh } = await this.#core.layouts();
    for (const node of await this.#announce(fresh, members, to, epoch)) this.#told.set(node, current);
  }

  async #addresses(): Promise<ReadonlyMap<KeyHash, string>> {
    const view = await this.#core.view();
    return new Map(this.#core.nodesOf(view).map(({ keyHash, address }) => [keyHash, address]));
  }

  /** The public keys follow the newest layout, and nodes that listen elsewhere now. */
  async #followPlacements(newest: HeldLayout | undefined): Promise<void> {
    if (!newest) return;
    const { registry } = this.#core;
    const addresses = await this.#addresses();
    const table = newest.layout.nodes.map((keyHash) => addresses.get(keyHash) ?? '').join(' ');
    const moved = this.#placed !== undefined && this.#placed !== table;
    if (moved || (await registry.placementsLayout()) < newest.layout.number) {
      await registry.rebuildPlacements(newest.layout.number, async () => {
        this.#core.forgetMembers();
        const present = await this.#addresses();
        return ({ version, chunkCount }) =>
          nodesOfFile(newest.layout, version, chunkCount).flatMap((keyHash) => present.get(keyHash) ?? []);
      });
    }
    this.#placed = table;
  }
}
