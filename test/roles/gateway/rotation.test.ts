// Rotating the network key: who gets the new one, races, and gateways that die at any point of it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Connection } from '../../../src/client/connection.ts';
import { openHome } from '../../../src/client/home.ts';
import { openKeyBox, parseKeyBox } from '../../../src/crypto/key-box.ts';
import { openWrap, wrapEpochOf, wrapFileKey } from '../../../src/crypto/wrap.ts';
import { createX25519, recoveryKeyHashOf } from '../../../src/crypto/x25519.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { operationIdFromBytes, versionIdFromBytes } from '../../../src/model/ids.ts';
import { eventually } from '../../support/eventually.ts';
import {
  GatewayWorld,
  random,
  type RunningGateway,
  type RunningRole,
  type Wrapping,
} from '../../support/gateway-world.ts';
import { rejects } from '../../support/refuses.ts';

const worlds: GatewayWorld[] = [];
const create = async () => {
  const made = await GatewayWorld.create();
  worlds.push(made.world);
  return made;
};
after(() => Promise.all(worlds.map((world) => world.close())));

const newOperation = () => operationIdFromBytes(random.bytes(16));
const offline = (address: string) => new OperaError('unavailable', `${address} cannot be reached`);

const addGateway = async (world: GatewayWorld, operator: Connection): Promise<RunningGateway> => {
  const [mesh, joinAddress] = [world.address(), world.address()];
  const open = await world.join(await world.code(operator, 'gateway'), 'gateway', [mesh]);
  const running = world.run(open, mesh, joinAddress);
  // Its first round announces it; tests that want more rounds start it.
  const request = { addresses: [mesh], zone: '', capacityBytes: 0, rosterNumber: 0n };
  const to = { address: open.profile.gateways[0] ?? '', expect: { role: 'gateway' } } as const;
  await running.context.transport.call(to, 'member.announce', request);
  return running;
};

const rotate = (operator: Connection, fromEpoch = 1, operationId = newOperation()) =>
  operator.call('keys.rotate', { operationId, fromEpoch }, { attempts: 1 });

const epochOf = ({ open }: RunningRole | RunningGateway): number => open.keys.keyring.newestEpoch;

/** That a holder works with the epoch the roster names, and still opens what was sealed before it. */
const assertUsable = (connection: Pick<Connection, 'keys' | 'rosters'>): void => {
  const { keyEpoch, keyCheck } = connection.rosters.roster;
  const { keyring } = connection.keys;
  assert.equal(keyring.newestEpoch, keyEpoch);
  assert.ok(keyring.matches(keyEpoch, keyCheck));
  for (let epoch = 1; epoch <= keyEpoch; epoch++) assert.ok(keyring.has(epoch), `epoch ${epoch} is held`);
};

test('a rotation gives every key holder and recovery key the new epoch, and keeps the old one readable', async () => {
  const { world, first, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const second = await addGateway(world, operator);
  const client = world.connect(await world.join(await world.code(operator, 'client'), 'client'));
  const kit = createX25519(random);
  await operator.call('recovery.add', { agreementKey: kit.publicKey });
  await client.refresh();
  const version = versionIdFromBytes(random.bytes(16));
  const fileKey = random.bytes(32);
  const { networkId } = first.open.identity;
  const wrap = wrapFileKey(client.keys.keyring, networkId, version, fileKey, random);

  const operationId = newOperation();
  const answer = await rotate(operator, 1, operationId);
  assert.deepEqual(answer, { keyEpoch: 2, rotated: true, unconfirmed: [] });
  for (const role of [first, second, node]) {
    assertUsable(role.open);
    assert.deepEqual(openWrap(role.open.keys.keyring, networkId, version, wrap), fileKey);
  }
  await client.refresh();
  assertUsable(client);
  const boxes = node.open.keys.records.keyBoxes.map(({ bytes }) => parseKeyBox(bytes));
  const kits = boxes.filter((box) => box.kind === 3 && box.recipient === recoveryKeyHashOf(kit.publicKey));
  assert.deepEqual(
    kits.map((box) => openKeyBox(networkId, box, kit.privateKey)),
    [first.open.keys.keyring.newest.key],
  );
  assert.equal(world.store.keyEpoch, 2);

  assert.deepEqual(await rotate(operator, 1, operationId), answer, 'asked again');
  assert.equal((await rotate(operator, 1)).rotated, false, 'by somebody else: it was rotated already');
  await rejects(rotate(operator, 3), 'bad-request');
  await rejects(rotate(client, 2), 'forbidden');
  const listed = await client.call('keys.list', {});
  assert.deepEqual(
    listed.epochs.map(({ epoch, madeMs }) => [epoch, madeMs !== undefined]),
    [
      [1, true],
      [2, true],
    ],
  );
  const { events } = await operator.call('event.list', { limit: 100 });
  assert.equal(events.filter(({ kind, causeId }) => kind === 'keys-rotated' && causeId === operationId).length, 1);
});

test('of two rotations at once, at two gateways, one takes place and the other says so', async () => {
  const { world, first, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const second = await addGateway(world, operator);
  const at = (gateway: RunningGateway) =>
    operator.transport.call({ address: gateway.mesh, expect: { role: 'gateway' } }, 'keys.rotate', {
      operationId: newOperation(),
      fromEpoch: 1,
    });
  await operator.refresh();
  const answers = (await Promise.all([at(first), at(second)])).map(({ answer }) => answer);
  assert.deepEqual(
    answers.map(({ keyEpoch }) => keyEpoch),
    [2, 2],
  );
  assert.deepEqual(answers.map(({ rotated }) => rotated).sort(), [false, true]);
  for (const role of [first, second, node]) assertUsable(role.open);
  assert.deepEqual(first.open.keys.keyring.newest.key, second.open.keys.keyring.newest.key);
});

test('a member revoked while a rotation is under way gets no key of the epoch that comes of it', async () => {
  const { world, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const traitor = await world.join(await world.code(operator, 'node'), 'node');
  const { memberId, signer } = traitor.identity;
  let revoked = false;
  // The first draft holds a box for the traitor; it is revoked before the roster is published.
  world.network.fault = async ({ route }) => {
    if (route !== 'keys.prepare' || revoked) return;
    revoked = true;
    await operator.call('member.revoke', { memberId, operationId: newOperation() });
  };
  const answer = await rotate(operator);
  assert.equal(answer.rotated, true);
  assert.ok(revoked);
  const boxes = [
    ...node.open.keys.records.keyBoxes.map(({ bytes }) => bytes),
    ...[...world.store.boxes.values()].map(({ box }) => box.bytes),
  ];
  const own = boxes.map(parseKeyBox).filter((box) => box.recipient === signer.keyHash && box.epoch === 2);
  assert.equal(own.length, 0);
  assertUsable(node.open);
  assertUsable(operator);
});

test('nothing is rotated without a majority of the nodes, and one that was away gets its box later', async () => {
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
  await rejects(rotate(operator), 'write-quorum');
  assert.equal(first.open.rosters.roster.keyEpoch, 1);
  assert.deepEqual(nodes.map(epochOf), [1, 1, 1]);
  assertUsable(operator);
  away.delete(nodes[1].address);
  const { unconfirmed } = await rotate(operator);
  assert.deepEqual(unconfirmed, [nodes[0].context.memberId]);
  assert.deepEqual(nodes.map(epochOf), [1, 2, 2]);
  away.clear();
  void first.gateway.start();
  await eventually(() => epochOf(nodes[0]) === 2);
  assertUsable(nodes[0].open);
});

/** Ends the process when its n-th use of a seam has taken effect and its answer is lost: before the next one. */
const dyingAfter = (n: number): { readonly over: Wrapping; readonly died: () => boolean } => {
  let uses = 0;
  let isDead = false;
  const die = (): Promise<never> => {
    isDead = true;
    return new Promise(() => undefined);
  };
  const over: Wrapping = (seam) =>
    new Proxy(seam, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (uses > n) return new Promise(() => undefined);
          const result: unknown = Reflect.apply(value, target, args);
          if (!(result instanceof Promise)) return result;
          const isLast = uses++ === n;
          return isLast ? Promise.allSettled([result]).then(die) : result;
        };
      },
    });
  return { over, died: () => isDead };
};

test('a gateway killed at any point of a rotation leaves the old epoch or a whole new one', async () => {
  const { world, first, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  await rotate(operator);
  const outcomes = new Set<number>();
  for (let n = 0; ; n++) {
    await operator.refresh();
    const epoch = operator.rosters.roster.keyEpoch;
    const { over, died } = dyingAfter(n);
    world.run(await openHome(first.open.home), first.mesh, first.join, over);
    const operationId = newOperation();
    const call = rotate(operator, epoch, operationId);
    call.catch(() => undefined);
    let ended = false;
    void call.finally(() => (ended = true)).catch(() => undefined);
    await eventually(() => ended || died());
    if (!died()) break;
    // Another process over the same home, and the node begun anew from its disk.
    const again = world.run(await openHome(first.open.home), first.mesh, first.join);
    const reborn = world.serve(await openHome(node.open.home), node.address);
    // Asking for what is done already brings the gateway in step with the registry, and changes nothing.
    const { keyEpoch } = await rotate(operator, epoch - 1);
    outcomes.add(keyEpoch - epoch);
    await operator.refresh();
    await world.announce(reborn);
    for (const holder of [operator, again.open, reborn.open]) assertUsable(holder);
    assert.equal(operator.rosters.roster.keyEpoch, keyEpoch);
    assert.equal((await rotate(operator, epoch, operationId)).keyEpoch, epoch + 1, `after ${n}: asked again`);
    await operator.refresh();
    for (const holder of [operator, again.open, reborn.open]) assertUsable(holder);
  }
  assert.deepEqual([...outcomes].sort(), [0, 1]);
});

/** True when a second gateway can go on after the first one and its disk were lost just after publishing. */
const survivesLossOfGateway = async (mutant: 'no-boxes' | undefined): Promise<boolean> => {
  const { world, first, operator } = await create();
  const node = await world.joinRole(operator, 'node');
  const second = await addGateway(world, operator);
  await operator.refresh();
  let published = false;
  const over: Wrapping = (seam, what) =>
    new Proxy(seam, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (published) return new Promise(() => undefined);
          if (mutant && what === 'transport' && args[1] === 'keys.prepare') return Promise.resolve({ answer: {} });
          if (what !== 'registry' || key !== 'swapRoster') return Reflect.apply(value, target, args);
          const { keys, ...roster } = args[0] as { readonly keys: unknown };
          const swap = mutant ? roster : { ...roster, keys };
          return Promise.resolve(Reflect.apply(value, target, [swap])).then(() => {
            published = true;
            return new Promise(() => undefined);
          });
        };
      },
    });
  world.run(first.open, first.mesh, first.join, over);
  void rotate(operator).catch(() => undefined);
  await eventually(() => published);
  world.network.silence(first.mesh);
  world.network.silence(first.join);
  void second.gateway.start();
  await eventually(() => second.open.rosters.roster.keyEpoch === 2);
  try {
    await operator.refresh();
    await eventually(() => node.open.rosters.roster.keyEpoch === 2);
    for (const holder of [operator, second.open, node.open]) assertUsable(holder);
    return true;
  } catch {
    return false;
  }
};

test('the keys of an epoch outlive the gateway that made them, from the moment its roster is published', async () => {
  assert.equal(await survivesLossOfGateway(undefined), true);
  assert.equal(await survivesLossOfGateway('no-boxes'), false, 'a roster before its boxes loses the network key');
});

test('gateways give the names in the registry wraps under the new epoch and change nothing else', async () => {
  const { world, first, operator } = await create();
  const { networkId } = first.open.identity;
  const fileKey = random.bytes(32);
  const names = Array.from({ length: 250 }, (_, at) => {
    const version = versionIdFromBytes(random.bytes(16));
    const wrap = wrapFileKey(first.open.keys.keyring, networkId, version, fileKey, random);
    if (at === 7) wrap[75] = (wrap[75] ?? 0) ^ 1;
    const facts = { name: `n/${at}`, version, sequence: BigInt(at + 1), incarnation: 1, operationId: newOperation() };
    return { ...facts, chunkCount: 1, catalogue: false, body: random.bytes(60), wrap, nodes: [] };
  });
  const registry = world.registry();
  await registry.restore({ incarnation: 1, names, sequence: 250n });
  const page = async () => (await registry.listNames({ prefix: '', limit: 1_000 })).records;
  const before = await page();
  await rotate(operator);
  void first.gateway.start();
  const done = async () => (await operator.call('keys.list', {})).names;
  await eventually(async () => (await done()).complete && (await done()).epoch === 2);
  assert.deepEqual(await done(), { epoch: 2, seen: 250, rewrapped: 249, unopened: 1, complete: true });
  for (const [at, record] of (await page()).entries()) {
    const { wrap: _, ...rest } = record;
    const { wrap: old, ...expected } = before[at] ?? record;
    assert.deepEqual(rest, expected);
    if (record.name === 'n/7') assert.deepEqual(record.wrap, old, 'one that does not open stays as it is');
    else assert.deepEqual(openWrap(first.open.keys.keyring, networkId, record.version, record.wrap), fileKey);
    assert.equal(wrapEpochOf(record.wrap), record.name === 'n/7' ? 1 : 2);
  }
});
