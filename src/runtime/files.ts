// Files that must survive a power cut, and files that nobody else may read.
// Invariant: a durable write is whole or absent: temporary file, fsync, rename, fsync of the folder, in this order;
// a reader never sees half of it. Secret files are refused when others could have read them.
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { constants, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OperaError } from '../errors/errors.ts';

/** The system's code of a failed call (`ENOENT`, `ENOSPC` …); undefined for anything else. */
export const systemErrorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Bytes [from, to) of a file, at once; undefined when it is not there, is shorter, or cannot be read. */
export const readFilePart = (path: string, from: number, to: number): Uint8Array | undefined => {
  let opened: number | undefined;
  try {
    opened = openSync(path, 'r');
    const bytes = new Uint8Array(to - from);
    return readSync(opened, bytes, 0, bytes.length, from) === bytes.length ? bytes : undefined;
  } catch {
    return undefined;
  } finally {
    if (opened !== undefined) closeSync(opened);
  }
};

/** Makes renames and new names in `folder` survive a power cut. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** No write takes so long: what is older was left by a process that was killed. */
const leftoverAgeMs = 3_600_000;

/** Removes temporary files of earlier writes of `path`, by the clock of the file system. Never fails a write. */
const removeLeftovers = async (path: string, nowMs: number): Promise<void> => {
  const folder = dirname(path);
  const begin = `.${basename(path)}.`;
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(begin) || !/^[0-9a-f]{16}\.tmp$/.test(name.slice(begin.length))) continue;
    const leftover = join(folder, name);
    const madeMs = await stat(leftover).then(
      ({ mtimeMs }) => mtimeMs,
      () => nowMs,
    );
    if (nowMs - madeMs > leftoverAgeMs) await rm(leftover, { force: true }).catch(() => undefined);
  }
};

/**
 * Creates or replaces `path` with `bytes`, durably. `mode` such as 0o600 is set before the first byte is written.
 * Concurrent writers do not mix: the last rename wins. On error (`no-space` or the system's own) the old file stays.
 * What a killed process left of such a write of `path` is removed once it is an hour old.
 */
export const writeFileDurably = async (path: string, bytes: Uint8Array | string, mode: number): Promise<void> => {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  let writtenMs = 0;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.chmod(mode);
      await handle.writeFile(bytes);
      await handle.sync();
      writtenMs = (await handle.stat()).mtimeMs;
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    const code = systemErrorCode(cause);
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new OperaError('no-space', `no space is left on this machine’s disk for ${path}`, { cause, hint: '' });
    throw cause;
  }
  await syncFolder(folder);
  await removeLeftovers(path, writtenMs);
};

/** Creates `folder` (and missing parents) as 0700; an existing one is left as it is. `config` where a file stands. */
export const createSecretFolder = async (folder: string): Promise<void> => {
  const created = await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    const code = systemErrorCode(cause);
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw cause;
    throw new OperaError('config', `${folder} is not a folder`, { cause, hint: 'Name another folder.' });
  });
  if (created !== undefined) await syncFolder(dirname(created));
};

const octal = (mode: number): string => (mode & 0o777).toString(8);

/** Throws `config`, saying which chmod helps, when group or others may enter `folder`; false when it is absent. */
export const checkSecretFolder = async (folder: string): Promise<boolean> => {
  let mode: number;
  try {
    const found = await stat(folder);
    if (!found.isDirectory()) throw new OperaError('config', `${folder} is not a folder`);
    mode = found.mode;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
  if ((mode & 0o077) !== 0) {
    throw new OperaError('config', `${folder} holds keys but others can enter it (mode ${octal(mode)})`, {
      hint: `Close it: chmod 700 ${folder}`,
    });
  }
  return true;
};

/**
 * Contents of a secret file; undefined when it is absent. Throws `config` when group or others can read it, when it is
 * a link or no regular file, or longer than `bytesMax`.
 */
export const readSecretFile = async (path: string, bytesMax: number): Promise<Uint8Array | undefined> => {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { mode, size } = await handle.stat();
      if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
        throw new OperaError('config', `${path} is not a regular file`);
      }
      if ((mode & 0o077) !== 0) {
        throw new OperaError('config', `${path} holds a secret but others can read it (mode ${octal(mode)})`, {
          hint: `Close it: chmod 600 ${path}`,
        });
      }
      if (size > bytesMax) throw new OperaError('config', `${path} is longer than ${bytesMax} bytes`);
      return new Uint8Array(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP')
      throw new OperaError('config', `${path} is a link; secrets are read from files only`, { cause });
    throw cause;
  }
};
