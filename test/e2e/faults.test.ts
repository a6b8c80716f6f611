// What a network and its client stand: kill -9 of the client anywhere in a put, of a node, the master, the gateway
// under load, restarts by hand, and a further node that joins. Nothing acknowledged is lost, nothing is half there.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { bytesOf, largeBytes, listTree, sameTrees, writeTree } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine } from '../support/local-net.ts';
import { kill, Sandbox, type Started } from '../support/sandbox.ts';

const clock = new SystemClock();
const sandbox = new Sandbox();
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox);
});
after(() => sandbox.close());

const chunk = 4 * 1024 * 1024;
const journal = (): string[] => {
  const folder = join(net.home, 'journal');
  return existsSync(folder) ? readdirSync(folder) : [];
};

/** None when the file is gone by now. */
const linesOf = (path: string): number => {
  try {
    return readFileSync(path, 'utf8').split('\n').length;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
    throw error;
  }
};

const long = process.env.OPERA_TEST_LONG === '1';
/** Points of a put at which the client is killed; each costs a start of the program or two. */
const killPoints = long ? 50 : 4;

test('kill -9 of the client at any point of a put leaves the file whole, as it was before, or absent', async () => {
  const old = sandbox.path('old', 'kill');
  const new_ = sandbox.path('new', 'kill');
  const names = Array.from({ length: killPoints }, (_, at) => `f${at}`);
  const overwritten = names.filter((_, at) => at % 2 === 1);
  writeTree(old, Object.fromEntries(overwritten.map((name) => [name, `the old ${name}`])));
  writeTree(new_, Object.fromEntries(names.map((name) => [name, largeBytes(2 * chunk + 4_321, name)])));
  await net.ok(['put', '-r', old]);
  const started = clock.monotonicMs();
  await net.ok(['put', join(new_, 'f0'), '--name', 'measured']);
  let tookMs = clock.monotonicMs() - started;
  const seed = Number(process.env.OPERA_TEST_SEED ?? clock.nowMs() % 1_000);
  let acknowledged = 0;
  for (const [at, name] of names.entries()) {
    // Spread over the whole put, with a little noise that the seed decides.
    const noise = ((seed * 7_919 + at * 104_729) % 100) / 100;
    const put = net.start(['put', join(new_, name), '--name', `kill/${name}`]);
    const startedMs = clock.monotonicMs();
    const cancel = clock.after((tookMs * (at + noise)) / names.length, () => put.child.kill('SIGKILL'));
    const { code } = await sandbox.finish(put, 'put');
    cancel();
    if (code === 0) {
      acknowledged++;
      // The machine was slower before: the points that are left lie within the time it takes now.
      tookMs = Math.min(tookMs, clock.monotonicMs() - startedMs);
    } else assert.equal(code, null, 'the client was killed, and did not fail');
  }
  assert.ok(acknowledged < names.length, 'some puts were killed');

  await net.ok(['get', '-r', 'kill', '-o', sandbox.path('killed')]);
  const back = sandbox.path('killed', 'kill');
  for (const name of names) {
    const path = join(back, name);
    if (!existsSync(path)) {
      assert.ok(!overwritten.includes(name), `${name} was there before and is gone (seed ${seed})`);
      continue;
    }
    const bytes = readFileSync(path);
    const isNew = bytes.equals(readFileSync(join(new_, name)));
    const isOld = overwritten.includes(name) && bytes.toString() === `the old ${name}`;
    assert.ok(isNew || isOld, `${name} is neither its old nor its new content (seed ${seed})`);
  }

  await net.ok(['put', '-r', new_]);
  await net.ok(['get', '-r', 'kill', '-o', sandbox.path('resumed')]);
  sameTrees(sandbox.path('resumed', 'kill'), new_);
  assert.deepEqual(journal(), [], 'a finished put leaves no journal');
  // A client killed while it replaced a small file of its home leaves the temporary one, of which nothing is ever read.
  const left = listTree(net.home).filter((name) => !/^\.[a-z-]+\.json\.[0-9a-f]{16}\.tmp$/.test(name));
  assert.deepEqual(
    left.filter((name) => /tmp|stale|lock/.test(name)),
    [],
  );
});

/** Starts a put and kills it when more chunks are noted than are under way at once: some are durable then. */
const killedPut = async (path: string, name: string): Promise<void> => {
  for (let left = 20; !(await wasKilled(path, name)); left--) {
    assert.ok(left > 0, 'puts end before they can be killed');
    await net.ok(['rm', name, '--yes']);
  }
};

/** False when the put ended before this process came to it. */
const wasKilled = async (path: string, name: string): Promise<boolean> => {
  const put = net.start(['put', path, '--name', name]);
  let done = false;
  void put.ended.then(() => {
    done = true;
  });
  const noted = (): boolean =>
    journal().some((file) => {
      if (!file.endsWith('.jsonl')) return false;
      return linesOf(join(net.home, 'journal', file)) > 8;
    });
  while (!noted() && !done) await clock.sleep(1);
  put.child.kill('SIGKILL');
  const { code } = await put.ended;
  assert.ok(code === 0 || code === null, 'the client was killed, and did not fail');
  return code === null;
};

test('a put that goes on sends less; after the file was edited it sends a new version', async () => {
  const path = sandbox.path('resume');
  const bytes = largeBytes(10 * chunk, 'resume');
  writeFileSync(path, bytes);
  await killedPut(path, 'resume/a');
  await net.ok(['put', path, '--name', 'resume/a', '--report', sandbox.path('report')]);
  const { resumedChunks } = parseLine<{ readonly resumedChunks: number }>(readFileSync(sandbox.path('report'), 'utf8'));
  assert.ok(resumedChunks >= 1, `${resumedChunks} chunks were not sent again`);
  assert.ok(exits(await net.opera(['cat', 'resume/a']), 0).bytes.equals(bytes));
  // That content changed meanwhile is met chunk by chunk: test/client/resume.test.ts.
  if (!long) return;

  await killedPut(path, 'resume/b');
  bytes.write('edited', 5 * chunk);
  writeFileSync(path, bytes);
  await net.ok(['put', path, '--name', 'resume/b', '--report', sandbox.path('report-edited')]);
  const edited = parseLine<{ readonly resumedChunks: number }>(readFileSync(sandbox.path('report-edited'), 'utf8'));
  assert.equal(edited.resumedChunks, 0, 'nothing of the old content is taken over');
  assert.ok(exits(await net.opera(['cat', 'resume/b']), 0).bytes.equals(bytes));
  assert.deepEqual(journal(), []);
});

test('kill -9 of the client in a get leaves no half file under its name, and the next get goes on', async () => {
  const bytes = largeBytes(6 * chunk, 'got');
  await net.ok(['put', '-', '--name', 'got'], { input: bytes });
  const folder = sandbox.path('got');
  mkdirSync(folder);
  const target = join(folder, 'target');
  const started = clock.monotonicMs();
  await net.ok(['get', 'got', '-o', join(folder, 'measured')]);
  const tookMs = clock.monotonicMs() - started;
  for (const share of long ? [0.4, 0.6, 0.75, 0.9] : [0.5, 0.8]) {
    const get = net.start(['get', 'got', '-o', target]);
    const cancel = clock.after(tookMs * share, () => get.child.kill('SIGKILL'));
    const { code } = await sandbox.finish(get, 'get');
    cancel();
    if (code === 0) break;
    assert.equal(code, null, 'the client was killed, and did not fail');
    if (!existsSync(target)) continue;
    // Killed between the end of its work and the end of the process: the next get would not overwrite it.
    assert.ok(readFileSync(target).equals(bytes), 'a file under its name is whole');
    break;
  }
  await net.ok(['get', 'got', '-o', target, '--force']);
  assert.ok(readFileSync(target).equals(bytes));
  assert.deepEqual(listTree(folder), ['measured', 'target']);
});

/** Puts and gets until told to end; answers what was acknowledged. Every verb must succeed. */
const load = (prefix: string): { readonly end: () => Promise<Map<string, Buffer>>; readonly rounds: () => number } => {
  const acknowledged = new Map<string, Buffer>();
  let ending = false;
  let rounds = 0;
  const run = async (): Promise<void> => {
    for (let at = 0; !ending; at++) {
      const bytes = bytesOf(at % 3 === 0 ? 70_000 : 100 + at, `${prefix}${at}`);
      const name = `${prefix}/${at}`;
      await net.ok(['put', '-', '--name', name], { input: bytes });
      acknowledged.set(name, bytes);
      const got = exits(await net.opera(['cat', name]), 0, `cat ${name}`);
      assert.ok(got.bytes.equals(bytes), `${name} was altered`);
      rounds++;
    }
  };
  const running = run();
  running.catch(() => undefined);
  return {
    rounds: () => rounds,
    end: async () => {
      ending = true;
      await running;
      return acknowledged;
    },
  };
};

const allThere = async (expected: ReadonlyMap<string, Buffer>, prefix: string): Promise<void> => {
  const folder = sandbox.path(`all-${prefix}`);
  await net.ok(['get', '-r', prefix, '-o', folder]);
  for (const [name, bytes] of expected) assert.ok(readFileSync(join(folder, name)).equals(bytes), name);
};

test('a node killed under puts and gets costs neither a file nor a command; started again it is healthy', async () => {
  const { rounds, end } = load('node-killed');
  await eventually(() => rounds() >= 1, processPatienceMs);
  net.kill('node-2');
  const killedAt = rounds();
  await eventually(() => rounds() >= killedAt + (long ? 5 : 3), processPatienceMs);
  const acknowledged = await end();
  await net.restart('node-2');
  await net.healthy();
  await allThere(acknowledged, 'node-killed');
});

test('without a master names are not answered, with it again everything is there', async () => {
  await net.ok(['put', '-', '--name', 'master/a'], { input: 'before' });
  net.kill('master');
  // 124 if it did not give up by itself.
  const refused = await net.opera(['put', '-', '--name', 'master/b', '--timeout', '180s'], { input: 'x' });
  assert.equal(refused.code, 5, refused.stderr);
  await net.restart('master');
  await net.healthy();
  assert.equal(await net.ok(['cat', 'master/a']), 'before');
  await net.ok(['put', '-', '--name', 'master/b'], { input: 'after' });
});

test('without a gateway the client says where it is missing, and goes on when it is back', async () => {
  net.kill('gateway');
  const { stderr } = exits(await net.opera(['ls']), 5);
  assert.match(stderr, /^opera: .+\. .*opera (status|up)/s);
  const json = exits(await net.opera(['ls', '--json']), 5);
  const error = parseLine<Record<string, unknown>>(json.stderr);
  assert.deepEqual([error.code, typeof error.title, typeof error.hint], ['unavailable', 'string', 'string']);
  await net.restart('gateway');
  assert.equal(await net.ok(['cat', 'master/b']), 'after');
  await net.healthy();
});

test('a fourth node joins by hand: data moves to it, all stays readable, also when an old one dies', async () => {
  const files = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`f${at}`, bytesOf(at * 997, `m${at}`)]));
  writeTree(sandbox.path('moving'), { ...files, large: largeBytes(2 * chunk + 1, 'moving') });
  await net.ok(['put', '-r', sandbox.path('moving')]);
  const before = (await net.status()).layoutNumber;
  const code = (await net.ok(['token', 'create', '--role', 'node', '-q'])).trim();
  const node: Started = sandbox.start(['node', '--json', '--home', sandbox.path('fourth'), '--join', code]);
  const { id, address } = parseLine<{ readonly id: string; readonly address: string }>(await node.line());
  await net.until(
    ({ nodes, layoutNumber, retiredUpTo, health }) =>
      nodes.some(({ memberId, chunks }) => memberId === id && chunks > 0) &&
      layoutNumber > before &&
      retiredUpTo === layoutNumber - 1 &&
      health === 'healthy',
  );
  assert.match(await net.ok(['nodes', 'ls']), new RegExp(`${id}\\t${address}\\tup`));
  const titles = readFileSync(`/proc/${node.pid}/cmdline`, 'latin1');
  assert.ok(!titles.includes(code.slice(20, 80)), 'the join code is not in the title of the process');
  await net.ok(['get', '-r', 'moving', '-o', sandbox.path('moved')]);
  sameTrees(sandbox.path('moved', 'moving'), sandbox.path('moving'));
  net.kill('node-1');
  await net.ok(['get', '-r', 'moving', '-o', sandbox.path('moved-again')]);
  sameTrees(sandbox.path('moved-again', 'moving'), sandbox.path('moving'));
  kill(node.pid, 'SIGTERM');
  exits(await sandbox.finish(node, 'node'), 0, 'a drained node');
});
