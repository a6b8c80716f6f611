// The pointer to the default profile: a text file `default-profile` in the default home that names a profile's folder.
// `up` sets it so that `opera put` just works from any shell; it never takes over from a profile that is there already.
// A pointer to a folder that is gone counts as none.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { OperaError } from '../errors/errors.ts';
import { defaultHome, type Environment } from './environment.ts';

export interface DefaultProfile {
  /** The pointer file, whether it exists or not. */
  readonly file: string;
  /** The folder it names, when it names one that exists. */
  readonly folder: string | undefined;
  /** The folder it names although that is gone. */
  readonly gone: string | undefined;
}

export const readDefaultProfile = (env: Environment, userHome: string): DefaultProfile => {
  const file = join(defaultHome(env, userHome), 'default-profile');
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch {
    return { file, folder: undefined, gone: undefined };
  }
  if (!isAbsolute(text) || text.includes('\0')) return { file, folder: undefined, gone: undefined };
  return existsSync(text) ? { file, folder: text, gone: undefined } : { file, folder: undefined, gone: text };
};

/**
 * Makes `folder` the default if there is none: `set` when it is (now or already); `other` when another profile is, or
 * when the default home itself holds an identity. Written whole or not at all.
 */
export const setDefaultProfile = (env: Environment, userHome: string, folder: string): 'set' | 'other' => {
  const { file, folder: present } = readDefaultProfile(env, userHome);
  const target = resolve(folder);
  if (present === target) return 'set';
  if (present !== undefined || existsSync(join(defaultHome(env, userHome), 'identity'))) return 'other';
  try {
    mkdirSync(defaultHome(env, userHome), { recursive: true, mode: 0o700 });
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, `${target}\n`, { mode: 0o600 });
    renameSync(temporary, file);
  } catch (cause) {
    throw new OperaError('config', `the default profile ${file} cannot be written`, { cause });
  }
  return 'set';
};

/** Removes the pointer if it names `folder`; for `down --purge`. */
export const clearDefaultProfile = (env: Environment, userHome: string, folder: string): void => {
  const { file, folder: present, gone } = readDefaultProfile(env, userHome);
  if ((present ?? gone) === resolve(folder)) rmSync(file, { force: true });
};
