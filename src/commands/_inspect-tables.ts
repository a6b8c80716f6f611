// What a node's store says to one who holds the keys: manifests, notes and chunks opened, as rows of the tables
// `files_open` and `star_systems_open`. Rows are made one after the other, so memory stays bounded by a chunk and, for
// files, by the rows kept for joins. What does not open is told to `faults` and left out. Nothing is written anywhere.
import { createGeometry } from '../crypto/geometry.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { type Manifest, parseManifest, verifyManifest } from '../crypto/manifest.ts';
import { type ManifestContent, openManifestBody } from '../crypto/manifest-body.ts';
import { openNote, parseNote } from '../crypto/note.ts';
import { openChunk, parseHeader } from '../crypto/sealing.ts';
import { openWrap } from '../crypto/wrap.ts';
import { type ErrorCode, isOperaError, OperaError, toOperaError } from '../errors/errors.ts';
import { fieldNames, fieldTable } from '../index/fields.ts';
import { parseRecords } from '../index/parse-records.ts';
import type { StarSystem } from '../index/star-system.ts';
import type { NetworkId, VersionId } from '../model/ids.ts';
import { Catalogue } from '../roles/node/index-build.ts';
import { formatTime } from '../runtime/clock.ts';
import type { StoredManifest } from '../storage-adapters/storage-adapter.ts';
import type { StoreReader } from '../storage-adapters/store-reader.ts';

/** A value as SQLite takes it: integers as bigint, so that they are integers there. */
export type SqlValue = string | number | bigint | null;
export type SqlRow = SqlValue[];

export const fileColumns = [
  'name',
  'version',
  'state',
  'kind',
  'size',
  'type',
  'created',
  'modified',
  'sequence',
  'written',
  'follows',
  'incarnation',
  'catalogue',
  'chunks',
  'chunks_here',
  'records',
  'key_epoch',
  'signer',
] as const;

export const systemColumns = ['file', 'version', 'chunk_index', 'ordinal', ...fieldNames, 'aliases'] as const;

/** Files whose rows are kept after the first pass: a join asks for them again and again. */
const filesKeptMax = 20_000;
/** Things that did not open whose names are kept; more are counted only. */
const faultsNamedMax = 1_000;

/** What did not open, each thing once however often it is met. */
export class Faults {
  readonly #named = new Set<string>();
  readonly #codes = new Set<ErrorCode>();
  #fresh: string[] = [];
  #total = 0;

  add(what: string, thrown: unknown): void {
    const { code, message } = toOperaError(thrown);
    if (this.#named.has(what)) return;
    this.#codes.add(code);
    this.#total += 1;
    if (this.#named.size >= faultsNamedMax) return;
    this.#named.add(what);
    this.#fresh.push(`${what} does not open: ${message}`);
  }

  /** Sentences since the last call. */
  take(): string[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  get total(): number {
    return this.#total;
  }

  get codes(): readonly ErrorCode[] {
    return [...this.#codes];
  }
}

export interface OpenedFile {
  readonly manifest: Manifest;
  readonly content: ManifestContent;
}

const isVersion = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);

const integerOrNull = (value: number | bigint | undefined): bigint | null =>
  value === undefined ? null : BigInt(value);

/** As the table `star_systems` of plain mode has it. */
const valueOf = (field: (typeof fieldNames)[number], value: unknown): SqlValue => {
  const { type } = fieldTable[field];
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'number') return type === 'integer' && Number.isSafeInteger(value) ? BigInt(value) : value;
  return typeof value === 'string' ? value : null;
};

const systemValues = ({ values, names }: StarSystem): SqlRow => {
  const others = names.filter((name) => name !== values.name);
  return [...fieldNames.map((name) => valueOf(name, values[name])), others.length > 0 ? others.join('|') : null];
};

export class OpenedStore {
  readonly #store: StoreReader;
  readonly #network: NetworkId;
  readonly #keyring: Keyring;
  readonly #faults: Faults;
  #files: readonly SqlRow[] | undefined;

  constructor(store: StoreReader, keyring: Keyring, faults: Faults) {
    this.#store = store;
    this.#network = keyring.network;
    this.#keyring = keyring;
    this.#faults = faults;
  }

  /** `wrong-network` when what it holds is of another network; an empty store is of any. */
  requireNetwork(): void {
    const found = this.#networkOf();
    if (found === undefined || found === this.#network) return;
    throw new OperaError(
      'wrong-network',
      `${this.#store.path} is of network ${found}, this member of ${this.#network}`,
      {
        hint: 'Name the home of a member of that network with --home',
      },
    );
  }

  /** Rows of `files_open`, in the order of fileColumns. */
  *files(): Generator<SqlRow, void, void> {
    if (this.#files) return yield* this.#files;
    const kept: SqlRow[] = [];
    for (const stored of this.#store.manifests()) {
      const opened = this.open(stored);
      if (!opened) continue;
      const row = this.#fileRow(opened);
      if (kept.length <= filesKeptMax) kept.push(row);
      yield row;
    }
    if (kept.length <= filesKeptMax) this.#files = kept;
  }

  /** Rows of `star_systems_open`, in the order of systemColumns; of one file, by name or version, when `of` says so. */
  *systems(of: string | undefined): Generator<SqlRow, void, void> {
    for (const version of of === undefined ? this.#store.catalogues() : this.#versionsOf(of)) {
      const catalogue = this.catalogue(version);
      if (!catalogue) continue;
      const stored = this.#store.manifest(version);
      const name = (stored && this.open(stored)?.content.name) ?? null;
      for (const { index } of this.#store.chunks(version)) {
        const plaintext = this.#openChunk(catalogue, version, index);
        if (!plaintext) continue;
        const chunk = BigInt(index);
        for (const raw of parseRecords(plaintext, catalogue.dialect, index === 0)) {
          const read = catalogue.reader.read(raw);
          // What makes no star system is in no index either.
          if ('faults' in read) continue;
          yield [name, version, chunk, BigInt(raw.ordinal), ...systemValues(read.system)];
        }
      }
    }
  }

  /** A manifest with its signature checked; whether its signer was a master is not known to every roster. */
  open({ version, record, signerSpki }: StoredManifest): OpenedFile | undefined {
    try {
      const manifest = parseManifest(record);
      if (manifest.version !== version) throw new OperaError('integrity', 'it is of another version');
      const { network, state, body, wrap } = manifest;
      if (network !== this.#network) throw new OperaError('wrong-network');
      verifyManifest(manifest, signerSpki);
      const fileKey = openWrap(this.#keyring, network, version, wrap);
      return { manifest, content: openManifestBody(fileKey, network, version, state, body) };
    } catch (error) {
      this.#faults.add(`the manifest of ${version}`, error);
      return undefined;
    }
  }

  /** What reads the records of a catalogue; undefined when its note is gone or does not open. */
  catalogue(version: VersionId): Catalogue | undefined {
    const record = this.#store.note(version);
    if (!record) return undefined;
    try {
      const note = parseNote(record);
      if (note.version !== version) throw new OperaError('integrity', 'it is of another version');
      const fileKey = openWrap(this.#keyring, this.#network, version, note.wrap);
      const content = openNote(fileKey, this.#network, note);
      return new Catalogue(this.#network, { version, fileKey, header: note.header, note: JSON.stringify(content) });
    } catch (error) {
      this.#faults.add(`the note of ${version}`, error);
      return undefined;
    }
  }

  #networkOf(): NetworkId | undefined {
    try {
      for (const { record } of this.#store.manifests()) return parseManifest(record).network;
      for (const version of this.#store.catalogues()) {
        const note = this.#store.note(version);
        if (note) return parseHeader(parseNote(note).header).network;
      }
    } catch (error) {
      // A record that is none at all is named where it is opened.
      if (!isOperaError(error, 'integrity')) throw error;
    }
    return undefined;
  }

  #openChunk({ keys }: Catalogue, version: VersionId, index: number): Uint8Array | undefined {
    try {
      const sealed = this.#store.chunk({ version, index });
      return sealed && openChunk(keys, index, sealed, { last: 'either' });
    } catch (error) {
      this.#faults.add(`chunk ${index} of ${version}`, error);
      return undefined;
    }
  }

  *#versionsOf(nameOrVersion: string): Generator<VersionId, void, void> {
    if (isVersion(nameOrVersion)) yield nameOrVersion as VersionId;
    for (const [name, version] of this.files()) {
      if (name === nameOrVersion && typeof version === 'string') yield version as VersionId;
    }
  }

  #fileRow({ manifest, content }: OpenedFile): SqlRow {
    const { version, state, sequence, incarnation, wrapEpoch, signer } = manifest;
    const file = content.kind === 'file' ? content : undefined;
    return [
      content.name,
      version,
      state,
      content.kind,
      integerOrNull(file?.size),
      file?.type ?? null,
      file?.created ?? null,
      file?.modified ?? null,
      sequence,
      formatTime(Number(sequence / 1_000n)),
      content.follows,
      BigInt(incarnation),
      file?.chunkLengths ? 1n : 0n,
      integerOrNull(file && createGeometry(file.size, file.chunkLengths).chunkCount),
      integerOrNull(this.#store.countChunks(version)),
      integerOrNull(file?.chunkRecords?.reduce((sum, records) => sum + records, 0)),
      BigInt(wrapEpoch),
      signer,
    ];
  }
}
