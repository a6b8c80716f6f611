// The commit of name changes (section 4 of the design): check what the owners hold, take the step in the registry,
// write the manifests, clear pending, answer. Each change of a batch succeeds or fails alone.
import { wrapEpochOf } from '../../crypto/wrap.ts';
import { OperaError } from '../../errors/errors.ts';
import { checkTicket } from '../../identity/ticket.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { parseWireName } from '../../model/names.ts';
import { nodesOfFile } from '../../placement/movement.ts';
import type { ChangeOutcome, NameChange, NameCondition, PendingChange, SealedBody } from '../../registry/registry.ts';
import type { WireChangeOutcome, WireNameChange } from '../../wire/messages-names.ts';
import type { RequestOf } from '../../wire/routes.ts';
import type { MasterCore, View } from './core.ts';
import type { ManifestWriter } from './durable.ts';
import { areDurable } from './holdings.ts';

const conditionOf = (condition: WireNameChange['condition']): { condition?: NameCondition } => {
  if (!condition) return {};
  const { ifAbsent, ifVersion } = condition;
  return {
    condition: {
      ...(ifAbsent === undefined ? {} : { ifAbsent }),
      ...(ifVersion === undefined ? {} : { ifVersion }),
    },
  };
};

const toNameChange = (core: MasterCore, view: View, change: WireNameChange): NameChange => {
  const name = parseWireName(change.name);
  const base = { operationId: change.operationId, name, ...conditionOf(change.condition) };
  const sealed: SealedBody = change.sealed;
  // Read here, so that a malformed wrap is the caller's error and never a row in the registry.
  wrapEpochOf(sealed.wrap);
  switch (change.kind) {
    case 'put': {
      const owners = new Set(nodesOfFile(view.newest, sealed.version, change.chunkCount));
      const nodes = core.nodesOf(view).filter(({ keyHash }) => owners.has(keyHash));
      const { chunkCount, catalogue = false } = change;
      return { ...base, kind: 'put', sealed, chunkCount, catalogue, nodes: nodes.map(({ address }) => address) };
    }
    case 'rename':
      wrapEpochOf(change.tombstone.wrap);
      return { ...base, kind: 'rename', sealed, to: parseWireName(change.to), tombstone: change.tombstone };
    case 'remove':
      return { ...base, kind: 'remove', sealed };
  }
};

const toWire = (outcome: ChangeOutcome): WireChangeOutcome => {
  if (outcome.done) {
    const { sequence, incarnation, replaced, repeated } = outcome;
    return { done: true, sequence, incarnation, repeated, ...(replaced ? { replaced: { ...replaced } } : {}) };
  }
  return { done: false, code: outcome.code, ...(outcome.current ? { current: { ...outcome.current } } : {}) };
};

const namesOf = (change: NameChange): string[] => (change.kind === 'rename' ? [change.name, change.to] : [change.name]);

/** The registry sees a hundred changes at a time; a name twice is refused in the whole batch. */
const checkNamedOnce = (changes: readonly NameChange[]): void => {
  const names = changes.flatMap(namesOf);
  if (new Set(names).size !== names.length) throw new OperaError('bad-request', 'a name stands twice');
};

/** What the registry noted as pending in the step just taken: asking for it back would cost a call for each change. */
const pendingOf = (
  change: NameChange,
  { sequence, incarnation }: Extract<WireChangeOutcome, { done: true }>,
): PendingChange => {
  const { name, operationId, sealed } = change;
  const manifest = (state: 'live' | 'dead', { version, body, wrap }: SealedBody) => ({ version, state, body, wrap });
  const first = manifest(change.kind === 'remove' ? 'dead' : 'live', sealed);
  const manifests = change.kind === 'rename' ? [first, manifest('dead', change.tombstone)] : [first];
  return { name: change.kind === 'rename' ? change.to : name, sequence, incarnation, operationId, manifests };
};

export class Committer {
  readonly #core: MasterCore;
  readonly #writer: ManifestWriter;

  constructor(core: MasterCore, writer: ManifestWriter) {
    this.#core = core;
    this.#writer = writer;
  }

  async commit(client: KeyHash, request: RequestOf<'name.commit'>): Promise<{ outcomes: WireChangeOutcome[] }> {
    const { clock } = this.#core.context;
    const [view, life] = await Promise.all([this.#core.view(), this.#core.life()]);
    const changes = request.changes.map((change) => toNameChange(this.#core, view, change));
    this.#checkTickets(client, changes, request, life.incarnation);
    checkNamedOnce(changes);
    const stuck = await this.#finishBefore(changes);
    const durable = await this.#durableVersions(view, changes);
    const outcomes: WireChangeOutcome[] = changes.map((change) => ({
      done: false,
      code: stuck(change) ? 'write-quorum' : 'chunks-missing',
    }));
    let settledMs = 0;
    const ready = changes.flatMap((change, at) => (durable(change) && !stuck(change) ? [{ change, at }] : []));
    for (let from = 0; from < ready.length; from += limits.stepChangesMax) {
      const step = ready.slice(from, from + limits.stepChangesMax);
      const results = await this.#core.registry.commit({
        incarnation: life.incarnation,
        layoutNumber: view.newest.number,
        uploadAgeMaxMs: limits.uploadAgeMaxMs,
        changes: step.map(({ change }) => change),
      });
      for (const [position, { at }] of step.entries()) {
        const result = results[position];
        if (result) outcomes[at] = toWire(result);
        if (result?.done && result.catalogues) settledMs = clock.monotonicMs() + limits.catalogueSettleMs;
      }
    }
    await this.#finish(changes, outcomes, life.incarnation);
    // Sessions share snapshots for a moment (goodForMs): none that lacks an acknowledged change may still be in use.
    const leftMs = settledMs - clock.monotonicMs();
    if (leftMs > 0) await clock.sleep(leftMs);
    return { outcomes };
  }

  /**
   * Finishes what is pending on the names, so that manifests reach the nodes in the order of the steps; says of which
   * changes a name could not be finished. A repeated operation may be pending itself: its client waits for just that.
   */
  async #finishBefore(changes: readonly NameChange[]): Promise<(change: NameChange) => boolean> {
    const { registry } = this.#core;
    const names = changes.flatMap(namesOf);
    const pending: PendingChange[] = [];
    for (let from = 0; from < names.length; from += limits.batchEntriesMax) {
      pending.push(...(await registry.listPendingOf(names.slice(from, from + limits.batchEntriesMax))));
    }
    const left = await this.#writer.tryFinish(pending.map(({ sequence }) => sequence));
    if (left.size === 0) return () => false;
    // Which of the names it is, the registry says with the same question asked about each.
    const stuck = new Set<NameChange>();
    for (const change of changes) {
      const own = await registry.listPendingOf(namesOf(change));
      if (own.some(({ sequence }) => left.has(sequence))) stuck.add(change);
    }
    return (change) => stuck.has(change);
  }

  /** Puts need a ticket of their client for their versions; renames and removes are the member's right alone. */
  #checkTickets(
    client: KeyHash,
    changes: readonly NameChange[],
    request: RequestOf<'name.commit'>,
    incarnation: number,
  ): void {
    const puts = changes.filter((change) => change.kind === 'put');
    if (puts.length === 0) return;
    const { ticket, versions } = request;
    if (!ticket || !versions) throw new OperaError('ticket-invalid', 'a put is committed with its ticket');
    const { context } = this.#core;
    checkTicket(ticket, {
      operation: 'put',
      networkId: context.networkId,
      roster: context.rosters.roster,
      client,
      versions,
      incarnation,
      nowMs: context.clock.nowMs(),
      clockOffsetMs: this.#core.ticketOffsetMs,
    });
    const covered = new Set(versions);
    if (puts.some(({ sealed }) => !covered.has(sealed.version))) {
      throw new OperaError('ticket-invalid', 'the ticket does not cover a version of the commit');
    }
  }

  /** Whether a change may take the step: the chunks of a put are durable; everything else has none of its own. */
  async #durableVersions(view: View, changes: readonly NameChange[]): Promise<(change: NameChange) => boolean> {
    const puts = changes.filter((change) => change.kind === 'put');
    const asked = puts.map(({ sealed, chunkCount }) => ({ version: sealed.version, chunkCount }));
    const answers = asked.length > 0 ? await areDurable(this.#core, view, asked) : [];
    const durable = new Set(puts.filter((_, at) => answers[at]).map(({ sealed }) => sealed.version));
    // What was carried out before is answered as it was then, wherever its chunks are by now.
    for (const { sealed, operationId } of puts) {
      if (durable.has(sealed.version)) continue;
      if (await this.#core.registry.getOutcome(operationId)) durable.add(sealed.version);
    }
    return (change) => change.kind !== 'put' || durable.has(change.sealed.version);
  }

  /** Manifests before the answer: what too few nodes took stays pending and is answered `write-quorum`. */
  async #finish(changes: readonly NameChange[], outcomes: WireChangeOutcome[], incarnation: number): Promise<void> {
    const found = await Promise.all(
      changes.map(async (change, at) => {
        const outcome = outcomes[at];
        if (!outcome?.done) return undefined;
        // The answer to a repeated operation is of the change as it was made then.
        if (outcome.repeated) return this.#core.registry.getPending(outcome.sequence);
        return pendingOf(change, outcome);
      }),
    );
    const pending = found.filter((change): change is PendingChange => change !== undefined);
    const durable = await this.#writer.finish(pending, incarnation);
    for (const [at, change] of found.entries()) {
      if (change && !durable.has(change.sequence)) outcomes[at] = { done: false, code: 'write-quorum' };
    }
  }
}
