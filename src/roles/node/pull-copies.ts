// Copies what was listed: groups that fit a message, several sources at once but a bounded number of groups, the next
// source when one fails or gives what does not match its hash. Bytes are paid for from the budget of background work.
import { equalBytes, sha256 } from '../../crypto/digest.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import type { KeyHash } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { errorFacts } from '../../runtime/log.ts';
import { destinationOfNode, type NodeCore } from './core.ts';
import type { WantedChunk, WantedManifest } from './pull-listing.ts';
import { groupBySource, type PullGroup, type Wanted } from './repair.ts';
import { manifestToStore } from './serve.ts';
import { newestLayout } from './state.ts';

export interface CopyOptions {
  /** The layout that the copies are for; nothing is written under another. */
  readonly layoutNumber: number;
  readonly signal: AbortSignal;
  /** Told of each group that is durable. */
  readonly onCopied: (chunks: number, bytes: number) => void;
  /** False for a mutant that believes what it is given. */
  readonly checksHashes?: boolean;
}

/** What a source did with one group: what is copied, and what another source must be asked for. */
interface GroupResult<Item extends Wanted> {
  /** Did not fit the answer; the same source has it. */
  readonly again: readonly Item[];
  /** Absent, altered, or refused. */
  readonly failed: readonly Item[];
}

/**
 * Runs all groups, then what failed at its next source, until everything is copied or has no source left. Answers what
 * nobody gave. A source that cannot be reached is not asked again.
 */
const runGroups = async <Item extends Wanted>(
  core: NodeCore,
  wanted: readonly Item[],
  most: { readonly bytes: number; readonly items: number },
  signal: AbortSignal,
  run: (group: PullGroup<Item>) => Promise<GroupResult<Item>>,
): Promise<Item[]> => {
  const unreachable = new Set<KeyHash>();
  let left: readonly Item[] = wanted;
  for (;;) {
    const groups = groupBySource(left, unreachable, most);
    if (groups.length === 0) return [...left];
    const retry: Item[] = left.filter((item) => item.sources.every((source) => unreachable.has(source)));
    const next = groups.values();
    const worker = async (): Promise<void> => {
      for (const group of next) {
        const { source, items } = group;
        if (unreachable.has(source)) {
          retry.push(...items);
          continue;
        }
        try {
          const { again, failed } = await run(group);
          retry.push(...again, ...failed.map((item) => without(item, source)));
        } catch (error) {
          if (signal.aborted || isOperaError(error, 'aborted', 'no-space', 'read-only')) throw error;
          unreachable.add(source);
          core.context.log.warn('pull-failed', { from: source, ...errorFacts(error) });
          retry.push(...items);
        }
      }
    };
    await Promise.all(Array.from({ length: limits.pullsInFlight }, worker));
    left = retry;
  }
};

const without = <Item extends Wanted>(item: Item, source: KeyHash): Item => ({
  ...item,
  sources: item.sources.filter((other) => other !== source),
});

/** Copies chunks; answers those that no source gave. */
export const copyChunks = (
  core: NodeCore,
  wanted: readonly WantedChunk[],
  options: CopyOptions,
): Promise<WantedChunk[]> => {
  const most = { bytes: limits.batchBytesMax, items: limits.batchEntriesMax };
  return runGroups(core, wanted, most, options.signal, (group) => copyGroup(core, group, options));
};

/** A group that was asked for; beside clients in messages so short that nobody has to wait for one. */
const copyGroup = async (
  core: NodeCore,
  { source, items }: PullGroup<WantedChunk>,
  options: CopyOptions,
): Promise<GroupResult<WantedChunk>> => {
  const again: WantedChunk[] = [];
  const failed: WantedChunk[] = [];
  for (let at = 0; at < items.length; ) {
    const batch = nextBatch(items.slice(at), core.throttle.isBusy);
    const result = await copyBatch(core, { source, items: batch }, options);
    again.push(...result.again);
    failed.push(...result.failed);
    at += batch.length;
  }
  return { again, failed };
};

/** All of them, or beside clients the first ones that fit a piece, at least one. */
const nextBatch = (items: readonly WantedChunk[], busy: boolean): WantedChunk[] => {
  if (!busy) return [...items];
  let bytes = 0;
  const end = items.findIndex((item) => {
    bytes += item.bytes;
    return bytes > limits.backgroundPieceBytes;
  });
  return items.slice(0, end < 0 ? items.length : Math.max(end, 1));
};

/** What a source answered for the first of the items; null where it has none. */
type Given = readonly (Uint8Array | null)[];

const readBatch = async (
  core: NodeCore,
  { source, items }: PullGroup<WantedChunk>,
  signal: AbortSignal,
): Promise<Given> => {
  const { context, throttle } = core;
  await throttle.take(
    items.reduce((sum, { bytes }) => sum + bytes, 0),
    signal,
  );
  const request = { chunks: items.map(({ chunk: { version, index } }) => ({ version, index })) };
  const to = destinationOfNode(core, source);
  const { answer, binary } = await context.transport.call(to, 'chunk.read', request, { signal });
  let at = 0;
  return answer.chunks.map((found) => {
    const body = binary.subarray(at, at + (found?.length ?? 0));
    at += body.length;
    return found && body;
  });
};

/**
 * A long chunk as a range, which its source gives without hashing it as well; beside clients piece by piece, each paid
 * for by itself. Undefined when the source has not all of it, or not the right bytes: asked for the whole chunk it
 * looks at what it has.
 */
const readLong = async (
  core: NodeCore,
  source: KeyHash,
  { chunk, bytes }: WantedChunk,
  { signal, checksHashes = true }: CopyOptions,
): Promise<Uint8Array | undefined> => {
  const { context, throttle } = core;
  const { version, index, hash } = chunk;
  let body: Uint8Array | undefined;
  for (let from = 0; from < bytes; ) {
    const to = throttle.isBusy ? Math.min(from + limits.backgroundPieceBytes, bytes) : bytes;
    await throttle.take(to - from, signal);
    const request = { chunks: [{ version, index, from, to }] };
    const { binary } = await context.transport.call(destinationOfNode(core, source), 'chunk.read', request, { signal });
    if (binary.length !== to - from) return undefined;
    if (to - from === bytes) body = binary;
    else (body ??= new Uint8Array(bytes)).set(binary, from);
    from = to;
  }
  return body && (!checksHashes || equalBytes(sha256(body), hash)) ? body : undefined;
};

const copyBatch = async (
  core: NodeCore,
  group: PullGroup<WantedChunk>,
  options: CopyOptions,
): Promise<GroupResult<WantedChunk>> => {
  const { context, storage, memory, barrier } = core;
  const { source, items } = group;
  const { layoutNumber, signal, onCopied, checksHashes = true } = options;
  const [first] = items;
  const isLong = first !== undefined && items.length === 1 && first.bytes > limits.backgroundPieceBytes;
  const whole = isLong ? await readLong(core, source, first, options) : undefined;
  const given = whole ? [whole] : await readBatch(core, group, signal);
  const failed: WantedChunk[] = [];
  const writes = given.flatMap((body, position) => {
    const item = items[position];
    if (!item) return [];
    const { version, index, partition, hash, servedHour } = item.chunk;
    const isRight = body === whole || !checksHashes || (body !== null && equalBytes(sha256(body), hash));
    if (body !== null && body.length > 0 && isRight) {
      return [{ version, index, partition, hash, servedHour, layoutNumber, body }];
    }
    if (body) context.log.warn('bad-copy', { from: source, version, index });
    failed.push(item);
    return [];
  });
  if (writes.length > 0) {
    const versions = writes.map(({ version }) => version);
    const put = () => {
      // The layout in force when the copy is taken: the next one is acknowledged only when the copy is down.
      if (newestLayout(memory.state)?.number !== layoutNumber) throw new OperaError('aborted', 'the layout changed');
      return barrier.run(layoutNumber, () => storage.putChunks(writes));
    };
    const outcomes = await core.notes.putCopied(source, versions, put, signal);
    const conflicts = outcomes.filter((outcome) => outcome === 'conflict').length;
    if (conflicts > 0) context.log.error('chunk-conflict', { from: source, chunks: conflicts });
    onCopied(
      writes.length,
      writes.reduce((sum, { body }) => sum + body.length, 0),
    );
  }
  const rest = items.slice(given.length);
  // A source that gives nothing at all would be asked for ever.
  return given.length > 0 ? { again: rest, failed } : { again: [], failed: rest };
};

/** Copies manifests; answers those that no source gave. */
export const copyManifests = (
  core: NodeCore,
  wanted: readonly WantedManifest[],
  signal: AbortSignal,
): Promise<WantedManifest[]> => {
  const most = { bytes: limits.messageBytesMax / 2, items: limits.batchEntriesMax };
  return runGroups(core, wanted, most, signal, (group) => copyManifestGroup(core, group, signal));
};

const copyManifestGroup = async (
  core: NodeCore,
  { source, items }: PullGroup<WantedManifest>,
  signal: AbortSignal,
): Promise<GroupResult<WantedManifest>> => {
  const { context, storage } = core;
  await core.throttle.take(
    items.reduce((sum, { bytes }) => sum + bytes, 0),
    signal,
  );
  const request = { versions: items.map(({ version }) => version) };
  const to = destinationOfNode(core, source);
  const { answer } = await context.transport.call(to, 'manifest.read', request, { signal });
  const failed: WantedManifest[] = [];
  const writes = answer.manifests.flatMap((record, position) => {
    const item = items[position];
    if (!item) return [];
    const write = record && signedByMaster(core, record.bytes, record.signerSpki);
    if (write?.version === item.version) return [write];
    failed.push(item);
    return [];
  });
  if (writes.length > 0) await storage.putManifests(writes);
  return { again: items.slice(answer.manifests.length), failed };
};

/** Any state of the master: one that was revoked since had signed it rightly then. Undefined for anything else. */
export const signedByMaster = (core: NodeCore, record: Uint8Array, signerSpki: Uint8Array) => {
  try {
    const write = manifestToStore(core, record, signerSpki);
    return core.context.rosters.roster.byKeyHash.get(write.signer)?.role === 'master' ? write : undefined;
  } catch (error) {
    core.context.log.warn('bad-manifest', errorFacts(error));
    return undefined;
  }
};
