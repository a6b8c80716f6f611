// Random sequences of storage calls, run against an adapter and against the store in memory side by side: every
// answer must be equal. Few versions, indices and keys are drawn, so that calls meet the same items often.
// Sequences are sequential; concurrency has tests of its own in the suite.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import { chunkOf, manifestOf, versionOf } from '../support/storage-data.ts';

/** One call: what it does, in words for the counterexample, and how. */
export interface Step {
  readonly text: string;
  readonly run: (store: StorageAdapter) => Promise<unknown>;
}

const step = (text: string, run: Step['run']): Step => ({ text, run });

const version = fc.integer({ min: 62, max: 65 });
const index = fc.constantFrom(0, 1, 2 ** 31 - 1);
/** A version's chunks may lie in any partition; the draw of the address decides, as hashing does in production. */
const partitionOf = (v: number, i: number): number => (v + i) % 3;
/** Around the size from which bodies become files, and on both sides of it. */
const length = fc.constantFrom(16, 100, 65_552, 65_553, 70_000);
const stateKey = fc.constantFrom('sol', 'sola', 'so', 'sol/1', 'sol%', 'SOL', '_');
const seed = fc.integer({ min: 1, max: 2 });
const layoutNumber = fc.integer({ min: 1, max: 3 });

const chunk = fc
  .record({ version, index, length, seed, layoutNumber })
  .map((parts) => chunkOf({ ...parts, partition: partitionOf(parts.version, parts.index) }));

const manifest = fc
  .record({
    version,
    sequence: fc.bigInt({ min: 1n, max: 4n }),
    wrapEpoch: fc.integer({ min: 1, max: 2 }),
    state: fc.constantFrom('live' as const, 'dead' as const),
    seed,
  })
  .map((parts) => manifestOf({ ...parts, partition: partitionOf(parts.version, 0) }));

const writes: fc.Arbitrary<Step>[] = [
  fc
    .array(chunk, { maxLength: 4 })
    .map((chunks) =>
      step(`put ${chunks.map((c) => `${c.version.slice(-2)}/${c.index}:${c.body.length}`).join(' ')}`, (store) =>
        store.putChunks(chunks),
      ),
    ),
  fc
    .tuple(version, index)
    .map(([v, i]) => step(`delete ${v}/${i}`, (store) => store.deleteChunks([{ version: versionOf(v), index: i }]))),
  chunk.map((c) =>
    step(`set aside ${c.version.slice(-2)}/${c.index}:${c.body.length}`, (store) => store.setAside(c, c.hash)),
  ),
  fc
    .array(manifest, { maxLength: 3 })
    .map((manifests) =>
      step(`put manifests ${manifests.map((m) => `${m.version.slice(-2)}@${m.sequence}`).join(' ')}`, (store) =>
        store.putManifests(manifests),
      ),
    ),
  version.map((v) => step(`delete manifest ${v}`, (store) => store.deleteManifests([versionOf(v)]))),
  fc
    .tuple(version, seed)
    .map(([v, s]) => step(`note ${v} ${s}`, (store) => store.putNote(versionOf(v), chunkOf({ seed: s }).body))),
  fc
    .tuple(version, seed)
    .map(([v, s]) =>
      step(`replace note ${v} ${s}`, (store) => store.replaceNote(versionOf(v), chunkOf({ seed: s }).body)),
    ),
  version.map((v) => step(`delete note ${v}`, (store) => store.deleteNote(versionOf(v)))),
  fc
    .tuple(stateKey, seed)
    .map(([key, s]) => step(`state ${key} ${s}`, (store) => store.putState(key, chunkOf({ seed: s }).body))),
  stateKey.map((key) => step(`delete state ${key}`, (store) => store.deleteState(key))),
];

const reads: fc.Arbitrary<Step>[] = [
  fc.tuple(version, index, fc.nat(70_010), fc.nat(70_010)).map(([v, i, from, extra]) =>
    step(`get ${v}/${i} [${from}, +${extra})`, async (store) => {
      const found = await store.getChunk({ version: versionOf(v), index: i }, { from, to: from + extra });
      return found && { info: found.info, body: found.body };
    }),
  ),
  version.map((v) => step(`list version ${v}`, (store) => store.listVersion(versionOf(v), 0, 2 ** 31))),
  fc
    .tuple(fc.nat(2), fc.integer({ min: 1, max: 4 }), version, index)
    .map(([partition, limit, v, i]) =>
      step(`list chunks ${partition} after ${v}/${i}`, (store) =>
        store.listChunks(partition, { version: versionOf(v), index: i }, limit),
      ),
    ),
  fc
    .tuple(fc.nat(2), fc.integer({ min: 1, max: 4 }))
    .map(([partition, limit]) =>
      step(`list manifests ${partition}`, (store) => store.listManifests(partition, undefined, limit)),
    ),
  fc
    .constantFrom('', 'so', 'sol', 'sola', 'x')
    .map((prefix) => step(`list state ${prefix}`, (store) => store.listState(prefix))),
  version.map((v) => step(`get note ${v}`, (store) => store.getNote(versionOf(v)))),
  fc
    .tuple(fc.option(version, { nil: undefined }), fc.integer({ min: 1, max: 4 }))
    .map(([v, limit]) =>
      step(`list notes after ${v}`, (store) => store.listNotes(v === undefined ? v : versionOf(v), limit)),
    ),
];

/** Everything a store can be asked about the items drawn above. */
const snapshot = async (store: StorageAdapter): Promise<unknown> => {
  const usage = await store.usage();
  const state = await store.listState('');
  return {
    usage: [usage.chunks, usage.chunkBytes, usage.manifests, usage.chunksAside],
    highest: await store.highestSequence(),
    partitions: await Promise.all(
      [0, 1, 2].map(async (partition) => ({
        chunks: await store.listChunks(partition, undefined, 100),
        manifests: await store.listManifests(partition, undefined, 100),
        digests: await store.digests(partition),
      })),
    ),
    state: await Promise.all(state.map(async (key) => [key, await store.getState(key)])),
  };
};

/** Runs one sequence on both; `reopen` closes and opens the adapter anew, its data kept. */
export const compareWithModel = async (
  steps: readonly Step[],
  store: StorageAdapter,
  model: StorageAdapter,
  reopen: ((store: StorageAdapter) => Promise<StorageAdapter>) | undefined,
): Promise<StorageAdapter> => {
  let current = store;
  for (const [at, { text, run }] of steps.entries()) {
    if (reopen && at === Math.floor(steps.length / 2)) current = await reopen(current);
    assert.deepEqual(await run(current), await run(model), `step ${at}: ${text}`);
  }
  assert.deepEqual(await snapshot(current), await snapshot(model), `after ${steps.map(({ text }) => text).join('; ')}`);
  return current;
};

export const randomSteps: fc.Arbitrary<Step[]> = fc.array(fc.oneof(...writes, ...writes, ...reads), {
  minLength: 10,
  maxLength: 60,
  size: 'max',
});
