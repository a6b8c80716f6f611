// `opera down`: ends a local network that `opera up` runs. The data stays unless --purge says otherwise.
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { clearDefaultProfile } from '../config/default-profile.ts';
import { defaultHome } from '../config/environment.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { acquireFileLock, isSqliteBusy } from '../runtime/sqlite.ts';
import { destructiveFlags } from './_flags.ts';
import { readLocalFacts } from './_local-network.ts';
import { defineVerb } from './_verb.ts';

/** `up` gives its processes ten seconds; then it kills them. */
const patienceMs = 20_000;

/** True when nobody runs the network of this folder. */
const isFree = async (dir: string): Promise<boolean> => {
  try {
    (await acquireFileLock(join(dir, 'up.lock')))();
    return true;
  } catch (error) {
    if (isOperaError(error) && isSqliteBusy(error.cause)) return false;
    throw error;
  }
};

const waitFree = async (dir: string, clock: Clock, signal: AbortSignal): Promise<void> => {
  const deadline = clock.monotonicMs() + patienceMs;
  while (!(await isFree(dir))) {
    if (clock.monotonicMs() > deadline) {
      throw new OperaError('timeout', `the network in ${dir} did not end in time`, {
        hint: `Read the logs in ${join(dir, 'logs')}; its process id is in ${join(dir, 'up.json')}.`,
      });
    }
    await clock.sleep(100, { signal });
  }
};

export const command = defineVerb({
  examples: ['opera down', 'opera down --dir ./net', 'opera down --dir ./net --purge --yes'],
  flags: {
    dir: { type: 'path', placeholder: 'DIR', summary: 'the folder given to `opera up`' },
    purge: { type: 'boolean', summary: 'remove the data, keys and logs too' },
    ...destructiveFlags,
  },
  run: async ({ flags, env, userHome, io, signal, clock }) => {
    const dir = resolve(flags.dir ?? join(defaultHome(env, userHome), 'local'));
    const facts = await readLocalFacts(dir);
    if (!facts) {
      throw new OperaError('not-found', `no network was brought up in ${dir}`, {
        hint: 'Name its folder with --dir.',
      });
    }
    const free = await isFree(dir);
    if (flags.dryRun) {
      io.note(`would end network ${facts.network}${flags.purge ? ` and remove ${dir}` : ''}`);
      return;
    }
    if (flags.purge) {
      const question = `Remove network ${facts.network} in ${dir} with all its data and keys?`;
      await io.confirm(question);
    }
    if (!free) {
      process.kill(facts.pid, 'SIGTERM');
      await waitFree(dir, clock, signal);
    }
    io.note(free ? `network ${facts.network} was not running` : `network ${facts.network} ended`);
    if (flags.purge) {
      clearDefaultProfile(env, userHome, facts.profile);
      await rm(dir, { recursive: true, force: true });
      io.note(`removed ${dir}`);
    }
  },
});
