// What a home folder says of itself: which network, which role, where its identity lies, whom to dial first.
// It holds no secret; keys lie in the identity folder, apart from data, so that a backup of data alone opens nothing.
import { mkdir, readFile, stat, utimes } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import * as v from 'valibot';
import { OperaError } from '../errors/errors.ts';
import { systemErrorCode, writeFileDurably } from '../runtime/files.ts';
import { parseJson } from '../wire/json.ts';
import { addresses, memberId, networkId, parseWith, role } from '../wire/schema.ts';

const profileSchema = v.object({
  version: v.literal(1),
  networkId,
  role,
  memberId,
  /** Folder of keys and certificates; relative ones start at the home. */
  identity: v.string(),
  /** Mesh addresses of gateways, newest knowledge first. */
  gateways: addresses,
  /** Join addresses of gateways, for renewing a certificate that expired. */
  joinAddresses: addresses,
  /** Mesh addresses of masters, for roles. */
  masters: addresses,
});

export type Profile = v.InferOutput<typeof profileSchema>;

const fileOf = (home: string): string => join(home, 'profile.json');

/** Undefined when the folder is no home. */
export const readProfile = async (home: string): Promise<Profile | undefined> => {
  let text: string;
  try {
    text = await readFile(fileOf(home), 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    return parseWith(profileSchema, parseJson(text));
  } catch (cause) {
    const hint = 'Put it back from a backup, or join again into another folder with a new code';
    throw new OperaError('config', `${fileOf(home)} is not a profile`, { cause, hint });
  }
};

export const writeProfile = async (home: string, profile: Profile): Promise<void> => {
  await mkdir(home, { recursive: true, mode: 0o700 });
  await writeFileDurably(fileOf(home), `${JSON.stringify(profile, undefined, 2)}\n`, 0o600);
};

/** When the profile was last found right, in wall-clock ms. */
export const profileTime = async (home: string): Promise<number> => (await stat(fileOf(home))).mtimeMs;

/** Notes that the profile was found right. A home that cannot be written is only asked about more often. */
export const touchProfile = (home: string, nowMs: number): Promise<void> =>
  utimes(fileOf(home), nowMs / 1_000, nowMs / 1_000).catch(() => undefined);

export const identityFolderOf = (home: string, profile: Profile): string =>
  isAbsolute(profile.identity) ? profile.identity : resolve(home, profile.identity);
