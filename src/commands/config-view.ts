// `opera config view`: every setting with its value and where it came from.
// A secret is shown redacted, in every format.
import { redactSecrets } from '../errors/redact.ts';
import { isSecretSetting, type SettingName, settingNames, settings } from '../config/settings.ts';
import type { Cell } from './_table.ts';
import { defineVerb } from './_verb.ts';

export const command = defineVerb({
  examples: ['opera config view', 'opera config view --json', 'OPERA_ZONE=attic opera config view'],
  details:
    'A flag goes before a variable OPERA_*, that before the config file of the home, that before the one of the user.',
  run: async ({ io, config }) => {
    const valueOf = (name: SettingName): Cell => {
      const value = config[name];
      return isSecretSetting(name) && typeof value === 'string' ? redactSecrets(value) : value;
    };
    await io.table(
      [
        { key: 'setting', id: true, value: (name: SettingName) => name },
        { key: 'value', value: valueOf },
        { key: 'origin', value: (name) => config.origins[name] },
        { key: 'meaning', value: (name) => settings[name].summary },
      ],
      settingNames,
    );
  },
});
