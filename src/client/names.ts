// Names: listing, facts, renaming, removing, and where copies are. Every change is sealed here and committed in one
// step; what the network answers about names is checked as strictly as what it answers about contents.
import { type FileContent, sealManifestBody } from '../crypto/manifest-body.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { keyBytes } from '../crypto/chacha.ts';
import { wrapFileKey } from '../crypto/wrap.ts';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import { parseName, parseWireName } from '../model/names.ts';
import { limits } from '../model/limits.ts';
import type { WireNameRecord } from '../wire/messages-names.ts';
import type { AnswerOf } from '../wire/routes.ts';
import { commitChange, type DoneOutcome, drawOperationId } from './commit.ts';
import { randomVersionId } from './ids.ts';
import { findFiles, type LookOptions, openRecord, type RemoteFile, resolveName } from './open-file.ts';
import type { Session } from './session.ts';

/** One name of a listing; `error` instead of the facts when its record could not be opened. */
export interface ListedFile {
  readonly name: string;
  readonly record: WireNameRecord;
  readonly content: FileContent | undefined;
  readonly error: OperaError | undefined;
}

export interface ListQuery {
  readonly prefix?: string;
  /** Names strictly after this one. */
  readonly after?: string;
  /** At most so many; all when absent. */
  readonly limit?: number;
  /** Whether a name is wanted; others do not count for the limit. */
  readonly accept?: (name: string) => boolean;
  readonly signal?: AbortSignal | undefined;
}

const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

const open = async (session: Session, record: WireNameRecord, asked: number): Promise<ListedFile> => {
  const { name } = record;
  try {
    const { content } = await openRecord(session, record, asked);
    return { name, record, content, error: undefined };
  } catch (error) {
    return { name, record, content: undefined, error: toOperaError(error) };
  }
};

/** Names in byte order of their UTF-8. `integrity` when the network answers others than it was asked for. */
export async function* listFiles(session: Session, query: ListQuery = {}): AsyncGenerator<ListedFile, void, void> {
  const { prefix = '', limit = Number.POSITIVE_INFINITY, accept, signal } = query;
  let { after } = query;
  for (let count = 0; count < limit; ) {
    const page = accept ? limits.listPageMax : Math.min(limits.listPageMax, limit - count);
    const request = { prefix, limit: page, ...(after === undefined ? {} : { after }) };
    const asked = session.seen.now;
    const answer = await session.connection.call('name.list', request, signal ? { signal } : {});
    for (const record of answer.records) {
      const name = checkListed(record.name, prefix, after);
      after = name;
      if (accept && !accept(name)) continue;
      yield await open(session, record, asked);
      if (++count >= limit) return;
    }
    const { next, records } = answer;
    if (next === undefined) return;
    // A page without new names would be asked for again and again.
    if (after === undefined || byteOrder(next, after) > 0) after = parseWireName(next);
    else if (records.length === 0) throw new OperaError('integrity', 'a listing does not go forward');
  }
}

const checkListed = (listed: string, prefix: string, after: string | undefined): string => {
  const name = parseWireName(listed);
  if (!name.startsWith(prefix) || (after !== undefined && byteOrder(name, after) <= 0)) {
    throw new OperaError('integrity', 'a listing holds names that were not asked for');
  }
  return name;
};

/** Facts of one file. `not-found` when there is none. */
export const statFile = async (session: Session, name: string, options?: LookOptions): Promise<RemoteFile> =>
  (await resolveName(session, parseName(name), options)).file;

/** The file of a name, or undefined. */
export const findFile = async (
  session: Session,
  name: string,
  options?: LookOptions,
): Promise<RemoteFile | undefined> => {
  try {
    return await statFile(session, name, options);
  } catch (error) {
    if (isOperaError(error, 'not-found')) return undefined;
    throw error;
  }
};

export type ChunkPlaces = AnswerOf<'name.where'>['chunks'][number];
export type WhereFacts = Pick<AnswerOf<'name.where'>, 'version' | 'chunkCount' | 'nodes' | 'layoutNumber'>;

/** Copies of each chunk as the network sees them now, page by page. */
export async function* whereIs(
  session: Session,
  name: string,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly facts: WhereFacts; readonly chunk: ChunkPlaces }, void, void> {
  const wanted = parseName(name);
  for (let from = 0, end = 1; from < end; ) {
    const request = { name: wanted, from, limit: placesPage };
    const answer = await session.connection
      .call('name.where', request, signal ? { signal } : {})
      .catch((error: unknown) => {
        if (!isOperaError(error, 'not-found')) throw error;
        throw new OperaError('not-found', `no file is named ${wanted}`, { cause: error });
      });
    const { chunks, ...facts } = answer;
    end = facts.chunkCount;
    for (const chunk of chunks) yield { facts, chunk };
    if (chunks.length === 0) return;
    from += chunks.length;
  }
}

/** Every chunk of a page is asked of all its owners: small pages keep one answer quick. */
const placesPage = 1_000;

/** How often a change begins anew because the name moved on between looking and committing. */
const racesMax = 20;

/** Looks the name up and commits; again when another change came in between. */
const changeCurrent = async (
  session: Session,
  look: () => Promise<() => Promise<DoneOutcome>>,
): Promise<DoneOutcome> => {
  for (let race = 1; ; race++) {
    const commit = await look();
    try {
      return await commit();
    } catch (error) {
      if (!isOperaError(error, 'conflict') || race >= racesMax) throw error;
      await session.connection.clock.sleep(Math.min(limits.retryCeilingMs, limits.retryBaseMs * race));
    }
  }
};

const sealContent = (
  session: Session,
  keyring: Keyring,
  file: RemoteFile,
  state: 'live' | 'dead',
  content: FileContent,
): { version: WireNameRecord['version']; body: Uint8Array; wrap: Uint8Array; follows: bigint } => {
  const { networkId } = session;
  const { random } = session.connection;
  const { version } = file.record;
  const body = sealManifestBody(file.fileKey, networkId, version, state, content, random);
  const wrap = wrapFileKey(keyring, networkId, version, file.fileKey, random);
  return { version, body, wrap, follows: content.follows };
};

/** Removes a file. `not-found` when there is none. */
export const removeFile = async (session: Session, name: string, signal?: AbortSignal): Promise<DoneOutcome> => {
  const wanted = parseName(name);
  const operationId = drawOperationId(session);
  const done = await changeCurrent(session, async () => {
    const { file } = await resolveName(session, wanted, { signal });
    return () =>
      commitChange(session, {
        build: (follows, keyring) => ({
          kind: 'remove',
          operationId,
          name: wanted,
          sealed: sealContent(session, keyring, file, 'dead', { ...file.content, follows }),
        }),
        follows: file.record.sequence,
        signal,
      });
  });
  session.seen.raise(wanted, done.sequence);
  return done;
};

export interface RenameRequest {
  readonly from: string;
  readonly to: string;
  /** Replace what has the new name; otherwise `exists`. */
  readonly replace?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The record that ends the old name: a version id and file key of its own, no chunks. */
const sealTombstone = (session: Session, keyring: Keyring, name: string, follows: bigint) => {
  const { networkId } = session;
  const { random } = session.connection;
  const version = randomVersionId(random);
  const fileKey = random.bytes(keyBytes);
  const body = sealManifestBody(fileKey, networkId, version, 'dead', { kind: 'name-tombstone', name, follows }, random);
  return { version, body, wrap: wrapFileKey(keyring, networkId, version, fileKey, random), follows };
};

/** Moves a file to another name; the data stays where it is. */
export const renameFile = async (session: Session, request: RenameRequest): Promise<DoneOutcome> => {
  const [from, to] = [parseName(request.from), parseName(request.to)];
  const { signal, replace = false } = request;
  if (from === to) throw new OperaError('usage', 'the file has that name already');
  const operationId = drawOperationId(session);
  const done = await changeCurrent(session, async () => {
    const [file, target] = await findFiles(session, [from, to], { signal });
    if (file instanceof OperaError) throw file;
    if (!file) throw new OperaError('not-found', `no file is named ${from}`);
    if (target && !replace) {
      throw new OperaError('exists', `a file is named ${to} already`, { hint: 'Add --force to replace it' });
    }
    const current = target instanceof OperaError ? undefined : target?.record.sequence;
    return () =>
      commitChange(session, {
        build: (follows, keyring) => ({
          kind: 'rename',
          operationId,
          name: from,
          to,
          ...(replace ? {} : { condition: { ifAbsent: true } }),
          sealed: sealContent(session, keyring, file, 'live', { ...file.content, name: to, follows }),
          tombstone: sealTombstone(session, keyring, from, file.record.sequence),
        }),
        follows: current ?? 0n,
        signal,
      });
  });
  session.seen.raise(from, done.sequence);
  session.seen.raise(to, done.sequence);
  return done;
};
