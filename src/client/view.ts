// What a client knows of the network: the unretired layouts, the nodes with their states, the registry's life.
// Invariant: a layout is believed only when a master of the roster signed it for this network; an older plan that
// arrives late never replaces a newer one. It holds no ticket and sends nothing but the refresh it is given.
import { equalBytes } from '../crypto/digest.ts';
import { OperaError } from '../errors/errors.ts';
import type { Roster } from '../identity/roster.ts';
import type { KeyHash, NetworkId, VersionId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { type Layout, ownersOf, verifyLayout } from '../placement/layout.ts';
import { partitionOf } from '../placement/partition.ts';
import type { Clock } from '../runtime/clock.ts';
import type { AnswerOf } from '../wire/routes.ts';
import type { Destination } from './transport.ts';

/** What every answer with a plan carries. */
export type WirePlan = Pick<AnswerOf<'upload.open'>, 'layouts' | 'layoutNumber' | 'nodes' | 'incarnation' | 'nowMs'>;

type NodeEntry = WirePlan['nodes'][number];

/** One node to ask, and whom to expect there. */
export interface Owner {
  readonly keyHash: KeyHash;
  readonly to: Destination;
}

export interface ViewOptions {
  readonly networkId: NetworkId;
  readonly clock: Clock;
  readonly roster: () => Roster;
  /** Fetches a newer roster, once a layout is signed by a master that the known one does not list. */
  readonly refresh: () => Promise<void>;
}

interface HeldLayout {
  readonly layout: Layout;
  readonly record: SignedRecord;
}

/** Order in which owners are asked: live ones, then doubtful ones, then those the network takes for dead. */
const rankOfState = (state: NodeEntry['state']): number => {
  if (state === 'suspect') return 1;
  return state === 'down' || state === 'out' || state === 'removed' ? 3 : 0;
};

export class ClusterView {
  readonly #options: ViewOptions;
  #layouts: readonly HeldLayout[] = [];
  #nodes: ReadonlyMap<KeyHash, NodeEntry> = new Map();
  readonly #avoidedUntil = new Map<KeyHash, number>();
  #incarnation = 0;

  constructor(options: ViewOptions) {
    this.#options = options;
  }

  /** Number of the newest layout known; 0 before the first plan. */
  get layoutNumber(): number {
    return this.#layouts.at(-1)?.layout.number ?? 0;
  }

  /** W′ of the newest layout. */
  get writeCopies(): number {
    return this.#layouts.at(-1)?.layout.writeCopies ?? 0;
  }

  /** Takes what an answer says. `integrity` or `wrong-network` for layouts that are not to be believed. */
  async accept(plan: WirePlan): Promise<void> {
    const held = await Promise.all(plan.layouts.map((record) => this.#verify(record)));
    const newest = held.at(-1)?.layout.number ?? 0;
    if (newest >= this.layoutNumber && held.length > 0) this.#layouts = held;
    if (plan.incarnation < this.#incarnation || plan.layoutNumber < this.layoutNumber) return;
    this.#nodes = new Map(plan.nodes.map((node) => [node.keyHash, node]));
    this.#incarnation = plan.incarnation;
  }

  /** Owners of a chunk in the newest layout, the likeliest to answer first. */
  writersOf(version: VersionId, index: number): readonly Owner[] {
    const newest = this.#layouts.at(-1);
    return this.#ranked(newest ? ownersOf(newest.layout, partitionOf(version, index)) : []);
  }

  /** Owners of a chunk in every unretired layout, newest first; those taken for dead last. */
  readersOf(version: VersionId, index: number): readonly Owner[] {
    const partition = partitionOf(version, index);
    const owners = [...this.#layouts].reverse().flatMap(({ layout }) => ownersOf(layout, partition));
    return this.#ranked([...new Set(owners)]);
  }

  /** An owner did not answer: ask it last for a while. */
  avoid(keyHash: KeyHash): void {
    this.#avoidedUntil.set(keyHash, this.#options.clock.monotonicMs() + limits.ownerAvoidedMs);
  }

  /** How doubtful it is that a node answers: 0 for one that seems well, more the worse it looks. */
  doubtOf(keyHash: KeyHash): number {
    const node = this.#nodes.get(keyHash);
    if (!node) return Number.POSITIVE_INFINITY;
    const avoided = (this.#avoidedUntil.get(keyHash) ?? 0) > this.#options.clock.monotonicMs() ? 2 : 0;
    return Math.max(rankOfState(node.state), avoided);
  }

  #ranked(owners: readonly KeyHash[]): readonly Owner[] {
    return owners
      .flatMap((keyHash) => {
        const node = this.#nodes.get(keyHash);
        if (!node) return [];
        const to: Destination = { address: node.address, expect: { memberId: node.memberId } };
        return [{ rank: this.doubtOf(keyHash), owner: { keyHash, to } }];
      })
      .sort((a, b) => a.rank - b.rank)
      .map(({ owner }) => owner);
  }

  async #verify(record: SignedRecord): Promise<HeldLayout> {
    const known = this.#layouts.find((held) => equalBytes(held.record.bytes, record.bytes));
    if (known) return known;
    const layout = verifyLayout(record);
    const { networkId, roster, refresh } = this.#options;
    if (layout.networkId !== networkId) throw new OperaError('wrong-network', 'the layout is of another network');
    if (roster().byKeyHash.get(layout.signer)?.role !== 'master') {
      await refresh();
      if (roster().byKeyHash.get(layout.signer)?.role !== 'master') {
        throw new OperaError('integrity', 'the layout is not signed by a master of this network');
      }
    }
    return { layout, record };
  }
}
