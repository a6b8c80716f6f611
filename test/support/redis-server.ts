// A private redis-server for tests: on a unix socket in a temporary folder, without persistence, ended with the test.
// Undefined where redis-server is not installed; with OPERA_TEST_REQUIRE_ALL=1 that is a failure instead.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/runtime/clock.ts';
import { patienceMs } from './eventually.ts';

export interface RedisServer {
  readonly url: string;
  /** Sends one inline command and answers the first bytes of the reply. */
  readonly command: (line: string) => Promise<string>;
  /** Ends the server at once, as a power cut would. */
  readonly kill: () => Promise<void>;
  /** Starts it anew on the same socket; the data is what was saved, so nothing without `SAVE`. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const clock = new SystemClock();

const ask = (path: string, line: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString('latin1'));
    });
    socket.end(`${line}\r\n`);
  });

const exists = async (): Promise<boolean> => {
  const probe = spawn('redis-server', ['--version'], { stdio: 'ignore' });
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.once('exit', (code) => resolve(code === 0));
  });
};

const answers = async (path: string): Promise<void> => {
  const deadline = clock.monotonicMs() + patienceMs;
  for (;;) {
    const reply = await ask(path, 'PING').catch(() => '');
    if (reply.startsWith('+PONG')) return;
    if (clock.monotonicMs() > deadline) throw new Error('redis-server does not answer');
    await clock.sleep(10);
  }
};

export const startRedisServer = async (): Promise<RedisServer | undefined> => {
  if (!(await exists())) {
    if (process.env.OPERA_TEST_REQUIRE_ALL === '1') throw new Error('redis-server is not installed');
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), 'opera-redis-'));
  const path = join(folder, 'redis.sock');
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const flags = ['--port', '0', '--unixsocket', path, '--save', '', '--appendonly', 'no', '--dir', folder];
    child = spawn('redis-server', flags, { stdio: 'ignore' });
    await answers(path);
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url: `unix://${path}`,
    command: (line) => ask(path, line),
    start,
    kill,
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
