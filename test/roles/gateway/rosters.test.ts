// Changing and spreading the roster: two gateways, lost races, lost registries, forks, and who must have confirmed.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { joinNetwork } from '../../../src/client/join-network.ts';
import { openKeyBox, parseKeyBox } from '../../../src/crypto/key-box.ts';
import { createX25519, recoveryKeyHashOf } from '../../../src/crypto/x25519.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { exportAuthorityScalar } from '../../../src/identity/authority.ts';
import { prepareIdentity } from '../../../src/identity/identity-folder.ts';
import { findMember, isValidMember, parseRoster } from '../../../src/identity/roster.ts';
import { nextRoster } from '../../../src/identity/roster-rules.ts';
import type { OperationId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import type { Connection } from '../../../src/client/connection.ts';
import { GatewayWorld, random, type RunningGateway } from '../../support/gateway-world.ts';
import { createTestMember } from '../../support/identity-network.ts';
import { eventually } from '../../support/eventually.ts';
import { rejects } from '../../support/refuses.ts';

const worlds: GatewayWorld[] = [];
const create = async () => {
  const made = await GatewayWorld.create();
  worlds.push(made.world);
  return made;
};
after(() => Promise.all(worlds.map((world) => world.close())));

const operationId = '00'.repeat(16) as OperationId;
const offline = (address: string) => new OperaError('unavailable', `${address} cannot be reached`);

const addGateway = async (world: GatewayWorld, operator: Connection): Promise<RunningGateway> => {
  const [mesh, joinAddress] = [world.address(), world.address()];
  const open = await world.join(await world.code(operator, 'gateway'), 'gateway', [mesh]);
  return world.run(open, mesh, joinAddress);
};

const joinThrough = (code: string, from: RunningGateway, to: RunningGateway): string =>
  code.replace(from.join, to.join);

const newestOf = async (world: GatewayWorld) => {
  const record = await world.registry().readRoster();
  return parseRoster(record?.bytes ?? assert.fail('the registry has no roster'));
};

test('a second gateway holds the authority, admits members, and serves when the first is gone', async () => {
  const { world, first, operator } = await create();
  const second = await addGateway(world, operator);
  assert.deepEqual(
    exportAuthorityScalar(second.open.identity.authority ?? assert.fail('no authority')),
    exportAuthorityScalar(first.open.identity.authority ?? assert.fail('no authority')),
  );
  await operator.refresh();
  const code = joinThrough(await world.code(operator, 'client'), first, second);
  world.network.silence(first.mesh);
  world.network.silence(first.join);
  const open = await world.join(code, 'client');
  const { members } = await operator.call('member.list', {});
  assert.ok(members.some(({ memberId }) => memberId === open.identity.memberId));
});

test('two gateways that change the roster at once both succeed, one after the other', async () => {
  const { world, first, operator } = await create();
  const second = await addGateway(world, operator);
  const codes = await Promise.all([0, 1, 2, 3].map(() => world.code(operator, 'client')));
  const joined = await Promise.all(
    codes.map((code, at) => world.join(at % 2 ? code : joinThrough(code, first, second), 'client')),
  );
  const roster = await newestOf(world);
  assert.equal(roster.number, 6n);
  for (const { identity } of joined) assert.ok(isValidMember(roster, identity.signer.keyHash, 'client'));
});

test('a join is answered only when a majority of the nodes have the roster', async () => {
  const { world, first, operator } = await create();
  const nodes = [
    await world.joinRole(operator, 'node'),
    await world.joinRole(operator, 'node'),
    await world.joinRole(operator, 'node'),
  ] as const;
  const away = new Set([nodes[0].address, nodes[1].address]);
  world.network.fault = ({ to }) => {
    if (away.has(to.address)) throw offline(to.address);
  };
  const code = await world.code(operator, 'client');
  const { identityFolder } = world.homeOf('patient');
  const keys = await prepareIdentity(identityFolder);
  const options = { code, role: 'client', keys, addresses: [], clock: world.clock, link: world.link() } as const;
  await rejects(joinNetwork(options), 'write-quorum');
  away.delete(nodes[1].address);
  const { roster } = await joinNetwork(options);
  assert.equal(nodes[1].open.rosters.roster.number, roster.number);
  assert.equal(nodes[2].open.rosters.roster.number, roster.number);
  assert.ok(nodes[0].open.rosters.roster.number < roster.number);
  assert.equal(first.open.rosters.roster.members.length, 6);
});

test('a revoked member is refused at once; the answer names who has confirmed and who has not', async () => {
  const { world, operator } = await create();
  const near = await world.joinRole(operator, 'node');
  const far = await world.joinRole(operator, 'node');
  const client = world.connect(await world.join(await world.code(operator, 'client'), 'client'));
  await client.call('member.list', {});
  world.network.fault = ({ to }) => {
    if (to.address === far.address) throw offline(to.address);
  };
  const { memberId } = client.identity();
  const answer = await operator.call('member.revoke', { memberId, operationId });
  assert.ok(answer.confirmed.includes(near.context.memberId));
  assert.deepEqual(answer.unconfirmed, [far.context.memberId]);
  assert.equal(findMember(near.open.rosters.roster, client.identity().signer.keyHash)?.state, 'revoked');
  await rejects(client.call('member.list', {}), 'revoked');
  const again = await operator.call('member.revoke', { memberId, operationId });
  assert.equal(again.rosterNumber, answer.rosterNumber, 'repeating it changes nothing');
  const { events } = await operator.call('event.list', { limit: 100 });
  assert.equal(events.filter(({ kind }) => kind === 'member-revoked').length, 1);
});

test('a member that serves and is in no registry any more has not confirmed', async () => {
  const { world, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const client = await world.join(await world.code(operator, 'client'), 'client');
  world.store.members.delete(node.context.memberId);
  const answer = await operator.call('member.revoke', { memberId: client.identity.memberId, operationId });
  assert.deepEqual(answer.unconfirmed, [node.context.memberId]);
});

test('the last gateway and a stranger cannot be revoked, and only operators revoke', async () => {
  const { world, first, operator } = await create();
  const { memberId } = first.open.identity;
  await rejects(operator.call('member.revoke', { memberId, operationId }), 'forbidden');
  const stranger = createTestMember('node').memberId;
  await rejects(operator.call('member.revoke', { memberId: stranger, operationId }), 'not-found');
  const client = world.connect(await world.join(await world.code(operator, 'client'), 'client'));
  await rejects(client.call('member.revoke', { memberId: operator.identity().memberId, operationId }), 'forbidden');
  assert.equal(first.open.rosters.roster.number, 2n);
});

test('a registry that fell back to an older roster gets the newest one again, and nothing is forgotten', async () => {
  const { world, operator } = await create();
  const old = world.store.roster;
  const open = await world.join(await world.code(operator, 'client'), 'client');
  const { memberId } = open.identity;
  await operator.call('member.revoke', { memberId, operationId });
  world.store.roster = old;
  await world.join(await world.code(operator, 'client'), 'client');
  const roster = await newestOf(world);
  assert.equal(roster.number, 4n);
  assert.equal(findMember(roster, open.identity.signer.keyHash)?.state, 'revoked');
});

test('two rosters of one number become one that honours the revocations of both', async () => {
  const { world, first, operator } = await create();
  const second = await addGateway(world, operator);
  const [a, b] = [
    await world.join(await world.code(operator, 'client'), 'client'),
    await world.join(await world.code(operator, 'client'), 'client'),
  ];
  const base = first.open.rosters.roster;
  await second.open.rosters.accept(await first.open.rosters.since(second.open.rosters.roster.number));
  const forked = nextRoster(base, { revoke: [b.identity.signer.keyHash] }, second.open.identity.signer);
  await operator.call('member.revoke', { memberId: a.identity.memberId, operationId });
  const { number, hash, keyEpoch } = parseRoster(forked.bytes);
  world.store.roster = { number, hash, record: forked };
  world.store.keyEpoch = keyEpoch;
  await world.join(await world.code(operator, 'client'), 'client');
  const roster = await newestOf(world);
  for (const { identity } of [a, b]) assert.equal(findMember(roster, identity.signer.keyHash)?.state, 'revoked');
  assert.equal(first.open.rosters.roster.number, roster.number);
  assert.ok(world.lines.some((line) => line.includes('roster-fork')));
});

test('members that are behind are brought up to date by the rounds of any gateway', async () => {
  const { world, first, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  let away = true;
  world.network.fault = ({ to }) => {
    if (away && to.address === node.address) throw offline(to.address);
  };
  const client = await world.join(await world.code(operator, 'client'), 'client').catch(() => undefined);
  assert.equal(client, undefined, 'the only node is the majority');
  away = false;
  void first.gateway.start();
  await eventually(() => node.open.rosters.roster.number === first.open.rosters.roster.number);
});

test('a member that missed a revocation hears of it in two rounds of a gateway, less than five seconds', async () => {
  const { world, first, operator } = await create();
  await world.joinRole(operator, 'node');
  const far = await world.joinRole(operator, 'node');
  const client = await world.join(await world.code(operator, 'client'), 'client');
  const key = client.identity.signer.keyHash;
  world.network.fault = ({ to }) => {
    if (to.address === far.address) throw offline(to.address);
  };
  const { memberId } = world.connect(client).identity();
  await operator.call('member.revoke', { memberId, operationId });
  const hasHeard = (): boolean => !isValidMember(far.open.rosters.roster, key);
  assert.equal(hasHeard(), false);
  world.network.fault = () => undefined;
  // Two things are done every so often; each pauses once a round.
  let pauses = 0;
  const sleep = world.clock.sleep.bind(world.clock);
  world.clock.sleep = (ms, options) => {
    if (ms === limits.rosterPollMs && !hasHeard()) pauses++;
    return sleep(ms, options);
  };
  void first.gateway.start();
  await eventually(hasHeard);
  assert.ok(pauses <= 4, `${pauses / 2} rounds`);
  assert.ok(2 * limits.rosterPollMs < 5_000);
});

test('a member that slept while every gateway it knew was replaced comes back through the join listener', async () => {
  const { world, first, operator } = await create();
  const sleeper = await world.join(await world.code(operator, 'client'), 'client');
  const second = await addGateway(world, operator);
  await operator.refresh();
  await operator.call('member.revoke', { memberId: first.context.memberId, operationId }).catch(() => undefined);
  world.network.silence(first.mesh);
  world.network.silence(first.join);
  void second.gateway.start();
  await eventually(() => !isValidMember(second.open.rosters.roster, first.open.identity.signer.keyHash));
  const profile = { ...sleeper.profile, gateways: [second.mesh], joinAddresses: [second.join] };
  const awake = world.connect({ ...sleeper, profile });
  const { members } = await awake.call('member.list', {});
  assert.equal(members.find(({ memberId }) => memberId === first.context.memberId)?.revoked, true);
  assert.ok(awake.rosters.roster.number >= 4n);
});

test('a recovery key opens the network key and the key of the authority from what a node holds', async () => {
  const { world, first, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const late = await world.joinRole(operator, 'node');
  const kit = createX25519(random);
  let away = true;
  world.network.fault = ({ to, route }) => {
    if (away && to.address === late.address && route === 'keys.put') throw offline(to.address);
  };
  const answer = await operator.call('recovery.add', { agreementKey: kit.publicKey });
  assert.equal(answer.recoveryKeys, 1);
  const again = await operator.call('recovery.add', { agreementKey: kit.publicKey });
  assert.deepEqual([again.recoveryKeys, again.rosterNumber], [1, answer.rosterNumber]);
  const boxesAt = ({ open }: typeof node) =>
    open.keys.records.keyBoxes
      .map(({ bytes }) => parseKeyBox(bytes))
      .filter(({ recipient }) => recipient === recoveryKeyHashOf(kit.publicKey));
  const boxes = boxesAt(node);
  assert.deepEqual(boxes.map(({ kind }) => kind).sort(), [2, 3]);
  const { networkId, authority } = first.open.identity;
  for (const box of boxes) {
    const expected =
      box.kind === 3 ? first.open.keys.keyring.newest.key : exportAuthorityScalar(authority ?? assert.fail());
    assert.deepEqual(openKeyBox(networkId, box, kit.privateKey), expected);
  }
  assert.equal(boxesAt(late).length, 0);
  away = false;
  void first.gateway.start();
  await eventually(() => boxesAt(late).length === 2);
});

test('members are handed their own box only; masters and sentinels get no keys at all', async () => {
  const { world, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  for (const role of ['master', 'sentinel'] as const) {
    const { open } = await world.joinRole(operator, role);
    assert.equal(open.keys.hasKeys, false);
    assert.equal(open.keys.records.keyBoxes.length, 0);
  }
  const seen: number[] = [];
  const client = await world.join(await world.code(operator, 'client'), 'client');
  const transport = world.connect(client).transport;
  const to = { address: client.profile.gateways[0] ?? '', expect: { role: 'gateway' } } as const;
  const { answer } = await transport.call(to, 'member.announce', { addresses: [], zone: '', capacityBytes: 0 });
  for (const { bytes } of answer.keyBoxes) {
    const box = parseKeyBox(bytes);
    assert.equal(box.recipient, client.identity.signer.keyHash);
    seen.push(box.kind);
  }
  assert.deepEqual(seen, [1]);
  await world.announce(node);
  assert.ok(node.open.keys.records.keyBoxes.length > 2, 'nodes keep the boxes of all');
});

test('a node is found at a literal address only, and users have none', async () => {
  const { world, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const { transport } = node.context;
  const to = { address: node.open.profile.gateways[0] ?? '', expect: { role: 'gateway' } } as const;
  const base = { zone: '', capacityBytes: 0 };
  await rejects(transport.call(to, 'member.announce', { ...base, addresses: ['db.example:6379'] }), 'bad-request');
  const users = { ...base, addresses: ['127.0.0.1:6379'] };
  await rejects(operator.transport.call(to, 'member.announce', users), 'bad-request');
  assert.deepEqual((await world.registry().getMember(node.context.memberId))?.addresses, [node.address]);
});
