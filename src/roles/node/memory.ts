// The node's own durable notes in its store: layouts, promise, incarnation, completeness, and who is where.
// Each change is on disk before anyone is answered because of it. State keys are listed in docs/formats.md.
import * as v from 'valibot';
import { OperaError } from '../../errors/errors.ts';
import { verifyLayout } from '../../placement/layout.ts';
import type { StorageAdapter } from '../../storage-adapters/storage-adapter.ts';
import { formatJson, parseJson } from '../../wire/json.ts';
import { layoutRecord, peers } from '../../wire/messages-members.ts';
import { listOf, parseWith, text, u32, u64 } from '../../wire/schema.ts';
import type { PeerEntry } from '../peer-book.ts';
import { type HeldLayout, initialNodeState, type NodeState } from './state.ts';

const stateKey = 'order';
const peersKey = 'peers';

const storedState = v.object({
  version: v.literal(1),
  layouts: listOf(layoutRecord, 64),
  retiredUpTo: u32,
  promisedEpoch: u64,
  promisedTo: text(0, 32),
  incarnation: u32,
  completeLayout: u32,
  /** Absent in what older programs wrote. */
  servedHour: v.optional(u32, 0),
});
const storedPeers = v.object({ version: v.literal(1), peers });

export class NodeMemory {
  readonly #storage: StorageAdapter;
  #state: NodeState;
  #peers: readonly PeerEntry[];
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(storage: StorageAdapter, state: NodeState, known: readonly PeerEntry[]) {
    this.#storage = storage;
    this.#state = state;
    this.#peers = known;
  }

  /** Reads what the store holds; `integrity` when it cannot be understood. */
  static async load(storage: StorageAdapter): Promise<NodeMemory> {
    const [state, known] = await Promise.all([storage.getState(stateKey), storage.getState(peersKey)]);
    try {
      return new NodeMemory(
        storage,
        state ? decodeState(state) : initialNodeState,
        known ? parseWith(storedPeers, parseJson(Buffer.from(known).toString('utf8'))).peers : [],
      );
    } catch (cause) {
      throw new OperaError('integrity', 'the notes in the store cannot be read', { cause });
    }
  }

  get state(): NodeState {
    return this.#state;
  }

  /** The members that the newest layouts name, with their addresses. */
  get peers(): readonly PeerEntry[] {
    return this.#peers;
  }

  /**
   * Applies a pure change and makes it durable before it shows. Changes run one after the other; one that throws
   * changes nothing. Answers the state after it. `known` are the members that the layouts name, when they came along:
   * on disk first, since a layout that is known is not told again.
   */
  change(step: (state: NodeState) => NodeState, known?: readonly PeerEntry[]): Promise<NodeState> {
    const next = this.#queue.then(async () => {
      const changed = step(this.#state);
      if (known) await this.#setPeers(known);
      if (changed !== this.#state) {
        await this.#storage.putState(stateKey, encodeState(changed));
        this.#state = changed;
      }
      return changed;
    });
    this.#queue = next.catch(() => undefined);
    return next;
  }

  async #setPeers(known: readonly PeerEntry[]): Promise<void> {
    if (formatJson(known) === formatJson(this.#peers)) return;
    await this.#storage.putState(peersKey, Buffer.from(formatJson({ version: 1, peers: known }), 'utf8'));
    this.#peers = known;
  }
}

const encodeState = (state: NodeState): Uint8Array =>
  Buffer.from(
    formatJson({ version: 1, ...state, layouts: state.layouts.map(({ record }: HeldLayout) => record) }),
    'utf8',
  );

const decodeState = (bytes: Uint8Array): NodeState => {
  const {
    version: _version,
    layouts,
    ...rest
  } = parseWith(storedState, parseJson(Buffer.from(bytes).toString('utf8')));
  return { ...rest, layouts: layouts.map((record) => ({ record, layout: verifyLayout(record) })) };
};
