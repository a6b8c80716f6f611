// The verbs about files before they dial anybody: what they refuse, what their help says; and the parts they share.
// What they do with a network is tested end to end.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { listLocalFiles } from '../../src/client/local-tree.ts';
import { openLocalSource } from '../../src/client/local-source.ts';
import { Fates, meantNames, printWhile, Rows } from '../../src/commands/_session.ts';
import { type Output } from '../../src/commands/_output.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { systemErrorCode } from '../../src/runtime/files.ts';
import { content, put } from '../support/client-files.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { refuses, rejects } from '../support/refuses.ts';
import { run } from './_host.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-files-'));
});
after(() => rm(folder, { recursive: true }));

test('command lines that cannot be meant are refused before anything is opened', async () => {
  const lines = [
    ['put'],
    ['put', '-'],
    ['put', '-', 'a', '--name', 'b'],
    ['put', 'a', 'b', '--name', 'c'],
    ['put', '-r', 'a', '--name', 'c'],
    ['put', 'a', '--if-absent', '--if-version', '00000000000000000000000000000000'],
    ['put', 'a', 'b', '--if-version', '00000000000000000000000000000000'],
    ['put', 'a', '-j', '0'],
    ['put', 'a', '--catalogue', '--no-catalogue'],
    ['put', 'a', '--no-catalogue', '--map', 'ra=RA'],
    ['put', 'a', '--no-catalogue', '--strict'],
    ['put', ''],
    ['get'],
    ['get', 'a', '--range', 'x'],
    ['cat', 'a', '--range', '9-5'],
    ['ls', 'a', 'b'],
    ['ls', '--limit', '0'],
    ['stat'],
    ['where'],
    ['rm'],
    ['mv', 'a'],
  ];
  for (const line of lines) {
    const { exit, stderr, stdout } = await run(line);
    assert.equal(exit, 2, `${line.join(' ')}: ${stderr}`);
    assert.equal(stdout, '');
  }
});

test('without a profile each verb says how to get one', async () => {
  const lines = [
    ['put', 'a'],
    ['get', 'a'],
    ['cat', 'a'],
    ['ls'],
    ['stat', 'a'],
    ['where', 'a'],
    ['rm', 'a'],
    ['mv', 'a', 'b'],
  ];
  for (const line of lines) {
    const { exit, stderr } = await run([...line, '--home', join(folder, 'nowhere')]);
    assert.equal(exit, 2);
    assert.match(stderr, /opera (join|up)/);
  }
});

test('a folder is put with -r only, its files under its name; links and pipes are left out and told', async () => {
  const tree = join(folder, 'tree');
  mkdirSync(join(tree, 'sub'), { recursive: true });
  writeFileSync(join(tree, 'b'), 'b');
  writeFileSync(join(tree, 'sub', 'a'), 'a');
  symlinkSync('/etc/passwd', join(tree, 'link'));
  const skipped: string[] = [];
  const unreadable: string[] = [];
  const request = {
    recursive: true,
    prefix: 'to/',
    onSkipped: (path: string) => void skipped.push(path),
    onUnreadable: (path: string, error: unknown) => void unreadable.push(`${path} ${systemErrorCode(error)}`),
  };
  const named = async (paths: readonly string[]): Promise<string[]> =>
    (await listLocalFiles({ ...request, paths })).map(({ name }) => name);
  assert.deepEqual(await named([tree]), ['to/tree/b', 'to/tree/sub/a']);
  assert.deepEqual(await named([`${tree}/`, join(tree, 'b')]), ['to/tree/b', 'to/tree/sub/a', 'to/b']);
  assert.deepEqual(skipped, [join(tree, 'link'), join(tree, 'link')]);
  await rejects(listLocalFiles({ ...request, recursive: false, paths: [tree] }), 'usage');
  const some = await named([join(folder, 'none'), join(tree, 'b'), join(folder, 'gone')]);
  assert.deepEqual(some, ['to/b'], 'what is there is put');
  assert.deepEqual(unreadable, [`${join(folder, 'none')} ENOENT`, `${join(folder, 'gone')} ENOENT`]);
});

test('a local file that is written to while it is open is a changed source', async () => {
  const path = join(folder, 'changing');
  for (const change of [() => writeFileSync(path, 'more', { flag: 'a' }), () => utimesSync(path, 1, 1)]) {
    writeFileSync(path, 'abcd');
    const source = await openLocalSource(path);
    await source.verifyUnchanged();
    change();
    await rejects(source.verifyUnchanged(), 'source-changed');
    await source.close();
  }
  await rejects(openLocalSource(folder), 'usage');
});

/** An output that remembers warnings. */
const listener = () => {
  const warnings: string[] = [];
  return { warnings, io: { warn: (text: string) => void warnings.push(text) } as unknown as Output };
};

test('what failed is listed and counted; what failed alike ends with its own code', () => {
  const endWith = (codes: readonly (OperaError['code'] | undefined)[]) => {
    const { io, warnings } = listener();
    const fates = new Fates(io, codes.length);
    for (const [at, code] of codes.entries()) {
      if (code) fates.failed(`f${at}`, new OperaError(code));
      else fates.succeeded();
    }
    return { fates, warnings };
  };
  endWith([undefined, undefined]).fates.end('put');
  refuses(() => endWith(['exists']).fates.end('put'), 'exists');
  assert.deepEqual(endWith(['exists']).warnings, [], 'said once, by the error itself');
  const mixed = endWith(['exists', undefined]);
  refuses(() => mixed.fates.end('put'), 'partial');
  assert.equal(mixed.warnings.length, 1);
  refuses(() => endWith(['unavailable', 'unavailable']).fates.end('put'), 'unavailable');
  refuses(() => endWith(['unavailable', 'no-space']).fates.end('put'), 'partial');
  refuses(() => endWith(['bad-name', 'bad-name']).fates.end('put'), 'partial');
  const { io, warnings } = listener();
  const absent = new Fates(io, 3);
  absent.absent(['a', 'b', 'c'], true);
  refuses(() => absent.end('got'), 'not-found');
  assert.deepEqual(
    warnings.map((line) => line.slice(0, 3)),
    ['a: ', 'b: ', 'c: '],
  );
});

test('rows are printed while they come, and the list ends when the work fails', async () => {
  const printed: number[] = [];
  const print = async (rows: Rows<number>): Promise<void> => {
    for await (const row of rows) printed.push(row);
  };
  const rows = new Rows<number>();
  await printWhile(rows, print, async () => {
    rows.push(1);
    await Promise.resolve();
    rows.push(2);
  });
  assert.deepEqual(printed, [1, 2]);
  const failing = new Rows<number>();
  const work = printWhile(failing, print, async () => {
    failing.push(3);
    throw new OperaError('no-space');
  });
  await rejects(work, 'no-space');
  assert.deepEqual(printed, [1, 2, 3]);
});

test('arguments mean exact names first, then globs, then with -r what is below', async () => {
  const cluster = await FakeCluster.create();
  const session = await cluster.session();
  for (const name of ['a/1', 'a/2', 'a*', 'ab', 'e\u0301'.normalize('NFC')]) await put(session, name, content(3));
  const { signal } = new AbortController();
  const names = async (args: readonly string[], recursive = false) =>
    (await meantNames(session, args, recursive, { signal })).names;
  assert.deepEqual(await names(['a*']), ['a*'], 'an exact name wins over the glob');
  assert.deepEqual(await names(['a?']), ['a*', 'ab']);
  assert.deepEqual(await names(['a/*', 'ab', 'a/1']), ['a/1', 'a/2', 'ab'], 'each once');
  assert.deepEqual(await names(['a/'], true), ['a/1', 'a/2']);
  assert.deepEqual(await names(['e\u0301']), ['\u00e9']);
  assert.deepEqual(await names(['none*']), []);
  const absent = async (args: readonly string[], recursive = false) =>
    (await meantNames(session, args, recursive, { signal })).absent;
  assert.deepEqual(await absent(['none', 'ab', 'a', 'none*', 'gone', 'none']), ['none', 'a', 'gone']);
  assert.deepEqual(await names(['none', 'ab', 'gone']), ['ab'], 'the others are done');
  assert.deepEqual(await absent(['none', 'a'], true), ['none']);
  await rejects(names(['a//b']), 'bad-name');
  assert.equal((await meantNames(session, ['ab'], false, { signal })).exact, true);
  assert.equal((await meantNames(session, ['a[b]'], false, { signal })).exact, false);
});
