// The sentinel's rounds over a registry in memory and a network whose members answer, refuse or hang as told.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { RosterKeeper } from '../../../src/client/roster-keeper.ts';
import type { Destination, Transport } from '../../../src/client/transport.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { nextRoster } from '../../../src/identity/roster-rules.ts';
import type { MemberId } from '../../../src/model/ids.ts';
import { limits } from '../../../src/model/limits.ts';
import { timings } from '../../../src/model/timing.ts';
import type { Role } from '../../../src/model/roles.ts';
import type { MemberRecord, MemberState } from '../../../src/registry/registry.ts';
import { MemoryRegistryStore } from '../../../src/registry/memory-store.ts';
import { MemoryRegistry } from '../../../src/registry/memory.ts';
import type { RoleContext } from '../../../src/roles/context.ts';
import { RoleMetrics } from '../../../src/roles/metrics.ts';
import { createSentinel, type Sentinel } from '../../../src/roles/sentinel/app.ts';
import { createLogger } from '../../../src/runtime/log.ts';
import { SystemRandom } from '../../../src/runtime/random.ts';
import {
  createTestMember,
  createTestNetwork,
  type TestMember,
  type TestNetwork,
} from '../../support/identity-network.ts';
import * as build from '../../support/registry-builders.ts';
import { SteppedClock } from '../../support/stepped-clock.ts';

type Manner = 'answers' | 'hangs' | OperaError;

const refused = new OperaError('unavailable', 'x', { details: { reason: 'ECONNREFUSED' } });
const timing = timings.local;
/** After so long without an answer the state is in the registry. */
const suspectMs = timing.suspectMs + limits.probeIntervalMs;
const downMs = timing.downMs + limits.probeIntervalMs;
const oneRoundMs = 2 * limits.probeIntervalMs;

let network: TestNetwork;
let folder: string;
let clock: SteppedClock;
let registry: MemoryRegistry;
let store: MemoryRegistryStore;
let sentinel: Sentinel;
let stopping: AbortController;
let rosters: RosterKeeper;
let lines: string[];
const manners = new Map<MemberId, Manner>();
let calls: { readonly to: Destination; readonly route: string; readonly request: unknown }[];

const transport: Transport = {
  async call(to, route, request, options = {}) {
    calls.push({ to, route, request });
    assert.ok('memberId' in to.expect, 'a member is dialled by its id');
    const manner = manners.get(to.expect.memberId) ?? 'answers';
    if (manner === 'hangs') {
      await clock.sleep(options.timeoutMs ?? 0, options.signal ? { signal: options.signal } : {});
      throw new OperaError('timeout');
    }
    if (manner !== 'answers') throw manner;
    return { answer: {} as never, binary: new Uint8Array() };
  },
  close: async () => undefined,
};

const put = (who: TestMember, over: Partial<MemberRecord> = {}): Promise<boolean> =>
  registry.putMember(
    build.member(who.role, {
      memberId: who.memberId,
      keyHash: who.signer.keyHash,
      role: who.role,
      addresses: [`10.0.0.${Object.keys(network.members).indexOf(who.role)}:7`],
      ...over,
    }),
  );

const stateOf = async (who: TestMember): Promise<MemberState | undefined> =>
  (await registry.getMember(who.memberId))?.state;

const probed = (): Set<Role | undefined> =>
  new Set(
    calls
      .filter(({ route }) => route === 'ping')
      .map(({ to }) => {
        const members: readonly TestMember[] = Object.values(network.members);
        return members.find(({ memberId }) => 'memberId' in to.expect && to.expect.memberId === memberId)?.role;
      }),
  );

before(async () => {
  network = await createTestNetwork();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-sentinel-'));
  clock = new SteppedClock();
  store = new MemoryRegistryStore();
  registry = new MemoryRegistry(store, clock);
  await build.createNetwork(registry);
  for (const role of ['gateway', 'master', 'sentinel', 'node'] as const) await put(network.members[role]);
  const { networkId, authority, record, members } = network;
  const trust = { networkId, caSpki: authority.certificate.spki };
  rosters = await RosterKeeper.load({ folder, trust, keepHistory: false });
  await rosters.accept([record]);
  manners.clear();
  calls = [];
  lines = [];
  stopping = new AbortController();
  const context: RoleContext = {
    networkId,
    role: 'sentinel',
    memberId: members.sentinel.memberId,
    identity: () => assert.fail('a sentinel needs no identity of its own'),
    rosters,
    transport,
    clock,
    random: new SystemRandom(),
    log: createLogger({ role: 'sentinel', write: (line) => lines.push(line), clock }),
    metrics: new RoleMetrics('sentinel', clock),
    instance: '0'.repeat(32),
    stopping: stopping.signal,
  };
  sentinel = createSentinel(context, { registry, timing });
});

const stop = async (): Promise<void> => {
  stopping.abort();
  await clock.advance(0);
  await rm(folder, { recursive: true, force: true });
};
after(stop);

test('nodes, gateways and masters are probed by member id, each once a second, never the sentinel itself', async () => {
  await put(network.members.client);
  await sentinel.start();
  await clock.advance(0);
  assert.deepEqual(probed(), new Set(['gateway', 'master', 'node']));
  assert.equal(calls.length, 3);
  await clock.advance(limits.probeIntervalMs);
  assert.equal(calls.length, 6);
  await stop();
});

test('a probe that is lost is not waited for: the next one tells that the member lives', async () => {
  await sentinel.start();
  await clock.advance(0);
  manners.set(network.members.node.memberId, 'hangs');
  await clock.advance(limits.probeIntervalMs);
  manners.set(network.members.node.memberId, 'answers');
  const states = new Set<MemberState | undefined>();
  for (let passedMs = 0; passedMs < 2 * timing.downMaxMs; passedMs += 500) {
    await clock.advance(500);
    states.add(await stateOf(network.members.node));
  }
  assert.deepEqual([...states], ['up']);
  await stop();
});

test('to a member that hangs only a few probes are under way at once', async () => {
  manners.set(network.members.node.memberId, 'hangs');
  await sentinel.start();
  await clock.advance(timing.downMaxMs - 1);
  const { memberId } = network.members.node;
  const probes = calls.filter(({ to }) => 'memberId' in to.expect && to.expect.memberId === memberId);
  assert.equal(probes.length, limits.probesInFlight);
  await stop();
});

test('it is ready after its first round, and not while the list of members cannot be read', async () => {
  assert.notEqual(sentinel.notReady(), undefined);
  await sentinel.start();
  await clock.advance(0);
  assert.equal(sentinel.notReady(), undefined);
  store.unavailable = true;
  await clock.advance(oneRoundMs);
  assert.match(sentinel.notReady() ?? '', /list of members/);
  store.unavailable = false;
  await clock.advance(oneRoundMs);
  assert.equal(sentinel.notReady(), undefined);
  await stop();
});

test('a hanging node becomes suspect, then down, then up again, and the master is told each time', async () => {
  const { node, master } = network.members;
  await sentinel.start();
  await clock.advance(0);
  manners.set(node.memberId, 'hangs');
  await clock.advance(suspectMs);
  assert.equal(await stateOf(node), 'suspect');
  await clock.advance(downMs - suspectMs);
  assert.equal(await stateOf(node), 'down');
  assert.equal((await registry.getMember(node.memberId))?.stateReason, 'timeout');
  manners.set(node.memberId, 'answers');
  await clock.advance(timing.downMaxMs);
  assert.equal(await stateOf(node), 'up');
  const told = calls.filter(({ route }) => route === 'member.changed');
  assert.equal(told.length, 3);
  for (const { to, request } of told) {
    assert.deepEqual(to.expect, { memberId: master.memberId });
    assert.deepEqual(request, { memberId: node.memberId });
  }
  await stop();
});

test('a refused port counts like a timeout and is told apart in the reason', async () => {
  const { node } = network.members;
  manners.set(node.memberId, refused);
  await sentinel.start();
  await clock.advance(downMs);
  const found = await registry.getMember(node.memberId);
  assert.deepEqual([found?.state, found?.stateReason], ['down', 'refused']);
  await stop();
});

test('another member behind the address is a failure with that reason', async () => {
  const { node } = network.members;
  manners.set(node.memberId, new OperaError('peer-mismatch'));
  await sentinel.start();
  await clock.advance(downMs);
  const found = await registry.getMember(node.memberId);
  assert.deepEqual([found?.state, found?.stateReason], ['down', 'peer-mismatch']);
  await stop();
});

test('a member that answers with an error of its own lives', async () => {
  const { node } = network.members;
  manners.set(node.memberId, new OperaError('overloaded', 'x', { requestId: 'ab' }));
  await sentinel.start();
  await clock.advance(downMs);
  assert.equal(await stateOf(node), 'up');
  await stop();
});

test('nothing is written to the registry while nothing changes', async () => {
  let writes = 0;
  const set = registry.setMemberState.bind(registry);
  registry.setMemberState = (...args) => {
    writes++;
    return set(...args);
  };
  await sentinel.start();
  await clock.advance(10 * limits.probeIntervalMs);
  assert.equal(writes, 0);
  manners.set(network.members.node.memberId, 'hangs');
  await clock.advance(20 * oneRoundMs);
  assert.equal(writes, 2);
  await stop();
});

test('a drain that comes in between the probe and the verdict is not overwritten', async () => {
  const { node } = network.members;
  manners.set(node.memberId, 'hangs');
  await sentinel.start();
  const set = registry.setMemberState.bind(registry);
  registry.setMemberState = async (...args) => {
    registry.setMemberState = set;
    await set(node.memberId, 'draining', 'operator');
    return set(...args);
  };
  await clock.advance(10 * oneRoundMs);
  assert.equal(await stateOf(node), 'draining');
  await stop();
});

test('removed and revoked members and those without an address are not probed', async () => {
  const { node, gateway, master } = network.members;
  await put(node, { addresses: [] });
  await registry.setMemberState(master.memberId, 'removed', 'gone');
  const other = createTestMember('gateway');
  await rosters.accept([nextRoster(rosters.roster, { addMembers: [other.entry] }, gateway.signer)]);
  await rosters.accept([nextRoster(rosters.roster, { revoke: [gateway.signer.keyHash] }, other.signer)]);
  await sentinel.start();
  await clock.advance(limits.probeIntervalMs);
  assert.deepEqual(probed(), new Set());
  await stop();
});

test('a master that cannot be told does not stop the rounds', async () => {
  const { node, master } = network.members;
  manners.set(master.memberId, refused);
  manners.set(node.memberId, refused);
  await sentinel.start();
  await clock.advance(downMs);
  assert.equal(await stateOf(node), 'down');
  assert.equal(await stateOf(master), 'down');
  await stop();
});

test('a registry that fails at the write is tried again in the next round', async () => {
  const { node } = network.members;
  const set = registry.setMemberState.bind(registry);
  let failures = 2;
  registry.setMemberState = (...args) => {
    if (failures-- > 0) return Promise.reject(new OperaError('registry-unavailable'));
    return set(...args);
  };
  manners.set(node.memberId, refused);
  await sentinel.start();
  await clock.advance(timing.suspectMs);
  assert.equal(await stateOf(node), 'up');
  assert.match(lines.join(''), /member-state-not-set/);
  await clock.advance(limits.probeIntervalMs);
  assert.equal(await stateOf(node), 'suspect');
  await stop();
});

test('a standstill of our own process marks nobody, whatever timed out meanwhile', async () => {
  const { node, gateway } = network.members;
  await sentinel.start();
  await clock.advance(0);
  manners.set(node.memberId, 'hangs');
  manners.set(gateway.memberId, 'hangs');
  await clock.advance(limits.probeIntervalMs);
  for (let round = 0; round < 10; round++) {
    await clock.stall(limits.probeTimeoutMs);
    await clock.stall(limits.probeIntervalMs);
  }
  assert.equal(await stateOf(node), 'up');
  assert.match(lines.join(''), /"event":"sentinel-abstains","reason":"lagged"/);
  await stop();
});

test('no round begins after the role stopped', async () => {
  await sentinel.start();
  await clock.advance(0);
  await stop();
  calls = [];
  await clock.advance(10 * oneRoundMs);
  assert.deepEqual(calls, []);
});

test('one that hangs delays the probes of nobody else', async () => {
  const { node, gateway } = network.members;
  manners.set(node.memberId, 'hangs');
  await sentinel.start();
  await clock.advance(4 * limits.probeIntervalMs);
  const dials = (who: TestMember): number =>
    calls.filter(({ to, route }) => route === 'ping' && 'memberId' in to.expect && to.expect.memberId === who.memberId)
      .length;
  assert.deepEqual([dials(node), dials(gateway)], [limits.probesInFlight, 5]);
  await stop();
});

test('each death and each return begins a cause of its own in the timeline', async () => {
  const { node } = network.members;
  await sentinel.start();
  await clock.advance(0);
  manners.set(node.memberId, refused);
  await clock.advance(downMs);
  manners.set(node.memberId, 'answers');
  await clock.advance(oneRoundMs);
  const events = await registry.listEvents(undefined, 10);
  assert.deepEqual(
    events.map(({ kind, memberId, facts }) => [kind, memberId, facts['reason']]),
    [
      ['member-down', node.memberId, 'refused'],
      ['member-up', node.memberId, 'answers probes'],
    ],
  );
  assert.equal(new Set(events.map(({ causeId }) => causeId)).size, 2);
  await stop();
});
