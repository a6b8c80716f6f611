// How long a dead node is noticed and how long its copies take to come back, on a local network of five: first without
// any load, then a second node while files are read and written. `OPERA_TEST_BENCH_MIB` is the size of the data
// (default 512); a node of five holds three fifths of it. Read the ratios: the machine is shared.
import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { type Connection, openProfile } from '../src/client/connection.ts';
import { fetchFile } from '../src/client/get.ts';
import { resolveName } from '../src/client/open-file.ts';
import { createSession, type Session } from '../src/client/session.ts';
import type { NetworkStatus } from '../src/client/verdict.ts';
import { readEnvironment } from '../src/config/environment.ts';

const env = readEnvironment();
const opera = resolve('dist/opera.cjs');
const mib = Number(env.OPERA_TEST_BENCH_MIB ?? 512);
const fileMib = 32;
const files = Math.max(1, Math.round(mib / fileMib));
/** One segment of a chunk: what a range read costs. */
const readBytes = 65_536;
/** A read begins so often, so that both phases have the same load. */
const readEveryMs = 20;
/** The status is asked for so often after the last answer. */
const watchEveryMs = 100;
const quietMs = 20_000;
const patienceMs = 180_000;

const row = (what: string, value: string): void => void process.stdout.write(`${what.padEnd(44)} ${value}\n`);
const seconds = (ms: number | undefined): string => (ms === undefined ? 'never' : `${(ms / 1_000).toFixed(1)} s`);
const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

const run = (home: string, args: readonly string[]): void => {
  const options = { env: { ...env, OPERA_HOME: home }, stdio: ['ignore', 'ignore', 'pipe'] as const };
  const { status, stderr } = spawnSync(process.execPath, [opera, ...args], { ...options, stdio: [...options.stdio] });
  if (status !== 0) throw new Error(`opera ${args.join(' ')}: ${String(stderr)}`);
};

/** Reading and writing `bytes` once, in pieces of 4 MiB with an fsync each: what a copy costs the disk. */
const diskCopyMs = (folder: string, bytes: number): number => {
  const piece = randomBytes(4 * 2 ** 20);
  const [from, to] = [join(folder, 'disk-a'), join(folder, 'disk-b')];
  const source = openSync(from, 'w+');
  for (let at = 0; at < bytes; at += piece.length) writeSync(source, piece);
  fsyncSync(source);
  const target = openSync(to, 'w');
  const started = performance.now();
  for (let at = 0; at < bytes; at += piece.length) {
    readSync(source, piece, 0, piece.length, at);
    writeSync(target, piece);
    fsyncSync(target);
  }
  const ms = performance.now() - started;
  for (const file of [source, target]) closeSync(file);
  for (const path of [from, to]) rmSync(path);
  return ms;
};

interface Load {
  readonly readMs: number[];
  failed: number;
}

/** Reads a segment at a steady pace, whatever happens, until told to stop. */
const startReading = (session: Session): { readonly load: Load; readonly stop: () => Promise<void> } => {
  const load: Load = { readMs: [], failed: 0 };
  let stopping = false;
  const pending = new Set<Promise<void>>();
  const readOne = async (at: number): Promise<void> => {
    const started = performance.now();
    const from = ((at * 7_919) % ((fileMib * 2 ** 20) / readBytes)) * readBytes;
    try {
      const { file, plan } = await resolveName(session, `f${at % files}`);
      for await (const part of fetchFile(session, plan, file, { from, to: from + readBytes })) void part;
      load.readMs.push(performance.now() - started);
    } catch (error) {
      load.failed++;
      process.stderr.write(`a read failed: ${String(error)}\n`);
    }
  };
  const loop = async (): Promise<void> => {
    for (let at = 0; !stopping; at++) {
      const one = readOne(at).finally(() => pending.delete(one));
      pending.add(one);
      await wait(readEveryMs);
    }
    await Promise.all(pending);
  };
  const done = loop();
  return {
    load,
    stop: () => {
      stopping = true;
      return done;
    },
  };
};

interface Times {
  suspectMs?: number;
  downMs?: number;
  outMs?: number;
  fullMs?: number;
}

const isFull = (status: NetworkStatus, before: number): boolean => {
  const { layoutNumber, retiredUpTo } = status;
  return layoutNumber > before && retiredUpTo === layoutNumber - 1;
};

/** Kills a process and watches what the network says of it, until all copies are back. */
const killAndWatch = async (connection: Connection, pid: number, address: string): Promise<Times> => {
  const before = (await connection.call('network.status', {})).layoutNumber;
  const times: Times = {};
  process.kill(pid, 'SIGKILL');
  const started = performance.now();
  while (times.fullMs === undefined && performance.now() - started < patienceMs) {
    const status = await connection.call('network.status', {});
    const elapsed = performance.now() - started;
    const state = status.members.find(({ addresses }) => addresses[0] === address)?.state;
    if (state === 'suspect') times.suspectMs ??= elapsed;
    if (state === 'down') times.downMs ??= elapsed;
    if (state === 'out') times.outMs ??= elapsed;
    if (isFull(status, before)) times.fullMs = elapsed;
    await wait(watchEveryMs);
  }
  return times;
};

/** Asks for the status as `killAndWatch` does: what that costs must be in both phases. */
const watchFor = async (connection: Connection, ms: number): Promise<void> => {
  for (const until = performance.now() + ms; performance.now() < until; await wait(watchEveryMs)) {
    await connection.call('network.status', {});
  }
};

const report = (times: Times, lostMib: number, copyMs: number): void => {
  row('suspect / down / out after', [times.suspectMs, times.downMs, times.outMs].map(seconds).join(' / '));
  row('all copies back after', seconds(times.fullMs));
  if (times.fullMs === undefined || times.outMs === undefined) return;
  const repairMs = times.fullMs - times.outMs;
  const rate = lostMib / (repairMs / 1_000);
  const disk = lostMib / (copyMs / 1_000);
  const share = `${((rate / disk) * 100).toFixed(0)} % of a disk copy (${disk.toFixed(0)} MiB/s)`;
  row(`repair of ${lostMib.toFixed(0)} MiB`, `${seconds(repairMs)}, ${rate.toFixed(0)} MiB/s, ${share}`);
};

const root = await mkdtemp(join(tmpdir(), 'opera-bench-'));
const dir = join(root, 'net');
const home = join(dir, 'client');
try {
  row('machine', `${cpus()[0]?.model ?? 'unknown cpu'} × ${cpus().length}, Node ${process.version}`);
  row('network', `5 nodes, 3 copies, ${files} files of ${fileMib} MiB`);
  run(home, ['up', '--nodes', '5', '--dir', dir, '--detach']);
  const source = join(root, 'source');
  for (let at = 0; at < files; at++) {
    await writeFile(source, randomBytes(fileMib * 2 ** 20));
    run(home, ['put', source, '--name', `f${at}`]);
  }
  rmSync(source);
  const facts = JSON.parse(readFileSync(join(dir, 'up.json'), 'utf8')) as {
    processes: { name: string; pid: number; address: string }[];
  };
  const processOf = (name: string) => {
    const found = facts.processes.find((one) => one.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  };
  const connection = await openProfile(home);
  const session = await createSession(connection);
  const heldMib = async (address: string): Promise<number> => {
    const { members, nodes } = await connection.call('network.status', {});
    const id = members.find(({ addresses }) => addresses[0] === address)?.memberId;
    return (nodes.find(({ memberId }) => memberId === id)?.chunkBytes ?? 0) / 2 ** 20;
  };
  try {
    const first = processOf('node-5');
    const lost = await heldMib(first.address);
    const copyMs = diskCopyMs(root, lost * 2 ** 20);
    row('', '— a node dies, nothing else happens');
    report(await killAndWatch(connection, first.pid, first.address), lost, copyMs);

    const quiet = startReading(session);
    await watchFor(connection, quietMs);
    await quiet.stop();
    const second = processOf('node-4');
    const lostNow = await heldMib(second.address);
    row('', '— a node dies while files are read');
    const busy = startReading(session);
    const times = await killAndWatch(connection, second.pid, second.address);
    await busy.stop();
    report(times, lostNow, diskCopyMs(root, lostNow * 2 ** 20));
    const p = ({ readMs }: Load): string =>
      [0.5, 0.99].map((share) => `p${share * 100} ${quantile(readMs, share).toFixed(1)} ms`).join(', ');
    row('reads of 64 KiB, quiet', `${p(quiet.load)}, ${quiet.load.readMs.length} reads, ${quiet.load.failed} failed`);
    row(
      'reads, from the kill to full copies',
      `${p(busy.load)}, ${busy.load.readMs.length} reads, ${busy.load.failed} failed`,
    );
    row('p99 ratio', (quantile(busy.load.readMs, 0.99) / quantile(quiet.load.readMs, 0.99)).toFixed(1));
  } finally {
    await connection.close();
  }
} finally {
  spawnSync(process.execPath, [opera, 'down', '--dir', dir]);
  rmSync(root, { recursive: true, force: true });
}
