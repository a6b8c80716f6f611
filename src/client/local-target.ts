// A local file as the target of a get: `FILE.part` grows chunk by chunk, `FILE.part.json` notes the version and the
// hash of each chunk, and only a whole, fsynced file gets the name FILE. Nothing is overwritten unless asked for.
// A later get of the same version goes on behind the chunks that still match; links are never followed.
import { constants, type FileHandle, link, lstat, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as v from 'valibot';
import { equalBytes, sha256 } from '../crypto/digest.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { fromSystemError } from '../errors/system-error.ts';
import { utf8 } from '../model/bytes.ts';
import { bytesToHex } from '../model/ids.ts';
import { syncFolder, systemErrorCode } from '../runtime/files.ts';
import { formatJson, parseJson } from '../wire/json.ts';
import { bytes, integer, networkId, parseWith, versionId } from '../wire/schema.ts';
import { lockFile } from './lock-file.ts';
import type { RemoteFile } from './open-file.ts';
import type { Session } from './session.ts';

const headSchema = v.strictObject({
  v: v.literal(1),
  network: networkId,
  version: versionId,
  size: integer(0, Number.MAX_SAFE_INTEGER),
});
const hashSchema = v.strictObject({ h: bytes(32) });

export interface TargetOptions {
  /** Replace a file that is there. */
  readonly force: boolean;
  /** Make the new name survive a power cut at once; otherwise the caller syncs the folder. */
  readonly syncFolder: boolean;
}

const noFollow = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Parts of a path are at most so long on every common file system. */
const fileNameBytesMax = 255;
/** `.part.json`, `.part.lock`, and what a lock is called while it is taken over. */
const suffixBytesMax = 40;

/** Beginning of the names of what lies beside a file while it grows; a hash where the file's own leaves no room. */
const stemOf = (path: string): string => {
  const name = basename(path);
  if (Buffer.byteLength(name) + suffixBytesMax <= fileNameBytesMax) return path;
  return join(dirname(path), bytesToHex(sha256(utf8(name)).subarray(0, 16)));
};

const assertFree = async (path: string, force: boolean): Promise<void> => {
  const found = await lstat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!found) return;
  if (found.isDirectory()) {
    throw new OperaError('exists', `${path} is a folder`, { hint: 'Write to another path with -o' });
  }
  // Renamed onto, a device would be gone for every other program of the machine.
  if (!found.isFile() && !found.isSymbolicLink()) {
    throw new OperaError('usage', `${path} is not a regular file`, { hint: 'Write to standard output: -o -' });
  }
  if (!force) throw new OperaError('exists', `${path} exists already`, { hint: 'Add --force to replace it' });
};

/** A folder that is missing is told as what it is, not by the name of a file that would have been beside the target. */
const assertFolder = async (path: string): Promise<void> => {
  const folder = dirname(path);
  const found = await lstat(folder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!found) throw new OperaError('not-found', `there is no folder ${folder}`, { hint: 'Make it first' });
};

const openPart = async (path: string): Promise<FileHandle> => {
  try {
    const handle = await open(path, noFollow, 0o666);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    if (systemErrorCode(error) !== 'ELOOP') throw error;
  }
  throw new OperaError('forbidden', `${path} is not a regular file; remove it first`);
};

/** Hashes an earlier get noted, when it was of the same version. */
const readNotes = async (path: string, session: Session, file: RemoteFile): Promise<Uint8Array[]> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
  const [first, ...lines] = text.split('\n').slice(0, -1);
  const hashes: Uint8Array[] = [];
  try {
    const head = parseWith(headSchema, parseJson(first ?? ''));
    if (head.network !== session.networkId || head.version !== file.record.version) return [];
    for (const line of lines) hashes.push(parseWith(hashSchema, parseJson(line)).h);
  } catch (error) {
    if (!isOperaError(error, 'bad-request')) throw error;
  }
  return hashes;
};

export class LocalTarget {
  readonly #path: string;
  readonly #file: RemoteFile;
  readonly #options: TargetOptions;
  readonly #unlock: () => Promise<void>;
  readonly #part: FileHandle;
  readonly #notes: FileHandle;
  #chunks: number;
  #position: number;
  #finished = false;

  private constructor(
    path: string,
    file: RemoteFile,
    options: TargetOptions,
    unlock: () => Promise<void>,
    handles: { readonly part: FileHandle; readonly notes: FileHandle },
    verified: number,
  ) {
    this.#path = path;
    this.#file = file;
    this.#options = options;
    this.#unlock = unlock;
    this.#part = handles.part;
    this.#notes = handles.notes;
    this.#chunks = verified;
    this.#position = verified < file.geometry.chunkCount ? file.geometry.startOf(verified) : file.geometry.size;
  }

  /** `exists` when the file is there (unless forced) or another process gets it just now. */
  static async open(session: Session, path: string, file: RemoteFile, options: TargetOptions): Promise<LocalTarget> {
    await assertFree(path, options.force);
    await assertFolder(path);
    const stem = stemOf(path);
    const unlock = await lockFile(`${stem}.part.lock`);
    if (!unlock) throw new OperaError('exists', `another process is getting ${path} just now`);
    const handles: FileHandle[] = [];
    try {
      const hashes = await readNotes(`${stem}.part.json`, session, file);
      const part = await openPart(`${stem}.part`);
      handles.push(part);
      const notes = await openPart(`${stem}.part.json`);
      handles.push(notes);
      const verified = await verify(part, file, hashes);
      await part.truncate(verified < file.geometry.chunkCount ? file.geometry.startOf(verified) : file.geometry.size);
      await notes.truncate(0);
      const { version } = file.record;
      const head = formatJson({ v: 1, network: session.networkId, version, size: file.geometry.size });
      const lines = [head, ...hashes.slice(0, verified).map((h) => formatJson({ h }))];
      await notes.appendFile(`${lines.join('\n')}\n`);
      return new LocalTarget(path, file, options, unlock, { part, notes }, verified);
    } catch (error) {
      for (const handle of handles) await handle.close();
      await unlock();
      throw fromSystemError(error, path) ?? error;
    }
  }

  /** Chunks that are here already and right. */
  get verifiedChunks(): number {
    return this.#chunks;
  }

  /** The next whole chunk. */
  async write(plaintext: Uint8Array): Promise<void> {
    let done = 0;
    while (done < plaintext.length) {
      const { bytesWritten } = await this.#part.write(plaintext, done, plaintext.length - done, this.#position + done);
      done += bytesWritten;
    }
    this.#position += plaintext.length;
    this.#chunks++;
    await this.#notes.appendFile(`${formatJson({ h: sha256(plaintext) })}\n`);
  }

  /** Gives the file its name, when all chunks are written. */
  async finish(): Promise<void> {
    const { geometry, content } = this.#file;
    if (this.#chunks !== geometry.chunkCount || this.#position !== geometry.size) {
      throw new OperaError('internal', 'a file was finished before all of it was there');
    }
    const modifiedMs = content.modified === undefined ? Number.NaN : Date.parse(content.modified);
    if (Number.isFinite(modifiedMs)) await this.#part.utimes(modifiedMs / 1_000, modifiedMs / 1_000);
    await this.#part.sync();
    await moveInto(`${stemOf(this.#path)}.part`, this.#path, this.#options.force);
    this.#finished = true;
    if (this.#options.syncFolder) await syncFolder(dirname(this.#path));
  }

  /** Ends the work on the file; an unfinished one stays for the next get. */
  async close(): Promise<void> {
    await this.#part.close();
    await this.#notes.close();
    if (this.#finished) await rm(`${stemOf(this.#path)}.part.json`, { force: true });
    await this.#unlock();
  }
}

/** How many chunks from the first one on are in the file as they were noted. */
const verify = async (part: FileHandle, { geometry }: RemoteFile, hashes: readonly Uint8Array[]): Promise<number> => {
  let verified = 0;
  for (const hash of hashes.slice(0, geometry.chunkCount)) {
    const length = geometry.lengthOf(verified);
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await part.read(buffer, 0, length, geometry.startOf(verified));
    if (bytesRead !== length || !equalBytes(sha256(buffer), hash)) break;
    verified++;
  }
  return verified;
};

/** Without force the new name is made only if there is none, even when two processes race for it. */
const moveInto = async (from: string, to: string, force: boolean): Promise<void> => {
  if (force) return rename(from, to);
  try {
    await link(from, to);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') throw new OperaError('exists', `${basename(to)} was made by another program meanwhile`);
    // File systems without hard links: looking first is the best there is.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error;
    await assertFree(to, false);
    return rename(from, to);
  }
  await rm(from);
};

/** Writes a file from its parts in one go: no notes, nothing to resume; a failure leaves nothing behind. */
export const writeWholeFile = async (
  path: string,
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: { readonly force: boolean; readonly modified?: string | undefined },
): Promise<void> => {
  const { force, modified } = options;
  await assertFree(path, force);
  await assertFolder(path);
  const part = `${stemOf(path)}.part`;
  await rm(part, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await open(part, flags, 0o666);
  try {
    for await (const bytes of parts) await handle.writeFile(bytes);
    const modifiedMs = modified === undefined ? Number.NaN : Date.parse(modified);
    if (Number.isFinite(modifiedMs)) await handle.utimes(modifiedMs / 1_000, modifiedMs / 1_000);
    await handle.sync();
    await handle.close();
    await moveInto(part, path, force);
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(part, { force: true });
    throw fromSystemError(error, path) ?? error;
  }
};
