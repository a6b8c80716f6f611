// Errors on the wire: `{code, message, details, requestId}` as JSON, with the status of the error table.
// What is not in the table becomes `internal`. A 5xx says nothing but its code's fixed sentence and the request id: it
// tells of our own trouble, and its message may quote a path, a system error or a worker's text.
import { errorTable, isErrorCode, OperaError, toOperaError } from '../errors/errors.ts';
import { formatJson, parseJson } from './json.ts';

export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly requestId: string;
}

export const encodeError = (thrown: unknown, requestId: string): { readonly status: number; readonly body: string } => {
  const error = toOperaError(thrown);
  const ours = error.status >= 500;
  const body: ErrorBody = {
    code: error.code,
    message: ours ? errorTable[error.code].title : error.message,
    requestId,
    ...(error.details && !ours ? { details: error.details } : {}),
  };
  return { status: error.status, body: formatJson(body) };
};

/** The error a peer answered; a body that is none of ours becomes `unavailable` naming only the status. */
export const decodeError = (status: number, bytes: Uint8Array): OperaError => {
  try {
    const value = parseJson(Buffer.from(bytes).toString('utf8')) as Partial<ErrorBody> | null;
    if (value && isErrorCode(value.code) && typeof value.message === 'string') {
      const details = typeof value.details === 'object' && value.details !== null ? { details: value.details } : {};
      const requestId = typeof value.requestId === 'string' ? { requestId: value.requestId.slice(0, 64) } : {};
      return new OperaError(value.code, value.message.slice(0, 500), { ...details, ...requestId });
    }
  } catch {
    // Not our body: a proxy, or another program on that port.
  }
  return new OperaError('unavailable', `the other side answered with status ${status} and no error of ours`);
};
