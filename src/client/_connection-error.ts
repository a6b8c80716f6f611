// Why a connection failed, in words a person can act on. TLS libraries say it in codes, and a server that refuses our
// certificate mostly just hangs up: then our own certificate is looked at here, because the other side cannot tell.
import { X509Certificate } from 'node:crypto';
import { OperaError } from '../errors/errors.ts';

/** The chain of causes, outermost first. */
const causes = function* (error: unknown): Generator<Error> {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) yield at;
};

const systemCode = (error: unknown): string => {
  for (const at of causes(error)) if ('code' in at && typeof at.code === 'string') return at.code;
  return 'unknown';
};

const foreign = 'the other side is of another network';

const tlsReasons: Readonly<Record<string, string>> = {
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the other side wants a certificate of its network',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'our certificate expired',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: foreign,
  DEPTH_ZERO_SELF_SIGNED_CERT: foreign,
  SELF_SIGNED_CERT_IN_CHAIN: foreign,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: foreign,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: foreign,
  UNABLE_TO_GET_ISSUER_CERT: foreign,
  CERT_SIGNATURE_FAILURE: foreign,
  INVALID_PURPOSE: 'the certificate of the other side is not for serving',
  CERT_HAS_EXPIRED: 'the certificate of the other side expired',
  CERT_NOT_YET_VALID: 'the certificate of the other side is not valid yet; compare the clocks',
};

/** id-kp-clientAuth, RFC 5280 section 4.2.1.12. */
const clientUsage = '1.3.6.1.5.5.7.3.2';

/** What a hang-up looks like, before or after our first byte. */
const hangUps: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'ECONNABORTED']);

export interface OwnSide {
  /** PEM texts; undefined when no certificate was shown. */
  readonly credentials: { readonly certificate: string; readonly authorities: readonly string[] } | undefined;
  /** True where the other side asks for a certificate: everywhere but on join listeners. */
  readonly mutual: boolean;
  readonly nowMs: number;
}

/** What is wrong with our own certificate, if anything. */
const ownProblem = ({ credentials, mutual, nowMs }: OwnSide): string | undefined => {
  if (!credentials) return mutual ? 'the other side wants a certificate of its network' : undefined;
  try {
    const certificate = new X509Certificate(credentials.certificate);
    if (nowMs >= Date.parse(certificate.validTo)) return 'our certificate expired; it is renewed by key at any age';
    if (nowMs < Date.parse(certificate.validFrom)) return 'our certificate is not valid yet; compare the clocks';
    if (!certificate.keyUsage?.includes(clientUsage)) return 'our certificate is not for dialling';
    const issued = credentials.authorities.some((text) => certificate.verify(new X509Certificate(text).publicKey));
    return issued ? undefined : 'our certificate is of another network';
  } catch {
    return 'our certificate cannot be read';
  }
};

/** Any failure of a call to `address` as one of ours: its own error, `unauthenticated`, `timeout` or `unavailable`. */
export const connectionError = (address: string, cause: unknown, own: OwnSide): OperaError => {
  for (const at of causes(cause)) if (at instanceof OperaError) return at;
  const code = systemCode(cause);
  const reason = tlsReasons[code] ?? (hangUps.has(code) ? ownProblem(own) : undefined);
  const details = { reason: code };
  if (reason) return new OperaError('unauthenticated', `${address}: ${reason}`, { cause, details });
  if (code.includes('TIMEOUT') || code === 'ETIMEDOUT') {
    return new OperaError('timeout', `${address} did not answer in time`, { cause });
  }
  return new OperaError('unavailable', `${address} cannot be reached (${code})`, { cause, details });
};
