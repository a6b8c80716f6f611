// Which manifests of this store are of a name, without opening all of them for each question. Built when it is first
// asked for, kept up to date by every write of manifests through `watch`. An entry is a hint: what it names is read
// and opened again, and stale entries fall out then. About 120 bytes a manifest: 120 MB for a million.
import { createHash } from 'node:crypto';
import { limits } from '../../model/limits.ts';
import type { VersionId } from '../../model/ids.ts';
import type { StorageAdapter, StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import type { NodeCore } from './core.ts';
import { type OpenedManifest, openStored } from './manifest-facts.ts';
import { watchedStore } from './watched-store.ts';

/** 48 bits of a hash: numbers take little room in a map, and what collides is told apart when it is opened. */
const keyOfName = (name: string): number => createHash('sha256').update(name, 'utf8').digest().readUIntBE(0, 6);

export class NameIndex {
  readonly #core: Pick<NodeCore, 'context' | 'keys'>;
  readonly #storage: StorageAdapter;
  readonly #slack: number;
  readonly #versions = new Map<number, VersionId | readonly VersionId[]>();
  /** Manifests whose key is not held yet, or that do not open: any name may be theirs. */
  readonly #unopened = new Set<VersionId>();
  #built: Promise<void> | undefined;
  /** Manifests noted since it was begun, and how many there were when it was built. */
  #noted = 0;
  #builtWith = Number.POSITIVE_INFINITY;

  /** `slack` is how many manifests more than twice those it was built with are noted before it is built anew. */
  constructor(
    core: Pick<NodeCore, 'context' | 'keys'>,
    storage: StorageAdapter,
    slack: number = limits.nameIndexSlack,
  ) {
    this.#core = core;
    this.#storage = storage;
    this.#slack = slack;
  }

  /** Names known now. */
  get size(): number {
    return this.#versions.size;
  }

  /** The store, whose writes of manifests are noted here. */
  watch(): StorageAdapter {
    const note = (manifests: readonly StoredManifest[]): void => {
      if (!this.#built) return;
      for (const manifest of manifests) this.#note(manifest);
      // What was deleted since stays listed until its name is asked for: a store that lives long is listed anew.
      if (this.#noted > 2 * this.#builtWith + this.#slack) this.#forget();
    };
    const putManifests = (manifests: unknown): void => note(manifests as readonly StoredManifest[]);
    return watchedStore(this.#storage, { after: { putManifests } });
  }

  /** Manifests of a name, opened; `whole` is false when some manifest here cannot be opened. */
  async find(name: string): Promise<{ readonly found: readonly OpenedManifest[]; readonly whole: boolean }> {
    for (;;) {
      const built = (this.#built ??= this.#build().catch((error: unknown) => {
        // A store that could not be read once may be read the next time.
        this.#forget();
        throw error;
      }));
      await built;
      await this.#retryUnopened();
      const answer = await this.#lookUp(name);
      // Forgotten meanwhile: what was looked up may have been half of it.
      if (this.#built === built) return answer;
    }
  }

  async #lookUp(name: string): Promise<{ readonly found: readonly OpenedManifest[]; readonly whole: boolean }> {
    const key = keyOfName(name);
    const listed = [this.#versions.get(key) ?? []].flat();
    const found: OpenedManifest[] = [];
    for (const version of listed) {
      const stored = await this.#storage.getManifest(version);
      const opened = stored && this.#open(stored);
      if (opened?.content.name === name) found.push(opened);
    }
    const versions = found.map(({ manifest }) => manifest.version);
    if (found.length < listed.length) this.#keep(key, versions, listed);
    return { found, whole: this.#unopened.size === 0 };
  }

  /** Drops what was not found; what was noted meanwhile stays. */
  #keep(key: number, found: readonly VersionId[], listed: readonly VersionId[]): void {
    const added = [this.#versions.get(key) ?? []].flat().filter((version) => !listed.includes(version));
    const kept = [...found, ...added];
    if (kept.length === 0) this.#versions.delete(key);
    else this.#versions.set(key, kept);
  }

  #forget(): void {
    this.#built = undefined;
    this.#noted = 0;
    this.#builtWith = Number.POSITIVE_INFINITY;
    this.#versions.clear();
    this.#unopened.clear();
  }

  async #build(): Promise<void> {
    for (const partition of await this.#storage.listPartitions()) {
      let after: VersionId | undefined;
      do {
        const page = await this.#storage.listManifests(partition, after, limits.sweepPageManifests);
        for (const stored of page.items) this.#note(stored);
        after = page.next;
      } while (after !== undefined);
    }
    this.#builtWith = this.#noted;
  }

  async #retryUnopened(): Promise<void> {
    for (const version of [...this.#unopened].slice(0, limits.batchEntriesMax)) {
      const stored = await this.#storage.getManifest(version);
      this.#unopened.delete(version);
      if (stored) this.#note(stored);
    }
  }

  #open(stored: StoredManifest): OpenedManifest | undefined {
    try {
      return openStored(this.#core, stored);
    } catch {
      return undefined;
    }
  }

  #note(stored: StoredManifest): void {
    this.#noted += 1;
    const opened = this.#open(stored);
    if (!opened) {
      this.#unopened.add(stored.version);
      return;
    }
    const key = keyOfName(opened.content.name);
    const known = this.#versions.get(key);
    if (known === undefined) this.#versions.set(key, stored.version);
    else if (![known].flat().includes(stored.version)) this.#versions.set(key, [known, stored.version].flat());
  }
}
