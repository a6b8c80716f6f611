// What goes through a gateway to the masters: whose request it is, which master answers, and which names pass.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Handlers } from '../../../src/client/transport.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import type { OperationId, VersionId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { formatJson } from '../../../src/wire/json.ts';
import type { RequestOf } from '../../../src/wire/routes.ts';
import { GatewayWorld } from '../../support/gateway-world.ts';
import { rejects } from '../../support/refuses.ts';

const worlds: GatewayWorld[] = [];
const create = async () => {
  const made = await GatewayWorld.create();
  worlds.push(made.world);
  return made;
};
after(() => Promise.all(worlds.map((world) => world.close())));

const listing: RequestOf<'name.list'> = { prefix: 'sol', limit: 10 };
const lister = (told: unknown[], name: string): Handlers => ({
  'master.name.list': async ({ request }) => {
    told.push([name, request]);
    return { answer: { records: [] } };
  },
});

test('a request reaches a master with the caller’s key and role, and its answer comes back', async () => {
  const { world, operator } = await create();
  const told: unknown[] = [];
  await world.joinRole(operator, 'master', lister(told, 'a'));
  assert.deepEqual(await operator.call('name.list', listing), { records: [] });
  const { signer, role } = operator.identity();
  assert.deepEqual(told, [['a', { client: signer.keyHash, clientRole: role, request: listing }]]);
});

test('when a master cannot answer, the next one does, and is asked first from then on', async () => {
  const { world, operator } = await create();
  const told: unknown[] = [];
  const asked: string[] = [];
  const ill = await world.joinRole(operator, 'master', {
    'master.name.list': async () => {
      throw new OperaError('registry-unavailable');
    },
  });
  const well = await world.joinRole(operator, 'master', lister(told, 'well'));
  world.network.fault = ({ to, route }) => {
    if (route === 'master.name.list') asked.push(to.address);
  };
  await operator.call('name.list', listing);
  await operator.call('name.list', listing);
  assert.deepEqual(asked, [ill.address, well.address, well.address]);
  world.network.silence(well.address);
  const error = await rejects(operator.call('name.list', listing, { attempts: 1 }), 'registry-unavailable');
  assert.ok(error.requestId, 'it is the word of the last master that was asked');
});

test('without a registry the nodes are asked through the master that lives, be another dead or hung', async () => {
  for (const manner of ['is dead', 'hangs'] as const) {
    const { world, operator } = await create();
    const told: unknown[] = [];
    const cutOff = await world.joinRole(operator, 'master', {
      'master.name.get': async ({ request: { fromNodes } }) => {
        told.push(fromNodes === true ? 'nodes' : 'registry');
        throw new OperaError(fromNodes ? 'not-found' : 'registry-unavailable');
      },
    });
    const other = await world.joinRole(operator, 'master');
    const hung: number[] = [];
    world.network.fault = ({ to, route }) => {
      if (to.address !== other.address || route !== 'master.name.get') return;
      hung.push(world.clock.monotonicMs());
      if (manner === 'hangs') world.clock.shiftMs += limits.relayTryMs;
      throw new OperaError(manner === 'hangs' ? 'timeout' : 'unavailable');
    };
    await rejects(operator.call('name.get', { names: ['f'], haveLayout: 0 }, { attempts: 1 }), 'not-found');
    assert.deepEqual(told, ['registry', 'nodes']);
    assert.equal(hung.length, 1, `${cutOff.address} is asked at once for what the nodes know`);
  }
});

test('what a master refuses is told as it is, and no other master is asked', async () => {
  const { world, operator } = await create();
  let asked = 0;
  const refusing: Handlers = {
    'master.name.list': async () => {
      asked += 1;
      throw new OperaError('conflict', 'another version is current', { details: { version: 'x' } });
    },
  };
  await world.joinRole(operator, 'master', refusing);
  await world.joinRole(operator, 'master', refusing);
  const error = await rejects(operator.call('name.list', listing), 'conflict');
  assert.deepEqual([error.message, error.details, asked], ['another version is current', { version: 'x' }, 1]);
});

test('a quarrel between gateway and master is not told as if it were about the caller', async () => {
  const { world, operator } = await create();
  await rejects(operator.call('name.list', listing, { attempts: 1 }), 'unavailable');
  const master = await world.joinRole(operator, 'master', lister([], 'a'));
  world.network.fault = ({ to }) => {
    if (to.address === master.address) throw new OperaError('forbidden');
  };
  await rejects(operator.call('name.list', listing, { attempts: 1 }), 'unavailable');
});

test('a revoked master is not asked', async () => {
  const { world, operator } = await create();
  const told: unknown[] = [];
  const master = await world.joinRole(operator, 'master', lister(told, 'revoked'));
  const operationId = '00'.repeat(16) as OperationId;
  await operator.call('member.revoke', { memberId: master.context.memberId, operationId });
  await rejects(operator.call('name.list', listing, { attempts: 1 }), 'unavailable');
  assert.deepEqual(told, []);
});

test('names that are not in their one spelling never reach a master, in any place of any request', async () => {
  const { world, operator } = await create();
  await world.joinRole(operator, 'master');
  const sealed = {
    version: '11'.repeat(16) as VersionId,
    body: new Uint8Array(40),
    wrap: new Uint8Array(76),
    follows: 0n,
  };
  const operationId = '00'.repeat(16) as OperationId;
  const seen = world.network.calls.length;
  const bad = ['a/../b', '../../etc/passwd', '/root', 'a//b', 'a/', '.', 'e\u0301', 'a\u0000b', 'a\r\nb', '\u001b[2J'];
  for (const name of bad) {
    const good = 'good';
    await rejects(operator.call('upload.open', { names: [good, name], haveLayout: 0 }), 'bad-name');
    await rejects(operator.call('name.get', { names: [good, name], haveLayout: 0 }), 'bad-name');
    await rejects(operator.call('name.where', { name, from: 0, limit: 1 }), 'bad-name');
    await rejects(operator.call('name.list', { prefix: '', after: name, limit: 1 }), 'bad-name');
    const remove = { kind: 'remove', operationId, name, sealed } as const;
    await rejects(operator.call('name.commit', { changes: [remove] }), 'bad-name');
    const rename = { kind: 'rename', operationId, name: good, to: name, sealed, tombstone: sealed } as const;
    await rejects(operator.call('name.commit', { changes: [rename] }), 'bad-name');
  }
  assert.ok(world.network.calls.slice(seen).every(({ route }) => !route.startsWith('master.')));
});

test('the largest request that a gateway takes is taken by the master, and one byte more by neither', async () => {
  const { world, operator } = await create();
  let asked = 0;
  await world.joinRole(operator, 'master', {
    'master.name.commit': async ({ request }) => {
      asked++;
      return { answer: { outcomes: request.request.changes.map(() => ({ done: false, code: 'not-found' })) } };
    },
  });
  const removal = (name: string): RequestOf<'name.commit'>['changes'][number] => ({
    kind: 'remove',
    operationId: '00'.repeat(16) as OperationId,
    name,
    sealed: {
      version: '00'.repeat(16) as VersionId,
      body: new Uint8Array(1_572_400),
      wrap: new Uint8Array(76),
      follows: 0n,
    },
  });
  const lengthOf = (name: string): number => Buffer.byteLength(formatJson({ changes: [removal('a'), removal(name)] }));
  const most = 'b'.repeat(limits.messageBytesMax - lengthOf(''));
  assert.equal(lengthOf(most), limits.messageBytesMax);
  const { outcomes } = await operator.call('name.commit', { changes: [removal('a'), removal(most)] });
  assert.equal(outcomes.length, 2);
  await rejects(operator.call('name.commit', { changes: [removal('a'), removal(`${most}b`)] }), 'too-large');
  assert.equal(asked, 1, 'the gateway itself refused');
});
