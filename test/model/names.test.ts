// The rules for names, one case each; a name that one role accepts and another refuses would be two files.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOperaError } from '../../src/errors/errors.ts';
import { isName, nameBytesMax, parseName, parseWireName } from '../../src/model/names.ts';

const badName = (error: unknown): boolean => isOperaError(error, 'bad-name');

test('ordinary and odd but legal names come back unchanged', () => {
  const names = [
    'a',
    'survey/2026/a.csv',
    '.hidden',
    '...',
    'a b',
    'a\\b',
    '星/β Pic',
    '🜁',
    '-',
    'x'.repeat(nameBytesMax),
  ];
  for (const name of names) {
    assert.equal(parseName(name), name);
    assert.equal(parseWireName(name), name);
    assert.equal(isName(name), true);
  }
});

test('two spellings of one name become one, and only that one is taken from the wire', () => {
  assert.equal(parseName('e\u0301'), '\u00e9');
  assert.throws(() => parseWireName('e\u0301'), badName);
  assert.equal(isName('e\u0301'), false);
});

const refused: readonly (readonly [name: string, reason: RegExp])[] = [
  ['', /is empty/],
  ['/a', /begins with \//],
  ['a/', /ends with \//],
  ['a//b', /empty part/],
  ['.', /part that is "\."/],
  ['a/../b', /part that is "\.\."/],
  ['..', /part that is "\.\."/],
  ['a\0b', /control/],
  ['a\nb', /control/],
  ['a\x7f', /control/],
  ['a\x9bb', /control/],
  ['a\ud800', /surrogate/],
  ['\udc00a', /surrogate/],
  ['x'.repeat(nameBytesMax + 1), /1025 bytes/],
  ['é'.repeat(513), /1026 bytes/],
  ['x'.repeat(1_000_000), /longer than/],
];

for (const [name, reason] of refused) {
  test(`the name ${JSON.stringify(name.slice(0, 20))} is refused: ${reason.source}`, () => {
    assert.throws(
      () => parseName(name),
      (error) => badName(error) && reason.test(String(error)),
    );
    assert.throws(() => parseWireName(name), badName);
    assert.equal(isName(name), false);
  });
}

test('what is not a text is no name on the wire', () => {
  for (const value of [undefined, null, 1, {}, ['a']]) assert.throws(() => parseWireName(value), badName);
});
