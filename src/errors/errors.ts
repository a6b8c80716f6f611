// The closed table of errors: one code serves the wire, the command line and the logs.
// Callers switch on `code`, never on text. Messages name the thing, the limit and (in the client's own
// output only) the value; they never carry plaintext, keys or join codes.

/** One row of the table: HTTP status, exit code of the command line, whether the same request may succeed later. */
interface ErrorRow {
  readonly status: number;
  readonly exit: number;
  readonly retry: boolean;
  readonly title: string;
}

const row = (status: number, exit: number, retry: boolean, title: string): ErrorRow => ({ status, exit, retry, title });

export const errorTable = {
  // usage and input
  usage: row(400, 2, false, 'wrong usage'),
  config: row(400, 2, false, 'wrong configuration'),
  'bad-request': row(400, 1, false, 'the request is malformed'),
  'bad-name': row(400, 2, false, 'the name is not allowed'),
  'too-large': row(413, 1, false, 'the request is too large'),
  'unsupported-encoding': row(415, 1, false, 'the content encoding is not supported'),
  'method-not-allowed': row(405, 1, false, 'the method is not allowed'),
  timeout: row(408, 124, true, 'timed out'),
  // identity and permission
  'token-unknown': row(401, 4, false, 'the join code is not known'),
  'token-expired': row(401, 4, false, 'the join code expired'),
  'token-used': row(401, 4, false, 'the join code was used'),
  'token-invalid': row(401, 4, false, 'the join code or its signature is wrong'),
  'nonce-expired': row(401, 4, true, 'the join nonce expired'),
  'wrong-authority': row(401, 4, false, 'the gateway is not of the network named by the join code'),
  unauthenticated: row(401, 4, false, 'no valid certificate was presented'),
  forbidden: row(403, 4, false, 'this member may not do that'),
  revoked: row(403, 4, false, 'the member is revoked'),
  'ticket-invalid': row(403, 4, false, 'the ticket does not allow this'),
  'ticket-expired': row(403, 4, true, 'the ticket expired'),
  'peer-mismatch': row(403, 4, false, 'the other side is not the member that was expected'),
  'rate-limited': row(429, 5, true, 'too many requests'),
  // existence and order
  'not-found': row(404, 3, false, 'not found'),
  exists: row(409, 10, false, 'it exists already'),
  conflict: row(409, 10, false, 'the condition does not hold'),
  refused: row(409, 10, false, 'it would leave data with too few copies'),
  'hash-conflict': row(409, 10, false, 'another chunk is stored at that address'),
  stale_follows: row(409, 5, true, 'the name moved on; reseal the manifest and repeat'),
  stale_epoch: row(409, 5, true, 'the file key is wrapped under an old network key; rewrap and repeat'),
  'stale-incarnation': row(409, 5, true, 'the registry began a new life; ask again'),
  'stale-roster': row(409, 5, true, 'the roster is older than the one known'),
  'layout-changed': row(409, 5, true, 'the layout changed; ask for the newest one'),
  'upload-closed': row(409, 5, true, 'the upload is not open any more'),
  'source-changed': row(409, 10, false, 'the file changed while it was read'),
  'chunks-missing': row(409, 5, true, 'not every chunk has enough copies yet'),
  'not-leader': row(409, 5, true, 'this master does not lead'),
  'stale-leader': row(409, 5, false, 'a newer leader was promised'),
  // integrity
  integrity: row(422, 7, false, 'the data does not match its hash, tag or signature'),
  'unknown-key': row(422, 7, false, 'the data is sealed under a key that is not held'),
  'wrong-network': row(422, 7, false, 'the data belongs to another network'),
  // capacity and availability
  'no-space': row(507, 11, false, 'no space is left'),
  'read-only': row(507, 11, false, 'the store is read-only after a write error'),
  overloaded: row(503, 5, true, 'too many requests are under way'),
  isolated: row(503, 5, true, 'the role has lost contact with its network'),
  'not-ready': row(503, 5, true, 'the role is still starting'),
  'write-quorum': row(503, 5, true, 'too few nodes for a durable write'),
  'no-nodes': row(503, 5, true, 'the network has no nodes'),
  unavailable: row(503, 5, true, 'the network cannot be reached'),
  'registry-unavailable': row(503, 5, true, 'the registry cannot be reached'),
  'registry-lost': row(503, 5, false, 'the registry does not know this network'),
  // outcomes of the command line
  partial: row(500, 6, false, 'some of it failed'),
  degraded: row(500, 8, false, 'it works below target'),
  'nothing-matched': row(404, 9, false, 'nothing matched'),
  aborted: row(499, 130, false, 'interrupted'),
  internal: row(500, 1, false, 'an internal error'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export interface OperaErrorOptions {
  readonly cause?: unknown;
  /** What the reader can do next; shown by the command line behind the message. */
  readonly hint?: string;
  /** Machine-readable facts that are safe to show; never secrets, never plaintext. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly requestId?: string;
}

/** The one error class. `code` is closed; `message` is for people. */
export class OperaError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly requestId: string | undefined;

  constructor(code: ErrorCode, message?: string, options: OperaErrorOptions = {}) {
    super(message ?? errorTable[code].title, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'OperaError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
    this.requestId = options.requestId;
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  get exit(): number {
    return errorTable[this.code].exit;
  }

  get retry(): boolean {
    return errorTable[this.code].retry;
  }
}

export const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(errorTable, value);

/** True when `error` is ours and has one of `codes` (any code when none is given). */
export const isOperaError = (error: unknown, ...codes: readonly ErrorCode[]): error is OperaError =>
  error instanceof OperaError && (codes.length === 0 || codes.includes(error.code));

/** Anything thrown, as an OperaError; unknown errors become `internal` with the cause kept. */
export const toOperaError = (error: unknown): OperaError =>
  error instanceof OperaError ? error : new OperaError('internal', 'an internal error', { cause: error });
