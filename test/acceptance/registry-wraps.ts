// The part of the registry's acceptance suite about new wraps of names after a rotation of the network key.
import assert from 'node:assert/strict';
import * as build from '../support/registry-builders.ts';
import type { RegistryTest } from './registry.ts';

const wrap = (epoch: number, fill: number): Uint8Array => {
  const made = new Uint8Array(76).fill(fill);
  new DataView(made.buffer).setUint32(0, epoch);
  return made;
};

export const testRegistryWraps = (it: RegistryTest): void => {
  it('gives names new wraps while they are at that version and sequence, and nothing else', async ({ registry }) => {
    await build.createNetwork(registry);
    const a = await build.putName(registry, 'a');
    const b = await build.putName(registry, 'b');
    await registry.clearPending([a.sequence]);
    const before = await registry.getNames(['a', 'b']);
    const keys = await build.publicKeysOf(registry);
    const life = await registry.readLife();
    const next = { name: 'a', version: a.version, sequence: a.sequence, wrap: wrap(2, 1) };
    const replaced = await registry.replaceWraps(1, [
      { ...next, wrap: wrap(1, 9) },
      { ...next, sequence: a.sequence + 1n, wrap: wrap(3, 9) },
      { ...next, version: b.version, wrap: wrap(3, 9) },
      { ...next, name: 'c', wrap: wrap(3, 9) },
      next,
      { name: 'b', version: b.version, sequence: b.sequence, wrap: wrap(0x0102_0304, 2) },
      { name: 'b', version: b.version, sequence: b.sequence, wrap: wrap(0x0102_0303, 3) },
    ]);
    assert.equal(replaced, 2);
    const expected = before.map((record, at) => ({ ...record, wrap: at === 0 ? wrap(2, 1) : wrap(0x0102_0304, 2) }));
    assert.deepEqual(await registry.getNames(['a', 'b']), expected);
    assert.deepEqual(await build.publicKeysOf(registry), keys);
    assert.equal((await registry.readLife()).sequence, life.sequence);
    assert.equal(await registry.replaceWraps(1, [next]), 0, 'once is enough');
    assert.equal(await registry.replaceWraps(1, []), 0);
  });

  it('refuses new wraps in another life, too many, and malformed ones', async ({ registry }) => {
    await build.createNetwork(registry);
    const { version, sequence } = await build.putName(registry, 'a');
    const next = { name: 'a', version, sequence, wrap: wrap(2, 1) };
    await assert.rejects(registry.replaceWraps(2, [next]), { code: 'stale-incarnation' });
    await assert.rejects(
      registry.replaceWraps(
        1,
        Array.from({ length: 101 }, () => next),
      ),
      { code: 'bad-request' },
    );
    await assert.rejects(registry.replaceWraps(1, [{ ...next, wrap: next.wrap.slice(1) }]), { code: 'bad-request' });
    await assert.rejects(registry.replaceWraps(1, [{ ...next, name: '' }]), { code: 'bad-name' });
    assert.equal((await registry.getNames(['a']))[0]?.wrap[0], 0);
  });
};
