// Star systems over a network of three nodes and three copies, as a user runs it: how fast catalogues come in, and how
// long questions take through the client library, in both index modes; beside one process with SQLite's R*Tree and
// B-trees over the same rows, which is the limit chased. The real stars are those of fixtures/catalogues; the synthetic
// ones are real stars, moved a little with a fixed seed. `OPERA_TEST_BENCH_RECORDS` sets their number (1,000,000).
// Speeds of a shared machine mean little by themselves: read the ratios.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { gunzipSync } from 'node:zlib';
import { openProfile } from '../src/client/connection.ts';
import { queryStars } from '../src/client/query.ts';
import { closeSession, createSession, type Session } from '../src/client/session.ts';
import { readEnvironment } from '../src/config/environment.ts';
import type { QueryText } from '../src/index/query.ts';
import { SystemClock } from '../src/runtime/clock.ts';
import { openSqlite, type SqliteDatabase } from '../src/runtime/sqlite.ts';

const env = readEnvironment();
const clock = new SystemClock();
const opera = resolve('dist/opera.cjs');
const large = Number(env.OPERA_TEST_BENCH_RECORDS ?? 1_000_000);
const small = large / 10;

const print = (what: string, value: string): void => {
  process.stdout.write(`${what.padEnd(46)} ${value}\n`);
};

const run = (home: string, args: readonly string[]): string =>
  execFileSync(process.execPath, [opera, ...args], {
    env: { ...env, OPERA_HOME: home },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

/** Numbers in [0, 1) from a seed (mulberry32). */
const seeded = (seed: number) => (): number => {
  seed = (seed + 0x6d2b_79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

const types = ['O8V', 'B3V', 'A0V', 'F5V', 'G2V', 'K1III', 'M4V'] as const;

/** Real places and magnitudes, jittered; distances as in a uniform sphere of 1,000 pc; types by their usual shares. */
const writeSynthetic = async (path: string, real: readonly string[], count: number): Promise<void> => {
  const random = seeded(20_261_123);
  const out = createWriteStream(path);
  out.write('name,ra,dec,dist_pc,mag_v,bv,spectral_type\n');
  let lines: string[] = [];
  for (let at = 0; at < count; at++) {
    const [, ra = '0', dec = '0', mag = '9', bv = '0.5'] = (real[at % real.length] ?? '').split(',');
    const jitteredRa = (Number(ra) + random() * 2 - 1 + 360) % 360;
    const jitteredDec = Math.min(90, Math.max(-90, Number(dec) + random() * 2 - 1));
    // Copies of copies are fainter, or a million stars would have a thousand as bright as Vega.
    const magnitude = Number(mag) + (at < real.length ? 0 : 6 * random() ** 0.5);
    const type = types[Math.floor(random() ** 0.4 * types.length)] ?? 'M4V';
    lines.push(
      `SYN ${at},${jitteredRa.toFixed(6)},${jitteredDec.toFixed(6)},${(1000 * Math.cbrt(random())).toFixed(4)},` +
        `${magnitude.toFixed(2)},${Number(bv).toFixed(3)},${type}`,
    );
    if (lines.length === 10_000) {
      if (!out.write(`${lines.join('\n')}\n`)) await once(out, 'drain');
      lines = [];
    }
  }
  out.end(lines.length > 0 ? `${lines.join('\n')}\n` : '');
  await once(out, 'close');
};

interface Question {
  readonly what: string;
  readonly text: QueryText;
  /** The same asked of one process, over the tables of `openPlainSql`. */
  readonly sql: string;
}

const columns = 'name, ra, dec, dist_pc, mag_v, spectral_type';
const rad = Math.PI / 180;
const coneSql = (ra: number, dec: number, radius: number): string => {
  const [x, y, z] = [
    Math.cos(dec * rad) * Math.cos(ra * rad),
    Math.cos(dec * rad) * Math.sin(ra * rad),
    Math.sin(dec * rad),
  ];
  const chord = 2 * Math.sin((radius * rad) / 2);
  const near = [x, y, z].map((value, at) => `a${at} <= ${value + chord} AND b${at} >= ${value - chord}`).join(' AND ');
  const exact = `(sx - ${x}) * (sx - ${x}) + (sy - ${y}) * (sy - ${y}) + (sz - ${z}) * (sz - ${z}) <= ${chord * chord}`;
  return `SELECT ${columns} FROM sky JOIN stars USING (id) WHERE ${near} AND ${exact}`;
};
const sphereSql = (radius: number): string => {
  const near = [0, 1, 2].map((at) => `a${at} <= ${radius} AND b${at} >= ${-radius}`).join(' AND ');
  return `SELECT ${columns} FROM space JOIN stars USING (id) WHERE ${near} AND dist_pc <= ${radius}`;
};

/** Asked at other places each time, so that no cache answers for the disk alone. */
const questions: readonly {
  readonly what: string;
  readonly at: (turn: number) => Question['text'];
  readonly sql: (turn: number) => string;
}[] = [
  {
    what: 'cone 0.5°',
    at: (turn) => ({ cone: `${(turn * 7.3) % 360}, ${((turn * 3.1) % 120) - 60}, 0.5deg` }),
    sql: (turn) => coneSql((turn * 7.3) % 360, ((turn * 3.1) % 120) - 60, 0.5),
  },
  { what: 'sphere 10 ly', at: () => ({ near: 'Sol, 10ly' }), sql: () => sphereSql(3.066_014) },
  { what: 'sphere 100 ly', at: () => ({ near: 'Sol, 100ly' }), sql: () => sphereSql(30.660_14) },
  {
    what: 'name',
    at: (turn) => ({ find: `SYN ${(turn * 997) % small}` }),
    sql: (turn) => `SELECT ${columns} FROM stars WHERE name = 'SYN ${(turn * 997) % small}'`,
  },
  { what: 'mag_v < 2', at: () => ({ where: 'mag_v < 2' }), sql: () => `SELECT ${columns} FROM stars WHERE mag_v < 2` },
  {
    what: 'count by class',
    at: () => ({ group: 'class' }),
    sql: () => 'SELECT substr(spectral_type, 1, 1), count(*) FROM stars GROUP BY 1',
  },
];

const quantile = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0;

interface Times {
  readonly p50: number;
  readonly p99: number;
}

const turns = 200;

/** With a pause before each, questions share no snapshot, and everything has gone to sleep. */
const timesOf = async (ask: (turn: number) => unknown, pauseMs = 0): Promise<Times> => {
  for (let turn = 0; turn < 20; turn++) await ask(turns + turn);
  const ms: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    if (pauseMs > 0) await clock.sleep(pauseMs);
    const began = performance.now();
    await ask(turn);
    ms.push(performance.now() - began);
  }
  return { p50: quantile(ms, 0.5), p99: quantile(ms, 0.99) };
};

const show = ({ p50, p99 }: Times): string => `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;

/** One process, one file, the rows of a synthetic catalogue, R*Trees on the sky and in space. */
const openPlainSql = async (path: string, csv: string): Promise<SqliteDatabase> => {
  const database = await openSqlite(path, { busyTimeoutMs: 1_000, derived: true });
  database.exec(`
    CREATE TABLE stars (id INTEGER PRIMARY KEY, name TEXT, ra REAL, dec REAL, dist_pc REAL, mag_v REAL, bv REAL,
      spectral_type TEXT, sx REAL, sy REAL, sz REAL);
    CREATE VIRTUAL TABLE sky USING rtree(id, a0, b0, a1, b1, a2, b2);
    CREATE VIRTUAL TABLE space USING rtree(id, a0, b0, a1, b1, a2, b2);
  `);
  const star = database.prepare('INSERT INTO stars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const sky = database.prepare('INSERT INTO sky VALUES (?, ?, ?, ?, ?, ?, ?)');
  const space = database.prepare('INSERT INTO space VALUES (?, ?, ?, ?, ?, ?, ?)');
  database.exec('BEGIN');
  let id = -1;
  for await (const line of createInterface({ input: createReadStream(csv) })) {
    if (id++ < 0) continue;
    const [name, ra, dec, dist, mag, bv, type] = line.split(',');
    const [a, d, pc] = [Number(ra) * rad, Number(dec) * rad, Number(dist)];
    const [x, y, z] = [Math.cos(d) * Math.cos(a), Math.cos(d) * Math.sin(a), Math.sin(d)];
    star.run(id, name, Number(ra), Number(dec), pc, Number(mag), Number(bv), type, x, y, z);
    sky.run(id, x, x, y, y, z, z);
    space.run(id, x * pc, x * pc, y * pc, y * pc, z * pc, z * pc);
  }
  database.exec('COMMIT; CREATE INDEX by_name ON stars (name); CREATE INDEX by_mag ON stars (mag_v); ANALYZE;');
  return database;
};

const openSession = async (home: string): Promise<Session> => createSession(await openProfile(home));

const folder = await mkdtemp(join(tmpdir(), 'opera-bench-stars-'));
print('machine', `${cpus()[0]?.model ?? '?'} × ${cpus().length}, Node ${process.version}`);
const realCsv = join(folder, 'real.csv');
const realBytes = gunzipSync(readFileSync('fixtures/catalogues/d3celestial_xhip.csv.gz'));
await writeFile(realCsv, realBytes);
const real = realBytes.toString('utf8').trim().split('\n').slice(1);
const files = { large: join(folder, 'large.csv'), small: join(folder, 'small.csv') };
await writeSynthetic(files.large, real, large);
await writeSynthetic(files.small, real, small);
const mib = (path: string): string => `${(statSync(path).size / 2 ** 20).toFixed(1)} MiB`;
print(
  'catalogues',
  `${real.length} real stars (${mib(realCsv)}); ${small} and ${large} synthetic (${mib(files.large)})`,
);

const medians = new Map<string, Times>();
for (const mode of ['sealed', 'plain'] as const) {
  print('', `— a network of three nodes, three copies, index ${mode}`);
  const dir = join(folder, mode);
  const home = join(dir, 'client');
  run(home, ['up', '--dir', dir, '--index', mode, '--detach']);
  const put = (what: string, path: string, records: number): void => {
    const began = performance.now();
    run(home, ['put', path]);
    const seconds = (performance.now() - began) / 1_000;
    print(
      `put of ${what}, until it can be asked`,
      `${seconds.toFixed(1)} s, ${Math.round(records / seconds)} records/s`,
    );
  };
  put(`${real.length} real stars`, realCsv, real.length);
  put(`${small} synthetic`, files.small, small);
  put(`${large} synthetic`, files.large, large);
  const bytes = statSync(join(dir, 'node-1', 'index.db')).size;
  print('index, bytes a record', `${(bytes / (real.length + small + large)).toFixed(0)}`);
  const session = await openSession(home);
  for (const [size, name] of [
    [small, 'small.csv'],
    [large, 'large.csv'],
  ] as const) {
    for (const { what, at } of questions) {
      const times = await timesOf((turn) => queryStars(session, at(turn), { in: [name] }));
      medians.set(`${mode} ${size} ${what}`, times);
      const before = medians.get(`${mode} ${small} ${what}`);
      const ratio = size === large && before ? `, ${(times.p50 / before.p50).toFixed(1)} × that at ${small}` : '';
      print(`${what}, of ${size} synthetic`, `${show(times)}${ratio}`);
    }
  }
  for (const { what, at } of questions) {
    if (what !== 'name' && what !== 'cone 0.5°') continue;
    const times = await timesOf((turn) => queryStars(session, at(turn), { in: ['large.csv'] }), 150);
    print(`${what}, of ${large} synthetic, one in 150 ms`, show(times));
  }
  print(
    'cone 0.5°, of the real stars',
    show(await timesOf((turn) => queryStars(session, questions[0]?.at(turn) ?? {}, { in: ['real.csv'] }))),
  );
  print(
    'Vega, of the real stars',
    show(await timesOf(() => queryStars(session, { find: 'Vega' }, { in: ['real.csv'] }))),
  );
  await closeSession(session);
  run(home, ['down', '--dir', dir]);
}

print('', '— one process, SQLite with R*Trees and B-trees, the same rows');
const began = performance.now();
const database = await openPlainSql(join(folder, 'plain.db'), files.large);
print(`inserting ${large} synthetic`, `${Math.round(large / ((performance.now() - began) / 1_000))} rows/s`);
for (const { what, sql } of questions) {
  const times = await timesOf((turn) => database.prepare(sql(turn)).all());
  const medianOf = (mode: string): number => medians.get(`${mode} ${large} ${what}`)?.p50 ?? 0;
  const ratio = (mode: string): string => (medianOf(mode) / times.p50).toFixed(0);
  const [sealed, plain] = [medianOf('sealed'), medianOf('plain')];
  print(`${what}, of ${large} synthetic`, show(times));
  print('', `ours ${ratio('sealed')} × sealed, ${ratio('plain')} × plain; sealed/plain ${(sealed / plain).toFixed(2)}`);
}
database.close();
await rm(folder, { recursive: true, force: true });
