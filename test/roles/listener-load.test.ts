// Clients that are slow, silent, many or gone: the listener stays quick for the others and lets go of what they held.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { TlsCredentials } from '../../src/client/http-transport.ts';
import type { Handlers } from '../../src/client/transport.ts';
import { limits } from '../../src/model/limits.ts';
import type { Listener } from '../../src/roles/listener.ts';
import { eventually } from '../support/eventually.ts';
import { liveBytes } from '../support/garbage.ts';
import { clock, credentialsOf, failure, Mesh } from '../support/mesh.ts';
import { goodRequest, host, RawClient, requestOf, type } from '../support/raw-client.ts';

const times = {
  headersTimeoutMs: 300,
  requestTimeoutMs: 500,
  keepAliveTimeoutMs: 400,
  connectTimeoutMs: 400,
  answerTimeoutMs: 400,
  lingerMs: 100,
};
const megabyte = 1024 * 1024;
const hour = 3_600_000;
/** Floods grow with OPERA_TEST_LONG=1; the full size of each is for OPERA_TEST_BIG=1, and takes minutes. */
const sizes =
  process.env.OPERA_TEST_BIG === '1'
    ? { slowHeaders: 500, abortRounds: 50, halfOpen: 10_000 }
    : process.env.OPERA_TEST_LONG === '1'
      ? { slowHeaders: 40, abortRounds: 50, halfOpen: 500 }
      : { slowHeaders: 20, abortRounds: 5, halfOpen: 250 };
const line = 'POST /v1/chunk/copy HTTP/1.1';

let mesh: Mesh;
let listener: Listener;
let tls: TlsCredentials;
let entered = 0;

const big = new Uint8Array(8 * megabyte);
const handlers: Handlers = {
  ping: async () => {
    entered++;
    return { answer: { ready: true } as never };
  },
  'chunk.copy': async () => {
    entered++;
    return { answer: { outcomes: [] } };
  },
  'chunk.read': async () => ({ answer: { chunks: [], more: false }, binary: [big] }),
};

before(async () => {
  mesh = await Mesh.create();
  tls = await credentialsOf(mesh.network, mesh.network.members.node);
  listener = await mesh.listen('node', handlers, { times });
});
after(() => mesh.close());

/** Fails unless a health check is answered. */
const expectServed = async (by: Listener): Promise<void> => {
  const client = await RawClient.open(by.port, tls);
  client.write(requestOf('GET /livez HTTP/1.1', [host]));
  const [answer] = await client.waitForAnswers(1);
  client.destroy();
  assert.equal(answer?.status, 200);
};

const openMany = (port: number, count: number): Promise<RawClient[]> =>
  Promise.all(Array.from({ length: count }, () => RawClient.open(port, tls)));

/** A listener that lets nobody go in the time of a test: who is served there is served beside the others. */
const listenPatiently = (): Promise<Listener> =>
  mesh.listen('node', handlers, {
    times: {
      ...times,
      headersTimeoutMs: hour,
      requestTimeoutMs: hour,
      keepAliveTimeoutMs: hour,
      answerTimeoutMs: hour,
    },
  });

test('headers that do not end are answered 408 or cut, and others are served meanwhile', async () => {
  const unending = 'POST /v1/ping HTTP/1.1\r\nHost: opera.invalid\r\nX-Slow: ';
  const patient = await listenPatiently();
  const held = await openMany(patient.port, sizes.slowHeaders);
  for (const client of held) client.write(unending);
  await expectServed(patient);
  assert.ok(held.every(({ closed }) => !closed));
  for (const client of held) client.destroy();
  const slow = await openMany(listener.port, sizes.slowHeaders);
  for (const client of slow) client.write(unending);
  for (const client of slow) {
    assert.ok(await client.waitForClose());
    assert.ok(client.answers.every(({ status }) => status === 408));
  }
});

test('a body that trickles is cut when the time of a whole request is over', async () => {
  const client = await RawClient.open(listener.port, tls);
  client.write(requestOf(line, [host, type, 'Content-Length: 100000'], 'x'));
  await eventually(
    () => {
      client.write('x');
      return client.closed;
    },
    undefined,
    25,
  );
  assert.ok(client.answers.every(({ status }) => status === 408));
  assert.equal(entered, 0);
});

test('a connection that never shakes hands, or never asks, is closed', async () => {
  const before = listener.connections;
  const silent: Socket[] = Array.from({ length: 20 }, () => connect(listener.port, '127.0.0.1'));
  for (const socket of silent) socket.on('error', () => undefined);
  const idle = await RawClient.open(listener.port, tls);
  // Some may be gone again before the last of them came.
  await eventually(() => idle.closed || listener.connections === before + 21);
  assert.ok(await idle.waitForClose());
  await eventually(() => listener.connections === before);
  for (const socket of silent) socket.destroy();
});

test('a client that asks and never reads is cut off and its memory comes back', async () => {
  const body = '{"chunks":[{"version":"00000000000000000000000000000000","index":0}]}';
  const frame = `\0\0\0${String.fromCharCode(body.length)}${body}`;
  const askAndNeverRead = async (of: Listener): Promise<readonly RawClient[]> => {
    const never = await openMany(of.port, 20);
    for (const client of never) {
      client.socket.pause();
      client.write(requestOf('POST /v1/chunk/read HTTP/1.1', [host, type, `Content-Length: ${frame.length}`], frame));
    }
    return never;
  };
  const patient = await listenPatiently();
  const held = await askAndNeverRead(patient);
  await expectServed(patient);
  for (const client of held) client.destroy();
  await eventually(() => patient.connections === 0);
  const never = await askAndNeverRead(listener);
  await eventually(() => listener.connections === 0);
  for (const client of never) client.destroy();
});

test('hundreds of uploads that break off leave nothing behind and print nothing', async () => {
  entered = 0;
  const errors = mesh.lines.length;
  for (let round = 0; round < sizes.abortRounds; round++) {
    const clients = await openMany(listener.port, 20);
    for (const client of clients) {
      client.write(requestOf(line, [host, type, 'Content-Length: 1000000'], 'x'.repeat(20_000)));
    }
    await clock.sleep(5);
    for (const client of clients) client.destroy();
  }
  await eventually(() => listener.connections === 0);
  assert.equal(entered, 0);
  const lines = mesh.lines.slice(errors).join('');
  assert.doesNotMatch(lines, /"level":"(warn|error)"/);
  await expectServed(listener);
});

test('requests beyond the limit are told to come back, and are served when the others have ended', async () => {
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let inside = 0;
  const narrow = await mesh.listen(
    'gateway',
    {
      'join.nonce': async () => {
        inside++;
        await gate;
        return { answer: { nonce: new Uint8Array(40) } };
      },
    },
    { kind: 'join' },
  );
  const clients = await Promise.all(
    Array.from({ length: limits.requestsInFlightMax }, () => RawClient.open(narrow.port, undefined)),
  );
  for (const client of clients) client.write(goodRequest('/v1/join/nonce'));
  await eventually(() => inside === limits.requestsInFlightMax);
  const late = await RawClient.open(narrow.port, undefined);
  late.write(goodRequest('/v1/join/nonce'));
  assert.equal((await late.waitForAnswers(1))[0]?.status, 503);
  open();
  await Promise.all(clients.map((client) => client.waitForAnswers(1)));
  assert.ok(clients.every(({ answers }) => answers[0]?.status === 200));
  late.write(goodRequest('/v1/join/nonce'));
  assert.equal((await late.waitForAnswers(2)).at(-1)?.status, 200);
  for (const client of [...clients, late]) client.destroy();
});

test('many hundreds of half-open requests that vanish give their memory back', async () => {
  const transport = await mesh.dial('node');
  const to = mesh.to(listener, 'node');
  const flood = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 50) {
      const clients = await openMany(listener.port, 50);
      for (const client of clients) client.write(requestOf(line, [host, type, 'Content-Length: 4000000'], 'x'));
      for (const client of clients) client.destroy();
    }
    await eventually(() => listener.connections <= 8);
  };
  await flood(150);
  const before = liveBytes();
  await flood(sizes.halfOpen);
  await eventually(() => liveBytes() - before < 4 * megabyte);
  assert.ok(
    (await transport.call(to, 'chunk.read', { chunks: [{ version: '0'.repeat(32) as never, index: 0 }] })).binary,
  );
});

test('a body above the limit of its route is refused however it is sent, and memory stays flat', async () => {
  const client = await RawClient.open(listener.port, tls);
  const most = limits.binaryBytesMax + limits.messageBytesMax + 4;
  client.write(requestOf(line, [host, type, `Content-Length: ${most + 1}`], 'x'));
  assert.equal((await client.waitForAnswers(1))[0]?.status, 413);
  client.destroy();
  const before = process.memoryUsage().arrayBuffers;
  const chunked = await RawClient.open(listener.port, tls);
  chunked.write(requestOf(line, [host, type, 'Transfer-Encoding: chunked']));
  const part = Buffer.from(`100000\r\n${'x'.repeat(megabyte)}\r\n`, 'latin1');
  for (let i = 0; i < 20 && !chunked.closed; i++) {
    chunked.write(part);
    await clock.sleep(5);
  }
  assert.ok(await chunked.waitForClose());
  assert.deepEqual(
    chunked.answers.map(({ status }) => status),
    [413],
  );
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * megabyte);
  const transport = await mesh.dial('client');
  assert.equal((await failure(transport.call(mesh.to(listener, 'node'), 'chunk.copy', {} as never))).code, 'forbidden');
});
