// The only reader of process.env: takes a copy once, which everything else receives as a plain record.
// An empty variable counts as unset, as the XDG and NO_COLOR conventions have it.
import { isAbsolute, join } from 'node:path';
import { registryFileVariable, variableOf } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A copy of the variables that are set and not empty. */
export const readEnvironment = (): Environment => {
  const copy: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && value !== '') copy[name] = value;
  }
  return copy;
};

/** An XDG folder of `opera`; relative values are ignored, as the XDG base directory specification demands. */
const xdgFolder = (value: string | undefined, fallback: string): string =>
  join(value !== undefined && isAbsolute(value) ? value : fallback, 'opera');

/** $XDG_DATA_HOME/opera or ~/.local/share/opera: the home when nothing else is said. */
export const defaultHome = (env: Environment, userHome: string): string =>
  xdgFolder(env.XDG_DATA_HOME, join(userHome, '.local', 'share'));

/** $XDG_CONFIG_HOME/opera/config.json or ~/.config/opera/config.json. */
export const userConfigFile = (env: Environment, userHome: string): string =>
  join(xdgFolder(env.XDG_CONFIG_HOME, join(userHome, '.config')), 'config.json');

/** `env` for a process that is told the registry's URL, or none: what this process was told does not go along. */
export const withRegistry = (env: Environment, url: string | undefined): Environment => {
  const told: readonly string[] = [variableOf('registry'), registryFileVariable];
  const rest = Object.entries(env).filter(([name]) => !told.includes(name));
  return Object.fromEntries(url === undefined ? rest : [...rest, [variableOf('registry'), url]]);
};
