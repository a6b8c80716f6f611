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
  /** Fills `target` with the next bytes; answers how many, fewer than its length only at the end. */
  read(target: Uint8Array): Promise<number>;
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
  /** Good until the next chunk is asked for: buffers are used again, or a large file would fill the memory. */
  readonly plaintext: Uint8Array;
  readonly last: boolean;
}

const changed = (): OperaError => new OperaError('source-changed', 'the file became shorter while it was read');

async function* cutKnown(source: ByteSource, size: number): AsyncGenerator<PlainChunk, void, void> {
  const buffer = Buffer.allocUnsafe(Math.min(chunkBytesMax, size));
  for (let index = 0, at = 0; index === 0 || at < size; index++) {
    const plaintext = buffer.subarray(0, size - at);
    if (plaintext.length > 0 && (await source.read(plaintext)) !== plaintext.length) throw changed();
    at += plaintext.length;
    yield { index, plaintext, last: at === size };
  }
}

/** Holds back each chunk until one more byte or the end is seen. */
async function* cutUnknown(source: ByteSource): AsyncGenerator<PlainChunk, void, void> {
  let [held, spare] = [Buffer.allocUnsafe(chunkBytesMax), Buffer.allocUnsafe(chunkBytesMax)];
  let heldLength = await source.read(held);
  for (let index = 0; ; index++) {
    const nextLength = heldLength === chunkBytesMax ? await source.read(spare) : 0;
    const last = nextLength === 0;
    yield { index, plaintext: held.subarray(0, heldLength), last };
    if (last) return;
    [held, spare] = [spare, held];
    heldLength = nextLength;
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
    read: async (target) => {
      const part = bytes.subarray(at, at + target.length);
      target.set(part);
      at += part.length;
      return part.length;
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
    read: async (target) => {
      let filled = 0;
      while (filled < target.length) {
        if (rest.length === 0) {
          const { done, value } = await iterator.next();
          if (done) break;
          rest = value;
        }
        const part = rest.subarray(0, target.length - filled);
        target.set(part, filled);
        filled += part.length;
        rest = rest.subarray(part.length);
      }
      return filled;
    },
    verifyUnchanged: async () => undefined,
    close: async () => {
      await iterator.return?.();
    },
  };
};
