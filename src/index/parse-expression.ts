// The text of a query → its tree: `mag < 6 and class = G and dist < 10pc`, `cone(Sirius, 2deg) or near(Sol, 10ly)`.
// Recursive descent, bounded in length, terms and depth. Every error is `usage` and points at the column.
//
//   or   := and { ("or" | "||") and }      and := not { ("and" | "&&") not }      not := ("not" | "!") not | term
//   term := "(" or ")" | call | test
//   call := cone(ra, dec, r) | cone(star, r) | near(star, r) | box(ra, dec, ra, dec) | find(name)
//   test := FIELD OP value | FIELD ["not"] "in" "(" value { "," value } ")" | FIELD ["not"] "between" value "and" value
//         | FIELD "is" ["not"] ("known" | "unknown") | "has" FIELD | FLAG
import { limits } from '../model/limits.ts';
import { nearestText } from '../model/nearest.ts';
import { syntaxError, type Token, tokensOf } from './_tokens.ts';
import { angleIn, flagFor, type Meaning, numberFor, quantityIn, textFor } from './_values.ts';
import {
  type Expression,
  isSun,
  type NamedPlace,
  namedPlace,
  type Operator,
  type SkyPoint,
  sun,
} from './expression.ts';
import { type FieldName, fieldOf, fieldTable, fieldWords } from './fields.ts';
import { normaliseName } from './names.ts';
import { normaliseSpectralType } from './spectral.ts';
import { parseNumber, parseUnit } from './units.ts';

const comparisons: ReadonlySet<string> = new Set(['=', '!=', '<', '<=', '>', '>=']);
/** How each call is written. */
const examples = {
  cone: 'cone(101.3, -16.7, 2deg) or cone(Sirius, 2deg)',
  near: 'near(Sol, 10ly)',
  box: 'box(10, -5, 20, 5)',
  find: 'find("HIP 70890")',
} as const;
type Call = keyof typeof examples;
const calls = Object.keys(examples);
const isCall = (word: string): word is Call => Object.hasOwn(examples, word);
const isOperator = (text: string): text is Operator => comparisons.has(text);

/** True for a number without a unit, and for one such as 06:45:08.9: two of them are no star and its radius. */
const isCoordinate = (token: Token | undefined): boolean =>
  token?.kind === 'word' && (parseNumber(token.text) !== undefined || /^[-+]?\d+:/.test(token.text));

class Parser {
  readonly #query: string;
  readonly #tokens: readonly Token[];
  #next = 0;
  #terms = 0;
  #depth = 0;

  constructor(query: string) {
    this.#query = query;
    this.#tokens = tokensOf(query);
  }

  parse(): Expression {
    if (this.#peek().kind === 'end') throw this.#fail(this.#peek(), 'the query is empty');
    const expression = this.#or();
    const rest = this.#peek();
    if (rest.kind !== 'end') throw this.#fail(rest, `"and", "or" or the end is expected here, not "${rest.text}"`);
    return expression;
  }

  #fail(token: Token, message: string, last: Token = token): Error {
    return syntaxError(this.#query, token.at, last.end, message);
  }

  #peek(ahead = 0): Token {
    const token = this.#tokens[Math.min(this.#next + ahead, this.#tokens.length - 1)];
    return token ?? { kind: 'end', text: '', at: this.#query.length, end: this.#query.length };
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  /** True when the next token is the word or operator, which it then takes. Quoted texts are never keywords. */
  #accept(text: string): boolean {
    if (!this.#isNext(text)) return false;
    this.#next += 1;
    return true;
  }

  #isNext(text: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return (token.kind === 'word' || token.kind === 'operator') && token.text.toLowerCase() === text;
  }

  #expect(text: string, behind: string): void {
    if (!this.#accept(text)) throw this.#fail(this.#peek(), `"${text}" is expected behind ${behind}`);
  }

  #chain(kind: 'and' | 'or', next: () => Expression): Expression {
    const parts = [next()];
    while (this.#accept(kind)) parts.push(next());
    const [only] = parts;
    return parts.length === 1 && only ? only : { kind, parts };
  }

  #or(): Expression {
    this.#depth += 1;
    if (this.#depth > limits.queryDepthMax)
      throw this.#fail(this.#peek(), `nested deeper than ${limits.queryDepthMax}`);
    const expression = this.#chain('or', () => this.#chain('and', () => this.#not()));
    this.#depth -= 1;
    return expression;
  }

  #not(): Expression {
    let negations = 0;
    while (this.#accept('not')) negations += 1;
    const term = this.#term();
    return negations % 2 === 1 ? { kind: 'not', part: term } : term;
  }

  #term(): Expression {
    this.#countTerm();
    if (this.#accept('(')) {
      const inner = this.#or();
      this.#expect(')', 'what "(" opened');
      return inner;
    }
    const token = this.#take();
    if (token.kind !== 'word') {
      const shown = token.kind === 'end' ? 'the query ends' : `"${token.text}" stands`;
      throw this.#fail(token, `${shown} where a field such as mag, or cone(…), is expected`);
    }
    const word = token.text.toLowerCase();
    if (isCall(word)) return this.#call(word);
    if (word === 'has') return this.#has();
    const field = this.#field(token);
    return this.#test(token, field);
  }

  #countTerm(): void {
    this.#terms += 1;
    if (this.#terms > limits.queryTermsMax) {
      throw this.#fail(this.#peek(), `more than ${limits.queryTermsMax} terms`);
    }
  }

  #field(token: Token): FieldName {
    const field = token.kind === 'word' ? fieldOf(token.text) : undefined;
    if (field !== undefined) return field;
    if (token.kind === 'end') throw this.#fail(token, 'a field such as planets is expected here');
    throw this.#fail(
      token,
      `there is no field "${token.text}"${nearestText(token.text, [...fieldWords, ...calls, 'has'])}`,
    );
  }

  /** `has planets` counts at least one; `has teff` knows a value. */
  #has(): Expression {
    const field = this.#field(this.#take());
    if (fieldTable[field].type === 'integer') return { kind: 'number', field, operator: '>=', value: 1 };
    return fieldTable[field].type === 'flag' ? { kind: 'equal', field, value: true } : { kind: 'known', field };
  }

  #test(token: Token, field: FieldName): Expression {
    const operator = this.#peek();
    if (operator.kind === 'operator' && isOperator(operator.text)) {
      this.#next += 1;
      return this.#compare(field, operator, operator.text);
    }
    if (this.#accept('is')) return this.#known(field);
    const negated = (this.#isNext('in', 1) || this.#isNext('between', 1)) && this.#accept('not');
    const found = this.#accept('in') ? this.#in(field) : this.#accept('between') ? this.#between(field) : undefined;
    if (found) return negated ? { kind: 'not', part: found } : found;
    if (fieldTable[field].type === 'flag') return { kind: 'equal', field, value: true };
    throw this.#fail(operator, `behind ${token.text} one of = != < <= > >= in between is known is expected`);
  }

  #known(field: FieldName): Expression {
    const negated = this.#accept('not');
    const isKnown = this.#accept('known');
    if (!isKnown && !this.#accept('unknown'))
      throw this.#fail(this.#peek(), '"known" or "unknown" is expected behind "is"');
    return isKnown === negated ? { kind: 'not', part: { kind: 'known', field } } : { kind: 'known', field };
  }

  #in(field: FieldName): Expression {
    this.#expect('(', '"in"');
    const parts: Expression[] = [];
    do {
      this.#countTerm();
      parts.push(this.#compare(field, this.#peek(), '='));
    } while (this.#accept(','));
    this.#expect(')', 'the values of "in"');
    const [only] = parts;
    return parts.length === 1 && only ? only : { kind: 'or', parts };
  }

  #between(field: FieldName): Expression {
    const low = this.#compare(field, this.#peek(), '>=');
    this.#expect('and', 'the first value of "between"');
    return { kind: 'and', parts: [low, this.#compare(field, this.#peek(), '<=')] };
  }

  /** One value: a text, or a word with the unit that may stand behind a space. */
  #value(what: string): Token {
    const token = this.#take();
    if (token.kind !== 'word' && token.kind !== 'text') throw this.#fail(token, `a value is expected for ${what}`);
    const unit = this.#peek();
    if (token.kind !== 'word' || unit.kind !== 'word' || parseNumber(token.text) === undefined) return token;
    if (parseUnit(unit.text) === undefined) return token;
    this.#next += 1;
    return { ...token, text: `${token.text} ${unit.text}`, end: unit.end };
  }

  #meaning<T>(token: Token, meaning: Meaning<T>): T {
    if ('value' in meaning) return meaning.value;
    throw this.#fail(token, meaning.reason);
  }

  #compare(field: FieldName, at: Token, operator: Operator): Expression {
    const { type } = fieldTable[field];
    const token = this.#value(field);
    if (type === 'number' || type === 'integer') {
      return { kind: 'number', field, operator, value: this.#meaning(token, numberFor(field, token.text)) };
    }
    if (operator !== '=' && operator !== '!=') {
      throw this.#fail(at, `${field} is no number: only =, != and in compare it`, at.at === token.at ? token : at);
    }
    const equal = this.#equal(field, token);
    return operator === '=' ? equal : { kind: 'not', part: equal };
  }

  #equal(field: FieldName, token: Token): Expression {
    if (fieldTable[field].type === 'flag')
      return { kind: 'equal', field, value: this.#meaning(token, flagFor(field, token.text)) };
    const isPrefix = token.text.endsWith('*');
    if (isPrefix && (field === 'spectral_type' || field === 'name')) {
      const start = token.text.slice(0, -1);
      const prefix = field === 'name' ? normaliseName(start) : normaliseSpectralType(start);
      if (prefix === '') throw this.#fail(token, 'something must stand in front of *');
      return { kind: 'prefix', field, prefix };
    }
    if (isPrefix) throw this.#fail(token, `${field} has no prefixes: only name and spectral_type do`);
    if (field === 'name') return this.#named(token);
    return { kind: 'equal', field, value: this.#meaning(token, textFor(field, token.text)) };
  }

  #named(token: Token): Expression {
    const key = normaliseName(token.text);
    if (key === '') throw this.#fail(token, 'a name has letters or digits');
    return { kind: 'name', key };
  }

  #call(name: Call): Expression {
    if (!this.#accept('(')) throw this.#fail(this.#peek(), `"(" is expected behind ${name}: write ${examples[name]}`);
    const expression = this.#arguments(name);
    if (this.#isNext(',')) throw this.#fail(this.#peek(), `${name} takes no more: write ${examples[name]}`);
    this.#expect(')', `${name}(…`);
    return expression;
  }

  #arguments(name: Call): Expression {
    if (name === 'find') {
      this.#require(name, 'the name');
      return this.#named(this.#value('find'));
    }
    if (name === 'box') {
      const [raFrom, decFrom, raTo, decTo] = [
        this.#angle('ra', name, 'the first right ascension'),
        this.#angle('dec', name, 'the first declination', ','),
        this.#angle('ra', name, 'the second right ascension', ','),
        this.#angle('dec', name, 'the second declination', ','),
      ];
      return { kind: 'box', raFrom, raTo, decFrom, decTo };
    }
    if (name === 'near') {
      const centre = this.#star(name);
      this.#require(name, 'the radius', ',');
      return { kind: 'near', centre: isSun(centre) ? sun : centre, radius: this.#radius('pc') };
    }
    const centre = this.#skyPlace();
    this.#require(name, 'the radius', ',');
    return { kind: 'cone', centre, radius: this.#radius('deg') };
  }

  /** An argument comes next, behind the separator if there is one; if the call ends here it says which is missing. */
  #require(name: Call, what: string, separator?: string): void {
    const hasSeparator = separator === undefined || this.#accept(separator);
    const next = this.#peek();
    if (next.kind === 'end' || this.#isNext(')')) {
      throw this.#fail(next, `${what} is missing: write ${examples[name]}`);
    }
    if (!hasSeparator) throw this.#fail(next, `"${separator}" is expected in front of ${what}`);
  }

  #star(name: Call): NamedPlace {
    this.#require(name, 'the star');
    // Names of several words need no quotes here: a comma ends them.
    const first = this.#take();
    if (first.kind !== 'word' && first.kind !== 'text') throw this.#fail(first, 'the name of a star is expected');
    const words = [first.text];
    while (first.kind === 'word' && this.#peek().kind === 'word') words.push(this.#take().text);
    const place = namedPlace(words.join(' '));
    if (place.key === '') throw this.#fail(first, 'a name has letters or digits');
    return place;
  }

  #skyPlace(): SkyPoint | NamedPlace {
    const token = this.#peek();
    // Two angles and a radius, or a star and a radius: counted by commas, for stars may be called 61.
    const length = this.#tokens.slice(this.#next).findIndex(({ kind, text }) => kind === 'operator' && text === ')');
    const inside = this.#tokens.slice(this.#next, length === -1 ? undefined : this.#next + length);
    const [first, comma, second, ...more] = inside;
    const isCut =
      isCoordinate(first) && isCoordinate(second) && comma?.text === ',' && more.every(({ kind }) => kind === 'end');
    if (isCut || inside.filter(({ kind, text }) => kind === 'operator' && text === ',').length >= 2) {
      const [ra, dec] = ['the right ascension', 'the declination'];
      return { kind: 'sky', ra: this.#angle('ra', 'cone', ra), dec: this.#angle('dec', 'cone', dec, ',') };
    }
    const place = this.#star('cone');
    if (isSun(place))
      throw this.#fail(token, 'the Sun has no place on the sky of catalogues; near(Sol, …) asks for distances');
    return place;
  }

  #angle(axis: 'ra' | 'dec', name: Call, what: string, separator?: string): number {
    this.#require(name, what, separator);
    const token = this.#value(axis);
    const value = this.#meaning(token, angleIn(token.text, axis));
    if (axis === 'dec' && Math.abs(value) > 90) throw this.#fail(token, 'a declination is in [-90, 90]');
    if (axis === 'dec') return value;
    if (Math.abs(value) > 360) throw this.#fail(token, 'a right ascension is in [0, 360)');
    if (value >= 0 && value < 360) return value;
    const turned = (value + 360) % 360;
    return turned >= 360 ? 0 : turned;
  }

  #radius(unit: 'deg' | 'pc'): number {
    const token = this.#value('the radius');
    const value = this.#meaning(
      token,
      unit === 'deg' ? angleIn(token.text, 'radius') : quantityIn(token.text, unit, 'the radius'),
    );
    if (value < 0 || (unit === 'deg' && value > 180)) {
      throw this.#fail(token, unit === 'deg' ? 'a radius on the sky is in [0, 180] deg' : 'a radius is not below 0');
    }
    return value;
  }
}

export const parseExpression = (query: string): Expression => new Parser(query).parse();
