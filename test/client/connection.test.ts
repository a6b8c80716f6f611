// A member's connection: which errors are tried again and where, and what it learns on the way.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertHomeFree, enterHome, openHome } from '../../src/client/home.ts';
import { joinNetwork } from '../../src/client/join-network.ts';
import { sealKeyBox } from '../../src/crypto/key-box.ts';
import { sealChainRecord } from '../../src/crypto/key-chain.ts';
import { type ErrorCode, OperaError } from '../../src/errors/errors.ts';
import { prepareIdentity } from '../../src/identity/identity-folder.ts';
import { keyCheckOf, parseRoster } from '../../src/identity/roster.ts';
import { nextRoster } from '../../src/identity/roster-rules.ts';
import { limits } from '../../src/model/limits.ts';
import { eventually } from '../support/eventually.ts';
import { GatewayWorld, random } from '../support/gateway-world.ts';
import { rejects } from '../support/refuses.ts';

const worlds: GatewayWorld[] = [];
const create = async () => {
  const made = await GatewayWorld.create();
  worlds.push(made.world);
  return made;
};
after(() => Promise.all(worlds.map((world) => world.close())));

/** A second gateway that the operator knows. */
const addGateway = async ({ world, operator }: Awaited<ReturnType<typeof create>>) => {
  const [mesh, joinAddress] = [world.address(), world.address()];
  const open = await world.join(await world.code(operator, 'gateway'), 'gateway', [mesh]);
  const running = world.run(open, mesh, joinAddress);
  await operator.refresh();
  return running;
};

test('a gateway that cannot answer is passed over, and the one that answered is asked first from then on', async () => {
  const made = await create();
  const { world, first, operator } = made;
  const second = await addGateway(made);
  const asked: string[] = [];
  world.network.fault = ({ to, route }) => {
    if (route !== 'member.list') return;
    asked.push(to.address);
    if (to.address === first.mesh) throw new OperaError('unavailable');
  };
  await operator.call('member.list', {});
  await operator.call('member.list', {});
  assert.deepEqual(asked, [first.mesh, second.mesh, second.mesh]);
});

test('what passes is tried again a bounded number of times; what the caller must act on is not', async () => {
  const { world, operator } = await create();
  let asked = 0;
  let code: ErrorCode = 'overloaded';
  world.network.fault = ({ route }) => {
    if (route !== 'member.list') return;
    asked += 1;
    throw new OperaError(code, undefined, { requestId: 'r' });
  };
  await operator.refresh();
  await rejects(operator.call('member.list', {}), 'overloaded');
  assert.equal(asked, limits.attemptsMax);
  for (code of ['stale_follows', 'stale_epoch', 'conflict', 'ticket-expired', 'forbidden', 'revoked'] as const) {
    asked = 0;
    await rejects(operator.call('member.list', {}), code);
    assert.equal(asked, 1, `${code} was asked once`);
  }
  world.network.fault = () => undefined;
  let failures = 2;
  world.network.fault = () => {
    if (failures-- > 0) throw new OperaError('unavailable');
  };
  await operator.call('member.list', {});
});

test('an aborted call ends at once', async () => {
  const { world, operator } = await create();
  const stop = new AbortController();
  world.network.fault = () => {
    stop.abort();
    throw new OperaError('overloaded');
  };
  await rejects(operator.call('member.list', {}, { signal: stop.signal }), 'aborted');
});

test('a newer roster and the box of a newer network key are fetched while it is used', async () => {
  const { world, first, operator } = await create();
  const client = world.connect(await world.join(await world.code(operator, 'client'), 'client'));
  await client.call('member.list', {});
  const { identity, keys, rosters } = first.open;
  const { networkId, signer } = identity;
  const next = { epoch: 2, key: random.bytes(32) };
  const chain = sealChainRecord(networkId, keys.keyring.newest, next, random);
  const own = { kind: 1, epoch: 2, recipient: signer.keyHash, recipientKey: identity.x25519.publicKey } as const;
  const box = sealKeyBox(networkId, { ...own, secret: next.key }, signer, random);
  const before = rosters.roster;
  const record = nextRoster(before, { key: { epoch: 2, check: keyCheckOf(networkId, next.key) } }, signer);
  const { number, hash, keyEpoch } = parseRoster(record.bytes);
  const expected = { expectNumber: before.number, expectHash: before.hash };
  await world.registry().swapRoster({ ...expected, number, hash, keyEpoch, roster: record, keep: false });
  await rosters.accept([record]);
  await keys.accept([{ bytes: box, signerSpki: signer.spki }], [chain]);
  assert.equal(client.keys.keyring.newestEpoch, 1);
  world.clock.shiftMs += limits.rosterPollMs;
  await client.call('member.list', {});
  await eventually(() => client.keys.keyring.newestEpoch === 2);
  assert.deepEqual(client.keys.keyring.key(2), next.key);
  assert.deepEqual(client.keys.keyring.key(1), keys.keyring.key(1));
  assert.equal(client.rosters.roster.number, number);
});

test('a verb of a fresh profile makes one call, and hears of a newer roster in its answer', async () => {
  const { world, operator } = await create();
  const open = await world.join(await world.code(operator, 'client'), 'client');
  const { keyHash } = open.identity.signer;
  const routesOf = async (refreshedMs: number): Promise<string[]> => {
    const from = world.network.calls.length;
    await world.connect({ ...open, refreshedMs }).call('member.list', {});
    const calls = world.network.calls.slice(from).filter((call) => call.from?.keyHash === keyHash);
    return calls.map(({ route }) => route);
  };
  const nowMs = world.clock.nowMs();
  assert.deepEqual(await routesOf(nowMs), ['member.list']);
  assert.deepEqual(await routesOf(nowMs - limits.profileFreshMs), ['member.announce', 'member.list']);
  assert.deepEqual(
    await routesOf(nowMs + limits.profileFreshMs),
    ['member.announce', 'member.list'],
    'a time to come says nothing',
  );
  const before = open.rosters.roster.number;
  await world.join(await world.code(operator, 'client'), 'client');
  assert.deepEqual(await routesOf(nowMs), ['member.list', 'member.announce'], 'the answer told of a newer roster');
  assert.ok(open.rosters.roster.number > before);
  assert.deepEqual(await routesOf(nowMs), ['member.list']);
});

test('gateways learned on the way are kept in the profile', async () => {
  const made = await create();
  const second = await addGateway(made);
  const again = await openHome(made.operator.home);
  assert.ok(again.profile.gateways.includes(second.mesh));
});

test('a join that was killed before its profile was written is repeated with the same code and keys', async () => {
  const { world, operator } = await create();
  const code = await world.code(operator, 'client');
  const { home, identityFolder } = world.homeOf('killed');
  const joinOnce = async () => {
    await assertHomeFree(home, identityFolder);
    const keys = await prepareIdentity(identityFolder);
    const options = { code, role: 'client', keys, addresses: [], clock: world.clock, link: world.link() } as const;
    return enterHome({ home, identityFolder, keys, joined: await joinNetwork(options) });
  };
  const first = await joinOnce();
  await rejects(joinOnce(), 'exists');
  await rm(join(home, 'profile.json'));
  await rejects(openHome(home), 'config');
  const second = await joinOnce();
  assert.equal(second.identity.memberId, first.identity.memberId);
  await world.connect(second).call('member.list', {});
});
