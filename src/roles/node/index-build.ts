// Making the index of one chunk: opens it, reads its records, gathers their codes, and writes what the index keeps to
// its file, sealed, as it is made. The same chunk gives the same postings; only the salt is random.
import { isOperaError } from '../../errors/errors.ts';
import { indexSaltBytes, PageSealer } from '../../crypto/index-keys.ts';
import { deriveFileKeys, type FileKeys, openChunk } from '../../crypto/sealing.ts';
import { parseNote } from '../../index/catalogue.ts';
import { codesOf } from '../../index/codes.ts';
import { parseRecords } from '../../index/parse-records.ts';
import { PlacesWriter, PostingsBuilder, type WritePage } from '../../index/postings.ts';
import { RecordReader } from '../../index/record.ts';
import { Summary } from '../../index/summary.ts';
import { utf8 } from '../../model/bytes.ts';
import type { NetworkId, VersionId } from '../../model/ids.ts';
import type { Random } from '../../runtime/random.ts';
import { factsKind, type IndexFile, type PageKind, pageKinds, type Run } from './index-file.ts';

/** What opens the chunks of one catalogue and reads its records. */
export interface CatalogueKeys {
  readonly version: VersionId;
  readonly fileKey: Uint8Array;
  readonly header: Uint8Array;
  /** JSON of its note. */
  readonly note: string;
}

/** Bytes that the keys of a catalogue, or what is made of them, take in memory: objects take more than their JSON. */
export const bytesOf = ({ note }: Pick<CatalogueKeys, 'note'>): number => 1_024 + 4 * note.length;

export interface ChunkToIndex {
  readonly catalogue: CatalogueKeys;
  readonly chunk: number;
  readonly hash: Uint8Array;
  readonly sealed: Uint8Array;
}

/** Sealed with its run: what a search must know before it reads a page. */
export interface RunFacts {
  /** Bytes of the chunk's plaintext, and whether it is the last of its version: needed to open segments. */
  readonly length: number;
  readonly last: boolean;
  /** Ordinals are below this. */
  readonly records: number;
  readonly summary: ReturnType<Summary['toJson']>;
}

/** Reads records of one catalogue, and opens its chunks. */
export class Catalogue {
  /** In memory, roughly. */
  readonly bytes: number;
  readonly keys: FileKeys;
  readonly reader: RecordReader;
  readonly dialect: ReturnType<typeof parseNote>['dialect'];

  constructor(network: NetworkId, { version, fileKey, header, note }: CatalogueKeys) {
    const { dialect, bindings } = parseNote(note);
    this.keys = deriveFileKeys(network, version, fileKey, header);
    this.reader = new RecordReader(dialect, bindings);
    this.dialect = dialect;
    this.bytes = bytesOf({ note });
  }
}

/** Only the last chunk of a version says so, and a note does not tell how many there are. */
const openEither = (keys: FileKeys, chunk: number, sealed: Uint8Array) => {
  try {
    return { plaintext: openChunk(keys, chunk, sealed, { last: false }), last: false };
  } catch (error) {
    if (!isOperaError(error, 'integrity')) throw error;
    return { plaintext: openChunk(keys, chunk, sealed, { last: true }), last: true };
  }
};

export interface BuildOptions {
  readonly network: NetworkId;
  readonly indexKey: Uint8Array;
  readonly random: Random;
}

/** Writes the chunk's index to `file`. `integrity` when it does not open or has more records than a chunk may. */
export const buildRun = (
  catalogue: Catalogue,
  { catalogue: { version }, chunk, hash, sealed }: ChunkToIndex,
  { network, indexKey, random }: BuildOptions,
  file: Pick<IndexFile, 'put'>,
): Run => {
  const { plaintext, last } = openEither(catalogue.keys, chunk, sealed);
  const salt = random.bytes(indexSaltBytes);
  const sealer = new PageSealer(indexKey, salt, network, version, chunk);
  return file.put({ version, chunk, hash, salt }, (sink) => {
    const pageTo =
      (kind: PageKind): WritePage =>
      (page, number) =>
        sink.page(kind, number, sealer.seal(pageKinds[kind], number, page));
    const postings = new PostingsBuilder();
    const places = new PlacesWriter(pageTo('places'));
    const summary = new Summary();
    let [records, indexed, flagged] = [0, 0, 0];
    for (const raw of parseRecords(plaintext, catalogue.dialect, chunk === 0)) {
      records += 1;
      const read = catalogue.reader.read(raw);
      if ('faults' in read) {
        places.add(undefined);
        continue;
      }
      const { system } = read;
      places.add(raw);
      postings.add(raw.ordinal, codesOf(system));
      summary.add(system);
      sink.system(raw.ordinal, system);
      indexed += 1;
      if (system.odd.length > 0) flagged += 1;
    }
    places.end();
    const directory = postings.write(pageTo('postings'));
    const facts: RunFacts = { length: plaintext.length, last, records, summary: summary.toJson() };
    const sealedFacts = sealer.seal(factsKind, 0, encodeFacts(facts, directory));
    return { facts: sealedFacts, indexed, flagged, rejected: records - indexed };
  });
};

/** Length of the JSON u32 | JSON | directory. */
const encodeFacts = (facts: RunFacts, directory: Uint8Array): Uint8Array => {
  const json = utf8(JSON.stringify(facts));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, directory]);
};

/** Inverse, for bytes that opened under their run's key and so are as they were written. */
export const decodeFacts = (bytes: Uint8Array): { readonly facts: RunFacts; readonly directory: Uint8Array } => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = buffer.readUInt32BE(0);
  const facts = JSON.parse(buffer.toString('utf8', 4, 4 + length)) as RunFacts;
  return { facts, directory: bytes.subarray(4 + length) };
};
