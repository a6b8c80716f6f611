// A key box: a network key or a part of the CA key, sealed to one member's X25519 key and signed by a gateway.
//
//   214 bytes : 01 | kind u8 | epoch u32 | recipient SPKI hash 32 | enc 32 | ct 48 | signer SPKI hash 32 |
//               signature 64
//   enc, ct   : HPKE base mode (hpke.ts), info "opera/key-box/v1" ‖ network, aad = the first 38 bytes
//   signature : over "opera/key-box/v1" ‖ network ‖ the first 150 bytes
//
// Whether the signer may sign (a gateway of the roster; the CA for boxes made at init) is the caller's question, and
// so is whether the epoch's key fits the roster's key check.
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u32, utf8 } from '../model/bytes.ts';
import { type KeyHash, keyHashToBytes, type NetworkId, networkIdToBytes } from '../model/ids.ts';
import type { Random } from '../runtime/random.ts';
import { hpkeOpen, hpkeSeal } from './hpke.ts';
import { keyHashOfSpki, type Signer, signatureBytes, verifySignature } from './signature.ts';

export const keyBoxBytes = 214;

/**
 * networkKey: to a member's key. caKeyPart: the 32-byte private scalar of the CA's P-256 key, one part; its epoch is
 * the part's number, 1. recovery: the network key to a recovery key, named by recoveryKeyHashOf.
 */
export const keyBoxKinds = { networkKey: 1, caKeyPart: 2, recovery: 3 } as const;

export type KeyBoxKind = (typeof keyBoxKinds)[keyof typeof keyBoxKinds];

export interface KeyBox {
  readonly kind: KeyBoxKind;
  /** Epoch of the network key; 1 or more. */
  readonly epoch: number;
  /** SPKI hash of the member's certificate key, or of the recovery key. */
  readonly recipient: KeyHash;
  readonly enc: Uint8Array;
  readonly sealed: Uint8Array;
  readonly signer: KeyHash;
  readonly signature: Uint8Array;
  /** What the signature is over, without label and network. */
  readonly signedBytes: Uint8Array;
}

export interface KeyBoxFields {
  readonly kind: KeyBoxKind;
  readonly epoch: number;
  readonly recipient: KeyHash;
  /** The recipient's raw X25519 public key. */
  readonly recipientKey: Uint8Array;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

const signatureDomain = 'opera/key-box/v1';
const infoLabel = utf8(signatureDomain);
const format = Uint8Array.of(1);
const contextBytes = 38;

const infoOf = (network: NetworkId): Uint8Array => concatBytes(infoLabel, networkIdToBytes(network));

/** The record for one recipient, signed by `signer`. */
export const sealKeyBox = (network: NetworkId, fields: KeyBoxFields, signer: Signer, random: Random): Uint8Array => {
  const { kind, epoch, recipient, recipientKey, secret } = fields;
  if (secret.length !== 32) throw new OperaError('internal', 'a key box holds 32 bytes');
  if (epoch < 1) throw new OperaError('internal', 'epochs begin at 1');
  const context = concatBytes(format, Uint8Array.of(kind), u32(epoch), keyHashToBytes(recipient));
  const { enc, sealed } = hpkeSeal(recipientKey, infoOf(network), context, secret, random);
  const signed = concatBytes(context, enc, sealed, keyHashToBytes(signer.keyHash));
  return concatBytes(signed, signer.sign(signatureDomain, networkIdToBytes(network), signed));
};

const kindOf = (code: number): KeyBoxKind | undefined => Object.values(keyBoxKinds).find((kind) => kind === code);

/** Every field in range and every byte accounted for; the signature is not checked here. */
export const parseKeyBox = (record: Uint8Array): KeyBox => {
  const reader = new ByteReader(record, 'the key box');
  reader.expect(format, 'version');
  const kind = kindOf(reader.u8()) ?? reader.fail('its kind is unknown');
  const epoch = reader.u32();
  if (epoch < 1) reader.fail('epochs begin at 1');
  const recipient = reader.keyHash();
  const enc = reader.take(32);
  const sealed = reader.take(48);
  const signer = reader.keyHash();
  const signedBytes = record.slice(0, reader.position);
  const signature = reader.take(signatureBytes);
  reader.end();
  return { kind, epoch, recipient, enc, sealed, signer, signature, signedBytes };
};

/** `integrity` unless the box is signed for this network by the key `signerSpki` and names it. */
export const verifyKeyBox = (network: NetworkId, box: KeyBox, signerSpki: Uint8Array): void => {
  const { signer, signature, signedBytes } = box;
  const valid =
    keyHashOfSpki(signerSpki) === signer &&
    verifySignature(signerSpki, signature, signatureDomain, networkIdToBytes(network), signedBytes);
  if (!valid) throw new OperaError('integrity', 'the signature of the key box is wrong');
};

/** The 32 secret bytes, with the recipient's raw X25519 private key. Verify the box first. */
export const openKeyBox = (network: NetworkId, box: KeyBox, privateKey: Uint8Array): Uint8Array =>
  hpkeOpen(privateKey, infoOf(network), box.signedBytes.subarray(0, contextBytes), box.enc, box.sealed);
