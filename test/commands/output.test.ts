// What verbs print: terminal, pipe, JSON, quiet; escaping; colour; questions; closed and full outputs; progress.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideColor } from '../../src/commands/_output.ts';
import { progressText, StatusLine, startProgress } from '../../src/commands/_progress.ts';
import { displayWidth, escapeText } from '../../src/model/terminal-text.ts';
import { toJsonLine, wrapText } from '../../src/commands/_text.ts';
import { defineVerb, type VerbBase } from '../../src/commands/_verb.ts';
import { destructiveFlags } from '../../src/commands/_flags.ts';
import type { Column } from '../../src/commands/_table.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { ManualClock, run, type Setup, start, tableOf } from './_host.ts';

interface File {
  readonly name: string;
  readonly size: number;
  readonly at: number;
}
const columns: readonly Column<File>[] = [
  { key: 'size', kind: 'bytes', value: ({ size }) => size },
  { key: 'name', id: true, value: ({ name }) => name, style: () => 'good' },
  { key: 'modified', kind: 'time', value: ({ at }) => at },
  { key: 'zone', value: () => undefined },
];
const files: readonly File[] = [
  { name: 'sol.csv', size: 1536, at: 0 },
  { name: '星', size: 10, at: 1000 },
];

const doing = (act: (context: VerbBase) => Promise<unknown>, handlesSignals = false) =>
  tableOf({
    do: defineVerb({
      examples: ['opera do'],
      flags: destructiveFlags,
      ...(handlesSignals ? { handlesSignals: true } : {}),
      run: async (context) => {
        await act(context);
      },
    }),
  });
const runDoing = (act: (context: VerbBase) => Promise<unknown>, args: readonly string[] = [], setup: Setup = {}) =>
  run(['do', ...args], { ...setup, verbs: doing(act) });
const list = ({ io }: VerbBase): Promise<number> => io.table(columns, files);

test('a list on a terminal is an aligned table with human sizes and colour', async () => {
  const { stdout } = await runDoing(list, ['--no-color'], { terminal: true });
  assert.equal(
    stdout,
    [
      '   SIZE  NAME     MODIFIED              ZONE',
      '1.5 KiB  sol.csv  1970-01-01T00:00:00Z  -',
      '   10 B  星       1970-01-01T00:00:01Z  -',
      '',
    ].join('\n'),
  );
  const colored = await runDoing(list, [], { terminal: true });
  assert.ok(colored.stdout.includes('\x1b[32msol.csv'));
});

test('a list in a pipe is exact TSV without header, which --header adds', async () => {
  const rows = '1536\tsol.csv\t1970-01-01T00:00:00.000Z\t\n10\t星\t1970-01-01T00:00:01.000Z\t\n';
  assert.equal((await runDoing(list)).stdout, rows);
  assert.equal((await runDoing(list, ['--header'])).stdout, `size\tname\tmodified\tzone\n${rows}`);
});

test('a list under --json is one object per line, and -q prints ids only', async () => {
  const { stdout } = await runDoing(list, ['--json', '--header']);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines[0], { v: 1, size: 1536, name: 'sol.csv', modified: '1970-01-01T00:00:00.000Z', zone: null });
  assert.equal(lines.length, 2);
  assert.equal((await runDoing(list, ['-q'])).stdout, 'sol.csv\n星\n');
  assert.equal((await runDoing(list, ['-q', '--json'])).stdout, 'sol.csv\n星\n');
});

test('a long list on a terminal is printed page by page from a stream', async () => {
  const many = async function* () {
    for (let index = 0; index < 450; index++) yield { name: `n${index}`, size: index, at: 0 };
  };
  const { stdout } = await runDoing(({ io }) => io.table(columns, many()), [], { terminal: true });
  const rows = stdout.trimEnd().split('\n');
  assert.equal(rows.length, 451);
  assert.equal(rows.filter((row) => row.includes('NAME')).length, 1);
});

test('a single answer is facts and lines, or one JSON document, or its id', async () => {
  const answer = ({ io }: VerbBase) =>
    io.document(
      { name: 'a', sequence: 2n ** 60n },
      {
        id: 'a',
        facts: [
          ['name', 'a'],
          ['size', 2048, 'bytes'],
        ],
        lines: [['is ', ['good', 'well']]],
      },
    );
  assert.equal((await runDoing(answer)).stdout, 'name\ta\nsize\t2048\nis well\n');
  const shown = await runDoing(answer, ['--no-color'], { terminal: true });
  assert.equal(shown.stdout, 'name: a\nsize: 2.0 KiB\nis well\n');
  assert.equal((await runDoing(answer, ['--color'])).stdout.split('\n')[2], 'is \x1b[32mwell\x1b[0m');
  assert.deepEqual(JSON.parse((await runDoing(answer, ['--json'])).stdout), {
    v: 1,
    name: 'a',
    sequence: '1152921504606846976',
  });
  assert.equal((await runDoing(answer, ['-q'])).stdout, 'a\n');
});

test('control, C1 and bidirectional characters are escaped in every shape, and JSON stays exact', async () => {
  const evil = 'a\x1b[2J\x9b\u202eb\tc\nd\u2066\x7f';
  const print = async ({ io }: VerbBase): Promise<void> => {
    await io.table([{ key: 'name', value: (name: string) => name }], [evil]);
    await io.line(evil, ['bad', evil]);
    io.note(evil);
    io.warn(evil);
  };
  for (const args of [[], ['--json'], ['-q'], ['--no-color']]) {
    const { stdout, stderr } = await runDoing(print, args, { terminal: args.includes('--no-color') });
    for (const text of [stdout, stderr]) assert.ok(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]/.test(text), text);
  }
  const { stdout } = await runDoing(
    ({ io }) => io.table([{ key: 'name', value: (name: string) => name }], [evil]),
    ['--json'],
  );
  assert.equal(JSON.parse(stdout).name, evil);
  assert.equal(escapeText(evil), 'a\\x1b[2J\\x9b\\u202eb\\tc\\nd\\u2066\\x7f');
  assert.equal(escapeText('x\ud800'), 'x\\ud800');
  assert.equal(toJsonLine({ a: '\u2028' }), '{"a":"\\u2028"}');
});

test('notes go to standard error and are silent with -q and --json; warnings never are', async () => {
  const say = ({ io }: VerbBase): Promise<void> => {
    io.note('a note');
    io.warn('a warning');
    return Promise.resolve();
  };
  assert.deepEqual(await runDoing(say).then(({ stdout, stderr }) => [stdout, stderr]), [
    '',
    'a note\nopera: warning: a warning\n',
  ]);
  assert.equal((await runDoing(say, ['-q'])).stderr, 'opera: warning: a warning\n');
  const { stderr } = await runDoing(say, ['--json']);
  assert.deepEqual(JSON.parse(stderr), { v: 1, level: 'warning', detail: 'a warning' });
});

test('colour is decided by flag, NO_COLOR, FORCE_COLOR, TERM and terminal, in this order', () => {
  const cases: readonly (readonly [boolean | undefined, Record<string, string>, boolean, boolean])[] = [
    [undefined, {}, true, true],
    [undefined, {}, false, false],
    [undefined, { TERM: 'dumb' }, true, false],
    [undefined, { NO_COLOR: '0' }, true, false],
    [undefined, { FORCE_COLOR: '1' }, false, true],
    [undefined, { FORCE_COLOR: '0' }, true, false],
    [undefined, { FORCE_COLOR: '1', TERM: 'dumb' }, false, true],
    [undefined, { FORCE_COLOR: '1', NO_COLOR: '1' }, true, false],
    [false, { FORCE_COLOR: '1' }, true, false],
    [true, { NO_COLOR: '1' }, false, true],
  ];
  for (const [asked, env, terminal, color] of cases) {
    assert.equal(decideColor(asked, env, terminal), color, JSON.stringify([asked, env, terminal]));
  }
});

test('a destructive verb asks on a terminal, needs --yes elsewhere, and does nothing on any other answer', async () => {
  const remove = async ({ io }: VerbBase): Promise<void> => {
    await io.confirm('Remove 3 files of network abc?');
    await io.line('removed');
  };
  const piped = await runDoing(remove, [], { stdin: 'y\n' });
  assert.deepEqual([piped.exit, piped.stdout], [2, '']);
  assert.match(piped.stderr, /Remove 3 files of network abc\? Nobody can be asked here\. Repeat it with --yes/);
  assert.equal((await runDoing(remove, ['--yes'])).stdout, 'removed\n');
  assert.equal((await runDoing(remove, [], { terminal: true, stdin: 'y\n' })).stdout, 'removed\n');
  for (const stdin of ['n\n', '\n', '', 'yesterday\n']) {
    const { exit, stdout, stderr } = await runDoing(remove, [], { terminal: true, stdin });
    assert.deepEqual([exit, stdout], [130, ''], JSON.stringify(stdin));
    assert.match(stderr, /\[y\/N\] .*nothing was done/);
  }
});

test('a question ends when the user interrupts it', async () => {
  const parts = start(['do'], { terminal: true, verbs: doing(({ io }) => io.confirm('Sure?')) });
  while (!parts.stderr.text.includes('Sure?')) await new Promise(setImmediate);
  parts.signal('SIGINT');
  await parts.done;
  assert.equal(parts.state.exit, 130);
});

test('a closed pipe ends the verb quietly, and its signal tells it', async () => {
  let ended = false;
  const endless = async ({ io, signal }: VerbBase): Promise<void> => {
    for (let index = 0; !signal.aborted; index++) await io.line(`line ${index}`);
    ended = true;
    throw new OperaError('unavailable', 'a consequence');
  };
  const parts = start(['do'], { verbs: doing(endless) });
  parts.stdout.failWith = 'EPIPE';
  await parts.done;
  assert.equal(parts.state.exit, 0);
  assert.equal(parts.stderr.text, '');
  assert.ok(ended || parts.stdout.writes > 0);
});

test('a daemon outlives the reader of its first line', async () => {
  const serve = async ({ io, signal }: VerbBase): Promise<void> => {
    await io.line('ready');
    await io.flush();
    await io.line('still here');
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    throw new OperaError('degraded', 'its own outcome');
  };
  const parts = start(['do'], { verbs: doing(serve, true) });
  parts.stdout.failWith = 'EPIPE';
  while (parts.stdout.writes === 0) await new Promise(setImmediate);
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  assert.equal(parts.state.exit, undefined);
  parts.signal('SIGTERM');
  await parts.done;
  assert.equal(parts.state.exit, 8);
});

test('a full disk behind > is an error with its own exit code, not silence', async () => {
  const parts = start(['do'], { verbs: doing(({ io }) => io.line('data')) });
  parts.stdout.failWith = 'ENOSPC';
  await parts.done;
  assert.equal(parts.state.exit, 11);
  assert.match(parts.stderr.text, /standard output cannot be written \(ENOSPC\)/);
});

test('a slow reader slows the verb down, and everything arrives in order before the exit', async () => {
  let written = 0;
  const line = 'x'.repeat(1000);
  const print = async ({ io }: VerbBase): Promise<void> => {
    for (; written < 500; written++) await io.line(`${written} ${line}`);
    await io.bytes(new TextEncoder().encode('last\n'));
  };
  const parts = start(['do'], { verbs: doing(print) });
  while (written === 0) await new Promise(setImmediate);
  assert.ok(written < 500, 'a reader that has taken nothing holds the writer back');
  await parts.done;
  const lines = parts.stdout.text.split('\n');
  assert.equal(lines.length, 502);
  assert.deepEqual([lines[0]?.slice(0, 2), lines[499]?.slice(0, 4), lines[500]], ['0 ', '499 ', 'last']);
});

test('a verb that prints without end and waits for nothing else still hears its signal', async () => {
  const endless = async ({ io, signal }: VerbBase): Promise<void> => {
    while (!signal.aborted) await io.line('ready and a line that is some forty characters long');
    throw signal.reason;
  };
  const parts = start(['do'], { verbs: doing(endless) });
  while (!parts.stdout.text.includes('ready')) await new Promise(setImmediate);
  parts.signal('SIGINT');
  await parts.done;
  assert.equal(parts.state.exit, 130);
});

test('progress shows bytes, share, rate and time left, at most ten times a second, and is wiped', () => {
  const clock = new ManualClock();
  let shown = '';
  const line = new StatusLine(
    (text) => {
      shown += text;
    },
    () => 80,
  );
  const progress = startProgress(line, clock, { label: 'put a\x1b', totalBytes: 10 * 2 ** 20 });
  for (let index = 0; index < 1000; index++) {
    progress.add(2 ** 10);
    clock.advance(1);
  }
  progress.end();
  const frames = shown.split('\r').length - 1;
  assert.ok(frames >= 5 && frames <= 11, String(frames));
  assert.match(shown, /put a\\x1b {2}\d+ KiB \/ 10\.0 MiB {2}\d+ % {2}10\d\d KiB\/s {2}\d+s left/);
  assert.ok(shown.endsWith('\r\x1b[K'));
  assert.equal(progressText({ label: 'x', unit: 'files' }, 3, undefined, 0), 'x  3 files');
});

test('progress is silent in a pipe, with -q and with --json', async () => {
  const act = ({ io, clock }: VerbBase): Promise<void> => {
    const progress = io.progress({ label: 'x', totalBytes: 10 });
    if (clock instanceof ManualClock) clock.advance(1000);
    progress.add(5);
    progress.end();
    return Promise.resolve();
  };
  assert.equal((await runDoing(act)).stderr, '');
  assert.equal((await runDoing(act, ['-q'], { terminal: true })).stderr, '');
  assert.equal((await runDoing(act, ['--json'], { terminal: true })).stderr, '');
  assert.notEqual((await runDoing(act, [], { terminal: true })).stderr, '');
});

test('widths count what a terminal shows, and wrapping keeps to them', () => {
  assert.equal(displayWidth('abc'), 3);
  assert.equal(displayWidth('星'), 2);
  assert.equal(displayWidth('e\u0301'), 1);
  assert.deepEqual(wrapText('aa bb cc', 5), ['aa bb', 'cc']);
  assert.deepEqual(wrapText('', 5), ['']);
});
