// Transport over HTTP/1.1 and TLS 1.3 with both sides' certificates (undici). Every connection is checked against
// what the caller expects and the roster before a byte is sent; TLS sessions are never resumed, because Node skips
// the identity check on a resumed session. Redirects are never followed, compressed answers never asked for.
import { lookup } from 'node:dns';
import type { PeerCertificate } from 'node:tls';
import { Pool } from 'undici';
import { OperaError, isOperaError } from '../errors/errors.ts';
import type { CertificateClaims } from '../identity/certificate.ts';
import { checkPeer, type PeerExpectation } from '../identity/peer-check.ts';
import type { Roster } from '../identity/roster.ts';
import type { NetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { decodeError } from '../wire/error-body.ts';
import { decodeFrame, encodeFrame, frameMediaType } from '../wire/frame.ts';
import { type AnswerOf, pathOf, type RequestOf, type RouteName, routeFacts } from '../wire/routes.ts';
import { parseWith } from '../wire/schema.ts';
import type { Answer, CallOptions, Destination, Transport } from './transport.ts';

/** What a TLS endpoint of ours shows and trusts. PEM texts. */
export interface TlsCredentials {
  readonly key: string;
  readonly certificate: string;
  readonly authorities: readonly string[];
}

export interface HttpTransportOptions {
  readonly networkId: NetworkId;
  /** Read at each new connection; undefined on the join listener, where the caller has no certificate yet. */
  readonly credentials: () => TlsCredentials | undefined;
  /** Authorities when there are no credentials. */
  readonly authorities?: readonly string[];
  /** The newest roster; undefined only while joining. */
  readonly roster: () => Roster | undefined;
  readonly nowMs: () => number;
  /** Told who answers each new connection, after the check. */
  readonly onPeer?: (claims: CertificateClaims) => void;
}

/** Longest answer: one binary part, one message, and the length field. */
const answerBytesMax = limits.binaryBytesMax + limits.messageBytesMax + 4;

const keyOf = (to: Destination): string =>
  `${to.address} ${'memberId' in to.expect ? to.expect.memberId : to.expect.role}`;

/** The first error of ours in a chain of causes. */
const ownCause = (error: unknown): OperaError | undefined => {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at instanceof OperaError) return at;
  }
  return undefined;
};

const systemCode = (error: unknown): string => {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return 'unknown';
};

const tlsReasons: Readonly<Record<string, string>> = {
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the other side wants a certificate of its network',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'our certificate expired',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the other side is of another network',
  SELF_SIGNED_CERT_IN_CHAIN: 'the other side is of another network',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the other side is of another network',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the other side is of another network',
  CERT_HAS_EXPIRED: 'the certificate of the other side expired',
  CERT_NOT_YET_VALID: 'the certificate of the other side is not valid yet; compare the clocks',
};

const connectionError = (to: Destination, cause: unknown): OperaError => {
  const own = ownCause(cause);
  if (own) return own;
  const code = systemCode(cause);
  const reason = tlsReasons[code];
  if (reason)
    return new OperaError('unauthenticated', `${to.address}: ${reason}`, { cause, details: { reason: code } });
  if (code === 'UND_ERR_ABORTED') return new OperaError('aborted', 'interrupted', { cause });
  if (code.includes('TIMEOUT')) return new OperaError('timeout', `${to.address} did not answer in time`, { cause });
  return new OperaError('unavailable', `${to.address} cannot be reached (${code})`, {
    cause,
    details: { reason: code },
  });
};

export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #pools = new Map<string, Pool>();
  #closed = false;

  constructor(options: HttpTransportOptions) {
    this.#options = options;
  }

  async call<N extends RouteName>(
    to: Destination,
    route: N,
    request: RequestOf<N>,
    options: CallOptions = {},
  ): Promise<Answer<N>> {
    if (this.#closed) throw new OperaError('not-ready', 'the transport is closed');
    const facts = routeFacts(route);
    const timeout = AbortSignal.timeout(options.timeoutMs ?? facts.timeoutMs);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    try {
      const parts = encodeFrame(request, options.binary);
      const response = await this.#pool(to).request({
        method: 'POST',
        path: pathOf(route),
        headers: { 'content-type': frameMediaType, accept: frameMediaType },
        body: parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts),
        signal,
      });
      const bytes = await collect(response.body, Number(response.headers['content-length'] ?? 0));
      if (response.statusCode !== 200) throw decodeError(response.statusCode, bytes);
      const frame = decodeFrame(bytes, answerBytesMax);
      return { answer: parseWith(facts.answer, frame.message) as AnswerOf<N>, binary: frame.binary };
    } catch (error) {
      if (options.signal?.aborted) throw new OperaError('aborted', 'interrupted', { cause: error });
      if (timeout.aborted) throw new OperaError('timeout', `${to.address} did not answer in time`, { cause: error });
      if (isOperaError(error)) throw error;
      throw connectionError(to, error);
    }
  }

  /** Closes connections to members the roster does not list any more, and opens all later ones with new credentials. */
  async reconnect(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.allSettled(pools.map((pool) => pool.close()));
  }

  /** Destroys every connection to `address` at once. */
  async drop(address: string): Promise<void> {
    const doomed = [...this.#pools].filter(([key]) => key.startsWith(`${address} `));
    for (const [key] of doomed) this.#pools.delete(key);
    await Promise.allSettled(doomed.map(([, pool]) => pool.destroy()));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.allSettled(pools.map((pool) => pool.destroy()));
  }

  #pool(to: Destination): Pool {
    const key = keyOf(to);
    const known = this.#pools.get(key);
    if (known) return known;
    const credentials = this.#options.credentials();
    const expectation: PeerExpectation = { networkId: this.#options.networkId, ...expectationOf(to) };
    const pool = new Pool(`https://${to.address}`, {
      connections: limits.connectionsPerPeer,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: limits.headerBytesMax,
      keepAliveTimeout: limits.keepAliveTimeoutMs / 2,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        ...(credentials ? { key: credentials.key, cert: credentials.certificate } : {}),
        ca: [...(credentials?.authorities ?? this.#options.authorities ?? [])],
        minVersion: 'TLSv1.3',
        servername: 'opera.invalid',
        maxCachedSessions: 0,
        timeout: limits.connectTimeoutMs,
        lookup,
        checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
          try {
            const { roster, nowMs, onPeer } = this.#options;
            onPeer?.(checkPeer(certificate.raw, expectation, roster(), nowMs()));
            return undefined;
          } catch (error) {
            return error instanceof Error ? error : new OperaError('peer-mismatch');
          }
        },
      },
    });
    this.#pools.set(key, pool);
    return pool;
  }
}

const expectationOf = (to: Destination): Pick<PeerExpectation, 'memberId' | 'roles'> =>
  'memberId' in to.expect ? { memberId: to.expect.memberId } : { roles: [to.expect.role] };

/** Reads a body of at most the longest answer; a length stated in advance saves copies, a lie about it is an error. */
const collect = async (body: AsyncIterable<Uint8Array>, stated: number): Promise<Uint8Array> => {
  if (stated > answerBytesMax) throw new OperaError('too-large', 'the answer is too large');
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    if (length > answerBytesMax) throw new OperaError('too-large', 'the answer is too large');
    parts.push(part);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
};
