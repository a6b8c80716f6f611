// What `up` takes from the last `up` of its folder when the command line does not say it: how many nodes there are,
// and that the registry is in Redis. So a plain `opera up` brings back the network that was there and no other.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { systemErrorCode } from '../runtime/files.ts';
import { isRedisUrl } from './_compose.ts';
import { readLocalFacts } from './_local-folder.ts';

/** What was asked for; undefined is what was not said. */
export interface LocalWish {
  readonly dir: string;
  readonly nodes: number | undefined;
  readonly redis: string | undefined;
}

export interface LocalPlan {
  readonly nodes: number;
  /** Redis URL; the embedded registry when undefined. */
  readonly redis: string | undefined;
  readonly warnings: readonly string[];
}

const firstNodes = 3;

/** Nodes that an `up` of this folder ever made: their identities lie in it. */
const countMade = async (dir: string): Promise<number> => {
  const names = await readdir(join(dir, 'identity')).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return [];
    throw error;
  });
  return names.reduce((most, name) => Math.max(most, Number(/^node-(\d{1,4})$/.exec(name)?.[1] ?? 0)), 0);
};

const staysOff = (from: number, to: number): string => {
  const names = Array.from({ length: to - from + 1 }, (_, at) => `node-${from + at}`).join(', ');
  const starts = `opera up --nodes ${to} starts`;
  return from === to
    ? `${names} is in this folder too and stays off: ${starts} it`
    : `${names} are in this folder too and stay off: ${starts} them`;
};

/** Throws `config` when the registry is one whose password was not kept, and `up.json` cannot be read. */
export const recallNetwork = async (wish: LocalWish): Promise<LocalPlan> => {
  const { dir } = wish;
  const last = await readLocalFacts(dir);
  const nodes = wish.nodes ?? (last?.processes.filter(({ role }) => role === 'node').length || firstNodes);
  const made = await countMade(dir);
  const warnings = made > nodes ? [staysOff(nodes + 1, made)] : [];
  const kept = last && isRedisUrl(last.registry) ? last.registry : undefined;
  if (wish.redis === undefined && kept?.includes(':***@')) {
    throw new OperaError('config', `the registry of this network is ${kept}, and its password is not kept`, {
      hint: 'Name a file that holds the URL: OPERA_REGISTRY_FILE.',
    });
  }
  return { nodes, redis: wish.redis ?? kept, warnings };
};
