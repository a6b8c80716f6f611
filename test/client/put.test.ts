// Putting files: every size comes back as it went, whatever fails on the way; one seal for each chunk.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { sourceOfBytes, sourceOfStream } from '../../src/client/byte-source.ts';
import { putFile } from '../../src/client/put.ts';
import { isOperaError, OperaError } from '../../src/errors/errors.ts';
import { parseVersionId } from '../../src/model/ids.ts';
import { rejects } from '../support/refuses.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { limits } from '../../src/model/limits.ts';
import { content, mebibyte, put, read } from '../support/client-files.ts';

const sizes = [0, 1, 65_535, 65_536, 65_537, 4 * mebibyte - 1, 4 * mebibyte, 4 * mebibyte + 1, 8 * mebibyte + 5];

const code = (expected: string) => (error: unknown) => isOperaError(error) && error.code === expected;

/** Every address that was ever sent carried one and the same bytes. */
const assertSealedOnce = (cluster: FakeCluster): void => {
  const hashes = new Map<string, string>();
  for (const { key, body } of cluster.sent) {
    const hash = createHash('sha256').update(body).digest('hex');
    assert.equal(hashes.get(key) ?? hash, hash, `chunk ${key} was sent with two contents`);
    hashes.set(key, hash);
  }
};

test('files of every boundary size come back as they were put, from a file and from a stream', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  for (const size of sizes) {
    const bytes = content(size);
    const result = await put(session, `f/${size}`, bytes);
    assert.equal(result.size, size);
    assert.equal(result.chunkCount, Math.max(1, Math.ceil(size / (4 * mebibyte))));
    assert.ok((await read(session, `f/${size}`)).equals(bytes), `${size}`);
    const pieces = (async function* () {
      for (let at = 0; at < size; at += 100_003) yield bytes.subarray(at, at + 100_003);
    })();
    await putFile(session, sourceOfStream(pieces), { name: `s/${size}` });
    assert.ok((await read(session, `s/${size}`)).equals(bytes), `stream of ${size}`);
  }
  assertSealedOnce(cluster);
});

test('a file of one chunk takes two round trips: one to open, one to store and commit', async () => {
  const cluster = await FakeCluster.create();
  await put(await cluster.session(), 'small', content(1000));
  assert.deepEqual(
    cluster.net.calls.map(({ route }) => route),
    ['upload.open', 'chunk.store'],
  );
});

test('a chunk goes to the first owner of its partition, and not to others while that one answers', async () => {
  const cluster = await FakeCluster.create({ nodes: 5 });
  const { version } = await put(await cluster.session(), 'big', content(8 * mebibyte + 5));
  for (let index = 0; index < 3; index++) {
    const asked = cluster.sent.filter(({ key }) => key === `${version}/${index}`).map(({ node }) => node);
    assert.deepEqual(asked, [cluster.ownersOf(version, index)[0]?.address]);
  }
});

test('a node that the network takes for dead is asked last', async () => {
  const cluster = await FakeCluster.create();
  const [dead] = cluster.nodes;
  assert.ok(dead);
  dead.state = 'down';
  let asked = 0;
  cluster.net.fault = ({ to }) => {
    if (to.address !== dead.address) return;
    asked++;
    throw new OperaError('unavailable');
  };
  const session = await cluster.session();
  for (let at = 0; at < 10; at++) await put(session, `f${at}`, content(10));
  assert.equal(asked, 0);
});

test('an owner that did not answer is avoided for a while, and then asked again', async () => {
  const cluster = await FakeCluster.create();
  const [silent] = cluster.nodes;
  assert.ok(silent);
  let asked = 0;
  cluster.net.fault = ({ to }) => {
    if (to.address !== silent.address) return;
    asked++;
    throw new OperaError('timeout');
  };
  const session = await cluster.session();
  for (let at = 0; at < 30; at++) await put(session, `f${at}`, content(10));
  assert.equal(asked, 1);
  cluster.clock.advance(limits.ownerAvoidedMs);
  for (let at = 0; at < 30; at++) await put(session, `g${at}`, content(10));
  assert.equal(asked, 2);
});

const passing = [
  'unavailable',
  'timeout',
  'write-quorum',
  'no-space',
  'read-only',
  'not-ready',
  'overloaded',
  'isolated',
] as const;

test('an owner that refuses is passed over for the next one, with the same sealed bytes', async () => {
  for (const refusal of passing) {
    const cluster = await FakeCluster.create();
    const session = await cluster.session();
    const refused = new Set<string>();
    cluster.onStore = (node, { chunks }) => {
      const key = `${chunks[0]?.version}/${chunks[0]?.index}`;
      if (refused.has(key)) return;
      refused.add(key);
      void node;
      throw new OperaError(refusal);
    };
    const bytes = content(4 * mebibyte + 1);
    await put(session, 'f', bytes);
    assert.ok((await read(session, 'f')).equals(bytes), refusal);
    assert.equal(cluster.sent.length, 4, `${refusal}: two chunks, each sent twice`);
    assertSealedOnce(cluster);
    for (const key of refused) {
      const nodes = cluster.sent.filter((sent) => sent.key === key).map(({ node }) => node);
      assert.equal(new Set(nodes).size, 2, `${refusal}: another owner was asked`);
    }
  }
});

test('a lost answer after the chunk was stored and the name committed does not commit twice', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  let lost = 0;
  cluster.net.answerFault = ({ route }) => {
    if (route === 'chunk.store' && lost++ === 0) throw new OperaError('timeout');
  };
  const result = await put(session, 'f', content(100));
  assert.equal(cluster.names.get('f')?.sequence, result.sequence);
  assert.equal(cluster.outcomes.size, 1);
  assertSealedOnce(cluster);
});

test('an outage of all nodes shorter than the patience is ridden out, a longer one is told', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const started = cluster.clock.monotonicMs();
  cluster.onStore = () => {
    if (cluster.clock.monotonicMs() < started + 15_000) throw new OperaError('unavailable');
  };
  await put(session, 'f', content(100));
  cluster.onStore = () => {
    throw new OperaError('unavailable');
  };
  await assert.rejects(put(session, 'g', content(100)), code('unavailable'));
  assert.equal(cluster.names.has('g'), false);
});

test('full disks everywhere are told at once, not after all patience', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const started = cluster.clock.monotonicMs();
  cluster.onStore = () => {
    throw new OperaError('no-space');
  };
  await assert.rejects(put(session, 'f', content(100)), code('no-space'));
  assert.ok(cluster.clock.monotonicMs() - started < 1_000);
});

test('a new layout in the middle renews the plan and sends the same bytes to the new owners', async () => {
  const cluster = await FakeCluster.create({ nodes: 6 });
  cluster.layouts.length = 0;
  cluster.addLayout(cluster.nodes.slice(0, 3));
  const session = await cluster.session();
  cluster.onStore = () => {
    cluster.onStore = () => undefined;
    // The others take over: the plan that the client holds is of no use any more.
    cluster.addLayout(cluster.nodes.slice(3));
  };
  const bytes = content(4 * mebibyte + 1);
  const { version } = await put(session, 'f', bytes);
  assert.ok(cluster.isDurable(version, 0) && cluster.isDurable(version, 1));
  assert.ok((await read(session, 'f')).equals(bytes));
  assert.ok(cluster.net.calls.some(({ route }) => route === 'ticket.renew'));
  assertSealedOnce(cluster);
});

test('tickets are renewed in a transfer that takes longer than their life', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  cluster.onStore = () => cluster.clock.advance(25_000);
  const bytes = content(20 * mebibyte);
  await put(session, 'f', bytes);
  cluster.onStore = () => undefined;
  assert.ok((await read(session, 'f')).equals(bytes));
  assert.ok(cluster.net.calls.filter(({ route }) => route === 'ticket.renew').length >= 1);
});

test('a node that holds another chunk at the address ends the put: nothing is committed', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  cluster.onStore = () => {
    throw new OperaError('hash-conflict');
  };
  await assert.rejects(put(session, 'f', content(100)), code('hash-conflict'));
  assert.equal(cluster.names.size, 0);
  assert.equal(cluster.sent.length, 1);
});

test('another write of the name in between is followed: only the body is sealed anew', async () => {
  const cluster = await FakeCluster.create();
  const [mine, theirs] = [await cluster.session(), await cluster.session()];
  await put(theirs, 'f', content(10, 1));
  let raced = 0;
  cluster.onStore = (_, { commit }) => {
    if (commit?.[0]?.name === 'f' && raced++ === 0) {
      const current = cluster.names.get('f');
      assert.ok(current);
      cluster.names.set('f', { ...current, sequence: current.sequence + 1n });
    }
  };
  const result = await put(mine, 'f', content(10, 2));
  assert.ok((await read(mine, 'f')).equals(content(10, 2)));
  assert.equal(cluster.sent.filter(({ key }) => key.startsWith(result.version)).length, 1);
  assert.ok(cluster.net.calls.some(({ route }) => route === 'name.commit'));
});

test('after a rotation of the network key the file key is wrapped anew and the put goes on', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'before', content(10));
  cluster.rotate();
  const bytes = content(4 * mebibyte + 7);
  await put(session, 'after', bytes);
  assert.ok((await read(session, 'after')).equals(bytes));
  assert.ok((await read(session, 'before')).equals(content(10)), 'older epochs stay readable');
  assertSealedOnce(cluster);
});

test('chunks that lost their copies before the commit are sent again, the same bytes', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const bytes = content(8 * mebibyte + 5);
  let asked = 0;
  cluster.onCommit = ({ kind }) => {
    if (kind === 'put' && asked++ === 0) {
      for (const node of cluster.nodes) {
        for (const key of node.chunks.keys()) if (key.endsWith('/1')) node.chunks.delete(key);
      }
    }
    return undefined;
  };
  await put(session, 'f', bytes);
  assert.ok((await read(session, 'f')).equals(bytes));
  assert.equal(cluster.sent.filter(({ key }) => key.endsWith('/1')).length, 2);
  assertSealedOnce(cluster);
});

test('a lost chunk whose source reads otherwise now is never sealed again', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const bytes = content(8 * mebibyte + 5);
  cluster.onCommit = () => {
    for (const node of cluster.nodes) {
      for (const key of node.chunks.keys()) if (key.endsWith('/1')) node.chunks.delete(key);
    }
    return undefined;
  };
  const source = { ...sourceOfBytes(bytes), readAt: async (_: number, length: number) => content(length, 9) };
  await assert.rejects(putFile(session, source, { name: 'f' }), code('source-changed'));
  assertSealedOnce(cluster);
  assert.equal(cluster.names.size, 0);
});

test('a commit whose manifest has too few copies is repeated under the same operation id', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const ids: string[] = [];
  cluster.onCommit = ({ operationId }) => {
    ids.push(operationId);
    return ids.length < 3 ? { done: false, code: 'write-quorum' } : undefined;
  };
  await put(session, 'f', content(10));
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
});

test('a commit whose manifest never gets enough copies says that it may come through', async () => {
  const cluster = await FakeCluster.create();
  cluster.onCommit = () => ({ done: false, code: 'write-quorum' });
  const error = await rejects(put(await cluster.session(), 'f', content(10)), 'write-quorum');
  assert.match(error.message, /not known/);
});

test('a plan that cannot be renewed for a moment does not end a commit that needs a newer one', async () => {
  const cluster = await FakeCluster.create();
  let refused = 0;
  cluster.onCommit = () => (++refused <= 2 ? { done: false, code: 'layout-changed' } : undefined);
  let silent = 0;
  cluster.net.fault = ({ route }) => {
    if (route === 'ticket.renew' && ++silent === 1) throw new OperaError('unavailable');
  };
  await put(await cluster.session(), 'f', content(10));
  assert.ok(silent > 1);
});

test('--if-absent and --if-version are checked before the transfer and in the commit', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const first = await put(session, 'f', content(10));
  cluster.sent.length = 0;
  await assert.rejects(put(session, 'f', content(10), { condition: { ifAbsent: true } }), code('exists'));
  const other = parseVersionId('00'.repeat(16));
  await assert.rejects(put(session, 'f', content(10), { condition: { ifVersion: other } }), code('conflict'));
  await assert.rejects(put(session, 'none', content(10), { condition: { ifVersion: other } }), code('conflict'));
  assert.equal(cluster.sent.length, 0, 'nothing was sent in vain');
  await put(session, 'f', content(10, 2), { condition: { ifVersion: first.version } });
  cluster.onStore = () => {
    const current = cluster.names.get('f');
    if (current) cluster.names.set('new', { ...current, name: 'new' });
  };
  await assert.rejects(put(session, 'new', content(10), { condition: { ifAbsent: true } }), code('exists'));
});

test('a source that changes while it is read is refused, and nothing is committed', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  for (const size of [10, 4 * mebibyte + 1]) {
    const source = sourceOfBytes(content(size));
    const changing = {
      ...source,
      verifyUnchanged: () => Promise.reject(new OperaError('source-changed')),
    };
    await assert.rejects(putFile(session, changing, { name: 'f' }), code('source-changed'));
    const shrinking = { ...source, size: size + 1 };
    await source.rewind?.();
    await assert.rejects(putFile(session, shrinking, { name: 'f' }), code('source-changed'));
  }
  assert.equal(cluster.names.size, 0);
});

test('names are put in one spelling, and those that are none are refused before anything is sent', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'e\u0301.csv', content(1));
  assert.deepEqual([...cluster.names.keys()], ['\u00e9.csv']);
  cluster.net.calls.length = 0;
  const bad = ['', '/a', 'a/', 'a//b', '..', 'a/../b', './a', 'a\0b', 'a\r\nb', 'a\u0085', 'x'.repeat(1025), '\ud800'];
  for (const name of bad) await assert.rejects(put(session, name, content(1)), code('bad-name'), JSON.stringify(name));
  assert.equal(cluster.net.calls.length, 0);
  for (const name of ['%2f', '__proto__', 'con', 'a.', '*?[', 'a:b', '😀', '\u202ertl', 'x'.repeat(1024)]) {
    await put(session, name, content(3));
    assert.ok((await read(session, name)).equals(content(3)), name);
  }
});

test('an interrupted put ends with `aborted` and commits nothing', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const controller = new AbortController();
  cluster.onStore = () => controller.abort(new OperaError('aborted'));
  await assert.rejects(put(session, 'f', content(20 * mebibyte), { signal: controller.signal }), code('aborted'));
  assert.equal(cluster.names.size, 0);
  assert.ok(cluster.sent.length <= 5);
});

test('when the registry forgot the upload the put begins once more, as another version', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  let forgotten = 0;
  cluster.onCommit = () => (forgotten++ === 0 ? { done: false, code: 'upload-closed' } : undefined);
  const bytes = content(4 * mebibyte + 1);
  const { version } = await put(session, 'f', bytes);
  assert.ok((await read(session, 'f')).equals(bytes));
  const versions = new Set(cluster.sent.map(({ key }) => key.slice(0, 32)));
  assert.equal(versions.size, 2);
  assert.ok(versions.has(version));
});

test('a stream of 300 MB passes in bounded memory', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const piece = content(mebibyte);
  cluster.onStore = () => {
    // The fake must not be what fills the memory.
    cluster.sent.length = 0;
    for (const node of cluster.nodes) node.chunks.clear();
  };
  cluster.onCommit = ({ operationId }) => {
    void operationId;
    return { done: true, sequence: 1n, incarnation: 1, repeated: false };
  };
  let peak = 0;
  const before = process.memoryUsage().rss;
  const pieces = (async function* () {
    for (let at = 0; at < 300; at++) {
      peak = Math.max(peak, process.memoryUsage().rss - before);
      yield piece;
    }
  })();
  const { size } = await putFile(session, sourceOfStream(pieces), { name: 'f' });
  assert.equal(size, 300 * mebibyte);
  assert.ok(peak < 250 * mebibyte, `${Math.round(peak / mebibyte)} MiB`);
});
