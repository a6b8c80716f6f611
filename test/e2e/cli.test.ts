// The command line against a network that runs: what scripts rely on. Streams, exit codes, errors, closed pipes.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { writeTree } from '../support/file-tree.ts';
import { exits, LocalNet, parseLine, parseLines } from '../support/local-net.ts';
import { executable, Sandbox } from '../support/sandbox.ts';

const sandbox = new Sandbox();
let net: LocalNet;

before(async () => {
  net = await LocalNet.up(sandbox, ['--nodes', '1']);
});
after(() => sandbox.close());

test('mistakes on the command line exit 2, name the token, and do nothing', async () => {
  writeFileSync(sandbox.path('f'), 'x');
  mkdirSync(sandbox.path('folder'));
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['put', '--nme', 'x', 'f'], 2, /--nme.*--name/],
    [['put'], 2, /FILE|file/],
    [['put', '-'], 2, /--name/],
    [['put', 'f', '--name'], 2, /--name/],
    [['put', 'f', '--name', 'a', '--name', 'b'], 2, /--name/],
    [['put', 'folder'], 2, /folder.*-r/s],
    [['put', 'absent'], 3, /absent/],
    [['get', 'absent'], 3, /absent/],
    [['get', 'a/../b'], 2, /part that is "\.\."/],
    [['ls', 'a', 'b'], 2, /"?b"?/],
    [['ls', '--limit', 'x'], 2, /--limit/],
    [['ls', '--limit', '-1'], 2, /--limit/],
    [['mv', 'a'], 2, /TO|to/],
    [['stat', 'absent'], 3, /absent/],
    [['where', 'absent'], 3, /absent/],
    [['rm', 'absent', '--yes'], 3, /absent/],
    [['token', 'create'], 2, /--role/],
    [['token', 'create', '--role', 'king'], 2, /king/],
    [['members', 'revoke', 'aaaaaaaa', '--yes'], 3, /aaaaaaaa/],
    [['up', '--nodes', '0', '--dir', 'never'], 2, /--nodes/],
  ];
  for (const [args, code, says] of cases) {
    const ran = exits(await net.opera(args), code, args.join(' '));
    assert.match(ran.stderr, says, args.join(' '));
    assert.match(ran.stderr, /^opera: /);
    assert.equal(ran.stdout, '', args.join(' '));
    assert.doesNotMatch(ran.stderr, /\n\s+at |undefined|\[object/, args.join(' '));
  }
  assert.equal(await net.ok(['ls']), '');
});

test('errors under --json are one object with code, title, detail, hint', async () => {
  const absent = exits(await net.opera(['stat', 'absent', '--json']), 3);
  const error = parseLine<Record<string, unknown>>(absent.stderr);
  assert.equal(absent.stderr.trim().split('\n').length, 1);
  assert.equal(error.code, 'not-found');
  for (const key of ['title', 'detail', 'hint']) assert.equal(typeof error[key], 'string', key);
  const usage = exits(await net.opera(['ls', '--jso', '--json']), 2);
  assert.equal(parseLine<Record<string, unknown>>(usage.stderr.split('\n')[0] ?? '').code, 'usage');
});

test('stdout is data only: TSV in a pipe, --header, --json, -q', async () => {
  writeTree(sandbox.path('out'), { a: 'aa', 'b\tc': 'tab' });
  await net.ok(['put', sandbox.path('out', 'a'), '--name', 'out/a']);
  await net.ok(['put', '-', '--name', 'out/b'], { input: 'bbb' });
  assert.equal(await net.ok(['ls', 'out/', '-q']), 'out/a\nout/b\n');
  const plain = await net.ok(['ls', 'out/', '-l']);
  assert.equal(plain.split('\n').length, 3);
  assert.doesNotMatch(plain, /\u001b|NAME/);
  assert.match(await net.ok(['ls', 'out/', '-l', '--header']), /^size\tmodified\tchunks\tversion\tname\n/);
  const listed = parseLines<{ readonly v: number; readonly name: string; readonly size: number }>(
    await net.ok(['ls', 'out/', '--json']),
  );
  assert.deepEqual(
    listed.map(({ name, size }) => [name, size]),
    [
      ['out/a', 2],
      ['out/b', 3],
    ],
  );
  const versions = await net.ok(['stat', 'out/a', '-q']);
  assert.match(versions, /^[0-9a-f]{32}\n$/);
  const quiet = exits(await net.opera(['put', sandbox.path('f'), '-q', '--name', 'out/q']), 0);
  assert.deepEqual([quiet.stdout, quiet.stderr], ['out/q\n', '']);
});

test('a closed pipe ends a listing and a download quietly', async () => {
  await net.ok(['put', '-', '--name', 'out/large'], { input: Buffer.alloc(16 << 20, 'x') });
  for (const verb of ['ls', 'cat out/large']) {
    const script = `"${process.execPath}" "${executable}" ${verb} | head -c 3; exit "\${PIPESTATUS[0]}"`;
    const ran = await sandbox.run('bash', ['-c', script], { env: { OPERA_HOME: net.home } });
    assert.deepEqual([ran.code, ran.stdout.length, ran.stderr], [0, 3, ''], verb);
  }
});

test('homes that are none, a time limit, and a network that does not answer', async () => {
  const none = exits(await sandbox.opera(['ls', '--home', sandbox.path('no-home')]), 2);
  assert.match(none.stderr, /no-home is not the home of a member[\s\S]*opera (up|join)/);
  exits(await sandbox.opera(['ls'], { env: { OPERA_HOME: sandbox.path('no-home') } }), 2);
  const timed = exits(await net.opera(['cat', 'out/large', '--timeout', '1ms']), 124);
  assert.equal(timed.stdout, '');
  exits(await net.down(), 0);
  const gone = exits(await net.opera(['ls']), 5);
  assert.match(gone.stderr, /^opera: .*\n?.*opera (up|status)/);
  assert.equal(gone.stdout, '');
});
