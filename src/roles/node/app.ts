// The node: stores, serves, replicates. This file wires its parts to routes and runs its loops: announcing itself,
// heartbeats to the leading master, and pulling what a new layout gave it. The rules are in state.ts.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Handler, Handlers, Peer } from '../../client/transport.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { rewrapFileKey } from '../../crypto/wrap.ts';
import { verifyLayout } from '../../placement/layout.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import { commonHandlers, every, keyHandlers } from '../common.ts';
import type { RoleContext } from '../context.ts';
import type { PeerBook } from '../peer-book.ts';
import { WriteBarrier } from './barrier.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import { evidenceHandlers } from './evidence.ts';
import { FormerOwner, formerOwnerHandlers, type FormerRules } from './former-owner.ts';
import { Contact, contactTickMs, Heart } from './heart.ts';
import { Hygiene, type HygieneFaults } from './hygiene.ts';
import { NodeMemory } from './memory.ts';
import { type IndexEngine, MemoryIndex } from './index-engine.ts';
import { IndexHealth } from './index-health.ts';
import { Indexer } from './indexer.ts';
import { NameIndex } from './name-index.ts';
import { Notes } from './notes.ts';
import { OwedCopies } from './owed-copies.ts';
import { Puller, type PullRules } from './pull.ts';
import { queryHandlers } from './query.ts';
import { Rewrapper } from './rewrap.ts';
import { servingHandlers } from './serve.ts';
import { newWitness, Soundness, type SoundnessOptions } from './soundness.ts';
import { adoptLayouts, followIncarnation, followLeader, type HeldLayout, newestLayout, promise } from './state.ts';
import { ChunkIntake } from './store.ts';
import { Throttle } from './throttle.ts';

export interface NodeDependencies {
  readonly storage: StorageAdapter;
  readonly keys: KeyKeeper;
  readonly book: PeerBook;
  /** Id drawn for this opening of the store. */
  readonly storeId: string;
  /** What the identity folder says of the store, and how it is told; without it the store is that of a new node. */
  readonly witness?: SoundnessOptions;
  /** Where the index over star systems is kept; in memory unless given. */
  readonly index?: IndexEngine;
  /** Tests pass a broken one, to see that they notice. */
  readonly barrier?: WriteBarrier;
  readonly hygieneFaults?: HygieneFaults;
  readonly pullRules?: Partial<PullRules>;
  readonly formerRules?: Partial<FormerRules>;
  readonly rewrap?: typeof rewrapFileKey;
}

export interface RunningRole {
  readonly handlers: Handlers;
  /** Why the role cannot do its work now; undefined when it can. */
  readonly notReady: () => string | undefined;
  readonly admit?: (peer: Peer) => void;
  /** Runs the role's loops until context.stopping aborts. */
  readonly run: () => Promise<void>;
}

/** A node, with what tests look into and drive. */
export interface RunningNode extends RunningRole {
  readonly hygiene: Hygiene;
}

const promiseHandler =
  (core: NodeCore): Handler<'leader.promise'> =>
  async ({ request }) => {
    let promised = true;
    const state = await core.memory.change((before) => {
      const next = promise(before, request.epoch, request.instance);
      promised = next !== undefined;
      return next ?? before;
    });
    return { answer: { promised, epoch: state.promisedEpoch, layoutNumber: newestLayout(state)?.number ?? 0 } };
  };

const adoptHandler =
  (core: NodeCore, wake: () => void): Handler<'layout.adopt'> =>
  async ({ request }) => {
    const { context, memory, barrier } = core;
    const layouts = request.layouts.map((record): HeldLayout => {
      const layout = verifyLayout(record);
      if (layout.networkId !== context.networkId) throw new OperaError('wrong-network');
      if (context.rosters.roster.byKeyHash.get(layout.signer)?.role !== 'master') {
        throw new OperaError('integrity', 'a layout is not signed by a master of this network');
      }
      return { layout, record };
    });
    // Checked before the wait as well, so that an order of the past does not even drain writes.
    followLeader(memory.state, request.epoch, request.instance);
    const newest = Math.max(...layouts.map(({ layout }) => layout.number));
    if (layouts.some(({ layout }) => layout.nodes.includes(core.self))) await core.soundness.place();
    const change = memory.change(
      (before) =>
        adoptLayouts(
          followIncarnation(followLeader(before, request.epoch, request.instance), request.incarnation),
          layouts,
          request.retiredUpTo,
        ),
      request.peers,
    );
    const state = await change.catch((error: unknown) => {
      if (isOperaError(error, 'conflict')) context.log.error('layout-conflict', { layout: newest });
      throw error;
    });
    const number = newestLayout(state)?.number ?? 0;
    // From here on lower writes are refused; those that had entered must end before the layout is acknowledged.
    await barrier.drained(number);
    wake();
    return { answer: { number } };
  };

const coveredHandler =
  (core: NodeCore, puller: Puller, wake: () => void): Handler<'layout.covered'> =>
  async ({ request }) => {
    await core.memory.change((before) => followLeader(before, request.epoch, request.instance));
    puller.covered(request.number);
    wake();
    return { answer: {} };
  };

const addGauges = (
  { context: { metrics }, memory, soundness }: NodeCore,
  puller: Puller,
  former: FormerOwner,
  rewrapper: Rewrapper,
  owed: OwedCopies,
): void => {
  metrics.gauge('opera_layout_number', 'Newest layout acknowledged.', () => newestLayout(memory.state)?.number ?? 0);
  metrics.gauge('opera_layout_complete', 'Newest layout held completely.', () => memory.state.completeLayout);
  metrics.counter('opera_chunks_pulled_total', 'Chunks copied from other nodes.', () => puller.pulled);
  metrics.gauge('opera_repair_chunks', 'Chunks listed and not yet copied.', () => puller.left.chunks);
  metrics.gauge('opera_repair_bytes', 'Bytes of them.', () => puller.left.bytes);
  metrics.counter('opera_former_chunks_dropped_total', 'Copies dropped that others own now.', () => former.dropped);
  metrics.counter(
    'opera_manifests_rewrapped_total',
    'Manifests and notes put under a newer key.',
    () => rewrapper.rewrapped,
  );
  metrics.gauge('opera_wraps_old', 'Manifests and notes under older network keys.', () => rewrapper.progress.below);
  metrics.gauge('opera_copies_owed', 'Copies that other owners missed and wait for.', () =>
    owed.report.reduce((sum, { chunks }) => sum + chunks, 0),
  );
  metrics.counter('opera_copies_given_total', 'Copies that other owners missed and took later.', () => owed.given);
  metrics.gauge('opera_store_sound', '1 while the store is believed.', () => (soundness.sound ? 1 : 0));
};

/** What the parts share, with the store as they see it: writes of manifests are noted in the index of names. */
const coreOf = async (context: RoleContext, dependencies: NodeDependencies) => {
  const { keys, book } = dependencies;
  const names = new NameIndex({ context, keys }, dependencies.storage);
  const indexer = new Indexer(dependencies.index ?? new MemoryIndex());
  const storage = indexer.watch(names.watch());
  const memory = await NodeMemory.load(storage);
  const self = context.identity().signer.keyHash;
  const barrier = dependencies.barrier ?? new WriteBarrier();
  const witness = dependencies.witness ?? { witness: newWitness(dependencies.storeId), save: async () => undefined };
  const soundness = new Soundness(context, memory, witness);
  await soundness.begin();
  const throttle = new Throttle(context.clock);
  const destination = (node: KeyHash) => destinationOfNode({ memory, book }, node);
  const core: NodeCore = {
    ...{ context, self, storage, memory, barrier, book, keys, soundness, throttle },
    incarnations: new WriteBarrier(),
    notes: new Notes({ context, self, storage, memory, keys, throttle, destination }),
    copies: {
      report: () => undefined,
      reportNote: () => undefined,
      verifiedMs: async ({ storedAtMs }) => storedAtMs,
    },
    clockOffsetMs: 0,
    deletion: undefined,
    get servedHour() {
      return memory.state.servedHour;
    },
  };
  indexer.attach(core);
  return { core, names, indexer };
};

/** Makes a node of its parts; `storage` is open and carries the store id already. */
export const createNode = async (context: RoleContext, dependencies: NodeDependencies): Promise<RunningNode> => {
  const { core, names, indexer } = await coreOf(context, dependencies);
  const { memory, keys, book } = core;
  const hygiene = new Hygiene(core, names, dependencies.hygieneFaults);
  core.copies = hygiene.scrub;
  const owed = new OwedCopies(core);
  const intake = new ChunkIntake(core, owed);
  const puller = new Puller(core, dependencies.pullRules);
  const former = new FormerOwner(core, dependencies.formerRules);
  const contact = new Contact(context, book);
  const rewrapper = new Rewrapper(core, dependencies.rewrap);
  const indexHealth = new IndexHealth(indexer, context.clock);
  const heart = new Heart(core, { puller, contact, rewrapper, indexHealth, owed });
  /** The leader waits for nothing but this node's word that it is complete. */
  const roundAndTell = async (): Promise<void> => {
    const before = memory.state.completeLayout;
    await puller.round();
    if (memory.state.completeLayout > before) await heart.beat();
  };
  const report = (): void => {
    void puller
      .round()
      .then(() => heart.beat())
      .catch((error: unknown) => context.log.debug('report-failed', errorFacts(error)));
  };
  const notReady = (): string | undefined => {
    if (!book.announced) return 'no gateway has taken the announcement yet';
    if (!keys.hasKeys) return 'no network key is held yet';
    return newestLayout(memory.state) ? undefined : 'no layout yet';
  };
  addGauges(core, puller, former, rewrapper, owed);
  return {
    hygiene,
    handlers: {
      ...commonHandlers(context, notReady),
      ...servingHandlers(core),
      ...evidenceHandlers(core, names),
      ...hygiene.handlers,
      ...queryHandlers(core, indexer),
      ...formerOwnerHandlers(core),
      'note.read': core.notes.read,
      'chunk.store': (call) => core.throttle.serve(() => intake.store(call)),
      'chunk.copy': (call) => core.throttle.serve(() => intake.copy(call)),
      'leader.promise': promiseHandler(core),
      'layout.adopt': adoptHandler(core, report),
      'layout.covered': coveredHandler(core, puller, report),
      ...keyHandlers(keys),
    },
    notReady,
    admit: contact.admit,
    run: async () => {
      await Promise.all([
        book.run(),
        every(context, 'contact', contactTickMs, async () => contact.tick()),
        book.whenAnnounced.then(() => every(context, 'heartbeat', limits.heartbeatMs, () => heart.beat())),
        every(context, 'pull', limits.heartbeatMs, () => roundAndTell()),
        hygiene.run(),
        indexer.run(),
        every(context, 'rewrap', limits.rewrapMs, () => rewrapper.round()),
        every(context, 'former', limits.formerTickMs, () => former.round()),
        every(context, 'owed-copies', limits.heartbeatMs, () => owed.round()),
      ]);
    },
  };
};
