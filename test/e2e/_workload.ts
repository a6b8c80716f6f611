// Clients at work on a real network while things break: several members in this process, each doing one thing after the
// other through the client library, on names that they share. What each was answered is noted with its place in time,
// so that the whole can be checked for an order in which it makes sense.
import assert from 'node:assert/strict';
import { type Connection, openProfile } from '../../src/client/connection.ts';
import { sourceOfBytes } from '../../src/client/byte-source.ts';
import { fetchFile } from '../../src/client/get.ts';
import { listFiles, removeFile, renameFile } from '../../src/client/names.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { forEachAtOnce } from '../../src/client/parallel.ts';
import { putFile } from '../../src/client/put.ts';
import { closeSession, createSession, type Session } from '../../src/client/session.ts';
import { isOperaError, toOperaError } from '../../src/errors/errors.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { startDeadline } from '../../src/runtime/deadline.ts';
import { patienceMs } from '../support/eventually.ts';
import { type Call, checkLinearizable, describeCall, type NameOperation } from '../support/linearizability.ts';
import { SeededRandom } from '../support/seeded.ts';

const clock = new SystemClock();

/** Errors that no fault excuses. */
const inexcusable = [
  'integrity',
  'internal',
  'hash-conflict',
  'bad-request',
  'bad-name',
  'forbidden',
  'revoked',
  'usage',
] as const;

/** Pairs of names in use at once; renames stay within a pair. */
const pairs = 12;
/** Names change this often, so that no history becomes too long to be checked. */
const eraMs = 30_000;
/** Aborts an operation that takes too long; what became of it is then unknown. */
const deadline = (): AbortSignal => startDeadline(patienceMs).signal;

/** Contents are unlike any other; a history holds their first word, which says all of it. */
const contentOf = (value: string): Buffer => Buffer.from(`${value} ${'x'.repeat(Number(value.split(':')[1]))}`);

const valueOf = (content: Buffer): string => {
  const value = content.toString('latin1', 0, 40).split(' ')[0] ?? '';
  assert.ok(content.equals(contentOf(value)), `what was read begins with ${value}, and is not what was put`);
  return value;
};

type Put = Extract<NameOperation, { kind: 'put' }>;

export interface WorkloadOptions {
  /** One client each. */
  readonly homes: readonly string[];
  readonly seed: string | number;
  /** Between two operations of a client, on the average. */
  readonly pauseMs: number;
  /** First part of every name. */
  readonly prefix: string;
}

export class Workload {
  readonly calls: Call[] = [];
  /** Monotonic time of each acknowledged change, for telling how long none was possible. */
  readonly acknowledgedMs: number[] = [];
  /** Names that were put once and never again, with what they hold; `place` of the answer once it came. */
  readonly own = new Map<string, { readonly value: string; place?: number }>();
  /** Names that hold something at the end, as `readAll` found them. */
  readonly held = new Map<string, string>();
  readonly #options: WorkloadOptions;
  readonly #sessions: readonly Session[];
  readonly #random: SeededRandom;
  readonly #startedMs = clock.monotonicMs();
  readonly #counts = new Map<string, number>();
  readonly #failures: unknown[] = [];
  /** Shared names in order of first use. */
  readonly #used = new Set<string>();
  #running: Promise<unknown> = Promise.resolve();
  #ending = false;
  #place = 0;
  #contents = 0;

  private constructor(options: WorkloadOptions, sessions: readonly Session[]) {
    this.#options = options;
    this.#sessions = sessions;
    this.#random = new SeededRandom(options.seed);
    this.#running = Promise.all(
      sessions.map((session) =>
        this.#work(session).catch((error: unknown) => {
          this.#failures.push(error);
        }),
      ),
    );
  }

  static async start(options: WorkloadOptions): Promise<Workload> {
    const connections: Connection[] = await Promise.all(options.homes.map((home) => openProfile(home)));
    return new Workload(options, await Promise.all(connections.map((connection) => createSession(connection))));
  }

  /** Operations by outcome, for people. */
  get summary(): string {
    return [...this.#counts].map(([what, count]) => `${what} ${count}`).join(', ');
  }

  /** Ends the clients' work; resolves when each was answered. Fails when one met what no fault excuses. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.#running;
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
  }

  /** Reads every name once more, with nothing else going on. Every read must succeed. */
  async readAll(): Promise<void> {
    const [session] = this.#sessions;
    assert.ok(session);
    const before = this.calls.length;
    await this.#list(session, [...this.#used]);
    assert.ok(this.calls.length > before, 'with everything healed names are listed');
    const names = [...this.#used, ...this.own.keys()];
    await forEachAtOnce(names, 8, undefined, async (name) => {
      await this.#get(session, name);
    });
    const read = this.calls.slice(before);
    const unread = read.filter(({ outcome }) => outcome === 'unknown');
    assert.deepEqual(unread.map(describeCall), [], 'with everything healed every name is answered');
    for (const { operation } of read) {
      if (operation.kind !== 'get') continue;
      if (operation.value !== undefined) this.held.set(operation.name, operation.value);
      const own = this.own.get(operation.name);
      const rightly = own?.place === undefined ? [own?.value, undefined] : [own.value];
      if (own) assert.ok(rightly.includes(operation.value), `${operation.name} holds ${operation.value ?? 'nothing'}`);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => closeSession(session)));
  }

  /** Fails unless the history makes sense in one order. */
  check(): void {
    const shared = this.calls.filter(({ operation }) => !this.own.has(operation.name));
    const verdict = checkLinearizable(shared, 2_000_000);
    if (verdict.kind === 'violated') {
      const lines = verdict.order.map(describeCall).slice(-20);
      const all = shared.filter(({ operation }) => verdict.names.includes(operation.name)).map(describeCall);
      const stuck = describeCall(verdict.stuck);
      const text = [`${verdict.names.join(', ')}: no order. After`, ...lines, 'no place for', stuck, 'of', ...all];
      assert.fail(text.join('\n'));
    }
    assert.equal(verdict.kind, 'linearizable', 'the search for an order was given up');
  }

  async #work(session: Session): Promise<void> {
    while (!this.#ending) {
      await this.#operate(session);
      await clock.sleep(this.#options.pauseMs * (0.5 + this.#random.fraction()));
    }
  }

  async #operate(session: Session): Promise<unknown> {
    const random = this.#random;
    const { prefix } = this.#options;
    const era = Math.floor((clock.monotonicMs() - this.#startedMs) / eraMs);
    const pair = random.below(pairs);
    const ends = random.below(2) === 0 ? (['a', 'b'] as const) : (['b', 'a'] as const);
    const [name, other] = ends.map((end) => `${prefix}/${era}/${pair}${end}`) as [string, string];
    for (const used of [name, other]) this.#used.add(used);
    const kind = random.below(100);
    const value = `${prefix}-${this.#contents++}:${random.pick([10, 100, 3_000, 70_000])}`;
    if (kind < 12) return this.#putOwn(session, `${prefix}/own/${this.#contents}`, value);
    if (kind < 32) return this.#put(session, { kind: 'put', name, value });
    if (kind < 40) return this.#put(session, { kind: 'put', name, value, ifAbsent: true });
    if (kind < 48) return this.#putOver(session, name, value);
    if (kind < 78) return this.#get(session, name);
    if (kind < 82) return this.#list(session);
    if (kind < 91) return this.#change({ kind: 'remove', name }, (signal) => removeFile(session, name, signal));
    const replace = random.below(2) === 0;
    const rename = (signal: AbortSignal) => renameFile(session, { from: name, to: other, replace, signal });
    return this.#change({ kind: 'rename', name, to: other, replace }, rename);
  }

  async #putOwn(session: Session, name: string, value: string): Promise<void> {
    // Noted before it is sent: a listing of another client may show it before the answer comes.
    const own: { readonly value: string; place?: number } = { value };
    this.own.set(name, own);
    if (await this.#put(session, { kind: 'put', name, value })) own.place = this.#place;
  }

  async #put(session: Session, operation: Put, ifVersion?: VersionId): Promise<boolean> {
    const { name, value, ifAbsent } = operation;
    const condition = { ...(ifAbsent ? { ifAbsent } : {}), ...(ifVersion === undefined ? {} : { ifVersion }) };
    return this.#change(operation, (signal) =>
      putFile(session, sourceOfBytes(contentOf(value)), { name, condition, signal }),
    );
  }

  /** Reads, and puts on the condition that nothing came in between. */
  async #putOver(session: Session, name: string, value: string): Promise<void> {
    const seen = await this.#get(session, name);
    if (seen) await this.#put(session, { kind: 'put', name, value, ifValue: seen.value }, seen.version);
  }

  /** True when it was acknowledged. */
  async #change(operation: NameOperation, carryOut: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    const start = ++this.#place;
    try {
      await carryOut(deadline());
      this.acknowledgedMs.push(clock.monotonicMs());
      this.#note({ operation, start, end: ++this.#place, outcome: 'ok' });
      return true;
    } catch (error) {
      excuse(error);
      const refusal = (['not-found', 'exists', 'conflict'] as const).find((code) => isOperaError(error, code));
      const outcome = refusal ? { outcome: 'refused' as const, refusal } : { outcome: 'unknown' as const };
      this.#note({ operation, start, end: ++this.#place, ...outcome }, error);
      return false;
    }
  }

  async #get(
    session: Session,
    name: string,
  ): Promise<{ readonly value: string; readonly version: VersionId } | undefined> {
    const start = ++this.#place;
    const note = (value: string | undefined, outcome: 'ok' | 'unknown', error?: unknown): void =>
      this.#note({ operation: { kind: 'get', name, value }, start, end: ++this.#place, outcome }, error);
    const signal = deadline();
    try {
      const { file, plan } = await resolveName(session, name, { signal });
      const parts: Uint8Array[] = [];
      for await (const part of fetchFile(session, plan, file, undefined, { signal })) parts.push(part);
      const value = valueOf(Buffer.concat(parts));
      note(value, 'ok');
      return { value, version: file.record.version };
    } catch (error) {
      excuse(error);
      if (isOperaError(error, 'not-found')) note(undefined, 'ok');
      else note(undefined, 'unknown', error);
      return undefined;
    }
  }

  /** A listing says of every name whether it is there: a lost write, or a removed name that is back, shows here. */
  async #list(session: Session, names: readonly string[] = this.#recent()): Promise<void> {
    const { prefix } = this.#options;
    const start = ++this.#place;
    const listed = new Set<string>();
    const signal = deadline();
    try {
      for await (const { name, error } of listFiles(session, { prefix: `${prefix}/`, signal })) {
        if (error) throw error;
        listed.add(name);
      }
    } catch (error) {
      excuse(error);
      return;
    }
    const end = ++this.#place;
    const used = new Set(names);
    for (const name of used) {
      this.calls.push({ operation: { kind: 'has', name, present: listed.has(name) }, start, end, outcome: 'ok' });
    }
    for (const [name, { place }] of this.own) {
      assert.ok(place === undefined || place > start || listed.has(name), `${name} was acknowledged and is not listed`);
    }
    const strangers = [...listed].filter((name) => !this.own.has(name) && !this.#used.has(name));
    assert.deepEqual(strangers, [], 'a listing holds names that nobody put');
    this.#counts.set('list ok', (this.#counts.get('list ok') ?? 0) + 1);
  }

  /** Names of this era and the one before. */
  #recent(): string[] {
    return [...this.#used].slice(-4 * pairs);
  }

  #note(call: Call, error?: unknown): void {
    this.calls.push(call);
    const why = error === undefined ? '' : ` (${toOperaError(error).code})`;
    const what = `${call.operation.kind} ${call.refusal ?? call.outcome}${call.outcome === 'unknown' ? why : ''}`;
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }
}

const excuse = (error: unknown): void => {
  if (!isOperaError(error) || isOperaError(error, ...inexcusable)) throw error;
};
