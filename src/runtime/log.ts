// Structured log lines: one JSON object per line with time, level, role, event and facts.
// Facts are small values chosen by the caller: codes, ids, counts, addresses; never file contents, values of records,
// queries, keys or join codes. Shapes of secrets are removed all the same. Logging never throws and never blocks.
import { isOperaError } from '../errors/errors.ts';
import { redactSecrets } from '../errors/redact.ts';
import { type Clock, formatTime } from './clock.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

type Fact = string | number | bigint | boolean | undefined | readonly (string | number)[];
export type LogFacts = Readonly<Record<string, Fact>>;

export interface Logger {
  /** `event` is a stable kebab-case name that people search for: `layout-retired`. */
  debug(event: string, facts?: LogFacts): void;
  info(event: string, facts?: LogFacts): void;
  warn(event: string, facts?: LogFacts): void;
  error(event: string, facts?: LogFacts): void;
  /** The same log with more facts on every line. */
  with(facts: LogFacts): Logger;
}

export interface LoggerOptions {
  readonly role: string;
  /** Takes one line with its line feed. */
  readonly write: (line: string) => void;
  readonly clock: Clock;
  /** Lower levels are dropped; `info` when left out. */
  readonly level?: LogLevel;
}

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** A fact longer than this is a value that does not belong into a log. */
const factLengthMax = 300;
/** A list is cut here: a thousand addresses do not help anyone. */
const listLengthMax = 32;

const cutText = (text: string): string => {
  const shown = redactSecrets(text);
  return shown.length > factLengthMax ? `${shown.slice(0, factLengthMax)}…` : shown;
};

const factOf = (fact: Fact): unknown => {
  if (typeof fact === 'string') return cutText(fact);
  if (typeof fact === 'bigint') return fact.toString();
  if (typeof fact === 'number') return Number.isFinite(fact) ? fact : String(fact);
  if (typeof fact !== 'object') return fact;
  const shown = fact.slice(0, listLengthMax).map(factOf);
  return fact.length > listLengthMax ? [...shown, `… ${fact.length - listLengthMax} more`] : shown;
};

export const createLogger = (options: LoggerOptions, common: LogFacts = {}): Logger => {
  const { role, write, clock, level: lowest = 'info' } = options;
  const log = (level: LogLevel, event: string, facts: LogFacts): void => {
    if (ranks[level] < ranks[lowest]) return;
    // A fact cannot replace one of the line's own fields.
    const line: Record<string, unknown> = { time: formatTime(clock.nowMs()), level, role, event };
    for (const [key, fact] of Object.entries({ ...common, ...facts })) {
      if (!Object.hasOwn(line, key)) line[key] = factOf(fact);
    }
    try {
      write(`${JSON.stringify(line)}\n`);
    } catch {
      // A full disk or a closed descriptor must not stop a role; its state is told by `status`.
    }
  };
  return {
    debug: (event, facts = {}) => log('debug', event, facts),
    info: (event, facts = {}) => log('info', event, facts),
    warn: (event, facts = {}) => log('warn', event, facts),
    error: (event, facts = {}) => log('error', event, facts),
    with: (facts) => createLogger(options, { ...common, ...facts }),
  };
};

/**
 * What a log may say about a thrown error: our code and message; for others the name, system code and where it was
 * thrown. The message of a foreign error is left out, because it may quote data.
 */
export const errorFacts = (error: unknown): LogFacts => {
  if (isOperaError(error)) {
    const cause = error.code === 'internal' && error.cause !== undefined ? errorFacts(error.cause) : {};
    return { ...cause, code: error.code, message: error.message, requestId: error.requestId };
  }
  if (!(error instanceof Error)) return { errorName: typeof error };
  const { code } = error as NodeJS.ErrnoException;
  const frame = error.stack?.split('\n').find((line) => line.startsWith('    at '));
  return { errorName: error.name, system: typeof code === 'string' ? code : undefined, at: frame?.trim().slice(3) };
};
