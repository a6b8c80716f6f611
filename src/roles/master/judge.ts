// The leader's eyes and hands for verdicts.ts: who is asked, and what is written. Every write is conditional on the
// state that was judged, and the epoch is checked again before it.
// A sentinel's word in the registry is only a hint: before a death has consequences the leader asks the sentinels
// themselves, and the node.
import { isValidMember } from '../../identity/roster.ts';
import type { KeyHash, MemberId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { Timing } from '../../model/timing.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { destinationOf } from '../peer-book.ts';
import { majorityOf, probe } from '../probe.ts';
import type { Alarms } from './alarms.ts';
import { isBeating, type MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';
import type { Timeline } from './timeline.ts';
import { type Evidence, noVerdicts, releaseMsOf, stepVerdicts, type Verdict, type VerdictState } from './verdicts.ts';

export interface JudgeOptions {
  readonly timing: Timing;
  readonly timeline: Timeline;
  readonly alarms: Alarms;
  /** Tests pass a broken one, to see that they notice. */
  readonly stepVerdicts?: typeof stepVerdicts;
}

type Opinions = AnswerOf<'sentinel.opinion'>['opinions'];

export class Judge {
  readonly #core: MasterCore;
  readonly #leadership: Leadership;
  readonly #timeline: Timeline;
  readonly #alarms: Alarms;
  readonly #timing: Timing;
  readonly #step: typeof stepVerdicts;
  #state: VerdictState = noVerdicts;
  #incarnation = 0;

  constructor(core: MasterCore, leadership: Leadership, options: JudgeOptions) {
    this.#core = core;
    this.#leadership = leadership;
    this.#timeline = options.timeline;
    this.#alarms = options.alarms;
    this.#timing = options.timing;
    this.#step = options.stepVerdicts ?? stepVerdicts;
  }

  get state(): VerdictState {
    return this.#state;
  }

  /** When a quarantine ends if the node stays up, on the monotonic clock; undefined when there is no telling. */
  releaseMs(memberId: MemberId): number | undefined {
    const { sentenced, quarantines } = this.#timeline.flapsOf(memberId);
    return sentenced ? releaseMsOf(this.#state, this.#timing, memberId, quarantines) : undefined;
  }

  /** One round of a leader; a master that does not lead forgets what it counted. */
  async tick(): Promise<void> {
    const epoch = this.#leadership.epoch;
    if (epoch === undefined) {
      this.#state = noVerdicts;
      this.#alarms.forget();
      return;
    }
    const { incarnation } = await this.#core.life();
    if (incarnation !== this.#incarnation) this.#timeline.forget();
    this.#incarnation = incarnation;
    await this.#timeline.read();
    const evidence = await this.#gather();
    const now = this.#core.context.clock.monotonicMs();
    const { state, verdicts } = this.#step(
      this.#state,
      evidence,
      this.#timing,
      this.#core.safety.mode === 'normal',
      now,
    );
    if (this.#leadership.epoch !== epoch) return;
    this.#state = state;
    await this.#tell(state);
    for (const verdict of verdicts) {
      if (this.#leadership.epoch !== epoch) return;
      await this.#carryOut(verdict, epoch);
    }
  }

  async #gather(): Promise<Evidence[]> {
    const core = this.#core;
    const { roster } = core.context.rosters;
    core.forgetMembers();
    const [members, { layouts }] = await Promise.all([core.members(), core.layouts()]);
    const placed = new Set<KeyHash>(layouts.flatMap(({ layout }) => layout.nodes));
    const nodes = members.filter(({ keyHash, state }) => isValidMember(roster, keyHash, 'node') && state !== 'removed');
    const doubtful = nodes.filter(({ state }) => state === 'down' || state === 'out' || state === 'quarantine');
    const pings = new Map<MemberId, Evidence['ping']>();
    await Promise.all(doubtful.map(async (node) => pings.set(node.memberId, await this.#ping(node))));
    const silent = doubtful.filter(({ memberId, state }) => state !== 'out' && pings.get(memberId) !== 'answered');
    const said = await this.#ask(members, silent);
    return nodes.map(({ memberId, keyHash, state }) => ({
      ...{ memberId, state, ping: pings.get(memberId), sentinels: said.get(memberId) },
      alive: isBeating(core, memberId),
      placed: placed.has(keyHash),
      ...this.#timeline.flapsOf(memberId),
    }));
  }

  async #ping({ memberId, addresses: [address = ''] }: MemberRecord): Promise<Evidence['ping']> {
    if (address === '') return 'silent';
    const failure = await probe(this.#core.context, memberId, address, limits.probeTimeoutMs);
    if (failure === undefined) return 'answered';
    return failure === 'refused' ? 'refused' : 'silent';
  }

  /** What a majority of the sentinels in the roster says of these nodes; a network without any has nobody to ask. */
  async #ask(
    members: readonly MemberRecord[],
    nodes: readonly MemberRecord[],
  ): Promise<ReadonlyMap<MemberId, 'down' | 'refused'>> {
    const said = new Map<MemberId, 'down' | 'refused'>();
    if (nodes.length === 0) return said;
    const { roster } = this.#core.context.rosters;
    const listed = roster.members.filter(({ role, state }) => role === 'sentinel' && state === 'valid').length;
    const sentinels = members.filter(({ keyHash }) => isValidMember(roster, keyHash, 'sentinel'));
    const memberIds = nodes.slice(0, 1_000).map(({ memberId }) => memberId);
    const answers = await Promise.all(sentinels.map((sentinel) => this.#opinionsOf(sentinel, memberIds)));
    const needed = listed === 0 ? 0 : majorityOf(listed);
    for (const memberId of memberIds) {
      const down = answers.flatMap((opinions) =>
        opinions.filter((opinion) => opinion.memberId === memberId && opinion.state === 'down'),
      );
      if (down.length < needed) continue;
      said.set(memberId, down.every(({ failure }) => failure === 'refused') ? 'refused' : 'down');
    }
    return said;
  }

  async #opinionsOf(
    { memberId, addresses: [address = ''] }: MemberRecord,
    memberIds: readonly MemberId[],
  ): Promise<Opinions> {
    const { transport, stopping, log } = this.#core.context;
    try {
      const options = { timeoutMs: limits.opinionTimeoutMs, signal: stopping };
      const to = destinationOf({ memberId, address });
      return (await transport.call(to, 'sentinel.opinion', { memberIds: [...memberIds] }, options)).answer.opinions;
    } catch (error) {
      log.debug('opinion-unanswered', { sentinel: memberId, ...errorFacts(error) });
      return [];
    }
  }

  async #carryOut({ memberId, from, state, reason }: Verdict, epoch: bigint): Promise<void> {
    const { registry, context } = this.#core;
    const { sentenced } = this.#timeline.flapsOf(memberId);
    if (!(await registry.setMemberState(memberId, state, reason, from, epoch))) return;
    this.#core.forgetMembers();
    context.log.warn('member-state-set', { memberId, from, state, reason });
    const kind = {
      out: 'member-out',
      up: from === 'quarantine' ? 'member-released' : 'member-up',
      quarantine: sentenced ? 'member-back' : 'member-quarantined',
    }[state];
    await this.#timeline.append(kind, this.#timeline.causeOf(memberId), memberId, { reason });
  }

  async #tell({ massFailure, restless }: VerdictState): Promise<void> {
    const gone =
      massFailure && `${massFailure.gone} of ${massFailure.nodes} nodes are gone: copies are moved by order only`;
    await this.#alarms.set('mass-failure', gone, massFailure ? { ...massFailure } : {});
    const flapping = restless > 0 ? `${restless} more nodes go and come: it is the network that flaps` : undefined;
    await this.#alarms.set('flapping', flapping, { nodes: restless });
  }
}
