// What a later `up` takes from the one before when it is not told: how many nodes, and which registry.
// An `up` without --nodes once brought up three of five nodes, and one without --redis made a second registry.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { recallNetwork } from '../../src/commands/_local-again.ts';
import { isOperaError } from '../../src/errors/errors.ts';

/** A folder as an `up` with so many nodes left it; empty for 0. */
const inFolder = async (
  { nodes, registry = '/moved/registry.db' }: { readonly nodes: number; readonly registry?: string },
  body: (dir: string) => Promise<void>,
): Promise<void> => {
  const dir = await mkdtemp(join(tmpdir(), 'opera-again-'));
  try {
    const names = Array.from({ length: nodes }, (_, at) => `node-${at + 1}`);
    for (const name of names) await mkdir(join(dir, 'identity', name), { recursive: true });
    const processes = [{ name: 'gateway', role: 'gateway' }, ...names.map((name) => ({ name, role: 'node' }))];
    const facts = { v: 1, network: 'aaaa', registry, profile: join(dir, 'client'), processes };
    if (nodes > 0) await writeFile(join(dir, 'up.json'), JSON.stringify(facts));
    await body(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

const unsaid = { nodes: undefined, redis: undefined };

test('a new folder gets three nodes and an embedded registry', () =>
  inFolder({ nodes: 0 }, async (dir) => {
    assert.deepEqual(await recallNetwork({ ...unsaid, dir }), { nodes: 3, redis: undefined, warnings: [] });
  }));

for (const nodes of [1, 2, 5]) {
  test(`a network of ${nodes} comes back with ${nodes}`, () =>
    inFolder({ nodes }, async (dir) => {
      assert.deepEqual(await recallNetwork({ ...unsaid, dir }), { nodes, redis: undefined, warnings: [] });
    }));
}

test('more nodes are added by a word, and fewer are said to be missing', () =>
  inFolder({ nodes: 3 }, async (dir) => {
    assert.deepEqual(await recallNetwork({ ...unsaid, dir, nodes: 5 }), { nodes: 5, redis: undefined, warnings: [] });
    const { nodes, warnings } = await recallNetwork({ ...unsaid, dir, nodes: 1 });
    assert.equal(nodes, 1);
    assert.deepEqual(warnings, ['node-2, node-3 are in this folder too and stay off: opera up --nodes 3 starts them']);
  }));

test('a registry in Redis is found again, and another one is taken at a word', () =>
  inFolder({ nodes: 3, registry: 'redis://127.0.0.1:6379/2' }, async (dir) => {
    assert.equal((await recallNetwork({ ...unsaid, dir })).redis, 'redis://127.0.0.1:6379/2');
    assert.equal((await recallNetwork({ ...unsaid, dir, redis: 'redis://other:1' })).redis, 'redis://other:1');
  }));

test('a registry whose password is not kept must be named: no other one is made in its place', () =>
  inFolder({ nodes: 3, registry: 'redis://opera:***@127.0.0.1:6379' }, async (dir) => {
    await assert.rejects(recallNetwork({ ...unsaid, dir }), (error) => {
      assert.ok(isOperaError(error, 'config'));
      assert.match(`${error.message} ${error.hint}`, /redis:\/\/opera:\*\*\*@127\.0\.0\.1:6379.*OPERA_REGISTRY_FILE/);
      return true;
    });
    assert.equal((await recallNetwork({ ...unsaid, dir, redis: 'redis://opera:x@a:1' })).redis, 'redis://opera:x@a:1');
  }));
