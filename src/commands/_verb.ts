// How a verb is declared: arguments, flags, examples and a function. The types of `args` and `flags` follow from the
// declaration. citty carries the command; its own parser is never shown the command line (it lets unknown flags,
// repeats and stray arguments pass), see _parse.ts. A verb does not print by itself: it uses `io`.
import { type CommandDef, defineCommand } from 'citty';
import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Output } from './_output.ts';

interface FlagBase {
  readonly summary: string;
  /** One letter: `j` makes `-j`. */
  readonly short?: string;
  /** What help shows for the value; upper case. */
  readonly placeholder?: string;
  /** Refuses the command line without it. */
  readonly required?: true;
  /** May be given more than once; the value is a list, empty when not given. */
  readonly repeatable?: true;
}

/** `--x`; with default true or `negatable` also `--no-x`. Negatable without default: undefined when not given. */
interface BooleanFlag {
  readonly type: 'boolean';
  readonly summary: string;
  readonly short?: string;
  readonly default?: true;
  readonly negatable?: true;
}
interface TextFlag extends FlagBase {
  readonly type: 'string' | 'path';
  readonly default?: string;
}
interface NumberFlag extends FlagBase {
  readonly type: 'number';
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
  /** Fractions are allowed only when this is false. */
  readonly integer?: false;
}
/** Durations are milliseconds, bytes are bytes; defaults are written as people write them. */
interface AmountFlag extends FlagBase {
  readonly type: 'duration' | 'bytes';
  readonly default?: string;
}
interface EnumFlag extends FlagBase {
  readonly type: 'enum';
  readonly options: readonly string[];
  readonly default?: string;
}

export type FlagSpec = BooleanFlag | TextFlag | NumberFlag | AmountFlag | EnumFlag;
/** Keys are camelCase: `ifAbsent` is `--if-absent`. */
export type FlagSpecs = Readonly<Record<string, FlagSpec>>;
export type FlagValue = string | number | boolean | readonly (string | number)[] | undefined;

export interface ArgumentSpec {
  /** Lower case; shown in upper case. */
  readonly name: string;
  readonly summary: string;
  /** May be left out; then undefined (or an empty list). */
  readonly optional?: true;
  /** Takes all that follow, one at least unless optional; only the last one. */
  readonly variadic?: true;
  /** The only values allowed. */
  readonly options?: readonly string[];
}
export type ArgumentValue = string | readonly string[] | undefined;

type Single<F> = F extends { options: readonly (infer Option)[] }
  ? Option
  : F extends { type: 'string' | 'path' }
    ? string
    : number;
type FlagOf<F> = F extends { type: 'boolean' }
  ? F extends { negatable: true }
    ? F extends { default: true }
      ? boolean
      : boolean | undefined
    : boolean
  : F extends { repeatable: true }
    ? readonly Single<F>[]
    : F extends { default: string | number } | { required: true }
      ? Single<F>
      : Single<F> | undefined;
type ArgumentOf<A> = A extends { variadic: true }
  ? readonly string[]
  : A extends { options: readonly (infer Option)[] }
    ? A extends { optional: true }
      ? Option | undefined
      : Option
    : A extends { optional: true }
      ? string | undefined
      : string;

export type FlagsOf<F extends FlagSpecs> = { readonly [Key in keyof F]: FlagOf<F[Key]> };
export type ArgumentsOf<A extends readonly ArgumentSpec[]> = {
  readonly [Item in A[number] as Item['name']]: ArgumentOf<Item>;
};

/** What every verb gets besides its own arguments and flags. */
export interface VerbBase {
  readonly io: Output;
  /** Aborts on SIGINT, SIGTERM, the timeout and a closed standard output; its reason is an OperaError. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly config: Config;
  readonly env: Environment;
  /** The user's home folder, for the default profile. */
  readonly userHome: string;
}

export interface VerbContext<F extends FlagSpecs, A extends readonly ArgumentSpec[]> extends VerbBase {
  readonly args: ArgumentsOf<A>;
  readonly flags: FlagsOf<F>;
}

export interface VerbSpec<F extends FlagSpecs, A extends readonly ArgumentSpec[]> {
  /** Command lines as one would type them, the commonest first; `# …` behind one explains it. */
  readonly examples: readonly [string, ...string[]];
  readonly arguments?: A;
  readonly flags?: F;
  /** Paragraphs shown below the examples. */
  readonly details?: string;
  /** Shown instead of the usage line made from the declaration. */
  readonly usage?: string;
  /**
   * The verb ends by itself, with its own outcome, after `signal` aborted: daemons and `up`. Others are ended with 130
   * or 143. A verb that handles signals runs until told to stop, so it has no --timeout.
   */
  readonly handlesSignals?: true;
  /** Returning is exit 0; any other exit is a thrown OperaError. */
  readonly run: (context: VerbContext<F, A>) => Promise<void>;
}

/** What the parser hands over; the declaration guarantees that the types fit. */
export interface ParsedVerb {
  readonly args: Readonly<Record<string, ArgumentValue>>;
  readonly flags: Readonly<Record<string, FlagValue>>;
  /** Keys of the flags that stood on the command line; the others have their defaults. */
  readonly given: ReadonlySet<string>;
}

/** A declared verb, as the front, the help and the completion see it. */
export interface Verb {
  readonly examples: readonly string[];
  readonly arguments: readonly ArgumentSpec[];
  readonly flags: FlagSpecs;
  readonly details: string | undefined;
  readonly usage: string | undefined;
  readonly handlesSignals: boolean;
  /** Run by citty with `data` = ParsedVerb & VerbBase. */
  readonly command: CommandDef;
}

export const defineVerb = <const F extends FlagSpecs = {}, const A extends readonly ArgumentSpec[] = readonly []>(
  spec: VerbSpec<F, A>,
): Verb => ({
  examples: spec.examples,
  arguments: spec.arguments ?? [],
  flags: spec.flags ?? {},
  details: spec.details,
  usage: spec.usage,
  handlesSignals: spec.handlesSignals ?? false,
  command: defineCommand({ run: ({ data }) => spec.run(data as VerbContext<F, A>) }),
});

/** `ifAbsent` → `if-absent`. */
export const flagName = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Whether `--no-x` is known. */
export const isNegatable = (spec: FlagSpec): boolean =>
  spec.type === 'boolean' && (spec.negatable === true || spec.default === true);
