// Where a put reads from: bytes in order, a size if it is known, and a way to tell that the source stayed the same.
// The library knows sources only by this interface; local files are in local-source.ts, standard input is a stream.
// Cutting into chunks is here, too: a chunk is known to be the last one before it is sealed.
import { chunkBytesMax } from '../crypto/geometry.ts';
import { OperaError } from '../errors/errors.ts';

/** What a file was when a put began; equal stamps mean that nothing was written to it since. */
export interface SourceStamp {
  readonly device: string;
  readonly inode: string;
  readonly size: number;
  /** Nanoseconds since 1970, decimal. */
  readonly modifiedNs: string;
}

export interface ByteSource {
  /** Undefined for a stream of unknown length. */
  readonly size: number | undefined;
  /** RFC 3339; undefined when there is no such time. */
  readonly modified: string | undefined;
  /** The next bytes: exactly `length`, fewer only at the end. The buffer belongs to the caller. */
  read(length: number): Promise<Uint8Array>;
  /** Bytes of any place again; undefined when the source can be read only once. */
  readonly readAt?: (position: number, length: number) => Promise<Uint8Array>;
  /** Begins anew at byte 0; undefined as readAt. */
  readonly rewind?: () => Promise<void>;
  /** Undefined when the source cannot be recognised later: no resuming. */
  readonly stamp?: SourceStamp;
  /** Throws `source-changed` unless the source still is what it was when it was opened. */
  verifyUnchanged(): Promise<void>;
  close(): Promise<void>;
}

export interface PlainChunk {
  readonly index: number;
  readonly plaintext: Uint8Array;
  readonly last: boolean;
}

const changed = (): OperaError => new OperaError('source-changed', 'the file became shorter while it was read');

async function* cutKnown(source: ByteSource, size: number): AsyncGenerator<PlainChunk, void, void> {
  for (let index = 0, at = 0; index === 0 || at < size; index++) {
    const length = Math.min(chunkBytesMax, size - at);
    const plaintext = length === 0 ? new Uint8Array() : await source.read(length);
    if (plaintext.length !== length) throw changed();
    at += length;
    yield { index, plaintext, last: at === size };
  }
}

/** Holds back each chunk until one more byte or the end is seen. */
async function* cutUnknown(source: ByteSource): AsyncGenerator<PlainChunk, void, void> {
  let held = await source.read(chunkBytesMax);
  for (let index = 0; ; index++) {
    const next = held.length === chunkBytesMax ? await source.read(chunkBytesMax) : new Uint8Array();
    const last = next.length === 0;
    yield { index, plaintext: held, last };
    if (last) return;
    held = next;
  }
}

/** The chunks of a source in order; an empty source has one empty chunk. */
export const cutChunks = (source: ByteSource): AsyncGenerator<PlainChunk, void, void> =>
  source.size === undefined ? cutUnknown(source) : cutKnown(source, source.size);

/** A source over bytes in memory. */
export const sourceOfBytes = (bytes: Uint8Array, options: { readonly modified?: string } = {}): ByteSource => {
  let at = 0;
  return {
    size: bytes.length,
    modified: options.modified,
    read: async (length) => {
      const part = bytes.slice(at, at + length);
      at += part.length;
      return part;
    },
    readAt: async (position, length) => bytes.slice(position, position + length),
    rewind: async () => {
      at = 0;
    },
    verifyUnchanged: async () => undefined,
    close: async () => undefined,
  };
};

/** A source over a stream of unknown length, such as standard input; read once. */
export const sourceOfStream = (stream: AsyncIterable<Uint8Array>): ByteSource => {
  const iterator = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  return {
    size: undefined,
    modified: undefined,
    read: async (length) => {
      const bytes = Buffer.allocUnsafe(length);
      let filled = 0;
      while (filled < length) {
        if (rest.length === 0) {
          const { done, value } = await iterator.next();
          if (done) break;
          rest = value;
        }
        const part = rest.subarray(0, length - filled);
        bytes.set(part, filled);
        filled += part.length;
        rest = rest.subarray(part.length);
      }
      return bytes.subarray(0, filled);
    },
    verifyUnchanged: async () => undefined,
    close: async () => {
      await iterator.return?.();
    },
  };
};
