// Words of a query with their places, and errors that point at them. Numbers, units and bare texts are all words: what
// a word means depends on the field in front of it, and identifiers of 19 digits must stay texts.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { displayWidth, escapeText } from '../model/terminal-text.ts';

export interface Token {
  readonly kind: 'word' | 'text' | 'operator' | 'end';
  /** Without quotes. Operators in their one spelling. */
  readonly text: string;
  /** [at, end) in the query. */
  readonly at: number;
  readonly end: number;
}

/** Of a query longer than so many characters only those around the place are shown. */
const wholeMax = 100;
const shownMax = { before: 48, place: 32, behind: 16 } as const;

/** On one line: what a terminal shows of a part of a query. */
const showText = (text: string): string => escapeText(text.replace(/\s/g, ' '));

const firstOf = (text: string, most: number): string => {
  const characters = [...text];
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : text;
};

const lastOf = (text: string, most: number): string => {
  const characters = [...text];
  return characters.length > most ? `…${characters.slice(1 - most).join('')}` : text;
};

/** `usage` with the query and a caret under the place. The message stays in the client: queries are never logged. */
export const syntaxError = (query: string, at: number, end: number, message: string): OperaError => {
  if (query.trim() === '') return new OperaError('usage', message);
  const most = [...query].length > wholeMax ? shownMax : { before: wholeMax, place: wholeMax, behind: wholeMax };
  const before = showText(lastOf(query.slice(0, at), most.before));
  const place = showText(firstOf(query.slice(at, end), most.place));
  const behind = showText(firstOf(query.slice(end), most.behind));
  const caret = ' '.repeat(displayWidth(before)) + '^'.repeat(Math.max(1, displayWidth(place)));
  const column = [...query.slice(0, at)].length + 1;
  return new OperaError('usage', `query, column ${column}: ${message}\n  ${before}${place}${behind}\n  ${caret}`);
};

const operators: ReadonlyMap<string, string> = new Map([
  ['(', '('],
  [')', ')'],
  [',', ','],
  ['<=', '<='],
  ['>=', '>='],
  ['≤', '<='],
  ['≥', '>='],
  ['<>', '!='],
  ['!=', '!='],
  ['≠', '!='],
  ['==', '='],
  ['=', '='],
  ['<', '<'],
  ['>', '>'],
  ['&&', 'and'],
  ['||', 'or'],
  ['!', 'not'],
]);

const space = /\s+/y;
const operator = /<=|>=|<>|!=|==|&&|\|\||[≤≥≠=<>!(),]/y;
/** A quote in front of a text; a doubled one inside stands for one. */
const text = /'((?:[^']|'')*)'|"((?:[^"]|"")*)"/y;
const word = /[^\s'"=<>!(),≤≥≠&|]+/y;

const matchAt = (pattern: RegExp, query: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at;
  return pattern.exec(query);
};

export const tokensOf = (query: string): Token[] => {
  if (query.length > limits.queryLengthMax) {
    throw new OperaError('usage', `a query has at most ${limits.queryLengthMax} characters`);
  }
  const tokens: Token[] = [];
  for (let at = 0; at < query.length; ) {
    const gap = matchAt(space, query, at);
    if (gap) {
      at += gap[0].length;
      continue;
    }
    const quoted = matchAt(text, query, at);
    const sign = matchAt(operator, query, at);
    const plain = matchAt(word, query, at);
    const found = quoted ?? sign ?? plain;
    if (!found) {
      const open = query[at] === "'" || query[at] === '"';
      throw syntaxError(
        query,
        at,
        open ? query.length : at + 1,
        open ? 'this quote is never closed' : 'unexpected character',
      );
    }
    const end = at + found[0].length;
    if (quoted) {
      const inside = quoted[1]?.replaceAll("''", "'") ?? quoted[2]?.replaceAll('""', '"') ?? '';
      tokens.push({ kind: 'text', text: inside, at, end });
    } else if (sign) tokens.push({ kind: 'operator', text: operators.get(found[0]) ?? found[0], at, end });
    else tokens.push({ kind: 'word', text: found[0], at, end });
    at = end;
  }
  tokens.push({ kind: 'end', text: '', at: query.length, end: query.length });
  return tokens;
};
