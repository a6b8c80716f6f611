// A node's answers about star systems: queries over the chunks it vouches for, which chunks those are, and the state of
// its index for operators. Values and queries never reach a log: counts and record numbers do.
import type { Answer } from '../../index/aggregate.ts';
import { encodeAnswer } from '../../index/answer-wire.ts';
import type { Query } from '../../index/query.ts';
import { parseQueryTree } from '../../index/query-wire.ts';
import type { Handler, Handlers, IncomingCall } from '../../client/transport.ts';
import { isOperaError, OperaError } from '../../errors/errors.ts';
import { parseTicket } from '../../identity/ticket.ts';
import type { VersionId } from '../../model/ids.ts';
import { limits } from '../../model/limits.ts';
import { errorFacts } from '../../runtime/log.ts';
import { type ChunkAddress, chunksOf, chunkSetsOf } from '../../wire/chunk-sets.ts';
import type { WireChunkSet } from '../../wire/messages-index.ts';
import { type NodeCore, requirePeer, requireTicket } from './core.ts';
import type { CatalogueKeys } from './index-build.ts';
import type { AskedChunk, Need, Supplied } from './index-search.ts';
import type { Indexer } from './indexer.ts';

/** Chunks that one question may be about: 256 GiB of catalogues, or 16 million records and more. */
const chunksPerQuestionMax = 65_536;

/** Versions whose notes one question has looked for. */
const notesMissedMax = 100;

/** Every chunk asked about, in order. `ticket-invalid` for versions not covered, `bad-request` for too many. */
const allowedChunks = (sets: readonly WireChunkSet[], versions: readonly VersionId[]): ChunkAddress[] => {
  const covered = new Set(versions);
  if (sets.some(({ version }) => !covered.has(version))) {
    throw new OperaError('ticket-invalid', 'the ticket does not cover a version asked about');
  }
  const chunks: ChunkAddress[] = [];
  for (const address of chunksOf(sets)) {
    if (chunks.length >= chunksPerQuestionMax) {
      throw new OperaError('bad-request', `a question is about at most ${chunksPerQuestionMax} chunks`);
    }
    chunks.push(address);
  }
  return chunks;
};

interface Answered {
  readonly text: Uint8Array;
  readonly vouched: readonly AskedChunk[];
  readonly candidates: number;
  readonly records: number;
  readonly access: string;
}

class QueryAnswerer {
  readonly #core: NodeCore;
  readonly #indexer: Indexer;

  constructor(core: NodeCore, indexer: Indexer) {
    this.#core = core;
    this.#indexer = indexer;
  }

  async answer({ request, peer: caller, signal }: IncomingCall<'index.query'>) {
    const chunks = this.#allowed(caller, 'query', request);
    const query = parseQueryTree(request.query);
    const startedMs = this.#core.context.clock.monotonicMs();
    this.#missNotes(chunks);
    const asked = chunks.flatMap(({ version, index }): AskedChunk[] => {
      const run = this.#indexer.runOf(version, index);
      return run ? [{ version, chunk: index, run: run.run }] : [];
    });
    let part = asked;
    for (;;) {
      const answered = await this.#search(query, part, signal);
      if (answered.text.length <= limits.binaryBytesMax) {
        const { text, vouched, candidates, records, access } = answered;
        const elapsedUs = Math.round((this.#core.context.clock.monotonicMs() - startedMs) * 1000);
        const more = part.length < asked.length;
        const answer = {
          vouched: chunkSetsOf(vouched.map(({ version, chunk: index }) => ({ version, index }))),
          more,
          candidates,
          records,
          access,
          elapsedUs,
        };
        return { answer, binary: [text] };
      }
      if (part.length <= 1) {
        throw new OperaError('too-large', 'the rows of one chunk do not fit an answer', {
          hint: 'Ask for fewer columns, or for fewer rows with --limit',
        });
      }
      part = part.slice(0, Math.ceil(part.length / 2));
    }
  }

  async state({ request, peer }: IncomingCall<'index.state'>) {
    const { operation } = parseTicket(request.ticket.bytes);
    const chunks = this.#allowed(peer, operation, request);
    const indexed = chunks.filter(({ version, index }) => this.#indexer.runOf(version, index) !== undefined);
    return { answer: { indexed: chunkSetsOf(indexed) } };
  }

  #allowed(
    caller: IncomingCall<'index.query'>['peer'],
    operation: 'put' | 'get' | 'query',
    { ticket, versions, chunks: sets }: Pick<IncomingCall<'index.query'>['request'], 'ticket' | 'versions' | 'chunks'>,
  ) {
    const chunks = allowedChunks(sets, versions);
    const chunkIndex = chunks.reduce((most, { index }) => Math.max(most, index), 0);
    requireTicket(this.#core, requirePeer(caller), operation, { ticket, versions, chunkIndex });
    return chunks;
  }

  async #search(query: Query, asked: readonly AskedChunk[], signal: AbortSignal): Promise<Answered> {
    const { copies } = this.#core;
    const catalogues = await this.#keysOf(new Set(asked.map(({ version }) => version)));
    const opened = new Set(catalogues.map(({ version }) => version));
    const chunks = asked.filter(({ version }) => opened.has(version));
    const supply = (needs: readonly Need[]) => Promise.all(needs.map((need) => this.#read(need)));
    const ask = { query, chunks, catalogues };
    const found = await this.#indexer.engine.search(ask, supply, signal).catch((error: unknown) => {
      if (!isOperaError(error, 'integrity')) throw error;
      this.#core.context.log.error('index-damaged', errorFacts(error));
      this.#indexer.rebuild();
      throw new OperaError('not-ready', 'the index was damaged and is built anew', { cause: error });
    });
    const { answer, vouched: positions, candidates, records, access } = found.result;
    for (const { version, chunk } of found.damaged) this.#indexer.redo({ version, index: chunk });
    const isVouched = new Set(positions);
    const vouched: AskedChunk[] = [];
    for (const [position, asked] of chunks.entries()) {
      const { version, chunk, run } = asked;
      // It may have left while it was searched: then it was counted from bytes that were good.
      if (isVouched.has(position)) vouched.push(asked);
      else if (this.#indexer.runOf(version, chunk)?.run === run) {
        copies.report({ version, index: chunk });
      }
    }
    return { text: textOf(answer, query), vouched, candidates, records, access };
  }

  /** A chunk that is here without its note, from a damaged store, is asked for the note of: it is indexed then. */
  #missNotes(chunks: readonly ChunkAddress[]): void {
    const { storage, notes, context } = this.#core;
    const first = new Map(chunks.map((address) => [address.version, address]));
    for (const { version, index } of [...first.values()].slice(0, notesMissedMax)) {
      if (this.#indexer.isCatalogue(version)) continue;
      void storage
        .listVersion(version, index, index + 1)
        .then(async (held) => (held.length > 0 ? notes.missing(version) : false))
        .catch((error: unknown) => context.log.debug('note-not-found', { version, ...errorFacts(error) }));
    }
  }

  /** Of those that can be opened: the others are not vouched for. */
  async #keysOf(versions: ReadonlySet<VersionId>): Promise<CatalogueKeys[]> {
    const opened = await Promise.all(
      [...versions].map((version) =>
        this.#indexer.keysOf(version).catch((error: unknown) => {
          this.#core.context.log.warn('catalogue-unopened', { version, ...errorFacts(error) });
          return undefined;
        }),
      ),
    );
    return opened.filter((keys) => keys !== undefined);
  }

  /** Sealed bytes of a chunk; undefined when they are not there or cannot be read. */
  async #read({ version, chunk, from, to }: Need): Promise<Supplied | undefined> {
    try {
      const found = await this.#core.storage.getChunk({ version, index: chunk }, { from, to });
      return found && { bytes: found.body, path: found.path };
    } catch (error) {
      if (!isOperaError(error, 'integrity')) throw error;
      return undefined;
    }
  }
}

const textOf = (answer: Answer, query: Query): Uint8Array => Buffer.from(encodeAnswer(answer, query), 'utf8');

const lookHandler =
  (indexer: Indexer): Handler<'index.look'> =>
  async ({ request }) => {
    if (request.rebuild) indexer.rebuild();
    return { answer: await indexer.look() };
  };

export const queryHandlers = (core: NodeCore, indexer: Indexer): Handlers => {
  const answerer = new QueryAnswerer(core, indexer);
  return {
    // Queries are client work: background work yields to them.
    'index.query': (call) => core.throttle.serve(() => answerer.answer(call)),
    'index.state': (call) => answerer.state(call),
    'index.look': lookHandler(indexer),
  };
};
