// Getting files: ranges, other copies when one is damaged or away, and never a byte that was not verified.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fetchFile, parseRange, resolveRange } from '../../src/client/get.ts';
import { resolveName } from '../../src/client/open-file.ts';
import type { Session } from '../../src/client/session.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { FakeCluster, type StoredChunk } from '../support/fake-cluster.ts';
import { flipped } from '../support/identity-network.ts';
import { refuses, rejects } from '../support/refuses.ts';
import { content, mebibyte, newFolder, put, read } from '../support/client-files.ts';

const readRange = async (session: Session, name: string, from: number, to: number): Promise<Buffer> => {
  const { file, plan } = await resolveName(session, name);
  const parts: Uint8Array[] = [];
  for await (const part of fetchFile(session, plan, file, { from, to })) parts.push(part);
  return Buffer.concat(parts);
};

const alter = (chunk: StoredChunk, rehash: boolean): void => {
  chunk.body = flipped(chunk.body, 7);
  if (rehash) chunk.hash = sha256(chunk.body);
};

test('ranges are what slices of the content are, and cost only their segments', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const size = 8 * mebibyte + 70_000;
  const bytes = content(size);
  await put(session, 'f', bytes);
  const edge = fc.constantFrom(0, 1, 65_535, 65_536, 65_537, 4 * mebibyte - 1, 4 * mebibyte, 8 * mebibyte, size - 1);
  const near = fc.tuple(edge, fc.integer({ min: -2, max: 2 })).map(([at, by]) => Math.min(size, Math.max(0, at + by)));
  await fc.assert(
    fc.asyncProperty(near, near, async (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      if (from === to) return;
      assert.ok((await readRange(session, 'f', from, to)).equals(bytes.subarray(from, to)), `${from}-${to}`);
    }),
    { numRuns: 60, seed: 1 },
  );
  let sent = 0;
  cluster.net.answerFault = ({ route, request }) => {
    if (route !== 'chunk.read') return;
    const [chunk] = (request as { chunks: { from?: number; to?: number }[] }).chunks;
    sent += (chunk?.to ?? Number.POSITIVE_INFINITY) - (chunk?.from ?? 0);
  };
  assert.ok((await readRange(session, 'f', 100_000, 100_010)).equals(bytes.subarray(100_000, 100_010)));
  assert.equal(sent, 65_552);
});

test('ranges are written as in HTTP, and impossible ones are refused', () => {
  assert.deepEqual(resolveRange(parseRange('0-0'), 10), { from: 0, to: 1 });
  assert.deepEqual(resolveRange(parseRange('2-5'), 10), { from: 2, to: 6 });
  assert.deepEqual(resolveRange(parseRange('2-'), 10), { from: 2, to: 10 });
  assert.deepEqual(resolveRange(parseRange('2-999'), 10), { from: 2, to: 10 });
  assert.deepEqual(resolveRange(parseRange('2-9'), 10), { from: 2, to: 10 });
  assert.deepEqual(resolveRange(parseRange('2-99999999999999999999'), 10), { from: 2, to: 10 });
  assert.deepEqual(resolveRange(parseRange('-3'), 10), { from: 7, to: 10 });
  assert.deepEqual(resolveRange(parseRange('-30'), 10), { from: 0, to: 10 });
  for (const text of ['', '-', 'a-b', '5-2', '1-2-3', '-1-', '1.5-2', ' 1-2', '99999999999999999-']) {
    refuses(() => parseRange(text), 'usage');
  }
  assert.match(refuses(() => resolveRange(parseRange('10-'), 10), 'usage').message, /byte 10, .*10 bytes/);
  refuses(() => resolveRange(parseRange('-0'), 10), 'usage');
  refuses(() => resolveRange(parseRange('0-'), 0), 'usage');
});

test('a damaged copy is passed over, whether its hash or only its tag tells', async () => {
  for (const rehash of [false, true]) {
    const cluster = await FakeCluster.create();
    const session = await cluster.session();
    const bytes = content(4 * mebibyte + 100);
    const { version } = await put(session, 'f', bytes);
    const [first] = cluster.ownersOf(version, 0);
    const damaged = first?.chunks.get(`${version}/0`);
    assert.ok(damaged);
    alter(damaged, rehash);
    assert.ok((await read(session, 'f')).equals(bytes));
    assert.ok((await readRange(session, 'f', 0, 10)).equals(bytes.subarray(0, 10)), 'a range of it');
  }
});

test('copies that are cut, swapped, of another version or too long are passed over', async () => {
  const damages: readonly ((chunk: StoredChunk, others: readonly StoredChunk[]) => Uint8Array)[] = [
    ({ body }) => body.slice(0, -1),
    ({ body }) => body.slice(0, 65_552),
    ({ body }) => Buffer.concat([body, body.subarray(0, 65_552)]),
    ({ body }, [next]) => next?.body ?? body,
    ({ body }, [, stranger]) => stranger?.body ?? body,
    () => new Uint8Array(16),
    () => new Uint8Array(),
  ];
  for (const damage of damages) {
    const cluster = await FakeCluster.create();
    const session = await cluster.session();
    const bytes = content(4 * mebibyte + 100);
    const { version } = await put(session, 'f', bytes);
    const other = await put(session, 'g', content(4 * mebibyte, 2));
    const [first] = cluster.ownersOf(version, 0);
    const [holder] = cluster.ownersOf(version, 1);
    const [stranger] = cluster.ownersOf(other.version, 0);
    const [a, b, c] = [
      first?.chunks.get(`${version}/0`),
      holder?.chunks.get(`${version}/1`),
      stranger?.chunks.get(`${other.version}/0`),
    ];
    assert.ok(a && b && c);
    a.body = damage(a, [b, c]);
    a.hash = sha256(a.body);
    assert.ok((await read(session, 'f')).equals(bytes));
  }
});

test('when every copy is damaged the error is `integrity`, and not one byte comes out', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const { version } = await put(session, 'f', content(4 * mebibyte + 100));
  for (const node of cluster.nodes) {
    const chunk = node.chunks.get(`${version}/0`);
    if (chunk) alter(chunk, true);
  }
  const started = cluster.clock.monotonicMs();
  const { file, plan } = await resolveName(session, 'f');
  let bytes = 0;
  await rejects(
    (async () => {
      for await (const part of fetchFile(session, plan, file, undefined)) bytes += part.length;
    })(),
    'integrity',
  );
  assert.equal(bytes, 0);
  assert.ok(cluster.clock.monotonicMs() - started < 1_000, 'waiting would not mend it');
});

test('no copy in reach is `unavailable` after patience, and a short outage is ridden out', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const bytes = content(100);
  await put(session, 'f', bytes);
  const started = cluster.clock.monotonicMs();
  cluster.net.fault = ({ route }) => {
    if (route === 'chunk.read' && cluster.clock.monotonicMs() < started + 12_000) throw new OperaError('unavailable');
  };
  assert.ok((await read(session, 'f')).equals(bytes));
  cluster.net.fault = ({ route }) => {
    if (route === 'chunk.read') throw new OperaError('unavailable');
  };
  await rejects(read(session, 'f'), 'unavailable');
});

test('copies are looked for with the owners of older layouts, too', async () => {
  const cluster = await FakeCluster.create({ nodes: 6 });
  cluster.layouts.length = 0;
  cluster.addLayout(cluster.nodes.slice(0, 3));
  const session = await cluster.session();
  const bytes = content(4 * mebibyte + 100);
  await put(session, 'f', bytes);
  cluster.addLayout(cluster.nodes.slice(3));
  assert.ok((await read(await cluster.session(), 'f')).equals(bytes));
});

test('a layout that no master of the roster signed is refused', async () => {
  const cluster = await FakeCluster.create();
  await put(await cluster.session(), 'f', content(10));
  cluster.layouts.length = 0;
  cluster.addLayout(cluster.nodes, cluster.client);
  await rejects(read(await cluster.session(), 'f'), 'integrity');
});

test('an altered layout is refused', async () => {
  const cluster = await FakeCluster.create();
  await put(await cluster.session(), 'f', content(10));
  const [layout] = cluster.layouts;
  assert.ok(layout);
  Object.assign(layout.record, { bytes: flipped(layout.record.bytes, layout.record.bytes.length - 1) });
  await rejects(read(await cluster.session(), 'f'), 'integrity');
});

test('records of another name, version or network, and wrong chunk counts, are refused', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(10, 1));
  await put(session, 'g', content(10, 2));
  const [f, g] = [cluster.names.get('f'), cluster.names.get('g')];
  assert.ok(f && g);
  const lies = [
    { ...g, name: 'f' },
    g,
    { ...f, version: g.version },
    { ...f, chunkCount: 2 },
    { ...f, body: g.body },
    { ...f, wrap: g.wrap },
    { ...f, body: flipped(f.body, 30) },
  ];
  for (const lie of lies) {
    cluster.names.set('f', lie);
    await rejects(read(await cluster.session(), 'f'), 'integrity');
  }
  const foreign = await FakeCluster.create();
  await put(await foreign.session(), 'f', content(10));
  const theirs = foreign.names.get('f');
  assert.ok(theirs);
  cluster.names.set('f', theirs);
  await rejects(read(await cluster.session(), 'f'), 'integrity');
});

test('a get that was asked before the own put of the same name ended may see what was there before', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(10, 1));
  let between: (() => Promise<unknown>) | undefined = () => put(session, 'f', content(10, 2));
  // The network has answered the get, and the answer is still on its way when the put ends.
  cluster.net.answerFault = async ({ route }) => {
    if (route !== 'name.get') return;
    const work = between;
    between = undefined;
    await work?.();
  };
  assert.ok((await read(session, 'f')).equals(content(10, 1)));
  assert.ok((await read(session, 'f')).equals(content(10, 2)), 'who asks after the put sees it');
});

test('a sequence below one seen before is refused, also by a later process of the same home', async () => {
  const cluster = await FakeCluster.create();
  const home = newFolder();
  const session = await cluster.session(home);
  await put(session, 'f', content(10, 1));
  const old = cluster.names.get('f');
  assert.ok(old);
  await put(session, 'f', content(10, 2));
  cluster.names.set('f', old);
  await rejects(read(session, 'f'), 'integrity');
  await session.seen.save();
  await rejects(read(await cluster.session(home), 'f'), 'integrity');
  assert.ok((await read(await cluster.session(), 'f')).equals(content(10, 1)), 'who saw nothing cannot know');
});

test('ending a read early ends its transfers', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(28 * mebibyte));
  cluster.net.calls.length = 0;
  const { file, plan } = await resolveName(session, 'f');
  for await (const part of fetchFile(session, plan, file, undefined)) {
    assert.equal(part.length, 4 * mebibyte);
    break;
  }
  assert.ok(cluster.net.calls.filter(({ route }) => route === 'chunk.read').length <= 5);
});

test('a name that does not exist is `not-found`', async () => {
  const cluster = await FakeCluster.create();
  await rejects(read(await cluster.session(), 'none'), 'not-found');
});
