// No (key, nonce) twice across processes: every version draws its own key and salt. This file starts itself again as
// a child process that only draws.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createFileKeys } from '../../src/crypto/sealing.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import { network, toHex, versionOf } from './_support.ts';

const drawSubkeys = (count: number): string[] => {
  const random = new SystemRandom();
  const version = versionOf('drawn');
  return Array.from({ length: count }, () => toHex(createFileKeys(random, network, version).subkey));
};

const drawInChild = (): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['draw-subkeys'], { execArgv: [] });
    child.once('message', (subkeys) => resolve(subkeys as string[]));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the child ended with ${code} before it answered`)));
  });

if (process.argv[2] === 'draw-subkeys') {
  process.send?.(drawSubkeys(3_000), () => process.disconnect());
} else {
  test('versions drawn by several processes share no segment key', async () => {
    const drawn = await Promise.all([drawInChild(), drawInChild()]);
    const all = [...drawn.flat(), ...drawSubkeys(3_000)];
    assert.equal(all.length, 9_000);
    assert.equal(new Set(all).size, all.length);
  });
}
