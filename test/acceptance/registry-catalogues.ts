// The part of the registry's acceptance suite about catalogues: the flag of a name through its life, and the snapshot
// of all of them. Random histories compare the same with the model (registry-histories.ts).
import assert from 'node:assert/strict';
import { limits } from '../../src/model/limits.ts';
import type { CatalogueQuery } from '../../src/registry/catalogues.ts';
import type { Registry } from '../../src/registry/registry.ts';
import * as build from '../support/registry-builders.ts';
import type { RegistryTest } from './registry.ts';

const everything: CatalogueQuery = { prefix: '', max: limits.cataloguesMax };

const putCatalogue = async (registry: Registry, name: string, chunkCount = 1, catalogue = true) => {
  const [current] = await registry.getNames([name]);
  const version = await build.openUpload(registry, name);
  const sealed = { follows: current?.sequence ?? 0n };
  const done = await build.commitDone(registry, build.put(name, version, { sealed, chunkCount, catalogue }));
  return { version, sequence: done.sequence };
};

const namesOf = async (registry: Registry, query = everything): Promise<readonly string[]> =>
  (await registry.listCatalogues(query)).map(({ name }) => name);

const flagOf = async (registry: Registry, name: string): Promise<boolean | undefined> =>
  (await registry.getNames([name]))[0]?.catalogue;

export const testRegistryCatalogues = (it: RegistryTest): void => {
  it('lists the catalogues among the names, with what a query needs of each', async ({ registry, other }) => {
    await build.createNetwork(registry);
    assert.deepEqual(await registry.listCatalogues(everything), []);
    await build.putName(registry, 'notes.txt');
    const b = await putCatalogue(registry, 'b', 7);
    const a = await putCatalogue(registry, 'a', 65_536);
    await registry.clearPending([b.sequence]);
    assert.deepEqual(await other().listCatalogues(everything), [
      { name: 'a', version: a.version, sequence: a.sequence, chunkCount: 65_536, pending: a.sequence },
      { name: 'b', version: b.version, sequence: b.sequence, chunkCount: 7, pending: undefined },
    ]);
    const found = await registry.getNames(['a', 'b', 'notes.txt']);
    assert.deepEqual(
      found.map((record) => record?.catalogue),
      [true, true, false],
    );
    const { records } = await registry.listNames({ prefix: '', limit: 9 });
    assert.deepEqual(records, found);
  });

  it('keeps a catalogue one through renames, and ends it with an overwrite or a removal', async ({ registry }) => {
    await build.createNetwork(registry);
    const a = await putCatalogue(registry, 'a', 3);
    const plain = await build.putName(registry, 'plain');
    const onto = build.rename('a', 'plain', a.version, a.sequence, plain.sequence);
    const moved = await build.commitDone(registry, onto);
    assert.deepEqual(await registry.listCatalogues(everything), [
      { name: 'plain', version: a.version, sequence: moved.sequence, chunkCount: 3, pending: moved.sequence },
    ]);
    const text = await build.putName(registry, 'text');
    await build.commitDone(registry, build.rename('text', 'plain', text.version, text.sequence, moved.sequence));
    assert.deepEqual([await flagOf(registry, 'plain'), await namesOf(registry)], [false, []], 'a file moved onto it');
    await putCatalogue(registry, 'plain');
    assert.deepEqual([await flagOf(registry, 'plain'), await namesOf(registry)], [true, ['plain']]);
    await putCatalogue(registry, 'plain', 1, false);
    assert.deepEqual([await flagOf(registry, 'plain'), await namesOf(registry)], [false, []], 'said to be none');
    await putCatalogue(registry, 'plain');
    await build.putName(registry, 'plain');
    assert.deepEqual([await flagOf(registry, 'plain'), await namesOf(registry)], [false, []], 'said nothing');
    const last = await putCatalogue(registry, 'plain');
    await build.commitDone(registry, build.remove('plain', last.version, last.sequence));
    assert.deepEqual([await flagOf(registry, 'plain'), await namesOf(registry)], [undefined, []]);
  });

  it('changes nothing of it with a refused or repeated operation, or a new wrap', async ({ registry }) => {
    await build.createNetwork(registry);
    const { version, sequence } = await putCatalogue(registry, 'a');
    const stale = build.put('a', await build.openUpload(registry, 'a'));
    assert.equal(build.codeOf(await build.commitOne(registry, stale)), 'stale_follows');
    const put = build.put('b', await build.openUpload(registry, 'b'), { catalogue: true });
    await build.commitDone(registry, put);
    await build.commitDone(registry, { ...put, catalogue: false });
    await registry.replaceWraps(1, [{ name: 'a', version, sequence, wrap: build.wrap(2) }]);
    assert.deepEqual(await namesOf(registry), ['a', 'b']);
  });

  it('says of each change whether it is one of the catalogues', async ({ registry }) => {
    await build.createNetwork(registry);
    const put = async (name: string, follows: bigint, catalogue: boolean) => {
      const version = await build.openUpload(registry, name);
      const done = await build.commitDone(registry, build.put(name, version, { sealed: { follows }, catalogue }));
      return { version, ...done };
    };
    const text = await put('text', 0n, false);
    const stars = await put('stars', 0n, true);
    assert.deepEqual([text.catalogues, stars.catalogues], [false, true]);
    const over = await put('stars', stars.sequence, false);
    const again = await put('stars', over.sequence, false);
    assert.deepEqual([over.catalogues, again.catalogues], [true, false], 'a catalogue ended, then a file was replaced');
    const rename = (name: string, to: string, from: typeof text, onto = 0n) =>
      build.commitDone(registry, build.rename(name, to, from.version, from.sequence, onto));
    const other = await put('other', 0n, true);
    const plain = await rename('text', 'plain', text);
    const moved = await rename('other', 'moved', other);
    const onto = await rename('plain', 'moved', { ...text, ...plain }, moved.sequence);
    assert.deepEqual([plain.catalogues, moved.catalogues, onto.catalogues], [false, true, true]);
    const removed = build.remove('moved', text.version, onto.sequence);
    assert.equal((await build.commitDone(registry, removed)).catalogues, false, 'what was moved there was none');
    const last = await put('last', 0n, true);
    const gone = await build.commitDone(registry, build.remove('last', last.version, last.sequence));
    assert.equal(gone.catalogues, true);
    assert.equal((await build.commitDone(registry, removed)).catalogues, true, 'of a kept answer it is not known');
  });

  it('lists them in byte order and only those of a prefix, however odd the names', async ({ registry }) => {
    await build.createNetwork(registry);
    const names = [
      'gaia/dr3',
      'gaia',
      'gaia ',
      'gaib',
      'Gaia',
      '*',
      '[a',
      '__proto__',
      'ü',
      '😀',
      '\uffff',
      'x'.repeat(1024),
    ];
    for (const name of names) await putCatalogue(registry, name);
    await build.putName(registry, 'gaia/readme');
    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(await namesOf(registry), sorted);
    for (const prefix of ['gaia', 'gaia/', 'g', '*', '[', 'ü', 'none', 'x'.repeat(1024)]) {
      const expected = sorted.filter((name) => name.startsWith(prefix));
      assert.deepEqual(await namesOf(registry, { ...everything, prefix }), expected, prefix);
    }
  });

  it('refuses a snapshot of more than was asked for, and of odd bounds', async ({ registry }) => {
    await build.createNetwork(registry);
    for (const name of ['a/1', 'a/2', 'b']) await putCatalogue(registry, name);
    assert.deepEqual(await namesOf(registry, { prefix: '', max: 3 }), ['a/1', 'a/2', 'b']);
    await assert.rejects(registry.listCatalogues({ prefix: '', max: 2 }), { code: 'too-large' });
    assert.deepEqual(await namesOf(registry, { prefix: 'a/', max: 2 }), ['a/1', 'a/2']);
    await assert.rejects(registry.listCatalogues({ prefix: 'a/', max: 1 }), { code: 'too-large' });
    for (const max of [0, 1.5, limits.cataloguesMax + 1]) {
      await assert.rejects(registry.listCatalogues({ prefix: '', max }), { code: 'bad-request' });
    }
    await assert.rejects(registry.listCatalogues({ prefix: '\0', max: 1 }), { code: 'bad-request' });
  });

  it('takes back what a rebuild puts back, and shows nothing before it is settled', async ({ registry }) => {
    await build.createNetwork(registry);
    const kept = await putCatalogue(registry, 'kept');
    await putCatalogue(registry, 'was one');
    const entry = (name: string, catalogue: boolean, sequence: bigint) => ({
      ...{ name, version: build.newVersion(), sequence, incarnation: 1, operationId: build.newOperation() },
      ...{ chunkCount: 2, catalogue, body: new Uint8Array(9), wrap: build.wrap(), nodes: [] },
    });
    const high = kept.sequence + 1_000_000n;
    await registry.raiseIncarnation(1);
    await assert.rejects(registry.listCatalogues(everything), { code: 'stale-incarnation' });
    const names = [
      entry('kept', false, kept.sequence),
      entry('new', true, high),
      entry('text', false, high),
      entry('was one', false, high),
      entry('dead', true, high),
    ];
    await registry.restore({ incarnation: 2, sequence: high, names });
    await registry.restore({ incarnation: 2, dead: [{ name: 'dead', sequence: high + 1n }] });
    assert.equal(await registry.settle(2, high), true);
    assert.deepEqual(await namesOf(registry), ['kept', 'new']);
    const found = await registry.getNames(['kept', 'new', 'text', 'was one']);
    assert.deepEqual(
      found.map((record) => record?.catalogue),
      [true, true, false, false],
    );
    await registry.forgetNetwork(2);
    await assert.rejects(registry.listCatalogues(everything), { code: 'registry-lost' });
    await registry.createNetwork(build.networkId, build.firstRoster, { incarnation: 3 });
    await registry.restore({ incarnation: 3, names: [entry('new', false, 5n)] });
    assert.equal(await registry.settle(3, high), true);
    assert.deepEqual(await namesOf(registry), [], 'nothing of the forgotten network is left');
  });
};
