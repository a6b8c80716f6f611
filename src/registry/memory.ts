// The registry in memory, for the simulator and as the oracle of the other two: the contract in its plainest form.
// Several MemoryRegistry objects on one MemoryRegistryStore behave as several processes on one database.
// Each method runs to its end without an await, which makes it atomic. Nothing is durable.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { OperationId, VersionId } from '../model/ids.ts';
import * as check from './_check.ts';
import { type ChangeFacts, nextSequence, refusalOf, targetOf } from './_decide.ts';
import { MemoryMembers } from './_memory-members.ts';
import { publicKeys } from './keys.ts';
import type { CatalogueEntry, CatalogueQuery } from './catalogues.ts';
import type { NameWrap } from './epoch-records.ts';
import type { ClusterEvent, StoredEvent } from './events.ts';
import type * as contract from './registry.ts';
import type { ChangeOutcome, NameChange, NameRecord, PendingChange } from './registry.ts';
import type { RestoreStep } from './restore.ts';

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export class MemoryRegistry extends MemoryMembers implements contract.Registry {
  async openUploads(open: contract.OpenUploads): Promise<readonly (contract.NameVersion | undefined)[]> {
    check.checkNames(open.uploads.map((upload) => upload.name));
    const store = this.living(open.incarnation);
    if (open.layoutNumber !== this.newestLayout()) throw new OperaError('layout-changed');
    return open.uploads.map(({ version, name }) => {
      const openedMs = store.uploads.get(version)?.openedMs ?? this.clock.nowMs();
      store.uploads.set(version, { name, openedMs });
      return this.#current(name);
    });
  }

  async listOpenUploads(versions: readonly VersionId[]): Promise<readonly VersionId[]> {
    return versions.filter((version) => this.open().uploads.has(version));
  }

  async expireUploads(ageMs: number): Promise<number> {
    const { uploads } = this.open();
    const old = [...uploads].filter(([, upload]) => this.clock.nowMs() - upload.openedMs > ageMs);
    const expired = old.slice(0, check.batchMax);
    for (const [version] of expired) uploads.delete(version);
    return expired.length;
  }

  #current(name: string): contract.NameVersion | undefined {
    const record = this.store.names.get(name)?.record;
    return record && { version: record.version, sequence: record.sequence };
  }

  async commit(step: contract.CommitStep): Promise<readonly ChangeOutcome[]> {
    check.checkCommit(step);
    this.open();
    return step.changes.map((change) => this.#change(step, change));
  }

  #change(step: contract.CommitStep, change: NameChange): ChangeOutcome {
    const { store } = this;
    const kept = this.#outcome(change.operationId);
    if (kept) return kept;
    const upload = store.uploads.get(change.sealed.version);
    const facts: ChangeFacts = {
      incarnation: store.lifeId === store.raisedUnder ? store.incarnation : undefined,
      keyEpoch: store.keyEpoch,
      layoutNumber: this.newestLayout(),
      upload: upload && { name: upload.name, ageMs: this.clock.nowMs() - upload.openedMs },
      currentOf: (name) => this.#current(name),
    };
    const refusal = refusalOf(step, change, facts);
    if (refusal) return refusal;
    store.sequence = nextSequence(store.sequence, BigInt(Math.floor(this.clock.nowMs() * 1000)));
    const { sequence, incarnation } = store;
    const replaced = this.#current(targetOf(change));
    const isPut = change.kind === 'put' && change.catalogue === true;
    const catalogues = isPut || check.namesOf(change).some((name) => store.names.get(name)?.record.catalogue === true);
    this.#move(structuredClone(change), sequence);
    const done = { done: true, sequence, incarnation, replaced } as const;
    store.outcomes.set(change.operationId, {
      atMs: this.clock.nowMs(),
      outcome: { ...done, repeated: true, catalogues: true },
    });
    return { ...done, repeated: false, catalogues };
  }

  #move(change: NameChange, sequence: bigint): void {
    const { store } = this;
    const { incarnation } = store;
    const { operationId, sealed } = change;
    const old = store.names.get(change.name);
    const target = targetOf(change);
    store.names.delete(change.name);
    if (change.kind !== 'remove') {
      const chunkCount = change.kind === 'put' ? change.chunkCount : (old?.record.chunkCount ?? 0);
      const catalogue = change.kind === 'put' ? change.catalogue === true : (old?.record.catalogue ?? false);
      const nodes = change.kind === 'put' ? [...new Set(change.nodes)] : (old?.nodes ?? []);
      const { version, body, wrap } = sealed;
      const file = { name: target, version, sequence, incarnation, operationId, chunkCount, catalogue };
      store.names.set(target, { record: { ...file, body, wrap }, nodes });
    }
    store.uploads.delete(sealed.version);
    const manifestOf = (state: 'live' | 'dead', { version, body, wrap }: contract.SealedBody) =>
      ({ version, state, body, wrap }) as const;
    const first = manifestOf(change.kind === 'remove' ? 'dead' : 'live', sealed);
    const manifests = change.kind === 'rename' ? [first, manifestOf('dead', change.tombstone)] : [first];
    store.pending.set(sequence, { name: target, sequence, incarnation, operationId, manifests });
    for (const name of check.namesOf(change)) store.pendingOf.set(name, sequence);
  }

  #outcome(operationId: OperationId): ChangeOutcome | undefined {
    const kept = this.store.outcomes.get(operationId);
    return kept && this.clock.nowMs() - kept.atMs < limits.outcomeKeptMs ? kept.outcome : undefined;
  }

  async getOutcome(operationId: OperationId): Promise<ChangeOutcome | undefined> {
    this.open();
    return this.#outcome(operationId);
  }

  async clearPending(sequences: readonly bigint[]): Promise<void> {
    const store = this.open();
    for (const sequence of sequences) store.pending.delete(sequence);
    for (const [name, sequence] of store.pendingOf) {
      if (!sequences.includes(sequence)) continue;
      store.pendingOf.delete(name);
      const entry = store.names.get(name);
      if (!entry?.record.body || entry.record.body.length <= limits.manifestBodyBytesKept) continue;
      store.names.set(name, { ...entry, record: { ...entry.record, body: undefined } });
    }
  }

  async getPending(sequence: bigint): Promise<PendingChange | undefined> {
    return structuredClone(this.open().pending.get(sequence));
  }

  async listPending(limit: number, after = 0n): Promise<readonly PendingChange[]> {
    check.checkLimit(limit);
    check.checkSequence(after);
    const later = [...this.open().pending.values()].filter(({ sequence }) => sequence > after);
    return structuredClone(later.sort((a, b) => (a.sequence < b.sequence ? -1 : 1)).slice(0, limit));
  }

  async listPendingOf(names: readonly string[]): Promise<readonly PendingChange[]> {
    check.checkNames(names);
    const { pending, pendingOf } = this.living();
    const sequences = new Set(names.map((name) => pendingOf.get(name)));
    return structuredClone([...pending.values()].filter((change) => sequences.has(change.sequence)));
  }

  #record(name: string): NameRecord | undefined {
    const entry = this.store.names.get(name);
    return entry && structuredClone({ ...entry.record, pending: this.store.pendingOf.get(name) });
  }

  async getNames(names: readonly string[]): Promise<readonly (NameRecord | undefined)[]> {
    check.checkNames(names);
    this.living();
    return names.map((name) => this.#record(name));
  }

  async listNames(query: contract.NameQuery): Promise<contract.NamePage> {
    check.checkLimit(query.limit);
    check.checkPrefix(query.prefix);
    const { prefix, after = '', limit } = query;
    const names = [...this.living().names.keys()].filter((name) => name.startsWith(prefix) && byBytes(name, after) > 0);
    const page = names.sort(byBytes).slice(0, limit);
    const records = page.flatMap((name) => this.#record(name) ?? []);
    return { records, next: names.length > limit ? page.at(-1) : undefined };
  }

  async listCatalogues(query: CatalogueQuery): Promise<readonly CatalogueEntry[]> {
    check.checkCatalogueQuery(query);
    const { names, pendingOf } = this.living();
    const records = [...names.values()].map(({ record }) => record);
    const found = records.filter(({ name, catalogue }) => catalogue && name.startsWith(query.prefix));
    if (found.length > query.max) throw check.tooManyCatalogues(query.max);
    return found
      .sort((a, b) => byBytes(a.name, b.name))
      .map(({ name, version, sequence, chunkCount }) => {
        return { name, version, sequence, chunkCount, pending: pendingOf.get(name) };
      });
  }

  async countNames(): Promise<number> {
    return this.open().names.size;
  }

  async replaceWraps(incarnation: number, wraps: readonly NameWrap[]): Promise<number> {
    check.checkWraps(wraps);
    const { names } = this.living(incarnation);
    let replaced = 0;
    for (const { name, version, sequence, wrap } of wraps) {
      const entry = names.get(name);
      if (entry?.record.version !== version || entry.record.sequence !== sequence) continue;
      if (check.wrapEpoch(entry.record.wrap) >= check.wrapEpoch(wrap)) continue;
      names.set(name, { ...entry, record: { ...entry.record, wrap: wrap.slice() } });
      replaced += 1;
    }
    return replaced;
  }

  async rebuildPlacements(layoutNumber: number, read: () => Promise<contract.AddressesOf>): Promise<void> {
    const token = {};
    const begun = this.open();
    if (this.newestLayout() !== layoutNumber) throw new OperaError('layout-changed');
    begun.rebuilding = token;
    const addressesOf = await read();
    const store = this.open();
    if (this.newestLayout() !== layoutNumber || store.rebuilding !== token) throw new OperaError('layout-changed');
    for (const [name, { record }] of store.names) {
      const { version, chunkCount } = record;
      store.names.set(name, { record, nodes: [...new Set(addressesOf({ version, chunkCount }))] });
    }
    store.placementsLayout = layoutNumber;
  }

  async placementsLayout(): Promise<number> {
    return this.open().placementsLayout;
  }

  async restore(step: RestoreStep): Promise<void> {
    check.checkRestore(step);
    const store = this.begun(step.incarnation);
    this.requireLead(step.epoch);
    if (step.sequence !== undefined && step.sequence > store.sequence) store.sequence = step.sequence;
    if (step.leaseEpoch !== undefined && step.leaseEpoch > store.leaseEpoch) {
      store.leaseEpoch = step.leaseEpoch;
      store.lease = undefined;
    }
    for (const layout of step.layouts ?? []) {
      if (layout.number > this.newestLayout()) store.layouts.set(layout.number, structuredClone(layout));
    }
    this.retire(step.retiredUpTo ?? 0);
    for (const { name, sequence } of step.dead ?? []) {
      if ((this.#current(name)?.sequence ?? sequence) < sequence) store.names.delete(name);
    }
    for (const { nodes, ...restored } of structuredClone(step.names ?? [])) {
      if ((this.#current(restored.name)?.sequence ?? -1n) >= restored.sequence) continue;
      const body = restored.body.length > limits.manifestBodyBytesKept ? undefined : restored.body;
      store.names.set(restored.name, { record: { ...restored, body }, nodes: [...new Set(nodes)] });
    }
    for (const { operationId, sequence, incarnation } of step.operations ?? []) {
      if (store.outcomes.has(operationId)) continue;
      const done = { done: true, sequence, incarnation, replaced: undefined } as const;
      const outcome = { ...done, repeated: true, catalogues: true };
      store.outcomes.set(operationId, { atMs: this.clock.nowMs(), outcome });
    }
  }

  async appendEvent(event: ClusterEvent): Promise<void> {
    check.checkEvent(event);
    const { events } = this.open();
    events.push({ ...structuredClone(event), id: String((this.store.eventCount += 1)) });
    if (events.length > 2 * check.eventsKept) events.splice(0, events.length - check.eventsKept);
  }

  async listEvents(after: string | undefined, limit: number): Promise<readonly StoredEvent[]> {
    check.checkLimit(limit);
    const from = check.parseEventId(after);
    const events = this.open().events.filter((event) => Number(event.id) > from);
    return structuredClone(events.slice(0, limit));
  }

  async readPublicKeys(): Promise<ReadonlyMap<string, readonly string[]>> {
    const { members, names } = this.open();
    const keys = new Map<string, string[]>();
    const add = (key: string, value: string): void => {
      const list = keys.get(key) ?? [];
      if (!list.includes(value)) keys.set(key, [...list, value]);
    };
    for (const { role, state, addresses } of members.values()) {
      const [first] = addresses;
      if (role === 'node' && state !== 'removed' && first !== undefined) add(publicKeys.nodes, first);
    }
    for (const [name, { nodes }] of names) {
      add(publicKeys.data, name);
      for (const node of nodes) {
        add(publicKeys.dataOfNode(node), name);
        add(publicKeys.nodesOfFile(name), node);
      }
    }
    return keys;
  }
}
