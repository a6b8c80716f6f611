// The settings of a network that every role must agree on; they travel inside the signed roster.
// Their JSON has one spelling (fixed key order, no spaces), so duplicate or unknown keys cannot hide in it.
import { OperaError } from '../errors/errors.ts';
import { utf8 } from '../model/bytes.ts';

export interface NetworkSettings {
  /** R: copies of each chunk, 1–7. */
  readonly copies: number;
  /** W: copies fsynced before a put is acknowledged, 1–R. */
  readonly writeCopies: number;
  /** Groups of chunks; 4,096 in format version 1: the first 12 bits of an address hash. */
  readonly partitions: 4096;
  readonly indexMode: 'sealed' | 'plain';
  /** X25519 public keys, base64 of 32 bytes, to which every newest network key and the CA key are boxed. At most 16. */
  readonly recoveryKeys: readonly string[];
}

export const defaultSettings: NetworkSettings = {
  copies: 3,
  writeCopies: 2,
  partitions: 4096,
  indexMode: 'sealed',
  recoveryKeys: [],
};

/** Bytes of the JSON in a roster: 16 recovery keys and room. */
const settingsBytesMax = 4096;
const copiesMax = 7;
const recoveryKeysMax = 16;

const refuse = (reason: string): never => {
  throw new OperaError('bad-request', `the network's settings are not acceptable: ${reason}`);
};

const isCount = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;

const isPublicKey = (value: unknown): value is string => {
  if (typeof value !== 'string' || value.length !== 44) return false;
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === 32 && bytes.toString('base64') === value && bytes.some((byte) => byte !== 0);
};

/** Settings from parsed JSON or a caller; `bad-request` naming the first value that is out of range. */
export const checkSettings = (value: unknown): NetworkSettings => {
  if (typeof value !== 'object' || value === null) return refuse('they are not an object');
  const { copies, writeCopies, partitions, indexMode, recoveryKeys } = value as Record<string, unknown>;
  if (!isCount(copies, copiesMax)) return refuse(`copies must be 1 to ${copiesMax}`);
  if (!isCount(writeCopies, copies)) return refuse('write copies must be 1 to the number of copies');
  if (partitions !== 4096) return refuse('partitions must be 4096');
  if (indexMode !== 'sealed' && indexMode !== 'plain') return refuse('the index mode is sealed or plain');
  if (!Array.isArray(recoveryKeys) || recoveryKeys.length > recoveryKeysMax || !recoveryKeys.every(isPublicKey)) {
    return refuse(`recovery keys must be at most ${recoveryKeysMax} X25519 public keys in base64`);
  }
  if (new Set(recoveryKeys).size !== recoveryKeys.length) return refuse('a recovery key is listed twice');
  return { copies, writeCopies, partitions, indexMode, recoveryKeys: [...recoveryKeys] };
};

export const encodeSettings = (settings: NetworkSettings): Uint8Array => utf8(JSON.stringify(checkSettings(settings)));

/** Strict inverse of encodeSettings: any other spelling of the same settings is `bad-request`. */
export const parseSettings = (bytes: Uint8Array): NetworkSettings => {
  if (bytes.length > settingsBytesMax) return refuse('they are too long');
  const text = Buffer.from(bytes).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('they are not JSON');
  }
  const settings = checkSettings(value);
  if (JSON.stringify(settings) !== text) return refuse('they are not in their one spelling');
  return settings;
};
