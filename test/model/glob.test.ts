// Globs against their written meaning, and the promise that no pattern takes more than linear time in the name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOperaError } from '../../src/errors/errors.ts';
import { isGlob, parseGlob } from '../../src/model/glob.ts';

const matching: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
  ['sol', ['sol'], ['sola', 'so', 'Sol', 'sol/', '']],
  ['*.csv', ['a.csv', '.csv', '.hidden.csv'], ['a/b.csv', 'a.csvx', 'csv']],
  ['survey/*', ['survey/a', 'survey/.a'], ['survey/a/b', 'survey', 'surveys/a']],
  ['survey/**', ['survey/a', 'survey/a/b'], ['survey', 'survey/', 'surveys/a']],
  ['survey/**/*.csv', ['survey/a.csv', 'survey/x/y/a.csv'], ['survey/a.tsv', 'a.csv', 'surveyx/a.csv']],
  ['**', ['a', 'a/b/c'], ['']],
  ['**/a', ['a', 'x/a', 'x/y/a'], ['xa', 'x/ya', 'a/x']],
  ['a**b', ['ab', 'axxb'], ['a/b', 'ax/xb']],
  ['?', ['a', 'é', '🜁'], ['', 'ab', '/']],
  ['[a-c]?', ['ax', 'b1'], ['dx', 'a', 'a/']],
  ['[!a-c]', ['d', '-'], ['a', '/', '']],
  ['[]]', [']'], ['[', '']],
  ['[a-]', ['a', '-'], ['b']],
  ['{a,bc,}x', ['ax', 'bcx', 'x'], ['bx', 'a', 'abcx']],
  ['x{1,{2,3}y}', ['x1', 'x2y', 'x3y'], ['x2', 'xy']],
  ['{**/a,b}.csv', ['a.csv', 'q/a.csv', 'b.csv'], ['q/b.csv']],
  ['a\\*', ['a*'], ['ab', 'a\\*']],
  ['\\[x\\]', ['[x]'], ['x']],
  ['e\u0301*', ['\u00e9', '\u00e9t\u00e9'], ['e']],
];

for (const [pattern, yes, no] of matching) {
  test(`the pattern ${pattern} means what the table says`, () => {
    const glob = parseGlob(pattern);
    for (const name of yes) assert.equal(glob.matches(name), true, name);
    for (const name of no) assert.equal(glob.matches(name), false, name);
    for (const name of yes) assert.ok(name.startsWith(glob.prefix), `${name} begins with ${glob.prefix}`);
  });
}

test('the literal prefix ends before the first special character and is unescaped', () => {
  assert.equal(parseGlob('survey/2026-*/x').prefix, 'survey/2026-');
  assert.equal(parseGlob('a\\[b/{c,d}').prefix, 'a[b/');
  assert.equal(parseGlob('*.csv').prefix, '');
  assert.equal(parseGlob('plain').prefix, 'plain');
});

test('a text is a glob only with an unescaped special character', () => {
  for (const text of ['*', 'a?', '[', 'x{']) assert.equal(isGlob(text), true, text);
  for (const text of ['a', 'a]b}', '\\*', '']) assert.equal(isGlob(text), false, text);
});

test('broken patterns are usage errors', () => {
  for (const pattern of ['[a', '[', '{a,b', 'a\\', '[z-a]', '{'.repeat(20), 'x'.repeat(2000)]) {
    assert.throws(
      () => parseGlob(pattern),
      (error) => isOperaError(error, 'usage'),
      pattern,
    );
  }
});

test('patterns that blow up backtracking matchers take linear steps here', () => {
  const name = 'a'.repeat(1024);
  for (const pattern of ['*a'.repeat(40) + 'b', '{a,aa}'.repeat(40) + 'b', '{*,**}'.repeat(40) + 'b']) {
    const glob = parseGlob(pattern);
    // A backtracking matcher needs more steps than there are atoms for these: finishing at all is the test.
    assert.equal(glob.matches(name), false);
  }
});
