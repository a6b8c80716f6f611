// A compressed source as what it holds: for catalogues, which nodes read and cut by records. Streamed, in constant
// memory; its size is not known before its end, and it does not resume. It does not guess: callers say what it is.
import { pipeline, Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip } from 'node:zlib';
import { OperaError } from '../errors/errors.ts';
import { type ByteSource, sourceOfStream } from './byte-source.ts';

export type Compression = 'gzip' | 'brotli';

const endings: readonly (readonly [string, Compression])[] = [
  ['.gz', 'gzip'],
  ['.br', 'brotli'],
];

/** What the end of a file's name says, and the name without it. */
export const compressionOf = (
  name: string,
): { readonly compression: Compression; readonly name: string } | undefined => {
  for (const [ending, compression] of endings) {
    if (name.endsWith(ending) && name.length > ending.length) return { compression, name: name.slice(0, -3) };
  }
  return undefined;
};

const pieceBytes = 256 * 1024;

async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    const piece = Buffer.allocUnsafe(pieceBytes);
    const length = await source.read(piece);
    if (length > 0) yield piece.subarray(0, length);
    if (length < pieceBytes) return;
  }
}

const isOfZlib = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && /^(?:Z_|ERR__|ERR_BROTLI)/.test(String(error.code));

const hint = 'Get it again from where it came from';

/** `usage` for a source that is of another kind, `integrity` for one that is cut off or damaged. */
const refusal = (error: Error, compression: Compression, isFirst: boolean): OperaError => {
  if (/unexpected end/.test(error.message)) {
    return new OperaError('integrity', `the ${compression} data is cut off: it ends too early`, { cause: error, hint });
  }
  // Brotli has no signature: what it is not looks like damage from the first byte on.
  const isOther = compression === 'gzip' ? /incorrect header/.test(error.message) : isFirst;
  if (isOther) return new OperaError('usage', `it is not compressed with ${compression}`, { cause: error });
  return new OperaError('integrity', `the ${compression} data is damaged`, { cause: error, hint });
};

/**
 * The content of a compressed source. Reading throws `usage` when it is not compressed like that, `integrity` when it
 * is cut off or damaged.
 */
export const decompressed = (source: ByteSource, compression: Compression): ByteSource => {
  const begin = (): ByteSource => {
    const unpack: Transform = compression === 'gzip' ? createGunzip() : createBrotliDecompress();
    // Its errors come out where the text is read.
    pipeline(Readable.from(piecesOf(source)), unpack, () => undefined);
    return sourceOfStream(unpack);
  };
  let text = begin();
  let wasRead = false;
  const { rewind } = source;
  return {
    size: undefined,
    modified: source.modified,
    read: async (target) => {
      try {
        const length = await text.read(target);
        wasRead = true;
        return length;
      } catch (error) {
        if (error instanceof OperaError || !isOfZlib(error)) throw error;
        throw refusal(error, compression, !wasRead);
      }
    },
    ...(rewind && {
      rewind: async () => {
        await text.close();
        await rewind();
        text = begin();
      },
    }),
    verifyUnchanged: () => source.verifyUnchanged(),
    close: async () => {
      await text.close();
      await source.close();
    },
  };
};

/** A stream as what it holds when its first bytes are those of gzip, and otherwise as it is. */
export const gunzipped = async (
  source: ByteSource,
): Promise<{ readonly source: ByteSource; readonly packed: boolean }> => {
  const start = new Uint8Array(2);
  const length = await source.read(start);
  const whole = sourceOfStream(
    (async function* () {
      yield start.subarray(0, length);
      yield* piecesOf(source);
    })(),
  );
  const packed = start[0] === 0x1f && start[1] === 0x8b;
  return { source: packed ? decompressed(whole, 'gzip') : whole, packed };
};
