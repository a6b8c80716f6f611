// Help, made from the declarations: examples first, then usage, arguments and flags; plain text of at most 80 columns,
// on standard output, exit 0. The overview needs no verb's code.
import { OperaError } from '../errors/errors.ts';
import { nearestText } from '../model/nearest.ts';
import { flagsOfVerb, globalFlags } from './_flags.ts';
import { placeholderOf, showToken } from './_parse.ts';
import { wrapText } from './_text.ts';
import { topics } from './_topics.ts';
import { type ArgumentSpec, type FlagSpec, type FlagSpecs, flagName, type Verb } from './_verb.ts';
import { type Entry, findVerb, type GroupEntry, isGroup, sections, type VerbTable } from './_verbs.ts';

const columnsMax = 80;
/** Where descriptions begin; longer left sides put theirs on the next line. */
const descriptionColumn = 26;

const described = (left: string, description: string): readonly string[] => {
  const indent = ' '.repeat(descriptionColumn);
  const lines = wrapText(description, columnsMax - descriptionColumn);
  const head = `  ${left}`;
  if (head.length + 2 > descriptionColumn) return [head, ...lines.map((line) => indent + line)];
  return lines.map((line, index) => (index === 0 ? head.padEnd(descriptionColumn) : indent) + line);
};

const flagHead = (key: string, spec: FlagSpec): string => {
  const both = spec.type === 'boolean' && spec.negatable === true;
  const onlyNo = spec.type === 'boolean' && spec.default === true;
  const long = `--${both ? '[no-]' : onlyNo ? 'no-' : ''}${flagName(key)}`;
  const value = placeholderOf(key, spec);
  return `${spec.short ? `-${spec.short}, ` : '    '}${long}${value === '' ? '' : ` ${value}`}`;
};

const flagDescription = (spec: FlagSpec): string => {
  // A flag that is on unless --no-… is given.
  if (spec.type === 'boolean') return spec.default === true ? `do not ${spec.summary}` : spec.summary;
  const options = spec.type === 'enum' && spec.placeholder !== undefined ? `: ${spec.options.join(', ')}` : '';
  const byDefault = spec.default === undefined ? '' : ` (default ${spec.default})`;
  const required = spec.required ? ' (required)' : '';
  return `${spec.summary}${options}${byDefault}${required}${spec.repeatable ? '; may be repeated' : ''}`;
};

const flagLines = (specs: FlagSpecs): readonly string[] =>
  Object.entries(specs).flatMap(([key, spec]) => described(flagHead(key, spec), flagDescription(spec)));

const argumentUsage = (spec: ArgumentSpec): string => {
  const name = `${spec.options ? spec.options.join('|') : spec.name.toUpperCase()}${spec.variadic ? '…' : ''}`;
  return spec.optional ? `[${name}]` : name;
};

/** `opera put [FLAGS] FILE…`; required flags stand in it. */
export const usageOf = (path: string, verb: Verb): string => {
  if (verb.usage !== undefined) return verb.usage;
  const required = Object.entries(verb.flags)
    .filter(([, spec]) => spec.type !== 'boolean' && spec.required)
    .map(([key, spec]) => `--${flagName(key)} ${placeholderOf(key, spec)}`);
  return ['opera', path, ...required, '[FLAGS]', ...verb.arguments.map(argumentUsage)].join(' ');
};

export const usageOfGroup = (path: string, entry: GroupEntry): string =>
  `opera ${path} ${Object.keys(entry.verbs).join('|')} …`;

export const overviewUsage = 'opera VERB [FLAGS] [ARGUMENTS]; all verbs: opera help';

const wrapExample = (example: string): string => `  ${example}`;

/** Help of one verb. */
const verbHelp = (path: string, summary: string, verb: Verb): readonly string[] => {
  const known = flagsOfVerb(verb.flags, verb.handlesSignals);
  const global = Object.fromEntries(
    Object.entries(globalFlags).filter(([key]) => key in known && !Object.hasOwn(verb.flags, key)),
  );
  return [
    ...wrapText(`opera ${path}: ${summary}`, columnsMax),
    '',
    'Examples:',
    ...verb.examples.map(wrapExample),
    '',
    ...(verb.details === undefined
      ? []
      : verb.details.split(/\n\s*\n/).flatMap((text) => [...wrapText(text, columnsMax), ''])),
    `Usage: ${usageOf(path, verb)}`,
    ...(verb.arguments.length === 0 ? [] : ['', 'Arguments:']),
    ...verb.arguments.flatMap((spec) => described(spec.name.toUpperCase(), spec.summary)),
    ...(Object.keys(verb.flags).length === 0 ? [] : ['', 'Flags:']),
    ...flagLines(verb.flags),
    '',
    'Flags of every verb:',
    ...flagLines(global),
  ];
};

const entryLines = (entries: readonly (readonly [string, Entry])[]): readonly string[] =>
  entries.flatMap(([name, entry]) => {
    const left = isGroup(entry) ? `${name} ${Object.keys(entry.verbs).join('|')}` : name;
    return described(left, entry.summary);
  });

const groupHelp = async (path: string, entry: GroupEntry): Promise<readonly string[]> => [
  `opera ${path}: ${entry.summary}`,
  '',
  'Examples:',
  ...(await Promise.all(Object.values(entry.verbs).map((inner) => inner.load()))).map(({ examples }) =>
    wrapExample(examples[0] ?? ''),
  ),
  '',
  `Usage: ${usageOfGroup(path, entry)}`,
  '',
  ...Object.entries(entry.verbs).flatMap(([name, { summary }]) => described(`${path} ${name}`, summary)),
  '',
  `More: opera help ${path} ${Object.keys(entry.verbs)[0] ?? ''}`,
];

const overviewExamples: readonly (readonly [needs: string, line: string])[] = [
  ['up', 'opera up                          # a whole network on this machine'],
  ['put', 'opera put survey.csv              # put a file in'],
  ['query', "opera query 'dist < 10pc' --limit 5"],
  ['get', 'opera get survey.csv -o copy.csv'],
  ['explain', 'opera explain write-quorum        # what an error means'],
];

/** Help of the program: examples, verbs by section, global flags, topics. */
const overview = (verbs: VerbTable): readonly string[] => {
  const entries = Object.entries(verbs);
  return [
    'opera: a private network of machines that keep data about star systems',
    '',
    'Examples:',
    ...overviewExamples.filter(([needs]) => needs in verbs).map(([, line]) => wrapExample(line)),
    '',
    'Usage: opera VERB [FLAGS] [ARGUMENTS]',
    ...sections.flatMap((section) => {
      const lines = entryLines(entries.filter(([, entry]) => entry.section === section));
      return lines.length === 0 ? [] : ['', `${section}:`, ...lines];
    }),
    ...described('help VERB|TOPIC', `more about a verb, or about ${Object.keys(topics).join(', ')}`),
    '',
    'Flags of every verb:',
    ...flagLines(globalFlags),
  ];
};

/** `opera help WORDS…`: the program, a verb, a group or a topic. Throws `usage` for anything else. */
export const helpFor = async (verbs: VerbTable, words: readonly string[]): Promise<readonly string[]> => {
  const [first, second, ...rest] = words;
  if (first === undefined) return overview(verbs);
  const topic = topics[first];
  if (topic && !verbs[first]) return [`${first}: ${topic.summary}`, '', ...topic.lines()];
  const known = [...Object.keys(verbs), ...Object.keys(topics)];
  if (!verbs[first]) {
    const shown = JSON.stringify(showToken(first));
    throw new OperaError('usage', `there is no help about ${shown}${nearestText(first, known)}`);
  }
  const { path, entry } = findVerb(verbs, first, second);
  const stray = isGroup(entry) || path.includes(' ') ? rest[0] : second;
  if (stray !== undefined) throw new OperaError('usage', `unexpected argument ${JSON.stringify(showToken(stray))}`);
  return isGroup(entry) ? groupHelp(path, entry) : verbHelp(path, entry.summary, await entry.load());
};
