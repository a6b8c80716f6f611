// Notes on one node: puts and drops of one version that meet, sources that answer in parts or know no notes, and
// rewrapping after a rotation. Whole networks: test/sim/notes.test.ts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Transport } from '../../../src/client/transport.ts';
import { openNote, parseNote } from '../../../src/crypto/note.ts';
import { openWrap } from '../../../src/crypto/wrap.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import type { KeyHash, VersionId } from '../../../src/model/ids.ts';
import type { RunningNode } from '../../../src/roles/node/app.ts';
import { type NoteSeams, Notes } from '../../../src/roles/node/notes.ts';
import { Rewrapper } from '../../../src/roles/node/rewrap.ts';
import type { StorageAdapter } from '../../../src/storage-adapters/storage-adapter.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { noteOf } from '../../support/noted-session.ts';
import { rejects } from '../../support/refuses.ts';
import { chunkOf, versionOf } from '../../support/storage-data.ts';

const version = versionOf(1);
const chunk = chunkOf({ version: 1 });
const source = 'ab'.repeat(32) as KeyHash;

/** Lets calls through once it is opened. */
class Gate {
  #open: () => void = () => undefined;
  readonly passed = new Promise<void>((resolve) => {
    this.#open = resolve;
  });
  open(): void {
    this.#open();
  }
}

/** One node, whose notes are made anew over its store; `holding` delays a method of the store. */
const begin = async (holding: { readonly method?: keyof StorageAdapter; readonly gate?: Gate } = {}) => {
  const cluster = await MemoryCluster.start({ nodes: 1 });
  const { core } = (cluster.node(0).running as RunningNode).hygiene;
  const { storage } = cluster.node(0);
  const slow = new Proxy<StorageAdapter>(storage, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        if (key === holding.method) await holding.gate?.passed;
        return Reflect.apply(value, target, args) as unknown;
      };
    },
  });
  const calls: VersionId[][] = [];
  /** What the source answers; set by tests. */
  const other: { answer: Transport['call'] | undefined } = { answer: undefined };
  const call = (async (...args: Parameters<Transport['call']>) => {
    calls.push([...(args[2] as { versions: VersionId[] }).versions]);
    if (!other.answer) throw new OperaError('unavailable');
    return other.answer(...args);
  }) as Transport['call'];
  const context = { ...core.context, transport: { call, close: async () => undefined } };
  const { memory, keys, throttle, self } = core;
  const destination = () => ({ address: 'node:1', expect: { role: 'node' as const } });
  const seams: NoteSeams = { context, self, storage: slow, memory, keys, throttle, destination };
  const notes = new Notes(seams);
  const record = noteOf(cluster.keyring, cluster.networkId, version);
  return { cluster, storage, notes, seams, record, calls, other, put: () => slow.putChunks([chunk]) };
};

describe('a note whose chunks come and go at once', () => {
  test('stays when it is to be dropped while a chunk is on its way', async () => {
    const { cluster, storage, notes, record, put } = await begin();
    const gate = new Gate();
    const coming = notes.putSent(notes.check([record], [version]), async () => {
      await gate.passed;
      return put();
    });
    await notes.forget([version]);
    gate.open();
    assert.deepEqual(await coming, ['stored']);
    await notes.forget([]);
    assert.deepEqual(await storage.getNote(version), record);
    await storage.deleteChunks([chunk]);
    await notes.forget([version]);
    assert.equal(await storage.getNote(version), undefined);
    cluster.stopAll();
  });

  test('is dropped after a put that failed, when it was to be dropped meanwhile', async () => {
    const { cluster, storage, notes, record } = await begin();
    const gate = new Gate();
    const failing = notes.putSent(notes.check([record], [version]), async () => {
      await gate.passed;
      throw new OperaError('no-space');
    });
    await notes.forget([version]);
    assert.deepEqual(await storage.getNote(version), record);
    gate.open();
    await rejects(failing, 'no-space');
    await cluster.clock.advance(0);
    assert.equal(await storage.getNote(version), undefined);
    cluster.stopAll();
  });

  test('is kept anew when a chunk comes while it is being dropped', async () => {
    const gate = new Gate();
    const { cluster, storage, notes, record, put } = await begin({ method: 'deleteNote', gate });
    await notes.putSent(notes.check([record], [version]), put);
    await storage.deleteChunks([chunk]);
    const dropping = notes.forget([version]);
    const coming = notes.putSent(notes.check([record], [version]), put);
    await cluster.clock.advance(0);
    assert.deepEqual(await storage.listVersion(version, 0, 9), [], 'the chunk waits');
    gate.open();
    await Promise.all([dropping, coming]);
    assert.deepEqual(await storage.getNote(version), record);
    assert.equal((await storage.listVersion(version, 0, 9)).length, 1);
    cluster.stopAll();
  });

  test('is not swept while a copy of its chunk is set aside', async () => {
    const { cluster, storage, notes, record, put } = await begin();
    await notes.putSent(notes.check([record], [version]), put);
    await storage.setAside(chunk, chunk.hash);
    await notes.sweep();
    assert.deepEqual(await storage.getNote(version), record);
    await storage.deleteChunks([chunk]);
    await notes.sweep();
    assert.equal(await storage.getNote(version), undefined);
    cluster.stopAll();
  });
});

describe('notes of copied chunks', () => {
  test('come in as many answers as they need, and are asked for once', async () => {
    const { cluster, storage, notes, calls, other, seams } = await begin();
    const kept = [2, 3, 4, 5].map(versionOf);
    const none = [6, 7].map(versionOf);
    const records = new Map(
      kept.map((each) => [each, noteOf(cluster.keyring, cluster.networkId, each, 900_000)] as const),
    );
    const getNote = async (each: VersionId) => records.get(each);
    const answering = new Notes({ ...seams, storage: { ...storage, getNote } as unknown as StorageAdapter });
    other.answer = (async (_to: unknown, _route: unknown, request: unknown) =>
      answering.read({ request } as never)) as unknown as Transport['call'];
    const all = [...kept, ...none];
    assert.equal(await notes.putCopied(source, [...all, ...all], async () => 'put'), 'put');
    for (const each of kept) assert.deepEqual(await storage.getNote(each), records.get(each));
    assert.ok(calls.length > 1 && calls.length <= all.length, `${calls.length} calls`);
    const before = calls.length;
    await notes.putCopied(source, all, async () => 'put');
    assert.equal(calls.length, before, 'neither what is kept nor what there is none of is asked for again');
    cluster.stopAll();
  });

  test('nothing is put when the source says nothing, or gives the note of another version', async () => {
    const { cluster, storage, notes, other, put } = await begin();
    await rejects(notes.putCopied(source, [version], put), 'unavailable');
    const wrong = noteOf(cluster.keyring, cluster.networkId, versionOf(2));
    other.answer = (async () => ({ answer: { notes: [wrong] } })) as unknown as Transport['call'];
    await rejects(notes.putCopied(source, [version], put), 'integrity');
    other.answer = (async () => ({ answer: { notes: [] } })) as unknown as Transport['call'];
    await rejects(notes.putCopied(source, [version], put), 'integrity');
    assert.equal((await storage.usage()).chunks, 0);
    cluster.stopAll();
  });

  test('a source of an older program has none, and is asked again', async () => {
    const { cluster, notes, other, calls, put } = await begin();
    other.answer = (async () => {
      throw new OperaError('not-found');
    }) as unknown as Transport['call'];
    assert.deepEqual(await notes.putCopied(source, [version], put), ['stored']);
    assert.deepEqual(await notes.putCopied(source, [version], put), ['present']);
    assert.equal(calls.length, 2);
    cluster.stopAll();
  });
});

describe('rewrapping notes', () => {
  /** Three notes in the store of one node whose key is at epoch 2; what its rewrapper does is looked at. */
  const rotated = async () => {
    const { cluster, storage, notes, seams, put } = await begin();
    const { core } = (cluster.node(0).running as RunningNode).hygiene;
    const { keyring, networkId } = cluster;
    for (const at of [1, 2, 3]) await storage.putNote(versionOf(at), noteOf(keyring, networkId, versionOf(at)));
    cluster.rotate();
    const rewrapper = new Rewrapper({ ...core, notes, storage: seams.storage });
    const epochOf = async (at: number) =>
      parseNote((await storage.getNote(versionOf(at))) ?? new Uint8Array()).wrapEpoch;
    return { cluster, storage, notes, rewrapper, epochOf, put, old: { keyring, networkId } };
  };

  test('all get wraps under the newest key and still open; those that come late are found', async () => {
    const { cluster, storage, notes, rewrapper, epochOf, old, put } = await rotated();
    await cluster.during(rewrapper.round());
    assert.deepEqual(await Promise.all([1, 2, 3].map(epochOf)), [2, 2, 2]);
    assert.deepEqual(rewrapper.progress, { epoch: 2, below: 0 });
    assert.equal(rewrapper.rewrapped, 3);
    const note = parseNote((await storage.getNote(version)) ?? new Uint8Array());
    const fileKey = openWrap(cluster.keyring, cluster.networkId, version, note.wrap);
    assert.deepEqual(openNote(fileKey, cluster.networkId, note)['columns'], ['name', 'ra', 'dec']);
    await storage.deleteNote(version);
    const late = noteOf(old.keyring, old.networkId, version);
    await notes.putSent(notes.check([late], [version]), put);
    assert.equal(await epochOf(1), 1);
    await cluster.during(rewrapper.round());
    assert.equal(await epochOf(1), 2);
    assert.equal(rewrapper.rewrapped, 4);
    cluster.stopAll();
  });

  test('one that does not open is counted, holds up no other, and is dropped without a word', async () => {
    const { cluster, storage, rewrapper, epochOf } = await rotated();
    const broken = ((await storage.getNote(version)) ?? new Uint8Array()).map((byte, at) =>
      at === 180 ? byte ^ 1 : byte,
    );
    await storage.replaceNote(version, broken);
    await cluster.during(rewrapper.round());
    assert.deepEqual(await Promise.all([1, 2, 3].map(epochOf)), [1, 2, 2]);
    assert.deepEqual(rewrapper.progress, { epoch: 2, below: 1 });
    await storage.deleteNote(version);
    await cluster.during(rewrapper.round());
    assert.deepEqual(rewrapper.progress, { epoch: 2, below: 0 });
    cluster.stopAll();
  });

  test('every copy of a note is rewrapped to the same bytes', async () => {
    const records: string[] = [];
    for (const _ of [1, 2]) {
      const { cluster, storage, rewrapper } = await rotated();
      await cluster.during(rewrapper.round());
      records.push(Buffer.from((await storage.getNote(version)) ?? []).toString('hex'));
      cluster.stopAll();
    }
    assert.equal(records[0], records[1]);
  });
});
