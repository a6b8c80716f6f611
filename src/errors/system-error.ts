// Errors of the operating system that a person can do something about, as errors of the table: of local files, disks
// and addresses. Others stay what they are. Imports no system module: it looks at the code that Node puts on them.
import { type ErrorCode, OperaError } from './errors.ts';

const systemCodes: ReadonlyMap<string, readonly [code: ErrorCode, reason: string]> = new Map([
  ['ENOENT', ['not-found', 'there is no such file']],
  ['ENOTDIR', ['not-found', 'part of the path is not a folder']],
  ['EISDIR', ['usage', 'it is a folder']],
  ['EEXIST', ['exists', 'it exists already']],
  ['ENOTEMPTY', ['exists', 'the folder is not empty']],
  ['ENAMETOOLONG', ['bad-name', 'a name of the path is too long for this file system']],
  ['EACCES', ['forbidden', 'permission denied']],
  ['EPERM', ['forbidden', 'the operation is not permitted']],
  ['EROFS', ['forbidden', 'the file system is read-only']],
  ['ENOSPC', ['no-space', 'no space is left on this machine’s disk']],
  ['EDQUOT', ['no-space', 'the disk quota on this machine is used up']],
  ['EADDRINUSE', ['exists', 'another program listens on that address']],
  ['EADDRNOTAVAIL', ['config', 'this machine does not have that address']],
  ['ECONNREFUSED', ['unavailable', 'the connection was refused']],
  ['ECONNRESET', ['unavailable', 'the connection was cut']],
  ['EHOSTUNREACH', ['unavailable', 'the host cannot be reached']],
  ['ENETUNREACH', ['unavailable', 'the network cannot be reached']],
  ['ENOTFOUND', ['unavailable', 'the host name is not known']],
  ['EAI_AGAIN', ['unavailable', 'the host name cannot be looked up now']],
  ['ETIMEDOUT', ['unavailable', 'the connection timed out']],
  ['EMFILE', ['overloaded', 'too many files are open']],
]);

type SystemError = Error & { code?: string; syscall?: string; path?: string; address?: string; port?: number };

/**
 * A failed system call as an OperaError that names its file or address; undefined for anything else. `path` is what the
 * user knows the file by: a failed write carries no path, and that of a temporary file says nothing.
 */
export const fromSystemError = (thrown: unknown, path?: string): OperaError | undefined => {
  if (!(thrown instanceof Error) || thrown instanceof OperaError) return undefined;
  const error: SystemError = thrown;
  const isSystem = typeof error.syscall === 'string' && error.code !== undefined;
  const unknown = isSystem ? (['internal', `${error.syscall} failed with ${error.code}`] as const) : undefined;
  const [code, reason] = systemCodes.get(error.code ?? '') ?? unknown ?? [];
  if (code === undefined || reason === undefined) return undefined;
  const address = error.address === undefined ? undefined : `${error.address}${error.port ? `:${error.port}` : ''}`;
  const subject = path ?? error.path ?? address;
  // The code's general advice is about the network; the error of a local file or disk says enough by itself.
  const hint = address === undefined ? { hint: '' } : {};
  return new OperaError(code, subject === undefined ? reason : `${subject}: ${reason}`, { cause: error, ...hint });
};
