// Join tokens and tickets: every byte counts, and each bound of a ticket holds on its own.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { isOperaError } from '../../src/errors/errors.ts';
import { parseRoster } from '../../src/identity/roster.ts';
import { nextRoster } from '../../src/identity/roster-rules.ts';
import {
  checkTicket,
  issueTicket,
  parseTicket,
  renewTicket,
  subjectOf,
  type TicketFields,
  type TicketUse,
  ticketBytes,
} from '../../src/identity/ticket.ts';
import {
  checkToken,
  parseToken,
  signToken,
  type TokenContext,
  type TokenFields,
  tokenBytes,
  tokenIdOf,
} from '../../src/identity/token.ts';
import { type VersionId, versionIdFromBytes } from '../../src/model/ids.ts';
import { limits } from '../../src/model/limits.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import {
  createTestMember,
  createTestNetwork,
  flipped,
  type TestNetwork,
  testNowMs,
} from '../support/identity-network.ts';
import { refuses } from '../support/refuses.ts';

let network: TestNetwork;
let foreign: TestNetwork;

before(async () => {
  network = await createTestNetwork();
  foreign = await createTestNetwork();
});

const versions = (count: number): VersionId[] =>
  Array.from({ length: count }, (_, i) => versionIdFromBytes(new Uint8Array(16).fill(i % 251, 0, 8).fill(i >> 8, 8)));

const tokenFields = (change: Partial<TokenFields> = {}): TokenFields => ({
  role: 'node',
  uses: 3,
  networkId: network.networkId,
  publicKey: new Uint8Array(32).fill(4),
  expiresMs: testNowMs + 3_600_000,
  incarnation: 5,
  ...change,
});

const tokenContext = (change: Partial<TokenContext> = {}): TokenContext => ({
  networkId: network.networkId,
  incarnation: 5,
  roster: network.roster,
  nowMs: testNowMs,
  ...change,
});

test('a token signed by a gateway is read back and passes', () => {
  const record = signToken(tokenFields(), network.members.gateway.signer);
  assert.equal(record.bytes.length, tokenBytes);
  const { signer, signature, ...fields } = checkToken(record, tokenContext());
  assert.deepEqual(fields, tokenFields());
  assert.equal(signer, network.members.gateway.signer.keyHash);
  assert.equal(signature.length, 64);
  assert.match(tokenIdOf(fields.publicKey), /^[0-9a-f]{32}$/);
});

test('no byte of a token can be changed, cut or added', () => {
  const { bytes, signerSpki } = signToken(tokenFields(), network.members.gateway.signer);
  for (let at = 0; at < bytes.length; at += 1) {
    refuses(() => checkToken({ bytes: flipped(bytes, at), signerSpki }, tokenContext()), 'token-invalid');
  }
  refuses(() => checkToken({ bytes: bytes.slice(1), signerSpki }, tokenContext()), 'token-invalid');
  refuses(() => parseToken(Buffer.concat([bytes, new Uint8Array(1)])), 'token-invalid');
});

test('a token is refused when expired, of an older incarnation, another network or not by a valid gateway', () => {
  const { gateway, operator, master } = network.members;
  const record = signToken(tokenFields(), gateway.signer);
  refuses(() => checkToken(record, tokenContext({ nowMs: testNowMs + 3_600_000 })), 'token-expired');
  checkToken(record, tokenContext({ nowMs: testNowMs + 3_599_999 }));
  refuses(() => checkToken(record, tokenContext({ incarnation: 6 })), 'token-invalid');
  checkToken(record, tokenContext({ incarnation: 4 }));
  refuses(() => checkToken(record, tokenContext({ networkId: foreign.networkId })), 'token-invalid');
  for (const member of [operator, master, createTestMember('gateway')]) {
    refuses(() => checkToken(signToken(tokenFields(), member.signer), tokenContext()), 'token-invalid');
  }
  const added = createTestMember('gateway');
  const second = parseRoster(nextRoster(network.roster, { addMembers: [added.entry] }, gateway.signer).bytes);
  const third = parseRoster(nextRoster(second, { revoke: [gateway.signer.keyHash] }, added.signer).bytes);
  refuses(() => checkToken(record, tokenContext({ roster: third })), 'token-invalid');
  refuses(() => signToken(tokenFields({ uses: 0 }), gateway.signer), 'bad-request');
});

const ticketFields = (change: Partial<TicketFields> = {}): TicketFields => ({
  operation: 'put',
  networkId: network.networkId,
  client: network.members.client.signer.keyHash,
  subject: subjectOf(versions(2)),
  layoutNumber: 7,
  chunkLimit: 10,
  incarnation: 5,
  issuedMs: testNowMs,
  expiresMs: testNowMs + limits.ticketLifeMs,
  id: new Uint8Array(16).fill(6),
  ...change,
});

const use = (change: Partial<TicketUse> = {}): TicketUse => ({
  networkId: network.networkId,
  roster: network.roster,
  client: network.members.client.signer.keyHash,
  incarnation: 5,
  nowMs: testNowMs,
  clockOffsetMs: 0,
  operation: 'put',
  versions: versions(2),
  layoutNumber: 7,
  chunkIndex: 9,
  ...change,
});

const issue = (change: Partial<TicketFields> = {}): SignedRecord =>
  issueTicket(ticketFields(change), network.members.master.signer);

test('a ticket signed by a master is read back and passes', () => {
  const record = issue();
  assert.equal(record.bytes.length, ticketBytes);
  const { signer, signature, ...fields } = checkTicket(record, use());
  assert.deepEqual(fields, ticketFields());
  assert.equal(signer, network.members.master.signer.keyHash);
  assert.equal(signature.length, 64);
});

test('no byte of a ticket can be changed, cut or added', () => {
  const { bytes, signerSpki } = issue();
  for (let at = 0; at < bytes.length; at += 1) {
    refuses(() => checkTicket({ bytes: flipped(bytes, at), signerSpki }, use()), 'ticket-invalid');
  }
  for (const odd of [new Uint8Array(0), bytes.slice(1), bytes.slice(0, -1), Buffer.concat([bytes, bytes])]) {
    refuses(() => checkTicket({ bytes: odd, signerSpki }, use()), 'ticket-invalid');
  }
});

test('random bytes of the right length are refused as an invalid ticket, never otherwise', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: ticketBytes, maxLength: ticketBytes }), (bytes) => {
      bytes.set([1, 1, 0, 0]);
      try {
        parseTicket(bytes);
      } catch (error) {
        assert.ok(isOperaError(error, 'ticket-invalid'), String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('each bound of a ticket holds on its own', () => {
  const record = issue();
  const other = network.members.operator.signer.keyHash;
  const swapped = [...versions(2)].reverse();
  const refused: readonly Partial<TicketUse>[] = [
    { operation: 'get' },
    { operation: 'query' },
    { client: other },
    { versions: swapped },
    { versions: versions(1) },
    { versions: versions(3) },
    { versions: [] },
    { versions: versions(1_001) },
    { layoutNumber: 8 },
    { layoutNumber: 6 },
    { chunkIndex: 10 },
    { networkId: foreign.networkId },
    { roster: foreign.roster },
  ];
  for (const change of refused) refuses(() => checkTicket(record, use(change)), 'ticket-invalid');
  for (const member of [network.members.gateway, network.members.node, createTestMember('master')]) {
    refuses(() => checkTicket(issueTicket(ticketFields(), member.signer), use()), 'ticket-invalid');
  }
  const { master, gateway } = network.members;
  const without = parseRoster(nextRoster(network.roster, { revoke: [master.signer.keyHash] }, gateway.signer).bytes);
  refuses(() => checkTicket(record, use({ roster: without })), 'ticket-invalid');
});

test('a ticket of an older life of the registry is expired; one of a newer life passes', () => {
  refuses(() => checkTicket(issue({ incarnation: 4 }), use()), 'ticket-expired');
  assert.equal(checkTicket(issue({ incarnation: 6 }), use()).incarnation, 6);
});

test("a ticket lives by the masters' clock, with five seconds of tolerance", () => {
  const at =
    (nowMs: number, clockOffsetMs = 0) =>
    () =>
      checkTicket(issue(), use({ nowMs, clockOffsetMs }));
  const end = testNowMs + limits.ticketLifeMs + limits.clockToleranceMs;
  at(end - 1)();
  refuses(at(end), 'ticket-expired');
  at(testNowMs - limits.clockToleranceMs)();
  refuses(at(testNowMs - limits.clockToleranceMs - 1), 'ticket-expired');
  at(testNowMs + 7_200_000, -7_200_000)();
  refuses(at(testNowMs, 7_200_000), 'ticket-expired');
});

test('a ticket that would live longer than a minute is neither made nor accepted', () => {
  refuses(() => issue({ expiresMs: testNowMs + limits.ticketLifeMs + 1 }), 'internal');
  refuses(() => issue({ expiresMs: testNowMs }), 'internal');
  const { master } = network.members;
  const body = issue().bytes.slice(0, ticketBytes - 64);
  body[111] = (body[111] ?? 0) ^ 0x80;
  const long = Buffer.concat([body, master.signer.sign('opera/ticket/v1', body)]);
  refuses(() => checkTicket({ bytes: long, signerSpki: master.signer.spki }, use()), 'ticket-invalid');
});

test('a ticket covers a thousand versions, and a query may cover none', () => {
  const many = versions(1_000);
  checkTicket(issue({ subject: subjectOf(many) }), use({ versions: many }));
  refuses(() => subjectOf(versions(1_001)), 'bad-request');
  const query = issue({ operation: 'query', subject: subjectOf([]) });
  checkTicket(query, use({ operation: 'query', versions: [] }));
});

test('any master renews a ticket on the old one alone, also after it expired and over a new life and layout', () => {
  const second = createTestMember('master');
  const { gateway } = network.members;
  const roster = parseRoster(nextRoster(network.roster, { addMembers: [second.entry] }, gateway.signer).bytes);
  const nowMs = testNowMs + 600_000;
  const renewal = { ...use({ roster, nowMs, incarnation: 6 }), layoutNumber: 9, id: new Uint8Array(16).fill(1) };
  const renewed = renewTicket(issue(), renewal, second.signer);
  const fresh = checkTicket(renewed, use({ roster, nowMs, incarnation: 6, layoutNumber: 9 }));
  assert.deepEqual(
    [fresh.operation, fresh.chunkLimit, fresh.issuedMs, fresh.expiresMs, fresh.incarnation],
    ['put', 10, nowMs, nowMs + limits.ticketLifeMs, 6],
  );
  const refused = (change: object, code: 'ticket-invalid' | 'ticket-expired') =>
    refuses(() => renewTicket(issue(), { ...renewal, ...change }, second.signer), code);
  refused({ client: network.members.operator.signer.keyHash }, 'ticket-invalid');
  refused({ versions: versions(1) }, 'ticket-invalid');
  refused({ nowMs: testNowMs + limits.ticketRenewalGraceMs + limits.ticketLifeMs + 5_000 }, 'ticket-expired');
});
