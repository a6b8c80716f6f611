// The transport against real listeners and hostile servers: whom it talks to, how calls end, what it leaves behind.
import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { HttpTransport, TlsCredentials } from '../../src/client/http-transport.ts';
import type { Destination, Handlers } from '../../src/client/transport.ts';
import type { CertificateClaims } from '../../src/identity/certificate.ts';
import { limits } from '../../src/model/limits.ts';
import type { Role } from '../../src/model/roles.ts';
import type { Listener } from '../../src/roles/listener.ts';
import { encodeFrame } from '../../src/wire/frame.ts';
import { eventually, patienceMs } from '../support/eventually.ts';
import { liveBytes } from '../support/garbage.ts';
import { createTestMember } from '../support/identity-network.ts';
import { clock, credentialsOf, dayMs, failure, Mesh } from '../support/mesh.ts';

let mesh: Mesh;
let foreign: Mesh;
let listener: Listener;
let tls: TlsCredentials;
const servers: Server[] = [];
const meshes: Mesh[] = [];

const pong = { memberId: '', role: 'node', instance: '0'.repeat(32), ready: true, rosterNumber: '1', nowMs: 1 };
const handlersOf = (of: Mesh): Handlers => ({
  ping: async () => ({
    answer: { ...pong, memberId: of.network.members.node.memberId, role: 'node', rosterNumber: 1n },
  }),
  'chunk.read': async ({ request }) => ({
    answer: { chunks: [], more: false },
    binary: [new Uint8Array((request.chunks[0]?.index ?? 0) + 1).fill(5)],
  }),
});

before(async () => {
  mesh = await Mesh.create();
  foreign = await Mesh.create();
  meshes.push(mesh, foreign);
  listener = await mesh.listen('node', handlersOf(mesh));
  tls = await credentialsOf(mesh.network, mesh.network.members.node);
});
afterEach(() => {
  mesh.roster = mesh.network.roster;
});
after(async () => {
  await Promise.all(meshes.map((each) => each.close()));
  for (const server of servers) server.close();
});

const ping = (transport: HttpTransport, to: Destination, options = {}) => transport.call(to, 'ping', {}, options);
const read = (transport: HttpTransport, to: Destination, index: number) =>
  transport.call(to, 'chunk.read', { chunks: [{ version: '0'.repeat(32) as never, index }] });

/** A server with a certificate of ours that answers every request's bytes as `answer` says. */
const hostile = async (answer: (socket: TLSSocket) => void, shown: TlsCredentials = tls): Promise<Destination> => {
  const { key, certificate, authorities } = shown;
  const options = { key, cert: certificate, ca: [...authorities], minVersion: 'TLSv1.3' as const };
  const server = createServer({ ...options, requestCert: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => answer(socket));
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const { memberId } = mesh.network.members.node;
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, expect: { memberId } };
};

const frame = (message: unknown): Buffer => Buffer.concat(encodeFrame(message));
const http = (status: string, body: Buffer | string, headers: readonly string[] = []): Buffer => {
  const bytes = Buffer.from(body);
  const head = [`HTTP/1.1 ${status}`, `content-length: ${bytes.length}`, ...headers, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head), bytes]);
};

// ---- whom it talks to

test('a call reaches the expected member, by id or by role, and carries binary parts both ways', async () => {
  const transport = await mesh.dial('client');
  assert.equal((await ping(transport, mesh.to(listener, 'node'))).answer.ready, true);
  const byRole = { address: `127.0.0.1:${listener.port}`, expect: { role: 'node' as const } };
  assert.equal((await read(transport, byRole, 99_999)).binary.length, 100_000);
});

test('another member, another role, another network, a revoked and an unlisted peer are told apart', async () => {
  const address = `127.0.0.1:${listener.port}`;
  const transport = await mesh.dial('client');
  const { members } = mesh.network;
  const expecting = (expect: Destination['expect']) => failure(ping(transport, { address, expect }));
  assert.equal((await expecting({ memberId: members.gateway.memberId })).code, 'peer-mismatch');
  assert.equal((await expecting({ role: 'master' })).code, 'peer-mismatch');
  const elsewhere = await foreign.listen('node', handlersOf(foreign));
  const other = await failure(ping(transport, foreign.to(elsewhere, 'node')));
  assert.equal(other.code, 'unauthenticated');
  assert.match(other.message, /another network/);
  mesh.change({ revoke: [members.node.signer.keyHash] });
  assert.equal((await expecting({ memberId: members.node.memberId })).code, 'revoked');
  mesh.roster = mesh.network.roster;
  const stranger = createTestMember('node');
  const to = await hostile(() => assert.fail('a byte was sent'), await credentialsOf(mesh.network, stranger));
  const unlisted = await failure(ping(transport, { ...to, expect: { memberId: stranger.memberId } }));
  assert.equal(unlisted.code, 'unauthenticated');
  assert.match(unlisted.message, /not in roster/);
});

test('no byte of a request leaves before the other side is checked', async () => {
  let bytes = 0;
  const to = await hostile(() => {
    bytes++;
  });
  const transport = await mesh.dial('client');
  const { memberId } = mesh.network.members.gateway;
  assert.equal((await failure(ping(transport, { ...to, expect: { memberId } }))).code, 'peer-mismatch');
  await clock.sleep(30);
  assert.equal(bytes, 0);
});

test('the check of the peer runs whether or not anybody wants to hear of it, and tells who wants to', async () => {
  const told: CertificateClaims[] = [];
  const transport = await mesh.dial('client', { onPeer: (claims) => told.push(claims) });
  const to = mesh.to(listener, 'node');
  await ping(transport, to);
  await ping(transport, to);
  assert.ok(told.length > 0);
  assert.ok(told.every(({ memberId }) => memberId === mesh.network.members.node.memberId));
});

test('a connection that was opened before its peer was revoked is not used again', async () => {
  const transport = await mesh.dial('client');
  const to = mesh.to(listener, 'node');
  for (let i = 0; i < 3; i++) {
    await ping(transport, to);
    // An idle connection is what must not be used again.
    await clock.sleep(20);
  }
  mesh.change({ revoke: [mesh.network.members.node.signer.keyHash] });
  assert.equal((await failure(ping(transport, to))).code, 'revoked');
});

test('calls under way with a member that is revoked are cut', async () => {
  let asked = false;
  const to = await hostile(() => {
    asked = true;
  });
  const transport = await mesh.dial('client');
  const call = failure(ping(transport, to, { timeoutMs: patienceMs }));
  await eventually(() => asked);
  mesh.change({ revoke: [mesh.network.members.node.signer.keyHash] });
  assert.equal(await transport.dropRevoked(), 1);
  assert.equal((await call).code, 'revoked');
});

// ---- certificates: what the command line prints (row 9)

const reasonsOf = async (
  server: { readonly role?: Role; readonly nowMs?: number; readonly of?: Mesh } | undefined,
  client: { readonly nowMs?: number; readonly of?: Mesh; readonly none?: true } = {},
): Promise<{ code: string; message: string }> => {
  const now = clock.nowMs();
  const of = server?.of ?? mesh;
  const serving = await credentialsOf(of.network, of.network.members.node, { nowMs: server?.nowMs ?? now });
  const shown = { ...serving, authorities: tls.authorities };
  const at = await mesh.listen('node', handlersOf(mesh), { credentials: () => shown });
  const from = client.of ?? mesh;
  const mine = await credentialsOf(from.network, from.network.members.client, { nowMs: client.nowMs ?? now });
  const dialled = await mesh.dial('client', {
    credentials: () => (client.none ? undefined : { ...mine, authorities: tls.authorities }),
    authorities: tls.authorities,
  });
  return failure(ping(dialled, mesh.to(at, 'node')));
};

const mtls: readonly (readonly [string, () => Promise<{ code: string; message: string }>, RegExp])[] = [
  ['none', () => reasonsOf({}, { none: true }), /wants a certificate/],
  ['one of another network', () => reasonsOf({}, { of: foreign }), /our certificate is of another network/],
  ['one that expired', () => reasonsOf({}, { nowMs: clock.nowMs() - 8 * dayMs }), /our certificate expired/],
  ['one of tomorrow', () => reasonsOf({}, { nowMs: clock.nowMs() + dayMs }), /our certificate is not valid yet/],
];
for (const [what, run, reason] of mtls) {
  test(`a client that shows ${what} is refused by the handshake, and told about its own certificate`, async () => {
    const error = await run();
    assert.equal(error.code, 'unauthenticated', error.message);
    assert.match(error.message, reason);
  });
}

test('a server with a certificate of another network, expired or of tomorrow is refused with that reason', async () => {
  const now = clock.nowMs();
  const cases: readonly (readonly [Parameters<typeof reasonsOf>[0], RegExp])[] = [
    [{ of: foreign }, /another network/],
    [{ nowMs: now - 8 * dayMs }, /the other side expired/],
    [{ nowMs: now + dayMs }, /other side is not valid yet/],
  ];
  for (const [server, reason] of cases) {
    const error = await reasonsOf(server);
    assert.equal(error.code, 'unauthenticated', error.message);
    assert.match(error.message, reason);
  }
});

// ---- how calls end

test('nobody listening, a hang-up and a silent server are unavailable, unavailable and timeout', async () => {
  const transport = await mesh.dial('client');
  const { memberId } = mesh.network.members.node;
  const gone = await mesh.listen('node', {});
  const address = `127.0.0.1:${gone.port}`;
  await gone.close(0);
  const refused = await failure(ping(transport, { address, expect: { memberId } }));
  assert.deepEqual([refused.code, refused.details?.['reason']], ['unavailable', 'ECONNREFUSED']);
  const hangsUp = await hostile((socket) => socket.destroy());
  assert.equal((await failure(ping(transport, hangsUp))).code, 'unavailable');
  const silent = await hostile(() => undefined);
  assert.equal((await failure(ping(transport, silent, { timeoutMs: 80 }))).code, 'timeout');
});

test('a call ends as soon as its signal aborts: before it begins, while it waits, while the answer comes', async () => {
  const transport = await mesh.dial('client');
  const to = mesh.to(listener, 'node');
  assert.equal((await failure(ping(transport, to, { signal: AbortSignal.abort() }))).code, 'aborted');
  const silent = await hostile(() => undefined);
  const half = await hostile((socket) => socket.write(http('200 OK', frame(pong)).subarray(0, 60)));
  for (const slow of [silent, half]) {
    const caller = new AbortController();
    const call = failure(ping(transport, slow, { signal: caller.signal, timeoutMs: patienceMs }));
    await clock.sleep(40);
    caller.abort();
    assert.equal((await call).code, 'aborted');
  }
  assert.equal((await failure(ping(transport, half, { timeoutMs: 80 }))).code, 'timeout');
});

test('a call ends with its deadline or signal while a machine that stands still takes the connection', async (t) => {
  const taken: Socket[] = [];
  let given = 0;
  const still = createTcpServer((socket) => {
    taken.push(socket);
    socket.on('close', () => given++);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    for (const socket of taken) socket.destroy();
    still.close();
  });
  await once(still, 'listening');
  const { port } = still.address() as AddressInfo;
  const to = { address: `127.0.0.1:${port}`, expect: { role: 'node' } } as const;
  const transport = await mesh.dial('client');
  assert.equal((await failure(ping(transport, to, { timeoutMs: 50 }))).code, 'timeout');
  const stop = new AbortController();
  const call = failure(ping(transport, to, { signal: stop.signal }));
  stop.abort();
  assert.equal((await call).code, 'aborted');
  assert.equal(given, 0, 'the call waited until its connection was given up');
});

test('an answer that is too large ends the call and its connection, stated or not', async () => {
  const transport = await mesh.dial('client');
  const most = limits.binaryBytesMax + limits.messageBytesMax + 4;
  let closed = 0;
  const stated = await hostile((socket) => {
    socket.on('close', () => closed++);
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${most + 1}\r\n\r\nx`);
  });
  assert.equal((await failure(ping(transport, stated))).code, 'too-large');
  const part = Buffer.from(`100000\r\n${'x'.repeat(1024 * 1024)}\r\n`);
  const unstated = await hostile((socket) => {
    socket.on('close', () => closed++);
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    for (let i = 0; i < 14; i++) socket.write(part);
  });
  assert.equal((await failure(ping(transport, unstated, { timeoutMs: patienceMs }))).code, 'too-large');
  await eventually(() => closed === 2);
});

const garbage: Readonly<Record<string, Buffer>> = {
  'no HTTP': Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
  'an empty body': http('200 OK', ''),
  'a page': http('200 OK', '<html>hello</html>'),
  'a lying frame': http('200 OK', Buffer.from([0xff, 0xff, 0xff, 0xff, 1])),
  'another message': http('200 OK', frame({ hello: 1 })),
  'a message that is none of the route': http('200 OK', frame([])),
  'an error that is none of ours': http('500 Oops', '<html>stack</html>'),
  'an unknown code': http('500 Oops', '{"code":"toString","message":"x","requestId":"1"}'),
  'a redirect': http('302 Found', '', ['location: https://evil.example/']),
  'headers without end': Buffer.from(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
  'a body shorter than stated': Buffer.concat([http('200 OK', frame(pong)).subarray(0, -5)]),
  'two lengths': Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'),
  'an interim answer for ever': Buffer.from('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(50)),
};
for (const [what, bytes] of Object.entries(garbage)) {
  test(`garbage from the right member is unavailable, never a crash: ${what}`, async () => {
    const to = await hostile((socket) => socket.end(bytes));
    const error = await failure(ping(await mesh.dial('client'), to, { timeoutMs: patienceMs }));
    assert.equal(error.code, 'unavailable', error.message);
    assert.doesNotMatch(error.message, /hello|stack|evil/);
  });
}

test('compressed answers are not unfolded', async () => {
  const { gzipSync } = await import('node:zlib');
  const bytes = http('200 OK', gzipSync(frame(pong)), ['content-encoding: gzip']);
  const to = await hostile((socket) => socket.end(bytes));
  assert.equal((await failure(ping(await mesh.dial('client'), to))).code, 'unavailable');
});

// ---- what it leaves behind

test('reconnecting while calls are under way fails none of them', async () => {
  const transport = await mesh.dial('client');
  const to = mesh.to(listener, 'node');
  let going = true;
  let calls = 0;
  const lanes = Array.from({ length: 6 }, async () => {
    while (going) {
      assert.equal((await read(transport, to, 50_000)).binary.length, 50_001);
      calls++;
    }
  });
  for (let round = 1; round <= 8; round++) {
    await transport.reconnect();
    await eventually(() => calls > round * 10);
  }
  going = false;
  await Promise.all(lanes);
});

test('a thousand calls use a handful of connections, and closing leaves none', async () => {
  const own = await mesh.listen('node', handlersOf(mesh));
  const transport = await mesh.dial('client');
  const to = mesh.to(own, 'node');
  const stop = new AbortController();
  const batch = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 20) {
      await Promise.all(Array.from({ length: 20 }, () => ping(transport, to, { signal: stop.signal })));
    }
  };
  await batch(200);
  const before = liveBytes();
  await batch(1_000);
  assert.ok(own.connections <= limits.connectionsPerPeer, `${own.connections} connections`);
  assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
  await eventually(() => liveBytes() - before < 2 * 1024 * 1024);
  await transport.close();
  await eventually(() => own.connections === 0);
  assert.equal((await failure(ping(transport, to))).code, 'not-ready');
});

test('a peer with a bad certificate, dialled again and again, leaves no sockets', async () => {
  const to = await hostile(() => undefined);
  const transport = await mesh.dial('client');
  const wrong = { ...to, expect: { memberId: mesh.network.members.gateway.memberId } };
  const open = (): number => process.getActiveResourcesInfo().filter((name) => name.includes('TCPSocket')).length;
  const before = open();
  for (let i = 0; i < 40; i++) assert.equal((await failure(ping(transport, wrong))).code, 'peer-mismatch');
  await eventually(() => open() <= before + 2);
});
