// The verbs that run a role: gateway, master, sentinel, node. They differ in the role and in a few flags only.
import type { Role } from '../model/roles.ts';
import { configFlags } from './_flags.ts';
import { serveRole } from './_serve.ts';
import { defineVerb, type Verb } from './_verb.ts';

type ServedRole = Extract<Role, 'gateway' | 'master' | 'sentinel' | 'node'>;

const details: Readonly<Record<ServedRole, string>> = {
  gateway:
    'The door of a network: admits members, signs the roster, passes requests on to masters. `opera init` makes the ' +
    'first one; further ones join with a code. Two listeners: one for joining, one for members.',
  master:
    'Plans placement, takes the steps that change names, lists data. Run several: one leads. It holds no keys. It ' +
    'needs the same registry as the gateways.',
  sentinel:
    'Probes members, agrees with the other sentinels and writes what they agree on to the registry. Run one, or ' +
    'three. It holds no keys.',
  node:
    'Stores sealed chunks in its home, serves them and replicates. SIGTERM lets requests end; a second one ends at ' +
    'once.',
};

const settingsOf: Readonly<Record<ServedRole, readonly ('registry' | 'capacity' | 'storage' | 'timing')[]>> = {
  gateway: ['registry'],
  master: ['registry', 'timing'],
  sentinel: ['registry', 'timing'],
  node: ['capacity', 'storage'],
};

export const defineRoleVerb = (role: ServedRole): Verb =>
  defineVerb({
    examples: [
      `opera ${role} --home DIR --join opera1.…@10.0.0.1:7000`,
      `opera ${role} --home DIR --join-file CODE.txt --listen 10.0.0.2:7100`,
      `opera ${role} --home DIR`,
    ],
    details: details[role],
    handlesSignals: true,
    flags: {
      join: { type: 'string', placeholder: 'CODE', summary: 'join code; needed the first time only' },
      joinFile: { type: 'path', placeholder: 'FILE', summary: 'file that holds the join code, - for stdin' },
      identity: { type: 'path', placeholder: 'DIR', summary: 'folder of keys (default: HOME/identity)' },
      ...(role === 'gateway'
        ? {
            joinListen: {
              type: 'string',
              placeholder: 'HOST:PORT',
              summary: 'where strangers join (default: a free port, kept)',
            } as const,
          }
        : {}),
      ...configFlags('listen', 'advertise', 'zone', ...settingsOf[role]),
    },
    run: async ({ flags, config, io, signal }) => {
      await serveRole({
        role,
        config,
        io,
        signal,
        join: flags.join,
        joinFile: flags.joinFile,
        joinListen: 'joinListen' in flags && typeof flags.joinListen === 'string' ? flags.joinListen : undefined,
        identity: flags.identity,
      });
    },
  });
