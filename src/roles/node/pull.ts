// After a layout change a node copies what it gained from the owners of all unretired layouts. It pulls at once, but
// calls itself complete only after a second listing taken when the new layout was covered: what was written under the
// old one before everybody knew of the new one is in that listing. Only owners that had acknowledged the new layout
// before they listed count there: the others may still take writes under the old one.
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { listUncovered } from '../../placement/coverage.ts';
import { type Layout, ownersOf } from '../../placement/layout.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import { manifestToStore } from './serve.ts';
import { newestLayout, type NodeState } from './state.ts';

type ListedChunk = AnswerOf<'chunk.list'>['chunks'][number];

const keyOf = ({ version, index }: Pick<ListedChunk, 'version' | 'index'>): string => `${version}/${index}`;

interface PullPlan {
  /** Partitions whose content this node cannot be sure to hold. */
  readonly gained: readonly number[];
  readonly sources: ReadonlyMap<KeyHash, readonly number[]>;
  /** Layouts whose owners must cover what is gained. */
  readonly tables: readonly Layout[];
  /** Whether the own store counts as an answer, as it does in layouts that were written to here. */
  readonly countsSelf: boolean;
}

/** What is to be pulled from whom. Pure. */
export const planPull = (state: NodeState, self: KeyHash): PullPlan => {
  const layouts = state.layouts.map(({ layout }) => layout);
  const newest = layouts.at(-1);
  if (!newest) return { gained: [], sources: new Map(), tables: [], countsSelf: true };
  let tables = layouts.slice(0, -1);
  // A node that was away while everything older was retired finds it at the other owners of the newest layout.
  const alone = tables.length === 0 && newest.number > 1;
  if (alone) tables = [newest];
  const gained: number[] = [];
  const sources = new Map<KeyHash, number[]>();
  const from = tables.findIndex(({ number }) => number === state.completeLayout);
  for (let partition = 0; partition < newest.owners.length / newest.copies; partition++) {
    if (!ownersOf(newest, partition).includes(self)) continue;
    // Kept only if it was owned all the time since the layout that was held completely: what was written under a
    // layout in between went to others.
    const kept = from >= 0 && tables.slice(from).every((table) => ownersOf(table, partition).includes(self));
    const nobodyElse = alone && ownersOf(newest, partition).length === 1;
    if (kept || nobodyElse || tables.length === 0) continue;
    gained.push(partition);
    for (const owner of new Set(tables.flatMap((table) => ownersOf(table, partition)))) {
      if (owner !== self) {
        const listed = sources.get(owner);
        if (listed) listed.push(partition);
        else sources.set(owner, [partition]);
      }
    }
  }
  return { gained, sources, tables, countsSelf: !alone };
};

interface Round {
  readonly number: number;
  readonly whole: boolean;
  readonly covered: boolean;
  /** Rounds in a row that ended like this one. */
  readonly failures: number;
  /** On the monotonic clock: not before then again, unless something changed. */
  readonly againMs: number;
}

export class Puller {
  readonly #core: NodeCore;
  #coveredLayout = 0;
  #running = false;
  /** How the last round ended. */
  #last: Round | undefined;
  /** Chunks copied from others since the process began. */
  pulled = 0;
  /** Listed and not yet copied, for the newest layout. */
  readonly left = { chunks: 0, bytes: 0 };

  constructor(core: NodeCore) {
    this.#core = core;
  }

  /** A leader said that every partition of layout `number` is covered by acknowledgements. */
  covered(number: number): void {
    this.#coveredLayout = Math.max(this.#coveredLayout, number);
  }

  /** One round: pulls what is missing, and marks the newest layout complete when the round may say so. */
  async round(): Promise<void> {
    const { state } = this.#core.memory;
    const newest = newestLayout(state);
    if (this.#running || !newest || state.completeLayout >= newest.number || this.#isEarly(newest.number)) return;
    this.#running = true;
    try {
      const covered = this.#coveredLayout >= newest.number;
      const whole = await this.#pull(newest.number, covered);
      this.#pace(newest.number, whole, covered);
      if (!covered || !whole || newestLayout(this.#core.memory.state)?.number !== newest.number) return;
      await this.#core.memory.change((before) => ({ ...before, completeLayout: newest.number }));
      this.#core.context.log.info('layout-complete', { layout: newest.number, pulled: this.pulled });
    } finally {
      this.#running = false;
    }
  }

  /** A listing costs every owner a walk through its store: it is repeated when it may say more than the last one. */
  #isEarly(number: number): boolean {
    const covered = this.#coveredLayout >= number;
    const last = this.#last;
    if (last?.number !== number || last.covered !== covered) return false;
    return last.whole || this.#core.context.clock.monotonicMs() < last.againMs;
  }

  #pace(number: number, whole: boolean, covered: boolean): void {
    const last = this.#last;
    const failures = last?.number === number && last.covered === covered ? last.failures + 1 : 0;
    const waitMs = Math.min(limits.heartbeatMs * 2 ** failures, limits.announceMs);
    const againMs = this.#core.context.clock.monotonicMs() + waitMs;
    this.#last = { number, whole, covered, failures, againMs };
  }

  /** Lists and copies; true when enough owners answered that nothing acknowledged can be missing. */
  async #pull(newestNumber: number, covered: boolean): Promise<boolean> {
    const { memory, self } = this.#core;
    const newest = newestLayout(memory.state);
    if (!newest || newest.number !== newestNumber) return false;
    const plan = planPull(memory.state, self);
    const answered = new Set<KeyHash>(plan.countsSelf ? [self] : []);
    const lacking = new Map<string, ListedChunk>();
    let silent = 0;
    for (const [source, partitions] of plan.sources) {
      try {
        const chunksUnder = await this.#pullChunks(source, partitions, lacking);
        const manifestsUnder = await this.#pullManifests(source, partitions);
        if (!covered || Math.min(chunksUnder, manifestsUnder) >= newestNumber) answered.add(source);
        else silent++;
      } catch (error) {
        if (isOperaError(error, 'no-space', 'read-only', 'aborted')) throw error;
        silent++;
        this.#core.context.log.warn('pull-failed', { from: source, ...errorFacts(error) });
      }
    }
    const uncovered = new Set(listUncovered(plan.tables, answered));
    if (plan.gained.some((partition) => uncovered.has(partition))) return false;
    if (lacking.size === 0) return true;
    // Listed but not given, by an owner whose copy is damaged: an owner that was silent may have a good one.
    this.#core.context.log.error('chunks-not-given', { chunks: lacking.size, silent });
    return silent === 0;
  }

  /** Lists and copies; answers the layout that the source had acknowledged when it began to list. */
  async #pullChunks(
    source: KeyHash,
    partitions: readonly number[],
    lacking: Map<string, ListedChunk>,
  ): Promise<number> {
    const { context } = this.#core;
    const to = destinationOfNode(this.#core, source);
    const signal = context.stopping;
    let after: ListedChunk | undefined;
    let acknowledged = Number.POSITIVE_INFINITY;
    for (;;) {
      const request = {
        partitions: [...partitions],
        limit: 1_000,
        ...(after ? { after: { partition: after.partition, version: after.version, index: after.index } } : {}),
      };
      const { answer } = await context.transport.call(to, 'chunk.list', request, { signal });
      acknowledged = Math.min(acknowledged, answer.layoutNumber);
      const missing = await this.#missingOf(answer.chunks);
      for (const chunk of missing) lacking.set(keyOf(chunk), chunk);
      for (const key of await this.#copyAll(source, missing)) lacking.delete(key);
      after = answer.chunks.at(-1);
      if (!answer.more || !after) return acknowledged;
    }
  }

  /** Those of a page that are not held. A large version is looked up once, not chunk by chunk. */
  async #missingOf(listed: readonly ListedChunk[]): Promise<ListedChunk[]> {
    const { storage } = this.#core;
    const byVersion = new Map<VersionId, ListedChunk[]>();
    for (const chunk of listed) byVersion.set(chunk.version, [...(byVersion.get(chunk.version) ?? []), chunk]);
    const missing: ListedChunk[] = [];
    for (const [version, chunks] of byVersion) {
      const indices = chunks.map(({ index }) => index);
      const held = await storage.listVersion(version, Math.min(...indices), Math.max(...indices) + 1);
      const known = new Set(held.map(({ index }) => index));
      // A listing stops after so many chunks: what lies behind is looked up one by one.
      const cut = held.length >= limits.storeVersionPageMax ? (held.at(-1)?.index ?? 0) : Number.POSITIVE_INFINITY;
      for (const chunk of chunks) {
        const { index } = chunk;
        if (known.has(index)) continue;
        if (index > cut && (await storage.listVersion(version, index, index + 1)).length > 0) continue;
        missing.push(chunk);
      }
    }
    return missing;
  }

  /** Copies chunks in groups that fit one answer, a few groups at once; answers the keys of those it got. */
  async #copyAll(source: KeyHash, missing: readonly ListedChunk[]): Promise<string[]> {
    const groups: ListedChunk[][] = [];
    let bytes = Number.POSITIVE_INFINITY;
    for (const chunk of missing) {
      if (bytes + chunk.length > limits.batchBytesMax) {
        groups.push([]);
        bytes = 0;
      }
      groups.at(-1)?.push(chunk);
      bytes += chunk.length;
    }
    const copied: string[] = [];
    const next = groups.values();
    const worker = async (): Promise<void> => {
      for (const group of next) copied.push(...(await this.#copyGroup(source, group)));
    };
    await Promise.all(Array.from({ length: limits.pullsInFlight }, worker));
    return copied;
  }

  /** Keys of the chunks that the source gave. */
  async #copyGroup(source: KeyHash, group: readonly ListedChunk[]): Promise<string[]> {
    const { context, storage, memory, barrier } = this.#core;
    const to = destinationOfNode(this.#core, source);
    const request = { chunks: group.map(({ version, index }) => ({ version, index })) };
    const { answer, binary } = await context.transport.call(to, 'chunk.read', request, { signal: context.stopping });
    let at = 0;
    // The layout in force when the copy is taken: the next one is acknowledged only when the copy is down.
    const layoutNumber = newestLayout(memory.state)?.number ?? 0;
    const writes = answer.chunks.flatMap((found, position) => {
      const wanted = group[position];
      if (!found || !wanted || found.length === 0) return [];
      const body = binary.subarray(at, at + found.length);
      at += found.length;
      if (!equalBytes(sha256(body), wanted.hash)) throw new OperaError('integrity', 'a pulled chunk was altered');
      const { version, index, partition, hash, servedHour } = wanted;
      return [{ version, index, partition, hash, servedHour, layoutNumber, body }];
    });
    if (writes.length > 0) await barrier.run(layoutNumber, () => storage.putChunks(writes));
    this.pulled += writes.length;
    return writes.map(keyOf);
  }

  async #pullManifests(source: KeyHash, partitions: readonly number[]): Promise<number> {
    const { context, storage } = this.#core;
    const to = destinationOfNode(this.#core, source);
    let after: { partition: number; version: VersionId } | undefined;
    let acknowledged = Number.POSITIVE_INFINITY;
    for (;;) {
      const request = { partitions: [...partitions], limit: 500, ...(after ? { after } : {}) };
      const { answer } = await context.transport.call(to, 'manifest.list', request, { signal: context.stopping });
      acknowledged = Math.min(acknowledged, answer.layoutNumber);
      const { roster } = context.rosters;
      const writes = answer.manifests.map(({ record }) => {
        const write = manifestToStore(this.#core, record.bytes, record.signerSpki);
        // Any state: a master that was revoked since had signed it rightly then.
        if (roster.byKeyHash.get(write.signer)?.role !== 'master') {
          throw new OperaError('integrity', 'a manifest is not signed by a master of this network');
        }
        return write;
      });
      if (writes.length > 0) await storage.putManifests(writes);
      const last = answer.manifests.at(-1);
      const write = writes.at(-1);
      if (!answer.more || !last || !write) return acknowledged;
      after = { partition: last.partition, version: write.version };
    }
  }
}
