// The front of the command line: finds the verb, parses strictly, loads the settings, runs, maps errors to exit codes.
//
// A verb is a file with `export const command = defineVerb({ examples, arguments, flags, run })` (see _verb.ts) and a
// row in _verbs.ts (name, section, summary, lazy import). Its `run` gets { args, flags, io, signal, clock, config }:
// print with `io` (see _output.ts), pass `signal` on, throw an OperaError for any exit but 0. Nothing else is needed;
// signals, closed pipes, --timeout, --json errors and flushing are done here.
import { OperaError } from '../errors/errors.ts';
import { redactSecrets } from '../errors/redact.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { isSettingName } from '../config/settings.ts';
import { formatDuration } from '../model/units.ts';
import { flagsOfVerb, globalFlags } from './_flags.ts';
import { type Host, processHost } from './_host.ts';
import { looksLikeFlag, nearestFlag, parseVerb, showToken, spellings } from './_parse.ts';
import type { ParsedVerb, Verb, VerbBase } from './_verb.ts';
import { findVerb, type FoundVerb, type GroupEntry, isGroup, type VerbTable, verbTable } from './_verbs.ts';
import { programVersion } from './version.ts';

/** After a signal, a verb that does not handle signals has this long to end before the process does. */
const endGraceMs = 5000;
/** After everything is flushed, a forgotten socket or an open standard input may hold the process no longer. */
const lingerMs = 1000;

interface Located {
  readonly words: readonly string[];
  /** All tokens but the words that name the verb. */
  readonly tokens: readonly string[];
}

/** Takes the first `count` words; the flags before and between them must be global ones. */
const locate = (args: readonly string[], count: (words: readonly string[]) => number): Located => {
  const known = spellings(globalFlags);
  const words: string[] = [];
  const tokens: string[] = [];
  let at = 0;
  while (at < args.length && words.length < count(words)) {
    const token = args[at++] ?? '';
    if (!looksLikeFlag(token)) {
      words.push(token);
      continue;
    }
    const spelling = token.startsWith('--') ? (token.split('=')[0] ?? token) : token.slice(0, 2);
    const flag = known.get(spelling);
    if (!flag) {
      const hint = 'Flags of a verb stand behind it: opera VERB --flag';
      const near = nearestFlag(spelling, known);
      throw new OperaError('usage', `unknown flag ${showToken(spelling)} before the verb${near}`, { hint });
    }
    tokens.push(token);
    const next = args[at];
    if (flag.spec.type !== 'boolean' && !token.includes('=') && next !== undefined && !looksLikeFlag(next)) {
      tokens.push(next);
      at += 1;
    }
  }
  return { words, tokens: [...tokens, ...args.slice(at)] };
};

/** Whether one of the spellings stands among the flags; exact, because no flag takes a value that looks like a flag. */
const asksFor = (args: readonly string[], ...wanted: readonly string[]): boolean => {
  const end = args.indexOf('--');
  return args.slice(0, end < 0 ? undefined : end).some((token) => wanted.includes(token));
};

const writeAll = (stream: Host['stdout'], text: string): Promise<void> =>
  new Promise((resolve) => {
    stream.once('error', () => resolve());
    stream.write(text, () => resolve());
  });

const isOn = (value: string | undefined): boolean => value === '1' || value?.toLowerCase() === 'true';

/** What a run came to: the exit code, and the error to print if any. */
interface Outcome {
  readonly exit: number;
  readonly error?: OperaError;
  readonly usage?: string;
  readonly json: boolean;
  readonly debug: boolean;
}

interface Prepared {
  readonly verb: Verb;
  readonly parsed: ParsedVerb;
  readonly config: Config;
}

const prepare = (verb: Verb, tokens: readonly string[], host: Host): Prepared => {
  const parsed = parseVerb(flagsOfVerb(verb.flags, verb.handlesSignals), verb.arguments, tokens);
  const given = [...parsed.given].filter(isSettingName).map((name) => [name, parsed.flags[name]] as const);
  const { env, userHome } = host;
  return { verb, parsed, config: loadConfig({ flags: Object.fromEntries(given), env, userHome }) };
};

/** Aborts `controller` on signals and the timeout; answers the first signal's exit code, and how to stop watching. */
const watchSignals = (host: Host, controller: AbortController, prepared: Prepared) => {
  const { verb, config } = prepared;
  let exit: number | undefined;
  const stops: (() => void)[] = [];
  const on = (name: 'SIGINT' | 'SIGTERM', code: number): void => {
    stops.push(
      host.onSignal(name, () => {
        if (exit !== undefined) return host.exit(code);
        exit = code;
        const message = name === 'SIGINT' ? 'interrupted' : 'ended by SIGTERM';
        controller.abort(new OperaError('aborted', message, { hint: '' }));
        if (!verb.handlesSignals) stops.push(host.clock.after(endGraceMs, () => host.exit(code)));
      }),
    );
  };
  on('SIGINT', 130);
  on('SIGTERM', 143);
  const { timeout } = config;
  if (timeout !== undefined && !verb.handlesSignals) {
    const late = new OperaError('timeout', `not done after ${formatDuration(timeout)}`);
    stops.push(host.clock.after(timeout, () => controller.abort(late)));
  }
  return {
    exitOfSignal: (): number | undefined => exit,
    stop: (): void => {
      for (const stop of stops) stop();
    },
  };
};

const runVerb = async (prepared: Prepared, host: Host): Promise<Outcome> => {
  const { verb, parsed, config } = prepared;
  const { flags } = parsed;
  const [{ Output }, { runCommand }, { toReportedError }] = await Promise.all([
    import('./_output.ts'),
    import('citty'),
    import('./_report.ts'),
  ]);
  const controller = new AbortController();
  const { signal } = controller;
  const options = {
    json: config.json,
    quiet: flags.quiet === true,
    header: flags.header === true,
    color: config.color,
    yes: flags.yes === true,
    outlivesReader: verb.handlesSignals,
  };
  const io = new Output(host, options, signal, () => {
    if (!verb.handlesSignals) controller.abort(new OperaError('aborted', 'the reader closed the pipe'));
  });
  const watch = watchSignals(host, controller, prepared);
  const base: VerbBase = { io, signal, config, clock: host.clock, env: host.env, userHome: host.userHome };
  const outcome = { json: config.json, debug: config.debug };
  let thrown: { readonly error: OperaError } | undefined;
  try {
    for (const warning of config.warnings) io.warn(warning);
    await runCommand(verb.command, { rawArgs: [], data: { ...parsed, ...base } });
    await io.flush();
  } catch (error) {
    await io.flush();
    thrown = { error: toReportedError(error, signal.reason) };
  } finally {
    watch.stop();
  }
  const ofSignal = watch.exitOfSignal();
  if (io.isPipeClosed && !verb.handlesSignals) return { ...outcome, exit: ofSignal ?? 0 };
  const failure = io.writeError ?? thrown?.error;
  if (failure)
    return { ...outcome, exit: failure.code === 'aborted' ? (ofSignal ?? failure.exit) : failure.exit, error: failure };
  return { ...outcome, exit: verb.handlesSignals ? 0 : (ofSignal ?? 0) };
};

interface FoundGroup {
  readonly path: string;
  readonly entry: GroupEntry;
}

const groupOf = (verbs: VerbTable, word: string): FoundGroup | undefined => {
  const entry = verbs[word];
  return entry && isGroup(entry) ? { path: word, entry } : undefined;
};

const versionOf = (json: boolean): readonly string[] => (json ? ['version', '--json'] : ['--version']);

/** How far the search for the verb came, for the usage line of an error. */
interface Trail {
  found?: FoundVerb;
  verb?: Verb;
  group?: FoundGroup;
}

/** Finds and runs what `args` ask for; throws what happens before a verb runs. */
const run = async (args: readonly string[], host: Host, verbs: VerbTable, trail: Trail): Promise<Outcome> => {
  const done: Outcome = { exit: 0, json: false, debug: false };
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    await writeAll(host.stdout, `opera ${programVersion()}\n`);
    return done;
  }
  const showHelp = async (words: readonly string[]): Promise<Outcome> => {
    const { helpFor } = await import('./_help.ts');
    await writeAll(host.stdout, `${(await helpFor(verbs, words)).join('\n')}\n`);
    return done;
  };
  const isHelp = args.find((token) => !looksLikeFlag(token)) === 'help';
  const wordsOf = ([word]: readonly string[]): number => (word !== undefined && groupOf(verbs, word) ? 2 : 1);
  const { words, tokens } = locate(args, isHelp ? () => args.length : wordsOf);
  const [first, second] = words;
  if (asksFor(args, '--version', '-V')) return run(versionOf(asksFor(args, '--json')), host, verbs, trail);
  if (isHelp) return showHelp(words.slice(1));
  if (asksFor(args, '--help', '-h')) return showHelp(words);
  if (first === undefined) {
    parseVerb(globalFlags, [], tokens);
    return showHelp([]);
  }
  const group = groupOf(verbs, first);
  if (group) trail.group = group;
  const found = findVerb(verbs, first, second);
  trail.found = found;
  if (isGroup(found.entry)) {
    const inner = Object.keys(found.entry.verbs).join(', ');
    throw new OperaError('usage', `${first} needs a sub-verb: ${inner}`);
  }
  const verb = await found.entry.load();
  trail.verb = verb;
  const prepared = prepare(verb, tokens, host);
  // Only clusters such as -qh come here; --help and -h were seen above.
  if (prepared.parsed.flags.help === true) return showHelp(words);
  const outcome = await runVerb(prepared, host);
  if (outcome.error?.code !== 'usage') return outcome;
  const { usageOf } = await import('./_help.ts');
  return { ...outcome, usage: usageOf(found.path, verb) };
};

/** As `run`, answering instead of throwing, so that there is one place that prints errors. */
const dispatch = async (args: readonly string[], host: Host, verbs: VerbTable): Promise<Outcome> => {
  const trail: Trail = {};
  try {
    return await run(args, host, verbs, trail);
  } catch (thrown) {
    const { toReportedError } = await import('./_report.ts');
    const error = toReportedError(thrown, undefined);
    const json = asksFor(args, '--json') || isOn(host.env.OPERA_JSON);
    const outcome = { exit: error.exit, error, json, debug: isOn(host.env.OPERA_DEBUG) };
    if (error.code !== 'usage') return outcome;
    const { overviewUsage, usageOf, usageOfGroup } = await import('./_help.ts');
    const { found, verb, group } = trail;
    if (found && verb) return { ...outcome, usage: usageOf(found.path, verb) };
    return { ...outcome, usage: group ? usageOfGroup(group.path, group.entry) : overviewUsage };
  }
};

/** Runs one command line in this process and sets its exit code. Never throws. */
export const runCommandLine = async (
  args: readonly string[],
  host: Host = processHost(),
  verbs: VerbTable = verbTable,
): Promise<void> => {
  // Other users of the machine see the title; a join code on argv stays in it no longer than this line takes.
  host.setTitle(['opera', ...args].map(redactSecrets).join(' '));
  const stopUncaught = host.onUncaught((error) => {
    void import('./_report.ts').then(({ renderError, toReportedError }) => {
      const options = { json: asksFor(args, '--json'), debug: isOn(host.env.OPERA_DEBUG) };
      host.stderr.write(renderError(toReportedError(error, undefined), options));
      host.exit(1);
    });
  });
  const { exit, error, ...shown } = await dispatch(args, host, verbs);
  const report = error && (await import('./_report.ts')).renderError(error, shown);
  // Written even when empty: notes and warnings before it must be out, too.
  await writeAll(host.stderr, report ?? '');
  host.setExitCode(exit);
  stopUncaught();
  host.clock.after(lingerMs, () => host.exit(exit));
};
