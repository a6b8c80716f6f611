// The verbs of members on the command line: what they refuse before they act, and founding a network for real.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseRecoveryKit } from '../../src/crypto/recovery-kit.ts';
import { openSqlite } from '../../src/runtime/sqlite.ts';
import { run } from './_host.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-members-'));
});
after(() => rm(folder, { recursive: true }));

test('init founds a network with a kit that fits it, and is refused a second time', async () => {
  const home = join(folder, 'net');
  const kit = join(folder, 'kit.txt');
  const made = await run(['init', '--home', home, '--recovery-out', kit, '--listen', '127.0.0.1:0', '--json']);
  assert.equal(made.exit, 0, made.stderr);
  const facts = JSON.parse(made.stdout) as Record<string, string>;
  const parsed = parseRecoveryKit(await readFile(kit, 'utf8'));
  assert.equal(parsed.network, facts.network);
  assert.equal((await stat(kit)).mode & 0o777, 0o600);
  const who = JSON.parse((await run(['whoami', '--home', home, '--json'])).stdout) as Record<string, unknown>;
  assert.deepEqual([who.memberId, who.role, who.state], [facts.operator, 'operator', 'valid']);
  assert.equal((await run(['whoami', '--home', home, '-q'])).stdout.trim(), facts.operator);
  const ports = await readFile(join(home, 'gateway', 'role.json'), 'utf8');
  const again = await run(['init', '--home', home, '--recovery-out', join(folder, 'other.txt')]);
  assert.equal(again.exit, 10);
  assert.equal(await readFile(join(home, 'gateway', 'role.json'), 'utf8'), ports);
  await assert.rejects(stat(join(folder, 'other.txt')));
  for (const [file, exit] of [
    ['roster', 7],
    ['keys.json', 2],
    ['profile.json', 2],
  ] as const) {
    const path = join(home, file);
    const whole = await readFile(path);
    await writeFile(path, 'garbage');
    const damaged = await run(['whoami', '--home', home]);
    assert.equal(damaged.exit, exit, damaged.stderr);
    assert.ok(damaged.stderr.includes(path), damaged.stderr);
    await writeFile(path, whole);
  }
  await rm(join(home, 'roster'));
  const without = await run(['whoami', '--home', home]);
  assert.equal(without.exit, 2);
  assert.match(without.stderr, /roster is missing/);
  const help = await run(['init', '--help']);
  assert.match(help.stdout.replace(/\s+/g, ' '), /file names are plain/);
});

test('a gateway whose registry is of a newer program ends with the reason', async () => {
  const home = join(folder, 'newer');
  const kit = ['--recovery-out', join(folder, 'newer.txt'), '--listen', '127.0.0.1:0'];
  assert.equal((await run(['init', '--home', home, ...kit])).exit, 0);
  const database = await openSqlite(join(home, 'registry.db'), { busyTimeoutMs: 1_000 });
  database.pragma('user_version = 99');
  database.close();
  const { exit, stderr } = await run(['gateway', '--home', join(home, 'gateway')]);
  assert.deepEqual([exit, /format 99/.test(stderr)], [2, true], stderr);
});

test('a kit inside the home, over a file or in no folder is refused, and no network is made', async () => {
  const home = join(folder, 'unmade');
  const taken = join(folder, 'taken.txt');
  await rm(taken, { force: true });
  const inside = await run(['init', '--home', folder, '--recovery-out', join(folder, 'kit-inside.txt')]);
  assert.equal(inside.exit, 2);
  const missing = await run(['init', '--home', home, '--recovery-out', join(folder, 'none', 'kit.txt')]);
  assert.equal(missing.exit, 2);
  await writeFile(taken, 'mine');
  const over = await run(['init', '--home', home, '--recovery-out', taken, '--listen', '127.0.0.1:0']);
  assert.equal(over.exit, 10);
  assert.equal(await readFile(taken, 'utf8'), 'mine');
  await assert.rejects(stat(join(home, 'profile.json')));
});

test('join wants one well-formed code, and never shows any part of it', async () => {
  const home = join(folder, 'client');
  assert.equal((await run(['join', '--home', home])).exit, 2);
  const secret = `opera1.${'a'.repeat(26)}.${'b'.repeat(52)}.${'c'.repeat(51)}@127.0.0.1:1`;
  const refused = await run(['join', secret, '--home', home]);
  assert.equal(refused.exit, 4);
  assert.doesNotMatch(refused.stderr + refused.title, /b{20}|c{20}/);
  const fromFile = await run(['join', '--join-file', '-', '--home', home], { stdin: `${secret}\n` });
  assert.equal(fromFile.exit, 4, '- is standard input here, too');
  const both = await run(['node', '--join', secret, '--join-file', 'f', '--home', home]);
  assert.deepEqual([both.exit, /exclude each other/.test(both.stderr)], [2, true], both.stderr);
  const empty = await run(['join', '-', '--home', home], { stdin: '\n' });
  assert.equal(empty.exit, 4);
});

test('verbs that need a member say how to become one', async () => {
  for (const args of [['whoami'], ['members', 'ls'], ['token', 'ls'], ['keys', 'ls'], ['keys', 'rotate', '--yes']]) {
    const { exit, stderr } = await run([...args, '--home', join(folder, 'nobody')]);
    assert.equal(exit, 2);
    assert.match(stderr, /opera join CODE/);
  }
});

test('flags out of range are refused before anything is asked', async () => {
  const home = ['--home', join(folder, 'nobody')];
  assert.equal((await run(['token', 'create', ...home])).exit, 2);
  assert.equal((await run(['token', 'create', '--role', 'king', ...home])).exit, 2);
  assert.equal((await run(['token', 'create', '--role', 'node', '--ttl', '60d', ...home])).exit, 2);
  const kit = ['--recovery-out', join(folder, 'never.txt')];
  assert.equal((await run(['init', ...home, ...kit, '--copies', '2', '--write-copies', '3'])).exit, 2);
});
