// The note of a catalogue: what a holder of any of its chunks needs to open and index it before a manifest comes.
//
//   233 bytes + sealed JSON :
//   01 | version 16 | header 112 | wrap 76 | nonce 24 | length u32 |
//   XChaCha20-Poly1305(HKDF(file key, salt = version, "opera/note/v1" ‖ 00 ‖ network, 32), JSON {format, delimiter,
//   columns, map…}; aad "opera/note/v1" ‖ network ‖ version)
//
// The JSON belongs to the index, which parses it strictly; here it is an object of bounded size and depth.
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u32, utf8 } from '../model/bytes.ts';
import { type NetworkId, networkIdToBytes, type VersionId, versionIdToBytes } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { Random } from '../runtime/random.ts';
import { keyBytes, nonceBytes, tagBytes, xchachaOpen, xchachaSeal } from './chacha.ts';
import { hkdf } from './hkdf.ts';
import { headerBytes, parseHeader, requireHeaderOf } from './sealing.ts';
import { wrapBytes, wrapEpochOf } from './wrap.ts';

export type NoteContent = Readonly<Record<string, unknown>>;

export interface Note {
  readonly version: VersionId;
  readonly header: Uint8Array;
  readonly wrap: Uint8Array;
  readonly wrapEpoch: number;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
}

const unsealedBytes = 1 + 16 + headerBytes + wrapBytes + nonceBytes + 4;

/** Sealed JSON of a note, the whole of which fits `noteBytesMax`: a thousand columns with their maps take a tenth. */
export const noteContentBytesMax = limits.noteBytesMax - unsealedBytes;

const label = utf8('opera/note/v1');
const keyLabel = utf8('opera/note/v1\0');
const format = Uint8Array.of(1);

const noteKey = (fileKey: Uint8Array, network: NetworkId, version: VersionId): Uint8Array =>
  hkdf(fileKey, versionIdToBytes(version), concatBytes(keyLabel, networkIdToBytes(network)), keyBytes);

const noteAad = (network: NetworkId, version: VersionId): Uint8Array =>
  concatBytes(label, networkIdToBytes(network), versionIdToBytes(version));

/** The note of the version whose header this is. */
export const sealNote = (
  fileKey: Uint8Array,
  header: Uint8Array,
  wrap: Uint8Array,
  content: NoteContent,
  random: Random,
): Uint8Array => {
  const { network, version } = parseHeader(header);
  wrapEpochOf(wrap);
  const json = utf8(JSON.stringify(content));
  if (json.length + tagBytes > noteContentBytesMax) {
    throw new OperaError('too-large', `the note of a catalogue is at most ${noteContentBytesMax} bytes`);
  }
  const nonce = random.bytes(nonceBytes);
  const sealed = xchachaSeal(noteKey(fileKey, network, version), nonce, json, noteAad(network, version));
  return concatBytes(format, versionIdToBytes(version), header, wrap, nonce, u32(sealed.length), sealed);
};

/** Needs no key; the header must be of the note's version. */
export const parseNote = (record: Uint8Array): Note => {
  const reader = new ByteReader(record, 'the note');
  reader.expect(format, 'version');
  const version = reader.versionId();
  const header = reader.take(headerBytes);
  if (parseHeader(header).version !== version) reader.fail('its header names another version');
  const wrap = reader.take(wrapBytes);
  const wrapEpoch = wrapEpochOf(wrap);
  const nonce = reader.take(nonceBytes);
  const length = reader.u32();
  if (length < tagBytes || length > noteContentBytesMax) reader.fail('its length is impossible');
  const sealed = reader.take(length);
  reader.end();
  return { version, header, wrap, wrapEpoch, nonce, sealed };
};

const wrapAt = 1 + 16 + headerBytes;

/** The note with another wrap of the same file key; everything else stays as it is. */
export const replaceNoteWrap = (record: Uint8Array, wrap: Uint8Array): Uint8Array => {
  wrapEpochOf(wrap);
  return concatBytes(record.subarray(0, wrapAt), wrap, record.subarray(wrapAt + wrapBytes));
};

/** `integrity` unless the note was sealed with this file key for this network and version. */
export const openNote = (fileKey: Uint8Array, network: NetworkId, note: Note): NoteContent => {
  const { version, nonce, sealed } = note;
  requireHeaderOf(parseHeader(note.header), network, version);
  const json = xchachaOpen(noteKey(fileKey, network, version), nonce, sealed, noteAad(network, version));
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new OperaError('integrity', 'the note is not JSON in UTF-8', { cause });
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new OperaError('integrity', 'the note is not a JSON object');
  }
  return content as NoteContent;
};
