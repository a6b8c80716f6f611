// Copies that the newest layout gives to others. A node drops one only when that layout is the only one left, tickets
// of the older ones have ended, the leader says that deleting is safe, and every owner of it confirmed the very hash.
// An owner that lacks a chunk of a live version is given it; whatever is not confirmed is kept and asked again later.
import type { Handler, Handlers } from '../../client/transport.ts';
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { hasBit, setBit } from '../../model/bits.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { type Layout, ownersOf } from '../../placement/layout.ts';
import { partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkInfo, ChunkWrite, StoredManifest } from '../../storage-adapters/storage-adapter.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { acknowledgedLayout, destinationOfNode, mayDelete, type NodeCore } from './core.ts';
import { signedByMaster } from './pull-copies.ts';
import { readManifests } from './read-manifests.ts';
import { admitWrite, newestLayout, type NodeState } from './state.ts';

/** The rules a former owner goes by; tests pass broken ones, to see that they notice. */
export interface FormerRules {
  /** The layout that alone is in force; undefined while an older one is not retired. */
  readonly settledLayout: (state: NodeState) => Layout | undefined;
  readonly isConfirmed: (confirmed: ReadonlySet<KeyHash>, owners: readonly KeyHash[]) => boolean;
  /** So long after retirement was learned; two lives of a ticket. */
  readonly waitMs: number;
}

const rulesOfDesign: FormerRules = {
  settledLayout: (state) => {
    const newest = newestLayout(state);
    return newest && state.layouts.length === 1 && state.retiredUpTo === newest.number - 1 ? newest : undefined;
  },
  isConfirmed: (confirmed, owners) => owners.length > 0 && owners.every((owner) => confirmed.has(owner)),
  waitMs: 2 * limits.ticketLifeMs,
};

interface Batch {
  readonly chunks: ChunkInfo[];
  readonly manifests: StoredManifest[];
}

/** What owners said of the items of a batch, by their places in it. */
interface Confirmations {
  readonly chunks: readonly Set<KeyHash>[];
  readonly manifests: readonly Set<KeyHash>[];
}

const bitsOf = (values: readonly boolean[]): Uint8Array => {
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (const [at, value] of values.entries()) if (value) setBit(bits, at);
  return bits;
};

export class FormerOwner {
  readonly #core: NodeCore;
  readonly #rules: FormerRules;
  /** When this process first saw the layout alone in force; a restart waits anew. */
  #settled: { readonly number: number; readonly sinceMs: number } | undefined;
  /** Partitions of others in which something was left; undefined before the first pass. */
  #left: { readonly number: number; partitions: readonly number[] } | undefined;
  /** Copies dropped since the process began. */
  dropped = 0;

  constructor(core: NodeCore, rules: Partial<FormerRules> = {}) {
    this.#core = core;
    this.#rules = { ...rulesOfDesign, ...rules };
  }

  /** One pass over what others own now. */
  async round(): Promise<void> {
    const layout = this.#dueLayout();
    if (!layout) return;
    const { self } = this.#core;
    if (this.#left?.number !== layout.number) {
      const partitions = Array.from({ length: layout.owners.length / layout.copies }, (_, at) => at);
      const foreign = partitions.filter((partition) => !ownersOf(layout, partition).includes(self));
      this.#left = { number: layout.number, partitions: foreign };
    }
    const left: number[] = [];
    let batch: Batch & { readonly partitions: number[] } = { chunks: [], manifests: [], partitions: [] };
    const send = async (): Promise<void> => {
      if (batch.partitions.length > 0 && !(await this.#settle(layout, batch))) left.push(...batch.partitions);
      batch = { chunks: [], manifests: [], partitions: [] };
    };
    for (const partition of this.#left.partitions) {
      const { storage } = this.#core;
      const room = limits.batchEntriesMax;
      const chunks = await storage.listChunks(partition, undefined, room);
      const manifests = await storage.listManifests(partition, undefined, room);
      if (chunks.items.length + manifests.items.length === 0) continue;
      const full = batch.chunks.length + chunks.items.length > room;
      if (full || batch.manifests.length + manifests.items.length > room) await send();
      batch.chunks.push(...chunks.items);
      batch.manifests.push(...manifests.items);
      batch.partitions.push(partition);
      // What did not fit a page is looked at in the next round.
      if (chunks.next || manifests.next) left.push(partition);
    }
    await send();
    this.#left = { number: layout.number, partitions: [...new Set(left)] };
  }

  /** The layout to judge by, when nothing speaks against a deletion; asked before each. */
  #dueLayout(): Layout | undefined {
    const { memory, context } = this.#core;
    const layout = this.#rules.settledLayout(memory.state);
    if (!layout) {
      this.#settled = undefined;
      return undefined;
    }
    const nowMs = context.clock.monotonicMs();
    if (this.#settled?.number !== layout.number) this.#settled = { number: layout.number, sinceMs: nowMs };
    if (nowMs - this.#settled.sinceMs < this.#rules.waitMs) return undefined;
    // A node that was cut off may not know the newest layout: the leader's word is of the one it means.
    if (this.#core.deletion?.layoutNumber !== layout.number) return undefined;
    return mayDelete(this.#core) ? layout : undefined;
  }

  /** Asks, gives what is lacking, drops what is confirmed; true when nothing of the batch is left. */
  async #settle(layout: Layout, batch: Batch): Promise<boolean> {
    const confirmations = await this.#confirm(layout, batch);
    const confirmedBy = (partition: number, confirmed: ReadonlySet<KeyHash> | undefined): boolean =>
      this.#rules.isConfirmed(confirmed ?? new Set(), ownersOf(layout, partition));
    const chunks = batch.chunks.filter(({ partition }, at) => confirmedBy(partition, confirmations.chunks[at]));
    const manifests = batch.manifests.filter(({ partition }, at) =>
      confirmedBy(partition, confirmations.manifests[at]),
    );
    if (chunks.length + manifests.length > 0) {
      const { storage, barrier, context } = this.#core;
      // A new layout is acknowledged only when this has ended: it may give the partition back.
      const dropped = await barrier.run(layout.number, async () => {
        if (this.#dueLayout()?.number !== layout.number) return false;
        await storage.deleteChunks(chunks);
        await storage.deleteManifests(manifests.map(({ version }) => version));
        return true;
      });
      if (!dropped) return false;
      await this.#core.notes.forget(chunks.map(({ version }) => version));
      this.dropped += chunks.length;
      context.log.info('former-copies-dropped', {
        ...{ layout: layout.number, chunks: chunks.length, manifests: manifests.length },
      });
    }
    return chunks.length === batch.chunks.length && manifests.length === batch.manifests.length;
  }

  async #confirm(layout: Layout, { chunks, manifests }: Batch): Promise<Confirmations> {
    const confirmations: Confirmations = {
      chunks: chunks.map(() => new Set<KeyHash>()),
      manifests: manifests.map(() => new Set<KeyHash>()),
    };
    const owners = new Set([...chunks, ...manifests].flatMap(({ partition }) => ownersOf(layout, partition)));
    await Promise.all(
      [...owners].map(async (owner) => {
        const owns = ({ partition }: { readonly partition: number }): boolean =>
          ownersOf(layout, partition).includes(owner);
        const ownChunks = [...chunks.entries()].filter(([, chunk]) => owns(chunk));
        const ownManifests = [...manifests.entries()].filter(([, manifest]) => owns(manifest));
        try {
          const answer = await this.#ask(
            owner,
            ownChunks.map(([, chunk]) => chunk),
            ownManifests.map(([, manifest]) => manifest),
          );
          if (answer.layoutNumber !== layout.number || !answer.sound) return;
          for (const [place, [at]] of ownChunks.entries()) {
            if (hasBit(answer.held, place)) confirmations.chunks[at]?.add(owner);
          }
          for (const [place, [at]] of ownManifests.entries()) {
            if (hasBit(answer.manifests, place)) confirmations.manifests[at]?.add(owner);
          }
          const wanted = ownChunks.filter((_, place) => hasBit(answer.wanted, place)).map(([, chunk]) => chunk);
          await this.#give(owner, wanted);
        } catch (error) {
          this.#core.context.log.debug('confirm-failed', { owner, ...errorFacts(error) });
        }
      }),
    );
    return confirmations;
  }

  async #ask(owner: KeyHash, chunks: readonly ChunkInfo[], manifests: readonly StoredManifest[]) {
    const { transport, stopping } = this.#core.context;
    const request = {
      chunks: chunks.map(({ version, index, hash }) => ({ version, index, hash })),
      manifests: manifests.map(({ version, sequence, wrapEpoch }) => ({ version, sequence, wrapEpoch })),
    };
    const to = destinationOfNode(this.#core, owner);
    return (await transport.call(to, 'chunk.confirm', request, { signal: stopping })).answer;
  }

  /** One by one: it is rare, and large chunks fill a message. */
  async #give(owner: KeyHash, chunks: readonly ChunkInfo[]): Promise<void> {
    const { context, storage, throttle, notes } = this.#core;
    for (const { version, index, hash, length } of chunks) {
      await throttle.take(length, context.stopping);
      const found = await storage.getChunk({ version, index });
      if (!found || !equalBytes(sha256(found.body), hash)) continue;
      const note = await notes.get(version);
      const request = { chunks: [{ version, index, length, hash }], ...(note ? { notes: [note] } : {}) };
      const to = destinationOfNode(this.#core, owner);
      await context.transport.call(to, 'chunk.give', request, { binary: [found.body], signal: context.stopping });
      context.log.warn('chunk-given', { to: owner, version, index });
    }
  }
}

/** The versions among these that have a live manifest, as this node or an owner of their chunk 0 knows. */
const liveVersions = async (core: NodeCore, versions: ReadonlySet<VersionId>): Promise<ReadonlySet<VersionId>> => {
  const { storage, memory, self } = core;
  const live = new Set<VersionId>();
  const unknown = new Map<KeyHash, VersionId[]>();
  const newest = newestLayout(memory.state);
  for (const version of versions) {
    const held = await storage.getManifest(version);
    if (held?.state === 'live') live.add(version);
    if (held || !newest) continue;
    for (const owner of ownersOf(newest, partitionOf(version, 0))) {
      if (owner !== self) unknown.set(owner, [...(unknown.get(owner) ?? []), version]);
    }
  }
  const dead = new Set<VersionId>();
  for (const [owner, asked] of unknown) {
    try {
      for (const record of await readManifests(core, owner, asked)) {
        const manifest = record && signedByMaster(core, record.bytes, record.signerSpki);
        if (manifest) (manifest.state === 'live' ? live : dead).add(manifest.version);
      }
    } catch (error) {
      if (isOperaError(error, 'aborted')) throw error;
    }
  }
  for (const version of dead) live.delete(version);
  return live;
};

const confirmHandler =
  (core: NodeCore): Handler<'chunk.confirm'> =>
  async ({ request }) => {
    const layoutNumber = acknowledgedLayout(core);
    const newest = newestLayout(core.memory.state);
    const { sound } = core.soundness;
    const owns = (version: VersionId, index: number): boolean =>
      newest !== undefined && ownersOf(newest, partitionOf(version, index)).includes(core.self);
    const held: boolean[] = [];
    const absent: boolean[] = [];
    for (const { version, index, hash } of request.chunks) {
      const [found] = owns(version, index) ? await core.storage.listVersion(version, index, index + 1) : [];
      held.push(found !== undefined && equalBytes(found.hash, hash));
      absent.push(found === undefined && owns(version, index));
    }
    const missing = new Set(request.chunks.flatMap(({ version }, at) => (absent[at] ? version : [])));
    const live = await liveVersions(core, missing);
    const manifests: boolean[] = [];
    for (const { version, sequence, wrapEpoch } of request.manifests) {
      const kept = owns(version, 0) ? await core.storage.getManifest(version) : undefined;
      const reaches = kept && (kept.sequence > sequence || (kept.sequence === sequence && kept.wrapEpoch >= wrapEpoch));
      manifests.push(reaches === true);
    }
    const wanted = request.chunks.map(({ version }, at) => absent[at] === true && live.has(version));
    const answer: AnswerOf<'chunk.confirm'> = {
      ...{ held: bitsOf(held), wanted: bitsOf(wanted), manifests: bitsOf(manifests) },
      ...{ layoutNumber, sound },
    };
    return { answer };
  };

const giveHandler =
  (core: NodeCore): Handler<'chunk.give'> =>
  async ({ request, binary }) => {
    const { memory, storage, barrier, servedHour } = core;
    const live = await liveVersions(core, new Set(request.chunks.map(({ version }) => version)));
    const layoutNumber = newestLayout(memory.state)?.number ?? 0;
    const sent = core.notes.check(
      request.notes,
      request.chunks.map(({ version }) => version),
    );
    const notes = sent.filter(({ version }) => live.has(version));
    let at = 0;
    const writes: ChunkWrite[] = [];
    for (const { version, index, length, hash } of request.chunks) {
      const body = binary.subarray(at, at + length);
      at += length;
      if (body.length !== length || !equalBytes(sha256(body), hash)) {
        throw new OperaError('integrity', 'a chunk does not match its hash');
      }
      const partition = partitionOf(version, index);
      admitWrite(memory.state, core.self, layoutNumber, partition);
      if (live.has(version)) writes.push({ version, index, partition, hash, body, servedHour, layoutNumber });
    }
    if (writes.length === 0) return { answer: { taken: 0 } };
    const put = () => storage.putChunks(writes);
    const outcomes = await barrier.run(layoutNumber, () => core.notes.putSent(notes, put));
    return { answer: { taken: outcomes.filter((outcome) => outcome !== 'conflict').length } };
  };

export const formerOwnerHandlers = (core: NodeCore): Handlers => ({
  'chunk.confirm': confirmHandler(core),
  'chunk.give': giveHandler(core),
});
