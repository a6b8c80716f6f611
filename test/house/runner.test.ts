// The runner of the tests, run over made-up projects: what must be a failure is one.
// Without this, a broken list of tests would look like a project in which everything passes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';

const head = "import { test } from 'node:test';\n";
const passing = `${head}test('passes', () => {});\n`;
const failing = `${head}test('fails', () => { throw new Error('on purpose'); });\n`;
const skipping = `${head}test('is skipped', { skip: 'no tool' }, () => {});\n`;

interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

/** Runs the runner over files by path below test/; `list` stands for what the build listed. */
const runOver = (
  files: Readonly<Record<string, string>>,
  { words = [], env = {}, list = Object.keys(files) }: { words?: string[]; env?: object; list?: string[] } = {},
): Outcome => {
  const root = mkdtempSync(join(tmpdir(), 'opera-runner-'));
  try {
    mkdirSync(join(root, 'test'), { recursive: true });
    for (const file of ['run.mjs', 'phase.mjs', 'reporter.mjs']) copyFileSync(`test/${file}`, join(root, 'test', file));
    mkdirSync(join(root, 'dist/test/test/e2e'), { recursive: true });
    for (const [path, text] of Object.entries(files)) writeFileSync(join(root, 'dist/test/test', path), text);
    const entries = list.map((path) => `dist/test/test/${path}`);
    writeFileSync(join(root, 'dist/test/entries.json'), JSON.stringify(entries));
    // A test run inside a test run reports to the outer one unless it does not know of it.
    const { NODE_TEST_CONTEXT: _context, OPERA_TEST_REQUIRE_ALL: _all, ...outer } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['test/run.mjs', ...words], {
      cwd: root,
      env: { ...outer, ...env },
      encoding: 'utf8',
      timeout: 120_000,
    });
    return { status, output: stdout + stderr };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
};

test('passing tests of all phases end with 0 and are counted together', () => {
  const { status, output } = runOver({ 'a.test.mjs': passing, 'e2e/b.test.mjs': passing });
  assert.equal(status, 0, output);
  assert.match(output, /^# tests 2$/m);
  assert.match(output, /^# pass 2$/m);
  assert.ok(output.indexOf('unit: 1 file') < output.indexOf('end to end: 1 file'));
});

const leaving = `import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
${head}test('leaves a process behind', () => {
  const env = { ...process.env, OPERA_TEST_SANDBOX: tmpdir() + '/left' };
  const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore', env });
  child.unref();
  console.log('left ' + child.pid + ' in ' + tmpdir());
});
`;

test('no process and no temporary file outlives the run', { skip: process.platform !== 'linux' }, async () => {
  const { status, output } = runOver({ 'a.test.mjs': leaving });
  assert.equal(status, 0, output);
  const [, pid = '', folder = ''] = /left (\d+) in (\S+)/.exec(output) ?? [];
  assert.match(folder, /opera-test-/);
  assert.ok(!existsSync(folder), folder);
  // Where nothing runs as init nobody reaps it: then it stays as a zombie, without a command line.
  await eventually(() => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/cmdline`, 'utf8') === '');
});

test('a failing test fails the run, whatever the others do', () => {
  const { status, output } = runOver({ 'a.test.mjs': failing, 'e2e/b.test.mjs': passing });
  assert.notEqual(status, 0);
  assert.match(output, /FAIL .*a\.test\.mjs: fails/);
  assert.match(output, /on purpose/);
  assert.match(output, /^# fail 1$/m);
});

test('an empty list, a word that matches nothing and a missing file are failures', () => {
  assert.equal(runOver({}).status, 1);
  assert.equal(runOver({ 'a.test.mjs': passing }, { words: ['nowhere'] }).status, 1);
  assert.notEqual(runOver({}, { list: ['absent.test.mjs'] }).status, 0);
});

test('a file without tests is a failure', () => {
  const { status, output } = runOver({ 'a.test.mjs': passing, 'b.test.mjs': 'export {};\n' });
  assert.equal(status, 1);
  assert.match(output, /EMPTY .*b\.test\.mjs/);
});

test('a skipped test is a failure only when every test is required', () => {
  const files = { 'a.test.mjs': passing, 'b.test.mjs': skipping };
  const relaxed = runOver(files);
  assert.equal(relaxed.status, 0, relaxed.output);
  assert.match(relaxed.output, /SKIP .*is skipped \(no tool\)/);
  assert.equal(runOver(files, { env: { OPERA_TEST_REQUIRE_ALL: '1' } }).status, 1);
});

test('files of a phase begin in the order that the runner wants, not by their names', () => {
  const list = ['e2e/a.test.mjs', 'e2e/chaos.test.mjs'];
  const { output } = runOver(Object.fromEntries(list.map((path) => [path, passing])));
  assert.match(output, /ok .*chaos\.test\.mjs[\s\S]*ok .*a\.test\.mjs/);
});

test('a word chooses files by their path', () => {
  const { status, output } = runOver({ 'a.test.mjs': passing, 'b.test.mjs': failing }, { words: ['test/a'] });
  assert.equal(status, 0, output);
  assert.match(output, /^# tests 1$/m);
});
