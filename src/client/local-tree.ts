// Which local files a put means, and the names they get: a file its own name, a folder's files the folder's name and
// the way from there, as with cp. Links inside folders and special files are left out and reported, never followed.
import { constants, type Dirent } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { openLocalSource } from './local-source.ts';
import type { PutItem } from './put-many.ts';

export interface TreeRequest {
  readonly paths: readonly string[];
  /** Take folders with what is in them. */
  readonly recursive: boolean;
  /** Put before every name, as it is. */
  readonly prefix: string;
  /** Told of what is left out, and why. */
  readonly onSkipped: (path: string, why: string) => void;
  /** Told of a path that cannot be read, with the system's error; the others are listed all the same. */
  readonly onUnreadable: (path: string, error: unknown) => void;
}

const itemOf = async (path: string, name: string): Promise<PutItem> => {
  const { size } = await stat(path);
  const absolute = resolve(path);
  return { name, path, size, resumeKey: absolute, open: () => openLocalSource(absolute) };
};

async function* walk(path: string, name: string, request: TreeRequest): AsyncGenerator<PutItem, void, void> {
  let entries: Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    return request.onUnreadable(path, error);
  }
  const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : 1);
  for (const entry of entries.sort(byName)) {
    const inner = join(path, entry.name);
    const innerName = `${name}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(inner, innerName, request);
    else if (entry.isFile()) yield await itemOf(inner, innerName);
    else request.onSkipped(inner, entry.isSymbolicLink() ? 'it is a link' : 'it is not a regular file');
  }
}

/** `survey/` and `./survey` are `survey`; `.` is the name of the folder itself. */
const ownName = (path: string): string => basename(resolve(path));

/** A path of the command line and what it is; undefined when it cannot be read, which is told. */
const look = async (
  path: string,
  { onUnreadable }: TreeRequest,
): Promise<{ readonly isFolder: boolean } | undefined> => {
  try {
    const found = await stat(path);
    await access(path, constants.R_OK);
    return { isFolder: found.isDirectory() };
  } catch (error) {
    onUnreadable(path, error);
    return undefined;
  }
};

/** The files meant, in order. Throws `usage` for a folder without `recursive`, before anything is done. */
export const listLocalFiles = async (request: TreeRequest): Promise<PutItem[]> => {
  const items: PutItem[] = [];
  for (const path of request.paths) {
    const found = await look(path, request);
    if (!found) continue;
    const name = `${request.prefix}${ownName(path)}`;
    if (!found.isFolder) {
      items.push(await itemOf(path, name));
      continue;
    }
    if (!request.recursive) throw new OperaError('usage', `${path} is a folder`, { hint: 'Add -r to put folders' });
    for await (const item of walk(path, name, request)) items.push(item);
  }
  return items;
};
