// Writing a recovery kit: to a new file that only its owner can read, never inside the folder whose loss it is for.
import { link, open, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { encodeRecoveryKit, type RecoveryKit } from '../crypto/recovery-kit.ts';
import { OperaError } from '../errors/errors.ts';
import { type Clock, formatTime } from '../runtime/clock.ts';
import { syncFolder, systemErrorCode } from '../runtime/files.ts';

const resolved = (path: string): Promise<string> => realpath(path).catch(() => resolve(path));

/** The absolute path of the file to be; `config` when it lies inside `home` or its folder is missing. */
export const checkKitPath = async (file: string, home: string): Promise<string> => {
  const folder = await realpath(dirname(resolve(file))).catch((cause: unknown) => {
    throw new OperaError('config', `the folder of ${file} does not exist`, { cause, hint: 'Make it first' });
  });
  const path = join(folder, basename(file));
  const inside = relative(await resolved(home), path);
  if (!inside.startsWith(`..${sep}`)) {
    throw new OperaError('config', `the recovery kit must not lie inside ${home}`, {
      hint: 'It is for the day that folder is lost: name a file on another medium',
    });
  }
  return path;
};

/**
 * Writes the kit beside its place, runs `use`, and only then gives it its name: a file of that name always works.
 * `exists` when there is one already; it is never overwritten.
 */
export const writeKit = async (
  path: string,
  kit: RecoveryKit,
  clock: Clock,
  use: () => Promise<void>,
): Promise<void> => {
  const part = `${path}.part`;
  const taken = (cause: unknown): never => {
    if (systemErrorCode(cause) !== 'EEXIST') throw cause;
    throw new OperaError('exists', `${path} or ${basename(part)} exists and was not touched`, { cause });
  };
  const exists = await open(path, 'r').then(
    (handle) => handle.close().then(() => true),
    () => false,
  );
  if (exists) throw new OperaError('exists', `${path} exists and was not touched`);
  const handle = await open(part, 'wx', 0o600).catch(taken);
  try {
    await handle.writeFile(encodeRecoveryKit(kit, formatTime(clock.nowMs())));
    await handle.sync();
    await handle.close();
    await use();
    await link(part, path).catch(taken);
  } finally {
    await handle.close().catch(() => undefined);
    await rm(part, { force: true });
  }
  await syncFolder(dirname(path));
};
