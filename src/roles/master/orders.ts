// What operators order about nodes: drain, resume, remove. Only the leader carries them out, since only it knows what
// is copied; another master says who leads.
// Invariant: nothing is done that would leave data with fewer copies than the network is set to, unless the operator
// says `force`; the refusal names the numbers. An order moves a state; layouts follow from it in state.ts.
import { OperaError } from '../../errors/errors.ts';
import { isValidMember } from '../../identity/roster.ts';
import { type KeyHash, memberIdOf } from '../../model/ids.ts';
import { owningNodes } from '../../placement/coverage.ts';
import type { Layout } from '../../placement/layout.ts';
import type { MemberRecord, MemberState } from '../../registry/registry.ts';
import type { AnswerOf, RequestOf } from '../../wire/routes.ts';
import type { MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';
import { nodeViews } from './node-views.ts';
import { incompleteOwners, type NodeView } from './state.ts';
import { formatCount } from '../../model/units.ts';
import type { Timeline } from './timeline.ts';

type Order = RequestOf<'node.drain'>;
type Answer = AnswerOf<'node.drain'>;

interface Sight {
  readonly member: MemberRecord;
  readonly views: readonly NodeView[];
  readonly answer: Answer;
}

const refused = (message: string, hint: string): OperaError => new OperaError('refused', message, { hint });

/** What the owners of the newest layout still have to copy, as they last said. */
const leftToCopy = (core: MasterCore, layouts: readonly Layout[]): { chunks: number; bytes: number } => {
  const newest = layouts.at(-1);
  const owners = new Set(newest ? owningNodes(newest).map(memberIdOf) : []);
  const left = { chunks: 0, bytes: 0 };
  for (const [memberId, { request }] of core.heartbeats) {
    if (!owners.has(memberId)) continue;
    left.chunks += request.repair.chunks;
    left.bytes += request.repair.bytes;
  }
  return left;
};

const isComplete = (layouts: readonly Layout[], views: readonly NodeView[]): boolean => {
  const newest = layouts.at(-1);
  return !newest || (layouts.length === 1 && incompleteOwners(newest, views).length === 0);
};

/** True when nothing acknowledged is lost with a node: no layout that counts names it, and all copies are made. */
export const isSafeToRemove = (
  core: MasterCore,
  keyHash: KeyHash,
  layouts: readonly Layout[],
  views: readonly NodeView[],
): boolean =>
  core.safety.mode === 'normal' &&
  !layouts.some(({ nodes }) => nodes.includes(keyHash)) &&
  isComplete(layouts, views) &&
  leftToCopy(core, layouts).chunks === 0;

export class NodeOrders {
  readonly #core: MasterCore;
  readonly #leadership: Leadership;
  readonly #timeline: Timeline;

  constructor(core: MasterCore, leadership: Leadership, timeline: Timeline) {
    this.#core = core;
    this.#leadership = leadership;
    this.#timeline = timeline;
  }

  /** A layout without the node is made; it serves until the others hold what it holds. */
  async drain({ node, force }: Order): Promise<Answer> {
    const epoch = this.#requireLead();
    const { member, views } = await this.#look(node);
    if (member.state === 'draining') return (await this.#look(node)).answer;
    if (member.state === 'removed' || member.state === 'out') {
      throw refused(`${member.memberId} is ${member.state}: nothing is left to drain`, 'remove it with `nodes rm`');
    }
    const { copies } = this.#core.context.rosters.roster.settings;
    const left = views.filter(({ standing, keyHash }) => standing === 'in' && keyHash !== member.keyHash).length;
    if (left < copies && !force) {
      throw refused(
        `${formatCount(left, 'node')} would be left for ${formatCount(copies, 'copy', 'copies')} of each chunk`,
        'join another node first, or say --force to live with fewer copies',
      );
    }
    await this.#move(member, 'draining', 'node-draining', epoch);
    return (await this.#look(node)).answer;
  }

  /** Takes a drain, a removal or a quarantine back. */
  async resume({ node }: Order): Promise<Answer> {
    const epoch = this.#requireLead();
    const { member, answer } = await this.#look(node);
    if (member.state === 'out') {
      throw refused(`${member.memberId} is out: it comes back by itself`, 'start it, and it joins the next layout');
    }
    if (member.state !== 'draining' && member.state !== 'quarantine' && member.state !== 'removed') return answer;
    await this.#move(member, 'up', 'node-resumed', epoch);
    return (await this.#look(node)).answer;
  }

  /** The node is no longer part of the network's storage; revoking its membership is another order. */
  async remove({ node, force }: Order): Promise<Answer> {
    const epoch = this.#requireLead();
    const { member, answer } = await this.#look(node);
    if (member.state === 'removed') return answer;
    if (!answer.safeToRemove && !force) {
      const left = answer.chunksLeft > 0 ? `${formatCount(answer.chunksLeft, 'chunk')} still to be copied` : undefined;
      const why = left ?? (answer.inLayout ? 'it still is in the layout' : 'the layout without it is not complete yet');
      throw refused(
        `${member.memberId} is ${member.state}: ${why}`,
        'drain it first and wait until it is safe to remove, or say --force to give up what only it holds',
      );
    }
    await this.#move(member, 'removed', 'node-removed', epoch);
    return (await this.#look(node)).answer;
  }

  /** The epoch to order in. What is safe to remove, nobody knows while the registry is compared with the nodes. */
  #requireLead(): bigint {
    const { epoch } = this.#leadership;
    if (epoch !== undefined && this.#core.safety.mode === 'safe') {
      throw new OperaError('stale-incarnation', 'the registry is compared with the nodes');
    }
    if (epoch !== undefined) return epoch;
    const leader = this.#leadership.lease;
    throw new OperaError('not-leader', undefined, {
      details: leader && !leader.released ? { leader: leader.address } : {},
    });
  }

  async #look(node: string): Promise<Sight> {
    const core = this.#core;
    core.forgetMembers();
    const members = await core.members();
    const { roster } = core.context.rosters;
    const member = members.find(
      ({ memberId, addresses, keyHash, role }) =>
        role === 'node' && isValidMember(roster, keyHash, 'node') && (memberId === node || addresses.includes(node)),
    );
    if (!member) throw new OperaError('not-found', 'no node has that id or address');
    const layouts = (await core.layouts()).layouts.map(({ layout }) => layout);
    const views = nodeViews(core, members, layouts);
    const { memberId, addresses, state } = member;
    const { chunks: chunksLeft, bytes: bytesLeft } = leftToCopy(core, layouts);
    const answer = {
      ...{ memberId, state, chunksLeft, bytesLeft },
      address: addresses[0] ?? '',
      layoutNumber: layouts.at(-1)?.number ?? 0,
      inLayout: layouts.some(({ nodes }) => nodes.includes(member.keyHash)),
      complete: isComplete(layouts, views),
      safeToRemove: isSafeToRemove(core, member.keyHash, layouts, views),
    };
    return { member, views, answer };
  }

  async #move({ memberId, state: from }: MemberRecord, state: MemberState, kind: string, epoch: bigint): Promise<void> {
    const { registry, context } = this.#core;
    if (!(await registry.setMemberState(memberId, state, 'operator', from, epoch))) {
      throw new OperaError('conflict', 'the state of the node changed meanwhile; look again');
    }
    context.log.info('member-state-set', { memberId, from, state, reason: 'operator' });
    this.#core.forgetMembers();
    await this.#timeline.append(kind, this.#timeline.freshCause(), memberId, { from });
  }
}
