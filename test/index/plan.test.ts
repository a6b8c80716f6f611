// The index equals the full scan: for random questions over random records and for real ones, every match has a code
// that the plan asks for. Plans with a hole must be found out by the same check.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Code, type CodeRange, codesOf, fieldOf } from '../../src/index/codes.ts';
import { recogniseColumns } from '../../src/index/columns.ts';
import { detectDialect } from '../../src/index/detect-dialect.ts';
import type { Expression, KnownPlace } from '../../src/index/expression.ts';
import { evaluate, matches } from '../../src/index/matcher.ts';
import { normaliseName } from '../../src/index/names.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import { type Access, nearestSteps, type Plan, planQuery, pushNot } from '../../src/index/plan.ts';
import { bindQuery, parseQuery, type Query, type QueryText } from '../../src/index/query.ts';
import { RecordReader } from '../../src/index/record.ts';
import type { StarSystem } from '../../src/index/star-system.ts';
import { Gathering } from '../../src/index/aggregate.ts';
import { crowd, leaf, question } from './_systems.ts';

const queryOf = (where: Expression): Query => ({
  where,
  centre: undefined,
  sort: [],
  limit: 10,
  columns: [],
  output: { kind: 'rows' },
});

interface Indexed {
  readonly system: StarSystem;
  readonly codes: readonly Code[];
}

const index = (systems: readonly StarSystem[]): Indexed[] =>
  systems.map((system) => ({ system, codes: codesOf(system) }));

const hits = (codes: readonly Code[], ranges: readonly CodeRange[]): boolean =>
  codes.some((code) => ranges.some(({ from, to }) => code >= from && code <= to));

const candidates = (access: Access, records: readonly Indexed[]): readonly Indexed[] => {
  if (access.kind === 'scan') return records;
  if (access.kind === 'nothing') return [];
  return records.filter(({ codes }) => hits(codes, access.ranges));
};

const answer = (plan: Plan, records: readonly Indexed[]): StarSystem[] =>
  candidates(plan.access, records)
    .filter(({ system }) => matches(plan.test, system))
    .map(({ system }) => system);

const records = index(crowd);
const tally = { codes: 0, scan: 0, nothing: 0, matches: 0 };

const equalsScan = (expressions: fc.Arbitrary<Expression>, change: (plan: Plan) => Plan = (plan) => plan) =>
  fc.property(expressions, (where) => {
    const truth = crowd.filter((system) => matches(where, system));
    const plan = change(planQuery(queryOf(where)));
    tally[plan.access.kind] += 1;
    tally.matches += truth.length;
    // Candidates are looked at only among the matches: a hole shows there, and the rest costs time.
    const asked = plan.access.kind === 'codes' ? plan.access.ranges : [];
    for (const { system, codes } of records) {
      if (plan.access.kind === 'scan' || !matches(where, system)) continue;
      assert.ok(hits(codes, asked), plan.explain.join('\n'));
    }
  });

test('for any single condition every match has a code that the plan asks for', () => {
  fc.assert(equalsScan(leaf), { numRuns: 700 });
});

test('for any question every match has a code that the plan asks for', () => {
  fc.assert(equalsScan(question), { numRuns: 700 });
  // The check is no check when plans are scans or nothing matches.
  assert.ok(tally.codes > 250 && tally.nothing > 0 && tally.matches > 10_000, JSON.stringify(tally));
});

test('a plan that forgets one range is found out', () => {
  const forgetful = (plan: Plan): Plan =>
    plan.access.kind === 'codes' && plan.access.ranges.length > 1
      ? { ...plan, access: { ...plan.access, ranges: plan.access.ranges.slice(1) } }
      : plan;
  assert.equal(fc.check(equalsScan(question, forgetful), { numRuns: 2000, seed: 1 }).failed, true);
});

test('a plan that takes a negated condition for the condition is found out', () => {
  const careless = fc.property(leaf, (part) => {
    const plan = planQuery(queryOf(part));
    const truth = records.filter(({ system }) => matches({ kind: 'not', part }, system));
    assert.deepEqual(candidates(plan.access, truth).length, truth.length);
  });
  assert.equal(fc.check(careless, { numRuns: 500, seed: 1 }).failed, true);
});

test('pushing "not" down changes no answer, for absent values either', () => {
  fc.assert(
    fc.property(question, fc.integer({ min: 0, max: crowd.length - 1 }), (where, at) => {
      const system = crowd[at];
      assert.ok(system);
      assert.equal(
        evaluate(pushNot({ kind: 'not', part: where }), system),
        evaluate({ kind: 'not', part: where }, system),
      );
    }),
    { numRuns: 1500 },
  );
});

const planOf = (text: QueryText): Plan => planQuery(bindQuery(parseQuery(text), () => undefined));
const fieldsAsked = ({ access }: Plan): number[] =>
  access.kind === 'codes' ? [...new Set(access.ranges.map(({ from }) => fieldOf(from)))] : [];

test('the most selective condition is asked for', () => {
  assert.deepEqual(fieldsAsked(planOf({ where: 'mag < 6 and hip = 32349 and class = G' })), [2]);
  assert.deepEqual(fieldsAsked(planOf({ where: 'class = G and cone(10, 20, 1deg)' })), [100]);
  assert.deepEqual(fieldsAsked(planOf({ where: 'near(Sol, 10ly) and mag < 6' })), [101]);
  assert.deepEqual(fieldsAsked(planOf({ where: 'hip = 1 or name = Sirius' })), [1, 2]);
});

test('counts of a node beat the guesses', () => {
  const query = parseQuery({ where: 'hip = 32349 and class = D' });
  const plan = planQuery(query, (ranges) => (ranges.some(({ from }) => fieldOf(from) === 61) ? 1e-9 : undefined));
  assert.deepEqual(fieldsAsked(plan), [61]);
});

test('two ends of one field are one interval, ranges of both coordinates are a box', () => {
  const plan = planOf({ where: 'mag >= 4 and mag < 4.2' });
  assert.equal(plan.access.kind === 'codes' && plan.access.ranges.length, 1);
  assert.deepEqual(fieldsAsked(planOf({ where: 'ra between 10 and 11 and dec between 5 and 6' })), [100]);
});

test('what cannot match asks no node, what has no index is a scan, and both are said', () => {
  assert.equal(planOf({ where: 'mag < 3 and mag > 5' }).access.kind, 'nothing');
  assert.equal(planOf({ where: 'dec > 5 and dec < 4' }).access.kind, 'nothing');
  for (const where of [
    'mag != 3',
    'mag is known',
    'not class = G',
    'hip = 1 or mag is unknown',
    'cone(0, 0, 150deg)',
    'name = Kep*',
  ]) {
    const plan = planOf({ where });
    assert.equal(plan.access.kind, 'scan', where);
    assert.ok(plan.explain.includes('every record is read and tested'));
  }
  assert.match(
    planOf({ where: 'class = G and mag < 9', limit: 5, sort: 'mag' }).explain.join('\n'),
    /class = 'G'.*\n.*mag_v.*\n.*codes of class.*\n.*first 5 rows by mag_v/s,
  );
  assert.match(planOf({ where: 'class = G', count: true }).explain.join('\n'), /sends its count/);
});

const oec = (() => {
  const bytes = readFileSync('fixtures/catalogues/oec_1086_systems.ndjson');
  const found = detectDialect(bytes, true);
  assert.ok('dialect' in found);
  const reader = new RecordReader(found.dialect, recogniseColumns(found.dialect).bindings);
  return [...parseRecords(bytes, found.dialect, true)].flatMap((raw) => {
    const read = reader.read(raw);
    return 'system' in read ? [read.system] : [];
  });
})();

const lookUp = (name: string): KnownPlace | undefined => {
  const found = oec.find(({ nameKeys }) => nameKeys.includes(normaliseName(name)));
  if (!found) return undefined;
  const { ra, dec, x_pc: x, y_pc: y, z_pc: z } = found.values;
  return {
    sky: typeof ra === 'number' && typeof dec === 'number' ? { kind: 'sky', ra, dec } : undefined,
    space:
      typeof x === 'number' && typeof y === 'number' && typeof z === 'number' ? { kind: 'space', x, y, z } : undefined,
  };
};

/** The counts were worked out apart from this code, by a script over the file's JSON. */
const real: readonly (readonly [QueryText, number])[] = [
  [{ where: 'mag < 6 and class = G and dist < 20pc' }, 15],
  [{ near: 'Sol, 15 ly' }, 4],
  [{ near: '55 Cancri,20ly' }, 3],
  [{ cone: 'Gliese 581,10deg' }, 2],
  [{ find: 'HIP 27803' }, 2],
  [{ find: 'α Centauri' }, 1],
  [{ where: 'has planets and hz_candidate' }, 48],
  [{ where: 'n_planets >= 5 and not class in (G, K)' }, 2],
  [{ where: "spectral_type = 'K0*'" }, 72],
  [{ where: 'teff between 5700 and 5800 and mag is known' }, 56],
];

test('on the Open Exoplanet Catalogue the index gives what the full scan gives', () => {
  const catalogue = index(oec);
  for (const [text, count] of real) {
    const query = bindQuery(parseQuery(text), ({ name }) => lookUp(name));
    const found = answer(planQuery(query), catalogue);
    assert.deepEqual(
      found,
      oec.filter((system) => matches(query.where, system)),
      JSON.stringify(text),
    );
    assert.equal(found.length, count, JSON.stringify(text));
  }
});

test('the nearest rows are found by growing spheres, and are the nearest', () => {
  const catalogue = index(oec);
  for (const [near, limit] of [
    ['Sol', 5],
    ['Gliese 581', 7],
    ['11 Com', 30],
    ['Sol', 900],
  ] as const) {
    const query = bindQuery(parseQuery({ near, limit, where: 'n_planets > 0' }), ({ name }) => lookUp(name));
    const gather = (systems: readonly StarSystem[], asked: Query): (number | null)[] => {
      const gathering = new Gathering(asked);
      systems.forEach((system, ordinal) => gathering.add({ version: 'v', chunk: 0, ordinal }, system));
      return gathering.answer().rows.map((row) => row.separation);
    };
    const truth = gather(
      oec.filter((system) => matches(query.where, system)),
      query,
    );
    let found: (number | null)[] = [];
    for (const step of nearestSteps(query)) {
      found = gather(answer(planQuery(step.query), catalogue), step.query);
      if (found.length >= limit) break;
    }
    assert.deepEqual(found, truth, near);
    assert.equal(nearestSteps(query).length, 5);
  }
  assert.equal(nearestSteps(parseQuery({ near: 'Sol,10ly', limit: 3 })).length, 1);
  assert.equal(nearestSteps(parseQuery({ near: 'Sol', count: true })).length, 1);
});
