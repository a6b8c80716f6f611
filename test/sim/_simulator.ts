// One simulation: a small network, clients at work, one who breaks things, one who watches. Everything follows from the
// seed, the number of steps and the list of faults; the same three give the same trace to the last message.
import type { NetworkSettings } from '../../src/identity/network-settings.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { checkLinearizable, describeCall } from '../support/linearizability.ts';
import { type ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import { snapshotOf } from '../support/memory-registry-faults.ts';
import { QuickRandom, SeededRandom } from '../support/seeded.ts';
import { Clients } from './_clients.ts';
import { convergesWithinMs, notConverged, notTidy, tidy } from './_converged.ts';
import { removeGone, resumeAll } from './_faults-orders.ts';
import { type FaultName, Nemesis } from './_nemesis.ts';
import { Trace } from './_trace.ts';
import { Watch } from './_watch.ts';
import { type MessageWeather, World } from './_world.ts';

export interface Simulation {
  readonly seed: number;
  readonly steps: number;
  readonly faults: readonly FaultName[];
  /** 1 when absent. */
  readonly gateways?: number | undefined;
  /** Drawn from the seed when absent. */
  readonly settings?: Partial<NetworkSettings> | undefined;
  /** Mutants: what is broken on purpose, to see that it is noticed, and W when layouts do not say it rightly. */
  readonly broken?: (cluster: () => MemoryCluster) => Partial<ClusterOptions>;
  readonly demandedCopies?: number | undefined;
  /** How messages and disks are all the time, before faults make them worse. */
  readonly messages?: Partial<MessageWeather> | undefined;
  readonly slowDisksMs?: readonly number[] | undefined;
  /** Whether nodes compare and read back at the end; a few seeds do when absent. */
  readonly tidies?: boolean | undefined;
  /** Sessions that each client has at once; 1 when absent. */
  readonly lanes?: number | undefined;
  readonly putsOnly?: boolean | undefined;
  /** Some files have two chunks. */
  readonly long?: boolean | undefined;
}

export interface Outcome {
  /** Undefined when all was well. */
  readonly failure: string | undefined;
  /** The last lines of what happened. */
  readonly tail: readonly string[];
  readonly hash: string;
  readonly lines: number;
  readonly operations: number;
  readonly simulatedMs: number;
}

/** Most networks are the usual one; the others make rare things frequent. */
const settingsOf = (random: SeededRandom): Partial<NetworkSettings> =>
  random.pick([
    {},
    {},
    {},
    { copies: 3, writeCopies: 3 },
    { copies: 2, writeCopies: 2 },
    { copies: 2, writeCopies: 1 },
    { copies: 1, writeCopies: 1 },
  ]);

/** Longest time of one step: clients give up after half a minute without progress, a few times over. */
const stepMsMax = 600_000;

class Run {
  readonly #simulation: Simulation;
  readonly trace: Trace;
  #cluster: MemoryCluster | undefined;
  clients: Clients | undefined;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    this.trace = new Trace(() => this.#cluster?.clock.monotonicMs() ?? 0);
  }

  get simulatedMs(): number {
    return this.#cluster?.clock.monotonicMs() ?? 0;
  }

  /** Throws what went wrong. */
  async run(): Promise<void> {
    const { seed, steps, faults, broken, demandedCopies } = this.#simulation;
    const random = new SeededRandom(`simulation ${seed}`);
    const watch = new Watch(() => this.#running(), this.trace, demandedCopies);
    const drawn = settingsOf(random);
    const settings = this.#simulation.settings ?? drawn;
    const { gateways = 1 } = this.#simulation;
    const shape = { gateways, nodes: 5, masters: 2, sentinels: 3, clients: 3 };
    const options = { seed, ...shape, settings, databaseOf: watch.watched, ...broken?.(() => this.#running()) };
    const cluster = await MemoryCluster.create(options);
    this.#cluster = cluster;
    watch.attach();
    try {
      const messages = new QuickRandom(`messages ${seed}`);
      const world = new World(cluster, { faults: new SeededRandom(`faults ${seed}`), messages }, this.trace);
      Object.assign(world.messages, this.#simulation.messages);
      for (const [at, slowMs] of (this.#simulation.slowDisksMs ?? []).entries()) cluster.node(at).disk.slowMs = slowMs;
      const nodes = cluster.nodes.slice(0, 1 + random.below(4));
      for (const process of [...cluster.masters, ...cluster.sentinels, ...nodes]) {
        await cluster.during(world.start(process));
      }
      await cluster.until(async () => (await cluster.registry().readLayouts()).unretired.length > 0);
      const { lanes = 1 } = this.#simulation;
      const members = Array.from({ length: lanes }, () => [...cluster.clients.keys()]).flat();
      const sessions = await Promise.all(members.map((at) => cluster.session(at)));
      const { putsOnly, long } = this.#simulation;
      const clients = new Clients(sessions, seed, this.trace, { putsOnly, long });
      this.clients = clients;
      clients.moments = watch.moments;
      clients.oldestMoment = () => watch.oldestMoment();
      if (faults.includes('clock-jump')) clients.excused = ['ticket-invalid'];
      clients.onPut = ({ name, version }) => watch.acknowledged(name, version as VersionId);
      const nemesis = new Nemesis(world, faults);
      for (let step = 0; step < steps; step++) {
        world.snapshots.push({ atMs: cluster.clock.monotonicMs(), snapshot: snapshotOf(cluster.store) });
        nemesis.act();
        await cluster.during(clients.act(), stepMsMax);
        await watch.look();
        this.#check(watch, world);
      }
      await nemesis.healAll();
      this.trace.add('healed');
      await this.#converge(world, watch);
      await this.#tidy(world, watch);
      await watch.look();
      await cluster.during(clients.readAll(), stepMsMax);
      this.#check(watch, world);
      this.#checkHistory(clients);
    } finally {
      cluster.stopAll();
    }
  }

  #running(): MemoryCluster {
    if (!this.#cluster) throw new Error('the cluster is not there yet');
    return this.#cluster;
  }

  #check(watch: Watch, world: World): void {
    const [strange] = this.#running().strange;
    if (strange !== undefined) throw strange;
    const [finding] = [...watch.findings, ...world.findings];
    if (finding !== undefined) throw new Error(finding);
  }

  async #converge(world: World, watch: Watch): Promise<void> {
    const { clock } = world.cluster;
    const untilMs = clock.monotonicMs() + convergesWithinMs;
    for (;;) {
      await clock.advance(1_000);
      await world.cluster.during(resumeAll(world).then(() => removeGone(world)));
      const reason = await notConverged(world, watch);
      if (reason === undefined) return;
      if (clock.monotonicMs() > untilMs) throw new Error(`not well ${convergesWithinMs} ms after healing: ${reason}`);
    }
  }

  /** Costs as much as all before: for some seeds, and where it matters. */
  async #tidy(world: World, watch: Watch): Promise<void> {
    const { seed, faults, tidies } = this.#simulation;
    const damaged = world.cluster.nodes.some(({ disk }) => disk.damaged);
    if (!(tidies ?? (seed % 5 === 0 || damaged))) return;
    this.trace.add('every node looks at its store');
    await tidy(world);
    const untidy = await notTidy(world, watch, faults.includes('age') || faults.includes('long-absence'));
    if (untidy !== undefined) throw new Error(`after every node looked at its store: ${untidy}`);
  }

  #checkHistory(clients: Clients): void {
    const verdict = checkLinearizable(clients.calls);
    if (verdict.kind !== 'violated') return;
    const lines = verdict.order.map(describeCall).slice(-12);
    const stuck = describeCall(verdict.stuck);
    throw new Error(
      `the history of ${verdict.names.join(', ')} has no order: after\n${lines.join('\n')}\nno place for\n${stuck}`,
    );
  }
}

/** Runs it to its end, whatever happens. */
export const simulate = async (simulation: Simulation): Promise<Outcome> => {
  const run = new Run(simulation);
  const failure = await run.run().then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
  return {
    failure,
    tail: run.trace.tail,
    hash: run.trace.digest(),
    lines: run.trace.count,
    operations: run.clients?.count ?? 0,
    simulatedMs: run.simulatedMs,
  };
};
