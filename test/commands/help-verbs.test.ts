// The verbs that explain the program: version, explain, config view, completion; and the declarations of all verbs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isGroup, verbTable } from '../../src/commands/_verbs.ts';
import { spellings } from '../../src/commands/_parse.ts';
import { flagsOfVerb, globalFlags } from '../../src/commands/_flags.ts';
import type { Verb } from '../../src/commands/_verb.ts';
import { errorTable } from '../../src/errors/errors.ts';
import { run } from './_host.ts';

const everyVerb = async (): Promise<readonly (readonly [path: string, verb: Verb])[]> => {
  const found: [string, Verb][] = [];
  for (const [name, entry] of Object.entries(verbTable)) {
    const inner = isGroup(entry) ? Object.entries(entry.verbs) : ([['', entry]] as const);
    for (const [sub, { load }] of inner) found.push([`${name} ${sub}`.trim(), await load()]);
  }
  return found;
};

test('every verb has an example that begins with its name, and no two flags share a spelling', async () => {
  for (const [path, verb] of await everyVerb()) {
    assert.ok(
      verb.examples.some((example) => example.includes(`opera ${path}`)),
      path,
    );
    const flags = flagsOfVerb(verb.flags, verb.handlesSignals);
    const letters = Object.values(flags).flatMap(({ short }) => short ?? []);
    assert.equal(new Set(letters).size, letters.length, path);
    const names = [...spellings(flags).keys()];
    assert.equal(new Set(names).size, names.length, path);
    // The words before a verb are found with the global flags alone, so a verb must not change their shape.
    for (const [key, spec] of Object.entries(verb.flags)) {
      const outer = Object.entries(globalFlags).find(([name]) => name === key)?.[1];
      if (outer) assert.equal(spec.type === 'boolean', outer.type === 'boolean', `${path} --${key}`);
    }
    const variadic = verb.arguments.findIndex((argument) => argument.variadic);
    assert.ok(variadic < 0 || variadic === verb.arguments.length - 1, `${path}: only the last argument takes many`);
  }
});

test('what every object inherits is no verb', async () => {
  for (const name of ['toString', 'constructor', '__proto__', 'hasOwnProperty']) {
    for (const args of [[name], ['config', name], ['help', name]])
      assert.equal((await run(args)).exit, 2, args.join(' '));
  }
});

test('help of every verb and topic fits 80 columns and shows examples before flags', async () => {
  for (const [path] of await everyVerb()) {
    const { stdout, exit } = await run(['help', ...path.split(' ')]);
    assert.equal(exit, 0, path);
    assert.ok(stdout.indexOf('Examples:') < stdout.indexOf('Usage:'), path);
    for (const line of stdout.split('\n')) assert.ok([...line].length <= 80, line);
  }
  for (const topic of ['exit-codes', 'environment', 'output', 'names', 'queries', 'units']) {
    for (const line of (await run(['help', topic])).stdout.split('\n')) assert.ok(line.length <= 80, line);
  }
});

test('version is one line, one document under --json, the number alone with -q', async () => {
  assert.match((await run(['--version'])).stdout, /^opera \S+\n$/);
  assert.match((await run(['version'])).stdout, /^opera \S+\nformats 1, Node /);
  for (const args of [
    ['version', '--json'],
    ['--json', '--version'],
  ]) {
    assert.equal(JSON.parse((await run(args)).stdout).v, 1);
  }
  assert.match((await run(['version', '-q'])).stdout, /^\S+\n$/);
});

test('explain knows every code and says what to do', async () => {
  for (const code of Object.keys(errorTable)) {
    const { stdout, exit } = await run(['explain', code]);
    assert.equal(exit, 0, code);
    assert.match(stdout, /Next: .{8,}/, code);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
  }
  const all = await run(['explain']);
  assert.equal(all.stdout.trimEnd().split('\n').length, Object.keys(errorTable).length);
  const { exit, stderr } = await run(['explain', 'write-qorum']);
  assert.equal(exit, 3);
  assert.match(stderr, /no error code "write-qorum"; the nearest is write-quorum/);
});

test('config view prints each value with its origin and no secret in any format', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'opera-view-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'url');
  writeFileSync(file, 'redis://u:hunter2/slash@h:6379');
  chmodSync(file, 0o600);
  const env = { OPERA_REGISTRY_FILE: file, OPERA_ZONE: 'attic' };
  for (const args of [[], ['--json'], ['-q'], ['--header']]) {
    const { stdout, stderr, exit } = await run(['config', 'view', ...args], { env });
    assert.equal(exit, 0, stderr);
    assert.ok(!stdout.includes('hunter2') && !stdout.includes('slash'));
  }
  const { stdout } = await run(['config', 'view', '--home', '/x'], { env });
  assert.match(stdout, /^home\t\/x\tflag --home\t/m);
  assert.match(stdout, /^zone\tattic\tOPERA_ZONE\t/m);
  assert.match(stdout, /^registry\tredis:\/\/u:\*\*\*@h:6379\tOPERA_REGISTRY_FILE \(/m);
  assert.match(stdout, /^listen\t\tdefault\t/m);
});

const complete = (script: string, words: readonly string[]): readonly string[] => {
  const line = words.map((word) => `'${word}'`).join(' ');
  const ask = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _opera; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, status, stderr } = spawnSync('bash', ['--norc', '-c', `${script}\n${ask}`], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').filter((word) => word !== '');
};

test('the bash completion completes verbs, sub-verbs, flags and fixed values', async () => {
  const { stdout: script, exit } = await run(['completion', 'bash']);
  assert.equal(exit, 0);
  assert.deepEqual(complete(script, ['opera', 'expl']), ['explain']);
  assert.deepEqual(complete(script, ['opera', 'config', 'v']), ['view']);
  assert.deepEqual(complete(script, ['opera', '--home', '/x', 'completion', 'z']), ['zsh']);
  assert.deepEqual(complete(script, ['opera', 'config', 'view', '--hea']), ['--header']);
  assert.deepEqual(complete(script, ['opera', 'version', '--no-c']), ['--no-color']);
  assert.deepEqual(complete(script, ['opera', 'explain', 'a']), []);
});

test('the other completions know every verb, and an unknown shell is exit 2', async () => {
  for (const shell of ['zsh', 'fish']) {
    const { stdout } = await run(['completion', shell]);
    for (const name of Object.keys(verbTable)) assert.ok(stdout.includes(name), `${shell}: ${name}`);
  }
  const { exit, stderr } = await run(['completion', 'bsh']);
  assert.equal(exit, 2);
  assert.match(stderr, /unknown shell "bsh"; it is one of bash, zsh, fish; the nearest is bash/);
});
