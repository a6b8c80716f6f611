// Getting files into local paths: one, or many below a folder. Small files travel many in a message, large ones
// one by one in parallel chunks. Each file succeeds or fails alone; what a get leaves behind it can go on with.
import { dirname, join } from 'node:path';
import { isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import { fromSystemError } from '../errors/system-error.ts';
import { syncFolder } from '../runtime/files.ts';
import { fetchParts, partsOf } from './get.ts';
import { createFolders, pathPartsOf } from './local-path.ts';
import { LocalTarget, writeWholeFile } from './local-target.ts';
import { type RemoteFile, type Resolved, resolveNames } from './open-file.ts';
import { forEachAtOnce } from './parallel.ts';
import type { Plan } from './plan.ts';
import { readSmallFiles } from './read-small.ts';
import type { Session } from './session.ts';

export interface GetOptions {
  readonly force: boolean;
  /** Large files got at once. */
  readonly width?: number;
  readonly staleOk?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (bytes: number) => void;
}

export interface GetResult {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly version: string;
  /** Chunks that an earlier, interrupted get had brought already. */
  readonly resumedChunks: number;
}

/** Gets one resolved file into `path`, whose folder exists. */
export const getInto = async (
  session: Session,
  plan: Plan,
  file: RemoteFile,
  path: string,
  options: GetOptions & { readonly syncFolder?: boolean },
): Promise<GetResult> => {
  const { force, signal, onProgress } = options;
  const target = await LocalTarget.open(session, path, file, { force, syncFolder: options.syncFolder ?? true });
  try {
    const resumedChunks = target.verifiedChunks;
    const parts = partsOf(file, { from: 0, to: file.geometry.size }).slice(resumedChunks);
    onProgress?.(file.geometry.size - parts.reduce((sum, { from, to }) => sum + to - from, 0));
    for await (const plaintext of fetchParts(session, plan, file, parts, { signal })) {
      await target.write(plaintext);
      onProgress?.(plaintext.length);
    }
    await target.finish();
    const { name, record } = file;
    return { name, path, size: file.geometry.size, version: record.version, resumedChunks };
  } catch (error) {
    throw fromSystemError(error, path) ?? error;
  } finally {
    await target.close();
  }
};

export interface GetManyRequest extends GetOptions {
  /** Folder below which the names become paths. */
  readonly folder: string;
  /** Told of each name once; no order. */
  readonly onResult: (name: string, result: GetResult | OperaError) => void;
}

class GetMany {
  readonly #session: Session;
  readonly #request: GetManyRequest;
  readonly #folders = new Map<string, Promise<string>>();

  constructor(session: Session, request: GetManyRequest) {
    this.#session = session;
    this.#request = request;
  }

  async run(names: readonly string[]): Promise<void> {
    const { signal, staleOk } = this.#request;
    for await (const part of resolveNames(this.#session, [...new Set(names)], { signal, staleOk })) {
      await this.#getPart(part);
    }
    for (const folder of this.#folders.values()) await folder.then(syncFolder).catch(() => undefined);
  }

  #failed(name: string, error: unknown): void {
    const { signal, onResult } = this.#request;
    if (isOperaError(error, 'aborted') || signal?.aborted) throw error;
    onResult(name, fromSystemError(error) ?? toOperaError(error));
  }

  async #getPart({ names, files, plan }: Resolved): Promise<void> {
    const { signal, width = 1 } = this.#request;
    const found: RemoteFile[] = [];
    for (const [at, file] of files.entries()) {
      const name = names[at] ?? '';
      if (file instanceof OperaError) this.#failed(name, file);
      else if (!file) this.#failed(name, new OperaError('not-found', 'no file has that name'));
      else found.push(file);
    }
    if (!plan) return;
    const small = found.filter(({ geometry }) => geometry.chunkCount === 1);
    const large = found.filter(({ geometry }) => geometry.chunkCount > 1);
    await readSmallFiles(this.#session, plan, small, signal, (file, content) => this.#write(file, content));
    await forEachAtOnce(large, width, signal, (file, inner) => this.#getLarge(plan, file, inner));
  }

  async #pathOf(name: string): Promise<string> {
    const parts = pathPartsOf(name);
    const key = dirname(name);
    let folder = this.#folders.get(key);
    if (!folder) {
      folder = createFolders(this.#request.folder, parts.slice(0, -1));
      this.#folders.set(key, folder);
    }
    return join(await folder, parts.at(-1) ?? '');
  }

  async #write(file: RemoteFile, content: Uint8Array | OperaError): Promise<void> {
    const { force, onProgress, onResult } = this.#request;
    const { name, record } = file;
    try {
      if (content instanceof OperaError) throw content;
      const path = await this.#pathOf(name);
      await writeWholeFile(path, [content], { force, modified: file.content.modified });
      onProgress?.(content.length);
      onResult(name, { name, path, size: content.length, version: record.version, resumedChunks: 0 });
    } catch (error) {
      this.#failed(name, error);
    }
  }

  async #getLarge(plan: Plan, file: RemoteFile, signal: AbortSignal): Promise<void> {
    try {
      const path = await this.#pathOf(file.name);
      const options = { ...this.#request, signal, syncFolder: false };
      this.#request.onResult(file.name, await getInto(this.#session, plan, file, path, options));
    } catch (error) {
      if (isOperaError(toOperaError(error), 'aborted') || signal.aborted) throw error;
      this.#failed(file.name, error);
    }
  }
}

/** Gets many names; rejects only when interrupted or when names cannot be looked up at all. */
export const getMany = (session: Session, names: readonly string[], request: GetManyRequest): Promise<void> =>
  new GetMany(session, request).run(names);
