// The table of settings: name, type, default, and what each one means. One row serves the flag, the OPERA_* variable,
// the key of the config file, `config view` and the help, so that they cannot differ.
// A setting that only one verb knows is a flag of that verb and does not stand here.

export type SettingType = 'path' | 'text' | 'url' | 'bytes' | 'duration' | 'boolean';

interface Setting {
  readonly type: SettingType;
  readonly summary: string;
  /** Shown in help for the value of the flag. */
  readonly placeholder?: string;
  /** May hold a password: shown redacted, and refused on the command line when it does. */
  readonly secret?: boolean;
}

export const settings = {
  home: { type: 'path', placeholder: 'DIR', summary: 'folder of the profile to use' },
  registry: { type: 'url', placeholder: 'URL', secret: true, summary: 'address of the registry' },
  listen: { type: 'text', placeholder: 'HOST:PORT', summary: 'address to listen on' },
  advertise: { type: 'text', placeholder: 'HOST:PORT', summary: 'address that others should dial' },
  zone: { type: 'text', placeholder: 'ZONE', summary: 'failure zone of the machine' },
  capacity: { type: 'bytes', placeholder: 'SIZE', summary: 'size of a node, which sets its share; no limit' },
  storage: { type: 'text', placeholder: 'KIND', summary: 'sqlite, memory or the path of an adapter' },
  timing: { type: 'text', placeholder: 'PRESET', summary: 'how long silence may last: local, lan or wide' },
  json: { type: 'boolean', summary: 'print JSON, one document or one object per line' },
  color: { type: 'boolean', summary: 'use colour (otherwise when standard output is a terminal)' },
  timeout: { type: 'duration', placeholder: 'TIME', summary: 'give up after this long, as in 60s' },
  debug: { type: 'boolean', summary: 'show the stack of unexpected errors' },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

export const settingNames = Object.keys(settings) as readonly SettingName[];

export const isSettingName = (name: string): name is SettingName => Object.hasOwn(settings, name);

export const isSecretSetting = (name: SettingName): boolean => (settings[name] as Setting).secret === true;

/** The variable of a setting: OPERA_HOME. */
export const variableOf = (name: SettingName): string => `OPERA_${name.toUpperCase()}`;

/** Names a file that holds the registry's URL, so that a password stands neither on argv nor in the environment. */
export const registryFileVariable = 'OPERA_REGISTRY_FILE';

/** Variables with this prefix belong to the tests; they are not settings and not warned about. */
export const testVariablePrefix = 'OPERA_TEST_';
