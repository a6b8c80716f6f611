// A source that may be a catalogue: recognised by its head, cut where records end, its records looked at as they pass.
// Chunk lengths follow from the bytes and the dialect alone, so a put that was cut off goes on with equal chunks.
// A record that no chunk can hold ends the catalogue, not the put: what follows is cut as it comes, the version has its
// lengths but no counts of records, and it is an ordinary file.
import { wrapFileKey } from '../crypto/wrap.ts';
import { sealNote } from '../crypto/note.ts';
import { chunkBytesMax } from '../crypto/geometry.ts';
import { type CatalogueNote, encodeNote, recogniseCatalogue, type RecogniseOptions } from '../index/catalogue.ts';
import type { RecordCounts, RecordFault } from '../index/check.ts';
import { type CutChunk, RecordCutter } from '../index/cut.ts';
import { type Dialect, dialectHeadBytes } from '../index/dialect.ts';
import { OperaError } from '../errors/errors.ts';
import { limits } from '../model/limits.ts';
import type { ByteSource, PlainChunk } from './byte-source.ts';
import { type OnFault, RecordChecker } from './check-records.ts';
import type { Session } from './session.ts';
import type { Upload } from './upload.ts';

/** How a put treats star systems. */
export interface CatalogueOptions extends RecogniseOptions {
  /** False: resolve before the records can be queried. */
  readonly wait?: boolean;
  readonly onFault?: OnFault;
  /** Told by how many more the records are that can be queried, and those that are waited for. */
  readonly onIndexed?: (records: number, expected: number) => void;
  /** Told why the file is stored as an ordinary one; `known` when it had been recognised before that was found. */
  readonly onOrdinary?: (reasons: readonly string[], known: boolean) => void;
}

/** What became of the records. */
export interface CatalogueResult extends RecordCounts {
  readonly format: Dialect['format'];
  /** The first ones, at most limits.catalogueFaultsKept. */
  readonly faults: readonly RecordFault[];
  /** True when every record was in the index of W′ nodes when the put resolved. */
  readonly queryable: boolean;
  /** The file was renamed, replaced or removed by somebody else while its records were waited for. */
  readonly gone?: true;
}

/** Bytes read at once while cutting; where a record that is too long ends the catalogue depends on it. */
const pieceBytes = 256 * 1024;

/** JSON of a note that fits its sealed record, with room to spare. */
const noteJsonBytesMax = limits.noteBytesMax - 4096;

/** One reading of the source from its start: chunks, lengths, counts. */
export class CatalogueReading {
  readonly #catalogue: Catalogue;
  readonly #cutter: RecordCutter;
  readonly #checker: RecordChecker;
  readonly #lengths: number[] = [];
  readonly #records: number[] = [];
  #buffer = Buffer.alloc(0);
  #filled = 0;

  constructor(catalogue: Catalogue, size: number | undefined, onFault: OnFault) {
    this.#catalogue = catalogue;
    this.#cutter = new RecordCutter(catalogue.note.dialect);
    this.#checker = new RecordChecker(catalogue.json, size, onFault);
  }

  /** Plaintext bytes of each chunk that came out. */
  get chunkLengths(): readonly number[] {
    return this.#lengths;
  }

  /** Records of each chunk; undefined once a record was too long for any. */
  get chunkRecords(): readonly number[] | undefined {
    return this.#cutter.refusal === undefined ? this.#records : undefined;
  }

  /** Why it is no catalogue after all. */
  get refusal(): string | undefined {
    return this.#cutter.refusal;
  }

  /** The chunks in order. As with ordinary ones, each is good until the next is asked for. */
  async *chunks(source: ByteSource): AsyncGenerator<PlainChunk, void, void> {
    const capacity = chunkBytesMax + pieceBytes;
    this.#buffer = Buffer.allocUnsafe(Math.min(capacity, source.size ?? capacity));
    let total = 0;
    for (;;) {
      const piece = this.#buffer.subarray(this.#filled, this.#filled + pieceBytes);
      const length = await source.read(piece);
      if (length === 0) break;
      total += length;
      this.#filled += length;
      for (const cut of this.#cutter.push(piece.subarray(0, length))) yield* this.#take(cut, false);
      if (this.refusal !== undefined) {
        while (this.#filled > chunkBytesMax) yield* this.#take({ bytes: chunkBytesMax, records: 0 }, false);
      }
    }
    if (source.size !== undefined && total !== source.size) {
      throw new OperaError('source-changed', 'the file became shorter while it was read');
    }
    const rest = this.refusal === undefined ? this.#cutter.end() : [{ bytes: this.#filled, records: 0 }];
    for (const [at, cut] of rest.entries()) yield* this.#take(cut, at === rest.length - 1);
  }

  async *#take({ bytes, records }: CutChunk, last: boolean): AsyncGenerator<PlainChunk, void, void> {
    const plaintext = this.#buffer.subarray(0, bytes);
    if (this.refusal === undefined) await this.#checker.add(plaintext);
    const index = this.#lengths.length;
    this.#lengths.push(bytes);
    this.#records.push(records);
    yield { index, plaintext, last };
    this.#buffer.copyWithin(0, bytes, this.#filled);
    this.#filled -= bytes;
  }

  /** Counts of the records once all chunks came out; undefined when it is no catalogue after all. */
  async end(): Promise<Omit<CatalogueResult, 'queryable'> | undefined> {
    if (this.refusal !== undefined) {
      this.#catalogue.options.onOrdinary?.([this.refusal], true);
      return undefined;
    }
    const { note, faults } = this.#catalogue;
    return { format: note.dialect.format, ...(await this.#checker.end()), faults };
  }

  /** To be called in `finally`. */
  async close(): Promise<void> {
    await this.#checker.close();
  }
}

/** A source that was recognised. */
export class Catalogue {
  readonly note: CatalogueNote;
  /** The note's content; equal for equal heads and options. */
  readonly json: string;
  readonly options: CatalogueOptions;
  /** The first faults of its records. */
  readonly faults: RecordFault[] = [];
  /** Faults up to this record were told: a second reading of the same source tells only what comes behind. */
  #toldRecord = 0;

  constructor(note: CatalogueNote, json: string, options: CatalogueOptions) {
    this.note = note;
    this.json = json;
    this.options = options;
  }

  /** Begins reading the source, which must be at its first byte. */
  read(size: number | undefined): CatalogueReading {
    const before = this.#toldRecord;
    return new CatalogueReading(this, size, async (fault) => {
      if (fault.record <= before) return;
      this.#toldRecord = fault.record;
      if (this.faults.length < limits.catalogueFaultsKept) this.faults.push(fault);
      await this.options.onFault?.(fault);
    });
  }

  /** The upload with the note that goes along with every chunk. */
  noted(session: Session, upload: Upload): Upload {
    const { connection, networkId } = session;
    const { version, keys } = upload;
    const wrap = wrapFileKey(connection.keys.keyring, networkId, version, keys.fileKey, connection.random);
    const content: Readonly<Record<string, unknown>> = JSON.parse(this.json);
    return { ...upload, note: sealNote(keys.fileKey, keys.header, wrap, content, connection.random) };
  }
}

/**
 * Judges the first bytes of a source; `whole` when they are all of it. Throws `usage` when the options insist on a
 * catalogue and it is none.
 */
export const recognise = (
  head: Uint8Array,
  whole: boolean,
  options: CatalogueOptions | false = {},
): Catalogue | undefined => {
  if (options === false) return undefined;
  const { note, reasons } = recogniseCatalogue(head, whole, options);
  if (!note) {
    options.onOrdinary?.(reasons, false);
    return undefined;
  }
  const json = encodeNote(note);
  if (Buffer.byteLength(json) <= noteJsonBytesMax) return new Catalogue(note, json, options);
  options.onOrdinary?.(['the names of its columns are longer than a note may be'], true);
  return undefined;
};

/** A source whose head was read already and comes again first. */
const replayed = (source: ByteSource, head: Uint8Array): ByteSource => {
  let at = 0;
  const { rewind } = source;
  return {
    ...source,
    read: async (target) => {
      const part = head.subarray(at, at + target.length);
      target.set(part);
      at += part.length;
      if (part.length === target.length) return part.length;
      return part.length + (await source.read(target.subarray(part.length)));
    },
    ...(rewind && {
      rewind: async () => {
        await rewind();
        at = head.length;
      },
    }),
  };
};

/** Looks at the head of a source; read on from `source`, which begins at the first byte again. */
export const lookAt = async (
  source: ByteSource,
  options: CatalogueOptions | false | undefined,
): Promise<{ readonly source: ByteSource; readonly catalogue: Catalogue | undefined }> => {
  if (options === false) return { source, catalogue: undefined };
  const buffer = new Uint8Array(Math.min(dialectHeadBytes, source.size ?? dialectHeadBytes));
  const length = await source.read(buffer);
  const head = buffer.subarray(0, length);
  const whole = length < dialectHeadBytes || source.size === length;
  return { source: replayed(source, head), catalogue: recognise(head, whole, options) };
};
