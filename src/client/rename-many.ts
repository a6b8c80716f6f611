// Renaming many files: several at once, for each waits for disks. Each name succeeds or fails alone.
// Invariant: a file that is itself to be renamed is never replaced by another one of the same call: what goes where
// such a file still is waits for it, and fails with `exists` when it stayed.
import { isOperaError, type OperaError, toOperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { renameFile } from './names.ts';
import { forEachAtOnce } from './parallel.ts';
import type { Session } from './session.ts';

export interface Move {
  readonly from: string;
  readonly to: string;
}

export interface RenameManyRequest {
  /** Replace what has the new names; otherwise `exists`. */
  readonly replace?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Told of each file once: undefined when it has its new name. */
  readonly onResult: (move: Move, error: OperaError | undefined) => void;
}

/** Renames from distinct names to distinct names, those of one folder to another. Rejects only when interrupted. */
export const renameMany = async (
  session: Session,
  moves: readonly Move[],
  request: RenameManyRequest,
): Promise<void> => {
  const { replace = false, signal, onResult } = request;
  const sources = new Set(moves.map(({ from }) => from));
  const rename = async (move: Move, inner: AbortSignal | undefined): Promise<void> => {
    try {
      await renameFile(session, { ...move, replace: replace && !sources.has(move.to), signal: inner });
    } catch (error) {
      if (isOperaError(error, 'aborted') || inner?.aborted) throw error;
      return onResult(move, toOperaError(error));
    }
    onResult(move, undefined);
  };
  const free = moves.filter(({ to }) => !sources.has(to));
  await forEachAtOnce(free, limits.chunksInFlight, signal, rename);
  // `a/b` to `a`: the new name of a/b/b/x is the old one of a/b/x. The shorter is left before it is taken.
  const waiting = moves.filter(({ to }) => sources.has(to));
  for (const move of waiting.sort((a, b) => a.from.length - b.from.length)) await rename(move, signal);
};
