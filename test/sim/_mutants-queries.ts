// Mutants of questions about star systems: a rule of the nodes' indexes or of the asking client broken on purpose.
import type { Connection } from '../../src/client/connection.ts';
import type { Transport } from '../../src/client/transport.ts';
import { encodeAnswer, parseAnswer } from '../../src/index/answer-wire.ts';
import { mergeAnswers } from '../../src/index/aggregate.ts';
import { parseQueryTree } from '../../src/index/query-wire.ts';
import { limits } from '../../src/model/limits.ts';
import type { ChunkToIndex } from '../../src/roles/node/index-build.ts';
import type { IndexEngine } from '../../src/roles/node/index-engine.ts';
import type { Run } from '../../src/roles/node/index-file.ts';
import type { RequestOf } from '../../src/wire/routes.ts';
import type { Mutant } from './_mutants.ts';

/** The client's side of a connection, with another way to call nodes. */
const callingWith = (connection: Connection, around: (call: Transport['call']) => Transport['call']): Connection => {
  const { transport } = connection;
  const call = around(transport.call.bind(transport));
  return Object.assign(connection, { transport: { ...transport, call } });
};

/** An answer that was counted twice over; rows are never the same twice, counts do not show it. */
const doubled = (query: ReturnType<typeof parseQueryTree>, binary: Uint8Array): Uint8Array => {
  const answer = parseAnswer(Buffer.from(binary).toString('utf8'), query, () => true);
  return Buffer.from(encodeAnswer(mergeAnswers(query, answer, answer), query));
};

interface Made {
  readonly run: Run;
  readonly chunk: ChunkToIndex;
}

/** An index that knows chunks by their number alone: what it made first answers for every later version as well. */
const survivingIndex = (engine: IndexEngine): IndexEngine => {
  const first = new Map<number, Made>();
  return {
    open: (network, mode) => engine.open(network, mode),
    useKey: (indexKey, record) => engine.useKey(indexKey, record),
    drop: async () => undefined,
    bytes: () => engine.bytes(),
    discard: () => engine.discard(),
    close: () => engine.close(),
    build: async (chunk) => {
      const run = await engine.build(chunk);
      if (!first.has(chunk.chunk)) first.set(chunk.chunk, { run, chunk });
      return run;
    },
    search: async (ask, supply, signal) => {
      const made = first.get(ask.chunks[0]?.chunk ?? -1);
      if (!made || ask.chunks.length === 0) return engine.search(ask, supply, signal);
      const { run, chunk } = made;
      const stale = { version: run.version, chunk: run.chunk, run: run.run };
      const reads = async (needs: Parameters<typeof supply>[0]) =>
        needs.map(({ from, to }) => ({ bytes: chunk.sealed.subarray(from, to), path: undefined }));
      const asked = { query: ask.query, chunks: [stale], catalogues: [chunk.catalogue] };
      const { result, damaged } = await engine.search(asked, reads, signal);
      const version = ask.chunks[0]?.version ?? run.version;
      const rows = result.answer.rows.map((row) => ({ ...row, id: { ...row.id, version } }));
      return { result: { ...result, answer: { ...result.answer, rows }, vouched: [...ask.chunks.keys()] }, damaged };
    },
  };
};

export const queryMutants = {
  'vouching unindexed': {
    story: 'a node vouches for chunks that it has not indexed yet',
    faults: [],
    steps: 6,
    lanes: 2,
    slowDisksMs: [4_000, 4_000, 4_000, 4_000, 4_000],
    broken: () => ({
      handlersOf: (handlers) => {
        const { 'index.query': query } = handlers;
        if (!query) return handlers;
        const vouching: typeof query = async (call) => {
          const { answer, ...rest } = await query(call);
          return { ...rest, answer: { ...answer, vouched: call.request.chunks, more: false } };
        };
        return { ...handlers, 'index.query': vouching };
      },
    }),
  },
  'counted twice': {
    story: 'a client counts the answer of a node twice',
    faults: [],
    steps: 6,
    broken: () => ({
      connectionOf: (connection) =>
        callingWith(connection, (call): Transport['call'] => async (to, route, request, options) => {
          const answered = await call(to, route, request, options);
          if (route !== 'index.query') return answered;
          const query = parseQueryTree((request as unknown as RequestOf<'index.query'>).query);
          if (query.output.kind !== 'count') return answered;
          return { ...answered, binary: doubled(query, answered.binary) };
        }),
    }),
  },
  'guess beside the snapshot': {
    story: 'a client keeps the answer that it asked for beside the snapshot, although catalogues have changed',
    faults: [],
    steps: 8,
    broken: () => ({
      connectionOf: (connection) => {
        let last: { readonly answer: unknown; readonly atMs: number } | undefined;
        const list: Connection['call'] = connection.call.bind(connection);
        const call: Connection['call'] = async (route, request, options) => {
          const answer = await list(route, request, options);
          if (route !== 'catalogue.list') return answer;
          const nowMs = connection.clock.monotonicMs();
          const guess = last && nowMs - last.atMs < limits.ticketLifeMs / 2 ? last.answer : answer;
          last = { answer, atMs: nowMs };
          return guess as typeof answer;
        };
        return Object.assign(connection, { call });
      },
    }),
  },
  'surviving index': {
    story: 'the index of a chunk survives the version that it was made of, and answers for the next one',
    faults: [],
    steps: 6,
    broken: () => ({ indexOf: survivingIndex }),
  },
} satisfies Record<string, Mutant>;
