// The rules of order for names, over real masters and nodes: what a commit checks, what it writes before it answers,
// and who finishes what a master left behind.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { removeFile, renameFile } from '../../../src/client/names.ts';
import type { Session } from '../../../src/client/session.ts';
import { openUploads, putChange, sealOf, type Upload } from '../../../src/client/upload.ts';
import type { Plan } from '../../../src/client/plan.ts';
import { parseManifest } from '../../../src/crypto/manifest.ts';
import { sha256 } from '../../../src/crypto/digest.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import type { VersionId } from '../../../src/model/ids.ts';
import { hasWriteQuorum } from '../../../src/placement/coverage.ts';
import { ownersOf } from '../../../src/placement/layout.ts';
import { partitionOf } from '../../../src/placement/partition.ts';
import type { WireChangeOutcome, WireNameChange } from '../../../src/wire/messages-names.ts';
import { copiesOf, get, layoutsOf, newestLayoutOf, ownerNodes, put } from '../../support/cluster-client.ts';
import { MemoryCluster } from '../../support/memory-cluster.ts';
import { rejects } from '../../support/refuses.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

interface Prepared {
  readonly plan: Plan;
  readonly upload: Upload;
  readonly body: Uint8Array;
  readonly change: (follows?: bigint) => WireNameChange;
}

/** Opens an upload of one chunk and seals it, without storing anything. */
const prepare = async (cluster: MemoryCluster, session: Session, name: string, text: string): Promise<Prepared> => {
  const { plan, uploads } = await cluster.during(openUploads(session, [name], undefined));
  const [upload] = uploads;
  if (!upload) throw new Error('nothing was opened');
  const { body } = sealOf(upload, { index: 0, plaintext: bytesOf(text), last: true });
  const facts = { size: text.length, modified: undefined, chunkCount: 1 };
  const build = putChange(session, upload, facts, {});
  return { plan, upload, body, change: (follows = upload.follows) => build(follows, cluster.keyring) };
};

const commit = async (
  cluster: MemoryCluster,
  session: Session,
  changes: WireNameChange[],
  plan?: Plan,
): Promise<WireChangeOutcome[]> => {
  const shown = plan ? plan.last : {};
  return (await cluster.during(session.connection.call('name.commit', { changes, ...shown }))).outcomes;
};

/** Puts the chunk into the stores of these nodes, as if only they had got it, under this layout. */
const plant = async (
  cluster: MemoryCluster,
  version: VersionId,
  body: Uint8Array,
  nodes: readonly number[],
  layoutNumber = 1,
) => {
  const address = { version, index: 0, partition: partitionOf(version, 0) };
  const chunk = { ...address, hash: sha256(body), body, servedHour: 0, layoutNumber };
  for (const at of nodes) await cluster.node(at).storage.putChunks([chunk]);
};

const indexOf = (cluster: MemoryCluster, keyHash: string): number =>
  cluster.nodes.findIndex(({ member }) => member.signer.keyHash === keyHash);

const codeOf = (outcome: WireChangeOutcome | undefined): string =>
  outcome?.done === false ? outcome.code : `done ${outcome?.done}`;

describe('the step', () => {
  test('a repeated operation is answered as before, and a body that follows another version is not', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    const { plan, upload, body, change } = await prepare(cluster, session, 'a', 'one');
    await plant(cluster, upload.version, body, [0, 1, 2]);
    const made = change();
    const [first] = await commit(cluster, session, [made], plan);
    const [again] = await commit(cluster, session, [made], plan);
    assert.equal(first?.done && first.repeated, false);
    assert.equal(again?.done && again.repeated, true);
    assert.equal(again?.done && again.sequence, first?.done && first.sequence);
    for (const { storage } of cluster.nodes) await storage.deleteChunks([{ version: upload.version, index: 0 }]);
    const [later] = await commit(cluster, session, [made], plan);
    assert.equal(later?.done && later.repeated, true, 'also when its chunks are elsewhere by then');
    const second = await prepare(cluster, session, 'a', 'two');
    await plant(cluster, second.upload.version, second.body, [0, 1, 2]);
    const [stale] = await commit(cluster, session, [second.change(5n)], second.plan);
    assert.equal(codeOf(stale), 'stale_follows');
    cluster.stopAll();
  });

  test('conditions hold at the step, and what is refused writes nothing', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    const first = await cluster.during(put(session, 'a', bytesOf('one')));
    const sequence = cluster.store.sequence;
    await rejects(cluster.during(put(session, 'a', bytesOf('two'), { condition: { ifAbsent: true } })), 'exists');
    const other = await prepare(cluster, session, 'a', 'three');
    await plant(cluster, other.upload.version, other.body, [0, 1, 2]);
    const refused: WireNameChange = { ...other.change(), condition: { ifVersion: other.upload.version } };
    assert.equal(codeOf((await commit(cluster, session, [refused], other.plan))[0]), 'conflict');
    assert.equal(cluster.store.sequence, sequence);
    for (const { storage } of cluster.nodes) assert.equal(await storage.getManifest(other.upload.version), undefined);
    const condition = { ifVersion: first.version };
    assert.equal((await cluster.during(put(session, 'a', bytesOf('four'), { condition }))).replaced, first.version);
    cluster.stopAll();
  });

  test('in a batch each name succeeds or fails alone, and a name twice is refused', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    const { plan, uploads } = await cluster.during(openUploads(session, ['a', 'b', 'c'], undefined));
    const facts = { size: 1, modified: undefined, chunkCount: 1 };
    const changes = uploads.map((upload) => putChange(session, upload, facts, {})(0n, cluster.keyring));
    for (const upload of uploads.slice(0, 2)) {
      const { body } = sealOf(upload, { index: 0, plaintext: bytesOf('x'), last: true });
      await plant(cluster, upload.version, body, [0, 1, 2]);
    }
    const outcomes = await commit(cluster, session, changes, plan);
    assert.deepEqual(outcomes.map(codeOf), ['done true', 'done true', 'chunks-missing']);
    const many = Array.from({ length: 101 }, (_, at) => ({ ...changes[0], name: at === 100 ? 'n0' : `n${at}` }));
    await rejects(commit(cluster, session, many as WireNameChange[], plan), 'bad-request');
    cluster.stopAll();
  });

  test('a put is committed by its own client with its own ticket only', async () => {
    const cluster = await MemoryCluster.start({ clients: 2 });
    const [session, thief] = [await cluster.session(0), await cluster.session(1)];
    const { plan, upload, body, change } = await prepare(cluster, session, 'a', 'one');
    await plant(cluster, upload.version, body, [0, 1, 2]);
    await rejects(commit(cluster, session, [change()]), 'ticket-invalid');
    await rejects(commit(cluster, thief, [change()], plan), 'ticket-invalid');
    const other = await prepare(cluster, session, 'b', 'two');
    await rejects(commit(cluster, session, [change()], other.plan), 'ticket-invalid');
    assert.equal(codeOf((await commit(cluster, session, [{ ...change(), name: 'z' }], plan))[0]), 'upload-closed');
    cluster.stopAll();
  });
});

type Rule = NonNullable<NonNullable<Parameters<typeof MemoryCluster.create>[0]>['isDurable']>;

/** A chunk at one owner of layout 1 and at one owner of layout 2, neither of which is enough alone. */
const commitAcrossLayouts = async (isDurable?: Rule) => {
  const cluster = await MemoryCluster.create({
    nodes: 3,
    settings: { copies: 2, writeCopies: 2 },
    ...(isDurable ? { isDurable } : {}),
  });
  await cluster.startMaster(0);
  await cluster.startNode(0);
  await cluster.startNode(1);
  await cluster.quiet(2);
  cluster.faultOf = ({ route }) => (route === 'chunk.list' ? { refused: true } : undefined);
  await cluster.startNode(2);
  await cluster.until(async () => (await layoutsOf(cluster)).length === 2);
  await cluster.clock.advance(2_000);
  const session = await cluster.session();
  const newest = await newestLayoutOf(cluster);
  const joiner = cluster.node(2).member.signer.keyHash;
  for (;;) {
    const prepared = await prepare(cluster, session, 'a', 'one');
    const owners = ownersOf(newest, partitionOf(prepared.upload.version, 0));
    if (!owners.includes(joiner)) continue;
    const former = [0, 1].find((at) => !owners.some((owner) => indexOf(cluster, owner) === at)) ?? 0;
    await plant(cluster, prepared.upload.version, prepared.body, [former, 2]);
    const [outcome] = await commit(cluster, session, [prepared.change()], prepared.plan);
    cluster.stopAll();
    return codeOf(outcome);
  }
};

/**
 * Nodes 0 and 1 hold layout 1, nodes 2 and 3 join. While the fourth cannot list yet, the third is complete without
 * having heard of node `silent`, the owner that took the chunk under layout 1; the owner in both layouts takes it now,
 * under `layoutNumber`. Answers the outcome, what resuming was told, and the copies when layout 1 is retired.
 */
const commitAfterListing = async (layoutNumber: number, isDurable?: Rule) => {
  const cluster = await MemoryCluster.create({
    nodes: 4,
    settings: { copies: 2, writeCopies: 2 },
    ...(isDurable ? { isDurable } : {}),
  });
  await cluster.startMaster(0);
  await cluster.startNode(0);
  await cluster.startNode(1);
  await cluster.quiet(2);
  const session = await cluster.session();
  const [silent, last] = [cluster.node(0), cluster.node(3)];
  let blocked = true;
  cluster.faultOf = ({ route, to, fromAddress }) => {
    const refused = route === 'chunk.list' && (to.address === silent.address || fromAddress === last.address);
    return blocked && refused ? { refused } : undefined;
  };
  await cluster.startNode(2);
  await cluster.startNode(3);
  await cluster.until(async () => {
    const bytes = await cluster.node(2).storage.getState('order');
    return bytes !== undefined && Buffer.from(bytes).includes('"completeLayout":2');
  });
  for (;;) {
    const { upload, plan, body, change } = await prepare(cluster, session, 'a', 'one');
    const owners = ownerNodes(cluster, await newestLayoutOf(cluster), upload.version, 0);
    if (!owners.includes(cluster.node(1)) || !owners.includes(cluster.node(2))) continue;
    await plant(cluster, upload.version, body, [0], 1);
    await plant(cluster, upload.version, body, [1], layoutNumber);
    const range = { version: upload.version, from: 0, to: 1 };
    const asked = session.connection.call('upload.held', { ...plan.last, ...range } as never);
    const { held } = (await cluster.during(asked)) as { held: Uint8Array };
    const [outcome] = await commit(cluster, session, [change()], plan);
    blocked = false;
    await cluster.quiet(4);
    const { chunks } = await copiesOf(cluster, upload.version);
    cluster.stopAll();
    return { outcome: codeOf(outcome), held: held[0], chunks };
  }
};

describe('a commit checks', () => {
  test('that every chunk has W copies under one and the same layout', async () => {
    assert.equal(await commitAcrossLayouts(), 'chunks-missing');
  });

  test('mutant: copies added across layouts pass for durable', async () => {
    const added: Rule = (tables, _partition, holders) =>
      new Set(holders.flatMap((nodes) => [...nodes])).size >= Math.max(...tables.map(({ writeCopies }) => writeCopies));
    assert.equal(await commitAcrossLayouts(added), 'done true');
  });

  test('under which layout a copy was taken: a later one does not count for an older layout', async () => {
    const { outcome, held } = await commitAfterListing(2);
    assert.deepEqual([outcome, held], ['chunks-missing', 0]);
    const older = await commitAfterListing(1);
    assert.deepEqual([older.outcome, older.held], ['done true', 1]);
  });

  test('mutant: copies counted whenever they were taken are too few once the old layout is retired', async () => {
    const regardless: Rule = (tables, partition, holders) => {
      const anyone = new Set(holders.flatMap((nodes) => [...nodes]));
      return tables.some((table) => hasWriteQuorum([table], partition, anyone));
    };
    assert.deepEqual(await commitAfterListing(2, regardless), { outcome: 'done true', held: 1, chunks: 1 });
  });

  test('what the owners hold, and not what was reported while uploading', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    const { plan, upload, body, change } = await prepare(cluster, session, 'a', 'one');
    await plant(cluster, upload.version, body, [0]);
    assert.equal(codeOf((await commit(cluster, session, [change()], plan))[0]), 'chunks-missing');
    await plant(cluster, upload.version, body, [1]);
    assert.equal(codeOf((await commit(cluster, session, [change()], plan))[0]), 'done true');
    cluster.stopAll();
  });
});

describe('manifests', () => {
  test('are on W owners before ok; with fewer the answer is write-quorum and a reader finishes it', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    const { plan, upload, body, change } = await prepare(cluster, session, 'a', 'one');
    await plant(cluster, upload.version, body, [0, 1, 2]);
    let stored = 0;
    cluster.faultOf = ({ route }) => (route === 'manifest.store' && ++stored > 1 ? { refused: true } : undefined);
    const made = change();
    assert.equal(codeOf((await commit(cluster, session, [made], plan))[0]), 'write-quorum');
    assert.equal((await copiesOf(cluster, upload.version)).manifests, 1);
    await rejects(
      get(session, 'a').catch((error: unknown) => Promise.reject(error)),
      'write-quorum',
    );
    cluster.faultOf = () => undefined;
    assert.deepEqual(await get(session, 'a'), bytesOf('one'));
    assert.ok((await copiesOf(cluster, upload.version)).manifests >= 2);
    const [again] = await commit(cluster, session, [made], plan);
    assert.equal(again?.done && again.repeated, true);
    cluster.stopAll();
  });

  test('of a master that died after the step are written by the sweep of another', async () => {
    const cluster = await MemoryCluster.start({ masters: 2 });
    const session = await cluster.session();
    const { upload, plan, body, change } = await prepare(cluster, session, 'a', 'one');
    await plant(cluster, upload.version, body, [0, 1, 2]);
    let blocked = true;
    cluster.faultOf = ({ route }) => (blocked && route === 'manifest.store' ? { lost: true } : undefined);
    void session.connection.call('name.commit', { changes: [change()], ...plan.last }).catch(() => undefined);
    await cluster.until(() => cluster.store.pending.size === 1, 1_000);
    cluster.stopMaster(0);
    blocked = false;
    await cluster.until(() => cluster.store.pending.size === 0, 30_000);
    assert.equal((await copiesOf(cluster, upload.version)).manifests, 3);
    assert.deepEqual(await cluster.during(get(session, 'a')), bytesOf('one'));
    cluster.stopAll();
  });

  test('one name that cannot be finished does not stop the others of a batch', async () => {
    const cluster = await MemoryCluster.start({ nodes: 4 });
    const session = await cluster.session();
    const { plan, uploads } = await cluster.during(openUploads(session, ['a', 'b'], undefined));
    const facts = { size: 1, modified: undefined, chunkCount: 1 };
    const changes = uploads.map((upload) => putChange(session, upload, facts, {})(0n, cluster.keyring));
    for (const upload of uploads) {
      const { body } = sealOf(upload, { index: 0, plaintext: bytesOf('x'), last: true });
      await plant(cluster, upload.version, body, [0, 1, 2, 3]);
    }
    const stuck = uploads[0]?.version;
    cluster.faultOf = ({ route, request }) => {
      if (route !== 'manifest.store') return undefined;
      const { manifests } = request as { manifests: Uint8Array[] };
      return manifests.some((record) => parseManifest(record).version === stuck) ? { refused: true } : undefined;
    };
    const [first] = changes;
    if (!first) throw new Error('nothing was prepared');
    assert.equal(codeOf((await commit(cluster, session, [first], plan))[0]), 'write-quorum');
    const outcomes = await commit(cluster, session, changes, plan);
    assert.deepEqual(outcomes.map(codeOf), ['write-quorum', 'done true']);
    cluster.stopAll();
  });

  test('a rename writes the version under its new name and a tombstone, with one sequence', async () => {
    const cluster = await MemoryCluster.start();
    const session = await cluster.session();
    const { version } = await cluster.during(put(session, 'old', bytesOf('one')));
    const { sequence } = await cluster.during(renameFile(session, { from: 'old', to: 'new' }));
    await cluster.clock.advance(1_000);
    const manifests = await cluster.node(0).storage.listManifests(partitionOf(version, 0), undefined, 10);
    const live = manifests.items.find((item) => item.version === version);
    assert.equal(live?.sequence, sequence);
    const all = await Promise.all(
      Array.from({ length: 4_096 }, (_, at) => cluster.node(0).storage.listManifests(at, undefined, 10)),
    );
    const dead = all.flatMap(({ items }) => items).filter(({ state }) => state === 'dead');
    assert.deepEqual(
      dead.map((item) => item.sequence),
      [sequence],
    );
    assert.equal(await cluster.during(get(session, 'old')), undefined);
    assert.deepEqual(await cluster.during(get(session, 'new')), bytesOf('one'));
    await cluster.during(removeFile(session, 'new'));
    assert.equal(await cluster.during(get(session, 'new')), undefined);
    const [owner] = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
    assert.equal((await owner?.storage.getManifest(version))?.state, 'dead');
    cluster.stopAll();
  });
});

describe('what readers see', () => {
  test('a change that came in while a reader looked is durable before it is told', async () => {
    let during: (() => Promise<void>) | undefined;
    const cluster = await MemoryCluster.start({
      registryOf: (registry) =>
        new Proxy(registry, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (typeof value !== 'function') return value;
            return async (...args: unknown[]) => {
              if (key === 'getNames') {
                const hook = during;
                during = undefined;
                await hook?.();
              }
              return Reflect.apply(value, target, args) as unknown;
            };
          },
        }),
    });
    const session = await cluster.session();
    const { upload, plan, body, change } = await prepare(cluster, session, 'a', 'one');
    await plant(cluster, upload.version, body, [0, 1, 2]);
    let blocked = true;
    cluster.faultOf = ({ route }) => (blocked && route === 'manifest.store' ? { lost: true } : undefined);
    during = async () => {
      void session.connection.call('name.commit', { changes: [change()], ...plan.last }).catch(() => undefined);
      while (cluster.store.pending.size === 0) await new Promise((resolve) => setImmediate(resolve));
    };
    const read = get(session, 'a').catch((error: unknown) => error);
    const seen = await cluster.during(read);
    blocked = false;
    assert.ok(seen instanceof OperaError, 'it was told while no node had it');
    cluster.stopAll();
  });

  test('an upload that meets a new layout is opened under it', async () => {
    let first = true;
    const cluster = await MemoryCluster.start({
      registryOf: (registry) =>
        new Proxy(registry, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (typeof value !== 'function') return value;
            return async (...args: unknown[]) => {
              if (key === 'openUploads' && first) {
                first = false;
                throw new OperaError('layout-changed');
              }
              return Reflect.apply(value, target, args) as unknown;
            };
          },
        }),
    });
    const session = await cluster.session();
    await cluster.during(put(session, 'a', bytesOf('one')));
    assert.equal(first, false);
    cluster.stopAll();
  });
});
