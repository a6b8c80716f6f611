// The snapshot that a query is made on, over real masters and nodes: what it names, its tickets, that what it tells is
// durable, and that a rebuild of the registry knows catalogues again from what nodes hold.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { removeFile, renameFile } from '../../../src/client/names.ts';
import type { Session } from '../../../src/client/session.ts';
import { openUploads } from '../../../src/client/upload.ts';
import { sealManifestBody } from '../../../src/crypto/manifest-body.ts';
import { wrapFileKey } from '../../../src/crypto/wrap.ts';
import { checkTicket } from '../../../src/identity/ticket.ts';
import { bytesToHex, parseOperationId, parseVersionId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import type { Registry } from '../../../src/registry/registry.ts';
import type { RoleContext } from '../../../src/roles/context.ts';
import { MasterCore } from '../../../src/roles/master/core.ts';
import type { RestoredName } from '../../../src/registry/restore.ts';
import type { WireNameChange } from '../../../src/wire/messages-names.ts';
import type { AnswerOf } from '../../../src/wire/routes.ts';
import { formatJson } from '../../../src/wire/json.ts';
import { type ClusterOptions, MemoryCluster } from '../../support/memory-cluster.ts';
import { wrap } from '../../support/registry-builders.ts';
import { rejects } from '../../support/refuses.ts';

type Snapshot = AnswerOf<'catalogue.list'>;

/** Nobody stores a chunk here: what matters is what masters and registry know of names. */
const start = async (options: ClusterOptions = {}) => {
  const cluster = await MemoryCluster.start({ isDurable: () => true, ...options });
  return { cluster, session: await cluster.session() };
};

/** The change of a put of two chunks, with the body that a catalogue or an ordinary file has. */
const prepare = async (session: Session, name: string, catalogue: boolean) => {
  const { networkId, connection } = session;
  const { uploads, plan } = await openUploads(session, [name], undefined);
  const [upload] = uploads;
  assert.ok(upload);
  const { version, keys: own, operationId, follows } = upload;
  const facts = { kind: 'file' as const, name, follows, header: own.header, created: '2026-01-01T00:00:00Z' };
  const content = catalogue
    ? { ...facts, size: 30, chunkLengths: [10, 20], chunkRecords: [1, 2] }
    : { ...facts, size: 4 * 1024 * 1024 + 5 };
  const body = sealManifestBody(own.fileKey, networkId, version, 'live', content, connection.random);
  const sealed = {
    version,
    body,
    wrap: wrapFileKey(connection.keys.keyring, networkId, version, own.fileKey, connection.random),
    follows,
  };
  const change: WireNameChange = {
    kind: 'put',
    operationId,
    name,
    sealed,
    chunkCount: 2,
    ...(catalogue ? { catalogue } : {}),
  };
  return { change, plan, version };
};

const putName = async (session: Session, name: string, catalogue = true): Promise<string> => {
  const { change, plan, version } = await prepare(session, name, catalogue);
  const { outcomes } = await session.connection.call('name.commit', { changes: [change], ...plan.last });
  assert.ok(outcomes[0]?.done, `${name} was not committed`);
  return version;
};

const snapshot = (session: Session, prefix?: string, haveLayout = 0): Promise<Snapshot> =>
  session.connection.call('catalogue.list', { haveLayout, ...(prefix === undefined ? {} : { prefix }) });

const namesOf = ({ catalogues }: Snapshot): string[] => catalogues.map(({ name }) => name);

/** What a node would check of a ticket that a client shows for a query about these catalogues. */
const checkQuery = (
  cluster: MemoryCluster,
  ticket: Snapshot['tickets'][number],
  catalogues: Snapshot['catalogues'],
  client = 0,
) =>
  checkTicket(ticket, {
    operation: 'query',
    networkId: cluster.networkId,
    roster: cluster.roster,
    client: cluster.clients[client]?.signer.keyHash ?? assert.fail(),
    versions: catalogues.map(({ version }) => version),
    incarnation: cluster.store.incarnation,
    nowMs: cluster.clock.nowMs(),
    clockOffsetMs: 0,
  });

/** Names as a rebuild would put them: the registry alone knows them. */
const plant = async (cluster: MemoryCluster, names: readonly string[]): Promise<void> => {
  const restored = names.map(
    (name, at): RestoredName => ({
      ...{
        name,
        version: parseVersionId(bytesToHex(cluster.random.bytes(16))),
        sequence: BigInt(at + 1),
        incarnation: 1,
      },
      ...{ operationId: parseOperationId(bytesToHex(cluster.random.bytes(16))), chunkCount: 1, catalogue: true },
      ...{ body: cluster.random.bytes(60), wrap: wrap(), nodes: [] },
    }),
  );
  for (let from = 0; from < restored.length; from += 1_000) {
    const { incarnation } = cluster.store;
    await cluster.registry().restore({ incarnation, names: restored.slice(from, from + 1_000) });
  }
};

describe('the snapshot of catalogues', () => {
  test('is planned by layouts of the last second, and by no older ones', async () => {
    const { cluster } = await start();
    cluster.stopAll();
    const registry = cluster.registry();
    let reads = 0;
    const counted: Registry = Object.create(registry, {
      readLayouts: { value: () => ((reads += 1), registry.readLayouts()) },
      listMembers: { value: () => registry.listMembers() },
    });
    const context = { clock: cluster.clock, networkId: cluster.networkId } as unknown as RoleContext;
    const core = new MasterCore(context, counted);
    const view = await core.recentView();
    await cluster.clock.advance(limits.memberCacheMs - 1);
    assert.equal(await core.recentView(), view);
    assert.equal(reads, 1);
    await cluster.clock.advance(1);
    await core.recentView();
    assert.equal(reads, 2);
    core.forgetMembers();
    await core.recentView();
    core.safety = { mode: 'safe', reason: 'a test' };
    await core.recentView();
    assert.equal(reads, 4, 'neither a change of members nor safe mode is answered from memory');
  });

  test('names every live catalogue in byte order, with a plan and a ticket that nodes accept', async () => {
    const { cluster, session } = await start();
    const work = async () => {
      const empty = await snapshot(session);
      assert.deepEqual([empty.catalogues, empty.tickets, empty.layouts.length], [[], [], 1]);
      await putName(session, 'notes.txt', false);
      await putName(session, 'gaia/b');
      await putName(session, 'gaia/a');
      await putName(session, 'Hipparcos');
      await putName(session, 'gone');
      await removeFile(session, 'gone');
      return snapshot(session);
    };
    const answer = await cluster.during(work());
    assert.deepEqual(namesOf(answer), ['Hipparcos', 'gaia/a', 'gaia/b']);
    for (const { name, version, sequence, chunkCount } of answer.catalogues) {
      const { record } = cluster.store.names.get(name) ?? assert.fail();
      assert.deepEqual([version, sequence, chunkCount], [record.version, record.sequence, 2]);
    }
    assert.equal(answer.nodes.length, 3);
    const [ticket, ...more] = answer.tickets;
    assert.ok(ticket);
    assert.deepEqual(more, []);
    checkQuery(cluster, ticket, answer.catalogues);
    assert.throws(() => checkQuery(cluster, ticket, answer.catalogues.slice(1)), { code: 'ticket-invalid' });
    assert.throws(() => checkQuery(cluster, ticket, answer.catalogues, 1), { code: 'ticket-invalid' });
    const part = await cluster.during(snapshot(session, 'gaia/', answer.layoutNumber));
    assert.deepEqual([namesOf(part), part.layouts], [['gaia/a', 'gaia/b'], []]);
    cluster.stopAll();
  });

  test('follows renames and overwrites, and records say which files are catalogues', async () => {
    const { cluster, session } = await start();
    const work = async () => {
      await putName(session, 'a');
      await renameFile(session, { from: 'a', to: 'b' });
      assert.deepEqual(namesOf(await snapshot(session)), ['b']);
      await putName(session, 'plain', false);
      const { records } = await session.connection.call('name.get', { names: ['b', 'plain', 'a'], haveLayout: 0 });
      assert.deepEqual(
        [records[0]?.catalogue, records[1] && 'catalogue' in records[1], records[2]],
        [true, false, null],
      );
      const listed = await session.connection.call('name.list', { prefix: '', limit: 9 });
      assert.deepEqual(listed.records, records.slice(0, 2));
      await putName(session, 'b', false);
      assert.deepEqual(namesOf(await snapshot(session)), []);
    };
    await cluster.during(work());
    cluster.stopAll();
  });

  test('has a ticket for each thousand, in order, and each is renewed for what it covers', async () => {
    const { cluster, session } = await start();
    const names = Array.from({ length: limits.ticketVersionsMax + 2 }, (_, at) => `c${String(at).padStart(5, '0')}`);
    await plant(cluster, names);
    const { catalogues, tickets } = await cluster.during(snapshot(session));
    assert.deepEqual([catalogues.map(({ name }) => name), tickets.length], [names, 2]);
    const parts = [catalogues.slice(0, limits.ticketVersionsMax), catalogues.slice(limits.ticketVersionsMax)];
    for (const [at, part] of parts.entries()) checkQuery(cluster, tickets[at] ?? assert.fail(), part);
    for (const [at, part] of parts.entries()) {
      const ticket = tickets[at] ?? assert.fail();
      if (at === 0) await cluster.clock.advance(limits.ticketLifeMs + limits.clockToleranceMs);
      const request = { ticket, versions: part.map(({ version }) => version), haveLayout: 0 };
      assert.throws(() => checkQuery(cluster, ticket, part), { code: 'ticket-expired' });
      const renewed = await cluster.during(session.connection.call('ticket.renew', request));
      checkQuery(cluster, renewed.ticket, part);
    }
    cluster.stopAll();
  });

  test('is refused when its names do not fit one answer, and then is had in parts', async () => {
    const { cluster, session } = await start();
    const long = 'x'.repeat(1_000);
    const names = Array.from({ length: 2_900 }, (_, at) => `${at % 2}/${String(at).padStart(5, '0')}${long}`);
    await plant(cluster, names);
    const error = await rejects(cluster.during(snapshot(session)), 'too-large');
    assert.match(error.message, /2900 catalogues .*restrict/);
    const answer = await cluster.during(snapshot(session, '1/'));
    assert.equal(answer.catalogues.length, 1_450);
    const bytes = Buffer.byteLength(formatJson(answer));
    assert.ok(bytes > limits.catalogueListBytes / 3 && bytes < limits.messageBytesMax);
    cluster.stopAll();
  });

  test('tells of no catalogue that could still be lost', async () => {
    const { cluster, session } = await start();
    const { change, plan } = await cluster.during(prepare(session, 'a', true));
    let blocked = true;
    cluster.faultOf = ({ route }) => (blocked && route === 'manifest.store' ? { refused: true } : undefined);
    const request = { changes: [change], ...plan.last };
    const { outcomes } = await cluster.during(session.connection.call('name.commit', request));
    assert.equal(outcomes[0]?.done === false && outcomes[0].code, 'write-quorum');
    assert.equal(cluster.store.pending.size, 1);
    await rejects(cluster.during(snapshot(session)), 'write-quorum');
    assert.deepEqual(namesOf(await cluster.during(snapshot(session, 'b'))), [], 'it stands in nobody else’s way');
    blocked = false;
    assert.deepEqual(namesOf(await cluster.during(snapshot(session))), ['a']);
    assert.equal(cluster.store.pending.size, 0, 'it was finished before it was told');
    cluster.stopAll();
  });
});

describe('without the registry', () => {
  test('a snapshot is not to be had, and names read from the nodes say what they are', async () => {
    const { cluster, session } = await start();
    await cluster.during(Promise.all([putName(session, 'stars'), putName(session, 'text', false)]));
    await cluster.clock.advance(2_000);
    cluster.store.unavailable = true;
    await rejects(cluster.during(snapshot(session)), 'registry-unavailable');
    const request = { names: ['stars', 'text'], haveLayout: 0 };
    const { records } = await cluster.during(session.connection.call('name.get', request));
    assert.deepEqual([records[0]?.catalogue, records[1] && 'catalogue' in records[1]], [true, false]);
    cluster.store.unavailable = false;
    assert.deepEqual(namesOf(await cluster.during(snapshot(session))), ['stars']);
    cluster.stopAll();
  });

  test('a rebuild knows again which names are catalogues, also renamed and overwritten ones', async () => {
    const { cluster, session } = await start();
    const work = async () => {
      for (const name of ['kept', 'moving', 'becomes text', 'gone']) await putName(session, name);
      for (const name of ['text', 'becomes stars']) await putName(session, name, false);
      await renameFile(session, { from: 'moving', to: 'moved' });
      await putName(session, 'becomes text', false);
      await putName(session, 'becomes stars');
      await removeFile(session, 'gone');
    };
    await cluster.during(work());
    const before = await cluster.during(snapshot(session));
    assert.deepEqual(namesOf(before), ['becomes stars', 'kept', 'moved']);
    const { incarnation } = cluster.store;
    cluster.store.clear();
    await cluster.until(async () => {
      const life = await cluster
        .registry()
        .readLife()
        .catch(() => undefined);
      return life !== undefined && life.settled && life.incarnation > incarnation;
    });
    const after = await cluster.during(snapshot(session));
    assert.deepEqual(after.catalogues, before.catalogues);
    assert.equal(cluster.store.names.size, 5);
    cluster.stopAll();
  });
});
