// Strict JSON: what JSON.parse would let through, and that strictness costs neither time nor good messages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../src/model/limits.ts';
import { formatJson, parseJson } from '../../src/wire/json.ts';
import { refuses } from '../support/refuses.ts';

const refused = (text: string): void => {
  const error = refuses(() => parseJson(text), 'bad-request');
  assert.doesNotMatch(error.message, /canary/);
};

test('a key that stands twice in one object is refused, at any depth, and the same key in two objects is not', () => {
  refused('{"a":1,"a":2}');
  refused('{"x":[{"role":"client","role":"master"}]}');
  refused('{"a":{"b":1},"a":3}');
  refused('{"a" :1, "a"\n:2}');
  assert.deepEqual(parseJson('{"a":{"a":1},"b":{"a":2},"c":[{"a":1},{"a":1}]}'), {
    a: { a: 1 },
    b: { a: 2 },
    c: [{ a: 1 }, { a: 1 }],
  });
});

test('a key that is written with escapes is refused: it could be a second spelling of another', () => {
  refused('{"\\u0061":1}');
  refused('{"a":1,"\\u0061":2}');
  refused('{"\\u005f_proto__":1}');
  refused('{"a\\"b":1}');
});

test('__proto__ is no key, and nothing is polluted', () => {
  refused('{"__proto__":{"polluted":1}}');
  refused('{"a":{"__proto__":null}}');
  assert.deepEqual(parseJson('["__proto__"]'), ['__proto__']);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

test('depth is bounded, and 300,000 levels are refused without work that grows with their square', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  assert.ok(parseJson(nested(limits.jsonDepthMax)));
  refused(nested(limits.jsonDepthMax + 1));
  const many = 300_000;
  refused('['.repeat(many));
  refused('{"a":'.repeat(many));
  refused(nested(many));
  refused(`{"a":${'[{"b":'.repeat(many)}`);
});

test('brackets and quotes inside strings count for nothing', () => {
  const text = `["${'['.repeat(100)}", "\\"{\\\\", "a:b", {"k":"}:\\"x\\":"}]`;
  assert.deepEqual(parseJson(text), JSON.parse(text));
});

test('half a character is refused, a whole one in two escapes is not', () => {
  for (const text of ['"\\ud800"', '"\\uDC00"', '["a\\uD83D"]', '{"a":"\\ude00\\ud83d"}', '"\\ud800\\u0041"'])
    refused(text);
  assert.equal(parseJson('"\\ud83d\\ude00"'), '😀');
  assert.equal(parseJson('"\\\\ud800"'), '\\ud800');
});

test('what is not JSON is refused without repeating it', () => {
  for (const text of [
    '',
    ' ',
    'canary',
    '{canary:1}',
    "{'a':1}",
    '[1,]',
    '{"a":1,}',
    '01',
    '+1',
    '.5',
    'NaN',
    '"canary',
  ]) {
    refused(text);
  }
  for (const text of [
    '[1] [2]',
    '\ufeff{}',
    '"\n"',
    '"\\x41"',
    '{"a"',
    '{"a":',
    ']',
    '}',
    '[}',
    '/**/1',
    'undefined',
  ]) {
    refused(text);
  }
});

test('numbers keep what JSON says, and ranges are the schemas’ business', () => {
  assert.equal(parseJson('1e308'), 1e308);
  assert.equal(parseJson('-0'), -0);
  assert.equal(parseJson('1e999'), Number.POSITIVE_INFINITY);
});

test('every value of JSON.parse that has only plain keys comes through unchanged', () => {
  const plain = fc.stringMatching(/^[a-zA-Z0-9 ._-]{0,12}$/).filter((key) => key !== '__proto__');
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      fc.string({ unit: 'grapheme' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('any'), { maxLength: 4 }),
      fc.dictionary(plain, tie('any'), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).any;
  fc.assert(
    fc.property(value, (sample) => {
      const text = JSON.stringify(sample);
      assert.deepEqual(parseJson(text), JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test('any text is either parsed as JSON.parse does or refused with bad-request', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\',
    'u',
    'd800',
    'a',
    '1',
    ' ',
    '"a":',
    'null',
    '\0',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 24 }), (parts) => {
      const text = parts.join('');
      let ours: unknown;
      try {
        ours = parseJson(text);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'bad-request');
        return;
      }
      assert.deepEqual(ours, JSON.parse(text));
    }),
    { numRuns: 3_000 },
  );
});

test('a message of twenty megabytes is read without work that grows with its square', () => {
  const text = JSON.stringify({ entries: Array.from({ length: 5_000 }, () => ({ body: 'A'.repeat(4_000) })) });
  assert.deepEqual(parseJson(text), JSON.parse(text));
});

test('bytes travel as base64 and 64-bit numbers as decimal text, wherever they stand', () => {
  const message = {
    bytes: new Uint8Array([1, 2, 255]),
    view: new Uint8Array([9, 1, 2, 9]).subarray(1, 3),
    buffer: Buffer.from('hi'),
    big: 18_446_744_073_709_551_615n,
    list: [new Uint8Array(0), 1n],
    absent: undefined,
    none: null,
  };
  assert.equal(
    formatJson(message),
    '{"bytes":"AQL/","view":"AQI=","buffer":"aGk=","big":"18446744073709551615","list":["","1"],"none":null}',
  );
});
