// Who may do what: join codes used twice, too late, for another role or network; a gateway that is not the network's;
// members cut off while they work; two gateways; addresses where somebody else answers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { SystemClock } from '../../src/runtime/clock.ts';
import { encodeJoinCode, parseJoinCode } from '../../src/identity/join-code.ts';
import { eventually } from '../support/eventually.ts';
import { largeBytes, listTree } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine } from '../support/local-net.ts';
import { kill, Sandbox, type Started } from '../support/sandbox.ts';

const clock = new SystemClock();
const sandbox = new Sandbox();
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox);
});
after(() => sandbox.close());

const token = async (role: string, ...flags: readonly string[]): Promise<string> =>
  (await net.ok(['token', 'create', '--role', role, '-q', ...flags])).trim();

const join = (code: string, home: string) => sandbox.opera(['join', code, '--home', sandbox.path(home)]);

/** The code of the error object on stderr. */
const errorCode = (stderr: string): string => {
  const line = stderr.split('\n').find((text) => text.includes('"code"')) ?? '{}';
  return parseLine<{ readonly code?: string }>(line).code ?? stderr;
};

interface Ready {
  readonly id: string;
  readonly address: string;
  readonly pid: number;
}

const startRole = async (role: string, args: readonly string[]): Promise<{ started: Started; ready: Ready }> => {
  const started = sandbox.start([role, '--json', ...args]);
  return { started, ready: parseLine<Ready>(await started.line()) };
};

test('a join code is good once, of two machines at once exactly one gets in', async () => {
  const code = await token('client');
  const both = await Promise.all([join(code, 'a1'), join(code, 'a2')]);
  const codes = both.map(({ code: exit }) => exit).sort();
  assert.deepEqual(codes, [0, 4], both.map(({ stderr }) => stderr).join());
  const third = await sandbox.opera(['join', code, '--home', sandbox.path('a3'), '--json']);
  assert.deepEqual([third.code, errorCode(third.stderr)], [4, 'token-used']);
  const winner = both[0].code === 0 ? 'a1' : 'a2';
  assert.equal(exits(await sandbox.opera(['ls', '--home', sandbox.path(winner)]), 0).stdout, '');
  const forbidden = await sandbox.opera(['token', 'create', '--role', 'node', '--home', sandbox.path(winner)]);
  exits(forbidden, 4, 'a client that makes codes');
  const again = exits(await join(await token('client'), winner), 10);
  assert.match(again.stderr, /is the home of/);
});

test('codes that expired, were taken back, are of another role or network, or damaged are refused', async () => {
  const expiring = await token('client', '--ttl', '1s');
  const expiresMs = clock.monotonicMs() + 1_000;
  const removed = await token('client');
  const listed = (await net.ok(['token', 'ls', '--json'])).split('\n').filter((line) => line !== '');
  assert.ok(listed.length >= 2);
  assert.ok(!listed.join().includes(removed.slice(60, 110)), 'the list holds no code');
  const created = parseLine<{ readonly tokenId: string; readonly code: string }>(
    await net.ok(['token', 'create', '--role', 'client', '--json']),
  );
  await net.ok(['token', 'rm', created.tokenId, '--yes']);
  const gone = await sandbox.opera(['join', created.code, '--home', sandbox.path('b1'), '--json']);
  assert.equal(gone.code, 4, gone.stderr);

  const node = await token('node');
  const wrong = await sandbox.opera(['join', node, '--home', sandbox.path('b2'), '--json']);
  assert.ok(wrong.code === 4 || wrong.code === 2, wrong.stderr);
  const role = await sandbox.opera(['node', '--json', '--home', sandbox.path('b3'), '--join', removed]);
  assert.ok(role.code === 4 || role.code === 2, role.stderr);

  const parsed = parseJoinCode(removed);
  const damaged = encodeJoinCode({ ...parsed, seed: parsed.seed.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) });
  const unknown = await sandbox.opera(['join', damaged, '--home', sandbox.path('b4'), '--json']);
  assert.deepEqual([unknown.code, errorCode(unknown.stderr)], [4, 'token-unknown']);
  exits(await sandbox.opera(['join', removed.slice(0, -40), '--home', sandbox.path('b5')]), 4);
  exits(await sandbox.opera(['join', 'nonsense', '--home', sandbox.path('b6')]), 4);

  const pinned = encodeJoinCode({ ...parsed, pin: parsed.pin.map((byte) => byte ^ 255) });
  const other = await sandbox.opera(['join', pinned, '--home', sandbox.path('b7'), '--json']);
  assert.deepEqual([other.code, errorCode(other.stderr)], [4, 'wrong-authority']);

  await eventually(() => clock.monotonicMs() > expiresMs);
  await eventually(async () => {
    const ran = await sandbox.opera(['join', expiring, '--home', sandbox.path('b8'), '--json']);
    assert.notEqual(ran.code, 0, 'a code of one second was good for longer');
    return errorCode(ran.stderr) === 'token-expired';
  });
  for (const home of ['b1', 'b2', 'b3', 'b4', 'b5', 'b7', 'b8']) {
    const who = await sandbox.opera(['whoami', '--home', sandbox.path(home)]);
    assert.equal(who.code, 2, `${home} is no member`);
  }
});

/** Answers every connection with what it was sent, and keeps that. */
const listen = async (answer: (bytes: Buffer) => Buffer | undefined): Promise<{ server: Server; heard: Buffer[] }> => {
  const heard: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      heard.push(bytes);
      const reply = answer(bytes);
      if (reply) socket.write(reply);
      else socket.destroy();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, heard };
};

const portOf = (server: Server): number => {
  const at = server.address();
  return typeof at === 'object' && at ? at.port : 0;
};

test('a gateway that is not of the network learns nothing of the code', async () => {
  const other = await LocalNet.up(sandbox, ['--nodes', '1'], { name: 'other' });
  const code = parseJoinCode(await token('client'));
  const [host = '', port = ''] = other.facts.join.split(':');
  const stolen = encodeJoinCode({ ...code, gateway: { host, port: Number(port) } });
  const ran = await sandbox.opera(['join', stolen, '--home', sandbox.path('c1'), '--json']);
  assert.deepEqual([ran.code, errorCode(ran.stderr)], [4, 'wrong-authority']);

  const { server, heard } = await listen(() => undefined);
  const cut = encodeJoinCode({ ...code, gateway: { host: '127.0.0.1', port: portOf(server) } });
  const refused = await sandbox.opera(['join', cut, '--home', sandbox.path('c2')]);
  assert.ok(refused.code === 5 || refused.code === 4, refused.stderr);
  const sent = Buffer.concat(heard);
  assert.ok(sent.length > 0 && !sent.includes(Buffer.from(code.seed)));
  server.close();
  const logs = listTree(other.dir).filter((name) => !name.startsWith('identity/'));
  for (const name of logs) {
    assert.ok(!readFileSync(`${other.dir}/${name}`).includes(Buffer.from(code.seed)), name);
  }
  exits(await other.down(), 0);
});

/** How many connections of revoked members the roles of the network say that they have cut, all together. */
const connectionsCut = (): number =>
  net.facts.processes
    .flatMap(({ log }) => readFileSync(log, 'utf8').split('\n'))
    .map((line) => Number(/"event":"roster-taken".*"dropped":(\d+)/.exec(line)?.[1] ?? 0))
    .reduce((total, dropped) => total + dropped, 0);

test('a revoked client is cut off when the verb ends, in the middle of a download too, and stays out', async () => {
  await net.ok(['put', '-', '--name', 'stream'], { input: largeBytes(40 << 20, 'stream') });
  exits(await join(await token('client'), 'd1'), 0);
  const home = sandbox.path('d1');
  const { memberId } = parseLine<{ readonly memberId: string }>(
    exits(await sandbox.opera(['whoami', '--json', '--home', home]), 0).stdout,
  );
  // A reader that never takes more than the pipe holds keeps the download open for as long as it likes.
  const download = sandbox.start(['cat', 'stream', '--home', home, '--timeout', '180s']);
  await new Promise<void>((read) => download.child.stdout?.once('data', () => read()));
  download.child.stdout?.pause();
  // It ends well when every role confirmed: each has cut its connections by then.
  await net.ok(['members', 'revoke', memberId, '--yes']);
  assert.ok(connectionsCut() > 0, 'the connections of the download were open');
  const ran = await sandbox.opera(['ls', '--home', home, '--json']);
  assert.equal(ran.code, 4, ran.stderr);
  assert.match(errorCode(ran.stderr), /^(revoked|forbidden|unauthenticated)$/);
  download.child.stdout?.resume();
  const cut = await sandbox.finish(download, 'the download');
  assert.equal(cut.code, 4, `the download after the revocation: ${cut.stderr}`);
  assert.ok(cut.bytes.length < 40 << 20);
  exits(await sandbox.opera(['put', '-', '--name', 'x', '--home', home], { input: 'x' }), 4);
  assert.match(await net.ok(['members', 'ls', '--all']), new RegExp(`${memberId}.*revoked`));
});

test('a revoked node is cut off and cannot come back', async () => {
  const code = await token('node');
  const args = ['--home', sandbox.path('e1')];
  const { started, ready } = await startRole('node', [...args, '--join', code]);
  await net.until(({ members }) => members.some(({ memberId, state }) => memberId === ready.id && state === 'up'));
  const revoked = await net.opera(['members', 'revoke', ready.id, '--yes']);
  assert.ok(revoked.code === 0 || revoked.code === 6, revoked.stderr);
  assert.doesNotMatch(await net.ok(['nodes', 'ls']), new RegExp(ready.id));
  kill(started.pid, 'SIGKILL');
  await started.ended;
  const again = sandbox.start(['node', '--json', ...args]);
  const came = await Promise.race([again.ended, again.line().catch(() => again.ended)]);
  if (typeof came === 'string') {
    await net.until(({ members }) => members.every(({ memberId, state }) => memberId !== ready.id || state !== 'up'));
    assert.doesNotMatch(await net.ok(['nodes', 'ls']), new RegExp(ready.id));
    kill(again.pid, 'SIGKILL');
  } else assert.equal(came.code, 4, came.stderr);
});

test('where another member answers at a known address, nothing wrong comes back', async () => {
  const bytes = largeBytes(300_000, 'taken');
  await net.ok(['put', '-', '--name', 'taken'], { input: bytes });
  const victim = net.named('node-3');
  net.kill('node-3');
  const code = await token('node');
  const { started, ready } = await startRole('node', [
    '--home',
    sandbox.path('thief'),
    '--listen',
    victim.address,
    '--join',
    code,
  ]);
  assert.equal(ready.address, victim.address);
  for (let round = 0; round < 3; round++) {
    assert.ok(exits(await net.opera(['cat', 'taken']), 0).bytes.equals(bytes));
    await net.ok(['put', '-', '--name', `taken/${round}`], { input: bytes });
  }
  kill(started.pid, 'SIGKILL');
  await started.ended;
  await net.restart('node-3');
  assert.ok(exits(await net.opera(['cat', 'taken']), 0).bytes.equals(bytes));
});

test('a second gateway joins with a code, and serves when the first is killed', async () => {
  const code = await token('gateway');
  const { ready } = await startRole('gateway', [
    '--home',
    sandbox.path('gateway-2'),
    '--registry',
    net.facts.registry,
    '--join',
    code,
  ]);
  await net.until(({ members }) => members.some(({ memberId, state }) => memberId === ready.id && state === 'up'));
  await net.ok(['put', '-', '--name', 'two'], { input: 'gateways' });
  exits(await join(await token('client'), 'f1'), 0);
  const home = ['--home', sandbox.path('f1')];
  exits(await sandbox.opera(['ls', ...home]), 0);
  net.kill('gateway');
  assert.equal(exits(await sandbox.opera(['cat', 'two', ...home]), 0, 'a client').stdout, 'gateways');
  assert.equal(await net.ok(['cat', 'two']), 'gateways');
  await net.ok(['put', '-', '--name', 'two'], { input: 'one is enough' });
  const next = await token('client');
  exits(await join(next, 'f2'), 0, 'joining through the second gateway');
  assert.equal(exits(await sandbox.opera(['cat', 'two', '--home', sandbox.path('f2')]), 0).stdout, 'one is enough');
});
