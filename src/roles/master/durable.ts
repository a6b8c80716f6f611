// After the step: manifests. A name that moved is first pending; its manifests go to W′ owners of chunk 0, then
// pending is cleared and only then anyone is told. A master that meets a pending name finishes it before it answers
// with it, whoever began it: what is visible is durable.
import { encodeManifest, type ManifestFields } from '../../crypto/manifest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { hasWriteQuorum } from '../../placement/coverage.ts';
import { ownersOf } from '../../placement/layout.ts';
import { partitionOf } from '../../placement/partition.ts';
import type { PendingChange } from '../../registry/registry.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { MasterCore, View } from './core.ts';

interface Outgoing {
  readonly sequence: bigint;
  readonly partition: number;
  readonly record: Uint8Array;
  readonly holders: Set<KeyHash>;
  /** True once an owner said that it has a newer fact of the same version. */
  overtaken: boolean;
}

/** Messages stay well below the limit of one request, base64 included. */
const batchBytesMax = limits.messageBytesMax / 2;

const batchesOf = (outgoing: readonly Outgoing[]): Outgoing[][] => {
  const batches: Outgoing[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of outgoing) {
    const size = item.record.length * 1.4;
    if (bytes + size > batchBytesMax || (batches.at(-1)?.length ?? 0) >= limits.batchEntriesMax) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(item);
    bytes += size;
  }
  return batches;
};

const isEnough = (view: View, item: Outgoing): boolean => hasWriteQuorum([view.newest], item.partition, item.holders);

/** What a node missed of one life of the registry. */
interface Owed {
  readonly incarnation: number;
  readonly item: Outgoing;
  /** Monotonic. */
  readonly sinceMs: number;
}

export class ManifestWriter {
  readonly #core: MasterCore;
  #owed = new Map<KeyHash, Owed[]>();
  #owedBytes = 0;

  constructor(core: MasterCore) {
    this.#core = core;
  }

  /**
   * Makes pending changes durable and clears them; answers the sequences that are durable now. Changes whose owners
   * do not answer in sufficient number stay pending, to be finished by whoever meets them next.
   * `incarnation` was read before the changes were: a change of a life that is over may be unknown to the registry by
   * now, and nodes that were asked for evidence since must refuse it, or it would be answered and lost.
   */
  async finish(changes: readonly PendingChange[], incarnation: number): Promise<ReadonlySet<bigint>> {
    if (changes.length === 0) return new Set();
    const view = await this.#core.view();
    const outgoing = changes.flatMap((change) => this.#encode(change));
    await this.#write(view, incarnation, outgoing);
    const missing = new Set(outgoing.filter((item) => !isEnough(view, item)).map(({ sequence }) => sequence));
    const durable = changes.map(({ sequence }) => sequence).filter((sequence) => !missing.has(sequence));
    if (durable.length > 0) await this.#core.registry.clearPending(durable);
    return new Set(durable);
  }

  /**
   * Writes manifests that too few nodes hold to the owners of chunk 0, signed anew: a node takes from a master what
   * that one signed. Answers for each whether W′ owners have it now, and whether all whom it could be sent to took it.
   */
  async spread(
    view: View,
    incarnation: number,
    manifests: readonly ManifestFields[],
  ): Promise<{ readonly durable: boolean; readonly holders: ReadonlySet<KeyHash>; readonly overtaken: boolean }[]> {
    const { signer } = this.#core.context.identity();
    const outgoing = manifests.map((manifest) => ({
      sequence: manifest.sequence,
      partition: partitionOf(manifest.version, 0),
      record: encodeManifest(manifest, signer),
      holders: new Set<KeyHash>(),
      overtaken: false,
    }));
    await this.#write(view, incarnation, outgoing);
    return outgoing.map((item) => {
      const { holders, overtaken } = item;
      return { durable: isEnough(view, item), holders, overtaken };
    });
  }

  /** Sends to all owners; ends as soon as each manifest is on W′ of them, or nobody is left to ask. */
  async #write(view: View, incarnation: number, outgoing: readonly Outgoing[]): Promise<void> {
    const byNode = new Map<KeyHash, Outgoing[]>();
    for (const item of outgoing) {
      for (const owner of ownersOf(view.newest, item.partition)) {
        byNode.set(owner, [...(byNode.get(owner) ?? []), item]);
      }
    }
    await new Promise<void>((resolve) => {
      const sent = [...byNode].map(async ([node, items]) => {
        for (const batch of batchesOf(items)) await this.#send(view, incarnation, node, batch);
        if (outgoing.every((item) => isEnough(view, item))) resolve();
      });
      void Promise.allSettled(sent).then(() => resolve());
    });
  }

  /** Finishes the changes of these sequences; answers those that cannot be made durable now. */
  async tryFinish(sequences: readonly bigint[]): Promise<ReadonlySet<bigint>> {
    if (sequences.length === 0) return new Set();
    const { incarnation } = await this.#core.life();
    const found = await Promise.all(sequences.map((sequence) => this.#core.registry.getPending(sequence)));
    const changes = found.filter((change): change is PendingChange => change !== undefined);
    const durable = await this.finish(changes, incarnation);
    return new Set(changes.map(({ sequence }) => sequence).filter((sequence) => !durable.has(sequence)));
  }

  /** Finishes the changes of these sequences; `write-quorum` when one cannot be made durable now. */
  async finishAll(sequences: readonly bigint[]): Promise<void> {
    const stuck = await this.tryFinish(sequences);
    if (stuck.size > 0) throw new OperaError('write-quorum', 'a name has a change that too few nodes have yet');
  }

  /** Finishes whatever is pending, oldest first, page by page: stuck changes do not keep later ones waiting. */
  async sweep(): Promise<void> {
    const page = limits.stepChangesMax;
    for (let after = 0n; !this.#core.context.stopping.aborted; ) {
      const { incarnation } = await this.#core.life();
      const pending = await this.#core.registry.listPending(page, after);
      await this.finish(pending, incarnation);
      const last = pending.at(-1);
      if (!last || pending.length < page) return;
      after = last.sequence;
    }
  }

  /** Sends owners again what they missed, if they own it still and it is of the registry's present life. */
  async repay(): Promise<void> {
    if (this.#owed.size === 0) return;
    const [view, { incarnation }] = await Promise.all([this.#core.view(), this.#core.life()]);
    const owed = this.#owed;
    this.#owed = new Map();
    this.#owedBytes = 0;
    const oldestMs = this.#core.context.clock.monotonicMs() - limits.owedManifestAgeMs;
    await Promise.all(
      [...owed].map(async ([node, all]) => {
        const due = all.filter(
          ({ item, sinceMs, ...of }) =>
            of.incarnation === incarnation &&
            sinceMs >= oldestMs &&
            ownersOf(view.newest, item.partition).includes(node),
        );
        const since = new Map(due.map(({ item, sinceMs }) => [item, sinceMs]));
        for (const batch of batchesOf([...since.keys()])) await this.#send(view, incarnation, node, batch, since);
      }),
    );
  }

  #remember(
    node: KeyHash,
    incarnation: number,
    batch: readonly Outgoing[],
    since?: ReadonlyMap<Outgoing, number>,
  ): void {
    const nowMs = this.#core.context.clock.monotonicMs();
    const owed = this.#owed.get(node) ?? [];
    this.#owed.set(node, owed);
    for (const item of batch) {
      if (this.#owedBytes + item.record.length > limits.owedManifestBytes) return;
      this.#owedBytes += item.record.length;
      owed.push({ incarnation, item, sinceMs: since?.get(item) ?? nowMs });
    }
  }

  #encode(change: PendingChange): Outgoing[] {
    const { sequence, incarnation, operationId } = change;
    const network = this.#core.context.networkId;
    const { signer } = this.#core.context.identity();
    return change.manifests.map(({ version, state, body, wrap }) => ({
      sequence,
      partition: partitionOf(version, 0),
      record: encodeManifest({ state, network, version, sequence, incarnation, operationId, body, wrap }, signer),
      holders: new Set<KeyHash>(),
      overtaken: false,
    }));
  }

  /** `since` tells that the node missed the batch before, and when. */
  async #send(
    view: View,
    incarnation: number,
    node: KeyHash,
    batch: readonly Outgoing[],
    since?: ReadonlyMap<Outgoing, number>,
  ): Promise<void> {
    const to = this.#core.destination(view, node);
    if (!to) return;
    try {
      const request = { incarnation, layoutNumber: view.newest.number, manifests: batch.map(({ record }) => record) };
      const { answer } = await this.#core.context.transport.call(to, 'manifest.store', request);
      for (const [at, item] of batch.entries()) {
        // Stale: the node has a newer fact of the same version, which covers this one.
        if (answer.outcomes[at] !== undefined) item.holders.add(node);
        item.overtaken ||= answer.outcomes[at] === 'stale';
      }
    } catch (error) {
      const facts = { node, manifests: batch.length, ...errorFacts(error) };
      this.#core.context.log[since ? 'debug' : 'warn']('manifest-unstored', facts);
      if (isOperaError(error) && error.retry) this.#remember(node, incarnation, batch, since);
    }
  }
}
