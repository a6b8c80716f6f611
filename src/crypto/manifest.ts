// The manifest: the record that makes a version a file. Its clear part is signed by a master; the body is sealed by
// the client (manifest-body.ts); the wrap stays outside the signature, so that a key rotation needs no master.
//
//   01 | state u8 (1 live, 2 dead) | 0 u16 | network 16 | version 16 | sequence u64 | incarnation u32 |
//   operation id 16 | body length u32 | body | signer SPKI hash 32 | signature 64 | wrap 76
//   signature over "opera/manifest/v1" ‖ all before it; 68 bytes + body + 172
//
// Whether the signer may sign (a master of the roster) is the caller's question.
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u32, u64 } from '../model/bytes.ts';
import {
  type KeyHash,
  keyHashToBytes,
  type NetworkId,
  networkIdToBytes,
  type OperationId,
  operationIdToBytes,
  type VersionId,
  versionIdToBytes,
} from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { nonceBytes, tagBytes } from './chacha.ts';
import { type ManifestState, manifestStateCodes, sequenceMax } from './manifest-body.ts';
import { keyHashOfSpki, type Signer, signatureBytes, verifySignature } from './signature.ts';
import { wrapBytes, wrapEpochOf } from './wrap.ts';

export interface ManifestFields {
  readonly state: ManifestState;
  readonly network: NetworkId;
  readonly version: VersionId;
  /** 1n to 2^53 - 1; a version's first manifest and all later ones have different sequences. */
  readonly sequence: bigint;
  /** u32. */
  readonly incarnation: number;
  readonly operationId: OperationId;
  /** Sealed; see manifest-body.ts. */
  readonly body: Uint8Array;
  /** 76 bytes; see wrap.ts. */
  readonly wrap: Uint8Array;
}

export interface Manifest extends ManifestFields {
  readonly signer: KeyHash;
  readonly signature: Uint8Array;
  readonly wrapEpoch: number;
  /** What the signature is over, without its label. */
  readonly signedBytes: Uint8Array;
}

const signatureDomain = 'opera/manifest/v1';
const format = Uint8Array.of(1);
const reserved = new Uint8Array(2);
const bodyBytesMin = nonceBytes + tagBytes;

const requireFields = ({ sequence, body, wrap }: ManifestFields): void => {
  if (sequence < 1n || sequence > sequenceMax) {
    throw new OperaError('internal', 'a sequence is an integer in [1, 2^53)');
  }
  if (body.length < bodyBytesMin || body.length > limits.manifestBodyBytesMax) {
    throw new OperaError('too-large', `a sealed body has ${bodyBytesMin} to ${limits.manifestBodyBytesMax} bytes`);
  }
  wrapEpochOf(wrap);
};

/** The record, signed by `signer`. */
export const encodeManifest = (fields: ManifestFields, signer: Signer): Uint8Array => {
  requireFields(fields);
  const signed = concatBytes(
    format,
    Uint8Array.of(manifestStateCodes[fields.state]),
    reserved,
    networkIdToBytes(fields.network),
    versionIdToBytes(fields.version),
    u64(fields.sequence),
    u32(fields.incarnation),
    operationIdToBytes(fields.operationId),
    u32(fields.body.length),
    fields.body,
    keyHashToBytes(signer.keyHash),
  );
  return concatBytes(signed, signer.sign(signatureDomain, signed), fields.wrap);
};

const stateOf = (code: number): ManifestState | undefined =>
  code === manifestStateCodes.live ? 'live' : code === manifestStateCodes.dead ? 'dead' : undefined;

/** Every field in range and every byte accounted for; the signature is not checked here. */
export const parseManifest = (record: Uint8Array): Manifest => {
  const reader = new ByteReader(record, 'the manifest');
  reader.expect(format, 'version');
  const state = stateOf(reader.u8()) ?? reader.fail('its state is unknown');
  reader.expect(reserved, 'reserved field');
  const network = reader.networkId();
  const version = reader.versionId();
  const sequence = reader.u64();
  if (sequence < 1n || sequence > sequenceMax) reader.fail('its sequence is not in [1, 2^53)');
  const incarnation = reader.u32();
  const operationId = reader.operationId();
  const bodyLength = reader.u32();
  if (bodyLength < bodyBytesMin || bodyLength > limits.manifestBodyBytesMax)
    reader.fail('its body length is impossible');
  const body = reader.take(bodyLength);
  const signer = reader.keyHash();
  const signedBytes = record.slice(0, reader.position);
  const signature = reader.take(signatureBytes);
  const wrap = reader.take(wrapBytes);
  reader.end();
  const wrapEpoch = wrapEpochOf(wrap);
  const fields = { state, network, version, sequence, incarnation, operationId, body, wrap };
  return { ...fields, signer, signature, wrapEpoch, signedBytes };
};

/** `integrity` unless the manifest is signed by the key `signerSpki` and names it. */
export const verifyManifest = (manifest: Manifest, signerSpki: Uint8Array): void => {
  const { signer, signature, signedBytes } = manifest;
  const valid =
    keyHashOfSpki(signerSpki) === signer && verifySignature(signerSpki, signature, signatureDomain, signedBytes);
  if (!valid) throw new OperaError('integrity', 'the signature of the manifest is wrong');
};

/** The same signed record with another wrap of the same file key. */
export const replaceWrap = (record: Uint8Array, wrap: Uint8Array): Uint8Array => {
  wrapEpochOf(wrap);
  return concatBytes(record.subarray(0, record.length - wrapBytes), wrap);
};
