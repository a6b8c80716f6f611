// What may not stand in a file: banned calls, long files and lines, a missing first comment, paths of one machine.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { lineOf, listFiles, readSource, readSources, type Source } from './_sources.ts';

const sources = readSources('src');
const tests = [...readSources('test'), ...readSources('bench')];

interface Ban {
  readonly pattern: RegExp;
  readonly why: string;
  /** Files where it may stand. */
  readonly except?: RegExp;
}

const clockWhy = 'time comes from the Clock, so that the simulator can own it';
const runtime = /^src\/runtime\//;

const bans: readonly Ban[] = [
  { pattern: /\bDate\.now\b/g, why: clockWhy, except: runtime },
  { pattern: /\bnew Date\b/g, why: clockWhy, except: runtime },
  { pattern: /\bperformance\.now\b/g, why: clockWhy, except: runtime },
  { pattern: /(?<![.\w])set(?:Timeout|Interval)\b/g, why: clockWhy, except: runtime },
  { pattern: /\bMath\.random\b/g, why: 'randomness comes from the Random seam' },
  {
    pattern: /\bconsole\s*\./g,
    why: 'roles log through the runtime, commands write through their output',
    except: runtime,
  },
  {
    pattern: /\bprocess\.env\b/g,
    why: 'only the configuration reads the environment',
    except: /^src\/(?:config\/|(?:main|launch)\.ts$)/,
  },
  {
    pattern: /\bString\(error\)/g,
    why: 'roles log errorFacts: the text of a foreign error may quote data',
    except: /^src\/(?!roles\/)/,
  },
  { pattern: /\bas any\b/g, why: 'parse or narrow instead' },
  { pattern: /\bexport\s+default\b/g, why: 'names are the same everywhere' },
  { pattern: /\bexport\s*\*/g, why: 'no barrels: import from where it is' },
  { pattern: /(?:^|[\n;])\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s/g, why: 'use a const object' },
  { pattern: /(?:^|[\n;])\s*(?:export\s+)?(?:declare\s+)?namespace\s/g, why: 'use a module' },
];

/** Tests may wait for real time and read the environment; the rest binds them too. */
const testBans = bans.filter(({ pattern }) => /Math|as any|export|enum|namespace/.test(pattern.source));

const faultsOf = (source: Source, rules: readonly Ban[]): string[] =>
  rules
    .filter(({ except }) => !except?.test(source.path))
    .flatMap(({ pattern, why }) =>
      [...source.code.matchAll(pattern)].map(
        (match) => `${source.path}:${lineOf(source.text, match.index)} ${match[0].trim()}: ${why}`,
      ),
    );

test('banned calls and words do not stand in the sources', () => {
  assert.deepEqual(
    sources.flatMap((source) => faultsOf(source, bans)),
    [],
  );
  assert.deepEqual(
    tests.flatMap((source) => faultsOf(source, testBans)),
    [],
  );
});

test('the ban sees code, and does not see comments and texts', () => {
  const planted = readSource(
    'src/model/x.ts',
    "// Date.now is banned\nconst a = 'console.log';\nconst b = /Math.random/;\nconst c = `${Date.now()} new Date`;",
  );
  assert.deepEqual(
    faultsOf(planted, bans).map((fault) => fault.split(' ')[1]),
    ['Date.now:'],
  );
  const each = ['Date.now()', 'new Date()', 'setTimeout(f)', 'Math.random()', 'console.log(1)', 'process.env.X'];
  for (const text of each) assert.equal(faultsOf(readSource('src/model/x.ts', `const a = ${text};`), bans).length, 1);
  assert.equal(faultsOf(readSource('src/roles/x.ts', 'log({ code: String(error) })'), bans).length, 1);
  for (const text of [
    'enum A {}',
    'export const enum A {}',
    'namespace A {}',
    'export default 1',
    "export * from './a.ts'",
  ]) {
    assert.equal(faultsOf(readSource('src/model/x.ts', text), bans).length, 1, text);
  }
});

test('no file silences the type checker, the linter or the formatter without a reason', () => {
  const silenced = [...sources, ...tests].flatMap(({ path, text, uncommented }) =>
    text.split('\n').flatMap((line, index) => {
      const inComment = line !== uncommented.split('\n')[index];
      if (!inComment) return [];
      if (/@ts-(?:ignore|nocheck|expect-error)/.test(line)) return [`${path}:${index + 1}`];
      // A linter's rule may be lifted for one line, by name, with the reason behind two dashes.
      const lifts = /(?:oxlint|eslint)-disable|biome-ignore/.test(line);
      return lifts && !/-disable-next-line [\w/@-]+ -- .{10}|biome-ignore \S+: .{10}/.test(line)
        ? [`${path}:${index + 1}`]
        : [];
    }),
  );
  assert.deepEqual(silenced, []);
});

test('a file is no barrel: it does more than passing names on', () => {
  const barrels = sources.filter(({ code }) => {
    const statements = code.replace(/\bexport\s+(?:type\s+)?\{[^}]*\}\s*from\s*;?/g, '').trim();
    return statements === '' && /\bexport\b/.test(code);
  });
  assert.deepEqual(
    barrels.map(({ path }) => path),
    [],
  );
});

const firstComment: Readonly<Record<string, RegExp>> = {
  ts: /^\/[/*]/,
  mjs: /^\/\//,
  lua: /^--/,
  html: /^(?:<!doctype html>\s*)?<!--/i,
  css: /^\/\*/,
};

test('every file opens by saying what it is', () => {
  const files = [...listFiles('src'), ...listFiles('test'), ...listFiles('bench'), 'build.mjs'];
  const mute = files.filter((path) => {
    const opening = firstComment[path.slice(path.lastIndexOf('.') + 1)];
    return opening !== undefined && !opening.test(readFileSync(path, 'utf8'));
  });
  assert.deepEqual(mute, []);
});

test('files have at most 400 lines, those of tests 600, and lines at most 120 characters', () => {
  const long = [...sources, ...tests].flatMap(({ path, text }) => {
    const lines = text.replace(/\n$/, '').split('\n');
    const most = path.startsWith('src/') ? 400 : 600;
    return [
      ...(lines.length > most ? [`${path} has ${lines.length} lines`] : []),
      ...lines.flatMap((line, index) => ([...line].length > 120 ? [`${path}:${index + 1} is too long`] : [])),
    ];
  });
  assert.deepEqual(long, []);
});

test('names of files are kebab-case', () => {
  const files = [...listFiles('src'), ...listFiles('test'), ...listFiles('bench')].filter(
    (path) => !path.endsWith('/README.md'),
  );
  const odd = files.filter(
    (path) =>
      !/^_?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|bench|d))?\.[a-z]+$/.test(path.slice(path.lastIndexOf('/') + 1)),
  );
  assert.deepEqual(odd, []);
});

test('no file names a folder of one machine', () => {
  // Put together here, so that this file does not find itself.
  const places = ['/work', '/root', '/tmp/briefs'].map((place) => `${place}/`);
  const isText = /\.(?:ts|mjs|json|md|lua|html|css|yml|yaml|sh|toml)$|(?:^|\/)(?:run|LICENSE)$/;
  const found = listFiles('.')
    .filter((path) => isText.test(path) && !path.startsWith('fixtures/catalogues/'))
    .filter((path) => places.some((place) => readFileSync(path, 'utf8').includes(place)));
  assert.deepEqual(found, []);
});

test('the lock file pins contents by hash and names no host', () => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const packages: readonly (readonly [string, { resolved?: string; integrity?: string }])[] = Object.entries(
    lock.packages,
  );
  assert.ok(packages.length > 10);
  for (const [path, { resolved, integrity }] of packages) {
    assert.equal(resolved, undefined, path);
    assert.ok(path === '' || integrity?.startsWith('sha512-'), path);
  }
});
