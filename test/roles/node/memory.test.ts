// The node's own durable notes: whatever part of an order is on its disk, the node finds its way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copiesOf, put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';

test('a disk put back to between the writes about a layout is filled again', async () => {
  // A seed found it: the layout was known and the addresses of its owners were not, and no leader says them again for a
  // layout that a heartbeat shows.
  const cluster = await MemoryCluster.create({ nodes: 3 });
  const { disk } = cluster.node(2);
  const written: string[] = [];
  let between = 0;
  disk.onWrite = (method, args) => {
    const [name, record] = args;
    if (method !== 'putState' || (name !== 'order' && name !== 'peers')) return;
    // Promises are written as orders without a layout.
    if (Buffer.from(record as Uint8Array).includes('"layouts":[]')) return;
    if (written.push(name) === 2) between = disk.writes;
  };
  await cluster.startMaster(0);
  for (const at of [0, 1, 2]) await cluster.startNode(at);
  await cluster.quiet(3);
  assert.deepEqual(written.slice(0, 2).sort(), ['order', 'peers']);
  const session = await cluster.session();
  const { version } = await cluster.during(put(session, 'a', Buffer.from('x')));
  await cluster.clock.advance(1_000);
  cluster.stopNode(2);
  disk.restore(between);
  await cluster.startNode(2);
  await cluster.until(() => cluster.node(2).witness?.sound === false);
  await cluster.until(() => cluster.node(2).witness?.sound === true);
  assert.equal((await copiesOf(cluster, version)).chunks, 3);
  cluster.stopAll();
});
