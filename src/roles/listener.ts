// One HTTPS listener of a role: h3 routes over Node's own server, TLS 1.3, HTTP/1.1.
// Default deny: exact path, POST, the role table, then size limits, then the message schema; only then a handler.
// What is held is bounded until the answer left: requests, bytes, time. Bodies are read from the raw request (web
// streams cost half the speed). It knows no role's business.
import { constants } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket as RawSocket } from 'node:net';
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
import { RateLimiter } from '../runtime/rate-limiter.ts';
import { encodeError } from '../wire/error-body.ts';
import { decodeFrame, encodeFrame, frameLength, frameMediaType, rosterHeader } from '../wire/frame.ts';
import { type ListenerKind, pathOf, type RouteName, routeFacts, routesOf } from '../wire/routes.ts';
import { parseWith } from '../wire/schema.ts';
import { checkRawRequest, parseErrorAnswer, probePaths } from './_raw-request.ts';
import { BodyBudget, readBody } from './_request-body.ts';
import { sendParts } from './_send-parts.ts';
import type { RoleMetrics } from './metrics.ts';

export type ListenerTimes = Record<
  'headersTimeoutMs' | 'requestTimeoutMs' | 'keepAliveTimeoutMs' | 'connectTimeoutMs' | 'answerTimeoutMs' | 'lingerMs',
  number
>;

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
  /** Times that tests of slow and silent clients shorten; the ones of model/limits.ts when left out. */
  readonly times?: Partial<ListenerTimes>;
  readonly metrics: RoleMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

type Endpoint = (request: IncomingMessage, response: ServerResponse) => unknown;
// h3 types allow for HTTP/2 requests, which this server never speaks.
const endpoint = (handler: Endpoint) =>
  fromNodeHandler((request, response) => handler(request as never, response as never));

interface Socket extends TLSSocket {
  /** The caller, as judged under `roster`; judged again when another one is held. */
  operaPeer?: { readonly peer: Peer; readonly notAfterMs: number; readonly roster: Roster };
  /** Requests that were not answered whole yet: more than one only when the client pipelines. */
  operaOpen?: number;
  /** Answers under way whose first bytes may have left. */
  operaAnswers?: number;
  /** The answer under way is the last: nothing that follows on this socket is served. */
  operaLast?: boolean;
}

export class Listener {
  readonly #options: ListenerOptions;
  readonly #times: ListenerTimes;
  readonly #server: Server;
  readonly #app: Endpoint;
  readonly #sockets = new Set<Socket>();
  /** The TCP side of every connection, handshaken or not. */
  readonly #connections = new Set<RawSocket>();
  readonly #paths = new Set<string>();
  readonly #rates: RateLimiter;
  readonly #budget = new BodyBudget();
  #inFlight = 0;
  #closing = false;
  #drained: (() => void) | undefined;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#times = { ...limits, ...options.times };
    this.#rates = new RateLimiter(options.clock, limits.joinRequestsPerSecond, limits.joinRequestsPerSecond * 10);
    this.#app = this.#createApp();
    const mutual = options.kind === 'mesh';
    this.#server = createServer(
      {
        ...this.#secureContext(),
        requestCert: mutual,
        rejectUnauthorized: mutual,
        maxHeaderSize: limits.headerBytesMax,
        // Checked with everything else, so that the refusal is one of ours.
        requireHostHeader: false,
        headersTimeout: this.#times.headersTimeoutMs,
        requestTimeout: this.#times.requestTimeoutMs,
        keepAliveTimeout: this.#times.keepAliveTimeoutMs,
        handshakeTimeout: this.#times.connectTimeoutMs,
        connectionsCheckingInterval: this.#times.headersTimeoutMs / 2,
        ALPNProtocols: ['http/1.1'],
      },
      (request, response) => this.#receive(request, response),
    );
    this.#server.maxConnections = limits.connectionsMax;
    this.#watchSockets();
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
    // A failed accept (no descriptor left) must not end the process.
    listener.#server.on('error', (error) => options.log.warn('listener-failed', errorFacts(error)));
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections open now, those still in their handshake included. */
  get connections(): number {
    return this.#connections.size;
  }

  /** New connections use the new certificate; those that are open go on. */
  updateCredentials(): void {
    this.#server.setSecureContext(this.#secureContext());
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
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#options.clock.after(drainMs, resolve);
        this.#drained = () => {
          cancel();
          resolve();
        };
      });
    }
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  #secureContext() {
    const { key, certificate, authorities } = this.#options.credentials();
    // Without tickets no session is resumed: each connection shows its certificate.
    const secureOptions = constants.SSL_OP_NO_TICKET;
    return { key, cert: certificate, ca: [...authorities], minVersion: 'TLSv1.3' as const, secureOptions };
  }

  #watchSockets(): void {
    const { metrics, log } = this.#options;
    this.#server.on('connection', (connection: RawSocket) => {
      this.#connections.add(connection);
      connection.once('close', () => this.#connections.delete(connection));
    });
    this.#server.on('secureConnection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      metrics.handshakeFailed();
      log.debug('handshake-refused', { reason: error.code ?? 'unknown' });
      socket.destroy();
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      // Behind the first bytes of an answer another status line would be taken for its body.
      if (!socket.writable || socket.operaAnswers) return void socket.destroy();
      socket.write(parseErrorAnswer(error.code));
      socket.destroySoon();
    });
  }

  #createApp(): Endpoint {
    const { kind, role, handlers } = this.#options;
    const app = new H3({ silent: true });
    for (const name of routesOf(role, kind)) {
      const handler = handlers[name];
      if (!handler) continue;
      this.#paths.add(pathOf(name));
      app.post(
        pathOf(name),
        endpoint((request, response) => this.#serve(name, handler as never, request, response)),
      );
    }
    for (const path of kind === 'mesh' ? probePaths : []) {
      app.get(
        path,
        endpoint((request, response) => this.#probe(path, request, response)),
      );
    }
    return toNodeHandler(app) as Endpoint;
  }

  /** The raw request decides, before the router sees it: h3 resolves dots and escapes in paths and believes Host. */
  #receive(request: IncomingMessage, response: ServerResponse): void {
    const socket = request.socket as Socket;
    // Errors of a socket that went away; without a listener they would end the process.
    response.on('error', () => undefined);
    socket.operaOpen = (socket.operaOpen ?? 0) + 1;
    response.once('close', () => {
      socket.operaOpen = (socket.operaOpen ?? 1) - 1;
    });
    if (socket.operaLast || socket.operaOpen > limits.requestsPipelinedMax) return void socket.destroy();
    const problem = checkRawRequest(request, this.#paths, this.#options.kind === 'mesh');
    if (problem) return this.#refuse(request, response, problem, this.#requestId());
    this.#app(request, response);
  }

  #requestId(): string {
    return bytesToHex(this.#options.random.bytes(8));
  }

  /** The caller by certificate and roster; judged anew when the roster changed, which a fork does without a number. */
  #peer(request: IncomingMessage): Peer {
    const socket = request.socket as Socket;
    const { networkId, clock } = this.#options;
    const roster = this.#options.roster();
    const known = socket.operaPeer;
    if (known?.roster === roster && clock.nowMs() < known.notAfterMs) return known.peer;
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) throw new OperaError('unauthenticated');
    const peer = checkPeer(certificate.raw, { networkId }, roster, clock.nowMs());
    socket.operaPeer = { peer, notAfterMs: peer.notAfterMs, roster };
    return peer;
  }

  /** Who may come in, before a byte of the body is read; undefined on the join listener. */
  #admit(name: RouteName, request: IncomingMessage): Peer | undefined {
    const { kind, admit } = this.#options;
    if (this.#closing) throw new OperaError('not-ready', 'the role is stopping');
    if (kind === 'join' && !this.#rates.take(request.socket.remoteAddress ?? '')) throw new OperaError('rate-limited');
    const peer = kind === 'mesh' ? this.#peer(request) : undefined;
    const { allow } = routeFacts(name);
    if (allow !== 'anyone' && (!peer || !allow.includes(peer.role)))
      throw new OperaError('forbidden', `that is for: ${allow.join(', ')}; not for: ${peer?.role ?? 'strangers'}`);
    if (peer) admit?.(peer);
    const most = limits.requestsInFlightMax * (kind === 'join' ? 1 : 4);
    if (this.#inFlight >= most) throw new OperaError('overloaded');
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
    try {
      const peer = this.#admit(name, request);
      const held = this.#hold(response);
      const facts = routeFacts(name);
      const bytesMax = 4 + facts.messageBytesMax + facts.binaryBytesMax;
      const body = await readBody(request, bytesMax, this.#budget, held);
      const { message, binary } = decodeFrame(body, facts.messageBytesMax);
      if (binary.length > facts.binaryBytesMax) throw new OperaError('too-large');
      const reply = await handler({
        peer,
        request: parseWith(facts.request, message) as never,
        binary,
        signal: held.gone,
      });
      if (response.destroyed) throw new OperaError('aborted', 'the caller is gone');
      await this.#answer(response, encodeFrame(reply.answer, reply.binary), held);
      ended('ok');
    } catch (error) {
      ended(toOperaError(error).code);
      this.#refuse(request, response, error, requestId);
    }
  }

  /** Counts the request until its answer left or its caller is gone. */
  #hold(response: ServerResponse): { bytes: number; readonly gone: AbortSignal } {
    const gone = new AbortController();
    const held = { bytes: 0, gone: gone.signal };
    this.#inFlight++;
    response.once('close', () => {
      gone.abort(new OperaError('aborted', 'the caller is gone'));
      this.#budget.give(held.bytes);
      this.#inFlight--;
      if (this.#inFlight === 0) this.#drained?.();
    });
    return held;
  }

  #answer(response: ServerResponse, parts: readonly Uint8Array[], held: { bytes: number }): Promise<void> {
    const length = frameLength(parts);
    // The role holds these bytes already; counting them keeps further requests out until they left.
    if (!this.#budget.take(length)) throw new OperaError('overloaded', 'too many answers are held');
    held.bytes += length;
    this.#begin(response);
    const { kind, roster } = this.#options;
    response.writeHead(200, {
      'content-type': frameMediaType,
      'content-length': length,
      ...(kind === 'mesh' ? { [rosterHeader]: String(roster().number) } : {}),
    });
    return sendParts(response, parts);
  }

  /** Before the first byte of any answer: marks the socket and bounds how long the answer may take to leave. */
  #begin(response: ServerResponse): void {
    const socket = response.socket as Socket | null;
    if (!socket) return;
    if (this.#closing) {
      socket.operaLast = true;
      response.setHeader('connection', 'close');
    }
    socket.operaAnswers = (socket.operaAnswers ?? 0) + 1;
    const cancel = this.#options.clock.after(this.#times.answerTimeoutMs, () => socket.destroy());
    response.once('close', () => {
      socket.operaAnswers = (socket.operaAnswers ?? 1) - 1;
      cancel();
    });
  }

  #refuse(request: IncomingMessage, response: ServerResponse, thrown: unknown, requestId: string): void {
    const error = toOperaError(thrown);
    if (error.code === 'internal') {
      this.#options.log.error('request-failed', { ...errorFacts(error.cause ?? error), requestId, code: error.code });
    } else this.#options.log.debug('request-refused', { requestId, code: error.code });
    if (response.headersSent || response.destroyed) return void response.destroy();
    this.#begin(response);
    const { status, body } = encodeError(error, requestId);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    // Node throws away what is left of a body; the connection is worth that only when little is left.
    const stated = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
    if (request.complete || stated <= limits.messageBytesSmall) {
      request.resume();
      return void response.writeHead(status, headers).end(body);
    }
    // This answer is the last one. What still comes is thrown away for a moment, because closing on unread bytes resets
    // the connection and loses the answer.
    (request.socket as Socket).operaLast = true;
    response.writeHead(status, { ...headers, connection: 'close' }).write(body);
    request.resume();
    const cancel = this.#options.clock.after(this.#times.lingerMs, () => response.end());
    request.once('end', () => response.end());
    response.once('close', cancel);
  }

  async #probe(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#peer(request);
      const { metrics, notReady } = this.#options;
      const reason = path === '/readyz' ? notReady() : undefined;
      const text = path === '/metrics' ? await metrics.text() : `${reason ?? 'ok'}\n`;
      this.#begin(response);
      response.writeHead(reason ? 503 : 200, {
        'content-type': 'text/plain; version=0.0.4; charset=utf-8',
        'content-length': Buffer.byteLength(text),
      });
      response.end(text);
    } catch (error) {
      this.#refuse(request, response, error, this.#requestId());
    }
  }
}
