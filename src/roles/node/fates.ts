// What became of a version: asked of the owners of its chunk 0, who keep its manifest, and judged here. Only answers
// that cover every unretired layout count, because a rename or removal that was acknowledged is in one of them; an
// answer that says "dead" carries records that are verified and opened here. Unknown is not dead.
import type { Handler } from '../../client/transport.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import type { SignedRecord } from '../../model/signed-record.ts';
import { isCovered } from '../../placement/coverage.ts';
import { ownersOf } from '../../placement/layout.ts';
import { partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { WireFate } from '../../wire/messages-hygiene.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import type { DeadMarks } from './dead-marks.ts';
import { isDeadBy, type OpenedManifest, openShown, subjectOf } from './manifest-facts.ts';

export type Fate =
  /** Too few owners answered, or what they said contradicts itself. */
  | { readonly kind: 'unknown' }
  /** Every owner of chunk 0 in every unretired layout answered that it has no manifest. */
  | { readonly kind: 'none' }
  | { readonly kind: 'live'; readonly sequence: bigint }
  /** `by` is the version's own tombstone when it is `own`. */
  | { readonly kind: 'dead'; readonly own: OpenedManifest; readonly by: OpenedManifest };

interface Answer {
  readonly sound: boolean;
  readonly fate: WireFate;
}

const unknown: Fate = { kind: 'unknown' };

export class Fates {
  readonly #core: NodeCore;
  readonly #marks: DeadMarks;

  constructor(core: NodeCore, marks: DeadMarks) {
    this.#core = core;
    this.#marks = marks;
  }

  readonly handler: Handler<'version.fate'> = async ({ request }) => {
    const sound = this.#core.soundness.sound;
    const fates: WireFate[] = [];
    let bytes = 0;
    for (const version of request.versions) {
      const fate = await this.#ownAnswer(version);
      bytes += fate.kind === 'dead' ? (fate.manifest.bytes.length + (fate.evidence?.bytes.length ?? 0)) * 1.4 : 0;
      fates.push(
        bytes > limits.messageBytesMax / 2 && fate.kind === 'dead' && fates.length > 0 ? { kind: 'later' } : fate,
      );
    }
    return { answer: { fates, sound } };
  };

  /** What the owners of chunk 0 of each version know, together. */
  async gather(versions: readonly VersionId[]): Promise<ReadonlyMap<VersionId, Fate>> {
    const tables = this.#core.memory.state.layouts.map(({ layout }) => layout);
    const asked = new Map<KeyHash, VersionId[]>();
    for (const version of versions) {
      const partition = partitionOf(version, 0);
      for (const owner of new Set(tables.flatMap((table) => ownersOf(table, partition)))) {
        const list = asked.get(owner);
        if (list) list.push(version);
        else asked.set(owner, [version]);
      }
    }
    const answers = new Map<VersionId, Map<KeyHash, Answer>>(versions.map((version) => [version, new Map()]));
    await Promise.all(
      [...asked].map(async ([owner, list]) => {
        for (const [version, answer] of await this.#ask(owner, list)) answers.get(version)?.set(owner, answer);
      }),
    );
    return new Map(versions.map((version) => [version, this.#judge(version, answers.get(version) ?? new Map())]));
  }

  async #ask(owner: KeyHash, versions: readonly VersionId[]): Promise<[VersionId, Answer][]> {
    const { context, self, soundness } = this.#core;
    const answers: [VersionId, Answer][] = [];
    for (let at = 0; at < versions.length; at += limits.batchEntriesMax) {
      const batch = versions.slice(at, at + limits.batchEntriesMax);
      try {
        if (owner === self) {
          for (const version of batch) {
            answers.push([version, { sound: soundness.sound, fate: await this.#ownAnswer(version) }]);
          }
          continue;
        }
        const to = destinationOfNode(this.#core, owner);
        const options = { signal: context.stopping };
        const { answer } = await context.transport.call(to, 'version.fate', { versions: batch }, options);
        for (const [place, version] of batch.entries()) {
          const fate = answer.fates[place];
          if (fate) answers.push([version, { sound: answer.sound, fate }]);
        }
      } catch (error) {
        context.log.debug('fate-unanswered', { from: owner, ...errorFacts(error) });
      }
    }
    return answers;
  }

  async #ownAnswer(version: VersionId): Promise<WireFate> {
    const stored = await this.#core.storage.getManifest(version);
    if (!stored) return { kind: 'none' };
    const manifest: SignedRecord = { bytes: stored.record, signerSpki: stored.signerSpki };
    if (stored.state === 'dead') return { kind: 'dead', manifest: { ...manifest } };
    const mark = await this.#marks.get(version);
    const evidence = mark && !mark.gone && mark.sequence === stored.sequence ? mark.evidence : undefined;
    if (evidence) return { kind: 'dead', manifest: { ...manifest }, evidence };
    return { kind: 'live', sequence: stored.sequence };
  }

  #judge(version: VersionId, answers: ReadonlyMap<KeyHash, Answer>): Fate {
    const tables = this.#core.memory.state.layouts.map(({ layout }) => layout);
    const partition = partitionOf(version, 0);
    const owners = new Set(tables.flatMap((table) => ownersOf(table, partition)));
    const answered = new Set<KeyHash>();
    let [live, nones] = [0n, 0];
    let dead: { readonly own: OpenedManifest; readonly by: OpenedManifest } | undefined;
    for (const [owner, { sound, fate }] of answers) {
      if (fate.kind === 'later') continue;
      if (fate.kind === 'live' && fate.sequence > live) live = fate.sequence;
      if (fate.kind === 'dead') {
        const judged = this.#verify(version, owner, fate);
        // What cannot be verified is no answer at all.
        if (!judged) continue;
        if (!dead || judged.own.manifest.sequence > dead.own.manifest.sequence) dead = judged;
      }
      if (!sound) continue;
      answered.add(owner);
      if (fate.kind === 'none') nones++;
    }
    if (!isCovered(tables, partition, answered)) return unknown;
    if (dead && dead.own.manifest.sequence >= live) return { kind: 'dead', ...dead };
    if (live > 0n) return { kind: 'live', sequence: live };
    return nones === owners.size ? { kind: 'none' } : unknown;
  }

  #verify(version: VersionId, from: KeyHash, fate: Extract<WireFate, { readonly kind: 'dead' }>) {
    try {
      const own = openShown(this.#core, fate.manifest);
      const by = fate.evidence ? openShown(this.#core, fate.evidence) : own;
      if (own.manifest.version === version && isDeadBy(subjectOf(own), by)) return { own, by };
      this.#core.context.log.warn('evidence-refused', { from, version });
    } catch (error) {
      this.#core.context.log.warn('evidence-refused', { from, version, ...errorFacts(error) });
    }
    return undefined;
  }
}
