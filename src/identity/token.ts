// The join token: what the registry holds of a join code. It is public: it opens nothing without the code's seed.
//   01 | role u8 | uses u16 | network 16 | Ed25519 public key 32 | expires u64 ms | incarnation u32 |
//   signer SPKI hash 32 | signature 64 over "opera/token/v1" ‖ all before                                (160 bytes)
// Invariant: a checked token was signed by a gateway that the roster lists as valid, so that whoever can write the
// registry still cannot invite. Counting uses is the registry's.
import { keyHashOfSpki, type Signer, signatureBytes, verifySignature } from '../crypto/signature.ts';
import { sha256 } from '../crypto/digest.ts';
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u8, u16, u32, u64 } from '../model/bytes.ts';
import { bytesToHex, type KeyHash, keyHashToBytes, type NetworkId, networkIdToBytes } from '../model/ids.ts';
import { type Role, roleCodes, roleOfCode } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { formatDuration } from '../model/units.ts';
import { exactly, parseAs, readTimeMs } from './_records.ts';
import { isValidMember, type Roster } from './roster.ts';

export const tokenBytes = 160;

export interface TokenFields {
  readonly role: Role;
  /** How many different keys may join with it, 1 to 65,535. */
  readonly uses: number;
  readonly networkId: NetworkId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly expiresMs: number;
  readonly incarnation: number;
}

export interface Token extends TokenFields {
  readonly signer: KeyHash;
  readonly signature: Uint8Array;
}

/** First 16 bytes of SHA-256(Ed25519 public key), hex: the registry's key for it. */
export const tokenIdOf = (publicKey: Uint8Array): string => bytesToHex(sha256(publicKey).subarray(0, 16));

const refuse = (reason: string): never => {
  throw new OperaError('token-invalid', `the token is refused: ${reason}`);
};

export const signToken = (fields: TokenFields, signer: Signer): SignedRecord => {
  if (fields.uses < 1) throw new OperaError('bad-request', 'a join code has at least one use');
  const body = concatBytes(
    u8(1),
    u8(roleCodes[fields.role]),
    u16(fields.uses),
    networkIdToBytes(fields.networkId),
    exactly(fields.publicKey, 32, 'an Ed25519 key'),
    u64(BigInt(fields.expiresMs)),
    u32(fields.incarnation),
    keyHashToBytes(signer.keyHash),
  );
  return { bytes: concatBytes(body, signer.sign('opera/token/v1', body)), signerSpki: signer.spki };
};

/** Strict parsing; `token-invalid` for anything malformed. The signature is checked by checkToken. */
export const parseToken = (bytes: Uint8Array): Token => parseAs('token-invalid', () => readToken(bytes));

const readToken = (bytes: Uint8Array): Token => {
  const reader = new ByteReader(bytes, 'the token');
  reader.expect(u8(1), 'version');
  const role = roleOfCode(reader.u8()) ?? reader.fail('unknown role');
  const uses = reader.u16();
  if (uses === 0) reader.fail('it has no use');
  const networkId = reader.networkId();
  const publicKey = reader.take(32);
  const expiresMs = readTimeMs(reader);
  const incarnation = reader.u32();
  const signer = reader.keyHash();
  const signature = reader.take(signatureBytes);
  reader.end();
  return { role, uses, networkId, publicKey, expiresMs, incarnation, signer, signature };
};

export interface TokenContext {
  readonly networkId: NetworkId;
  /** The registry's current life: tokens of an older one are refused, for their counts of uses may be lost. */
  readonly incarnation: number;
  readonly roster: Roster;
  readonly nowMs: number;
}

/** The token when it may be used now; `token-invalid` or `token-expired` otherwise. Uses are not counted here. */
export const checkToken = (record: SignedRecord, context: TokenContext): Token => {
  const token = parseToken(record.bytes);
  if (token.networkId !== context.networkId) refuse('it is of another network');
  if (keyHashOfSpki(record.signerSpki) !== token.signer) refuse('the key sent along is not the signer');
  if (!isValidMember(context.roster, token.signer, 'gateway')) refuse('its signer is not a valid gateway');
  const body = record.bytes.subarray(0, tokenBytes - signatureBytes);
  if (!verifySignature(record.signerSpki, token.signature, 'opera/token/v1', body)) refuse('wrong signature');
  if (token.incarnation < context.incarnation) {
    refuse('the registry began a new life since it was made; make a new one');
  }
  if (context.nowMs >= token.expiresMs) {
    const ago = formatDuration(context.nowMs - token.expiresMs);
    throw new OperaError('token-expired', `the join code expired ${ago} ago`, {
      details: { expiresMs: token.expiresMs },
    });
  }
  return token;
};
