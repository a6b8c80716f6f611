// docs/formats.md is enough: a reader that shares no code with us gets from a member's key to the plaintext.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import golden from '../../fixtures/formats/v1/sealing.json' with { type: 'json' };

test('a reader written from the format page alone opens the golden records', () => {
  const output = execFileSync(process.execPath, [
    'test/crypto/stranger-reader.mjs',
    'fixtures/formats/v1/sealing.json',
  ]);
  const name = 'surveys/Größe/α Centauri.csv';
  assert.deepEqual(JSON.parse(output.toString('utf8')), {
    manifests: {
      manifestLive: { state: 1, sequence: '1795000000000001', name, follows: 0, size: 140 },
      manifestRewrapped: { state: 1, sequence: '1795000000000001', name, follows: 0, size: 140 },
      manifestCatalogue: { state: 1, sequence: '1795000000000002', name, follows: 1_795_000_000_000_000, size: 140 },
      manifestDead: { state: 2, sequence: '1795000000000003', name, follows: 0, size: 140 },
      nameTombstone: { state: 2, sequence: '1795000000000004', name: 'old name', follows: 7 },
    },
    plaintext: golden.plaintext,
  });
});
