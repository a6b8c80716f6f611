// The part of the storage suite about finding the manifests that a rotation of the network key left behind.
import assert from 'node:assert/strict';
import type { WrapPosition } from '../../src/storage-adapters/storage-adapter.ts';
import { manifestOf, versionOf } from '../support/storage-data.ts';
import type { Case } from './storage-adapter.ts';

export const wrapCases: Readonly<Record<string, Case>> = {
  'manifests under older network keys are listed and counted, page by page, until they are rewrapped': async ({
    store,
  }) => {
    const epochs = [2, 1, 3, 1, 2, 0];
    await store.putManifests(
      epochs.map((wrapEpoch, at) => manifestOf({ version: at + 1, partition: at * 700, wrapEpoch, seed: at })),
    );
    const below = async (epoch: number): Promise<[number, string][]> => {
      const found: [number, string][] = [];
      for (let after: WrapPosition | undefined; ; ) {
        const { items, next } = await store.listManifestsBelow(epoch, after, 2);
        found.push(...items.map(({ wrapEpoch, version }): [number, string] => [wrapEpoch, version]));
        assert.equal(items.length > 2, false);
        if (next === undefined) return found;
        after = next;
      }
    };
    const oldest: [number, string][] = [
      [0, versionOf(6)],
      [1, versionOf(2)],
      [1, versionOf(4)],
    ];
    assert.deepEqual(await below(2), oldest);
    assert.deepEqual(await below(3), [...oldest, [2, versionOf(1)], [2, versionOf(5)]]);
    assert.deepEqual([await store.countManifestsBelow(3), await store.countManifestsBelow(0)], [5, 0]);
    assert.deepEqual((await store.listManifestsBelow(3, undefined, 1)).items, [
      manifestOf({ version: 6, partition: 3_500, wrapEpoch: 0, seed: 5 }),
    ]);
    await store.putManifests([manifestOf({ version: 6, partition: 3_500, wrapEpoch: 3, seed: 9 })]);
    await store.deleteManifests([versionOf(2)]);
    assert.deepEqual(await below(2), [[1, versionOf(4)]]);
    await assert.rejects(store.listManifestsBelow(1, undefined, 0), { code: 'bad-request' });
    await assert.rejects(store.countManifestsBelow(-1), { code: 'bad-request' });
  },
};
