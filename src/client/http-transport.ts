// Transport over HTTP/1.1 and TLS 1.3 with both sides' certificates (undici). Every connection is checked against
// what the caller expects and the roster before a byte is sent; TLS sessions are never resumed, because Node skips
// the identity check on a resumed session. Redirects are never followed, compressed answers never asked for.
import { Readable } from 'node:stream';
import type { PeerCertificate } from 'node:tls';
import { buildConnector, type Dispatcher, Pool } from 'undici';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import type { CertificateClaims } from '../identity/certificate.ts';
import { checkPeer, type PeerExpectation } from '../identity/peer-check.ts';
import { isValidMember, type Roster } from '../identity/roster.ts';
import type { KeyHash, NetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { startDeadline } from '../runtime/deadline.ts';
import { decodeError } from '../wire/error-body.ts';
import { decodeFrame, encodeFrame, frameLength, frameMediaType, rosterHeader } from '../wire/frame.ts';
import { type AnswerOf, pathOf, type RequestOf, type RouteName, routeFacts } from '../wire/routes.ts';
import { parseWith } from '../wire/schema.ts';
import { connectionError } from './_connection-error.ts';
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

/** Pings have connections of their own: they ask whether a member lives, and must not wait behind transfers. */
const keyOf = (to: Destination, route: RouteName): string =>
  `${to.address} ${'memberId' in to.expect ? to.expect.memberId : to.expect.role}${route === 'ping' ? ' ping' : ''}`;

type BodyReadable = Dispatcher.ResponseData['body'];

interface Connections {
  readonly pool: Pool;
  /** Members that answered there: more than one behind the address of a service. */
  readonly peers: Set<KeyHash>;
}

export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  /** In order of first use. */
  readonly #connections = new Map<string, Connections>();
  #checkedRoster: Roster | undefined;
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
    const deadline = startDeadline(options.timeoutMs ?? facts.timeoutMs, options.signal);
    try {
      const parts = encodeFrame(request, options.binary);
      const sent = this.#pool(to, route).request({
        method: 'POST',
        path: pathOf(route),
        headers: {
          'content-type': frameMediaType,
          accept: frameMediaType,
          'content-length': String(frameLength(parts)),
        },
        body: bodyOf(parts),
        signal: deadline.signal,
      });
      const response = await orAborted(sent, deadline.signal);
      const bytes = await collect(response.body, Number(response.headers['content-length'] ?? 0));
      if (response.statusCode !== 200) throw decodeError(response.statusCode, bytes);
      return { ...parseAnswer(to, route, bytes), ...parseRosterNumber(response.headers[rosterHeader]) };
    } catch (error) {
      // A timer that fires while the caller gives up is the caller's word, not the other side's slowness.
      if (options.signal?.aborted && !deadline.passed) {
        throw new OperaError('aborted', 'interrupted', { cause: error });
      }
      if (deadline.passed) throw new OperaError('timeout', `${to.address} did not answer in time`, { cause: error });
      if (isOperaError(error)) throw error;
      if (this.#closed) throw new OperaError('not-ready', 'the transport was closed', { cause: error });
      const { credentials, nowMs } = this.#options;
      const mutual = facts.listener === 'mesh';
      throw connectionError(to.address, error, { credentials: credentials(), mutual, nowMs: nowMs() });
    } finally {
      deadline.end();
    }
  }

  /** Calls under way end on their connections; later ones open new ones. Revoked peers are cut. */
  async reconnect(): Promise<void> {
    await this.dropRevoked();
    await this.#forget([...this.#connections.keys()], (pool) => pool.close());
  }

  /** Destroys every connection to members that the roster does not list as valid any more; answers how many. */
  async dropRevoked(): Promise<number> {
    const roster = this.#options.roster();
    this.#checkedRoster = roster;
    if (!roster) return 0;
    const isRevoked = (keyHash: KeyHash): boolean => !isValidMember(roster, keyHash);
    const doomed = [...this.#connections].filter(([, { peers }]) => [...peers].some(isRevoked));
    const members = new Set(doomed.flatMap(([, { peers }]) => [...peers].filter(isRevoked)));
    await this.#forget(
      doomed.map(([key]) => key),
      (pool) => pool.destroy(new OperaError('revoked', 'the other side was revoked')),
    );
    return members.size;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#forget([...this.#connections.keys()], (pool) => pool.destroy());
  }

  async #forget(keys: readonly string[], end: (pool: Pool) => Promise<void>): Promise<void> {
    const pools = keys.flatMap((key) => this.#connections.get(key)?.pool ?? []);
    for (const key of keys) this.#connections.delete(key);
    await Promise.allSettled(pools.map(end));
  }

  #pool(to: Destination, route: RouteName): Pool {
    // A keep-alive connection was checked against the roster of its day.
    if (this.#options.roster() !== this.#checkedRoster) void this.dropRevoked();
    const key = keyOf(to, route);
    const known = this.#connections.get(key);
    if (known) return known.pool;
    const oldest = this.#connections.keys().next();
    if (this.#connections.size >= limits.peersDialledMax && !oldest.done) {
      void this.#forget([oldest.value], (pool) => pool.close());
    }
    const peers = new Set<KeyHash>();
    const pool = new Pool(`https://${to.address}`, {
      connections: limits.connectionsPerPeer,
      pipelining: 1,
      maxHeaderSize: limits.headerBytesMax,
      keepAliveTimeout: limits.keepAliveTimeoutMs / 2,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: this.#connector({ networkId: this.#options.networkId, ...expectationOf(to) }, peers),
    });
    this.#connections.set(key, { pool, peers });
    return pool;
  }

  #connector(expectation: PeerExpectation, peers: Set<KeyHash>): buildConnector.connector {
    const checkServerIdentity = (_host: string, certificate: PeerCertificate): Error | undefined => {
      try {
        const { roster, nowMs, onPeer } = this.#options;
        const claims = checkPeer(certificate.raw, expectation, roster(), nowMs());
        peers.add(claims.keyHash);
        onPeer?.(claims);
        return undefined;
      } catch (error) {
        return error instanceof Error ? error : new OperaError('peer-mismatch');
      }
    };
    return (options, callback) => {
      const credentials = this.#options.credentials();
      const connect = buildConnector({
        ...(credentials ? { key: credentials.key, cert: credentials.certificate } : {}),
        ca: [...(credentials?.authorities ?? this.#options.authorities ?? [])],
        minVersion: 'TLSv1.3',
        allowH2: false,
        maxCachedSessions: 0,
        timeout: limits.connectTimeoutMs,
        checkServerIdentity,
      });
      connect({ ...options, servername: 'opera.invalid' }, callback);
    };
  }
}

/** undici heeds a signal only once it is connected: a machine that stands still would hold a call that was given up. */
const orAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = (): void => reject(toOperaError(signal.reason));
    signal.addEventListener('abort', stop, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
  });

const expectationOf = (to: Destination): Pick<PeerExpectation, 'memberId' | 'roles'> =>
  'memberId' in to.expect ? { memberId: to.expect.memberId } : { roles: [to.expect.role] };

/** Bodies up to this size are joined and written at once; longer ones go in pieces of it, as the socket takes them. */
const pieceBytes = 256 * 1024;

/** A body that is never joined into one more buffer, nor handed to TLS whole: it would be held three times over. */
const bodyOf = (parts: readonly Uint8Array[]): Uint8Array | Readable =>
  frameLength(parts) <= pieceBytes ? Buffer.concat(parts) : Readable.from(piecesOf(parts), { objectMode: true });

function* piecesOf(parts: readonly Uint8Array[]): Generator<Uint8Array, void, void> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += pieceBytes) yield part.subarray(at, at + pieceBytes);
  }
}

/** What is no answer of the route, from a member that proved to be the right one, is its fault, not the call's. */
const parseAnswer = <N extends RouteName>(to: Destination, route: N, bytes: Uint8Array): Answer<N> => {
  try {
    const { message, binary } = decodeFrame(bytes, answerBytesMax);
    return { answer: parseWith(routeFacts(route).answer, message) as AnswerOf<N>, binary };
  } catch (cause) {
    throw new OperaError('unavailable', `${to.address} answered ${route} with what is no answer`, { cause });
  }
};

/** Anything but a plain number counts as nothing said. */
const parseRosterNumber = (header: string | string[] | undefined): Pick<Answer<RouteName>, 'rosterNumber'> =>
  typeof header === 'string' && /^[0-9]{1,19}$/.test(header) ? { rosterNumber: BigInt(header) } : {};

/** Reads a body of at most the longest answer; one that is longer, or says so, ends the connection. */
const collect = async (body: BodyReadable, stated: number): Promise<Uint8Array> => {
  const parts: Uint8Array[] = [];
  let length = stated > answerBytesMax ? stated : 0;
  const refuseLong = (): void => {
    if (length <= answerBytesMax) return;
    body.on('error', () => undefined).destroy();
    throw new OperaError('too-large', `the answer exceeds ${answerBytesMax} bytes`);
  };
  refuseLong();
  for await (const part of body) {
    length += part.length;
    refuseLong();
    parts.push(part);
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
};
