// How long a registry takes to be put back from the nodes: a local network of three nodes whose stores are filled,
// while they are off, with manifests of small files as if those had been put; then `opera registry rebuild`, with the
// embedded registry and with Redis (when redis-server is installed). `OPERA_TEST_BENCH_NAMES` sets how many (default
// 20,000; the claim is for 1,000,000). The chunks are not there: a rebuild looks at manifests alone.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { openProfile } from '../src/client/connection.ts';
import { randomOperationId, randomVersionId } from '../src/client/ids.ts';
import { readEnvironment } from '../src/config/environment.ts';
import { encodeManifest } from '../src/crypto/manifest.ts';
import { sealManifestBody } from '../src/crypto/manifest-body.ts';
import { createFileKeys } from '../src/crypto/sealing.ts';
import { wrapEpochOf, wrapFileKey } from '../src/crypto/wrap.ts';
import { readIdentity } from '../src/identity/identity-folder.ts';
import { partitionOf } from '../src/placement/partition.ts';
import { SystemRandom } from '../src/runtime/random.ts';
import { SqliteStorage } from '../src/storage-adapters/sqlite.ts';
import type { ManifestWrite } from '../src/storage-adapters/storage-adapter.ts';
import { startRedisServer } from '../test/support/redis-server.ts';

const env = readEnvironment();
const opera = resolve('dist/opera.cjs');
const count = Number(env.OPERA_TEST_BENCH_NAMES ?? 20_000);
const batch = 1_000;
const nodes = ['node-1', 'node-2', 'node-3'];
const random = new SystemRandom();
/** Below what the registry has reached, so that it is not put back before it is told to be: µs, the year 2020. */
const sequencesFrom = 1_577_836_800_000_000n;

const row = (what: string, value: string): void => void process.stdout.write(`${what.padEnd(36)} ${value}\n`);
const secondsSince = (started: number): number => (performance.now() - started) / 1_000;

const run = (home: string, args: readonly string[]): string => {
  const options = { env: { ...env, OPERA_HOME: home }, maxBuffer: 2 ** 28 };
  const { status, stdout, stderr } = spawnSync(process.execPath, [opera, ...args], options);
  if (status !== 0) throw new Error(`opera ${args.join(' ')}: ${String(stderr)}`);
  return String(stdout);
};

/** Manifests as a master signs them and a client seals them. */
const startMaking = async (home: string, dir: string) => {
  const connection = await openProfile(home);
  const { keyring } = connection.keys;
  await connection.close();
  const master = await readIdentity(join(dir, 'identity', 'master'));
  if (!master) throw new Error('the master has no identity');
  const { signer, networkId } = master;
  return (at: number): ManifestWrite => {
    const version = randomVersionId(random);
    const sequence = sequencesFrom + BigInt(at);
    const { fileKey, header } = createFileKeys(random, networkId, version);
    const name = `survey/${String(at % 1_000).padStart(3, '0')}/star-${at}.csv`;
    const content = { kind: 'file', name, follows: 0n, size: 100, header, created: '2026-01-01T00:00:00Z' } as const;
    const body = sealManifestBody(fileKey, networkId, version, 'live', content, random);
    const wrap = wrapFileKey(keyring, networkId, version, fileKey, random);
    const operationId = randomOperationId(random);
    const facts = { state: 'live', version, sequence } as const;
    const record = encodeManifest({ ...facts, network: networkId, incarnation: 1, operationId, body, wrap }, signer);
    const signed = { signer: signer.keyHash, signerSpki: signer.spki };
    return {
      ...facts,
      partition: partitionOf(version, 0),
      wrapEpoch: wrapEpochOf(wrap),
      record,
      ...signed,
      servedHour: 0,
    };
  };
};

const fill = async (home: string, dir: string): Promise<void> => {
  const make = await startMaking(home, dir);
  const stores = nodes.map((node) => new SqliteStorage({ folder: join(dir, node), nowMs: () => 0 }));
  for (const store of stores) await store.open();
  for (let from = 0; from < count; from += batch) {
    const manifests = Array.from({ length: Math.min(batch, count - from) }, (_, at) => make(from + at));
    await Promise.all(stores.map((store) => store.putManifests(manifests)));
  }
  for (const store of stores) await store.close();
};

const measure = async (title: string, redis: string | undefined): Promise<void> => {
  row('', `— ${title}, ${count} names on 3 nodes`);
  const root = await mkdtemp(join(tmpdir(), 'opera-bench-'));
  const dir = join(root, 'net');
  const home = join(dir, 'client');
  const up = ['up', '--dir', dir, '--detach', ...(redis ? ['--redis', redis] : [])];
  try {
    run(home, up);
    const source = join(root, 'source');
    await writeFile(source, 'the first star');
    run(home, ['put', source, '--name', 'first']);
    run(home, ['down', '--dir', dir]);
    const filling = performance.now();
    await fill(home, dir);
    row('the stores filled in', `${secondsSince(filling).toFixed(0)} s`);
    const starting = performance.now();
    run(home, up);
    row('up again and healthy after', `${secondsSince(starting).toFixed(1)} s`);
    const rebuilding = performance.now();
    const answer = JSON.parse(run(home, ['registry', 'rebuild', '--yes', '--json'])) as { files: number };
    const seconds = secondsSince(rebuilding);
    row('registry rebuild', `${seconds.toFixed(0)} s, ${(count / seconds).toFixed(0)} names/s, ${answer.files} files`);
    const { processes } = JSON.parse(readFileSync(join(dir, 'up.json'), 'utf8')) as {
      processes: { name: string; pid: number }[];
    };
    for (const { name, pid } of processes) {
      const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      if (['master', 'node-1'].includes(name)) row(`peak memory of ${name}`, `${Math.round(Number(peak) / 1_024)} MiB`);
    }
  } finally {
    spawnSync(process.execPath, [opera, 'down', '--dir', dir]);
    rmSync(root, { recursive: true, force: true });
  }
};

row('machine', `${cpus()[0]?.model ?? 'unknown cpu'} × ${cpus().length}, Node ${process.version}`);
await measure('SQLite', undefined);
const server = await startRedisServer();
if (server) {
  await measure('Redis', server.url);
  await server.stop();
} else row('Redis', 'redis-server is not installed');
