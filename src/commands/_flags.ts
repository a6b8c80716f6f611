// Flags that more than one verb knows: the global ones, those of verbs that destroy, and those that are settings.
// A flag whose name is a setting (--home, --registry, --listen …) overrides that setting: verbs read it from `config`.
// Spread the shared ones into a verb's own: `flags: { ...destructiveFlags, ...configFlags('listen', 'zone') }`.
import { type SettingName, settings } from '../config/settings.ts';
import type { FlagSpec, FlagSpecs } from './_verb.ts';

const typeOfSetting = {
  path: 'path',
  text: 'string',
  url: 'string',
  bytes: 'bytes',
  duration: 'duration',
} as const;

const configFlag = (name: SettingName): FlagSpec => {
  const { type, summary, ...rest } = settings[name];
  if (type === 'boolean') return { type, summary };
  const placeholder = 'placeholder' in rest ? { placeholder: rest.placeholder } : {};
  return { type: typeOfSetting[type], summary, ...placeholder };
};

/** Flags for settings; the value is read from `context.config`, which knows the other sources too. */
export const configFlags = <const Names extends readonly SettingName[]>(
  ...names: Names
): { readonly [Name in Names[number]]: FlagSpec } =>
  Object.fromEntries(names.map((name) => [name, configFlag(name)])) as { [Name in Names[number]]: FlagSpec };

/** Known to every verb, before it or behind it. */
export const globalFlags = {
  ...configFlags('home'),
  json: { type: 'boolean', summary: settings.json.summary },
  quiet: { type: 'boolean', short: 'q', summary: 'print ids or names only' },
  header: { type: 'boolean', summary: 'print a header line in a pipe too' },
  color: { type: 'boolean', negatable: true, summary: settings.color.summary },
  ...configFlags('timeout', 'debug'),
  help: { type: 'boolean', short: 'h', summary: 'show help' },
  version: { type: 'boolean', short: 'V', summary: 'show the version' },
} as const satisfies FlagSpecs;

/** Verbs that remove or overwrite: `io.confirm` asks on a terminal and wants --yes elsewhere. */
export const destructiveFlags = {
  dryRun: { type: 'boolean', short: 'n', summary: 'show what would be done, and do nothing' },
  yes: { type: 'boolean', short: 'y', summary: 'do not ask' },
} as const satisfies FlagSpecs;

/** All flags a verb understands; its own replace global ones of the same name. */
export const flagsOfVerb = (own: FlagSpecs, handlesSignals: boolean): FlagSpecs => {
  const { timeout, ...others } = globalFlags;
  return { ...others, ...(handlesSignals ? {} : { timeout }), ...own };
};
