// What this node found out about dead versions, durably: since which served hour it knows, and by which evidence. A
// mark outlives the manifest it is about, so that anti-entropy does not bring back what was rightly dropped.
// State records `dead/<version>`; docs/formats.md.
import * as v from 'valibot';
import { OperaError } from '../../errors/errors.ts';
import type { VersionId } from '../../model/ids.ts';
import { parseVersionId } from '../../model/ids.ts';
import type { StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import { formatJson, parseJson } from '../../wire/json.ts';
import { bytes, parseWith, u32, u64 } from '../../wire/schema.ts';

const prefix = 'dead/';

const storedMark = v.object({
  version: v.literal(1),
  /** Of the version's own manifest when it was judged. */
  sequence: u64,
  /** Served hour at which this node knew first; once `gone`, at which the manifest went. */
  hour: u32,
  evidence: v.optional(v.object({ bytes: bytes(240, 1024 * 1024), signerSpki: bytes(91) })),
  gone: v.boolean(),
});
type StoredMark = v.InferOutput<typeof storedMark>;
export type DeadMark = Omit<StoredMark, 'version'>;

export class DeadMarks {
  readonly #storage: StorageAdapter;
  #versions: Promise<Set<VersionId>> | undefined;

  constructor(storage: StorageAdapter) {
    this.#storage = storage;
  }

  async list(): Promise<readonly VersionId[]> {
    return [...(await this.#known())];
  }

  async get(version: VersionId): Promise<DeadMark | undefined> {
    if (!(await this.#known()).has(version)) return undefined;
    const stored = await this.#storage.getState(prefix + version);
    if (!stored) return undefined;
    try {
      const { version: _, ...mark } = parseWith(storedMark, parseJson(Buffer.from(stored).toString('utf8')));
      return mark;
    } catch (cause) {
      throw new OperaError('integrity', 'a mark of a dead version cannot be read', { cause });
    }
  }

  async put(version: VersionId, mark: DeadMark): Promise<void> {
    const known = await this.#known();
    await this.#storage.putState(prefix + version, Buffer.from(formatJson({ version: 1, ...mark }), 'utf8'));
    known.add(version);
  }

  async remove(version: VersionId): Promise<void> {
    const known = await this.#known();
    if (!known.has(version)) return;
    await this.#storage.deleteState(prefix + version);
    known.delete(version);
  }

  #known(): Promise<Set<VersionId>> {
    this.#versions ??= this.#storage
      .listState(prefix)
      .then((keys) => new Set(keys.map((key) => parseVersionId(key.slice(prefix.length)))))
      .catch((error: unknown) => {
        // A store that could not be read once may be read the next time.
        this.#versions = undefined;
        throw error;
      });
    return this.#versions;
  }
}
