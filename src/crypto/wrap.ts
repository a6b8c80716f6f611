// The wrap: a file key sealed under a network key. It lies outside what a manifest's signature covers, so that
// rotating network keys rewrites these bytes and no data.
//
//   wrap 76 : key epoch u32 | nonce 24 | AEAD(HKDF(network key of epoch, salt = network, "opera/wrap-key/v1", 32),
//             file key 32; aad "opera/wrap/v1" ‖ network ‖ version ‖ epoch u32) 48
//
// Rewraps draw their nonce from key and content, so that all copies of a rewrapped manifest stay equal.
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u32, utf8 } from '../model/bytes.ts';
import { type NetworkId, networkIdToBytes, type VersionId, versionIdToBytes } from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';
import { keyBytes, nonceBytes, xchachaOpen, xchachaSeal } from './chacha.ts';
import { hmacSha256 } from './hkdf.ts';
import type { Keyring } from './keyring.ts';

export const wrapBytes = 76;

const wrapKeyLabel = 'opera/wrap-key/v1';
const wrapLabel = utf8('opera/wrap/v1');
const rewrapNonceLabel = utf8('opera/rewrap-nonce/v1');

const addressOf = (network: NetworkId, version: VersionId): Uint8Array =>
  concatBytes(networkIdToBytes(network), versionIdToBytes(version));

const requireNetwork = (keyring: Keyring, network: NetworkId): void => {
  if (keyring.network !== network) throw new OperaError('wrong-network', 'the file key belongs to another network');
};

const sealWrap = (keyring: Keyring, version: VersionId, fileKey: Uint8Array, nonce: Uint8Array): Uint8Array => {
  if (fileKey.length !== keyBytes) throw new OperaError('internal', 'a file key has 32 bytes');
  const epoch = keyring.newestEpoch;
  const aad = concatBytes(wrapLabel, addressOf(keyring.network, version), u32(epoch));
  const sealed = xchachaSeal(keyring.derivedKey(epoch, wrapKeyLabel), nonce, fileKey, aad);
  return concatBytes(u32(epoch), nonce, sealed);
};

const readWrap = (wrap: Uint8Array) => {
  const reader = new ByteReader(wrap, 'the wrapped file key');
  const epoch = reader.u32();
  if (epoch < 1) reader.fail('epochs begin at 1');
  const nonce = reader.take(nonceBytes);
  const sealed = reader.take(48);
  reader.end();
  return { epoch, nonce, sealed };
};

/** The epoch a file key is wrapped under; `integrity` unless it has the form of a wrap. Needs no key. */
export const wrapEpochOf = (wrap: Uint8Array): number => readWrap(wrap).epoch;

/** Wraps a file key under the newest network key. */
export const wrapFileKey = (
  keyring: Keyring,
  network: NetworkId,
  version: VersionId,
  fileKey: Uint8Array,
  random: Random,
): Uint8Array => {
  requireNetwork(keyring, network);
  return sealWrap(keyring, version, fileKey, random.bytes(nonceBytes));
};

/** The file key. `unknown-key` when the epoch's key is not held, `integrity` when the wrap is of anything else. */
export const openWrap = (keyring: Keyring, network: NetworkId, version: VersionId, wrap: Uint8Array): Uint8Array => {
  requireNetwork(keyring, network);
  const { epoch, nonce, sealed } = readWrap(wrap);
  const aad = concatBytes(wrapLabel, addressOf(keyring.network, version), u32(epoch));
  return xchachaOpen(keyring.derivedKey(epoch, wrapKeyLabel), nonce, sealed, aad);
};

/**
 * The same file key under the newest network key: equal bytes wherever it is done. A wrap that is already under it
 * is answered as it is.
 */
export const rewrapFileKey = (
  keyring: Keyring,
  network: NetworkId,
  version: VersionId,
  wrap: Uint8Array,
): Uint8Array => {
  const fileKey = openWrap(keyring, network, version, wrap);
  if (wrapEpochOf(wrap) >= keyring.newestEpoch) return wrap;
  const context = addressOf(network, version);
  const nonce = hmacSha256(keyring.newest.key, rewrapNonceLabel, context, fileKey).subarray(0, nonceBytes);
  return sealWrap(keyring, version, fileKey, nonce);
};
