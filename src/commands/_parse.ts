// The strict parser: every token is understood or the command line is refused (exit 2), naming the token and the
// nearest known one. Negative numbers and `-` are values, `--` ends the flags, only repeatable flags repeat.
// Passwords in URLs are refused here, before any verb sees them. Does not read settings.
import { OperaError } from '../errors/errors.ts';
import { hasUrlPassword, redactSecrets } from '../errors/redact.ts';
import { registryFileVariable } from '../config/settings.ts';
import { nearestText } from '../model/nearest.ts';
import { parseByteSize, parseDuration } from '../model/units.ts';
import { escapeText } from '../model/terminal-text.ts';
import {
  type ArgumentSpec,
  type ArgumentValue,
  type FlagSpec,
  type FlagSpecs,
  type FlagValue,
  flagName,
  isNegatable,
  type ParsedVerb,
} from './_verb.ts';

/** A token as it may be shown: no secret, no control character, not endless. */
export const showToken = (token: string): string => {
  const shown = escapeText(redactSecrets(token));
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
};

const usage = (message: string, hint?: string): OperaError =>
  new OperaError('usage', message, hint === undefined ? {} : { hint });

/** True for what can only be a flag: `-x`, `--x`; not `-`, not `-16.7`, not `-.5`. */
export const looksLikeFlag = (token: string): boolean =>
  token.startsWith('-') && token !== '-' && !/^-\.?\d/.test(token);

interface KnownFlag {
  readonly key: string;
  readonly spec: FlagSpec;
  /** The value `--x` stands for: false for `--no-x`. */
  readonly positive: boolean;
}

/** Every spelling (`--if-absent`, `--no-color`, `-j`) of the flags. */
export const spellings = (specs: FlagSpecs): ReadonlyMap<string, KnownFlag> => {
  const known = new Map<string, KnownFlag>();
  for (const [key, spec] of Object.entries(specs)) {
    known.set(`--${flagName(key)}`, { key, spec, positive: true });
    if (isNegatable(spec)) known.set(`--no-${flagName(key)}`, { key, spec, positive: false });
    if (spec.short) known.set(`-${spec.short}`, { key, spec, positive: true });
  }
  return known;
};

/** `; the nearest is --port`, or nothing. */
export const nearestFlag = (spelling: string, known: ReadonlyMap<string, KnownFlag>): string => {
  const names = [...known.keys()]
    .filter((candidate) => candidate.startsWith('--'))
    .map((candidate) => candidate.slice(2));
  return nearestText(spelling.replace(/^-+/, ''), names, '--');
};

const unknownFlag = (token: string, known: ReadonlyMap<string, KnownFlag>): OperaError => {
  const spelling = token.split('=')[0] ?? token;
  return usage(`unknown flag ${showToken(spelling)}${nearestFlag(spelling, known)}`);
};

const numberOf = (spelling: string, spec: FlagSpec & { type: 'number' }, text: string): number => {
  const value = /^-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  const { min, max } = spec;
  const whole = spec.integer !== false;
  const fits = Number.isFinite(value) && (!whole || Number.isSafeInteger(value));
  if (fits && (min === undefined || value >= min) && (max === undefined || value <= max)) return value;
  const range =
    min !== undefined && max !== undefined ? ` from ${min} to ${max}` : min !== undefined ? ` from ${min}` : '';
  throw usage(`${spelling} takes a ${whole ? 'whole ' : ''}number${range}, not ${JSON.stringify(showToken(text))}`);
};

const parseFlagValue = (spelling: string, spec: FlagSpec, text: string): string | number => {
  const shown = JSON.stringify(showToken(text));
  if (hasUrlPassword(text)) {
    const hint = `Put the URL into a file that only you can read and set ${registryFileVariable} to its path`;
    throw usage(`the URL of ${spelling} holds a password, which every user of this machine could read there`, hint);
  }
  if (spec.type === 'number') return numberOf(spelling, spec, text);
  if (spec.type === 'duration' || spec.type === 'bytes') {
    const value = spec.type === 'duration' ? parseDuration(text) : parseByteSize(text);
    if (value !== undefined) return value;
    throw usage(
      `${spelling} takes ${spec.type === 'duration' ? 'a time such as 60s' : 'a size such as 10GiB'}, not ${shown}`,
    );
  }
  if (spec.type === 'enum' && !spec.options.includes(text)) {
    const options = spec.options.join(', ');
    throw usage(`${spelling} takes one of ${options}, not ${shown}${nearestText(text, spec.options)}`);
  }
  if (spec.type === 'path' && text === '') throw usage(`${spelling} takes a path, not an empty text`);
  return text;
};

const defaultOf = (spec: FlagSpec): FlagValue => {
  if (spec.type === 'boolean') return spec.default ?? (spec.negatable ? undefined : false);
  if (spec.repeatable) return spec.default === undefined ? [] : [parseFlagValue('default', spec, String(spec.default))];
  if (spec.default === undefined) return undefined;
  return typeof spec.default === 'number' ? spec.default : parseFlagValue('default', spec, spec.default);
};

interface Scan {
  readonly values: Map<string, FlagValue>;
  readonly positionals: string[];
}

class Scanner {
  readonly values = new Map<string, FlagValue>();
  readonly positionals: string[] = [];
  private readonly known: ReadonlyMap<string, KnownFlag>;
  private readonly tokens: readonly string[];
  private at = 0;

  constructor(specs: FlagSpecs, tokens: readonly string[]) {
    this.known = spellings(specs);
    this.tokens = tokens;
  }

  scan(): Scan {
    while (this.at < this.tokens.length) {
      const token = this.tokens[this.at++] ?? '';
      if (token === '--') {
        this.positionals.push(...this.tokens.slice(this.at));
        break;
      }
      if (!looksLikeFlag(token)) this.positionals.push(token);
      else if (token.startsWith('--')) this.long(token);
      else this.cluster(token);
    }
    return this;
  }

  private long(token: string): void {
    const equals = token.indexOf('=');
    const spelling = equals < 0 ? token : token.slice(0, equals);
    const flag = this.known.get(spelling);
    if (!flag) throw unknownFlag(token, this.known);
    this.take(spelling, flag, equals < 0 ? undefined : token.slice(equals + 1));
  }

  /** `-rn`, `-j4`, `-j=4`, `-j 4`: letters without value may stand together, the last may have one. */
  private cluster(token: string): void {
    for (let index = 1; index < token.length; index++) {
      const spelling = `-${token[index] ?? ''}`;
      const flag = this.known.get(spelling);
      if (!flag) throw unknownFlag(index === 1 ? token : spelling, this.known);
      const rest = token.slice(index + 1);
      if (flag.spec.type !== 'boolean') {
        this.take(spelling, flag, rest === '' ? undefined : rest.replace(/^=/, ''));
        return;
      }
      if (rest.startsWith('=')) throw usage(`${spelling} takes no value`);
      this.take(spelling, flag, undefined);
    }
  }

  private take(spelling: string, flag: KnownFlag, inline: string | undefined): void {
    const { key, spec, positive } = flag;
    if (spec.type === 'boolean') {
      if (inline !== undefined) throw usage(`${spelling} takes no value`);
      this.once(spelling, key);
      this.values.set(key, positive);
      return;
    }
    const next = this.tokens[this.at];
    const missing = inline === undefined && (next === undefined || looksLikeFlag(next));
    if (missing) {
      const hint =
        next !== undefined && next !== '--' ? `A value that begins with - is written ${spelling}=VALUE` : undefined;
      throw usage(`${spelling} needs a value (${placeholderOf(key, spec)})`, hint);
    }
    if (inline === undefined) this.at += 1;
    const value = parseFlagValue(spelling, spec, inline ?? next ?? '');
    if (!spec.repeatable) this.once(spelling, key);
    const before = this.values.get(key);
    this.values.set(key, spec.repeatable ? [...(Array.isArray(before) ? before : []), value] : value);
  }

  private once(spelling: string, key: string): void {
    if (this.values.has(key)) throw usage(`${spelling} is given twice`);
  }
}

/** What help and messages show for a flag's value. */
export const placeholderOf = (key: string, spec: FlagSpec): string => {
  if (spec.type === 'boolean') return '';
  if (spec.type === 'enum') return spec.placeholder ?? spec.options.join('|');
  if (spec.placeholder) return spec.placeholder;
  const ofType = { number: 'N', duration: 'TIME', bytes: 'SIZE', path: 'PATH', string: flagName(key).toUpperCase() };
  return ofType[spec.type];
};

const parseArguments = (
  specs: readonly ArgumentSpec[],
  tokens: readonly string[],
): Readonly<Record<string, ArgumentValue>> => {
  const values: Record<string, ArgumentValue> = Object.create(null);
  let at = 0;
  for (const spec of specs) {
    const taken = spec.variadic ? tokens.slice(at) : tokens.slice(at, at + 1);
    at += taken.length;
    if (taken.length === 0 && !spec.optional) throw usage(`${spec.name.toUpperCase()} is missing: ${spec.summary}`);
    for (const token of taken) {
      if (!spec.options || spec.options.includes(token)) continue;
      const list = `it is one of ${spec.options.join(', ')}${nearestText(token, spec.options)}`;
      throw usage(`unknown ${spec.name} ${JSON.stringify(showToken(token))}; ${list}`);
    }
    values[spec.name] = spec.variadic ? taken : taken[0];
  }
  const stray = tokens[at];
  if (stray !== undefined) throw usage(`unexpected argument ${JSON.stringify(showToken(stray))}`);
  return values;
};

/** Throws `usage` for anything the declaration does not allow. */
export const parseVerb = (
  flagSpecs: FlagSpecs,
  argumentSpecs: readonly ArgumentSpec[],
  tokens: readonly string[],
): ParsedVerb => {
  const { values, positionals } = new Scanner(flagSpecs, tokens).scan();
  const flags: Record<string, FlagValue> = Object.create(null);
  for (const [key, spec] of Object.entries(flagSpecs)) {
    const given = values.get(key);
    if (given === undefined && spec.type !== 'boolean' && spec.required) {
      throw usage(`--${flagName(key)} is missing: ${spec.summary}`);
    }
    flags[key] = given ?? defaultOf(spec);
  }
  return { flags, given: new Set(values.keys()), args: parseArguments(argumentSpecs, positionals) };
};
