// What the pure core of star systems takes, on the 118,216 real stars of fixtures/catalogues and on 1,086 nested
// systems. Figures are of processor time, so that a busy machine changes them little; the best of five runs is printed.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { codesOf } from '../src/index/codes.ts';
import { recogniseCatalogue } from '../src/index/catalogue.ts';
import { RecordCheck } from '../src/index/check.ts';
import { RecordCutter } from '../src/index/cut.ts';
import { matches } from '../src/index/matcher.ts';
import { normaliseName } from '../src/index/names.ts';
import { parseRecords } from '../src/index/parse-records.ts';
import { planQuery } from '../src/index/plan.ts';
import { bindQuery, parseQuery } from '../src/index/query.ts';
import { RecordReader } from '../src/index/record.ts';
import type { StarSystem } from '../src/index/star-system.ts';

const print = (what: string, value: string): void => {
  process.stdout.write(`${what.padEnd(44)} ${value}\n`);
};

/** Milliseconds of processor time of the best of five runs. */
const best = (run: () => void): number => {
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 5; turn++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
};

const rate = (what: string, count: number, unit: string, run: () => void): void => {
  const ms = best(run);
  print(
    what,
    `${Math.round((count / ms) * 1000).toLocaleString('en')} ${unit}/s, ${((ms * 1000) / count).toFixed(2)} µs each`,
  );
};

for (const file of ['d3celestial_xhip.csv.gz', 'oec_1086_systems.ndjson']) {
  const raw = readFileSync(`fixtures/catalogues/${file}`);
  const bytes = file.endsWith('.gz') ? gunzipSync(raw) : raw;
  const { note } = recogniseCatalogue(bytes, true);
  if (!note) throw new Error(`${file} is no catalogue`);
  const reader = new RecordReader(note.dialect, note.bindings);
  const records = [...parseRecords(bytes, note.dialect, true)];
  const count = records.length;
  const systems: StarSystem[] = records.flatMap((record) => {
    const read = reader.read(record);
    return 'system' in read ? [read.system] : [];
  });
  process.stdout.write(`\n${file}: ${count} records, ${(bytes.length / 1e6).toFixed(1)} MB\n`);
  rate('cut at record boundaries, pieces of 64 KiB', count, 'records', () => {
    const cutter = new RecordCutter(note.dialect);
    for (let at = 0; at < bytes.length; at += 65_536) cutter.push(bytes.subarray(at, at + 65_536));
    cutter.end();
  });
  rate('what a put judges: bytes to faults', count, 'records', () => {
    for (const _ of new RecordCheck(note).faultsOf(bytes));
  });
  rate('parse-records: bytes to fields', count, 'records', () => {
    for (const _ of parseRecords(bytes, note.dialect, true));
  });
  rate('record: fields to a star system', count, 'records', () => {
    for (const record of records) reader.read(record);
  });
  rate('codes of a star system', count, 'records', () => {
    for (const system of systems) codesOf(system);
  });
  const codes = systems.reduce((sum, system) => sum + codesOf(system).length, 0);
  print('codes of a record', (codes / count).toFixed(1));
  const where = parseQuery({ where: 'mag < 6 and class = G and cone(83, 0, 10deg)' }).where;
  rate('exact test of three conditions', count, 'records', () => {
    for (const system of systems) matches(where, system);
  });
  const names = systems.flatMap((system) => system.names);
  rate('one spelling of a name', names.length, 'names', () => {
    for (const name of names) normaliseName(name);
  });
}

process.stdout.write('\nplans\n');
const texts = [
  'hip = 32349',
  'mag < 6 and class = G and dist < 10pc',
  'cone(101.287, -16.716, 0.05deg)',
  'cone(101.287, -16.716, 0.5deg)',
  'cone(101.287, -16.716, 2deg)',
  'cone(101.287, -16.716, 10deg)',
  'near(Sol, 10ly)',
  'near(Sol, 100pc)',
];
for (const where of texts) {
  const ms = best(() => {
    for (let turn = 0; turn < 100; turn++) planQuery(bindQuery(parseQuery({ where }), () => undefined));
  });
  const { access } = planQuery(bindQuery(parseQuery({ where }), () => undefined));
  print(
    where,
    `${(ms * 10).toFixed(0)} µs, ${access.kind === 'codes' ? `${access.ranges.length} ranges` : access.kind}`,
  );
}
