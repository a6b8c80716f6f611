// The verdict on a network: each thing that lowers it, alone, with its reason; and what does not lower it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type NetworkStatus } from '../../src/client/verdict.ts';
import { keyHashOfSpki } from '../../src/crypto/signature.ts';
import { memberIdOf, networkIdFromBytes } from '../../src/model/ids.ts';
import type { Role } from '../../src/model/roles.ts';

type Member = NetworkStatus['members'][number];
type Node = NetworkStatus['nodes'][number];
const nowMs = 1_795_392_000_000;

const memberOf = (number: number, role: Role = 'node', state: Member['state'] = 'up'): Member => {
  const keyHash = keyHashOfSpki(Buffer.from(`member ${number}`));
  return {
    ...{ memberId: memberIdOf(keyHash), keyHash, role, zone: '', capacityBytes: 0, joinedMs: 0, revoked: false },
    ...{ addresses: [`10.0.0.${number}:7000`], certificateExpiresMs: 0, state, stateSinceMs: 0, stateReason: '' },
  };
};

const nodeOf = ({ memberId }: Member): Node => ({
  ...{ memberId, heardMs: nowMs, chunks: 0, manifests: 0, chunkBytes: 0, readOnly: false, sound: true },
  ...{ layoutNumber: 3, completeLayout: 3, repair: { chunks: 0, bytes: 0 } },
});

const networkOf = (states: readonly Member['state'][], change: Partial<NetworkStatus> = {}): NetworkStatus => {
  const nodes = states.map((state, at) => memberOf(at, 'node', state));
  const master = memberOf(100, 'master');
  return {
    ...{ networkId: networkIdFromBytes(new Uint8Array(16)), incarnation: 1, rosterNumber: 1n, keyEpoch: 1, copies: 3 },
    ...{ writeCopies: 2, indexMode: 'sealed', layoutNumber: 3, layoutCopies: 3, layoutWriteCopies: 2, retiredUpTo: 2 },
    ...{ placementsLayout: 3, leader: { memberId: master.memberId, epoch: 1n }, files: 0, pending: 0, alarms: [] },
    ...{ members: [...nodes, master], nodes: nodes.map(nodeOf), underReplicated: 0, safeToRemove: [] },
    ...{ registryMode: 'normal', servedHour: 0, nowMs },
    ...change,
  };
};

const verdictOf = (states: readonly Member['state'][], change: Partial<NetworkStatus> = {}): [string, string] => {
  const { health, reasons } = judge(networkOf(states, change));
  return [health, reasons.join('; ')];
};

const up = ['up', 'up', 'up', 'up'] as const;

test('a network that has all it wants is healthy, whatever nodes left it in order', () => {
  assert.deepEqual(verdictOf(up), ['healthy', '']);
  for (const state of ['out', 'draining', 'quarantine', 'removed'] as const) {
    assert.deepEqual(verdictOf([...up, state]), ['healthy', ''], state);
  }
});

test('copies that nodes missed lower it, by node, while those who stored them are heard', () => {
  const [first, second, third] = up.map((state, at) => memberOf(at, 'node', state));
  assert.ok(first && second && third);
  const owes = (member: Member, chunks: number, heardMs = nowMs): Node => ({
    ...nodeOf(member),
    heardMs,
    owed: [{ memberId: third.memberId, chunks }],
  });
  const others = up.slice(2).map((state, at) => nodeOf(memberOf(at + 2, 'node', state)));
  const [health, reasons] = verdictOf(up, { nodes: [owes(first, 5), owes(second, 7), ...others] });
  assert.deepEqual([health, reasons], ['degraded', `12 chunks wait for a copy on ${third.memberId}`]);
  const one = verdictOf(up, { nodes: [owes(first, 1), nodeOf(second), ...others] });
  assert.deepEqual(one, ['degraded', `1 chunk waits for a copy on ${third.memberId}`]);
  const [, silent] = verdictOf(up, { nodes: [owes(first, 1, nowMs - 20_000), nodeOf(second), ...others] });
  assert.equal(silent, '1 node without a heartbeat');
});

test('each thing below target lowers it to degraded and says what', () => {
  assert.deepEqual(verdictOf(['up', 'up', 'up', 'down']), ['degraded', '1 node of 4 down']);
  assert.deepEqual(verdictOf(['up', 'up', 'up', 'suspect']), ['degraded', '1 node suspected']);
  assert.deepEqual(verdictOf(up, { layoutCopies: 2 }), ['degraded', '2 copies instead of 3: too few nodes']);
  assert.deepEqual(verdictOf(up, { underReplicated: 7 }), ['degraded', '7 of 4096 partitions lack a copy']);
  assert.deepEqual(verdictOf(up, { retiredUpTo: 1 }), ['degraded', 'layout 3 is being filled']);
  assert.deepEqual(verdictOf(up, { placementsLayout: 2 }), [
    'degraded',
    'the public placement keys lag behind the layout',
  ]);
  const alarms = [{ kind: 'mass-failure', sinceMs: 0, text: 'half of the nodes are gone' }];
  assert.deepEqual(verdictOf(up, { alarms }), ['degraded', 'half of the nodes are gone']);
});

test('what single nodes report counts: repair, doubt, a full disk, silence', () => {
  const change = (part: Partial<Node>): [string, string] => {
    const { nodes } = networkOf(up);
    return verdictOf(up, { nodes: nodes.map((node, at) => (at === 0 ? { ...node, ...part } : node)) });
  };
  assert.deepEqual(change({ repair: { chunks: 2, bytes: 4096 } }), ['degraded', '2 chunks, 4.0 KiB to copy']);
  assert.deepEqual(change({ sound: false }), ['degraded', '1 node with a blank or restored store']);
  assert.deepEqual(change({ readOnly: true }), ['degraded', '1 node read-only']);
  const indexTrouble = 'the disk is full';
  const { nodes } = networkOf(up);
  const [first, second] = nodes.map(({ memberId }) => memberId);
  assert.deepEqual(change({ indexTrouble }), ['degraded', `index of ${first}: the disk is full`]);
  const two = nodes.map((node, at) => (at < 2 ? { ...node, indexTrouble } : node));
  assert.deepEqual(verdictOf(up, { nodes: two }), ['degraded', `index of ${first}, ${second}: the disk is full`]);
  assert.deepEqual(change({ heardMs: nowMs - 20_000 }), ['degraded', '1 node without a heartbeat']);
});

test('it is down when writes or reads fail', () => {
  assert.equal(verdictOf([], { layoutNumber: 0 })[0], 'down');
  assert.deepEqual(verdictOf(['up', 'down', 'down']), ['down', '1 node up, 2 are needed to write; 2 nodes of 3 down']);
  assert.deepEqual(verdictOf(up, { registryMode: 'safe', registryReason: 'another life' }), [
    'down',
    'nothing is committed: another life',
  ]);
  const noLeader = { leader: undefined, registryReason: 'the registry cannot be reached: OOM' };
  assert.deepEqual(verdictOf(up, noLeader), [
    'down',
    'nothing is committed: the registry cannot be reached: OOM; no master leads',
  ]);
});

test('a master or gateway that is down is named; without a leader it is degraded', () => {
  const { leader: _leader, ...rest } = networkOf(up);
  assert.deepEqual(judge(rest), { health: 'degraded', reasons: ['no master leads'] });
  const gateway = memberOf(200, 'gateway', 'down');
  const { members } = networkOf(up);
  assert.deepEqual(verdictOf(up, { members: [...members, gateway] }), [
    'degraded',
    `gateway ${gateway.memberId} is down`,
  ]);
});
