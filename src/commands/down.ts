// `opera down`: ends a local network that `opera up` runs. The data stays unless --purge says otherwise.
import { join, resolve } from 'node:path';
import { clearDefaultProfile } from '../config/default-profile.ts';
import { defaultHome } from '../config/environment.ts';
import { OperaError } from '../errors/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { destructiveFlags } from './_flags.ts';
import { isHeld, readLocalFacts, removeNetwork, signalHolder } from './_local-folder.ts';
import { defineVerb } from './_verb.ts';

/** `up` gives its processes ten seconds; then it kills them. */
const patienceMs = 20_000;

const waitFree = async (dir: string, clock: Clock, signal: AbortSignal): Promise<void> => {
  const deadline = clock.monotonicMs() + patienceMs;
  while (await isHeld(dir)) {
    if (clock.monotonicMs() > deadline) {
      throw new OperaError('timeout', `the network in ${dir} did not end in time`, {
        hint: `Read the logs in ${join(dir, 'logs')}; its process id is in ${join(dir, 'up.pid')}`,
      });
    }
    await clock.sleep(100, { signal });
  }
};

const shownMax = 5;

export const command = defineVerb({
  examples: ['opera down', 'opera down --dir ./net', 'opera down --dir ./net --purge --yes'],
  flags: {
    dir: { type: 'path', placeholder: 'DIR', summary: 'the folder given to `opera up`' },
    purge: { type: 'boolean', summary: 'remove its data, keys and logs too; other files in the folder stay' },
    ...destructiveFlags,
  },
  run: async ({ flags, env, userHome, io, signal, clock }) => {
    const dir = resolve(flags.dir ?? join(defaultHome(env, userHome), 'local'));
    const held = await isHeld(dir);
    const facts = await readLocalFacts(dir);
    if (!facts && !held) {
      throw new OperaError('not-found', `no network was brought up in ${dir}`, { hint: 'Name its folder with --dir' });
    }
    const name = facts ? `network ${facts.network}` : `the network in ${dir} that is coming up`;
    if (flags.dryRun) {
      io.note(`would end ${name}${flags.purge ? ` and remove it from ${dir}` : ''}`);
      return;
    }
    if (flags.purge) await io.confirm(`Remove ${name} in ${dir} with all its data and keys?`);
    if (held) {
      await signalHolder(dir);
      await waitFree(dir, clock, signal);
    }
    io.note(held ? `${name} ended` : `${name} was not running`);
    if (flags.purge) {
      if (facts) clearDefaultProfile(env, userHome, facts.profile);
      const others = await removeNetwork(dir);
      const shown = `${others.slice(0, shownMax).join(', ')}${others.length > shownMax ? ' …' : ''}`;
      io.note(others.length === 0 ? `removed ${dir}` : `removed it from ${dir}; what is not of \`up\` stays: ${shown}`);
    }
  },
});
