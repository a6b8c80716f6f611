// Reads files that hold a secret: only a regular file that nobody but its owner can read is taken.
// The check is made on the opened file, so that it cannot be swapped in between. Never prints what it read.
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { OperaError } from '../errors/errors.ts';
import { fromSystemError } from '../errors/system-error.ts';

/** Secrets are single lines or small JSON; a larger file is a wrong path. */
const secretBytesMax = 64 * 1024;

const unreadable = (what: string, path: string, cause: unknown): OperaError => {
  const message = `${what} ${path} cannot be read`;
  return new OperaError('config', fromSystemError(cause, message)?.message ?? message, { cause, hint: '' });
};

/** The text of `path`, without the line end. Throws `config` when missing, empty, too large or open to others. */
export const readSecretFile = (path: string, what: string): string => {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (cause) {
    throw unreadable(what, path, cause);
  }
  try {
    const found = fstatSync(descriptor);
    const { mode, size } = found;
    if (!found.isFile()) throw new OperaError('config', `${what} ${path} cannot be read: it is no regular file`);
    if (size > secretBytesMax) throw new OperaError('config', `${what} ${path} is larger than ${secretBytesMax} bytes`);
    if ((mode & 0o077) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(3, '0');
      throw new OperaError('config', `${what} ${path} can be read by others (mode ${shown})`, {
        hint: `Close it: chmod 600 ${path}`,
      });
    }
    const text = readFileSync(descriptor, 'utf8').trim();
    if (text === '') throw new OperaError('config', `${what} ${path} is empty`);
    return text;
  } catch (cause) {
    if (cause instanceof OperaError) throw cause;
    throw unreadable(what, path, cause);
  } finally {
    closeSync(descriptor);
  }
};
