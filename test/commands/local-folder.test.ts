// The folder of a local network: who holds it, what is believed of it, and what may be removed from it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { lastErrorIn } from '../../src/commands/_child-error.ts';
import { holdFolder, isHeld, readLocalFacts, removeNetwork, signalHolder } from '../../src/commands/_local-folder.ts';
import { rejects } from '../support/refuses.ts';
import { run } from './_host.ts';

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'opera-folder-'));
});
after(() => rm(root, { recursive: true }));

let count = 0;
const newDir = (): string => {
  const dir = join(root, `n${count++}`);
  mkdirSync(dir);
  return dir;
};

const facts = (dir: string, pid: number) => ({
  ...{ v: 1, network: 'aaaa', dir, gateway: '127.0.0.1:1', join: '127.0.0.1:2', registry: join(dir, 'registry.db') },
  ...{ profile: join(dir, 'client'), pid, processes: [] },
});
const writeFacts = (dir: string, pid: number): void =>
  writeFileSync(join(dir, 'up.json'), JSON.stringify(facts(dir, pid)));

test('down --purge removes what up made, and nothing else that lies in the folder', async () => {
  const dir = newDir();
  for (const name of ['identity', 'node-1', 'logs', 'thesis']) mkdirSync(join(dir, name));
  for (const name of ['registry.db', 'registry.db-wal', 'up.lock', 'node-x', 'stars.csv'])
    writeFileSync(join(dir, name), '');
  writeFacts(dir, 1);
  const { exit, stderr } = await run(['down', '--dir', dir, '--purge', '--yes']);
  assert.equal(exit, 0, stderr);
  assert.deepEqual(readdirSync(dir).sort(), ['node-x', 'stars.csv', 'thesis']);
  assert.match(stderr, /stays: .*stars\.csv/);
  const whole = newDir();
  mkdirSync(join(whole, 'identity'));
  assert.deepEqual(await removeNetwork(whole), []);
  assert.equal(existsSync(whole), false);
});

test('a folder that is held is held by this process, whatever an older up.json says', async () => {
  const dir = newDir();
  // Some process that has nothing to do with it has the number that the last one had.
  const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const ended = new Promise((done) => bystander.once('exit', (_, signal) => done(signal)));
  writeFacts(dir, bystander.pid ?? 0);
  assert.equal(await isHeld(dir), false);
  const release = await holdFolder(dir);
  assert.equal(await isHeld(dir), true);
  await rejects(holdFolder(dir), 'exists');
  const told = new Promise<void>((done) => process.once('SIGTERM', () => done()));
  await signalHolder(dir);
  await told;
  release();
  assert.equal(await isHeld(dir), false);
  bystander.kill('SIGKILL');
  assert.equal(await ended, 'SIGKILL', 'it was left alone until then');
});

test('a damaged up.json is told as that, and no process is signalled for it', async () => {
  for (const text of ['', '{}', 'null', '{"v":1,"pid":1}']) {
    const dir = newDir();
    writeFileSync(join(dir, 'up.json'), text);
    await rejects(readLocalFacts(dir), 'config');
    const { exit, stderr } = await run(['down', '--dir', dir]);
    assert.deepEqual([exit, /up\.json is damaged/.test(stderr)], [2, true], stderr);
  }
  assert.equal((await run(['down', '--dir', newDir()])).exit, 3);
});

test('a registry that is no Redis URL is refused instead of becoming a file of that name', async () => {
  const dir = join(root, 'never');
  const up = await run(['up', '--redis', 'localhost:6379', '--dir', dir]);
  assert.deepEqual([up.exit, /--redis takes a URL/.test(up.stderr)], [2, true], up.stderr);
  assert.equal(existsSync(dir), false);
  const kit = ['--recovery-out', join(root, 'kit.txt'), '--listen', '127.0.0.1:0'];
  const init = await run(['init', '--home', dir, ...kit, '--registry', 'http://127.0.0.1:6379']);
  assert.deepEqual([init.exit, /redis:\/\//.test(init.stderr)], [2, true], init.stderr);
});

test('why a process ended is its last error, not a line of its log', () => {
  const log =
    '{"time":"2026","level":"info","event":"x"}\n{"v":1,"code":"config","detail":"no address","hint":"Try"}\n';
  const error = lastErrorIn(`${log}(node:1) Warning: y\n`);
  assert.deepEqual([error?.code, error?.message, error?.hint], ['config', 'no address', 'Try']);
  for (const text of ['', 'null', '{"code":"config"}', '{"code":"nonsense","detail":"x"}']) {
    assert.equal(lastErrorIn(text), undefined, text);
  }
});
