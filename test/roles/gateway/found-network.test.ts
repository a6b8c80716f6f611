// Founding: it refuses where anything stands, and a founding that was interrupted anywhere can be run again.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { openHome } from '../../../src/client/home.ts';
import { OperaError } from '../../../src/errors/errors.ts';
import { defaultSettings } from '../../../src/identity/network-settings.ts';
import { MemoryRegistry } from '../../../src/registry/memory.ts';
import { MemoryRegistryStore } from '../../../src/registry/memory-store.ts';
import { assertFoundable, foundNetwork, type FoundOptions } from '../../../src/roles/gateway/found-network.ts';
import { SystemClock } from '../../../src/runtime/clock.ts';
import { SystemRandom } from '../../../src/runtime/random.ts';
import { rejects } from '../../support/refuses.ts';

const clock = new SystemClock();
const folders: string[] = [];
let folder = '';
let store = new MemoryRegistryStore();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opera-found-'));
  folders.push(folder);
  store = new MemoryRegistryStore();
});
after(() => Promise.all(folders.map((each) => rm(each, { recursive: true }))));

const optionsOf = (change: Partial<FoundOptions> = {}): FoundOptions => ({
  settings: defaultSettings,
  registry: new MemoryRegistry(store, clock),
  gateway: {
    home: join(folder, 'gateway'),
    identityFolder: join(folder, 'identity', 'gateway'),
    meshAddresses: ['127.0.0.1:7001'],
    joinAddresses: ['127.0.0.1:7002'],
  },
  operator: { home: join(folder, 'client'), identityFolder: join(folder, 'identity', 'client') },
  clock,
  random: new SystemRandom(),
  ...change,
});

/** Every file below the folder with its bytes. */
const snapshot = async (): Promise<ReadonlyMap<string, string>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(file, 'hex')] as const)));
};

test('founding twice is refused and changes nothing, in the same homes and in the same registry', async () => {
  await foundNetwork(optionsOf());
  const before = await snapshot();
  await rejects(foundNetwork(optionsOf()), 'exists');
  store = new MemoryRegistryStore();
  await rejects(foundNetwork(optionsOf()), 'exists');
  assert.deepEqual(await snapshot(), before);
});

test('a registry that holds a network is not touched by a founding elsewhere', async () => {
  const { networkId } = await foundNetwork(optionsOf());
  folder = await mkdtemp(join(tmpdir(), 'opera-found-'));
  folders.push(folder);
  await rejects(foundNetwork(optionsOf()), 'exists');
  assert.equal(store.networkId, networkId);
  assert.equal((await snapshot()).size, 0);
});

test('a founding that was cut off before the registry knew goes on with the same network', async () => {
  store.unavailable = true;
  await rejects(foundNetwork(optionsOf()), 'registry-unavailable');
  store.unavailable = false;
  const registry = new MemoryRegistry(store, clock);
  registry.createNetwork = async () => {
    throw new OperaError('registry-unavailable');
  };
  await rejects(foundNetwork(optionsOf({ registry })), 'registry-unavailable');
  const { networkId, memberId } = (await openHome(join(folder, 'client'))).identity;
  const founded = await foundNetwork(optionsOf());
  assert.deepEqual([founded.networkId, founded.operator.memberId, store.networkId], [networkId, memberId, networkId]);
  assert.ok(!existsSync(join(folder, 'gateway', 'founding.json')));
});

test('a founding that was cut off after the registry knew is finished', async () => {
  const registry = new MemoryRegistry(store, clock);
  registry.putMember = async () => {
    throw new OperaError('registry-unavailable');
  };
  await rejects(foundNetwork(optionsOf({ registry })), 'registry-unavailable');
  const founded = await foundNetwork(optionsOf());
  assert.equal(store.networkId, founded.networkId);
  assert.equal(store.members.size, 2);
  await rejects(assertFoundable(optionsOf().gateway, optionsOf().operator), 'exists');
});

test('a founding begun with another recovery key begins anew, so that no kit is left that opens nothing', async () => {
  const registry = new MemoryRegistry(store, clock);
  registry.createNetwork = async () => {
    throw new OperaError('registry-unavailable');
  };
  await rejects(foundNetwork(optionsOf({ registry })), 'registry-unavailable');
  const { networkId } = (await openHome(join(folder, 'client'))).identity;
  const recoveryKeys = [Buffer.alloc(32, 9).toString('base64')];
  const founded = await foundNetwork(optionsOf({ settings: { ...defaultSettings, recoveryKeys } }));
  assert.notEqual(founded.networkId, networkId);
  const { rosters, keys } = await openHome(join(folder, 'gateway'));
  assert.deepEqual(rosters.roster.settings.recoveryKeys, recoveryKeys);
  assert.equal(keys.records.keyBoxes.length, 5);
});

test('when the recovery kit cannot be written, no network is made', async () => {
  const onDrafted = async () => {
    throw new OperaError('exists', 'the kit exists');
  };
  await rejects(foundNetwork(optionsOf({ onDrafted })), 'exists');
  assert.equal(store.networkId, undefined);
  await foundNetwork(optionsOf());
});

test('two foundings share no key', async () => {
  await foundNetwork(optionsOf());
  const first = await openHome(join(folder, 'gateway'));
  folder = await mkdtemp(join(tmpdir(), 'opera-found-'));
  folders.push(folder);
  store = new MemoryRegistryStore();
  await foundNetwork(optionsOf());
  const second = await openHome(join(folder, 'gateway'));
  assert.notEqual(first.identity.networkId, second.identity.networkId);
  assert.notDeepEqual(first.keys.keyring.newest.key, second.keys.keyring.newest.key);
  assert.notDeepEqual(first.identity.authority?.signer.spki, second.identity.authority?.signer.spki);
});
