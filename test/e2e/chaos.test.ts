// Everything at once, with real processes: clients at work on shared names while roles are killed, stopped for shorter
// and longer than leases and verdicts last, and all of them lose power together. What clients saw must have one order;
// afterwards every acknowledged write is there, nothing removed is back, and every copy is whole.
// OPERA_TEST_LONG=1 plays more of it; OPERA_TEST_CHAOS_SECONDS=600 runs the first case for so long with faults drawn
// from OPERA_TEST_SEED.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test, type TestContext } from 'node:test';
import { openProfile } from '../../src/client/connection.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { parseMemberId } from '../../src/model/ids.ts';
import { destinationOf } from '../../src/roles/peer-book.ts';
import { SystemClock } from '../../src/runtime/clock.ts';
import { eventually, patienceMs, processPatienceMs } from '../support/eventually.ts';
import { atTimeOf, faketimeLibrary } from '../support/faketime.ts';
import { SeededRandom } from '../support/seeded.ts';
import { requiresAll, Sandbox } from '../support/sandbox.ts';
import { checkExecutors, type Leader, type LeaderLine, ManyRoles } from './_many-roles.ts';
import { Workload } from './_workload.ts';

const noFaketime = faketimeLibrary === undefined && !requiresAll ? 'libfaketime is not installed' : false;
const clock = new SystemClock();
const sandbox = new Sandbox();
const long = process.env.OPERA_TEST_LONG === '1';
const seconds = Number(process.env.OPERA_TEST_CHAOS_SECONDS ?? 0);
const seed = process.env.OPERA_TEST_SEED ?? String(clock.nowMs() % 100_000);
let many: ManyRoles;
/** What every case left behind. */
const held: string[] = [];

before(async () => {
  many = await ManyRoles.up(sandbox);
});
after(() => sandbox.close());

const work = (prefix: string): Promise<Workload> => {
  const homes = [many.net.home, many.guest];
  return Workload.start({ homes: [...homes, ...homes, ...homes], seed, pauseMs: 150, prefix });
};

/** Ends the clients, waits until all is well, and checks what they saw and what is there. */
const settle = async (workload: Workload): Promise<void> => {
  await many.net.healthy();
  await workload.end();
  await workload.readAll();
  workload.check();
  held.push(...workload.held.keys());
  await workload.close();
};

/** The longest time in which no change was acknowledged. */
const longestGapMs = (times: readonly number[]): number =>
  Math.max(...times.slice(1).map((time, at) => time - (times[at] ?? time)));

/** For whoever watches a long run, and for the report. */
const tell = (t: TestContext, text: string): void => {
  t.diagnostic(text);
  if (seconds > 0 || process.env.OPERA_TEST_TELL === '1')
    process.stderr.write(`${new Date(clock.nowMs()).toISOString()} ${text}\n`);
};

type Fault = readonly [what: string, run: () => Promise<void>];

const someFault = (random: SeededRandom): Fault => {
  const name = random.pick(many.names());
  const ms = random.pick([500, 3_000, 7_000, 15_000]);
  switch (random.below(8)) {
    case 0:
      return ['all lose power', () => many.crashAll()];
    case 1:
      return ['a long pause', () => many.pause(random.pick(many.names('node')), 75_000)];
    case 2:
    case 3:
    case 4:
      return [`kill ${name} for ${ms} ms`, () => many.crash(name, ms)];
    default:
      return [`stop ${name} for ${ms} ms`, () => many.pause(name, ms)];
  }
};

/** What no other case does: a leader that dies or stops has cases of its own, and simulations stop every process. */
const someOfThem: readonly Fault[] = [
  ['kill a node', () => many.crash('node-2', 1_000)],
  [
    'kill a gateway and a sentinel, stop two nodes for a moment',
    async () => {
      const nodes = ['node-1', 'node-4'].map((name) => many.pause(name, 1_500));
      await Promise.all([many.crash('gateway', 500), many.crash('sentinel-2', 500), ...nodes]);
    },
  ],
  ['all lose power', () => many.crashAll()],
];

/** Each role in turn: long enough for another to take over, and short enough that nobody has to. */
const eachRole = async (): Promise<Fault[]> => {
  const { name: leader } = await many.leader();
  return [
    ['kill a node', () => many.crash('node-2', 1_000)],
    ['stop a node for longer than a verdict takes', () => many.pause('node-3', 9_000)],
    ['stop the leader for longer than its lease', () => many.pause(leader, 7_000)],
    [
      'kill a gateway and a sentinel',
      async () => {
        await Promise.all([many.crash('gateway', 500), many.crash('sentinel-2', 500)]);
      },
    ],
    [
      'stop two nodes for a moment',
      async () => {
        await Promise.all([many.pause('node-1', 1_500), many.pause('node-4', 1_500)]);
      },
    ],
    ['all lose power', () => many.crashAll()],
  ];
};

test('whatever is killed or stopped, what clients saw has one order and nothing acknowledged is lost', async (t) => {
  const workload = await work('chaos');
  const random = new SeededRandom(seed);
  const until = clock.monotonicMs() + seconds * 1_000;
  const run = async ([what, fault]: Fault): Promise<void> => {
    tell(t, what);
    await fault();
    await clock.sleep(random.below(2_000));
  };
  for (const fault of long ? await eachRole() : someOfThem) await run(fault);
  while (clock.monotonicMs() < until) await run(someFault(random));
  // However slow the machine is: clients go on until enough was changed for the checks to mean something.
  await eventually(() => workload.acknowledgedMs.length > (long ? 100 : 40), processPatienceMs);
  await settle(workload);
  tell(t, `seed ${seed}: ${workload.summary}; longest gap ${Math.round(longestGapMs(workload.acknowledgedMs))} ms`);
  if (long) await many.checkAtRest(held);
});

test('a leader killed under load is replaced, and nothing is lost or done twice', async (t) => {
  const workload = await work('killed');
  const changes = (): number => workload.acknowledgedMs.length;
  await eventually(() => changes() > 5, processPatienceMs);
  // Read at the last moment: on a busy machine a leader may lose its lease, and take it again, at any time.
  const old = await many.leader();
  const killedMs = clock.monotonicMs();
  many.net.kill(old.name);
  let tookMs = 0;
  await eventually(async () => {
    const now = await many.leader();
    tookMs = clock.monotonicMs() - killedMs;
    return now.epoch > old.epoch && now.name !== old.name;
  }, processPatienceMs);
  const before = changes();
  await eventually(() => changes() > before + 5, processPatienceMs);
  await many.restart(old.name);
  await settle(workload);
  tell(
    t,
    `a new leader after ${Math.round(tookMs)} ms; longest gap ${Math.round(longestGapMs(workload.acknowledgedMs))} ms`,
  );
});

test('a leader stopped for longer than its lease steps down, and what it orders afterwards is refused', async () => {
  const old = await many.leader();
  many.net.kill(old.name, 'SIGSTOP');
  let now = old;
  await eventually(async () => {
    now = await many.leader();
    return now.epoch > old.epoch && now.name !== old.name;
  }, processPatienceMs);
  many.net.kill(old.name, 'SIGCONT');
  const { log, folder } = many.net.named(old.name);
  const lost = (): boolean =>
    readFileSync(log, 'utf8')
      .split('\n')
      .some((line) => line.includes('"leadership-lost"') && line.includes(`"epoch":"${old.epoch}"`));
  await eventually(lost);
  // On a busy machine the lease may have gone on to somebody else since.
  assert.ok((await many.leader()).epoch >= now.epoch, 'it does not go on with its leadership');

  // With the stopped master's own keys: an order of its leadership, and one in the present leader's epoch.
  const connection = await openProfile(folder);
  try {
    const { layoutNumber } = await many.net.status();
    const { id, address } = many.net.named('node-1');
    const to = destinationOf({ memberId: parseMemberId(id), address });
    const order = ({ epoch, instance }: Leader) =>
      connection.transport.call(
        to,
        'layout.covered',
        { epoch, instance, number: layoutNumber },
        { timeoutMs: patienceMs },
      );
    await assert.rejects(order(old), (error) => isOperaError(error, 'stale-leader'));
    await eventually(async () => {
      const answered = await order(await many.leader()).catch((error: unknown) => error);
      assert.ok(!(answered instanceof Error) || isOperaError(answered, 'stale-leader'), String(answered));
      return !(answered instanceof Error);
    });
  } finally {
    await connection.close();
  }
  await many.net.healthy();
});

// Masters a day apart renew no ticket of each other, and a put may wait for its whole patience: for hands-on runs only.
const clockTest = (name: string, options: { skip: string | false }, body: (t: TestContext) => Promise<void>): void => {
  if (seconds > 0) void test(name, options, body);
};
clockTest(
  'clocks that jump by hours or a day stop nobody, and no older version comes back',
  {
    skip: noFaketime,
  },
  async (t) => {
    const put = async (content: string): Promise<void> => {
      // Masters whose clocks are a day apart renew no ticket of each other: a put that meets both says so, and is
      // repeated.
      const input = { input: content };
      for (let again = 0; ; again++) {
        const ran = await many.net.opera(['put', '-', '--name', 'clock'], input);
        if (ran.code === 0) break;
        assert.match(ran.stderr, /ticket.*Repeat/s);
        assert.ok(again < 20, 'puts go on failing while clocks are wrong');
      }
      assert.equal(await many.net.ok(['cat', 'clock']), content);
    };
    held.push('clock');
    const jumpers = [...many.names('master'), 'node-1'];
    const fileOf = (name: string): string => sandbox.path(`clock-${name}`);
    for (const name of jumpers) {
      writeFileSync(fileOf(name), '+0\n');
      many.net.kill(name);
      await many.restart(name, { env: atTimeOf(fileOf(name)) });
    }
    await many.net.healthy();
    await put('before');
    const { name: leader } = await many.leader();
    for (const name of jumpers) writeFileSync(fileOf(name), name === leader ? '-1d\n' : '+2h\n');
    const started = clock.monotonicMs();
    // Longer than a lease, and than it takes a process to read that it jumped.
    for (let round = 0; clock.monotonicMs() - started < 8_000; round++) await put(`with wrong clocks ${round}`);
    const last = await many.net.ok(['cat', 'clock']);
    tell(t, `the last of those: ${last}`);
    for (const name of jumpers) writeFileSync(fileOf(name), '+0\n');
    await many.net.healthy();
    assert.equal(await many.net.ok(['cat', 'clock']), last);
    await put('at the right time');
  },
);

test('afterwards every file and every copy is there, on long runs after further restarts', async (t) => {
  if (long) {
    for (const name of many.names('node')) {
      many.net.kill(name);
      await many.restart(name);
    }
    // Under load this was done before; at rest it takes another ten starts.
    await many.crashAll();
  }
  await many.net.healthy();
  await many.checkAtRest(held);
  // What nodes missed while they were away they find by comparing: two minutes after it was stored at the latest. That
  // is played in simulated time on every run, and waited for here on long ones.
  if (seconds === 0) return;
  const started = clock.monotonicMs();
  await eventually(async () => (await many.copies()).missing === 0, 300_000, 2_000);
  tell(t, `all copies after ${Math.round(clock.monotonicMs() - started)} ms`);
});

test('two masters in one epoch, or an epoch that comes back, would be noticed', () => {
  const line = (event: string, epoch: number, master: string): LeaderLine => ({ event, epoch: `${epoch}`, master });
  const good = [line('leadership-taken', 1, 'a'), line('leadership-taken', 2, 'b'), line('layout-made', 2, 'b')];
  checkExecutors(good);
  assert.throws(() => checkExecutors([...good, line('layout-made', 2, 'a')]), /both acted/);
  assert.throws(() => checkExecutors([...good, line('leadership-taken', 2, 'b')]), /taken twice/);
  assert.throws(() => checkExecutors([line('leadership-taken', 3, 'b'), ...good]), /took epoch 2 after 3/);
});

test('the network of these tests has its logs where the checks look for them', () => {
  assert.ok(many.names('master').every((name) => existsSync(`${many.net.dir}/logs/${name}.log`)));
  assert.ok(many.leaderLines().length > 0);
});
