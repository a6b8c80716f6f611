// Amounts as people write them, and the words offered for a typing error.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasUrlPassword, redactSecrets } from '../../src/errors/redact.ts';
import { editDistance, nearest } from '../../src/model/nearest.ts';
import { formatByteSize, formatCount, formatDuration, parseByteSize, parseDuration } from '../../src/model/units.ts';

test('byte sizes are exact in binary and decimal units', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['1000', 1000],
    ['10GiB', 10 * 2 ** 30],
    ['10G', 10 * 2 ** 30],
    ['10GB', 10 ** 10],
    ['1.5 MiB', 1.5 * 2 ** 20],
    ['64kib', 65536],
    ['7B', 7],
    ['0.5', undefined],
    ['0.3KiB', undefined],
    ['-1', undefined],
    ['', undefined],
    ['GiB', undefined],
    ['1e3', undefined],
    ['10 Gi', undefined],
    ['99999999PiB', undefined],
  ];
  for (const [text, bytes] of cases) assert.equal(parseByteSize(text), bytes, text);
});

test('durations need a unit and may be composed', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['60s', 60_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    ['0', 0],
    ['60', undefined],
    ['-1s', undefined],
    ['', undefined],
    ['s', undefined],
    ['1y', undefined],
    ['0.1ms', undefined],
    ['999999999999999d', undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test('sizes and durations are shown short, and never as 1024 of a smaller unit', () => {
  assert.equal(formatByteSize(0), '0 B');
  assert.equal(formatByteSize(1023), '1023 B');
  assert.equal(formatByteSize(1024), '1.0 KiB');
  assert.equal(formatByteSize(2 ** 20 - 1), '1.0 MiB');
  assert.equal(formatByteSize(123 * 2 ** 30), '123 GiB');
  assert.equal(formatByteSize(10n ** 19n), '8.7 EiB');
  assert.equal(formatDuration(0), '0s');
  assert.equal(formatDuration(850), '850ms');
  assert.equal(formatDuration(185_000), '3m05s');
  assert.equal(formatDuration(90_000_000), '1d01h');
});

test('counts agree with their words and have their digits in threes', () => {
  assert.deepEqual(
    [0, 1, 2, 999, 1_000, 1_234_567].map((count) => formatCount(count, 'record')),
    ['0 records', '1 record', '2 records', '999 records', '1,000 records', '1,234,567 records'],
  );
  assert.deepEqual([formatCount(1, 'copy', 'copies'), formatCount(3, 'copy', 'copies')], ['1 copy', '3 copies']);
});

test('the nearest word is the one a typing error meant, and none when nothing is near', () => {
  assert.equal(editDistance('prot', 'port'), 1);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(nearest('prot', ['host', 'port', 'zone']), 'port');
  assert.equal(nearest('lst', ['ls', 'put']), 'ls');
  assert.equal(nearest('Put', ['ls', 'put']), 'put');
  assert.equal(nearest('toString', ['token', 'put', 'ls']), undefined);
  assert.equal(nearest('x'.repeat(10_000), ['x']), undefined);
});

test('secrets are told by their shape and replaced', () => {
  const code = 'opera1.abcdefgh.ijklmnop.qrstuvwx@127.0.0.1:7000';
  assert.equal(redactSecrets(`bad code ${code}`), 'bad code opera1.***@127.0.0.1:7000');
  assert.equal(redactSecrets('redis://u:pass@h:1/0'), 'redis://u:***@h:1/0');
  assert.equal(redactSecrets('redis://:p@ss@h'), 'redis://:***@h');
  assert.equal(redactSecrets('-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY----- x'), '*** x');
  assert.equal(redactSecrets('redis://:p/ss@h x@y'), 'redis://:***@h x@y');
  assert.equal(redactSecrets('https://host:7000/a a@b'), 'https://host:7000/a a@b');
  assert.equal(hasUrlPassword('redis://:x@h'), true);
  assert.equal(hasUrlPassword('redis://h:6379'), false);
  assert.equal(hasUrlPassword('a:b@c'), false);
});
