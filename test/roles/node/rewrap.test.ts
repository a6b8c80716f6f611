// After a rotation of the network key: nodes rewrap what they hold, copies stay equal, and clients that were about to
// commit under the old key seal 76 bytes anew and send no data twice.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sourceOfBytes } from '../../../src/client/byte-source.ts';
import { renameFile, removeFile } from '../../../src/client/names.ts';
import { putMany } from '../../../src/client/put-many.ts';
import { removeMany } from '../../../src/client/remove-many.ts';
import { parseManifest, replaceWrap } from '../../../src/crypto/manifest.ts';
import { openWrap, wrapBytes, wrapFileKey } from '../../../src/crypto/wrap.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import type { VersionId } from '../../../src/model/ids.ts';
import type { StorageAdapter } from '../../../src/storage-adapters/storage-adapter.ts';
import { get, put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

const storesOf = (cluster: MemoryCluster): StorageAdapter[] => cluster.nodes.map(({ disk }) => disk.open());

/** Every manifest of a store, as hex by version. */
const manifestsOf = async (store: StorageAdapter): Promise<Map<VersionId, string>> => {
  const { items } = await store.listManifestsBelow(0xffff_ffff, undefined, 10_000);
  return new Map(items.map(({ version, record }) => [version, Buffer.from(record).toString('hex')]));
};

const isRewrapped = async (cluster: MemoryCluster): Promise<boolean> => {
  const left = await Promise.all(
    storesOf(cluster).map((store) => store.countManifestsBelow(cluster.keyring.newestEpoch)),
  );
  return left.every((count) => count === 0);
};

/** Two files, one of them renamed, and one removed: live manifests and both kinds of tombstones. */
const fill = async (cluster: MemoryCluster): Promise<void> => {
  const session = await cluster.session();
  for (const name of ['a', 'b', 'c']) await cluster.during(put(session, name, bytesOf(`bytes of ${name}`)));
  await cluster.during(renameFile(session, { from: 'b', to: 'd' }));
  await cluster.during(removeFile(session, 'c'));
};

/** Whether all copies of each manifest are equal, byte for byte, after the nodes have rewrapped. */
const areCopiesEqual = async (rewrap?: typeof wrapFileKey): Promise<boolean> => {
  const cluster = await MemoryCluster.start({
    ...(rewrap
      ? {
          nodeWith: {
            rewrap: (ring, network, version, wrap) =>
              rewrap(ring, network, version, openWrap(ring, network, version, wrap), cluster.random),
          },
        }
      : {}),
  });
  try {
    await fill(cluster);
    cluster.rotate();
    await cluster.until(() => isRewrapped(cluster));
    const [first, ...others] = await Promise.all(storesOf(cluster).map(manifestsOf));
    assert.equal(first?.size, 4);
    const text = (copies: Map<VersionId, string> | undefined) => JSON.stringify([...(copies ?? [])].sort());
    return others.every((copies) => text(copies) === text(first));
  } finally {
    cluster.stopAll();
  }
};

describe('rewrapping on nodes', () => {
  test('all manifests, tombstones too, get wraps under the newest key, nothing else of them changes', async () => {
    const cluster = await MemoryCluster.start();
    await fill(cluster);
    const [store] = storesOf(cluster);
    if (!store) throw new Error('there is no node');
    const before = await manifestsOf(store);
    cluster.rotate();
    await cluster.until(() => isRewrapped(cluster));
    const { networkId, keyring } = cluster;
    for (const [version, hex] of await manifestsOf(store)) {
      const [old, record] = [before.get(version) ?? '', hex].map((text) => new Uint8Array(Buffer.from(text, 'hex')));
      if (!old || !record) throw new Error('a manifest is missing');
      assert.deepEqual(replaceWrap(old, record.slice(-wrapBytes)), record);
      assert.equal(parseManifest(record).wrapEpoch, 2);
      const [oldWrap, wrap] = [old, record].map((bytes) => bytes.slice(-wrapBytes));
      if (!oldWrap || !wrap) throw new Error('a wrap is missing');
      assert.deepEqual(openWrap(keyring, networkId, version, wrap), openWrap(keyring, networkId, version, oldWrap));
    }
    const session = await cluster.session();
    assert.deepEqual(await cluster.during(get(session, 'a')), bytesOf('bytes of a'));
    assert.deepEqual(await cluster.during(get(session, 'd')), bytesOf('bytes of b'));
    const status = await cluster.during(session.connection.call('network.status', {}));
    await cluster.clock.advance(3_000);
    assert.ok(status.nodes.every(({ wraps }) => wraps !== undefined));
    cluster.stopAll();
    assert.deepEqual(cluster.strange, []);
  });

  test('all copies of a manifest stay equal', async () => {
    assert.equal(await areCopiesEqual(), true);
    assert.equal(await areCopiesEqual(wrapFileKey), false, 'a random nonce makes them differ');
  });

  test('a node killed in the middle goes on, and one that was away does it when it is back', async () => {
    let writes = 0;
    const cluster: MemoryCluster = await MemoryCluster.start({
      storageOf: (storage, at) =>
        new Proxy(storage, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (typeof value !== 'function') return value;
            return (...args: unknown[]): unknown => {
              if (key === 'putManifests' && at === 1 && cluster.keyring.newestEpoch === 2 && ++writes === 2) {
                cluster.stopNode(1);
              }
              return Reflect.apply(value, target, args);
            };
          },
        }),
    });
    const session = await cluster.session();
    const items = Array.from({ length: 60 }, (_, at) => ({
      ...{ name: `n/${at}`, size: 4 },
      open: async () => sourceOfBytes(bytesOf(`n${at}`)),
    }));
    const failed: string[] = [];
    const onResult = ({ name }: { readonly name: string }, result: unknown): void => {
      if (result instanceof OperaError) failed.push(name);
    };
    await cluster.during(putMany(session, items, { onResult }));
    assert.deepEqual(failed, []);
    cluster.stopNode(2);
    cluster.rotate();
    await cluster.until(() => writes >= 2);
    const [, killed, away] = storesOf(cluster);
    const left = (await killed?.countManifestsBelow(2)) ?? 0;
    assert.ok(left > 0 && left < 60, `${left} of 60 are left when it is killed`);
    assert.equal(await away?.countManifestsBelow(2), 60);
    await cluster.startNode(1);
    await cluster.startNode(2);
    await cluster.until(() => isRewrapped(cluster));
    assert.deepEqual(await cluster.during(get(session, 'n/59')), bytesOf('n59'));
    cluster.stopAll();
  });

  test('a manifest that comes late under an old key is found, one that does not open holds up no other', async () => {
    const cluster = await MemoryCluster.start();
    await fill(cluster);
    const [store] = storesOf(cluster);
    const { items } = (await store?.listManifestsBelow(9, undefined, 10)) ?? { items: [] };
    const [broken, late] = items;
    if (!store || !broken || !late) throw new Error('nothing is stored');
    await store.deleteManifests([late.version]);
    const wrap = broken.record.slice(-wrapBytes).map((byte, at) => (at < 40 ? byte : byte ^ 1));
    await store.deleteManifests([broken.version]);
    await store.putManifests([{ ...broken, record: replaceWrap(broken.record, wrap) }]);
    cluster.rotate();
    const left = (): Promise<number> => store.countManifestsBelow(2);
    await cluster.until(async () => (await left()) === 1);
    await store.putManifests([late]);
    assert.equal(await left(), 2);
    await cluster.until(async () => (await left()) === 1);
    assert.equal((await store.getManifest(late.version))?.wrapEpoch, 2);
    assert.ok(cluster.lines.some((line) => line.includes('wrap-unopened')));
    cluster.stopAll();
  });
});

describe('clients that were about to commit under the old key', () => {
  test('puts, batches, renames and removes are repeated under the new one, and no data is sent again', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await cluster.during(put(session, name, bytesOf(`old ${name}`)));
    cluster.rotate();
    const stored = (): number => cluster.net.calls.filter(({ route }) => route === 'chunk.store').length;
    const before = stored();
    await cluster.during(put(session, 'a', bytesOf('new a')));
    assert.equal(stored() - before, 1);
    cluster.rotate();
    await cluster.during(renameFile(session, { from: 'b', to: 'f' }));
    cluster.rotate();
    await cluster.during(removeFile(session, 'c'));
    cluster.rotate();
    const removed: (OperaError | undefined)[] = [];
    await cluster.during(removeMany(session, ['d', 'e'], { onResult: (_, error) => removed.push(error) }));
    assert.deepEqual(removed, [undefined, undefined]);
    cluster.rotate();
    const [small, batch] = [stored(), ['g', 'h', 'i']];
    const fates: string[] = [];
    const items = batch.map((name) => ({ name, size: 5, open: async () => sourceOfBytes(bytesOf(`new ${name}`)) }));
    const onResult = ({ name }: { readonly name: string }, result: unknown): void => {
      fates.push(result instanceof OperaError ? result.code : name);
    };
    await cluster.during(putMany(session, items, { onResult }));
    assert.deepEqual(fates.sort(), batch);
    assert.ok(stored() - small <= batch.length, 'at most one message a chunk');
    const names = (await cluster.registry().listNames({ prefix: '', limit: 100 })).records.map(({ name }) => name);
    assert.deepEqual(names, ['a', 'f', 'g', 'h', 'i']);
    for (const [name, content] of [
      ['a', 'new a'],
      ['f', 'old b'],
      ['i', 'new i'],
    ] as const) {
      assert.deepEqual(await cluster.during(get(session, name)), bytesOf(content));
    }
    cluster.stopAll();
    assert.deepEqual(cluster.strange, []);
  });
});
