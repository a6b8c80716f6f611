// The four public keys of the registry, read by a program that is not ours after every kind of change:
// exact, without duplicates, in any order.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LocalNet, parseLines } from '../support/local-net.ts';

export interface PublicReader {
  readonly nodes: () => Promise<string[]>;
  readonly data: () => Promise<string[]>;
  readonly dataOfNode: (address: string) => Promise<string[]>;
  readonly nodesOfFile: (name: string) => Promise<string[]>;
}

export const testPublicKeys = (net: () => LocalNet, reader: PublicReader): void => {
  test('the public keys are exact after every put, rename and remove', async () => {
    const addresses = net()
      .facts.processes.filter(({ role }) => role === 'node')
      .map(({ address }) => address)
      .sort();
    assert.deepEqual((await reader.nodes()).sort(), addresses);

    const check = async (what: string): Promise<void> => {
      const names = (await net().ok(['ls', '-q'])).split('\n').filter((line) => line !== '');
      assert.deepEqual((await reader.data()).sort(), names.sort(), what);
      const ofNodes: [string, string][] = [];
      for (const address of addresses) {
        const held = await reader.dataOfNode(address);
        assert.equal(new Set(held).size, held.length, `${what}: duplicates at ${address}`);
        for (const name of held) ofNodes.push([name, address]);
      }
      for (const name of names.filter((entry) => entry.startsWith('keys/'))) {
        const owners = await reader.nodesOfFile(name);
        assert.deepEqual(
          owners.sort(),
          ofNodes
            .filter(([held]) => held === name)
            .map(([, address]) => address)
            .sort(),
          `${what}: ${name}`,
        );
        const where = parseLines<{ readonly address: string; readonly owner: boolean }>(
          await net().ok(['where', name, '--json']),
        );
        const told = new Set(where.filter(({ owner }) => owner).map(({ address }) => address));
        assert.deepEqual(owners.sort(), [...told].sort(), `${what}: ${name} as where tells it`);
      }
      for (const [name] of ofNodes) assert.ok(names.includes(name), `${what}: ${name} is listed at a node, and gone`);
    };

    await net().ok(['put', '-', '--name', 'keys/a'], { input: 'a' });
    await net().ok(['put', '-', '--name', 'keys/a:b c*'], { input: 'b' });
    await net().ok(['put', '-', '--name', 'keys/large'], { input: Buffer.alloc(9 << 20, 'x') });
    await check('after puts');
    await net().ok(['put', '-', '--name', 'keys/a'], { input: 'again' });
    await check('after an overwrite');
    await net().ok(['mv', 'keys/a', 'keys/renamed']);
    assert.deepEqual(await reader.nodesOfFile('keys/a'), []);
    await check('after a rename');
    await net().ok(['mv', '--force', 'keys/renamed', 'keys/large']);
    await check('after a rename onto another');
    await net().ok(['rm', 'keys/a:b c*', 'keys/large', '--yes']);
    assert.deepEqual(await reader.nodesOfFile('keys/large'), []);
    await check('after removes');
  });
};
