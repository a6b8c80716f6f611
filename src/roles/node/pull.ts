// After a layout change a node copies what it gained from the owners of all unretired layouts. It pulls at once, but
// calls itself complete only after a second listing taken when the new layout was covered: what was written under the
// old one before everybody knew of the new one is in that listing.
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { listUncovered } from '../../placement/coverage.ts';
import { ownersOf } from '../../placement/layout.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import { manifestToStore } from './serve.ts';
import { newestLayout } from './state.ts';

type ListedChunk = AnswerOf<'chunk.list'>['chunks'][number];

export class Puller {
  readonly #core: NodeCore;
  #coveredLayout = 0;
  #running = false;
  /** Chunks copied from others since the process began. */
  pulled = 0;

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
    if (this.#running || !newest || state.completeLayout >= newest.number) return;
    this.#running = true;
    try {
      const covered = this.#coveredLayout >= newest.number;
      const whole = await this.#pull(newest.number);
      if (!covered || !whole || newestLayout(this.#core.memory.state)?.number !== newest.number) return;
      await this.#core.memory.change((before) => ({ ...before, completeLayout: newest.number }));
      this.#core.context.log.info('layout-complete', { layout: newest.number, pulled: this.pulled });
    } finally {
      this.#running = false;
    }
  }

  /** Lists and copies; true when enough owners answered that nothing acknowledged can be missing. */
  async #pull(newestNumber: number): Promise<boolean> {
    const { memory, self } = this.#core;
    const older = memory.state.layouts.filter(({ layout }) => layout.number < newestNumber);
    const newest = newestLayout(memory.state);
    if (!newest || older.length === 0) return true;
    const complete = older.find(({ layout }) => layout.number === memory.state.completeLayout)?.layout;
    const gained: number[] = [];
    for (let partition = 0; partition < 4_096; partition++) {
      const had = complete ? ownersOf(complete, partition).includes(self) : false;
      if (!had && ownersOf(newest, partition).includes(self)) gained.push(partition);
    }
    const sources = new Map<KeyHash, number[]>();
    for (const partition of gained) {
      const owners = new Set(older.flatMap(({ layout }) => ownersOf(layout, partition)));
      owners.delete(self);
      for (const owner of owners) sources.set(owner, [...(sources.get(owner) ?? []), partition]);
    }
    const answered = new Set<KeyHash>([self]);
    for (const [source, partitions] of sources) {
      try {
        await this.#pullChunks(source, partitions);
        await this.#pullManifests(source, partitions);
        answered.add(source);
      } catch (error) {
        if (isOperaError(error, 'no-space', 'read-only')) throw error;
        this.#core.context.log.warn('pull-failed', { from: source, ...errorFacts(error) });
      }
    }
    const tables = older.map(({ layout }) => layout);
    const uncovered = new Set(listUncovered(tables, answered));
    return gained.every((partition) => !uncovered.has(partition));
  }

  async #pullChunks(source: KeyHash, partitions: readonly number[]): Promise<void> {
    const { context, storage } = this.#core;
    const to = destinationOfNode(this.#core, source);
    const signal = context.stopping;
    let after: ListedChunk | undefined;
    for (;;) {
      const request = {
        partitions: [...partitions],
        limit: 1_000,
        ...(after ? { after: { partition: after.partition, version: after.version, index: after.index } } : {}),
      };
      const { answer } = await context.transport.call(to, 'chunk.list', request, { signal });
      const missing: ListedChunk[] = [];
      for (const chunk of answer.chunks) {
        const held = await storage.listVersion(chunk.version, chunk.index, chunk.index + 1);
        if (held.length === 0) missing.push(chunk);
      }
      await this.#copyAll(source, missing);
      after = answer.chunks.at(-1);
      if (!answer.more || !after) return;
    }
  }

  /** Copies chunks in groups that fit one answer, a few groups at once. */
  async #copyAll(source: KeyHash, missing: readonly ListedChunk[]): Promise<void> {
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
    const next = groups.values();
    const worker = async (): Promise<void> => {
      for (const group of next) await this.#copyGroup(source, group);
    };
    await Promise.all(Array.from({ length: limits.pullsInFlight }, worker));
  }

  async #copyGroup(source: KeyHash, group: readonly ListedChunk[]): Promise<void> {
    const { context, storage } = this.#core;
    const to = destinationOfNode(this.#core, source);
    const request = { chunks: group.map(({ version, index }) => ({ version, index })) };
    const { answer, binary } = await context.transport.call(to, 'chunk.read', request, { signal: context.stopping });
    let at = 0;
    const writes = answer.chunks.flatMap((found, position) => {
      const wanted = group[position];
      if (!found || !wanted) return [];
      const body = binary.subarray(at, at + found.length);
      at += found.length;
      if (!equalBytes(sha256(body), wanted.hash)) throw new OperaError('integrity', 'a pulled chunk was altered');
      const { version, index, partition, hash, servedHour } = wanted;
      return [{ version, index, partition, hash, servedHour, body }];
    });
    await storage.putChunks(writes);
    this.pulled += writes.length;
  }

  async #pullManifests(source: KeyHash, partitions: readonly number[]): Promise<void> {
    const { context, storage } = this.#core;
    const to = destinationOfNode(this.#core, source);
    let after: { partition: number; version: AnswerOf<'chunk.list'>['chunks'][number]['version'] } | undefined;
    for (;;) {
      const request = { partitions: [...partitions], limit: 500, ...(after ? { after } : {}) };
      const { answer } = await context.transport.call(to, 'manifest.list', request, { signal: context.stopping });
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
      if (!answer.more || !last || !write) return;
      after = { partition: last.partition, version: write.version };
    }
  }
}
