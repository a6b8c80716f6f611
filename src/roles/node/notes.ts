// Notes of catalogues: what it takes to open and index chunks before a manifest comes. The one place of a node that
// takes, keeps, gives and drops them. Invariant: a node that holds a chunk of a catalogue holds its note, durably, from
// before the chunk on; so every way by which a chunk comes to the node goes through `putSent` or `putCopied`. A note is
// dropped when no chunk of its version is left and none is on its way. Nothing here opens a note.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import type { Destination, Handler } from '../../client/transport.ts';
import { type Note, parseNote } from '../../crypto/note.ts';
import { parseHeader } from '../../crypto/sealing.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { readersOf } from '../../placement/coverage.ts';
import { partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkInfo, StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import type { RoleContext } from '../context.ts';
import type { NodeMemory } from './memory.ts';
import type { Throttle } from './throttle.ts';

/** Versions remembered as having a note or none, 100 bytes each; of others the store or a source is asked again. */
const knownMax = 100_000;
/** A note that nobody gave is asked for again after so long, whoever misses it meanwhile. */
const searchAgainMs = 10_000;

export interface NoteSeams {
  readonly context: RoleContext;
  readonly self: KeyHash;
  readonly storage: StorageAdapter;
  readonly memory: NodeMemory;
  readonly keys: Pick<KeyKeeper, 'hasKeys' | 'keyring'>;
  readonly throttle: Throttle;
  readonly destination: (node: KeyHash) => Destination;
}

/** A note that came with chunks, looked at. */
export interface SentNote extends Pick<Note, 'version' | 'wrapEpoch'> {
  readonly record: Uint8Array;
}

export class Notes {
  readonly #seams: NoteSeams;
  /** Whether a note of the version is kept here; false when a node that holds its chunks said that there is none. */
  readonly #known = new Map<VersionId, boolean>();
  /** How many puts of chunks of a version are under way. */
  readonly #arriving = new Map<VersionId, number>();
  readonly #leaving = new Map<VersionId, Promise<void>>();
  /** Versions to be looked at again when no put of them is under way. */
  readonly #lateLeavers = new Set<VersionId>();
  readonly #searches = new Map<VersionId, Promise<boolean>>();
  readonly #searchedMs = new Map<VersionId, number>();
  /** Versions whose note came under an older network key than the newest; whoever rewraps takes them out. */
  readonly old = new Set<VersionId>();

  constructor(seams: NoteSeams) {
    this.#seams = seams;
  }

  /** The sealed note; undefined when none is kept. */
  get(version: VersionId): Promise<Uint8Array | undefined> {
    return this.#seams.storage.getNote(version);
  }

  /** Notes of a message, each of another one of `versions`; `bad-request`, `integrity` or `wrong-network` if not. */
  check(records: readonly Uint8Array[] = [], versions: Iterable<VersionId>): SentNote[] {
    const open = new Set(records.length > 0 ? versions : []);
    return records.map((record) => {
      const note = this.#parse(record);
      if (!open.delete(note.version)) {
        throw new OperaError('bad-request', 'a note is sent once, and with chunks of its version');
      }
      return note;
    });
  }

  #parse(record: Uint8Array): SentNote {
    const { version, wrapEpoch, header } = parseNote(record);
    if (parseHeader(header).network !== this.#seams.context.networkId) throw new OperaError('wrong-network');
    return { version, wrapEpoch, record };
  }

  /** Makes the notes durable, then runs `put`, which stores chunks of their versions. */
  async putSent<T>(notes: readonly SentNote[], put: () => Promise<T>): Promise<T> {
    if (notes.length === 0) return put();
    return this.#during(
      notes.map(({ version }) => version),
      async () => {
        await Promise.all(notes.map((note) => this.#keep(note)));
        return put();
      },
    );
  }

  /**
   * Asks `source`, which gave chunks of these versions, for the notes that are not known here, then runs `put`. Rejects
   * without putting anything when the source does not answer: a chunk without its note is of no use to queries.
   */
  async putCopied<T>(
    source: KeyHash,
    versions: Iterable<VersionId>,
    put: () => Promise<T>,
    signal: AbortSignal = this.#seams.context.stopping,
  ): Promise<T> {
    const distinct = [...new Set(versions)];
    return this.#during(distinct, async () => {
      const unknown: VersionId[] = [];
      for (const version of distinct) if (!(await this.#isKnown(version))) unknown.push(version);
      await this.#fetch(source, unknown, signal);
      return put();
    });
  }

  /**
   * Looks for the note at the other owners of the version's chunks; true when it is here now. To be called for a
   * version that is known to be a catalogue's. It is asked for once at a time, and not again at once.
   */
  missing(version: VersionId): Promise<boolean> {
    const { clock, log } = this.#seams.context;
    const running = this.#searches.get(version);
    if (running) return running;
    if (clock.monotonicMs() < (this.#searchedMs.get(version) ?? 0) + searchAgainMs) return Promise.resolve(false);
    const search = this.#search(version)
      .catch((error: unknown) => {
        log.debug('note-not-found', { version, ...errorFacts(error) });
        return false;
      })
      .finally(() => this.#searches.delete(version));
    this.#searches.set(version, search);
    return search;
  }

  /**
   * Puts a note that `isGood` in the place of the one kept, from any other owner of the version's chunks; true when
   * there was one. The one kept stays otherwise: it is of no use, and takes no other's place.
   */
  async replace(version: VersionId, isGood: (record: Uint8Array) => boolean): Promise<boolean> {
    const { storage, context } = this.#seams;
    for (const owner of await this.#otherOwners(version)) {
      const [note] = await this.#ask(owner, [version], context.stopping).catch((error: unknown) => {
        if (isOperaError(error, 'aborted')) throw error;
        context.log.debug('note-unread', { from: owner, version, ...errorFacts(error) });
        return [];
      });
      if (!note || !isGood(note.record)) continue;
      if (!(await storage.replaceNote(version, note.record))) return false;
      this.#noteEpoch(note);
      return true;
    }
    return false;
  }

  /** Drops the notes of those versions of which no chunk is left. Chunks that are on their way keep theirs. */
  async forget(versions: Iterable<VersionId>): Promise<void> {
    for (const version of new Set(versions)) await this.#forget(version);
  }

  /** Drops what a crash or a refused write left: notes without any chunk. A copy set aside comes back to its note. */
  async sweep(): Promise<void> {
    const { storage, context } = this.#seams;
    if ((await storage.usage()).chunksAside > 0) return;
    for (let after: VersionId | undefined, more = true; more; ) {
      const page = await storage.listNotes(after, limits.batchEntriesMax);
      for (const version of page.items) {
        context.stopping.throwIfAborted();
        await this.#forget(version);
      }
      after = page.next;
      more = after !== undefined;
    }
  }

  /** Notes for a node that copied chunks of these versions: the first one always fits, the others as far as they do. */
  readonly read: Handler<'note.read'> = async ({ request }) => {
    const notes: (Uint8Array | null)[] = [];
    let bytes = 0;
    for (const version of request.versions) {
      const note = await this.get(version);
      bytes += (note?.length ?? 0) * 1.4 + 8;
      if (notes.length > 0 && bytes > limits.messageBytesMax / 2) return { answer: { notes, more: true } };
      notes.push(note ?? null);
    }
    return { answer: { notes } };
  };

  // ---- keeping

  async #keep(note: SentNote): Promise<void> {
    const { version, record } = note;
    if (this.#known.get(version) === true) return;
    await this.#seams.storage.putNote(version, record);
    this.#remember(version, true);
    this.#noteEpoch(note);
  }

  /** Looked at when it is kept: a rotation that comes later finds it in the store. */
  #noteEpoch({ version, wrapEpoch }: SentNote): void {
    const { keys } = this.#seams;
    if (keys.hasKeys && wrapEpoch < keys.keyring.newestEpoch) this.old.add(version);
  }

  async #isKnown(version: VersionId): Promise<boolean> {
    if (this.#known.has(version)) return true;
    if (!(await this.get(version))) return false;
    this.#remember(version, true);
    return true;
  }

  #remember(version: VersionId, kept: boolean): void {
    this.#known.delete(version);
    this.#known.set(version, kept);
    if (this.#known.size <= knownMax) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }

  /** Keeps what the source has of these notes, and remembers of which there is none. */
  async #fetch(source: KeyHash, versions: readonly VersionId[], signal: AbortSignal): Promise<void> {
    for (let at = 0; at < versions.length; ) {
      const asked = versions.slice(at, at + limits.ticketVersionsMax);
      const notes = await this.#ask(source, asked, signal);
      if (notes.length === 0) return;
      const found = notes.flatMap((note) => note ?? []);
      await this.#seams.throttle.take(
        found.reduce((sum, { record }) => sum + record.length, 0),
        signal,
      );
      await Promise.all(found.map((note) => this.#keep(note)));
      for (const [place, note] of notes.entries()) {
        const version = asked[place];
        if (!note && version !== undefined) this.#remember(version, false);
      }
      at += notes.length;
    }
  }

  /** The first of these notes, as many as fit an answer; undefined for those that the source has not. */
  async #ask(source: KeyHash, asked: readonly VersionId[], signal: AbortSignal): Promise<(SentNote | undefined)[]> {
    const { context, destination } = this.#seams;
    const { answer } = await context.transport
      .call(destination(source), 'note.read', { versions: [...asked] }, { signal })
      .catch((error: unknown) => {
        // An older program has no notes; it is asked again after it was replaced.
        if (isOperaError(error, 'not-found')) return { answer: undefined };
        throw error;
      });
    if (!answer) return [];
    const { notes, more = false } = answer;
    const isPart = more && notes.length > 0 && notes.length < asked.length;
    if (notes.length !== asked.length && !isPart) throw new OperaError('integrity', 'a node answered another question');
    return notes.map((record, place) => (record ? this.#answered(record, asked[place]) : undefined));
  }

  #answered(record: Uint8Array, asked: VersionId | undefined): SentNote {
    const note = this.#parse(record);
    if (note.version !== asked) throw new OperaError('integrity', 'a node gave the note of another version');
    return note;
  }

  async #search(version: VersionId): Promise<boolean> {
    const { context } = this.#seams;
    return this.#during([version], async () => {
      if (await this.get(version)) return true;
      const owners = await this.#otherOwners(version);
      if (owners.length === 0) return false;
      for (const owner of owners) {
        try {
          await this.#fetch(owner, [version], context.stopping);
        } catch (error) {
          if (isOperaError(error, 'aborted')) throw error;
          context.log.debug('note-unread', { from: owner, version, ...errorFacts(error) });
        }
        if (this.#known.get(version) === true) return true;
      }
      this.#searchedMs.set(version, context.clock.monotonicMs());
      if (this.#searchedMs.size > knownMax) this.#searchedMs.clear();
      return false;
    });
  }

  /** Who else should have a note, likeliest first: owners of some chunks that are here; nobody when there are none. */
  async #otherOwners(version: VersionId): Promise<KeyHash[]> {
    const { memory, self } = this.#seams;
    const held = await this.#firstChunks(version);
    if (held.length === 0) return [];
    const newestFirst = memory.state.layouts.map(({ layout }) => layout).reverse();
    const partitions = [partitionOf(version, 0), ...held.map(({ partition }) => partition)];
    const owners = partitions.flatMap((partition) => readersOf(newestFirst, partition));
    return [...new Set(owners)].filter((owner) => owner !== self);
  }

  // ---- chunks that come and go

  /** Runs `work`, during which no note of these versions is dropped. */
  async #during<T>(versions: readonly VersionId[], work: () => Promise<T>): Promise<T> {
    while (versions.some((version) => this.#leaving.has(version))) {
      for (const version of versions) await this.#leaving.get(version)?.catch(() => undefined);
    }
    for (const version of versions) this.#arriving.set(version, (this.#arriving.get(version) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const version of versions) this.#arrived(version);
    }
  }

  #arrived(version: VersionId): void {
    const left = (this.#arriving.get(version) ?? 0) - 1;
    if (left > 0) {
      this.#arriving.set(version, left);
      return;
    }
    this.#arriving.delete(version);
    if (!this.#lateLeavers.delete(version)) return;
    const { log } = this.#seams.context;
    // What fails here is found by the next sweep.
    this.#forget(version).catch((error: unknown) => log.debug('note-not-dropped', { version, ...errorFacts(error) }));
  }

  async #forget(version: VersionId): Promise<void> {
    // One that is under way may have looked before the last chunk went.
    for (let running = this.#leaving.get(version); running; running = this.#leaving.get(version)) {
      await running.catch(() => undefined);
    }
    if (this.#known.get(version) === false) return;
    if (this.#arriving.has(version)) {
      this.#lateLeavers.add(version);
      return;
    }
    const leaving = this.#drop(version).finally(() => this.#leaving.delete(version));
    this.#leaving.set(version, leaving);
    return leaving;
  }

  async #drop(version: VersionId): Promise<void> {
    const { storage } = this.#seams;
    if (!(await this.get(version)) || (await this.#firstChunks(version)).length > 0) return;
    this.#known.delete(version);
    await storage.deleteNote(version);
  }

  /** Some chunks of a version that are held; none when there are none. */
  async #firstChunks(version: VersionId): Promise<ChunkInfo[]> {
    const { storage } = this.#seams;
    // A large catalogue has one among its first chunks nearly always: the rest is not listed for nothing.
    const first = await storage.listVersion(version, 0, 64);
    const found = first.length > 0 ? first : await storage.listVersion(version, 64, limits.chunkIndexMax + 1);
    return found.slice(0, 3);
  }
}
