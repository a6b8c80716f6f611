// Rosters: strict bytes, and rules under which one follows another.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '../../src/crypto/digest.ts';
import type { Signer } from '../../src/crypto/signature.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { checkSettings, defaultSettings, encodeSettings, parseSettings } from '../../src/identity/network-settings.ts';
import {
  encodeRoster,
  findMember,
  gatewaysDiffer,
  isValidMember,
  keyCheckOf,
  listValidMembers,
  parseRoster,
  type Roster,
  type RosterFields,
} from '../../src/identity/roster.ts';
import {
  acceptRoster,
  firstRoster,
  mergeRosters,
  nextRoster,
  type RosterChange,
  type RosterTrust,
  walkRosters,
  withRevocationsOf,
} from '../../src/identity/roster-rules.ts';
import { utf8 } from '../../src/model/bytes.ts';
import { roles } from '../../src/model/roles.ts';
import type { SignedRecord } from '../../src/model/signed-record.ts';
import { createTestMember, createTestNetwork, flipped, type TestNetwork } from '../support/identity-network.ts';
import { refuses } from '../support/refuses.ts';

let network: TestNetwork;
let first: Roster;
let gateway: Signer;
let trust: RosterTrust;

before(async () => {
  network = await createTestNetwork();
  first = network.roster;
  gateway = network.members.gateway.signer;
  trust = { networkId: network.networkId, caSpki: network.authority.certificate.spki };
});

const next = (current: Roster, change: RosterChange, signer: Signer = gateway): SignedRecord =>
  nextRoster(current, change, signer);

const accepted = (current: Roster | undefined, record: SignedRecord): Roster => {
  const verdict = acceptRoster(current, record, trust);
  assert.equal(verdict.kind, 'accepted');
  return verdict.roster;
};

test('a roster is read back as it was written', () => {
  const roster = parseRoster(network.record.bytes);
  assert.equal(roster.networkId, network.networkId);
  assert.equal(roster.number, 1n);
  assert.deepEqual(roster.settings, defaultSettings);
  assert.deepEqual(roster.keyCheck, keyCheckOf(network.networkId, network.networkKey));
  assert.deepEqual(
    roster.members.map(({ role }) => role),
    roles,
  );
  assert.deepEqual(roster.hash, sha256(network.record.bytes));
  const settings = encodeSettings(defaultSettings);
  assert.equal(network.record.bytes.length, 197 + settings.length + 66 * roles.length);
});

test('a member is found by its key in any state, and is valid only until revoked', () => {
  const node = network.members.node.signer.keyHash;
  const second = accepted(first, next(first, { revoke: [node] }));
  assert.equal(findMember(second, node)?.state, 'revoked');
  assert.equal(isValidMember(first, node, 'node'), true);
  assert.equal(isValidMember(first, node, 'gateway', 'master'), false);
  assert.equal(isValidMember(second, node), false);
  assert.equal(listValidMembers(second, 'node').length, 0);
  assert.equal(second.members.length, first.members.length);
});

test('no byte of a roster can be changed', () => {
  const { bytes, signerSpki } = network.record;
  for (let at = 0; at < bytes.length; at += 1) {
    refuses(
      () => acceptRoster(undefined, { bytes: flipped(bytes, at), signerSpki }, trust),
      'integrity',
      'wrong-network',
    );
  }
});

test('arbitrary and cut bytes are refused as malformed, never otherwise', () => {
  const { bytes } = network.record;
  for (const length of [0, 1, 60, 92, 96, 197, bytes.length - 1]) {
    refuses(() => parseRoster(bytes.slice(0, length)), 'integrity');
  }
  refuses(() => parseRoster(Buffer.concat([bytes, new Uint8Array(1)])), 'integrity');
  const mutated = fc.tuple(fc.nat(bytes.length - 1), fc.uint8Array({ minLength: 1, maxLength: 8 }));
  fc.assert(
    fc.property(mutated, ([at, patch]) => {
      const copy = bytes.slice();
      copy.set(patch.slice(0, copy.length - at), at);
      try {
        parseRoster(copy);
      } catch (error) {
        assert.ok(isOperaError(error, 'integrity'), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('a roster that lists a key twice, gives a master an X25519 key or a node none is never made', () => {
  const node = { ...network.members.node.entry, state: 'valid' as const };
  const master = { ...network.members.master.entry, state: 'valid' as const };
  const make = (change: Partial<RosterFields>) => () => encodeRoster({ ...first, ...change }, network.authority.signer);
  refuses(make({ members: [node, node] }), 'integrity');
  refuses(make({ members: [{ ...node, x25519: new Uint8Array(32) }] }), 'integrity');
  refuses(make({ members: [{ ...master, x25519: node.x25519 }] }), 'integrity');
  refuses(make({ number: 0n }), 'integrity');
  refuses(make({ number: 2n }), 'integrity');
  refuses(make({ keyEpoch: 0 }), 'integrity');
});

test("the first roster is the authority's; signed by anyone else, or for another network, it is refused", async () => {
  accepted(undefined, network.record);
  const impostor = firstRoster(first, gateway);
  refuses(() => acceptRoster(undefined, impostor, trust), 'integrity');
  const swapped = { bytes: network.record.bytes, signerSpki: gateway.spki };
  refuses(() => acceptRoster(undefined, swapped, trust), 'integrity');
  const other = await createTestNetwork();
  refuses(() => acceptRoster(undefined, other.record, trust), 'wrong-network');
});

test('the next roster is accepted once and is the same when it comes again', () => {
  const joining = createTestMember('node');
  const record = next(first, { addMembers: [joining.entry] });
  const second = accepted(first, record);
  assert.equal(second.number, 2n);
  assert.deepEqual(second.previousHash, first.hash);
  assert.equal(isValidMember(second, joining.signer.keyHash, 'node'), true);
  assert.equal(acceptRoster(second, record, trust).kind, 'same');
  refuses(() => acceptRoster(second, network.record, trust), 'stale-roster');
});

test('only a gateway that the roster before lists as valid signs the next', () => {
  const { node, master, operator } = network.members;
  for (const { signer } of [node, master, operator]) refuses(() => next(first, {}, signer), 'forbidden');
  const forged = encodeRoster({ ...first, number: 2n, previousHash: first.hash }, node.signer);
  refuses(() => acceptRoster(first, forged, trust), 'integrity');
  const authority = encodeRoster({ ...first, number: 2n, previousHash: first.hash }, network.authority.signer);
  refuses(() => acceptRoster(first, authority, trust), 'integrity');
  const added = createTestMember('gateway');
  const own = [...first.members, { ...added.entry, state: 'valid' as const }];
  const selfMade = encodeRoster({ ...first, members: own, number: 2n, previousHash: first.hash }, added.signer);
  refuses(() => acceptRoster(first, selfMade, trust), 'integrity');
});

test('a revoked gateway signs nothing that is accepted', () => {
  const added = createTestMember('gateway');
  const second = accepted(first, next(first, { addMembers: [added.entry] }));
  const third = accepted(second, next(second, { revoke: [gateway.keyHash] }, added.signer));
  refuses(() => next(third, {}), 'forbidden');
  const forged = encodeRoster({ ...third, number: 4n, previousHash: third.hash }, gateway);
  refuses(() => acceptRoster(third, forged, trust), 'integrity');
  const fork = encodeRoster({ ...third, members: second.members }, gateway);
  refuses(() => acceptRoster(third, fork, trust), 'integrity');
});

test('what a roster said is never taken back, whoever signs', () => {
  const revoked = accepted(first, next(first, { revoke: [network.members.node.signer.keyHash] }));
  const with2 = accepted(revoked, next(revoked, { key: { epoch: 2, check: new Uint8Array(32).fill(7) } }));
  const forge =
    (change: Partial<RosterFields>, number = 4n) =>
    () =>
      acceptRoster(with2, encodeRoster({ ...with2, previousHash: with2.hash, number, ...change }, gateway), trust);
  assert.equal(forge({})().kind, 'accepted');
  refuses(forge({ members: first.members }), 'integrity');
  refuses(forge({ members: with2.members.slice(1) }), 'integrity');
  const [head, ...rest] = with2.members;
  assert.ok(head);
  refuses(forge({ members: [{ ...head, role: 'operator' }, ...rest] }), 'integrity');
  refuses(forge({ members: [{ ...head, x25519: new Uint8Array(32).fill(9) }, ...rest] }), 'integrity');
  refuses(forge({ keyEpoch: 1 }), 'integrity');
  refuses(forge({ keyCheck: new Uint8Array(32).fill(8) }), 'integrity');
  refuses(forge({ previousHash: first.hash }), 'integrity');
  assert.equal(forge({ previousHash: first.hash }, 5n)().kind, 'accepted');
});

test('a role that slept walks the kept rosters over a change of gateways, and cannot without them', () => {
  const added = createTestMember('gateway');
  const r2 = accepted(first, next(first, { settings: { ...defaultSettings, copies: 2 } }));
  const record3 = next(r2, { addMembers: [added.entry] });
  const r3 = accepted(r2, record3);
  const record4 = next(r3, { revoke: [gateway.keyHash] }, added.signer);
  const r4 = accepted(r3, record4);
  const record5 = next(r4, { addMembers: [createTestMember('node').entry] }, added.signer);
  assert.equal(gatewaysDiffer(first, r2), false);
  assert.equal(gatewaysDiffer(r2, r3), true);
  assert.equal(gatewaysDiffer(r3, r4), true);
  const kept = [network.record, record3, record4, record5];
  assert.equal(walkRosters(first, kept, trust)?.roster.number, 5n);
  assert.equal(walkRosters(undefined, kept, trust)?.record, record5);
  assert.equal(walkRosters(r4, kept, trust)?.roster.number, 5n);
  assert.equal(walkRosters(parseRoster(record5.bytes), kept, trust), undefined);
  refuses(() => walkRosters(first, [record5], trust), 'integrity');
  refuses(() => walkRosters(undefined, [record3], trust), 'integrity');
});

test('a member without a roster takes the newest from the gateway that TLS has shown, and from nobody else', () => {
  const second = next(first, { addMembers: [createTestMember('node').entry] });
  const shown = { ...trust, trustedSigner: gateway.keyHash };
  assert.equal(acceptRoster(undefined, second, shown).kind, 'accepted');
  const stranger = { ...trust, trustedSigner: network.members.node.signer.keyHash };
  refuses(() => acceptRoster(undefined, second, stranger), 'integrity');
  refuses(() => acceptRoster(undefined, second, trust), 'integrity');
});

test('two rosters of one number are a fork: revoked in either is revoked, and a merge heals both sides', () => {
  const { node, client } = network.members;
  const joined = createTestMember('node');
  const a = accepted(first, next(first, { revoke: [node.signer.keyHash] }));
  const recordB = next(first, { revoke: [client.signer.keyHash], addMembers: [joined.entry] });
  const b = accepted(first, recordB);
  const verdict = acceptRoster(a, recordB, trust);
  assert.equal(verdict.kind, 'fork');
  const cautious = withRevocationsOf(a, b);
  assert.equal(isValidMember(cautious, client.signer.keyHash), false);
  assert.equal(isValidMember(cautious, node.signer.keyHash), false);
  assert.equal(findMember(cautious, joined.signer.keyHash), undefined);
  refuses(() => walkRosters(a, [recordB], trust), 'conflict');
  const merged = mergeRosters(a, b, gateway);
  assert.deepEqual(parseRoster(merged.bytes).members.length, first.members.length + 1);
  for (const side of [first, a, b, cautious]) {
    const healed = accepted(side, merged);
    assert.equal(isValidMember(healed, node.signer.keyHash), false);
    assert.equal(isValidMember(healed, client.signer.keyHash), false);
    assert.equal(isValidMember(healed, joined.signer.keyHash), true);
  }
  const ignorant = next(a, {});
  refuses(() => acceptRoster(cautious, ignorant, trust), 'integrity');
  refuses(() => mergeRosters(a, first, gateway), 'bad-request');
  refuses(() => mergeRosters(a, a, gateway), 'bad-request');
});

test('a fork with two keys for one epoch needs a new epoch to heal', () => {
  const key = (fill: number) => ({ epoch: 2, check: new Uint8Array(32).fill(fill) });
  const a = accepted(first, next(first, { key: key(1) }));
  const b = accepted(first, next(first, { key: key(2) }));
  refuses(() => mergeRosters(a, b, gateway), 'conflict');
  refuses(() => mergeRosters(a, b, gateway, key(3)), 'conflict');
  const merged = mergeRosters(a, b, gateway, { epoch: 3, check: new Uint8Array(32).fill(3) });
  assert.equal(accepted(a, merged).keyEpoch, 3);
  assert.equal(accepted(b, merged).keyEpoch, 3);
});

test('changes that a roster cannot make are refused with their own codes', () => {
  const { node, client } = network.members;
  const revoked = accepted(first, next(first, { revoke: [node.signer.keyHash] }));
  refuses(() => next(revoked, { addMembers: [node.entry] }), 'revoked');
  refuses(() => next(first, { addMembers: [{ ...client.entry, role: 'operator' }] }), 'exists');
  refuses(() => next(first, { revoke: [createTestMember('node').signer.keyHash] }), 'not-found');
  refuses(() => next(first, { revoke: [gateway.keyHash] }), 'forbidden');
  refuses(() => next(first, { key: { epoch: 1, check: new Uint8Array(32) } }), 'conflict');
  refuses(() => next(first, { settings: { ...defaultSettings, writeCopies: 4 } }), 'bad-request');
  const again = accepted(first, next(first, { addMembers: [client.entry] }));
  assert.equal(again.members.length, first.members.length);
});

test('settings have one spelling: other orders, spaces, duplicates and unknown keys are refused', () => {
  const recovery = Buffer.alloc(32, 5).toString('base64');
  const settings = { ...defaultSettings, recoveryKeys: [recovery] };
  assert.deepEqual(parseSettings(encodeSettings(settings)), settings);
  const text = JSON.stringify(settings);
  const spellings = [
    text.replace(',', ', '),
    text.replace('"copies":3', '"copies":2,"copies":3'),
    text.replace('{', '{"extra":1,'),
    text.replace('"copies":3', '"copies":3.0'),
    text.replace('"writeCopies":2,"partitions":4096', '"partitions":4096,"writeCopies":2'),
    `${text} `,
    '[]',
    'null',
    '',
    '{',
  ];
  for (const spelling of spellings) refuses(() => parseSettings(utf8(spelling)), 'bad-request');
  const wrong: readonly object[] = [
    { copies: 0 },
    { copies: 8 },
    { copies: 2.5 },
    { writeCopies: 0 },
    { partitions: 4095 },
    { indexMode: 'open' },
    { recoveryKeys: [recovery, recovery] },
    { recoveryKeys: [Buffer.alloc(32).toString('base64')] },
    { recoveryKeys: [Buffer.alloc(31, 1).toString('base64')] },
    { recoveryKeys: 'x' },
  ];
  for (const one of wrong) refuses(() => checkSettings({ ...settings, ...one }), 'bad-request');
});
