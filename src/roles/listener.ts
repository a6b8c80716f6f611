// One HTTPS listener of a role: h3 routes over Node's own server, TLS 1.3, HTTP/1.1.
// Default deny: exact path, POST, the role table, then size limits, then the message schema; only then a handler.
// Bodies are read from the raw request (web streams cost half the speed). It knows no role's business.
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { fromNodeHandler, H3, toNodeHandler } from 'h3';
import type { TlsCredentials } from '../client/http-transport.ts';
import type { Handler, Handlers, Peer } from '../client/transport.ts';
import { OperaError, toOperaError } from '../errors/errors.ts';
import { checkPeer } from '../identity/peer-check.ts';
import type { Roster } from '../identity/roster.ts';
import { bytesToHex, type NetworkId } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { Role } from '../model/roles.ts';
import type { Clock } from '../runtime/clock.ts';
import { errorFacts, type Logger } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import { encodeError } from '../wire/error-body.ts';
import { decodeFrame, encodeFrame, frameLength, frameMediaType } from '../wire/frame.ts';
import { type ListenerKind, pathOf, type RouteName, routeFacts, routesOf } from '../wire/routes.ts';
import { parseWith } from '../wire/schema.ts';
import { RateLimiter } from '../runtime/rate-limiter.ts';
import type { RoleMetrics } from './metrics.ts';

export interface ListenerOptions {
  readonly kind: ListenerKind;
  readonly role: Role;
  readonly networkId: NetworkId;
  /** `host:port`; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly credentials: () => TlsCredentials;
  readonly roster: () => Roster;
  readonly handlers: Handlers;
  /** Undefined when the role can do its work, otherwise why not, in a few words. */
  readonly notReady: () => string | undefined;
  /** Throws `isolated` for peers that may not be served now. */
  readonly admit?: (peer: Peer) => void;
  readonly metrics: RoleMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

type Endpoint = (request: IncomingMessage, response: ServerResponse) => unknown;
type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => unknown;
// h3 types allow for HTTP/2 requests, which this server never speaks; it tells the two kinds apart by arity.
const endpoint = (handler: Endpoint) =>
  fromNodeHandler((request, response) => handler(request as never, response as never));
const middleware = (handler: Middleware) =>
  fromNodeHandler((request, response, next) => handler(request as never, response as never, next as () => void));

interface Socket extends TLSSocket {
  operaPeer?: { readonly peer: Peer; readonly rosterNumber: bigint };
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #paths = new Map<string, RouteName>();
  readonly #rates: RateLimiter;
  #inFlight = 0;
  #closing = false;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#rates = new RateLimiter(options.clock, limits.joinRequestsPerSecond, limits.joinRequestsPerSecond * 10);
    const { key, certificate, authorities } = options.credentials();
    const mutual = options.kind === 'mesh';
    this.#server = createServer(
      {
        key,
        cert: certificate,
        ca: [...authorities],
        minVersion: 'TLSv1.3',
        requestCert: mutual,
        rejectUnauthorized: mutual,
        maxHeaderSize: limits.headerBytesMax,
        headersTimeout: limits.headersTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        handshakeTimeout: limits.connectTimeoutMs,
        connectionsCheckingInterval: limits.headersTimeoutMs / 2,
        ALPNProtocols: ['http/1.1'],
      },
      toNodeHandler(this.#app()),
    );
    this.#server.maxConnections = limits.connectionsMax;
    this.#server.on('secureConnection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      options.metrics.handshakeFailed();
      options.log.debug('handshake-refused', { reason: error.code ?? 'unknown' });
      socket.destroy();
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const status =
        error.code === 'HPE_HEADER_OVERFLOW'
          ? '431 Request Header Fields Too Large'
          : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
            ? '408 Request Timeout'
            : '400 Bad Request';
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      else socket.destroy();
    });
  }

  /** Listens; rejects with `config` when the address is taken or not ours. */
  static async start(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    const { host, port } = options.listen;
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const reason = cause.code === 'EADDRINUSE' ? 'the address is in use' : (cause.code ?? 'failed');
        reject(
          new OperaError('config', `cannot listen on ${host}:${port}: ${reason}`, {
            cause,
            hint: 'Choose another address with --listen.',
          }),
        );
      });
      listener.#server.listen(port, host, resolve);
    });
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** New connections use the new certificate; those that are open go on. */
  updateCredentials(): void {
    const { key, certificate, authorities } = this.#options.credentials();
    this.#server.setSecureContext({ key, cert: certificate, ca: [...authorities], minVersion: 'TLSv1.3' });
  }

  /** Destroys the sockets of members that the roster does not list as valid any more; answers how many. */
  dropRevoked(): number {
    let dropped = 0;
    for (const socket of this.#sockets) {
      if (!socket.operaPeer) continue;
      const member = this.#options.roster().byKeyHash.get(socket.operaPeer.peer.keyHash);
      if (member?.state === 'valid') continue;
      socket.destroy();
      dropped++;
    }
    return dropped;
  }

  /** Takes no new connection, lets requests end for up to `drainMs`, then destroys what is left. */
  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const cancel = this.#options.clock.after(drainMs, () => this.#server.closeAllConnections());
    await closed;
    cancel();
  }

  #app(): H3 {
    const { kind, role, handlers } = this.#options;
    const app = new H3({ silent: true });
    // The raw path decides: what the router would normalise or decode is refused before it sees it.
    app.use(
      middleware((request, response, next) => {
        const problem = this.#checkRaw(request);
        if (problem) return this.#refuse(request, response, problem, this.#requestId());
        next();
      }),
    );
    for (const name of routesOf(role, kind)) {
      const handler = handlers[name];
      if (!handler) continue;
      this.#paths.set(pathOf(name), name);
      app.post(
        pathOf(name),
        endpoint((request, response) => this.#serve(name, handler as never, request, response)),
      );
    }
    if (kind === 'mesh') {
      for (const path of ['/livez', '/readyz', '/metrics']) {
        app.get(
          path,
          endpoint((request, response) => this.#probe(path, request, response)),
        );
      }
    }
    return app;
  }

  #checkRaw(request: IncomingMessage): OperaError | undefined {
    const { method, url = '', rawHeaders } = request;
    const hosts = rawHeaders.filter((_, at) => at % 2 === 0 && rawHeaders[at]?.toLowerCase() === 'host').length;
    if (hosts !== 1) return new OperaError('bad-request', 'one Host header is needed');
    if (!url.startsWith('/')) return new OperaError('bad-request', 'the request target must be a path');
    if (this.#options.kind === 'mesh' && ['/livez', '/readyz', '/metrics'].includes(url)) {
      return method === 'GET' ? undefined : new OperaError('method-not-allowed');
    }
    if (!this.#paths.has(url)) return new OperaError('not-found', 'no such route');
    if (method !== 'POST') return new OperaError('method-not-allowed');
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') return new OperaError('unsupported-encoding');
    if (request.headers['content-type'] !== frameMediaType) {
      return new OperaError('unsupported-encoding', `the content type must be ${frameMediaType}`);
    }
    return undefined;
  }

  #requestId(): string {
    return bytesToHex(this.#options.random.bytes(8));
  }

  /** The caller by certificate and roster; checked anew whenever the roster changed. */
  #peer(request: IncomingMessage): Peer {
    const socket = request.socket as Socket;
    const roster = this.#options.roster();
    if (socket.operaPeer?.rosterNumber === roster.number) return socket.operaPeer.peer;
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) throw new OperaError('unauthenticated');
    const { networkId, clock } = this.#options;
    const peer = checkPeer(certificate.raw, { networkId }, roster, clock.nowMs());
    socket.operaPeer = { peer, rosterNumber: roster.number };
    return peer;
  }

  async #serve(
    name: RouteName,
    handler: Handler<RouteName>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const requestId = this.#requestId();
    const ended = this.#options.metrics.begin(name);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    let counted = false;
    try {
      const facts = routeFacts(name);
      const remoteAddress = request.socket.remoteAddress ?? '';
      if (this.#closing) throw new OperaError('not-ready', 'the role is stopping');
      if (this.#options.kind === 'join' && !this.#rates.take(remoteAddress)) throw new OperaError('rate-limited');
      const peer = this.#options.kind === 'mesh' ? this.#peer(request) : undefined;
      if (facts.allow !== 'anyone' && (!peer || !facts.allow.includes(peer.role))) throw new OperaError('forbidden');
      if (peer) this.#options.admit?.(peer);
      if (this.#inFlight >= limits.requestsInFlightMax * (this.#options.kind === 'join' ? 1 : 4)) {
        throw new OperaError('overloaded');
      }
      this.#inFlight++;
      counted = true;
      const body = await readBody(request, 4 + facts.messageBytesMax + facts.binaryBytesMax);
      const frame = decodeFrame(body, facts.messageBytesMax);
      if (frame.binary.length > facts.binaryBytesMax) throw new OperaError('too-large');
      const message = parseWith(facts.request, frame.message) as never;
      const { binary } = frame;
      const reply = await handler({ peer, remoteAddress, request: message, binary, signal: gone.signal, requestId });
      const parts = encodeFrame(reply.answer, reply.binary);
      response.writeHead(200, { 'content-type': frameMediaType, 'content-length': frameLength(parts) });
      for (const part of parts) response.write(part);
      response.end();
      ended('ok');
    } catch (error) {
      ended(toOperaError(error).code);
      this.#refuse(request, response, error, requestId);
    } finally {
      if (counted) this.#inFlight--;
    }
  }

  #refuse(request: IncomingMessage, response: ServerResponse, thrown: unknown, requestId: string): void {
    const error = toOperaError(thrown);
    const facts = { requestId, code: error.code };
    if (error.code === 'internal')
      this.#options.log.error('request-failed', { ...facts, ...errorFacts(error.cause ?? error) });
    else this.#options.log.debug('request-refused', facts);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const { status, body } = encodeError(error, requestId);
    // A body that was not read to its end would be taken for the next request on this socket.
    const unread = !request.complete;
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(unread ? { connection: 'close' } : {}),
    });
    response.end(body);
    if (unread) request.resume();
  }

  async #probe(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#peer(request);
      if (path === '/metrics') {
        const text = await this.#options.metrics.text();
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
        return;
      }
      const reason = path === '/readyz' ? this.#options.notReady() : undefined;
      response.writeHead(reason ? 503 : 200, { 'content-type': 'text/plain' }).end(`${reason ?? 'ok'}\n`);
    } catch (error) {
      this.#refuse(request, response, error, this.#requestId());
    }
  }
}

/** The whole body, never more than `bytesMax`: a stated length is checked first, an unstated one while it comes. */
const readBody = (request: IncomingMessage, bytesMax: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const stated = request.headers['content-length'];
    if (stated !== undefined && Number(stated) > bytesMax) {
      reject(new OperaError('too-large', `the request exceeds ${bytesMax} bytes`));
      return;
    }
    const parts: Buffer[] = [];
    let length = 0;
    request.on('data', (part: Buffer) => {
      length += part.length;
      if (length > bytesMax) {
        request.pause();
        request.removeAllListeners('data');
        reject(new OperaError('too-large', `the request exceeds ${bytesMax} bytes`));
        return;
      }
      parts.push(part);
    });
    request.once('end', () => resolve(parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length)));
    request.once('error', (cause) => reject(new OperaError('aborted', 'the request was cut off', { cause })));
    request.once('close', () => reject(new OperaError('aborted', 'the request was cut off')));
  });
