// The master: placement, the name steps, layouts. Any master answers; only the leader gives orders to nodes.
// This file wires its parts to routes and runs its loops. It holds no keys: everything it passes on is sealed.
import type { Handlers } from '../../client/transport.ts';
import { limits } from '../../model/limits.ts';
import type { Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { commonHandlers, every } from '../common.ts';
import type { RoleContext } from '../context.ts';
import type { PeerBook } from '../peer-book.ts';
import { Committer } from './commit.ts';
import { MasterCore } from './core.ts';
import { ManifestWriter } from './durable.ts';
import { Layouts } from './layouts.ts';
import { Leadership } from './leadership.ts';
import { Names } from './names.ts';
import { openUploads, renew, uploadHeld } from './plans.ts';
import { networkStatus } from './status.ts';

export interface MasterDependencies {
  readonly registry: Registry;
  readonly book: PeerBook;
  /** Own mesh address, for the lease. */
  readonly address: () => string;
  /** Tests pass a broken one, to see that they notice. */
  readonly isDurable?: MasterCore['isDurable'];
}

export interface RunningMaster {
  readonly handlers: Handlers;
  readonly notReady: () => string | undefined;
  readonly run: () => Promise<void>;
  /** Gives the lease up, so that another master need not wait for it to end. */
  readonly resign: () => Promise<void>;
}

/** How often the leader looks at layouts; joins are gathered for a second on top. */
const layoutsTickMs = 200;
/** Uploads are expired this often, a page at a time. */
const expireTickMs = 60_000;

interface Parts {
  readonly core: MasterCore;
  readonly writer: ManifestWriter;
  readonly committer: Committer;
  readonly names: Names;
  readonly leadership: Leadership;
}

const nameHandlers = ({ core, writer, committer, names, leadership }: Parts): Handlers => ({
  'master.upload.open': async ({ request: { client, request } }) => ({
    answer: await openUploads(core, writer, client, request),
  }),
  'master.ticket.renew': async ({ request: { client, request } }) => ({ answer: await renew(core, client, request) }),
  'master.upload.held': async ({ request: { client, request } }) => ({
    answer: await uploadHeld(core, client, request),
  }),
  'master.name.commit': async ({ request: { client, request } }) => ({
    answer: await committer.commit(client, request),
  }),
  'master.name.get': async ({ request: { client, request } }) => ({ answer: await names.get(client, request) }),
  'master.name.list': async ({ request: { request } }) => ({ answer: await names.list(request) }),
  'master.name.where': async ({ request: { request } }) => ({ answer: await names.where(request) }),
  'master.network.status': async () => ({ answer: await networkStatus(core, leadership) }),
});

const memberHandlers = ({ core, leadership }: Parts): Handlers => ({
  'member.changed': async () => {
    core.forgetMembers();
    return { answer: {} };
  },
  'node.heartbeat': async ({ request, peer }) => {
    const { clock, rosters } = core.context;
    const before = peer && core.heartbeats.get(peer.memberId);
    const writeCounterSeen = Math.max(before?.writeCounterSeen ?? 0, before?.request.writeCounter ?? 0);
    const at = { atMs: clock.nowMs(), atMonotonicMs: clock.monotonicMs() };
    if (peer) core.heartbeats.set(peer.memberId, { request, writeCounterSeen, ...at });
    const [life, state] = await Promise.all([core.life(), core.layouts()]);
    const lease = leadership.lease;
    return {
      answer: {
        nowMs: clock.nowMs(),
        epoch: leadership.epoch ?? 0n,
        servedHour: Math.max(0, ...[...core.heartbeats.values()].map((beat) => beat.request.servedHour)),
        mayDelete: false,
        incarnation: life.incarnation,
        layoutNumber: state.layouts.at(-1)?.layout.number ?? 0,
        retiredUpTo: state.retiredUpTo,
        rosterNumber: rosters.roster.number,
        leads: leadership.epoch !== undefined,
        writeCounterSeen,
        ...(lease && !lease.released ? { leader: { memberId: lease.holder, address: lease.address } } : {}),
      },
    };
  },
});

export const createMaster = (context: RoleContext, dependencies: MasterDependencies): RunningMaster => {
  const { registry, book, address } = dependencies;
  const core = new MasterCore(context, registry, book, dependencies.isDurable);
  const writer = new ManifestWriter(core);
  const committer = new Committer(core, writer);
  const names = new Names(core, writer);
  const leadership = new Leadership(core, address);
  const layouts = new Layouts(core, leadership);
  const parts: Parts = { core, writer, committer, names, leadership };
  const notReady = (): string | undefined => (book.announced ? undefined : 'no gateway has taken the announcement yet');

  context.metrics.gauge('opera_leads', '1 while this master leads.', () => (leadership.epoch === undefined ? 0 : 1));

  return {
    handlers: { ...commonHandlers(context, notReady), ...nameHandlers(parts), ...memberHandlers(parts) },
    notReady,
    run: async () => {
      await Promise.all([
        book.run(),
        every(context, 'lease', limits.leaseRenewMs, () => leadership.tick()),
        every(context, 'layouts', layoutsTickMs, () => layouts.tick()),
        every(context, 'pending', limits.pendingSweepMs, () => writer.sweep()),
        every(context, 'uploads', expireTickMs, async () => {
          await registry.expireUploads(limits.uploadAgeMaxMs);
        }),
      ]);
    },
    resign: () => leadership.resign().catch((error: unknown) => context.log.debug('resign-failed', errorFacts(error))),
  };
};
