// `opera version`: the version of the program and of the runtime it uses. Touches neither network nor profile.
import { defineVerb } from './_verb.ts';

/** Set by the build from package.json. */
declare const OPERA_VERSION: string;

export const programVersion = (): string => OPERA_VERSION;

export const command = defineVerb({
  examples: ['opera version', 'opera version --json'],
  run: async ({ io }) => {
    const version = programVersion();
    const facts = { version, formats: 1, node: process.versions.node, platform: `${process.platform}-${process.arch}` };
    const lines = [`opera ${version}`, `formats 1, Node ${facts.node}, ${facts.platform}`];
    await io.document(facts, { id: version, lines });
  },
});
