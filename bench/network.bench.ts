// A local network as a user runs it: time to healthy, start of `ls`, throughput of put and get against what the disk
// allows in the same run, and the memory of every process. `OPERA_TEST_BENCH_MIB` sets the size (default 256).
// Speeds of a shared machine mean little by themselves: read the ratios.
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, openSync, readFileSync, rmSync, statSync, writeSync, fsyncSync, closeSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { readEnvironment } from '../src/config/environment.ts';

const env = readEnvironment();
const opera = resolve('dist/opera.cjs');
const mib = Number(env.OPERA_TEST_BENCH_MIB ?? 256);
const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const run = (home: string, args: readonly string[], stdout: 'ignore' | 'pipe' = 'pipe') => {
  const started = performance.now();
  const result = spawnSync(process.execPath, [opera, ...args], {
    env: { ...env, OPERA_HOME: home },
    stdio: ['ignore', stdout, 'pipe'],
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) throw new Error(`opera ${args.join(' ')}: ${String(result.stderr)}`);
  return { ms: performance.now() - started, stdout: String(result.stdout ?? '') };
};

const row = (what: string, value: string): void => print(`${what.padEnd(34)} ${value}`);

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

/** What the disk takes: three files of `bytes`, written in 4 MiB pieces with one fsync for each piece. */
const rawWriteMs = (folder: string, bytes: number): number => {
  const piece = randomBytes(4 * 2 ** 20);
  const started = performance.now();
  for (const name of ['a', 'b', 'c']) {
    const file = openSync(join(folder, `raw-${name}`), 'w');
    for (let at = 0; at < bytes; at += piece.length) {
      writeSync(file, piece);
      fsyncSync(file);
    }
    closeSync(file);
  }
  const ms = performance.now() - started;
  for (const name of ['a', 'b', 'c']) rmSync(join(folder, `raw-${name}`));
  return ms;
};

const peakMib = (pid: number): number => {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(match?.[1] ?? 0) / 1024);
};

/** Runs a verb and watches the peak of its memory. */
const watched = (home: string, args: readonly string[], to?: string) =>
  new Promise<{ readonly ms: number; readonly peak: number }>((done, fail) => {
    const started = performance.now();
    const child = spawn(process.execPath, [opera, ...args], {
      env: { ...env, OPERA_HOME: home },
      stdio: ['ignore', to ? 'pipe' : 'ignore', 'inherit'],
    });
    if (to) child.stdout?.pipe(createWriteStream(to));
    let peak = 0;
    const timer = setInterval(() => {
      try {
        peak = Math.max(peak, peakMib(child.pid ?? 0));
      } catch {
        // It ended between two looks.
      }
    }, 50);
    child.once('close', (code) => {
      clearInterval(timer);
      if (code === 0) done({ ms: performance.now() - started, peak });
      else fail(new Error(`opera ${args.join(' ')} ended with ${code}`));
    });
  });

const speed = (ms: number): string => `${(mib / (ms / 1_000)).toFixed(0)} MiB/s`;

const root = await mkdtemp(join(tmpdir(), 'opera-bench-'));
const dir = join(root, 'net');
const home = join(dir, 'client');
try {
  print(
    `${cpus()[0]?.model ?? 'unknown cpu'} × ${cpus().length}, Node ${process.version}, ${mib} MiB, 3 nodes, 3 copies`,
  );
  const up = run(home, ['up', '--dir', dir, '--detach', '--json']);
  row('up --nodes 3, until healthy', `${(up.ms / 1_000).toFixed(2)} s`);
  const empty = join(root, 'empty.cjs');
  await writeFile(empty, '');
  const bare = median(
    Array.from({ length: 7 }, () => {
      const started = performance.now();
      spawnSync(process.execPath, [empty]);
      return performance.now() - started;
    }),
  );
  const ls = median(Array.from({ length: 7 }, () => run(home, ['ls']).ms));
  row(
    'ls on an empty network',
    `${ls.toFixed(0)} ms, empty script ${bare.toFixed(0)} ms, ratio ${(ls / bare).toFixed(1)}`,
  );

  const source = join(root, 'source');
  const bytes = mib * 2 ** 20;
  const out = createWriteStream(source);
  const piece = randomBytes(4 * 2 ** 20);
  for (let at = 0; at < bytes; at += piece.length) {
    piece.writeUInt32BE(at / piece.length);
    if (!out.write(Buffer.from(piece))) await new Promise<void>((next) => out.once('drain', next));
  }
  await new Promise<void>((next) => out.end(next));

  const registryBefore = statSync(join(dir, 'registry.db')).size;
  const raw = rawWriteMs(root, bytes);
  const put = await watched(home, ['put', source, '--name', 'big', '-q']);
  const registryAfter = statSync(join(dir, 'registry.db')).size;
  const get = await watched(home, ['get', 'big', '-o', join(root, 'back'), '-q']);
  const cat = await watched(home, ['cat', 'big'], '/dev/null');
  const same = spawnSync('cmp', [source, join(root, 'back')]).status === 0;
  row('three raw copies with fsync', `${speed(raw)} of one copy`);
  row('put', `${speed(put.ms)}, ${((raw / put.ms) * 100).toFixed(0)} % of raw, client peak ${put.peak} MiB`);
  row('get to a file', `${speed(get.ms)}, client peak ${get.peak} MiB, ${same ? 'same bytes' : 'DIFFERENT'}`);
  row('cat to /dev/null', `${speed(cat.ms)}, client peak ${cat.peak} MiB`);
  row('registry grew by', `${registryAfter - registryBefore} bytes (its file)`);
  const facts = JSON.parse(readFileSync(join(dir, 'up.json'), 'utf8')) as {
    processes: { name: string; pid: number }[];
  };
  const peaks = facts.processes.map(({ name, pid }) => `${name} ${peakMib(pid)}`);
  row('peak memory', `${peaks.join(', ')} MiB`);
} finally {
  spawnSync(process.execPath, [opera, 'down', '--dir', dir]);
  rmSync(root, { recursive: true, force: true });
}
