// Looking for what shows that a live manifest of this store is dead, and asking all nodes whether a tombstone has done
// its work. First the registry is asked what the name is now: usually that is the end of it. Only where it is something
// else evidence is sought: in the manifest of the name's present version, and by name on every node.
import type { Handler } from '../../client/transport.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { readersOf } from '../../placement/coverage.ts';
import { partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import type { VersionId } from '../../model/ids.ts';
import { destinationOf } from '../peer-book.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import type { Fates } from './fates.ts';
import { isDeadBy, type OpenedManifest, openShown, type Subject, subjectOf } from './manifest-facts.ts';
import type { NameIndex } from './name-index.ts';

type Trace = AnswerOf<'name.trace'>['traces'][number];
export type Verdict = 'live' | 'unknown' | OpenedManifest;

/** Switches that break a promise on purpose, so that the tests of that promise can be seen to fail. */
export interface SearchFaults {
  /** Takes the own manifest of a version for its newest. */
  readonly credulous?: boolean;
}

const slicesOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));

export class EvidenceSearch {
  readonly #core: NodeCore;
  readonly #fates: Fates;
  readonly #names: NameIndex;
  readonly #faults: SearchFaults;

  constructor(core: NodeCore, fates: Fates, names: NameIndex, faults: SearchFaults = {}) {
    this.#core = core;
    this.#fates = fates;
    this.#names = names;
    this.#faults = faults;
  }

  readonly handler: Handler<'name.trace'> = async ({ request }) => {
    const traces: Trace[] = [];
    let bytes = 0;
    for (const { name, sequence } of request.names) {
      const trace = await this.#traceHere(name, sequence, request.evidence);
      bytes += (trace.newer?.bytes.length ?? 0) * 1.4;
      traces.push(bytes > limits.messageBytesMax / 2 && traces.length > 0 ? { older: trace.older } : trace);
    }
    return { answer: { traces, sound: this.#core.soundness.sound } };
  };

  /** For each live manifest of this store: whether it is still what its name is, or what shows that it is dead. */
  async judge(manifests: readonly OpenedManifest[]): Promise<ReadonlyMap<OpenedManifest, Verdict>> {
    const verdicts = new Map<OpenedManifest, Verdict>();
    const doubtful: OpenedManifest[] = [];
    const present = new Map<OpenedManifest, VersionId>();
    for (const batch of slicesOf(manifests, limits.traceNamesMax)) {
      const records = await this.#presentOf(batch);
      for (const [at, opened] of batch.entries()) {
        const record = records?.[at];
        if (record?.version === opened.manifest.version) verdicts.set(opened, 'live');
        else if (!records) verdicts.set(opened, 'unknown');
        else {
          doubtful.push(opened);
          if (record) present.set(opened, record.version);
        }
      }
    }
    if (doubtful.length === 0) return verdicts;
    // Before anything is judged by its name, the version's newest manifest must be known: it may have been renamed.
    const fates = await this.#fates.gather(doubtful.map(({ manifest }) => manifest.version));
    const searched: OpenedManifest[] = [];
    for (const opened of doubtful) {
      const fate = fates.get(opened.manifest.version);
      const { sequence } = opened.manifest;
      if (fate?.kind === 'dead' && isDeadBy(subjectOf(opened), fate.by)) verdicts.set(opened, fate.by);
      else if (this.#faults.credulous || fate?.kind === 'none' || (fate?.kind === 'live' && fate.sequence <= sequence))
        searched.push(opened);
      else verdicts.set(opened, fate?.kind === 'live' ? 'live' : 'unknown');
    }
    for (const [opened, verdict] of await this.#search(searched, present)) verdicts.set(opened, verdict);
    return verdicts;
  }

  async #search(
    manifests: readonly OpenedManifest[],
    present: ReadonlyMap<OpenedManifest, VersionId>,
  ): Promise<ReadonlyMap<OpenedManifest, Verdict>> {
    const verdicts = new Map<OpenedManifest, Verdict>();
    for (const opened of manifests) {
      const version = present.get(opened);
      const by = version && (await this.#fetch(version, subjectOf(opened)));
      verdicts.set(opened, by ?? 'unknown');
    }
    const left = manifests.filter((opened) => verdicts.get(opened) === 'unknown');
    for (const batch of slicesOf(left, limits.traceNamesMax)) {
      for (const node of this.#memberNodes()) {
        const answer = await this.#trace(node, batch.map(subjectOf), true);
        for (const [at, opened] of batch.entries()) {
          const shown = answer?.traces[at]?.newer;
          const by = shown && this.#evidence(subjectOf(opened), shown, node);
          if (by) verdicts.set(opened, by);
        }
      }
    }
    return verdicts;
  }

  /** What the names are now; undefined when no gateway can say. */
  async #presentOf(manifests: readonly OpenedManifest[]): Promise<AnswerOf<'name.get'>['records'] | undefined> {
    const { context, book } = this.#core;
    const names = manifests.map(({ content }) => content.name);
    // Two versions of one name are asked as one.
    const distinct = [...new Set(names)];
    for (const gateway of book.list('gateway')) {
      try {
        const haveLayout = this.#core.memory.state.layouts.at(-1)?.layout.number ?? 0;
        const records: AnswerOf<'name.get'>['records'] = [];
        // An answer holds as many as fit it, and at least one.
        while (records.length < distinct.length) {
          const request = { names: distinct.slice(records.length), haveLayout };
          const options = { signal: context.stopping };
          const { answer } = await context.transport.call(destinationOf(gateway), 'name.get', request, options);
          if (answer.records.length === 0) return undefined;
          records.push(...answer.records);
        }
        return names.map((name) => records[distinct.indexOf(name)] ?? null);
      } catch (error) {
        context.log.debug('names-unanswered', errorFacts(error));
      }
    }
    return undefined;
  }

  /** The manifest of a version from the owners of its chunk 0, if it is evidence against the subject. */
  async #fetch(version: VersionId, subject: Subject): Promise<OpenedManifest | undefined> {
    const { context, memory, self, storage } = this.#core;
    const newestFirst = memory.state.layouts.map(({ layout }) => layout).reverse();
    for (const owner of readersOf(newestFirst, partitionOf(version, 0))) {
      try {
        if (owner === self) {
          const stored = await storage.getManifest(version);
          const by = stored && this.#evidence(subject, { bytes: stored.record, signerSpki: stored.signerSpki }, owner);
          if (by) return by;
          continue;
        }
        const to = destinationOfNode(this.#core, owner);
        const options = { signal: context.stopping };
        const { answer } = await context.transport.call(to, 'manifest.read', { versions: [version] }, options);
        const shown = answer.manifests[0];
        const by = shown && this.#evidence(subject, shown, owner);
        if (by) return by;
      } catch (error) {
        context.log.debug('manifest-unread', { from: owner, ...errorFacts(error) });
      }
    }
    return undefined;
  }

  #evidence(subject: Subject, shown: OpenedManifest['record'], from: KeyHash): OpenedManifest | undefined {
    try {
      const opened = openShown(this.#core, shown);
      return isDeadBy(subject, opened) ? opened : undefined;
    } catch (error) {
      this.#core.context.log.warn('evidence-refused', { from, ...errorFacts(error) });
      return undefined;
    }
  }

  /** Of these tombstones, those of whose names no member node holds a live manifest of lower sequence. */
  async confirmedByAll(tombstones: readonly OpenedManifest[]): Promise<readonly OpenedManifest[]> {
    const confirmed: OpenedManifest[] = [];
    for (const batch of slicesOf(tombstones, limits.traceNamesMax)) {
      let left: readonly OpenedManifest[] = batch;
      for (const node of this.#memberNodes()) {
        if (left.length === 0) break;
        const answer = await this.#trace(node, left.map(subjectOf), false);
        left = left.filter((_, at) => answer?.sound === true && answer.traces[at]?.older === false);
      }
      confirmed.push(...left);
    }
    return confirmed;
  }

  /** Every node that is a member, also those that no layout names: a store of the past may be anywhere. */
  #memberNodes(): KeyHash[] {
    const { byKeyHash } = this.#core.context.rosters.roster;
    return [...byKeyHash].flatMap(([keyHash, { role, state }]) =>
      role === 'node' && state === 'valid' ? keyHash : [],
    );
  }

  async #trace(
    node: KeyHash,
    subjects: readonly Subject[],
    evidence: boolean,
  ): Promise<AnswerOf<'name.trace'> | undefined> {
    const { context, self, soundness } = this.#core;
    try {
      if (node === self) {
        const traces = subjects.map(({ name, sequence }) => this.#traceHere(name, sequence, evidence));
        return { traces: await Promise.all(traces), sound: soundness.sound };
      }
      const to = destinationOfNode(this.#core, node);
      const request = { names: subjects.map(({ name, sequence }) => ({ name, sequence })), evidence };
      return (await context.transport.call(to, 'name.trace', request, { signal: context.stopping })).answer;
    } catch (error) {
      context.log.debug('trace-unanswered', { from: node, ...errorFacts(error) });
      return undefined;
    }
  }

  async #traceHere(name: string, sequence: bigint, evidence: boolean): Promise<Trace> {
    const { found, whole } = await this.#names.find(name);
    const older = found.some(({ manifest }) => manifest.state === 'live' && manifest.sequence < sequence);
    // The version is not the asker's own, so only the rule for names decides.
    const subject = { version: '' as VersionId, name, sequence };
    const newer = evidence ? found.find((opened) => isDeadBy(subject, opened)) : undefined;
    return { older: older || !whole, ...(newer ? { newer: { ...newer.record } } : {}) };
  }
}
