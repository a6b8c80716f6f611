// The state of the network as this master sees it: registry, layouts, members, and what nodes last said.
import { isValidMember } from '../../identity/roster.ts';
import { memberIdOf } from '../../model/ids.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { Layout } from '../../placement/layout.ts';
import type { MemberRecord } from '../../registry/registry.ts';
import type { Alarms } from './alarms.ts';
import type { Heartbeat, MasterCore } from './core.ts';
import type { Judge } from './judge.ts';
import type { Leadership } from './leadership.ts';
import { nodeViews } from './node-views.ts';
import { isSafeToRemove } from './orders.ts';
import type { Rebuilder } from './rebuild.ts';
import type { ServedHours } from './served-hours.ts';
import { countUnderReplicated, wantedLayout } from './state.ts';

/** Pending changes are counted up to this many; more is "many" to a reader. */
const pendingCounted = 1_000;

export interface StatusParts {
  readonly core: MasterCore;
  readonly leadership: Leadership;
  readonly alarms: Alarms;
  readonly judge: Judge;
  readonly served: ServedHours;
  readonly rebuilder: Rebuilder;
}

type Status = AnswerOf<'network.status'>;

const owedOf = (owed: NonNullable<Heartbeat['request']['owed']>) =>
  owed.map(({ node, chunks }) => ({ memberId: memberIdOf(node), chunks }));

const nodesOf = ({ core, judge }: StatusParts): Status['nodes'] => {
  const { clock } = core.context;
  return [...core.heartbeats].map(([memberId, { request, atMs }]) => {
    const releaseMs = judge.releaseMs(memberId);
    return {
      memberId,
      heardMs: atMs,
      chunks: request.chunks,
      manifests: request.manifests,
      chunkBytes: request.chunkBytes,
      ...(request.freeBytes === undefined ? {} : { freeBytes: request.freeBytes }),
      readOnly: request.readOnly,
      layoutNumber: request.layoutNumber,
      completeLayout: request.completeLayout,
      sound: request.sound,
      repair: request.repair,
      ...(request.wraps ? { wraps: request.wraps } : {}),
      ...(request.indexTrouble === undefined ? {} : { indexTrouble: request.indexTrouble }),
      ...(request.owed ? { owed: owedOf(request.owed) } : {}),
      ...(releaseMs === undefined
        ? {}
        : { quarantineUntilMs: Math.round(clock.nowMs() + releaseMs - clock.monotonicMs()) }),
    };
  });
};

/** What is planned, and how much of the newest layout is not held by all who should. */
const progressOf = (
  { core, judge }: StatusParts,
  layouts: readonly Layout[],
  members: readonly MemberRecord[],
): Pick<Status, 'underReplicated' | 'wanted' | 'safeToRemove'> => {
  const nodes = nodeViews(core, members, layouts);
  const newest = layouts.at(-1);
  const { copies, writeCopies } = core.context.rosters.roster.settings;
  const massFailure = judge.state.massFailure !== undefined;
  const safeMode = core.safety.mode === 'safe';
  const wanted = wantedLayout({ layouts, nodes, copies, writeCopies, reshaped: false, massFailure, safeMode });
  return {
    underReplicated: newest ? countUnderReplicated(newest, nodes) : 0,
    ...(wanted
      ? {
          wanted: {
            joining: wanted.joining.length,
            leaving: wanted.leaving.length,
            ...(wanted.blocked ? { blocked: wanted.blocked } : {}),
          },
        }
      : {}),
    safeToRemove: members.flatMap((member) => {
      const leaves = member.role === 'node' && (member.state === 'draining' || member.state === 'out');
      return leaves && isSafeToRemove(core, member.keyHash, layouts, nodes) ? [member.memberId] : [];
    }),
  };
};

export const networkStatus = async (parts: StatusParts): Promise<Status> => {
  const { core, leadership, alarms, served } = parts;
  const { registry, context } = core;
  const [life, { layouts, retiredUpTo }, members, files, pending, placementsLayout] = await Promise.all([
    core.life(),
    core.layouts(),
    registry.listMembers(),
    registry.countNames(),
    registry.listPending(pendingCounted),
    registry.placementsLayout(),
  ]);
  const { roster } = context.rosters;
  const newest = layouts.at(-1)?.layout;
  const { lease } = leadership;
  const leads = lease && !lease.released;
  const reason = core.safety.mode === 'safe' ? core.safety.reason : leads ? undefined : leadership.trouble;
  return {
    networkId: context.networkId,
    incarnation: life.incarnation,
    rosterNumber: roster.number,
    keyEpoch: life.keyEpoch,
    copies: roster.settings.copies,
    writeCopies: roster.settings.writeCopies,
    indexMode: roster.settings.indexMode,
    layoutNumber: newest?.number ?? 0,
    layoutCopies: newest?.copies ?? 0,
    layoutWriteCopies: newest?.writeCopies ?? 0,
    retiredUpTo,
    placementsLayout,
    ...(leads ? { leader: { memberId: lease.holder, epoch: lease.epoch } } : {}),
    files,
    pending: pending.length,
    members: members.map(({ spki: _spki, addresses, ...member }) => ({
      ...member,
      addresses: [...addresses],
      revoked: !isValidMember(roster, member.keyHash, member.role),
    })),
    nodes: nodesOf(parts),
    alarms: [...alarms.list()],
    ...progressOf(
      parts,
      layouts.map(({ layout }) => layout),
      members,
    ),
    registryMode: core.safety.mode,
    ...(reason === undefined ? {} : { registryReason: reason }),
    ...(parts.rebuilder.progress ? { rebuild: { ...parts.rebuilder.progress } } : {}),
    servedHour: served.now(),
    nowMs: context.clock.nowMs(),
  };
};
