// Bytes that no honest client sends, over real TLS: every one is refused with a code, none reaches a handler.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { TlsCredentials } from '../../src/client/http-transport.ts';
import type { Handlers } from '../../src/client/transport.ts';
import { errorTable } from '../../src/errors/errors.ts';
import { limits } from '../../src/model/limits.ts';
import type { Listener } from '../../src/roles/listener.ts';
import { encodeFrame } from '../../src/wire/frame.ts';
import { eventually } from '../support/eventually.ts';
import { credentialsOf, Mesh } from '../support/mesh.ts';
import { emptyBody, goodRequest, host, type RawAnswer, RawClient, requestOf, type } from '../support/raw-client.ts';

let mesh: Mesh;
let listener: Listener;
let tls: TlsCredentials;
let handled = 0;

before(async () => {
  mesh = await Mesh.create();
  tls = await credentialsOf(mesh.network, mesh.network.members.operator);
  const handlers: Handlers = {
    ping: async () => {
      handled++;
      return { answer: { memberId: mesh.network.members.node.memberId } as never };
    },
    'roster.since': async () => {
      handled++;
      return { answer: { rosters: [] } };
    },
  };
  // Those who send on after a refusal are soon cut off.
  listener = await mesh.listen('node', handlers, { times: { lingerMs: 100 } });
});
beforeEach(() => {
  handled = 0;
});
after(() => mesh.close());

const exchange = async (bytes: string | Uint8Array, answers = 1): Promise<readonly RawAnswer[]> => {
  const client = await RawClient.open(listener.port, tls);
  client.write(bytes);
  const got = await client.waitForAnswers(answers);
  client.destroy();
  return got;
};

/** All answers to what was sent: a connection that stays open is asked something more, which is answered after them. */
const exchangeAll = async (bytes: string | Uint8Array): Promise<readonly RawAnswer[]> => {
  const client = await RawClient.open(listener.port, tls);
  client.write(bytes);
  await client.waitForAnswers(1);
  client.write(requestOf('GET /livez HTTP/1.1', [host]));
  const isLast = ({ status, body }: RawAnswer): boolean => status === 200 && body === 'ok\n';
  await eventually(() => client.closed || client.answers.some(isLast));
  const got = client.answers;
  client.destroy();
  return got.filter((answer) => !isLast(answer));
};

/** Sends and expects exactly one answer with one of `statuses` (or a bare hang-up, 0), and no handler called. */
const refused = async (what: string, bytes: string | Uint8Array, ...statuses: readonly number[]): Promise<void> => {
  const answers = await exchangeAll(bytes);
  const got = answers.map(({ status }) => status);
  assert.ok(got.length <= 1 && statuses.includes(got[0] ?? 0), `${what}: ${got.join(' ') || 'closed'}`);
  assert.equal(handled, 0, `${what} reached a handler`);
};

test('a good request is answered, so that the others are refused for what is wrong with them', async () => {
  const [answer] = await exchange(goodRequest());
  assert.equal(answer?.status, 200);
  assert.equal(handled, 1);
});

test('two good requests one behind the other get two answers in order', async () => {
  const answers = await exchange(goodRequest() + goodRequest(), 2);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200],
  );
});

test('a socket that sends more and more without waiting for answers is cut off', async () => {
  const client = await RawClient.open(listener.port, tls);
  client.write(goodRequest().repeat(limits.requestsPipelinedMax * 10));
  assert.ok(await client.waitForClose());
  assert.ok(handled <= limits.requestsPipelinedMax);
});

// ---- request smuggling (RFC 9112 sections 2.2, 5.1, 6.1, 6.3, 11.2)
// A handler would take it, were it seen.
const smuggled = goodRequest();
const line = 'POST /v1/ping HTTP/1.1';
const length = `Content-Length: ${emptyBody.length}`;
const chunkedBody = `${emptyBody.length.toString(16)}\r\n${emptyBody}\r\n0\r\n\r\n`;

const smuggling: Readonly<Record<string, string>> = {
  'Content-Length and Transfer-Encoding': requestOf(
    line,
    [host, type, length, 'Transfer-Encoding: chunked'],
    `0\r\n\r\n${smuggled}`,
  ),
  'Transfer-Encoding and Content-Length': requestOf(
    line,
    [host, type, 'Transfer-Encoding: chunked', length],
    `0\r\n\r\n${smuggled}`,
  ),
  'an unknown transfer encoding': requestOf(line, [host, type, 'Transfer-Encoding: xchunked'], chunkedBody + smuggled),
  'chunked not last': requestOf(line, [host, type, 'Transfer-Encoding: chunked, identity'], chunkedBody + smuggled),
  'a compressed transfer': requestOf(line, [host, type, 'Transfer-Encoding: gzip, chunked'], chunkedBody),
  'two lengths that differ': requestOf(line, [host, type, length, 'Content-Length: 0'], emptyBody + smuggled),
  'two equal lengths': requestOf(line, [host, type, length, length], emptyBody),
  'a list of lengths': requestOf(
    line,
    [host, type, `Content-Length: ${emptyBody.length}, ${emptyBody.length}`],
    emptyBody,
  ),
  'a signed length': requestOf(line, [host, type, 'Content-Length: +2'], emptyBody),
  'a negative length': requestOf(line, [host, type, 'Content-Length: -1'], emptyBody),
  'a hexadecimal length': requestOf(line, [host, type, 'Content-Length: 0x6'], emptyBody),
  'a length beyond 2^64': requestOf(line, [host, type, 'Content-Length: 99999999999999999999999'], emptyBody),
  'bare line feeds': goodRequest().replaceAll('\r\n', '\n'),
  'a space before the colon': requestOf(line, [host, type, `Content-Length : ${emptyBody.length}`], emptyBody),
  'a folded header': requestOf(line, [host, type, length, 'X-Long: one', ' two'], emptyBody),
  'a NUL in a header': requestOf(line, [host, type, length, 'X-Nul: a\0b'], emptyBody),
  'a bare CR in a header': requestOf(line, [host, type, length, 'X-Cr: a\rb'], emptyBody),
  'a header without a name': requestOf(line, [host, type, length, ': nothing'], emptyBody),
  'a chunk size with a sign': requestOf(
    line,
    [host, type, 'Transfer-Encoding: chunked'],
    `+6\r\n${emptyBody}\r\n0\r\n\r\n`,
  ),
  'a chunk size beyond 2^64': requestOf(
    line,
    [host, type, 'Transfer-Encoding: chunked'],
    `fffffffffffffffff\r\n${emptyBody}`,
  ),
  'HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'HTTP/9.9': goodRequest().replace('HTTP/1.1', 'HTTP/9.9'),
  'not HTTP at all': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  // h3 v1, CVE-2026-23527: the check of Transfer-Encoding was case-sensitive.
  'a transfer encoding in odd case with a length': requestOf(
    line,
    [host, type, length, 'transfer-encoding: ChUnKeD'],
    `0\r\n\r\n${smuggled}`,
  ),
};

for (const [what, bytes] of Object.entries(smuggling)) {
  test(`smuggling: ${what} is refused with one answer and no second request is seen`, async () => {
    await refused(what, bytes, 0, 400, 408, 411, 413, 415, 501, 505);
  });
}

test('smuggling: a request line of HTTP/0.9 gets no answer but that its headers did not come in time', async () => {
  const hasty = await mesh.listen('node', {}, { times: { headersTimeoutMs: 200 } });
  const client = await RawClient.open(hasty.port, tls);
  client.write('GET /livez\r\n');
  assert.ok(await client.waitForClose());
  assert.ok(client.answers.every(({ status }) => [400, 408].includes(status)));
});

test('headers beyond 8 KiB get 431 and the connection ends', async () => {
  const client = await RawClient.open(listener.port, tls);
  client.write(requestOf(line, [host, type, length, `X-Long: ${'x'.repeat(20_000)}`], emptyBody));
  assert.ok(await client.waitForClose());
  assert.deepEqual(
    client.answers.map(({ status }) => status),
    [431],
  );
});

// ---- paths and hosts
const paths: readonly string[] = [
  '/v1/x/../ping',
  '/v1/%2e%2e/v1/ping',
  '/v1/./ping',
  '//v1/ping',
  '/v1//ping',
  '/v1/ping/',
  '/v1/ping?x=1',
  '/v1/ping#x',
  '/v1/ping%00',
  '/v1%2fping',
  '/v1/%70ing',
  '/V1/PING',
  '\\v1\\ping',
  '/v1\\ping',
  '/v1/ping;x',
  '/',
  '*',
  '/v1/chunk/store',
  '/v1/join/bundle',
  `/${'a'.repeat(4_000)}`,
];

test('only the exact path of a route is one: dots, escapes, slashes and queries are not resolved', async () => {
  for (const path of paths) await refused(path, goodRequest(path), 0, 400, 404);
});

test('a target that names another host is refused, whatever its path', async () => {
  for (const target of ['http://evil.example/v1/ping', 'https://opera.invalid/v1/ping', 'evil.example:443']) {
    await refused(target, goodRequest(target), 400);
  }
});

test('Host is one plausible host: none, two, or one with a path in it are refused', async () => {
  const hosts: readonly (readonly string[])[] = [
    [],
    [host, 'Host: other.invalid'],
    [host, host],
    // h3, CVE-2026-33131: what stands behind the host was taken for the path.
    ['Host: localhost:3000/abc?'],
    ['Host: x:1/v1/roster/since?'],
    ['Host: a b'],
    ['Host: user@opera.invalid'],
    ['Host: '],
  ];
  for (const lines of hosts) {
    await refused(lines.join(), requestOf(line, [...lines, type, length], emptyBody), 400);
  }
});

test('other methods are refused, and so is a tunnel', async () => {
  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'OPTIONS', 'PROPFIND']) {
    await refused(method, requestOf(`${method} /v1/ping HTTP/1.1`, [host, type, length], emptyBody), 405);
  }
  // Its answer has no body, and cannot be told from the next one: it is asked alone.
  const head = await RawClient.open(listener.port, tls);
  head.write(requestOf('HEAD /v1/ping HTTP/1.1', [host, type, length], emptyBody));
  await eventually(() => head.answers[0]?.status === 405);
  head.destroy();
  await refused('CONNECT', requestOf('CONNECT opera.invalid:443 HTTP/1.1', [host]), 0, 400, 405);
  await refused('POST', goodRequest('/livez'), 405);
});

test('an upgrade to another protocol is not taken up', async () => {
  const answers = await exchange(goodRequest('/v1/ping', ['Connection: Upgrade', 'Upgrade: h2c']));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200],
  );
  assert.doesNotMatch(answers[0]?.headers ?? '', /upgrade/i);
});

// ---- encodings and bodies
test('compressed bodies are refused unread, however much they would unfold to', async () => {
  const before = process.memoryUsage().rss;
  for (const encoding of ['gzip', 'br', 'deflate', 'zstd', 'identity, gzip']) {
    const bomb = requestOf(
      line,
      [host, type, 'Content-Length: 10000000', `Content-Encoding: ${encoding}`],
      '\x1f\x8b\x08',
    );
    await refused(encoding, bomb, 415);
  }
  assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
});

test('another content type is refused', async () => {
  for (const other of ['Content-Type: application/json', 'Content-Type: text/plain', 'X-None: 1']) {
    await refused(other, requestOf(line, [host, other, length], emptyBody), 415);
  }
});

test('a stated length above the limit gets 413 at once, and the connection ends', async () => {
  const client = await RawClient.open(listener.port, tls);
  client.write(requestOf(line, [host, type, `Content-Length: ${limits.messageBytesSmall + 100_000}`], 'x'));
  const answers = await client.waitForAnswers(1);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [413],
  );
  assert.match(answers[0]?.headers ?? '', /connection: close/i);
  assert.ok(await client.waitForClose());
  assert.equal(handled, 0);
});

test('a chunked body above the limit gets 413 while it comes, and what follows it is not a request', async () => {
  const client = await RawClient.open(listener.port, tls);
  client.write(requestOf(line, [host, type, 'Transfer-Encoding: chunked']));
  const part = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
  for (let i = 0; i < 12; i++) client.write(part);
  client.write(`0\r\n\r\n${smuggled}`);
  assert.ok(await client.waitForClose());
  assert.deepEqual(
    client.answers.map(({ status }) => status),
    [413],
  );
  assert.equal(handled, 0);
  assert.equal((await exchange(goodRequest()))[0]?.status, 200);
});

test('a body shorter than its length is no request, and a longer one leaves a request that is none', async () => {
  const short = await RawClient.open(listener.port, tls);
  short.write(requestOf(line, [host, type, `Content-Length: ${emptyBody.length + 10}`], emptyBody));
  short.socket.end();
  await short.waitForClose();
  assert.equal(handled, 0);
  // What follows the body is read as a request at once, so that its refusal may overtake the answer.
  const answers = await exchange(requestOf(line, [host, type, length], `${emptyBody}garbage\r\n\r\n`), 2);
  assert.equal(answers.at(-1)?.status, 400);
  assert.equal(handled, 1);
});

const framed = (json: string): string => {
  const bytes = Buffer.from(json, 'utf8');
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes.length);
  const body = Buffer.concat([head, bytes]).toString('latin1');
  return requestOf('POST /v1/roster/since HTTP/1.1', [host, type, `Content-Length: ${body.length}`], body);
};

test('JSON that is broken, deep, doubled or out of range gets 400 and pollutes nothing', async () => {
  const cases: readonly string[] = [
    '{',
    '{"number":"1","number":"2"}',
    '{"__proto__":{"polluted":1},"number":"1"}',
    '{"constructor":{"prototype":{"polluted":1}},"number":"1"}',
    '['.repeat(30_000),
    `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
    '{"number":1e308}',
    '{"number":99999999999999999999999999}',
    '{"number":"-1"}',
    '{"number":"18446744073709551616"}',
    '{"number":"1","extra":true}',
    'null',
    '',
    '"\\ud800"',
  ];
  for (const json of cases) {
    const [answer] = await exchange(framed(json));
    assert.equal(answer?.status, 400, json.slice(0, 60));
    assert.equal((JSON.parse(answer.body) as { code: string }).code, 'bad-request');
  }
  assert.equal(handled, 0);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

test('what a refused message said is not repeated to its sender', async () => {
  const [answer] = await exchange(framed('{"number":"1","canary-9731":"canary-9731"}'));
  assert.equal(answer?.status, 400);
  assert.doesNotMatch(answer.body, /canary/);
});

test('a body where none belongs is refused', async () => {
  const body = Buffer.concat([...encodeFrame({ number: '1' }), Buffer.from('x')]).toString('latin1');
  const bytes = requestOf('POST /v1/roster/since HTTP/1.1', [host, type, `Content-Length: ${body.length}`], body);
  await refused('binary part', bytes, 413);
});

test('answers are of the closed table and carry no server name, stack or path', async () => {
  const all = [...Object.values(smuggling), ...paths.map((path) => goodRequest(path))];
  for (const bytes of all.slice(0, 30)) {
    for (const { headers, body } of await exchange(bytes)) {
      assert.doesNotMatch(headers, /^(server|x-powered-by):/im);
      if (body === '' || body.includes('memberId') || body.includes('rosters')) continue;
      const error = JSON.parse(body) as { code: string; requestId: string };
      assert.ok(Object.hasOwn(errorTable, error.code));
      assert.match(error.requestId, /^[0-9a-f]{16}$/);
      assert.doesNotMatch(body, /node_modules|\.ts|\.js|\/work|Error:|\bat /);
    }
  }
});
