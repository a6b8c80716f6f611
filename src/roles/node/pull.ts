// After a layout change a node copies what it gained from the owners of all unretired layouts. It pulls at once, but
// calls itself complete only after a second listing taken when the new layout was covered: what was written under the
// old one before everybody knew of the new one is in that listing. Only owners that had acknowledged the new layout
// before they listed count there: the others may still take writes under the old one.
// What was done stays done over rounds; a newer layout ends the round under way at once.
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { acknowledgedLayout, destinationOfNode, type NodeCore } from './core.ts';
import { type CopyOptions, copyChunks, copyManifests } from './pull-copies.ts';
import { listWindow, type Window } from './pull-listing.ts';
import { readManifests } from './read-manifests.ts';
import { isAnswered, orderByNeed, planPull, type PullPlan } from './repair.ts';
import { newestLayout } from './state.ts';

/** The rules a puller goes by; tests pass broken ones, to see that they notice. */
export interface PullRules {
  readonly plan: typeof planPull;
  readonly isAnswered: typeof isAnswered;
  readonly checksHashes: boolean;
}

/** What was reached for one layout, before or after it was covered. */
interface Progress {
  readonly number: number;
  readonly covered: boolean;
  readonly sound: boolean;
  /** Partitions that need no further listing. */
  readonly done: Set<number>;
  whole: boolean;
  /** Rounds in a row that brought nothing to an end. */
  failures: number;
  /** On the monotonic clock: not before then again. */
  againMs: number;
}

interface Running {
  readonly number: number;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

export class Puller {
  readonly #core: NodeCore;
  readonly #rules: PullRules;
  #coveredLayout = 0;
  #running: Running | undefined;
  #progress: Progress | undefined;
  /** Chunks copied from others since the process began. */
  pulled = 0;
  /** Listed and not yet copied, for the newest layout. */
  readonly left = { chunks: 0, bytes: 0 };

  constructor(core: NodeCore, rules: Partial<PullRules> = {}) {
    this.#core = core;
    this.#rules = { plan: planPull, isAnswered, checksHashes: true, ...rules };
  }

  /** A leader said that every partition of layout `number` is covered by acknowledgements. */
  covered(number: number): void {
    this.#coveredLayout = Math.max(this.#coveredLayout, number);
  }

  /** One round: pulls what is missing, and marks the newest layout complete when the round may say so. */
  async round(): Promise<void> {
    const newest = newestLayout(this.#core.memory.state);
    if (!newest) return;
    while (this.#running) {
      if (this.#running.number === newest.number) return;
      this.#running.abort.abort();
      await this.#running.ended;
    }
    // What is not drained yet may still change what is held.
    if (acknowledgedLayout(this.#core) < newest.number) return;
    const abort = new AbortController();
    const stop = (): void => abort.abort();
    this.#core.context.stopping.addEventListener('abort', stop, { once: true });
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#running = { number: newest.number, abort, ended };
    try {
      await this.#round(newest.number, abort.signal);
    } catch (error) {
      // A newer layout ended it; the next round is for that one.
      if (!abort.signal.aborted || this.#core.context.stopping.aborted) throw error;
    } finally {
      this.#core.context.stopping.removeEventListener('abort', stop);
      this.#running = undefined;
      end();
    }
  }

  async #round(number: number, signal: AbortSignal): Promise<void> {
    const { memory, soundness } = this.#core;
    if (memory.state.completeLayout < number) {
      let progress: Progress;
      do {
        progress = this.#progressOf(number);
        if (!progress.whole && this.#core.context.clock.monotonicMs() >= progress.againMs) {
          await this.#pull(progress, signal);
        }
        // Often it is covered while the first copies are made; then the second listing need not wait for a timer.
      } while (!progress.covered && this.#coveredLayout >= number);
      if (progress.whole && progress.covered) await this.#complete(progress);
    }
    // What completed a doubted store counted without it, and for every unretired layout.
    if (!soundness.sound && memory.state.completeLayout >= number) await soundness.trust();
  }

  /** Starts anew with each layout, when it is covered, and when the store is doubted. */
  #progressOf(number: number): Progress {
    const covered = this.#coveredLayout >= number;
    const { sound } = this.#core.soundness;
    const before = this.#progress;
    if (before?.number === number && before.covered === covered && before.sound === sound) return before;
    this.#progress = { number, covered, sound, done: new Set(), whole: false, failures: 0, againMs: 0 };
    return this.#progress;
  }

  async #complete({ number, sound }: Progress): Promise<void> {
    const { memory, soundness, context } = this.#core;
    // Both may have changed while the last window was copied: then it is not this round's to say.
    const state = await memory.change((before) =>
      newestLayout(before)?.number === number && soundness.sound === sound
        ? { ...before, completeLayout: number }
        : before,
    );
    if (state.completeLayout === number) context.log.info('layout-complete', { layout: number, pulled: this.pulled });
  }

  async #pull(progress: Progress, signal: AbortSignal): Promise<void> {
    const { memory, self, context } = this.#core;
    const plan = this.#rules.plan(memory.state, self, progress.sound);
    const open = plan.gained.filter((partition) => !progress.done.has(partition));
    const before = progress.done.size;
    try {
      if (open.length > 0) await this.#pullOpen(plan, new Set(open), progress, signal);
      progress.whole = plan.gained.every((partition) => progress.done.has(partition));
    } finally {
      Object.assign(this.left, { chunks: 0, bytes: 0 });
      progress.failures = progress.done.size > before ? 0 : progress.failures + 1;
      const waitMs = Math.min(limits.heartbeatMs * 2 ** Math.min(progress.failures, 10), limits.announceMs);
      progress.againMs = context.clock.monotonicMs() + waitMs;
    }
  }

  /** Window by window through what is open, nearest to loss first. */
  async #pullOpen(plan: PullPlan, open: ReadonlySet<number>, progress: Progress, signal: AbortSignal): Promise<void> {
    const live = await this.#live([...plan.sources.keys()], signal);
    const silent = plan.sources.size - live.size;
    let order = orderByNeed(plan, live).filter((partition) => open.has(partition));
    const acknowledged = progress.covered ? progress.number : 0;
    const copyOptions = this.#copyOptions(progress.number, signal);
    while (order.length > 0) {
      const window = await listWindow(this.#core, order, { plan, acknowledged, signal, live });
      this.left.chunks = window.chunks.length;
      this.left.bytes = window.chunks.reduce((sum, { bytes }) => sum + bytes, 0);
      const chunks = await copyChunks(this.#core, window.chunks, copyOptions);
      const manifests = await copyManifests(this.#core, window.manifests, signal);
      const lacking = [...chunks.map(({ chunk }) => chunk.partition), ...manifests.map(({ partition }) => partition)];
      if (lacking.length > 0) this.#core.context.log.error('chunks-not-given', { chunks: lacking.length, silent });
      // Listed but not given, by an owner whose copy is damaged: an owner that was silent may have a good one.
      const held = new Set(silent > 0 ? lacking : []);
      const done = window.partitions.filter(
        (partition) =>
          !held.has(partition) && this.#rules.isAnswered(plan, this.#core.self, partition, window.answered),
      );
      if (!progress.sound && progress.covered) await this.#forgetStale(done, window, signal);
      for (const partition of done) progress.done.add(partition);
      order = order.slice(window.partitions.length);
    }
  }

  #copyOptions(layoutNumber: number, signal: AbortSignal): CopyOptions {
    const onCopied = (chunks: number, bytes: number): void => {
      this.pulled += chunks;
      this.left.chunks = Math.max(0, this.left.chunks - chunks);
      this.left.bytes = Math.max(0, this.left.bytes - bytes);
    };
    return { layoutNumber, signal, onCopied, checksHashes: this.#rules.checksHashes };
  }

  /** Sources that answer now; the others are not waited for, window after window. */
  async #live(sources: readonly KeyHash[], signal: AbortSignal): Promise<Set<KeyHash>> {
    const { transport } = this.#core.context;
    const live = new Set<KeyHash>();
    await Promise.all(
      sources.map(async (source) => {
        try {
          await transport.call(destinationOfNode(this.#core, source), 'ping', {}, { signal });
          live.add(source);
        } catch (error) {
          if (signal.aborted) throw error;
        }
      }),
    );
    return live;
  }

  /**
   * Manifests that a doubted store brought along and that no owner of a covered partition has: they were overtaken
   * while this store was not looking, and would bring removed files back. Asked for once more, then dropped.
   */
  async #forgetStale(partitions: readonly number[], window: Window, signal: AbortSignal): Promise<void> {
    const { known, answered } = window;
    const { storage, soundness, context } = this.#core;
    for (const partition of partitions) {
      const stale: VersionId[] = [];
      for (let after: VersionId | undefined, more = true; more; ) {
        const page = await storage.listManifests(partition, after, limits.batchEntriesMax);
        for (const { version, sequence } of page.items) {
          if (sequence <= soundness.distrustedUpTo && !known.has(version)) stale.push(version);
        }
        after = page.next;
        more = after !== undefined;
      }
      if (stale.length === 0) continue;
      const found = new Set<VersionId>();
      for (const source of answered) {
        const shown = await readManifests(this.#core, source, stale, signal);
        for (const [at, version] of stale.entries()) if (shown[at]) found.add(version);
      }
      const dropped = stale.filter((version) => !found.has(version));
      context.log.warn('stale-manifests-dropped', { partition, manifests: dropped.length });
      await storage.deleteManifests(dropped);
    }
  }
}
