// A command line in this process: streams that remember, signals and time on demand.
// `start` gives the parts to tests that act while a verb runs; `run` is for those that only look at the outcome.
import { PassThrough, Writable } from 'node:stream';
import type { Host } from '../../src/commands/_host.ts';
import { runCommandLine } from '../../src/commands/_front.ts';
import { type VerbTable, verbTable } from '../../src/commands/_verbs.ts';
import type { Verb } from '../../src/commands/_verb.ts';
import type { Clock } from '../../src/runtime/clock.ts';

/** Time that moves only when told to. */
export class ManualClock implements Clock {
  private now = 0;
  private waiting: { readonly at: number; readonly fn: () => void }[] = [];

  nowMs(): number {
    return 1_700_000_000_000 + this.now;
  }

  monotonicMs(): number {
    return this.now;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  after(ms: number, fn: () => void): () => void {
    const entry = { at: this.now + ms, fn };
    this.waiting.push(entry);
    return () => {
      this.waiting = this.waiting.filter((other) => other !== entry);
    };
  }

  advance(ms: number): void {
    this.now += ms;
    const due = this.waiting.filter(({ at }) => at <= this.now);
    this.waiting = this.waiting.filter(({ at }) => at > this.now);
    for (const { fn } of due) fn();
  }
}

export class MemoryStream extends Writable {
  readonly isTTY: boolean;
  columns = 80;
  text = '';
  writes = 0;
  /** When set, every write fails with this code. */
  failWith: string | undefined;

  constructor(isTerminal: boolean, highWaterMark = 16_384) {
    super({ highWaterMark });
    this.isTTY = isTerminal;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    this.writes += 1;
    if (this.failWith) return done(Object.assign(new Error(this.failWith), { code: this.failWith }));
    this.text += chunk.toString();
    // Later, as a pipe does, so that back-pressure is real.
    setImmediate(done);
  }
}

export interface Setup {
  readonly env?: Readonly<Record<string, string>>;
  readonly terminal?: boolean;
  readonly stdin?: string;
  readonly userHome?: string;
  readonly verbs?: VerbTable;
}

export const start = (args: readonly string[], setup: Setup = {}) => {
  const terminal = setup.terminal ?? false;
  const stdout = new MemoryStream(terminal);
  const stderr = new MemoryStream(terminal);
  const stdin = Object.assign(new PassThrough(), { isTTY: terminal });
  if (setup.stdin !== undefined) stdin.end(setup.stdin);
  const clock = new ManualClock();
  const handlers = { SIGINT: new Set<() => void>(), SIGTERM: new Set<() => void>() };
  const state: { exit: number | undefined; forced: number | undefined; title: string } = {
    exit: undefined,
    forced: undefined,
    title: '',
  };
  const host: Host = {
    stdin,
    stdout,
    stderr,
    clock,
    env: setup.env ?? {},
    userHome: setup.userHome ?? '/nonexistent/home',
    setTitle: (title) => {
      state.title = title;
    },
    setExitCode: (code) => {
      state.exit = code;
    },
    exit: (code) => {
      state.forced ??= code;
    },
    onSignal: (signal, fn) => {
      handlers[signal].add(fn);
      return () => handlers[signal].delete(fn);
    },
    onUncaught: () => () => undefined,
  };
  const done = runCommandLine(args, host, setup.verbs ?? verbTable);
  const signal = (name: 'SIGINT' | 'SIGTERM'): void => {
    for (const fn of handlers[name]) fn();
  };
  return { done, stdout, stderr, stdin, clock, state, signal, listeners: () => handlers.SIGINT.size };
};

export const run = async (args: readonly string[], setup: Setup = {}) => {
  const { done, stdout, stderr, state } = start(args, setup);
  await done;
  return { stdout: stdout.text, stderr: stderr.text, exit: state.exit, title: state.title };
};

/** A table of one verb named `do`, or of those given. */
export const tableOf = (verbs: Readonly<Record<string, Verb>>): VerbTable =>
  Object.assign(
    Object.create(null),
    Object.fromEntries(
      Object.entries(verbs).map(([name, verb]) => [
        name,
        { section: 'Files', summary: `does ${name}`, load: () => Promise.resolve(verb) },
      ]),
    ),
  );
