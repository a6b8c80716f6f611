// `index ls` and `index rebuild` through a real gateway, over nodes that are made up: whom the gateway asks, how long
// the verb waits, and what it says of nodes that fail or fall silent.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Handlers } from '../../src/client/transport.ts';
import { indexColumns, indexTrouble, rebuildIndexes } from '../../src/commands/_indexes.ts';
import type { Output } from '../../src/commands/_output.ts';
import { tsvRow } from '../../src/commands/_table.ts';
import { OperaError } from '../../src/errors/errors.ts';
import type { MemberId } from '../../src/model/ids.ts';
import type { AnswerOf } from '../../src/wire/routes.ts';
import { GatewayWorld, type RunningRole } from '../support/gateway-world.ts';
import { rejects } from '../support/refuses.ts';
import { run } from './_host.ts';

const worlds: GatewayWorld[] = [];
after(() => Promise.all(worlds.map((world) => world.close())));

type NodeIndex = AnswerOf<'index.look'>;

/** A node whose index needs `looks` looks after a rebuild until nothing waits. */
class FakeIndex {
  readonly orders: boolean[] = [];
  facts: NodeIndex = {
    mode: 'sealed',
    chunks: 4,
    indexed: 900,
    flagged: 2,
    rejected: 1,
    waiting: 0,
    failed: 0,
    bytes: 8_192,
  };
  isSilent = false;
  readonly looks: number;

  constructor(looks = 0) {
    this.looks = looks;
  }

  readonly handlers: Handlers = {
    'index.look': async ({ request: { rebuild } }) => {
      if (this.isSilent) throw new OperaError('unavailable');
      this.orders.push(rebuild);
      const { waiting } = this.facts;
      this.facts = { ...this.facts, waiting: rebuild ? this.looks : Math.max(0, waiting - 1) };
      return { answer: this.facts };
    },
  };
}

const create = async (...indexes: readonly FakeIndex[]) => {
  const { world, operator } = await GatewayWorld.create();
  worlds.push(world);
  const nodes: RunningRole[] = [];
  for (const { handlers } of indexes) nodes.push(await world.joinRole(operator, 'node', handlers));
  const shown: string[] = [];
  const progress = { add: () => undefined, set: (done: number, of = 0) => shown.push(`${done}/${of}`), end: () => 0 };
  const io = { progress: () => progress } as unknown as Output;
  const base = { io, clock: world.clock, signal: new AbortController().signal };
  const rebuild = (memberId?: MemberId, wait = true) => rebuildIndexes(base, operator, { memberId, wait });
  return { world, operator, nodes, ids: nodes.map(({ context }) => context.memberId as MemberId), rebuild, shown };
};

test('every node is asked how far its index is, and one that fails is listed without figures', async () => {
  const [first, second] = [new FakeIndex(), new FakeIndex()];
  const { operator, nodes, ids } = await create(first, second);
  second.isSilent = true;
  const { nodes: rows } = await operator.call('index.list', {});
  const of = (id: MemberId | undefined) => rows.find(({ memberId }) => memberId === id);
  assert.deepEqual(of(ids[0]), { memberId: ids[0], address: nodes[0]?.address, index: first.facts });
  assert.deepEqual(of(ids[1]), { memberId: ids[1], address: nodes[1]?.address });
  assert.deepEqual(first.orders, [false], 'a look starts nothing');
  const lines = ids.map((id) => rows.filter(({ memberId }) => memberId === id).map((row) => tsvRow(indexColumns, row)));
  assert.deepEqual(lines, [
    [`${ids[0]}\t${nodes[0]?.address}\tsealed\t4\t900\t2\t1\t0\t0\t8192\t`],
    [`${ids[1]}\t${nodes[1]?.address}\t\t\t\t\t\t\t\t\t`],
  ]);
  assert.equal(indexTrouble(rows), `no answer from ${ids[1]}`);
});

test('a rebuild goes to the node that is named or to all, and is waited for until nothing waits', async () => {
  const [first, second] = [new FakeIndex(3), new FakeIndex(1)];
  const { rebuild, ids, shown } = await create(first, second);
  const one = await rebuild(ids[0]);
  assert.deepEqual(
    one.map(({ memberId, index }) => [memberId, index?.waiting]),
    [[ids[0], 0]],
  );
  assert.deepEqual(first.orders, [true, false, false, false]);
  assert.ok(!second.orders.includes(true));
  assert.deepEqual(shown, ['0/3', '1/3', '2/3', '3/3']);
  const all = await rebuild();
  assert.deepEqual(
    all.map(({ index }) => index?.waiting),
    [0, 0],
  );
  assert.ok(second.orders.includes(true));
  const asked = first.orders.length;
  const unwaited = await rebuild(ids[0], false);
  assert.equal(unwaited[0]?.index?.waiting, 3);
  assert.deepEqual(first.orders.slice(asked), [true]);
});

test('chunks that fail, and nodes that fall silent or never answered, are named', async () => {
  const [first, second] = [new FakeIndex(2), new FakeIndex()];
  const { rebuild, ids, operator, nodes, world } = await create(first, second);
  first.facts = { ...first.facts, failed: 2, failure: 'the chunk is altered' };
  assert.equal(indexTrouble(await rebuild(ids[0])), '2 chunks could not be indexed');
  first.facts = { ...first.facts, failed: 0, failure: undefined };
  // It takes the order and falls silent: it is not waited for without end.
  world.network.fault = ({ to, route }) => {
    if (route === 'index.look' && to.address === nodes[0]?.address && first.orders.at(-1)) first.isSilent = true;
  };
  const rows = await rebuild(ids[0]);
  assert.equal(indexTrouble(rows), `no answer from ${ids[0]}`);
  world.network.fault = () => undefined;
  assert.equal(indexTrouble(await rebuild()), `no answer from ${ids[0]}`, 'the other one is rebuilt all the same');
  await rejects(rebuild(ids[0]), 'unavailable');
  await rejects(operator.call('index.rebuild', { memberId: operator.identity().memberId }), 'not-found');
});

test('a client sees the indexes and cannot have them built anew', async () => {
  const node = new FakeIndex();
  const { world, operator, ids } = await create(node);
  const client = world.connect(await world.join(await world.code(operator, 'client'), 'client'));
  const { nodes } = await client.call('index.list', {});
  assert.deepEqual(
    nodes.map(({ memberId }) => memberId),
    ids,
  );
  await rejects(client.call('index.rebuild', {}), 'forbidden');
  assert.deepEqual(node.orders, [false]);
});

test('the verbs say how to get a profile, and take one node at most', async () => {
  for (const args of [
    ['index', 'ls'],
    ['index', 'rebuild'],
  ]) {
    const { exit, stderr } = await run([...args, '--home', '/nonexistent/home']);
    assert.equal(exit, 2);
    assert.match(stderr, /opera join CODE/);
  }
  assert.match((await run(['index', 'rebuild', 'a', 'b'])).stderr, /"b"/);
  assert.equal((await run(['index', 'ls', 'a'])).exit, 2);
  assert.equal((await run(['index'])).exit, 2);
});
