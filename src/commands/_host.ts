// What the command line needs of its process: streams, environment, signals, exit. Tests give their own.
// The only place that touches `process` streams and signals; process.exit is called only after everything is flushed,
// or when the user asks twice.
import { fstatSync } from 'node:fs';
import { homedir } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { type Environment, readEnvironment } from '../config/environment.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { type Clock, SystemClock } from '../runtime/clock.ts';

export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}
export interface InputStream extends Readable {
  readonly isTTY?: boolean;
}

export interface Host {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Environment;
  readonly userHome: string;
  readonly clock: Clock;
  setTitle(title: string): void;
  setExitCode(code: number): void;
  /** Ends the process at once. */
  exit(code: number): void;
  /** Calls `fn` for every such signal until the returned function is called. */
  onSignal(signal: 'SIGINT' | 'SIGTERM', fn: () => void): () => void;
  /** Calls `fn` for an exception nobody caught. */
  onUncaught(fn: (error: unknown) => void): () => void;
}

export const processHost = (): Host => ({
  // Opened only when asked for: a touched stdin keeps the process waiting for it.
  get stdin() {
    // Node reads a folder as an empty stream, and an empty file would be stored.
    if (fstatSync(0).isDirectory()) {
      throw new OperaError('usage', 'standard input is a folder', { hint: 'Give it a file or a pipe' });
    }
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  env: readEnvironment(),
  userHome: homedir(),
  clock: new SystemClock(),
  setTitle: (title) => {
    process.title = title;
  },
  setExitCode: (code) => {
    process.exitCode = code;
  },
  exit: (code) => process.exit(code),
  onSignal: (signal, fn) => {
    process.on(signal, fn);
    return () => process.off(signal, fn);
  },
  onUncaught: (fn) => {
    process.on('uncaughtException', fn);
    return () => process.off('uncaughtException', fn);
  },
});

/**
 * Ends this process at once by a signal of its own, after `reason` aborted a verb: for the one case where process.exit
 * never returns, a thread that is inside SQLite. Shells see 130 or 143 as ever, 137 after a timeout.
 */
export const endBySignal = (reason: unknown): void => {
  const isSignal = isOperaError(reason, 'aborted');
  const name = !isSignal ? 'SIGKILL' : reason.message.includes('SIGTERM') ? 'SIGTERM' : 'SIGINT';
  process.removeAllListeners(name);
  process.kill(process.pid, name);
};
