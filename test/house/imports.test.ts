// Imports follow the table of rooms; there are no cycles; private files stay in their folder; packages in their room.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { entries, mayImport, packageRooms, testPackages } from './_import-table.ts';
import { type Import, readSource, readSources, type Source } from './_sources.ts';

const sources = readSources('src');
const tests = [...readSources('test'), ...readSources('bench')];

const relativeTo = (path: string): string => path.replace(/^src\//, '');
const roomOf = (path: string): string => relativeTo(path).split('/')[0] ?? '';
const isIn = (path: string, place: string): boolean => path === place || path.startsWith(`${place}/`);

/** The role a file belongs to; undefined for files directly in roles/ and outside of it. */
const roleOf = (path: string): string | undefined => /^src\/roles\/([^/]+)\//.exec(path)?.[1];

/** What is wrong with one import between files of src; undefined when nothing is. */
const faultOf = (from: string, { path, typeOnly }: Import): string | undefined => {
  if (path === undefined) return undefined;
  if (!path.startsWith('src/')) return `${from} leaves src: ${path}`;
  const target = relativeTo(path);
  const allowed = entries[from] ?? mayImport[roomOf(from)];
  if (allowed === undefined) return `${from} is in a room that the table does not know`;
  const role = roleOf(path);
  if (role !== undefined && roomOf(from) === 'roles' && role !== roleOf(from)) return `${from} imports role ${role}`;
  if (entries[from] === undefined && roomOf(from) === roomOf(path)) return undefined;
  if (allowed.some((place) => isIn(target, place))) return undefined;
  if (typeOnly && allowed.some((place) => place.startsWith('types:') && isIn(target, place.slice(6)))) return undefined;
  return `${from} imports ${path}`;
};

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

const isBuiltin = (specifier: string): boolean => specifier.startsWith('node:') || builtinModules.includes(specifier);

test('the table is of this code base: every room exists or is still to come, and none is missing', () => {
  assert.ok(sources.length > 20, 'the sources were found');
  const rooms = new Set(sources.filter(({ path }) => entries[path] === undefined).map(({ path }) => roomOf(path)));
  assert.deepEqual(
    [...rooms].filter((room) => mayImport[room] === undefined),
    [],
  );
});

test('a file imports only what the table of rooms allows', () => {
  const faults = sources.flatMap((source) => source.imports.flatMap((item) => faultOf(source.path, item) ?? []));
  assert.deepEqual(faults, []);
});

test('the table refuses what it should', () => {
  const refused: readonly (readonly [string, string])[] = [
    ['src/model/ids.ts', "import { x } from '../crypto/digest.ts';"],
    ['src/roles/master/app.ts', "import { x } from '../node/state.ts';"],
    ['src/roles/listener.ts', "import { x } from './node/state.ts';"],
    ['src/roles/node/app.ts', "import { x } from '../../storage-adapters/sqlite.ts';"],
    ['src/crypto/sealing.ts', "import { x } from '../runtime/clock.ts';"],
    ['src/placement/plan.ts', "const x = await import('../crypto/sealing.ts');"],
    ['src/client/put.ts', "export { x } from '../commands/put.ts';"],
    ['src/nowhere/x.ts', "import '../model/ids.ts';"],
  ];
  for (const [path, text] of refused) {
    const [item] = readSource(path, text).imports;
    assert.ok(item && faultOf(path, item) !== undefined, `${path}: ${text}`);
  }
  const [typeOnly] = readSource('src/crypto/x.ts', "import type { Clock } from '../runtime/clock.ts';").imports;
  assert.ok(typeOnly && faultOf('src/crypto/x.ts', typeOnly) === undefined);
});

test('imports inside comments and texts are not taken for imports', () => {
  const text = "// import '../a.ts'\nconst x = \"import y from 'b'\";\nconst z = `import('c') ${import('./d.ts')}`;";
  assert.deepEqual(
    readSource('src/model/x.ts', text).imports.map(({ specifier }) => specifier),
    ['./d.ts'],
  );
});

test('a file whose name begins with _ is imported only from its own folder', () => {
  const strangers = [...sources, ...tests].flatMap((source) =>
    source.imports.flatMap(({ path }) => {
      if (path === undefined || !/\/_[^/]+\.ts$/.test(path) || entries[source.path]?.includes(relativeTo(path)))
        return [];
      const mirror = dirname(source.path).replace(/^(?:test|bench)(?=\/|$)/, 'src');
      const home = dirname(path);
      return mirror === home || dirname(source.path) === home ? [] : [`${source.path} imports ${path}`];
    }),
  );
  assert.deepEqual(strangers, []);
});

test('relative imports name a file that exists, with its ending', () => {
  const missing = [...sources, ...tests].flatMap((source) =>
    source.imports.flatMap(({ path }) => (path === undefined || existsSync(path) ? [] : [`${source.path}: ${path}`])),
  );
  assert.deepEqual(missing, []);
});

test('each package is imported only in its room', () => {
  const faults = sources.flatMap(({ path, imports }) =>
    imports.flatMap(({ specifier, path: target }) => {
      if (target !== undefined || isBuiltin(specifier)) return [];
      const rooms = packageRooms[packageOf(specifier)] ?? [];
      return rooms.some((room) => isIn(relativeTo(path), room)) ? [] : [`${path} imports ${specifier}`];
    }),
  );
  assert.deepEqual(faults, []);
  for (const { path, imports } of sources) {
    const redis = imports.some(({ specifier }) => specifier === 'ioredis');
    assert.ok(!redis || /^src\/registry\/_?redis[a-z-]*\.ts$/.test(path), `${path} imports ioredis`);
  }
});

test('every package that is imported is declared, and every declared one has a room', () => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  const declared = new Set(Object.keys(manifest.dependencies));
  const development = new Set(Object.keys(manifest.devDependencies));
  for (const name of declared) assert.ok(packageRooms[name], `${name} has no room in the table`);
  for (const { path, imports } of tests) {
    for (const { specifier, path: target } of imports) {
      if (target !== undefined || isBuiltin(specifier)) continue;
      const name = packageOf(specifier);
      assert.ok(declared.has(name) || (testPackages.includes(name) && development.has(name)), `${path}: ${specifier}`);
    }
  }
});

/**
 * A path through imports that ends where it began, or undefined. Lazy imports do not count: the table of verbs loads
 * each verb when it is called, and a verb may read the table.
 */
const findCycle = (all: readonly Source[]): string[] | undefined => {
  const graph = new Map(
    all.map(({ path, imports }) => [path, imports.flatMap((item) => (item.lazy ? [] : (item.path ?? [])))]),
  );
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const next of graph.get(path) ?? []) {
      const cycle = walk(next, [...trail, path]);
      if (cycle) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of graph.keys()) {
    const cycle = walk(path, []);
    if (cycle) return cycle;
  }
  return undefined;
};

test('imports have no cycles, types included', () => {
  assert.deepEqual(findCycle(sources), undefined);
  const planted = [
    readSource('src/model/a.ts', "import './b.ts';"),
    readSource('src/model/b.ts', "import type { A } from './a.ts';"),
  ];
  assert.deepEqual(findCycle(planted), ['src/model/a.ts', 'src/model/b.ts', 'src/model/a.ts']);
});
