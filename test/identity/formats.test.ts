// Golden records of format version 1: what was written once is read forever, to the byte.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import golden from '../../fixtures/formats/v1/identity.json' with { type: 'json' };
import { authorityFromPrivate } from '../../src/identity/authority.ts';
import { pinOf } from '../../src/identity/ca-bundle.ts';
import { parseCsr, verifyCertificate } from '../../src/identity/certificate.ts';
import { createJoinNonce, signJoin, verifyJoin, verifyRenew } from '../../src/identity/join.ts';
import { parseJoinCode, publicKeyOfSeed } from '../../src/identity/join-code.ts';
import { keyCheckOf, parseRoster } from '../../src/identity/roster.ts';
import { walkRosters } from '../../src/identity/roster-rules.ts';
import { checkTicket } from '../../src/identity/ticket.ts';
import { checkToken, tokenIdOf } from '../../src/identity/token.ts';
import { parseKeyHash, parseNetworkId, parseVersionId } from '../../src/model/ids.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const networkId = parseNetworkId(golden.networkId);
const networkKey = hex(golden.networkKey);
const { nowMs } = golden;

const member = (role: string) => {
  const found = golden.members.find((one) => one.role === role);
  assert.ok(found);
  return { ...found, spki: hex(found.spki), keyHash: parseKeyHash(found.keyHash), x25519: hex(found.x25519) };
};

const authority = authorityFromPrivate(hex(golden.authorityScalar), hex(golden.bundle));
const records = [
  { bytes: hex(golden.firstRoster), signerSpki: authority.signer.spki },
  { bytes: hex(golden.secondRoster), signerSpki: member('gateway').spki },
];
const first = parseRoster(hex(golden.firstRoster));

test('the golden authority, pin and certificate are read as they were made', () => {
  assert.equal(authority.networkId, networkId);
  assert.deepEqual(pinOf(hex(golden.bundle)), hex(golden.pin));
  const claims = verifyCertificate(hex(golden.certificate), authority.bundle, nowMs);
  assert.deepEqual([claims.role, claims.memberId], ['node', member('node').memberId]);
});

test('the golden rosters follow one another and list what they listed', () => {
  const walked = walkRosters(undefined, records, { networkId, caSpki: authority.certificate.spki });
  assert.equal(walked?.roster.number, 2n);
  assert.deepEqual(first.settings, golden.settings);
  assert.deepEqual(first.keyCheck, keyCheckOf(networkId, networkKey));
  const listed = walked.roster.members.map(({ role, state, keyHash, x25519 }) => ({ role, state, keyHash, x25519 }));
  const expected = (['gateway', 'master', 'node'] as const).map((role) => {
    const { keyHash, x25519 } = member(role);
    return { role, state: role === 'node' ? 'revoked' : 'valid', keyHash, x25519 };
  });
  assert.deepEqual(listed, expected);
});

test('the golden token and ticket carry their fields', () => {
  const record = { bytes: hex(golden.token.record), signerSpki: member('gateway').spki };
  const token = checkToken(record, { networkId, incarnation: 3, roster: first, nowMs });
  assert.deepEqual(
    [token.role, token.uses, token.expiresMs, token.incarnation, token.publicKey],
    ['node', 2, golden.token.expiresMs, 3, hex(golden.token.publicKey)],
  );
  assert.equal(tokenIdOf(token.publicKey), golden.token.id);
  const ticket = checkTicket(
    { bytes: hex(golden.ticket.record), signerSpki: member('master').spki },
    {
      networkId,
      roster: first,
      client: member('node').keyHash,
      incarnation: 3,
      nowMs,
      clockOffsetMs: 0,
      operation: 'put',
      versions: golden.ticket.versions.map(parseVersionId),
      layoutNumber: 7,
      chunkIndex: 11,
    },
  );
  assert.deepEqual([ticket.chunkLimit, ticket.expiresMs, ticket.id], [12, nowMs + 60_000, hex(golden.ticket.id)]);
});

test('the golden join code, nonce and signatures are made and accepted again', async () => {
  const { join, renew } = golden;
  const code = parseJoinCode(join.code);
  assert.deepEqual([code.networkId, code.pin, code.seed], [networkId, hex(golden.pin), hex(join.seed)]);
  const nonce = createJoinNonce(networkId, networkKey, nowMs, { bytes: () => hex(join.nonceRandom) });
  assert.deepEqual(nonce, hex(join.nonce));
  const { x25519, spki } = member('node');
  const statement = {
    nonce,
    role: 'node' as const,
    agreementKey: x25519,
    addresses: join.addresses,
    csr: hex(join.csr),
  };
  // Ed25519 is deterministic (RFC 8032): the same statement has the same signature forever.
  assert.deepEqual(signJoin(code.seed, code.pin, statement), hex(join.signature));
  assert.deepEqual(await parseCsr(hex(join.csr)), spki);
  const context = { networkId, networkKeys: [networkKey], nowMs, roster: first };
  const token = { bytes: hex(golden.token.record), signerSpki: member('gateway').spki };
  const request = { ...statement, networkId, tokenKey: publicKeyOfSeed(code.seed), signature: hex(join.signature) };
  const verdict = await verifyJoin(request, { ...context, pin: code.pin, token, incarnation: 3 });
  assert.deepEqual(verdict.spki, spki);
  const renewal = { networkId, nonce: hex(renew.nonce), csr: hex(renew.csr), signature: hex(renew.signature) };
  assert.equal((await verifyRenew(renewal, context)).member.role, 'node');
});
