// Picks the store of a node by what `--storage` says: sqlite, memory, or the path of a module of somebody else's that
// exports `createStorage`. A module is code of the operator's own choosing and is trusted like the program itself;
// it is never found by searching, only by an explicit path. Nothing is opened here.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isErrorCode, isOperaError, OperaError } from '../errors/errors.ts';
import { moveDamagedStore } from './_sqlite-damage.ts';
import { MemoryStorage } from './memory.ts';
import { SqliteStorage } from './sqlite.ts';
import type { StorageAdapter, StorageFactory, StorageFactoryOptions, StoreOpening } from './storage-adapter.ts';

/** Every method of the contract; the type makes the list complete. */
const methods: Readonly<Record<Exclude<keyof StorageAdapter, 'durable'>, true>> = {
  open: true,
  adoptStoreId: true,
  writeCounter: true,
  putChunks: true,
  getChunk: true,
  listVersion: true,
  listChunks: true,
  deleteChunks: true,
  setAside: true,
  findDamage: true,
  putManifests: true,
  getManifest: true,
  listManifests: true,
  deleteManifests: true,
  listManifestsBelow: true,
  countManifestsBelow: true,
  highestSequence: true,
  putNote: true,
  getNote: true,
  replaceNote: true,
  deleteNote: true,
  listNotes: true,
  listPartitions: true,
  digests: true,
  putState: true,
  getState: true,
  listState: true,
  deleteState: true,
  usage: true,
  close: true,
};

/** import() as the launcher hands it to the bundle, which has none of its own; see src/launch.ts. */
declare const OPERA_IMPORT: ((url: string) => Promise<unknown>) | undefined;

const importModule = async (path: string): Promise<Readonly<Record<string, unknown>>> => {
  try {
    const { href } = pathToFileURL(path);
    const module = typeof OPERA_IMPORT === 'function' ? await OPERA_IMPORT(href) : await import(href);
    return module as Record<string, unknown>;
  } catch (error) {
    throw new OperaError('config', `the storage module ${path} cannot be loaded`, { cause: error });
  }
};

const isFactory = (module: object): module is StorageFactory =>
  'createStorage' in module && typeof module.createStorage === 'function';

/** A module cannot have our error class; what it throws counts by its `code`. */
const translate = (error: unknown): OperaError => {
  if (error instanceof OperaError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (error instanceof Error && isErrorCode(code)) return new OperaError(code, error.message, { cause: error });
  return new OperaError('internal', 'the storage module failed', { cause: error });
};

/** The adapter with its errors translated. */
const withOurErrors = (adapter: StorageAdapter): StorageAdapter =>
  new Proxy(adapter, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        try {
          return await (Reflect.apply(value, target, args) as unknown);
        } catch (error) {
          throw translate(error);
        }
      };
    },
  });

const adapterOf = (made: unknown, path: string): StorageAdapter => {
  const found: Readonly<Record<string, unknown>> =
    typeof made === 'object' && made !== null ? (made as Record<string, unknown>) : {};
  const absent = Object.keys(methods).filter((method) => typeof found[method] !== 'function');
  if (typeof found['durable'] !== 'boolean') absent.unshift('durable');
  if (absent.length === 0) return withOurErrors(made as StorageAdapter);
  throw new OperaError('config', `the store made by ${path} lacks ${absent.join(', ')}`, {
    hint: 'It must implement StorageAdapter, see docs/storage-adapters.md.',
  });
};

/**
 * The store named by `spec`, not yet opened. A path is relative to the working directory and contains a `/`.
 * Errors: `config` for an unknown name, a module that does not load, or one whose store is incomplete.
 */
export const loadStorage = async (spec: string, options: StorageFactoryOptions): Promise<StorageAdapter> => {
  if (spec === 'sqlite') return new SqliteStorage(options);
  if (spec === 'memory') return new MemoryStorage(options);
  if (!spec.includes('/')) {
    throw new OperaError('config', `unknown storage ${JSON.stringify(spec)}; it is sqlite, memory or a path`, {
      hint: 'name a module by its path, as in ./my-adapter.mjs',
    });
  }
  const path = resolve(spec);
  const module = await importModule(path);
  if (!isFactory(module)) throw new OperaError('config', `${path} exports no function createStorage`);
  try {
    return adapterOf(await module.createStorage(options), path);
  } catch (error) {
    if (error instanceof OperaError) throw error;
    throw new OperaError('config', `createStorage of ${path} failed`, { cause: error });
  }
};

export interface OpenedStorage {
  readonly storage: StorageAdapter;
  readonly opening: StoreOpening;
  /** What was wrong with the store that was moved aside; undefined when none was. */
  readonly damage: string | undefined;
}

/**
 * As `loadStorage`, opened. A damaged SQLite store is moved aside whole and a blank one begins in its place, for the
 * other nodes to fill: a node whose disk lost a page would otherwise never start again.
 */
export const openStorage = async (spec: string, options: StorageFactoryOptions): Promise<OpenedStorage> => {
  const storage = await loadStorage(spec, options);
  try {
    return { storage, opening: await storage.open(), damage: undefined };
  } catch (error) {
    if (!(storage instanceof SqliteStorage) || !isOperaError(error, 'integrity')) throw error;
    const suffix = await moveDamagedStore(options.folder, options.nowMs());
    const blank = new SqliteStorage(options);
    return { storage: blank, opening: await blank.open(), damage: `${error.message}; kept as *${suffix}` };
  }
};
