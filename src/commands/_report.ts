// Maps whatever a verb threw to one line on standard error (or one JSON object) and the exit code.
// System errors of local files get our codes; anything unexpected is one line without a stack unless debugging.
import { errorTable, isOperaError, OperaError } from '../errors/errors.ts';
import { redactSecrets } from '../errors/redact.ts';
import { fromSystemError } from '../errors/system-error.ts';
import { advice } from './_advice.ts';
import { escapeText } from '../model/terminal-text.ts';
import { escapeLines, toJsonLine } from './_text.ts';

/** Anything thrown as an OperaError. `reason` is why the signal aborted, when it did. */
export const toReportedError = (thrown: unknown, reason: unknown): OperaError => {
  const aborted = isOperaError(thrown, 'aborted') || (thrown instanceof Error && thrown.name === 'AbortError');
  if (aborted && isOperaError(reason)) return reason;
  if (isOperaError(thrown)) return thrown;
  if (thrown instanceof Error) {
    const known = fromSystemError(thrown);
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
    const usage = options.usage === undefined ? undefined : `usage: ${options.usage}`;
    const hint = (error.hint === undefined ? usage : undefined) ?? hintOf(error) ?? null;
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
