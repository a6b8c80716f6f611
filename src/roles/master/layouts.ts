// Carries out what state.ts decides about layouts, as the leader of an epoch that is checked again before each order.
// Orders repeat until heartbeats show that they arrived, so a lost message delays and never loses.
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { encodeLayout, hashOfLayout } from '../../placement/layout.ts';
import { nodesOfFile } from '../../placement/movement.ts';
import { partitionCount } from '../../placement/partition.ts';
import { planLayout } from '../../placement/plan.ts';
import { isValidMember } from '../../identity/roster.ts';
import { bytesToHex } from '../../model/ids.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { destinationOf } from '../peer-book.ts';
import type { HeldLayout, MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';
import { dueActions, joiningNodes, type LayoutAction, type NodeView } from './state.ts';

/** An order whose effect no heartbeat shows is repeated after so long. */
const orderAgainMs = limits.heartbeatMs;
/** A node counts as alive when it was heard of within this many heartbeats. */
const aliveBeats = 5;
/** Weight of a node that named no capacity; all nodes of a laptop are alike. */
const defaultCapacityBytes = 2 ** 40;

export class Layouts {
  readonly #core: MasterCore;
  readonly #leadership: Leadership;
  #waitingSinceMs: number | undefined;
  /** The table of addresses that each node was last told, and in which epoch. */
  readonly #told = new Map<KeyHash, string>();
  /** When each node was last sent each kind of order for the newest layout, on the monotonic clock. */
  readonly #sent = new Map<string, number>();
  /** Addresses of the newest layout's nodes when the public keys were last looked at. */
  #placed: string | undefined;

  constructor(core: MasterCore, leadership: Leadership) {
    this.#core = core;
    this.#leadership = leadership;
  }

  /** One round of a leader; does nothing when this master does not lead. */
  async tick(): Promise<void> {
    const epoch = this.#leadership.epoch;
    if (epoch === undefined) {
      this.#waitingSinceMs = undefined;
      return;
    }
    await this.#followLife();
    this.#core.forgetMembers();
    const { layouts, retiredUpTo } = await this.#core.layouts();
    const members = (await this.#core.members()).filter((member) => this.#mayServe(member));
    const nowMs = this.#core.context.clock.monotonicMs();
    const nodes = members.map((member) => this.#nodeView(member, nowMs));
    const parsed = layouts.map(({ layout }) => layout);
    if (joiningNodes({ layouts: parsed, nodes }).length === 0) this.#waitingSinceMs = undefined;
    else this.#waitingSinceMs ??= nowMs;
    const view = { layouts: parsed, retiredUpTo, nodes, waitingSinceMs: this.#waitingSinceMs, nowMs };
    for (const action of dueActions(view)) await this.#carryOut(action, layouts, members, epoch);
    await this.#followAddresses(layouts, members, nodes, epoch);
    await this.#followPlacements(layouts.at(-1));
  }

  /** After a restart or replacement of the database its incarnation is raised before anything else is done. */
  async #followLife(): Promise<void> {
    const life = await this.#core.life();
    if (life.lifeId === life.raisedUnder) return;
    const known = Math.max(0, ...[...this.#core.heartbeats.values()].map(({ request }) => request.incarnation));
    const raised = await this.#core.registry.raiseIncarnation(life.incarnation, known + 1);
    if (!raised) return;
    this.#core.context.log.warn('incarnation-raised', { incarnation: raised.incarnation });
    await this.#core.registry.settle(raised.incarnation, raised.sequence);
  }

  #mayServe(member: MemberRecord): boolean {
    const { roster } = this.#core.context.rosters;
    const valid = isValidMember(roster, member.keyHash, 'node');
    return valid && member.state !== 'removed' && member.addresses.length > 0;
  }

  #nodeView(member: MemberRecord, nowMs: number): NodeView {
    const beat = this.#core.heartbeats.get(member.memberId);
    return {
      keyHash: member.keyHash,
      layoutNumber: beat?.request.layoutNumber ?? 0,
      completeLayout: beat?.request.completeLayout ?? 0,
      alive: beat !== undefined && nowMs - beat.atMonotonicMs < aliveBeats * limits.heartbeatMs,
      out: member.state === 'out' || member.state === 'draining',
    };
  }

  async #carryOut(
    action: LayoutAction,
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    epoch: bigint,
  ): Promise<void> {
    // The epoch is checked when the order runs, not only when it was decided.
    if (this.#leadership.epoch !== epoch) return;
    switch (action.kind) {
      case 'plan':
        return this.#plan(layouts, members, action.joining, epoch);
      case 'announce':
        await this.#announce(layouts, members, this.#notSentLately('announce', layouts, action.to), epoch);
        return;
      case 'covered':
        return this.#tellCovered(layouts, members, this.#notSentLately('covered', layouts, action.to), epoch);
      case 'retire': {
        const { incarnation } = await this.#core.life();
        await this.#core.registry.retireLayouts(action.upTo, incarnation);
        this.#core.context.log.info('layout-retired', { upTo: action.upTo });
        await this.#event('layout-retired', { upTo: action.upTo });
        const left = layouts.filter(({ layout }) => layout.number > action.upTo);
        await this.#announce(left, members, action.to, epoch);
        return;
      }
    }
  }

  async #plan(
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    joining: readonly KeyHash[],
    epoch: bigint,
  ): Promise<void> {
    const { context, registry } = this.#core;
    const before = layouts.at(-1);
    const { settings } = context.rosters.roster;
    const wanted = new Set([...(before?.layout.nodes ?? []), ...joining]);
    const placed = members
      .filter(({ keyHash }) => wanted.has(keyHash))
      .map(({ keyHash, capacityBytes, zone }) => ({ keyHash, weight: capacityBytes || defaultCapacityBytes, zone }));
    const { copies, writeCopies } = settings;
    const table = planLayout(before?.layout, placed, {
      copies,
      writeCopies,
      partitions: partitionCount,
      reason: 'join',
    });
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
    const appended = await registry.appendLayout({ number, layout: { bytes, signerSpki: signer.spki } }, incarnation);
    if (!appended) return;
    this.#waitingSinceMs = undefined;
    const facts = { layout: number, nodes: table.nodes.length, copies: table.copies, moved: table.moved };
    context.log.info('layout-made', facts);
    await this.#event('layout-made', facts);
    const { layouts: fresh } = await this.#core.layouts();
    await this.#announce(fresh, members, table.nodes, epoch);
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
      incarnation,
      layouts: layouts.map(({ stored }) => ({ ...stored.layout })),
      retiredUpTo,
      peers: this.#core.nodesOf(view),
    };
    // Heartbeats acknowledge: the answer, which comes after the last write under an older layout, is not waited for.
    const options = { timeoutMs: limits.holdTimeoutMs };
    return this.#tell(members, to, async (destination) => {
      await context.transport.call(destination, 'layout.adopt', order, options);
    });
  }

  async #tellCovered(
    layouts: readonly HeldLayout[],
    members: readonly MemberRecord[],
    to: readonly KeyHash[],
    epoch: bigint,
  ): Promise<void> {
    const number = layouts.at(-1)?.layout.number ?? 0;
    await this.#tell(members, to, async (destination) => {
      const options = { timeoutMs: limits.probeTimeoutMs };
      await this.#core.context.transport.call(destination, 'layout.covered', { epoch, number }, options);
    });
  }

  async #tell(
    members: readonly MemberRecord[],
    to: readonly KeyHash[],
    send: (destination: ReturnType<typeof destinationOf>) => Promise<void>,
  ): Promise<readonly KeyHash[]> {
    const reached: KeyHash[] = [];
    await Promise.all(
      members.map(async ({ keyHash, memberId, addresses }) => {
        const [address] = addresses;
        if (!to.includes(keyHash) || address === undefined) return;
        try {
          await send(destinationOf({ memberId, address }));
          reached.push(keyHash);
        } catch (error) {
          this.#core.context.log.warn('order-undelivered', { node: memberId, ...errorFacts(error) });
        }
      }),
    );
    return reached;
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

  /** The public keys follow the newest layout, and nodes that listen elsewhere now. */
  async #followPlacements(newest: HeldLayout | undefined): Promise<void> {
    if (!newest) return;
    const { registry } = this.#core;
    const view = await this.#core.view();
    const addresses = new Map(this.#core.nodesOf(view).map(({ keyHash, address }) => [keyHash, address]));
    const table = newest.layout.nodes.map((keyHash) => addresses.get(keyHash) ?? '').join(' ');
    const moved = this.#placed !== undefined && this.#placed !== table;
    this.#placed = table;
    if (!moved && (await registry.placementsLayout()) >= newest.layout.number) return;
    await registry.rebuildPlacements(newest.layout.number, ({ version, chunkCount }) =>
      nodesOfFile(newest.layout, version, chunkCount).flatMap((keyHash) => addresses.get(keyHash) ?? []),
    );
  }

  async #event(kind: string, facts: Readonly<Record<string, number>>): Promise<void> {
    const { context, registry } = this.#core;
    const causeId = bytesToHex(context.random.bytes(16));
    await registry.appendEvent({ atMs: context.clock.nowMs(), kind, causeId, memberId: undefined, facts });
  }
}
