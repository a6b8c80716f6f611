// A member's identity on disk, apart from its data, so that a copy of the data alone opens nothing.
//   key.pem           P-256 private key, PKCS #8            member.json      {v, network, role}: written last
//   x25519.pem        X25519 private key, PKCS #8           certificate.pem  replaced at each renewal
//   ca.der            CA bundle, byte for byte (the pin)    authority.pem    the authority's key, on some gateways
// Invariant: folder 0700, files 0600, each replaced whole; keys exist before a join is sent, so that a join repeated
// after a crash is the same key's. An identity without member.json has not joined yet.
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { createSigner, type Signer } from '../crypto/signature.ts';
import { createX25519, type X25519KeyPair, x25519PublicOf } from '../crypto/x25519.ts';
import { OperaError } from '../errors/errors.ts';
import { concatBytes } from '../model/bytes.ts';
import { type MemberId, memberIdOf, type NetworkId, parseNetworkId } from '../model/ids.ts';
import { holdsNetworkKeys, parseRole, type Role } from '../model/roles.ts';
import { checkSecretFolder, createSecretFolder, readSecretFile, writeFileDurably } from '../runtime/files.ts';
import { SystemRandom } from '../runtime/random.ts';
import { type Authority, authorityFromPrivate } from './authority.ts';
import { type CaBundle, certificatePem, parseCaBundle } from './ca-bundle.ts';
import { assertCertificateOf, type CertificateClaims, parsePeerCertificate } from './certificate.ts';

/** What a member makes for itself before it belongs to any network. */
export interface IdentityKeys {
  readonly privateKey: KeyObject;
  readonly signer: Signer;
  readonly memberId: MemberId;
  /** Kept for every role; masters and sentinels never publish or use it. */
  readonly x25519: X25519KeyPair;
}

export interface Identity extends IdentityKeys {
  readonly networkId: NetworkId;
  readonly role: Role;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly claims: CertificateClaims;
  readonly bundle: CaBundle;
  /** Undefined where the authority's key is not kept. */
  readonly authority: Authority | undefined;
}

const files = {
  key: 'key.pem',
  x25519: 'x25519.pem',
  certificate: 'certificate.pem',
  bundle: 'ca.der',
  authority: 'authority.pem',
  member: 'member.json',
} as const;

const fileBytesMax = 64 * 1024;
const fileMode = 0o600;

const damaged = (folder: string, file: string, cause?: unknown): OperaError =>
  new OperaError('config', `${join(folder, file)} is missing or damaged`, {
    cause,
    hint: 'Restore the identity folder from its backup, or remove it and join again with a new code',
  });

const readText = async (folder: string, file: string): Promise<string | undefined> => {
  const bytes = await readSecretFile(join(folder, file), fileBytesMax);
  return bytes && Buffer.from(bytes).toString('utf8');
};

const write = (folder: string, file: string, content: Uint8Array | string): Promise<void> =>
  writeFileDurably(join(folder, file), content, fileMode);

const pkcs8Pem = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString();

// The DER around a raw X25519 private key (RFC 8410 section 7).
const x25519Prefix = new Uint8Array(Buffer.from('302e020100300506032b656e04220420', 'hex'));

const x25519Pem = (privateKey: Uint8Array): string =>
  pkcs8Pem(createPrivateKey({ key: Buffer.from(concatBytes(x25519Prefix, privateKey)), format: 'der', type: 'pkcs8' }));

const parseX25519 = (pem: string): X25519KeyPair => {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'x25519') throw new OperaError('config', 'it is not an X25519 key');
  const privateKey = new Uint8Array(key.export({ format: 'der', type: 'pkcs8' })).slice(x25519Prefix.length);
  return { privateKey, publicKey: x25519PublicOf(privateKey) };
};

const parseSigningKey = (pem: string): KeyObject => {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new OperaError('config', 'it is not a P-256 key');
  return key;
};

/** Runs the parser of one file; whatever it throws becomes `config` naming the file. */
const parseFile = <T>(folder: string, file: string, text: string | undefined, parse: (text: string) => T): T => {
  if (text === undefined) throw damaged(folder, file);
  try {
    return parse(text);
  } catch (cause) {
    throw damaged(folder, file, cause);
  }
};

const identityKeys = (privateKey: KeyObject, x25519: X25519KeyPair): IdentityKeys => {
  const signer = createSigner(privateKey);
  return { privateKey, signer, memberId: memberIdOf(signer.keyHash), x25519 };
};

/**
 * The keys in `folder`; makes folder and keys when there are none. Calling it again answers the same keys, so that an
 * interrupted join goes on with them. `config` when others can read the folder or a key is damaged.
 */
export const prepareIdentity = async (folder: string): Promise<IdentityKeys> => {
  await createSecretFolder(folder);
  await checkSecretFolder(folder);
  const [keyPem, agreementPem] = [await readText(folder, files.key), await readText(folder, files.x25519)];
  if (keyPem === undefined && (await readText(folder, files.member)) !== undefined) throw damaged(folder, files.key);
  const x25519 =
    agreementPem === undefined
      ? createX25519(new SystemRandom())
      : parseFile(folder, files.x25519, agreementPem, parseX25519);
  if (agreementPem === undefined) {
    // An existing signing key may be listed with the lost X25519 key already: a new one would not be its own.
    if (keyPem !== undefined) throw damaged(folder, files.x25519);
    await write(folder, files.x25519, x25519Pem(x25519.privateKey));
  }
  const privateKey =
    keyPem === undefined
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      : parseFile(folder, files.key, keyPem, parseSigningKey);
  if (keyPem === undefined) await write(folder, files.key, pkcs8Pem(privateKey));
  return identityKeys(privateKey, x25519);
};

/** Public half as the roster lists it: zeros for roles that hold no network keys. */
export const agreementKeyOf = (keys: IdentityKeys, role: Role): Uint8Array =>
  holdsNetworkKeys(role) ? keys.x25519.publicKey : new Uint8Array(32);

export interface Membership {
  /** DER. */
  readonly certificate: Uint8Array;
  /** Concatenated DER. */
  readonly bundle: Uint8Array;
  /** Only on gateways that hold the authority's key. */
  readonly authority?: Authority;
}

/** Completes a prepared identity with what the network gave it. `exists` when the folder is another network's. */
export const completeIdentity = async (folder: string, membership: Membership): Promise<Identity> => {
  const claims = parsePeerCertificate(membership.certificate);
  const keys = await prepareIdentity(folder);
  assertCertificateOf(claims, keys.privateKey);
  const before = await readText(folder, files.member);
  const member = JSON.stringify({ v: 1, network: claims.networkId, role: claims.role });
  if (before !== undefined && before !== member) {
    throw new OperaError('exists', `${folder} is the identity of another member`);
  }
  const bundle = parseCaBundle(membership.bundle);
  if (bundle.networkId !== claims.networkId)
    throw new OperaError('wrong-authority', 'certificate and CA bundle differ');
  await write(folder, files.bundle, membership.bundle);
  await write(folder, files.certificate, certificatePem(membership.certificate));
  if (membership.authority) await storeAuthority(folder, membership.authority);
  await write(folder, files.member, member);
  const { networkId, role } = claims;
  const { certificate, authority } = membership;
  return { ...keys, networkId, role, certificate, claims, bundle, authority };
};

/** Keeps the authority's key, on a gateway that received its key box. */
export const storeAuthority = (folder: string, authority: Authority): Promise<void> =>
  write(folder, files.authority, pkcs8Pem(authority.privateKey));

/** Replaces the certificate after a renewal; `unauthenticated` when it is for another key. */
export const replaceCertificate = async (folder: string, identity: Identity, der: Uint8Array): Promise<Identity> => {
  const claims = parsePeerCertificate(der);
  assertCertificateOf(claims, identity.privateKey);
  if (claims.networkId !== identity.networkId || claims.role !== identity.role) {
    throw new OperaError('peer-mismatch', 'the new certificate is for another network or role');
  }
  await write(folder, files.certificate, certificatePem(der));
  return { ...identity, certificate: der, claims };
};

const parseMember = (text: string): { readonly networkId: NetworkId; readonly role: Role } => {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new OperaError('config', 'it is not an object');
  const { v, network, role } = value as Record<string, unknown>;
  if (v !== 1) throw new OperaError('config', 'it is of a newer version');
  return { networkId: parseNetworkId(network), role: parseRole(role) };
};

/**
 * The identity in `folder`; undefined when there is none or it has not joined yet. An expired certificate is read like
 * any other: it can still be renewed. `config` when others can read it, or when a file is missing, damaged or not of
 * this key and network.
 */
export const readIdentity = async (folder: string): Promise<Identity | undefined> => {
  if (!(await checkSecretFolder(folder))) return undefined;
  const memberText = await readText(folder, files.member);
  if (memberText === undefined) return undefined;
  const { networkId, role } = parseFile(folder, files.member, memberText, parseMember);
  const privateKey = parseFile(folder, files.key, await readText(folder, files.key), parseSigningKey);
  const x25519 = parseFile(folder, files.x25519, await readText(folder, files.x25519), parseX25519);
  const bundleBytes = await readSecretFile(join(folder, files.bundle), fileBytesMax);
  if (!bundleBytes) throw damaged(folder, files.bundle);
  const bundle = parseFile(folder, files.bundle, '', () => parseCaBundle(bundleBytes));
  const certificateText = await readText(folder, files.certificate);
  const { certificate, claims } = parseFile(folder, files.certificate, certificateText, (pem) => {
    const der = new Uint8Array(new X509Certificate(pem).raw);
    const parsed = parsePeerCertificate(der);
    assertCertificateOf(parsed, privateKey);
    if (parsed.networkId !== networkId || parsed.role !== role || bundle.networkId !== networkId) {
      throw new OperaError('config', 'it is of another network or role');
    }
    return { certificate: der, claims: parsed };
  });
  const authorityPem = await readText(folder, files.authority);
  const authority =
    authorityPem === undefined
      ? undefined
      : parseFile(folder, files.authority, authorityPem, (pem) =>
          authorityFromPrivate(createPrivateKey(pem), bundle.bytes),
        );
  return { ...identityKeys(privateKey, x25519), networkId, role, certificate, claims, bundle, authority };
};

/** PEM texts for node:tls: key, certificate, authorities. */
export const tlsMaterial = (
  identity: Identity,
): { readonly key: string; readonly certificate: string; readonly authorities: readonly string[] } => ({
  key: pkcs8Pem(identity.privateKey),
  certificate: certificatePem(identity.certificate),
  authorities: identity.bundle.certificates.map(({ der }) => certificatePem(der)),
});
