// The index of names over a node's manifests: it forgets what is gone, and a store that failed once is read again.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { removeFile } from '../../../src/client/names.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import type { RunningNode } from '../../../src/roles/node/app.ts';
import { NameIndex } from '../../../src/roles/node/name-index.ts';
import type { StorageAdapter } from '../../../src/storage-adapters/storage-adapter.ts';
import { put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';

/** One node with the manifests of three files, one of them removed. */
const begin = async () => {
  const cluster = await MemoryCluster.start({ nodes: 1 });
  const session = await cluster.session();
  for (const name of ['a', 'b', 'c']) await cluster.during(put(session, name, Buffer.from(name)));
  await cluster.during(removeFile(session, 'c'));
  const { running, storage } = cluster.node(0);
  const { core } = (running as RunningNode).hygiene;
  const manifests = [];
  for (const partition of await storage.listPartitions()) {
    manifests.push(...(await storage.listManifests(partition, undefined, 100)).items);
  }
  return { cluster, core, storage, manifests };
};

describe('an index of names', () => {
  test('is built anew when much was deleted since, and answers the same', async () => {
    const { cluster, core, storage, manifests } = await begin();
    const index = new NameIndex(core, storage, 4);
    const watched = index.watch();
    assert.equal((await index.find('a')).found.length, 1);
    assert.equal(index.size, 3);
    const { version } = (await index.find('b')).found[0]?.manifest ?? assert.fail();
    await storage.deleteManifests([version]);
    assert.equal(index.size, 3, 'nobody asked for it since');
    const kept = manifests.filter((manifest) => manifest.version !== version);
    for (let round = 0; round < 8; round++) await watched.putManifests(kept);
    assert.equal((await index.find('a')).found.length, 1);
    assert.equal((await index.find('c')).found[0]?.manifest.state, 'dead');
    assert.equal(index.size, 2);
    cluster.stopAll();
  });

  test('is built at the next question when the store could not be read', async () => {
    const { cluster, core, storage } = await begin();
    let fails = true;
    const listPartitions: StorageAdapter['listPartitions'] = () => {
      if (fails) throw new OperaError('integrity', 'a page cannot be read');
      return storage.listPartitions();
    };
    const shaky = new Proxy(storage, {
      get: (target, key) => {
        if (key === 'listPartitions') return listPartitions;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const index = new NameIndex(core, shaky);
    await assert.rejects(index.find('a'), { code: 'integrity' });
    fails = false;
    assert.equal((await index.find('a')).found.length, 1);
    cluster.stopAll();
  });
});
