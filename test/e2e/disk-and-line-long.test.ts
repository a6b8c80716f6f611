// A disk whose fsync fails, and lines that are slow, cut and alter bytes: nothing is acknowledged that is not durable,
// what was asked for is done or fails clearly, and nothing is there twice.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test, type TestContext } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { ChaosProxy } from '../support/chaos-proxy.ts';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { bytesOf } from '../support/file-tree.ts';
import { exits, LocalNet } from '../support/local-net.ts';
import { requiresAll, Sandbox } from '../support/sandbox.ts';
import { SeededRandom } from '../support/seeded.ts';

const noStrace = spawnSync('strace', ['-V']).status === 0 || requiresAll ? false : 'strace is not installed';
const clock = new SystemClock();
const seed = process.env.OPERA_TEST_SEED ?? String(clock.nowMs() % 100_000);
const sandbox = new Sandbox();
const proxies: ChaosProxy[] = [];
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox, [], { env: { OPERA_TIMING: 'local' } });
});
after(async () => {
  for (const proxy of proxies) proxy.close();
  await sandbox.close();
});

/** For the reporter, and on demand for whoever measures. */
const tell = (t: TestContext, text: string): void => {
  t.diagnostic(text);
  if (process.env.OPERA_TEST_TELL === '1') process.stderr.write(`${text}\n`);
};

test('a node whose fsync fails acknowledges nothing more, the others take over, and a restart mends it', {
  skip: noStrace,
}, async () => {
  const { id, pid } = net.named('node-2');
  await net.ok(['put', '-', '--name', 'fsync/before'], { input: 'before' });
  const inject = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO'];
  const strace = sandbox.spawn('strace', ['-f', '-o', '/dev/null', ...inject, '-p', `${pid}`]);
  const isReadOnly = async (): Promise<boolean> =>
    (await net.status()).nodes.find(({ memberId }) => memberId === id)?.readOnly === true;
  const names: string[] = [];
  const put = async (): Promise<void> => {
    const name = `fsync/${names.length}`;
    await net.ok(['put', '-', '--name', name], { input: `content of ${name}` });
    names.push(name);
  };
  await eventually(async () => {
    await put();
    return isReadOnly();
  }, processPatienceMs);
  await put();
  assert.equal(await net.ok(['cat', 'fsync/before']), 'before', 'it still serves what it has');
  // What was acknowledged is on the two others.
  net.kill('node-2');
  strace.child.kill('SIGKILL');
  for (const name of names) assert.equal(await net.ok(['cat', name]), `content of ${name}`);
  await net.restart('node-2');
  await net.healthy();
  assert.equal(await isReadOnly(), false);
  await put();
});

test('over slow lines that cut and alter, verbs end well or say why, and nothing is altered or doubled', async (t) => {
  const random = new SeededRandom(seed);
  for (const name of ['node-1', 'node-2', 'node-3']) {
    const { address } = net.named(name);
    const proxy = await ChaosProxy.start(address, random);
    proxies.push(proxy);
    net.kill(name);
    await net.restart(name, { flags: [`--listen=${address}`, `--advertise=${proxy.address}`] });
  }
  await net.healthy();
  for (const proxy of proxies) proxy.weather = { delayMs: 200, bytesPerSecond: 64_000, resets: 0.05, flips: 0.02 };
  const names = Array.from({ length: 4 }, (_, at) => `line/${at}`);
  const contentOf = (name: string): Buffer => bytesOf(40_000, name);
  const put = async (name: string): Promise<boolean> => {
    const ran = await net.opera(['put', '-', '--name', name, '--timeout', '20s'], { input: contentOf(name) });
    assert.ok(ran.code === 0 || ran.code === 5 || ran.code === 124, `exit ${ran.code}: ${ran.stderr} (seed ${seed})`);
    return ran.code === 0;
  };
  const started = clock.monotonicMs();
  const done = await Promise.all(names.map(put));
  const read = await Promise.all(names.map((name) => net.opera(['cat', name, '--timeout', '20s'])));
  for (const [at, { code, bytes, stderr }] of read.entries()) {
    const name = names[at] ?? '';
    const content = contentOf(name);
    if (code === 0) assert.ok(bytes.equals(content), `${name} was altered (seed ${seed})`);
    else assert.ok(content.subarray(0, bytes.length).equals(bytes), `${name} began with altered bytes (seed ${seed})`);
    const clear = [0, 5, 124, ...(done[at] ? [] : [3])];
    assert.ok(clear.includes(code ?? -1), `exit ${code}: ${stderr} (seed ${seed})`);
  }
  const sum = (key: 'connections' | 'resets' | 'flips'): number =>
    proxies.reduce((total, { counts }) => total + counts[key], 0);
  assert.ok(sum('resets') + sum('flips') > 0, `the lines were good (seed ${seed})`);
  const good = done.filter(Boolean).length;
  tell(
    t,
    `${good} of ${names.length} put, ${read.filter(({ code }) => code === 0).length} read in ` +
      `${Math.round(clock.monotonicMs() - started)} ms; ${sum('connections')} connections, ` +
      `${sum('resets')} resets, ${sum('flips')} flips`,
  );
  for (const proxy of proxies) proxy.weather = undefined;
  await net.healthy();
  for (const name of names) if (!(await put(name))) assert.fail(`${name} cannot be put over a good line`);
  const listed = (await net.ok(['ls', 'line/', '-q'])).split('\n').filter((line) => line !== '');
  assert.deepEqual(listed, names);
  for (const name of names) assert.ok(exits(await net.opera(['cat', name]), 0).bytes.equals(contentOf(name)), name);
});
