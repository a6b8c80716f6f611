// Cut lines between real processes, each on a machine of its own in miniature: packets vanish and nobody is told. The
// side that can decide goes on, the other side says that it cannot, and all is well again when the line is.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test, type TestContext } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { eventually, processPatienceMs } from '../support/eventually.ts';
import { exits, parseLine, type Status } from '../support/local-net.ts';
import { Namespaces } from '../support/namespaces.ts';
import { executable, type Ran, requiresAll, type RunOptions, Sandbox, type Started } from '../support/sandbox.ts';

const skip = Namespaces.available || requiresAll ? false : 'no right to make network namespaces (root and ip)';
const clock = new SystemClock();
const sandbox = new Sandbox();
const home = sandbox.path('op');
/** Member ids by machine. */
const ids = new Map<string, string>();
let lines: Namespaces;

const nodes = ['node-1', 'node-2', 'node-3'] as const;
const masters = ['master-1', 'master-2'] as const;
const sentinels = ['sentinel-1', 'sentinel-2', 'sentinel-3'] as const;
const roles = [...nodes, ...masters, ...sentinels];

const start = (machine: string, args: readonly string[], options: RunOptions = {}): Started => {
  const [program = 'ip', ...words] = lines.on(machine);
  const env = { OPERA_HOME: home, OPERA_TIMING: 'local', ...options.env };
  return sandbox.spawn(program, [...words, process.execPath, executable, ...args], { ...options, env });
};

/** A verb on the client's machine. */
const opera = (args: readonly string[], input?: string): Promise<Ran> =>
  sandbox.finish(start('client', args, input === undefined ? {} : { input }), `opera ${args.join(' ')}`);

const ok = async (args: readonly string[], input?: string): Promise<string> =>
  exits(await opera(args, input), 0, args.join(' ')).stdout;

const status = async (): Promise<Status | undefined> => {
  const { stdout } = await opera(['status', '--json']);
  return stdout === '' ? undefined : parseLine<Status>(stdout);
};

const stateOf = (seen: Status | undefined, machine: string): string | undefined =>
  seen?.members.find(({ memberId }) => memberId === ids.get(machine))?.state;

/** Waits until all of them are: a machine that is busy for a moment is suspected for a moment. */
const areUp = (machines: readonly string[]): Promise<void> =>
  eventually(async () => {
    const seen = await status();
    return machines.every((machine) => stateOf(seen, machine) === 'up');
  }, processPatienceMs);

const run = async (machine: string, args: readonly string[]): Promise<void> => {
  const { id } = parseLine<{ readonly id: string }>(await start(machine, [...args, '--json']).line());
  ids.set(machine, id);
};

before(async () => {
  if (skip) return;
  lines = new Namespaces(`opera-${randomBytes(3).toString('hex')}`);
  for (const machine of ['client', 'gateway', ...roles]) lines.add(machine);
  const gateway = lines.addressOf('gateway');
  const listen = ['--listen', `${gateway}:7000`, '--join-listen', `${gateway}:7001`];
  await ok(['init', '--recovery-out', sandbox.path('kit.txt'), ...listen]);
  await run('gateway', ['gateway', '--home', sandbox.path('op', 'gateway')]);
  const joinAll = async (role: string, machines: readonly string[]): Promise<void> => {
    const code = (await ok(['token', 'create', '--role', role, '--uses', `${machines.length}`, '-q'])).trim();
    const registry = role === 'node' ? [] : ['--registry', sandbox.path('op', 'registry.db')];
    await Promise.all(
      machines.map((machine) => {
        const at = ['--home', sandbox.path(machine), '--listen', `${lines.addressOf(machine)}:7100`];
        return run(machine, [role, ...at, '--join', code, ...registry]);
      }),
    );
  };
  await Promise.all([joinAll('master', masters), joinAll('sentinel', sentinels), joinAll('node', nodes)]);
  await ok(['status', '--wait', 'healthy', '--timeout', '180s']);
});
after(async () => {
  await sandbox.close();
  if (!skip) lines.close();
});

/** For the reporter, and on demand for whoever measures. */
const tell = (t: TestContext, text: string): void => {
  t.diagnostic(text);
  if (process.env.OPERA_TEST_TELL === '1') process.stderr.write(`${text}\n`);
};

/** How long it took until all was well. */
const healed = async (): Promise<number> => {
  lines.heal();
  const started = clock.monotonicMs();
  await ok(['status', '--wait', 'healthy', '--timeout', '180s']);
  return Math.round(clock.monotonicMs() - started);
};

test('a client that does not reach a node puts and gets by the others', { skip }, async (t) => {
  lines.cut('client', ['node-1']);
  const names = ['a', 'b', 'c', 'd'];
  await Promise.all(names.map((name) => ok(['put', '-', '--name', `client/${name}`], `content of ${name}`)));
  const read = await Promise.all(names.map((name) => ok(['cat', `client/${name}`])));
  assert.deepEqual(
    read,
    names.map((name) => `content of ${name}`),
  );
  // What one client sees is no verdict.
  await areUp(['node-1']);
  tell(t, `healed after ${await healed()} ms`);
});

test('a leader that reaches no node gives way to one that does, and files are put meanwhile', { skip }, async (t) => {
  const before = await status();
  const leader = masters.find((name) => ids.get(name) === before?.leader?.memberId);
  assert.ok(leader, 'one of the two leads');
  lines.cut(leader, nodes);
  const started = clock.monotonicMs();
  await ok(['put', '-', '--name', 'master/a'], 'put while the leader is cut off');
  tell(t, `put after ${Math.round(clock.monotonicMs() - started)} ms`);
  await eventually(async () => {
    const now = await status();
    return now?.leader !== null && now?.leader?.memberId !== before?.leader?.memberId;
  }, processPatienceMs);
  tell(t, `another leader after ${Math.round(clock.monotonicMs() - started)} ms`);
  assert.equal(await ok(['cat', 'master/a']), 'put while the leader is cut off');
  await areUp(nodes);
  tell(t, `healed after ${await healed()} ms`);
});

test('a sentinel that is cut off decides nothing; a node that nobody hears is down, and back when heard', {
  skip,
}, async (t) => {
  lines.cut('sentinel-3', ['gateway', ...masters, ...nodes, 'sentinel-1', 'sentinel-2']);
  for (const other of ['gateway', 'client', ...roles]) if (other !== 'node-2') lines.cutOneWay('node-2', other);
  await eventually(async () => stateOf(await status(), 'node-2') === 'down', processPatienceMs);
  await ok(['put', '-', '--name', 'sentinel/a'], 'two of three');
  assert.equal(await ok(['cat', 'sentinel/a']), 'two of three');
  await areUp(['gateway', ...masters, 'node-1', 'node-3', 'sentinel-1', 'sentinel-2']);
  tell(t, `healed after ${await healed()} ms`);
  await areUp(['node-2']);
});

test('the smaller side errs and says so; afterwards it has what the other side did', { skip }, async (t) => {
  await ok(['put', '-', '--name', 'side'], 'before');
  // The client is on the side of one node.
  for (const machine of ['client', 'node-3']) {
    lines.cut(machine, ['gateway', ...masters, ...sentinels, 'node-1', 'node-2']);
  }
  const [put, get] = await Promise.all([
    opera(['put', '-', '--name', 'side', '--timeout', '8s'], 'lost'),
    opera(['cat', 'side', '--timeout', '8s']),
  ]);
  for (const { code, stdout, stderr } of [put, get]) {
    assert.ok(code === 5 || code === 124, `exit ${code}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, /^opera: /);
  }
  tell(t, `healed after ${await healed()} ms`);
  assert.equal(await ok(['cat', 'side']), 'before');
  await ok(['put', '-', '--name', 'side'], 'after');
  assert.equal(await ok(['cat', 'side']), 'after');
});
