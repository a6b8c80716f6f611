// A whole network on one machine as separate processes: what `up` and `demo` run. It founds the network when the
// folder is new, restarts it with its data when it is not, and ends every process with itself: children hang on an
// IPC channel and stop when it closes, even when this process is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Connection, openProfile } from '../client/connection.ts';
import { createInvitation } from '../client/invite.ts';
import { readProfile, writeProfile } from '../client/profile.ts';
import { type Environment, withRegistry } from '../config/environment.ts';
import { OperaError } from '../errors/errors.ts';
import { defaultSettings, type NetworkSettings } from '../identity/network-settings.ts';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';
import { foundNetwork } from '../roles/gateway/found-network.ts';
import { createSecretFolder, writeFileDurably } from '../runtime/files.ts';
import { redactSecrets } from '../errors/redact.ts';
import { chooseAddresses } from './_addresses.ts';
import { lastErrorIn } from './_child-error.ts';
import { createRegistry, type Seams } from './_compose.ts';
import { holdFolder, type LocalFacts, type LocalProcess, writeLocalFacts } from './_local-folder.ts';
import { waitSettled } from './_settled.ts';

export interface LocalOptions {
  readonly dir: string;
  readonly nodes: number;
  /** Redis URL; the embedded registry when undefined. */
  readonly redis: string | undefined;
  readonly storage: string;
  readonly settings: Partial<NetworkSettings>;
  readonly debug: boolean;
  readonly seams: Seams;
  /** Environment of this process; children get it too. */
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

interface Running {
  readonly name: string;
  readonly role: Role;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly log: string;
  readonly ready: Promise<ReadyLine>;
}

interface ReadyLine {
  readonly id: string;
  readonly address: string;
  readonly network: string;
  readonly join?: string;
  readonly pid: number;
}

/** A role that does not say that it is ready by then hangs. It takes a second; half a minute on a very busy machine. */
const readyTimeoutMs = 120_000;
/** How long nothing may change while the network becomes complete. */
const settlePatienceMs = 30_000;
const stopTimeoutMs = 10_000;

/**
 * For glibc: bodies of chunks go back to the system when they are freed. Without this it learns from the first of them
 * to keep up to 64 MiB, in each of several places: a node holds a sixth less with it.
 */
const returnMemory = { MALLOC_MMAP_THRESHOLD_: '1048576', MALLOC_TRIM_THRESHOLD_: '1048576' };

/** Why a process failed: its last error, or the last line of its log. */
const whyIn = async (log: string): Promise<OperaError> => {
  const text = await readFile(log, 'utf8').catch(() => '');
  return lastErrorIn(text) ?? new OperaError('unavailable', text.trim().split('\n').at(-1) ?? '');
};

export class LocalNetwork {
  readonly #options: LocalOptions;
  readonly #running = new Map<string, Running>();
  readonly #releaseLock: () => void;
  #facts: LocalFacts | undefined;
  #stopping = false;

  private constructor(options: LocalOptions, releaseLock: () => void) {
    this.#options = options;
    this.#releaseLock = releaseLock;
  }

  /** Brings the network up and waits until it is healthy. `exists` when another process holds the folder. */
  static async start(options: LocalOptions): Promise<LocalNetwork> {
    await createSecretFolder(options.dir);
    const release = await holdFolder(options.dir);
    const network = new LocalNetwork(options, release);
    try {
      await network.#bringUp();
      return network;
    } catch (error) {
      await network.stop();
      throw error;
    }
  }

  get facts(): LocalFacts {
    if (!this.#facts) throw new OperaError('not-ready', 'the network is not up');
    return this.#facts;
  }

  /** The profile of the first operator. */
  get profile(): string {
    return join(this.#options.dir, 'client');
  }

  /** Ends one process with a signal, as a fault would. */
  kill(name: string, signal: NodeJS.Signals): void {
    this.#running.get(name)?.child.kill(signal);
  }

  /** Ends every process: nodes first, so that they can still say goodbye; resolves when all are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { child } of this.#running.values()) child.kill('SIGTERM');
    const { clock } = this.#options.seams;
    const cancel = clock.after(stopTimeoutMs, () => {
      for (const { child } of this.#running.values()) child.kill('SIGKILL');
    });
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
    cancel();
    this.#releaseLock();
  }

  async #bringUp(): Promise<void> {
    const { dir, nodes, signal } = this.#options;
    for (const folder of ['identity', 'logs']) await mkdir(join(dir, folder), { recursive: true, mode: 0o700 });
    await this.#found();
    const gateway = this.#spawn('gateway', 'gateway', undefined);
    const { address, join: joinAddress = '', network } = await gateway.ready;
    const connection = await openProfile(this.profile, this.#options.seams);
    try {
      await this.#pointProfile(connection, address, joinAddress);
      const members = [
        { name: 'master', role: 'master' as const },
        { name: 'sentinel', role: 'sentinel' as const },
        ...Array.from({ length: nodes }, (_, at) => ({ name: `node-${at + 1}`, role: 'node' as const })),
      ];
      await Promise.all(members.map((member) => this.#startMember(connection, member)));
      await waitSettled({
        ask: () => connection.call('network.status', {}).catch(() => undefined),
        ...{ nodes, signal, clock: this.#options.seams.clock, patienceMs: settlePatienceMs },
        note: this.#options.note,
        hint: `Read the logs in ${join(dir, 'logs')}.`,
      });
    } finally {
      await connection.close();
    }
    const processes = await Promise.all([...this.#running.values()].map((running) => this.#describe(running)));
    const registry = this.#options.redis ? redactSecrets(this.#options.redis) : join(dir, 'registry.db');
    const facts: LocalFacts = {
      v: 1,
      network,
      dir,
      gateway: address,
      join: joinAddress,
      registry,
      profile: this.profile,
      pid: process.pid,
      processes,
    };
    await writeLocalFacts(facts);
    this.#facts = facts;
  }

  /** Founds the network unless the folder holds one already. */
  async #found(): Promise<void> {
    const { dir, redis, settings, seams } = this.#options;
    const home = join(dir, 'gateway');
    const founded = (await readProfile(home)) && !existsSync(join(home, 'founding.json'));
    if (founded) return;
    await createSecretFolder(home);
    const addresses = await chooseAddresses(home, {
      listen: '127.0.0.1:0',
      joinListen: undefined,
      advertise: undefined,
      joins: true,
      gateway: undefined,
    });
    const registry = createRegistry(redis ?? join(dir, 'registry.db'), seams, this.#options.note);
    try {
      await foundNetwork({
        settings: { ...defaultSettings, ...settings },
        registry,
        gateway: {
          home,
          identityFolder: join(dir, 'identity', 'gateway'),
          meshAddresses: [addresses.advertised],
          joinAddresses: addresses.joinAdvertised ? [addresses.joinAdvertised] : [],
        },
        operator: { home: this.profile, identityFolder: join(dir, 'identity', 'client') },
        ...seams,
      });
    } finally {
      await registry.close();
    }
  }

  /** The operator's profile names the gateway where it is now. */
  async #pointProfile(connection: Connection, address: string, joinAddress: string): Promise<void> {
    const { profile } = connection;
    if (profile.gateways[0] === address && profile.joinAddresses[0] === joinAddress) return;
    await writeProfile(this.profile, { ...profile, gateways: [address], joinAddresses: [joinAddress] });
  }

  async #startMember(
    connection: Connection,
    { name, role }: { readonly name: string; readonly role: Role },
  ): Promise<void> {
    const home = join(this.#options.dir, name);
    if (await readProfile(home)) {
      await this.#spawn(name, role, undefined).ready;
      return;
    }
    const codeFile = join(this.#options.dir, 'identity', `${name}.code`);
    const { code } = await createInvitation(connection, { role, lifeMs: limits.joinTokenLifeMs, uses: 1 });
    await writeFileDurably(codeFile, `${code}\n`, 0o600);
    try {
      await this.#spawn(name, role, codeFile).ready;
    } finally {
      await rm(codeFile, { force: true });
    }
  }

  #spawn(name: string, role: Role, codeFile: string | undefined): Running {
    const { dir, redis, storage, debug, env } = this.#options;
    const log = join(dir, 'logs', `${name}.log`);
    const logFile = openSync(log, 'a', 0o600);
    const child = spawn(
      process.execPath,
      [
        ...process.execArgv,
        process.argv[1] ?? '',
        role,
        '--json',
        `--home=${join(dir, name)}`,
        `--identity=${join(dir, 'identity', name)}`,
        ...(codeFile ? [`--join-file=${codeFile}`] : []),
        ...(role === 'node' ? [`--storage=${storage}`] : []),
        ...(role !== 'node' && !redis ? [`--registry=${join(dir, 'registry.db')}`] : []),
        ...((role === 'master' || role === 'sentinel') && !env['OPERA_TIMING'] ? ['--timing=local'] : []),
        ...(debug ? ['--debug'] : []),
      ],
      {
        stdio: ['ignore', 'pipe', logFile, 'ipc'],
        // A URL may hold a password: it goes through the environment, never through arguments, and to no node.
        env: { ...returnMemory, ...withRegistry(env, role === 'node' ? undefined : redis) },
        detached: true,
      },
    );
    closeSync(logFile);
    const ended = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        if (!this.#stopping) this.#options.note(`${name} ended (${signal ?? `exit ${code}`}); its log: ${log}`);
        resolve();
      });
      child.once('error', () => resolve());
    });
    const running: Running = { name, role, child, ended, log, ready: this.#readReady(name, log, child, ended) };
    running.ready.catch(() => undefined);
    this.#running.set(name, running);
    return running;
  }

  async #readReady(name: string, log: string, child: ChildProcess, ended: Promise<void>): Promise<ReadyLine> {
    const { clock } = this.#options.seams;
    if (!child.stdout) throw new OperaError('internal', 'the child has no stdout');
    const lines = createInterface({ input: child.stdout });
    const line = new Promise<ReadyLine>((resolve) => {
      lines.once('line', (text) => resolve(JSON.parse(text) as ReadyLine));
    });
    const timeout = new AbortController();
    const late = clock.sleep(readyTimeoutMs, { signal: timeout.signal }).then(
      () => 'late' as const,
      () => 'late' as const,
    );
    const first = await Promise.race([line, late, ended.then(() => 'ended' as const)]);
    timeout.abort();
    if (typeof first === 'object') return first;
    const why = first === 'late' ? 'was not ready in time' : 'ended before it was ready';
    const cause = await whyIn(log);
    throw new OperaError(cause.code, `${name} ${why}: ${cause.message}`, { cause, hint: `Read its log: ${log}` });
  }

  async #describe({ name, role, child, log, ready }: Running): Promise<LocalProcess> {
    const { id, address } = await ready;
    return { name, role, id, address, pid: child.pid ?? 0, folder: join(this.#options.dir, name), log };
  }
}
