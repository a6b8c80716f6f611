// The key chain: each network key sealed under the next one, so that a newcomer needs one box to read everything.
// No epoch is ever destroyed.
//
//   record 77 : 01 | epoch e u32 | nonce 24 | AEAD(HKDF(network key e+1, salt = network, "opera/key-chain/v1", 32),
//               network key e; aad "opera/key-chain/v1" ‖ network ‖ e u32) 48
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u32, utf8 } from '../model/bytes.ts';
import { type NetworkId, networkIdToBytes } from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';
import { keyBytes, nonceBytes, xchachaOpen, xchachaSeal } from './chacha.ts';
import { hkdf } from './hkdf.ts';

export const chainRecordBytes = 77;

const label = utf8('opera/key-chain/v1');
const format = Uint8Array.of(1);

/** A network key and its number; epochs begin at 1. */
export interface EpochKey {
  readonly epoch: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

const chainKey = (network: NetworkId, nextKey: Uint8Array): Uint8Array =>
  hkdf(nextKey, networkIdToBytes(network), label, keyBytes);

const chainAad = (network: NetworkId, epoch: number): Uint8Array =>
  concatBytes(label, networkIdToBytes(network), u32(epoch));

/** Seals the key of epoch e under the key of epoch e + 1. */
export const sealChainRecord = (network: NetworkId, older: EpochKey, newer: EpochKey, random: Random): Uint8Array => {
  if (newer.epoch !== older.epoch + 1) throw new OperaError('internal', 'a chain record joins two epochs in a row');
  const nonce = random.bytes(nonceBytes);
  const sealed = xchachaSeal(chainKey(network, newer.key), nonce, older.key, chainAad(network, older.epoch));
  return concatBytes(format, u32(older.epoch), nonce, sealed);
};

/** The epoch whose key the record holds; `integrity` unless it has the form of a chain record. */
export const chainRecordEpochOf = (record: Uint8Array): number => readChainRecord(record).epoch;

const readChainRecord = (record: Uint8Array) => {
  const reader = new ByteReader(record, 'the key chain record');
  reader.expect(format, 'version');
  const epoch = reader.u32();
  if (epoch < 1) reader.fail('epochs begin at 1');
  const nonce = reader.take(nonceBytes);
  const sealed = reader.take(48);
  reader.end();
  return { epoch, nonce, sealed };
};

/** The older key; `integrity` unless the record was sealed under `newer` as the epoch after its own. */
export const openChainRecord = (network: NetworkId, record: Uint8Array, newer: EpochKey): EpochKey => {
  const { epoch, nonce, sealed } = readChainRecord(record);
  if (epoch !== newer.epoch - 1) throw new OperaError('integrity', 'the key chain record is of another epoch');
  const key = xchachaOpen(chainKey(network, newer.key), nonce, sealed, chainAad(network, epoch));
  return { epoch, key };
};
