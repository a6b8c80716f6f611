// Asking another node for many manifests: an answer that was full is no word about the rest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VersionId } from '../../../src/model/ids.ts';
import type { RunningNode } from '../../../src/roles/node/app.ts';
import { readManifests } from '../../../src/roles/node/read-manifests.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { bytesOf, manifestOf, versionOf } from '../../support/storage-data.ts';

test('long manifests come in several answers, in order, and absent ones stay absent', async () => {
  const cluster = await MemoryCluster.start({ nodes: 2 });
  const [asking, asked] = [cluster.node(0), cluster.node(1)];
  const manifests = Array.from({ length: 30 }, (_, at) => manifestOf({ version: 2 * at + 1 }));
  await asked.storage.putManifests(manifests.map((manifest) => ({ ...manifest, record: bytesOf(200_000) })));
  const held = manifests.map(({ version }) => version);
  const versions: VersionId[] = Array.from({ length: 60 }, (_, at) => versionOf(at));
  cluster.net.calls.length = 0;
  const { core } = (asking.running as RunningNode).hygiene;
  const shown = await cluster.during(readManifests(core, asked.member.signer.keyHash, versions));
  assert.deepEqual(
    shown.map((record) => record?.bytes.length),
    versions.map((version) => (held.includes(version) ? 200_000 : undefined)),
  );
  const calls = cluster.net.calls.filter(({ route }) => route === 'manifest.read').length;
  assert.ok(calls > 2 && calls < 10, `${calls} calls`);
  cluster.stopAll();
});
