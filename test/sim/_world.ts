// What faults, clients and checks of a simulation share: the cluster, randomness of each its own, and what is broken
// now.
import { isOperaError } from '../../src/errors/errors.ts';
import { parseLayout } from '../../src/placement/layout.ts';
import type { ClusterNode, ClusterProcess, Fault, MemoryCluster } from '../support/memory-cluster.ts';
import type { RegistrySnapshot } from '../support/memory-registry-faults.ts';
import type { SeededRandom } from '../support/seeded.ts';
import type { Trace } from './_trace.ts';

/** What happens to messages: parts in [0, 1] of them, and how long. */
export interface MessageWeather {
  loss: number;
  late: number;
  lateMs: number;
  twice: number;
}

/** Longest time of a message when nothing is wrong, ms. */
const travelMs = 6;

export class World {
  readonly cluster: MemoryCluster;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly messages: MessageWeather = { loss: 0, late: 0, lateMs: 400, twice: 0 };
  /** Nodes that were ever started: these count when all is well again. */
  readonly joined = new Set<ClusterNode>();
  /** Nodes that may be draining, or were removed until they are taken back. */
  readonly drained = new Set<ClusterNode>();
  /** Nodes that burned down: never started again, and removed by force. */
  readonly gone = new Set<ClusterNode>();
  /** What orders were seen to break. */
  readonly findings: string[] = [];
  /** Served hours that passed since a node stopped or was paused, and nodes for which these were too many. */
  readonly hoursAway = new Map<ClusterNode, number>();
  readonly untrusted = new Set<ClusterNode>();
  /** States of the database from before, the newest last; one for each step. */
  readonly snapshots: { readonly atMs: number; readonly snapshot: RegistrySnapshot }[] = [];
  readonly #messageRandom: SeededRandom;

  constructor(cluster: MemoryCluster, randoms: Readonly<Record<'faults' | 'messages', SeededRandom>>, trace: Trace) {
    this.cluster = cluster;
    this.random = randoms.faults;
    this.#messageRandom = randoms.messages;
    this.trace = trace;
    cluster.faultOf = () => this.#fate();
  }

  #fate(): Fault | undefined {
    const { loss, late, lateMs, twice } = this.messages;
    const random = this.#messageRandom;
    const draw = random.fraction();
    // Without faults a message takes a few milliseconds, and its answer none.
    const usual = { delayMs: random.below(travelMs) };
    if (draw < loss / 2) return { lost: true };
    if (draw < loss) return { answerLost: true };
    if (draw < loss + late / 2) return { delayMs: random.below(lateMs) };
    if (draw < loss + late) return { answerDelayMs: random.below(lateMs) };
    return draw < loss + late + twice ? { ...usual, againMs: random.below(5_000) } : usual;
  }

  /** Messages and disks as they are when nothing is wrong. */
  calm(): void {
    Object.assign(this.messages, { loss: 0, late: 0, twice: 0 });
    for (const { disk } of this.cluster.nodes) disk.slowMs = 0;
  }

  /** Everyone on the wires: processes and clients. */
  get addresses(): string[] {
    const clients = this.cluster.clients.map((_, at) => `client ${at}`);
    return [...this.cluster.processes.map(({ address }) => address), ...clients];
  }

  /** Processes that run, of the kinds that faults are for. */
  running(kind: 'node' | 'master' | 'sentinel' | 'gateway' | 'any' = 'any'): ClusterProcess[] {
    return this.cluster.processes.filter((process) => process.runs && (kind === 'any' || process.member.role === kind));
  }

  nodesRunning(): ClusterNode[] {
    return this.cluster.nodes.filter((node) => node.runs);
  }

  async start(process: ClusterProcess): Promise<void> {
    const node = this.cluster.nodes.find((other) => other === process);
    if (process.runs || (node && this.gone.has(node))) return;
    this.trace.add(`start ${process.address}`);
    if (node) {
      this.joined.add(node);
      this.hoursAway.delete(node);
    }
    try {
      await this.cluster.start(process);
    } catch (error) {
      // A full disk, a database that is away: the process ends with an error, and whoever watches it starts it again.
      if (!isOperaError(error)) throw error;
      this.trace.add(`start ${process.address} failed: ${error.code}`);
      this.cluster.stop(process);
    }
  }

  stop(process: ClusterProcess): void {
    if (!process.runs) return;
    this.trace.add(`stop ${process.address}`);
    this.cluster.stop(process);
  }

  /** As many disks may be damaged at once as writes survive: fewer while a smaller network is not left behind yet. */
  mayDamage(): boolean {
    const { layouts } = this.cluster.store;
    const copies = [...layouts.values()].map(({ layout }) => parseLayout(layout.bytes).writeCopies);
    const damaged = this.cluster.nodes.filter((node) => node.disk.damaged || this.untrusted.has(node)).length;
    return copies.length > 0 && damaged < Math.min(...copies) - 1;
  }
}
