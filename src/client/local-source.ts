// A local file as the source of a put. It is the same file from the first read to the last: device, inode, size and
// modification time in nanoseconds are compared at the end, through the open handle and through the path.
import { constants, type FileHandle, open, stat } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { OperaError } from '../errors/errors.ts';
import { formatTime } from '../runtime/clock.ts';
import type { ByteSource, SourceStamp } from './byte-source.ts';

const stampOf = (found: BigIntStats): SourceStamp => ({
  device: found.dev.toString(),
  inode: found.ino.toString(),
  size: Number(found.size),
  modifiedNs: found.mtimeNs.toString(),
});

/** Fills `target` from `position` on; fewer bytes only at the end. */
const readFully = async (handle: FileHandle, target: Uint8Array, position: number): Promise<number> => {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
};

const isSame = (a: SourceStamp, b: SourceStamp): boolean =>
  a.device === b.device && a.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs;

/** Opens a regular file; `usage` for anything else (use standard input for pipes and devices). */
export const openLocalSource = async (path: string): Promise<ByteSource> => {
  // Without O_NONBLOCK opening a named pipe would wait for a writer, perhaps for ever.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await handle.stat({ bigint: true });
    if (found.isDirectory()) throw new OperaError('usage', `${path} is a folder`, { hint: 'Add -r to put folders' });
    if (!found.isFile()) {
      throw new OperaError('usage', `${path} is not a regular file`, {
        hint: 'Give it as standard input: put - --name',
      });
    }
    const stamp = stampOf(found);
    let at = 0;
    return {
      size: stamp.size,
      modified: formatTime(Math.floor(Number(found.mtimeNs / 1_000_000n))),
      stamp,
      read: async (target) => {
        const filled = await readFully(handle, target, at);
        at += filled;
        return filled;
      },
      readAt: async (position, length) => {
        const bytes = Buffer.allocUnsafe(length);
        return bytes.subarray(0, await readFully(handle, bytes, position));
      },
      rewind: async () => {
        at = 0;
      },
      verifyUnchanged: async () => {
        const open = stampOf(await handle.stat({ bigint: true }));
        const named = await stat(path, { bigint: true }).catch(() => undefined);
        if (!isSame(open, stamp) || (named && !isSame(stampOf(named), stamp))) {
          throw new OperaError('source-changed', `${path} changed while it was read`);
        }
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
};
