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
}

const itemOf = async (path: string, name: string): Promise<PutItem> => {
  const { size } = await stat(path);
  const absolute = resolve(path);
  return { name, size, resumeKey: absolute, open: () => openLocalSource(absolute) };
};

async function* walk(path: string, name: string, request: TreeRequest): AsyncGenerator<PutItem, void, void> {
  const entries = await readdir(path, { withFileTypes: true });
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

/** The files meant, in order. Throws for a path that does not exist, and `usage` for a folder without `recursive`. */
export const listLocalFiles = async (request: TreeRequest): Promise<PutItem[]> => {
  const items: PutItem[] = [];
  for (const path of request.paths) {
    const found = await stat(path);
    await access(path, constants.R_OK);
    const name = `${request.prefix}${ownName(path)}`;
    if (!found.isDirectory()) {
      items.push(await itemOf(path, name));
      continue;
    }
    if (!request.recursive) throw new OperaError('usage', `${path} is a folder`, { hint: 'Add -r to put folders' });
    for await (const item of walk(path, name, request)) items.push(item);
  }
  return items;
};
