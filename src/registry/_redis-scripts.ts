// The Lua scripts as they are sent: the table of keys, the common helpers, then the script. All of it is constant;
// what users say travels in ARGV alone.
import { createHash } from 'node:crypto';
import { unsettled } from './_check.ts';
import { redisKeys } from './keys.ts';
import common from './scripts/_common.lua';
import appendLayout from './scripts/append-layout.lua';
import clearPending from './scripts/clear-pending.lua';
import commit from './scripts/commit.lua';
import createNetwork from './scripts/create-network.lua';
import expireUploads from './scripts/expire-uploads.lua';
import forgetNetwork from './scripts/forget-network.lua';
import getNames from './scripts/get-names.lua';
import listCatalogues from './scripts/list-catalogues.lua';
import listNames from './scripts/list-names.lua';
import listPending from './scripts/list-pending.lua';
import openUploads from './scripts/open-uploads.lua';
import placements from './scripts/placements.lua';
import putMember from './scripts/put-member.lua';
import raiseIncarnation from './scripts/raise-incarnation.lua';
import renewLease from './scripts/renew-lease.lua';
import replaceWraps from './scripts/replace-wraps.lua';
import restore from './scripts/restore.lua';
import retireLayouts from './scripts/retire-layouts.lua';
import run from './scripts/run.lua';
import settle from './scripts/settle.lua';
import swapRoster from './scripts/swap-roster.lua';
import takeLease from './scripts/take-lease.lua';
import takeToken from './scripts/take-token.lua';
import wipe from './scripts/wipe.lua';

export interface Script {
  readonly source: string;
  /** SHA-1 of the source, as EVALSHA names it. */
  readonly sha: string;
}

const keyTable = Object.entries(redisKeys)
  .map(([name, key]) => `${name}=${JSON.stringify(key)}`)
  .join(',');

const scriptOf = (body: string): Script => {
  const source = `local K = {${keyTable}}\nlocal UNSETTLED = '${unsettled('')}'\n${common}\n${body}`;
  return { source, sha: createHash('sha1').update(source).digest('hex') };
};

export const scripts = {
  appendLayout: scriptOf(appendLayout),
  clearPending: scriptOf(clearPending),
  commit: scriptOf(commit),
  createNetwork: scriptOf(createNetwork),
  expireUploads: scriptOf(expireUploads),
  forgetNetwork: scriptOf(forgetNetwork),
  getNames: scriptOf(getNames),
  listCatalogues: scriptOf(listCatalogues),
  listNames: scriptOf(listNames),
  listPending: scriptOf(listPending),
  openUploads: scriptOf(openUploads),
  placements: scriptOf(placements),
  putMember: scriptOf(putMember),
  raiseIncarnation: scriptOf(raiseIncarnation),
  renewLease: scriptOf(renewLease),
  replaceWraps: scriptOf(replaceWraps),
  restore: scriptOf(restore),
  retireLayouts: scriptOf(retireLayouts),
  run: scriptOf(run),
  settle: scriptOf(settle),
  swapRoster: scriptOf(swapRoster),
  takeLease: scriptOf(takeLease),
  takeToken: scriptOf(takeToken),
  wipe: scriptOf(wipe),
} as const;
