// The embedded registry: one SQLite file (WAL, fsynced commits) shared by the roles of one machine. This side checks
// arguments and calls the worker thread that owns the connection, so that no lock of another process ever blocks the
// event loop. Invariant: the file is made by createNetwork alone; a missing file is `registry-lost`.
import { OperaError } from '../errors/errors.ts';
import type { KeyHash, MemberId, NetworkId, OperationId, VersionId } from '../model/ids.ts';
import type { SignedRecord } from '../model/signed-record.ts';
import type { Clock } from '../runtime/clock.ts';
import { startWorker, type WorkerClient } from '../runtime/worker.ts';
import * as check from './_check.ts';
import { rebuildPlacements } from './_rebuild.ts';
import { type SqliteRegistrySteps, type SqliteServiceOptions, serviceName } from './_sqlite-service.ts';
import type { CatalogueEntry, CatalogueQuery } from './catalogues.ts';
import type { NameWrap, StoredKeyBox } from './epoch-records.ts';
import type { ClusterEvent, StoredEvent } from './events.ts';
import type * as contract from './registry.ts';
import type { LostNetwork, RestoreStep } from './restore.ts';
import type { FirstRoster, RosterSwap } from './roster-swap.ts';
import type { StoredToken, TakeTokenOutcome } from './tokens.ts';

export interface SqliteRegistryOptions extends SqliteServiceOptions {
  /** Its wall clock is the registry's clock. */
  readonly clock: Clock;
}

/** Bytes in a buffer of their own: a view into a large one would be copied to the worker with all around it. */
const compact = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);

const compactBody = (sealed: contract.SealedBody): contract.SealedBody => ({
  ...sealed,
  body: compact(sealed.body),
  wrap: compact(sealed.wrap),
});

const compactChange = (change: contract.NameChange): contract.NameChange =>
  change.kind === 'rename'
    ? { ...change, sealed: compactBody(change.sealed), tombstone: compactBody(change.tombstone) }
    : { ...change, sealed: compactBody(change.sealed) };

export class SqliteRegistry implements contract.Registry {
  readonly #worker: WorkerClient;
  readonly #clock: Clock;
  #closing: Promise<void> | undefined;

  constructor({ path, clock }: SqliteRegistryOptions) {
    this.#clock = clock;
    this.#worker = startWorker(serviceName, { path } satisfies SqliteServiceOptions);
  }

  async #send(method: string, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#closing) throw new OperaError('not-ready', 'the registry was closed');
    return this.#worker.call(method, [this.#clock.nowMs(), ...args]);
  }

  #step<Name extends keyof SqliteRegistrySteps>(
    name: Name,
    ...args: Parameters<SqliteRegistrySteps[Name]>
  ): Promise<ReturnType<SqliteRegistrySteps[Name]>> {
    return this.#send(name, ...args) as Promise<ReturnType<SqliteRegistrySteps[Name]>>;
  }

  async createNetwork(networkId: NetworkId, first: FirstRoster, again?: LostNetwork): Promise<contract.RegistryLife> {
    await this.#send('createNetwork', networkId, first, again);
    return this.readLife();
  }

  readLife(): Promise<contract.RegistryLife> {
    return this.#step('readLife');
  }

  raiseIncarnation(expect: number, atLeast = 0): Promise<contract.RegistryLife | undefined> {
    return this.#step('raiseIncarnation', expect, atLeast);
  }

  async settle(incarnation: number, sequence: bigint, epoch?: bigint): Promise<boolean> {
    check.checkSequence(sequence);
    return this.#step('settle', incarnation, sequence, epoch);
  }

  forgetNetwork(incarnation: number): Promise<boolean> {
    return this.#step('forgetNetwork', incarnation);
  }

  readRoster(): Promise<SignedRecord | undefined> {
    return this.#step('readRoster');
  }

  async swapRoster(swap: RosterSwap): Promise<boolean> {
    check.checkRosterSwap(swap);
    return this.#step('swapRoster', swap);
  }

  listKeptRosters(after: bigint): Promise<readonly SignedRecord[]> {
    return this.#step('listKeptRosters', after);
  }

  async putMember(member: contract.MemberRecord, from?: contract.MemberState | 'none'): Promise<boolean> {
    check.checkNodes(member.addresses);
    return this.#step('putMember', member, from);
  }

  getMember(memberId: MemberId): Promise<contract.MemberRecord | undefined> {
    return this.#step('getMember', memberId);
  }

  listMembers(): Promise<readonly contract.MemberRecord[]> {
    return this.#step('listMembers');
  }

  setMemberState(
    memberId: MemberId,
    state: contract.MemberState,
    reason: string,
    from?: contract.MemberState,
    epoch?: bigint,
  ): Promise<boolean> {
    return this.#step('setMemberState', memberId, state, reason, from, epoch);
  }

  putKeyBoxes(boxes: readonly StoredKeyBox[]): Promise<void> {
    return this.#step('putKeyBoxes', boxes);
  }

  listKeyBoxes(recipient?: KeyHash): Promise<readonly StoredKeyBox[]> {
    return this.#step('listKeyBoxes', recipient);
  }

  putKeyChain(epoch: number, record: Uint8Array): Promise<void> {
    return this.#step('putKeyChain', epoch, compact(record));
  }

  listKeyChain(): Promise<ReadonlyMap<number, Uint8Array>> {
    return this.#step('listKeyChain');
  }

  putToken(token: Omit<StoredToken, 'usedBy'>): Promise<void> {
    return this.#step('putToken', token);
  }

  getToken(tokenId: string): Promise<StoredToken | undefined> {
    return this.#step('getToken', tokenId);
  }

  listTokens(): Promise<readonly StoredToken[]> {
    return this.#step('listTokens');
  }

  removeToken(tokenId: string): Promise<boolean> {
    return this.#step('removeToken', tokenId);
  }

  takeToken(tokenId: string, key: KeyHash): Promise<TakeTokenOutcome> {
    return this.#step('takeToken', tokenId, key);
  }

  readLease(): Promise<contract.Lease | undefined> {
    return this.#step('readLease');
  }

  takeLease(
    holder: contract.LeaseHolder,
    seen: contract.LeaseSeen | undefined,
    above = 0n,
  ): Promise<contract.Lease | undefined> {
    return this.#step('takeLease', holder, seen, above);
  }

  renewLease(epoch: bigint, instance: string): Promise<contract.Lease | undefined> {
    return this.#step('renewLease', epoch, instance);
  }

  releaseLease(epoch: bigint, instance: string): Promise<void> {
    return this.#step('releaseLease', epoch, instance);
  }

  readLayouts(): Promise<contract.LayoutState> {
    return this.#step('readLayouts');
  }

  appendLayout(layout: contract.StoredLayout, incarnation: number, epoch?: bigint): Promise<boolean> {
    return this.#step('appendLayout', layout, incarnation, epoch);
  }

  retireLayouts(upTo: number, incarnation: number, epoch?: bigint): Promise<void> {
    return this.#step('retireLayouts', upTo, incarnation, epoch);
  }

  async openUploads(open: contract.OpenUploads): Promise<readonly (contract.NameVersion | undefined)[]> {
    check.checkNames(open.uploads.map((upload) => upload.name));
    return this.#step('openUploads', open);
  }

  listOpenUploads(versions: readonly VersionId[]): Promise<readonly VersionId[]> {
    return this.#step('listOpenUploads', versions);
  }

  expireUploads(ageMs: number): Promise<number> {
    return this.#step('expireUploads', ageMs);
  }

  async commit(step: contract.CommitStep): Promise<readonly contract.ChangeOutcome[]> {
    check.checkCommit(step);
    return this.#step('commit', { ...step, changes: step.changes.map(compactChange) });
  }

  getOutcome(operationId: OperationId): Promise<contract.ChangeOutcome | undefined> {
    return this.#step('getOutcome', operationId);
  }

  clearPending(sequences: readonly bigint[]): Promise<void> {
    return this.#step('clearPending', sequences);
  }

  getPending(sequence: bigint): Promise<contract.PendingChange | undefined> {
    return this.#step('getPending', sequence);
  }

  async listPending(limit: number, after = 0n): Promise<readonly contract.PendingChange[]> {
    check.checkLimit(limit);
    check.checkSequence(after);
    return this.#step('listPending', limit, after);
  }

  async listPendingOf(names: readonly string[]): Promise<readonly contract.PendingChange[]> {
    check.checkNames(names);
    return this.#step('listPendingOf', names);
  }

  async getNames(names: readonly string[]): Promise<readonly (contract.NameRecord | undefined)[]> {
    check.checkNames(names);
    return this.#step('getNames', names);
  }

  async listNames(query: contract.NameQuery): Promise<contract.NamePage> {
    check.checkLimit(query.limit);
    check.checkPrefix(query.prefix);
    return this.#step('listNames', query);
  }

  async listCatalogues(query: CatalogueQuery): Promise<readonly CatalogueEntry[]> {
    check.checkCatalogueQuery(query);
    return this.#step('listCatalogues', query);
  }

  countNames(): Promise<number> {
    return this.#step('countNames');
  }

  async replaceWraps(incarnation: number, wraps: readonly NameWrap[]): Promise<number> {
    check.checkWraps(wraps);
    const own = wraps.map((entry) => ({ ...entry, wrap: compact(entry.wrap) }));
    return this.#step('replaceWraps', incarnation, own);
  }

  rebuildPlacements(layoutNumber: number, read: () => Promise<contract.AddressesOf>): Promise<void> {
    return rebuildPlacements(read, {
      begin: () => this.#step('beginPlacements', layoutNumber),
      page: (cursor) => this.#step('pagePlacements', cursor),
      place: (token, files) => this.#step('placeNames', layoutNumber, token, files),
      finish: (token) => this.#step('finishPlacements', layoutNumber, token),
    });
  }

  placementsLayout(): Promise<number> {
    return this.#step('placementsLayout');
  }

  async restore(step: RestoreStep): Promise<void> {
    check.checkRestore(step);
    return this.#step('restore', step);
  }

  async appendEvent(event: ClusterEvent): Promise<void> {
    check.checkEvent(event);
    return this.#step('appendEvent', event);
  }

  async listEvents(after: string | undefined, limit: number): Promise<readonly StoredEvent[]> {
    check.checkLimit(limit);
    return this.#step('listEvents', after, limit);
  }

  readPublicKeys(): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#step('readPublicKeys');
  }

  close(): Promise<void> {
    this.#closing ??= this.#worker
      .call('closeDatabase', [])
      .catch(() => undefined)
      .then(() => this.#worker.close());
    return this.#closing;
  }
}
