// The worker service `registry-sqlite`: the steps of the embedded registry by name, each in one transaction.
// Every call carries the caller's wall clock, which is the registry's clock: machines share no file, so it is one
// machine's clock, and tests can move it. Arguments were checked by sqlite.ts, the only caller.
import { defineWorkerService } from '../runtime/worker.ts';
import { RegistryDatabase, type Rows, type StepContext } from './_sqlite-database.ts';
import * as events from './_sqlite-events.ts';
import * as members from './_sqlite-members.ts';
import * as names from './_sqlite-names.ts';
import * as placements from './_sqlite-placements.ts';

/** Steps on one snapshot that write nothing. */
const reads = {
  readLife: members.readLife,
  readRoster: members.readRoster,
  listKeptRosters: members.listKeptRosters,
  getMember: members.getMember,
  listMembers: members.listMembers,
  listKeyBoxes: members.listKeyBoxes,
  listKeyChain: members.listKeyChain,
  getToken: members.getToken,
  listTokens: members.listTokens,
  readLease: members.readLease,
  readLayouts: members.readLayouts,
  listOpenUploads: names.listOpenUploads,
  getOutcome: names.getOutcome,
  getPending: names.getPending,
  listPending: names.listPending,
  listPendingOf: names.listPendingOf,
  getNames: names.getNames,
  listNames: names.listNames,
  listCatalogues: names.listCatalogues,
  countNames: names.countNames,
  pagePlacements: placements.pagePlacements,
  placementsLayout: placements.placementsLayout,
  readPublicKeys: placements.readPublicKeys,
  listEvents: events.listEvents,
} as const;

const writes = {
  raiseIncarnation: members.raiseIncarnation,
  settle: members.settle,
  forgetNetwork: members.forgetNetwork,
  swapRoster: members.swapRoster,
  putMember: members.putMember,
  setMemberState: members.setMemberState,
  putKeyBoxes: members.putKeyBoxes,
  putKeyChain: members.putKeyChain,
  putToken: members.putToken,
  removeToken: members.removeToken,
  takeToken: members.takeToken,
  takeLease: members.takeLease,
  renewLease: members.renewLease,
  releaseLease: members.releaseLease,
  appendLayout: members.appendLayout,
  retireLayouts: members.retireLayouts,
  openUploads: names.openUploads,
  expireUploads: names.expireUploads,
  commit: names.commit,
  clearPending: names.clearPending,
  replaceWraps: names.replaceWraps,
  beginPlacements: placements.beginPlacements,
  placeNames: placements.placeNames,
  finishPlacements: placements.finishPlacements,
  restore: names.restore,
  appendEvent: events.appendEvent,
} as const;

type Steps = typeof reads & typeof writes;
type Rest<F> = F extends (context: StepContext, ...args: infer Args) => unknown ? Args : never;

/** The steps as the calling thread sees them. */
export type SqliteRegistrySteps = {
  readonly [Name in keyof Steps]: (...args: Rest<Steps[Name]>) => ReturnType<Steps[Name]>;
};

export const serviceName = 'registry-sqlite';

export interface SqliteServiceOptions {
  readonly path: string;
}

type Step = (context: StepContext, ...args: readonly unknown[]) => unknown;

defineWorkerService(serviceName, ({ path }: SqliteServiceOptions) => {
  const database = new RegistryDatabase(path);
  const wrap = (steps: Readonly<Record<string, unknown>>, mode: 'read' | 'write') =>
    Object.entries(steps).map(([name, step]) => [
      name,
      (nowMs: number, ...args: readonly unknown[]) =>
        database[mode](nowMs, (context) => (step as Step)(context, ...args)),
    ]);
  type First = typeof members.createNetwork extends (rows: Rows, lifeId: string, ...rest: infer R) => void ? R : never;
  return {
    ...Object.fromEntries([...wrap(reads, 'read'), ...wrap(writes, 'write')]),
    createNetwork: (_nowMs: number, ...first: First) =>
      database.create((rows, lifeId) => members.createNetwork(rows, lifeId, ...first), first[2] !== undefined),
    closeDatabase: () => database.close(),
  };
});
