// Joining and leaving: one use is one member, whoever asks and however often; a relay between cannot change a thing.
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openHome } from '../../../src/client/home.ts';
import { joinNetwork } from '../../../src/client/join-network.ts';
import { createKeyAndCsr } from '../../../src/identity/certificate.ts';
import { prepareIdentity } from '../../../src/identity/identity-folder.ts';
import { signJoin } from '../../../src/identity/join.ts';
import { parseJoinCode, publicKeyOfSeed } from '../../../src/identity/join-code.ts';
import { findMember } from '../../../src/identity/roster.ts';
import { createX25519 } from '../../../src/crypto/x25519.ts';
import { GatewayWorld, random } from '../../support/gateway-world.ts';
import { rejects } from '../../support/refuses.ts';

const worlds: GatewayWorld[] = [];
const create = async () => {
  const made = await GatewayWorld.create();
  worlds.push(made.world);
  return made;
};
after(() => Promise.all(worlds.map((world) => world.close())));

const hourMs = 3_600_000;

test('a founded network has a gateway, an operator, their keys, and a registry that lists them', async () => {
  const { world, first, operator } = await create();
  const { members, rosterNumber } = await operator.call('member.list', {});
  assert.equal(rosterNumber, 1n);
  assert.deepEqual(members.map(({ role }) => role).sort(), ['gateway', 'operator']);
  assert.equal(first.open.keys.keyring.newestEpoch, 1);
  assert.deepEqual(operator.keys.keyring.newest, first.open.keys.keyring.newest);
  assert.ok(first.open.identity.authority);
  assert.equal(operator.identity().authority, undefined);
  assert.equal((await world.registry().readLife()).networkId, first.open.identity.networkId);
});

test('a fresh code makes a member: listed, with keys that open, and the code used up', async () => {
  const { world, first, operator } = await create();
  const code = await world.code(operator, 'client');
  const open = await world.join(code, 'client');
  assert.equal(open.identity.role, 'client');
  assert.equal(findMember(first.open.rosters.roster, open.identity.signer.keyHash)?.state, 'valid');
  assert.deepEqual(open.keys.keyring.newest, first.open.keys.keyring.newest);
  for (const file of ['key.pem', 'x25519.pem', 'certificate.pem', 'member.json']) {
    assert.equal((await stat(join(open.identityFolder, file))).mode & 0o777, 0o600);
  }
  const again = await openHome(open.home);
  assert.equal(again.identity.memberId, open.identity.memberId);
  const { tokens } = await operator.call('token.list', {});
  assert.deepEqual(
    tokens.map(({ uses, usesMax }) => [uses, usesMax]),
    [[1, 1]],
  );
  await rejects(world.join(code, 'client'), 'token-used');
});

test('of two that use one code at once exactly one becomes a member', async () => {
  const { world, first, operator } = await create();
  const code = await world.code(operator, 'client');
  const outcomes = await Promise.allSettled([world.join(code, 'client'), world.join(code, 'client')]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const lost = outcomes.find(({ status }) => status === 'rejected');
  await rejects(Promise.reject((lost as PromiseRejectedResult).reason), 'token-used');
  assert.equal(first.open.rosters.roster.members.length, 3);
});

test('the same key that repeats its join gets the same membership and takes no second use', async () => {
  const { world, first, operator } = await create();
  const code = await world.code(operator, 'client');
  const { home, identityFolder } = world.homeOf('twice');
  const keys = await prepareIdentity(identityFolder);
  const options = { code, role: 'client', keys, addresses: [], clock: world.clock, link: world.link() } as const;
  let lost = true;
  world.network.answerFault = ({ route }) => {
    if (route !== 'join.join' || !lost) return;
    lost = false;
    throw new Error('the answer is lost');
  };
  await assert.rejects(joinNetwork(options), /the answer is lost/);
  const joined = await joinNetwork(options);
  assert.equal(joined.claims.memberId, keys.memberId);
  assert.equal(first.open.rosters.roster.members.length, 3);
  assert.equal(first.open.rosters.roster.number, 2n);
  assert.ok(home);
});

test('a code is refused when its hour has passed', async () => {
  const { world, operator } = await create();
  const code = await world.code(operator, 'client');
  world.clock.shiftMs = hourMs + 1_000;
  await rejects(world.join(code, 'client'), 'token-expired');
});

test('a code that was removed is not known any more, and removing it twice says so', async () => {
  const { world, operator } = await create();
  const code = await world.code(operator, 'node');
  const { tokens } = await operator.call('token.list', {});
  const tokenId = tokens[0]?.tokenId ?? '';
  assert.deepEqual(await operator.call('token.remove', { tokenId }), { removed: true });
  assert.deepEqual(await operator.call('token.remove', { tokenId }), { removed: false });
  await rejects(world.join(code, 'node', ['127.0.0.1:9000']), 'token-unknown');
});

test('the role is that of the code: another one is refused, and the code stays good for its own', async () => {
  const { world, operator } = await create();
  const code = await world.code(operator, 'node');
  const refusal = await rejects(world.join(code, 'operator'), 'forbidden');
  assert.equal(refusal.details?.role, 'node');
  const open = await world.join(code, 'node', ['127.0.0.1:9000']);
  assert.equal(open.identity.role, 'node');
});

test('uses that were raised in the registry do not count: the gateway signed their number', async () => {
  const { world, operator } = await create();
  const code = await world.code(operator, 'client');
  for (const [id, token] of world.store.tokens) world.store.tokens.set(id, { ...token, usesMax: 1_000 });
  await rejects(world.join(code, 'client'), 'token-invalid');
});

test('a key that is a member cannot come back with another role or X25519 key', async () => {
  const { world, operator } = await create();
  const first = await world.join(await world.code(operator, 'client'), 'client');
  const keys = { ...first.identity, x25519: createX25519(random) };
  const { clock } = world;
  const code = await world.code(operator, 'client');
  const base = { addresses: [], clock, link: world.link() };
  await rejects(joinNetwork({ ...base, code, role: 'client', keys }), 'exists');
  const asNode = await world.code(operator, 'node');
  await rejects(joinNetwork({ ...base, code: asNode, role: 'node', keys: first.identity }), 'exists');
});

test('a relay that swaps the X25519 key, the role, the addresses or the request is refused', async () => {
  const { world, first, operator } = await create();
  const text = await world.code(operator, 'node', { uses: 10 });
  const code = parseJoinCode(text);
  const stranger = world.network.transport({ peer: undefined, roster: () => undefined });
  const to = { address: first.join, expect: { role: 'gateway' } } as const;
  const { privateKey: _, csr } = await createKeyAndCsr();
  const ask = async (change: Readonly<Record<string, unknown>>) => {
    const { nonce } = (await stranger.call(to, 'join.nonce', {})).answer;
    const agreementKey = createX25519(random).publicKey;
    const statement = { nonce, role: 'node' as const, agreementKey, addresses: ['127.0.0.1:9000'], csr };
    const signature = signJoin(code.seed, code.pin, statement);
    const request = { ...statement, networkId: code.networkId, tokenKey: publicKeyOfSeed(code.seed), signature };
    return stranger.call(to, 'join.join', { ...request, ...change });
  };
  await rejects(ask({ agreementKey: createX25519(random).publicKey }), 'token-invalid');
  await rejects(ask({ role: 'gateway' }), 'token-invalid');
  await rejects(ask({ addresses: ['127.0.0.1:6379'] }), 'token-invalid');
  await rejects(ask({ csr: (await createKeyAndCsr()).csr }), 'token-invalid');
  assert.equal(first.open.rosters.roster.members.length, 2);
  await ask({});
  assert.equal(first.open.rosters.roster.members.length, 3);
});

test('a gateway with another authority is found out by the pin, and the code is not spent on it', async () => {
  const { world, operator } = await create();
  const { first: foreign } = await create();
  const code = await world.code(operator, 'client');
  const base = { code, role: 'client' as const, addresses: [], clock: world.clock };
  const keys = await prepareIdentity(world.homeOf('victim').identityFolder);
  const link = world.link();
  const theirs = foreign.open.identity.bundle.bytes;
  const seen = world.network.calls.length;
  const impostor = { ...link, fetchBundle: async () => theirs };
  await rejects(joinNetwork({ ...base, keys, link: impostor }), 'wrong-authority');
  const extra = { ...link, fetchBundle: async (at: string) => Buffer.concat([await link.fetchBundle(at), theirs]) };
  await rejects(joinNetwork({ ...base, keys, link: extra }), 'wrong-authority');
  const later = world.network.calls.slice(seen).map(({ route }) => route);
  assert.deepEqual(later, ['join.bundle'], 'nothing but the bundle was asked for');
});

test('a member renews by its key at any age of its certificate, and a revoked one does not', async () => {
  const { world, operator } = await create();
  const open = await world.join(await world.code(operator, 'client'), 'client');
  world.clock.shiftMs = 40 * 24 * hourMs;
  const client = world.connect(open);
  const before = client.identity().claims.notAfterMs;
  assert.ok(before < world.clock.nowMs(), 'the certificate has expired');
  await rejects(client.call('name.list', { prefix: '', limit: 1 }), 'unavailable');
  assert.ok(client.identity().claims.notAfterMs > world.clock.nowMs(), 'it was renewed on the way');
  await operator.call('member.revoke', {
    memberId: open.identity.memberId,
    operationId: '00'.repeat(16) as never,
  });
  world.clock.shiftMs *= 2;
  await rejects(client.call('member.list', {}), 'revoked');
});
