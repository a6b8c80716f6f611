// A leader that stood still between its last look at the lease and a step of the registry: somebody else leads by then,
// and the step must not be taken. And operations that were carried out, although the registry forgot that.
import assert from 'node:assert/strict';
import { test as register } from 'node:test';
import { removeFile, renameFile } from '../../src/client/names.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { parseLayout } from '../../src/placement/layout.ts';
import type { Registry } from '../../src/registry/registry.ts';
import type { RequestOf } from '../../src/wire/routes.ts';
import { get, put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';
import { putBack, snapshotOf } from '../support/memory-registry-faults.ts';
import { describe, played, test } from './_early.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text);

/** The registry as a master sees it, with steps of its own. */
const withSteps = (registry: Registry, steps: Partial<Registry>): Registry =>
  new Proxy(registry, {
    get: (target, key) => {
      const value: unknown = Reflect.get(steps, key) ?? Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });

/** Somebody takes the lease right before the leader appends its second layout; answers how that went. */
const appendLate = async (isFenced: boolean) => {
  let appended: boolean | undefined;
  const cluster: MemoryCluster = await MemoryCluster.create({
    nodes: 4,
    masters: 2,
    registryOf: (registry) =>
      withSteps(registry, {
        appendLayout: async (layout, incarnation, epoch) => {
          if (layout.number !== 2 || appended !== undefined) return registry.appendLayout(layout, incarnation, epoch);
          const { lease } = cluster.store;
          if (!lease || !epoch) throw new Error('a layout is appended by nobody');
          await registry.takeLease({ ...lease, memberId: lease.holder, instance: 'e'.repeat(32) }, lease);
          appended = await registry.appendLayout(layout, incarnation, ...(isFenced ? [epoch] : []));
          return appended;
        },
      }),
  });
  for (const at of [0, 1]) await cluster.startMaster(at);
  for (const at of [0, 1, 2]) await cluster.startNode(at);
  await cluster.quiet(3);
  await cluster.startNode(3);
  await cluster.until(() => cluster.store.layouts.has(2), 60_000);
  const stored = cluster.store.layouts.get(2) ?? assert.fail();
  cluster.stopAll();
  return { appended, epoch: parseLayout(stored.layout.bytes).leaderEpoch };
};

/** The first to lead the rebuild stands still right before it puts a name back; its successor settles without it. */
const restoreLate = async (isFenced: boolean) => {
  let holder: number | undefined;
  let cameBack = false;
  let refused = false;
  let goOn: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const cluster: MemoryCluster = await MemoryCluster.start({
    nodes: 3,
    masters: 2,
    registryOf: (registry, index) =>
      withSteps(registry, {
        takeLease: async (who, seen, above) => (holder === index ? undefined : registry.takeLease(who, seen, above)),
        restore: async (step) => {
          const names = step.names ?? [];
          if (holder !== undefined || !names.some(({ name }) => name === 'ended')) return registry.restore(step);
          holder = index;
          const { epoch = 0n, ...unfenced } = step;
          await registry.releaseLease(epoch, cluster.store.lease?.instance ?? '');
          await gate;
          try {
            await registry.restore(isFenced ? step : unfenced);
          } catch (error) {
            refused = isOperaError(error, 'stale-leader');
            throw error;
          } finally {
            cameBack = cluster.store.names.has('ended');
          }
        },
      }),
  });
  const session = await cluster.session();
  for (const text of ['first', 'second']) await cluster.during(put(session, 'ended', bytesOf(text)));
  await cluster.during(put(session, 'kept', bytesOf('kept')));
  await cluster.during(removeFile(session, 'ended'));
  cluster.store.clear();
  const { store } = cluster;
  await cluster.until(() => holder !== undefined && store.lifeId === store.raisedUnder, 60_000);
  assert.deepEqual([...store.names.keys()], ['kept']);
  goOn();
  await cluster.clock.advance(1);
  // The member itself would notice: it saw the end of the file.
  const ended = isFenced ? await cluster.during(get(session, 'ended')) : undefined;
  cluster.stopAll();
  return { cameBack, refused, ended };
};

describe('a leader that slept before a step of the registry', () => {
  test('appends no layout under a lease that is over', async () => {
    const { appended, epoch } = await appendLate(true);
    assert.equal(appended, false);
    assert.ok(epoch > 1n, `layout 2 is of epoch ${epoch}`);
  });

  test('mutant: without the fence its layout is appended after its lease', async () => {
    assert.deepEqual(await appendLate(false), { appended: true, epoch: 1n });
  });

  test('puts no name back that its successor knows to have ended', async () => {
    assert.deepEqual(await restoreLate(true), { cameBack: false, refused: true, ended: undefined });
  });

  test('mutant: without the fence a removed file is back after the registry was settled', async () => {
    const { cameBack } = await restoreLate(false);
    assert.equal(cameBack, true);
  });
});

describe('an operation that was carried out before the registry failed over', () => {
  test('is answered as carried out when it is repeated', async () => {
    const cluster = await MemoryCluster.start({ nodes: 3, masters: 2 });
    const session = await cluster.session();
    await cluster.during(put(session, 'a', bytesOf('text')));
    await cluster.quiet(3);
    const before = snapshotOf(cluster.store);
    await cluster.during(renameFile(session, { from: 'a', to: 'b' }));
    await cluster.during(put(session, 'c', bytesOf('removed')));
    await cluster.during(removeFile(session, 'c'));
    const requests = cluster.net.calls
      .filter(({ route }) => route === 'name.commit')
      .map(({ request }) => request as RequestOf<'name.commit'>)
      .filter(({ changes }) => changes.every(({ kind }) => kind !== 'put'));
    assert.equal(requests.length, 2);
    putBack(cluster.store, before);
    cluster.store.restart();
    const { store } = cluster;
    await cluster.until(() => store.lifeId === store.raisedUnder && store.incarnation > 1, 60_000);
    for (const request of requests) {
      const gateway = { address: cluster.gateway.address, expect: { role: 'gateway' as const } };
      const client = cluster.clients[0] ?? assert.fail();
      const call = cluster.transportOf(client).call(gateway, 'name.commit', request);
      const { answer } = await cluster.during(call);
      assert.deepEqual(
        answer.outcomes.map((outcome) => outcome.done && outcome.repeated),
        [true],
      );
    }
    assert.deepEqual([...store.names.keys()], ['b']);
    cluster.stopAll();
  });
});

/** What a file says that was acknowledged before the registry went back, when something was written right after. */
const writeOver = async (isNoticed: boolean) => {
  // The mutant sees leases that always rise.
  const rising = (registry: Registry): Registry => {
    let renewal = 0n;
    return withSteps(registry, {
      renewLease: async (...args) => {
        const lease = await registry.renewLease(...args);
        return lease && { ...lease, renewal: ++renewal };
      },
    });
  };
  const cluster = await MemoryCluster.start({ nodes: 3, masters: 1, ...(isNoticed ? {} : { registryOf: rising }) });
  const session = await cluster.session();
  await cluster.during(put(session, 'before', bytesOf('before')));
  await cluster.clock.advance(2_000);
  const snapshot = snapshotOf(cluster.store);
  await cluster.during(put(session, 'between', bytesOf('between')));
  await cluster.clock.advance(2_000);
  putBack(cluster.store, snapshot);
  await cluster.during(put(session, 'after', bytesOf('after')));
  await cluster.clock.advance(20_000);
  await cluster.quiet(3);
  const found: (string | undefined)[] = [];
  for (const name of ['before', 'between', 'after']) {
    const bytes = await cluster.during(get(session, name));
    found.push(bytes && Buffer.from(bytes).toString());
  }
  cluster.stopAll();
  return found;
};

describe('a registry that goes back while it runs, and is written to before anybody noticed', () => {
  test('gets what was acknowledged in between from the nodes', async () => {
    assert.deepEqual(await writeOver(true), ['before', 'between', 'after']);
  });

  test('mutant: with an eye on sequences alone nobody notices, and the file is lost', async () => {
    assert.deepEqual(await writeOver(false), ['before', undefined, 'after']);
  });
});

for (const [title, verdict] of await played()) register(title, verdict);
