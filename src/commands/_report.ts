// Maps whatever a verb threw to one line on standard error (or one JSON object) and the exit code.
// System errors of local files get our codes; anything unexpected is one line without a stack unless debugging.
import { type ErrorCode, errorTable, isOperaError, OperaError } from '../errors/errors.ts';
import { redactSecrets } from '../errors/redact.ts';
import { advice } from './_advice.ts';
import { escapeText } from '../model/terminal-text.ts';
import { escapeLines, toJsonLine } from './_text.ts';

/** Errors of the operating system a person can do something about. */
const systemCodes: ReadonlyMap<string, readonly [code: ErrorCode, reason: string]> = new Map([
  ['ENOENT', ['not-found', 'there is no such file']],
  ['ENOTDIR', ['not-found', 'part of the path is not a folder']],
  ['EISDIR', ['usage', 'it is a folder']],
  ['EEXIST', ['exists', 'it exists already']],
  ['ENOTEMPTY', ['exists', 'the folder is not empty']],
  ['EACCES', ['forbidden', 'permission denied']],
  ['EPERM', ['forbidden', 'the operation is not permitted']],
  ['EROFS', ['forbidden', 'the file system is read-only']],
  ['ENOSPC', ['no-space', 'no space is left on this machine’s disk']],
  ['EDQUOT', ['no-space', 'the disk quota on this machine is used up']],
  ['EADDRINUSE', ['exists', 'another program listens on that address']],
  ['EADDRNOTAVAIL', ['config', 'this machine does not have that address']],
  ['ECONNREFUSED', ['unavailable', 'the connection was refused']],
  ['ECONNRESET', ['unavailable', 'the connection was cut']],
  ['EHOSTUNREACH', ['unavailable', 'the host cannot be reached']],
  ['ENETUNREACH', ['unavailable', 'the network cannot be reached']],
  ['ENOTFOUND', ['unavailable', 'the host name is not known']],
  ['EAI_AGAIN', ['unavailable', 'the host name cannot be looked up now']],
  ['ETIMEDOUT', ['unavailable', 'the connection timed out']],
  ['EMFILE', ['overloaded', 'too many files are open']],
]);

const fromSystem = (error: NodeJS.ErrnoException & { address?: string; port?: number }): OperaError | undefined => {
  const [code, reason] = systemCodes.get(error.code ?? '') ?? [];
  if (code === undefined || reason === undefined) return undefined;
  const address = error.address === undefined ? undefined : `${error.address}${error.port ? `:${error.port}` : ''}`;
  const subject = error.path ?? address;
  // The code's general advice is about the network; the error of a local file or disk says enough by itself.
  const hint = address === undefined ? { hint: '' } : {};
  return new OperaError(code, subject === undefined ? reason : `${subject}: ${reason}`, { cause: error, ...hint });
};

/** Anything thrown as an OperaError. `reason` is why the signal aborted, when it did. */
export const toReportedError = (thrown: unknown, reason: unknown): OperaError => {
  const aborted = isOperaError(thrown, 'aborted') || (thrown instanceof Error && thrown.name === 'AbortError');
  if (aborted && isOperaError(reason)) return reason;
  if (isOperaError(thrown)) return thrown;
  if (thrown instanceof Error) {
    const known = fromSystem(thrown);
    if (known) return known;
    return new OperaError('internal', `an internal error: ${thrown.message.split('\n')[0] ?? ''}`, { cause: thrown });
  }
  return new OperaError('internal', 'an internal error: a value was thrown that is no error', { cause: thrown });
};

/** What to do next: the error's own hint, else the advice for its code; undefined for an empty hint. */
const hintOf = (error: OperaError): string | undefined => {
  const hint = error.hint ?? advice[error.code].next;
  return hint === '' ? undefined : redactSecrets(hint);
};

const sentence = (text: string): string => text.replace(/[.\s]+$/, '');

const stackOf = (error: OperaError): string => {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < 5; at = at.cause)
    parts.push(at.stack ?? String(at));
  return `${escapeLines(redactSecrets(parts.join('\ncaused by ')))}\n`;
};

/** What was said, and the lines below it that point into a query. Only our own words may have lines of their own. */
const splitPointer = ({ code, requestId }: OperaError, detail: string): readonly [string, string?] => {
  const end = code === 'usage' && requestId === undefined ? detail.indexOf('\n') : -1;
  return end < 0 ? [detail] : [detail.slice(0, end), detail.slice(end + 1)];
};

export interface ReportOptions {
  readonly json: boolean;
  readonly debug: boolean;
  /** The usage line, for errors of usage. */
  readonly usage?: string | undefined;
}

/** The text for standard error: `opera: what and why. What to do next`, or one JSON object. */
export const renderError = (error: OperaError, options: ReportOptions): string => {
  const detail = redactSecrets(error.message);
  const stack = options.debug ? stackOf(error) : '';
  if (options.json) {
    const hint = hintOf(error) ?? options.usage ?? null;
    const { code, requestId = null } = error;
    const { title } = errorTable[code];
    return `${toJsonLine({ v: 1, code, title, detail, hint, requestId })}\n${stack}`;
  }
  // With a usage line the general advice would only repeat it.
  const hint = options.usage !== undefined && error.hint === undefined ? undefined : hintOf(error);
  const request = error.requestId === undefined ? '' : ` (request ${escapeText(error.requestId)})`;
  const [said = '', below] = splitPointer(error, detail);
  const line = `opera: ${escapeText(sentence(said))}${request}${hint === undefined ? '' : `. ${escapeText(hint)}`}`;
  const pointer = below === undefined ? '' : `${escapeLines(below)}\n`;
  return `${line}\n${pointer}${options.usage === undefined ? '' : `usage: ${options.usage}\n`}${stack}`;
};
