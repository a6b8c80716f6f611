// What a query is about: every live catalogue with its version, seen in one step of the registry, and the right to ask
// nodes about them. A query sticks to its snapshot: what is put, replaced or removed later does not mix into it.
import { OperaError } from '../errors/errors.ts';
import type { VersionId } from '../model/ids.ts';
import { isGlob, parseGlob } from '../model/glob.ts';
import { limits } from '../model/limits.ts';
import { parseName, parseWireName } from '../model/names.ts';
import { batchesOf } from './open-file.ts';
import { Plan } from './plan.ts';
import type { Session } from './session.ts';

export interface Catalogue {
  readonly name: string;
  readonly version: VersionId;
  readonly chunkCount: number;
  /** The right to ask about it, shared with the others of its ticket. */
  readonly plan: Plan;
}

/** By name, in byte order. */
export type Snapshot = readonly Catalogue[];

export interface TakenSnapshot {
  readonly snapshot: Snapshot;
  /** So long after it was asked for, no change that was acknowledged or seen before is missing in it. 0 for none. */
  readonly goodForMs: number;
}

/** Names whose sequences are remembered: a longer list must not push all other names out of the memory. */
const rememberedMax = limits.seenNamesMax / 2;

const wrong = (): OperaError => new OperaError('integrity', 'the network answered catalogues that cannot be');

export interface SnapshotOptions {
  readonly signal?: AbortSignal | undefined;
  /** Only catalogues whose names begin so; all when empty. */
  readonly prefix?: string;
}

/**
 * The snapshot now. `too-large` when there are more catalogues than one answer names; `integrity` when what is answered
 * cannot be one, or is older than what this member has seen.
 */
export const takeSnapshot = async (session: Session, options: SnapshotOptions = {}): Promise<TakenSnapshot> => {
  const { connection, view, seen } = session;
  const asked = seen.now;
  const { signal, prefix = '' } = options;
  const request = { haveLayout: view.layoutNumber, ...(prefix === '' ? {} : { prefix }) };
  const answer = await connection.call('catalogue.list', request, signal ? { signal } : {});
  // What the session learned of names meanwhile may be newer than this.
  const isNewest = seen.now === asked;
  await view.accept(answer);
  const parts = batchesOf(answer.catalogues, limits.ticketVersionsMax);
  if (parts.length !== answer.tickets.length) throw wrong();
  const snapshot: Catalogue[] = [];
  const versions = new Set<VersionId>();
  let before: Buffer | undefined;
  for (const [at, ticket] of answer.tickets.entries()) {
    const part = parts[at] ?? [];
    const plan = await Plan.accept(
      session,
      answer,
      ticket,
      part.map(({ version }) => version),
    );
    for (const { name: wireName, version, sequence, chunkCount } of part) {
      const name = parseWireName(wireName);
      const bytes = Buffer.from(name);
      const isNext = before === undefined || Buffer.compare(before, bytes) < 0;
      if (!isNext || !name.startsWith(prefix) || versions.has(version) || chunkCount > limits.chunkIndexMax)
        throw wrong();
      if (snapshot.length < rememberedMax) seen.check(name, sequence, asked);
      before = bytes;
      versions.add(version);
      snapshot.push({ name, version, chunkCount, plan });
    }
  }
  return { snapshot, goodForMs: isNewest ? Math.min(answer.goodForMs ?? 0, limits.snapshotGoodMs) : 0 };
};

/**
 * The catalogues that names and globs mean, each once; all without any. An exact name wins over a glob. `not-found` for
 * a name that is no catalogue's.
 */
export const selectCatalogues = (snapshot: Snapshot, patterns: readonly string[] = []): Snapshot => {
  if (patterns.length === 0) return snapshot;
  const names = new Set(snapshot.map(({ name }) => name));
  const wanted = patterns.map((pattern) => {
    const normal = pattern.normalize('NFC');
    if (names.has(normal)) return (name: string): boolean => name === normal;
    if (isGlob(pattern)) {
      const glob = parseGlob(pattern);
      return (name: string): boolean => glob.matches(name);
    }
    throw new OperaError('not-found', `no catalogue is named ${parseName(pattern)}`, {
      hint: 'Only catalogues can be asked; see opera ls and opera stat NAME',
    });
  });
  return snapshot.filter(({ name }) => wanted.some((isWanted) => isWanted(name)));
};

/** What every name that the patterns mean begins with; empty without any. */
export const commonPrefix = (patterns: readonly string[] = []): string => {
  const [first = '', ...others] = patterns.map((pattern) => {
    const normal = pattern.normalize('NFC');
    return isGlob(normal) ? parseGlob(normal).prefix : normal;
  });
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length--;
  // Half a character is no prefix of names.
  return first.slice(0, length).replace(/[\ud800-\udbff]$/, '');
};
