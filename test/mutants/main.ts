// `npm run mutants [-- WORDS]`: breaks the guards of the table one by one, in a copy of the project, and runs the test
// that must notice. First the sound copy has to pass the same tests. Exits 1 when a mutant survives. Words choose by
// the name of the fault or by the story.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mutant } from './mutant.ts';
import { faultTable } from './fault-table.ts';

/** A file that hangs ends then; tests that wait for what the mutant took away give up long before, and have failed. */
const testTimeoutMs = 5 * 60_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const wanted = process.argv.slice(2);
const chosen = Object.entries(faultTable).flatMap(([name, { mutants }]) =>
  mutants
    .filter(({ story }) => wanted.length === 0 || wanted.some((word) => name === word || story.includes(word)))
    .map((mutant: Mutant) => ({ name, mutant })),
);
if (chosen.length === 0) {
  say(`mutants: nothing is called ${wanted.join(' ')}; there are ${Object.keys(faultTable).join(', ')}`);
  process.exit(1);
}

const files = new Set<string>(chosen.map(({ mutant }) => mutant.test));
const folder = mkdtempSync(join(tmpdir(), 'opera-mutants-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const name of ['src', 'test', 'build.mjs', 'package.json', 'package-lock.json']) {
  // Tests that nobody asks for need not be built again and again.
  const filter = (path: string): boolean => !path.endsWith('.test.ts') || files.has(path);
  cpSync(name, join(folder, name), { recursive: true, filter });
}
for (const name of ['node_modules', 'fixtures', 'docs']) symlinkSync(join(process.cwd(), name), join(folder, name));

// A test run inside a test run would report to the outer one.
const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
const run = (args: readonly string[], timeout: number) =>
  spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8', timeout, maxBuffer: 1 << 28 });

const build = (): void => {
  const { status, stderr } = run(['build.mjs', '--ensure', '--tests'], 300_000);
  if (status !== 0) throw new Error(`the copy cannot be built: ${stderr}`);
};

type Verdict = 'passed' | 'failed' | 'skipped' | 'absent';

/** What became of the tests whose title holds these words: failed when one of them did. */
const verdictOf = ({ test, title }: Pick<Mutant, 'test' | 'title'>): Verdict => {
  const file = join('dist/test', test.replace(/\.ts$/, '.mjs'));
  const pattern = title.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  const args = ['--enable-source-maps', '--test-reporter=tap', `--test-timeout=${testTimeoutMs}`];
  const { stdout } = run([...args, `--test-name-pattern=/${pattern}/`, '--test', file], 2 * testTimeoutMs);
  // A suite bears the name of its file; what does not match is left out or marked as such.
  const lines = stdout.split('\n').filter((line) => /^\s*(?:not )?ok \d+ - /.test(line) && line.includes(title));
  const ran = lines.filter((line) => !/# SKIP/i.test(line));
  if (ran.some((line) => /^\s*not ok/.test(line))) return 'failed';
  if (ran.length > 0) return 'passed';
  return lines.length > 0 ? 'skipped' : 'absent';
};

const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`;

build();
const keyOf = ({ test, title }: Mutant): string => `${test}: ${title}`;
const sound = new Map<string, Verdict>();
for (const { mutant } of chosen) {
  if (!sound.has(keyOf(mutant))) sound.set(keyOf(mutant), verdictOf(mutant));
}

let wrong = 0;
let skipped = 0;

/** What became of one mutant, in a word. */
const play = (mutant: Mutant): 'noticed' | 'SURVIVED' | 'SKIPPED' | 'WRONG' => {
  const before = sound.get(keyOf(mutant));
  if (before === 'skipped' && env['OPERA_TEST_REQUIRE_ALL'] !== '1') return 'SKIPPED';
  const path = join(folder, mutant.file);
  const text = readFileSync(path, 'utf8');
  const broken = text.split(mutant.from).join(mutant.to);
  if (before !== 'passed' || broken === text) return 'WRONG';
  writeFileSync(path, broken);
  build();
  const after = verdictOf(mutant);
  writeFileSync(path, text);
  if (after !== 'failed') say(`  ${keyOf(mutant)} ${after} with the mutant`);
  return after === 'failed' ? 'noticed' : 'SURVIVED';
};

for (const { name, mutant } of chosen) {
  const beganMs = performance.now();
  const outcome = play(mutant);
  const hint = outcome === 'noticed' ? seconds(beganMs) : `${keyOf(mutant)}: ${sound.get(keyOf(mutant))} before`;
  say(`${outcome.padEnd(8)} ${name}: ${mutant.story} (${hint})`);
  if (outcome === 'SKIPPED') skipped++;
  else if (outcome !== 'noticed') wrong++;
}
say(
  `${chosen.length - wrong - skipped} of ${chosen.length} mutants were noticed${skipped ? `, ${skipped} skipped` : ''}`,
);
if (wrong > 0) process.exitCode = 1;
