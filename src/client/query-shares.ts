// Whom to ask about which chunks of a query: each chunk of one owner that was not asked about it yet, the likeliest to
// answer first. Cheap questions go to as few nodes as hold everything, for every node asked is a round trip that may be
// the slowest; questions that read much are spread evenly. It only chooses: query-chunks.ts counts each chunk once.
import type { KeyHash } from '../model/ids.ts';
import type { Plan } from './plan.ts';
import type { Catalogue } from './snapshot.ts';
import type { ClusterView, Owner } from './view.ts';

/** A chunk that nobody has answered for yet. */
export interface OpenChunk {
  readonly catalogue: Catalogue;
  readonly index: number;
  /** Owners that were asked in this round and do not vouch for it. */
  readonly tried: Set<KeyHash>;
}

/** What one node is asked in one message. */
export interface Share {
  readonly owner: Owner;
  readonly plan: Plan;
  readonly chunks: OpenChunk[];
}

export interface ShareOptions {
  /** True for questions that read much of every chunk. */
  readonly spread: boolean;
  /** Which of equally good nodes comes first, in [0, 1): the same for all questions of a session, and not of others. */
  readonly turn: number;
  /** Questions of this session that a node has not answered yet. */
  readonly asked: (keyHash: KeyHash) => number;
}

interface Choice {
  readonly chunk: OpenChunk;
  /** The least doubtful owners that were not asked yet. */
  readonly owners: readonly Owner[];
}

const choicesOf = (view: ClusterView, chunks: Iterable<OpenChunk>): Choice[] => {
  const choices: Choice[] = [];
  for (const chunk of chunks) {
    const left = view
      .readersOf(chunk.catalogue.version, chunk.index)
      .filter(({ keyHash }) => !chunk.tried.has(keyHash));
    const [first] = left;
    if (!first) continue;
    const best = view.doubtOf(first.keyHash);
    choices.push({ chunk, owners: left.filter(({ keyHash }) => view.doubtOf(keyHash) === best) });
  }
  return choices;
};

type Assign = (chunk: OpenChunk, owner: Owner) => void;

/** Each chunk to the owner that has the fewest so far. */
const spreadOut = (choices: readonly Choice[], assign: Assign): void => {
  const loads = new Map<KeyHash, number>();
  for (const { chunk, owners } of choices) {
    const loadOf = ({ keyHash }: Owner): number => loads.get(keyHash) ?? 0;
    const [first, ...others] = owners;
    if (!first) continue;
    const owner = others.reduce((least, other) => (loadOf(other) < loadOf(least) ? other : least), first);
    loads.set(owner.keyHash, loadOf(owner) + 1);
    assign(chunk, owner);
  }
};

/**
 * Again and again all that is left of the owner of most: at most a logarithm more nodes than the fewest possible. Of
 * equals the one with the least to do, and else always the same: it has in memory what questions before have read.
 */
const gatherUp = (choices: readonly Choice[], { turn, asked }: ShareOptions, assign: Assign): void => {
  let left = choices;
  while (left.length > 0) {
    const counts = new Map<KeyHash, number>();
    for (const { owners } of left)
      for (const { keyHash } of owners) counts.set(keyHash, (counts.get(keyHash) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const best = [...counts].flatMap(([keyHash, count]) => (count === most ? [keyHash] : [])).sort();
    const first = Math.floor(turn * best.length);
    const [chosen] = [...best.slice(first), ...best.slice(0, first)].sort((a, b) => asked(a) - asked(b));
    const rest: Choice[] = [];
    for (const choice of left) {
      const owner = choice.owners.find(({ keyHash }) => keyHash === chosen);
      if (owner) assign(choice.chunk, owner);
      else rest.push(choice);
    }
    left = rest;
  }
};

/** Shares of all chunks that have an owner left to ask; each chunk is in one share at most. */
export const shareOut = (view: ClusterView, chunks: Iterable<OpenChunk>, options: ShareOptions): Share[] => {
  const shares = new Map<KeyHash, Map<Plan, Share>>();
  const assign: Assign = (chunk, owner) => {
    const { plan } = chunk.catalogue;
    const ofOwner = shares.get(owner.keyHash) ?? new Map<Plan, Share>();
    const share = ofOwner.get(plan) ?? { owner, plan, chunks: [] };
    share.chunks.push(chunk);
    shares.set(owner.keyHash, ofOwner.set(plan, share));
  };
  const choices = choicesOf(view, chunks);
  if (options.spread) spreadOut(choices, assign);
  else gatherUp(choices, options, assign);
  return [...shares.values()].flatMap((ofOwner) => [...ofOwner.values()]);
};
