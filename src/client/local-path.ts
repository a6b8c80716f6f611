// From a name of the network to a path below a folder. Names come from others: nothing they hold may lead outside.
// Invariant: every folder between the target folder and the file is a real folder, not a link, when the file is made.
// The target folder itself is the user's word and may be a link.
import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { parseWireName } from '../model/names.ts';
import { systemErrorCode } from '../runtime/files.ts';

const refuse = (why: string): OperaError =>
  new OperaError('bad-name', `the name cannot become a local path: ${why}`, { hint: 'Choose the path with -o' });

const otherPath = 'Write to another path with -o';

/** The parts of a name as path components that mean the same on every system. */
export const pathPartsOf = (name: string): string[] => {
  const parts = parseWireName(name).split('/');
  for (const part of parts) {
    if (part.includes('\\')) throw refuse('it holds a backslash');
    if (/^[A-Za-z]:/.test(part)) throw refuse('it begins like a drive');
  }
  return parts;
};

/** Makes `folder` and the folders below it one by one; refuses to go through a link. Answers the innermost. */
export const createFolders = async (folder: string, parts: readonly string[]): Promise<string> => {
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    const code = systemErrorCode(error);
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
    throw new OperaError('exists', `${folder} is a file, or lies below one, and a folder is needed there`, {
      cause: error,
      hint: otherPath,
    });
  });
  let path = folder;
  for (const part of parts) {
    path = join(path, part);
    try {
      await mkdir(path);
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
    const found = await lstat(path);
    if (found.isSymbolicLink())
      throw new OperaError('forbidden', `${path} is a link; nothing is written through links`);
    if (!found.isDirectory()) {
      throw new OperaError('exists', `${path} is a file, and a folder is needed there`, { hint: otherPath });
    }
  }
  return path;
};
