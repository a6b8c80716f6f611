// Reading back what is stored, all of it, over and over at a bounded rate: disks lose bits that nobody reads. No key is
// needed, because the hash of each sealed chunk stands beside it. An altered copy is set aside and fetched again from
// another owner at once; readers that meet one report it here and are not kept waiting. Manifests are checked by their
// signatures, notes of catalogues by opening them, the database itself by SQLite's own check. Kept: a cursor a page,
// and when a pass began, so that "last verified" of any chunk is known without a note for each.
import * as v from 'valibot';
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { parseManifest } from '../../crypto/manifest.ts';
import { parseNote } from '../../crypto/note.ts';
import { isOperaError, type OperaError } from '../../errors/errors.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { readersOf } from '../../placement/coverage.ts';
import { partitionCount } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkAddress, ChunkInfo, StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import { formatJson, parseJson } from '../../wire/json.ts';
import { integer, milliseconds, parseWith } from '../../wire/schema.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import { fetchChunk } from './fetch-chunk.ts';
import { openShown } from './manifest-facts.ts';
import { isBeyond, openNoteKeys } from './note-keys.ts';
import { manifestToStore } from './serve.ts';
import { newestLayout } from './state.ts';

const stateKey = 'scrub';
const storedCursor = v.object({
  version: v.literal(1),
  /** The next partition of the pass under way. */
  partition: integer(0, partitionCount),
  passStartedMs: milliseconds,
  /** When the pass before began; 0 when none was finished. */
  passBeforeMs: milliseconds,
});
type Cursor = Omit<v.InferOutput<typeof storedCursor>, 'version'>;

export interface ScrubFaults {
  /** Takes every copy for good. */
  readonly trusting?: boolean;
}

export class Scrub {
  readonly #core: NodeCore;
  readonly #faults: ScrubFaults;
  /** Altered copies that reads met, still to be looked at. */
  readonly #reported = new Map<string, ChunkAddress>();
  readonly #reportedNotes = new Set<VersionId>();
  #cursor: Cursor = { partition: 0, passStartedMs: 0, passBeforeMs: 0 };
  #loaded = false;
  #savedMs = Number.NEGATIVE_INFINITY;
  readonly #beganMs: number;
  #checkedMs: number;
  #running = false;
  /** Since the process began. */
  verified = 0;
  altered = 0;
  repaired = 0;
  /** Sentences about damage of the database; a restart begins a blank store beside the damaged one. */
  damage: readonly string[] = [];

  constructor(core: NodeCore, faults: ScrubFaults = {}) {
    this.#core = core;
    this.#faults = faults;
    this.#beganMs = core.context.clock.monotonicMs();
    this.#checkedMs = this.#beganMs;
  }

  /** A read found this copy altered, or could not read it at all. */
  report(address: ChunkAddress): void {
    if (this.#reported.size < limits.batchEntriesMax) {
      const { version, index } = address;
      this.#reported.set(`${version}/${index}`, { version, index });
    }
  }

  /** The note of a catalogue did not open. */
  reportNote(version: VersionId): void {
    if (this.#reportedNotes.size < limits.batchEntriesMax) this.#reportedNotes.add(version);
  }

  /** When a chunk was last seen to be whole: read back, or written. */
  async verifiedMs({ partition, storedAtMs }: ChunkInfo): Promise<number> {
    await this.#load();
    const { partition: next, passStartedMs, passBeforeMs } = this.#cursor;
    return Math.max(storedAtMs, partition < next ? passStartedMs : passBeforeMs);
  }

  /** Repairs what reads reported, then goes on a little with the pass under way. */
  async round(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      await this.#load();
      await this.#repairReported();
      await this.#checkDatabase();
      const { clock } = this.#core.context;
      if (clock.monotonicMs() - this.#beganMs < limits.scrubFirstMs) return;
      const resting = this.#cursor.partition === 0 && clock.nowMs() - this.#cursor.passBeforeMs < limits.scrubPassMs;
      if (resting) return;
      const used = await this.#core.storage.listPartitions();
      for (let bytes = 0; bytes < limits.scrubBytesPerRound; ) {
        bytes += await this.#partition(this.#cursor.partition);
        if (await this.#advance(used)) return;
      }
    } finally {
      this.#running = false;
    }
  }

  /** The next partition to be read back; 0 between passes. */
  get position(): number {
    return this.#cursor.partition;
  }

  /** One whole pass at once, from the beginning. */
  async pass(): Promise<void> {
    const { context, storage } = this.#core;
    while (this.#running) await context.clock.sleep(limits.retryBaseMs, { signal: context.stopping });
    this.#running = true;
    try {
      await this.#load();
      await this.#repairReported();
      this.#cursor = { ...this.#cursor, partition: 0 };
      const used = await storage.listPartitions();
      do await this.#partition(this.#cursor.partition);
      while (!(await this.#advance(used)));
    } finally {
      this.#running = false;
    }
  }

  /** Moves the cursor on to the next partition in use; true when there is none, which ends the pass. */
  async #advance(used: readonly number[]): Promise<boolean> {
    const { clock } = this.#core.context;
    const { partition, passStartedMs } = this.#cursor;
    const started = partition === 0 ? clock.nowMs() : passStartedMs;
    const next = used.find((candidate) => candidate > partition);
    const ended = next === undefined;
    // They are of no partition: a pass ends with them.
    if (ended) await this.#notes();
    this.#cursor = ended
      ? { partition: 0, passStartedMs: 0, passBeforeMs: started }
      : { ...this.#cursor, partition: next, passStartedMs: started };
    if (ended) this.#core.context.log.info('scrubbed', { verified: this.verified, altered: this.altered });
    if (ended || clock.monotonicMs() - this.#savedMs >= limits.scrubSaveMs) await this.#save();
    return ended;
  }

  async #load(): Promise<void> {
    if (this.#loaded) return;
    const stored = await this.#core.storage.getState(stateKey);
    this.#loaded = true;
    if (!stored) return;
    try {
      this.#cursor = parseWith(storedCursor, parseJson(Buffer.from(stored).toString('utf8')));
    } catch (error) {
      // It only says where to go on.
      this.#core.context.log.warn('scrub-cursor-unread', errorFacts(error));
    }
  }

  async #save(): Promise<void> {
    const { storage, context } = this.#core;
    this.#savedMs = context.clock.monotonicMs();
    const { partition, passStartedMs, passBeforeMs } = this.#cursor;
    const text = formatJson({ version: 1, partition, passStartedMs, passBeforeMs });
    await storage.putState(stateKey, Buffer.from(text, 'utf8')).catch((error: unknown) => {
      if (!isOperaError(error, 'no-space', 'read-only')) throw error;
    });
  }

  /** Reads back everything in one partition; answers how many bytes that were. */
  async #partition(partition: number): Promise<number> {
    const { storage, context } = this.#core;
    let bytes = 0;
    for (let after: ChunkAddress | undefined; ; ) {
      const page = await storage.listChunks(partition, after, limits.batchEntriesMax);
      for (const info of page.items) {
        context.stopping.throwIfAborted();
        bytes += info.length;
        await this.#verify(info);
      }
      if (!page.next) break;
      after = page.next;
    }
    for (let after: VersionId | undefined; ; ) {
      const page = await storage.listManifests(partition, after, limits.sweepPageManifests);
      for (const stored of page.items) {
        bytes += stored.record.length;
        await this.#verifyManifest(stored);
      }
      if (!page.next) break;
      after = page.next;
    }
    return bytes;
  }

  async #verify(info: ChunkInfo): Promise<void> {
    const { throttle, context } = this.#core;
    await throttle.take(info.length, context.stopping);
    if (this.#faults.trusting || (await this.#isWhole(info))) this.verified++;
    else await this.#replace(info);
  }

  /** True for a copy that matches its hash, and for one that is gone meanwhile. */
  async #isWhole(address: ChunkAddress): Promise<boolean> {
    try {
      const found = await this.#core.storage.getChunk(address);
      return !found || equalBytes(sha256(found.body), found.info.hash);
    } catch (error) {
      if (isOperaError(error, 'integrity')) return false;
      throw error;
    }
  }

  /** Sets the altered copy aside, then takes a good one from any owner that has it. */
  async #replace(info: ChunkInfo): Promise<void> {
    const { storage, context, memory, barrier, self, notes } = this.#core;
    const { version, index, partition, hash, servedHour } = info;
    // A second look, because memory and controllers err too: what is whole now is left alone.
    if (await this.#isWhole(info)) return;
    if (!(await storage.setAside(info, hash))) return;
    this.altered++;
    context.log.error('chunk-set-aside', { version, index, bytes: info.length });
    const newestFirst = memory.state.layouts.map(({ layout }) => layout).reverse();
    for (const owner of readersOf(newestFirst, partition)) {
      if (owner === self) continue;
      const body = await fetchChunk(this.#core, owner, info);
      if (!body) continue;
      await notes.putCopied(owner, [version], () => {
        // Taken anew: what was listed while it was aside did not name it.
        const layoutNumber = newestLayout(memory.state)?.number ?? 0;
        const write = { version, index, partition, hash, body, servedHour, layoutNumber };
        return barrier.run(layoutNumber, () => storage.putChunks([write]));
      });
      this.repaired++;
      context.log.info('chunk-repaired', { version, index, from: owner });
      return;
    }
    // Anti-entropy pulls it as soon as an owner that has it answers.
    context.log.error('chunk-without-copy', { version, index });
  }

  async #repairReported(): Promise<void> {
    for (const [key, address] of this.#reported) {
      this.#reported.delete(key);
      const { version, index } = address;
      const [info] = await this.#core.storage.listVersion(version, index, index + 1);
      if (info) await this.#verify(info);
    }
    for (const version of this.#reportedNotes) {
      this.#reportedNotes.delete(version);
      await this.#verifyNote(version);
    }
  }

  /** Reads back the notes of catalogues, all of them. */
  async #notes(): Promise<void> {
    const { storage, context } = this.#core;
    for (let after: VersionId | undefined, more = true; more; ) {
      const page = await storage.listNotes(after, limits.batchEntriesMax);
      for (const version of page.items) {
        context.stopping.throwIfAborted();
        await this.#verifyNote(version);
      }
      after = page.next;
      more = after !== undefined;
    }
  }

  async #verifyNote(version: VersionId): Promise<void> {
    const { throttle, context, notes } = this.#core;
    const record = await notes.get(version);
    await throttle.take(record?.length ?? 0, context.stopping);
    if (!record || this.#faults.trusting) return;
    const fault = this.#noteFault(version, record);
    if (!fault) return;
    if (fault.code !== 'unknown-key') {
      this.altered++;
      context.log.error('note-altered', { version });
    }
    if (await notes.replace(version, (other) => this.#noteFault(version, other) === undefined)) {
      // A copy that opens shows that no key is missing.
      if (fault.code === 'unknown-key') this.altered++;
      this.repaired++;
      context.log.info('note-repaired', { version });
    } else if (fault.code === 'unknown-key') context.log.warn('note-unopened', { version, ...errorFacts(fault) });
    else context.log.error('note-without-copy', { version });
  }

  /** What is wrong with a note, or odd: `unknown-key` beyond all keys. Another key that is not held says nothing. */
  #noteFault(version: VersionId, record: Uint8Array): OperaError | undefined {
    const { keys, context } = this.#core;
    try {
      if (keys.hasKeys) openNoteKeys(keys.keyring, context.networkId, version, record);
      return undefined;
    } catch (error) {
      if (isOperaError(error, 'integrity', 'wrong-network')) return error;
      if (!isOperaError(error, 'unknown-key')) return undefined;
      return isBeyond(keys.keyring, parseNote(record).wrapEpoch) ? error : undefined;
    }
  }

  async #verifyManifest(stored: StoredManifest): Promise<void> {
    const { context, memory, self, storage, keys } = this.#core;
    const { version, sequence } = stored;
    let odd = false;
    try {
      openShown(this.#core, { bytes: stored.record, signerSpki: stored.signerSpki });
      return;
    } catch (error) {
      // A key that is not held says nothing about the record; one beyond all that are known may be bits that turned.
      odd = isOperaError(error, 'unknown-key') && isBeyond(keys.keyring, parseManifest(stored.record).wrapEpoch);
      if (!odd && !isOperaError(error, 'integrity', 'bad-request', 'wrong-network')) return;
      if (odd) context.log.warn('manifest-unopened', { version, ...errorFacts(error) });
    }
    if (!odd) {
      this.altered++;
      context.log.error('manifest-altered', { version });
    }
    const newestFirst = memory.state.layouts.map(({ layout }) => layout).reverse();
    for (const owner of readersOf(newestFirst, stored.partition)) {
      const good = owner === self ? undefined : await this.#fetchManifest(owner, version);
      if (!good || good.sequence < sequence) continue;
      // Only with a good one in hand: the altered one has the same order and would be kept.
      await storage.deleteManifests([version]);
      await storage.putManifests([good]);
      if (odd) this.altered++;
      this.repaired++;
      return;
    }
  }

  async #fetchManifest(owner: KeyHash, version: VersionId) {
    const { context } = this.#core;
    try {
      const to = destinationOfNode(this.#core, owner);
      const options = { signal: context.stopping };
      const { answer } = await context.transport.call(to, 'manifest.read', { versions: [version] }, options);
      const shown = answer.manifests[0];
      if (!shown || openShown(this.#core, shown).manifest.version !== version) return undefined;
      return manifestToStore(this.#core, shown.bytes, shown.signerSpki);
    } catch (error) {
      context.log.debug('manifest-unread', { from: owner, ...errorFacts(error) });
      return undefined;
    }
  }

  async #checkDatabase(): Promise<void> {
    const { clock, log } = this.#core.context;
    if (this.damage.length > 0 || clock.monotonicMs() - this.#checkedMs < limits.scrubPassMs) return;
    this.#checkedMs = clock.monotonicMs();
    this.damage = await this.#core.storage.findDamage();
    if (this.damage.length > 0) log.error('store-damaged', { first: this.damage[0] ?? '' });
  }
}
