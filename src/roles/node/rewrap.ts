// After a rotation of the network key: a node gives the manifests it holds wraps under the newest epoch, a batch at a
// time, behind clients. The store itself says what is left, so that a node that was killed, or away during the
// rotation, goes on where things stand, and manifests that come late under an older key are found too.
// Invariant: all copies of a manifest get equal wraps, for the nonce follows from key and content; so the digests by
// which owners compare (sequence, wrap epoch) agree again when all have done it. Nothing signed is touched.
// Notes of catalogues keep the wrap they came with: older keys stay in the chain. The key of a node's index over star
// systems, when there is one, is to be sealed anew in `round`, once nothing is left here.
import { replaceWrap } from '../../crypto/manifest.ts';
import { rewrapFileKey, wrapBytes } from '../../crypto/wrap.ts';
import { toOperaError } from '../../errors/errors.ts';
import { limits } from '../../model/limits.ts';
import type { ManifestWrite, StoredManifest, WrapPosition } from '../../storage-adapters/storage-adapter.ts';
import type { RequestOf } from '../../wire/routes.ts';
import type { NodeCore } from './core.ts';

export type WrapProgress = NonNullable<RequestOf<'node.heartbeat'>['wraps']>;

export class Rewrapper {
  readonly #core: NodeCore;
  readonly #rewrap: typeof rewrapFileKey;
  #progress: WrapProgress = { epoch: 0, below: 0 };
  /** Since the process began. */
  rewrapped = 0;

  /** `rewrap` makes the new wrap; tests pass a broken one, to see that they notice. */
  constructor(core: NodeCore, rewrap: typeof rewrapFileKey = rewrapFileKey) {
    this.#core = core;
    this.#rewrap = rewrap;
  }

  /** The epoch this node works with, and how many of its manifests are still under older ones. */
  get progress(): WrapProgress {
    return this.#progress;
  }

  /** Looks for manifests under older keys and rewraps them all; one that cannot be opened is passed over. */
  async round(): Promise<void> {
    const { keys, storage, context, throttle } = this.#core;
    if (!keys.hasKeys) return;
    const epoch = keys.keyring.newestEpoch;
    this.#progress = { epoch, below: await storage.countManifestsBelow(epoch) };
    // Bodies of catalogues are long: the first page is small, and later ones follow the size of the one before.
    let limit = limits.rewrapBatch / 10;
    for (let after: WrapPosition | undefined; this.#progress.below > 0; ) {
      const { items, next } = await storage.listManifestsBelow(epoch, after, limit);
      const bytes = items.reduce((sum, { record }) => sum + record.length, 0);
      await throttle.take(bytes, context.stopping);
      await this.#put(items.flatMap((manifest) => this.#rewrapped(manifest, epoch) ?? []));
      if (next === undefined) break;
      after = next;
      limit = bytes > limits.batchBytesMax ? 1 : Math.min(limits.rewrapBatch, limit * 2);
      await context.clock.sleep(limits.rewrapPauseMs, { signal: context.stopping, unref: true });
    }
    if (this.#progress.below > 0) this.#progress = { epoch, below: await storage.countManifestsBelow(epoch) };
  }

  async #put(manifests: readonly ManifestWrite[]): Promise<void> {
    if (manifests.length === 0) return;
    // A newer manifest of the version that came meanwhile stays: to the store this one is stale then.
    await this.#core.storage.putManifests(manifests);
    const { epoch, below } = this.#progress;
    this.#progress = { epoch, below: Math.max(0, below - manifests.length) };
    this.rewrapped += manifests.length;
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
}
