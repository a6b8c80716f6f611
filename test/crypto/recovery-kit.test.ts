// The recovery kit: readable, retypable, and never accepted when a letter is wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeRecoveryKit, parseRecoveryKit, recoveryKitBytesMax } from '../../src/crypto/recovery-kit.ts';
import { labelled, network, refuses } from './_support.ts';

const kit = { network, caPin: labelled('pin', 32), privateKey: labelled('recovery', 32) };
const text = encodeRecoveryKit(kit, '2026-11-22T00:00:00Z');

test('a kit reads back as it was written', () => {
  assert.deepEqual(parseRecoveryKit(text), kit);
  assert.match(text, /^Space Opera recovery kit, version 1\n/);
  assert.ok(text.split('\n').every((line) => line.length <= 100));
});

test('a retyped kit reads back: other case, spacing, line ends and lines for people', () => {
  const [title = '', ...lines] = text.split('\n');
  const retyped = [title, ...lines.map((line) => `  ${line.toUpperCase().replace(/ /g, '  ')}`), '# kept in the safe'];
  assert.deepEqual(parseRecoveryKit(retyped.join('\r\n')), kit);
  assert.deepEqual(parseRecoveryKit(`\ufeff${text}`), kit);
});

test('every single mistyped letter is refused', () => {
  const from = text.indexOf('network    ');
  for (let at = from; at < text.length; at++) {
    if (!/[a-z2-7]/.test(text[at] ?? '')) continue;
    const typo = text[at] === 'a' ? 'b' : 'a';
    refuses(() => parseRecoveryKit(text.slice(0, at) + typo + text.slice(at + 1)), 'bad-request');
  }
});

test('missing, double, foreign and cut lines are refused', () => {
  const lines = text.trim().split('\n');
  for (let at = 0; at < lines.length; at++) {
    if (lines[at]?.startsWith('#') || lines[at] === '') continue;
    refuses(() => parseRecoveryKit(lines.filter((_, index) => index !== at).join('\n')), 'bad-request');
    refuses(() => parseRecoveryKit([...lines, lines[at]].join('\n')), 'bad-request');
  }
  refuses(() => parseRecoveryKit(`${text}\nowner me`), 'bad-request');
  refuses(() => parseRecoveryKit(text.replace('version 1', 'version 2')), 'bad-request');
  refuses(() => parseRecoveryKit(''), 'bad-request');
  refuses(() => parseRecoveryKit(text + ' '.repeat(recoveryKitBytesMax)), 'bad-request');
});

test('an error names the line, never what stands on it', () => {
  const broken = text.replace(/^key .*$/m, 'key  secretsecret');
  assert.throws(
    () => parseRecoveryKit(broken),
    (error: Error) => /line key/.test(error.message) && !/secret/.test(error.message),
  );
});
