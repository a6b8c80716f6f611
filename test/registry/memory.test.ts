// MemoryRegistry against the acceptance suite, and what the simulator needs of it beyond the contract.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryRegistryStore } from '../../src/registry/memory-store.ts';
import { MemoryRegistry } from '../../src/registry/memory.ts';
import { testRegistry } from '../acceptance/registry.ts';
import { ManualClock } from '../support/manual-clock.ts';
import * as build from '../support/registry-builders.ts';

testRegistry('memory', async () => {
  const store = new MemoryRegistryStore();
  const clock = new ManualClock();
  return {
    connect: () => new MemoryRegistry(store, clock),
    advance: (ms) => clock.advance(ms),
    teardown: async () => undefined,
  };
});

test('memory refuses names after a restart until the incarnation is raised', async () => {
  const store = new MemoryRegistryStore();
  const registry = new MemoryRegistry(store, new ManualClock());
  await build.createNetwork(registry);
  const put = await build.putName(registry, 'a');
  store.restart();
  const life = await registry.readLife();
  assert.notEqual(life.lifeId, life.raisedUnder);
  await assert.rejects(registry.getNames(['a']), { code: 'stale-incarnation' });
  const change = build.remove('a', put.version, put.sequence);
  assert.equal(build.codeOf(await build.commitOne(registry, change)), 'stale-incarnation');
  assert.equal((await registry.raiseIncarnation(1))?.incarnation, 2);
  await assert.rejects(registry.getNames(['a']), { code: 'stale-incarnation' });
  assert.equal(await registry.settle(2, 0n), true);
  assert.equal((await registry.getNames(['a']))[0]?.version, put.version);
});
