// A network with several of each role as processes of one machine, what can be done to them, and what must be true of
// it when all is over: public keys exact, every copy good, one master's orders in each leadership.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openProfile } from '../../src/client/connection.ts';
import { listFiles } from '../../src/client/names.ts';
import { closeSession, createSession } from '../../src/client/session.ts';
import { verifyFiles } from '../../src/client/verify.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { exits, type HowToRun, LocalNet, parseLine, parseLines } from '../support/local-net.ts';
import type { Sandbox } from '../support/sandbox.ts';

const clock = new SystemClock();

/** One line of a log that tells of something a leader did. */
export interface LeaderLine {
  readonly event: string;
  readonly epoch: string;
  /** The process that wrote it, by its name. */
  readonly master: string;
}

/**
 * Fails unless each epoch has one master, was taken once, and is above those that its master took before. Lines of one
 * master are in order; times are not compared, since clocks jump here.
 */
export const checkExecutors = (lines: readonly LeaderLine[]): void => {
  const masters = new Map<string, string>();
  const newest = new Map<string, bigint>();
  for (const { event, epoch, master } of lines) {
    if (event === 'leadership-taken') {
      assert.equal(masters.get(epoch), undefined, `epoch ${epoch} was taken twice`);
      const before = newest.get(master) ?? 0n;
      assert.ok(BigInt(epoch) > before, `${master} took epoch ${epoch} after ${before}`);
      newest.set(master, BigInt(epoch));
      masters.set(epoch, master);
    }
  }
  for (const { epoch, master } of lines) {
    const known = masters.get(epoch);
    assert.ok(known === undefined || known === master, `${known ?? ''} and ${master} both acted in epoch ${epoch}`);
  }
};

export interface Leader {
  /** The process that leads. */
  readonly name: string;
  readonly instance: string;
  readonly epoch: bigint;
}

export class ManyRoles {
  readonly net: LocalNet;
  /** A client's home. */
  readonly guest: string;

  private constructor(net: LocalNet, guest: string) {
    this.net = net;
    this.guest = guest;
  }

  /** Five nodes, two masters, two gateways, three sentinels, a client. */
  static async up(sandbox: Sandbox): Promise<ManyRoles> {
    const net = await LocalNet.up(sandbox, ['--nodes', '5'], { env: { OPERA_TIMING: 'local' } });
    const guest = sandbox.path('guest');
    const many = new ManyRoles(net, guest);
    for (const [role, name] of [
      ['master', 'master-2'],
      ['gateway', 'gateway-2'],
      ['sentinel', 'sentinel-2'],
      ['sentinel', 'sentinel-3'],
    ] as const) {
      await net.join(role, name, many.#logged(name));
    }
    const code = (await net.ok(['token', 'create', '--role', 'client', '-q'])).trim();
    exits(await sandbox.opera(['join', code, '--home', guest]), 0);
    await net.until(({ members }) => members.filter(({ state }) => state === 'up').length >= 12);
    return many;
  }

  /** Names of the processes of a role; of all without one. */
  names(role?: string): string[] {
    return this.net.facts.processes
      .filter((entry) => role === undefined || entry.role === role)
      .map(({ name }) => name);
  }

  /** The master that leads, and in which epoch; waits until one does. */
  async leader(): Promise<Leader> {
    let found: Leader | undefined;
    await eventually(() => {
      const [lease] = this.#read<{ holder: string; instance: string; epoch: number }>(
        'SELECT * FROM lease WHERE released = 0',
      );
      const holder = this.net.facts.processes.find(({ id }) => id === lease?.holder);
      if (lease && holder) found = { name: holder.name, instance: lease.instance, epoch: BigInt(lease.epoch) };
      return found !== undefined;
    }, processPatienceMs);
    assert.ok(found);
    return found;
  }

  restart(name: string, how: HowToRun = {}) {
    return this.net.restart(name, { ...this.#logged(name), ...how });
  }

  /** Stops a process for a time, as a machine that is suspended. */
  async pause(name: string, ms: number): Promise<void> {
    this.net.kill(name, 'SIGSTOP');
    await clock.sleep(ms);
    this.net.kill(name, 'SIGCONT');
  }

  async crash(name: string, awayMs: number): Promise<void> {
    this.net.kill(name);
    await clock.sleep(awayMs);
    await this.restart(name);
  }

  /** Every process at once, as when the power fails. */
  async crashAll(): Promise<void> {
    for (const name of this.names()) this.net.kill(name);
    await Promise.all(this.names().map((name) => this.restart(name)));
  }

  leaderLines(): LeaderLine[] {
    const folder = join(this.net.dir, 'logs');
    return readdirSync(folder)
      .filter((file) => file.startsWith('master'))
      .flatMap((file) =>
        readFileSync(join(folder, file), 'utf8')
          .split('\n')
          .filter((line) => line.includes('"epoch"') && line.endsWith('}'))
          .map((line) => ({ ...parseLine<LeaderLine>(line), master: file.replace(/\.log$/, '') })),
      )
      .filter(({ event }) => ['leadership-taken', 'layout-made', 'layout-retired'].includes(event));
  }

  /** Public keys as any program with SQLite reads them, and every copy as a reader would check it. */
  async checkAtRest(held: readonly string[]): Promise<void> {
    const { net } = this;
    const nodes = net.facts.processes.filter(({ role }) => role === 'node').map(({ address }) => address);
    const pluck = (sql: string, ...values: readonly string[]): string[] => this.#read<string>(sql, values, true).sort();
    assert.deepEqual(pluck('select node from network_nodes'), nodes.sort());
    const listed = (await net.ok(['ls', '-q'])).split('\n').filter((line) => line !== '');
    assert.deepEqual([...listed].sort(), [...held].sort(), 'what is listed is what was acknowledged');
    assert.deepEqual(pluck('select name from network_data'), [...listed].sort());
    for (const name of listed.slice(0, 3)) {
      const rows = parseLines<{ readonly address: string; readonly owner: boolean }>(
        await net.ok(['where', name, '--json']),
      );
      const owners = new Set(rows.filter(({ owner }) => owner).map(({ address }) => address));
      assert.deepEqual(pluck('select node from network_data_file where name = ?', name), [...owners].sort());
    }
    const { fewest } = await this.copies();
    assert.ok(fewest >= 2, `${fewest} good copies of a chunk: fewer than were there when it was acknowledged`);
    checkExecutors(this.leaderLines());
  }

  /** Reads every copy of everything from every owner; fails when one is altered or does not answer. */
  async copies(): Promise<{ readonly fewest: number; readonly missing: number }> {
    const session = await createSession(await openProfile(this.net.home));
    const good = new Map<string, number>();
    let missing = 0;
    try {
      const names: string[] = [];
      for await (const { name } of listFiles(session)) names.push(name);
      await verifyFiles(session, names, {
        signal: AbortSignal.timeout(processPatienceMs),
        onName: (name, error) => assert.fail(`${name}: ${error.message}`),
        onCopy: ({ name, index, state, memberId }) => {
          assert.ok(state === 'good' || state === 'missing', `${name} chunk ${index} at ${memberId} is ${state}`);
          const chunk = `${index} ${name}`;
          good.set(chunk, (good.get(chunk) ?? 0) + Number(state === 'good'));
          missing += Number(state === 'missing');
        },
      });
      assert.ok(good.size >= names.length, 'every file has a chunk');
    } finally {
      await closeSession(session);
    }
    return { fewest: Math.min(...good.values()), missing };
  }

  #read<Row>(sql: string, values: readonly string[] = [], pluck = false): Row[] {
    const database = new Database(this.net.facts.registry, { readonly: true });
    try {
      const statement = database.prepare<string[], Row>(sql);
      return (pluck ? statement.pluck() : statement).all(...values) as Row[];
    } finally {
      database.close();
    }
  }

  #logged(name: string): HowToRun {
    return { log: join(this.net.dir, 'logs', `${name}.log`) };
  }
}
