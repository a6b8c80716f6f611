// Getting into local files: parts that are gone on with, nothing overwritten, nothing outside the folder.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { getInto, getMany, type GetManyRequest } from '../../src/client/get-many.ts';
import { pathPartsOf } from '../../src/client/local-path.ts';
import { writeWholeFile } from '../../src/client/local-target.ts';
import { resolveName } from '../../src/client/open-file.ts';
import type { Session } from '../../src/client/session.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { refuses, rejects } from '../support/refuses.ts';
import { content, mebibyte, newFolder, put } from '../support/client-files.ts';

const getTo = async (session: Session, name: string, path: string, force = false) => {
  const { file, plan } = await resolveName(session, name);
  return getInto(session, plan, file, path, { force });
};

const fatesOf = async (session: Session, names: readonly string[], request: Partial<GetManyRequest> = {}) => {
  const fates = new Map<string, string>();
  const folder = request.folder ?? newFolder();
  await getMany(session, names, {
    force: false,
    ...request,
    folder,
    onResult: (name, result) => {
      assert.ok(!fates.has(name), `${name} was told twice`);
      fates.set(name, result instanceof OperaError ? result.code : 'done');
    },
  });
  return { folder, fates };
};

test('a device or pipe is never replaced, also with force, and a missing folder is told as one', async () => {
  const session = await (await FakeCluster.create()).session();
  await put(session, 'f', content(5));
  const folder = newFolder();
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await rejects(getTo(session, 'f', pipe, true), 'usage');
  await rejects(writeWholeFile(pipe, [content(5)], { force: true }), 'usage');
  assert.ok(statSync(pipe).isFIFO());
  assert.deepEqual(readdirSync(folder), ['pipe']);
  const missing = join(folder, 'no', 'f');
  for (const write of [() => getTo(session, 'f', missing), () => writeWholeFile(missing, [], { force: false })]) {
    assert.match((await rejects(write(), 'not-found')).message, /^there is no folder .*no$/);
  }
});

test('a file gets its name only when it is whole, with its time, and nothing else is left', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const folder = newFolder();
  for (const size of [0, 5, 4 * mebibyte, 8 * mebibyte + 5]) {
    const bytes = content(size);
    await put(session, 'f', bytes);
    await getTo(session, 'f', join(folder, `f${size}`));
    assert.ok(readFileSync(join(folder, `f${size}`)).equals(bytes));
  }
  assert.deepEqual(readdirSync(folder).sort(), ['f0', 'f4194304', 'f5', 'f8388613']);
});

test('a get that was cut off goes on behind the chunks that still match', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const bytes = content(20 * mebibyte);
  const { version } = await put(session, 'f', bytes);
  const path = join(newFolder(), 'f');
  const cut = async (): Promise<void> => {
    cluster.net.fault = ({ route, request }) => {
      const [chunk] = route === 'chunk.read' ? (request as { chunks: { index: number }[] }).chunks : [];
      if (chunk && chunk.index >= 3) throw new OperaError('forbidden', 'killed');
    };
    await rejects(getTo(session, 'f', path), 'forbidden');
    cluster.net.fault = () => undefined;
    assert.equal(existsSync(path), false);
  };
  await cut();
  cluster.net.calls.length = 0;
  const { resumedChunks } = await getTo(session, 'f', path);
  assert.equal(resumedChunks, 3);
  assert.equal(cluster.net.calls.filter(({ route }) => route === 'chunk.read').length, 2);
  assert.ok(readFileSync(path).equals(bytes));

  const second = join(newFolder(), 'f');
  writeFileSync(`${second}.part`, content(12 * mebibyte, 9));
  writeFileSync(`${second}.part.json`, 'nonsense\n');
  assert.equal((await getTo(session, 'f', second)).resumedChunks, 0);
  assert.ok(readFileSync(second).equals(bytes));
  assert.ok(version);
});

test('parts of another version, or altered ones, are not believed', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(12 * mebibyte, 1));
  const path = join(newFolder(), 'f');
  const cut = async (to: string): Promise<void> => {
    cluster.net.fault = ({ route, request }) => {
      const [chunk] = route === 'chunk.read' ? (request as { chunks: { index: number }[] }).chunks : [];
      if (chunk && chunk.index >= 2) throw new OperaError('forbidden', 'killed');
    };
    await rejects(getTo(session, 'f', to), 'forbidden');
    cluster.net.fault = () => undefined;
  };
  await cut(path);
  const altered = readFileSync(`${path}.part`);
  altered[5 * mebibyte] = 255 - (altered[5 * mebibyte] ?? 0);
  writeFileSync(`${path}.part`, altered);
  assert.equal((await getTo(session, 'f', path)).resumedChunks, 1);
  assert.ok(readFileSync(path).equals(content(12 * mebibyte, 1)));
  const third = join(newFolder(), 'f');
  await cut(third);
  await put(session, 'f', content(12 * mebibyte, 2));
  assert.equal((await getTo(session, 'f', third)).resumedChunks, 0);
  assert.ok(readFileSync(third).equals(content(12 * mebibyte, 2)), 'the new version, not a mixture');
  await put(session, 'g', content(12 * mebibyte, 1));
  const other = join(newFolder(), 'f');
  writeFileSync(`${other}.part`, content(12 * mebibyte, 1));
  assert.equal((await getTo(session, 'g', other)).resumedChunks, 0);
});

test('a local file that is there is not overwritten, not even one made meanwhile, unless forced', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(10));
  const path = join(newFolder(), 'f');
  writeFileSync(path, 'mine');
  await rejects(getTo(session, 'f', path), 'exists');
  await getTo(session, 'f', path, true);
  assert.ok(readFileSync(path).equals(content(10)));
  const raced = join(newFolder(), 'f');
  cluster.net.answerFault = ({ route }) => {
    if (route === 'chunk.read') writeFileSync(raced, 'mine');
  };
  await rejects(getTo(session, 'f', raced), 'exists');
  assert.equal(readFileSync(raced, 'utf8'), 'mine');
  await rejects(getTo(session, 'f', newFolder(), true), 'exists');
});

test('links are never written through: the file, its part and the folders on the way', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'd/f', content(10));
  await put(session, 'f', content(5 * mebibyte));
  const outside = newFolder();
  writeFileSync(join(outside, 'secret'), 'mine');
  const folder = newFolder();
  symlinkSync(outside, join(folder, 'd'));
  const { fates } = await fatesOf(session, ['d/f'], { folder });
  assert.equal(fates.get('d/f'), 'forbidden');
  assert.deepEqual(readdirSync(outside), ['secret']);
  const part = join(newFolder(), 'f');
  symlinkSync(join(outside, 'secret'), `${part}.part`);
  await rejects(getTo(session, 'f', part), 'forbidden');
  const linked = join(newFolder(), 'f');
  symlinkSync(join(outside, 'secret'), linked);
  await rejects(getTo(session, 'f', linked), 'exists');
  await getTo(session, 'f', linked, true);
  assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'mine');
  assert.equal(statSync(linked).size, 5 * mebibyte);
});

test('names that would lead elsewhere are refused, whatever a server answers', async () => {
  for (const name of ['../x', 'a/../../x', '/etc/x', 'C:\\x', 'C:x', 'a\\b', '..', './x', 'a//b', 'a\0b']) {
    refuses(() => pathPartsOf(name), 'bad-name');
  }
  assert.deepEqual(pathPartsOf('a/b c/é'), ['a', 'b c', 'é']);
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'C:\\x', content(3));
  await put(session, 'f', content(3));
  const record = cluster.names.get('f');
  assert.ok(record);
  const parent = newFolder();
  const folder = join(parent, 'in');
  mkdirSync(folder);
  // A server that answers the record of one name to the question for another.
  cluster.names.set('g', { ...record, name: '../x' });
  const { fates } = await fatesOf(session, ['C:\\x', 'g', 'f'], { folder });
  assert.deepEqual(Object.fromEntries(fates), { 'C:\\x': 'bad-name', g: 'integrity', f: 'done' });
  assert.deepEqual(readdirSync(parent), ['in']);
  assert.deepEqual(readdirSync(folder), ['f']);
});

test('many small files come in a few messages, and damaged copies are got elsewhere', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  const names = Array.from({ length: 300 }, (_, at) => `n/${at % 7}/${at}`);
  for (const [at, name] of names.entries()) await put(session, name, content(at, at));
  const damaged = cluster.names.get('n/3/10');
  assert.ok(damaged);
  for (const node of cluster.ownersOf(damaged.version, 0).slice(0, 2)) node.chunks.delete(`${damaged.version}/0`);
  cluster.net.calls.length = 0;
  const { folder, fates } = await fatesOf(session, [...names, 'none']);
  assert.equal(fates.get('none'), 'not-found');
  assert.equal([...fates.values()].filter((fate) => fate === 'done').length, 300);
  for (const [at, name] of names.entries()) assert.ok(readFileSync(join(folder, name)).equals(content(at, at)), name);
  assert.ok(cluster.net.calls.length < 12, `${cluster.net.calls.length} messages`);
});

test('a folder that is in the way fails its files alone', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  for (const name of ['a/b', 'c', 'big']) await put(session, name, content(name === 'big' ? 5 * mebibyte : 3));
  const folder = newFolder();
  writeFileSync(join(folder, 'a'), 'a file');
  mkdirSync(join(folder, 'big'));
  const { fates } = await fatesOf(session, ['a/b', 'c', 'big'], { folder });
  assert.deepEqual(Object.fromEntries(fates), { 'a/b': 'exists', c: 'done', big: 'exists' });
});

test('what the system refuses is told of the file meant, in words of ours', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  await put(session, 'f', content(3));
  const taken = join(newFolder(), 'taken');
  writeFileSync(taken, 'a file');
  for (const folder of [taken, join(taken, 'below')]) {
    const errors: unknown[] = [];
    await getMany(session, ['f'], { force: false, folder, onResult: (_, result) => errors.push(result) });
    const [error] = errors;
    assert.ok(error instanceof OperaError);
    assert.deepEqual([error.code, error.message.startsWith(`${folder} is a file`)], ['exists', true], error.message);
  }
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  const path = join(newFolder(), 'f');
  const failing = (async function* () {
    yield content(1);
    throw full;
  })();
  const { message } = await rejects(writeWholeFile(path, failing, { force: false }), 'no-space');
  assert.ok(message.startsWith(`${path}: `), message);
});

test('a write that fails half-way leaves nothing', async () => {
  const folder = realpathSync(newFolder());
  const failing = (async function* () {
    yield content(10);
    throw new OperaError('integrity');
  })();
  await rejects(writeWholeFile(join(folder, 'f'), failing, { force: false }), 'integrity');
  assert.deepEqual(readdirSync(folder), []);
});
