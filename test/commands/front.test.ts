// The rules of the command line that hold for every verb: parsing, help, exit codes, errors, signals, closed pipes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineVerb } from '../../src/commands/_verb.ts';
import { destructiveFlags, configFlags } from '../../src/commands/_flags.ts';
import { errorTable, type ErrorCode, OperaError } from '../../src/errors/errors.ts';
import { run, start, tableOf } from './_host.ts';

/** Prints what it was given, as JSON. */
const echo = defineVerb({
  examples: ['opera do x'],
  arguments: [{ name: 'items', summary: 'anything', variadic: true, optional: true }],
  flags: {
    port: { type: 'number', short: 'p', min: -90, max: 65_535, summary: 'a number' },
    recursive: { type: 'boolean', short: 'r', summary: 'all below' },
    resume: { type: 'boolean', default: true, summary: 'go on' },
    catalogue: { type: 'boolean', negatable: true, summary: 'it is one' },
    map: { type: 'string', repeatable: true, placeholder: 'A=B', summary: 'columns' },
    role: { type: 'enum', options: ['node', 'client'], default: 'node', summary: 'a role' },
    ttl: { type: 'duration', default: '1h', summary: 'a time' },
    size: { type: 'bytes', summary: 'a size' },
    ifAbsent: { type: 'boolean', summary: 'only new ones' },
    ...destructiveFlags,
    ...configFlags('registry', 'zone'),
  },
  run: async ({ io, args, flags, config }) =>
    io.line(JSON.stringify({ ...flags, items: args.items, zone: config.zone })),
});
const pair = defineVerb({
  examples: ['opera pair a b'],
  arguments: [
    { name: 'from', summary: 'the old name' },
    { name: 'to', summary: 'the new name' },
  ],
  run: async ({ io, args }) => io.line(`${args.from}>${args.to}`),
});
const verbs = tableOf({ do: echo, pair });

const parsed = async (...args: readonly string[]) => {
  const { stdout, stderr, exit } = await run(args, { verbs });
  assert.equal(exit, 0, stderr);
  return JSON.parse(stdout);
};

const refused: readonly (readonly [args: string, message: RegExp])[] = [
  ['do --prot 9', /unknown flag --prot; the nearest is --port\nusage: opera do /],
  ['do --prot=9', /unknown flag --prot; the nearest is --port/],
  ['do -z', /unknown flag -z\n/],
  ['do -rz', /unknown flag -z/],
  ['do --if-absnt', /the nearest is --if-absent/],
  ['do --ifAbsent', /unknown flag --ifAbsent/],
  ['toString', /unknown verb "toString"\n/],
  ['constructor', /unknown verb "constructor"/],
  ['__proto__', /unknown verb "__proto__"/],
  ['pari a b', /unknown verb "pari"; the nearest is pair/],
  ['pair a', /TO is missing: the new name\nusage: opera pair \[FLAGS\] FROM TO\n/],
  ['pair a b c', /unexpected argument "c"\nusage/],
  ['do --port', /--port needs a value \(N\)/],
  ['do --port --recursive', /--port needs a value .*written --port=VALUE/],
  ['do --port x', /--port takes a whole number from -90 to 65535, not "x"/],
  ['do --port 70000', /from -90 to 65535/],
  ['do --port 1.5', /whole number/],
  ['do --port=', /whole number/],
  ['do --port 1 --port 2', /--port is given twice/],
  ['do -p 1 --port 1', /--port is given twice/],
  ['do -r -r', /-r is given twice/],
  ['do --json --json', /"detail":"--json is given twice"/],
  ['--json do --json', /"detail":"--json is given twice"/],
  ['do --catalogue --no-catalogue', /is given twice/],
  ['do --recursive=yes', /--recursive takes no value/],
  ['do --no-recursive', /unknown flag --no-recursive/],
  ['do --role nod', /one of node, client, not "nod"; the nearest is node/],
  ['do --ttl 5', /a time such as 60s, not "5"/],
  ['do --size 10Gi', /a size such as 10GiB/],
  ['do --registry redis://:hunter2@h:6379', /holds a password.*OPERA_REGISTRY_FILE/],
  ['do --registry=redis://u:hunter2@h', /OPERA_REGISTRY_FILE/],
  ['--port 9 do', /unknown flag --port before the verb.*opera VERB --flag/],
  ['--home', /--home needs a value/],
  ['--bogus', /unknown flag --bogus before the verb/],
];

for (const [line, message] of refused) {
  test(`opera ${line.replace('hunter2', 'PASSWORD')} is refused with exit 2 and changes nothing`, async () => {
    const { stdout, stderr, exit } = await run(line.split(' '), { verbs });
    assert.equal(exit, 2);
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.ok(!stderr.includes('hunter2'));
    assert.ok(!stderr.includes('\n    at '));
  });
}

test('flags have their declared types and defaults', async () => {
  const plain = await parsed('do');
  assert.equal(plain.ttl, 3_600_000);
  assert.equal(plain.role, 'node');
  assert.equal(plain.resume, true);
  assert.equal(plain.recursive, false);
  assert.equal('catalogue' in plain, false);
  assert.deepEqual(plain.map, []);
  const given = await parsed(
    ...'do a --port 9 -r --no-resume --no-catalogue --map a=b --map c=d --role client --ttl 90s --size 2KiB'.split(' '),
  );
  assert.deepEqual([given.port, given.recursive, given.resume, given.catalogue], [9, true, false, false]);
  assert.deepEqual([given.map, given.role, given.ttl, given.size], [['a=b', 'c=d'], 'client', 90_000, 2048]);
  assert.deepEqual(given.items, ['a']);
});

test('short flags may stand together and take their value attached or behind', async () => {
  assert.equal((await parsed('do', '-rp9')).port, 9);
  assert.equal((await parsed('do', '-rnp', '9')).dryRun, true);
  assert.equal((await parsed('do', '-p=9')).port, 9);
});

test('negative numbers and - are values, as arguments and behind flags', async () => {
  const { items, port } = await parsed('do', '101.28', '-16.7', '-.5', '-', '--port', '-7');
  assert.deepEqual(items, ['101.28', '-16.7', '-.5', '-']);
  assert.equal(port, -7);
  assert.deepEqual((await parsed('do', '--map', '-16.7')).map, ['-16.7']);
});

test('-- ends the flags, and = gives a value that looks like a flag', async () => {
  assert.deepEqual((await parsed('do', '--', '--port', '-r')).items, ['--port', '-r']);
  assert.deepEqual((await parsed('do', '--map=--port', '--map=')).map, ['--port', '']);
  assert.deepEqual((await parsed('do', '--', '--help')).items, ['--help']);
});

test('global flags and settings work before the verb and behind it', async () => {
  assert.equal((await parsed('--json', 'do')).json, true);
  assert.equal((await parsed('do', '--json')).json, true);
  assert.equal((await parsed('--home', '/tmp', 'do', 'x')).home, '/tmp');
  assert.equal((await parsed('--home=/tmp', '-q', 'do')).home, '/tmp');
  assert.equal((await parsed('do', '--zone', 'attic')).zone, 'attic');
});

test('a missing, stray or odd token is shown escaped and cut', async () => {
  const { stderr } = await run(['pair', 'a', 'b', `\x1b[2J\u202e${'x'.repeat(500)}`], { verbs });
  assert.ok(!stderr.includes('\x1b') && !stderr.includes('\u202e'));
  assert.ok(stderr.length < 300);
});

test('a join code or password never stays in the title of the process', async () => {
  const code = 'opera1.abcdefgh.ijklmnop.qrstuvwx@127.0.0.1:7000';
  const { title } = await run(['do', '--join', code, 'redis://:pw123@h'], { verbs });
  assert.match(title, /^opera do --join opera1\.\*\*\*/);
  assert.ok(!title.includes('qrstuvwx') && !title.includes('pw123'));
});

for (const line of [
  '',
  '--help',
  '-h',
  'help',
  'help do',
  'do --help',
  'do -h --bogus',
  '--help do',
  'do -rh',
  'help units',
]) {
  test(`opera ${line}: help on standard output, exit 0, at most 80 columns`, async () => {
    const { stdout, stderr, exit } = await run(
      line.split(' ').filter((word) => word !== ''),
      { verbs, terminal: true },
    );
    assert.equal(exit, 0);
    assert.equal(stderr, '');
    assert.ok(stdout.length > 100);
    for (const row of stdout.split('\n')) assert.ok(row.length <= 80, row);
    assert.ok(!stdout.includes('\x1b'));
  });
}

test('help shows examples before usage and flags, with defaults', async () => {
  const { stdout } = await run(['help', 'do'], { verbs });
  const order = [
    'opera do: does do',
    'Examples:',
    '  opera do x',
    'Usage: opera do [FLAGS] [ITEMS…]',
    '  -p, --port N',
    '[no-]cat',
    'Flags of every',
  ];
  const places = order.map((text) => stdout.indexOf(text));
  assert.ok(
    places.every((place) => place >= 0),
    JSON.stringify(places),
  );
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
  assert.match(stdout, /--ttl TIME +a time \(default 1h\)/);
  assert.match(stdout, /--no-resume/);
});

test('help about an unknown word is exit 2', async () => {
  const { exit, stderr, stdout } = await run(['help', 'pari'], { verbs });
  assert.deepEqual([exit, stdout], [2, '']);
  assert.match(stderr, /no help about "pari"; the nearest is pair/);
});

const throwing = (error: unknown) =>
  tableOf({ do: defineVerb({ examples: ['opera do'], run: () => Promise.reject(error) }) });

test('every error code ends with its exit code of the table and one line, usage errors with theirs', async () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const { exit, stderr, stdout } = await run(['do'], { verbs: throwing(new OperaError(code, 'the reason')) });
    assert.equal(exit, errorTable[code].exit, code);
    assert.equal(stdout, '');
    // What was wrong with a command line is followed by how it is meant.
    assert.match(stderr, code === 'usage' ? /^opera: the reason\nusage: .+\n$/ : /^opera: the reason\. .+\n$/, code);
  }
});

test('an error line is: what and why, then what to do', async () => {
  const error = new OperaError('token-expired', 'the join code expired 2 h ago', {
    hint: 'Make one: opera token create --role node',
    requestId: 'r1',
  });
  const { stderr } = await run(['do'], { verbs: throwing(error) });
  assert.equal(stderr, 'opera: the join code expired 2 h ago (request r1). Make one: opera token create --role node\n');
});

test('under --json an error is one object on standard error', async () => {
  const error = new OperaError('conflict', 'moved on\u202e', { hint: 'look', requestId: 'r1' });
  const { stderr, exit } = await run(['do', '--json'], { verbs: throwing(error) });
  assert.equal(exit, 10);
  assert.ok(!stderr.includes('\u202e'));
  assert.deepEqual(JSON.parse(stderr), {
    v: 1,
    code: 'conflict',
    title: errorTable.conflict.title,
    detail: 'moved on\u202e',
    hint: 'look',
    requestId: 'r1',
  });
});

test('OPERA_JSON makes errors JSON as the flag does', async () => {
  const { stderr } = await run(['do', '--bogus'], { verbs, env: { OPERA_JSON: '1' } });
  assert.equal(JSON.parse(stderr).code, 'usage');
});

test('an unexpected error is one line without stack, and with the stack when debugging', async () => {
  const boom = new TypeError('x is not a function\n    at /home/someone/secret.ts:1');
  const quiet = await run(['do'], { verbs: throwing(boom) });
  assert.equal(quiet.exit, 1);
  assert.equal(quiet.stderr.split('\n').length, 2);
  assert.match(quiet.stderr, /^opera: an internal error: x is not a function\. .*OPERA_DEBUG=1/);
  const loud = await run(['do'], { verbs: throwing(boom), env: { OPERA_DEBUG: '1' } });
  assert.match(loud.stderr, /\n {4}at /);
});

test('errors of the local system have their own exit codes', async () => {
  const system = (code: string) => Object.assign(new Error(`${code}: x`), { code, path: '/a', syscall: 'open' });
  for (const [code, exit] of [
    ['ENOENT', 3],
    ['EACCES', 4],
    ['ENOSPC', 11],
    ['EEXIST', 10],
    ['EIO', 1],
  ] as const) {
    assert.equal((await run(['do'], { verbs: throwing(system(code)) })).exit, exit, code);
  }
  const { stderr } = await run(['do'], { verbs: throwing(system('ENOENT')) });
  assert.equal(stderr, 'opera: /a: there is no such file\n');
  const other = await run(['do'], { verbs: throwing(system('EIO')) });
  assert.equal(other.stderr, 'opera: /a: open failed with EIO\n', 'what is not in the table is told all the same');
});

test('an error of a local file gives no advice about the network', async () => {
  const full = Object.assign(new Error('ENOSPC: x'), { code: 'ENOSPC', syscall: 'write' });
  const { stderr } = await run(['do'], { verbs: throwing(full) });
  assert.equal(stderr, 'opera: no space is left on this machine’s disk\n');
});

test('a verb that finds its command line wrong ends with its usage line', async () => {
  const { stderr, exit } = await run(['do'], { verbs: throwing(new OperaError('usage', 'the range holds no byte')) });
  assert.equal(exit, 2);
  assert.match(stderr, /^opera: the range holds no byte\nusage: opera do/);
  const json = await run(['do', '--json'], { verbs: throwing(new OperaError('usage', 'the range holds no byte')) });
  assert.match((JSON.parse(json.stderr) as { readonly hint: string }).hint, /^usage: opera do/);
});

test('secrets in a message are removed before it is shown', async () => {
  const error = new OperaError('unavailable', 'cannot reach redis://:hunter2@h');
  for (const args of [['do'], ['do', '--json']]) {
    assert.ok(!(await run(args, { verbs: throwing(error), env: { OPERA_DEBUG: '1' } })).stderr.includes('hunter2'));
  }
});

/** Runs until its signal aborts. */
const waiting = (handlesSignals: boolean, end: (signal: AbortSignal) => Promise<void>) =>
  tableOf({
    do: defineVerb({
      examples: ['opera do'],
      ...(handlesSignals ? { handlesSignals: true } : {}),
      run: async ({ signal, io }) => {
        await io.line('ready');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await end(signal);
      },
    }),
  });
const untilRunning = async (parts: ReturnType<typeof start>): Promise<void> => {
  while (!parts.stdout.text.includes('ready')) await new Promise(setImmediate);
};
const rethrow = (signal: AbortSignal): Promise<void> => Promise.reject(signal.reason);

for (const [name, exit] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${name} ends an ordinary verb with ${exit}, whether it throws or returns`, async () => {
    for (const end of [rethrow, () => Promise.resolve()]) {
      const parts = start(['do'], { verbs: waiting(false, end) });
      await untilRunning(parts);
      parts.signal(name);
      await parts.done;
      assert.equal(parts.state.exit, exit);
      assert.equal(parts.listeners(), 0);
    }
  });

  test(`${name} lets a verb that handles signals end by itself, and a second one ends the process`, async () => {
    const parts = start(['do'], { verbs: waiting(true, () => Promise.resolve()) });
    await untilRunning(parts);
    parts.signal(name);
    assert.equal(parts.state.forced, undefined);
    parts.signal(name);
    assert.equal(parts.state.forced, exit);
    await parts.done;
    assert.equal(parts.state.exit, 0);
  });
}

test('a verb that ignores its signal is ended after the grace', async () => {
  const parts = start(['do'], { verbs: waiting(false, () => new Promise(() => undefined)) });
  await untilRunning(parts);
  parts.signal('SIGINT');
  parts.clock.advance(4999);
  assert.equal(parts.state.forced, undefined);
  parts.clock.advance(1);
  assert.equal(parts.state.forced, 130);
});

test('--timeout ends a verb with 124', async () => {
  const parts = start(['do', '--timeout', '2s'], { verbs: waiting(false, rethrow) });
  await untilRunning(parts);
  parts.clock.advance(2000);
  await parts.done;
  assert.equal(parts.state.exit, 124);
  assert.match(parts.stderr.text, /^opera: not done after 2s\./);
});

test('a timeout from the environment does not stop a daemon, and the flag is refused there', async () => {
  const parts = start(['do'], { verbs: waiting(true, () => Promise.resolve()), env: { OPERA_TIMEOUT: '1s' } });
  await untilRunning(parts);
  parts.clock.advance(10_000);
  parts.signal('SIGTERM');
  await parts.done;
  assert.equal(parts.state.exit, 0);
  const { exit } = await run(['do', '--timeout', '1s'], { verbs: waiting(true, () => Promise.resolve()) });
  assert.equal(exit, 2);
});

test('an unknown OPERA_ variable is warned about once and a wrong value is exit 2', async () => {
  const { stderr, exit } = await run(['do'], { verbs, env: { OPERA_HOEM: '/x', OPERA_TEST_MUTANT: '1' } });
  assert.equal(exit, 0);
  assert.equal(
    stderr,
    'opera: warning: the variable OPERA_HOEM is not known and has no effect; the nearest is OPERA_HOME\n',
  );
  const wrong = await run(['do'], { verbs, env: { OPERA_CAPACITY: 'lots' } });
  assert.equal(wrong.exit, 2);
  assert.match(wrong.stderr, /capacity must be a size such as 10GiB, not "lots" \(OPERA_CAPACITY\)/);
});
