// What a node takes and gives: tickets, hashes, damaged copies, orders that are none of a master's, and isolation.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openUploads, type Upload } from '../../../src/client/upload.ts';
import type { Plan } from '../../../src/client/plan.ts';
import type { Session } from '../../../src/client/session.ts';
import { sha256 } from '../../../src/crypto/digest.ts';
import { encodeManifest } from '../../../src/crypto/manifest.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { issueTicket, parseTicket, subjectOf } from '../../../src/identity/ticket.ts';
import { networkIdFromBytes, operationIdFromBytes, type VersionId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { encodeLayout } from '../../../src/placement/layout.ts';
import { partitionOf } from '../../../src/placement/partition.ts';
import type { ChunkAddress, StorageAdapter } from '../../../src/storage-adapters/storage-adapter.ts';
import { formatJson } from '../../../src/wire/json.ts';
import { type RequestOf, routeFacts, routesOf } from '../../../src/wire/routes.ts';
import { parseWith } from '../../../src/wire/schema.ts';
import { copiesOf, get, newestLayoutOf, ownerNodes, put } from '../../support/cluster-client.ts';
import { type ClusterNode, MemoryCluster } from '../../support/memory-cluster.ts';
import { refuses, rejects } from '../../support/refuses.ts';
import { createSeededMember, SeededRandom } from '../../support/seeded.ts';

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const body = Buffer.alloc(80, 3);

interface World {
  readonly cluster: MemoryCluster;
  readonly session: Session;
  readonly plan: Plan;
  readonly upload: Upload;
  readonly owner: ClusterNode;
}

const world = async (options: Parameters<typeof MemoryCluster.start>[0] = {}): Promise<World> => {
  const cluster = await MemoryCluster.start(options);
  const session = await cluster.session();
  const { plan, uploads } = await cluster.during(openUploads(session, ['a'], undefined));
  const [upload] = uploads;
  if (!upload) throw new Error('nothing was opened');
  const [owner] = ownerNodes(cluster, await newestLayoutOf(cluster), upload.version, 0);
  if (!owner) throw new Error('nobody owns it');
  return { cluster, session, plan, upload, owner };
};

/** Names of the fields of a message, at any depth. */
const fieldsOf = (schema: unknown): string[] => {
  if (typeof schema !== 'object' || schema === null) return [];
  const { entries = {}, ...inner } = schema as { readonly entries?: object };
  const below = [...Object.values(entries), ...Object.values(inner).flat()];
  return [...Object.keys(entries), ...below.flatMap(fieldsOf)];
};

const to = ({ address, member }: ClusterNode) => ({ address, expect: { memberId: member.memberId } });

const storeRequest = ({ plan, upload }: World, bytes: Uint8Array = body): RequestOf<'chunk.store'> => ({
  ...plan.last,
  chunks: [{ version: upload.version, index: 0, length: bytes.length, hash: sha256(bytes) }],
});

const store = (at: World, request: RequestOf<'chunk.store'>, bytes: Uint8Array = body, client = 0) => {
  const member = at.cluster.clients[client];
  if (!member) throw new Error('there is no such client');
  const call = at.cluster.transportOf(member).call(to(at.owner), 'chunk.store', request, { binary: [bytes] });
  return at.cluster.during(call);
};

describe('storing', () => {
  test('a chunk is on W owners when it is answered; repeating is harmless, other bytes are refused', async () => {
    const at = await world();
    const { answer } = await store(at, storeRequest(at));
    assert.ok((answer.copies[0] ?? 0) >= 2);
    assert.equal((await store(at, storeRequest(at))).answer.outcomes[0], 'present');
    const other = Buffer.alloc(80, 4);
    await rejects(store(at, storeRequest(at, other), other), 'hash-conflict');
    await rejects(store(at, storeRequest(at), other), 'integrity');
    await rejects(store(at, storeRequest(at), Buffer.alloc(81, 3)), 'bad-request');
    await rejects(store(at, storeRequest(at), Buffer.alloc(79, 3)), 'bad-request');
    at.cluster.stopAll();
  });

  test('a ticket is for its client, versions, operation, time and life of the registry', async () => {
    const at = await world();
    const { cluster, plan } = at;
    await rejects(store(at, storeRequest(at), body, 1), 'ticket-invalid');
    const foreign = { ...storeRequest(at), versions: ['0'.repeat(32) as never] };
    await rejects(store(at, foreign), 'ticket-invalid');
    const master = cluster.masters[0]?.member.signer;
    const gateway = createSeededMember('gateway', new SeededRandom('founding')).signer;
    if (!master) throw new Error('no master');
    const fields = parseTicket(plan.last.ticket.bytes);
    const with_ = (change: object, signer = master) => ({
      ...storeRequest(at),
      ticket: issueTicket({ ...fields, ...change }, signer),
    });
    await rejects(store(at, with_({ operation: 'get' })), 'ticket-invalid');
    await rejects(store(at, with_({}, gateway)), 'ticket-invalid');
    await rejects(store(at, with_({ networkId: networkIdFromBytes(new Uint8Array(16)) })), 'ticket-invalid');
    await rejects(store(at, with_({ incarnation: 0 })), 'ticket-expired');
    await rejects(store(at, with_({ layoutNumber: 0 })), 'layout-changed');
    await rejects(store(at, with_({ layoutNumber: 2 })), 'not-ready');
    await rejects(store(at, with_({ chunkLimit: 0 })), 'ticket-invalid');
    await rejects(store(at, with_({ subject: subjectOf([]) })), 'ticket-invalid');
    const [chunk] = storeRequest(at).chunks;
    assert.ok(chunk);
    const smuggled = { ...storeRequest(at), chunks: [{ ...chunk, version: 'f'.repeat(32) as never }] };
    await rejects(store(at, smuggled), 'ticket-invalid');
    await store(at, storeRequest(at));
    await cluster.clock.advance(limits.ticketLifeMs + limits.clockToleranceMs);
    await rejects(store(at, storeRequest(at)), 'ticket-expired');
    cluster.stopAll();
  });

  test('a full node refuses, and the put goes to the others', async () => {
    const full = new Set<number>([0]);
    const cluster = await MemoryCluster.start({
      storageOf: (storage, index) =>
        new Proxy<StorageAdapter>(storage, {
          get: (target, key) => {
            if (key === 'putChunks' && full.has(index)) return () => Promise.reject(new OperaError('no-space'));
            const value: unknown = Reflect.get(target, key, target);
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        }),
    });
    const session = await cluster.session();
    for (let at = 0; at < 6; at++) {
      const { version } = await cluster.during(put(session, `f${at}`, bytesOf('x')));
      assert.equal((await copiesOf(cluster, version)).chunks, 2);
    }
    full.add(1);
    await rejects(cluster.during(put(session, 'g', bytesOf('x'))), 'no-space', 'write-quorum');
    cluster.stopAll();
  });

  test('a paused owner delays no put that another owner takes for longer than a moment', async () => {
    const at = await world();
    const paused = at.cluster.node(2).member.memberId;
    at.cluster.faultOf = ({ to: { expect } }) =>
      'memberId' in expect && expect.memberId === paused ? { lost: true } : undefined;
    const took: number[] = [];
    for (let count = 0; count < 20; count++) {
      const began = at.cluster.clock.monotonicMs();
      const { version } = await at.cluster.during(put(at.session, `f${count}`, bytesOf('x')));
      assert.equal((await copiesOf(at.cluster, version)).chunks, 2);
      took.push(at.cluster.clock.monotonicMs() - began);
    }
    // A client that asks the paused one first tries another as soon as it shows no sign of life, and asks it last then.
    const silentMs = limits.silenceMs + limits.silencePingMs;
    const first = took.filter((ms) => ms >= silentMs);
    assert.ok(first.length <= 2, `puts took ${took.join(', ')} ms`);
    assert.ok(Math.max(...took) <= silentMs + limits.lateCopyWaitMs + 200, `puts took ${took.join(', ')} ms`);
    const others = took.filter((ms) => ms < silentMs);
    assert.ok(Math.max(...others) <= limits.lateCopyWaitMs + 200, `puts took ${took.join(', ')} ms`);
    at.cluster.stopAll();
  });

  test('a commit that a node could not pass on does not fail the store', async () => {
    const at = await world();
    at.cluster.faultOf = ({ from, route }) =>
      route === 'master.name.commit' && from?.role === 'node' ? { refused: true } : undefined;
    await at.cluster.during(put(at.session, 'a', bytesOf('x')));
    assert.deepEqual(await at.cluster.during(get(at.session, 'a')), bytesOf('x'));
    at.cluster.stopAll();
  });
});

describe('reading', () => {
  test('a copy that was altered on disk is not given, and a read finds a good one', async () => {
    const altered = new Set<number>();
    const cluster = await MemoryCluster.start({
      storageOf: (storage, index) =>
        new Proxy<StorageAdapter>(storage, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (key === 'getChunk') {
              return async (...args: Parameters<StorageAdapter['getChunk']>) => {
                const found = await target.getChunk(...args);
                if (!found || !altered.has(index)) return found;
                if (index === 1) throw new OperaError('integrity', 'the row cannot be read');
                return { ...found, body: found.body.map((byte, at) => (at === 5 ? byte ^ 1 : byte)) };
              };
            }
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        }),
    });
    const session = await cluster.session();
    const { version } = await cluster.during(put(session, 'a', bytesOf('precious')));
    await cluster.clock.advance(1_000);
    altered.add(0).add(1);
    const reader = cluster.transportOf(cluster.node(2).member);
    for (const bad of [0, 1]) {
      const request = { chunks: [{ version, index: 0 }] };
      const { answer } = await cluster.during(reader.call(to(cluster.node(bad)), 'chunk.read', request));
      assert.equal(answer.chunks[0]?.length, 0, 'held, but altered');
    }
    assert.ok(cluster.lines.some((line) => line.includes('chunk-altered')));
    assert.deepEqual(await cluster.during(get(session, 'a')), bytesOf('precious'));
    altered.add(2);
    await rejects(cluster.during(get(session, 'a')), 'integrity');
    cluster.stopAll();
  });

  test('a client needs a ticket, ranges are cut, and what does not fit is asked for again', async () => {
    const at = await world({ settings: { copies: 1, writeCopies: 1 }, nodes: 1 });
    const { cluster, upload } = at;
    const { version } = upload;
    const big = Buffer.alloc(3 * 1024 * 1024, 9);
    const chunks = [0, 1, 2, 3].map((index) => {
      const at = { version, index, partition: partitionOf(version, index), servedHour: 0, layoutNumber: 1 };
      return { ...at, hash: sha256(big), body: big };
    });
    await at.owner.storage.putChunks(chunks);
    const [client] = cluster.clients;
    if (!client) throw new Error('no client');
    const node = cluster.transportOf(at.owner.member);
    const asked = { chunks: [0, 1, 2, 3].map((index) => ({ version, index })) };
    const call = cluster.transportOf(client).call(to(at.owner), 'chunk.read', asked);
    await rejects(cluster.during(call), 'ticket-invalid');
    const { answer, binary } = await cluster.during(node.call(to(at.owner), 'chunk.read', asked));
    assert.equal(answer.more, true);
    assert.equal(answer.chunks.length, 2);
    assert.equal(binary.length, 2 * big.length);
    const range = { chunks: [{ version, index: 1, from: 10, to: 30 }] };
    const part = await cluster.during(node.call(to(at.owner), 'chunk.read', range));
    assert.deepEqual([part.binary.length, part.answer.chunks[0]?.totalLength], [20, big.length]);
    cluster.stopAll();
  });

  test('a ticket to read is for its client, its versions and their chunks', async () => {
    const at = await world();
    const { cluster, session } = at;
    const { version } = await cluster.during(put(session, 'read', bytesOf('x')));
    const { version: other } = await cluster.during(put(session, 'other', bytesOf('y')));
    const { ticket } = await cluster.during(session.connection.call('name.get', { names: ['read'], haveLayout: 0 }));
    assert.ok(ticket);
    const [owner] = ownerNodes(cluster, await newestLayoutOf(cluster), version, 0);
    assert.ok(owner);
    const read = (versions: readonly VersionId[], chunks: readonly ChunkAddress[], client = 0, by = ticket) => {
      const member = cluster.clients[client];
      assert.ok(member);
      const request = { ticket: by, versions: [...versions], chunks: [...chunks] };
      return cluster.during(cluster.transportOf(member).call(to(owner), 'chunk.read', request));
    };
    const first = { version, index: 0 };
    assert.ok((await read([version], [first])).binary.length > 0);
    await rejects(read([version], [first], 1), 'ticket-invalid');
    await rejects(read([other], [{ version: other, index: 0 }]), 'ticket-invalid');
    await rejects(read([version], [first, { version: other, index: 0 }]), 'ticket-invalid');
    await rejects(read([version, other], [first, { version: other, index: 0 }]), 'ticket-invalid');
    const master = cluster.masters[0]?.member.signer;
    assert.ok(master);
    const ofOneChunk = issueTicket({ ...parseTicket(ticket.bytes), chunkLimit: 1 }, master);
    const beyond = [first, { version, index: 1 }];
    await rejects(read([version], beyond, 0, ofOneChunk), 'ticket-invalid');
    await rejects(read([version], [...beyond].reverse(), 0, ofOneChunk), 'ticket-invalid');
    assert.ok((await read([version], [first], 0, ofOneChunk)).binary.length > 0);
    cluster.stopAll();
  });

  test('a listing that goes on from a partition that was not asked for is refused', async () => {
    const at = await world();
    const after = { partition: 9, version: at.upload.version, index: 0 };
    const request = { partitions: [1, 2], limit: 10, after };
    const call = at.cluster.transportOf(at.cluster.node(1).member).call(to(at.owner), 'chunk.list', request);
    await rejects(at.cluster.during(call), 'bad-request');
    at.cluster.stopAll();
  });
});

describe('orders', () => {
  test('come from masters alone, and no message names an address that a node would dial', async () => {
    const at = await world();
    const { cluster, owner } = at;
    const layout = await newestLayoutOf(cluster);
    const records = (await cluster.registry().readLayouts()).unretired.map((stored) => stored.layout);
    const instance = 'f'.repeat(32);
    const order = { epoch: 9n, instance, incarnation: 1, layouts: records, retiredUpTo: 0, peers: [] };
    const others = [cluster.clients[0], cluster.node(1).member];
    for (const member of others) {
      if (!member) throw new Error('nobody');
      const transport = cluster.transportOf(member);
      await rejects(cluster.during(transport.call(to(owner), 'layout.adopt', order)), 'forbidden');
      const covered = { epoch: 9n, instance, number: 1 };
      await rejects(cluster.during(transport.call(to(owner), 'layout.covered', covered)), 'forbidden');
    }
    const naming = routesOf('node', 'mesh').filter((route) =>
      fieldsOf(routeFacts(route).request).some((field) => /address|url|source|host|peer/i.test(field)),
    );
    assert.deepEqual(naming, ['layout.adopt']);
    assert.deepEqual(routeFacts('layout.adopt').allow, ['master']);
    // A master names addresses, and nothing that could turn into another request; who answers is checked (transport).
    for (const address of ['169.254.169.254/latest?:80', 'http://127.0.0.1:6379', 'a@127.0.0.1:6379', '[::1]', '']) {
      const entry = { memberId: owner.member.memberId, keyHash: owner.member.signer.keyHash, role: 'node' };
      const peer = { ...entry, address, zone: '', state: 'up' };
      refuses(
        () => parseWith(routeFacts('layout.adopt').request, JSON.parse(formatJson({ ...order, peers: [peer] }))),
        'bad-request',
      );
    }
    assert.equal(layout.number, 1);
    cluster.stopAll();
  });

  test('of a leader that was overtaken are refused, and layouts that no master signed', async () => {
    const at = await world();
    const { cluster, owner } = at;
    const master = cluster.masters[0]?.member;
    if (!master) throw new Error('no master');
    const transport = cluster.transportOf(master);
    const [stored] = (await cluster.registry().readLayouts()).unretired;
    const layout = await newestLayoutOf(cluster);
    if (!stored) throw new Error('no layout');
    const leader = { epoch: 1n, instance: cluster.store.lease?.instance ?? '', incarnation: 1 };
    const order = { ...leader, layouts: [{ ...stored.layout }], retiredUpTo: 0, peers: [] };
    const adopt = (change: object) =>
      cluster.during(transport.call(to(owner), 'layout.adopt', { ...order, ...change }));
    const sign = (fields: object, signer = master.signer) => [
      { bytes: encodeLayout({ ...layout, ...fields }, signer), signerSpki: signer.spki },
    ];
    await rejects(adopt({ layouts: sign({ number: 2 }, cluster.node(1).member.signer) }), 'integrity');
    await rejects(
      adopt({ layouts: sign({ networkId: networkIdFromBytes(new Uint8Array(16)), number: 2 }) }),
      'wrong-network',
    );
    await rejects(adopt({ layouts: sign({ leaderEpoch: 7n }) }), 'conflict');
    assert.ok(cluster.lines.some((line) => line.includes('layout-conflict')));
    const promised = { epoch: 5n, instance: 'f'.repeat(32) };
    assert.equal((await cluster.during(transport.call(to(owner), 'leader.promise', promised))).answer.promised, true);
    await rejects(adopt({}), 'stale-leader');
    await rejects(adopt({ epoch: 5n }), 'stale-leader');
    await rejects(adopt({ ...promised, incarnation: 0 }), 'stale-incarnation');
    cluster.stopAll();
  });

  test('manifests are taken from a master that signed them, in the current life and layout only', async () => {
    const at = await world();
    const { cluster, owner, upload } = at;
    const master = cluster.masters[0]?.member;
    if (!master) throw new Error('no master');
    const transport = cluster.transportOf(master);
    const fields = {
      state: 'live' as const,
      network: cluster.networkId,
      version: upload.version,
      sequence: 5n,
      incarnation: 1,
      operationId: operationIdFromBytes(new Uint8Array(16)),
      body: Buffer.alloc(60, 1),
      wrap: Buffer.alloc(76, 1),
    };
    const send = (change: object, request: object = {}, signer = master.signer) => {
      const manifests = [encodeManifest({ ...fields, ...change }, signer)];
      const message = { incarnation: 1, layoutNumber: 1, manifests, ...request };
      return cluster.during(transport.call(to(owner), 'manifest.store', message));
    };
    await rejects(send({}, {}, cluster.node(1).member.signer), 'integrity', 'forbidden');
    await rejects(send({ network: networkIdFromBytes(new Uint8Array(16)) }), 'wrong-network');
    await rejects(send({}, { incarnation: 0 }), 'stale-incarnation');
    await rejects(send({}, { layoutNumber: 0 }), 'layout-changed');
    assert.deepEqual((await send({})).answer.outcomes, ['stored']);
    assert.deepEqual((await send({ sequence: 4n })).answer.outcomes, ['stale']);
    assert.equal((await owner.storage.getManifest(upload.version))?.sequence, 5n);
    cluster.stopAll();
  });
});

describe('isolation', () => {
  const cut = (at: World): void => {
    const { memberId } = at.owner.member;
    at.cluster.faultOf = ({ from, to: { expect }, route }) => {
      const out = from?.memberId === memberId;
      const into =
        'memberId' in expect && expect.memberId === memberId && (from?.role === 'master' || route === 'ping');
      return out || into ? { lost: true } : undefined;
    };
  };

  test('a node cut off for a minute answers strangers 503, and serves again after contact', async () => {
    const at = await world({ masters: 4 });
    cut(at);
    await at.cluster.clock.advance(limits.isolationMs - 5_000);
    const fresh = await at.cluster.during(openUploads(at.session, ['a'], undefined));
    const [upload] = fresh.uploads;
    if (!upload) throw new Error('nothing was opened');
    await at.cluster.clock.advance(30_000);
    await rejects(store(at, storeRequest(at)), 'isolated');
    at.cluster.faultOf = () => undefined;
    await at.cluster.clock.advance(20_000);
    const plan = await at.cluster.during(at.plan.renew(at.plan.last.ticket).then(() => at.plan));
    await store(at, storeRequest({ ...at, plan }));
    at.cluster.stopAll();
  });

  test('a registry out of reach isolates nobody: masters answer, if only with an error', async () => {
    const at = await world();
    at.cluster.store.unavailable = true;
    await at.cluster.clock.advance(limits.isolationMs * 2);
    await rejects(store(at, storeRequest(at)), 'ticket-expired');
    at.cluster.stopAll();
  });

  test('a process that stood still does not take its own pause for silence', async () => {
    const at = await world();
    cut(at);
    await at.cluster.clock.advance(40_000);
    await at.cluster.clock.stall(limits.isolationMs);
    await rejects(store(at, storeRequest(at)), 'ticket-expired');
    at.cluster.stopAll();
  });
});
