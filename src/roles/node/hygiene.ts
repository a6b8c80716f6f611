// What keeps a node's store clean while nobody looks: comparing with the other owners, reading everything back,
// deleting what is dead. This file wires the parts to their routes, loops and metrics.
import type { Handlers } from '../../client/transport.ts';
import { limits } from '../../model/limits.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { every } from '../common.ts';
import { AntiEntropy, type AntiEntropyFaults } from './anti-entropy.ts';
import type { NodeCore } from './core.ts';
import { DeadMarks } from './dead-marks.ts';
import { EvidenceSearch, type SearchFaults } from './evidence-search.ts';
import { Fates } from './fates.ts';
import type { NameIndex } from './name-index.ts';
import { Scrub, type ScrubFaults } from './scrub.ts';
import { Sweep, type SweepFaults } from './sweep.ts';

/** Switches for tests that must fail; production passes none. */
export interface HygieneFaults {
  readonly sweep?: SweepFaults;
  readonly search?: SearchFaults;
  readonly antiEntropy?: AntiEntropyFaults;
  readonly scrub?: ScrubFaults;
}

export class Hygiene {
  readonly core: NodeCore;
  readonly marks: DeadMarks;
  readonly sweep: Sweep;
  readonly antiEntropy: AntiEntropy;
  readonly scrub: Scrub;
  readonly handlers: Handlers;
  #asked: Promise<void> | undefined;

  constructor(core: NodeCore, names: NameIndex, faults: HygieneFaults = {}) {
    this.core = core;
    this.marks = new DeadMarks(core.storage);
    const fates = new Fates(core, this.marks);
    const search = new EvidenceSearch(core, fates, names, faults.search);
    this.sweep = new Sweep(core, this.marks, fates, search, faults.sweep);
    this.antiEntropy = new AntiEntropy(core, this.marks, fates, faults.antiEntropy);
    this.scrub = new Scrub(core, faults.scrub);
    this.handlers = {
      'version.fate': fates.handler,
      'name.trace': search.handler,
      'digest.read': this.antiEntropy.handlers.read,
      'digest.list': this.antiEntropy.handlers.list,
      'hygiene.check': async ({ request: { start } }) => {
        if (start) this.#begin();
        return { answer: await this.#report() };
      },
    };
    this.#declareMetrics();
  }

  async run(): Promise<void> {
    const { context } = this.core;
    await Promise.all([
      every(context, 'sweep', limits.sweepTickMs, () => this.sweep.round()),
      every(context, 'compare', limits.compareTickMs, () => this.antiEntropy.round()),
      every(context, 'scrub', limits.scrubTickMs, () => this.scrub.round()),
    ]);
  }

  /** An operator does not wait for the timers; what runs already is what was asked for. */
  #begin(): void {
    const { log } = this.core.context;
    this.#asked ??= Promise.all([this.antiEntropy.pass(), this.scrub.pass()])
      .then(() => log.info('check-ended', { altered: this.scrub.altered, repaired: this.scrub.repaired }))
      .catch((error: unknown) => log.warn('check-failed', errorFacts(error)))
      .finally(() => {
        this.#asked = undefined;
      });
  }

  async #report(): Promise<AnswerOf<'hygiene.check'>> {
    const { sweep, antiEntropy, scrub } = this;
    const { verified, altered, repaired } = scrub;
    return {
      ...{ verified, altered, repaired, running: this.#asked !== undefined },
      compared: antiEntropy.position,
      readBack: scrub.position,
      pulled: antiEntropy.chunksPulled,
      aside: (await this.core.storage.usage()).chunksAside,
      conflicts: antiEntropy.conflicts.size,
      unknown: sweep.last.unknown,
      damage: scrub.damage.slice(0, 100).map((text) => text.slice(0, 1_000)),
    };
  }

  #declareMetrics(): void {
    const { metrics } = this.core.context;
    const { sweep, antiEntropy, scrub } = this;
    const { storage } = this.core;
    metrics.gauge('opera_store_chunks', 'Chunks held.', async () => (await storage.usage()).chunks);
    metrics.gauge('opera_store_bytes', 'Sealed bytes of them.', async () => (await storage.usage()).chunkBytes);
    metrics.gauge('opera_store_free_bytes', 'Free bytes of the disk.', async () => (await storage.usage()).freeBytes);
    metrics.gauge('opera_store_read_only', '1 while the store takes no writes.', async () =>
      Number((await storage.usage()).readOnly),
    );
    metrics.counter('opera_chunks_deleted_total', 'Chunks of dead versions deleted.', () => sweep.chunksDeleted);
    metrics.gauge(
      'opera_versions_unknown',
      'Versions of which the last sweep could not tell what they are; kept.',
      () => sweep.last.unknown,
    );
    metrics.counter('opera_chunks_compared_in_total', 'Chunks pulled by comparing.', () => antiEntropy.chunksPulled);
    metrics.gauge('opera_chunk_conflicts', 'Addresses with two contents.', () => antiEntropy.conflicts.size);
    metrics.counter('opera_chunks_verified_total', 'Chunks read back and found whole.', () => scrub.verified);
    metrics.counter('opera_copies_altered_total', 'Chunks and manifests found altered.', () => scrub.altered);
    metrics.counter('opera_copies_repaired_total', 'Altered copies replaced by good ones.', () => scrub.repaired);
    metrics.gauge(
      'opera_chunks_aside',
      'Altered copies kept out of sight.',
      async () => (await storage.usage()).chunksAside,
    );
    metrics.gauge('opera_store_damaged', '1 when damage was found in the database.', () =>
      Number(scrub.damage.length > 0),
    );
  }
}
