// What the sources of a pull hold, listed a window of partitions at a time, so that memory is bounded however much
// there is. All sources are asked at once; a partition is listed when every source that answers has told all of it.
// What is held here already, and what only unsound stores list, is left out: it is nothing that has to be copied.
import { isOperaError } from '../../errors/errors.ts';
import type { KeyHash, VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { errorFacts } from '../../runtime/log.ts';
import type { AnswerOf } from '../../wire/routes.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import type { PullPlan, Wanted } from './repair.ts';

type ListedChunk = AnswerOf<'chunk.list'>['chunks'][number];
type ListedManifest = AnswerOf<'manifest.index'>['manifests'][number];

export interface WantedChunk extends Wanted {
  readonly chunk: ListedChunk;
}

export interface WantedManifest extends Wanted {
  readonly version: VersionId;
  readonly partition: number;
}

export interface Window {
  /** Listed completely by every source in `answered`, as far as it owns them. */
  readonly partitions: readonly number[];
  /** Sources whose answers count: sound, and under the newest layout if that is demanded. */
  readonly answered: ReadonlySet<KeyHash>;
  readonly chunks: readonly WantedChunk[];
  readonly manifests: readonly WantedManifest[];
  /** Versions of which sound sources list a manifest. */
  readonly known: ReadonlySet<VersionId>;
}

export interface ListingOptions {
  readonly plan: PullPlan;
  /** Answers count only from sources that had acknowledged this layout before they listed; 0 for any. */
  readonly acknowledged: number;
  readonly signal: AbortSignal;
  /** Sources that fail are taken out. */
  readonly live: Set<KeyHash>;
}

interface SourceListing {
  readonly source: KeyHash;
  readonly chunks: ListedChunk[];
  readonly manifests: ListedManifest[];
  /** Position in the window of the partition in which the listing was cut; undefined when it is whole. */
  cutAt: number | undefined;
  acknowledged: number;
  sound: boolean;
}

const keyOf = ({ version, index }: Pick<ListedChunk, 'version' | 'index'>): string => `${version}/${index}`;

/** Lists the first of `order`; as many partitions as the window holds, at least one. */
export const listWindow = async (
  core: NodeCore,
  order: readonly number[],
  options: ListingOptions,
): Promise<Window> => {
  const place = new Map(order.map((partition, at) => [partition, at]));
  const listings: SourceListing[] = [];
  await Promise.all(
    [...options.live].map(async (source) => {
      try {
        listings.push(await listSource(core, source, place, options));
      } catch (error) {
        if (options.signal.aborted || isOperaError(error, 'aborted')) throw error;
        options.live.delete(source);
        core.context.log.warn('pull-failed', { from: source, ...errorFacts(error) });
      }
    }),
  );
  const end = Math.min(order.length, ...listings.flatMap(({ cutAt }) => cutAt ?? []));
  const partitions = order.slice(0, end);
  const within = new Set(partitions);
  const { acknowledged } = options;
  const counted = listings.filter((listing) => listing.sound && listing.acknowledged >= acknowledged);
  return {
    partitions,
    answered: new Set(counted.map(({ source }) => source)),
    chunks: await wantedChunks(core, listings, within),
    manifests: await wantedManifests(core, listings, within),
    known: new Set(listings.flatMap(({ sound, manifests }) => (sound ? manifests.map(({ version }) => version) : []))),
  };
};

const listSource = async (
  core: NodeCore,
  source: KeyHash,
  place: ReadonlyMap<number, number>,
  { plan, signal }: ListingOptions,
): Promise<SourceListing> => {
  const { transport } = core.context;
  const to = destinationOfNode(core, source);
  const placeOf = (partition: number): number => place.get(partition) ?? 0;
  const owned = (plan.sources.get(source) ?? []).filter((partition) => place.has(partition));
  const partitions = owned.sort((a, b) => placeOf(a) - placeOf(b));
  const listing: SourceListing = {
    ...{ source, chunks: [], manifests: [], cutAt: undefined, sound: true },
    acknowledged: Number.POSITIVE_INFINITY,
  };
  if (partitions.length === 0) return listing;
  const note = (answer: { readonly layoutNumber: number; readonly sound: boolean }): void => {
    listing.acknowledged = Math.min(listing.acknowledged, answer.layoutNumber);
    listing.sound &&= answer.sound;
  };
  for (let last: ListedChunk | undefined, more = true; more; ) {
    const after = last && { partition: last.partition, version: last.version, index: last.index };
    const request = { partitions, limit: limits.pullPageChunks, ...(after ? { after } : {}) };
    const { answer } = await transport.call(to, 'chunk.list', request, { signal });
    note(answer);
    listing.chunks.push(...answer.chunks);
    last = answer.chunks.at(-1);
    more = answer.more && last !== undefined;
    // Cut only behind a partition, so that each window gets somewhere.
    const at = last ? placeOf(last.partition) : 0;
    if (more && at > 0 && listing.chunks.length >= limits.pullWindowChunks) {
      listing.cutAt = at;
      more = false;
    }
  }
  const listed = partitions.filter((partition) => placeOf(partition) < (listing.cutAt ?? Number.POSITIVE_INFINITY));
  for (let last: ListedManifest | undefined, more = listed.length > 0; more; ) {
    const after = last && { partition: last.partition, version: last.version };
    const request = { partitions: listed, limit: limits.pullPageChunks, ...(after ? { after } : {}) };
    const { answer } = await transport.call(to, 'manifest.index', request, { signal });
    note(answer);
    listing.manifests.push(...answer.manifests);
    last = answer.manifests.at(-1);
    more = answer.more && last !== undefined;
  }
  return listing;
};

/** Chunks that sound sources list and this node lacks, with everybody who has that very chunk. */
const wantedChunks = async (
  { storage }: NodeCore,
  listings: readonly SourceListing[],
  within: ReadonlySet<number>,
): Promise<WantedChunk[]> => {
  const found = new Map<string, { readonly chunk: ListedChunk; readonly sources: KeyHash[] }>();
  const listed = new Set<number>();
  // Sound ones first: what the others list counts as one more copy of what these have, never by itself.
  for (const { source, sound, chunks } of [...listings].sort((a, b) => Number(b.sound) - Number(a.sound))) {
    for (const chunk of chunks) {
      if (!within.has(chunk.partition)) continue;
      const known = found.get(keyOf(chunk));
      if (known && Buffer.compare(known.chunk.hash, chunk.hash) === 0) known.sources.push(source);
      else if (!known && sound) found.set(keyOf(chunk), { chunk, sources: [source] });
      listed.add(chunk.partition);
    }
  }
  for (const partition of listed) {
    for (let page = await storage.listChunks(partition, undefined, limits.storePageMax); ; ) {
      for (const held of page.items) found.delete(keyOf(held));
      if (!page.next) break;
      page = await storage.listChunks(partition, page.next, limits.storePageMax);
    }
  }
  return [...found.values()].map(({ chunk, sources }) => ({ chunk, sources, bytes: chunk.length }));
};

/** True when `a` is the newer one of two records of a version. */
const isNewer = (
  a: Pick<ListedManifest, 'sequence' | 'wrapEpoch'>,
  b: Pick<ListedManifest, 'sequence' | 'wrapEpoch'>,
): boolean => a.sequence > b.sequence || (a.sequence === b.sequence && a.wrapEpoch > b.wrapEpoch);

/** Manifests that sound sources list and this node holds not at all, or older ones of. */
const wantedManifests = async (
  { storage }: NodeCore,
  listings: readonly SourceListing[],
  within: ReadonlySet<number>,
): Promise<WantedManifest[]> => {
  const newest = new Map<VersionId, { entry: ListedManifest; sources: KeyHash[] }>();
  for (const { source, sound, manifests } of listings) {
    if (!sound) continue;
    for (const entry of manifests) {
      if (!within.has(entry.partition)) continue;
      const known = newest.get(entry.version);
      if (!known || isNewer(entry, known.entry)) newest.set(entry.version, { entry, sources: [source] });
      else if (!isNewer(known.entry, entry)) known.sources.push(source);
    }
  }
  const wanted: WantedManifest[] = [];
  for (const [version, { entry, sources }] of newest) {
    const held = await storage.getManifest(version);
    if (held && !isNewer(entry, held)) continue;
    wanted.push({ version, partition: entry.partition, sources, bytes: entry.length * 2 });
  }
  return wanted;
};
