// HPKE against RFC 9180 appendix A.2.1 (DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hpkeOpen, hpkeSeal } from '../../src/crypto/hpke.ts';
import { recoveryKeyHashOf, x25519, x25519PublicOf, x25519SpkiOf } from '../../src/crypto/x25519.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { altered, hex, refuses, ScriptedRandom, toHex } from './_support.ts';

const info = hex('4f6465206f6e2061204772656369616e2055726e');
const skEm = hex('f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600');
const pkEm = hex('1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a');
const skRm = hex('8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb');
const pkRm = hex('4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a');
const plaintext = hex('4265617574792069732074727574682c20747275746820626561757479');
const aad = hex('436f756e742d30');
const ciphertext = hex('1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28');

test('sealing gives the encapsulated key and ciphertext of RFC 9180 A.2.1', () => {
  const made = hpkeSeal(pkRm, info, aad, plaintext, new ScriptedRandom(skEm));
  assert.equal(toHex(made.enc), toHex(pkEm));
  assert.equal(toHex(made.sealed), toHex(ciphertext));
});

test('opening gives the plaintext of RFC 9180 A.2.1', () => {
  assert.deepEqual(hpkeOpen(skRm, info, aad, pkEm, ciphertext), plaintext);
});

test('another recipient, info, AAD, encapsulated key or ciphertext is refused', () => {
  refuses(() => hpkeOpen(skEm, info, aad, pkEm, ciphertext), 'integrity');
  refuses(() => hpkeOpen(skRm, altered(info, 0), aad, pkEm, ciphertext), 'integrity');
  refuses(() => hpkeOpen(skRm, info, altered(aad, 0), pkEm, ciphertext), 'integrity');
  refuses(() => hpkeOpen(skRm, info, aad, altered(pkEm, 0), ciphertext), 'integrity');
  refuses(() => hpkeOpen(skRm, info, aad, pkEm, altered(ciphertext, 0)), 'integrity');
  refuses(() => hpkeOpen(skRm, info, aad, pkEm, new Uint8Array(0)), 'integrity');
});

test('X25519 gives the value of RFC 7748 section 5.2', () => {
  const scalar = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
  const point = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
  assert.equal(toHex(x25519(scalar, point)), 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552');
});

test('public keys of low order are refused', () => {
  for (const point of [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ]) {
    refuses(() => x25519(skRm, hex(point)), 'integrity');
  }
});

test('keys of another length are refused', () => {
  for (const length of [0, 31, 33, 64]) {
    refuses(() => x25519(new Uint8Array(length), pkRm), 'integrity');
    refuses(() => x25519(skRm, new Uint8Array(length)), 'integrity');
  }
});

test('a recovery key is named by the hash of its SubjectPublicKeyInfo', () => {
  assert.equal(toHex(x25519PublicOf(skRm)), toHex(pkRm));
  assert.equal(recoveryKeyHashOf(pkRm), toHex(sha256(hex(`302a300506032b656e032100${toHex(pkRm)}`))));
  assert.equal(x25519SpkiOf(pkRm).length, 44);
});
