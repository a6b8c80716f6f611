// A whole network in one process: the real nodes and masters and the gateway's real relay, over stores and a registry
// in memory, a network that can lose and delay messages, and a clock that moves only when told to.
// What is not here: sockets, TLS, certificates, key boxes and rosters that change; every member is listed from the
// start and holds the network key. A process that crashes never does another step; its store stays.
import type { Connection } from '../../src/client/connection.ts';
import type { KeyKeeper } from '../../src/client/key-keeper.ts';
import type { RosterKeeper } from '../../src/client/roster-keeper.ts';
import { createSession, type Session } from '../../src/client/session.ts';
import type { Peer, Transport } from '../../src/client/transport.ts';
import { Keyring, keyCheckOf } from '../../src/crypto/keyring.ts';
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import { createAuthority } from '../../src/identity/authority.ts';
import { defaultSettings, type NetworkSettings } from '../../src/identity/network-settings.ts';
import { parseRoster, type Roster } from '../../src/identity/roster.ts';
import { firstRoster } from '../../src/identity/roster-rules.ts';
import { bytesToHex, type NetworkId, networkIdFromBytes } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import type { Role } from '../../src/model/roles.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import { MemoryRegistry } from '../../src/registry/memory.ts';
import { MemoryRegistryStore } from '../../src/registry/memory-store.ts';
import type { Registry } from '../../src/registry/registry.ts';
import type { RoleContext } from '../../src/roles/context.ts';
import { MemberDirectory } from '../../src/roles/gateway/directory.ts';
import { Relay } from '../../src/roles/gateway/relay.ts';
import { createMaster, type MasterDependencies, type RunningMaster } from '../../src/roles/master/app.ts';
import { RoleMetrics } from '../../src/roles/metrics.ts';
import { createNode, drawStoreId, type RunningRole } from '../../src/roles/node/app.ts';
import type { WriteBarrier } from '../../src/roles/node/barrier.ts';
import { PeerBook } from '../../src/roles/peer-book.ts';
import { createLogger } from '../../src/runtime/log.ts';
import { MemoryStorage } from '../../src/storage-adapters/memory.ts';
import type { StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import { routeFacts } from '../../src/wire/routes.ts';
import { FixedClock, type TestMember, testNowMs } from './identity-network.ts';
import { type MemoryCall, MemoryNetwork } from './memory-network.ts';
import { createSeededMember, SeededRandom } from './seeded.ts';
import { SteppedClock } from './stepped-clock.ts';

export const gatewayAddress = '10.0.0.1:7000';

export const peerOf = ({ memberId, signer, role }: TestMember): Peer => ({
  memberId,
  keyHash: signer.keyHash,
  role,
  spki: signer.spki,
});

/** What becomes of a message: nothing said means that it arrives at once. */
export interface Fault {
  readonly delayMs?: number;
  /** Nobody ever hears of it; the caller's deadline ends the wait. */
  readonly lost?: boolean;
  readonly refused?: boolean;
  /** Carried out, but the answer is lost. */
  readonly answerLost?: boolean;
}

export type Link = MemoryCall & { readonly fromAddress: string };

/** One life of a process: when it ended, nothing it waits for ever comes back. */
class Life {
  readonly stopping = new AbortController();
  /** Errors that are none of ours: each is a bug of the role, or of the test. */
  readonly #strange: unknown[];
  ended = false;

  constructor(strange: unknown[]) {
    this.#strange = strange;
  }

  end(): void {
    this.ended = true;
    this.stopping.abort();
  }

  /** `target`, none of whose methods answers or acts after the end. */
  bound<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (object, key) => {
        const value: unknown = Reflect.get(object, key, object);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (this.ended) return new Promise(() => undefined);
          const result: unknown = Reflect.apply(value, object, args);
          if (!(result instanceof Promise)) return result;
          return new Promise((resolve, reject) => {
            result.then(
              (answer) => this.ended || resolve(answer),
              (error) => {
                if (!isOperaError(error)) this.#strange.push(error);
                if (!this.ended) reject(error);
              },
            );
          });
        };
      },
    });
  }
}

export class ClusterNode {
  readonly member: TestMember;
  address: string;
  readonly storage: MemoryStorage;
  running: RunningRole | undefined;
  life: Life | undefined;

  constructor(member: TestMember, address: string, storage: MemoryStorage) {
    this.member = member;
    this.address = address;
    this.storage = storage;
  }
}

export class ClusterMaster {
  readonly member: TestMember;
  readonly address: string;
  running: RunningMaster | undefined;
  life: Life | undefined;

  constructor(member: TestMember, address: string) {
    this.member = member;
    this.address = address;
  }
}

export interface ClusterOptions {
  readonly seed?: string | number;
  readonly nodes?: number;
  readonly masters?: number;
  readonly clients?: number;
  readonly settings?: Partial<NetworkSettings>;
  /** Replaces a node's store seen by the role; for faults of stores and for mutants. */
  readonly storageOf?: (storage: StorageAdapter, index: number) => StorageAdapter;
  /** Replaces a master's registry; for faults between its steps. */
  readonly registryOf?: (registry: Registry, index: number) => Registry;
  /** A node's write barrier and the masters' rule of copies; for mutants. */
  readonly barrierOf?: () => WriteBarrier;
  readonly isDurable?: MasterDependencies['isDurable'];
}

/** Members and roster are costly to make and the same for every run of one shape. */
interface Founded {
  readonly networkId: NetworkId;
  readonly networkKey: Uint8Array;
  readonly record: SignedRecord;
  readonly gateway: TestMember;
  readonly masters: readonly TestMember[];
  readonly nodes: readonly TestMember[];
  readonly clients: readonly TestMember[];
}

const foundedShapes = new Map<string, Promise<Founded>>();

const found = async (options: Required<Pick<ClusterOptions, 'nodes' | 'masters' | 'clients'>>, settings: object) => {
  const random = new SeededRandom('founding');
  const networkId = networkIdFromBytes(random.bytes(16));
  const networkKey = random.bytes(32);
  const authority = await createAuthority(networkId, new FixedClock(testNowMs));
  const several = (role: Role, count: number): TestMember[] =>
    Array.from({ length: count }, () => createSeededMember(role, random));
  const gateway = createSeededMember('gateway', random);
  const [masters, nodes] = [several('master', options.masters), several('node', options.nodes)];
  const clients = several('client', options.clients);
  const record = firstRoster(
    {
      networkId,
      keyEpoch: 1,
      keyCheck: keyCheckOf(networkId, networkKey),
      settings: { ...defaultSettings, ...settings },
      members: [gateway, ...masters, ...nodes, ...clients].map(({ entry }) => ({ ...entry, state: 'valid' as const })),
    },
    authority.signer,
  );
  return { networkId, networkKey, record, gateway, masters, nodes, clients };
};

export class MemoryCluster {
  readonly net = new MemoryNetwork();
  readonly clock = new SteppedClock(testNowMs);
  readonly store = new MemoryRegistryStore();
  readonly random: SeededRandom;
  readonly lines: string[] = [];
  readonly roster: Roster;
  readonly nodes: ClusterNode[];
  readonly masters: ClusterMaster[];
  readonly clients: readonly TestMember[];
  readonly networkId: NetworkId;
  readonly keyring: Keyring;
  /** Decides what becomes of each message; changed by tests at any time. */
  faultOf: (link: Link) => Fault | undefined = () => undefined;
  readonly #options: ClusterOptions;
  readonly #founded: Founded;
  /** Whatever was thrown anywhere that is no error of ours. */
  readonly strange: unknown[] = [];
  readonly #gatewayLife = new Life(this.strange);
  readonly #addresses = new Map<string, string>();

  private constructor(options: ClusterOptions, founded: Founded) {
    this.#options = options;
    this.#founded = founded;
    this.random = new SeededRandom(`cluster ${options.seed ?? 0}`);
    this.roster = parseRoster(founded.record.bytes);
    this.networkId = founded.networkId;
    this.keyring = new Keyring(founded.networkId, [{ epoch: 1, key: founded.networkKey }]);
    this.clients = founded.clients;
    const nowMs = (): number => this.clock.nowMs();
    this.nodes = founded.nodes.map(
      (member, at) => new ClusterNode(member, `10.0.1.${at + 1}:7000`, new MemoryStorage({ nowMs })),
    );
    this.masters = founded.masters.map((member, at) => new ClusterMaster(member, `10.0.2.${at + 1}:7000`));
    for (const { member, address } of [...this.nodes, ...this.masters]) this.#addresses.set(member.memberId, address);
    this.#addresses.set(founded.gateway.memberId, gatewayAddress);
  }

  /** A founded network whose gateway runs; masters and nodes do not yet. */
  static async create(options: ClusterOptions = {}): Promise<MemoryCluster> {
    const shape = { nodes: options.nodes ?? 3, masters: options.masters ?? 1, clients: options.clients ?? 2 };
    const key = JSON.stringify([shape, options.settings ?? {}]);
    const founding = foundedShapes.get(key) ?? found(shape, options.settings ?? {});
    foundedShapes.set(key, founding);
    const cluster = new MemoryCluster(options, await founding);
    const { number, hash, keyEpoch } = cluster.roster;
    const { record } = cluster.#founded;
    await cluster.registry().createNetwork(cluster.networkId, { number, hash, keyEpoch, roster: record, keep: true });
    await Promise.all(cluster.nodes.map(({ storage }) => storage.open()));
    await cluster.#startGateway();
    return cluster;
  }

  /** As `create`, with all masters and nodes running and the first layout complete. */
  static async start(options: ClusterOptions = {}): Promise<MemoryCluster> {
    const cluster = await MemoryCluster.create(options);
    for (const at of cluster.masters.keys()) await cluster.startMaster(at);
    for (const at of cluster.nodes.keys()) await cluster.startNode(at);
    await cluster.quiet(cluster.nodes.length);
    return cluster;
  }

  registry(): MemoryRegistry {
    return new MemoryRegistry(this.store, this.clock);
  }

  node(at: number): ClusterNode {
    const node = this.nodes[at];
    if (!node) throw new Error(`there is no node ${at}`);
    return node;
  }

  // ---- messages

  #transport(member: TestMember, life: Life): Transport {
    const inner = this.net.transport({ peer: peerOf(member), roster: () => this.roster });
    const fromAddress = this.#addresses.get(member.memberId) ?? member.role;
    const call: Transport['call'] = (to, route, request, options = {}) =>
      new Promise((resolve, reject) => {
        const { signal } = options;
        const settled = (end: () => void) => (): void => {
          stop();
          signal?.removeEventListener('abort', aborted);
          if (!life.ended) end();
        };
        const aborted = settled(() => reject(new OperaError('aborted', 'interrupted')));
        const timeoutMs = options.timeoutMs ?? routeFacts(route).timeoutMs;
        const late = settled(() => reject(new OperaError('timeout', `no answer within ${timeoutMs} ms`)));
        const stop = this.clock.after(timeoutMs, late);
        if (life.ended) return;
        if (signal?.aborted) return aborted();
        signal?.addEventListener('abort', aborted, { once: true });
        const fault = this.faultOf({ from: peerOf(member), to, route, request, fromAddress });
        const send = async (): Promise<void> => {
          if (fault?.delayMs) await this.clock.sleep(fault.delayMs);
          if (fault?.lost || life.ended) return;
          if (fault?.refused) throw new OperaError('unavailable', `${to.address} refused`);
          const answer = await inner.call(to, route, request, options);
          if (!fault?.answerLost) settled(() => resolve(answer))();
        };
        send().catch((error: unknown) => {
          if (fault?.answerLost) return;
          settled(() => reject(error instanceof Error ? error : new Error(String(error))))();
        });
      });
    return { call, close: async () => undefined };
  }

  #context(member: TestMember, life: Life): RoleContext {
    const { role, memberId, signer } = member;
    const random = new SeededRandom(bytesToHex(this.random.bytes(16)));
    return {
      networkId: this.networkId,
      role,
      memberId,
      identity: () => ({ signer, memberId, role }) as never,
      rosters: this.#rosters(),
      transport: this.#transport(member, life),
      clock: life.bound(this.clock),
      random,
      log: createLogger({ role, write: (line) => this.lines.push(line), clock: this.clock }).with({ memberId }),
      metrics: new RoleMetrics(role, this.clock),
      instance: bytesToHex(random.bytes(16)),
      stopping: life.stopping.signal,
    };
  }

  #rosters(): RosterKeeper {
    const { record } = this.#founded;
    const fake = { roster: this.roster, record, accept: async () => false, since: async () => [] };
    return fake as unknown as RosterKeeper;
  }

  #keys(): KeyKeeper {
    return { hasKeys: true, keyring: this.keyring, accept: async () => undefined } as unknown as KeyKeeper;
  }

  #book(context: RoleContext, address: string): PeerBook {
    const self = () => ({ addresses: [address], zone: '', capacityBytes: 0 });
    return new PeerBook(context, { gateways: [gatewayAddress], self, keys: this.#keys() });
  }

  // ---- processes

  async #startGateway(): Promise<void> {
    const { gateway } = this.#founded;
    const registry = this.registry();
    const context = this.#context(gateway, this.#gatewayLife);
    const directory = new MemberDirectory(context, registry, () => [gatewayAddress]);
    const relay = new Relay(context, directory);
    await this.#note(registry, peerOf(gateway), [gatewayAddress]);
    this.net.listen(gatewayAddress, {
      kind: 'mesh',
      peer: peerOf(gateway),
      roster: () => this.roster,
      handlers: {
        ...relay.handlers,
        'member.announce': async ({ peer, request: { addresses } }) => {
          if (!peer) throw new OperaError('unauthenticated');
          await this.#note(registry, peer, addresses);
          directory.invalidate();
          const peers = await directory.peersFor(peer.keyHash);
          return { answer: { peers, rosters: [], keyBoxes: [], keyChain: [], joinAddresses: [] } };
        },
      },
    });
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
    const context = this.#context(master.member, life);
    const registry = life.bound<Registry>(this.registry());
    const running = createMaster(context, {
      registry: this.#options.registryOf?.(registry, at) ?? registry,
      book: this.#book(context, master.address),
      address: () => master.address,
      ...(this.#options.isDurable ? { isDurable: this.#options.isDurable } : {}),
    });
    Object.assign(master, { running, life });
    this.net.listen(master.address, {
      kind: 'mesh',
      peer: peerOf(master.member),
      roster: () => this.roster,
      handlers: life.bound(running.handlers),
    });
    void running.run();
  }

  stopMaster(at: number): void {
    const master = this.masters[at];
    master?.life?.end();
    if (master) this.net.silence(master.address);
  }

  async startNode(at: number): Promise<void> {
    const node = this.node(at);
    const life = new Life(this.strange);
    const context = this.#context(node.member, life);
    const storage = life.bound<StorageAdapter>(this.#options.storageOf?.(node.storage, at) ?? node.storage);
    const storeId = drawStoreId(context);
    await storage.adoptStoreId(storeId);
    const book = this.#book(context, node.address);
    const { barrierOf } = this.#options;
    const barrier = barrierOf ? { barrier: barrierOf() } : {};
    const running = await createNode(context, { storage, keys: this.#keys(), book, storeId, ...barrier });
    Object.assign(node, { running, life });
    this.net.listen(node.address, {
      kind: 'mesh',
      peer: peerOf(node.member),
      roster: () => this.roster,
      handlers: life.bound(running.handlers),
      ...(running.admit ? { admit: running.admit } : {}),
    });
    void running.run();
  }

  /** As kill -9: the process does nothing more, its store stays. */
  stopNode(at: number): void {
    const node = this.node(at);
    node.life?.end();
    this.net.silence(node.address);
  }

  stopAll(): void {
    for (const at of this.masters.keys()) this.stopMaster(at);
    for (const at of this.nodes.keys()) this.stopNode(at);
    this.#gatewayLife.end();
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
      const { parseLayout } = await import('../../src/placement/layout.ts');
      const [only] = unretired;
      if (unretired.length !== 1 || !only || this.store.pending.size > 0) return false;
      const nodes = parseLayout(only.layout.bytes).nodes.length;
      return nodes === nodeCount && (await registry.placementsLayout()) === only.number;
    }, maxMs);
  }

  // ---- clients

  /** A client's session; its calls go through the gateway, again for errors that may pass. */
  session(at = 0): Promise<Session> {
    const member = this.clients[at];
    if (!member) throw new Error(`there is no client ${at}`);
    const life = new Life(this.strange);
    const transport = this.#transport(member, life);
    const to = { address: gatewayAddress, expect: { role: 'gateway' as const } };
    const passing = ['unavailable', 'timeout', 'overloaded', 'isolated', 'not-ready', 'stale-incarnation'] as const;
    const call = async (route: never, request: never, options: object = {}): Promise<unknown> => {
      for (let attempt = 1; ; attempt++) {
        try {
          return (await transport.call(to, route, request, options)).answer;
        } catch (error) {
          const again = isOperaError(error, ...passing, 'registry-unavailable') && attempt < limits.attemptsMax;
          if (!again) throw error;
          await this.clock.sleep(limits.retryBaseMs * attempt);
        }
      }
    };
    const fake = {
      home: undefined,
      profile: { networkId: this.networkId },
      rosters: this.#rosters(),
      keys: this.#keys(),
      transport,
      clock: this.clock,
      random: new SeededRandom(bytesToHex(this.random.bytes(16))),
      call,
      refresh: async () => undefined,
      close: async () => undefined,
    };
    return createSession(fake as unknown as Connection);
  }

  /** A raw call by any member, past clients and gateways. */
  transportOf(member: TestMember): Transport {
    return this.#transport(member, new Life(this.strange));
  }
}
