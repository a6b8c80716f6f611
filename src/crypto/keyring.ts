// The network keys a member holds, by epoch: one opened key box gives the newest, the chain gives the older ones.
// A keyring never changes; a rotation makes a new one. Two keys for one epoch are refused and are cause for alarm.
// It never writes keys anywhere: at rest they exist only as boxes and chain records.
import { OperaError } from '../errors/errors.ts';
import { utf8 } from '../model/bytes.ts';
import { type NetworkId, networkIdToBytes } from '../model/ids.ts';
import { keyBytes } from './chacha.ts';
import { equalBytes, sha256 } from './digest.ts';
import { hkdf } from './hkdf.ts';
import { chainRecordEpochOf, type EpochKey, openChainRecord } from './key-chain.ts';

const keyCheckLabel = utf8('opera/key-check/v1');

/** What a roster says of its network key, so that a holder knows whether a box gave the right one; 32 bytes. */
export const keyCheckOf = (network: NetworkId, key: Uint8Array): Uint8Array =>
  sha256(keyCheckLabel, networkIdToBytes(network), key);

const requireEpochKey = ({ epoch, key }: EpochKey): void => {
  if (!Number.isInteger(epoch) || epoch < 1 || epoch > 0xffff_ffff || key.length !== keyBytes) {
    throw new OperaError('integrity', 'a network key has an epoch from 1 to 2^32 - 1 and 32 bytes');
  }
};

export class Keyring {
  readonly network: NetworkId;
  readonly newest: EpochKey;
  readonly #keys: ReadonlyMap<number, Uint8Array>;
  // Deriving costs 16 µs, as much as sealing 20 KiB; a batch of a thousand wraps derives once.
  readonly #derived = new Map<string, Uint8Array>();

  constructor(network: NetworkId, keys: readonly EpochKey[]) {
    const byEpoch = new Map<number, Uint8Array>();
    let newest: EpochKey | undefined;
    for (const entry of keys) {
      requireEpochKey(entry);
      const known = byEpoch.get(entry.epoch);
      if (known !== undefined && !equalBytes(known, entry.key)) {
        throw new OperaError('integrity', `two network keys claim epoch ${entry.epoch}`);
      }
      byEpoch.set(entry.epoch, entry.key);
      if (newest === undefined || entry.epoch > newest.epoch) newest = entry;
    }
    if (newest === undefined) throw new OperaError('internal', 'a keyring has at least one key');
    this.network = network;
    this.newest = newest;
    this.#keys = byEpoch;
  }

  get newestEpoch(): number {
    return this.newest.epoch;
  }

  /** Ascending. */
  get epochs(): readonly number[] {
    return [...this.#keys.keys()].sort((a, b) => a - b);
  }

  has(epoch: number): boolean {
    return this.#keys.has(epoch);
  }

  /** The key of an epoch; `unknown-key` when it is not held. */
  key(epoch: number): Uint8Array {
    const key = this.#keys.get(epoch);
    if (key === undefined) throw new OperaError('unknown-key', `the network key of epoch ${epoch} is not held`);
    return key;
  }

  /** HKDF(key of `epoch`, salt = network, `label`, 32), kept; callers must not write to it. */
  derivedKey(epoch: number, label: string): Uint8Array {
    const name = `${epoch} ${label}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const derived = hkdf(this.key(epoch), networkIdToBytes(this.network), utf8(label), keyBytes);
    this.#derived.set(name, derived);
    return derived;
  }

  /** keyCheckOf the key of an epoch, the newest unless given. */
  keyCheck(epoch: number = this.newest.epoch): Uint8Array {
    return keyCheckOf(this.network, this.key(epoch));
  }

  /** True when the roster's (epoch, key check) is of a key held here. */
  matches(epoch: number, keyCheck: Uint8Array): boolean {
    return this.has(epoch) && equalBytes(this.keyCheck(epoch), keyCheck);
  }

  /** With one more key; `integrity` when another key is held for its epoch. */
  with(entry: EpochKey): Keyring {
    return new Keyring(this.network, [...this.#entries(), entry]);
  }

  /** Both keyrings' keys; `integrity` when they disagree about an epoch, `wrong-network` when of two networks. */
  merged(other: Keyring): Keyring {
    if (other.network !== this.network) throw new OperaError('wrong-network', 'the keyrings are of two networks');
    return new Keyring(this.network, [...this.#entries(), ...other.#entries()]);
  }

  #entries(): EpochKey[] {
    return [...this.#keys].map(([epoch, key]) => ({ epoch, key }));
  }

  /** Keys do not belong in logs or messages. */
  toJSON(): unknown {
    return { network: this.network, epochs: this.epochs };
  }
}

/**
 * A keyring from the newest key and the chain records in any order. Records of the newest epoch or above are of
 * no use and ignored; a record that does not open is `integrity`; below a gap the keys stay unknown.
 */
export const createKeyring = (network: NetworkId, newest: EpochKey, chain: Iterable<Uint8Array> = []): Keyring => {
  requireEpochKey(newest);
  const records = new Map<number, Uint8Array>();
  for (const record of chain) records.set(chainRecordEpochOf(record), record);
  const keys = [newest];
  let newer = newest;
  for (;;) {
    const record = records.get(newer.epoch - 1);
    if (record === undefined) return new Keyring(network, keys);
    newer = openChainRecord(network, record, newer);
    keys.push(newer);
  }
};
