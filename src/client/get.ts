// Getting one file, whole or in part: chunks are fetched a few at a time and handed on in order.
// Invariant: bytes reach the sink in order, without a gap, and only when their tags were right; an error ends the
// stream. It writes no local file by itself: sinks do (local-target.ts), with back-pressure.
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import { keysOf, type RemoteFile } from './open-file.ts';
import { inOrder } from './parallel.ts';
import { Patience } from './patience.ts';
import type { Plan } from './plan.ts';
import { type ChunkPart, readChunk } from './read-chunks.ts';
import type { Session } from './session.ts';

/** Bytes [from, to) of a file. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** `A-B` (inclusive), `A-`, `-N` (the last N), as in HTTP (RFC 9110 section 14.1.2), before the size is known. */
export type RangeRequest =
  | { readonly kind: 'from'; readonly first: number; readonly last: number | undefined }
  | { readonly kind: 'suffix'; readonly length: number };

export const parseRange = (text: string): RangeRequest => {
  const match = /^(\d*)-(\d*)$/.exec(text);
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  const number = (digits: string): number => Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
  const isBackward = first !== '' && last !== '' && number(first) > number(last);
  if (!match || (first === '' && last === '') || isBackward || !Number.isSafeInteger(Number(first))) {
    const shown = JSON.stringify(text.slice(0, 40));
    throw new OperaError('usage', `a range is A-B (inclusive), A- or -N (the last N bytes), not ${shown}`);
  }
  if (first === '') return { kind: 'suffix', length: number(last) };
  return { kind: 'from', first: number(first), last: last === '' ? undefined : number(last) };
};

/** The bytes a request means in a file of `size` bytes; `usage` when it begins behind the end. */
export const resolveRange = (request: RangeRequest, size: number): ByteRange => {
  if (request.kind === 'suffix') {
    if (request.length === 0) throw new OperaError('usage', 'the range holds no byte');
    return { from: Math.max(0, size - request.length), to: size };
  }
  if (request.first >= size) {
    const end = size === 1 ? '1 byte' : `${size} bytes`;
    throw new OperaError(
      'usage',
      `the range begins at byte ${request.first}, at or behind the end of the file (${end})`,
    );
  }
  return { from: request.first, to: Math.min(size - 1, request.last ?? size) + 1 };
};

/** The parts of chunks that make up a range, in order. */
export const partsOf = ({ geometry }: RemoteFile, { from, to }: ByteRange): ChunkPart[] => {
  // An empty file has one empty chunk, which is read all the same: its tag says that the file is empty.
  if (geometry.size === 0) return [{ index: 0, from: 0, to: 0 }];
  const parts: ChunkPart[] = [];
  for (let at = from; at < to; ) {
    const index = geometry.chunkAt(at);
    const start = geometry.startOf(index);
    const end = Math.min(to, start + geometry.lengthOf(index));
    parts.push({ index, from: at - start, to: end - start });
    at = end;
  }
  return parts;
};

export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Chunks fetched at once. */
  readonly width?: number;
}

/** Plaintext of the parts, in order. Ending the iteration early ends the transfers. */
export async function* fetchParts(
  session: Session,
  plan: Plan,
  file: RemoteFile,
  parts: readonly ChunkPart[],
  { signal, width = limits.chunksInFlight }: FetchOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const keys = keysOf(session, file);
  const patience = new Patience(session.connection);
  yield* inOrder(parts.length, width, signal, (at, inner) => {
    const part = parts[at] ?? { index: 0, from: 0, to: 0 };
    return readChunk(session, plan, file, keys, part, { signal: inner, patience });
  });
}

/** Plaintext of a range (the whole file when absent), in order. */
export const fetchFile = (
  session: Session,
  plan: Plan,
  file: RemoteFile,
  range: ByteRange | undefined,
  options: FetchOptions = {},
): AsyncGenerator<Uint8Array, void, void> =>
  fetchParts(session, plan, file, partsOf(file, range ?? { from: 0, to: file.geometry.size }), options);
