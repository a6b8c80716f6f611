// Many files: few messages for small ones, each file's fate its own, names in one spelling.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceOfBytes } from '../../src/client/byte-source.ts';
import { type PutItem, putMany, type PutManyRequest } from '../../src/client/put-many.ts';
import type { Session } from '../../src/client/session.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { content, mebibyte, put, read } from '../support/client-files.ts';

const item = (name: string, bytes: Uint8Array, size = bytes.length): PutItem => ({
  name,
  size,
  open: async () => sourceOfBytes(bytes),
});

const fatesOf = async (
  session: Session,
  items: readonly PutItem[],
  request: Partial<PutManyRequest> = {},
): Promise<Map<string, string>> => {
  const fates = new Map<string, string>();
  await putMany(session, items, {
    ...request,
    onResult: ({ name }, result) => {
      const told = fates.get(name);
      const fate = result instanceof OperaError ? result.code : 'done';
      fates.set(name, told === undefined ? fate : `${told} ${fate}`);
    },
  });
  return fates;
};

test('two thousand small files travel in a few messages', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const items = Array.from({ length: 2_000 }, (_, at) => item(`n/${at}`, content(at % 700, at)));
  const fates = await fatesOf(session, items);
  assert.equal(fates.size, 2_000);
  assert.ok([...fates.values()].every((fate) => fate === 'done'));
  assert.ok(cluster.net.calls.length <= 20, `${cluster.net.calls.length} messages`);
  for (const at of [0, 1, 699, 1_999]) assert.ok((await read(session, `n/${at}`)).equals(content(at % 700, at)));
});

test('messages stay below their limits with many mebibytes and long names, all to one node', async () => {
  const cluster = await FakeCluster.create({ nodes: 1 });
  cluster.writeCopies = 1;
  const session = await cluster.session();
  const items = [
    ...Array.from({ length: 12 }, (_, at) => item(`big/${at}`, content(3 * mebibyte, at))),
    ...Array.from({ length: 900 }, (_, at) => item(`${at}/${'"'.repeat(1_018)}`, content(3))),
  ];
  const fates = await fatesOf(session, items);
  assert.deepEqual(
    [...fates].filter(([, fate]) => fate !== 'done'),
    [],
  );
});

test('names equal after normalisation are all refused, and the others go in', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const fates = await fatesOf(session, [
    item('\u00e9', content(1)),
    item('e\u0301', content(2)),
    item('a', content(3)),
    item('a//b', content(3)),
  ]);
  assert.equal(fates.get('a'), 'done');
  assert.equal(fates.get('a//b'), 'bad-name');
  assert.equal(fates.get('\u00e9'), 'bad-name bad-name', 'both are told, in the spelling they share');
  assert.deepEqual([...cluster.names.keys()], ['a']);
});

test('two files that would get one name are told apart by their paths', async () => {
  const session = await (await FakeCluster.create()).session();
  const told: string[] = [];
  const items = ['x/a', 'y/a'].map((path) => ({ ...item('a', content(1)), path }));
  await putMany(session, items, {
    onResult: (_, result) => void told.push(result instanceof OperaError ? result.message : 'done'),
  });
  for (const [at, path] of ['x/a', 'y/a'].entries()) assert.ok(told[at]?.includes(path), told[at]);
});

test('a file that cannot be read, one that changes and one that grew do not disturb the others', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const grown = content(4 * mebibyte + 1);
  const fates = await fatesOf(session, [
    item('fine', content(3)),
    { ...item('gone', content(3)), open: () => Promise.reject(Object.assign(new Error('ENOENT'), { code: 'ENOENT' })) },
    {
      ...item('changing', content(3)),
      open: async () => ({
        ...sourceOfBytes(content(3)),
        verifyUnchanged: () => Promise.reject(new OperaError('source-changed')),
      }),
    },
    item('grown', grown, 3),
  ]);
  assert.deepEqual(Object.fromEntries(fates), {
    fine: 'done',
    gone: 'not-found',
    changing: 'source-changed',
    grown: 'done',
  });
  assert.ok((await read(session, 'grown')).equals(grown));
});

test('conditions are judged file by file', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'there', content(3));
  const items = [item('there', content(4)), item('new', content(4))];
  const fates = await fatesOf(session, items, { condition: { ifAbsent: true } });
  assert.deepEqual(Object.fromEntries(fates), { there: 'exists', new: 'done' });
  assert.ok((await read(session, 'there')).equals(content(3)));
});

test('commits that nodes do not pass on go in one message, and races one by one', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  cluster.forwardsCommits = false;
  let races = 0;
  cluster.onCommit = ({ name }) => (name === 'f3' && races++ < 2 ? { done: false, code: 'stale_follows' } : undefined);
  const items = Array.from({ length: 50 }, (_, at) => item(`f${at}`, content(10, at)));
  const fates = await fatesOf(session, items);
  assert.ok([...fates.values()].every((fate) => fate === 'done'));
  assert.equal(cluster.names.size, 50);
  assert.ok(cluster.net.calls.filter(({ route }) => route === 'name.commit').length <= 4);
});

test('a node that is away takes nothing with it: its files go to the next owners', async () => {
  const cluster = await FakeCluster.create({ nodes: 5 });
  const session = await cluster.session();
  const [dead] = cluster.nodes;
  assert.ok(dead);
  cluster.net.silence(dead.address);
  const items = Array.from({ length: 100 }, (_, at) => item(`f${at}`, content(10, at)));
  const fates = await fatesOf(session, items);
  assert.ok([...fates.values()].every((fate) => fate === 'done'));
});

test('when nothing can be reached every file is told so once', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  cluster.net.fault = ({ route }) => {
    if (route === 'upload.open') throw new OperaError('unavailable');
  };
  const fates = await fatesOf(session, [
    item('a', content(1)),
    item('b', content(2)),
    item('c', content(5 * mebibyte)),
  ]);
  assert.deepEqual(Object.fromEntries(fates), { a: 'unavailable', b: 'unavailable', c: 'unavailable' });
});
