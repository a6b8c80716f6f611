// The built executable as a process: what only a real process shows (pipes, its title, start time, exit codes).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';

const executable = process.env.OPERA_TEST_EXECUTABLE ?? resolve('dist/opera.cjs');
assert.ok(existsSync(executable), `${executable} is not built: node build.mjs`);

const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent' };
const opera = (...args: readonly string[]) =>
  spawnSync(process.execPath, [executable, ...args], { encoding: 'utf8', env, timeout: 120_000 });

test('a transcript: version, unknown verb, unknown flag, help', () => {
  const version = opera('--version');
  assert.deepEqual([version.status, version.stderr], [0, '']);
  assert.match(version.stdout, /^opera \d+\.\d+\.\d+\n$/);
  const unknown = opera('toString');
  assert.deepEqual([unknown.status, unknown.stdout], [2, '']);
  assert.equal(
    unknown.stderr,
    'opera: unknown verb "toString"\nusage: opera VERB [FLAGS] [ARGUMENTS]; all verbs: opera help\n',
  );
  const flag = opera('version', '--jsn');
  assert.deepEqual([flag.status, flag.stdout], [2, '']);
  assert.equal(flag.stderr, 'opera: unknown flag --jsn; the nearest is --json\nusage: opera version [FLAGS]\n');
  const help = opera();
  assert.deepEqual([help.status, help.stderr], [0, '']);
  assert.match(help.stdout, /^opera: /);
});

test('a folder as standard input is refused, and not read as an empty file', () => {
  const folder = openSync(tmpdir(), 'r');
  const { status, stderr } = spawnSync(process.execPath, [executable, 'join', '-'], {
    encoding: 'utf8',
    env,
    stdio: [folder, 'pipe', 'pipe'],
  });
  closeSync(folder);
  assert.deepEqual([status, stderr.startsWith('opera: standard input is a folder')], [2, true], stderr);
});

test('a reader that closes the pipe ends it quietly with exit 0', async () => {
  const child = spawn(process.execPath, [executable, 'explain'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  const status = await new Promise((done) => child.once('close', done));
  assert.deepEqual([status, stderr], [0, '']);
});

test('the command line of the process loses the join code', { skip: process.platform !== 'linux' }, async () => {
  // Help of a verb ends at once, so the title is read from inside: a preloaded module prints it at the exit.
  const code = 'opera1.abcdefgh.ijklmnop.qrstuvwx@127.0.0.1:7000';
  const print = 'process.on("exit",()=>console.log(require("fs").readFileSync("/proc/self/cmdline","utf8")))';
  const script = `import{createRequire}from"module";const require=createRequire("/");${print}`;
  const preload = `data:text/javascript,${encodeURIComponent(script)}`;
  const child = spawnSync(process.execPath, ['--import', preload, executable, 'version', '--join', code], {
    encoding: 'utf8',
    env,
  });
  assert.match(child.stdout, /^opera version --join opera1\.\*\*\*@127\.0\.0\.1:7000/);
  assert.ok(!child.stdout.includes('qrstuvwx'));
  assert.ok(!child.stderr.includes('qrstuvwx'));
  assert.equal(child.status, 2);
});

test('the version needs no package beside the executable and none of the slow modules', () => {
  const text = readFileSync(executable, 'utf8');
  assert.ok(text.startsWith('#!/usr/bin/env node'));
  const { stdout } = spawnSync(
    process.execPath,
    [
      '-e',
      `process.argv=['node','opera','--version'];require(${JSON.stringify(executable)});` +
        'setImmediate(()=>setImmediate(()=>console.log(Object.keys(require.cache).length)))',
    ],
    { encoding: 'utf8', env },
  );
  assert.match(stdout, /opera \d.*\n1\n$/s);
});

describe('the code cache beside the bundle', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'opera-launch-'));
    const built = dirname(executable);
    const names = readdirSync(built).filter((name) => /^opera\.(cjs|bundle\.cjs|[0-9a-f]{16}\.cache)$/.test(name));
    for (const name of names) copyFileSync(join(built, name), join(folder, name));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const cacheFile = (): string => {
    const found = readdirSync(folder).filter((name) => name.endsWith('.cache'));
    assert.equal(found.length, 1, `one code cache: ${found.join(', ')}`);
    return join(folder, found[0] ?? '');
  };
  const version = (variables = {}) => {
    const copy = join(folder, 'opera.cjs');
    const child = spawnSync(process.execPath, [copy, '--version'], { encoding: 'utf8', env: { ...env, ...variables } });
    assert.deepEqual([child.status, child.stderr], [0, '']);
    assert.match(child.stdout, /^opera \d/);
  };

  test('is accepted by the Node that built it', () => {
    const copy = join(folder, 'opera.cjs');
    const print =
      'const {Script}=require("vm");process.on("exit",()=>console.log(JSON.stringify(seen)));const seen=[];';
    const push = 'constructor(...a){super(...a);seen.push(this.cachedDataRejected)}';
    const spy = `require("vm").Script=class extends Script{${push}}`;
    const script = `${print}${spy};process.argv=["node","opera","--version"];require(${JSON.stringify(copy)})`;
    const child = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
    assert.match(child.stdout, /\n\[false\]\n$/);
  });

  test('may be damaged, empty or absent: the program runs without it', () => {
    const path = cacheFile();
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length / 2));
    version();
    writeFileSync(path, '');
    version();
    rmSync(path);
    version();
    version({ OPERA_DEBUG: '1' });
  });
});
