// Asking the network about star systems: one snapshot of the catalogues, the stars that the question names, then the
// question itself, in growing spheres when it is for the nearest. The answer is that of all records of the snapshot,
// each exactly once, whatever nodes answer; or it is an error; or, when a part will do, it says what is missing.
import { isOperaError, OperaError } from '../errors/errors.ts';
import type { Answer, Row } from '../index/aggregate.ts';
import type { NamedPlace } from '../index/expression.ts';
import { nearestSteps, planQuery } from '../index/plan.ts';
import { bindQuery, parseQuery, type Query, type QueryText } from '../index/query.ts';
import { limits } from '../model/limits.ts';
import { askCatalogues, type MissingChunks, type NodeCost } from './query-chunks.ts';
import { childSignal } from './parallel.ts';
import type { Session } from './session.ts';
import { commonPrefix, selectCatalogues, type Snapshot, type TakenSnapshot, takeSnapshot } from './snapshot.ts';
import { findPlaces, type PlaceSource } from './star-places.ts';

export { type MissingChunks, missingText, type NodeCost } from './query-chunks.ts';

export interface QueryOptions {
  /** Names and globs of catalogues; all of them without any. Stars are looked up there first, then everywhere. */
  readonly in?: readonly string[] | undefined;
  /** An answer without what cannot be reached will do; `missing` says what that is. */
  readonly partial?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A row with the file that its record is in. */
export interface FoundRow extends Row {
  readonly file: string;
}

/** One question to the nodes. */
export interface QueryStep {
  /** A star that was looked up, a radius of the search for the nearest, or the question itself. */
  readonly what: string;
  readonly nodes: readonly NodeCost[];
  readonly ms: number;
}

/** How the answer came about. */
export interface QueryReport {
  readonly catalogues: number;
  readonly chunks: number;
  /** The plan in sentences. */
  readonly plan: readonly string[];
  readonly places: readonly PlaceSource[];
  readonly steps: readonly QueryStep[];
  /** The snapshot of the registry, and all together. */
  readonly snapshotMs: number;
  readonly totalMs: number;
}

export interface StarAnswer {
  /** As it was asked, with every star in its place. */
  readonly query: Query;
  /** Records that match. */
  readonly count: number;
  /** False when the nearest rows were found before all were counted: there may be more than `count`. */
  readonly countsAll: boolean;
  /** In the query's order, at most its limit. */
  readonly rows: readonly FoundRow[];
  readonly groups: Answer['groups'];
  /** Empty unless `partial` was asked for. */
  readonly missing: readonly MissingChunks[];
  readonly report: QueryReport;
}

/** How often a question begins anew because catalogues ended while it was asked. */
const restartsMax = 20;

interface Taken extends TakenSnapshot {
  /** What its names begin with; empty when it has all catalogues. */
  readonly prefix: string;
  /** When it was asked for, on both clocks. */
  readonly askedMs: number;
  readonly askedAtMs: number;
  /** What the session had seen of names when it came. */
  readonly learned: number;
}

/** All catalogues; where they are too many for one answer, those that the patterns can mean. */
const takeFor = async (session: Session, { in: patterns, signal }: QueryOptions): Promise<Taken> => {
  const { clock } = session.connection;
  const asked = { askedMs: clock.monotonicMs(), askedAtMs: clock.nowMs() };
  const take = async (prefix: string): Promise<Taken> => {
    const taken = await takeSnapshot(session, { signal, prefix });
    return { ...taken, ...asked, prefix, learned: session.seen.now };
  };
  try {
    return await take('');
  } catch (error) {
    const prefix = commonPrefix(patterns);
    if (!isOperaError(error, 'too-large') || prefix === '') throw error;
    return take(prefix);
  }
};

/**
 * Whether a snapshot serves a question that comes now: every change acknowledged before is in it. One clock stands
 * still while a machine sleeps, the other one may be set; and what this session has seen since is never missing.
 */
const isGoodNow = (
  session: Session,
  { prefix, askedMs, askedAtMs, goodForMs, learned }: Taken,
  options: QueryOptions,
) => {
  const { clock } = session.connection;
  const ageMs = Math.max(clock.monotonicMs() - askedMs, Math.abs(clock.nowMs() - askedAtMs));
  const hasAll = prefix === '' || prefix === commonPrefix(options.in);
  return ageMs < goodForMs && hasAll && session.seen.now === learned;
};

/** Thrown inside only: a version of the snapshot is live no more. */
class SnapshotOver extends Error {}

/** One entry a file; steps find different chunks missing. */
const mergeMissing = (missing: readonly MissingChunks[]): MissingChunks[] => {
  const files = new Map<string, MissingChunks>();
  for (const entry of missing) {
    const chunks = [...(files.get(entry.version)?.chunks ?? []), ...entry.chunks].sort((a, b) => a - b);
    files.set(entry.version, { ...entry, chunks });
  }
  return [...files.values()];
};

class StarQuery {
  readonly #session: Session;
  readonly #options: QueryOptions;
  readonly #snapshot: Snapshot;
  readonly #prefix: string;
  readonly #selected: Snapshot;
  readonly #files: ReadonlyMap<string, string>;
  readonly #steps: QueryStep[] = [];
  #missing: readonly MissingChunks[] = [];

  constructor(session: Session, { snapshot, prefix }: Taken, options: QueryOptions) {
    this.#session = session;
    this.#options = options;
    this.#snapshot = snapshot;
    this.#prefix = prefix;
    this.#selected = selectCatalogues(snapshot, options.in);
    this.#files = new Map(snapshot.map(({ version, name }) => [version, name]));
  }

  async run(question: Query): Promise<Omit<StarAnswer, 'report'> & { readonly report: Omit<QueryReport, Times> }> {
    const { query, places } = await this.#bind(question);
    const { answer, countsAll } = await this.#askNearest(query);
    const rows = answer.rows.map((row) => ({ ...row, file: this.#fileOf(row) }));
    return {
      query,
      count: answer.count,
      countsAll,
      rows,
      groups: answer.groups,
      missing: mergeMissing(this.#missing),
      report: {
        catalogues: this.#selected.length,
        chunks: this.#selected.reduce((sum, { chunkCount }) => sum + chunkCount, 0),
        plan: planQuery(query).explain,
        places,
        steps: this.#steps,
      },
    };
  }

  #fileOf({ id }: Row): string {
    return this.#files.get(id.version) ?? '';
  }

  async #bind(question: Query): Promise<{ readonly query: Query; readonly places: readonly PlaceSource[] }> {
    const { find, sources } = await findPlaces(question, async (lookup) => {
      const { where } = lookup;
      const what = `look up ${where?.kind === 'name' ? where.key : ''}`;
      const here = await this.#ask(what, this.#selected, lookup);
      const isElsewhere = here.count === 0 && this.#selected.length < this.#snapshot.length;
      const answer = isElsewhere ? await this.#ask(`${what} everywhere`, this.#snapshot, lookup) : here;
      return { answer, fileOf: (row) => this.#fileOf(row) };
    });
    return { query: bindQuery(question, (star: NamedPlace) => find(star)), places: sources };
  }

  /** The first sphere with enough rows has the nearest. What is missing once is not waited for again. */
  async #askNearest(query: Query): Promise<{ readonly answer: Answer; readonly countsAll: boolean }> {
    const steps = nearestSteps(query);
    for (const [at, { radius, query: step }] of steps.entries()) {
      const unit = query.centre?.kind === 'sky' ? 'deg' : 'pc';
      const answer = await this.#ask(radius === undefined ? 'query' : `within ${radius} ${unit}`, this.#selected, step);
      const countsAll = at === steps.length - 1;
      if (countsAll || answer.rows.length >= query.limit) return { answer, countsAll };
    }
    throw new OperaError('internal', 'a query had no steps');
  }

  async #ask(what: string, catalogues: Snapshot, query: Query): Promise<Answer> {
    const { clock } = this.#session.connection;
    const nodes: NodeCost[] = [];
    const beganMs = clock.monotonicMs();
    const { signal, partial = false } = this.#options;
    const onCost = (cost: NodeCost): void => void nodes.push(cost);
    const options = { signal, prefix: this.#prefix, partial, without: this.#missing, onCost };
    const outcome = await askCatalogues(this.#session, catalogues, query, options);
    if (!outcome) throw new SnapshotOver();
    this.#steps.push({ what, nodes, ms: clock.monotonicMs() - beganMs });
    this.#missing = [...this.#missing, ...outcome.missing];
    return outcome.answer;
  }
}

/** The last snapshot of a session's queries: for a moment the next one shares it, later it most likely is the same. */
const lastTaken = new WeakMap<Session, Taken>();

const isSame = (a: Taken, b: Taken): boolean =>
  a.prefix === b.prefix &&
  a.snapshot.length === b.snapshot.length &&
  a.snapshot.every(({ version, name }, at) => b.snapshot[at]?.version === version && b.snapshot[at].name === name);

/**
 * The snapshot now; and, when it is the one of the query before, the answer to this one, which was asked for at the
 * same time. A snapshot is of the moment it was taken, so answers about its chunks are good whenever they were given.
 */
const takeAndGuess = async (session: Session, query: Query, options: QueryOptions) => {
  const { clock } = session.connection;
  const last = lastTaken.get(session);
  // Its tickets must be good for a while.
  const isFresh = last !== undefined && clock.monotonicMs() - last.askedMs < limits.ticketLifeMs / 2;
  const { signal, abort, release } = childSignal(options.signal);
  const run = async () => (isFresh ? new StarQuery(session, last, { ...options, signal }).run(query) : undefined);
  const guess = run().finally(release);
  // Whether its failure counts is not known yet.
  guess.catch(() => undefined);
  try {
    const taken = await takeFor(session, options);
    lastTaken.set(session, taken);
    if (isFresh && isSame(last, taken)) return { taken, guess };
    abort();
    return { taken, guess: undefined };
  } catch (error) {
    abort();
    throw error;
  }
};

type Times = 'snapshotMs' | 'totalMs';

/**
 * Answers a question about star systems. Throws `usage` (a question that makes no sense, a star in different places),
 * `not-found` (a star or catalogue that does not exist), `unavailable` when records cannot be reached and `partial` is
 * not asked for.
 */
export const queryStars = async (
  session: Session,
  question: QueryText | Query,
  options: QueryOptions = {},
): Promise<StarAnswer> => {
  const query = 'output' in question ? question : parseQuery(question);
  const { clock } = session.connection;
  const beganMs = clock.monotonicMs();
  for (let restart = 0; ; restart++) {
    const snapshotBeganMs = clock.monotonicMs();
    const last = lastTaken.get(session);
    // One that is over is over for all who share it.
    const isShared = restart === 0 && last !== undefined && isGoodNow(session, last, options);
    const { taken, guess } = isShared ? { taken: last, guess: undefined } : await takeAndGuess(session, query, options);
    const snapshotMs = clock.monotonicMs() - snapshotBeganMs;
    try {
      const found = (await guess) ?? (await new StarQuery(session, taken, options).run(query));
      return { ...found, report: { ...found.report, snapshotMs, totalMs: clock.monotonicMs() - beganMs } };
    } catch (error) {
      if (!(error instanceof SnapshotOver)) throw error;
      if (restart >= restartsMax) {
        throw new OperaError('unavailable', 'catalogues are replaced faster than they can be asked');
      }
      await clock.sleep(limits.retryBaseMs, options.signal ? { signal: options.signal } : {});
    }
  }
};
