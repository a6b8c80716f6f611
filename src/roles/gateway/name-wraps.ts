// After a rotation: the registry's copy of the wraps. Masters hold no keys, so a gateway walks over all names, page by
// page, and gives each whose wrap is under an older key one under the newest. Every gateway does so; a wrap that was
// replaced meanwhile is left alone, and what two gateways make of one wrap is equal, byte for byte.
// It keeps no note of how far it came: a gateway that starts anew looks at every name once more. Bodies stay as they
// are.
import type { KeyKeeper } from '../../client/key-keeper.ts';
import { rewrapFileKey, wrapEpochOf } from '../../crypto/wrap.ts';
import { toOperaError } from '../../errors/errors.ts';
import { limits } from '../../model/limits.ts';
import type { NameWrap } from '../../registry/epoch-records.ts';
import type { NameRecord, Registry } from '../../registry/registry.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { RoleContext } from '../context.ts';

type Progress = AnswerOf<'keys.list'>['names'];

export class NameWraps {
  readonly #context: RoleContext;
  readonly #registry: Registry;
  readonly #keys: KeyKeeper;
  #progress: Progress = { epoch: 1, seen: 0, rewrapped: 0, unopened: 0, complete: true };
  #incarnation = 0;
  #walkedMs = 0;

  constructor(context: RoleContext, registry: Registry, keys: KeyKeeper) {
    this.#context = context;
    this.#registry = registry;
    this.#keys = keys;
  }

  get progress(): Progress {
    return this.#progress;
  }

  /** One walk, when a new epoch or a new life of the registry gives cause for it, and now and then. */
  async round(): Promise<void> {
    if (!this.#keys.hasKeys) return;
    const epoch = this.#keys.keyring.newestEpoch;
    if (epoch === 1) return;
    const life = await this.#registry.readLife();
    // With an older key than the registry names nothing is to be done here; the newest is on its way.
    if (life.keyEpoch !== epoch) return;
    const { clock, log } = this.#context;
    const known = this.#progress.complete && this.#progress.epoch === epoch && this.#incarnation === life.incarnation;
    if (known && clock.monotonicMs() - this.#walkedMs < limits.nameWrapsMs) return;
    this.#progress = { epoch, seen: 0, rewrapped: 0, unopened: 0, complete: false };
    await this.#walk(life.incarnation);
    this.#incarnation = life.incarnation;
    this.#walkedMs = clock.monotonicMs();
    this.#progress = { ...this.#progress, complete: true };
    log.info('name-wraps-complete', { ...this.#progress });
  }

  async #walk(incarnation: number): Promise<void> {
    const { clock, stopping } = this.#context;
    for (let after: string | undefined; ; ) {
      const query = { prefix: '', limit: limits.stepChangesMax, ...(after === undefined ? {} : { after }) };
      const { records, next } = await this.#registry.listNames(query);
      const wraps = records.flatMap((record) => this.#rewrap(record) ?? []);
      const rewrapped = wraps.length > 0 ? await this.#registry.replaceWraps(incarnation, wraps) : 0;
      const { seen, rewrapped: before, ...rest } = this.#progress;
      this.#progress = { ...rest, seen: seen + records.length, rewrapped: before + rewrapped };
      if (next === undefined) return;
      after = next;
      await clock.sleep(limits.rewrapPauseMs, { signal: stopping, unref: true });
    }
  }

  #rewrap({ name, version, sequence, wrap }: NameRecord): NameWrap | undefined {
    const { networkId, log } = this.#context;
    try {
      if (wrapEpochOf(wrap) >= this.#progress.epoch) return undefined;
      return { name, version, sequence, wrap: rewrapFileKey(this.#keys.keyring, networkId, version, wrap) };
    } catch (error) {
      // One that cannot be opened stays as it is and holds up no other.
      log.error('wrap-unopened', { version, code: toOperaError(error).code });
      this.#progress = { ...this.#progress, unopened: this.#progress.unopened + 1 };
      return undefined;
    }
  }
}
