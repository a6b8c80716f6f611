// Removing many files: looked up and committed a thousand at a time; what another change got in the way of is tried
// again on its own. Each name succeeds or fails alone.
import { sealManifestBody } from '../crypto/manifest-body.ts';
import { wrapFileKey } from '../crypto/wrap.ts';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { WireNameChange } from '../wire/messages-names.ts';
import { drawOperationId } from './commit.ts';
import { removeFile } from './names.ts';
import { batchesOf, type RemoteFile, type Resolved, resolveNames } from './open-file.ts';
import { forEachAtOnce } from './parallel.ts';
import type { Session } from './session.ts';

export interface RemoveManyRequest {
  readonly signal?: AbortSignal | undefined;
  /** Told of each name once: undefined when it is removed. */
  readonly onResult: (name: string, error: OperaError | undefined) => void;
}

const removal = (session: Session, file: RemoteFile): WireNameChange => {
  const { networkId, connection } = session;
  const { random, keys } = connection;
  const { version, sequence: follows } = file.record;
  const body = sealManifestBody(file.fileKey, networkId, version, 'dead', { ...file.content, follows }, random);
  const wrap = wrapFileKey(keys.keyring, networkId, version, file.fileKey, random);
  const operationId = drawOperationId(session);
  return { kind: 'remove', operationId, name: file.name, sealed: { version, body, wrap, follows } };
};

/** What fitted one answer fits one commit as well: a dead manifest's body is as long as the live one's. */
const removePart = async (session: Session, part: Resolved, request: RemoveManyRequest): Promise<void> => {
  const { signal, onResult } = request;
  const options = signal ? { signal } : {};
  const { names, files } = part;
  const found: RemoteFile[] = [];
  for (const [at, file] of files.entries()) {
    if (file instanceof OperaError) onResult(names[at] ?? '', file);
    else if (!file) onResult(names[at] ?? '', new OperaError('not-found', 'no file has that name'));
    else found.push(file);
  }
  if (found.length === 0) return;
  const again: string[] = [];
  try {
    const changes = found.map((file) => removal(session, file));
    const { outcomes } = await session.connection.call('name.commit', { changes }, options);
    for (const [at, { name }] of found.entries()) {
      const outcome = outcomes[at];
      if (!outcome?.done) again.push(name);
      else {
        session.seen.raise(name, outcome.sequence);
        onResult(name, undefined);
      }
    }
  } catch (error) {
    if (isOperaError(error, 'aborted') || signal?.aborted) throw error;
    again.push(...found.map(({ name }) => name));
  }
  await forEachAtOnce(again, limits.chunksInFlight, signal, async (name, inner) => {
    try {
      await removeFile(session, name, inner);
      onResult(name, undefined);
    } catch (error) {
      if (isOperaError(error, 'aborted') || inner.aborted) throw error;
      // The lost answer of the batch may have been that it is removed.
      onResult(name, isOperaError(error, 'not-found') ? undefined : toOperaError(error));
    }
  });
};

/** Removes names in their one spelling, each once. Rejects only when interrupted or when nothing can be looked up. */
export const removeMany = async (
  session: Session,
  names: readonly string[],
  request: RemoveManyRequest,
): Promise<void> => {
  const { signal } = request;
  // A hundred changes are one step of the registry.
  for (const batch of batchesOf([...new Set(names)], limits.stepChangesMax)) {
    for await (const part of resolveNames(session, batch, { signal })) await removePart(session, part, request);
  }
};
