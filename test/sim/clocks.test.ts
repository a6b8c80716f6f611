// Masters whose clocks are a day apart: files are put and read by way of either, one of them leads, nothing is deleted
// sooner, and what it writes down is in order. Monotonic clocks are right; drift is a fault of the random simulations.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { removeFile } from '../../src/client/names.ts';
import { get, put } from '../support/cluster-client.ts';
import type { MemoryCluster } from '../support/memory-cluster.ts';
import { describe, played, test } from './_early.ts';
import { hygieneOf } from './_hygiene.ts';
import { eventsOf, leaderOf, lose, timing, watched } from './_deaths.ts';

const dayMs = 86_400_000;

const works = async (cluster: MemoryCluster, label: string): Promise<void> => {
  for (const at of cluster.clients.keys()) {
    const session = await cluster.session(at);
    const name = `${label} ${at}`;
    for (const text of ['one', 'two']) {
      await cluster.during(put(session, name, Buffer.from(text)));
      const got = await cluster.during(get(session, name));
      assert.equal(got && Buffer.from(got).toString(), text);
    }
    await cluster.during(removeFile(session, name));
    assert.equal(await cluster.during(get(session, name)), undefined);
  }
};

describe('of two masters', () => {
  for (const [title, offsetMs] of [
    ['ahead', dayMs],
    ['behind', -dayMs],
  ] as const) {
    for (const leads of [true, false]) {
      // Two of the four, and all with OPERA_TEST_LONG=1.
      if (process.env['OPERA_TEST_LONG'] !== '1' && leads === offsetMs > 0) continue;
      test(`one is a day ${title} and ${leads ? 'leads' : 'does not lead'}: files are put and read`, async () => {
        const cluster = await watched({ masters: 2, gateways: 2 });
        const leader = leaderOf(cluster);
        const wrong = cluster.masters[leads ? leader : 1 - leader];
        if (!wrong) throw new Error('there is no such master');
        const session = await cluster.session();
        await cluster.during(put(session, 'old', Buffer.from('old')));
        await cluster.during(removeFile(session, 'old'));
        const { servedHour } = hygieneOf(cluster, 0).core;
        wrong.time.offsetMs = offsetMs;
        await cluster.clock.advance(3_000);
        // Whoever asks, the one with the wrong clock answers.
        const other = cluster.masters.find((master) => master !== wrong);
        const gateways = cluster.gateways.map(({ address }) => address);
        lose(cluster, gateways, [other?.address ?? '']);
        await works(cluster, 'at once');
        // Longer than any grace: a jump makes nobody late.
        await cluster.clock.advance(timing.graceMs + 10_000);
        assert.equal(leaderOf(cluster), leader, 'nobody lost the lease');
        await works(cluster, 'later');
        cluster.links.heal();
        const kinds = (await eventsOf(cluster)).map(({ kind }) => kind);
        assert.deepEqual(
          kinds.filter((kind) => /down|out$|alarm/.test(kind)),
          [],
        );
        cluster.stop(cluster.masters[leader] ?? wrong);
        await cluster.until(() => leaderOf(cluster) !== leader);
        await cluster.clock.advance(5_000);
        assert.equal(hygieneOf(cluster, 0).core.servedHour, servedHour, 'a jump is no hour that was served');
        await works(cluster, 'under the other');
        // Tickets of before are renewed by whoever leads now: no session has to begin anew.
        await cluster.during(put(session, 'long', Buffer.from('x')));
        cluster.stopAll();
      });
    }
  }
});

for (const [title, verdict] of await played()) register(title, verdict);
