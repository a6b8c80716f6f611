// Settings: which source wins, that each remembers its origin, and that secrets are guarded and never shown.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Config, type ConfigInput, loadConfig } from '../../src/config/config.ts';
import { clearDefaultProfile, readDefaultProfile, setDefaultProfile } from '../../src/config/default-profile.ts';
import { withRegistry } from '../../src/config/environment.ts';
import { isOperaError } from '../../src/errors/errors.ts';

const setup = (context: TestContext) => {
  const userHome = mkdtempSync(join(tmpdir(), 'opera-config-'));
  context.after(() => rmSync(userHome, { recursive: true, force: true }));
  const write = (path: string, content: unknown, mode = 0o600): string => {
    const file = join(userHome, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    chmodSync(file, mode);
    return file;
  };
  const load = (env: Record<string, string> = {}, flags: ConfigInput['flags'] = {}): Config =>
    loadConfig({ flags, env, userHome });
  return { userHome, write, load, defaultHome: join(userHome, '.local/share/opera') };
};

const configError = (pattern: RegExp) => (error: unknown) => {
  assert.ok(isOperaError(error, 'config'), String(error));
  assert.match(`${error.message}. ${error.hint ?? ''}`, pattern);
  assert.ok(!`${error.message}${error.hint}${String(error.cause)}`.includes('hunter2'));
  return true;
};

test('a flag goes before a variable, that before the file of the home, that before the one of the user', (context) => {
  const { write, load, userHome } = setup(context);
  const userFile = write('.config/opera/config.json', {
    zone: 'user',
    capacity: '1GiB',
    storage: 'memory',
    timeout: 5000,
  });
  const home = join(userHome, 'h');
  const homeFile = write('h/config.json', { zone: 'home', capacity: '2GiB' });
  const config = load({ OPERA_HOME: home, OPERA_ZONE: 'variable' }, { zone: 'flag' });
  assert.deepEqual([config.zone, config.origins.zone], ['flag', 'flag --zone']);
  const noFlag = load({ OPERA_HOME: home, OPERA_ZONE: 'variable' });
  assert.deepEqual([noFlag.zone, noFlag.origins.zone], ['variable', 'OPERA_ZONE']);
  const noVariable = load({ OPERA_HOME: home });
  assert.deepEqual([noVariable.zone, noVariable.origins.zone], ['home', homeFile]);
  assert.deepEqual([noVariable.capacity, noVariable.storage, noVariable.timeout], [2 * 2 ** 30, 'memory', 5000]);
  assert.equal(noVariable.origins.storage, userFile);
  assert.deepEqual([noVariable.listen, noVariable.origins.listen], [undefined, 'default']);
});

test('the home is the flag, OPERA_HOME, the file of the user, the default profile, or the XDG folder', (context) => {
  const { write, load, userHome, defaultHome } = setup(context);
  assert.deepEqual([load().home, load().origins.home], [defaultHome, 'default']);
  assert.equal(load({ XDG_DATA_HOME: '/data' }).home, '/data/opera');
  assert.equal(load({ XDG_DATA_HOME: 'relative' }).home, defaultHome);
  mkdirSync(join(userHome, 'net/client'), { recursive: true });
  const pointer = write('.local/share/opera/default-profile', `${join(userHome, 'net/client')}\n`);
  assert.equal(load().home, join(userHome, 'net/client'));
  assert.equal(load().origins.home, `default profile (${pointer})`);
  write('.config/opera/config.json', { home: '/from/file' });
  assert.equal(load().home, '/from/file');
  assert.equal(load({ OPERA_HOME: 'relative' }).home, join(process.cwd(), 'relative'));
  assert.equal(load({ OPERA_HOME: '/variable' }, { home: '/flag' }).home, '/flag');
});

test('a default profile that is gone is said so and does not count', (context) => {
  const { write, load, defaultHome } = setup(context);
  write('.local/share/opera/default-profile', '/gone/client\n');
  assert.equal(load().home, defaultHome);
  assert.match(load().warnings.join(), /default profile \/gone\/client is gone/);
});

test('the default profile is set only when there is none, and only its own folder clears it', (context) => {
  const { userHome, defaultHome } = setup(context);
  const [first, second] = [join(userHome, 'a'), join(userHome, 'b')];
  mkdirSync(first);
  mkdirSync(second);
  assert.equal(setDefaultProfile({}, userHome, first), 'set');
  assert.equal(setDefaultProfile({}, userHome, first), 'set');
  assert.equal(setDefaultProfile({}, userHome, second), 'other');
  assert.equal(readDefaultProfile({}, userHome).folder, first);
  assert.equal(readFileSync(join(defaultHome, 'default-profile'), 'utf8'), `${first}\n`);
  clearDefaultProfile({}, userHome, second);
  assert.equal(readDefaultProfile({}, userHome).folder, first);
  rmSync(first, { recursive: true });
  assert.equal(setDefaultProfile({}, userHome, second), 'set');
  clearDefaultProfile({}, userHome, second);
  assert.equal(existsSync(join(defaultHome, 'default-profile')), false);
});

test('a default home that is a member itself is not taken over', (context) => {
  const { userHome, defaultHome } = setup(context);
  mkdirSync(join(defaultHome, 'identity'), { recursive: true });
  assert.equal(setDefaultProfile({}, userHome, userHome), 'other');
});

test('the registry URL comes from a file that only its owner can read', (context) => {
  const { write, load } = setup(context);
  const file = write('registry-url', 'redis://:hunter2@h:6379\n');
  const config = load({ OPERA_REGISTRY_FILE: file });
  assert.deepEqual(
    [config.registry, config.origins.registry],
    ['redis://:hunter2@h:6379', `OPERA_REGISTRY_FILE (${file})`],
  );
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(file, mode);
    assert.throws(
      () => load({ OPERA_REGISTRY_FILE: file }),
      configError(/can be read by others \(mode 6\d\d\).*chmod 600/),
    );
  }
  assert.throws(() => load({ OPERA_REGISTRY_FILE: '/nonexistent' }), configError(/cannot be read/));
  assert.throws(() => load({ OPERA_REGISTRY_FILE: tmpdir() }), configError(/cannot be read: it is no regular file/));
  assert.throws(() => load({ OPERA_REGISTRY_FILE: write('empty', '') }), configError(/is empty/));
  const both = { OPERA_REGISTRY_FILE: file, OPERA_REGISTRY: 'redis://h' };
  assert.throws(() => load(both), configError(/both set/));
});

test('a process is told one address of the registry, wherever this one had it from, or none', (context) => {
  const { write, load } = setup(context);
  const env = {
    OPERA_REGISTRY_FILE: write('registry-url', 'redis://:hunter2@h'),
    OPERA_REGISTRY: 'a',
    OPERA_ZONE: 'z',
  };
  const config = load({ ...withRegistry(env, 'redis://:hunter2@h') } as Record<string, string>);
  assert.deepEqual([config.registry, config.zone], ['redis://:hunter2@h', 'z']);
  assert.deepEqual(withRegistry(env, undefined), { OPERA_ZONE: 'z' });
});

test('a config file with a password must be closed to others', (context) => {
  const { write, load } = setup(context);
  const file = write('.config/opera/config.json', { registry: 'redis://:hunter2@h' });
  assert.equal(load().registry, 'redis://:hunter2@h');
  chmodSync(file, 0o644);
  assert.throws(() => load(), configError(/holds a password and can be read by others/));
});

test('broken config files are refused with the file and the reason, and without their content', (context) => {
  const { write, load, userHome } = setup(context);
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ['{"registry": "redis://:hunter2@h', /not valid JSON/],
    ['[]', /must hold a JSON object/],
    [{ registri: 'x' }, /unknown key "registri".*"registry"/],
    [{ capacity: 'lots' }, /capacity must be a size such as 10GiB, not "lots"/],
    [{ capacity: -1 }, /capacity must be/],
    [{ json: 'perhaps' }, /json must be true or false/],
    [{ zone: 7 }, /zone must be a text, not number/],
    [{ zone: '' }, /zone must be a text/],
  ];
  for (const [content, pattern] of cases) {
    const file = write('.config/opera/config.json', content);
    assert.throws(() => load(), configError(pattern), JSON.stringify(content));
    assert.throws(() => load(), configError(new RegExp(file.replaceAll('.', '\\.'))));
  }
  rmSync(join(userHome, '.config'), { recursive: true });
  write('h/config.json', { home: '/x' });
  assert.throws(() => load({ OPERA_HOME: join(userHome, 'h') }), configError(/cannot name another/));
});

test('unknown OPERA_ variables are warned about with the nearest known one', (context) => {
  const { load } = setup(context);
  assert.deepEqual(load({ PATH: '/bin', OPERA_TEST_X: '1' }).warnings, []);
  assert.match(
    load({ OPERA_REGISTRY_FIL: 'x' }).warnings.join(),
    /OPERA_REGISTRY_FIL .*nearest is OPERA_REGISTRY_FILE/,
  );
});

test('booleans of variables are words, and anything else is refused', (context) => {
  const { load } = setup(context);
  for (const word of ['1', 'true', 'YES', 'on']) assert.equal(load({ OPERA_JSON: word }).json, true);
  for (const word of ['0', 'false', 'no', 'off']) assert.equal(load({ OPERA_COLOR: word }).color, false);
  assert.throws(() => load({ OPERA_DEBUG: '2' }), configError(/debug must be true or false, not "2" \(OPERA_DEBUG\)/));
});
