// The CA bundle: the DER certificates of the network's authority, one after another; the pin is SHA-256 of all of it.
// A bundle is accepted whole or not at all: every certificate in it is a P-256 authority of one and the same network.
// It decides nothing about members; that is the roster's.
import { X509Certificate } from 'node:crypto';
import { sha256 } from '../crypto/digest.ts';
import { parsePublicKey } from '../crypto/signature.ts';
import { OperaError } from '../errors/errors.ts';
import { type NetworkId, parseNetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';

/** Two while an authority is being replaced; more is a mistake or an attack. */
const bundleCertificatesMax = 4;

export interface CaCertificate {
  readonly der: Uint8Array;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface CaBundle {
  readonly networkId: NetworkId;
  readonly bytes: Uint8Array;
  /** The first is the founding one: its key signed the first roster. */
  readonly certificates: readonly [CaCertificate, ...CaCertificate[]];
}

const malformed = (reason: string, cause?: unknown): never => {
  throw new OperaError('wrong-authority', `the CA bundle is not acceptable: ${reason}`, { cause });
};

/** Length of the DER SEQUENCE at the start of `bytes` (X.690 section 8.1.3), or undefined when there is none. */
export const derSequenceLength = (bytes: Uint8Array): number | undefined => {
  const [tag, first, second, third] = bytes;
  if (tag !== 0x30 || first === undefined) return undefined;
  let total: number | undefined;
  if (first < 0x80) total = 2 + first;
  else if (first === 0x81 && second !== undefined && second >= 0x80) total = 3 + second;
  else if (first === 0x82 && second !== undefined && second > 0 && third !== undefined)
    total = 4 + second * 256 + third;
  return total !== undefined && total <= bytes.length ? total : undefined;
};

/** SHA-256 of the whole bundle: what join codes carry. */
export const pinOf = (bundle: Uint8Array): Uint8Array => sha256(bundle);

/** RFC 7468 text of one DER certificate. */
export const certificatePem = (der: Uint8Array): string => {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
};

/** PEM text of the bundle, one entry each: the `ca` option of node:tls, which takes no bare DER. */
export const bundlePem = (bundle: CaBundle): string[] => bundle.certificates.map(({ der }) => certificatePem(der));

const parseCaCertificate = (der: Uint8Array): CaCertificate & { networkId: NetworkId } => {
  try {
    const certificate = new X509Certificate(der);
    const spki = new Uint8Array(certificate.publicKey.export({ format: 'der', type: 'spki' }));
    parsePublicKey(spki);
    const uri = /^URI:spiffe:\/\/([a-z2-7]{26})$/.exec(certificate.subjectAltName ?? '');
    if (!certificate.ca || !uri || !certificate.verify(certificate.publicKey)) {
      return malformed('a certificate in it is not the self-signed authority of a network');
    }
    return {
      der,
      spki,
      networkId: parseNetworkId(uri[1]),
      notBeforeMs: Date.parse(certificate.validFrom),
      notAfterMs: Date.parse(certificate.validTo),
    };
  } catch (cause) {
    if (cause instanceof OperaError && cause.code === 'wrong-authority') throw cause;
    return malformed('a certificate in it cannot be read', cause);
  }
};

/** Parses a bundle; `wrong-authority` for anything but 1 to 4 authorities of one network. */
export const parseCaBundle = (bytes: Uint8Array): CaBundle => {
  const found: (CaCertificate & { networkId: NetworkId })[] = [];
  let rest = bytes.slice();
  while (rest.length > 0) {
    const length = derSequenceLength(rest) ?? malformed('it is not a row of DER certificates');
    if (length > limits.certificateBytesMax) malformed('a certificate in it is too long');
    if (found.length === bundleCertificatesMax) malformed('it holds too many certificates');
    found.push(parseCaCertificate(rest.slice(0, length)));
    rest = rest.slice(length);
  }
  const [first, ...others] = found;
  if (!first) return malformed('it is empty');
  if (others.some(({ networkId }) => networkId !== first.networkId)) malformed('it mixes networks');
  return { networkId: first.networkId, bytes: bytes.slice(), certificates: [first, ...others] };
};
