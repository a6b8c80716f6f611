// A lock between processes of one machine: a file created exclusively that names its owner's process and start time.
// A lock whose owner is gone is taken over. Not for network file systems, and not for safety of data: whoever cannot
// tell that the owner is gone leaves the lock alone.
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { systemErrorCode } from '../runtime/files.ts';

/** Start time of a process in ticks since boot, `gone` when only its entry is left, undefined where nothing is told. */
const startOf = async (pid: number): Promise<string | undefined> => {
  try {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ');
    // A killed process that nobody waited for keeps its number, and signals to it succeed.
    return fields[0] === 'Z' || fields[0] === 'X' ? 'gone' : fields[19];
  } catch {
    return undefined;
  }
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ESRCH';
  }
};

const isStale = async (text: string): Promise<boolean> => {
  const [pid = '', start = ''] = text.trim().split(' ');
  if (!/^[1-9]\d{0,9}$/.test(pid)) return true;
  if (!isAlive(Number(pid))) return true;
  const current = await startOf(Number(pid));
  return current !== undefined && start !== '' && current !== start;
};

/** An owner writes its lock right after it made it; one that is empty for so long was killed in between. */
const emptyMaxMs = 2_000;

/** Compares times of one file system, whose clock may be another than ours. */
const isOldEmpty = async (path: string): Promise<boolean> => {
  const probe = `${path}.${process.pid}.now`;
  try {
    await writeFile(probe, '', { mode: 0o600 });
    const [now, made] = await Promise.all([stat(probe), stat(path)]);
    return made.size === 0 && now.mtimeMs - made.mtimeMs > emptyMaxMs;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
};

/** Releases the lock when called; undefined when a living process holds it. */
export const lockFile = async (path: string): Promise<(() => Promise<void>) | undefined> => {
  const owner = `${process.pid} ${(await startOf(process.pid)) ?? ''}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(path, 'wx', 0o600);
      try {
        await handle.writeFile(owner);
      } finally {
        await handle.close();
      }
      return () => rm(path, { force: true });
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    // An empty lock is being written just now, unless that was long ago.
    if (text === '' ? !(await isOldEmpty(path)) : !(await isStale(text))) return undefined;
    // Of two that find it stale only one can rename it; the other finds it gone or fresh.
    await rename(path, `${path}.${process.pid}.stale`).catch(() => undefined);
    await rm(`${path}.${process.pid}.stale`, { force: true });
  }
  return undefined;
};
