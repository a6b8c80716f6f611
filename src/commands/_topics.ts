// Help topics: what does not belong to one verb. `opera help TOPIC`. Exit codes and settings come from their tables.
import { fieldNames, fieldTable } from '../index/fields.ts';
import { registryFileVariable, settingNames, settings, variableOf } from '../config/settings.ts';

export interface Topic {
  readonly summary: string;
  readonly lines: () => readonly string[];
}

const exitCodes: readonly (readonly [number, string])[] = [
  [0, 'ok'],
  [1, 'other failure'],
  [2, 'usage or configuration'],
  [3, 'not found'],
  [4, 'refused: identity or permission'],
  [5, 'temporary: a retry may help'],
  [6, 'partial: what failed is listed'],
  [7, 'integrity: hash, tag or signature'],
  [8, 'degraded: works, below target'],
  [9, 'nothing matched (with --fail-empty)'],
  [10, 'conflict, or exists already'],
  [11, 'no space or quota'],
  [124, 'timed out'],
  [130, 'interrupted (INT)'],
  [143, 'ended (TERM)'],
];

const table = (rows: readonly (readonly [string, string])[]): readonly string[] => {
  const width = rows.reduce((widest, [left]) => Math.max(widest, left.length), 0);
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
};

export const topics: Readonly<Record<string, Topic>> = Object.assign(Object.create(null) as Record<string, Topic>, {
  'exit-codes': {
    summary: 'what the exit codes mean',
    lines: () => table(exitCodes.map(([code, meaning]) => [String(code).padStart(3), meaning])),
  },
  environment: {
    summary: 'settings, variables and config files',
    lines: () => [
      'A flag goes before a variable, that before a config file, that before the',
      'default. `opera config view` shows each value and where it came from.',
      '',
      ...table(settingNames.map((name) => [variableOf(name), settings[name].summary])),
      ...table([[registryFileVariable, 'file (mode 0600) that holds the URL of the registry']]),
      '',
      'Config files are JSON objects with the same names in lower case:',
      '  HOME/config.json                   of the profile in use',
      '  ~/.config/opera/config.json        of the user ($XDG_CONFIG_HOME counts)',
      '',
      'The home is --home, OPERA_HOME, the default profile that `opera up` made, or',
      '~/.local/share/opera ($XDG_DATA_HOME counts).',
      'NO_COLOR, TERM=dumb and --no-color turn colour off; FORCE_COLOR turns it on.',
    ],
  },
  output: {
    summary: 'terminals, pipes, --json and -q',
    lines: () => [
      'Standard output carries data only; notes, progress and errors go to standard',
      'error.',
      '',
      '  terminal  tables, sizes in KiB and MiB, colour, progress',
      '  pipe      tab-separated values without header (--header adds it)',
      '  --json    one document for one answer, one object per line for lists; exact',
      '            bytes, RFC 3339 times in UTC, identifiers as strings, "v":1.',
      '            An error is one object {code, title, detail, hint, requestId}',
      '  -q        ids or names only',
      '',
      'Control and bidirectional characters in names are printed escaped.',
    ],
  },
  names: {
    summary: 'names of files, and globs over them',
    lines: () => [
      'A name has 1 to 1024 bytes of UTF-8 in parts between single slashes. It has no',
      'control characters and no part that is empty, `.` or `..`. Spellings that look',
      'the same (Unicode NFC) are the same name.',
      '',
      "Globs are ours, so quote them: opera ls 'survey/**/*.csv'",
      '',
      '  *        any characters within a part',
      '  ?        one character within a part',
      '  **       any number of parts',
      '  [a-z]    one of these; [!a-z] none of these',
      '  {a,b}    one or the other',
      '  \\x       x as it is',
      '',
      'An exact name goes before a glob. - is standard input or output.',
    ],
  },
  queries: {
    summary: 'the language of query, and the fields of star systems',
    lines: () => [
      '  mag < 6 and class = G and dist < 10pc     spectral_type = G2*',
      '  class in (K, M) or not hz                 mag between 4 and 6',
      '  has planets     mag is unknown            n_planets >= 3',
      "  name = 'alf CMa'                          find('HIP 70890')",
      '  cone(Sirius, 2deg)                        cone(101.3, -16.7, 30arcmin)',
      '  near(Sol, 10ly)                           box(350, -5, 10, 5)',
      '',
      'and binds closer than or; brackets group. A number may have a unit of its',
      'kind (pc ly au, deg arcmin arcsec, …); without one it is in the unit below.',
      'Texts with spaces stand in quotes; * at the end of a name or spectral type',
      'stands for the rest. A value that a record does not have is unknown: no',
      'comparison with it is true, nor is its opposite.',
      '',
      'Fields, with other words for them:',
      ...fieldNames.map((name) => {
        const { unit, also = [] } = fieldTable[name];
        return `  ${name.padEnd(16)} ${unit.padEnd(7)} ${also.join(', ')}`.trimEnd();
      }),
    ],
  },
  units: {
    summary: 'sizes and times',
    lines: () => [
      'Sizes: 1000, 64KiB, 1.5MiB, 10GiB (powers of 1024; so are 64k, 10G) and',
      '64KB, 10GB (powers of 1000).',
      'Times: 250ms, 60s, 5m, 1h30m, 7d, 2w.',
    ],
  },
} satisfies Record<string, Topic>);
