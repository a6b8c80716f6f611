// Joining and renewing: what a gateway checks, one broken thing at a time.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { isOperaError, type ErrorCode } from '../../src/errors/errors.ts';
import { createCsr, createKeyAndCsr, parsePeerCertificate } from '../../src/identity/certificate.ts';
import {
  checkJoinNonce,
  createJoinNonce,
  type JoinContext,
  type JoinRequest,
  joinNonceBytes,
  signJoin,
  signRenew,
  verifyJoin,
  verifyRenew,
} from '../../src/identity/join.ts';
import { encodeJoinCode, parseJoinCode, publicKeyOfSeed } from '../../src/identity/join-code.ts';
import { pinOf } from '../../src/identity/ca-bundle.ts';
import { parseRoster } from '../../src/identity/roster.ts';
import { nextRoster } from '../../src/identity/roster-rules.ts';
import { signToken, tokenIdOf } from '../../src/identity/token.ts';
import type { Role } from '../../src/model/roles.ts';
import { SystemRandom } from '../../src/runtime/random.ts';
import {
  certify,
  createTestMember,
  createTestNetwork,
  flipped,
  type TestMember,
  type TestNetwork,
  testNowMs,
} from '../support/identity-network.ts';
import { refuses, rejects } from '../support/refuses.ts';

const random = new SystemRandom();
const seed = new Uint8Array(32).fill(3);
let network: TestNetwork;
let foreign: TestNetwork;
let joining: TestMember;

before(async () => {
  network = await createTestNetwork();
  foreign = await createTestNetwork();
  joining = createTestMember('node');
});

const nonceOf = (of: TestNetwork, nowMs = testNowMs): Uint8Array =>
  createJoinNonce(of.networkId, of.networkKey, nowMs, random);

const contextOf = (of: TestNetwork, role: Role = 'node', change: Partial<JoinContext> = {}): JoinContext => ({
  networkId: of.networkId,
  networkKeys: [of.networkKey],
  nowMs: testNowMs,
  pin: pinOf(of.authority.bundle.bytes),
  token: signToken(
    {
      role,
      uses: 1,
      networkId: of.networkId,
      publicKey: publicKeyOfSeed(seed),
      expiresMs: testNowMs + 3_600_000,
      incarnation: 1,
    },
    of.members.gateway.signer,
  ),
  incarnation: 1,
  roster: of.roster,
  ...change,
});

type Signed = Omit<JoinRequest, 'signature'>;

const statementOf = async (of: TestNetwork, member: TestMember, change: Partial<Signed> = {}): Promise<Signed> => ({
  networkId: of.networkId,
  tokenKey: publicKeyOfSeed(seed),
  nonce: nonceOf(of),
  role: member.role,
  agreementKey: member.entry.x25519,
  addresses: ['192.0.2.1:7400', '[2001:db8::1]:7400'],
  csr: await createCsr(member.privateKey),
  ...change,
});

const requestOf = async (of: TestNetwork, member: TestMember, change: Partial<Signed> = {}): Promise<JoinRequest> => {
  const statement = await statementOf(of, member, change);
  return { ...statement, signature: signJoin(seed, pinOf(of.authority.bundle.bytes), statement) };
};

test('a join code is read back as it was written, for names, IPv4 and IPv6', () => {
  const pin = random.bytes(32);
  for (const host of ['gateway.example', '192.0.2.7', '2001:db8::7', 'localhost']) {
    const code = { networkId: network.networkId, pin, seed, gateway: { host, port: 7443 } };
    const text = encodeJoinCode(code);
    assert.match(text, /^opera1\.[a-z2-7]{26}\.[a-z2-7]{52}\.[a-z2-7]{52}@/);
    assert.deepEqual(parseJoinCode(text), code);
  }
});

test('a join code with anything changed in form is refused, without a word of it in the error', () => {
  const pin = new Uint8Array(32);
  const good = encodeJoinCode({ networkId: network.networkId, pin, seed, gateway: { host: 'a.example', port: 80 } });
  const odd = [
    good.toUpperCase(),
    ` ${good}`,
    `${good} `,
    `${good}\n`,
    good.replace('opera1', 'opera2'),
    good.replace('@', '@@'),
    good.replace('@a.', '@user@a.'),
    good.replace(':80', ''),
    good.replace(':80', ':080'),
    good.replace(':80', ':0'),
    good.replace(':80', ':65536'),
    good.replace(':80', ':80/path'),
    good.replace('a.example', 'a..example'),
    good.replace('a.example', '2001:db8::7'),
    good.replace('a.example', '127.1'),
    good.replace('a.example', '[192.0.2.1]'),
    good.replace('a.example', '[::1%lo]'),
    good.replace(/.@/, '@'),
    good.replace(/.@/, 'b@'),
    '',
  ];
  for (const text of odd) {
    const error = refuses(() => parseJoinCode(text), 'token-invalid');
    assert.doesNotMatch(`${error.message} ${error.hint}`, /[a-z2-7]{20}/);
  }
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
      const text = good.slice(0, at) + character + good.slice(at + 1);
      try {
        assert.equal(encodeJoinCode(parseJoinCode(text)), text);
      } catch (error) {
        assert.ok(isOperaError(error, 'token-invalid'), String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('a nonce is good for a minute at any gateway, under the newest key and the one before', () => {
  const nonce = nonceOf(network);
  assert.equal(nonce.length, joinNonceBytes);
  const { networkId, networkKey } = network;
  const check =
    (nowMs: number, networkKeys: readonly Uint8Array[] = [networkKey], one = nonce) =>
    () =>
      checkJoinNonce(one, { networkId, networkKeys, nowMs });
  check(testNowMs)();
  check(testNowMs + 59_999)();
  refuses(check(testNowMs + 60_000), 'nonce-expired');
  refuses(check(testNowMs - 60_000), 'nonce-expired');
  const other = new Uint8Array(32);
  check(testNowMs, [other, networkKey])();
  refuses(check(testNowMs, [other, other, networkKey]), 'nonce-expired');
  refuses(check(testNowMs, []), 'nonce-expired');
  for (let at = 0; at < nonce.length; at += 1) {
    refuses(check(testNowMs, [networkKey], flipped(nonce, at)), 'nonce-expired');
  }
  refuses(check(testNowMs, [networkKey], nonce.slice(1)), 'nonce-expired');
  refuses(
    () => checkJoinNonce(nonce, { networkId: foreign.networkId, networkKeys: [networkKey], nowMs: testNowMs }),
    'nonce-expired',
  );
});

test('a fresh code admits a member with the role of the token and the key of the request', async () => {
  const verdict = await verifyJoin(await requestOf(network, joining), contextOf(network));
  assert.equal(verdict.memberId, joining.memberId);
  assert.deepEqual(verdict.spki, joining.signer.spki);
  assert.deepEqual(verdict.member, joining.entry);
  assert.equal(verdict.tokenId, tokenIdOf(publicKeyOfSeed(seed)));
  const master = createTestMember('master');
  const second = await verifyJoin(await requestOf(network, master), contextOf(network, 'master'));
  assert.equal(second.member.role, 'master');
});

test('nothing that the code signed can be exchanged on the way', async () => {
  const request = await requestOf(network, joining);
  const stranger = createTestMember('node');
  const exchanged: readonly Partial<JoinRequest>[] = [
    { agreementKey: stranger.x25519.publicKey },
    { csr: await createCsr(stranger.privateKey) },
    { addresses: ['192.0.2.66:7400'] },
    { addresses: [] },
    { addresses: [...request.addresses].reverse() },
    { role: 'gateway' },
    { nonce: nonceOf(network) },
    { tokenKey: publicKeyOfSeed(new Uint8Array(32)) },
    { signature: new Uint8Array(64) },
    { signature: new Uint8Array(0) },
  ];
  for (const change of exchanged) {
    await rejects(verifyJoin({ ...request, ...change }, contextOf(network)), 'token-invalid');
  }
  await rejects(verifyJoin(request, contextOf(network, 'node', { pin: new Uint8Array(32) })), 'token-invalid');
  for (let at = 0; at < 64; at += 1) {
    const signature = flipped(request.signature, at);
    await rejects(verifyJoin({ ...request, signature }, contextOf(network)), 'token-invalid');
  }
});

test('each thing a join needs is missed with its own code', async () => {
  const refused = async (code: ErrorCode, change: Partial<Signed>, context: Partial<JoinContext> = {}) => {
    const request = await requestOf(network, joining, change);
    await rejects(verifyJoin(request, contextOf(network, 'node', context)), code);
  };
  await refused('wrong-network', { networkId: foreign.networkId });
  await refused('nonce-expired', { nonce: nonceOf(network, testNowMs - 60_000) });
  await refused('nonce-expired', { nonce: nonceOf(foreign) });
  await refused('token-expired', { nonce: nonceOf(network, testNowMs + 3_600_000) }, { nowMs: testNowMs + 3_600_000 });
  await refused('token-invalid', {}, { incarnation: 2 });
  await refused('token-invalid', {}, { token: contextOf(foreign).token });
  await refused('forbidden', { role: 'master', agreementKey: new Uint8Array(32) });
  await refused('bad-request', { agreementKey: new Uint8Array(32) });
  await refused('bad-request', { agreementKey: new Uint8Array(32).fill(1, 0, 1) });
  await refused('bad-request', { csr: new Uint8Array(100) });
  const { csr } = await createKeyAndCsr();
  await refused('bad-request', { csr: flipped(csr, csr.length - 5) });
  const odd = { ...(await requestOf(network, joining)), addresses: ['http://a/'] };
  await rejects(verifyJoin(odd, contextOf(network)), 'bad-request');
  const short = { ...(await requestOf(network, joining)), agreementKey: new Uint8Array(31) };
  await rejects(verifyJoin(short, contextOf(network)), 'bad-request');
  const request = await requestOf(network, createTestMember('master'), { agreementKey: joining.x25519.publicKey });
  await rejects(verifyJoin(request, contextOf(network, 'master')), 'bad-request');
});

test('a node joins with literal addresses only', async () => {
  for (const address of ['db.example:6379', 'localhost:6379', 'metadata:80']) {
    const named = await requestOf(network, joining, { addresses: ['192.0.2.1:7400', address] });
    await rejects(verifyJoin(named, contextOf(network)), 'bad-request');
  }
  const gateway = createTestMember('gateway');
  const named = await requestOf(network, gateway, { addresses: ['opera.example:7400'] });
  assert.equal((await verifyJoin(named, contextOf(network, 'gateway'))).member.role, 'gateway');
});

test('a member cannot be taken over by a code: its request repeats, anything else of its key is refused', async () => {
  const { node, gateway } = network.members;
  const again = await verifyJoin(await requestOf(network, node), contextOf(network));
  assert.deepEqual(again.member, node.entry);
  const thief = createTestMember('node');
  const theft = await requestOf(network, node, { agreementKey: thief.x25519.publicKey });
  await rejects(verifyJoin(theft, contextOf(network)), 'exists');
  const promoted = await requestOf(network, node, { role: 'gateway' });
  await rejects(verifyJoin(promoted, contextOf(network, 'gateway')), 'exists');
  const roster = parseRoster(nextRoster(network.roster, { revoke: [node.signer.keyHash] }, gateway.signer).bytes);
  const back = await requestOf(network, node);
  await rejects(verifyJoin(back, contextOf(network, 'node', { roster })), 'revoked');
});

test('a member whose certificate ran out months ago renews by its key', async () => {
  const { node } = network.members;
  const old = parsePeerCertificate(await certify(network, node, { nowMs: testNowMs - 200 * 24 * 3_600_000 }));
  assert.ok(old.notAfterMs < testNowMs);
  const nonce = nonceOf(network);
  const csr = await createCsr(node.privateKey);
  const request = {
    networkId: network.networkId,
    nonce,
    csr,
    signature: signRenew(node.signer, network.networkId, nonce, csr),
  };
  const context = {
    networkId: network.networkId,
    networkKeys: [network.networkKey],
    nowMs: testNowMs,
    roster: network.roster,
  };
  const verdict = await verifyRenew(request, context);
  assert.equal(verdict.memberId, node.memberId);
  assert.equal(verdict.member.role, 'node');
  assert.deepEqual(verdict.spki, node.signer.spki);

  const later = { ...context, nowMs: testNowMs + 60_000 };
  await rejects(verifyRenew(request, later), 'nonce-expired');
  await rejects(verifyRenew({ ...request, networkId: foreign.networkId }, context), 'wrong-network');
  await rejects(verifyRenew({ ...request, nonce: nonceOf(network) }, context), 'unauthenticated');
  const other = await createCsr(network.members.client.privateKey);
  await rejects(verifyRenew({ ...request, csr: other }, context), 'unauthenticated');
  await rejects(verifyRenew({ ...request, signature: flipped(request.signature, 9) }, context), 'unauthenticated');
  const { gateway } = network.members;
  const roster = parseRoster(nextRoster(network.roster, { revoke: [node.signer.keyHash] }, gateway.signer).bytes);
  await rejects(verifyRenew(request, { ...context, roster }), 'revoked');
  const { roster: without } = foreign;
  await rejects(verifyRenew(request, { ...context, roster: without }), 'unauthenticated');
});
