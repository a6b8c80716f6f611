// Puts the registry back from what the nodes hold, under an incarnation that is raised and not yet settled, so nobody
// sees names meanwhile. A registry that went back a little gets what is above its counter; one that was made again
// has the counter 0 and gets everything. Any leader may begin anew at any time: everything only rises, and the counter
// itself is raised last, with the settling.
// Invariants: nothing is settled before every partition was covered by sound nodes in this incarnation; per name the
// highest sequence counts, and if that is dead there is no file; what is visible afterwards is on W′ owners.
import type { Manifest } from '../../crypto/manifest.ts';
import { OperaError } from '../../errors/errors.ts';
import { bytesToHex, type KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { hasWriteQuorum, isCovered } from '../../placement/coverage.ts';
import { ownersOf } from '../../placement/layout.ts';
import { nodesOfFile } from '../../placement/movement.ts';
import { partitionCount } from '../../placement/partition.ts';
import type { MemberRecord, RegistryLife } from '../../registry/registry.ts';
import type { RestoredName } from '../../registry/restore.ts';
import {
  askNodes,
  type KnownLayouts,
  layoutsOf,
  namesOfNodes,
  type NodesView,
  soundOnes,
  unexpectedlySilent,
  type Witness,
} from './complete-view.ts';
import type { MasterCore, View } from './core.ts';
import type { ManifestWriter } from './durable.ts';
import { listGroup, type ReadEvidence, readFound } from './evidence-pages.ts';
import type { Leadership } from './leadership.ts';

/** The rules that a rebuild rests on; tests pass broken ones, to see that they notice. */
export interface RebuildRules {
  readonly isCovered: typeof isCovered;
  /** What orders the manifests of one name. */
  readonly sequenceOf: (manifest: Pick<Manifest, 'sequence'>) => bigint;
}

export const rebuildRules: RebuildRules = { isCovered, sequenceOf: ({ sequence }) => sequence };

export interface RebuildProgress {
  readonly incarnation: number;
  partitions: number;
  names: number;
  dead: number;
  /** Manifests that too few nodes held, and ones that no node could open. */
  spread: number;
  unreadable: number;
}

/** What one attempt works with. */
interface Ground {
  readonly life: RegistryLife;
  readonly members: readonly MemberRecord[];
  readonly view: NodesView;
  readonly sound: readonly Witness[];
  readonly layouts: KnownLayouts;
}

type Dead = Map<string, bigint>;

export class Rebuilder {
  readonly #core: MasterCore;
  readonly #writer: ManifestWriter;
  readonly #leadership: Leadership;
  readonly #rules: RebuildRules;
  /** Since when everything but silent nodes is there, and in which incarnation. */
  #covered: { readonly incarnation: number; readonly sinceMs: number } | undefined;
  progress: RebuildProgress | undefined;
  /** The incarnation in which an operator said to go on with the nodes that there are. */
  #forced = 0;

  constructor(core: MasterCore, writer: ManifestWriter, leadership: Leadership, rules = rebuildRules) {
    this.#core = core;
    this.#writer = writer;
    this.#leadership = leadership;
    this.#rules = rules;
  }

  /**
   * One attempt; answers why it could not be finished, or undefined when the incarnation is settled. Throws what passes
   * with time: the next attempt begins anew.
   */
  async attempt(life: RegistryLife): Promise<string | undefined> {
    const epoch = this.#leadership.epoch;
    if (epoch === undefined) return 'no leader';
    const { registry } = this.#core;
    const startedMs = this.#core.context.clock.monotonicMs();
    const ground = await this.#ground(life);
    const { layouts, view } = ground;
    if (view.incarnation > life.incarnation) {
      await registry.raiseIncarnation(life.incarnation, view.incarnation + 1);
      return 'nodes know a later incarnation';
    }
    const waits = this.#waitsFor(ground);
    if (waits !== undefined) return waits;
    if (!(await this.#order(ground, epoch))) return 'the leader asks for promises anew';
    this.progress = { incarnation: life.incarnation, partitions: 0, names: 0, dead: 0, spread: 0, unreadable: 0 };
    if (layouts.tables.length > 0 && view.sequence > life.sequence) await this.#putBack(ground, epoch);
    // Whoever does not lead any more leaves the last step to who does.
    if (this.#leadership.epoch !== epoch) return 'no leader';
    // Above all that was ever heard of, so that no sequence is drawn twice.
    const { known } = this.#core;
    const sequence = view.sequence > known.sequence ? view.sequence : known.sequence;
    if (!(await registry.settle(life.incarnation, sequence, epoch))) return 'another incarnation began';
    this.#covered = undefined;
    await this.#tell(startedMs);
    return undefined;
  }

  /** In this incarnation the view need not be complete: what only silent nodes know is missing until they are back. */
  force(incarnation: number): void {
    this.#forced = incarnation;
  }

  async #ground(life: RegistryLife): Promise<Ground> {
    const { registry } = this.#core;
    const members = await registry.listMembers();
    const view = await askNodes(this.#core, members, life.incarnation);
    const layouts = layoutsOf(this.#core, view.witnesses, await registry.readLayouts());
    const sound = soundOnes(view.witnesses).filter(({ said }) => said.incarnation === life.incarnation);
    return { life, members, view, sound, layouts };
  }

  /** What is missing for a complete view. */
  #waitsFor({ life, members, view, sound, layouts: { tables } }: Ground): string | undefined {
    if (this.#forced === life.incarnation) return undefined;
    const silent = view.silent.length > 0 ? `; silent: ${namesOfNodes(view.silent)}` : '';
    if (tables.length === 0) return view.silent.length > 0 ? `no node knows a layout${silent}` : undefined;
    const heard = this.#core.known.layoutNumber;
    if ((tables.at(-1)?.number ?? 0) < heard) return `only silent nodes know layout ${heard}${silent}`;
    const answered = new Set(sound.map(({ keyHash }) => keyHash));
    const open = this.#countUncovered(tables, answered);
    if (open > 0) return `${open} of ${partitionCount} partitions are not covered by sound nodes${silent}`;
    const nowMs = this.#core.context.clock.monotonicMs();
    if (this.#covered?.incarnation !== life.incarnation) {
      this.#covered = { incarnation: life.incarnation, sinceMs: nowMs };
    }
    const late = unexpectedlySilent(view, members).length > 0;
    const waits = late && nowMs - this.#covered.sinceMs < limits.rebuildPatienceMs;
    return waits ? `waits a little${silent}` : undefined;
  }

  #countUncovered(tables: KnownLayouts['tables'], answered: ReadonlySet<KeyHash>): number {
    let open = 0;
    for (let partition = 0; partition < partitionCount; partition++) {
      if (!this.#rules.isCovered(tables, partition, answered)) open++;
    }
    return open;
  }

  /** Layouts and epochs before names. False when promises must be gathered over what was just learned. */
  async #order({ life, view, layouts }: Ground, epoch: bigint): Promise<boolean> {
    const { registry } = this.#core;
    const { unretired, retiredUpTo } = await registry.readLayouts();
    const newest = unretired.at(-1)?.number ?? 0;
    const fresh = layouts.stored.filter(({ number }) => number > newest);
    const { incarnation } = life;
    this.#core.learn({ epoch: view.promisedEpoch });
    await registry.restore({
      incarnation,
      epoch,
      leaseEpoch: view.promisedEpoch,
      layouts: fresh,
      retiredUpTo: Math.max(retiredUpTo, layouts.retiredUpTo),
    });
    if (fresh.length === 0) return true;
    this.#leadership.reconfirm();
    return false;
  }

  async #putBack(ground: Ground, epoch: bigint): Promise<void> {
    const dead: Dead = new Map();
    const view = await this.#core.view();
    for (let from = 0; from < partitionCount; from += limits.rebuildPartitions) {
      const partitions = Array.from({ length: limits.rebuildPartitions }, (_, at) => from + at);
      const group = await this.#gather(ground, partitions);
      await this.#durable(ground, view, group);
      await this.#restore(ground, view, group, dead, epoch);
      if (this.progress) this.progress.partitions = from + partitions.length;
    }
    // Last, so that nothing older that came later stays: every name that ended goes if it stands below its end.
    const ended = [...dead].map(([name, sequence]) => ({ name, sequence }));
    for (let from = 0; from < ended.length; from += limits.batchEntriesMax) {
      const step = ended.slice(from, from + limits.batchEntriesMax);
      await this.#core.registry.restore({ incarnation: ground.life.incarnation, epoch, dead: step });
    }
  }

  async #gather({ life, sound, layouts: { tables } }: Ground, partitions: readonly number[]): Promise<ReadEvidence[]> {
    const asked = { incarnation: life.incarnation, partitions, above: life.sequence };
    const { found, answered } = await listGroup(this.#core, sound, tables, asked);
    // Who fell silent in the middle may leave a partition open that was covered at the beginning.
    const forced = this.#forced === life.incarnation;
    if (!forced && !partitions.every((partition) => this.#rules.isCovered(tables, partition, answered))) {
      throw new OperaError('unavailable', 'too many nodes fell silent while the registry was put back');
    }
    const read = await readFound(this.#core, sound, found);
    if (this.progress) this.progress.unreadable += found.length - read.length;
    return read;
  }

  /** What too few nodes hold is first written to W′ of its owners: nobody may see what could still be lost. */
  async #durable({ life, sound, layouts: { tables } }: Ground, view: View, group: readonly ReadEvidence[]) {
    const weak = group.filter(({ found }) => !hasWriteQuorum(tables, found.partition, found.holders));
    if (weak.length === 0) return;
    const written = await this.#writer.spread(
      view,
      life.incarnation,
      weak.map(({ manifest }) => manifest),
    );
    const up = new Set(sound.map(({ keyHash }) => keyHash));
    for (const [at, { found }] of weak.entries()) {
      const { durable, holders } = written[at] ?? { durable: false, holders: new Set<KeyHash>() };
      // With R′ = W′ a silent owner leaves W′ out of reach; then all owners that there are have it.
      const everywhere = ownersOf(view.newest, found.partition).every((owner) => !up.has(owner) || holders.has(owner));
      if (!durable && !everywhere) throw new OperaError('write-quorum', 'too few nodes take what is put back');
    }
    if (this.progress) this.progress.spread += weak.length;
  }

  async #restore(ground: Ground, view: View, group: readonly ReadEvidence[], dead: Dead, epoch: bigint): Promise<void> {
    const { sequenceOf } = this.#rules;
    const addresses = new Map(this.#core.nodesOf(view).map(({ keyHash, address }) => [keyHash, address]));
    const live = new Map<string, ReadEvidence & { readonly sequence: bigint }>();
    for (const entry of group) {
      const { name, manifest } = entry;
      const sequence = sequenceOf(manifest);
      if (manifest.state === 'dead') {
        if (sequence > (dead.get(name) ?? -1n)) dead.set(name, sequence);
      } else if (sequence > (live.get(name)?.sequence ?? -1n)) {
        live.set(name, { ...entry, sequence });
      }
    }
    const names = [...live.values()].map(
      ({ name, chunkCount, catalogue = false, manifest, sequence }): RestoredName => {
        const { version, incarnation, operationId, body, wrap } = manifest;
        const nodes = nodesOfFile(view.newest, version, chunkCount).flatMap((node) => addresses.get(node) ?? []);
        return { name, chunkCount, catalogue, version, sequence, incarnation, operationId, body, wrap, nodes };
      },
    );
    for (let from = 0; from < names.length; from += limits.batchEntriesMax) {
      const step = names.slice(from, from + limits.batchEntriesMax);
      await this.#core.registry.restore({ incarnation: ground.life.incarnation, epoch, names: step });
    }
    await this.#restoreOperations(ground, group, epoch);
    if (!this.progress) return;
    this.progress.names += names.length;
    this.progress.dead = dead.size;
  }

  /**
   * Whoever repeats an operation whose answer was lost with the registry is told that it was carried out: the manifests
   * say so, and their sequences are times. Without it a rename that happened would be refused.
   */
  async #restoreOperations({ life, view }: Ground, group: readonly ReadEvidence[], epoch: bigint): Promise<void> {
    const since = view.sequence - BigInt(limits.outcomeKeptMs) * 1_000n;
    const operations = group.flatMap(({ manifest: { operationId, sequence, incarnation } }) =>
      sequence > since ? { operationId, sequence, incarnation } : [],
    );
    for (let from = 0; from < operations.length; from += limits.batchEntriesMax) {
      const step = operations.slice(from, from + limits.batchEntriesMax);
      await this.#core.registry.restore({ incarnation: life.incarnation, epoch, operations: step });
    }
  }

  async #tell(startedMs: number): Promise<void> {
    const { context, registry } = this.#core;
    const { clock, random, log } = context;
    const facts = { ...this.progress, tookMs: Math.round(clock.monotonicMs() - startedMs) };
    log.warn('registry-settled', facts);
    if (facts.unreadable) log.error('manifests-unreadable', { manifests: facts.unreadable });
    const causeId = bytesToHex(random.bytes(16));
    await registry.appendEvent({ atMs: clock.nowMs(), kind: 'registry-settled', causeId, memberId: undefined, facts });
  }
}
