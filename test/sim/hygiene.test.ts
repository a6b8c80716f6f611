// Deletion, comparing and scrubbing over a whole network in memory. Each promise is also run with the switch that
// breaks it, and must then be seen broken.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { removeFile } from '../../src/client/names.ts';
import type { Session } from '../../src/client/session.ts';
import type { VersionId } from '../../src/model/ids.ts';

import { get, put } from '../support/cluster-client.ts';
import { MemoryCluster, type ClusterOptions } from '../support/memory-cluster.ts';
import { runningOf, serveHours, sweep } from './_hygiene.ts';

type Body = (cluster: MemoryCluster, session: Session) => Promise<void>;

const withCluster = async (options: ClusterOptions, body: Body): Promise<void> => {
  const cluster = await MemoryCluster.start(options);
  try {
    await body(cluster, await cluster.session());
  } finally {
    cluster.stopAll();
  }
};

/** Nodes that hold a chunk or a manifest of the version. */
const holdersOf = async (cluster: MemoryCluster, version: VersionId) => {
  let [chunks, manifests] = [0, 0];
  for (const { storage } of cluster.nodes) {
    if ((await storage.listVersion(version, 0, 2 ** 31)).length > 0) chunks++;
    if (await storage.getManifest(version)) manifests++;
  }
  return { chunks, manifests };
};

const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('deletion', () => {
  test('an overwritten version goes a served day after its owners knew, its manifest four, and the present one stays', () =>
    withCluster({ nodes: 5 }, async (cluster, session) => {
      const first = await cluster.during(put(session, 'a', bytes('one')));
      const second = await cluster.during(put(session, 'a', bytes('two')));
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 3, manifests: 3 });
      await sweep(cluster);
      await serveHours(cluster, 23);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 3, manifests: 3 });
      await serveHours(cluster, 1);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 0, manifests: 3 });
      await serveHours(cluster, 72);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, first.version), { chunks: 0, manifests: 0 });
      assert.deepEqual(await holdersOf(cluster, second.version), { chunks: 3, manifests: 3 });
      assert.equal(textOf(await cluster.during(get(session, 'a'))), 'two');
    }));

  test('a removed version goes, and its tombstone when every member node has confirmed', () =>
    withCluster({ nodes: 5 }, async (cluster, session) => {
      const { version } = await cluster.during(put(session, 'a', bytes('one')));
      await cluster.during(removeFile(session, 'a'));
      await serveHours(cluster, 24);
      await sweep(cluster);
      assert.deepEqual(await holdersOf(cluster, version), { chunks: 0, manifests: 3 });
      const outsider = [...cluster.nodes.keys()].find((at) => at > 0) ?? 1;
      cluster.stopNode(outsider);
      await serveHours(cluster, 80);
      await sweep(cluster);
      assert.ok((await holdersOf(cluster, version)).manifests > 0, 'a member node has not confirmed');
      await cluster.startNode(outsider);
      await cluster.quiet(5);
      await sweep(
        cluster,
        runningOf(cluster).filter((at) => at !== outsider),
      );
      const left = await holdersOf(cluster, version);
      assert.ok(left.manifests <= 1, `${left.manifests} tombstones are left`);
    }));
});
