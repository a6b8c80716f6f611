// Owners of a partition compare what they hold, partition by partition, and pull what they lack. Digests tell equal
// from different in 32 bytes; only buckets that differ exchange lists. What was stored in the last minute is left out:
// its copies are still on their way. A missing chunk is pulled only if its version is live or may be an open upload,
// because what was rightly deleted here may still be there. Nothing is deleted or overwritten here.
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import type { Handler } from '../../client/transport.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { ownersOf } from '../../placement/layout.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { ChunkAddress, ChunkInfo, PartitionDigests } from '../../storage-adapters/storage-adapter.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { acknowledgedLayout, destinationOfNode, type NodeCore } from './core.ts';
import type { DeadMarks } from './dead-marks.ts';
import type { Fates } from './fates.ts';
import { fetchChunk } from './fetch-chunk.ts';
import { openShown } from './manifest-facts.ts';
import { manifestToStore } from './serve.ts';
import { newestLayout } from './state.ts';

type Lists = AnswerOf<'digest.list'>;
type ListedChunk = Lists['chunks'][number];

const bucketCount = 64;
const bucketOf = (version: VersionId): number => Number.parseInt(version.slice(-2), 16) & 63;
const wholeOf = ({ chunks, manifests }: PartitionDigests): Uint8Array => Buffer.concat([chunks, manifests]);
const empty = new Uint8Array(2 * 32 * bucketCount);
const emptySum = sha256(empty);
/** Most partitions of a young network hold nothing, and a hash of zeros is known. */
const sumOf = (whole: Uint8Array): Uint8Array => (equalBytes(whole, empty) ? emptySum : sha256(whole));

/** Switches that break a promise on purpose, so that the tests of that promise can be seen to fail. */
export interface AntiEntropyFaults {
  /** Pulls chunks without asking what became of their version. */
  readonly blind?: boolean;
  /** Compares what was stored this moment too. */
  readonly noWindow?: boolean;
  /** Lets others take what a doubted store has. */
  readonly credulous?: boolean;
}

export class AntiEntropy {
  readonly #core: NodeCore;
  readonly #marks: DeadMarks;
  readonly #fates: Fates;
  readonly #faults: AntiEntropyFaults;
  #next = 0;
  #running = false;
  /** Since the process began. */
  chunksPulled = 0;
  manifestsPulled = 0;
  /** Addresses at which another owner has other bytes, as found now. */
  readonly conflicts = new Set<string>();

  constructor(core: NodeCore, marks: DeadMarks, fates: Fates, faults: AntiEntropyFaults = {}) {
    this.#core = core;
    this.#marks = marks;
    this.#fates = fates;
    this.#faults = faults;
  }

  readonly handlers = {
    read: (async ({ request: { partitions, sum } }) => {
      const layoutNumber = this.#comparable();
      if (!sum) {
        const digests = wholeOf(await this.#core.storage.digests(partitions[0] ?? 0));
        return { answer: { layoutNumber, digests } };
      }
      const own = Buffer.concat(await this.#sums(partitions));
      return { answer: { layoutNumber, digests: equalBytes(sha256(own), sum) ? new Uint8Array() : own } };
    }) satisfies Handler<'digest.read'>,
    list: (async ({ request }) => {
      const layoutNumber = this.#comparable();
      return { answer: { layoutNumber, ...(await this.#list(request.partition, request.buckets, true)) } };
    }) satisfies Handler<'digest.list'>,
  };

  /**
   * The layout that this store can be compared under; none while it is doubted: what it brought along may have ended
   * since, and whoever took it from here would bring removed files back.
   */
  #comparable(): number {
    return this.#core.soundness.sound || this.#faults.credulous ? acknowledgedLayout(this.#core) : 0;
  }

  /** The next partition to be compared; 0 between passes. */
  get position(): number {
    return this.#next;
  }

  /** All partitions this node owns, one after another; ends early when a layout begins to be filled. */
  async pass(): Promise<void> {
    const { context } = this.#core;
    while (this.#running) await context.clock.sleep(limits.retryBaseMs, { signal: context.stopping });
    this.#next = 0;
    for (let before = -1; this.#next > before; ) {
      before = this.#next;
      await this.round();
    }
  }

  /** Compares the next partitions of those this node owns; nothing while a layout is being filled. */
  async round(): Promise<void> {
    const { state } = this.#core.memory;
    const newest = newestLayout(state);
    if (this.#running || !newest || state.layouts.length > 1 || state.completeLayout < newest.number) return;
    this.#running = true;
    try {
      const partitions = newest.owners.length / newest.copies;
      const byOwner = new Map<KeyHash, number[]>();
      const end = Math.min(partitions, this.#next + limits.digestPartitionsMax);
      for (let partition = this.#next; partition < end; partition++) {
        const owners = ownersOf(newest, partition);
        if (!owners.includes(this.#core.self)) continue;
        for (const owner of owners) {
          if (owner === this.#core.self) continue;
          const list = byOwner.get(owner);
          if (list) list.push(partition);
          else byOwner.set(owner, [partition]);
        }
      }
      this.#next = end >= partitions ? 0 : end;
      for (const [owner, owned] of byOwner) await this.#compare(owner, owned, newest.number);
    } finally {
      this.#running = false;
    }
  }

  async #compare(owner: KeyHash, partitions: readonly number[], layoutNumber: number): Promise<void> {
    const { context } = this.#core;
    try {
      const to = destinationOfNode(this.#core, owner);
      const options = { signal: context.stopping };
      const sums = await this.#sums(partitions);
      const request = { partitions: [...partitions], sum: sha256(Buffer.concat(sums)) };
      const { answer } = await context.transport.call(to, 'digest.read', request, options);
      if (answer.layoutNumber !== layoutNumber || answer.digests.length !== 32 * partitions.length) return;
      for (const [at, partition] of partitions.entries()) {
        const theirs = answer.digests.subarray(at * 32, at * 32 + 32);
        if (!equalBytes(sums[at] ?? emptySum, theirs)) await this.#settle(owner, partition, layoutNumber);
      }
    } catch (error) {
      context.log.debug('compare-failed', { with: owner, ...errorFacts(error) });
      if (context.stopping.aborted) throw error;
    }
  }

  async #sums(partitions: readonly number[]): Promise<Uint8Array[]> {
    const { storage } = this.#core;
    const used = new Set(await storage.listPartitions());
    const sums: Uint8Array[] = [];
    for (const at of partitions) sums.push(used.has(at) ? sumOf(wholeOf(await storage.digests(at))) : emptySum);
    return sums;
  }

  async #settle(owner: KeyHash, partition: number, layoutNumber: number): Promise<void> {
    const { context, storage, throttle } = this.#core;
    const to = destinationOfNode(this.#core, owner);
    const options = { signal: context.stopping };
    const { answer } = await context.transport.call(to, 'digest.read', { partitions: [partition] }, options);
    const [theirs, own] = [answer.digests, wholeOf(await storage.digests(partition))];
    if (theirs.length !== own.length || answer.layoutNumber !== layoutNumber) return;
    const differs = (at: number): boolean => !equalBytes(theirs.subarray(at, at + 32), own.subarray(at, at + 32));
    const buckets = Array.from({ length: bucketCount }, (_, bucket) => bucket).filter(
      (bucket) => differs(bucket * 32) || differs((bucketCount + bucket) * 32),
    );
    if (buckets.length === 0) return;
    const lists = await context.transport.call(to, 'digest.list', { partition, buckets }, options);
    if (lists.answer.layoutNumber !== layoutNumber) return;
    await throttle.take(lists.answer.chunks.length * 100, context.stopping);
    const here = await this.#list(partition, buckets, false);
    await this.#pullManifests(owner, lists.answer, here);
    await this.#pullChunks(owner, partition, lists.answer, here);
  }

  async #pullManifests(owner: KeyHash, theirs: Lists, here: Omit<Lists, 'layoutNumber'>): Promise<void> {
    const { context, storage, barrier, memory } = this.#core;
    const held = new Map(here.manifests.map((manifest) => [manifest.version, manifest]));
    const wanted: VersionId[] = [];
    for (const { version, sequence, wrapEpoch } of theirs.manifests) {
      const own = held.get(version);
      const newer = !own || sequence > own.sequence || (sequence === own.sequence && wrapEpoch > own.wrapEpoch);
      if (!newer) continue;
      const mark = await this.#marks.get(version);
      if (!own && mark?.gone && mark.sequence >= sequence) continue;
      wanted.push(version);
    }
    // Bodies may be long: a few a call always fit an answer.
    for (let at = 0; at < wanted.length; at += 2) {
      const versions = wanted.slice(at, at + 2);
      const to = destinationOfNode(this.#core, owner);
      const options = { signal: context.stopping };
      const { answer } = await context.transport.call(to, 'manifest.read', { versions }, options);
      const writes = answer.manifests.flatMap((record) => {
        if (!record) return [];
        openShown(this.#core, record);
        return [manifestToStore(this.#core, record.bytes, record.signerSpki)];
      });
      if (writes.length === 0) continue;
      await barrier.run(newestLayout(memory.state)?.number ?? 0, () => storage.putManifests(writes));
      this.manifestsPulled += writes.length;
    }
  }

  async #pullChunks(
    owner: KeyHash,
    partition: number,
    theirs: Lists,
    here: Omit<Lists, 'layoutNumber'>,
  ): Promise<void> {
    const keyOf = ({ version, index }: ChunkAddress): string => `${version}/${index}`;
    const held = new Map(here.chunks.map((chunk) => [keyOf(chunk), chunk]));
    const missing: ListedChunk[] = [];
    for (const chunk of theirs.chunks) {
      const own = held.get(keyOf(chunk));
      if (!own) missing.push(chunk);
      else if (!equalBytes(own.hash, chunk.hash)) this.#conflict(chunk, owner);
    }
    if (missing.length === 0) return;
    const wanted = await this.#wantedOf(missing);
    for (const chunk of missing) {
      if (!wanted.has(chunk.version)) continue;
      // An upload that may be open is not older than uploads can be.
      if (wanted.get(chunk.version) === 'open' && !this.#isYoung(chunk)) continue;
      await this.#pullChunk(owner, partition, chunk);
    }
  }

  #isYoung({ servedHour }: ListedChunk): boolean {
    return this.#core.servedHour - servedHour <= limits.uploadAgeMaxMs / 3_600_000;
  }

  async #wantedOf(missing: readonly ListedChunk[]): Promise<ReadonlyMap<VersionId, 'live' | 'open'>> {
    const versions = [...new Set(missing.map(({ version }) => version))];
    if (this.#faults.blind) return new Map(versions.map((version) => [version, 'live']));
    const wanted = new Map<VersionId, 'live' | 'open'>();
    for (const [version, fate] of await this.#fates.gather(versions)) {
      if (fate.kind === 'live') wanted.set(version, 'live');
      if (fate.kind === 'none') wanted.set(version, 'open');
    }
    return wanted;
  }

  async #pullChunk(owner: KeyHash, partition: number, chunk: ListedChunk): Promise<void> {
    const { storage, barrier, memory, throttle, context, notes } = this.#core;
    const { version, index, hash, servedHour } = chunk;
    await throttle.take(chunk.length, context.stopping);
    const body = await fetchChunk(this.#core, owner, chunk);
    if (!body) return;
    const [outcome] = await notes.putCopied(owner, [version], () => {
      const layoutNumber = newestLayout(memory.state)?.number ?? 0;
      const write = { version, index, partition, hash, body, servedHour, layoutNumber };
      return barrier.run(layoutNumber, () => storage.putChunks([write]));
    });
    if (outcome === 'conflict') this.#conflict(chunk, owner);
    else this.chunksPulled++;
  }

  /** Two contents of one address: somebody broke the rule of sealing once. Both are kept, and a person must look. */
  #conflict({ version, index }: ChunkAddress, owner: KeyHash): void {
    const key = `${version}/${index}`;
    if (this.conflicts.has(key) || this.conflicts.size >= limits.batchEntriesMax) return;
    this.conflicts.add(key);
    this.#core.context.log.error('chunk-conflict', { version, index, with: owner });
  }

  async #list(partition: number, buckets: readonly number[], settled: boolean): Promise<Omit<Lists, 'layoutNumber'>> {
    const { storage, context } = this.#core;
    const asked = new Set(buckets);
    const nowMs = context.clock.nowMs();
    const isSettled = (atMs: number): boolean =>
      !settled || this.#faults.noWindow === true || Math.abs(nowMs - atMs) > limits.settleMs;
    const chunks: ListedChunk[] = [];
    for (let after: ChunkAddress | undefined; chunks.length < limits.digestItemsMax; ) {
      const page = await storage.listChunks(partition, after, limits.batchEntriesMax);
      const fits = ({ version, storedAtMs }: ChunkInfo) => asked.has(bucketOf(version)) && isSettled(storedAtMs);
      for (const { version, index, length, hash, servedHour } of page.items.filter(fits)) {
        chunks.push({ version, index, length, hash, servedHour });
      }
      if (!page.next) break;
      after = page.next;
    }
    const manifests: Lists['manifests'] = [];
    for (let after: VersionId | undefined; manifests.length < limits.digestItemsMax; ) {
      const page = await storage.listManifests(partition, after, limits.sweepPageManifests);
      for (const { version, sequence, wrapEpoch } of page.items) {
        // A sequence is the registry's clock in microseconds when the name moved.
        if (asked.has(bucketOf(version)) && isSettled(Number(sequence / 1_000n))) {
          manifests.push({ version, sequence, wrapEpoch });
        }
      }
      if (!page.next) break;
      after = page.next;
    }
    return { chunks: chunks.slice(0, limits.digestItemsMax), manifests: manifests.slice(0, limits.digestItemsMax) };
  }
}
