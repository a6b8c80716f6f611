// The registry is lost, emptied, restarted or put back to an earlier state under a running network: every acknowledged
// write is read afterwards or the read fails, nothing that ended comes back, and no leader epoch is used twice.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { removeFile, renameFile } from '../../src/client/names.ts';
import type { Session } from '../../src/client/session.ts';
import { fetchFile } from '../../src/client/get.ts';
import { resolveName } from '../../src/client/open-file.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { rebuildRules } from '../../src/roles/master/rebuild.ts';
import { newestLayoutOf, ownerNodes, get, put } from '../support/cluster-client.ts';
import { type ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import { putBack, snapshotOf } from '../support/memory-registry-faults.ts';
import { rejects } from '../support/refuses.ts';
import { describe, played, test } from './_early.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text);

const settled = async (cluster: MemoryCluster): Promise<boolean> => {
  try {
    return (await cluster.registry().readLife()).settled;
  } catch (error) {
    if (isOperaError(error, 'registry-lost', 'registry-unavailable')) return false;
    throw error;
  }
};

/** Until names are answered again, in an incarnation above the given one. */
const recovered = (cluster: MemoryCluster, above: number, maxMs = 60_000): Promise<void> =>
  cluster.until(async () => (await settled(cluster)) && cluster.store.incarnation > above, maxMs);

const textOf = async (cluster: MemoryCluster, session: Session, name: string): Promise<string | undefined> => {
  const bytes = await cluster.during(get(session, name));
  return bytes && Buffer.from(bytes).toString();
};

/** A network with every kind of history of names, and what each name must be afterwards. */
const withHistory = async (options: ClusterOptions = {}) => {
  const cluster = await MemoryCluster.start({ nodes: 4, masters: 2, ...options });
  const session = await cluster.session();
  const write = (name: string, text: string) => cluster.during(put(session, name, bytesOf(text)));
  for (let at = 0; at < 12; at++) await write(`file ${at}`, `content ${at}`);
  for (let at = 0; at < 6; at++) await write(`overwritten ${at}`, 'old');
  for (let at = 0; at < 6; at++) await write(`overwritten ${at}`, 'new');
  await write('removed', 'gone');
  await cluster.during(removeFile(session, 'removed'));
  await write('moved from', 'moved');
  await cluster.during(renameFile(session, { from: 'moved from', to: 'moved to' }));
  await write('put again', 'first');
  await cluster.during(removeFile(session, 'put again'));
  await write('put again', 'second');
  const expected = new Map<string, string | undefined>([
    ...Array.from({ length: 12 }, (_, at): [string, string] => [`file ${at}`, `content ${at}`]),
    ...Array.from({ length: 6 }, (_, at): [string, string] => [`overwritten ${at}`, 'new']),
    ['removed', undefined],
    ['moved from', undefined],
    ['moved to', 'moved'],
    ['put again', 'second'],
  ]);
  return { cluster, session, write, expected };
};

/** Stops the two nodes that alone hold the manifest of a name: W′ of its owners, as when it was answered. */
const stopHolders = async (cluster: MemoryCluster, name: string): Promise<number[]> => {
  const { version } = cluster.store.names.get(name)?.record ?? assert.fail();
  const owners = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
  await owners[2]?.storage.deleteManifests([version]);
  const stopped = owners.slice(0, 2).map((owner) => cluster.nodes.indexOf(owner));
  for (const at of stopped) cluster.stopNode(at);
  return stopped;
};

const versionsOf = ({ store }: MemoryCluster): Readonly<Record<string, string>> =>
  Object.fromEntries([...store.names].map(([name, { record }]) => [name, record.version]));

const check = async (
  cluster: MemoryCluster,
  session: Session,
  expected: ReadonlyMap<string, string | undefined>,
): Promise<void> => {
  for (const [name, text] of expected) assert.equal(await textOf(cluster, session, name), text, name);
  const live = [...expected].filter(([, text]) => text !== undefined).map(([name]) => name);
  const keys = await cluster.registry().readPublicKeys();
  assert.deepEqual([...(keys.get('network:data') ?? [])].sort(), live.sort());
};

describe('an emptied registry', () => {
  test('is made again by the masters, with names, layouts and counters, and no epoch is used twice', async () => {
    const { cluster, session, write, expected } = await withHistory();
    const before = { ...cluster.store, epoch: cluster.store.leaseEpoch };
    const layout = await newestLayoutOf(cluster);
    const versions = versionsOf(cluster);
    cluster.store.clear();
    await recovered(cluster, before.incarnation);
    assert.deepEqual(versionsOf(cluster), versions);
    assert.equal((await newestLayoutOf(cluster)).number, layout.number);
    assert.ok(cluster.store.sequence >= before.sequence);
    assert.ok(cluster.store.leaseEpoch > before.epoch, `${cluster.store.leaseEpoch} is above ${before.epoch}`);
    await check(cluster, session, expected);
    await write('file 1', 'written afterwards');
    assert.equal(await textOf(cluster, session, 'file 1'), 'written afterwards');
    await cluster.quiet(4);
    assert.deepEqual(cluster.strange, []);
    cluster.stopAll();
  });

  test('is put back while one node of four is away for good', async () => {
    const { cluster, session, expected } = await withHistory();
    cluster.stopNode(2);
    cluster.store.clear();
    await recovered(cluster, 1);
    await check(cluster, session, expected);
    cluster.stopAll();
  });

  // Masters that began anew have heard of no incarnation, and cannot ask nodes whose addresses were lost. The second
  // life once had the number of the first, so that nodes would have taken manifests of both.
  test('is not made again as the first life, by masters and nodes that began anew', async () => {
    const { cluster, session, expected } = await withHistory();
    const epoch = cluster.store.leaseEpoch;
    for (const at of cluster.masters.keys()) cluster.stopMaster(at);
    for (const at of cluster.nodes.keys()) cluster.stopNode(at);
    cluster.store.clear();
    for (const at of cluster.masters.keys()) await cluster.startMaster(at);
    await cluster.until(() => cluster.store.networkId !== undefined);
    assert.equal(cluster.store.incarnation, 2);
    // A lower epoch would be another reason for a new incarnation.
    cluster.store.leaseEpoch = epoch;
    for (const at of cluster.nodes.keys()) await cluster.startNode(at);
    await recovered(cluster, 1);
    await check(cluster, session, expected);
    cluster.stopAll();
  });

  test('answers no name while more is silent than a write may be missing from, and never deletes', async () => {
    const { cluster, session, expected } = await withHistory({ nodes: 5 });
    const stopped = await stopHolders(cluster, 'file 1');
    cluster.store.clear();
    await cluster.until(() => cluster.store.networkId !== undefined);
    await cluster.clock.advance(60_000);
    assert.equal(await settled(cluster), false);
    await assert.rejects(cluster.during(get(session, 'file 1')), { code: 'registry-unavailable' });
    await cluster.startNode(stopped[0] ?? 0);
    await recovered(cluster, 1);
    await cluster.startNode(stopped[1] ?? 0);
    await check(cluster, session, expected);
    cluster.stopAll();
  });

  test('mutant: a rebuild from an incomplete view loses acknowledged names', async () => {
    const { cluster, session, expected } = await withHistory({
      nodes: 5,
      masterWith: { rebuildRules: { ...rebuildRules, isCovered: () => true } },
    });
    await stopHolders(cluster, 'file 1');
    cluster.store.clear();
    await recovered(cluster, 1);
    await assert.rejects(check(cluster, session, expected), { code: 'ERR_ASSERTION' });
    cluster.stopAll();
  });

  test('mutant: a rebuild that takes the last manifest it met of a name brings back what ended', async () => {
    let met = 0n;
    const { cluster } = await withHistory({
      masterWith: { rebuildRules: { ...rebuildRules, sequenceOf: () => (met += 1n) } },
    });
    const before = versionsOf(cluster);
    cluster.store.clear();
    await recovered(cluster, 1);
    assert.notDeepEqual(versionsOf(cluster), before);
    cluster.stopAll();
  });

  test('is put back by the next leader when the first one is killed in the middle', async () => {
    const { cluster, session, expected } = await withHistory();
    let restores = 0;
    cluster.faultOf = ({ route }) => {
      // Whoever leads is killed at its first, fifth and ninth page of evidence.
      if (route === 'evidence.read' && [1, 5, 9].includes(++restores)) {
        const leader = cluster.store.lease?.holder;
        const at = cluster.masters.findIndex(({ member }) => member.memberId === leader);
        if (at >= 0) {
          cluster.stopMaster(at);
          cluster.clock.after(100, () => void cluster.startMaster(at));
        }
      }
      return undefined;
    };
    cluster.store.clear();
    await recovered(cluster, 1, 120_000);
    assert.ok(restores >= 9, `${restores} pages were asked for`);
    await check(cluster, session, expected);
    cluster.stopAll();
  });

  test('of another network is left alone', async () => {
    const { cluster, session, write } = await withHistory();
    const { store } = cluster;
    const other = 'b'.repeat(String(store.networkId).length) as typeof store.networkId;
    store.networkId = other;
    await cluster.clock.advance(20_000);
    assert.equal(store.networkId, other);
    await assert.rejects(write('file 1', 'nowhere'), { code: 'registry-lost' });
    assert.equal(await textOf(cluster, session, 'file 1'), 'content 1');
    cluster.stopAll();
  });
});

describe('a registry that went back', () => {
  test('catches up with what was acknowledged since', async () => {
    const { cluster, session, write, expected } = await withHistory();
    const snapshot = snapshotOf(cluster.store);
    await write('file 2', 'newer');
    await cluster.during(removeFile(session, 'file 3'));
    await cluster.during(renameFile(session, { from: 'file 4', to: 'file 4 moved' }));
    const sequence = cluster.store.sequence;
    putBack(cluster.store, snapshot);
    // Its run id says nothing: only the nodes know.
    assert.ok(cluster.store.sequence < sequence);
    await recovered(cluster, 1);
    expected.set('file 2', 'newer').set('file 3', undefined).set('file 4', undefined);
    await check(cluster, session, expected.set('file 4 moved', 'content 4'));
    assert.ok(cluster.store.sequence >= sequence);
    cluster.stopAll();
  });

  test('by more than a tombstone lives keeps nothing that the nodes do not hold', async () => {
    const { cluster, session, expected } = await withHistory();
    const snapshot = snapshotOf(cluster.store);
    const { version } = cluster.store.names.get('file 5')?.record ?? assert.fail();
    await cluster.during(removeFile(session, 'file 5'));
    // Long after, every trace of the removed file is gone from the nodes.
    for (const { storage } of cluster.nodes) await storage.deleteManifests([version]);
    await cluster.during(put(session, 'file 6', bytesOf('newer')));
    putBack(cluster.store, snapshot);
    cluster.store.sequence -= 2n * 3_600_000_000n;
    await recovered(cluster, 1);
    await check(cluster, session, expected.set('file 5', undefined).set('file 6', 'newer'));
    cluster.stopAll();
  });
});

describe('a registry that restarted', () => {
  test('answers again within seconds when nothing of it was lost', async () => {
    const { cluster, session, expected } = await withHistory();
    const startedMs = cluster.clock.monotonicMs();
    cluster.store.restart();
    await recovered(cluster, 1);
    assert.ok(cluster.clock.monotonicMs() - startedMs < 4_000);
    const listed = cluster.net.calls.filter(({ route }) => route === 'evidence.list').length;
    assert.equal(listed, 0, 'nothing was listed: no node knew of more than the registry');
    await check(cluster, session, expected);
    cluster.stopAll();
  });

  test('a write whose step was lost with the registry is not answered as done', async () => {
    const { cluster, session } = await withHistory();
    const snapshot = snapshotOf(cluster.store);
    // The step is taken; before its manifests are written the database goes back.
    let back = false;
    cluster.faultOf = ({ route }) => {
      if (route !== 'manifest.store' || back) return undefined;
      back = true;
      putBack(cluster.store, snapshot);
      cluster.store.restart();
      return { delayMs: 8_000 };
    };
    const outcome = await cluster.during(
      put(session, 'file 1', bytesOf('late')).then(
        () => 'done',
        (error: unknown) => (isOperaError(error) ? error.code : 'strange'),
      ),
    );
    await recovered(cluster, 1);
    const text = await textOf(cluster, session, 'file 1');
    assert.ok(outcome !== 'done' || text === 'late', `${outcome}, but ${text} is read`);
    assert.ok(back);
    cluster.stopAll();
  });
});

describe('a manifest that too few nodes hold', () => {
  test('is written to enough of them before anybody sees it', async () => {
    const { cluster, session, expected } = await withHistory();
    const { version } = cluster.store.names.get('file 7')?.record ?? assert.fail();
    const owners = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
    for (const { storage } of owners.slice(1)) await storage.deleteManifests([version]);
    cluster.store.clear();
    await recovered(cluster, 1);
    await check(cluster, session, expected);
    const holding = await Promise.all(owners.map(({ storage }) => storage.getManifest(version)));
    assert.ok(holding.filter((found) => found !== undefined).length >= 2);
    cluster.stopAll();
  });
});

describe('a registry out of reach', () => {
  const reading = async (session: Session, cluster: MemoryCluster, staleOk = false): Promise<string> => {
    try {
      const { file, plan } = await cluster.during(resolveName(session, 'file 1', { staleOk }));
      const parts: Uint8Array[] = [];
      const read = async (): Promise<void> => {
        for await (const part of fetchFile(session, plan, file, undefined)) parts.push(part);
      };
      await cluster.during(read());
      return Buffer.concat(parts).toString();
    } catch (error) {
      if (isOperaError(error)) return error.code;
      throw error;
    }
  };

  test('leaves names readable from a complete view, or from less for who takes an older one', async () => {
    const { cluster, session, write } = await withHistory({ nodes: 5 });
    await write('file 1', 'newest');
    const { version } = cluster.store.names.get('file 1')?.record ?? assert.fail();
    const layout = await newestLayoutOf(cluster);
    cluster.store.unavailable = true;
    assert.equal(await reading(session, cluster), 'newest');
    assert.equal(await textOf(cluster, session, 'removed'), undefined);
    const put = write('file 1', 'not now').catch((error: unknown) => (isOperaError(error) ? error.code : 'strange'));
    assert.equal(await put, 'registry-unavailable');
    const owners = ownerNodes(cluster, layout, version, 0).map((owner) => cluster.nodes.indexOf(owner));
    cluster.stopNode(owners[0] ?? 0);
    assert.equal(await reading(session, cluster), 'newest');
    cluster.stopNode(owners[1] ?? 0);
    assert.equal(await reading(session, cluster), 'registry-unavailable');
    assert.equal(await reading(session, cluster, true), 'newest');
    cluster.stopAll();
  });

  test('a name that one node alone knows of is on enough of them once it was read', async () => {
    const { cluster, session } = await withHistory();
    const { version } = cluster.store.names.get('file 1')?.record ?? assert.fail();
    const owners = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
    for (const { storage } of owners.slice(1)) await storage.deleteManifests([version]);
    cluster.store.unavailable = true;
    assert.equal(await reading(session, cluster), 'content 1');
    const holding = await Promise.all(owners.map(({ storage }) => storage.getManifest(version)));
    assert.ok(holding.filter((found) => found !== undefined).length >= 2);
    cluster.stopAll();
  });

  test('a rename that was begun is not seen under both names', async () => {
    const { cluster, session, write } = await withHistory();
    await write('begun', 'same bytes');
    const { version } = cluster.store.names.get('begun')?.record ?? assert.fail();
    const [, second, third] = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
    assert.ok(second && third);
    const before = await second.storage.getManifest(version);
    await cluster.during(renameFile(session, { from: 'begun', to: 'ended' }));
    // As when one owner alone took the version under its new name, and nobody the tombstone, before the registry went.
    const sequence = cluster.store.names.get('ended')?.record.sequence;
    for (const { storage } of cluster.nodes) {
      for (const partition of await storage.listPartitions()) {
        const { items } = await storage.listManifests(partition, undefined, 1_000);
        const dead = items.filter((item) => item.sequence === sequence && item.version !== version);
        await storage.deleteManifests(dead.map((item) => item.version));
      }
    }
    for (const { storage } of [second, third]) {
      await storage.deleteManifests([version]);
      await storage.putManifests([before ?? assert.fail()]);
    }
    cluster.store.unavailable = true;
    const { memberId } = third.member;
    cluster.faultOf = ({ route, to: { expect } }) =>
      route === 'manifest.store' && 'memberId' in expect && expect.memberId === memberId ? { lost: true } : undefined;
    const other = await cluster.session(1);
    assert.equal(await textOf(cluster, other, 'ended'), 'same bytes');
    await rejects(textOf(cluster, other, 'begun'), 'registry-unavailable');
    cluster.stopAll();
  });

  test('mutant: a name answered from any view is an old one', async () => {
    const { cluster, session, write } = await withHistory({ nodes: 5, masterWith: { viewNeedsComplete: false } });
    await write('file 1', 'newest');
    await stopHolders(cluster, 'file 1');
    cluster.store.unavailable = true;
    assert.equal(await reading(await cluster.session(1), cluster), 'content 1');
    assert.ok(session);
    cluster.stopAll();
  });

  test('transfers that are under way renew their tickets without it', async () => {
    const { cluster, session } = await withHistory();
    const { plan } = await cluster.during(resolveName(session, 'file 1'));
    const before = await plan.grant();
    cluster.store.unavailable = true;
    await cluster.during(plan.renew(before.ticket));
    assert.notDeepEqual((await plan.grant()).ticket, before.ticket);
    cluster.stopAll();
  });
});

describe('an operator', () => {
  const order = (cluster: MemoryCluster, force: boolean) => {
    const leader = cluster.masters.find(({ member }) => member.memberId === cluster.store.lease?.holder);
    assert.ok(leader);
    const request = {
      client: cluster.gateway.member.signer.keyHash,
      clientRole: 'operator' as const,
      request: { force },
    };
    const to = { address: leader.address, expect: { memberId: leader.member.memberId } };
    const transport = cluster.transportOf(cluster.gateway.member);
    return cluster.during(transport.call(to, 'master.registry.rebuild', request));
  };

  test('can have a registry put back that is not lost, and ends a wait for nodes that are gone for good', async () => {
    const { cluster, session, expected } = await withHistory({ nodes: 5 });
    await order(cluster, false);
    await recovered(cluster, 1);
    await check(cluster, session, expected);
    await assert.rejects(order(cluster, true), { code: 'conflict' });
    const before = cluster.store.incarnation;
    const [first = 0, second = 0] = await stopHolders(cluster, 'file 1');
    cluster.store.clear();
    await cluster.clock.advance(40_000);
    assert.equal(await settled(cluster), false);
    await order(cluster, true);
    await recovered(cluster, before);
    expected.set('file 1', undefined);
    await check(cluster, session, expected);
    // Back from the dead, they know more than the registry: it is put back once more, with what they hold.
    await cluster.startNode(first);
    await cluster.startNode(second);
    await cluster.clock.advance(30_000);
    await check(cluster, session, expected);
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
