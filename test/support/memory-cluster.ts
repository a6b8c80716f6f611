// A whole network in one process: the real nodes, masters and sentinels and the gateway's real relay, over stores and a
// registry in memory, a network that loses and delays messages, and clocks that move only when told to.
// What is not here: sockets, TLS, certificates, key boxes and rosters that change; every member is listed from the
// start and holds the network key. A process that crashes never does another step; its disk stays.
import type { Connection } from '../../src/client/connection.ts';
import type { KeyKeeper } from '../../src/client/key-keeper.ts';
import type { RosterKeeper } from '../../src/client/roster-keeper.ts';
import { createSession, type Session } from '../../src/client/session.ts';
import type { Peer, Transport } from '../../src/client/transport.ts';
import { Keyring } from '../../src/crypto/keyring.ts';
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import type { NetworkSettings } from '../../src/identity/network-settings.ts';
import { parseRoster, type Roster } from '../../src/identity/roster.ts';
import { bytesToHex, type NetworkId } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import { parseLayout } from '../../src/placement/layout.ts';
import { MemoryRegistryStore } from '../../src/registry/memory-store.ts';
import type { Registry } from '../../src/registry/registry.ts';
import type { RoleContext } from '../../src/roles/context.ts';
import { MemberDirectory } from '../../src/roles/gateway/directory.ts';
import { Relay } from '../../src/roles/gateway/relay.ts';
import { createMaster, type MasterDependencies, type RunningMaster } from '../../src/roles/master/app.ts';
import { RoleMetrics } from '../../src/roles/metrics.ts';
import { createNode, type NodeDependencies, type RunningNode, type RunningRole } from '../../src/roles/node/app.ts';
import type { WriteBarrier } from '../../src/roles/node/barrier.ts';
import type { IndexEngine } from '../../src/roles/node/index-engine.ts';
import { judgeOpening, type StoreWitness } from '../../src/roles/node/soundness.ts';
import { PeerBook } from '../../src/roles/peer-book.ts';
import { createSentinel, type Sentinel, type SentinelDependencies } from '../../src/roles/sentinel/app.ts';
import { createLogger } from '../../src/runtime/log.ts';
import type { MemoryStorage } from '../../src/storage-adapters/memory.ts';
import type { StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import { type TestMember, testNowMs } from './identity-network.ts';
import { MemoryDisk } from './memory-disk.ts';
import { loadSqlite, MemoryIndexFile } from './memory-index.ts';
import { type Founded, foundNetwork } from './memory-founding.ts';
import { Links } from './memory-links.ts';
import { MemoryNetwork } from './memory-network.ts';
import { Life, MachineTime, ProcessClock } from './memory-process.ts';
import { linkRegistry, type RegistryWeather, SharedMemoryRegistry } from './memory-registry-faults.ts';
import { type Answered, createTransport, type Fault, type Link } from './memory-transport.ts';
import { SeededRandom } from './seeded.ts';
import { SteppedClock } from './stepped-clock.ts';

export type { Fault, Link } from './memory-transport.ts';

const gatewayAddressOf = (at: number): string => `10.0.0.${at + 1}:7000`;
/** Of the first one. */
export const gatewayAddress = gatewayAddressOf(0);

export const peerOf = ({ memberId, signer, role }: TestMember): Peer => ({
  memberId,
  keyHash: signer.keyHash,
  role,
  spki: signer.spki,
});

/** A machine with one process on it, or none. */
export class ClusterProcess<Running = unknown> {
  readonly member: TestMember;
  address: string;
  readonly time: MachineTime;
  running: Running | undefined;
  metrics: RoleMetrics | undefined;
  life: Life | undefined;

  constructor(member: TestMember, address: string, time: MachineTime) {
    this.member = member;
    this.address = address;
    this.time = time;
  }

  get runs(): boolean {
    return this.life !== undefined && !this.life.ended;
  }
}

export class ClusterNode extends ClusterProcess<RunningNode> {
  readonly disk: MemoryDisk;
  readonly index: MemoryIndexFile;
  /** What its identity folder says of the store; it outlives the disk. */
  witness: StoreWitness | undefined;

  constructor(member: TestMember, address: string, time: MachineTime, disk: MemoryDisk, index: MemoryIndexFile) {
    super(member, address, time);
    this.disk = disk;
    this.index = index;
  }

  /** What its disk holds, past all faults. */
  get storage(): MemoryStorage {
    return this.disk.content;
  }
}

export type ClusterMaster = ClusterProcess<RunningMaster>;

export interface ClusterOptions {
  readonly seed?: string | number;
  readonly gateways?: number;
  readonly nodes?: number;
  readonly masters?: number;
  readonly sentinels?: number;
  readonly clients?: number;
  readonly settings?: Partial<NetworkSettings>;
  /** Replaces a node's store seen by the role; for faults of stores and for mutants. */
  readonly storageOf?: (storage: StorageAdapter, index: number) => StorageAdapter;
  /** Replaces a node's index; for mutants. */
  readonly indexOf?: (engine: IndexEngine, index: number) => IndexEngine;
  /** Replaces what a client's session is made over; for mutants. */
  readonly connectionOf?: (connection: Connection) => Connection;
  /** Replaces the database as everyone reaches it; for looking at its steps. */
  readonly databaseOf?: (registry: Registry) => Registry;
  /** Replaces a master's registry; for faults between its steps, and for mutants. */
  readonly registryOf?: (registry: Registry, index: number) => Registry;
  /** Replaces what a node serves; for mutants. */
  readonly handlersOf?: (handlers: RunningRole['handlers'], index: number) => RunningRole['handlers'];
  /** A node's write barrier and the masters' rule of copies; for mutants. */
  readonly barrierOf?: () => WriteBarrier;
  readonly isDurable?: MasterDependencies['isDurable'];
  /** More dependencies of a role; for mutants. */
  readonly nodeWith?: Partial<NodeDependencies>;
  readonly masterWith?: Partial<MasterDependencies>;
  readonly sentinelWith?: Partial<SentinelDependencies>;
  /** Mutant: disks answer before a write is durable. */
  readonly noFsync?: boolean;
}

export class MemoryCluster {
  readonly net = new MemoryNetwork();
  readonly links = new Links();
  readonly clock = new SteppedClock(testNowMs);
  readonly store = new MemoryRegistryStore();
  /** How the database answers; changed by tests at any time. */
  readonly weather: RegistryWeather = { slowMs: 0, answersLost: 0 };
  readonly random: SeededRandom;
  readonly lines: string[] = [];
  readonly roster: Roster;
  /** The first of them. */
  readonly gateway: ClusterProcess;
  readonly gateways: readonly ClusterProcess[];
  readonly nodes: ClusterNode[];
  readonly masters: ClusterMaster[];
  readonly sentinels: ClusterProcess<Sentinel>[];
  readonly clients: readonly TestMember[];
  readonly networkId: NetworkId;
  keyring: Keyring;
  /** Decides what becomes of each message; changed by tests at any time. */
  faultOf: (link: Link) => Fault | undefined = () => undefined;
  /** Told of every call that a handler answered. */
  onAnswered: (answered: Answered) => void = () => undefined;
  readonly #options: ClusterOptions;
  readonly #founded: Founded;
  /** Whatever was thrown anywhere that is no error of ours. */
  readonly strange: unknown[] = [];

  private constructor(options: ClusterOptions, founded: Founded) {
    this.#options = options;
    this.#founded = founded;
    this.random = new SeededRandom(`cluster ${options.seed ?? 0}`);
    this.roster = parseRoster(founded.record.bytes);
    this.networkId = founded.networkId;
    this.keyring = new Keyring(founded.networkId, [{ epoch: 1, key: founded.networkKey }]);
    this.clients = founded.clients;
    const { clock } = this;
    const machine = (): MachineTime => new MachineTime(clock);
    const { noFsync = false } = options;
    const [first, ...others] = founded.gateways.map(
      (member, at) => new ClusterProcess(member, gatewayAddressOf(at), machine()),
    );
    if (!first) throw new Error('a network has a gateway');
    this.gateway = first;
    this.gateways = [first, ...others];
    this.nodes = founded.nodes.map((member, at) => {
      const random = (of: string): SeededRandom => new SeededRandom(`${of} ${at} ${options.seed ?? 0}`);
      const disk = new MemoryDisk({ clock, random: random('disk'), noFsync });
      const index = new MemoryIndexFile({ clock, random: random('index'), disk });
      return new ClusterNode(member, `10.0.1.${at + 1}:7000`, machine(), disk, index);
    });
    this.masters = founded.masters.map((member, at) => new ClusterProcess(member, `10.0.2.${at + 1}:7000`, machine()));
    this.sentinels = founded.sentinels.map(
      (member, at) => new ClusterProcess(member, `10.0.3.${at + 1}:7000`, machine()),
    );
  }

  /** A founded network whose gateways run; masters and nodes do not yet. */
  static async create(options: ClusterOptions = {}): Promise<MemoryCluster> {
    const { gateways = 1, nodes = 3, masters = 1, sentinels = 0, clients = 2, settings = {} } = options;
    await loadSqlite();
    const shape = { gateways, nodes, masters, sentinels, clients };
    const cluster = new MemoryCluster(options, await foundNetwork(shape, settings));
    const { number, hash, keyEpoch } = cluster.roster;
    const { record } = cluster.#founded;
    await cluster.registry().createNetwork(cluster.networkId, { number, hash, keyEpoch, roster: record, keep: true });
    for (const at of cluster.gateways.keys()) await cluster.startGateway(at);
    return cluster;
  }

  /** As `create`, with all masters, sentinels and nodes running and the first layout complete. */
  static async start(options: ClusterOptions = {}): Promise<MemoryCluster> {
    const cluster = await MemoryCluster.create(options);
    for (const at of cluster.masters.keys()) await cluster.startMaster(at);
    for (const at of cluster.sentinels.keys()) await cluster.startSentinel(at);
    for (const at of cluster.nodes.keys()) await cluster.startNode(at);
    await cluster.quiet(cluster.nodes.length);
    return cluster;
  }

  /** The database itself, past all faults. */
  registry(): Registry {
    return new SharedMemoryRegistry(this.store, this.clock, () => this.keyring.newestEpoch);
  }

  node(at: number): ClusterNode {
    const node = this.nodes[at];
    if (!node) throw new Error(`there is no node ${at}`);
    return node;
  }

  /** Every process, gateways first; clients are not among them. */
  get processes(): readonly ClusterProcess[] {
    return [...this.gateways, ...this.masters, ...this.sentinels, ...this.nodes];
  }

  // ---- what a process is given

  #transport(peer: Peer, address: string, life: Life, clock: ProcessClock): Transport {
    const wires = {
      net: this.net,
      links: this.links,
      clock: this.clock,
      roster: () => this.roster,
      faultOf: (link: Link) => this.faultOf(link),
      onAnswered: (answered: Answered) => this.onAnswered(answered),
    };
    return createTransport(wires, { peer, address, life, clock });
  }

  #context(process: ClusterProcess, life: Life): RoleContext {
    const { member, address, time } = process;
    const { role, memberId, signer } = member;
    const random = new SeededRandom(bytesToHex(this.random.bytes(16)));
    const clock = new ProcessClock(this.clock, time, life);
    const metrics = new RoleMetrics(role, clock);
    process.metrics = metrics;
    return {
      networkId: this.networkId,
      role,
      memberId,
      identity: () => ({ signer, memberId, role }) as never,
      rosters: this.#rosters(),
      transport: this.#transport(peerOf(member), address, life, clock),
      clock,
      random,
      log: createLogger({ role, write: (line) => this.lines.push(line), clock: this.clock }).with({ memberId }),
      metrics,
      instance: bytesToHex(random.bytes(16)),
      stopping: life.stopping.signal,
    };
  }

  #rosters(): RosterKeeper {
    const { record } = this.#founded;
    const fake = { roster: this.roster, record, accept: async () => false, since: async () => [] };
    return fake as unknown as RosterKeeper;
  }

  /** `keyring` answers what the holder knows now. */
  #keys(keyring: () => Keyring = () => this.keyring): KeyKeeper {
    const accept = async (): Promise<void> => undefined;
    return {
      hasKeys: true,
      accept,
      get keyring() {
        return keyring();
      },
    } as unknown as KeyKeeper;
  }

  #book(context: RoleContext, address: string): PeerBook {
    const self = () => ({ addresses: [address], zone: '', capacityBytes: 0 });
    return new PeerBook(context, {
      gateways: this.gateways.map((gateway) => gateway.address),
      self,
      keys: this.#keys(),
    });
  }

  /** The database as a process reaches it. */
  #registryOf({ address }: ClusterProcess, life: Life): Registry {
    const { links, clock, random, weather } = this;
    const database = this.#options.databaseOf?.(this.registry()) ?? this.registry();
    return life.bound(linkRegistry(database, address, { links, clock, random, weather }));
  }

  #listen({ member, address }: ClusterProcess, life: Life, served: Pick<RunningRole, 'handlers' | 'admit'>): void {
    const { handlers, admit } = served;
    this.net.listen(address, {
      kind: 'mesh',
      peer: peerOf(member),
      roster: () => this.roster,
      handlers: life.served(handlers),
      ...(admit ? { admit } : {}),
    });
  }

  // ---- processes

  async startGateway(at = 0): Promise<void> {
    const gateway = this.gateways[at];
    if (!gateway) throw new Error(`there is no gateway ${at}`);
    const { address } = gateway;
    const life = new Life(this.strange);
    const registry = this.#registryOf(gateway, life);
    const context = this.#context(gateway, life);
    const directory = new MemberDirectory(context, registry, () => [address]);
    const relay = new Relay(context, directory);
    Object.assign(gateway, { life });
    await this.#note(this.registry(), peerOf(gateway.member), [address]).catch(() => undefined);
    const handlers: RunningRole['handlers'] = {
      ...relay.handlers,
      ping: async () => {
        const { memberId, role, instance } = context;
        const answer = { memberId, role, instance, ready: true, rosterNumber: 1n, nowMs: context.clock.nowMs() };
        return { answer };
      },
      'member.announce': async ({ peer, request: { addresses } }) => {
        if (!peer) throw new OperaError('unauthenticated');
        await this.#note(registry, peer, addresses);
        directory.invalidate();
        const peers = await directory.peersFor(peer.keyHash);
        return { answer: { peers, rosters: [], keyBoxes: [], keyChain: [], joinAddresses: [] } };
      },
    };
    this.#listen(gateway, life, { handlers });
  }

  async #note(registry: Registry, { memberId, keyHash, role, spki }: Peer, addresses: readonly string[]) {
    if (addresses.length === 0) return;
    const known = await registry.getMember(memberId);
    const fresh = { zone: '', capacityBytes: 0, joinedMs: 0, certificateExpiresMs: 0, stateSinceMs: 0 };
    const member = known ?? { memberId, keyHash, role, spki, ...fresh, state: 'up' as const, stateReason: 'test' };
    await registry.putMember({ ...member, addresses });
  }

  async startMaster(at: number): Promise<void> {
    const master = this.masters[at];
    if (!master) throw new Error(`there is no master ${at}`);
    const life = new Life(this.strange);
    const context = this.#context(master, life);
    const registry = this.#registryOf(master, life);
    const { registryOf, isDurable, masterWith } = this.#options;
    const running = createMaster(context, {
      registry: registryOf?.(registry, at) ?? registry,
      book: this.#book(context, master.address),
      address: () => master.address,
      ...(isDurable ? { isDurable } : {}),
      ...masterWith,
    });
    Object.assign(master, { running, life });
    this.#listen(master, life, running);
    void running.run();
  }

  stopMaster(at: number): void {
    const master = this.masters[at];
    if (master) this.stop(master);
  }

  async startSentinel(at: number): Promise<void> {
    const sentinel = this.sentinels[at];
    if (!sentinel) throw new Error(`there is no sentinel ${at}`);
    const life = new Life(this.strange);
    const context = this.#context(sentinel, life);
    const registry = this.#registryOf(sentinel, life);
    await this.#note(this.registry(), peerOf(sentinel.member), [sentinel.address]).catch(() => undefined);
    const running = createSentinel(context, { registry, ...this.#options.sentinelWith });
    Object.assign(sentinel, { running, life });
    this.#listen(sentinel, life, running);
    await running.start();
  }

  async startNode(at: number): Promise<void> {
    const node = this.node(at);
    const life = new Life(this.strange);
    const context = this.#context(node, life);
    const { barrierOf, storageOf, indexOf, handlersOf, nodeWith } = this.#options;
    const opened = node.disk.open();
    const storage = life.bound<StorageAdapter>(storageOf?.(opened, at) ?? opened);
    const storeId = bytesToHex(context.random.bytes(16));
    Object.assign(node, { life });
    const opening = { ...(await opened.open()), highestSequence: await opened.highestSequence() };
    const { witness } = judgeOpening(node.witness, opening, storeId);
    const save = async (next: StoreWitness): Promise<void> => {
      if (!life.ended) node.witness = next;
    };
    await save(witness);
    await storage.adoptStoreId(storeId);
    const book = this.#book(context, node.address);
    const barrier = barrierOf ? { barrier: barrierOf() } : {};
    const engine = node.index.engine();
    const index = life.bound(indexOf?.(engine, at) ?? engine);
    const seams = { storage, index, keys: this.#keys(), book, storeId, witness: { witness, save } };
    const running = await createNode(context, { ...seams, ...barrier, ...nodeWith });
    Object.assign(node, { running });
    const handlers = handlersOf?.(running.handlers, at) ?? running.handlers;
    this.#listen(node, life, { ...running, handlers });
    void running.run();
  }

  /** A new epoch of the network key is in force: nodes hold it at once, sessions when they refresh. */
  rotate(): void {
    const epoch = this.keyring.newestEpoch + 1;
    this.keyring = this.keyring.with({ epoch, key: this.random.bytes(32) });
    this.store.keyEpoch = epoch;
  }

  /** As kill -9: the process does nothing more, its disk stays. */
  stopNode(at: number): void {
    this.stop(this.node(at));
  }

  stop(process: ClusterProcess): void {
    process.life?.end();
    this.net.silence(process.address);
    if (!(process instanceof ClusterNode)) return;
    process.disk.crash();
    process.index.crash();
  }

  /** Starts whatever this machine runs. */
  async start(process: ClusterProcess): Promise<void> {
    if (this.gateways.includes(process)) return this.startGateway(this.gateways.indexOf(process));
    const [node, master] = [this.nodes.indexOf(process as ClusterNode), this.masters.indexOf(process as ClusterMaster)];
    if (node >= 0) return this.startNode(node);
    if (master >= 0) return this.startMaster(master);
    return this.startSentinel(this.sentinels.indexOf(process as ClusterProcess<Sentinel>));
  }

  stopAll(): void {
    for (const process of this.processes) if (process.runs) this.stop(process);
  }

  // ---- time

  /** Time passes until the promise settles; fails after `maxMs`. */
  async during<T>(promise: Promise<T>, maxMs = 120_000): Promise<T> {
    let settled = false;
    const end = (): void => {
      settled = true;
    };
    promise.then(end, end);
    const until = this.clock.monotonicMs() + maxMs;
    await this.clock.advance(0);
    while (!settled) {
      if (this.clock.monotonicMs() >= until) throw new Error(`nothing within ${maxMs} ms of simulated time`);
      await this.clock.advance(20);
    }
    return promise;
  }

  /** Time passes until `holds`; fails after `maxMs`. */
  async until(holds: () => boolean | Promise<boolean>, maxMs = 60_000): Promise<void> {
    const until = this.clock.monotonicMs() + maxMs;
    while (!(await holds())) {
      if (this.clock.monotonicMs() >= until) throw new Error(`not within ${maxMs} ms: ${holds.toString()}`);
      await this.clock.advance(100);
    }
  }

  /** Until one layout of so many nodes is left and the public keys follow it. */
  async quiet(nodeCount: number, maxMs = 60_000): Promise<void> {
    const registry = this.registry();
    await this.until(async () => {
      const { unretired } = await registry.readLayouts();
      const [only] = unretired;
      if (unretired.length !== 1 || !only || this.store.pending.size > 0) return false;
      const nodes = parseLayout(only.layout.bytes).nodes.length;
      return nodes === nodeCount && (await registry.placementsLayout()) === only.number;
    }, maxMs);
  }

  // ---- clients

  /** A client's session; its calls go through a gateway, through the next one after errors that may pass. */
  session(at = 0): Promise<Session> {
    const member = this.clients[at];
    if (!member) throw new Error(`there is no client ${at}`);
    const { clock, transport } = this.#clientOf(member, `client ${at}`);
    let gateway = at;
    const passing = ['unavailable', 'timeout', 'overloaded', 'isolated', 'not-ready', 'stale-incarnation'] as const;
    const call = async (route: never, request: never, options: object = {}): Promise<unknown> => {
      for (let attempt = 1; ; attempt++) {
        const { address } = this.gateways[gateway % this.gateways.length] ?? this.gateway;
        const to = { address, expect: { role: 'gateway' as const } };
        try {
          return (await transport.call(to, route, request, options)).answer;
        } catch (error) {
          const again = isOperaError(error, ...passing, 'registry-unavailable') && attempt < limits.attemptsMax;
          if (!again) throw error;
          gateway++;
          await clock.sleep(limits.retryBaseMs * attempt);
        }
      }
    };
    let { keyring } = this;
    const fake = {
      home: undefined,
      profile: { networkId: this.networkId },
      rosters: this.#rosters(),
      keys: this.#keys(() => keyring),
      transport,
      clock,
      random: new SeededRandom(bytesToHex(this.random.bytes(16))),
      call,
      refresh: async () => void ({ keyring } = this),
      close: async () => undefined,
    };
    const connection = fake as unknown as Connection;
    return createSession(this.#options.connectionOf?.(connection) ?? connection);
  }

  #clientOf(member: TestMember, address: string) {
    const life = new Life(this.strange);
    const clock = new ProcessClock(this.clock, new MachineTime(this.clock), life);
    return { life, clock, transport: this.#transport(peerOf(member), address, life, clock) };
  }

  /** A raw call by any member, past clients and gateways. */
  transportOf(member: TestMember): Transport {
    const known = this.processes.find((process) => process.member === member);
    return this.#clientOf(member, known?.address ?? member.role).transport;
  }
}
