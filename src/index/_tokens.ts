// Words of a query with their places, and errors that point at them. Numbers, units and bare texts are all words: what
// a word means depends on the field in front of it, and identifiers of 19 digits must stay texts.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';

export interface Token {
  readonly kind: 'word' | 'text' | 'operator' | 'end';
  /** Without quotes. Operators in their one spelling. */
  readonly text: string;
  /** [at, end) in the query. */
  readonly at: number;
  readonly end: number;
}

/** `usage` with the query and a caret under the place. The message stays in the client: queries are never logged. */
export const syntaxError = (query: string, at: number, end: number, message: string): OperaError => {
  const shown = query.replace(/\s/g, ' ');
  const caret = ' '.repeat([...query.slice(0, at)].length) + '^'.repeat(Math.max(1, [...query.slice(at, end)].length));
  return new OperaError(
    'usage',
    `query, column ${[...query.slice(0, at)].length + 1}: ${message}\n  ${shown}\n  ${caret}`,
  );
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
