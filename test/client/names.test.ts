// Names: listing with lying servers, renaming and removing with races, and what is never believed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFile, listFiles, removeFile, renameFile, statFile, whereIs } from '../../src/client/names.ts';
import { removeMany } from '../../src/client/remove-many.ts';
import { renameMany } from '../../src/client/rename-many.ts';
import type { Session } from '../../src/client/session.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { parseGlob } from '../../src/model/glob.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { rejects } from '../support/refuses.ts';
import { content, mebibyte, put, read } from '../support/client-files.ts';

const namesOf = async (session: Session, query: Parameters<typeof listFiles>[1] = {}): Promise<string[]> => {
  const names: string[] = [];
  for await (const { name } of listFiles(session, query)) names.push(name);
  return names;
};

test('names are listed in byte order, page by page, by prefix, glob, after and limit', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const names = ['sol', 'sol/a', 'sola', 'sol/ä', 'sol/b', 'z/🌟', 'z/\uffee'];
  for (const name of names) await put(session, name, content(3));
  const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  assert.deepEqual(await namesOf(session), sorted);
  assert.deepEqual(await namesOf(session, { prefix: 'sol/' }), ['sol/a', 'sol/b', 'sol/ä']);
  assert.deepEqual(await namesOf(session, { after: 'sol/a', limit: 2 }), ['sol/b', 'sol/ä']);
  const glob = parseGlob('*/[a-b]');
  assert.deepEqual(await namesOf(session, { accept: (name) => glob.matches(name), limit: 1 }), ['sol/a']);
});

test('a listing of many pages gives every name once', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'seed', content(3));
  const seed = cluster.names.get('seed');
  assert.ok(seed);
  const wanted = Array.from({ length: 2_500 }, (_, at) => `n/${String(at).padStart(5, '0')}`);
  for (const name of wanted) cluster.names.set(name, { ...seed, name });
  assert.deepEqual(await namesOf(session, { prefix: 'n/' }), wanted);
});

test('a record that cannot be opened is listed with its error, and the others with their facts', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'a', content(3));
  await put(session, 'b', content(5));
  const a = cluster.names.get('a');
  assert.ok(a);
  cluster.names.set('a', { ...a, name: 'a', body: a.body.slice(0, -1) });
  const listed = [];
  for await (const { name, content: facts, error } of listFiles(session)) listed.push([name, facts?.size, error?.code]);
  assert.deepEqual(listed, [
    ['a', undefined, 'integrity'],
    ['b', 5, undefined],
  ]);
});

test('listings with names outside the question, out of order or not allowed are refused', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'dir/a', content(3));
  const record = cluster.names.get('dir/a');
  assert.ok(record);
  const { connection } = session;
  const answer = async (names: readonly string[], query: Parameters<typeof listFiles>[1]): Promise<string[]> => {
    const records = names.map((name) => ({ ...record, name }));
    const lying = { ...session, connection: { ...connection, call: async () => ({ records }) as never } };
    return namesOf(lying as Session, query);
  };
  await rejects(answer(['other'], { prefix: 'dir/' }), 'integrity');
  await rejects(answer(['dir/b', 'dir/a'], { prefix: 'dir/' }), 'integrity');
  await rejects(answer(['dir/a', 'dir/a'], { prefix: 'dir/' }), 'integrity');
  await rejects(answer(['dir/a'], { prefix: 'dir/', after: 'dir/a' }), 'integrity');
  for (const name of ['../x', '/etc/passwd', 'a//b', 'a\0', 'e\u0301']) await rejects(answer([name], {}), 'bad-name');
});

test('a renamed file keeps its content under the new name, and the old name is gone', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const bytes = content(4 * mebibyte + 9);
  const { version } = await put(session, 'old', bytes);
  cluster.sent.length = 0;
  await renameFile(session, { from: 'old', to: 'new' });
  assert.equal(await findFile(session, 'old'), undefined);
  assert.ok((await read(session, 'new')).equals(bytes));
  assert.equal((await statFile(session, 'new')).record.version, version);
  assert.equal(cluster.sent.length, 0, 'the data stays where it is');
});

test('a rename onto an existing name is refused unless it may replace', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'a', content(10, 1));
  await put(session, 'b', content(10, 2));
  await rejects(renameFile(session, { from: 'a', to: 'b' }), 'exists');
  await renameFile(session, { from: 'a', to: 'b', replace: true });
  assert.ok((await read(session, 'b')).equals(content(10, 1)));
  await rejects(renameFile(session, { from: 'b', to: 'b' }), 'usage');
  await rejects(renameFile(session, { from: 'a', to: 'c' }), 'not-found');
});

test('changes go through when other writers come in between', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const race = (name: string): void => {
    let raced = 0;
    cluster.onCommit = () => {
      const current = cluster.names.get(name);
      if (current && raced++ < 2) cluster.names.set(name, { ...current, sequence: current.sequence + 1n });
      return undefined;
    };
  };
  await put(session, 'a', content(10, 1));
  await put(session, 'b', content(10, 2));
  race('b');
  await renameFile(session, { from: 'a', to: 'b', replace: true });
  assert.ok((await read(session, 'b')).equals(content(10, 1)));
  race('b');
  await renameFile(session, { from: 'b', to: 'c' });
  race('c');
  await removeFile(session, 'c');
  assert.equal(cluster.names.size, 0);
});

test('a remove whose answer is lost is carried out once and ends well', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(10));
  let lost = 0;
  cluster.net.answerFault = ({ route }) => {
    if (route === 'name.commit' && lost++ === 0) throw new OperaError('unavailable');
  };
  await removeFile(session, 'f');
  assert.equal(cluster.names.has('f'), false);
  await rejects(removeFile(session, 'f'), 'not-found');
});

test('an uncertain commit says that it is uncertain', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(10));
  cluster.net.answerFault = ({ route }) => {
    if (route === 'name.commit') throw new OperaError('timeout');
  };
  const error = await rejects(removeFile(session, 'f'), 'timeout');
  assert.match(error.message, /not known/);
});

test('many files are removed in few messages, and each fate is told once', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const names = Array.from({ length: 120 }, (_, at) => `f${at}`);
  for (const name of names) await put(session, name, content(3));
  cluster.net.calls.length = 0;
  let refusals = 0;
  cluster.onCommit = ({ name }) =>
    name === 'f7' && refusals++ === 0 ? { done: false, code: 'stale_follows' } : undefined;
  const fates = new Map<string, string>();
  await removeMany(session, [...names, 'none'], {
    onResult: (name, error) => {
      assert.ok(!fates.has(name));
      fates.set(name, error?.code ?? 'removed');
    },
  });
  assert.equal(fates.size, 121);
  assert.equal(fates.get('none'), 'not-found');
  assert.equal([...fates.values()].filter((fate) => fate === 'removed').length, 120);
  assert.equal(cluster.names.size, 0);
  assert.ok(cluster.net.calls.length < 10);
});

test('a folder is renamed with many names at once, and each name has its own fate', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const files = Array.from({ length: 30 }, (_, at) => `f${at}`);
  for (const [at, file] of files.entries()) await put(session, `old/${file}`, content(at));
  await put(session, 'new/f3', content(100));
  const fates = new Map<string, string>();
  const moves = [...files, 'none'].map((file) => ({ from: `old/${file}`, to: `new/${file}` }));
  await renameMany(session, moves, {
    onResult: ({ to }, error) => {
      assert.ok(!fates.has(to));
      fates.set(to, error?.code ?? 'renamed');
    },
  });
  assert.equal(fates.size, 31);
  assert.deepEqual([fates.get('new/f3'), fates.get('new/none')], ['exists', 'not-found']);
  assert.deepEqual(await namesOf(session, { prefix: 'old/' }), ['old/f3']);
  assert.deepEqual(await read(session, 'new/f3'), content(100));
  assert.deepEqual(await read(session, 'new/f29'), content(29));
});

// A folder moved over its parent once replaced files that were themselves about to be moved.
for (const replace of [false, true]) {
  test(`a folder moved into its parent loses no file (${replace ? 'replacing' : 'not replacing'})`, async () => {
    const cluster = await FakeCluster.create();
    const session = await cluster.session();
    await put(session, 'a/b/b/b/x', content(3));
    await put(session, 'a/b/b/x', content(2));
    await put(session, 'a/b/x', content(1));
    const moves = ['b/b/x', 'b/x', 'x'].map((rest) => ({ from: `a/b/${rest}`, to: `a/${rest}` }));
    const failed: string[] = [];
    await renameMany(session, moves, { replace, onResult: ({ from }, error) => error && failed.push(from) });
    assert.deepEqual(failed, []);
    assert.deepEqual(await namesOf(session), ['a/b/b/x', 'a/b/x', 'a/x']);
    const sizes = [await read(session, 'a/b/b/x'), await read(session, 'a/b/x'), await read(session, 'a/x')];
    assert.deepEqual(sizes, [content(3), content(2), content(1)]);
  });
}

test('a file that could not be moved away is not replaced by the one that wants its name', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'a/b/b/x', content(2));
  await put(session, 'a/b/x', content(1));
  cluster.onCommit = ({ name }) => (name === 'a/b/x' ? { done: false, code: 'forbidden' } : undefined);
  const fates: string[] = [];
  const moves = ['b/x', 'x'].map((rest) => ({ from: `a/b/${rest}`, to: `a/${rest}` }));
  await renameMany(session, moves, {
    replace: true,
    onResult: ({ from }, error) => fates.push(`${from} ${error?.code ?? 'renamed'}`),
  });
  assert.deepEqual(fates, ['a/b/x forbidden', 'a/b/b/x exists']);
  assert.deepEqual(await read(session, 'a/b/x'), content(1));
  assert.deepEqual(await read(session, 'a/b/b/x'), content(2));
});

test('where tells the copies of every chunk', async () => {
  const cluster = await FakeCluster.create({ nodes: 4 });
  const session = await cluster.session();
  const { version } = await put(session, 'f', content(8 * mebibyte + 1));
  cluster.ownersOf(version, 1)[0]?.chunks.delete(`${version}/1`);
  const states: string[][] = [];
  for await (const { chunk } of whereIs(session, 'f')) states.push(chunk.copies.map(({ state }) => state));
  assert.deepEqual(states, [
    ['held', 'held', 'held'],
    ['missing', 'held', 'held'],
    ['held', 'held', 'held'],
  ]);
  await rejects(
    (async () => {
      for await (const _ of whereIs(session, 'none')) assert.fail();
    })(),
    'not-found',
  );
});
