// Deletion. Nothing is ever deleted because somebody said so: a pass over the store asks of each version what became of
// it, and what goes, goes on evidence that was opened and judged here (manifest-facts.ts), a served day after this node
// knew, and while a leader says that the view is complete. What is unknown is kept and counted.
//   chunks of a dead version          24 served hours after this node knew
//   its live manifest                 4 served days after: until then owners of its other chunks find the evidence here
//   tombstones                        when every member node confirmed, at the earliest after 4 days; or after 30 days
//   chunks without any manifest       7 served days after they were stored, when every owner of chunk 0 has none
import { isOperaError } from '../../errors/errors.ts';
import type { VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkAddress, ChunkInfo, StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import { mayDelete, type NodeCore } from './core.ts';
import type { DeadMarks } from './dead-marks.ts';
import type { EvidenceSearch } from './evidence-search.ts';
import type { Fate, Fates } from './fates.ts';
import { isDeadBy, type OpenedManifest, openShown, openStored, subjectOf } from './manifest-facts.ts';
import { manifestToStore } from './serve.ts';

/** Switches that break a promise on purpose, so that the tests of that promise can be seen to fail. */
export interface SweepFaults {
  /** Deletes without a leader's word. */
  readonly unasked?: boolean;
  /** Versions of which nothing is known are taken for dead. */
  readonly unknownIsDead?: boolean;
  /** Tombstones go although some node has not confirmed. */
  readonly hasty?: boolean;
}

/** What one pass found and did. */
export interface SweepReport {
  live: number;
  dead: number;
  unknown: number;
  chunksDeleted: number;
  manifestsDeleted: number;
}

export class Sweep {
  readonly #core: NodeCore;
  readonly #marks: DeadMarks;
  readonly #fates: Fates;
  readonly #search: EvidenceSearch;
  readonly #faults: SweepFaults;
  #sweptHour: number;
  #running = false;
  last: SweepReport = emptyReport();
  /** Since the process began. */
  chunksDeleted = 0;

  constructor(core: NodeCore, marks: DeadMarks, fates: Fates, search: EvidenceSearch, faults: SweepFaults = {}) {
    this.#core = core;
    this.#marks = marks;
    this.#fates = fates;
    this.#search = search;
    this.#faults = faults;
    this.#sweptHour = core.servedHour;
  }

  /** A pass every few served hours; the first one a few hours after the process began. */
  async round(): Promise<void> {
    const hour = this.#core.servedHour;
    if (hour < this.#sweptHour + limits.sweepEveryHours) return;
    this.#sweptHour = hour;
    await this.pass();
  }

  /** One pass over everything. */
  async pass(): Promise<SweepReport> {
    if (this.#running || !this.#core.keys.hasKeys) return this.last;
    this.#running = true;
    const report = emptyReport();
    try {
      await this.#sweepManifests(report);
      await this.#sweepChunks(report);
      await this.#core.notes.sweep();
      await this.#forgetOldMarks();
      const { live, dead, unknown, chunksDeleted, manifestsDeleted } = report;
      const facts = { live, dead, unknown, chunksDeleted, manifestsDeleted };
      if (unknown > 0 && unknown !== this.last.unknown) this.#core.context.log.warn('versions-unknown', { unknown });
      this.#core.context.log.info('swept', facts);
      this.last = report;
      return report;
    } finally {
      this.#running = false;
    }
  }

  get #allowed(): boolean {
    return this.#faults.unasked || mayDelete(this.#core);
  }

  // ---- versions whose manifest is here

  async #sweepManifests(report: SweepReport): Promise<void> {
    const { storage, throttle, context } = this.#core;
    for (const partition of await storage.listPartitions()) {
      let after: VersionId | undefined;
      do {
        context.stopping.throwIfAborted();
        const page = await storage.listManifests(partition, after, limits.sweepPageManifests);
        after = page.next;
        if (page.items.length === 0) continue;
        await throttle.take(
          page.items.reduce((sum, { record }) => sum + record.length, 0),
          context.stopping,
        );
        await this.#manifests(page.items, report);
      } while (after !== undefined);
    }
  }

  async #manifests(page: readonly StoredManifest[], report: SweepReport): Promise<void> {
    const live: OpenedManifest[] = [];
    const tombstones: OpenedManifest[] = [];
    for (const stored of page) {
      const opened = this.#open(stored);
      if (!opened) report.unknown++;
      else if (stored.state === 'live') live.push(opened);
      else {
        report.dead++;
        await this.#tombstone(stored, opened, tombstones, report);
      }
    }
    await this.#retire(tombstones, report);
    const open: OpenedManifest[] = [];
    for (const opened of live) if (!(await this.#marked(opened, report))) open.push(opened);
    for (const [opened, fate] of await this.#search.judge(open)) {
      if (fate === 'live') report.live++;
      else if (fate === 'unknown') report.unknown++;
      else await this.#found(opened, fate, report);
    }
  }

  #open(stored: StoredManifest): OpenedManifest | undefined {
    try {
      return openStored(this.#core, stored);
    } catch (error) {
      this.#core.context.log.debug('manifest-unopened', { version: stored.version, ...errorFacts(error) });
      return undefined;
    }
  }

  /** A live manifest that was found dead before: carries out what is due. False when it was not. */
  async #marked(opened: OpenedManifest, report: SweepReport): Promise<boolean> {
    const { version, sequence } = opened.manifest;
    const mark = await this.#marks.get(version);
    if (!mark?.evidence || mark.gone || mark.sequence !== sequence) return false;
    let holds = false;
    try {
      holds = isDeadBy(subjectOf(opened), openShown(this.#core, mark.evidence));
    } catch (error) {
      this.#core.context.log.error('evidence-unreadable', { version, ...errorFacts(error) });
    }
    if (!holds) {
      await this.#marks.remove(version);
      return false;
    }
    report.dead++;
    const age = this.#core.servedHour - mark.hour;
    if (age < limits.deadHours) return true;
    await this.#deleteVersion(version, report);
    if (age >= limits.deadManifestHours) await this.#deleteManifest(version, sequence, report);
    return true;
  }

  /** Evidence was found now: the day begins. */
  async #found(opened: OpenedManifest, by: OpenedManifest, report: SweepReport): Promise<void> {
    report.dead++;
    const { version, sequence } = opened.manifest;
    if (by.manifest.version === version) {
      // The version's own tombstone takes the place of its manifest.
      const write = manifestToStore(this.#core, by.record.bytes, by.record.signerSpki);
      await this.#core.storage.putManifests([write]);
      return;
    }
    if (by.record.bytes.length > limits.evidenceBytesMax) {
      report.unknown++;
      return;
    }
    const evidence = { bytes: by.record.bytes, signerSpki: by.record.signerSpki };
    await this.#marks.put(version, { sequence, hour: this.#core.servedHour, evidence, gone: false });
  }

  async #tombstone(
    stored: StoredManifest,
    opened: OpenedManifest,
    due: OpenedManifest[],
    report: SweepReport,
  ): Promise<void> {
    const age = this.#core.servedHour - stored.servedHour;
    if (age < limits.deadHours) return;
    try {
      openShown(this.#core, opened.record);
    } catch (error) {
      this.#core.context.log.error('evidence-unreadable', { version: stored.version, ...errorFacts(error) });
      return;
    }
    await this.#deleteVersion(stored.version, report);
    if (age >= limits.tombstoneHours) await this.#deleteManifest(stored.version, stored.sequence, report);
    else if (age >= limits.deadManifestHours) due.push(opened);
  }

  /** Tombstones that every member node confirmed go before their time. */
  async #retire(tombstones: readonly OpenedManifest[], report: SweepReport): Promise<void> {
    if (tombstones.length === 0 || !this.#allowed) return;
    const confirmed = this.#faults.hasty ? tombstones : await this.#search.confirmedByAll(tombstones);
    for (const { manifest } of confirmed) await this.#deleteManifest(manifest.version, manifest.sequence, report);
  }

  // ---- versions of which only chunks are here

  async #sweepChunks(report: SweepReport): Promise<void> {
    const { storage, throttle, context } = this.#core;
    let waiting = new Map<VersionId, ChunkInfo[]>();
    let count = 0;
    for (const partition of await storage.listPartitions()) {
      let after: ChunkAddress | undefined;
      do {
        context.stopping.throwIfAborted();
        const page = await storage.listChunks(partition, after, limits.batchEntriesMax);
        after = page.next;
        if (page.items.length === 0) continue;
        await throttle.take(page.items.length * 100, context.stopping);
        for (const chunk of page.items) {
          const known = waiting.get(chunk.version);
          if (known) known.push(chunk);
          else waiting.set(chunk.version, [chunk]);
        }
        count += page.items.length;
        // One large file has as many chunks as a thousand small ones: both are bounds.
        if (waiting.size < limits.batchEntriesMax && count < limits.pullWindowChunks) continue;
        await this.#orphans(waiting, report);
        waiting = new Map();
        count = 0;
      } while (after !== undefined);
    }
    await this.#orphans(waiting, report);
  }

  async #orphans(chunks: ReadonlyMap<VersionId, readonly ChunkInfo[]>, report: SweepReport): Promise<void> {
    const versions: VersionId[] = [];
    for (const version of chunks.keys()) if (!(await this.#core.storage.getManifest(version))) versions.push(version);
    const fates = await this.#fates.gather(versions);
    for (const [version, fate] of fates) await this.#orphan(version, fate, chunks.get(version) ?? [], report);
  }

  async #orphan(version: VersionId, fate: Fate, chunks: readonly ChunkInfo[], report: SweepReport): Promise<void> {
    const hour = this.#core.servedHour;
    if (fate.kind === 'live') {
      report.live++;
      await this.#marks.remove(version);
    } else if (fate.kind === 'dead') {
      report.dead++;
      const { sequence } = fate.own.manifest;
      const mark = await this.#marks.get(version);
      if (!mark || mark.gone) await this.#marks.put(version, { sequence, hour, gone: false });
      else if (hour - mark.hour >= limits.deadHours) {
        await this.#deleteVersion(version, report);
        await this.#marks.remove(version);
      }
    } else if (fate.kind === 'none' || this.#faults.unknownIsDead) {
      const old = chunks.filter(({ servedHour }) => hour - servedHour >= limits.orphanHours);
      if (old.length > 0 && this.#allowed) await this.#deleteChunks(old, report);
    } else report.unknown++;
  }

  // ---- what goes

  async #deleteVersion(version: VersionId, report: SweepReport): Promise<void> {
    const { storage } = this.#core;
    while (this.#allowed) {
      const page = await storage.listVersion(version, 0, limits.chunkIndexMax + 1);
      if (page.length === 0) return;
      for (let at = 0; at < page.length && this.#allowed; at += limits.batchEntriesMax) {
        await this.#deleteChunks(page.slice(at, at + limits.batchEntriesMax), report);
      }
    }
  }

  async #deleteChunks(chunks: readonly ChunkAddress[], report: SweepReport): Promise<void> {
    await this.#core.storage.deleteChunks(chunks.map(({ version, index }) => ({ version, index })));
    await this.#core.notes.forget(chunks.map(({ version }) => version));
    report.chunksDeleted += chunks.length;
    this.chunksDeleted += chunks.length;
  }

  async #deleteManifest(version: VersionId, sequence: bigint, report: SweepReport): Promise<void> {
    if (!this.#allowed) return;
    await this.#marks.put(version, { sequence, hour: this.#core.servedHour, gone: true });
    await this.#core.storage.deleteManifests([version]);
    report.manifestsDeleted++;
  }

  async #forgetOldMarks(): Promise<void> {
    for (const version of await this.#marks.list()) {
      const mark = await this.#marks.get(version).catch((error: unknown) => {
        if (!isOperaError(error, 'integrity')) throw error;
        return undefined;
      });
      if (!mark || this.#core.servedHour - mark.hour < limits.tombstoneHours) continue;
      if (mark.gone || !(await this.#core.storage.getManifest(version))) await this.#marks.remove(version);
    }
  }
}

const emptyReport = (): SweepReport => ({ live: 0, dead: 0, unknown: 0, chunksDeleted: 0, manifestsDeleted: 0 });
