// The registry with many names: filling it as a rebuild does, then single steps on it, in Redis (when redis-server is
// installed) and in SQLite. `OPERA_TEST_BENCH_NAMES` sets how many (default 100,000; the claim is for 1,000,000).
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { readEnvironment } from '../src/config/environment.ts';
import { RedisRegistry } from '../src/registry/redis.ts';
import type { Registry } from '../src/registry/registry.ts';
import type { RestoredName } from '../src/registry/restore.ts';
import { SqliteRegistry } from '../src/registry/sqlite.ts';
import { SystemClock } from '../src/runtime/clock.ts';
import { SystemRandom } from '../src/runtime/random.ts';
import { startRedisServer } from '../test/support/redis-server.ts';
import {
  bytes,
  firstRoster,
  networkId,
  newOperation,
  newVersion,
  remove,
  wrap,
} from '../test/support/registry-builders.ts';

const count = Number(readEnvironment().OPERA_TEST_BENCH_NAMES ?? 100_000);
const steps = 500;
const batch = 1_000;

const clock = new SystemClock();
const row = (what: string, value: string): void => void process.stdout.write(`${what.padEnd(36)} ${value}\n`);
const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
const told = (values: readonly number[]): string =>
  `p50 ${quantile(values, 0.5).toFixed(2)} ms, p99 ${quantile(values, 0.99).toFixed(2)} ms`;

const nameOf = (at: number): string => `survey/${String(at % 1_000).padStart(3, '0')}/star-${at}.csv`;

/** A body of the length a small file's has. */
const body = bytes('b', 180);

const nameAt = (at: number): RestoredName => ({
  name: nameOf(at),
  version: newVersion(),
  sequence: BigInt(at + 1),
  incarnation: 1,
  operationId: newOperation(),
  chunkCount: 1,
  catalogue: at % 1_000 === 0,
  body,
  wrap: wrap(),
  nodes: ['10.0.0.1:7000', '10.0.0.2:7000', '10.0.0.3:7000'],
});

const measure = async (title: string, registry: Registry): Promise<void> => {
  row('', `— ${title}, ${count} names`);
  const { incarnation } = await registry.createNetwork(networkId, firstRoster);
  const filling = performance.now();
  const sample: RestoredName[] = [];
  for (let from = 0; from < count; from += batch) {
    const names = Array.from({ length: Math.min(batch, count - from) }, (_, at) => nameAt(from + at));
    sample.push(...names.filter((_, at) => (from + at) % Math.max(1, Math.floor(count / steps)) === 0));
    await registry.restore({ incarnation, sequence: BigInt(from + names.length), names });
  }
  const seconds = (performance.now() - filling) / 1_000;
  row('filled as by a rebuild', `${seconds.toFixed(0)} s, ${(count / seconds).toFixed(0)} names/s`);
  const timed = async (work: (name: RestoredName) => Promise<unknown>): Promise<string> => {
    const took: number[] = [];
    for (const name of sample) {
      const began = performance.now();
      await work(name);
      took.push(performance.now() - began);
    }
    return told(took);
  };
  row('look one name up', await timed(({ name }) => registry.getNames([name])));
  row(
    'list 1,000 names from there',
    await timed(({ name }) => registry.listNames({ prefix: '', after: name, limit: batch })),
  );
  const removing = await timed(async ({ name, version, sequence }) => {
    const changes = [remove(name, version, sequence)];
    const step = { incarnation, layoutNumber: 0, uploadAgeMaxMs: 1_000, changes };
    const [outcome] = await registry.commit(step);
    if (!outcome?.done) throw new Error(`${name} was not removed: ${outcome?.code}`);
  });
  row('remove one name', removing);
  row('names left', String(await registry.countNames()));
};

row('machine', `${cpus()[0]?.model ?? 'unknown cpu'} × ${cpus().length}, Node ${process.version}`);
const server = await startRedisServer();
if (server) {
  const registry = new RedisRegistry({ url: server.url, clock, random: new SystemRandom() });
  await measure('Redis', registry);
  await registry.close();
  row('memory of Redis', /used_memory_human:(\S+)/.exec(await server.command('INFO memory'))?.[1] ?? 'unknown');
  await server.stop();
} else row('Redis', 'redis-server is not installed');
const folder = mkdtempSync(join(tmpdir(), 'opera-bench-'));
try {
  const path = join(folder, 'registry.db');
  const registry = new SqliteRegistry({ path, clock });
  await measure('SQLite', registry);
  await registry.close();
  row('its file', `${(statSync(path).size / 2 ** 20).toFixed(0)} MiB`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
