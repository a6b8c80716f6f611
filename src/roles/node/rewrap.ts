// After a rotation of the network key: a node gives the manifests and notes it holds wraps under the newest epoch, a
// batch at a time, behind clients. The store itself says which manifests are left, so that a node that was killed, or
// away during the rotation, goes on where things stand, and manifests that come late under an older key are found too.
// Notes are few: a process walks through them once for each epoch, and is told of those that come late.
// Invariant: all copies of a manifest get equal wraps, for the nonce follows from key and content; so the digests by
// which owners compare (sequence, wrap epoch) agree again when all have done it. Nothing signed is touched.
// The key of a node's index over star systems is sealed anew by the indexer.
import { replaceWrap } from '../../crypto/manifest.ts';
import { parseNote, replaceNoteWrap } from '../../crypto/note.ts';
import { rewrapFileKey, wrapBytes } from '../../crypto/wrap.ts';
import { isOperaError, toOperaError } from '../../errors/errors.ts';
import type { VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { ManifestWrite, StoredManifest, WrapPosition } from '../../storage-adapters/storage-adapter.ts';
import type { RequestOf } from '../../wire/routes.ts';
import type { NodeCore } from './core.ts';

export type WrapProgress = NonNullable<RequestOf<'node.heartbeat'>['wraps']>;

export class Rewrapper {
  readonly #core: NodeCore;
  readonly #rewrap: typeof rewrapFileKey;
  #progress: WrapProgress = { epoch: 0, below: 0 };
  /** Versions whose notes are under older keys, or could not be read. */
  readonly #oldNotes = new Set<VersionId>();
  /** The epoch that all notes were compared with. */
  #notesEpoch = 0;
  /** Since the process began. */
  rewrapped = 0;

  /** `rewrap` makes the new wrap; tests pass a broken one, to see that they notice. */
  constructor(core: NodeCore, rewrap: typeof rewrapFileKey = rewrapFileKey) {
    this.#core = core;
    this.#rewrap = rewrap;
  }

  /** The epoch this node works with, and how many of its manifests and notes are still under older ones. */
  get progress(): WrapProgress {
    return this.#progress;
  }

  /** Looks for manifests and notes under older keys and rewraps them all; one that cannot be opened is passed over. */
  async round(): Promise<void> {
    const { keys } = this.#core;
    if (!keys.hasKeys) return;
    const epoch = keys.keyring.newestEpoch;
    await this.#findNotes(epoch);
    await this.#count(epoch);
    if (this.#progress.below === 0) return;
    await this.#rewrapManifests(epoch);
    await this.#rewrapNotes(epoch);
    await this.#count(epoch);
  }

  async #count(epoch: number): Promise<void> {
    const manifests = await this.#core.storage.countManifestsBelow(epoch);
    this.#progress = { epoch, below: manifests + this.#oldNotes.size };
  }

  /** `count` are done: shown at once, and counted anew at the end of the round. */
  #done(count: number): void {
    const { epoch, below } = this.#progress;
    this.#progress = { epoch, below: Math.max(0, below - count) };
    this.rewrapped += count;
  }

  // ---- manifests

  async #rewrapManifests(epoch: number): Promise<void> {
    const { storage, context, throttle } = this.#core;
    // Bodies of catalogues are long: the first page is small, and later ones follow the size of the one before.
    let limit = limits.rewrapBatch / 10;
    for (let after: WrapPosition | undefined; ; ) {
      const { items, next } = await storage.listManifestsBelow(epoch, after, limit);
      const bytes = items.reduce((sum, { record }) => sum + record.length, 0);
      await throttle.take(bytes, context.stopping);
      await this.#put(items.flatMap((manifest) => this.#rewrapped(manifest, epoch) ?? []));
      if (next === undefined) break;
      after = next;
      limit = bytes > limits.batchBytesMax ? 1 : Math.min(limits.rewrapBatch, limit * 2);
      await context.clock.sleep(limits.rewrapPauseMs, { signal: context.stopping, unref: true });
    }
  }

  async #put(manifests: readonly ManifestWrite[]): Promise<void> {
    if (manifests.length === 0) return;
    // A newer manifest of the version that came meanwhile stays: to the store this one is stale then.
    await this.#core.storage.putManifests(manifests);
    this.#done(manifests.length);
  }

  #rewrapped(manifest: StoredManifest, wrapEpoch: number): ManifestWrite | undefined {
    const { keys, context } = this.#core;
    const { version, record } = manifest;
    try {
      const wrap = this.#rewrap(keys.keyring, context.networkId, version, record.slice(-wrapBytes));
      return { ...manifest, wrapEpoch, record: replaceWrap(record, wrap) };
    } catch (error) {
      context.log.error('wrap-unopened', { version, code: toOperaError(error).code });
      return undefined;
    }
  }

  // ---- notes

  /** Which notes are under older keys: all of them are looked at once for each epoch, later those that came since. */
  async #findNotes(epoch: number): Promise<void> {
    const { storage, context, throttle, notes } = this.#core;
    for (let after: VersionId | undefined; this.#notesEpoch < epoch; ) {
      const { items, next } = await storage.listNotes(after, limits.rewrapBatch);
      for (const version of items) {
        const record = await notes.get(version);
        await throttle.take(record?.length ?? 0, context.stopping);
        if (record && noteEpochOf(record) < epoch) this.#oldNotes.add(version);
      }
      if (next === undefined) this.#notesEpoch = epoch;
      else await context.clock.sleep(limits.rewrapPauseMs, { signal: context.stopping, unref: true });
      after = next;
    }
    for (const version of notes.old) this.#oldNotes.add(version);
    notes.old.clear();
  }

  async #rewrapNotes(epoch: number): Promise<void> {
    const { context } = this.#core;
    const versions = [...this.#oldNotes];
    for (let at = 0; at < versions.length; at += limits.rewrapBatch) {
      if (at > 0) await context.clock.sleep(limits.rewrapPauseMs, { signal: context.stopping, unref: true });
      // Together, because writes of one moment share an fsync.
      await Promise.all(versions.slice(at, at + limits.rewrapBatch).map((version) => this.#rewrapNote(version, epoch)));
    }
  }

  async #rewrapNote(version: VersionId, epoch: number): Promise<void> {
    const { notes, storage, throttle, context } = this.#core;
    const record = await notes.get(version);
    if (record && noteEpochOf(record) < epoch) {
      await throttle.take(record.length, context.stopping);
      const rewrapped = this.#rewrappedNote(version, record);
      if (!rewrapped) return;
      // Dropped meanwhile it is not kept again.
      if (await storage.replaceNote(version, rewrapped)) this.#done(1);
    }
    this.#oldNotes.delete(version);
  }

  #rewrappedNote(version: VersionId, record: Uint8Array): Uint8Array | undefined {
    const { keys, context } = this.#core;
    try {
      const { wrap } = parseNote(record);
      return replaceNoteWrap(record, this.#rewrap(keys.keyring, context.networkId, version, wrap));
    } catch (error) {
      context.log.error('wrap-unopened', { version, code: toOperaError(error).code });
      return undefined;
    }
  }
}

/** 0 for one that cannot be read: it is counted until somebody replaces it. */
const noteEpochOf = (record: Uint8Array): number => {
  try {
    return parseNote(record).wrapEpoch;
  } catch (error) {
    if (!isOperaError(error)) throw error;
    return 0;
  }
};
