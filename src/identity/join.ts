// Joining with a code and renewing by key: the nonce, the two signatures, and what a gateway checks before it signs.
//   nonce (40 bytes): time u64 ms | random 16 | HMAC-SHA-256(HKDF(network key, salt = network,
//                     "opera/join-nonce/v1", 32), first 24)[0..16)
//   join signature:   Ed25519(seed, "opera/join/v1" ‖ 00 ‖ pin ‖ nonce ‖ role u8 ‖ X25519 32 ‖ SHA-256(addresses) ‖
//                     SHA-256(CSR DER))
//   renew signature:  by the member's key over "opera/renew/v1" ‖ 00 ‖ network ‖ nonce ‖ SHA-256(CSR DER)
// Invariant: the role is the token's, the key is the request's, and nothing else of a request reaches a certificate.
// Counting uses, issuing and changing the roster are the gateway's.
import { sign, verify } from 'node:crypto';
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { hkdf, hmacSha256 } from '../crypto/hkdf.ts';
import { keyHashOfSpki, type Signer, verifySignature } from '../crypto/signature.ts';
import { createX25519, x25519 } from '../crypto/x25519.ts';
import { OperaError } from '../errors/errors.ts';
import { ByteReader, concatBytes, u8, u64, utf8 } from '../model/bytes.ts';
import { type MemberId, memberIdOf, type NetworkId, networkIdToBytes } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { holdsNetworkKeys, type Role, roleCodes } from '../model/roles.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import { type Random, SystemRandom } from '../runtime/random.ts';
import { exactly, isZero, readTimeMs } from './_records.ts';
import { joinAddresses, requireAddressesOf } from './address.ts';
import { parseCsr } from './certificate.ts';
import { ed25519PrivateKey, ed25519PublicKey } from './join-code.ts';
import { findMember, type Roster, type RosterMember } from './roster.ts';
import { checkToken, type Token, tokenIdOf } from './token.ts';

export const joinNonceBytes = 40;

// ---- nonce -----------------------------------------------------------------------------------------------------

const nonceTag = (networkId: NetworkId, networkKey: Uint8Array, head: Uint8Array): Uint8Array => {
  const key = hkdf(networkKey, networkIdToBytes(networkId), utf8('opera/join-nonce/v1'), 32);
  return hmacSha256(key, head).slice(0, 16);
};

/** A nonce that any gateway of the network recognises; `networkKey` is that of the newest epoch. */
export const createJoinNonce = (
  networkId: NetworkId,
  networkKey: Uint8Array,
  nowMs: number,
  random: Random,
): Uint8Array => {
  const head = concatBytes(u64(BigInt(Math.trunc(nowMs))), random.bytes(16));
  return concatBytes(head, nonceTag(networkId, networkKey, head));
};

export interface NonceContext {
  readonly networkId: NetworkId;
  /** Newest first; the newest two epochs are tried. */
  readonly networkKeys: readonly Uint8Array[];
  readonly nowMs: number;
}

/** Throws `nonce-expired` unless a gateway of this network made the nonce within the last 60 s. */
export const checkJoinNonce = (nonce: Uint8Array, context: NonceContext): void => {
  const refuse = (): never => {
    throw new OperaError('nonce-expired', 'the nonce is not one of the last minute; ask for a new one');
  };
  if (nonce.length !== joinNonceBytes) return refuse();
  const [head, tag] = [nonce.subarray(0, 24), nonce.subarray(24)];
  const isOurs = (key: Uint8Array): boolean => equalBytes(tag, nonceTag(context.networkId, key, head));
  if (!context.networkKeys.slice(0, 2).some(isOurs)) return refuse();
  const madeMs = readTimeMs(new ByteReader(head, 'the nonce'));
  // The gateway that made it may be ahead of this one's clock: the life counts in both directions.
  return Math.abs(context.nowMs - madeMs) >= limits.joinNonceLifeMs ? refuse() : undefined;
};

// ---- what is signed --------------------------------------------------------------------------------------------

export interface JoinStatement {
  readonly nonce: Uint8Array;
  readonly role: Role;
  /** X25519 public key, 32 bytes; all zero for masters and sentinels. */
  readonly agreementKey: Uint8Array;
  /** `host:port` of its mesh listener, first the preferred one; empty for clients and operators. */
  readonly addresses: readonly string[];
  /** DER of the certificate request. */
  readonly csr: Uint8Array;
}

const joinMessage = (pin: Uint8Array, statement: JoinStatement): Uint8Array =>
  concatBytes(
    utf8('opera/join/v1'),
    u8(0),
    exactly(pin, 32, 'a pin'),
    exactly(statement.nonce, joinNonceBytes, 'a nonce'),
    u8(roleCodes[statement.role]),
    exactly(statement.agreementKey, 32, 'an X25519 key'),
    sha256(utf8(joinAddresses(statement.addresses))),
    sha256(statement.csr),
  );

/** 64-byte Ed25519 signature by the seed of a join code. */
export const signJoin = (seed: Uint8Array, pin: Uint8Array, statement: JoinStatement): Uint8Array =>
  new Uint8Array(sign(null, joinMessage(pin, statement), ed25519PrivateKey(seed)));

const verifyJoinSignature = (
  tokenKey: Uint8Array,
  pin: Uint8Array,
  statement: JoinStatement,
  signature: Uint8Array,
): boolean => {
  if (signature.length !== 64) return false;
  const message = joinMessage(pin, statement);
  try {
    return verify(null, message, ed25519PublicKey(tokenKey), signature);
  } catch {
    return false;
  }
};

const renewParts = (networkId: NetworkId, nonce: Uint8Array, csr: Uint8Array): readonly Uint8Array[] => [
  u8(0),
  networkIdToBytes(networkId),
  exactly(nonce, joinNonceBytes, 'a nonce'),
  sha256(csr),
];

/** Signature by which a member asks for a new certificate of its own key, however old the certificate it has. */
export const signRenew = (signer: Signer, networkId: NetworkId, nonce: Uint8Array, csr: Uint8Array): Uint8Array =>
  signer.sign('opera/renew/v1', ...renewParts(networkId, nonce, csr));

// ---- the gateway's side ----------------------------------------------------------------------------------------

export interface JoinRequest extends JoinStatement {
  readonly networkId: NetworkId;
  /** Ed25519 public key of the join code's seed. */
  readonly tokenKey: Uint8Array;
  readonly signature: Uint8Array;
}

export interface JoinContext extends NonceContext {
  /** pinOf the network's CA bundle. */
  readonly pin: Uint8Array;
  /** The token record the registry holds under tokenIdOf(request.tokenKey). */
  readonly token: SignedRecord;
  readonly incarnation: number;
  readonly roster: Roster;
}

export interface JoinVerdict {
  readonly token: Token;
  /** The registry's key of the token, for takeToken. */
  readonly tokenId: string;
  readonly memberId: MemberId;
  /** The key to certify. */
  readonly spki: Uint8Array;
  /** The entry for the roster. */
  readonly member: Omit<RosterMember, 'state'>;
}

/** Key holders must be able to receive key boxes: a low-order point would make every later rotation fail. */
const checkAgreementKey = (role: Role, agreementKey: Uint8Array): void => {
  if (!holdsNetworkKeys(role)) {
    if (isZero(agreementKey)) return;
    throw new OperaError('bad-request', `a ${role} holds no network keys, so it has no X25519 key`);
  }
  try {
    x25519(createX25519(new SystemRandom()).privateKey, agreementKey);
  } catch (cause) {
    throw new OperaError('bad-request', 'the X25519 key is not acceptable', { cause });
  }
};

/** A key that is listed already may only repeat the request that was answered. */
const checkRepeated = (roster: Roster, member: Omit<RosterMember, 'state'>): void => {
  const known = findMember(roster, member.keyHash);
  if (!known) return;
  if (known.state === 'revoked') throw new OperaError('revoked', 'this key is revoked; join with a new one');
  if (known.role !== member.role || !equalBytes(known.x25519, member.x25519)) {
    throw new OperaError('exists', 'this key is a member already, with another role or X25519 key');
  }
};

/**
 * Everything a gateway checks of a join request before it takes a use of the token and issues a certificate. Errors:
 * `wrong-network`, `nonce-expired`, `token-invalid`, `token-expired`, `forbidden` (the code is for another role),
 * `bad-request` (addresses, keys or CSR), `revoked`, `exists`.
 */
export const verifyJoin = async (request: JoinRequest, context: JoinContext): Promise<JoinVerdict> => {
  if (request.networkId !== context.networkId) {
    throw new OperaError('wrong-network', 'the join request is for another network');
  }
  if (request.agreementKey.length !== 32) throw new OperaError('bad-request', 'an X25519 key has 32 bytes');
  checkJoinNonce(request.nonce, context);
  const token = checkToken(context.token, context);
  const isSigned =
    equalBytes(token.publicKey, request.tokenKey) &&
    verifyJoinSignature(token.publicKey, context.pin, request, request.signature);
  if (!isSigned) throw new OperaError('token-invalid', 'the join request is not signed by the join code');
  if (request.role !== token.role) {
    const details = { role: token.role };
    throw new OperaError('forbidden', `the join code is for a ${token.role}, not for a ${request.role}`, { details });
  }
  requireAddressesOf(token.role, request.addresses);
  checkAgreementKey(token.role, request.agreementKey);
  const spki = await parseCsr(request.csr);
  const keyHash = keyHashOfSpki(spki);
  const member = { keyHash, role: token.role, x25519: request.agreementKey.slice() };
  checkRepeated(context.roster, member);
  return { token, tokenId: tokenIdOf(token.publicKey), memberId: memberIdOf(keyHash), spki, member };
};

export interface RenewRequest {
  readonly networkId: NetworkId;
  readonly csr: Uint8Array;
  readonly nonce: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Who asks for a new certificate: proven by its key, listed by the roster; the old certificate plays no part. Errors:
 * `wrong-network`, `nonce-expired`, `bad-request` (CSR), `unauthenticated` (signature, or not listed), `revoked`.
 */
export const verifyRenew = async (
  request: RenewRequest,
  context: NonceContext & { readonly roster: Roster },
): Promise<{ readonly member: RosterMember; readonly memberId: MemberId; readonly spki: Uint8Array }> => {
  if (request.networkId !== context.networkId) {
    throw new OperaError('wrong-network', 'the renewal is for another network');
  }
  checkJoinNonce(request.nonce, context);
  const spki = await parseCsr(request.csr);
  const parts = renewParts(request.networkId, request.nonce, request.csr);
  if (!verifySignature(spki, request.signature, 'opera/renew/v1', ...parts)) {
    throw new OperaError('unauthenticated', 'the renewal is not signed by the key it is for');
  }
  const member = findMember(context.roster, keyHashOfSpki(spki));
  if (!member) throw new OperaError('unauthenticated', 'the roster does not list this key; join again');
  if (member.state === 'revoked') throw new OperaError('revoked', 'this member is revoked');
  return { member, memberId: memberIdOf(member.keyHash), spki };
};
