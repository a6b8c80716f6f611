// Invariants, looked at while things happen: it sees every step of the database, every write of every disk and every
// order that was carried out, past all faults. What it finds it notes and goes on; the simulation asks after each step.
import type { VersionId } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import { type Layout, ownersOf, parseLayout } from '../../src/placement/layout.ts';
import { partitionOf } from '../../src/placement/partition.ts';
import type { CommitStep, MemberState, NameChange, Registry } from '../../src/registry/registry.ts';
import type { ManifestWrite } from '../../src/storage-adapters/storage-adapter.ts';
import type { ClusterNode, MemoryCluster } from '../support/memory-cluster.ts';
import type { Answered } from '../support/memory-transport.ts';
import type { Trace } from './_trace.ts';

/** Routes by which a leader gives orders to nodes. */
const orders: readonly string[] = ['layout.adopt', 'layout.covered'];

/** Numbers of a node's durable notes that may only rise. */
const rising = ['retiredUpTo', 'promisedEpoch', 'incarnation'] as const;
type Rising = Readonly<Record<(typeof rising)[number], bigint>>;

/** Reads them from both ends of the record: between them may stand layouts of some hundred kilobytes. */
const risingOf = (bytes: Uint8Array): Rising | undefined => {
  const ends = [bytes.subarray(0, 1_000), bytes.subarray(-1_000)];
  const text = ends.map((part) => Buffer.from(part).toString('utf8')).join(' ');
  const numberOf = (key: string): bigint | undefined => {
    const found = new RegExp(`"${key}":"?(\\d+)`).exec(text)?.[1];
    return found === undefined ? undefined : BigInt(found);
  };
  const [retiredUpTo, promisedEpoch, incarnation] = rising.map(numberOf);
  if (retiredUpTo === undefined || promisedEpoch === undefined || incarnation === undefined) return undefined;
  return { retiredUpTo, promisedEpoch, incarnation };
};

/** Members whose copies are not waited for. */
const lost = (state: MemberState): boolean => state === 'out' || state === 'removed' || state === 'quarantine';

const stepsOf = (change: NameChange): VersionId[] =>
  change.kind === 'rename' ? [change.sealed.version, change.tombstone.version] : [change.sealed.version];

export class Watch {
  readonly #cluster: () => MemoryCluster;
  readonly #trace: Trace;
  /** `version sequence` of every change that the database ever made. */
  readonly #committed = new Set<string>();
  /** Versions that no name ever needs again, or that never became a file's. */
  readonly #superseded = new Set<VersionId>();
  readonly #current = new Map<string, VersionId>();
  /** The layouts that counted when a version became a name's. */
  readonly #layoutsAt = new Map<VersionId, readonly Layout[]>();
  /** Names of catalogues and their versions after each step, from before the first on. */
  readonly moments: ReadonlyMap<string, VersionId>[] = [new Map()];
  /** When each of them began. */
  readonly #begunMs: number[] = [0];
  /** The moment that a put began. */
  readonly #momentOf = new Map<VersionId, number>();
  /** The newest moment that an acknowledged put began. */
  #acknowledgedMoment = 0;
  /** Versions that were put as catalogues, or of which some node was sent a note. */
  readonly #catalogues = new Set<VersionId>();
  /** For each leader epoch the life of the process whose orders were carried out. */
  readonly #executors = new Map<bigint, number>();
  readonly #executed = new Map<string, bigint>();
  readonly #notes = new Map<ClusterNode, Rising>();
  #sequence = 0n;
  readonly findings: string[] = [];
  readonly #demandedCopies: number;

  constructor(cluster: () => MemoryCluster, trace: Trace, demandedCopies = 1) {
    this.#cluster = cluster;
    this.#trace = trace;
    this.#demandedCopies = demandedCopies;
  }

  #find(finding: string): void {
    this.#trace.add(`FOUND ${finding}`);
    this.findings.push(finding);
  }

  /** The names as the database moved them, whatever became of the database since. */
  get current(): ReadonlyMap<string, VersionId> {
    return this.#current;
  }

  /** True for a version that was put as a catalogue. */
  isCatalogue(version: VersionId): boolean {
    return this.#catalogues.has(version);
  }

  /** A node that could not index what it holds: a chunk of a catalogue without its note. */
  async chunksWithoutNote(): Promise<string | undefined> {
    for (const { storage, address } of this.#cluster().nodes) {
      for (const version of this.#catalogues) {
        const [held] = await storage.listVersion(version, 0, 1);
        if (held && !(await storage.getNote(version))) return `${address} holds a chunk of ${version} without its note`;
      }
    }
    return undefined;
  }

  attach(): void {
    const cluster = this.#cluster();
    for (const node of cluster.nodes) node.disk.onWrite = (method, args) => this.#written(node, method, args);
    cluster.onAnswered = (answered) => this.#answered(answered);
  }

  // ---- the database

  /** The database, with every commit noted even when its answer gets lost. */
  watched = (registry: Registry): Registry =>
    new Proxy(registry, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        if (key === 'retireLayouts') {
          return async (...args: Parameters<Registry['retireLayouts']>) => {
            const before = this.#cluster().store.retiredUpTo;
            await target.retireLayouts(...args);
            if (this.#cluster().store.retiredUpTo > before) await this.#retired(args[0]);
          };
        }
        if (key !== 'commit') return (...args: unknown[]) => Reflect.apply(value, target, args) as unknown;
        return async (step: CommitStep) => {
          const outcomes = await target.commit(step);
          for (const [at, change] of step.changes.entries()) {
            const outcome = outcomes[at];
            if (outcome?.done && !outcome.repeated) this.#moved(change, outcome.sequence);
          }
          this.moments.push(new Map([...this.#current].filter(([, version]) => this.#catalogues.has(version))));
          this.#begunMs.push(this.#cluster().clock.monotonicMs());
          return outcomes;
        };
      },
    });

  /**
   * The first moment that a question which begins now may be answered from: snapshots are shared for a while, but never
   * one from before a put that was acknowledged.
   */
  oldestMoment(): number {
    const sinceMs = this.#cluster().clock.monotonicMs() - limits.catalogueSettleMs;
    let at = this.moments.length - 1;
    while (at > this.#acknowledgedMoment && (this.#begunMs[at] ?? 0) > sinceMs) at--;
    return at;
  }

  #moved(change: NameChange, sequence: bigint): void {
    const { kind, name } = change;
    this.#trace.add(`step ${kind} ${name} ${change.sealed.version.slice(0, 6)} at ${sequence}`);
    if (sequence <= this.#sequence) this.#find(`sequence ${sequence} was drawn after ${this.#sequence}`);
    this.#sequence = sequence;
    for (const version of stepsOf(change)) this.#committed.add(`${version} ${sequence}`);
    if (kind === 'put' && change.catalogue) this.#catalogues.add(change.sealed.version);
    const target = kind === 'rename' ? change.to : name;
    for (const old of [this.#current.get(name), this.#current.get(target)]) if (old) this.#superseded.add(old);
    this.#current.delete(name);
    if (kind === 'remove') return;
    this.#current.set(target, change.sealed.version);
    this.#layoutsAt.set(change.sealed.version, this.layouts());
    this.#momentOf.set(change.sealed.version, this.moments.length);
    this.#superseded.delete(change.sealed.version);
  }

  /** What lives is with owners of the newest layout when the older ones are forgotten. */
  async #retired(upTo: number): Promise<void> {
    this.#trace.add(`retired up to ${upTo}`);
    const { store, nodes } = this.#cluster();
    const newest = this.layouts().at(-1);
    if (!newest) return this.#find(`layout ${upTo} was retired, and there is none after it`);
    const gone = new Set([...store.members.values()].flatMap(({ keyHash, state }) => (lost(state) ? [keyHash] : [])));
    for (const node of nodes) if (node.disk.damaged) gone.add(node.member.signer.keyHash);
    for (const [name, version] of this.#current) {
      const { chunk } = await this.holders(version);
      const holding = new Set(chunk.map(({ member }) => member.signer.keyHash));
      const owners = ownersOf(newest, partitionOf(version, 0));
      const held = owners.filter((owner) => holding.has(owner)).length;
      const waitedFor = owners.filter((owner) => holding.has(owner) || !gone.has(owner)).length;
      if (held >= Math.min(newest.writeCopies, waitedFor)) continue;
      const where = chunk.map(({ address }) => address).join(', ');
      this.#find(`layout ${upTo} was retired while ${held} of ${owners.length} owners hold ${name}: ${where}`);
    }
  }

  // ---- disks

  #written(node: ClusterNode, method: string, args: readonly unknown[]): void {
    if (method === 'putManifests') {
      for (const { version, sequence } of args[0] as readonly ManifestWrite[]) {
        if (this.#committed.has(`${version} ${sequence}`)) continue;
        this.#find(`${node.address} took a manifest of ${version} at ${sequence}, which no step made`);
      }
    }
    if (method === 'putNote') this.#catalogues.add(args[0] as VersionId);
    if (method === 'putState' && args[0] === 'order') this.#noted(node, args[1] as Uint8Array);
    if (method === 'deleteChunks') {
      for (const { version, index } of args[0] as readonly { version: VersionId; index: number }[]) {
        this.#deleted(node, version, index);
      }
    }
    if (method === 'deleteManifests') {
      for (const version of args[0] as readonly VersionId[]) {
        const name = [...this.#current].find(([, current]) => current === version)?.[0];
        if (name !== undefined && this.#owns(node, version, 0)) {
          this.#find(`${node.address} dropped the manifest of ${name}, a live file`);
        }
      }
    }
  }

  #noted(node: ClusterNode, bytes: Uint8Array): void {
    const now = risingOf(bytes);
    const before = this.#notes.get(node);
    if (!now) return this.#find(`${node.address} wrote notes that cannot be read`);
    this.#notes.set(node, now);
    if (!before || node.disk.damaged) return;
    for (const key of rising) {
      if (now[key] < before[key]) this.#find(`${node.address} lowered ${key} from ${before[key]} to ${now[key]}`);
    }
  }

  #owns(node: ClusterNode, version: VersionId, index: number): boolean {
    const partition = partitionOf(version, index);
    return this.layouts().some((layout) => ownersOf(layout, partition).includes(node.member.signer.keyHash));
  }

  #deleted(node: ClusterNode, version: VersionId, index: number): void {
    const name = [...this.#current].find(([, current]) => current === version)?.[0];
    if (name === undefined || !this.#owns(node, version, index)) return;
    this.#find(`${node.address} deleted chunk ${index} of ${name}, a live file, and owns it`);
  }

  // ---- orders

  #answered({ link, life, outcome }: Answered): void {
    const { fromAddress, to, route, request } = link;
    this.#trace.add(`${fromAddress} > ${to.address} ${route} ${outcome}`);
    if (outcome !== 'ok' || !orders.includes(route)) return;
    const { epoch } = request as { readonly epoch: bigint };
    const executor = this.#executors.get(epoch) ?? life;
    this.#executors.set(epoch, executor);
    if (executor !== life) this.#find(`orders of two processes were carried out in leader epoch ${epoch}`);
    const before = this.#executed.get(to.address) ?? 0n;
    const node = this.#cluster().nodes.find(({ address }) => address === to.address);
    if (epoch < before && !node?.disk.damaged) {
      this.#find(`${to.address} carried out an order of leader epoch ${epoch} after one of ${before}`);
    }
    this.#executed.set(to.address, epoch);
  }

  // ---- copies

  /** The unretired layouts the database knows now, ascending. */
  layouts(): Layout[] {
    const { store } = this.#cluster();
    const numbers = [...store.layouts.keys()].sort((a, b) => a - b);
    return numbers.flatMap((number) => {
      const stored = store.layouts.get(number);
      return stored ? [layoutOf(stored.layout.bytes)] : [];
    });
  }

  /** Nodes whose disks hold a good copy of chunk 0, and of the manifest. */
  async holders(version: VersionId): Promise<{ readonly chunk: ClusterNode[]; readonly manifest: ClusterNode[] }> {
    const chunk: ClusterNode[] = [];
    const manifest: ClusterNode[] = [];
    for (const node of this.#cluster().nodes) {
      const [held] = await node.storage.listVersion(version, 0, 1);
      if (held && !node.disk.isRotten(held)) chunk.push(node);
      if (await node.storage.getManifest(version)) manifest.push(node);
    }
    return { chunk, manifest };
  }

  /** A put was acknowledged: W′ owners of one and the same layout hold it on their disks. */
  async acknowledged(name: string, version: VersionId): Promise<void> {
    this.#acknowledgedMoment = Math.max(this.#acknowledgedMoment, this.#momentOf.get(version) ?? 0);
    const damaged = this.#cluster().nodes.filter(({ disk }) => disk.damaged).length;
    const { chunk, manifest } = await this.holders(version);
    const partition = partitionOf(version, 0);
    // A registry may be emptied between the step and its answer: the layouts are gone from it then, the copies are not.
    const layouts = [...(this.#layoutsAt.get(version) ?? []), ...this.layouts()];
    const enough = (holders: readonly ClusterNode[]): boolean => {
      const keys = new Set(holders.map(({ member }) => member.signer.keyHash));
      return layouts.some((layout) => {
        const demanded = Math.max(layout.writeCopies, Math.min(this.#demandedCopies, layout.copies));
        return ownersOf(layout, partition).filter((key) => keys.has(key)).length + damaged >= demanded;
      });
    };
    if (!enough(chunk)) this.#find(`${name} was acknowledged with ${chunk.length} copies`);
    if (!enough(manifest)) this.#find(`${name} was acknowledged with ${manifest.length} manifests`);
  }

  /** No file lost its last copy, and no chunk of a catalogue is without its note. */
  async look(): Promise<void> {
    for (const [name, version] of this.#current) {
      const { chunk, manifest } = await this.holders(version);
      if (chunk.length === 0) this.#find(`nobody holds a chunk of ${name} any more`);
      const pending = this.#cluster().store.pendingOf.has(name);
      if (manifest.length === 0 && !pending) this.#find(`nobody holds the manifest of ${name} any more`);
    }
    const naked = await this.chunksWithoutNote();
    if (naked !== undefined) this.#find(naked);
  }
}

const parsed = new WeakMap<Uint8Array, Layout>();

/** Parsing takes a walk over 4,096 partitions. */
const layoutOf = (bytes: Uint8Array): Layout => {
  const layout = parsed.get(bytes) ?? parseLayout(bytes);
  parsed.set(bytes, layout);
  return layout;
};
