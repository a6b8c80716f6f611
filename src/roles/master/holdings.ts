// Who holds what: before a commit the master asks the owners themselves, because reports made during an upload are
// only hints. Copies are counted for each unretired layout alone, with that layout's own W′, and only those taken under
// it or a lower one; anything else could rest on owners none of whom the next layout asks, or asked too early.
import { hasBit, setBit } from '../../model/bits.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { ownersOf } from '../../placement/layout.ts';
import { partitionOf } from '../../placement/partition.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { MasterCore, View } from './core.ts';

/** Chunks of one question: a bitmap of 8 KiB. */
const chunksOfQuestion = 65_536;

export interface ChunkRange {
  readonly version: VersionId;
  /** [from, to). */
  readonly from: number;
  readonly to: number;
}

/** Above every layout number: whatever is held, whenever it was taken. */
const anyLayout = 0xffff_ffff;

interface Question {
  readonly owner: KeyHash;
  /** Only chunks taken under this layout or a lower one. */
  readonly layoutNumber: number;
}

/** By layout number of the question, for each node the bitmap of each range, in order; silent nodes are absent. */
type Answers = ReadonlyMap<number, ReadonlyMap<KeyHash, readonly Uint8Array[]>>;

/** The owners of each unretired layout are asked for that layout; usually there is exactly one. */
const questionsOf = (view: View, ranges: readonly ChunkRange[]): Question[] =>
  view.layouts.flatMap(({ layout }) => {
    const concerned = new Set<KeyHash>();
    for (const { version, from, to } of ranges) {
      for (let index = from; index < to && concerned.size < layout.nodes.length; index++) {
        for (const owner of ownersOf(layout, partitionOf(version, index))) concerned.add(owner);
      }
    }
    return [...concerned].map((owner) => ({ owner, layoutNumber: layout.number }));
  });

/**
 * Asks all owners; ends early once `isEnough` of what came, so that a paused owner delays no commit. `verified` is
 * filled with when the chunks of the first range were last whole.
 */
const ask = async (
  core: MasterCore,
  view: View,
  ranges: readonly ChunkRange[],
  questions: readonly Question[],
  isEnough: (answers: Answers) => boolean = () => false,
  verified?: Map<KeyHash, readonly number[]>,
): Promise<Answers> => {
  const answers = new Map<number, Map<KeyHash, readonly Uint8Array[]>>();
  for (const { layoutNumber } of questions) answers.set(layoutNumber, new Map());
  await new Promise<void>((resolve) => {
    const asked = questions.map(async ({ owner, layoutNumber }) => {
      const to = core.destination(view, owner);
      if (!to) return;
      try {
        const versions = ranges.map((range) => ({ ...range }));
        const request = { layoutNumber, versions, ...(verified ? { verified: true } : {}) };
        const { answer } = await core.context.transport.call(to, 'chunk.hold', request, {
          timeoutMs: limits.holdTimeoutMs,
        });
        answers.get(layoutNumber)?.set(owner, answer.held);
        verified?.set(owner, answer.verified?.[0] ?? []);
        if (isEnough(answers)) resolve();
      } catch (error) {
        core.context.log.debug('hold-unanswered', { node: owner, ...errorFacts(error) });
      }
    });
    void Promise.all(asked).then(() => resolve());
  });
  return new Map([...answers].map(([layoutNumber, held]) => [layoutNumber, new Map(held)]));
};

/** True when W′ owners of one layout hold the chunk and took it under that layout or a lower one. */
type IsDurable = (answers: Answers, range: ChunkRange, position: number, index: number) => boolean;

const durabilityIn = (core: MasterCore, view: View): IsDurable => {
  const tables = view.layouts.map(({ layout }) => layout);
  return (answers, range, position, index) => {
    const holders = tables.map(({ number }) => {
      const nodes = new Set<KeyHash>();
      for (const [node, bitmaps] of answers.get(number) ?? []) {
        const bits = bitmaps[position];
        if (bits !== undefined && hasBit(bits, index - range.from)) nodes.add(node);
      }
      return nodes;
    });
    return core.isDurable(tables, partitionOf(range.version, index), holders);
  };
};

/** Bitmap of [from, to): which chunks are durable. At most 65,536 chunks. */
export const durableChunks = async (core: MasterCore, view: View, range: ChunkRange): Promise<Uint8Array> => {
  const answers = await ask(core, view, [range], questionsOf(view, [range]));
  const isDurable = durabilityIn(core, view);
  const bits = new Uint8Array(Math.ceil((range.to - range.from) / 8));
  for (let index = range.from; index < range.to; index++) {
    if (isDurable(answers, range, 0, index)) setBit(bits, index - range.from);
  }
  return bits;
};

/** For each version whether all of its chunks are durable; versions in the order given. */
export const areDurable = async (
  core: MasterCore,
  view: View,
  versions: readonly { readonly version: VersionId; readonly chunkCount: number }[],
): Promise<boolean[]> => {
  const small = versions.filter(({ chunkCount }) => chunkCount <= 64);
  const ranges = small.map(({ version, chunkCount }): ChunkRange => ({ version, from: 0, to: chunkCount }));
  const verdicts = new Map<VersionId, boolean>();
  const isDurable = durabilityIn(core, view);
  const isWhole = (answers: Answers, range: ChunkRange, position: number): boolean => {
    for (let index = range.from; index < range.to; index++) {
      if (!isDurable(answers, range, position, index)) return false;
    }
    return true;
  };
  const areWhole = (answers: Answers): boolean => ranges.every((range, position) => isWhole(answers, range, position));
  const answers = ranges.length > 0 ? await ask(core, view, ranges, questionsOf(view, ranges), areWhole) : new Map();
  for (const [position, range] of ranges.entries()) verdicts.set(range.version, isWhole(answers, range, position));
  for (const { version, chunkCount } of versions) {
    if (verdicts.has(version)) continue;
    let whole = true;
    for (let from = 0; from < chunkCount && whole; from += chunksOfQuestion) {
      const range = { version, from, to: Math.min(chunkCount, from + chunksOfQuestion) };
      const isEnough = (held: Answers): boolean => isWhole(held, range, 0);
      whole = isWhole(await ask(core, view, [range], questionsOf(view, [range]), isEnough), range, 0);
    }
    verdicts.set(version, whole);
  }
  return versions.map(({ version }) => verdicts.get(version) ?? false);
};

/** The holders among the owners (newest layout first) of each chunk of a range, for people: whatever is held. */
export const listCopies = async (core: MasterCore, view: View, range: ChunkRange) => {
  const owners = new Set(questionsOf(view, [range]).map(({ owner }) => owner));
  const questions = [...owners].map((owner) => ({ owner, layoutNumber: anyLayout }));
  const verified = new Map<KeyHash, readonly number[]>();
  const answers = (await ask(core, view, [range], questions, () => false, verified)).get(anyLayout);
  return Array.from({ length: range.to - range.from }, (_, at) => {
    const index = range.from + at;
    const partition = partitionOf(range.version, index);
    const owners = ownersOf(view.newest, partition);
    const older = view.layouts.flatMap(({ layout }) => ownersOf(layout, partition));
    const copies = [...new Set([...owners, ...older])].flatMap((keyHash) => {
      const bits = answers?.get(keyHash)?.[0];
      const held = bits !== undefined && hasBit(bits, at);
      const owner = owners.includes(keyHash);
      const state: 'unreachable' | 'held' | 'missing' = bits === undefined ? 'unreachable' : held ? 'held' : 'missing';
      const verifiedMs = held ? (verified.get(keyHash)?.[at] ?? 0) : 0;
      return owner || held ? [{ keyHash, owner, state, verifiedMs }] : [];
    });
    return { index, partition, copies };
  });
};
