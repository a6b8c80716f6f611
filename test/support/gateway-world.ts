// A network of gateways and members in temporary homes over a network in memory: founded, joined and called by the
// code that runs in production; only sockets are missing. Each test makes its own world and closes it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, createConnection } from '../../src/client/connection.ts';
import { enterHome, type OpenHome, openHome } from '../../src/client/home.ts';
import type { JoinLink } from '../../src/client/join-link.ts';
import { joinNetwork } from '../../src/client/join-network.ts';
import type { Handlers, Peer } from '../../src/client/transport.ts';
import { parseHostPort } from '../../src/identity/address.ts';
import { pinOf } from '../../src/identity/ca-bundle.ts';
import { prepareIdentity } from '../../src/identity/identity-folder.ts';
import { encodeJoinCode, publicKeyOfSeed } from '../../src/identity/join-code.ts';
import { defaultSettings, type NetworkSettings } from '../../src/identity/network-settings.ts';
import type { Role } from '../../src/model/roles.ts';
import { bytesToHex } from '../../src/model/ids.ts';
import { MemoryRegistry } from '../../src/registry/memory.ts';
import { MemoryRegistryStore } from '../../src/registry/memory-store.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { commonHandlers, keyHandlers } from '../../src/roles/common.ts';
import type { RoleContext } from '../../src/roles/context.ts';
import { createGateway, type Gateway } from '../../src/roles/gateway/app.ts';
import { foundNetwork } from '../../src/roles/gateway/found-network.ts';
import { RoleMetrics } from '../../src/roles/metrics.ts';
import { type Clock, SystemClock } from '../../src/runtime/clock.ts';
import { createLogger } from '../../src/runtime/log.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import { MemoryNetwork } from './memory-network.ts';

export const random = new SystemRandom();

/** The system's clock, moved forward by hand; sleeping takes a hundredth of its time. */
export class ShiftedClock extends SystemClock {
  shiftMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.shiftMs;
  }

  override monotonicMs(): number {
    return super.monotonicMs() + this.shiftMs;
  }

  override sleep(ms: number, options: { readonly signal?: AbortSignal; readonly unref?: boolean } = {}): Promise<void> {
    return super.sleep(ms / 100, options);
  }
}

export interface RunningGateway {
  readonly open: OpenHome;
  readonly gateway: Gateway;
  readonly context: RoleContext;
  readonly mesh: string;
  readonly join: string;
}

export interface RunningRole {
  readonly open: OpenHome;
  readonly context: RoleContext;
  readonly address: string;
}

/** Puts something between a process and one of its seams. */
export type Wrapping = <T extends object>(seam: T, what: 'transport' | 'rosters' | 'registry' | 'keys') => T;

const peerOf = ({ identity }: OpenHome): Peer => ({
  memberId: identity.memberId,
  keyHash: identity.signer.keyHash,
  role: identity.role,
  spki: identity.signer.spki,
});

export class GatewayWorld {
  readonly folder: string;
  readonly network = new MemoryNetwork();
  readonly store = new MemoryRegistryStore();
  readonly clock = new ShiftedClock();
  readonly lines: string[] = [];
  readonly #stopping = new AbortController();
  readonly #connections: Connection[] = [];
  #ports = 7_000;
  #homes = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** A founded network whose first gateway runs. */
  static async create(
    settings: NetworkSettings = defaultSettings,
  ): Promise<{ world: GatewayWorld; first: RunningGateway; operator: Connection }> {
    const world = new GatewayWorld(await mkdtemp(join(tmpdir(), 'opera-gateway-')));
    const [mesh, joinAddress] = [world.address(), world.address()];
    await foundNetwork({
      settings,
      registry: world.registry(),
      gateway: { ...world.homeOf('gateway'), meshAddresses: [mesh], joinAddresses: [joinAddress] },
      operator: world.homeOf('operator'),
      clock: world.clock,
      random,
    });
    const open = await openHome(world.homeOf('gateway').home);
    const first = world.run(open, mesh, joinAddress);
    const operator = world.connect(await openHome(world.homeOf('operator').home));
    return { world, first, operator };
  }

  homeOf(name: string): { readonly home: string; readonly identityFolder: string } {
    return { home: join(this.folder, name), identityFolder: join(this.folder, 'identity', name) };
  }

  address(): string {
    this.#ports += 1;
    return `127.0.0.1:${this.#ports}`;
  }

  registry(): MemoryRegistry {
    return new MemoryRegistry(this.store, this.clock);
  }

  context(open: OpenHome): RoleContext {
    const { identity, rosters } = open;
    return {
      networkId: identity.networkId,
      role: identity.role,
      memberId: identity.memberId,
      identity: () => identity,
      rosters,
      transport: this.network.transport({ peer: peerOf(open), roster: () => rosters.roster }),
      clock: this.clock,
      random,
      log: createLogger({ role: identity.role, write: (line) => this.lines.push(line), clock: this.clock }),
      metrics: new RoleMetrics(identity.role, this.clock),
      instance: bytesToHex(random.bytes(16)),
      stopping: this.#stopping.signal,
    };
  }

  /** A gateway process over this home. Its rounds run only when `start` is called. `over` wraps what it works upon. */
  run(open: OpenHome, mesh: string, joinAddress: string, over: Wrapping = (seam) => seam): RunningGateway {
    const plain = this.context(open);
    const context: RoleContext = {
      ...plain,
      transport: over(plain.transport, 'transport'),
      rosters: over(plain.rosters, 'rosters'),
    };
    const gateway = createGateway(context, {
      registry: over<Registry>(this.registry(), 'registry'),
      keys: over(open.keys, 'keys'),
      joinAddresses: () => [joinAddress],
      meshAddresses: () => [mesh],
    });
    const listener = { peer: peerOf(open), roster: () => open.rosters.roster };
    this.network.listen(mesh, { kind: 'mesh', ...listener, handlers: gateway.meshHandlers });
    this.network.listen(joinAddress, { kind: 'join', ...listener, handlers: gateway.joinHandlers });
    return { open, gateway, context, mesh, join: joinAddress };
  }

  /** A role that does what every role does, and `handlers` besides. */
  serve(open: OpenHome, address: string, handlers: Handlers = {}): RunningRole {
    const context = this.context(open);
    const all: Handlers = {
      ...commonHandlers(context, () => undefined),
      ...keyHandlers(open.keys),
      ...handlers,
    };
    this.network.listen(address, {
      kind: 'mesh',
      peer: peerOf(open),
      roster: () => open.rosters.roster,
      handlers: all,
    });
    return { open, context, address };
  }

  link(): JoinLink {
    const stranger = { peer: undefined, roster: () => undefined };
    return {
      fetchBundle: async (address) => {
        const to = { address, expect: { role: 'gateway' } } as const;
        return (await this.network.transport(stranger).call(to, 'join.bundle', {})).answer.bundle;
      },
      connect: () => {
        let last: Peer | undefined;
        const onServer = (peer: Peer): void => {
          last = peer;
        };
        return { transport: this.network.transport({ ...stranger, onServer }), gateway: () => last };
      },
    };
  }

  connect(open: OpenHome, clock: Clock = this.clock): Connection {
    const connection = createConnection({
      open,
      clock,
      random,
      link: this.link(),
      transport: () => this.network.transport({ peer: peerOf(open), roster: () => open.rosters.roster }),
    });
    this.#connections.push(connection);
    return connection;
  }

  /** A join code, made as `opera token create` makes it. */
  async code(
    operator: Connection,
    role: Role,
    options: { readonly uses?: number; readonly lifeMs?: number } = {},
  ): Promise<string> {
    const seed = random.bytes(32);
    const request = {
      role,
      tokenKey: publicKeyOfSeed(seed),
      lifeMs: options.lifeMs ?? 3_600_000,
      uses: options.uses ?? 1,
    };
    const { joinAddresses } = await operator.call('token.create', request);
    const gateway = parseHostPort(joinAddresses[0] ?? '');
    if (!gateway) throw new Error('the gateway gave no join address');
    const { networkId, bundle } = operator.identity();
    return encodeJoinCode({ networkId, pin: pinOf(bundle.bytes), seed, gateway });
  }

  /** Joins with a code into a home of its own. */
  async join(code: string, role: Role, addresses: readonly string[] = []): Promise<OpenHome> {
    this.#homes += 1;
    const { home, identityFolder } = this.homeOf(`${role}-${this.#homes}`);
    const keys = await prepareIdentity(identityFolder);
    const joined = await joinNetwork({ code, role, keys, addresses, clock: this.clock, link: this.link() });
    return enterHome({ home, identityFolder, keys, joined });
  }

  /** A new member that listens and has announced itself. */
  async joinRole(operator: Connection, role: Role, handlers: Handlers = {}): Promise<RunningRole> {
    const address = this.address();
    const open = await this.join(await this.code(operator, role), role, [address]);
    const running = this.serve(open, address, handlers);
    await this.announce(running);
    return running;
  }

  async announce({ open, context, address }: RunningRole): Promise<void> {
    const request = { addresses: [address], zone: '', capacityBytes: 0, rosterNumber: open.rosters.roster.number };
    const to = { address: open.profile.gateways[0] ?? '', expect: { role: 'gateway' } } as const;
    const { answer } = await context.transport.call(to, 'member.announce', request);
    await open.rosters.accept(answer.rosters);
    await open.keys.accept(answer.keyBoxes, answer.keyChain);
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
