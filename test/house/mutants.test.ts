// The table of faults rots silently: every guard that a mutant breaks stands in the sources once, every test that is
// to notice exists. That they do notice is shown by `npm run mutants`, which takes minutes.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Fault } from '../mutants/mutant.ts';
import { faultTable } from '../mutants/fault-table.ts';

const faults: readonly (readonly [string, Fault])[] = Object.entries(faultTable);
const timesIn = (path: string, part: string): number => readFileSync(path, 'utf8').split(part).length - 1;

/** The other test files that a test file imports, where suites stand that several files run. */
const importsOf = (path: string): readonly string[] =>
  [...readFileSync(path, 'utf8').matchAll(/ from '(\.[^']+)'/g)]
    .map((match) => join(dirname(path), match[1] ?? ''))
    .filter((next) => next.startsWith('test/') && next.endsWith('.ts'));

/** A test file and what it runs of others. */
const suiteOf = (path: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const next of importsOf(path)) suiteOf(next, seen);
  return seen;
};

const declares = (path: string, title: string): boolean =>
  existsSync(path) && (timesIn(path, title) > 0 || [...suiteOf(path)].some((file) => timesIn(file, title) > 0));

test('every mutant breaks a guard that stands exactly once in the sources', () => {
  const wrong = faults.flatMap(([name, { mutants }]) =>
    mutants
      .filter(({ file, from, to }) => timesIn(file, from) !== 1 || from === to)
      .map(({ story, file, from }) => `${name}: ${story}: ${timesIn(file, from)} times in ${file}`),
  );
  assert.deepEqual(wrong, []);
});

test('every fault has a mutant, and every test that the table names exists', () => {
  const missing = faults.flatMap(([name, { mutants, tests = [] }]) =>
    [...mutants, ...tests]
      .filter(({ test: path, title }) => !declares(path, title))
      .map(({ test: path, title }) => `${name}: ${path}: ${title}`),
  );
  assert.deepEqual(missing, []);
  assert.deepEqual(faults.filter(([, { mutants }]) => mutants.length === 0).flat(), []);
});
