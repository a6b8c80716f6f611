// Signatures: what is good stays good and what is not stays so, however often and in whatever order they are looked at.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { createSigner, verifySignature } from '../../src/crypto/signature.ts';
import { concatBytes, utf8 } from '../../src/model/bytes.ts';

const newSigner = () => createSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

test('a signature that was found good makes nothing else good', () => {
  const [signer, other] = [newSigner(), newSigner()];
  const record = utf8('opera/ticket/v1 and more');
  const signature = signer.sign('opera/ticket/v1', record);
  const isGood = (): boolean => verifySignature(signer.spki, signature, 'opera/ticket/v1', record);
  for (let round = 0; round < 3; round++) {
    assert.equal(isGood(), true);
    assert.equal(verifySignature(other.spki, signature, 'opera/ticket/v1', record), false);
    assert.equal(verifySignature(signer.spki, signature, 'opera/layout/v1', record), false);
    assert.equal(verifySignature(signer.spki, signature, 'opera/ticket/v1', record.subarray(1)), false);
    assert.equal(verifySignature(signer.spki, signature.subarray(1), 'opera/ticket/v1', record), false);
    for (let at = 0; at < signature.length; at += 7) {
      const altered = signature.slice();
      altered[at] = (altered[at] ?? 0) ^ 1;
      assert.equal(verifySignature(signer.spki, altered, 'opera/ticket/v1', record), false);
    }
    // The same bytes in a row, cut elsewhere: a longer key before a shorter record.
    const longer = concatBytes(signer.spki, signature, utf8('opera/ticket/v1'));
    assert.equal(verifySignature(longer, signature, 'opera/ticket/v1', record.subarray(15)), false);
  }
});

test('what was found good is forgotten by and by, and found good again', () => {
  const signer = newSigner();
  const first = { record: utf8('first'), signature: signer.sign('opera/roster/v1', utf8('first')) };
  const check = ({ record, signature }: typeof first): boolean =>
    verifySignature(signer.spki, signature, 'opera/roster/v1', record);
  assert.equal(check(first), true);
  for (let at = 0; at < 1_100; at++) {
    const record = utf8(`record ${at}`);
    assert.equal(check({ record, signature: signer.sign('opera/roster/v1', record) }), true);
  }
  assert.equal(check(first), true);
});
