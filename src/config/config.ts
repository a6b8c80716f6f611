// Puts the settings together: flag > OPERA_* variable > config file of the home > config file of the user > default,
// and remembers where each came from. Wrong values are `config` errors that name the origin and never the secret.
// Does not print: warnings are returned for the command line to show.
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { redactSecrets } from '../errors/redact.ts';
import { fromSystemError } from '../errors/system-error.ts';
import { nearest, nearestText } from '../model/nearest.ts';
import { parseByteSize, parseDuration } from '../model/units.ts';
import { readDefaultProfile } from './default-profile.ts';
import { defaultHome, type Environment, userConfigFile } from './environment.ts';
import { readSecretFile } from './secret-file.ts';
import {
  isSettingName,
  registryFileVariable,
  type SettingName,
  settingNames,
  settings,
  testVariablePrefix,
  variableOf,
} from './settings.ts';

export type SettingValue = string | number | boolean;

export interface Config {
  /** Absolute path of the profile's folder; it need not exist. */
  readonly home: string;
  /** May hold a password: never print it. */
  readonly registry: string | undefined;
  readonly listen: string | undefined;
  readonly advertise: string | undefined;
  readonly zone: string | undefined;
  /** Bytes. */
  readonly capacity: number | undefined;
  readonly storage: string | undefined;
  /** Name of a preset, unchecked: the role that uses it knows which there are. */
  readonly timing: string | undefined;
  readonly json: boolean;
  /** Undefined: as the output decides. */
  readonly color: boolean | undefined;
  /** Milliseconds. */
  readonly timeout: number | undefined;
  readonly debug: boolean;
  /** Where each setting came from, for people: `flag --home`, `OPERA_HOME`, the path of a file, `default`. */
  readonly origins: Readonly<Record<SettingName, string>>;
  readonly warnings: readonly string[];
}

export interface ConfigInput {
  /** Parsed flags by setting name; undefined means not given. Flags that are no settings are ignored. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Environment;
  readonly userHome: string;
}

interface Found {
  readonly value: SettingValue;
  readonly origin: string;
}
type Layer = ReadonlyMap<SettingName, Found>;

const expectations = {
  path: 'a path',
  text: 'a text',
  url: 'a URL',
  bytes: 'a size such as 10GiB',
  duration: 'a time such as 60s',
  boolean: 'true or false',
} as const;

const booleans: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  [true, true],
  [false, false],
  ['1', true],
  ['true', true],
  ['yes', true],
  ['on', true],
  ['0', false],
  ['false', false],
  ['no', false],
  ['off', false],
]);

const parseValue = (name: SettingName, value: unknown): SettingValue | undefined => {
  const { type } = settings[name];
  if (type === 'boolean') return booleans.get(typeof value === 'string' ? value.toLowerCase() : value);
  if (type === 'bytes' || type === 'duration') {
    if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
    if (typeof value !== 'string') return undefined;
    return type === 'bytes' ? parseByteSize(value) : parseDuration(value);
  }
  return typeof value === 'string' && value !== '' && !value.includes('\0') ? value : undefined;
};

/** `config view` could not tell more: it needs the settings, too. */
const correctIt = 'Correct it, or take it away';

const found = (name: SettingName, value: unknown, origin: string): Found => {
  const parsed = parseValue(name, value);
  if (parsed !== undefined) return { value: parsed, origin };
  const shown = typeof value === 'string' ? redactSecrets(JSON.stringify(value.slice(0, 80))) : typeof value;
  const message = `${name} must be ${expectations[settings[name].type]}, not ${shown} (${origin})`;
  throw new OperaError('config', message, { hint: correctIt });
};

const layerOfFlags = (flags: ConfigInput['flags']): Layer => {
  const layer = new Map<SettingName, Found>();
  for (const name of settingNames) {
    const value = flags[name];
    if (value !== undefined) layer.set(name, found(name, value, `flag --${value === false ? 'no-' : ''}${name}`));
  }
  return layer;
};

const layerOfEnvironment = (env: Environment): { readonly layer: Layer; readonly warnings: readonly string[] } => {
  const layer = new Map<SettingName, Found>();
  const known = new Set([...settingNames.map(variableOf), registryFileVariable]);
  for (const name of settingNames) {
    const value = env[variableOf(name)];
    if (value !== undefined) layer.set(name, found(name, value, variableOf(name)));
  }
  const file = env[registryFileVariable];
  if (file !== undefined) {
    if (layer.has('registry')) {
      throw new OperaError('config', `OPERA_REGISTRY and ${registryFileVariable} are both set; keep one of them`);
    }
    const url = readSecretFile(file, 'the registry file');
    layer.set('registry', found('registry', url, `${registryFileVariable} (${file})`));
  }
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith('OPERA_') && !known.has(name) && !name.startsWith(testVariablePrefix))
    .map((name) => `the variable ${name} is not known and has no effect${nearestText(name, known)}`);
  return { layer, warnings };
};

const readJsonObject = (file: string): Readonly<Record<string, unknown>> | undefined => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    const message = `the config file ${file} cannot be read`;
    throw new OperaError('config', fromSystemError(cause, message)?.message ?? message, { cause, hint: correctIt });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a password.
    throw new OperaError('config', `the config file ${file} is not valid JSON`, { hint: correctIt });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new OperaError('config', `the config file ${file} must hold a JSON object`, { hint: correctIt });
};

const layerOfFile = (file: string, allowHome: boolean): Layer => {
  const layer = new Map<SettingName, Found>();
  for (const [key, value] of Object.entries(readJsonObject(file) ?? {})) {
    if (!isSettingName(key)) {
      const meant = nearest(key, settingNames);
      const hint = meant ? `The nearest key is "${meant}"` : `The keys are ${settingNames.join(', ')}`;
      throw new OperaError('config', `the config file ${file} has an unknown key ${JSON.stringify(key)}`, { hint });
    }
    if (key === 'home' && !allowHome) {
      throw new OperaError('config', `the config file ${file} lies in a home and cannot name another one`);
    }
    layer.set(key, found(key, value, file));
  }
  const registry = layer.get('registry')?.value;
  if (typeof registry === 'string' && redactSecrets(registry) !== registry && (statSync(file).mode & 0o077) !== 0) {
    throw new OperaError('config', `the config file ${file} holds a password and can be read by others`, {
      hint: `Close it: chmod 600 ${file}`,
    });
  }
  return layer;
};

/** The home, which has two more sources: the pointer that `up` writes, and the default folder. */
const findHome = (layers: readonly Layer[], input: ConfigInput): Found & { readonly warnings: readonly string[] } => {
  for (const layer of layers) {
    const home = layer.get('home');
    if (home) return { value: resolve(String(home.value)), origin: home.origin, warnings: [] };
  }
  const { file, folder, gone } = readDefaultProfile(input.env, input.userHome);
  if (folder !== undefined) return { value: folder, origin: `default profile (${file})`, warnings: [] };
  const warnings = gone === undefined ? [] : [`the default profile ${gone} is gone (${file})`];
  return { value: defaultHome(input.env, input.userHome), origin: 'default', warnings };
};

/** Throws `config` for a wrong value, a broken config file or a secret file that others can read. */
export const loadConfig = (input: ConfigInput): Config => {
  const environment = layerOfEnvironment(input.env);
  const outer = [layerOfFlags(input.flags), environment.layer];
  const userFile = userConfigFile(input.env, input.userHome);
  const userLayer = layerOfFile(userFile, true);
  const home = findHome([...outer, userLayer], input);
  const homeFile = join(String(home.value), 'config.json');
  const layers = [...outer, ...(homeFile === userFile ? [] : [layerOfFile(homeFile, false)]), userLayer];
  const find = (name: SettingName): Found | undefined =>
    name === 'home' ? home : layers.find((layer) => layer.has(name))?.get(name);
  const text = (name: SettingName): string | undefined => {
    const value = find(name)?.value;
    return typeof value === 'string' ? value : undefined;
  };
  const number = (name: SettingName): number | undefined => {
    const value = find(name)?.value;
    return typeof value === 'number' ? value : undefined;
  };
  const boolean = (name: SettingName): boolean | undefined => {
    const value = find(name)?.value;
    return typeof value === 'boolean' ? value : undefined;
  };
  const origins = Object.fromEntries(settingNames.map((name) => [name, find(name)?.origin ?? 'default']));
  return {
    home: String(home.value),
    registry: text('registry'),
    listen: text('listen'),
    advertise: text('advertise'),
    zone: text('zone'),
    capacity: number('capacity'),
    storage: text('storage'),
    timing: text('timing'),
    json: boolean('json') ?? false,
    color: boolean('color'),
    timeout: number('timeout'),
    debug: boolean('debug') ?? false,
    origins: origins as Record<SettingName, string>,
    warnings: [...environment.warnings, ...home.warnings],
  };
};
