// Sealed bodies too large for the database: one file a body, chunks/<xx>/<version>-<index>-<random>.chunk.
// Invariant: `write` resolves only after the bytes and the folder entry are fsynced, and a name is never used twice, so
// a row that names a file always finds whole bytes. Rows decide: a file without a row is a leftover and goes at open.
// It runs on the caller's thread through libuv's pool (measured: as fast as raw writes, no copy into a worker).
import { type FileHandle, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { bytesToHex } from '../model/ids.ts';
import { limits } from '../model/limits.ts';
import type { Random } from '../runtime/random.ts';
import type { ChunkAddress } from './storage-adapter.ts';

/** The steps of a write in order, then removal. */
export type FileStep = 'write' | 'sync' | 'rename' | 'sync-folder' | 'remove';

/** Faults for tests: what a failing disk or a program without that step would do. Production passes none. */
export interface FileFaults {
  /** Called before each step with the path it concerns; throws what the system would. */
  readonly before?: (step: FileStep, path: string) => void;
  readonly skip?: readonly FileStep[];
}

const errnoOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** A failed system call in our words: no-space and overloaded may pass, anything else ends writing. */
const toFileError = (error: unknown, path: string): OperaError => {
  if (isOperaError(error)) return error;
  const code = errnoOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new OperaError('no-space', `${path}: no space is left`, { cause: error });
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new OperaError('overloaded', `${path}: too many open files`, { cause: error });
  }
  return new OperaError('read-only', `${path}: the disk failed (${code || String(error)})`, { cause: error });
};

const writeAll = async (handle: FileHandle, body: Uint8Array): Promise<void> => {
  for (let at = 0; at < body.length; ) {
    const { bytesWritten } = await handle.write(body, at, body.length - at);
    at += bytesWritten;
  }
};

/** The files below `folder`/chunks. Paths that it gives and takes are `<xx>/<name>`. */
export class ChunkFiles {
  readonly #root: string;
  readonly #random: Random;
  readonly #faults: FileFaults;
  /** Subfolders whose entry in chunks/ is fsynced, or being so. */
  readonly #folders = new Map<string, Promise<void>>();
  readonly #queue: (() => void)[] = [];
  #writing = 0;

  constructor(folder: string, random: Random, faults: FileFaults) {
    this.#root = join(folder, 'chunks');
    this.#random = random;
    this.#faults = faults;
  }

  /** Writes and fsyncs one body; gives the file for its row. On `no-space`, `overloaded`, `read-only` none stays. */
  async write(address: ChunkAddress, body: Uint8Array): Promise<string> {
    await this.#enter();
    const folder = address.version.slice(0, 2);
    const name = `${address.version}-${address.index}-${bytesToHex(this.#random.bytes(8))}.chunk`;
    const path = join(this.#root, folder, name);
    try {
      await this.#makeFolder(folder);
      await this.#writeFile(path, body);
      return `${folder}/${name}`;
    } catch (error) {
      await Promise.allSettled([unlink(path), unlink(`${path}.tmp`)]);
      throw toFileError(error, path);
    } finally {
      this.#leave();
    }
  }

  /** Where a file is, for others to read. */
  pathOf(file: string): string {
    return join(this.#root, file);
  }

  /** Bytes [from, to) of a file, in a buffer of its own; undefined when it is gone, `integrity` when it is short. */
  async read(file: string, from: number, to: number): Promise<Uint8Array | undefined> {
    const path = join(this.#root, file);
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const body = Buffer.allocUnsafeSlow(to - from);
      let filled = 0;
      while (filled < body.length) {
        const { bytesRead } = await handle.read(body, filled, body.length - filled, from + filled);
        if (bytesRead === 0) throw new OperaError('integrity', `${path}: the file is shorter than its row says`);
        filled += bytesRead;
      }
      return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    } catch (error) {
      if (isOperaError(error)) throw error;
      if (errnoOf(error) === 'ENOENT') return undefined;
      const passing = toFileError(error, path);
      if (passing.code === 'overloaded') throw passing;
      throw new OperaError('integrity', `${path}: the file cannot be read`, { cause: error });
    } finally {
      await handle?.close();
    }
  }

  /** Removes files without a row. What cannot be removed now goes at the next open. */
  async remove(files: readonly string[]): Promise<void> {
    await Promise.allSettled(
      files.map(async (file) => {
        const path = join(this.#root, file);
        await this.#step('remove', path, () => unlink(path));
      }),
    );
  }

  /** Makes chunks/ and removes what interrupted writes left; `filesOf` lists the files that rows name in a folder. */
  async prepare(filesOf: (folder: string) => Promise<readonly string[]>): Promise<void> {
    try {
      await mkdir(this.#root, { mode: 0o700, recursive: true });
      await this.#syncFolder(join(this.#root, '..'));
      for (const folder of await readdir(this.#root, { withFileTypes: true })) {
        if (!folder.isDirectory() || !/^[0-9a-f]{2}$/.test(folder.name)) continue;
        const kept = new Set(await filesOf(folder.name));
        const found = (await readdir(join(this.#root, folder.name))).map((name) => `${folder.name}/${name}`);
        await this.remove(found.filter((file) => !kept.has(file)));
      }
    } catch (error) {
      throw toFileError(error, this.#root);
    }
  }

  async #writeFile(path: string, body: Uint8Array): Promise<void> {
    const handle = await open(`${path}.tmp`, 'wx', 0o600);
    try {
      await this.#step('write', path, () => writeAll(handle, body));
      await this.#step('sync', path, () => handle.sync());
    } finally {
      await handle.close();
    }
    await this.#step('rename', path, () => rename(`${path}.tmp`, path));
    await this.#step('sync-folder', path, () => this.#syncFolder(join(path, '..')));
  }

  async #step(step: FileStep, path: string, run: () => Promise<void>): Promise<void> {
    this.#faults.before?.(step, path);
    if (!this.#faults.skip?.includes(step)) await run();
  }

  async #syncFolder(path: string): Promise<void> {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  #makeFolder(folder: string): Promise<void> {
    const known = this.#folders.get(folder);
    if (known) return known;
    const made = mkdir(join(this.#root, folder), { mode: 0o700, recursive: true }).then(() =>
      this.#syncFolder(this.#root),
    );
    this.#folders.set(folder, made);
    // A full disk may have room again later, so a failure is not remembered.
    made.catch(() => this.#folders.delete(folder));
    return made;
  }

  async #enter(): Promise<void> {
    if (this.#writing < limits.storeFileWritesInFlight) {
      this.#writing += 1;
      return;
    }
    await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  /** Hands the place on to the next in line, or frees it. */
  #leave(): void {
    const next = this.#queue.shift();
    if (next) next();
    else this.#writing -= 1;
  }
}
