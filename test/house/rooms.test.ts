// What must stand beside what: an acceptance test beside each implementation of a seam, a notice beside foreign data.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { listFiles, readSource, readSources } from './_sources.ts';

const contracts: Readonly<Record<string, { readonly folder: string; readonly suite: string }>> = {
  StorageAdapter: { folder: 'storage-adapters', suite: 'test/acceptance/storage-adapter.ts' },
  Registry: { folder: 'registry', suite: 'test/acceptance/registry.ts' },
};

test('every implementation of a storage or registry contract runs the acceptance suite of that contract', () => {
  for (const [contract, { folder, suite }] of Object.entries(contracts)) {
    const implements_ = new RegExp(`\\bimplements\\s+(?:\\w+\\.)?${contract}\\b`);
    const implementations = readSources(`src/${folder}`).filter(({ code }) => implements_.test(code));
    assert.ok(implementations.length > 0, `no implementation of ${contract} was found`);
    for (const { path } of implementations) {
      const mirror = path.replace(/^src\//, 'test/').replace(/\.ts$/, '.test.ts');
      assert.ok(existsSync(mirror), `${path} has no ${mirror}`);
      const imports = readSource(mirror).imports.map((item) => item.path);
      assert.ok(imports.includes(suite), `${mirror} does not run ${suite}`);
    }
  }
});

test('every fixture is listed in fixtures/README.md, and what is listed exists', () => {
  const readme = readFileSync('fixtures/README.md', 'utf8');
  const rows = readme.split('\n').filter((line) => line.startsWith('|'));
  const listed = [...rows.join('\n').matchAll(/`([a-z][^`\s]*\/[^`\s]*)`/g)].map((match) => match[1] ?? '');
  for (const path of listed) assert.ok(existsSync(`fixtures/${path}`), `${path} is listed and absent`);
  const unlisted = listFiles('fixtures')
    .map((path) => path.replace(/^fixtures\//, ''))
    .filter((path) => path !== 'README.md')
    .filter((path) => !listed.some((entry) => path === entry || (entry.endsWith('/') && path.startsWith(entry))));
  assert.deepEqual(unlisted, []);
});

test('catalogues of others carry their notices', () => {
  const notices = listFiles('fixtures/catalogues').filter((path) => path.endsWith('.LICENSE.txt'));
  assert.equal(notices.length, 2);
  for (const path of notices) assert.match(readFileSync(path, 'utf8'), /Copyright \(c\) 20\d\d/i);
});

test('continuous integration can be run, and demands every test', () => {
  assert.ok((statSync('.ci/run').mode & 0o100) !== 0, '.ci/run is not executable');
  const script = readFileSync('.ci/run', 'utf8');
  assert.match(script, /^set -euo pipefail$/m);
  assert.match(script, /^export OPERA_TEST_REQUIRE_ALL=1$/m);
});
