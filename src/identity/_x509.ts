// The certificate library, loaded on first use: it costs 70 ms, and only gateways and joining members need it.
// Peers are checked on every connection with node:crypto alone (certificate.ts), never through this file.
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import type * as X509 from '@peculiar/x509';

let loading: Promise<typeof X509> | undefined;

/** reflect-metadata must be evaluated first, or the library throws on load. */
export const loadX509 = (): Promise<typeof X509> => {
  loading ??= import('reflect-metadata').then(() => import('@peculiar/x509'));
  return loading;
};

export const ecdsaSha256 = { name: 'ECDSA', hash: 'SHA-256' } as const;
const p256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** The web-crypto twin of a P-256 public key given as SubjectPublicKeyInfo. */
export const importPublic = (spki: Uint8Array): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('spki', new Uint8Array(spki), p256, true, ['verify']);

/** The web-crypto twins of a P-256 private key and its public half. */
export const importPair = async (privateKey: KeyObject): Promise<webcrypto.CryptoKeyPair> => ({
  privateKey: await webcrypto.subtle.importKey(
    'pkcs8',
    new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' })),
    p256,
    false,
    ['sign'],
  ),
  publicKey: await importPublic(new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }))),
});
