// Published vectors for the ciphers, the fast path against its slow twin, and everything a tag must refuse.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  chachaOpen,
  chachaSeal,
  deriveSubkey,
  nobleOpen,
  nobleSeal,
  xchachaOpen,
  xchachaSeal,
} from '../../src/crypto/chacha.ts';
import { hkdf } from '../../src/crypto/hkdf.ts';
import { altered, hex, labelled, refuses, SeededRandom, toHex } from './_support.ts';

const sunscreen = new TextEncoder().encode(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
);
const aad = hex('50515253c0c1c2c3c4c5c6c7');
const key = hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
const nonce = hex('404142434445464748494a4b4c4d4e4f5051525354555657');
const sealed = hex(
  'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216' +
    'cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13' +
    'b52ec0875924c1c7987947deafd8780acf49',
);

test('HChaCha20 gives the subkey of draft-irtf-cfrg-xchacha-03 section 2.2.1', () => {
  const subkey = deriveSubkey(
    hex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'),
    hex('000000090000004a0000000031415927'),
  );
  assert.equal(toHex(subkey), '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc');
});

test('HChaCha20 reads keys and nonces at any offset of a larger buffer', () => {
  const buffer = labelled('buffer', 49);
  const subkey = deriveSubkey(buffer.subarray(1, 33), buffer.subarray(33));
  assert.deepEqual(subkey, deriveSubkey(buffer.slice(1, 33), buffer.slice(33)));
});

test('XChaCha20-Poly1305 gives the vector of draft-irtf-cfrg-xchacha-03 appendix A.3.1, by both paths', () => {
  assert.equal(toHex(xchachaSeal(key, nonce, sunscreen, aad)), toHex(sealed));
  assert.equal(toHex(nobleSeal(key, nonce, sunscreen, aad)), toHex(sealed));
  assert.deepEqual(xchachaOpen(key, nonce, sealed, aad), sunscreen);
  assert.deepEqual(nobleOpen(key, nonce, sealed, aad), sunscreen);
});

test('ChaCha20-Poly1305 gives the vector of RFC 8439 section 2.8.2', () => {
  const wanted =
    'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b29' +
    '05d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b' +
    '61161ae10b594f09e26a7e902ecbd0600691';
  const shortNonce = hex('070000004041424344454647');
  assert.equal(toHex(chachaSeal(key, shortNonce, sunscreen, aad)), wanted);
  assert.deepEqual(chachaOpen(key, shortNonce, hex(wanted), aad), sunscreen);
});

test('HKDF-SHA-256 gives the first vector of RFC 5869', () => {
  const okm = hkdf(hex('0b'.repeat(22)), hex('000102030405060708090a0b0c'), hex('f0f1f2f3f4f5f6f7f8f9'), 42);
  assert.equal(toHex(okm), '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865');
});

test('10,000 random messages seal to the same bytes by both paths and open by the other', () => {
  const random = new SeededRandom('cross-check');
  const pool = labelled('pool', 70_000);
  for (let round = 0; round < 10_000; round++) {
    const seed = new DataView(random.bytes(92).buffer);
    const lengthMax = round % 200 === 0 ? 70_000 : round % 10 === 0 ? 4_000 : 130;
    const plaintext = pool.subarray(0, seed.getUint32(0) % (lengthMax + 1));
    const withAad = new Uint8Array(seed.buffer, 60, seed.getUint32(4) % 33);
    const roundKey = new Uint8Array(seed.buffer, 8, 32);
    const roundNonce = new Uint8Array(seed.buffer, 20, 24);
    const fast = xchachaSeal(roundKey, roundNonce, plaintext, withAad);
    const slow = nobleSeal(roundKey, roundNonce, plaintext, withAad);
    assert.ok(Buffer.compare(fast, slow) === 0, `round ${round} of ${plaintext.length} bytes differs`);
    assert.ok(Buffer.compare(xchachaOpen(roundKey, roundNonce, slow, withAad), plaintext) === 0);
    if (round % 10 === 0) assert.ok(Buffer.compare(nobleOpen(roundKey, roundNonce, fast, withAad), plaintext) === 0);
  }
});

for (const [path, open] of [
  ['fast', xchachaOpen],
  ['noble', nobleOpen],
] as const) {
  test(`the ${path} path refuses every flipped bit of a sealed message, its AAD, nonce and key`, () => {
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      refuses(() => open(key, nonce, altered(sealed, bit >> 3, 1 << (bit & 7)), aad), 'integrity');
    }
    for (let at = 0; at < aad.length; at++) refuses(() => open(key, nonce, sealed, altered(aad, at)), 'integrity');
    for (let at = 0; at < 24; at++) refuses(() => open(key, altered(nonce, at), sealed, aad), 'integrity');
    for (let at = 0; at < 32; at++) refuses(() => open(altered(key, at), nonce, sealed, aad), 'integrity');
    refuses(() => open(key, nonce, sealed), 'integrity');
  });

  test(`the ${path} path refuses tags of every other length`, () => {
    for (let length = 0; length < sealed.length; length++) {
      refuses(() => open(key, nonce, sealed.subarray(0, length), aad), 'integrity');
    }
    refuses(() => open(key, nonce, new Uint8Array([...sealed, 0]), aad), 'integrity');
    refuses(() => open(key, nonce, new Uint8Array(0), aad), 'integrity');
  });
}

test('keys and nonces of another size are a bug of ours and never used', () => {
  for (const size of [0, 12, 16, 23, 25, 31, 33]) {
    refuses(() => xchachaSeal(key, new Uint8Array(size), sunscreen, aad), 'internal');
    refuses(() => xchachaOpen(key, new Uint8Array(size), sealed, aad), 'internal');
    refuses(() => xchachaSeal(new Uint8Array(size), nonce, sunscreen, aad), 'internal');
  }
  refuses(() => chachaSeal(key, nonce, sunscreen, aad), 'internal');
});

test('a sealed message does not change when the plaintext buffer is reused', () => {
  const buffer = sunscreen.slice();
  const made = xchachaSeal(key, nonce, buffer, aad);
  buffer.fill(0);
  assert.deepEqual(made, sealed);
});
