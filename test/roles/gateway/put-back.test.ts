// A gateway that was put back to an earlier day together with its registry, as a machine is from a snapshot: what it
// had signed since is on the members' disks, and nothing of it may be undone.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Connection } from '../../../src/client/connection.ts';
import { type OpenHome, openHome } from '../../../src/client/home.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { findMember, parseRoster } from '../../../src/identity/roster.ts';
import type { OperationId } from '../../../src/model/ids.ts';
import { eventually } from '../../support/eventually.ts';
import { GatewayWorld, type RunningGateway, type RunningRole } from '../../support/gateway-world.ts';
import { putBack as restoreStore, snapshotOf } from '../../support/memory-registry-faults.ts';
import { rejects } from '../../support/refuses.ts';

const worlds: GatewayWorld[] = [];
after(() => Promise.all(worlds.map((world) => world.close())));

const operationId = '00'.repeat(16) as OperationId;

interface PutBack {
  readonly world: GatewayWorld;
  readonly operator: Connection;
  readonly nodes: readonly RunningRole[];
  readonly clients: readonly OpenHome[];
  /** The gateway as it is after that; its rounds do not run yet. */
  readonly gateway: RunningGateway;
}

const revoke = (operator: Connection, { identity }: OpenHome) =>
  operator.call('member.revoke', { memberId: identity.memberId, operationId });

/** Three nodes and three clients; `lost`, by default the revocation of so many clients, is what is put back. */
const putBack = async (lost: number | ((operator: Connection) => Promise<unknown>)): Promise<PutBack> => {
  const { world, first, operator } = await GatewayWorld.create();
  worlds.push(world);
  const nodes: RunningRole[] = [];
  const clients: OpenHome[] = [];
  for (let at = 0; at < 3; at++) nodes.push(await world.joinRole(operator, 'node'));
  for (let at = 0; at < 3; at++) clients.push(await world.join(await world.code(operator, 'client'), 'client'));
  const disk = ['roster', 'keys.json'].map((file) => join(world.homeOf('gateway').home, file));
  const files = disk.map((path) => readFileSync(path));
  const registry = snapshotOf(world.store);
  if (typeof lost === 'function') await lost(operator);
  else for (const client of clients.slice(0, lost)) await revoke(operator, client);
  restoreStore(world.store, registry);
  for (const [at, path] of disk.entries()) writeFileSync(path, files[at] ?? '');
  const gateway = world.run(await openHome(world.homeOf('gateway').home), first.mesh, first.join);
  return { world, operator, nodes, clients, gateway };
};

const isRevoked = ({ rosters }: OpenHome, { identity }: OpenHome): boolean =>
  findMember(rosters.roster, identity.signer.keyHash)?.state === 'revoked';

/** On all disks and in the registry there is one roster, and these clients are revoked in it. */
const isOne = async ({ world, nodes, gateway }: PutBack, revoked: readonly OpenHome[]): Promise<boolean> => {
  const record = await world.registry().readRoster();
  const hash = parseRoster(record?.bytes ?? new Uint8Array()).hash;
  return [gateway, ...nodes].every(
    ({ open }) =>
      Buffer.compare(parseRoster(open.rosters.record.bytes).hash, hash) === 0 &&
      revoked.every((client) => isRevoked(open, client)),
  );
};

test('it takes the newest roster from the members, and the registry gets it again', async () => {
  const back = await putBack(2);
  const [a, b] = back.clients;
  assert.ok(a && b);
  assert.equal(isRevoked(back.gateway.open, a), false);
  void back.gateway.gateway.start();
  await eventually(() => isOne(back, [a, b]));
  await rejects(back.world.connect(a).call('member.list', {}), 'revoked');
});

test('what it is asked to change follows what the members hold', async () => {
  for (const lost of [1, 2]) {
    const back = await putBack(lost);
    const { confirmed, unconfirmed } = await revoke(back.operator, back.clients[2] ?? assert.fail());
    assert.deepEqual([confirmed.length, unconfirmed], [4, []]);
    assert.ok(await isOne(back, [...back.clients.slice(0, lost), ...back.clients.slice(2)]));
  }
});

test('it takes the network key of an epoch that it does not know any more from the nodes', async () => {
  const back = await putBack((operator) => operator.call('keys.rotate', { fromEpoch: 1, operationId }));
  const { world, operator, gateway } = back;
  assert.equal(gateway.open.keys.keyring.newestEpoch, 1);
  void gateway.gateway.start();
  await eventually(async () => (await isOne(back, [])) && gateway.open.keys.keyring.newestEpoch === 2);
  await eventually(async () => (await world.registry().listKeyBoxes()).some(({ epoch }) => epoch === 2));
  assert.ok((await world.registry().listKeyChain()).has(1));
  const joined = await world.join(await world.code(operator, 'client'), 'client');
  assert.deepEqual([joined.keys.keyring.newestEpoch, joined.keys.keyring.has(1)], [2, true]);
});

test('what it signed while no member could be reached is no confirmation, and is merged when they can be', async () => {
  for (const lost of [1, 2]) {
    const back = await putBack(lost);
    const { world, nodes } = back;
    const addresses = new Set(nodes.map(({ address }) => address));
    world.network.fault = ({ to }) => {
      if (addresses.has(to.address)) throw new OperaError('unavailable', 'out of reach');
    };
    const last = back.clients[2] ?? assert.fail();
    const answer = await revoke(back.operator, last);
    assert.equal(answer.unconfirmed.length, 3);
    world.network.fault = () => undefined;
    void back.gateway.gateway.start();
    await eventually(() => isOne(back, [...back.clients.slice(0, lost), last]));
    assert.ok(world.lines.some((line) => line.includes('roster-fork')));
    // And it goes on from there.
    await world.join(await world.code(back.operator, 'client'), 'client');
  }
});
