// docs/formats.md is enough: a reader that shares no code with us gets from a member's key to the plaintext, and from
// the recovery kit and the data folders of stopped nodes to every file.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import expected from '../../fixtures/formats/v1/network/expected.json' with { type: 'json' };
import golden from '../../fixtures/formats/v1/sealing.json' with { type: 'json' };

const stranger = (...args: readonly string[]): Readonly<Record<string, unknown>> =>
  JSON.parse(execFileSync(process.execPath, ['test/crypto/stranger-reader.mjs', ...args], { encoding: 'utf8' }));

test('a reader written from the format page alone opens the golden records', () => {
  const name = 'surveys/Größe/α Centauri.csv';
  assert.deepEqual(stranger('records', 'fixtures/formats/v1/sealing.json'), {
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

test('it restores every file of a stopped network by the kit, beside a node that slept, and by a member', () => {
  // A copy: SQLite makes its -shm beside a file that it only reads.
  const copy = mkdtempSync(join(tmpdir(), 'opera-stranger-'));
  try {
    cpSync('fixtures/formats/v1/network', copy, { recursive: true });
    const at = (name: string): string => join(copy, name);
    const [kit, identity, newest, asleep] = [at('kit.txt'), at('client/identity'), at('node-1'), at('node-2')];
    const { files, dead, roster, keyEpoch: epochs, authority } = expected;
    const all = { files, dead, roster, epochs, authority };
    assert.deepEqual(stranger('kit', kit, asleep, newest), all);
    assert.deepEqual(stranger('identity', identity, newest), all);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});
