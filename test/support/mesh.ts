// Real listeners and transports on loopback for tests: one network, its members' credentials, and rosters that change.
// Everything opened here is closed by `close()`; nothing waits longer than a few seconds.
import { OperaError } from '../../src/errors/errors.ts';
import { HttpTransport, type HttpTransportOptions, type TlsCredentials } from '../../src/client/http-transport.ts';
import type { Destination, Handlers } from '../../src/client/transport.ts';
import { bundlePem, certificatePem } from '../../src/identity/ca-bundle.ts';
import { parseRoster, type Roster } from '../../src/identity/roster.ts';
import { nextRoster, type RosterChange } from '../../src/identity/roster-rules.ts';
import type { Role } from '../../src/model/roles.ts';
import { Listener, type ListenerOptions } from '../../src/roles/listener.ts';
import { RoleMetrics } from '../../src/roles/metrics.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { createLogger } from '../../src/runtime/log.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import { certify, createTestNetwork, type TestMember, type TestNetwork } from './identity-network.ts';

export const clock = new SystemClock();
export const dayMs = 24 * 3_600_000;

/** The authority is a month old, so that expired certificates can be made too. */
export const createMeshNetwork = (): Promise<TestNetwork> => createTestNetwork(clock.nowMs() - 30 * dayMs);

export const credentialsOf = async (
  network: TestNetwork,
  member: TestMember,
  options: { readonly role?: Role; readonly nowMs?: number; readonly lifeMs?: number } = {},
): Promise<TlsCredentials> => ({
  key: member.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  certificate: certificatePem(await certify(network, member, { nowMs: clock.nowMs(), ...options })),
  authorities: bundlePem(network.authority.bundle),
});

export class Mesh {
  readonly network: TestNetwork;
  roster: Roster;
  readonly lines: string[] = [];
  readonly #listeners: Listener[] = [];
  readonly #transports: HttpTransport[] = [];

  private constructor(network: TestNetwork) {
    this.network = network;
    this.roster = network.roster;
  }

  static async create(): Promise<Mesh> {
    return new Mesh(await createMeshNetwork());
  }

  change(change: RosterChange): void {
    this.roster = parseRoster(nextRoster(this.roster, change, this.network.members.gateway.signer).bytes);
  }

  /** A listener of the member of `role`. */
  async listen(role: Role, handlers: Handlers, over: Partial<ListenerOptions> = {}): Promise<Listener> {
    const credentials = await credentialsOf(this.network, this.network.members[role]);
    const listener = await Listener.start({
      kind: 'mesh',
      role,
      networkId: this.network.networkId,
      listen: { host: '127.0.0.1', port: 0 },
      credentials: () => credentials,
      roster: () => this.roster,
      handlers,
      notReady: () => undefined,
      metrics: new RoleMetrics(role, clock),
      clock,
      random: new SystemRandom(),
      log: createLogger({ role, write: (line) => this.lines.push(line), clock, level: 'debug' }),
      ...over,
    });
    this.#listeners.push(listener);
    return listener;
  }

  /** A transport of the member of `role`. */
  async dial(role: Role, over: Partial<HttpTransportOptions> = {}): Promise<HttpTransport> {
    const credentials = await credentialsOf(this.network, this.network.members[role]);
    const transport = new HttpTransport({
      networkId: this.network.networkId,
      credentials: () => credentials,
      roster: () => this.roster,
      nowMs: () => clock.nowMs(),
      ...over,
    });
    this.#transports.push(transport);
    return transport;
  }

  to(listener: Listener, role: Role): Destination {
    return { address: `127.0.0.1:${listener.port}`, expect: { memberId: this.network.members[role].memberId } };
  }

  async close(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.close()));
    await Promise.all(this.#listeners.map((listener) => listener.close(0)));
  }
}

/** The error a promise rejects with, when it is one of ours. */
export const failure = async (promise: Promise<unknown>): Promise<OperaError> => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof OperaError) return error;
    throw error;
  }
  throw new Error('it was answered');
};
