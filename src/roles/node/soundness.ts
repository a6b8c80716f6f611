// Whether a node's store is the one it acknowledged writes with. A store that is blank, was restored from a copy, or
// whose node was away longer than tombstones are sure to live proves nothing by what it lacks or still has: it is
// unsound until it holds everything listed by a view that was covered without it. The witness of that lies beside the
// keys, in the identity folder, because a store cannot testify for itself.
import { OperaError } from '../../errors/errors.ts';
import type { StoreOpening } from '../../storage-adapters/storage-adapter.ts';
import type { RoleContext } from '../context.ts';
import { limits } from '../../model/limits.ts';
import type { NodeMemory } from './memory.ts';

/** What the identity folder keeps of the store; docs/formats.md, `store.json`. */
export interface StoreWitness {
  readonly storeId: string;
  /** What the store carried before; a crash between two writes must not make the store a stranger. */
  readonly previousStoreId: string | undefined;
  readonly sound: boolean;
  /** Sequence up to which manifests of an unsound store do not count; what it took later came from a master. */
  readonly distrustedUpTo: bigint;
  /** Highest write counter reported, as last written here. */
  readonly writeCounter: number;
  /** True from the first layout on that names the node: before it a blank store is simply new. */
  readonly placed: boolean;
  /** Reported counter minus the store's own: a store that begins anew reports above what its predecessor reached. */
  readonly counterOffset: number;
}

/** Why a store is not believed; stable words of the log. */
export type Distrust = 'store-id' | 'write-counter' | 'away-too-long';

/** The witness of a new node's first store. */
export const newWitness = (storeId: string, writeCounter = 0): StoreWitness => ({
  storeId,
  previousStoreId: undefined,
  sound: true,
  distrustedUpTo: 0n,
  writeCounter,
  placed: false,
  counterOffset: 0,
});

/** What the witness says of a store that was just opened and will carry `storeId`. Pure. */
export const judgeOpening = (
  before: StoreWitness | undefined,
  opening: StoreOpening & { readonly highestSequence: bigint },
  storeId: string,
): { readonly witness: StoreWitness; readonly distrust: Distrust | undefined } => {
  const { previousStoreId, writeCounter, highestSequence } = opening;
  if (previousStoreId === undefined && !before?.placed) {
    return { witness: newWitness(storeId, writeCounter), distrust: undefined };
  }
  const carried = previousStoreId !== undefined && [before?.storeId, before?.previousStoreId].includes(previousStoreId);
  const reported = writeCounter + (before?.counterOffset ?? 0);
  const lower = reported < (before?.writeCounter ?? 0);
  const distrust = !carried ? 'store-id' : lower ? 'write-counter' : undefined;
  const counterOffset = raiseOffset(before?.counterOffset ?? 0, writeCounter, before?.writeCounter ?? 0);
  const known = before?.sound === false ? before.distrustedUpTo : 0n;
  const witness: StoreWitness = {
    storeId,
    previousStoreId,
    sound: distrust === undefined && before?.sound !== false,
    distrustedUpTo: distrust && highestSequence > known ? highestSequence : known,
    writeCounter: writeCounter + counterOffset,
    placed: before?.placed ?? true,
    counterOffset,
  };
  return { witness, distrust };
};

/** The offset that puts the report of `counter` above `seen`, or the same one when it is not below. */
const raiseOffset = (offset: number, counter: number, seen: number): number =>
  counter + offset >= seen ? offset : seen + 1 - counter;

export interface SoundnessOptions {
  readonly witness: StoreWitness;
  /** Makes the witness durable. */
  readonly save: (witness: StoreWitness) => Promise<void>;
}

export class Soundness {
  readonly #context: RoleContext;
  readonly #memory: NodeMemory;
  readonly #save: SoundnessOptions['save'];
  #witness: StoreWitness;
  #savedMs: number;
  /** What the store would have reported when it was opened. */
  #opened: number;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(context: RoleContext, memory: NodeMemory, options: SoundnessOptions) {
    this.#context = context;
    this.#memory = memory;
    this.#witness = options.witness;
    this.#save = options.save;
    this.#savedMs = context.clock.monotonicMs();
    this.#opened = options.witness.writeCounter;
  }

  get sound(): boolean {
    return this.#witness.sound;
  }

  get storeId(): string {
    return this.#witness.storeId;
  }

  get distrustedUpTo(): bigint {
    return this.#witness.distrustedUpTo;
  }

  /** Before the node serves: an unsound one is complete in nothing. */
  async begin(): Promise<void> {
    if (!this.sound) await this.#memory.change((before) => ({ ...before, completeLayout: 0 }));
  }

  /** Before the first layout that names the node is acknowledged. */
  async place(): Promise<void> {
    if (!this.#witness.placed) await this.#change((witness) => ({ ...witness, placed: true }));
  }

  /** What a heartbeat reports for the store's own counter; now and then the witness keeps it. */
  async report(counter: number): Promise<number> {
    const reported = counter + this.#witness.counterOffset;
    const nowMs = this.#context.clock.monotonicMs();
    if (nowMs - this.#savedMs >= limits.witnessSaveMs && reported > this.#witness.writeCounter) {
      this.#savedMs = nowMs;
      await this.#change((witness) => ({ ...witness, writeCounter: Math.max(witness.writeCounter, reported) }));
    }
    return reported;
  }

  /** A master heard of a higher counter from an earlier opening than this one began with: the store went back. */
  async compare(seen: number, counter: number, highestSequence: bigint): Promise<void> {
    if (seen <= this.#opened) return;
    this.#opened = seen + 1;
    await this.distrust('write-counter', highestSequence, (witness) => {
      const counterOffset = raiseOffset(witness.counterOffset, counter, seen);
      return { ...witness, counterOffset, writeCounter: seen };
    });
  }

  /** From here on the store counts for nothing until a round without it is whole. */
  async distrust(
    why: Distrust,
    highestSequence: bigint,
    change: (witness: StoreWitness) => StoreWitness = (witness) => witness,
  ): Promise<void> {
    this.#context.log.error('store-unsound', { why });
    await this.#change((witness) => {
      const known = witness.sound ? 0n : witness.distrustedUpTo;
      return { ...change(witness), sound: false, distrustedUpTo: highestSequence > known ? highestSequence : known };
    });
    await this.#memory.change((before) => ({ ...before, completeLayout: 0 }));
  }

  /** The store holds everything that a view covered without it listed. */
  async trust(): Promise<void> {
    if (this.sound) return;
    await this.#change((witness) => ({ ...witness, sound: true, distrustedUpTo: 0n }));
    this.#context.log.warn('store-sound');
  }

  /** Changes run one after the other; one is durable before it shows. */
  #change(step: (witness: StoreWitness) => StoreWitness): Promise<void> {
    const next = this.#queue.then(async () => {
      const changed = step(this.#witness);
      await this.#save(changed);
      this.#witness = changed;
    });
    this.#queue = next.catch(() => undefined);
    return next;
  }
}

/** The witness of the last life as it was written; `config` when it cannot be read. */
export const parseWitness = (text: string): StoreWitness => {
  try {
    const read = JSON.parse(text) as Partial<Record<keyof StoreWitness, unknown>>;
    if (typeof read.storeId !== 'string') throw new Error('no store id');
    return {
      storeId: read.storeId,
      previousStoreId: typeof read.previousStoreId === 'string' ? read.previousStoreId : undefined,
      sound: read.sound !== false,
      distrustedUpTo: typeof read.distrustedUpTo === 'string' ? BigInt(read.distrustedUpTo) : 0n,
      writeCounter: typeof read.writeCounter === 'number' ? read.writeCounter : 0,
      placed: read.placed !== false,
      counterOffset: typeof read.counterOffset === 'number' ? read.counterOffset : 0,
    };
  } catch (cause) {
    throw new OperaError('config', 'store.json cannot be understood', { cause });
  }
};

export const formatWitness = (witness: StoreWitness): string =>
  `${JSON.stringify({ ...witness, distrustedUpTo: `${witness.distrustedUpTo}` })}\n`;
