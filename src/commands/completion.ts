// `opera completion bash|zsh|fish`: a completion script made from the declarations of all verbs, so that it knows
// exactly what the parser knows. The script is static: it never calls opera and never touches the network.
import { flagsOfVerb } from './_flags.ts';
import { spellings } from './_parse.ts';
import { type FlagSpecs, flagName, isNegatable, type Verb, defineVerb } from './_verb.ts';
import { isGroup, verbTable } from './_verbs.ts';

interface Leaf {
  /** `token create` */
  readonly path: string;
  readonly flags: FlagSpecs;
  /** Fixed values of the arguments. */
  readonly values: readonly string[];
}

interface Program {
  readonly leaves: readonly Leaf[];
  /** Words that can follow a path: '' for the verbs, `token` for its sub-verbs. */
  readonly words: readonly (readonly [path: string, words: readonly (readonly [word: string, summary: string])[]])[];
}

const leafOf = (path: string, verb: Verb): Leaf => ({
  path,
  flags: flagsOfVerb(verb.flags, verb.handlesSignals),
  values: verb.arguments.flatMap(({ options }) => options ?? []),
});

const loadProgram = async (): Promise<Program> => {
  const leaves: Leaf[] = [];
  const groups: [string, readonly (readonly [string, string])[]][] = [];
  for (const [name, entry] of Object.entries(verbTable)) {
    if (!isGroup(entry)) {
      leaves.push(leafOf(name, await entry.load()));
      continue;
    }
    const inner = Object.entries(entry.verbs);
    groups.push([name, inner.map(([word, { summary }]) => [word, summary] as const)]);
    for (const [word, { load }] of inner) leaves.push(leafOf(`${name} ${word}`, await load()));
  }
  const first = Object.entries(verbTable).map(([name, { summary }]) => [name, summary] as const);
  return { leaves, words: [['', [...first, ['help', 'help about a verb or a topic']]], ...groups] };
};

/** Inside single quotes of a POSIX shell. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const bashScript = ({ leaves, words }: Program): readonly string[] => {
  const takingValue = new Set(
    leaves.flatMap(({ flags }) =>
      [...spellings(flags)].filter(([, { spec }]) => spec.type !== 'boolean').map(([name]) => name),
    ),
  );
  const groupNames = words.map(([path]) => path).filter((path) => path !== '');
  return [
    '_opera() {',
    '  local cur prev path word i choices',
    '  cur="${COMP_WORDS[COMP_CWORD]}"',
    '  prev="${COMP_WORDS[COMP_CWORD-1]}"',
    '  path=""',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    '    word="${COMP_WORDS[i]}"',
    '    case "$word" in',
    ...(takingValue.size === 0 ? [] : [`      ${[...takingValue].join('|')}) i=$((i + 1)); continue ;;`]),
    '      -*) continue ;;',
    '    esac',
    '    case "$path" in',
    '      "") path="$word" ;;',
    ...(groupNames.length === 0 ? [] : [`      ${groupNames.join('|')}) path="$path $word" ;;`]),
    '    esac',
    '  done',
    '  choices=""',
    '  case "$path:$prev" in',
    ...leaves.flatMap(({ path, flags }) =>
      [...spellings(flags)].flatMap(([spelling, { spec }]) =>
        spec.type === 'enum'
          ? [`    ${quote(`${path}:${spelling}`)}) choices=${quote(spec.options.join(' '))} ;;`]
          : [],
      ),
    ),
    '  esac',
    '  if [[ -z "$choices" ]]; then',
    '    case "$path" in',
    ...words.map(([path, list]) => `      ${quote(path)}) choices=${quote(list.map(([word]) => word).join(' '))} ;;`),
    ...leaves.map(({ path, flags, values }) => {
      const ofFlags = `[[ "$cur" == -* ]] && choices=${quote([...spellings(flags).keys()].join(' '))}`;
      const ofValues = values.length === 0 ? '' : ` || choices=${quote(values.join(' '))}`;
      return `      ${quote(path)}) ${ofFlags}${ofValues} ;;`;
    }),
    '    esac',
    '  fi',
    '  COMPREPLY=()',
    '  [[ -n "$choices" ]] && COMPREPLY=($(compgen -W "$choices" -- "$cur"))',
    '  return 0',
    '}',
    'complete -o default -F _opera opera',
  ];
};

const fishScript = ({ leaves, words }: Program): readonly string[] => {
  const condition = (path: string): string => {
    const [first = '', second] = path.split(' ');
    if (path === '') return '__fish_use_subcommand';
    const seen = `__fish_seen_subcommand_from ${first}`;
    return second === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${second}`;
  };
  return [
    ...words.flatMap(([path, list]) => {
      const open =
        path === ''
          ? condition('')
          : `${condition(path)}; and not __fish_seen_subcommand_from ${list.map(([word]) => word).join(' ')}`;
      return list.map(
        ([word, summary]) => `complete -c opera -f -n ${quote(open)} -a ${quote(word)} -d ${quote(summary)}`,
      );
    }),
    ...leaves.flatMap(({ path, flags, values }) => [
      ...values.map((value) => `complete -c opera -f -n ${quote(condition(path))} -a ${quote(value)}`),
      ...Object.entries(flags).flatMap(([key, spec]) => {
        const short = spec.short ? ` -s ${spec.short}` : '';
        const value =
          spec.type === 'boolean' ? '' : spec.type === 'enum' ? ` -x -a ${quote(spec.options.join(' '))}` : ' -r';
        const head = `complete -c opera -n ${quote(condition(path))}`;
        const negative = isNegatable(spec)
          ? [`${head} -l ${quote(`no-${flagName(key)}`)} -d ${quote(`not: ${spec.summary}`)}`]
          : [];
        return [`${head} -l ${quote(flagName(key))}${short}${value} -d ${quote(spec.summary)}`, ...negative];
      }),
    ]),
  ];
};

const zshPrelude = ['#compdef opera', 'autoload -U +X bashcompinit && bashcompinit'];

export const command = defineVerb({
  examples: [
    'source <(opera completion bash)      # in ~/.bashrc',
    'source <(opera completion zsh)       # in ~/.zshrc, after compinit',
    'opera completion fish > ~/.config/fish/completions/opera.fish',
  ],
  arguments: [{ name: 'shell', summary: 'the shell to make it for', options: ['bash', 'zsh', 'fish'] }],
  run: async ({ io, args }) => {
    const program = await loadProgram();
    const script = {
      bash: () => bashScript(program),
      zsh: () => [...zshPrelude, ...bashScript(program)],
      fish: () => fishScript(program),
    }[args.shell];
    for (const line of script()) await io.line(line);
  },
});
