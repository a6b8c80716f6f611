// What documents name must exist: relative links, and files of this project in backquotes. Documents rot silently
// otherwise. It does not judge what they say.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { listFiles } from './_sources.ts';

const documents = listFiles('.').filter((path) => path.endsWith('.md') && !path.startsWith('fixtures/catalogues/'));

/** Targets of links that are neither URLs nor places on the same page, from the root of the project. */
const linksOf = (path: string, text: string): string[] =>
  [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^(?:[a-z]+:|#)/.test(target))
    .map((target) => normalize(join(dirname(path), target.replace(/#.*$/, ''))));

/** Files of the sources and tests that are named in backquotes; patterns and placeholders are no names. */
const filesOf = (text: string): string[] =>
  [...text.matchAll(/`((?:src|test|bench|docs|fixtures)\/[A-Za-z0-9_./-]+)`/g)].map((match) => match[1] ?? '');

test('relative links in documents lead to files that exist', () => {
  const broken = documents.flatMap((path) =>
    linksOf(path, readFileSync(path, 'utf8'))
      .filter((target) => !existsSync(target))
      .map((target) => `${path}: ${target}`),
  );
  assert.deepEqual(broken, []);
});

test('files that documents name exist', () => {
  const missing = documents.flatMap((path) =>
    filesOf(readFileSync(path, 'utf8'))
      .filter((file) => !existsSync(file))
      .map((file) => `${path}: ${file}`),
  );
  assert.deepEqual(missing, []);
});

test('a broken link and an absent file are seen', () => {
  assert.deepEqual(linksOf('docs/a.md', '[x](b.md#part) [y](https://example.org) [z](#here) [w](../README.md)'), [
    'docs/b.md',
    'README.md',
  ]);
  assert.deepEqual(filesOf('`src/nowhere/x.ts` and `src/*.ts` and `opera`'), ['src/nowhere/x.ts']);
  assert.ok(documents.includes('README.md') && documents.includes('docs/formats.md'));
});
