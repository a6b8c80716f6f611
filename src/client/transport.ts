// The seam of the network: typed calls of routes, and the handlers that answer them. Flows know only this.
// The real transport is HTTP over mutual TLS (http-transport.ts, roles/listener.ts); the simulator delivers calls to
// handlers in memory. A call states whom it expects: another member at that address is an error, not a surprise.
import type { KeyHash, MemberId } from '../model/ids.ts';
import type { Role } from '../model/roles.ts';
import type { AnswerOf, RequestOf, RouteName } from '../wire/routes.ts';

export interface Destination {
  /** `ip:port` or `host:port`. */
  readonly address: string;
  /** Whom the caller expects there: a member, or any valid member of a role (gateway and master addresses). */
  readonly expect: { readonly memberId: MemberId } | { readonly role: Role };
}

export interface CallOptions {
  /** Parts of the request's binary part, sent one after the other; not changed, free again when the call ends. */
  readonly binary?: readonly Uint8Array[];
  readonly signal?: AbortSignal;
  /** Whole call, connecting included; the route's default when absent. */
  readonly timeoutMs?: number;
}

export interface Answer<N extends RouteName> {
  readonly answer: AnswerOf<N>;
  /** Binary part of the answer; owned by the caller. */
  readonly binary: Uint8Array;
  /** Number of the newest roster that the other side knows, when it said so. */
  readonly rosterNumber?: bigint;
}

export interface Transport {
  /**
   * Sends one request and waits for its answer. Rejects with the other side's error, or `unavailable` (no connection,
   * reset), `timeout`, `aborted`, `peer-mismatch`, `revoked`. After `unavailable` and `timeout` the request may have
   * been carried out. Never retries by itself.
   */
  call<N extends RouteName>(
    to: Destination,
    route: N,
    request: RequestOf<N>,
    options?: CallOptions,
  ): Promise<Answer<N>>;
  close(): Promise<void>;
}

/** Who calls, as its certificate and the roster say. */
export interface Peer {
  readonly memberId: MemberId;
  readonly keyHash: KeyHash;
  readonly role: Role;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
}

export interface IncomingCall<N extends RouteName> {
  /** Undefined only on the join listener. */
  readonly peer: Peer | undefined;
  readonly request: RequestOf<N>;
  readonly binary: Uint8Array;
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal;
}

export interface Reply<N extends RouteName> {
  readonly answer: AnswerOf<N>;
  readonly binary?: readonly Uint8Array[];
}

export type Handler<N extends RouteName> = (call: IncomingCall<N>) => Promise<Reply<N>>;

/** What one role serves; routes it leaves out answer 404. */
export type Handlers = { readonly [N in RouteName]?: Handler<N> };
