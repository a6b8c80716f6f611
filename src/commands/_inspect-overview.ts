// The overview that `opera inspect` prints without SQL: counts of a node's store and index, and how much of them opens
// with the keys at hand. Runs in the worker thread; holds one record at a time.
import { openIndexKey, PageSealer, publicIndexKey } from '../crypto/index-keys.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { isOperaError, OperaError } from '../errors/errors.ts';
import { type KeyHash, type MemberId, memberIdOf, parseVersionId } from '../model/ids.ts';
import { factsKind, type IndexOverview, readIndexOverview } from '../roles/node/index-file.ts';
import type { SqliteDatabase } from '../runtime/sqlite.ts';
import type { StoreCounts, StoreReader } from '../storage-adapters/store-reader.ts';
import type { Faults, OpenedStore } from './_inspect-tables.ts';

export interface StoreLook extends StoreCounts {
  readonly path: string;
  /** Live files, removed ones, and names that ended by a rename, whose manifests open. */
  readonly files: number;
  readonly removed: number;
  readonly renamed: number;
  /** Manifests that do not open. */
  readonly filesUnopened: number;
  readonly catalogues: number;
  readonly cataloguesUnopened: number;
}

export interface IndexLook extends Omit<IndexOverview, 'key'> {
  readonly path: string;
  /** The node whose index key it holds; undefined in plain mode, and when the key does not open. */
  readonly node: MemberId | undefined;
  readonly keyOpens: boolean;
  readonly runsUnopened: number;
  /** Chunks of the store beside it that it was made from; undefined without one. */
  readonly vouched: number | undefined;
}

export const lookAtStore = (store: StoreReader, opened: OpenedStore): StoreLook => {
  const counts = store.counts();
  const found = { files: 0, removed: 0, renamed: 0, filesUnopened: 0, catalogues: 0, cataloguesUnopened: 0 };
  for (const stored of store.manifests()) {
    const file = opened.open(stored);
    if (!file) found.filesUnopened += 1;
    else if (file.content.kind === 'name-tombstone') found.renamed += 1;
    else if (file.manifest.state === 'dead') found.removed += 1;
    else found.files += 1;
  }
  for (const version of store.catalogues()) {
    if (opened.catalogue(version)) found.catalogues += 1;
    else found.cataloguesUnopened += 1;
  }
  return { path: store.path, ...counts, ...found };
};

interface FoundKey {
  readonly node: MemberId | undefined;
  readonly indexKey: Uint8Array;
}

/** The index does not say whose it is: its key opens for the node that made it, and for no other. */
const openKey = (keyring: Keyring, nodes: readonly KeyHash[], record: Uint8Array | undefined): FoundKey | undefined => {
  for (const node of record ? nodes : []) {
    try {
      const indexKey = openIndexKey(keyring, keyring.network, node, record ?? new Uint8Array());
      return { node: memberIdOf(node), indexKey };
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
    }
  }
  return undefined;
};

const unknownNode = (): OperaError => new OperaError('integrity', 'it is of no node in the roster held here');

interface RunRow {
  readonly version: string;
  readonly chunk_index: number;
  readonly salt: Buffer;
  readonly facts: Buffer;
}

/** `database` is the index itself, `nodes` all nodes of the roster. */
export const lookAtIndex = (
  database: SqliteDatabase,
  path: string,
  keyring: Keyring,
  nodes: readonly KeyHash[],
  faults: Faults,
): Omit<IndexLook, 'vouched'> => {
  const { key, ...overview } = readIndexOverview(database);
  let found: FoundKey | undefined;
  try {
    found = overview.mode === 'plain' ? { node: undefined, indexKey: publicIndexKey } : openKey(keyring, nodes, key);
    // An index that was just begun has no key yet.
    if (!found && key) faults.add('the index key', unknownNode());
  } catch (error) {
    faults.add('the index key', error);
  }
  let runsUnopened = 0;
  if (found) {
    const rows = database.prepare<[], RunRow>('SELECT version, chunk_index, salt, facts FROM runs').iterate();
    for (const { version, chunk_index: chunk, salt, facts } of rows) {
      try {
        new PageSealer(found.indexKey, salt, keyring.network, parseVersionId(version), chunk).open(factsKind, 0, facts);
      } catch (error) {
        runsUnopened += 1;
        faults.add(`the index of chunk ${chunk} of ${version}`, error);
      }
    }
  }
  return { path, ...overview, node: found?.node, keyOpens: found !== undefined, runsUnopened };
};
