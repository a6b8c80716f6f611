// A network in memory: calls go to handlers by address, through the same encoders, schemas, role table and error
// bodies as over HTTP, so that a message which would not survive the wire does not survive a test either.
// Both sides check each other against their own roster, as TLS and the listener do. `fault` breaks calls on demand.
import type {
  Answer,
  CallOptions,
  Destination,
  Handler,
  Handlers,
  Peer,
  Transport,
} from '../../src/client/transport.ts';
import { OperaError } from '../../src/errors/errors.ts';
import { isValidMember, type Roster } from '../../src/identity/roster.ts';
import { decodeError, encodeError } from '../../src/wire/error-body.ts';
import { decodeFrame, encodeFrame } from '../../src/wire/frame.ts';
import {
  type AnswerOf,
  type ListenerKind,
  type RequestOf,
  type RouteName,
  routeFacts,
  routesOf,
} from '../../src/wire/routes.ts';
import { parseWith } from '../../src/wire/schema.ts';

export interface MemoryListener {
  readonly kind: ListenerKind;
  readonly peer: Peer;
  readonly roster: () => Roster;
  readonly handlers: Handlers;
  /** As the listener's: throws for peers that may not be served now. */
  readonly admit?: (peer: Peer) => void;
}

export interface MemoryCaller {
  /** Undefined on the join listener. */
  readonly peer: Peer | undefined;
  readonly roster: () => Roster | undefined;
  /** Told who was dialled, as a joiner sees it in the certificate. */
  readonly onServer?: (peer: Peer) => void;
}

export interface MemoryCall {
  readonly from: Peer | undefined;
  readonly to: Destination;
  readonly route: RouteName;
  readonly request: unknown;
}

export class MemoryNetwork {
  readonly #listeners = new Map<string, MemoryListener>();
  /** Every call that was delivered, for tests that look at who asked what. */
  readonly calls: MemoryCall[] = [];
  /** Runs before delivery: throw to break a call, wait to slow it down. */
  fault: (call: MemoryCall) => Promise<void> | void = () => undefined;
  /** Runs after the handler succeeded: throw to lose the answer of a request that was carried out. */
  answerFault: (call: MemoryCall) => Promise<void> | void = () => undefined;

  listen(address: string, listener: MemoryListener): void {
    this.#listeners.set(address, listener);
  }

  /** Nobody answers there any more. */
  silence(address: string): void {
    this.#listeners.delete(address);
  }

  transport(caller: MemoryCaller): Transport {
    return {
      call: (to, route, request, options) => this.#call(caller, to, route, request, options),
      close: async () => undefined,
    };
  }

  async #call<N extends RouteName>(
    caller: MemoryCaller,
    to: Destination,
    route: N,
    request: RequestOf<N>,
    options: CallOptions = {},
  ): Promise<Answer<N>> {
    if (options.signal?.aborted) throw new OperaError('aborted', 'interrupted');
    const call = { from: caller.peer, to, route, request };
    await this.fault(call);
    const listener = this.#listeners.get(to.address);
    if (!listener) {
      const details = { reason: 'ECONNREFUSED' };
      throw new OperaError('unavailable', `${to.address} cannot be reached (ECONNREFUSED)`, { details });
    }
    checkServer(caller, to, listener);
    this.calls.push(call);
    caller.onServer?.(listener.peer);
    const sent = Buffer.concat(encodeFrame(request, options.binary));
    const received = await serve(listener, caller.peer, route, sent, options.signal);
    await this.answerFault(call);
    if (received.status !== 200) throw decodeError(received.status, received.body);
    const frame = decodeFrame(received.body, Number.MAX_SAFE_INTEGER);
    const told = listener.kind === 'mesh' ? { rosterNumber: listener.roster().number } : {};
    return { answer: parseWith(routeFacts(route).answer, frame.message) as AnswerOf<N>, binary: frame.binary, ...told };
  }
}

/** What checkServerIdentity does. */
const checkServer = (caller: MemoryCaller, to: Destination, { peer }: MemoryListener): void => {
  const roster = caller.roster();
  if (roster && !isValidMember(roster, peer.keyHash)) {
    throw new OperaError(roster.byKeyHash.has(peer.keyHash) ? 'revoked' : 'unauthenticated', 'not in the roster');
  }
  const expected = 'memberId' in to.expect ? to.expect.memberId === peer.memberId : to.expect.role === peer.role;
  if (!expected) throw new OperaError('peer-mismatch', 'another member answers there');
};

/** What the listener does: role table, limits, schema, handler, error body. */
const serve = async (
  listener: MemoryListener,
  caller: Peer | undefined,
  route: RouteName,
  sent: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<{ readonly status: number; readonly body: Uint8Array }> => {
  const requestId = '0011223344556677';
  try {
    const facts = routeFacts(route);
    const handler = listener.handlers[route] as Handler<RouteName> | undefined;
    if (!handler || !routesOf(listener.peer.role, listener.kind).includes(route)) throw new OperaError('not-found');
    const peer = listener.kind === 'mesh' ? caller : undefined;
    if (listener.kind === 'mesh') checkCaller(listener, peer);
    if (facts.allow !== 'anyone' && (!peer || !facts.allow.includes(peer.role))) throw new OperaError('forbidden');
    if (peer) listener.admit?.(peer);
    const frame = decodeFrame(sent, facts.messageBytesMax);
    if (frame.binary.length > facts.binaryBytesMax) throw new OperaError('too-large');
    const reply = await handler({
      peer,
      request: parseWith(facts.request, frame.message) as never,
      binary: frame.binary,
      signal: signal ?? new AbortController().signal,
    });
    return { status: 200, body: Buffer.concat(encodeFrame(reply.answer, reply.binary)) };
  } catch (error) {
    const { status, body } = encodeError(error, requestId);
    return { status, body: Buffer.from(body) };
  }
};

const checkCaller = (listener: MemoryListener, peer: Peer | undefined): void => {
  if (!peer) throw new OperaError('unauthenticated');
  const member = listener.roster().byKeyHash.get(peer.keyHash);
  if (!member) throw new OperaError('unauthenticated', `${peer.memberId} is not in the roster`);
  if (member.state === 'revoked') throw new OperaError('revoked');
  if (member.role !== peer.role) throw new OperaError('peer-mismatch');
};
