// What `up` keeps in the folder of a local network besides the homes of its members: `up.json` (what `up --json`
// prints), `up.lock` (held as long as it runs), `up.pid` (who holds it). And what of the folder is `up`'s to remove: it
// may have been a folder with other things in it, and those stay.
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { Role } from '../model/roles.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';
import { acquireFileLock, isSqliteBusy } from '../runtime/sqlite.ts';

export interface LocalProcess {
  readonly name: string;
  readonly role: Role;
  readonly id: string;
  readonly address: string;
  readonly pid: number;
  readonly folder: string;
  readonly log: string;
}

export interface LocalFacts {
  readonly v: 1;
  readonly network: string;
  readonly dir: string;
  readonly gateway: string;
  readonly join: string;
  readonly registry: string;
  readonly profile: string;
  /** Process that holds the others; signal this one. */
  readonly pid: number;
  readonly processes: readonly LocalProcess[];
}

const factsPath = (dir: string): string => join(dir, 'up.json');
const lockPath = (dir: string): string => join(dir, 'up.lock');
const pidPath = (dir: string): string => join(dir, 'up.pid');

/** Text of a file; undefined when there is none. ENOTDIR: the folder is a file, which who makes or needs it says. */
const readText = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
};

const isFacts = (value: unknown): value is LocalFacts => {
  if (typeof value !== 'object' || value === null) return false;
  const { v, network, registry, profile, processes } = value as Partial<LocalFacts>;
  const texts = [network, registry, profile].every((text) => typeof text === 'string');
  return v === 1 && texts && Array.isArray(processes);
};

/** What the last `up` of a folder wrote; undefined when there was none. `config` when it is damaged. */
export const readLocalFacts = async (dir: string): Promise<LocalFacts | undefined> => {
  const text = await readText(factsPath(dir));
  if (text === undefined) return undefined;
  let cause: unknown;
  try {
    const value: unknown = JSON.parse(text);
    if (isFacts(value)) return value;
  } catch (error) {
    cause = error;
  }
  throw new OperaError('config', `${factsPath(dir)} is damaged`, {
    cause,
    hint: 'Remove it, and bring the network up again, with --redis if it was in Redis',
  });
};

export const writeLocalFacts = (facts: LocalFacts): Promise<void> =>
  writeFileDurably(factsPath(facts.dir), `${JSON.stringify(facts, undefined, 2)}\n`, 0o600);

/** Takes the folder for this process until the answer is called; `exists` when another one holds it. */
export const holdFolder = async (dir: string): Promise<() => void> => {
  const release = await acquireFileLock(lockPath(dir)).catch((cause: unknown) => {
    if (!isOperaError(cause) || !isSqliteBusy(cause.cause)) throw cause;
    throw new OperaError('exists', `the network in ${dir} is up already`, {
      cause,
      hint: `End it with \`opera down --dir ${dir}\``,
    });
  });
  await writeFileDurably(pidPath(dir), `${process.pid}\n`, 0o600);
  return release;
};

/** True when a process holds the folder: its network runs, starts or ends. */
export const isHeld = async (dir: string): Promise<boolean> => {
  // Asking for a lock that nobody ever took would make it.
  if (!existsSync(lockPath(dir))) return false;
  try {
    (await acquireFileLock(lockPath(dir)))();
    return false;
  } catch (error) {
    if (isOperaError(error) && isSqliteBusy(error.cause)) return true;
    throw error;
  }
};

/** Asks the process that holds the folder to end. What `up.json` says may be of a process before it. */
export const signalHolder = async (dir: string): Promise<void> => {
  const pid = Number(await readText(pidPath(dir)));
  if (!Number.isSafeInteger(pid) || pid < 2) throw new OperaError('config', `${pidPath(dir)} is damaged`, { hint: '' });
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if (systemErrorCode(error) !== 'ESRCH') throw error;
  }
};

const ownNames = [
  /^registry\.db(-wal|-shm|\.damaged-.*)?$/,
  /^up\.(json|pid|lock(-journal)?)$/,
  /^(identity|logs|client|gateway|master|sentinel|node-\d+)$/,
];
const isOwn = (name: string): boolean => ownNames.some((own) => own.test(name));

/** Removes what `up` made, and the folder when nothing else is in it. Answers the names of what stays. */
export const removeNetwork = async (dir: string): Promise<readonly string[]> => {
  const names = await readdir(dir);
  for (const name of names) if (isOwn(name)) await rm(join(dir, name), { recursive: true, force: true });
  const others = names.filter((name) => !isOwn(name));
  if (others.length === 0) await rmdir(dir);
  return others;
};
