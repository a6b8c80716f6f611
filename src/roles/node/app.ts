// The node: stores, serves, replicates. This file wires its parts to routes and runs its loops: announcing itself,
// heartbeats to the leading master, and pulling what a new layout gave it. The rules are in state.ts.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Handler, Handlers, Peer } from '../../client/transport.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { bytesToHex } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { verifyLayout } from '../../placement/layout.ts';
import type { StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { commonHandlers, every } from '../common.ts';
import type { RoleContext } from '../context.ts';
import { destinationOf, type PeerBook, type PeerEntry } from '../peer-book.ts';
import { WriteBarrier } from './barrier.ts';
import { acknowledgedLayout, type NodeCore } from './core.ts';
import { NodeMemory } from './memory.ts';
import { Puller } from './pull.ts';
import { servingHandlers } from './serve.ts';
import { adoptLayouts, followIncarnation, followLeader, type HeldLayout, newestLayout, promise } from './state.ts';
import { ChunkIntake } from './store.ts';

export interface NodeDependencies {
  readonly storage: StorageAdapter;
  readonly keys: KeyKeeper;
  readonly book: PeerBook;
  /** Id drawn for this opening of the store. */
  readonly storeId: string;
  /** Tests pass a broken one, to see that they notice. */
  readonly barrier?: WriteBarrier;
}

export interface RunningRole {
  readonly handlers: Handlers;
  /** Why the role cannot do its work now; undefined when it can. */
  readonly notReady: () => string | undefined;
  readonly admit?: (peer: Peer) => void;
  /** Runs the role's loops until context.stopping aborts. */
  readonly run: () => Promise<void>;
}

/** A loop that wakes this often notices a pause of the process long before it is mistaken for silence of others. */
const contactTickMs = 1_000;

/** Contact with the network: without any for a minute a node answers only those who could end its isolation. */
class Contact {
  readonly #context: RoleContext;
  readonly #book: PeerBook;
  #lastMs: number;
  #seenMs: number;

  constructor(context: RoleContext, book: PeerBook) {
    this.#context = context;
    this.#book = book;
    this.#lastMs = context.clock.monotonicMs();
    this.#seenMs = this.#lastMs;
  }

  made(): void {
    this.#lastMs = this.#context.clock.monotonicMs();
  }

  /** Called by a loop of its own: a gap means this process was paused, and its silence proves nothing. */
  tick(): void {
    const now = this.#context.clock.monotonicMs();
    if (now - this.#seenMs > limits.isolationGapMs) this.#lastMs = now;
    this.#seenMs = now;
  }

  #isIsolated(): boolean {
    const lastMs = Math.max(this.#lastMs, this.#book.announcedMs ?? 0);
    return this.#context.clock.monotonicMs() - lastMs > limits.isolationMs;
  }

  readonly admit = (peer: Peer): void => {
    if (peer.role === 'gateway' || peer.role === 'master') this.made();
    else if (this.#isIsolated()) throw new OperaError('isolated');
  };
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
    followLeader(memory.state, request.epoch);
    const newest = Math.max(...layouts.map(({ layout }) => layout.number));
    const change = memory.change((before) =>
      adoptLayouts(
        followIncarnation(followLeader(before, request.epoch), request.incarnation),
        layouts,
        request.retiredUpTo,
      ),
    );
    const state = await change.catch((error: unknown) => {
      if (isOperaError(error, 'conflict')) context.log.error('layout-conflict', { layout: newest });
      throw error;
    });
    await memory.setPeers(request.peers);
    const number = newestLayout(state)?.number ?? 0;
    // From here on lower writes are refused; those that had entered must end before the layout is acknowledged.
    await barrier.drained(number);
    wake();
    return { answer: { number } };
  };

const coveredHandler =
  (core: NodeCore, puller: Puller, wake: () => void): Handler<'layout.covered'> =>
  async ({ request }) => {
    await core.memory.change((before) => followLeader(before, request.epoch));
    puller.covered(request.number);
    wake();
    return { answer: {} };
  };

/** Heartbeats to the leading master; one that does not lead says who does. */
class Heart {
  readonly #core: NodeCore;
  readonly #dependencies: NodeDependencies;
  readonly #contact: Contact;
  #leader: Pick<PeerEntry, 'memberId' | 'address'> | undefined;
  beatMs = 0;

  constructor(core: NodeCore, dependencies: NodeDependencies, contact: Contact) {
    this.#core = core;
    this.#dependencies = dependencies;
    this.#contact = contact;
  }

  async beat(): Promise<void> {
    const masters = this.#core.book.list('master');
    const candidates = this.#leader ? [this.#leader, ...masters] : masters;
    let last: unknown = new OperaError('unavailable', 'no master is known');
    for (const master of candidates) {
      try {
        const answer = await this.#send(master);
        this.#leader = answer.leads ? master : answer.leader;
        return;
      } catch (error) {
        if (isOperaError(error, 'aborted')) throw error;
        // A master that answers an error, as while the registry is out of reach, is contact all the same.
        if (isOperaError(error) && error.requestId !== undefined) this.#contact.made();
        if (this.#leader === master) this.#leader = undefined;
        last = error;
      }
    }
    throw last;
  }

  async #send(master: Pick<PeerEntry, 'memberId' | 'address'>): Promise<AnswerOf<'node.heartbeat'>> {
    const core = this.#core;
    const { context, memory, storage } = core;
    const [usage, writeCounter, highestSequence] = await Promise.all([
      storage.usage(),
      storage.writeCounter(),
      storage.highestSequence(),
    ]);
    const { state } = memory;
    const sentMs = context.clock.nowMs();
    const { answer } = await context.transport.call(
      destinationOf(master),
      'node.heartbeat',
      {
        instance: context.instance,
        storeId: this.#dependencies.storeId,
        writeCounter,
        highestSequence,
        incarnation: state.incarnation,
        promisedEpoch: state.promisedEpoch,
        layoutNumber: acknowledgedLayout(core),
        completeLayout: state.completeLayout,
        rosterNumber: context.rosters.roster.number,
        chunks: usage.chunks,
        manifests: usage.manifests,
        chunkBytes: usage.chunkBytes,
        ...(usage.freeBytes === undefined ? {} : { freeBytes: usage.freeBytes }),
        readOnly: usage.readOnly,
        sound: true,
        servedHour: core.servedHour,
        repair: { chunks: 0, bytes: 0 },
      },
      { timeoutMs: limits.probeTimeoutMs, signal: context.stopping },
    );
    const receivedMs = context.clock.nowMs();
    core.clockOffsetMs = Math.round(answer.nowMs - (sentMs + receivedMs) / 2);
    this.#contact.made();
    this.beatMs = receivedMs;
    if (answer.rosterNumber > context.rosters.roster.number) await this.#fetchRoster(master);
    return answer;
  }

  async #fetchRoster(from: Pick<PeerEntry, 'memberId' | 'address'>): Promise<void> {
    const { transport, rosters, stopping } = this.#core.context;
    const request = { number: rosters.roster.number };
    const { answer } = await transport.call(destinationOf(from), 'roster.since', request, { signal: stopping });
    await rosters.accept(answer.rosters);
  }
}

/** Makes a node of its parts; `storage` is open and carries the store id already. */
export const createNode = async (context: RoleContext, dependencies: NodeDependencies): Promise<RunningRole> => {
  const { storage, keys, book } = dependencies;
  const memory = await NodeMemory.load(storage);
  const self = context.identity().signer.keyHash;
  const barrier = dependencies.barrier ?? new WriteBarrier();
  const core: NodeCore = { context, self, storage, memory, barrier, book, keys, clockOffsetMs: 0, servedHour: 0 };
  const intake = new ChunkIntake(core);
  const puller = new Puller(core);
  const contact = new Contact(context, book);
  const heart = new Heart(core, dependencies, contact);
  const report = (): void => {
    void puller
      .round()
      .then(() => heart.beat())
      .catch((error: unknown) => context.log.debug('report-failed', { code: String(error) }));
  };
  const notReady = (): string | undefined => {
    if (!book.announced) return 'no gateway has taken the announcement yet';
    if (!keys.hasKeys) return 'no network key is held yet';
    return newestLayout(memory.state) ? undefined : 'no layout yet';
  };
  context.metrics.gauge(
    'opera_layout_number',
    'Newest layout acknowledged.',
    () => newestLayout(memory.state)?.number ?? 0,
  );
  context.metrics.gauge('opera_layout_complete', 'Newest layout held completely.', () => memory.state.completeLayout);
  context.metrics.gauge('opera_chunks_pulled_total', 'Chunks copied from other nodes.', () => puller.pulled);
  return {
    handlers: {
      ...commonHandlers(context, notReady),
      ...servingHandlers(core),
      'chunk.store': intake.store,
      'chunk.copy': intake.copy,
      'leader.promise': promiseHandler(core),
      'layout.adopt': adoptHandler(core, report),
      'layout.covered': coveredHandler(core, puller, report),
      'keys.put': async ({ request }) => {
        await keys.accept(request.keyBoxes, request.keyChain);
        return { answer: {} };
      },
    },
    notReady,
    admit: contact.admit,
    run: async () => {
      await Promise.all([
        book.run(),
        every(context, 'contact', contactTickMs, async () => contact.tick()),
        book.whenAnnounced.then(() => every(context, 'heartbeat', limits.heartbeatMs, () => heart.beat())),
        every(context, 'pull', limits.heartbeatMs, () => puller.round()),
      ]);
    },
  };
};

/** A fresh store id, 32 hex characters. */
export const drawStoreId = (context: RoleContext): string => bytesToHex(context.random.bytes(16));
