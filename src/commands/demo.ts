// `opera demo`: the whole story in under a minute, with the commands a user would type: a local network of four nodes,
// real catalogues in and out, questions about their stars, a look for plaintext on disk, a node killed with -9, its
// copies restored on the others, and everything read and asked again. Every step is checked.
import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { sha256 } from '../crypto/digest.ts';
import { OperaError } from '../errors/errors.ts';
import type { Environment } from '../config/environment.ts';
import { bytesToHex } from '../model/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import { systemSeams } from './_compose.ts';
import { LocalNetwork } from './_local-network.ts';
import type { Output } from './_output.ts';
import { defineVerb } from './_verb.ts';

/** Real catalogues of the project; see fixtures/README.md for their sources and licences. */
const catalogues = ['oec_1086_systems.ndjson', 'oec_1086_systems.csv', 'd3celestial_xhip.csv'];

/** A piece of each catalogue that must not be found on any disk once it is sealed. */
const plaintexts = ['55 Cancri', 'Kepler-', '-16.7'];

/** What the timeline tells of a death, from its detection to the end of the repair. */
const story = ['member-down', 'member-out', 'layout-made', 'layout-complete', 'repair-complete'];

interface Stage {
  readonly io: Output;
  readonly env: Environment;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly work: string;
  readonly profile: string;
}

const fail = (reason: string): never => {
  throw new OperaError('integrity', `the demo found a difference: ${reason}`);
};

const digestOf = async (path: string): Promise<string> => bytesToHex(sha256(await readFile(path)));

/** Tables come with tabs, for scripts; here a person reads them. */
const alignTabs = (lines: readonly string[]): string[] => {
  const rows = lines.map((line) => line.split('\t'));
  const widths = rows.reduce<number[]>(
    (widest, row) => (row.length > 1 ? row.map((cell, at) => Math.max(widest[at] ?? 0, cell.length)) : widest),
    [],
  );
  return rows.map((row) =>
    row.length > 1
      ? row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()
      : (row[0] ?? ''),
  );
};

/** An argument as a shell wants it. */
const quoted = (argument: string): string => (/^[\w./:@%+=,-]+$/.test(argument) ? argument : `'${argument}'`);

/** Types one command as a user would, shows it with its output, and fails unless it exits as expected; its stdout. */
const type = async (stage: Stage, args: readonly string[], allowed: readonly number[] = [0]): Promise<string> => {
  const { io, env, signal, work, profile } = stage;
  await io.line(['bold', `$ opera ${args.map(quoted).join(' ')}`]);
  const child = spawn(process.execPath, [process.argv[1] ?? '', ...args], {
    cwd: work,
    env: { ...env, OPERA_HOME: profile },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  const [shown, answered]: [string[], string[]] = [[], []];
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text) => shown.push(String(text)));
  child.stdout?.on('data', (text) => answered.push(String(text)));
  const code = await new Promise<number>((done, broken) => {
    child.once('error', broken);
    child.once('close', (exit) => done(exit ?? 1));
  });
  const text = shown.join('');
  const lines = text.trimEnd().split('\n');
  for (const line of alignTabs(lines.slice(0, 12))) if (line !== '') await io.line(`  ${line}`);
  if (lines.length > 12) await io.line(`  … ${lines.length - 12} more lines`);
  if (!allowed.includes(code)) throw new OperaError('internal', `\`opera ${args.join(' ')}\` ended with exit ${code}`);
  return answered.join('');
};

/** The fixtures folder beside the executable's own folder. */
const fixturesOf = (executable: string): string => resolve(dirname(executable), '..', 'fixtures', 'catalogues');

const prepare = async (work: string): Promise<void> => {
  const fixtures = fixturesOf(process.argv[1] ?? '');
  const there = await readdir(fixtures).catch((cause: unknown) => {
    throw new OperaError('config', `the catalogues of the demo are not in ${fixtures}`, {
      cause,
      hint: 'Run the demo from a clone of the project.',
    });
  });
  await mkdir(join(work, 'survey'), { recursive: true });
  for (const name of catalogues) {
    const to = join(work, 'survey', name);
    if (there.includes(name)) await copyFile(join(fixtures, name), to);
    else await pipeline(createReadStream(join(fixtures, `${name}.gz`)), createGunzip(), createWriteStream(to));
  }
};

const compareAll = async (stage: Stage, folder: string): Promise<void> => {
  for (const name of catalogues) {
    const [before, after] = await Promise.all([
      digestOf(join(stage.work, 'survey', name)),
      digestOf(join(stage.work, folder, 'survey', name)),
    ]);
    if (before !== after) fail(`${name} came back altered`);
  }
  stage.io.note(`all ${catalogues.length} files came back bit for bit (SHA-256 compared)`);
};

const filesBelow = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true });
  const nested = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesBelow(path);
      return entry.isFile() ? [path] : [];
    }),
  );
  return nested.flat();
};

/** Looks for known plaintext in everything the roles wrote, keys apart. */
const searchDisks = async (stage: Stage, dir: string): Promise<void> => {
  let searched = 0;
  for (const path of await filesBelow(dir)) {
    if (path.includes('/identity/')) continue;
    const bytes = await readFile(path);
    searched += bytes.length;
    for (const plaintext of plaintexts) if (bytes.includes(plaintext)) fail(`${basename(path)} holds plaintext`);
  }
  const mib = (searched / 2 ** 20).toFixed(1);
  stage.io.note(`searched ${mib} MiB of data folders, registry and logs: no plaintext of any catalogue`);
};

/** Ends a demo that would wait for ever. A verdict takes seconds, and a minute on a machine whose disk is busy. */
const patience = { ms: 180_000, text: '3m' };

const waitFor = async (stage: Stage, what: string, check: () => Promise<boolean>): Promise<void> => {
  const started = stage.clock.monotonicMs();
  while (!(await check())) {
    const late = stage.clock.monotonicMs() - started > patience.ms;
    if (late) throw new OperaError('timeout', `waited ${patience.text} for ${what}`);
    await stage.clock.sleep(100, { signal: stage.signal });
  }
  stage.io.note(`${what} after ${((stage.clock.monotonicMs() - started) / 1_000).toFixed(1)} s`);
};

/** Questions that are asked before, while and after a node dies; the answers must not differ. */
const questions: readonly (readonly string[])[] = [
  ['query', 'mag < 0.5', '--in', 'survey/d3celestial_xhip.csv', '--columns', 'name,ra,dec,mag', '--sort', 'mag'],
  ['near', 'Sol', '10pc', '--in', 'survey/*.ndjson', '--columns', 'name,dist,class,n_planets', '--limit', '6'],
];

const ask = async (stage: Stage, before?: readonly string[]): Promise<readonly string[]> => {
  const answers: string[] = [];
  for (const question of questions) answers.push(await type(stage, [...question, '--header']));
  if (before) {
    for (const [at, answer] of answers.entries()) if (answer !== before[at]) fail('a question has another answer now');
    stage.io.note('the answers are the same');
  }
  return answers;
};

const play = async (stage: Stage, network: LocalNetwork): Promise<void> => {
  const { io } = stage;
  await type(stage, ['put', '-r', 'survey']);
  await type(stage, ['ls', '-l', '--header']);
  await type(stage, ['where', 'survey/d3celestial_xhip.csv', '--header']);
  await type(stage, ['get', '-r', 'survey', '-o', 'back']);
  await compareAll(stage, 'back');
  const answers = await ask(stage);
  await searchDisks(stage, network.facts.dir);
  await io.line(['bold', '$ kill -9 <node-2>']);
  network.kill('node-2', 'SIGKILL');
  await type(stage, ['get', '-r', 'survey', '-o', 'again']);
  await compareAll(stage, 'again');
  await ask(stage, answers);
  await waitFor(stage, 'the sentinel called node-2 down', async () => {
    const { openProfile } = await import('../client/connection.ts');
    const connection = await openProfile(stage.profile);
    try {
      const { members } = await connection.call('member.list', {}, { signal: stage.signal });
      return members.some(({ role, state }) => role === 'node' && state === 'down');
    } finally {
      await connection.close();
    }
  });
  await type(stage, ['put', 'survey/oec_1086_systems.csv', '--name', 'written-with-a-dead-node.csv']);
  await type(stage, ['status'], [0, 8]);
  await type(stage, ['status', '--wait', 'healthy', '--timeout', patience.text]);
  await type(stage, ['where', 'survey/d3celestial_xhip.csv', '--header']);
  await type(stage, ['verify']);
  await type(stage, ['events', '--header', ...story.flatMap((kind) => ['--kind', kind])]);
  await type(stage, ['get', '-r', 'survey', '-o', 'healed']);
  await compareAll(stage, 'healed');
  await ask(stage, answers);
  const found = await type(stage, ['find', '55 Cnc', '--in', 'survey/*.ndjson']);
  if (!found.includes('55 Cancri')) fail('55 Cancri is not found by its other name');
};

export const command = defineVerb({
  examples: ['opera demo', 'opera demo --keep'],
  details: 'Everything happens in a temporary folder with real processes, and is removed afterwards unless --keep.',
  flags: { keep: { type: 'boolean', summary: 'leave the folder; bring it up again with `opera up --dir`' } },
  run: async ({ flags, env, io, signal, clock, config }) => {
    const started = clock.monotonicMs();
    const root = await mkdtemp(join(tmpdir(), 'opera-demo-'));
    const work = join(root, 'work');
    const dir = join(root, 'network');
    try {
      await prepare(work);
      await io.line(['bold', `$ opera up --nodes 4 --dir ${dir}`]);
      const seams = systemSeams();
      const { debug } = config;
      const note = (text: string): void => io.note(text);
      const options = { nodes: 4, redis: undefined, storage: 'sqlite', settings: {}, debug, seams, env, signal, note };
      const network = await LocalNetwork.start({ dir, ...options });
      try {
        io.note(
          `healthy after ${((clock.monotonicMs() - started) / 1_000).toFixed(1)} s: 4 nodes, 3 copies of everything`,
        );
        await play({ io, env, clock, signal, work, profile: network.profile }, network);
      } finally {
        await network.stop();
      }
      io.note(`the demo passed in ${((clock.monotonicMs() - started) / 1_000).toFixed(0)} s`);
      if (flags.keep) io.note(`kept: opera up --dir ${dir}`);
    } finally {
      if (!flags.keep && (await stat(root).catch(() => undefined))) await rm(root, { recursive: true, force: true });
    }
  },
});
