// The certificate authority of a network: one P-256 key that signs members' certificates and the first roster.
// Invariant: a certificate says only what its issuer was told by token and roster; from the request comes the key.
// It stores nothing: identity-folder.ts keeps the key, and key boxes carry its scalar to further gateways.
import { createECDH, createPrivateKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto';
import { equalBytes } from '../crypto/digest.ts';
import { createSigner, keyHashOfSpki, type Signer } from '../crypto/signature.ts';
import { OperaError } from '../errors/errors.ts';
import { bytesToHex, memberIdOf, type NetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';
import { type Clock, dateOf } from '../runtime/clock.ts';
import { SystemRandom } from '../runtime/random.ts';
import { ecdsaSha256, importPair, importPublic, loadX509 } from './_x509.ts';
import { type CaBundle, type CaCertificate, parseCaBundle } from './ca-bundle.ts';
import { parseSpki, spiffeUri } from './certificate.ts';

/** Twenty years: an authority is replaced on purpose, never because a date crept up on a sleeping network. */
const authorityLifeMs = 20 * 365 * 24 * 3_600_000;

export interface Authority {
  readonly networkId: NetworkId;
  readonly bundle: CaBundle;
  /** The certificate in the bundle that belongs to this key. */
  readonly certificate: CaCertificate;
  readonly privateKey: KeyObject;
  /** Signs the first roster and the first key boxes; its spki is `certificate.spki`. */
  readonly signer: Signer;
}

/** 128 random bits as a positive DER integer of constant length (RFC 5280 section 4.1.2.2 allows 20 bytes). */
const randomSerial = (): string => {
  const bytes = new SystemRandom().bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytesToHex(bytes);
};

const authorityName = (networkId: NetworkId): string => `CN=Space Opera ${networkId}`;

const createRoot = async (networkId: NetworkId, privateKey: KeyObject, nowMs: number): Promise<Uint8Array> => {
  const x509 = await loadX509();
  const keys = await importPair(privateKey);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomSerial(),
      name: authorityName(networkId),
      notBefore: dateOf(nowMs - limits.certificateBackdateMs),
      notAfter: dateOf(nowMs + authorityLifeMs),
      signingAlgorithm: ecdsaSha256,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${networkId}` }]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return new Uint8Array(certificate.rawData);
};

/** A new authority with a bundle of one self-signed certificate. */
export const createAuthority = async (networkId: NetworkId, clock: Clock): Promise<Authority> => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return authorityFromPrivate(privateKey, await createRoot(networkId, privateKey, clock.nowMs()));
};

const privateKeyFromScalar = (scalar: Uint8Array): KeyObject => {
  try {
    const ecdh = createECDH('prime256v1');
    ecdh.setPrivateKey(scalar);
    const point = ecdh.getPublicKey();
    const coordinate = (from: number): string => point.subarray(from, from + 32).toString('base64url');
    const d = Buffer.from(scalar).toString('base64url');
    return createPrivateKey({
      format: 'jwk',
      key: { kty: 'EC', crv: 'P-256', d, x: coordinate(1), y: coordinate(33) },
    });
  } catch (cause) {
    throw new OperaError('integrity', 'the key of the authority is malformed', { cause });
  }
};

/**
 * The authority of a kept or received key (32-byte scalar or key object) and its bundle. `wrong-authority` when no
 * certificate of the bundle belongs to the key, `integrity` when the key is no P-256 key.
 */
export const authorityFromPrivate = (key: Uint8Array | KeyObject, bundle: Uint8Array): Authority => {
  const privateKey = key instanceof Uint8Array ? privateKeyFromScalar(key) : key;
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new OperaError('integrity', 'the key of the authority is not P-256');
  }
  const signer = createSigner(privateKey);
  const parsed = parseCaBundle(bundle);
  const certificate = parsed.certificates.find(({ spki }) => equalBytes(spki, signer.spki));
  if (!certificate) throw new OperaError('wrong-authority', 'the key is not that of the authority in the CA bundle');
  return { networkId: parsed.networkId, bundle: parsed, certificate, privateKey, signer };
};

/** The private scalar, 32 bytes: the plaintext of a key box of kind 2. The caller wipes it. */
export const exportAuthorityScalar = (authority: Authority): Uint8Array => {
  const { d } = authority.privateKey.export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(d ?? '', 'base64url'));
};

export interface CertificateRequest {
  readonly role: Role;
  /** DER SubjectPublicKeyInfo, as parseCsr answers it. */
  readonly spki: Uint8Array;
  readonly nowMs: number;
  /** Default limits.certificateLifeMs; tests of renewal take seconds. */
  readonly lifeMs?: number;
}

/** Issues a member's certificate (DER): key, role and time from the caller, all else from the network. */
export const issueCertificate = async (authority: Authority, request: CertificateRequest): Promise<Uint8Array> => {
  const x509 = await loadX509();
  const spki = parseSpki(request.spki);
  const memberId = memberIdOf(keyHashOfSpki(spki));
  const { privateKey, publicKey } = await importPair(authority.privateKey);
  const memberKey = await importPublic(spki);
  const uri = spiffeUri(authority.networkId, request.role, memberId);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial(),
      subject: `CN=${memberId}`,
      issuer: authorityName(authority.networkId),
      notBefore: dateOf(request.nowMs - limits.certificateBackdateMs),
      notAfter: dateOf(request.nowMs + (request.lifeMs ?? limits.certificateLifeMs)),
      signingAlgorithm: ecdsaSha256,
      publicKey: memberKey,
      signingKey: privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uri }]),
        await x509.SubjectKeyIdentifierExtension.create(memberKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return new Uint8Array(certificate.rawData);
};
