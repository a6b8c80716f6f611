// Strict JSON for messages from others: bounded depth, no duplicate keys, no `__proto__`, no lone surrogates (I-JSON,
// RFC 7493 section 2); ranges are the schemas' part.
// JSON.parse alone lets the last duplicate win and nests until the stack ends. Uint8Array travels as base64 and
// bigint as decimal text; the schemas of messages.ts turn them back.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';

const malformed = (what: string): OperaError => new OperaError('bad-request', `the message is not valid JSON: ${what}`);

/** Index just behind the string that starts at `start` (a quote). */
const endOfString = (text: string, start: number): number => {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 92) at++;
    else if (code === 34) return at + 1;
  }
  throw malformed('a string does not end');
};

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9;

/** A string with \\u escapes may name half a character, which no UTF-8 file name or log line can hold. */
const checkSurrogates = (raw: string): void => {
  if (!/\\u[dD][89a-fA-F]/.test(raw)) return;
  let text: unknown;
  try {
    text = JSON.parse(raw);
  } catch {
    throw malformed('syntax');
  }
  if (typeof text !== 'string' || /\p{Surrogate}/u.test(text)) throw malformed('half a character');
};

/** Walks the text once, before JSON.parse, checking depth and keys; grammar is left to JSON.parse. */
const scan = (text: string): void => {
  const keys: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 123 || code === 91) {
      keys.push(code === 123 ? new Set() : undefined);
      if (keys.length > limits.jsonDepthMax) throw malformed(`deeper than ${limits.jsonDepthMax}`);
    } else if (code === 125 || code === 93) {
      keys.pop();
    } else if (code === 34) {
      const end = endOfString(text, at);
      checkSurrogates(text.slice(at, end));
      let next = end;
      while (next < text.length && isSpace(text.charCodeAt(next))) next++;
      const open = keys.at(-1);
      if (open && text.charCodeAt(next) === 58) {
        const raw = text.slice(at, end);
        if (raw.includes('\\')) throw malformed('an escaped key');
        const key = raw.slice(1, -1);
        if (key === '__proto__') throw malformed('a key that is not allowed');
        if (open.has(key)) throw malformed('a key stands twice');
        open.add(key);
      }
      at = end - 1;
    }
  }
};

/** Parses a peer's JSON; throws `bad-request` without echoing any of it. Objects are ordinary objects. */
export const parseJson = (text: string): unknown => {
  scan(text);
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('syntax');
  }
};

/** JSON text of a message: Uint8Array as base64, bigint as decimal text, undefined members left out. */
export const formatJson = (value: unknown): string =>
  JSON.stringify(value, function replace(this: unknown, key: string, converted: unknown): unknown {
    // A Buffer arrives converted by its toJSON; the holder still has the original.
    const original = typeof this === 'object' && this !== null ? (this as Record<string, unknown>)[key] : converted;
    if (original instanceof Uint8Array) {
      return Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString('base64');
    }
    return typeof original === 'bigint' ? original.toString() : converted;
  });
