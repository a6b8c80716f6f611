// Keys and pages of a node's index: fixed vectors, and what must not open.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { indexKeyEpochOf, openIndexKey, PageSealer, sealIndexKey } from '../../src/crypto/index-keys.ts';
import { createKeyring } from '../../src/crypto/keyring.ts';
import { keyHashFromBytes, networkIdFromBytes, versionIdFromBytes } from '../../src/model/ids.ts';
import { SystemRandom } from '../../src/runtime/random.ts';

const random = new SystemRandom();
const key = new Uint8Array(32).map((_, at) => at);
const network = networkIdFromBytes(new Uint8Array(16).fill(1));
const version = versionIdFromBytes(new Uint8Array(16).fill(2));
const node = keyHashFromBytes(new Uint8Array(32).fill(3));

test('the index key opens with the network key of its epoch, for its node and network, and nothing altered', () => {
  const keyring = createKeyring(network, { epoch: 1, key: random.bytes(32) });
  const record = sealIndexKey(keyring, network, node, key, random);
  assert.equal(record.length, 77);
  assert.equal(indexKeyEpochOf(record), 1);
  assert.deepEqual(openIndexKey(keyring, network, node, record), key);
  const other = keyHashFromBytes(new Uint8Array(32).fill(4));
  assert.throws(() => openIndexKey(keyring, network, other, record), { code: 'integrity' });
  for (let at = 0; at < record.length; at++) {
    const altered = record.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    assert.throws(() => openIndexKey(keyring, network, node, altered));
  }
});

test('a page opens in its own place only', () => {
  const salt = random.bytes(32);
  const sealer = new PageSealer(key, salt, network, version, 7);
  const page = sealer.seal(0, 3, Buffer.from('postings'));
  assert.deepEqual(Buffer.from(sealer.open(0, 3, page)).toString(), 'postings');
  const wrong: (() => unknown)[] = [
    () => sealer.open(1, 3, page),
    () => sealer.open(0, 4, page),
    () => new PageSealer(key, salt, network, version, 8).open(0, 3, page),
    () => new PageSealer(key, random.bytes(32), network, version, 7).open(0, 3, page),
    () => new PageSealer(random.bytes(32), salt, network, version, 7).open(0, 3, page),
    () =>
      sealer.open(
        0,
        3,
        page.map((byte, at) => (at === 2 ? byte ^ 1 : byte)),
      ),
    () => sealer.open(0, 3, page.subarray(0, 10)),
  ];
  for (const open of wrong) assert.throws(open, { code: 'integrity' });
});
