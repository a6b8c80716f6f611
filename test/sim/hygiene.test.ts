// Deletion, comparing and scrubbing over a whole network in memory. Each promise is also run with the switch that
// breaks it, and must then be seen broken.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { removeFile, renameFile } from '../../src/client/names.ts';
import type { Session } from '../../src/client/session.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { wrapBytes } from '../../src/crypto/wrap.ts';
import { type VersionId, versionIdFromBytes } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import { partitionOf } from '../../src/placement/partition.ts';
import type { HygieneFaults } from '../../src/roles/node/hygiene.ts';
import type { StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import { get, newestLayoutOf, ownerNodes, put } from '../support/cluster-client.ts';
import { type ClusterNode, MemoryCluster } from '../support/memory-cluster.ts';
import { SeededRandom } from '../support/seeded.ts';
import { describe, played, test } from './_early.ts';
import { allow, compare, hygieneOf, runningOf, serveHours, sweep } from './_hygiene.ts';

type Body = (cluster: MemoryCluster, session: Session) => Promise<void>;

const withCluster = async (hygieneFaults: HygieneFaults, body: Body, nodes = 5): Promise<void> => {
  const cluster = await MemoryCluster.start({ nodes, nodeWith: { hygieneFaults } });
  try {
    await body(cluster, await cluster.session());
  } finally {
    cluster.stopAll();
  }
};

/** The promise holds, and is seen broken with each of the switches. */
const promise = (sentence: string, body: Body, ...broken: readonly HygieneFaults[]): void => {
  test(sentence, async () => {
    await withCluster({}, body);
    for (const faults of broken) await assert.rejects(withCluster(faults, body), assert.AssertionError);
  });
};

/** How many nodes hold a chunk of the version, and its manifest. */
const holdersOf = async (cluster: MemoryCluster, version: VersionId) => {
  let [chunks, manifests] = [0, 0];
  for (const { storage } of cluster.nodes) {
    if ((await storage.listVersion(version, 0, 2 ** 31)).length > 0) chunks++;
    if (await storage.getManifest(version)) manifests++;
  }
  return { chunks, manifests };
};

const ownersOfVersion = async (cluster: MemoryCluster, version: VersionId): Promise<ClusterNode[]> =>
  ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);

const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Stops a node while `work` runs. */
const without = async <T>(cluster: MemoryCluster, at: number, work: () => Promise<T>): Promise<T> => {
  cluster.stopNode(at);
  const done = await cluster.during(work());
  await cluster.startNode(at);
  await cluster.until(() => hygieneOf(cluster, at).core.book.announced);
  return done;
};

/** A chunk that nobody committed, on all its owners. */
const strayChunk = async (cluster: MemoryCluster, on?: number): Promise<VersionId> => {
  const version = versionIdFromBytes(cluster.random.bytes(16));
  const partition = partitionOf(version, 0);
  const body = cluster.random.bytes(100);
  const chunk = { version, index: 0, partition, hash: sha256(body), body, servedHour: 0, layoutNumber: 1 };
  const owners = await ownersOfVersion(cluster, version);
  for (const { disk } of owners.slice(0, on)) await disk.open().putChunks([chunk]);
  return version;
};

describe('deletion', () => {
  promise(
    'an overwritten version goes a served day after its owners knew, its manifest later, the present one stays',
    async (cluster, session) => {
      const first = await cluster.during(put(session, 'a', bytes('one')));
      const second = await cluster.during(put(session, 'a', bytes('two')));
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 3, manifests: 3 });
      await sweep(cluster);
      await serveHours(cluster, limits.deadHours - 1);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 3, manifests: 3 });
      await serveHours(cluster, 1);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 0, manifests: 3 });
      await serveHours(cluster, limits.deadManifestHours - limits.deadHours);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 0, manifests: 0 });
      await compare(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 0, manifests: 0 });
      assert.deepEqual(await holdersOf(cluster, second.version), { chunks: 3, manifests: 3 });
      assert.equal(textOf(await cluster.during(get(session, 'a'))), 'two');
    },
  );

  promise(
    'a version overwritten and removed before any owner looked is found by its name',
    async (cluster, session) => {
      const first = await cluster.during(put(session, 'a', bytes('one')));
      const second = await cluster.during(put(session, 'a', bytes('two')));
      await cluster.during(removeFile(session, 'a'));
      for (const hours of [0, limits.deadHours]) {
        await serveHours(cluster, hours);
        await sweep(cluster);
      }
      assert.equal((await holdersOf(cluster, first.version)).chunks, 0);
      assert.equal((await holdersOf(cluster, second.version)).chunks, 0);
    },
  );

  promise(
    'nothing is deleted without a leader that says the view is complete',
    async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      await cluster.during(removeFile(session, 'a'));
      await serveHours(cluster, limits.deadHours);
      for (const at of runningOf(cluster)) {
        const { core, sweep: one } = hygieneOf(cluster, at);
        allow(cluster, at);
        if (core.deletion) core.deletion = { ...core.deletion, incarnation: core.deletion.incarnation + 1 };
        await cluster.during(one.pass());
        allow(cluster, at);
        if (core.deletion) core.deletion = { ...core.deletion, allowed: false };
        await cluster.during(one.pass());
      }
      assert.deepEqual(await holdersOf(cluster, version), { chunks: 3, manifests: 3 });
    },
    { sweep: { unasked: true } },
  );

  promise(
    'a file that was renamed lives, whatever its old name becomes and whoever missed the rename',
    async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const [owner] = await ownersOfVersion(cluster, version);
      const at = cluster.nodes.findIndex((node) => node === owner);
      await without(cluster, at, () => renameFile(session, { from: 'a', to: 'b' }));
      await cluster.during(put(session, 'a', bytes('two')));
      await cluster.during(put(session, 'a', bytes('three')));
      for (const hours of [0, limits.deadHours, limits.deadManifestHours]) {
        await serveHours(cluster, hours);
        await sweep(cluster);
      }
      assert.deepEqual(await holdersOf(cluster, version), { chunks: 3, manifests: 3 });
      assert.equal(textOf(await cluster.during(get(session, 'b'))), 'one');
    },
    { search: { credulous: true } },
  );

  promise(
    'tombstones wait for every member node, also one that is away, and then go',
    async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const [owner] = await ownersOfVersion(cluster, version);
      const away = cluster.nodes.findIndex((node) => node === owner);
      // Nor does the master get to it with what it missed: it hears of the remove by comparing only.
      const awayAddress = cluster.node(away).address;
      cluster.faultOf = ({ route, to }) =>
        route === 'manifest.store' && to.address === awayAddress ? { refused: true } : undefined;
      await without(cluster, away, async () => {
        await removeFile(session, 'a');
        await serveHours(cluster, limits.deadManifestHours);
        await sweep(cluster);
        assert.equal((await holdersOf(cluster, version)).manifests, 3);
      });
      await serveHours(cluster, 1);
      const others = runningOf(cluster).filter((at) => at !== away);
      await sweep(cluster, others);
      assert.equal(
        (await holdersOf(cluster, version)).manifests,
        3,
        'the one that was away still has the old manifest',
      );
      await cluster.clock.advance(limits.settleMs + 1_000);
      await compare(cluster);
      await sweep(cluster, others);
      assert.equal((await holdersOf(cluster, version)).manifests, 1);
    },
    { sweep: { hasty: true } },
  );

  promise('tombstones of names that were renamed away go too', async (cluster, session) => {
    const { version } = await cluster.during(put(session, 'a', bytes('one')));
    await cluster.during(renameFile(session, { from: 'a', to: 'b' }));
    const manifests = async (): Promise<number> => {
      const used = await Promise.all(cluster.nodes.map(({ storage }) => storage.usage()));
      return used.reduce((sum, usage) => sum + usage.manifests, 0);
    };
    assert.equal(await manifests(), 6);
    await serveHours(cluster, limits.deadManifestHours);
    await sweep(cluster);
    assert.equal(await manifests(), 3);
    assert.deepEqual(await holdersOf(cluster, version), { chunks: 3, manifests: 3 });
  });

  promise(
    'chunks that nobody committed go after seven served days, and stay while an owner of chunk 0 is silent',
    async (cluster) => {
      const version = await strayChunk(cluster);
      await serveHours(cluster, limits.orphanHours - 1);
      await sweep(cluster);
      assert.equal((await holdersOf(cluster, version)).chunks, 3);
      await serveHours(cluster, 1);
      const [owner] = await ownersOfVersion(cluster, version);
      cluster.stopNode(cluster.nodes.findIndex((node) => node === owner));
      await sweep(cluster);
      assert.equal((await holdersOf(cluster, version)).chunks, 3, 'unknown is not dead');
      await cluster.startNode(cluster.nodes.findIndex((node) => node === owner));
      await cluster.clock.advance(3_000);
      await serveHours(cluster, 1);
      await sweep(cluster);
      assert.ok((await holdersOf(cluster, version)).chunks <= 1);
    },
    { sweep: { unknownIsDead: true } },
  );
});

describe('comparing', () => {
  promise(
    'an owner that missed a put gets chunk and manifest, and a deleted version does not come back',
    async (cluster, session) => {
      const first = await cluster.during(put(session, 'a', bytes('one')));
      const second = await cluster.during(put(session, 'b', bytes('two')));
      await cluster.during(removeFile(session, 'b'));
      for (const { version } of [first, second]) {
        const [, , owner] = await ownersOfVersion(cluster, version);
        await owner?.disk.open().deleteChunks([{ version, index: 0 }]);
      }
      const [owner] = await ownersOfVersion(cluster, first.version);
      await owner?.disk.open().deleteManifests([first.version]);
      await cluster.clock.advance(limits.settleMs + 1_000);
      await compare(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 3, manifests: 3 });
      assert.equal((await holdersOf(cluster, second.version)).chunks, 2);
    },
    { antiEntropy: { blind: true } },
  );

  promise(
    'what was stored this moment is left alone, for its copies are on their way',
    async (cluster) => {
      const version = await strayChunk(cluster, 1);
      await compare(cluster);
      assert.equal((await holdersOf(cluster, version)).chunks, 1);
      await cluster.clock.advance(limits.settleMs + 1_000);
      await compare(cluster);
      assert.equal((await holdersOf(cluster, version)).chunks, 3, 'it may be of an upload that is open');
    },
    { antiEntropy: { noWindow: true } },
  );

  promise(
    'nobody takes the manifests of a store that is doubted',
    async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const [, , owner] = await ownersOfVersion(cluster, version);
      const others = (await ownersOfVersion(cluster, version)).slice(0, 2);
      for (const { disk } of others) await disk.open().deleteManifests([version]);
      const at = cluster.nodes.findIndex((node) => node === owner);
      const { soundness, memory } = hygieneOf(cluster, at).core;
      // Doubted, and not yet made good by pulling.
      await cluster.during(soundness.distrust('store-id', 0n));
      cluster.stopMaster(0);
      const { number = 0 } = memory.state.layouts.at(-1)?.layout ?? {};
      await cluster.clock.advance(limits.settleMs + 1_000);
      if (soundness.sound) await cluster.during(soundness.distrust('store-id', 0n));
      await cluster.during(memory.change((state) => ({ ...state, completeLayout: number })));
      for (const node of others) {
        const index = cluster.nodes.indexOf(node);
        await cluster.during(hygieneOf(cluster, index).antiEntropy.pass());
        assert.equal(await node.storage.getManifest(version), undefined);
      }
    },
    { antiEntropy: { credulous: true } },
  );

  test('two contents of one address are both kept and counted', () =>
    withCluster({}, async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const [owner] = await ownersOfVersion(cluster, version);
      const store = owner?.disk.open();
      await store?.deleteChunks([{ version, index: 0 }]);
      const body = cluster.random.bytes(60);
      const other = { version, index: 0, partition: partitionOf(version, 0), hash: sha256(body), body };
      await store?.putChunks([{ ...other, servedHour: 0, layoutNumber: 1 }]);
      await cluster.clock.advance(limits.settleMs + 1_000);
      await compare(cluster);
      assert.deepEqual((await owner?.storage.getChunk({ version, index: 0 }))?.body, body);
      const counts = runningOf(cluster).map((at) => hygieneOf(cluster, at).antiEntropy.conflicts.size);
      assert.equal(counts.filter((count) => count > 0).length, 3);
    }));
});

describe('scrubbing', () => {
  promise(
    'an altered copy is found, set aside and replaced by a good one',
    async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const [owner] = await ownersOfVersion(cluster, version);
      const at = cluster.nodes.findIndex((node) => node === owner);
      owner?.disk.rot({ version, index: 0 });
      const { scrub } = hygieneOf(cluster, at);
      await cluster.during(scrub.pass());
      assert.deepEqual([scrub.altered, scrub.repaired], [1, 1]);
      assert.equal((await holdersOf(cluster, version)).chunks, 3);
      assert.equal((await owner?.storage.usage())?.chunksAside, 0);
    },
    { scrub: { trusting: true } },
  );

  test('a manifest whose key epoch altered into one that nobody knows is replaced by one that opens', () =>
    withCluster({}, async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const owners = await ownersOfVersion(cluster, version);
      const alter = async (storage: StorageAdapter): Promise<void> => {
        const good = await storage.getManifest(version);
        assert.ok(good);
        const at = good.record.length - wrapBytes;
        await storage.deleteManifests([version]);
        await storage.putManifests([{ ...good, record: good.record.map((byte, place) => (place === at ? 1 : byte)) }]);
      };
      for (const { storage } of owners) await alter(storage);
      const at = cluster.nodes.findIndex((node) => node === owners[0]);
      const { scrub } = hygieneOf(cluster, at);
      await cluster.during(scrub.pass());
      assert.deepEqual([scrub.altered, scrub.repaired], [0, 0], 'it may be a key that has not come yet');
      const written = await owners[0]?.storage.getManifest(version);
      assert.ok(written);
      const good = written.record.map((byte, place) => (place === written.record.length - wrapBytes ? 0 : byte));
      await owners[1]?.storage.deleteManifests([version]);
      await owners[1]?.storage.putManifests([{ ...written, record: good }]);
      await cluster.during(scrub.pass());
      assert.deepEqual([scrub.altered, scrub.repaired], [1, 1]);
      assert.deepEqual((await owners[0]?.storage.getManifest(version))?.record, good);
    }));

  test('an operator does not wait for the timers: everything is compared and read back when asked', () =>
    withCluster({}, async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const [bad, lacking] = await ownersOfVersion(cluster, version);
      assert.ok(bad && lacking);
      await cluster.clock.advance(limits.settleMs + 1_000);
      bad.disk.rot({ version, index: 0 });
      await lacking.storage.deleteChunks([{ version, index: 0 }]);
      const call = cluster.transportOf(cluster.gateway.member);
      const check = async ({ address, member }: ClusterNode, start: boolean) => {
        const to = { address, expect: { memberId: member.memberId } };
        return (await cluster.during(call.call(to, 'hygiene.check', { start }))).answer;
      };
      const quiet = await check(bad, false);
      assert.deepEqual([quiet.running, quiet.altered, quiet.verified], [false, 0, 0]);
      for (const node of [bad, lacking]) assert.equal((await check(node, true)).running, true);
      await cluster.until(async () => !(await check(bad, false)).running && !(await check(lacking, false)).running);
      const [mended, filled] = [await check(bad, false), await check(lacking, false)];
      assert.deepEqual([mended.altered, mended.repaired, mended.aside, mended.damage], [1, 1, 0, []]);
      assert.deepEqual([filled.altered, filled.pulled], [0, 1]);
      assert.deepEqual(await holdersOf(cluster, version), { chunks: 3, manifests: 3 });
    }));

  test('a read that meets an altered copy has it replaced, and one without another copy is kept aside', () =>
    withCluster({}, async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      const owners = await ownersOfVersion(cluster, version);
      for (const { disk } of owners.slice(0, 2)) disk.rot({ version, index: 0 });
      assert.equal(textOf(await cluster.during(get(session, 'a'))), 'one');
      const scrubs = owners.map((owner) => {
        const at = cluster.nodes.findIndex((node) => node === owner);
        return hygieneOf(cluster, at).scrub;
      });
      for (const scrub of scrubs) await cluster.during(scrub.round());
      assert.ok(scrubs.some(({ repaired }) => repaired === 1));
      const left = owners.filter(({ disk }) => disk.isRotten({ version, index: 0 }));
      for (const { disk } of owners) disk.rot({ version, index: 0 });
      for (const scrub of scrubs) await cluster.during(scrub.pass());
      assert.ok(left.length <= 1);
      const aside = await Promise.all(owners.map(({ storage }) => storage.usage()));
      assert.ok(
        aside.some(({ chunksAside }) => chunksAside === 1),
        'the bytes are kept',
      );
    }));
});

describe('everything together', () => {
  for (const seed of [1, 2]) {
    test(`no live version ever loses a chunk: seed ${seed}`, () =>
      withCluster({}, async (cluster, session) => {
        const random = new SeededRandom(`hygiene ${seed}`);
        const names = ['a', 'b', 'c'];
        const model = new Map<string, string>();
        for (let step = 0; step < 30; step++) {
          const [name, to] = [random.pick(names), random.pick(names)];
          const draw = random.below(10);
          if (draw < 3) {
            model.set(name, `${name} ${step}`);
            await cluster.during(put(session, name, bytes(`${name} ${step}`)));
          } else if (draw === 3 && model.has(name)) {
            model.delete(name);
            await cluster.during(removeFile(session, name));
          } else if (draw === 4 && model.has(name) && name !== to) {
            model.set(to, model.get(name) ?? '');
            model.delete(name);
            await cluster.during(renameFile(session, { from: name, to, replace: true }));
          } else if (draw === 5) {
            const at = random.below(5);
            const other = random.pick(names);
            model.set(other, `${other} ${step}`);
            await without(cluster, at, async () => {
              await put(session, other, bytes(`${other} ${step}`));
            });
          } else if (draw < 8) {
            await serveHours(cluster, random.below(60));
            await sweep(cluster, [random.below(5), random.below(5)]);
          } else if (draw === 8) await compare(cluster, 1);
          else await cluster.clock.advance(random.below(20) * 1_000);
        }
        for (const name of names) {
          assert.equal(textOf(await cluster.during(get(session, name))), model.get(name), name);
        }
        await cluster.clock.advance(limits.settleMs + 1_000);
        await compare(cluster);
        const records = await cluster.registry().getNames(names);
        for (const record of records) {
          if (record) assert.deepEqual(await holdersOf(cluster, record.version), { chunks: 3, manifests: 3 });
        }
      }));
  }
});

for (const [title, verdict] of await played()) register(title, verdict);
