// The real listener and the real transport between members of one network: roles, ends, renewals, errors.
import assert from 'node:assert/strict';
import { connect } from 'node:tls';
import { after, afterEach, before, test } from 'node:test';
import type { TlsCredentials } from '../../src/client/http-transport.ts';
import type { Handlers } from '../../src/client/transport.ts';
import { type ErrorCode, errorTable, isOperaError, OperaError } from '../../src/errors/errors.ts';
import { withRevocationsOf } from '../../src/identity/roster-rules.ts';
import { limits } from '../../src/model/limits.ts';
import { type Role, roles } from '../../src/model/roles.ts';
import type { Listener } from '../../src/roles/listener.ts';
import { type RouteName, routeFacts, routeNames, routesOf } from '../../src/wire/routes.ts';
import { eventually } from '../support/eventually.ts';
import { createTestMember, type TestNetwork } from '../support/identity-network.ts';
import { clock, credentialsOf, dayMs, failure, Mesh } from '../support/mesh.ts';
import { goodRequest, host, RawClient, requestOf, type } from '../support/raw-client.ts';

let mesh: Mesh;
const created: Mesh[] = [];
const credentials = {} as Record<Role, TlsCredentials>;

before(async () => {
  mesh = await Mesh.create();
  created.push(mesh);
  for (const role of roles) credentials[role] = await credentialsOf(mesh.network, mesh.network.members[role]);
});
afterEach(() => {
  mesh.roster = mesh.network.roster;
});
after(() => Promise.all(created.map((each) => each.close())));

const pong = (network: TestNetwork) => ({
  answer: {
    memberId: network.members.node.memberId,
    role: 'node' as const,
    instance: '0'.repeat(32),
    ready: true,
    rosterNumber: 1n,
    nowMs: 1,
  },
});
/** What is to happen at once does not wait for this. */
const hours = 7_200_000;

/** A promise and what resolves it. */
const gate = (): { readonly passed: Promise<void>; readonly open: () => void } => {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
};

/** What a route answers to `role`: 200, or the code of the refusal. An empty message tells "let in" from "kept out". */
const knock = async (listener: Listener, role: Role, path: string): Promise<string> => {
  const client = await RawClient.open(listener.port, credentials[role]);
  client.write(goodRequest(path));
  const [answer] = await client.waitForAnswers(1);
  client.destroy();
  return answer?.status === 200 ? 'ok' : (JSON.parse(answer?.body ?? '{}') as { code: string }).code;
};

interface Knock {
  readonly name: RouteName;
  readonly role: Role;
  readonly code: string;
}

/** What every mesh route answers to every role. */
const knockEverywhere = async (): Promise<readonly Knock[]> => {
  const knocks: Knock[] = [];
  for (const serving of ['gateway', 'master', 'node', 'sentinel'] as const) {
    const handlers = Object.fromEntries(
      routeNames.map((name) => [name, async () => ({ answer: {} })]),
    ) as unknown as Handlers;
    const listener = await mesh.listen(serving, handlers);
    for (const name of routesOf(serving, 'mesh')) {
      const path = `/v1/${name.replaceAll('.', '/')}`;
      const codes = await Promise.all(roles.map((role) => knock(listener, role, path)));
      knocks.push(...roles.map((role, at) => ({ name, role, code: codes[at] ?? 'nothing' })));
    }
    await listener.close(0);
  }
  return knocks;
};

/** Those that differ from what `allow` says. */
const wrongOf = (knocks: readonly Knock[], allow: (route: RouteName, role: Role) => boolean): readonly string[] =>
  knocks
    .filter(({ name, role, code }) => {
      const letIn = code === 'ok' || code === 'bad-request';
      return (!letIn && code !== 'forbidden') || letIn !== allow(name, role);
    })
    .map(({ name, role, code }) => `${name} ${role}: ${code}`);

test('every route lets in exactly the roles of the table, and a table with one role more is noticed', async () => {
  const table = (route: RouteName, role: Role): boolean => {
    const { allow } = routeFacts(route);
    return allow !== 'anyone' && allow.includes(role);
  };
  const knocks = await knockEverywhere();
  assert.deepEqual(wrongOf(knocks, table), []);
  const extra = wrongOf(knocks, (route, role) => table(route, role) || (route === 'chunk.list' && role === 'client'));
  assert.deepEqual(extra, ['chunk.list client: forbidden']);
});

test('without a certificate nothing but joining can be asked for', async () => {
  const handlers = Object.fromEntries(
    routeNames.map((name) => [name, async () => ({ answer: {} })]),
  ) as unknown as Handlers;
  // Time runs fast: nobody is told to ask less often.
  let nowMs = 0;
  const fast = Object.assign(Object.create(clock) as typeof clock, { monotonicMs: () => (nowMs += 1_000) });
  const listener = await mesh.listen('gateway', handlers, { kind: 'join', clock: fast });
  const client = await RawClient.open(listener.port, undefined);
  const open: RouteName[] = [];
  for (const [at, name] of routeNames.entries()) {
    client.write(goodRequest(`/v1/${name.replaceAll('.', '/')}`));
    const answer = (await client.waitForAnswers(at + 1)).at(-1);
    if (answer?.status !== 404) open.push(name);
  }
  client.destroy();
  assert.deepEqual(open.sort(), ['join.bundle', 'join.join', 'join.nonce', 'join.renew']);
  for (const serving of ['gateway', 'master', 'node', 'sentinel'] as const) {
    const closed = await mesh.listen(serving, handlers);
    const stranger = await RawClient.open(closed.port, undefined);
    stranger.write(goodRequest());
    assert.ok(await stranger.waitForClose());
    assert.deepEqual(stranger.answers, []);
  }
});

test('routes of other roles, and those a role has no handler for, do not exist', async () => {
  const listener = await mesh.listen('node', { ping: async () => pong(mesh.network) });
  assert.equal(await knock(listener, 'operator', '/v1/token/create'), 'not-found');
  assert.equal(await knock(listener, 'master', '/v1/chunk/hold'), 'not-found');
  assert.equal(await knock(listener, 'master', '/v1/join/bundle'), 'not-found');
});

test('the join listener asks for no certificate, serves no mesh route, and slows down who asks too often', async () => {
  const handlers: Handlers = {
    'join.bundle': async ({ peer }) => {
      assert.equal(peer, undefined);
      return { answer: { bundle: new Uint8Array(3) } };
    },
    ping: async () => pong(mesh.network),
  };
  // Time stands still: nothing is refilled, however long the flood takes.
  const still = Object.assign(Object.create(clock) as typeof clock, { monotonicMs: () => 0 });
  const listener = await mesh.listen('gateway', handlers, { kind: 'join', clock: still });
  const client = await RawClient.open(listener.port, undefined);
  client.write(goodRequest('/v1/join/bundle'));
  client.write(goodRequest('/v1/ping'));
  client.write(requestOf('GET /metrics HTTP/1.1', [host]));
  const statuses = (await client.waitForAnswers(3)).map(({ status }) => status);
  assert.deepEqual(statuses, [200, 404, 404]);
  const burst = limits.joinRequestsPerSecond * 10;
  const { authorities } = credentials.client;
  const stranger = await mesh.dial('client', { credentials: () => undefined, authorities, roster: () => undefined });
  const to = { address: `127.0.0.1:${listener.port}`, expect: { role: 'gateway' as const } };
  const flood = Array.from({ length: burst * 2 }, () => stranger.call(to, 'join.bundle', {}));
  const outcomes = await Promise.allSettled(flood);
  const limited = outcomes.filter((one) => one.status === 'rejected' && isOperaError(one.reason, 'rate-limited'));
  assert.ok(limited.length >= burst && limited.length <= burst + 3, `${limited.length} were limited`);
  client.destroy();
});

test('livez, readyz and metrics answer members', async () => {
  let reason: string | undefined;
  const listener = await mesh.listen('node', {}, { notReady: () => reason });
  const client = await RawClient.open(listener.port, credentials.client);
  for (const path of ['/livez', '/readyz', '/metrics']) client.write(requestOf(`GET ${path} HTTP/1.1`, [host]));
  const answers = await client.waitForAnswers(3);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.match(answers[2]?.body ?? '', /opera_uptime_seconds\{role="node"\}/);
  reason = 'still reading';
  client.write(requestOf('GET /readyz HTTP/1.1', [host]));
  const last = (await client.waitForAnswers(4)).at(-1);
  assert.deepEqual([last?.status, last?.body], [503, 'still reading\n']);
  client.destroy();
});

test('every 5xx carries its code, the fixed sentence of that code and the request id, and nothing else', async () => {
  let thrown: unknown;
  const listener = await mesh.listen('node', { ping: () => Promise.reject(thrown) });
  const transport = await mesh.dial('client');
  const ours = (Object.keys(errorTable) as ErrorCode[]).filter((code) => errorTable[code].status >= 500);
  const canary = 'canary /secret/path SELECT key';
  const causes = [new Error(canary), canary, { canary }, undefined, null, new TypeError(canary)];
  const errors = ours.map((code) => new OperaError(code, canary, { details: { canary }, hint: canary, cause: canary }));
  for (const next of [...causes, ...errors]) {
    thrown = next;
    const client = await RawClient.open(listener.port, credentials.client);
    client.write(goodRequest());
    const [answer] = await client.waitForAnswers(1);
    client.destroy();
    const code = next instanceof OperaError ? next.code : 'internal';
    assert.equal(answer?.status, errorTable[code].status);
    const body = JSON.parse(answer.body) as Record<string, string>;
    assert.deepEqual(Object.keys(body).sort(), ['code', 'message', 'requestId']);
    assert.deepEqual([body['code'], body['message']], [code, errorTable[code].title]);
    assert.doesNotMatch(answer.headers + answer.body, /canary/);
  }
  thrown = new OperaError('conflict', 'told to the caller', { details: { number: 7 } });
  const told = await failure(transport.call(mesh.to(listener, 'node'), 'ping', {}));
  assert.deepEqual([told.code, told.message, told.details], ['conflict', 'told to the caller', { number: 7 }]);
});

test('a caller that hangs up aborts the signal of its handler, and nothing is answered', async () => {
  const entered = gate();
  const aborted = gate();
  let reason: unknown;
  const listener = await mesh.listen('node', {
    ping: async ({ signal }) => {
      signal.addEventListener('abort', aborted.open);
      entered.open();
      await aborted.passed;
      // What throwIfAborted throws: no failure of the role, which would be logged as one.
      reason = signal.reason;
      return pong(mesh.network);
    },
  });
  const transport = await mesh.dial('client');
  const caller = new AbortController();
  const call = failure(transport.call(mesh.to(listener, 'node'), 'ping', {}, { signal: caller.signal }));
  await entered.passed;
  caller.abort();
  assert.equal((await call).code, 'aborted');
  await aborted.passed;
  assert.ok(isOperaError(reason, 'aborted'));
});

test('closing lets a request end, refuses new ones, and closes the connections that are left', async () => {
  const entered = gate();
  const release = gate();
  const big = new Uint8Array(4 * 1024 * 1024).fill(7);
  const handlers: Handlers = {
    ping: async () => pong(mesh.network),
    'chunk.read': async () => {
      entered.open();
      await release.passed;
      return { answer: { chunks: [], more: false }, binary: [big] };
    },
  };
  // A keep-alive connection that held the listener open would do so for hours.
  const listener = await mesh.listen('node', handlers, { times: { keepAliveTimeoutMs: hours } });
  const transport = await mesh.dial('client');
  const to = mesh.to(listener, 'node');
  await transport.call(to, 'ping', {});
  const silent = await RawClient.open(listener.port, credentials.client);
  const version = '0'.repeat(32) as never;
  const read = transport.call(to, 'chunk.read', { chunks: [{ version, index: 0 }] });
  await entered.passed;
  const closed = listener.close(hours);
  assert.ok((await failure(transport.call(to, 'ping', {}))).retry);
  release.open();
  assert.equal((await read).binary.length, big.length);
  await closed;
  assert.ok(await silent.waitForClose());
  assert.equal((await failure(transport.call(to, 'ping', {}))).code, 'unavailable');
});

test('a request that does not end is cut when the drain time is over', async () => {
  const entered = gate();
  const listener = await mesh.listen('node', {
    ping: async ({ signal }) => {
      entered.open();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return pong(mesh.network);
    },
  });
  const transport = await mesh.dial('client');
  const call = failure(transport.call(mesh.to(listener, 'node'), 'ping', {}));
  await entered.passed;
  await listener.close(50);
  assert.equal((await call).code, 'unavailable');
  await eventually(() => listener.connections === 0);
});

test('a connection that never begins its handshake does not hold a closing listener', async () => {
  const listener = await mesh.listen('node', {}, { times: { connectTimeoutMs: hours } });
  const raw = await import('node:net').then(({ connect: open }) => open(listener.port, '127.0.0.1'));
  raw.on('error', () => undefined);
  await eventually(() => listener.connections === 1);
  await listener.close(hours);
  raw.destroy();
});

test('a new certificate is shown to new connections while requests go on without a failure', async () => {
  let current = credentials.node;
  const listener = await mesh.listen(
    'node',
    {
      ping: async () => {
        await clock.sleep(1);
        return pong(mesh.network);
      },
    },
    { credentials: () => current },
  );
  const transport = await mesh.dial('client');
  const to = mesh.to(listener, 'node');
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const { key, certificate, authorities } = credentials.client;
      const trust = { key, cert: certificate, ca: [...authorities], checkServerIdentity: () => undefined };
      const socket = connect({ host: '127.0.0.1', port: listener.port, ...trust }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const first = await shown();
  let going = true;
  let calls = 0;
  const load = Array.from({ length: 4 }, async () => {
    while (going) {
      await transport.call(to, 'ping', {});
      calls++;
    }
  });
  for (let renewal = 0; renewal < 3; renewal++) {
    current = await credentialsOf(mesh.network, mesh.network.members.node);
    listener.updateCredentials();
    const before = calls;
    await eventually(() => calls > before + 8);
    await transport.reconnect();
    await eventually(() => calls > before + 16);
  }
  going = false;
  await Promise.all(load);
  assert.notEqual(await shown(), first);
});

test('no TLS session is resumed: every connection shows its certificate anew', async () => {
  const listener = await mesh.listen('node', {});
  const { key, certificate, authorities } = credentials.client;
  const trust = { key, cert: certificate, ca: [...authorities], checkServerIdentity: () => undefined };
  const visit = (session: Buffer | undefined): Promise<{ reused: boolean; session: Buffer | undefined }> =>
    new Promise((resolve, reject) => {
      let seen: Buffer | undefined;
      const options = { host: '127.0.0.1', port: listener.port, ...trust, ...(session ? { session } : {}) };
      let reused = true;
      const socket = connect(options, () => {
        reused = socket.isSessionReused();
        socket.write(requestOf('GET /livez HTTP/1.1', [host, 'Connection: close']));
      });
      socket.on('session', (next: Buffer) => {
        seen = next;
      });
      socket.on('error', reject);
      socket.on('close', () => resolve({ reused, session: seen }));
      socket.resume();
    });
  const { session } = await visit(undefined);
  assert.equal((await visit(session)).reused, false);
});

test('a revoked member is refused on its open connection, and cut off in the middle of a download', async () => {
  const own = await Mesh.create();
  created.push(own);
  const big = new Uint8Array(8 * 1024 * 1024).fill(1);
  const listener = await own.listen('node', {
    ping: async () => pong(own.network),
    'chunk.read': async () => ({ answer: { chunks: [], more: false }, binary: [big] }),
  });
  const { client } = own.network.members;
  const tls = await credentialsOf(own.network, client);
  const asking = await RawClient.open(listener.port, tls);
  asking.write(goodRequest());
  assert.equal((await asking.waitForAnswers(1))[0]?.status, 200);
  const reading = await RawClient.open(listener.port, tls);
  const body = '{"chunks":[{"version":"00000000000000000000000000000000","index":0}]}';
  const frame = `\0\0\0${String.fromCharCode(body.length)}${body}`;
  reading.socket.once('data', () => reading.socket.pause());
  reading.write(requestOf('POST /v1/chunk/read HTTP/1.1', [host, type, `Content-Length: ${frame.length}`], frame));
  await eventually(() => reading.text.length > 0);
  own.change({ revoke: [client.signer.keyHash] });
  asking.write(goodRequest());
  const refused = (await asking.waitForAnswers(2)).at(-1);
  assert.equal((JSON.parse(refused?.body ?? '{}') as { code: string }).code, 'revoked');
  assert.equal(listener.dropRevoked(), 2);
  reading.socket.resume();
  assert.ok(await reading.waitForClose());
  assert.ok(reading.text.length < big.length, 'the whole download came through');
  assert.equal(listener.dropRevoked(), 0);
});

test('a revocation that came by a fork of the roster, with the same number, counts on open connections', async () => {
  const own = await Mesh.create();
  created.push(own);
  const listener = await own.listen('node', { ping: async () => pong(own.network) });
  const client = await RawClient.open(listener.port, await credentialsOf(own.network, own.network.members.client));
  client.write(goodRequest());
  assert.equal((await client.waitForAnswers(1))[0]?.status, 200);
  const before = own.roster;
  own.change({ revoke: [own.network.members.client.signer.keyHash] });
  own.roster = withRevocationsOf(before, own.roster);
  assert.equal(own.roster.number, before.number);
  client.write(goodRequest());
  assert.equal((await client.waitForAnswers(2)).at(-1)?.status, 403);
  client.destroy();
});

test('a certificate that expires while its connection is open is refused from then on', async () => {
  let nowMs = clock.nowMs();
  const own = Object.assign(Object.create(clock) as typeof clock, { nowMs: () => nowMs });
  const listener = await mesh.listen('node', { ping: async () => pong(mesh.network) }, { clock: own });
  const client = await RawClient.open(listener.port, credentials.client);
  client.write(goodRequest());
  assert.equal((await client.waitForAnswers(1))[0]?.status, 200);
  nowMs += 8 * dayMs;
  client.write(goodRequest());
  assert.equal((await client.waitForAnswers(2)).at(-1)?.status, 401);
  client.destroy();
});

test('what the role does not admit is refused before its body is read', async () => {
  const listener = await mesh.listen(
    'node',
    { ping: async () => pong(mesh.network) },
    {
      admit: (peer) => {
        if (peer.role !== 'gateway') throw new OperaError('isolated');
      },
    },
  );
  const to = mesh.to(listener, 'node');
  assert.equal((await failure((await mesh.dial('client')).call(to, 'ping', {}))).code, 'isolated');
  assert.ok((await (await mesh.dial('gateway')).call(to, 'ping', {})).answer.ready);
});

test('a key that the roster does not list is kept out, though its certificate is good', async () => {
  const listener = await mesh.listen('node', { ping: async () => pong(mesh.network) });
  const stranger = createTestMember('operator');
  const client = await RawClient.open(listener.port, await credentialsOf(mesh.network, stranger));
  client.write(goodRequest());
  assert.equal((await client.waitForAnswers(1))[0]?.status, 401);
  client.destroy();
});

test('an address that is taken, or is not ours, is a configuration error that says so', async () => {
  const listener = await mesh.listen('node', {});
  const taken = await failure(mesh.listen('node', {}, { listen: { host: '127.0.0.1', port: listener.port } }));
  assert.equal(taken.code, 'config');
  assert.match(taken.message, /in use/);
  const foreign = await failure(mesh.listen('node', {}, { listen: { host: '203.0.113.7', port: 0 } }));
  assert.equal(foreign.code, 'config');
});
