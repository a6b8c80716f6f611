// Reading many files of one chunk each: many chunks in one message to the owner of most of them, a few messages at
// once. What an owner lacks or answers damaged is read again on its own, from the other copies.
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { sealedLength } from '../crypto/geometry.ts';
import { openChunk } from '../crypto/sealing.ts';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import type { KeyHash } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import { keysOf, type RemoteFile } from './open-file.ts';
import { childSignal, forEachAtOnce } from './parallel.ts';
import type { Plan } from './plan.ts';
import { readChunk } from './read-chunks.ts';
import type { Session } from './session.ts';
import { watchSilence } from './silence.ts';
import type { Owner } from './view.ts';

/** Told of each file once: its content, or why it cannot be had. */
export type OnSmallFile = (file: RemoteFile, content: Uint8Array | OperaError, signal: AbortSignal) => Promise<void>;

type Contents = Map<RemoteFile, Uint8Array>;

interface Group {
  readonly owner: Owner | undefined;
  readonly files: RemoteFile[];
  bytes: number;
}

const groupByOwner = (session: Session, files: readonly RemoteFile[]): Group[] => {
  const groups: Group[] = [];
  const open = new Map<KeyHash | undefined, Group>();
  for (const file of files) {
    const owner = session.view.readersOf(file.record.version, 0)[0];
    const bytes = sealedLength(file.geometry.size);
    let group = open.get(owner?.keyHash);
    if (!group || group.bytes + bytes > limits.batchBytesMax) {
      group = { owner, files: [], bytes: 0 };
      groups.push(group);
      open.set(owner?.keyHash, group);
    }
    group.files.push(file);
    group.bytes += bytes;
  }
  return groups;
};

/** Contents as far as one message gave them, into `contents`. */
const askTogether = async (
  session: Session,
  plan: Plan,
  { owner, files }: Group,
  signal: AbortSignal,
  contents: Contents,
): Promise<void> => {
  if (!owner) return;
  const grant = await plan.grant(signal);
  const request = { ...grant, chunks: files.map(({ record }) => ({ version: record.version, index: 0 })) };
  const options = { signal, timeoutMs: limits.chunkFirstTryMs };
  const { answer, binary } = await session.connection.transport.call(owner.to, 'chunk.read', request, options);
  let at = 0;
  for (const [position, found] of answer.chunks.entries()) {
    const file = files[position];
    if (!found || !file) continue;
    const sealed = binary.subarray(at, at + found.length);
    at += found.length;
    if (!equalBytes(sha256(sealed), found.hash)) continue;
    try {
      const plaintextLength = file.geometry.size;
      contents.set(file, openChunk(keysOf(session, file), 0, sealed, { last: true, plaintextLength }));
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
    }
  }
};

/** As askTogether, without failing; false when the owner did not answer, and is asked last from then on. */
const tryTogether = async (
  session: Session,
  plan: Plan,
  group: Group,
  outer: AbortSignal,
  contents: Contents,
): Promise<boolean> => {
  const { signal, abort, release } = childSignal(outer);
  let silent = false;
  const stop =
    group.owner &&
    watchSilence(session, group.owner, signal, () => {
      silent = true;
      abort();
    });
  try {
    await askTogether(session, plan, group, signal, contents);
    return true;
  } catch (error) {
    if (outer.aborted || (isOperaError(error, 'aborted') && !silent)) throw error;
    const gone = silent || isOperaError(error, 'unavailable', 'timeout');
    if (gone && group.owner) session.view.avoid(group.owner.keyHash);
    return !gone;
  } finally {
    stop?.();
    release();
  }
};

/** One file by itself: from every copy, with patience. */
const readAlone = async (
  session: Session,
  plan: Plan,
  file: RemoteFile,
  signal: AbortSignal,
): Promise<Uint8Array | OperaError> => {
  try {
    const part = { index: 0, from: 0, to: file.geometry.size };
    return await readChunk(session, plan, file, keysOf(session, file), part, { signal });
  } catch (error) {
    if (isOperaError(error, 'aborted') || signal.aborted) throw error;
    return toOperaError(error);
  }
};

/** Reads files of one chunk that `plan` covers; `onFile` is awaited, which bounds memory. */
export const readSmallFiles = (
  session: Session,
  plan: Plan,
  files: readonly RemoteFile[],
  outer: AbortSignal | undefined,
  onFile: OnSmallFile,
): Promise<void> =>
  forEachAtOnce(groupByOwner(session, files), limits.chunksInFlight, outer, async (group, signal) => {
    const contents: Contents = new Map();
    if (!(await tryTogether(session, plan, group, signal, contents))) {
      // Their next copies lie with several other owners.
      for (const next of groupByOwner(session, group.files)) await tryTogether(session, plan, next, signal, contents);
    }
    for (const file of group.files) {
      const content = contents.get(file) ?? (await readAlone(session, plan, file, signal));
      contents.delete(file);
      await onFile(file, content, signal);
    }
  });
