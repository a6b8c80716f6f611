// Keys of a node's index over star systems (docs/formats.md, "Index of a node").
//
//   index key : 32 random bytes per node and build; stored as 01 | epoch u32 | nonce 24 | AEAD(HKDF(network key,
//               salt = network, "opera/index-key/v1", 32), key; aad network ‖ SPKI hash ‖ epoch) 48
//   page      : AEAD(HKDF(index key, salt, "opera/index-page/v1" ‖ 00 ‖ network ‖ version ‖ chunk u32, 32), body;
//               nonce = salt[0..16) ‖ kind u32 ‖ number u32), salt = 32 random bytes per chunk and build
//   AEAD      : XChaCha20-Poly1305
import { ByteReader, concatBytes, u8, u32, utf8 } from '../model/bytes.ts';
import {
  type KeyHash,
  keyHashToBytes,
  type NetworkId,
  networkIdToBytes,
  type VersionId,
  versionIdToBytes,
} from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';
import { chachaOpen, chachaSeal, deriveSubkey, keyBytes, nonceBytes, xchachaOpen, xchachaSeal } from './chacha.ts';
import { hkdf } from './hkdf.ts';
import type { Keyring } from './keyring.ts';

export const indexKeyBytes = keyBytes;
export const indexSaltBytes = 32;
const format = u8(1);
const sealedKeyBytes = keyBytes + 16;
const recordBytes = 1 + 4 + nonceBytes + sealedKeyBytes;

/** In plain mode nothing is hidden: pages keep their tags under a key that everybody knows. */
export const publicIndexKey: Uint8Array = new Uint8Array(keyBytes);

const aadOf = (network: NetworkId, node: KeyHash, epoch: number): Uint8Array =>
  concatBytes(networkIdToBytes(network), keyHashToBytes(node), u32(epoch));

const wrapLabel = 'opera/index-key/v1';

/** The record of an index key, 77 bytes, under the newest network key. */
export const sealIndexKey = (
  keyring: Keyring,
  network: NetworkId,
  node: KeyHash,
  key: Uint8Array,
  random: Random,
): Uint8Array => {
  const epoch = keyring.newestEpoch;
  const nonce = random.bytes(nonceBytes);
  const sealed = xchachaSeal(keyring.derivedKey(epoch, wrapLabel), nonce, key, aadOf(network, node, epoch));
  return concatBytes(format, u32(epoch), nonce, sealed);
};

/** Epoch of the network key that a record is sealed under; `integrity` unless it has the form of one. */
export const indexKeyEpochOf = (record: Uint8Array): number => readRecord(record).epoch;

const readRecord = (record: Uint8Array) => {
  const reader = new ByteReader(record, 'the index key');
  if (record.length !== recordBytes) reader.fail('it has another length');
  reader.expect(format, 'version');
  const epoch = reader.u32();
  return { epoch, nonce: reader.take(nonceBytes), sealed: reader.take(sealedKeyBytes) };
};

/** The index key. `unknown-key` when the epoch's key is not held, `integrity` when it is not this node's. */
export const openIndexKey = (keyring: Keyring, network: NetworkId, node: KeyHash, record: Uint8Array): Uint8Array => {
  const { epoch, nonce, sealed } = readRecord(record);
  return xchachaOpen(keyring.derivedKey(epoch, wrapLabel), nonce, sealed, aadOf(network, node, epoch));
};

/** Seals and opens the pages of one chunk's index. One object for one (index key, salt, chunk). */
export class PageSealer {
  readonly #subkey: Uint8Array;

  constructor(indexKey: Uint8Array, salt: Uint8Array, network: NetworkId, version: VersionId, chunk: number) {
    const info = concatBytes(
      utf8('opera/index-page/v1\0'),
      networkIdToBytes(network),
      versionIdToBytes(version),
      u32(chunk),
    );
    this.#subkey = deriveSubkey(hkdf(indexKey, salt, info, keyBytes), salt.subarray(0, 16));
  }

  /** `body` with its tag, 16 bytes longer. A (kind, number) is sealed once. */
  seal(kind: number, number: number, body: Uint8Array): Uint8Array {
    return chachaSeal(this.#subkey, nonceOf(kind, number), body, noBytes);
  }

  /** `integrity` unless it is the page of that kind and number, unaltered. */
  open(kind: number, number: number, sealed: Uint8Array): Uint8Array {
    return chachaOpen(this.#subkey, nonceOf(kind, number), sealed, noBytes);
  }
}

const noBytes = new Uint8Array(0);

/** Four zero bytes, then the last 8 of the 24 (chacha.ts, innerNonce). */
const nonceOf = (kind: number, number: number): Uint8Array => {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(kind, 4);
  nonce.writeUInt32BE(number, 8);
  return nonce;
};
