// The sealed body of a manifest: what only members may know of a version. Sealed by the client that puts, renames
// or removes; masters and registries carry it unread.
//
//   body : nonce 24 | XChaCha20-Poly1305(HKDF(file key, salt = version, "opera/manifest/v1" ‖ 00 ‖ network, 32),
//          JSON; aad "opera/manifest/v1" ‖ network ‖ version ‖ state u8)
//   JSON : {name, follows, size, header, type?, created, modified?, chunkLengths?, chunkRecords?} in this order
//
// One content has one spelling: JSON that is not byte for byte what the writer makes is refused, so duplicate keys,
// other orders and odd numbers never reach a caller. It does not check the rules for names; callers do.
import { OperaError } from '../errors/errors.ts';
import { concatBytes, utf8 } from '../model/bytes.ts';
import { type NetworkId, networkIdToBytes, type VersionId, versionIdToBytes } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { nameBytesMax } from '../model/names.ts';
import type { Random } from '../runtime/random.ts';
import { keyBytes, nonceBytes, tagBytes, xchachaOpen, xchachaSeal } from './chacha.ts';
import { equalBytes } from './digest.ts';
import { createGeometry } from './geometry.ts';
import { hkdf } from './hkdf.ts';
import { parseHeader, requireHeaderOf } from './sealing.ts';

export type ManifestState = 'live' | 'dead';

export const manifestStateCodes = { live: 1, dead: 2 } as const satisfies Record<ManifestState, number>;

/** What a version is: the body of a live manifest, or of the dead one that removes it. */
export interface FileContent {
  readonly kind: 'file';
  readonly name: string;
  /** Sequence of the name's version that the client saw at open; 0n when there was none. */
  readonly follows: bigint;
  /** Plaintext bytes. */
  readonly size: number;
  /** 112 bytes; see sealing.ts. */
  readonly header: Uint8Array;
  /** Media type or other short word for people; 1 to 255 printable ASCII characters. */
  readonly type?: string;
  /** RFC 3339. */
  readonly created: string;
  /** RFC 3339; when the file was last changed where it came from. */
  readonly modified?: string;
  /** Plaintext bytes of each chunk of a catalogue; they sum to `size`. */
  readonly chunkLengths?: readonly number[];
  /** Records in each chunk of a catalogue; as long as `chunkLengths`. */
  readonly chunkRecords?: readonly number[];
}

/** Body of the dead manifest that ends a name by a rename; it has a version id and file key of its own. */
export interface NameTombstone {
  readonly kind: 'name-tombstone';
  readonly name: string;
  readonly follows: bigint;
}

export type ManifestContent = FileContent | NameTombstone;

/** Sequences are µs since 1970 and stay exact in JSON: below 2^53, which is the year 2255. */
export const sequenceMax = 2n ** 53n - 1n;

const label = utf8('opera/manifest/v1');
const keyLabel = utf8('opera/manifest/v1\0');
const fileKeysInOrder = [
  'name',
  'follows',
  'size',
  'header',
  'type',
  'created',
  'modified',
  'chunkLengths',
  'chunkRecords',
] as const;

const refuse = (why: string): never => {
  throw new OperaError('integrity', `the manifest's body is malformed: ${why}`);
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const encodeNumbers = (numbers: readonly number[]): string => {
  const bytes = Buffer.alloc(numbers.length * 4);
  numbers.forEach((number, index) => bytes.writeUInt32BE(number, index * 4));
  return bytes.toString('base64');
};

const encodeContent = (content: ManifestContent): Uint8Array => {
  const { name } = content;
  const follows = Number(content.follows);
  if (content.kind === 'name-tombstone') return utf8(JSON.stringify({ name, follows }));
  const { size, header, type, created, modified, chunkLengths, chunkRecords } = content;
  // JSON.stringify leaves out what is undefined and keeps this order.
  const written = {
    name,
    follows,
    size,
    header: base64(header),
    type,
    created,
    modified,
    chunkLengths: chunkLengths && encodeNumbers(chunkLengths),
    chunkRecords: chunkRecords && encodeNumbers(chunkRecords),
  };
  return utf8(JSON.stringify(written));
};

type Fields = Readonly<Record<string, unknown>>;

const text = (fields: Fields, key: string, pattern: RegExp): string => {
  const value = fields[key];
  return typeof value === 'string' && pattern.test(value) ? value : refuse(`its ${key} is wrong`);
};

const integer = (fields: Fields, key: string): number => {
  const value = fields[key];
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : refuse(`its ${key} is not an integer in [0, 2^53)`);
};

const bytes = (fields: Fields, key: string): Uint8Array => {
  const value = fields[key];
  return typeof value === 'string' ? new Uint8Array(Buffer.from(value, 'base64')) : refuse(`its ${key} is not base64`);
};

const numbers = (fields: Fields, key: string): number[] | undefined => {
  if (fields[key] === undefined) return undefined;
  const encoded = bytes(fields, key);
  const count = encoded.length / 4;
  if (!Number.isInteger(count)) return refuse(`its ${key} is not a list of u32`);
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  return Array.from({ length: count }, (_, index) => view.getUint32(index * 4));
};

const date = /\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])/.source;
const clock = /([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?/.source;
const offset = /Z|[+-]([01]\d|2[0-3]):[0-5]\d/.source;
const time = new RegExp(`^${date}T${clock}(${offset})$`);
const printable = /^[\x20-\x7e]{1,255}$/;

const parseFile = (fields: Fields, name: string, follows: bigint): FileContent => {
  const known: readonly string[] = fileKeysInOrder;
  if (Object.keys(fields).some((key) => !known.includes(key))) refuse('it has an unknown field');
  const chunkLengths = numbers(fields, 'chunkLengths');
  const chunkRecords = numbers(fields, 'chunkRecords');
  const size = integer(fields, 'size');
  createGeometry(size, chunkLengths);
  if (chunkLengths?.length === 0) refuse('a catalogue has at least one chunk');
  if (chunkRecords && chunkRecords.length !== chunkLengths?.length) refuse('records are not counted for each chunk');
  return {
    kind: 'file',
    name,
    follows,
    size,
    header: bytes(fields, 'header'),
    ...(fields['type'] === undefined ? {} : { type: text(fields, 'type', printable) }),
    created: text(fields, 'created', time),
    ...(fields['modified'] === undefined ? {} : { modified: text(fields, 'modified', time) }),
    ...(chunkLengths && { chunkLengths }),
    ...(chunkRecords && { chunkRecords }),
  };
};

const parseContent = (json: Uint8Array): ManifestContent => {
  let fields: unknown;
  try {
    fields = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json));
  } catch {
    return refuse('it is not JSON in UTF-8');
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return refuse('it is not an object');
  const known = fields as Fields;
  const name = text(known, 'name', /./su);
  if (Buffer.byteLength(name) > nameBytesMax) refuse(`its name is longer than ${nameBytesMax} bytes`);
  if (Buffer.from(name).toString() !== name) refuse('its name is not Unicode');
  const follows = BigInt(integer(known, 'follows'));
  const isTombstone = !Object.hasOwn(known, 'size');
  const content: ManifestContent = isTombstone
    ? { kind: 'name-tombstone', name, follows }
    : parseFile(known, name, follows);
  if (!equalBytes(encodeContent(content), json)) refuse('it is not in the one spelling of its content');
  return content;
};

/** Refuses what may not be said of this version, when writing as when reading. */
const requireConsistent = (
  content: ManifestContent,
  network: NetworkId,
  version: VersionId,
  state: ManifestState,
): void => {
  if (content.kind === 'name-tombstone') {
    if (state !== 'dead') refuse('a name tombstone is dead');
    return;
  }
  requireHeaderOf(parseHeader(content.header), network, version);
};

const bodyKey = (fileKey: Uint8Array, network: NetworkId, version: VersionId): Uint8Array => {
  if (fileKey.length !== keyBytes) throw new OperaError('internal', 'a file key has 32 bytes');
  return hkdf(fileKey, versionIdToBytes(version), concatBytes(keyLabel, networkIdToBytes(network)), keyBytes);
};

const bodyAad = (network: NetworkId, version: VersionId, state: ManifestState): Uint8Array =>
  concatBytes(label, networkIdToBytes(network), versionIdToBytes(version), Uint8Array.of(manifestStateCodes[state]));

/** Throws `integrity` for content that no reader would take, and `too-large` beyond the limit of a body. */
export const sealManifestBody = (
  fileKey: Uint8Array,
  network: NetworkId,
  version: VersionId,
  state: ManifestState,
  content: ManifestContent,
  random: Random,
): Uint8Array => {
  const json = encodeContent(content);
  // Reading back what was written keeps writer and reader from ever disagreeing; it costs 20 µs.
  requireConsistent(parseContent(json), network, version, state);
  if (json.length + nonceBytes + tagBytes > limits.manifestBodyBytesMax) {
    throw new OperaError('too-large', `a manifest's body is at most ${limits.manifestBodyBytesMax} bytes`);
  }
  const nonce = random.bytes(nonceBytes);
  const sealed = xchachaSeal(bodyKey(fileKey, network, version), nonce, json, bodyAad(network, version, state));
  return concatBytes(nonce, sealed);
};

/** `integrity` unless the body was sealed for exactly this version and state and says only what it may. */
export const openManifestBody = (
  fileKey: Uint8Array,
  network: NetworkId,
  version: VersionId,
  state: ManifestState,
  body: Uint8Array,
): ManifestContent => {
  const possible = body.length >= nonceBytes + tagBytes && body.length <= limits.manifestBodyBytesMax;
  if (!possible) refuse('its length is impossible');
  const key = bodyKey(fileKey, network, version);
  const json = xchachaOpen(
    key,
    body.subarray(0, nonceBytes),
    body.subarray(nonceBytes),
    bodyAad(network, version, state),
  );
  const content = parseContent(json);
  requireConsistent(content, network, version, state);
  return content;
};
