// Runs the tests that build.mjs listed in dist/test/entries.json: explicit files, because node:test on Node 20 knows no
// globs and exits 0 when it finds none. Fast tests first, then simulations, then end-to-end tests; a few files at a time.
// `npm test -- test/placement` runs the files whose path contains the word. Finding nothing is a failure, so is a file
// without tests, and under OPERA_TEST_REQUIRE_ALL=1 a skipped or unfinished test.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const requireAll = process.env.OPERA_TEST_REQUIRE_ALL === '1';

const fail = (text) => {
  process.stderr.write(`test: ${text}\n`);
  process.exit(1);
};

const words = process.argv.slice(2).map((word) => word.replace(/^\.\//, '').replace(/\.(ts|mjs)$/, ''));
const listed = JSON.parse(readFileSync(join(root, 'dist/test/entries.json'), 'utf8'));
if (listed.length === 0) fail('dist/test/entries.json lists no test: running nothing is an error');
const long = process.env.OPERA_TEST_LONG === '1';
/** Files that take long are named so; they run when asked for, by name or with OPERA_TEST_LONG=1. */
const isWanted = (entry) =>
  words.length === 0 ? long || !/-long\.test\./.test(entry) : words.some((word) => entry.includes(word));
const entries = listed.filter(isWanted);
if (entries.length === 0) fail(`no test file matches ${words.join(' ')}`);

const minuteMs = 60_000;

/** Path below the test build, such as `test/placement/plan.test.mjs`. */
const nameOf = (entry) => entry.replace(/^.*?dist\/test\//, '');

/**
 * In order. A phase has its own process, so that nothing of one disturbs the next. The times end a file that hangs: many
 * times what it takes on a slow machine that does other things, too.
 */
const phases = [
  // Some of these wait: three at a time keep two cores busy. In every phase the longest begin first.
  {
    title: 'unit',
    accept: (name) => !/^test\/(sim|e2e)\//.test(name),
    concurrency: 3,
    timeoutMs: 10 * minuteMs,
    first: ['check', 'sqlite', 'listener-load', 'sqlite-faults', 'inspect', 'indexer', 'query-nodes', 'listener'],
  },
  {
    title: 'simulation',
    accept: (name) => name.startsWith('test/sim/'),
    concurrency: 2,
    timeoutMs: 30 * minuteMs,
    first: ['everything', 'processes', 'messages', 'mutants', 'registry-loss', 'repair', 'hygiene'],
  },
  // These wait for networks more than they compute: four at a time.
  {
    title: 'end to end',
    accept: (name) => name.startsWith('test/e2e/'),
    concurrency: 4,
    timeoutMs: 30 * minuteMs,
    first: ['partition-long', 'disk-full-long', 'disk-and-line-long', 'faults', 'files', 'chaos', 'identity', 'stars'],
  },
];

/** In the order a phase wants them. */
const ordered = (files, { first = [] }) => {
  const rank = (file) => {
    const at = first.findIndex((word) => nameOf(file).includes(`/${word}.`));
    return at < 0 ? first.length : at;
  };
  return [...files].sort((a, b) => rank(a) - rank(b));
};

/** Temporary files of all tests lie in here, so that nothing stays of a file that was ended by its time limit. */
const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'opera-test-')));
const temporary = join(scratch, 'tmp');
mkdirSync(temporary);

/** Ends the processes of sandboxes that nobody closed, which a file that was ended leaves running. */
const endLeftovers = () => {
  const pids = process.platform === 'linux' ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : [];
  for (const pid of pids) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
      if (environment.includes(`OPERA_TEST_SANDBOX=${temporary}/`)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended, or is another user's.
    }
  }
};

const runPhase = ({ concurrency, timeoutMs }, files, countsFile) =>
  new Promise((done) => {
    const order = { files: files.map((file) => resolve(root, file)), concurrency, timeoutMs };
    const child = spawn(
      process.execPath,
      // Test files are run with the flags of the process that runs them.
      ['--enable-source-maps', `--test-timeout=${timeoutMs}`, join(root, 'test/phase.mjs'), JSON.stringify(order)],
      { cwd: root, stdio: 'inherit', env: { ...process.env, OPERA_TEST_COUNTS: countsFile, TMPDIR: temporary } },
    );
    child.on('error', (error) => fail(`node cannot be started: ${error.message}`));
    child.on('exit', (code, signal) => done(code ?? (signal === null ? 1 : 128)));
  });

const total = { files: 0, tests: 0, pass: 0, fail: 0, skipped: 0, todo: 0, empty: 0, durationMs: 0 };
let exitCode = 0;
for (const [index, phase] of phases.entries()) {
  const files = ordered(
    entries.filter((entry) => phase.accept(nameOf(entry))),
    phase,
  );
  if (files.length === 0) continue;
  process.stdout.write(`\n${phase.title}: ${files.length} ${files.length === 1 ? 'file' : 'files'}\n`);
  const countsFile = join(scratch, `${index}.json`);
  const code = await runPhase(phase, files, countsFile);
  endLeftovers();
  if (code !== 0) exitCode = code;
  try {
    const counts = JSON.parse(readFileSync(countsFile, 'utf8'));
    for (const key of Object.keys(total)) total[key] += counts[key] ?? 0;
  } catch {
    process.stdout.write(`${phase.title}: the run ended without its counts\n`);
    exitCode ||= 1;
  }
}
rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });

process.stdout.write(
  [
    '',
    `# tests ${total.tests}`,
    `# pass ${total.pass}`,
    `# fail ${total.fail}`,
    `# skipped ${total.skipped}`,
    `# todo ${total.todo}`,
    `# duration_ms ${Math.round(total.durationMs)}`,
    '',
  ].join('\n'),
);
if (total.fail > 0) exitCode ||= 1;
if (total.tests === 0) fail('no test ran');
if (total.empty > 0) fail(`${total.empty} files hold no test`);
if (requireAll && total.skipped + total.todo > 0) fail('tests were skipped, and OPERA_TEST_REQUIRE_ALL=1 forbids it');
process.exit(exitCode);
