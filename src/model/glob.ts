// Our globs over names: `*` and `?` within a part, `**` as a whole part for any number of parts, [a-z], [!a-z],
// {a,b} and `\`.
// A pattern becomes a small automaton that is walked with a set of states: time is name length × pattern length,
// whatever the pattern, so that no pattern can hang us. Does not list anything and knows no file system.
import { OperaError } from '../errors/errors.ts';

/** As long as the longest name, in UTF-16 units; bounds the automaton. */
const patternLengthMax = 1024;
/** Braces in braces; deeper ones are a mistake or an attack on the parser's stack. */
const depthMax = 8;

export interface Glob {
  /** What every matching name begins with: all before the first special character. For listing by prefix. */
  readonly prefix: string;
  matches(name: string): boolean;
}

/** One state: take a character that `accepts`, then go to `next`; without `accepts`, go to all `next` at once. */
interface State {
  readonly accepts: ((character: string) => boolean) | undefined;
  readonly next: number[];
}

const specials = new Set(['*', '?', '[', '{']);

/** True when `text` has an unescaped special character, so that it may mean more than itself. */
export const isGlob = (text: string): boolean => {
  const characters = [...text];
  for (let index = 0; index < characters.length; index++) {
    if (characters[index] === '\\') index += 1;
    else if (specials.has(characters[index] ?? '')) return true;
  }
  return false;
};

const bad = (reason: string): OperaError =>
  new OperaError('usage', `the pattern ${reason}`, { hint: 'A character that is meant as it is takes a \\ before it' });

const notSlash = (character: string): boolean => character !== '/';
const any = (): boolean => true;

/** Builds the automaton; `at` walks over the pattern's characters. */
class GlobParser {
  readonly states: State[] = [];
  private readonly characters: readonly string[];
  private at = 0;

  constructor(pattern: string) {
    this.characters = [...pattern];
  }

  /** The whole pattern: answers the entry state; `final` is reached at its end. */
  parse(final: number): number {
    return this.sequence(final, 0);
  }

  add(accepts: State['accepts'], next: number[]): number {
    this.states.push({ accepts, next });
    return this.states.length - 1;
  }

  /** Parses until the end, or inside braces until `,` or `}`; the built states lead to `to`. */
  private sequence(to: number, depth: number): number {
    const entry = this.add(undefined, []);
    let tail = entry;
    const append = (head: number, end: number): void => {
      this.states[tail]?.next.push(head);
      tail = end;
    };
    while (this.at < this.characters.length) {
      const character = this.characters[this.at];
      if (depth > 0 && (character === ',' || character === '}')) break;
      const end = this.add(undefined, []);
      append(this.element(end, depth), end);
    }
    this.states[tail]?.next.push(to);
    return entry;
  }

  /** One character, wildcard, class or brace group that leads to `to`; answers its first state. */
  private element(to: number, depth: number): number {
    const character = this.characters[this.at++] ?? '';
    if (character === '?') return this.add(notSlash, [to]);
    if (character === '*') return this.star(to);
    if (character === '[') return this.add(this.characterClass(), [to]);
    if (character === '{') return this.braces(to, depth + 1);
    if (character !== '\\') return this.add((other) => other === character, [to]);
    const escaped = this.characters[this.at++];
    if (escaped === undefined) throw bad('ends with \\');
    return this.add((other) => other === escaped, [to]);
  }

  private loop(accepts: (character: string) => boolean, to: number): number {
    const fork = this.add(undefined, [to]);
    this.states[fork]?.next.push(this.add(accepts, [fork]));
    return fork;
  }

  /** `**` is any number of whole parts when it stands alone between slashes; any other run of stars is one star. */
  private star(to: number): number {
    const start = this.at - 1;
    while (this.characters[this.at] === '*') this.at += 1;
    const before = this.characters[start - 1];
    const after = this.characters[this.at];
    const opens = before === undefined || before === '/' || before === '{' || before === ',';
    const isParts = this.at - start === 2 && opens;
    if (isParts && after === '/') {
      this.at += 1;
      // Nothing, or anything that ends with a slash.
      const slash = this.add((character) => character === '/', [to]);
      const inside = this.loop(any, slash);
      return this.add(undefined, [to, inside]);
    }
    if (isParts && (after === undefined || after === '}' || after === ',')) {
      return this.add(any, [this.loop(any, to)]);
    }
    return this.loop(notSlash, to);
  }

  private characterClass(): (character: string) => boolean {
    const negated = this.characters[this.at] === '!' || this.characters[this.at] === '^';
    if (negated) this.at += 1;
    const ranges: [number, number][] = [];
    for (let first = true; first || this.characters[this.at] !== ']'; first = false) {
      const low = this.classCharacter();
      const isRange = this.characters[this.at] === '-' && this.characters[this.at + 1] !== ']';
      if (isRange) this.at += 1;
      const high = isRange ? this.classCharacter() : low;
      if (high < low) throw bad('has a [ ] range that runs backwards');
      ranges.push([low, high]);
    }
    this.at += 1;
    return (character) => {
      const code = character.codePointAt(0) ?? 0;
      return character !== '/' && ranges.some(([low, high]) => code >= low && code <= high) !== negated;
    };
  }

  private classCharacter(): number {
    let character = this.characters[this.at++];
    if (character === '\\') character = this.characters[this.at++];
    if (character === undefined) throw bad('has a [ without its ]');
    return character.codePointAt(0) ?? 0;
  }

  private braces(to: number, depth: number): number {
    if (depth > depthMax) throw bad(`nests { } more than ${depthMax} deep`);
    const fork = this.add(undefined, []);
    for (;;) {
      this.states[fork]?.next.push(this.sequence(to, depth));
      const end = this.characters[this.at++];
      if (end === '}') return fork;
      if (end !== ',') throw bad('has a { without its }');
    }
  }
}

/** All states reachable from `from` without a character, added to `reached`; iterative, each state once. */
const spread = (states: readonly State[], from: readonly number[], reached: Set<number>): void => {
  const open = [...from];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    if (reached.has(state)) continue;
    reached.add(state);
    const { accepts, next } = states[state] ?? { accepts: undefined, next: [] };
    if (!accepts) open.push(...next);
  }
};

const literalPrefix = (pattern: string): string => {
  let prefix = '';
  const characters = [...pattern];
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] ?? '';
    if (specials.has(character)) break;
    prefix += character === '\\' ? (characters[++index] ?? '') : character;
  }
  return prefix;
};

/** Throws `usage` for a pattern that is too long, unclosed or ends with a backslash. */
export const parseGlob = (text: string): Glob => {
  if (text.length > patternLengthMax) throw bad(`is longer than ${patternLengthMax} characters`);
  const pattern = text.normalize('NFC');
  const parser = new GlobParser(pattern);
  const final = parser.add(undefined, []);
  const entry = parser.parse(final);
  const { states } = parser;
  return {
    prefix: literalPrefix(pattern),
    matches: (name) => {
      let current = new Set<number>();
      spread(states, [entry], current);
      for (const character of name) {
        const following = new Set<number>();
        for (const state of current) {
          const { accepts, next } = states[state] ?? { accepts: undefined, next: [] };
          if (accepts?.(character)) spread(states, next, following);
        }
        if (following.size === 0) return false;
        current = following;
      }
      return current.has(final);
    },
  };
};
