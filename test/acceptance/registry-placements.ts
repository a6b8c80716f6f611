// The part of the registry's acceptance suite about the public placement keys, restoring, events and closing.
// Run by testRegistry in registry.ts.
import assert from 'node:assert/strict';
import * as build from '../support/registry-builders.ts';
import type { RegistryTest } from './registry.ts';

export const testPlacements = (it: RegistryTest): void => {
  it('keeps the public keys exact through puts, overwrites with other nodes, renames and removes', async ({
    registry,
  }) => {
    await build.createNetwork(registry);
    const files = new Map<string, readonly string[]>();
    const nodes = ['n1:1', 'n2:1', '[::1]:3', 'n4:1'];
    const check = async () => assert.deepEqual(await build.publicKeysOf(registry), build.publicKeysFor(files));
    for (let at = 0; at < 6; at++) {
      const name = `f${at % 4}`;
      const owners = nodes.filter((_, index) => (index + at) % 3 !== 0);
      await build.putName(registry, name, [...owners, ...owners]);
      files.set(name, owners);
      await check();
    }
    const [f0, f3] = await registry.getNames(['f0', 'f3']);
    assert.ok(f0 && f3);
    await build.commitDone(registry, build.rename('f0', 'f3', f0.version, f0.sequence, f3.sequence));
    files.set('f3', files.get('f0') ?? []);
    files.delete('f0');
    await check();
    for (const { name, version, sequence } of (await registry.listNames({ prefix: '', limit: 9 })).records) {
      await build.commitDone(registry, build.remove(name, version, sequence));
      files.delete(name);
      await check();
    }
    await build.putName(registry, 'empty', []);
    assert.deepEqual(await build.publicKeysOf(registry), { 'network:data': ['empty'] });
  });

  it('rebuilds the public keys for a layout and keeps what was committed meanwhile', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const second = other();
    const names = Array.from({ length: 30 }, (_, at) => `f${String(at).padStart(2, '0')}`);
    for (const name of names) await build.putName(registry, name, ['n1:1', 'n2:1']);
    await registry.appendLayout({ number: 2, layout: build.record('layout 2') }, 1);
    const ownersOf = (version: string): string[] => ['n2:1', version.startsWith('0') ? 'n4:1' : 'n3:1', 'n3:1'];
    const interleaved = (async () => {
      for (const [at, name] of names.entries()) {
        const [found] = await second.getNames([name]);
        if (!found) continue;
        const { version, sequence } = found;
        if (at % 3 === 0) await build.commitDone(second, build.remove(name, version, sequence));
        if (at % 3 === 1) await build.commitDone(second, build.rename(name, `a/${name}`, version, sequence));
        if (at % 3 !== 2) continue;
        const open = { layoutNumber: 2, uploads: [{ version: build.newVersion(), name }] };
        await build.openUpload(second, name, open);
        const next = open.uploads[0]?.version ?? version;
        const change = build.put(name, next, { sealed: { follows: sequence }, nodes: [...new Set(ownersOf(next))] });
        await build.commitDone(second, change, { layoutNumber: 2 });
      }
    })();
    await registry.rebuildPlacements(
      2,
      async () =>
        ({ version }) =>
          ownersOf(version),
    );
    await interleaved;
    const { records } = await registry.listNames({ prefix: '', limit: 1000 });
    assert.equal(records.length, 20);
    const expected = build.publicKeysFor(records.map(({ name, version }) => [name, ownersOf(version)]));
    assert.deepEqual(await build.publicKeysOf(registry), expected);
    assert.equal(await registry.placementsLayout(), 2);
  });

  it('rebuilds names that a rename carries behind the page at hand', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const second = other();
    const first = build.newVersion();
    const names = Array.from({ length: 620 }, (_, at) => ({
      ...{ name: `f${String(at).padStart(3, '0')}`, version: at === 0 ? first : build.newVersion() },
      ...{ sequence: BigInt(at + 1), incarnation: 1, operationId: build.newOperation(), chunkCount: 1 },
      catalogue: false,
      ...{ body: new Uint8Array(1), wrap: build.wrap(), nodes: ['old:1'] },
    }));
    await registry.restore({ incarnation: 1, names });
    const last = names.at(-1);
    assert.ok(last);
    const renamed = build.rename(last.name, 'a', last.version, last.sequence);
    let moved: Promise<unknown> | undefined;
    await registry.rebuildPlacements(1, async () => () => {
      moved ??= build.commitDone(second, renamed);
      return ['new:1'];
    });
    await moved;
    const keys = await build.publicKeysOf(registry);
    assert.deepEqual(keys['network:data:file:a'], ['new:1']);
    assert.equal(keys['network:data:node:old:1'], undefined);
    assert.equal(keys['network:data:node:new:1']?.length, names.length);
  });

  it('refuses to rebuild for a layout that is not the newest', async ({ registry }) => {
    await build.createNetwork(registry);
    await build.putName(registry, 'a');
    await assert.rejects(
      registry.rebuildPlacements(2, async () => () => []),
      { code: 'layout-changed' },
    );
    await registry.appendLayout({ number: 2, layout: build.record('layout 2') }, 1);
    await assert.rejects(
      registry.rebuildPlacements(1, async () => () => []),
      { code: 'layout-changed' },
    );
    assert.equal(await registry.placementsLayout(), 0);
  });

  it('lags from when a node listens elsewhere until the public keys were rebuilt', async ({ registry }) => {
    await build.createNetwork(registry);
    await build.putName(registry, 'a', ['n1:1']);
    const rebuild = (): Promise<void> =>
      registry.rebuildPlacements(1, async () => {
        const nodes = (await registry.readPublicKeys()).get('network:nodes') ?? [];
        return () => nodes;
      });
    await registry.putMember(build.member('n1'));
    await rebuild();
    for (const [change, lags] of [
      [{ zone: 'attic' }, false],
      [{ addresses: ['n1:1', 'extra:1'] }, false],
      [{ addresses: ['n1:2', 'n1:1'] }, true],
    ] as const) {
      await registry.putMember({ ...build.member('n1'), ...change });
      assert.equal(await registry.placementsLayout(), lags ? 0 : 1, JSON.stringify(change));
    }
    assert.equal(await registry.setMemberState(build.member('n1').memberId, 'down', 'silent'), true);
    await rebuild();
    assert.equal(await registry.placementsLayout(), 1);
    assert.deepEqual((await build.publicKeysOf(registry))['network:data:node:n1:2'], ['a']);
  });

  it('ends a rebuild under which a node moves, or that another one overtook', async ({ registry, other }) => {
    await build.createNetwork(registry);
    await build.putName(registry, 'a', ['n1:1']);
    await registry.putMember(build.member('n1'));
    const moves = registry.rebuildPlacements(1, async () => {
      await other().putMember({ ...build.member('n1'), addresses: ['n1:2'] });
      return () => ['n1:1'];
    });
    await assert.rejects(moves, { code: 'layout-changed' });
    assert.equal(await registry.placementsLayout(), 0);
    const overtaken = registry.rebuildPlacements(1, async () => {
      await other().rebuildPlacements(1, async () => () => ['n1:2']);
      return () => ['n1:1'];
    });
    await assert.rejects(overtaken, { code: 'layout-changed' });
    assert.equal(await registry.placementsLayout(), 1);
    assert.deepEqual((await build.publicKeysOf(registry))['network:data:file:a'], ['n1:2']);
  });
};

export const testRestore = (it: RegistryTest): void => {
  it('answers an operation that was put back as carried out, and keeps the answer it had', async ({ registry }) => {
    await build.createNetwork(registry);
    const version = await build.openUpload(registry, 'a');
    const put = build.put('a', version);
    const done = await build.commitDone(registry, put);
    const version2 = await build.openUpload(registry, 'b');
    const lost = build.put('b', version2);
    const sequence = done.sequence + 5n;
    const operations = [
      { operationId: put.operationId, sequence, incarnation: 9 },
      { operationId: lost.operationId, sequence, incarnation: 9 },
    ];
    await registry.restore({ incarnation: 1, operations });
    const again = await build.commitDone(registry, put);
    assert.deepEqual([again.sequence, again.incarnation, again.repeated], [done.sequence, 1, true]);
    const repeated = await build.commitDone(registry, lost);
    assert.deepEqual([repeated.sequence, repeated.incarnation, repeated.repeated], [sequence, 9, true]);
    assert.equal(repeated.replaced, undefined);
    assert.deepEqual(await registry.getNames(['b']), [undefined]);
    assert.deepEqual(await registry.getOutcome(lost.operationId), repeated);
  });

  it('puts back names by their highest sequence, counters and layouts', async ({ registry }) => {
    await build.createNetwork(registry);
    const kept = await build.putName(registry, 'kept', ['n1:1']);
    const entry = (name: string, sequence: bigint, nodes: string[], length = 10) => ({
      ...{ name, version: build.newVersion(), sequence, incarnation: 3, operationId: build.newOperation() },
      ...{ chunkCount: 2, catalogue: false, body: new Uint8Array(length).fill(9), wrap: build.wrap(), nodes },
    });
    const high = kept.sequence + 100n;
    const names = [entry('kept', kept.sequence, ['n9:1']), entry('new', high, ['n2:1']), entry('long', 5n, [], 4097)];
    const layouts = [4, 5, 6].map((number) => ({ number, layout: build.record(`layout ${number}`) }));
    const step = { incarnation: 1, sequence: high, leaseEpoch: 40n, layouts, retiredUpTo: 4, names };
    await assert.rejects(registry.restore({ ...step, incarnation: 2 }), { code: 'stale-incarnation' });
    await registry.restore(step);
    await registry.restore(step);
    const found = await registry.getNames(['kept', 'new', 'long']);
    assert.deepEqual(
      found.map((name) => name?.version),
      [kept.version, names[1]?.version, names[2]?.version],
    );
    assert.deepEqual(
      found.map((name) => name?.pending),
      [kept.sequence, undefined, undefined],
    );
    assert.deepEqual(
      found.map((name) => name?.body?.length),
      [found[0]?.body?.length, 10, undefined],
    );
    assert.deepEqual(
      await build.publicKeysOf(registry),
      build.publicKeysFor([
        ['kept', ['n1:1']],
        ['new', ['n2:1']],
        ['long', []],
      ]),
    );
    const state = await registry.readLayouts();
    assert.deepEqual([state.unretired.map((layout) => layout.number), state.retiredUpTo], [[5, 6], 4]);
    const holder = { memberId: build.member('m').memberId, instance: 'i', address: 'm:1' };
    assert.equal((await registry.takeLease(holder, undefined))?.epoch, 41n);
    const dead = ['new', 'kept'].map((name) => ({ name, sequence: kept.sequence + 1n }));
    await registry.restore({ incarnation: 1, dead });
    assert.deepEqual(
      (await registry.getNames(['new', 'kept'])).map((name) => name?.version),
      [names[1]?.version, undefined],
    );
    assert.deepEqual(
      await build.publicKeysOf(registry),
      build.publicKeysFor([
        ['new', ['n2:1']],
        ['long', []],
      ]),
    );
  });
};

export const testEventsAndClosing = (it: RegistryTest): void => {
  it('lists events in the order they came, page by page', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const second = other();
    const events = Array.from({ length: 5 }, (_, at) => ({
      ...{ atMs: 1_763_868_000_000 - at, kind: 'member-down', causeId: 'c'.repeat(32) },
      memberId: at % 2 === 0 ? build.member('m').memberId : undefined,
      facts: { at, why: 'no answer: "\0ü"', sure: true },
    }));
    for (const [at, event] of events.entries()) await (at % 2 === 0 ? registry : second).appendEvent(event);
    const first = await registry.listEvents(undefined, 2);
    const rest = await registry.listEvents(first.at(-1)?.id, 1000);
    assert.deepEqual(
      [...first, ...rest].map(({ id: _, ...event }) => event),
      events,
    );
    assert.deepEqual(await registry.listEvents(rest.at(-1)?.id, 10), []);
    await assert.rejects(registry.listEvents('1 OR 1', 1), { code: 'bad-request' });
    const [event] = events;
    assert.ok(event);
    const facts = { why: 'x'.repeat(1024) };
    await assert.rejects(registry.appendEvent({ ...event, facts }), { code: 'bad-request' });
  });

  it('closes twice and refuses every call afterwards', async ({ registry, other }) => {
    await build.createNetwork(registry);
    await registry.close();
    await registry.close();
    await assert.rejects(registry.readLife(), { code: 'not-ready' });
    await assert.rejects(registry.getNames(['a']), { code: 'not-ready' });
    assert.equal((await other().readLife()).incarnation, 1);
  });
};
