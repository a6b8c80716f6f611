// The master: placement, the name steps, layouts. Any master answers; only the leader gives orders to nodes.
// This file wires its parts to routes and runs its loops. It holds no keys: everything it passes on is sealed.
import type { Handler, Handlers } from '../../client/transport.ts';
import { limits } from '../../model/limits.ts';
import { type Timing, timingOf } from '../../model/timing.ts';
import type { Registry } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import { commonHandlers, every } from '../common.ts';
import type { RoleContext } from '../context.ts';
import type { PeerBook } from '../peer-book.ts';
import { Alarms } from './alarms.ts';
import { listCatalogues } from './catalogues.ts';
import { Committer } from './commit.ts';
import { type Heartbeat, MasterCore } from './core.ts';
import { ManifestWriter } from './durable.ts';
import { Judge, type JudgeOptions } from './judge.ts';
import { Layouts, type LayoutsOptions } from './layouts.ts';
import { followLeadersClock } from './masters-clock.ts';
import { Leadership } from './leadership.ts';
import { Names } from './names.ts';
import { LifeWatch } from './life.ts';
import { Rebuilder, type RebuildRules } from './rebuild.ts';
import { openUploads, renew, uploadHeld } from './plans.ts';
import { NodeOrders } from './orders.ts';
import { ServedHours } from './served-hours.ts';
import { networkStatus, type StatusParts } from './status.ts';
import { Timeline } from './timeline.ts';
import { ViewNames } from './view-names.ts';

export interface MasterDependencies {
  readonly registry: Registry;
  readonly book: PeerBook;
  /** Own mesh address, for the lease. */
  readonly address: () => string;
  /** Tests pass broken ones, to see that they notice. */
  readonly rebuildRules?: RebuildRules;
  readonly viewNeedsComplete?: boolean;
  readonly isDurable?: MasterCore['isDurable'];
  readonly stepVerdicts?: JudgeOptions['stepVerdicts'];
  readonly dueActions?: LayoutsOptions['dueActions'];
  /** How long silence may last; `lan` when not given. */
  readonly timing?: Timing;
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

interface Parts extends StatusParts {
  readonly writer: ManifestWriter;
  readonly committer: Committer;
  readonly names: Names;
  readonly viewNames: ViewNames;
  readonly lifeWatch: LifeWatch;
  readonly orders: NodeOrders;
}

const nameHandlers = ({ core, writer, committer, names, viewNames }: Parts): Handlers => ({
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
  'master.name.get': async ({ request: { client, request, fromNodes } }) => ({
    answer: await (fromNodes ? viewNames : names).get(client, request),
  }),
  'master.name.list': async ({ request: { request } }) => ({ answer: await names.list(request) }),
  'master.catalogue.list': async ({ request: { client, request } }) => ({
    answer: await listCatalogues(core, writer, client, request),
  }),
  'master.name.where': async ({ request: { request } }) => ({ answer: await names.where(request) }),
});

/** What earlier openings of the store had written; of the present one nothing can be said yet. */
const counterBefore = (before: Heartbeat | undefined, storeId: string): number => {
  if (!before) return 0;
  const { request, writeCounterSeen } = before;
  return request.storeId === storeId ? writeCounterSeen : Math.max(writeCounterSeen, request.writeCounter);
};

const memberHandlers = (parts: Parts): Handlers => ({
  'master.network.status': async () => ({ answer: await networkStatus(parts) }),
  'master.node.drain': async ({ request: { request } }) => ({ answer: await parts.orders.drain(request) }),
  'master.node.resume': async ({ request: { request } }) => ({ answer: await parts.orders.resume(request) }),
  'master.node.remove': async ({ request: { request } }) => ({ answer: await parts.orders.remove(request) }),
  'master.registry.rebuild': async ({ request: { request } }) => ({ answer: await parts.lifeWatch.rebuild(request) }),
  'node.heartbeat': heartbeatHandler(parts),
  'member.changed': async () => {
    parts.core.forgetMembers();
    return { answer: {} };
  },
});

const heartbeatHandler =
  ({ core, leadership, served }: Parts): Handler<'node.heartbeat'> =>
  async ({ request, peer }) => {
    const { clock, rosters } = core.context;
    const before = peer && core.heartbeats.get(peer.memberId);
    const writeCounterSeen = counterBefore(before, request.storeId);
    const at = { atMs: clock.nowMs(), atMonotonicMs: clock.monotonicMs() };
    if (peer) core.heartbeats.set(peer.memberId, { request, writeCounterSeen, ...at });
    const { highestSequence: sequence, promisedEpoch: epoch, incarnation, layoutNumber } = request;
    if (peer) core.learn({ sequence, epoch, incarnation, layoutNumber });
    const [life, state] = await Promise.all([core.life(), core.layouts()]);
    const lease = leadership.lease;
    return {
      answer: {
        nowMs: core.ticketMs,
        epoch: leadership.epoch ?? 0n,
        servedHour: served.now(),
        // Settled means that a complete view was had in this incarnation.
        mayDelete: leadership.epoch !== undefined && life.settled && core.safety.mode === 'normal',
        incarnation: life.incarnation,
        layoutNumber: state.layouts.at(-1)?.layout.number ?? 0,
        retiredUpTo: state.retiredUpTo,
        rosterNumber: rosters.roster.number,
        leads: leadership.epoch !== undefined,
        writeCounterSeen,
        ...(lease && !lease.released ? { leader: { memberId: lease.holder, address: lease.address } } : {}),
      },
    };
  };

/** The parts that watch nodes and lay them out. */
const createWatch = (core: MasterCore, leadership: Leadership, dependencies: MasterDependencies) => {
  const { timing = timingOf(undefined), stepVerdicts, dueActions } = dependencies;
  const timeline = new Timeline(core.context, core.registry);
  const alarms = new Alarms(core, timeline);
  const judge = new Judge(core, leadership, { timing, timeline, alarms, ...(stepVerdicts ? { stepVerdicts } : {}) });
  const isMassFailure = (): boolean => judge.state.massFailure !== undefined;
  const layoutRules = { timeline, alarms, isMassFailure, ...(dueActions ? { dueActions } : {}) };
  const layouts = new Layouts(core, leadership, layoutRules);
  const orders = new NodeOrders(core, leadership, timeline);
  return { timeline, alarms, judge, layouts, orders, served: new ServedHours(core, leadership) };
};

const addGauges = ({ core, leadership, alarms }: Pick<Parts, 'core' | 'leadership' | 'alarms'>): void => {
  const { metrics } = core.context;
  const isSafe = (): number => (core.safety.mode === 'safe' ? 1 : 0);
  metrics.gauge('opera_registry_safe_mode', '1 while the registry is not to be believed.', isSafe);
  metrics.gauge('opera_leads', '1 while this master leads.', () => (leadership.epoch === undefined ? 0 : 1));
  metrics.gauge('opera_alarms', 'Alarms that this leader has raised.', () => alarms.list().length);
  metrics.gaugeBy('opera_nodes', 'Nodes by their state in the registry.', 'state', async () => {
    const nodes = (await core.members()).filter(({ role }) => role === 'node');
    return new Map(nodes.map(({ state }) => [state, nodes.filter((node) => node.state === state).length]));
  });
};

export const createMaster = (context: RoleContext, dependencies: MasterDependencies): RunningMaster => {
  const { registry, book, address } = dependencies;
  const core = new MasterCore(context, registry, dependencies.isDurable);
  const writer = new ManifestWriter(core);
  const committer = new Committer(core, writer);
  const names = new Names(core, writer);
  const viewNames = new ViewNames(core, writer, dependencies.viewNeedsComplete);
  const leadership = new Leadership(core, address);
  const rebuilder = new Rebuilder(core, writer, leadership, dependencies.rebuildRules);
  const lifeWatch = new LifeWatch(core, leadership, rebuilder);
  const watch = createWatch(core, leadership, dependencies);
  const { judge, layouts, served } = watch;
  const parts: Parts = { core, writer, committer, names, viewNames, leadership, lifeWatch, rebuilder, ...watch };
  const notReady = (): string | undefined => (book.announced ? undefined : 'no gateway has taken the announcement yet');

  addGauges(parts);
  return {
    handlers: {
      ...commonHandlers(context, notReady, () => core.ticketMs),
      ...nameHandlers(parts),
      ...memberHandlers(parts),
    },
    notReady,
    run: async () => {
      await Promise.all([
        book.run(),
        every(context, 'life', limits.lifeTickMs, () => lifeWatch.tick()),
        every(context, 'lease', limits.leaseRenewMs, () => leadership.tick()),
        every(context, 'clock', limits.leaseRenewMs, () => followLeadersClock(core, leadership)),
        every(context, 'verdicts', limits.verdictTickMs, () => judge.tick()),
        every(context, 'served-hours', limits.verdictTickMs, async () => served.tick()),
        every(context, 'layouts', layoutsTickMs, () => layouts.tick()),
        every(context, 'pending', limits.pendingSweepMs, () => writer.sweep()),
        every(context, 'owed-manifests', limits.heartbeatMs, () => writer.repay()),
        every(context, 'uploads', expireTickMs, async () => {
          await registry.expireUploads(limits.uploadAgeMaxMs);
        }),
      ]);
    },
    resign: () => leadership.resign().catch((error: unknown) => context.log.debug('resign-failed', errorFacts(error))),
  };
};
