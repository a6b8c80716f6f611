// Notes of catalogues over a whole network in memory: whichever way a chunk comes to a node, its note is there before
// it, and goes after the last chunk of the version.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { openUploads } from '../../src/client/upload.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import type { VersionId } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import { openNoteKeys } from '../../src/roles/node/note-keys.ts';
import type { StorageAdapter } from '../../src/storage-adapters/storage-adapter.ts';
import { newestLayoutOf, ownerNodes, put } from '../support/cluster-client.ts';
import { type ClusterNode, type ClusterOptions, MemoryCluster } from '../support/memory-cluster.ts';
import { isNoted, noteOf, withNotes } from '../support/noted-session.ts';
import { rejects } from '../support/refuses.ts';
import { describe, played, test } from './_early.ts';
import { compare, hygieneOf, serveHours, sweep } from './_hygiene.ts';

interface World {
  readonly cluster: MemoryCluster;
  /** Chunks that were written when their note was not there. */
  readonly naked: string[];
}

/** The first `running` nodes run. */
const start = async (running: number, options: ClusterOptions = {}): Promise<World> => {
  const naked: string[] = [];
  const storageOf = (storage: StorageAdapter, at: number): StorageAdapter =>
    new Proxy(storage, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (key !== 'putChunks' || typeof value !== 'function') return value;
        return async (...args: Parameters<StorageAdapter['putChunks']>) => {
          for (const { version } of args[0]) {
            if (isNoted(version) && !(await target.getNote(version))) naked.push(`${at} ${version}`);
          }
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
  const cluster = await MemoryCluster.create({ storageOf, ...options });
  await cluster.startMaster(0);
  for (let at = 0; at < running; at++) await cluster.startNode(at);
  await cluster.quiet(running);
  return { cluster, naked };
};

const putFiles = async (cluster: MemoryCluster, count: number): Promise<VersionId[]> => {
  const session = withNotes(await cluster.session());
  const versions: VersionId[] = [];
  for (let at = 0; at < count; at++) {
    const { version } = await cluster.during(put(session, `file ${at}`, Buffer.from(`content ${at}`)));
    versions.push(version);
  }
  return versions;
};

/** Nodes whose chunks and notes do not go together. */
const odd = async (cluster: MemoryCluster, versions: readonly VersionId[]): Promise<string[]> => {
  const found: string[] = [];
  for (const { storage, address } of cluster.nodes) {
    for (const version of versions) {
      const holds = (await storage.listVersion(version, 0, 9)).length > 0;
      const noted = (await storage.getNote(version)) !== undefined;
      if (noted !== (holds && isNoted(version))) found.push(`${address} ${version} ${holds} ${noted}`);
    }
  }
  return found;
};

const callsOf = (cluster: MemoryCluster, route: string) => cluster.net.calls.filter((call) => call.route === route);

/** A version with a note, an owner of its chunk, and that owner stopped and without note and, if told, chunk. */
const robbed = async (cluster: MemoryCluster, versions: readonly VersionId[], ofChunk: boolean) => {
  const version = versions.find(isNoted);
  if (version === undefined) throw new Error('no version has a note');
  const [owner] = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
  const at = cluster.nodes.indexOf(owner as ClusterNode);
  cluster.stopNode(at);
  const disk = cluster.node(at).disk.open();
  if (ofChunk) await disk.deleteChunks([{ version, index: 0 }]);
  await disk.deleteNote(version);
  const [held] = await disk.listVersion(version, 0, 1);
  if (held) cluster.node(at).disk.rot(held);
  await cluster.startNode(at);
  await cluster.until(() => hygieneOf(cluster, at).core.book.announced);
  await cluster.clock.advance(limits.settleMs + 5_000);
  return { version, at };
};

describe('notes come with chunks', () => {
  test('to every owner that a put reaches, once and before the chunk', async () => {
    const { cluster, naked } = await start(4, { nodes: 4 });
    const versions = await putFiles(cluster, 12);
    await cluster.clock.advance(1_000);
    assert.ok(versions.some(isNoted) && !versions.every(isNoted));
    assert.deepEqual(await odd(cluster, versions), []);
    const [version = versions[0]] = versions.filter(isNoted);
    const [owner] = ownerNodes(cluster, await newestLayoutOf(cluster), version as VersionId, 0);
    const kept = await owner?.storage.getNote(version as VersionId);
    assert.deepEqual(kept, noteOf(cluster.keyring, cluster.networkId, version as VersionId));
    assert.equal(callsOf(cluster, 'note.read').length, 0, 'who takes a chunk from a client is sent the note');
    assert.deepEqual(naked, []);
    cluster.stopAll();
  });

  test('only those of the chunks in the message, one each, of this network, are taken', async () => {
    const { cluster } = await start(3, { nodes: 3 });
    const session = await cluster.session();
    const { plan, uploads } = await cluster.during(openUploads(session, ['a', 'b'], undefined));
    const [a, b] = uploads.map(({ version }) => version);
    const [client] = cluster.clients;
    if (!a || !b || !client) throw new Error('nothing was opened');
    const [owner] = ownerNodes(cluster, await newestLayoutOf(cluster), a, 0);
    const body = Buffer.alloc(80, 3);
    const store = (notes: Uint8Array[]) => {
      const to = { address: owner?.address ?? '', expect: { role: 'node' as const } };
      const chunks = [{ version: a, index: 0, length: body.length, hash: sha256(body) }];
      const request = { ...plan.last, chunks, notes };
      return cluster.during(cluster.transportOf(client).call(to, 'chunk.store', request, { binary: [body] }));
    };
    const { keyring, networkId } = cluster;
    const note = noteOf(keyring, networkId, a);
    await rejects(store([noteOf(keyring, networkId, b)]), 'bad-request');
    await rejects(store([note, note]), 'bad-request');
    await rejects(store([note.map((byte, at) => (at === 30 ? byte ^ 1 : byte))]), 'integrity', 'wrong-network');
    await rejects(store([new Uint8Array([...note, 0])]), 'integrity');
    for (const { storage } of cluster.nodes) assert.equal((await storage.usage()).chunks, 0, 'refused as a whole');
    await store([note]);
    assert.deepEqual(await owner?.storage.getNote(a), note);
    cluster.stopAll();
  });

  /** A node joins and pulls; what is odd then. */
  const joined = async (options: ClusterOptions) => {
    const { cluster, naked } = await start(3, { nodes: 4, ...options });
    const versions = await putFiles(cluster, 24);
    await cluster.startNode(3);
    await cluster.quiet(4);
    const pulled = await Promise.all(versions.map((version) => cluster.node(3).storage.getNote(version)));
    return { cluster, versions, naked, notes: pulled.filter((note) => note !== undefined).length };
  };

  test('to a node that joins, asked for once for each version', async () => {
    const { cluster, versions, naked, notes } = await joined({});
    assert.ok(notes > 3);
    assert.deepEqual(await odd(cluster, versions), []);
    assert.deepEqual(naked, []);
    const asked = callsOf(cluster, 'note.read').flatMap(({ request }) => (request as { versions: string[] }).versions);
    assert.ok(asked.length > notes);
    assert.equal(new Set(asked).size, asked.length);
    cluster.stopAll();
  });

  test('mutant: sources that keep their notes to themselves leave chunks without', async () => {
    const handlersOf: ClusterOptions['handlersOf'] = (handlers) => ({
      ...handlers,
      'note.read': async ({ request }) => ({ answer: { notes: request.versions.map(() => null) } }),
    });
    const { cluster, naked, notes } = await joined({ handlersOf });
    assert.equal(notes, 0);
    assert.ok(naked.length > 0);
    cluster.stopAll();
  });

  test('and no chunk is taken from a source that does not say whether there is a note', async () => {
    const silent = new Set<string>();
    const { cluster, versions, naked } = await joined({
      handlersOf: (handlers, at) => ({
        ...handlers,
        'note.read': async (call) => {
          if (at === 0) silent.add('asked');
          const reply = at === 0 ? undefined : await handlers['note.read']?.(call);
          return reply ?? { answer: { notes: [] } };
        },
      }),
    });
    assert.ok(silent.size > 0);
    assert.deepEqual(await odd(cluster, versions), []);
    assert.deepEqual(naked, []);
    cluster.stopAll();
  });

  test('when owners compare, and when a scrub replaces a copy', async () => {
    const { cluster, naked } = await start(3, { nodes: 3 });
    const versions = await putFiles(cluster, 8);
    const first = await robbed(cluster, versions, true);
    await compare(cluster);
    assert.deepEqual(await odd(cluster, versions), []);
    const second = await robbed(cluster, versions, false);
    await cluster.during(hygieneOf(cluster, second.at).scrub.pass());
    assert.equal(hygieneOf(cluster, second.at).scrub.repaired, 1);
    assert.deepEqual(await odd(cluster, versions), []);
    assert.equal(first.version, second.version);
    assert.deepEqual(naked, []);
    cluster.stopAll();
  });

  test('a node that misses one asks the other owners, and not again and again', async () => {
    const { cluster } = await start(3, { nodes: 3 });
    const versions = await putFiles(cluster, 8);
    const { version, at } = await robbed(cluster, versions, false);
    const { notes } = hygieneOf(cluster, at).core;
    const found = await cluster.during(Promise.all([notes.missing(version), notes.missing(version)]));
    assert.deepEqual(found, [true, true]);
    assert.deepEqual(await odd(cluster, versions), []);
    const ordinary = versions.find((other) => !isNoted(other)) as VersionId;
    const before = callsOf(cluster, 'note.read').length;
    assert.equal(before, 1);
    assert.equal(await cluster.during(notes.missing(ordinary)), false);
    const asked = callsOf(cluster, 'note.read').length;
    assert.equal(asked - before, 2, 'both other owners');
    assert.equal(await cluster.during(notes.missing(ordinary)), false);
    assert.equal(callsOf(cluster, 'note.read').length, asked);
    cluster.stopAll();
  });
});

describe('an altered note', () => {
  /** Turns a bit of a note that a running node keeps. */
  const alter = async (cluster: MemoryCluster, at: number, version: VersionId, place: number): Promise<void> => {
    const { storage } = cluster.node(at);
    const good = await storage.getNote(version);
    if (!good) throw new Error('there is no note');
    await storage.replaceNote(
      version,
      good.map((byte, index) => (index === (place + good.length) % good.length ? byte ^ 1 : byte)),
    );
  };

  const placed = async (nodes: number) => {
    const { cluster } = await start(nodes, { nodes, settings: { copies: nodes, writeCopies: Math.min(nodes, 2) } });
    const version = (await putFiles(cluster, 8)).find(isNoted);
    if (version === undefined) throw new Error('no version has a note');
    await cluster.clock.advance(1_000);
    return { cluster, version, good: noteOf(cluster.keyring, cluster.networkId, version) };
  };

  test('is found by a scrub, wherever the bit turned, and taken from an owner that has a good one', async () => {
    const { cluster, version, good } = await placed(3);
    // Format, version, header, epoch from its highest byte to its lowest, wrap, length, content.
    const places = [0, 5, 17, 60, 128, 129, 131, 132, 150, 204, 230, -1];
    for (const [count, place] of places.entries()) {
      await alter(cluster, 0, version, place);
      const { scrub } = hygieneOf(cluster, 0);
      await cluster.during(scrub.pass());
      assert.deepEqual([scrub.altered, scrub.repaired], [count + 1, count + 1], `byte ${place}`);
      assert.deepEqual(await cluster.node(0).storage.getNote(version), good);
    }
    cluster.stopAll();
  });

  test('under an epoch that nobody knows is said to be odd, and is no damage while no copy opens', async () => {
    const { cluster, version, good } = await placed(2);
    for (const at of [0, 1]) await alter(cluster, at, version, 129);
    const { scrub, core } = hygieneOf(cluster, 0);
    await cluster.during(scrub.pass());
    assert.deepEqual([scrub.altered, scrub.repaired], [0, 0]);
    const record = (await core.storage.getNote(version)) ?? new Uint8Array();
    const open = () => openNoteKeys(cluster.keyring, cluster.networkId, version, record);
    assert.throws(
      open,
      (error) => isOperaError(error, 'unknown-key') && /altered, or that key has/.test(error.message),
    );
    await cluster.node(1).storage.replaceNote(version, good);
    await cluster.during(scrub.pass());
    assert.deepEqual([scrub.altered, scrub.repaired], [1, 1]);
    cluster.stopAll();
  });

  test('stays where no other owner has a good one, and is looked at again', async () => {
    const { cluster, version, good } = await placed(2);
    for (const at of [0, 1]) await alter(cluster, at, version, 200);
    const { scrub } = hygieneOf(cluster, 0);
    await cluster.during(scrub.pass());
    assert.deepEqual([scrub.altered, scrub.repaired], [1, 0]);
    await cluster.node(1).storage.replaceNote(version, good);
    await cluster.during(scrub.pass());
    assert.deepEqual([scrub.altered, scrub.repaired], [2, 1]);
    cluster.stopAll();
  });
});

describe('notes leave with the last chunk', () => {
  const settings = { copies: 2, writeCopies: 2 };

  test('when copies of a former owner are given and dropped', async () => {
    const nodeWith = { formerRules: { waitMs: 2_000 } };
    const { cluster, naked } = await start(2, { nodes: 3, settings, nodeWith });
    const versions = await putFiles(cluster, 12);
    await cluster.startNode(2);
    await cluster.quiet(3);
    // The new owner loses what it pulled, notes included, and nothing but the former owners gives it back.
    cluster.faultOf = ({ route }) => (route.startsWith('digest.') ? { refused: true } : undefined);
    cluster.stopNode(2);
    const disk = cluster.node(2).disk.open();
    await disk.deleteChunks(versions.map((version) => ({ version, index: 0 })));
    for (const version of versions) await disk.deleteNote(version);
    await cluster.startNode(2);
    await cluster.clock.advance(6 * limits.formerTickMs);
    const given = callsOf(cluster, 'chunk.give').flatMap(({ request }) => request as { notes?: unknown });
    assert.ok(given.some(({ notes }) => notes !== undefined));
    const usages = await Promise.all(cluster.nodes.map(({ storage }) => storage.usage()));
    const total = usages.reduce((sum, { chunks }) => sum + chunks, 0);
    assert.equal(total, 2 * versions.length, 'all was dropped that others own');
    assert.deepEqual(await odd(cluster, versions), []);
    assert.deepEqual(naked, []);
    cluster.stopAll();
  });

  test('when a dead version is swept, and whatever lost its chunks is swept too', async () => {
    const { cluster } = await start(3, { nodes: 3 });
    const session = withNotes(await cluster.session());
    const olds: VersionId[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      olds.push((await cluster.during(put(session, name, Buffer.from('one')))).version);
      await cluster.during(put(session, name, Buffer.from('two')));
    }
    assert.ok(olds.some(isNoted));
    const stray = 'a'.repeat(32) as VersionId;
    const { storage } = cluster.node(0);
    await storage.putNote(stray, noteOf(cluster.keyring, cluster.networkId, stray));
    await sweep(cluster);
    assert.equal(await storage.getNote(stray), undefined);
    assert.deepEqual(await odd(cluster, olds), []);
    // While a copy is set aside nobody looks through all notes: these go with their chunks.
    for (const { disk } of cluster.nodes) {
      const [partition = 0] = await disk.content.listPartitions();
      const [chunk] = (await disk.content.listChunks(partition, undefined, 1)).items;
      if (chunk) await disk.open().setAside(chunk, chunk.hash);
    }
    await serveHours(cluster, limits.deadHours);
    await sweep(cluster);
    assert.deepEqual(await odd(cluster, olds), []);
    for (const node of cluster.nodes) assert.deepEqual(await node.storage.listVersion(olds[0] as VersionId, 0, 9), []);
    const left = await storage.listNotes(undefined, 100);
    assert.ok(left.items.length > 0 && left.items.every((version) => !olds.includes(version)), 'present ones stay');
    cluster.stopAll();
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
