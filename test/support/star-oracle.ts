// The truth about catalogues in a network in memory: nodes that answer queries by reading every record of the chunks
// they hold, with the pure modules alone, and the same over all catalogues at once. No index, no note and no key is in
// it, so that what answers by them can be compared with it. `intervene` lets a test change what a node says.
import { sourceOfBytes } from '../../src/client/byte-source.ts';
import { putFile } from '../../src/client/put.ts';
import type { Session } from '../../src/client/session.ts';
import type { Handler, Reply } from '../../src/client/transport.ts';
import { type Answer, Gathering } from '../../src/index/aggregate.ts';
import { encodeAnswer } from '../../src/index/answer-wire.ts';
import { type CatalogueNote, recogniseCatalogue } from '../../src/index/catalogue.ts';
import { RecordCutter } from '../../src/index/cut.ts';
import { matches } from '../../src/index/matcher.ts';
import { parseRecords } from '../../src/index/parse-records.ts';
import type { Query } from '../../src/index/query.ts';
import { parseQueryTree } from '../../src/index/query-wire.ts';
import { RecordReader } from '../../src/index/record.ts';
import type { StarSystem } from '../../src/index/star-system.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { type ChunkAddress, chunkSetsOf, chunksOf } from '../../src/wire/chunk-sets.ts';
import type { RequestOf } from '../../src/wire/routes.ts';
import type { MemoryCluster } from './memory-cluster.ts';

/** Ordinals and systems of the records of a chunk that are no faults. */
type Records = readonly (readonly [ordinal: number, system: StarSystem])[];

const recordsOf = ({ dialect, bindings }: CatalogueNote, chunk: Uint8Array, first: boolean): Records => {
  const reader = new RecordReader(dialect, bindings);
  return [...parseRecords(chunk, dialect, first)].flatMap((raw) => {
    const read = reader.read(raw);
    return 'system' in read ? [[raw.ordinal, read.system] as const] : [];
  });
};

/** One question to a node, before it is answered. */
export interface Asked {
  /** Number of the node in the cluster. */
  readonly node: number;
  readonly chunks: readonly ChunkAddress[];
  readonly query: Query;
}

/** What a node says, as it would be sent. */
export interface Said {
  vouched: ChunkAddress[];
  /** Says each chunk twice. */
  twice: boolean;
  more: boolean;
  /** JSON of the answer. */
  text: string;
}

export class StarOracle {
  /** Of each chunk in order. */
  readonly #known = new Map<VersionId, readonly Records[]>();
  readonly #names = new Map<VersionId, string>();
  /** Every question that reached a node, in order. */
  readonly asked: Asked[] = [];
  /** Chunks a node is silent about although it holds them. */
  isUnvouched: (node: number, chunk: ChunkAddress) => boolean = () => false;
  /** Changes what a node says, or throws instead of it. */
  intervene: (asked: Asked, said: Said) => Promise<void> | void = () => undefined;
  /** Chunks one answer is about at most. */
  answerChunksMax = Number.POSITIVE_INFINITY;

  /** Nodes answer as they should from now on, and nothing has been asked. */
  behave(): void {
    this.asked.length = 0;
    this.isUnvouched = () => false;
    this.intervene = () => undefined;
    this.answerChunksMax = Number.POSITIVE_INFINITY;
  }

  /** What node `at` of the cluster serves. */
  handler(cluster: () => MemoryCluster, at: number): Handler<'index.query'> {
    return async ({ request }) => this.#serve(cluster(), at, request);
  }

  /** Puts a catalogue and learns its records; resolves before any index has them. */
  async publish(session: Session, name: string, text: string): Promise<VersionId> {
    const bytes = Buffer.from(text);
    const { note, reasons } = recogniseCatalogue(bytes, true);
    if (!note) throw new Error(`no catalogue: ${reasons.join('; ')}`);
    const { version } = await putFile(session, sourceOfBytes(bytes), { name, catalogue: { wait: false } });
    const cutter = new RecordCutter(note.dialect);
    const lengths = [...cutter.push(bytes), ...cutter.end()].map((chunk) => chunk.bytes);
    this.#names.set(version, name);
    let from = 0;
    const chunks = lengths.map((length) => bytes.subarray(from, (from += length)));
    this.#known.set(
      version,
      chunks.map((chunk, index) => recordsOf(note, chunk, index === 0)),
    );
    return version;
  }

  nameOf(version: VersionId): string | undefined {
    return this.#names.get(version);
  }

  /** As if a version had never been. */
  forget(version: VersionId): void {
    this.#known.delete(version);
  }

  chunkCountOf(version: VersionId): number {
    return this.#known.get(version)?.length ?? 0;
  }

  /** The answer over whole catalogues, all that are known when none is named. */
  scan(query: Query, versions: Iterable<VersionId> = this.#known.keys()): Answer {
    const chunks = [...versions].flatMap((version) =>
      Array.from({ length: this.chunkCountOf(version) }, (_, index) => ({ version, index })),
    );
    return this.gather(query, chunks);
  }

  /** The answer over these chunks; over one that comes twice, twice. */
  gather(query: Query, chunks: Iterable<ChunkAddress>): Answer {
    const gathering = new Gathering(query);
    for (const { version, index } of chunks) {
      for (const [ordinal, system] of this.#known.get(version)?.[index] ?? []) {
        if (matches(query.where, system)) gathering.add({ version, chunk: index, ordinal }, system);
      }
    }
    return gathering.answer();
  }

  async #serve(cluster: MemoryCluster, node: number, request: RequestOf<'index.query'>): Promise<Reply<'index.query'>> {
    const query = parseQueryTree(request.query);
    const chunks = [...chunksOf(request.chunks)];
    const asked: Asked = { node, chunks, query };
    this.asked.push(asked);
    const held: ChunkAddress[] = [];
    for (const chunk of chunks) {
      if (!this.#known.has(chunk.version) || this.isUnvouched(node, chunk)) continue;
      const { version, index } = chunk;
      const found = await cluster.node(node).storage.listVersion(version, index, index + 1);
      if (found.length > 0) held.push(chunk);
    }
    const vouched = held.slice(0, this.answerChunksMax);
    const text = encodeAnswer(this.gather(query, vouched), query);
    const said: Said = { vouched, twice: false, more: vouched.length < held.length, text };
    await this.intervene(asked, said);
    const cost = { candidates: 0, records: 0, access: 'scan', elapsedUs: 1 };
    const sets = chunkSetsOf(said.vouched);
    const answer = { vouched: said.twice ? [...sets, ...sets] : sets, more: said.more, ...cost };
    return { answer, binary: [Buffer.from(said.text)] };
  }
}
