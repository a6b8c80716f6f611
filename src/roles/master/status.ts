// The state of the network as this master sees it: registry, layouts, members, and what nodes last said.
import { isValidMember } from '../../identity/roster.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { MasterCore } from './core.ts';
import type { Leadership } from './leadership.ts';

/** Pending changes are counted up to this many; more is "many" to a reader. */
const pendingCounted = 1_000;

export const networkStatus = async (core: MasterCore, leadership: Leadership): Promise<AnswerOf<'network.status'>> => {
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
  const lease = leadership.lease;
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
    ...(lease && !lease.released ? { leader: { memberId: lease.holder, epoch: lease.epoch } } : {}),
    files,
    pending: pending.length,
    members: members.map(({ spki: _spki, addresses, ...member }) => ({
      ...member,
      addresses: [...addresses],
      revoked: !isValidMember(roster, member.keyHash, member.role),
    })),
    nodes: [...core.heartbeats].map(([memberId, { request, atMs }]) => ({
      memberId,
      heardMs: atMs,
      chunks: request.chunks,
      manifests: request.manifests,
      chunkBytes: request.chunkBytes,
      ...(request.freeBytes === undefined ? {} : { freeBytes: request.freeBytes }),
      readOnly: request.readOnly,
      layoutNumber: request.layoutNumber,
      completeLayout: request.completeLayout,
    })),
    nowMs: context.clock.nowMs(),
  };
};
