// Keys, certificate requests and certificates of members: P-256, one URI `spiffe://<network>/<role>/<member id>`.
// Invariant: the member id in a certificate is that of its key, so an id can be neither chosen nor taken over.
// Trust is not decided here: the chain is TLS's, membership the roster's (peer-check.ts).
import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { equalBytes } from '../crypto/digest.ts';
import { keyHashOfSpki, parsePublicKey } from '../crypto/signature.ts';
import { OperaError } from '../errors/errors.ts';
import { type KeyHash, type MemberId, memberIdOf, type NetworkId, parseNetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { parseRole, type Role } from '../model/roles.ts';
import { ecdsaSha256, importPair, loadX509 } from './_x509.ts';
import { type CaBundle, derSequenceLength } from './ca-bundle.ts';

/** What a certificate says; true only as far as its issuer is trusted. */
export interface CertificateClaims {
  readonly networkId: NetworkId;
  readonly role: Role;
  readonly memberId: MemberId;
  readonly keyHash: KeyHash;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export const spiffeUri = (networkId: NetworkId, role: Role, memberId: MemberId): string =>
  `spiffe://${networkId}/${role}/${memberId}`;

/**
 * `spki` when it is a P-256 key in its one canonical encoding; `bad-request` otherwise. Compressed points and
 * explicit parameters are refused: they would give one key several hashes, and so several members.
 */
export const parseSpki = (spki: Uint8Array): Uint8Array => {
  const canonical = new Uint8Array(parsePublicKey(spki).export({ format: 'der', type: 'spki' }));
  if (spki.length !== 91 || !equalBytes(canonical, spki)) {
    throw new OperaError('bad-request', 'the public key is not in its canonical encoding');
  }
  return canonical;
};

/** A request for a certificate of this key. It names nothing: all but the key comes from the token and the roster. */
export const createCsr = async (privateKey: KeyObject): Promise<Uint8Array> => {
  const x509 = await loadX509();
  const keys = await importPair(privateKey);
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { keys, signingAlgorithm: ecdsaSha256 },
    webcrypto,
  );
  return new Uint8Array(request.rawData);
};

export const createKeyAndCsr = async (): Promise<{ readonly privateKey: KeyObject; readonly csr: Uint8Array }> => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, csr: await createCsr(privateKey) };
};

/**
 * The key of a certificate request (DER SubjectPublicKeyInfo), after its own signature was checked. Names and
 * extensions in it are ignored. `bad-request` for anything malformed, for keys other than P-256 and for trailing bytes.
 */
export const parseCsr = async (der: Uint8Array): Promise<Uint8Array> => {
  if (der.length > limits.certificateBytesMax || derSequenceLength(der) !== der.length) {
    throw new OperaError('bad-request', 'the certificate request is not one DER structure of at most 4 KiB');
  }
  const x509 = await loadX509();
  let valid: boolean;
  let spki: Uint8Array;
  try {
    const request = new x509.Pkcs10CertificateRequest(der.slice());
    spki = parseSpki(new Uint8Array(request.publicKey.rawData));
    valid = await request.verify(webcrypto);
  } catch (cause) {
    if (cause instanceof OperaError) throw cause;
    throw new OperaError('bad-request', 'the certificate request is malformed', { cause });
  }
  if (!valid) throw new OperaError('bad-request', 'the certificate request is not signed by its own key');
  return spki;
};

const invalid = (reason: string, cause?: unknown): never => {
  throw new OperaError('unauthenticated', `the certificate is not one of a member: ${reason}`, { cause });
};

const readCertificate = (der: Uint8Array): X509Certificate => {
  if (der.length > limits.certificateBytesMax) return invalid('it is too long');
  try {
    return new X509Certificate(der);
  } catch (cause) {
    return invalid('it cannot be read', cause);
  }
};

// id-kp-serverAuth and id-kp-clientAuth, RFC 5280 section 4.2.1.12: every member both dials and answers.
const usages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];

/**
 * Strict reading of a member's certificate: exactly one SAN, a URI of our form; the member id is the key's; no CA;
 * usage server and client. `unauthenticated` otherwise. Does not check the issuer or the time.
 */
export const parsePeerCertificate = (der: Uint8Array): CertificateClaims => {
  const certificate = readCertificate(der);
  const uri = /^URI:spiffe:\/\/([a-z2-7]{26})\/([a-z]+)\/([a-z2-7]{26})$/.exec(certificate.subjectAltName ?? '');
  if (!uri) return invalid('its name is not spiffe://network/role/member');
  if (certificate.ca) return invalid('it is that of an authority');
  const extended: readonly string[] = certificate.keyUsage ?? [];
  if (!usages.every((usage) => extended.includes(usage))) return invalid('its key usage is not server and client');
  try {
    const spki = parseSpki(new Uint8Array(certificate.publicKey.export({ format: 'der', type: 'spki' })));
    const keyHash = keyHashOfSpki(spki);
    const memberId = memberIdOf(keyHash);
    if (uri[3] !== memberId) return invalid('its member id is not that of its key');
    return {
      networkId: parseNetworkId(uri[1]),
      role: parseRole(uri[2]),
      memberId,
      keyHash,
      spki,
      notBeforeMs: Date.parse(certificate.validFrom),
      notAfterMs: Date.parse(certificate.validTo),
    };
  } catch (cause) {
    if (cause instanceof OperaError && cause.code === 'unauthenticated') throw cause;
    return invalid('its key or name is not acceptable', cause);
  }
};

/**
 * What TLS checks, for where no TLS stands before: the certificate is issued by an authority of `bundle` and valid at
 * `nowMs`. `wrong-authority` for another issuer, `unauthenticated` when it is expired or not yet valid.
 */
export const verifyCertificate = (der: Uint8Array, bundle: CaBundle, nowMs: number): CertificateClaims => {
  const claims = parsePeerCertificate(der);
  const certificate = readCertificate(der);
  const issuer = bundle.certificates.find(({ spki }) => certificate.verify(parsePublicKey(spki)));
  if (!issuer) throw new OperaError('wrong-authority', 'the certificate is of another authority');
  if (claims.networkId !== bundle.networkId) invalid('it names another network than its authority');
  if (nowMs < Math.max(claims.notBeforeMs, issuer.notBeforeMs)) invalid('it is not valid yet; check the clock');
  if (nowMs >= Math.min(claims.notAfterMs, issuer.notAfterMs)) invalid('it expired; renew it');
  return claims;
};

/** Throws `unauthenticated` unless the certificate is for this private key. */
export const assertCertificateOf = (claims: CertificateClaims, privateKey: KeyObject): void => {
  const spki = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }));
  if (!equalBytes(spki, claims.spki)) invalid('it is for another key');
};

/**
 * When to renew: at 50 to 80 % of the life counted from its issue, spread by `fraction` in [0, 1) so that members that
 * joined together do not renew together.
 */
export const renewalDueMs = (certificate: CertificateClaims, fraction: number): number => {
  const issuedMs = certificate.notBeforeMs + limits.certificateBackdateMs;
  return issuedMs + (certificate.notAfterMs - issuedMs) * (0.5 + 0.3 * fraction);
};

/** Whether to renew now: when it is time, and before the certificate begins, as after a clock that ran ahead. */
export const isRenewalDue = (certificate: CertificateClaims, fraction: number, nowMs: number): boolean =>
  nowMs >= renewalDueMs(certificate, fraction) || nowMs < certificate.notBeforeMs;
