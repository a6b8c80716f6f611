// `opera up`: a whole local network as separate processes on loopback, healthy when it says so.
// Starts what is there with its data; founds a new network only in an empty folder. Ctrl-C ends all of it.
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { defaultHome } from '../config/environment.ts';
import { readDefaultProfile, setDefaultProfile } from '../config/default-profile.ts';
import { OperaError } from '../errors/errors.ts';
import { redactSecrets } from '../errors/redact.ts';
import { createSecretFolder } from '../runtime/files.ts';
import { lastErrorIn } from './_child-error.ts';
import { isRedisUrl, systemSeams } from './_compose.ts';
import { recallNetwork } from './_local-again.ts';
import type { LocalFacts } from './_local-folder.ts';
import { LocalNetwork } from './_local-network.ts';
import type { Output } from './_output.ts';
import { defineVerb } from './_verb.ts';

const printFacts = async (io: Output, facts: LocalFacts, took: string): Promise<void> => {
  if (io.json) {
    await io.document({ ...facts }, { lines: [] });
    return;
  }
  await io.table(
    [
      { key: 'name', id: true, value: (row: LocalFacts['processes'][number]) => row.name },
      { key: 'address', value: (row) => row.address },
      { key: 'pid', kind: 'number', value: (row) => row.pid },
      { key: 'folder', value: (row) => row.folder },
    ],
    facts.processes,
  );
  io.note(`network ${facts.network} is up${took}; profile ${facts.profile}`);
};

const fewNodes = (nodes: number): readonly string[] => {
  if (nodes === 1) return ['one node keeps one copy of everything: nothing survives its loss'];
  return nodes === 2 ? ['two nodes keep two copies of everything: every write needs both'] : [];
};

const otherDefault = (profile: string): string => `another profile is the default: use --home ${profile}`;

export const command = defineVerb({
  examples: [
    'opera up',
    'opera up --nodes 5 --dir ./net --detach',
    'opera up --redis redis://127.0.0.1:6379 --json',
    'opera put stars.csv && opera ls',
  ],
  details:
    'Gateway, master, sentinel and nodes as separate processes on loopback, with an embedded registry unless --redis ' +
    'names one. Data, keys and logs stay in --dir; a later `opera up` on it brings everything back: ' +
    'as many nodes, and the same registry. File names are ' +
    'plain in the registry; contents are sealed. No recovery kit is written: make one with `opera keys export`.',
  handlesSignals: true,
  flags: {
    nodes: {
      type: 'number',
      min: 1,
      max: 32,
      placeholder: 'N',
      summary: 'nodes to run (default as many as last time; 3 at first)',
    },
    dir: { type: 'path', placeholder: 'DIR', summary: 'where everything is kept' },
    redis: { type: 'string', placeholder: 'URL', summary: 'registry in Redis (with a password: OPERA_REGISTRY_FILE)' },
    storage: { type: 'enum', options: ['sqlite', 'memory'], default: 'sqlite', summary: "the nodes' store" },
    index: { type: 'enum', options: ['sealed', 'plain'], default: 'sealed', summary: 'index mode of a new network' },
    detach: { type: 'boolean', summary: 'return when it is healthy; end it with `opera down`' },
  },
  run: async ({ flags, config, env, userHome, io, signal, clock }) => {
    if (flags.redis !== undefined && !isRedisUrl(flags.redis)) {
      const shown = JSON.stringify(redactSecrets(flags.redis));
      throw new OperaError('usage', `--redis takes a URL such as redis://127.0.0.1:6379, not ${shown}`);
    }
    const dir = resolve(flags.dir ?? join(defaultHome(env, userHome), 'local'));
    const wish = { dir, nodes: flags.nodes, redis: flags.redis ?? config.registry };
    const { nodes, redis, warnings } = await recallNetwork(wish);
    const warn = (): void => [...warnings, ...fewNodes(nodes)].forEach((warning) => io.warn(warning));
    if (flags.detach) {
      const { profile } = await detach(dir, io, signal);
      if (readDefaultProfile(env, userHome).folder !== profile) io.note(otherDefault(profile));
      warn();
      return;
    }
    const started = clock.monotonicMs();
    const network = await LocalNetwork.start({
      dir,
      nodes,
      redis,
      storage: flags.storage,
      settings: { indexMode: flags.index === 'plain' ? 'plain' : 'sealed' },
      debug: config.debug,
      seams: systemSeams(),
      env,
      signal,
      note: (text) => io.note(text),
    });
    try {
      const pointer = setDefaultProfile(env, userHome, network.profile);
      await printFacts(io, network.facts, ` after ${((clock.monotonicMs() - started) / 1_000).toFixed(1)} s`);
      if (pointer === 'other') io.note(otherDefault(network.profile));
      warn();
      if (!io.json) io.note('press Ctrl-C to end it');
      await io.flush();
      if (!signal.aborted) {
        await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
      }
    } finally {
      await network.stop();
    }
    if (!io.json) io.note(`ended; the data stays in ${dir}`);
  },
});

/** Runs the same command line in the background, waits until it is healthy, and answers what it is. */
const detach = async (dir: string, io: Output, signal: AbortSignal): Promise<LocalFacts> => {
  await createSecretFolder(join(dir, 'logs'));
  const log = join(dir, 'logs', 'up.log');
  // Another `up` of the folder may be writing there.
  const before = await stat(log).then(
    ({ size }) => size,
    () => 0,
  );
  const args = process.argv.slice(1).filter((arg) => arg !== '--detach' && arg !== '--json');
  const child = spawn(process.execPath, [...process.execArgv, ...args, '--json'], {
    detached: true,
    stdio: ['ignore', 'pipe', openSync(log, 'a', 0o600)] as const,
  });
  const { stdout } = child;
  if (!stdout) throw new OperaError('internal', 'the child has no stdout');
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, { once: true });
  const line = await new Promise<string | undefined>((done) => {
    createInterface({ input: stdout }).once('line', done);
    child.once('exit', () => done(undefined));
  });
  signal.removeEventListener('abort', end);
  signal.throwIfAborted();
  if (line === undefined) {
    const text = (await readFile(log)).subarray(before).toString('utf8');
    throw lastErrorIn(text) ?? new OperaError('unavailable', 'the network did not come up', { hint: `Read ${log}` });
  }
  stdout.destroy();
  child.unref();
  const facts = JSON.parse(line) as LocalFacts;
  await printFacts(io, facts, '');
  if (!io.json) io.note(`end it with: opera down --dir ${dir}`);
  return facts;
};
