// HPKE, base mode, one message (RFC 9180 section 6.1): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
// Only what key boxes need: no PSK, no authenticated mode, no export, sequence number 0.
import { OperaError } from '../errors/errors.ts';
import { concatBytes, u16, utf8 } from '../model/bytes.ts';
import type { Random } from '../runtime/random.ts';
import { chachaOpen, chachaSeal } from './chacha.ts';
import { hmacSha256 } from './hkdf.ts';
import { x25519, x25519Bytes, x25519PublicOf } from './x25519.ts';

const noBytes = new Uint8Array(0);
const versionLabel = utf8('HPKE-v1');
const kemSuite = concatBytes(utf8('KEM'), u16(0x0020));
const hpkeSuite = concatBytes(utf8('HPKE'), u16(0x0020), u16(0x0001), u16(0x0003));

/** RFC 9180 section 4, LabeledExtract. */
const labeledExtract = (suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array =>
  hmacSha256(salt, versionLabel, suite, utf8(label), ikm);

/** RFC 9180 section 4, LabeledExpand; all our lengths fit the first block of HKDF-Expand (RFC 5869 section 2.3). */
const labeledExpand = (
  suite: Uint8Array,
  key: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array => {
  if (length > 32) throw new OperaError('internal', 'one block of HKDF-Expand has 32 bytes');
  const block = hmacSha256(key, u16(length), versionLabel, suite, utf8(label), info, Uint8Array.of(1));
  return block.slice(0, length);
};

/** RFC 9180 section 4.1, ExtractAndExpand over the shared secret and both public keys. */
const sharedSecretOf = (dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Uint8Array => {
  const eaePrk = labeledExtract(kemSuite, noBytes, 'eae_prk', dh);
  return labeledExpand(kemSuite, eaePrk, 'shared_secret', concatBytes(enc, recipient), 32);
};

/** RFC 9180 section 5.1, KeySchedule in base mode. */
const keySchedule = (sharedSecret: Uint8Array, info: Uint8Array) => {
  const pskIdHash = labeledExtract(hpkeSuite, noBytes, 'psk_id_hash', noBytes);
  const infoHash = labeledExtract(hpkeSuite, noBytes, 'info_hash', info);
  const context = concatBytes(Uint8Array.of(0), pskIdHash, infoHash);
  const secret = labeledExtract(hpkeSuite, sharedSecret, 'secret', noBytes);
  return {
    key: labeledExpand(hpkeSuite, secret, 'key', context, 32),
    nonce: labeledExpand(hpkeSuite, secret, 'base_nonce', context, 12),
  };
};

/** Encapsulated key (32 bytes) and ciphertext ‖ tag for the holder of the X25519 key `recipient`. */
export const hpkeSeal = (
  recipient: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  random: Random,
): { readonly enc: Uint8Array; readonly sealed: Uint8Array } => {
  const ephemeral = random.bytes(x25519Bytes);
  const enc = x25519PublicOf(ephemeral);
  const { key, nonce } = keySchedule(sharedSecretOf(x25519(ephemeral, recipient), enc, recipient), info);
  return { enc, sealed: chachaSeal(key, nonce, plaintext, aad) };
};

/** Inverse of hpkeSeal with the recipient's private key; `integrity` for anything else. */
export const hpkeOpen = (
  privateKey: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  enc: Uint8Array,
  sealed: Uint8Array,
): Uint8Array => {
  const recipient = x25519PublicOf(privateKey);
  const { key, nonce } = keySchedule(sharedSecretOf(x25519(privateKey, enc), enc, recipient), info);
  return chachaOpen(key, nonce, sealed, aad);
};
