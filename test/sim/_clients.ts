// The clients of a simulation: several at once on the same few names, each operation noted with its place in the
// history, its outcome and what was seen. Contents are unlike any other, so that a read tells which put it saw.
import { listFiles, removeFile, renameFile } from '../../src/client/names.ts';
import type { Session } from '../../src/client/session.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { type ErrorCode, isOperaError, toOperaError } from '../../src/errors/errors.ts';
import { bytesToHex } from '../../src/model/ids.ts';
import { chunkBytesMax } from '../../src/crypto/geometry.ts';
import { get, put } from '../support/cluster-client.ts';
import type { Call, NameOperation } from '../support/linearizability.ts';
import { SeededRandom } from '../support/seeded.ts';
import { catalogueText, describeAnswer, type Moment, Questions } from './_questions.ts';
import type { Trace } from './_trace.ts';

/** Names that everyone uses. Renames stay within a group, so that groups can be checked apart. */
const groups = [
  ['a', 'b'],
  ['c/d', 'é'],
] as const;

/** Errors that no fault excuses. */
const inexcusable = [
  'integrity',
  'internal',
  'hash-conflict',
  'bad-request',
  'bad-name',
  'ticket-invalid',
  'forbidden',
] as const;

/** Half of what is put are catalogues of a few star systems: their chunks have notes and are indexed. */
const contentOf = (name: string, content: number, random: SeededRandom): string => {
  const text = `${name} ${content} ${'x'.repeat(random.below(200))}`;
  return random.below(2) > 0 ? text : catalogueText(content, random);
};
/** Nobody waits for an index here: it is no part of what is acknowledged, and questions wait by themselves. */
const catalogue = { wait: false };

/** What is longer than a chunk: its second one lies with others than the manifest. */
const longBytes = chunkBytesMax + 1;
const longOf = (name: string, content: number): Uint8Array => Buffer.alloc(longBytes, `${name} ${content} `);

/** Stands for the bytes in the history, which compares and prints them. */
const textOf = (bytes: Uint8Array | undefined): string | undefined => {
  if (!bytes || bytes.length < longBytes) return bytes && Buffer.from(bytes).toString();
  return `${Buffer.from(bytes.subarray(0, 60)).toString()} ${bytesToHex(sha256(bytes))}`;
};

export interface ClientOptions {
  /** Files of their own are put, and nothing else is done. */
  readonly putsOnly?: boolean | undefined;
  /** Some files have two chunks. */
  readonly long?: boolean | undefined;
}

export class Clients {
  readonly #sessions: readonly Session[];
  readonly #randoms: readonly SeededRandom[];
  readonly #trace: Trace;
  readonly #putsOnly: boolean;
  readonly #long: boolean;
  readonly calls: Call[] = [];
  /** The names above, and those that were put once and are nobody else's. */
  readonly #names: string[] = groups.flat();
  /** Errors that the faults at work explain, such as tickets from the future when clocks jump. */
  excused: readonly ErrorCode[] = [];
  /** Told of each acknowledged put, right when the client hears of it. */
  onPut: (put: { readonly name: string; readonly version: string }) => Promise<void> = async () => undefined;
  /** Names of catalogues and their versions at each moment so far. */
  moments: readonly Moment[] = [];
  /** The first of them that a question which begins now may be answered from. */
  oldestMoment: () => number = () => this.moments.length - 1;
  readonly #questions = new Questions();
  #asked = 0;
  #place = 0;
  #contents = 0;

  /** Each session does one thing after the other. */
  constructor(sessions: readonly Session[], seed: string | number, trace: Trace, options: ClientOptions = {}) {
    const { putsOnly = false, long = false } = options;
    this.#sessions = sessions;
    this.#putsOnly = putsOnly;
    this.#long = long;
    this.#randoms = this.#sessions.map((_, at) => new SeededRandom(`client ${at} ${seed}`));
    this.#trace = trace;
    for (const session of sessions) this.#questions.follow(session);
  }

  /** Operations that were answered or given up, and questions. */
  get count(): number {
    return this.calls.length + this.#asked;
  }

  /** An operation or two of each client, somewhere in the next second; resolves when all were answered or given up. */
  async act(): Promise<void> {
    await Promise.all(
      this.#sessions.map(async (session, at) => {
        const random = this.#randoms[at] ?? new SeededRandom(at);
        for (let count = random.pick([1, 1, 2]); count > 0; count--) {
          await session.connection.clock.sleep(random.below(1_000));
          await this.#operate(session, at, random);
        }
      }),
    );
  }

  /** Everything is read once more, one name after the other, with nothing else going on. */
  async readAll(): Promise<void> {
    const [session] = this.#sessions;
    if (!session) return;
    for (const name of this.#names) await this.#get(session, 0, name);
    await this.#list(session, 0);
    const answer = await this.#ask(session, 0, this.#questions.everything);
    if (answer === undefined) throw new Error('with nothing broken a question got no answer');
  }

  async #operate(session: Session, at: number, random: SeededRandom): Promise<void> {
    const group = random.pick(groups);
    const name = random.pick<string>(group);
    const kind = this.#putsOnly ? 0 : random.below(100);
    const content = contentOf(name, this.#contents++, random);
    if (kind < 10) {
      const own = `own/${this.#names.length}`;
      this.#names.push(own);
      const bytes = this.#long && random.below(2) === 0 ? longOf(own, this.#contents) : Buffer.from(content);
      return this.#put(session, at, { kind: 'put', name: own, value: textOf(bytes) ?? '' }, bytes);
    }
    if (kind < 30) return this.#put(session, at, { kind: 'put', name, value: content });
    if (kind < 38) return this.#put(session, at, { kind: 'put', name, value: content, ifAbsent: true });
    if (kind < 60) return this.#get(session, at, name);
    if (kind < 73) return this.#question(session, at, random);
    if (kind < 81) return this.#list(session, at);
    if (kind < 90) return this.#change(at, { kind: 'remove', name }, () => removeFile(session, name));
    const to = random.pick(group.filter((other) => other !== name));
    const replace = random.below(2) === 0;
    return this.#change(at, { kind: 'rename', name, to, replace }, () =>
      renameFile(session, { from: name, to, replace }),
    );
  }

  async #put(
    session: Session,
    at: number,
    operation: Extract<NameOperation, { kind: 'put' }>,
    bytes: Uint8Array = Buffer.from(operation.value),
  ): Promise<void> {
    const { name, value, ifAbsent = false } = operation;
    this.#questions.begins(session, value);
    await this.#change(at, operation, async () => {
      const options = { catalogue, ...(ifAbsent ? { condition: { ifAbsent } } : {}) };
      const { version } = await put(session, name, bytes, options);
      await this.onPut({ name, version });
    });
  }

  async #change(at: number, operation: NameOperation, carryOut: () => Promise<unknown>): Promise<void> {
    const start = this.#begin(at, operation);
    try {
      await carryOut();
      this.#end(at, { operation, start, end: ++this.#place, outcome: 'ok' });
    } catch (error) {
      const refusal = this.#refusalOf(error);
      const outcome = refusal ? { outcome: 'refused' as const, refusal } : { outcome: 'unknown' as const };
      this.#end(at, { operation, start, end: ++this.#place, ...outcome }, error);
    }
  }

  /** A refusal that says how things stood; undefined when the change may have been carried out. */
  #refusalOf(error: unknown): 'not-found' | 'exists' | undefined {
    this.#excuse(error);
    if (isOperaError(error, 'not-found')) return 'not-found';
    return isOperaError(error, 'exists') ? 'exists' : undefined;
  }

  #excuse(error: unknown): void {
    if (isOperaError(error, ...this.excused)) return;
    if (!isOperaError(error) || isOperaError(error, ...inexcusable)) throw error;
  }

  async #get(session: Session, at: number, name: string): Promise<void> {
    const asked: NameOperation = { kind: 'get', name, value: undefined };
    const start = this.#begin(at, asked);
    try {
      const value = textOf(await get(session, name));
      this.#end(at, { operation: { ...asked, value }, start, end: ++this.#place, outcome: 'ok' });
    } catch (error) {
      this.#excuse(error);
      this.#end(at, { operation: asked, start, end: ++this.#place, outcome: 'unknown' }, error);
    }
  }

  /** A listing says of every name whether it is there. */
  async #list(session: Session, at: number): Promise<void> {
    const start = this.#begin(at, { kind: 'has', name: '*', present: true });
    const listed = new Set<string>();
    try {
      for await (const { name, error } of listFiles(session)) {
        if (error) throw error;
        if (!this.#names.includes(name)) throw new Error(`a listing holds ${name}, which nobody put`);
        listed.add(name);
      }
    } catch (error) {
      this.#excuse(error);
      this.#trace.add(`client ${at} list → ${toOperaError(error).code}`);
      return;
    }
    const end = ++this.#place;
    this.#trace.add(`client ${at} list → ${[...listed].join(', ')}`);
    for (const name of this.#names) {
      this.calls.push({ operation: { kind: 'has', name, present: listed.has(name) }, start, end, outcome: 'ok' });
    }
  }

  /** Now and then the same again at once: then the client guesses that nothing has changed. */
  async #question(session: Session, at: number, random: SeededRandom): Promise<void> {
    const question = this.#questions.draw(random, groups.flat(), this.#contents);
    for (let count = random.pick([1, 2]); count > 0; count--) await this.#ask(session, at, question);
  }

  /** Undefined when there was no answer, for a reason that faults excuse. */
  async #ask(session: Session, at: number, question: Parameters<Questions['ask']>[1]): Promise<true | undefined> {
    const from = this.oldestMoment();
    this.#trace.add(`client ${at} begins to ask ${JSON.stringify(question)}`);
    this.#asked++;
    try {
      const answer = await this.#questions.ask(session, question);
      this.#trace.add(`client ${at} asked → ${answer === 'not-found' ? answer : describeAnswer(answer)}`);
      const doubt = this.#questions.doubt(question, answer, this.moments.slice(from));
      if (doubt !== undefined) throw new Error(doubt);
      return true;
    } catch (error) {
      this.#excuse(error);
      this.#trace.add(`client ${at} asked → ${toOperaError(error).code}`);
      return undefined;
    }
  }

  #begin(at: number, operation: NameOperation): number {
    const { kind, name } = operation;
    this.#trace.add(`client ${at} begins ${kind} ${name}${operation.kind === 'rename' ? ` → ${operation.to}` : ''}`);
    return ++this.#place;
  }

  #end(at: number, call: Call, error?: unknown): void {
    this.calls.push(call);
    const { kind, name } = call.operation;
    const text = 'value' in call.operation ? call.operation.value?.replace(/^name.*\n/, '') : undefined;
    const value = 'value' in call.operation ? ` (${text?.slice(0, 12).trimEnd() ?? 'nothing'})` : '';
    const why = error === undefined ? '' : ` ${toOperaError(error).code}`;
    this.#trace.add(`client ${at} ends ${kind} ${name}${value} → ${call.outcome}${why}`);
  }
}
