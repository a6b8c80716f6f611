// Many nodes at once: one that goes and comes every few seconds for minutes, half of them gone and back, all of them
// flapping. Nothing acknowledged is lost, copies do not move to and fro, an alarm says so, and it is all over after.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import type { VersionId } from '../../src/model/ids.ts';
import { copiesOf, get, layoutsOf, newestLayoutOf, put } from '../support/cluster-client.ts';
import type { MemoryCluster } from '../support/memory-cluster.ts';
import { describe, played, test } from './_early.ts';
import { downByMs, eventsOf, stateOf, timing, watched } from './_deaths.ts';

const files = 12;
const contentOf = (at: number): string => `file ${at} ${'x'.repeat(500)}`;

const fill = async (cluster: MemoryCluster): Promise<VersionId[]> => {
  const session = await cluster.session();
  const versions: VersionId[] = [];
  for (let at = 0; at < files; at++) {
    const { version } = await cluster.during(put(session, `f${at}`, Buffer.from(contentOf(at))));
    versions.push(version);
  }
  return versions;
};

/** Chunks that nodes copied from others, counted past all faults. */
const countCopies = (cluster: MemoryCluster): (() => number) => {
  let copied = 0;
  cluster.onAnswered = ({ link, outcome }) => {
    if (link.route === 'chunk.read' && outcome === 'ok' && link.from?.role === 'node') copied++;
  };
  return () => copied;
};

const isWhole = async (cluster: MemoryCluster, versions: readonly VersionId[]): Promise<void> => {
  const session = await cluster.session();
  for (const [at, version] of versions.entries()) {
    const got = await cluster.during(get(session, `f${at}`));
    assert.equal(got && Buffer.from(got).toString(), contentOf(at));
    assert.deepEqual(await copiesOf(cluster, version), { owners: 3, chunks: 3, manifests: 3 });
  }
};

const kindsOf = async (cluster: MemoryCluster): Promise<string[]> => (await eventsOf(cluster)).map(({ kind }) => kind);

describe('a node', () => {
  test('that is up for 3 s and down for 3 s for minutes moves next to nothing, and files are put', async () => {
    const cluster = await watched({ nodes: 5 });
    const versions = await fill(cluster);
    const copied = countCopies(cluster);
    const session = await cluster.session();
    for (let round = 0; round < 20; round++) {
      cluster.stopNode(4);
      await cluster.clock.advance(3_000);
      await cluster.startNode(4);
      await cluster.clock.advance(3_000);
      if (round % 10 > 0) continue;
      const { version } = await cluster.during(
        put(session, `f${versions.length}`, Buffer.from(contentOf(versions.length))),
      );
      versions.push(version);
    }
    assert.ok(copied() <= 2 * versions.length, `${copied()} chunks were copied`);
    assert.ok((await layoutsOf(cluster)).length <= 2);
    assert.ok((await newestLayoutOf(cluster)).number <= 3);
    await cluster.until(async () => (await stateOf(cluster, 4)) === 'up', 10 * timing.quarantineMs);
    await cluster.quiet(5);
    await cluster.clock.advance(5_000);
    await isWhole(cluster, versions);
    cluster.stopAll();
  });
});

describe('many nodes', () => {
  test('half of them gone at once and back: an alarm, no copy moved, nothing lost', async () => {
    const cluster = await watched({ nodes: 6 });
    const versions = await fill(cluster);
    const { number } = await newestLayoutOf(cluster);
    const copied = countCopies(cluster);
    for (const at of [3, 4, 5]) cluster.stopNode(at);
    await cluster.until(async () => (await kindsOf(cluster)).includes('alarm-mass-failure'));
    await cluster.clock.advance(downByMs + timing.graceMs + 10_000);
    for (const at of [3, 4, 5]) {
      assert.equal(await stateOf(cluster, at), 'down');
      await cluster.startNode(at);
    }
    await cluster.until(async () => (await kindsOf(cluster)).includes('back-to-normal'));
    await cluster.quiet(6);
    assert.deepEqual([(await newestLayoutOf(cluster)).number, copied()], [number, 0]);
    await isWhole(cluster, versions);
    cluster.stopAll();
  });

  test('all of them going and coming: one at a time is quarantined, the others stay, an alarm says so', async () => {
    const cluster = await watched({ nodes: 4 });
    const versions = await fill(cluster);
    const copied = countCopies(cluster);
    let most = 0;
    // One after the other, so that each is missed alone, more often than a node may be.
    for (let round = 0; round < 6; round++) {
      for (const at of cluster.nodes.keys()) {
        cluster.node(at).life?.pause();
        await cluster.clock.advance(downByMs);
        cluster.node(at).life?.resume();
        await cluster.clock.advance(3_000);
        const states = await Promise.all([...cluster.nodes.keys()].map((node) => stateOf(cluster, node)));
        const quarantined = states.filter((state) => state === 'quarantine').length;
        most = Math.max(most, quarantined);
      }
    }
    const kinds = await kindsOf(cluster);
    assert.equal(most, 1);
    assert.ok(kinds.includes('alarm-flapping'));
    assert.ok(copied() <= 2 * versions.length, `${copied()} chunks were copied`);
    const before = (await newestLayoutOf(cluster)).number;
    await cluster.clock.advance(4 * timing.quarantineMs);
    await cluster.quiet(4);
    assert.ok((await newestLayoutOf(cluster)).number <= before + 3, 'who stayed up is not quarantined afterwards');
    await cluster.clock.advance(5_000);
    await isWhole(cluster, versions);
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
