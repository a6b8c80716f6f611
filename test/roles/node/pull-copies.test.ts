// Copying chunks from another node: whole groups while nobody is served, beside clients in short pieces that are paid
// for one by one; and a source whose copy is altered hears of it either way.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Transport } from '../../../src/client/transport.ts';
import { sha256 } from '../../../src/crypto/digest.ts';
import type { VersionId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { partitionOf } from '../../../src/placement/partition.ts';
import type { RunningNode } from '../../../src/roles/node/app.ts';
import { copyChunks } from '../../../src/roles/node/pull-copies.ts';
import type { WantedChunk } from '../../../src/roles/node/pull-listing.ts';
import { Throttle } from '../../../src/roles/node/throttle.ts';
import type { RequestOf } from '../../../src/wire/routes.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { versionOf } from '../../support/storage-data.ts';

const piece = limits.backgroundPieceBytes;
const bodyOf = (at: number, length: number): Uint8Array => new Uint8Array(length).fill(at + 1);

type Read = RequestOf<'chunk.read'>['chunks'];

/** A node that lacks chunks of these lengths, and a source that gives `given` of them or the right bytes. */
const begin = async (lengths: readonly number[], given: (at: number) => Uint8Array | undefined = () => undefined) => {
  const cluster = await MemoryCluster.start({ nodes: 2 });
  const { core } = (cluster.node(0).running as RunningNode).hygiene;
  const source = cluster.node(1).member.signer.keyHash;
  const asked: Read[] = [];
  const wanted = lengths.map((length, at): WantedChunk => {
    const version = versionOf(at + 1) as VersionId;
    const facts = { partition: partitionOf(version, 0), version, index: 0, length, servedHour: 0 };
    return { chunk: { ...facts, hash: sha256(bodyOf(at, length)) }, sources: [source], bytes: length };
  });
  const call = (async (_to: unknown, route: string, request: RequestOf<'chunk.read'>) => {
    if (route !== 'chunk.read') return { answer: { notes: [] }, binary: new Uint8Array() };
    asked.push(request.chunks);
    const parts = request.chunks.map(({ version, from, to }) => {
      const at = wanted.findIndex(({ chunk }) => chunk.version === version);
      const body = given(at) ?? bodyOf(at, lengths[at] ?? 0);
      // As a node answers: a whole chunk is hashed first, and an altered one has length 0; a range is not.
      const isAltered = Buffer.compare(body, bodyOf(at, lengths[at] ?? 0)) !== 0;
      return from === undefined && isAltered ? new Uint8Array() : body.subarray(from ?? 0, to ?? body.length);
    });
    const chunks = parts.map(({ length }) => ({ length, hash: new Uint8Array(32), totalLength: length }));
    return { answer: { chunks, more: false }, binary: new Uint8Array(Buffer.concat(parts)) };
  }) as unknown as Transport['call'];
  const throttle = new Throttle(cluster.clock);
  const context = { ...core.context, transport: { call, close: async () => undefined } };
  const copy = () => {
    const layoutNumber = core.memory.state.layouts.at(-1)?.layout.number ?? 0;
    const options = { layoutNumber, signal: new AbortController().signal, onCopied: () => undefined };
    return cluster.during(copyChunks({ ...core, context, throttle }, wanted, options));
  };
  const held = async (at: number): Promise<boolean> => {
    const found = await cluster.node(0).storage.getChunk({ version: versionOf(at + 1), index: 0 });
    return found !== undefined && Buffer.compare(found.body, bodyOf(at, lengths[at] ?? 0)) === 0;
  };
  return { cluster, throttle, asked, copy, held };
};

const serveFor = (throttle: Throttle): void => void throttle.serve(() => new Promise(() => undefined));

describe('copying chunks', () => {
  test('asks for groups that fill a message while no client is served', async () => {
    const { copy, asked, held } = await begin([3 * piece, 2 * piece, 100]);
    assert.deepEqual(await copy(), []);
    assert.deepEqual(
      asked.map((chunks) => chunks.map(({ from }) => from)),
      [[undefined, undefined, undefined]],
    );
    for (const at of [0, 1, 2]) assert.ok(await held(at));
  });

  test('asks for a long chunk as one range, which its source need not hash', async () => {
    const { copy, asked, held } = await begin([3 * piece]);
    assert.deepEqual(await copy(), []);
    assert.deepEqual(
      asked.flatMap((chunks) => chunks.map(({ from, to }) => [from, to])),
      [[0, 3 * piece]],
    );
    assert.ok(await held(0));
  });

  test('asks beside clients for no more than a piece at once, and takes the time that its bytes cost', async () => {
    const { cluster, copy, asked, held, throttle } = await begin([3 * piece + 7, 100, 200, piece]);
    serveFor(throttle);
    const began = cluster.clock.monotonicMs();
    assert.deepEqual(await copy(), []);
    const least = ((3 * piece) / limits.backgroundBytesPerSecond) * 1_000;
    assert.ok(cluster.clock.monotonicMs() - began >= least);
    const ranges = asked.map((chunks) => chunks.map(({ from, to }) => (to ?? 0) - (from ?? 0)));
    assert.deepEqual(ranges, [[piece], [piece], [piece], [7], [0, 0], [0]]);
    for (const at of [0, 1, 2, 3]) assert.ok(await held(at));
  });

  test('asks for the whole of a chunk whose pieces were wrong, so that its source hears of it', async () => {
    const { copy, asked, held, throttle } = await begin([2 * piece, 2 * piece], (at) =>
      at === 0 ? bodyOf(99, 2 * piece) : undefined,
    );
    serveFor(throttle);
    const lacking = await copy();
    assert.equal(lacking.length, 1);
    assert.deepEqual(asked.map((chunks) => chunks[0]?.from).slice(0, 3), [0, piece, undefined]);
    assert.equal(await held(0), false);
    assert.equal(await held(1), true);
  });
});
