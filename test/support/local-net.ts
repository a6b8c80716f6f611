// A local network as `opera up` brings it up, with the verbs of a user of it. One network serves a whole test file.
// Answers come from processes only: nothing here reaches into the program, but for `until`, which looks often and asks
// as a member in this process.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openProfile } from '../../src/client/connection.ts';
import { judge } from '../../src/client/verdict.ts';
import { eventually, processPatienceMs } from './eventually.ts';
import { executable, kill, type Ran, type RunOptions, Sandbox, type Started } from './sandbox.ts';

export interface LocalProcess {
  readonly name: string;
  readonly role: string;
  readonly id: string;
  readonly address: string;
  readonly pid: number;
  readonly folder: string;
  readonly log: string;
}

/** What `up --json` prints and `up.json` holds. */
export interface LocalFacts {
  readonly v: number;
  readonly network: string;
  readonly dir: string;
  readonly gateway: string;
  readonly join: string;
  readonly registry: string;
  readonly profile: string;
  readonly pid: number;
  readonly processes: readonly LocalProcess[];
}

/** Fields of `status --json` that tests look at. */
export interface Status {
  readonly health: string;
  readonly reasons: readonly string[];
  readonly files: number;
  readonly pending: number;
  readonly leader: { readonly memberId: string; readonly epoch: string } | null;
  readonly layoutNumber: number;
  readonly retiredUpTo: number;
  readonly nodes: readonly { readonly memberId: string; readonly readOnly: boolean; readonly chunks: number }[];
  readonly members: readonly { readonly memberId: string; readonly role: string; readonly state: string }[];
}

/** What can be waited for. */
export type Watched = Omit<Status, 'leader'>;

export const parseLine = <T>(text: string): T => JSON.parse(text) as T;

/** NDJSON, or the one document of a short answer. */
export const parseLines = <T>(text: string): T[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => parseLine<T>(line));

/** Fails with everything the process said unless it exited with `code`. */
export const exits = (ran: Ran, code: number, what = ''): Ran => {
  assert.equal(ran.code, code, `${what} exit ${ran.code ?? ran.signal}\n${ran.stdout.slice(0, 2_000)}\n${ran.stderr}`);
  return ran;
};

export interface HowToRun {
  readonly env?: Readonly<Record<string, string>>;
  /** File for the log; kept in memory without it. */
  readonly log?: string;
  /** A program that runs it, with its arguments: `strace -f`, `ip netns exec x`. */
  readonly under?: readonly string[];
  /** Further flags of the role. */
  readonly flags?: readonly string[];
}

export class LocalNet {
  readonly sandbox: Sandbox;
  readonly dir: string;
  facts: LocalFacts;
  up: Started;
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;

  private constructor(
    sandbox: Sandbox,
    dir: string,
    up: Started,
    facts: LocalFacts,
    again: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> },
  ) {
    this.sandbox = sandbox;
    this.dir = dir;
    this.up = up;
    this.facts = facts;
    this.#args = again.args;
    this.#env = again.env;
  }

  /** Brings a network up in `<sandbox>/<name>`; `args` are flags of `up`. */
  static async up(
    sandbox: Sandbox,
    args: readonly string[] = [],
    { name = 'net', env = {} }: { readonly name?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<LocalNet> {
    const dir = sandbox.path(name);
    const started = sandbox.start(['up', '--json', '--dir', dir, ...args], { env });
    const facts = parseLine<LocalFacts>(await started.line());
    return new LocalNet(sandbox, dir, started, facts, { args, env });
  }

  /** The folder of the first operator's profile. */
  get home(): string {
    return this.facts.profile;
  }

  named(name: string): LocalProcess {
    const found = this.facts.processes.find((entry) => entry.name === name);
    assert.ok(found, `no process is called ${name}`);
    return found;
  }

  /** Runs a verb as the first operator. */
  opera(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.sandbox.opera(args, this.#as(options));
  }

  start(args: readonly string[], options: RunOptions = {}): Started {
    return this.sandbox.start(args, this.#as(options));
  }

  /** Runs a verb that must succeed, and answers its stdout. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return exits(await this.opera(args, options), 0, `opera ${args.join(' ')}:`).stdout;
  }

  async status(): Promise<Status> {
    const ran = await this.opera(['status', '--json']);
    assert.ok(ran.stdout !== '', ran.stderr);
    return parseLine<Status>(ran.stdout);
  }

  async healthy(): Promise<void> {
    await this.ok(['status', '--wait', 'healthy', '--timeout', '180s']);
  }

  /** Waits until the status says so. */
  async until(holds: (status: Watched) => boolean, deadlineMs = processPatienceMs): Promise<void> {
    const connection = await openProfile(this.home);
    const look = async (): Promise<boolean> => {
      const signal = AbortSignal.timeout(10_000);
      const status = await connection.call('network.status', {}, { signal }).catch(() => undefined);
      return status !== undefined && holds({ ...status, ...judge(status) });
    };
    try {
      await eventually(look, deadlineMs, 50);
    } finally {
      await connection.close();
    }
  }

  kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    kill(this.named(name).pid, signal);
  }

  /** Starts a role of this network again by hand, with the home and keys that `up` gave it. */
  async restart(name: string, how: HowToRun = {}): Promise<Started> {
    const { role, id } = this.named(name);
    const { started, ready } = await this.#startRole(role, name, how);
    assert.equal(ready.id, id, `${name} came back as another member`);
    const processes = this.facts.processes.map((entry) => (entry.name === name ? { ...entry, ...ready } : entry));
    this.facts = { ...this.facts, processes };
    return started;
  }

  /** A further role joins with a code; from then on it has a name here like those that `up` started. */
  async join(role: string, name: string, how: HowToRun = {}): Promise<Started> {
    const code = (await this.ok(['token', 'create', '--role', role, '-q'])).trim();
    const { started, ready } = await this.#startRole(role, name, how, ['--join', code]);
    const folder = join(this.dir, name);
    const log = how.log ?? '';
    this.facts = { ...this.facts, processes: [...this.facts.processes, { name, role, folder, log, ...ready }] };
    return started;
  }

  async #startRole(role: string, name: string, how: HowToRun, args: readonly string[] = []) {
    const own = [
      role,
      '--json',
      `--home=${join(this.dir, name)}`,
      `--identity=${join(this.dir, 'identity', name)}`,
      ...(role === 'node' ? [] : [`--registry=${this.facts.registry}`]),
      ...(how.flags ?? []),
      ...args,
    ];
    const options = { ...(how.log === undefined ? {} : { log: how.log }), env: { ...this.#env, ...how.env } };
    const [program = process.execPath, ...before] = [...(how.under ?? []), process.execPath];
    const started = this.sandbox.spawn(program, [...before, executable, ...own], options);
    const { id, address, pid } = parseLine<LocalProcess>(await started.line());
    return { started, ready: { id, address, pid } };
  }

  /** Ends it with Ctrl-C. */
  async down(signal: NodeJS.Signals = 'SIGINT'): Promise<Ran> {
    this.up.child.kill(signal);
    return this.sandbox.finish(this.up, 'up');
  }

  /** Brings it up again in the same folder. */
  async upAgain(env: Readonly<Record<string, string>> = this.#env, args = this.#args): Promise<void> {
    this.up = this.sandbox.start(['up', '--json', '--dir', this.dir, ...args], { env });
    this.facts = parseLine<LocalFacts>(await this.up.line());
  }

  #as(options: RunOptions): RunOptions {
    return { ...options, env: { ...this.#env, OPERA_HOME: this.home, ...options.env } };
  }
}
