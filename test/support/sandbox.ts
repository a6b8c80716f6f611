// A user's machine for one end-to-end test file: a temporary folder that is HOME as well, and the built executable
// spawned as a user would. Closing it kills every process that was started in it, grandchildren too, and removes it.
// Processes are known by a variable of their environment, which children inherit; so no other process is ever touched.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { SystemClock } from '../../src/runtime/clock.ts';
import { patienceMs } from './eventually.ts';

export const executable = process.env.OPERA_TEST_EXECUTABLE ?? resolve('dist/opera.cjs');
export const requiresAll = process.env.OPERA_TEST_REQUIRE_ALL === '1';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array | string;
  readonly deadlineMs?: number;
  /** File that standard error is appended to, for processes that live long; `stderr` is empty then. */
  readonly log?: string;
}

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Buffer;
}

/** A process under way. `ended` resolves when it is gone and its output is read. */
export interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<Ran>;
  /** The next line of stdout that was not read yet; rejects with stderr when the process ends first. */
  readonly line: () => Promise<string>;
}

const clock = new SystemClock();

export class Sandbox {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;

  constructor() {
    assertBuilt();
    this.root = realpathSync(mkdtempSync(join(tmpdir(), 'opera-e2e-')));
    const home = join(this.root, 'home');
    mkdirSync(home);
    this.env = {
      PATH: process.env.PATH ?? '',
      HOME: home,
      OPERA_TEST_SANDBOX: this.root,
      ...(process.env.NODE_V8_COVERAGE ? { NODE_V8_COVERAGE: process.env.NODE_V8_COVERAGE } : {}),
    };
  }

  path(...parts: readonly string[]): string {
    return join(this.root, ...parts);
  }

  /** Starts `opera …` and does not wait. */
  start(args: readonly string[], options: RunOptions = {}): Started {
    return this.spawn(process.execPath, [executable, ...args], options);
  }

  /** Starts any program with the environment of the sandbox. */
  spawn(program: string, args: readonly string[], options: RunOptions = {}): Started {
    const log = options.log === undefined ? undefined : openSync(options.log, 'a');
    const child = spawn(program, [...args], {
      cwd: options.cwd ?? this.root,
      env: { ...this.env, ...options.env },
      stdio: ['pipe', 'pipe', log ?? 'pipe'],
    });
    if (log !== undefined) closeSync(log);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let text = '';
    const readers: (() => void)[] = [];
    const wake = (): void => {
      for (const reader of readers.splice(0)) reader();
    };
    child.stdout?.on('data', (chunk: Buffer) => {
      out.push(chunk);
      text += chunk.toString('utf8');
      wake();
    });
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    // A program that does not read its input closes it: that is not a fault of the test.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    let done = false;
    const ended = new Promise<Ran>((resolved, rejected) => {
      child.once('error', rejected);
      child.once('close', (code, signal) => {
        done = true;
        const bytes = Buffer.concat(out);
        resolved({ code, signal, bytes, stdout: bytes.toString('utf8'), stderr: Buffer.concat(err).toString('utf8') });
        wake();
      });
    });
    ended.catch(() => undefined);
    const line = async (): Promise<string> => {
      for (;;) {
        const at = text.indexOf('\n');
        if (at >= 0) {
          const found = text.slice(0, at);
          text = text.slice(at + 1);
          return found;
        }
        if (done) throw new Error(`it ended before it printed a line: ${Buffer.concat(err).toString('utf8')}`);
        await new Promise<void>((read) => readers.push(read));
      }
    };
    return { child, pid: child.pid ?? 0, ended, line };
  }

  /** Runs `opera …` to its end. */
  opera(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.finish(this.start(args, options), `opera ${args.join(' ')}`, options.deadlineMs);
  }

  /** Runs any program to its end. */
  run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.finish(this.spawn(program, args, options), program, options.deadlineMs);
  }

  /** Waits for the end with a deadline, after which the process is killed and the test fails. */
  async finish({ child, ended }: Started, what: string, deadlineMs = 240_000): Promise<Ran> {
    let late = false;
    const cancel = clock.after(deadlineMs, () => {
      late = true;
      child.kill('SIGKILL');
    });
    const ran = await ended;
    cancel();
    if (late) throw new Error(`${what} did not end within ${deadlineMs} ms: ${ran.stderr}`);
    return ran;
  }

  /** Every live process of this sandbox, except zombies. */
  processes(): number[] {
    const marker = Buffer.from(`OPERA_TEST_SANDBOX=${this.root}\0`);
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return pid !== process.pid && readFileSync(`/proc/${pid}/environ`).includes(marker);
        } catch {
          return false;
        }
      });
  }

  async close(): Promise<void> {
    const deadline = clock.monotonicMs() + patienceMs;
    for (let pids = this.processes(); pids.length > 0; pids = this.processes()) {
      for (const pid of pids) kill(pid, 'SIGKILL');
      if (clock.monotonicMs() > deadline) throw new Error(`processes ${pids.join()} do not end`);
      await clock.sleep(20);
    }
    unlock(this.root);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Signals a process that may be gone already. */
export const kill = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
};

const assertBuilt = (): void => {
  if (!existsSync(executable)) throw new Error(`${executable} is not built: node build.mjs`);
};

/** A test may have left folders without permissions. */
const unlock = (folder: string): void => {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    chmodSync(join(folder, entry.name), 0o700);
    unlock(join(folder, entry.name));
  }
};
