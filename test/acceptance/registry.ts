// The acceptance suite of every Registry: the contract in src/registry/registry.ts as tests.
// `setup` gives an empty database and connections to it; each test gets its own. Random histories against the model
// are in registry-histories.ts. It does not test what one technology promises alone (files, run ids, scripts).
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Registry } from '../../src/registry/registry.ts';
import * as build from '../support/registry-builders.ts';
import { testRegistryCatalogues } from './registry-catalogues.ts';
import { testRegistryHistories } from './registry-histories.ts';
import { testRegistryMembers } from './registry-members.ts';
import { testEventsAndClosing, testPlacements, testRestore } from './registry-placements.ts';
import { testRegistryWraps } from './registry-wraps.ts';

export interface RegistryFixture {
  /** A registry object of its own on the fixture's one database. */
  readonly connect: () => Registry;
  readonly teardown: () => Promise<void>;
  /** Moves the registry's clock, where it is ours. */
  readonly advance?: (ms: number) => void;
  /** Without `advance`: how long the database will keep this outcome. */
  readonly outcomeLifeMs?: ((operationId: string) => Promise<number>) | undefined;
}

/** Undefined when this machine cannot run the database: the tests are skipped. */
export type RegistrySetup = () => Promise<RegistryFixture | undefined>;

export interface RegistryCase {
  readonly registry: Registry;
  /** Another client of the same database; closed by the suite. */
  readonly other: () => Registry;
  readonly advance: ((ms: number) => void) | undefined;
  readonly outcomeLifeMs: RegistryFixture['outcomeLifeMs'];
}

export type RegistryTest = (name: string, body: (fixture: RegistryCase) => Promise<void>) => void;

const runCase = async (setup: RegistrySetup, context: TestContext, body: (fixture: RegistryCase) => Promise<void>) => {
  const fixture = await setup();
  if (!fixture) return context.skip('the database is not on this machine');
  const opened: Registry[] = [];
  const connect = (): Registry => {
    const registry = fixture.connect();
    opened.push(registry);
    return registry;
  };
  try {
    const { advance, outcomeLifeMs } = fixture;
    await body({ registry: connect(), other: connect, advance, outcomeLifeMs });
  } finally {
    await Promise.all(opened.map((registry) => registry.close()));
    await fixture.teardown();
  }
};

export const testRegistry = (title: string, setup: RegistrySetup): void => {
  describe(`registry: ${title}`, () => {
    const it: RegistryTest = (name, body) => void test(name, (context) => runCase(setup, context, body));
    testRegistryMembers(it);
    testUploads(it);
    testCommits(it);
    testRefusals(it);
    testPending(it);
    testNames(it);
    testPlacements(it);
    testRestore(it);
    testEventsAndClosing(it);
    testRegistryWraps(it);
    testRegistryCatalogues(it);
    testRegistryHistories(it);
  });
};

const testUploads = (it: RegistryTest): void => {
  it('answers the current version of each name when uploads are opened, in order', async ({ registry }) => {
    await build.createNetwork(registry);
    const first = await build.putName(registry, 'b');
    const uploads = ['a', 'b', 'c'].map((name) => ({ version: build.newVersion(), name }));
    const open = { incarnation: 1, client: build.client, layoutNumber: 1, uploads };
    const current = { version: first.version, sequence: first.sequence };
    assert.deepEqual(await registry.openUploads(open), [undefined, current, undefined]);
    const versions = uploads.map((upload) => upload.version);
    assert.deepEqual(await registry.listOpenUploads([build.newVersion(), ...versions]), versions);
  });

  it('refuses uploads of another incarnation or layout and keeps none of them', async ({ registry }) => {
    await build.createNetwork(registry);
    const version = build.newVersion();
    const open = { incarnation: 1, client: build.client, layoutNumber: 1, uploads: [{ version, name: 'a' }] };
    await assert.rejects(registry.openUploads({ ...open, incarnation: 2 }), { code: 'stale-incarnation' });
    await assert.rejects(registry.openUploads({ ...open, layoutNumber: 2 }), { code: 'layout-changed' });
    await assert.rejects(registry.openUploads({ ...open, uploads: [{ version, name: '' }] }), { code: 'bad-name' });
    assert.deepEqual(await registry.listOpenUploads([version]), []);
  });

  it('forgets uploads above an age and keeps younger ones', async ({ registry, advance }) => {
    await build.createNetwork(registry);
    const version = await build.openUpload(registry, 'a');
    assert.equal(await registry.expireUploads(60_000), 0);
    assert.deepEqual(await registry.listOpenUploads([version]), [version]);
    advance?.(60_001);
    assert.equal(await registry.expireUploads(advance ? 60_000 : -1), 1);
    assert.deepEqual(await registry.listOpenUploads([version]), []);
  });

  it('refuses to commit an upload that is too old, under another name, or not open', async ({ registry, advance }) => {
    await build.createNetwork(registry);
    const version = await build.openUpload(registry, 'a');
    const codes = async (change: ReturnType<typeof build.put>, over = {}) =>
      build.codeOf(await build.commitOne(registry, change, over));
    assert.equal(await codes(build.put('b', version)), 'upload-closed');
    assert.equal(await codes(build.put('a', build.newVersion())), 'upload-closed');
    advance?.(5);
    assert.equal(await codes(build.put('a', version), { uploadAgeMaxMs: advance ? 4 : -1 }), 'upload-closed');
    assert.equal(await codes(build.put('a', version)), 'done');
    assert.equal(await codes(build.put('a', version)), 'upload-closed');
  });
};

const testCommits = (it: RegistryTest): void => {
  it('makes a put visible to every client as it was committed', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const version = await build.openUpload(registry, 'sol');
    const change = build.put('sol', version, { chunkCount: 7 });
    const done = await build.commitDone(registry, change);
    const [found] = await other().getNames(['sol']);
    assert.deepEqual(found, {
      name: 'sol',
      version,
      sequence: done.sequence,
      incarnation: 1,
      operationId: change.operationId,
      chunkCount: 7,
      catalogue: false,
      body: change.sealed.body,
      wrap: change.sealed.wrap,
      pending: done.sequence,
    });
    assert.deepEqual([done.incarnation, done.replaced, done.repeated], [1, undefined, false]);
    assert.equal((await registry.readLife()).sequence, done.sequence);
  });

  it('does not notice when a caller alters its buffers after the commit', async ({ registry }) => {
    await build.createNetwork(registry);
    const body = new Uint8Array(100).fill(7);
    const whole = new Uint8Array(300);
    whole.set(body, 100);
    const view = whole.subarray(100, 200);
    const change = build.put('a', await build.openUpload(registry, 'a'), { sealed: { body: view } });
    await build.commitDone(registry, change);
    whole.fill(0);
    const [found] = await registry.getNames(['a']);
    assert.deepEqual(found?.body, body);
  });

  it('draws rising sequences from the clock, also when the clock goes back', async ({ registry }) => {
    await build.createNetwork(registry);
    const first = await build.putName(registry, 'a');
    assert.ok(first.sequence > 1_000_000_000_000n);
    const future = 2n ** 52n;
    await registry.restore({ incarnation: 1, sequence: future });
    const second = await build.putName(registry, 'b');
    const third = await build.putName(registry, 'a');
    assert.deepEqual([second.sequence, third.sequence], [future + 1n, future + 2n]);
    assert.deepEqual(third.replaced, { version: first.version, sequence: first.sequence });
    await registry.restore({ incarnation: 1, sequence: 5n });
    assert.equal((await registry.readLife()).sequence, future + 2n);
  });

  it('answers a repeated operation with its kept outcome and does it once', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const replaced = await build.putName(registry, 'a');
    const change = build.put('a', await build.openUpload(registry, 'a'), { sealed: { follows: replaced.sequence } });
    const done = await build.commitDone(registry, change);
    const again = await build.commitOne(other(), change, { incarnation: 9, layoutNumber: 9 });
    assert.deepEqual(again, { ...done, repeated: true, catalogues: true });
    assert.deepEqual(await registry.getOutcome(change.operationId), { ...done, repeated: true, catalogues: true });
    assert.equal(await registry.getOutcome(build.newOperation()), undefined);
    assert.equal((await registry.readLife()).sequence, done.sequence);
  });

  it('keeps no outcome of a refused operation', async ({ registry }) => {
    await build.createNetwork(registry);
    const change = build.put('a', await build.openUpload(registry, 'a'));
    assert.equal(build.codeOf(await build.commitOne(registry, change, { layoutNumber: 2 })), 'layout-changed');
    assert.equal(await registry.getOutcome(change.operationId), undefined);
    assert.equal(build.codeOf(await build.commitOne(registry, change)), 'done');
  });

  it('forgets outcomes after 24 hours', async ({ registry, advance, outcomeLifeMs }) => {
    await build.createNetwork(registry);
    const change = build.put('a', await build.openUpload(registry, 'a'));
    await build.commitDone(registry, change);
    if (!advance) {
      // The clock is the database's own: what it says of the record's life is as near as a test can come.
      const leftMs = (await outcomeLifeMs?.(change.operationId)) ?? 0;
      assert.ok(leftMs > 24 * 3_600_000 - 60_000 && leftMs <= 24 * 3_600_000, `${leftMs} ms are left`);
      return;
    }
    advance(24 * 3_600_000 - 1);
    assert.ok(await registry.getOutcome(change.operationId));
    advance(1);
    assert.equal(await registry.getOutcome(change.operationId), undefined);
  });

  it('lets each change of a batch succeed or fail alone, in order', async ({ registry }) => {
    await build.createNetwork(registry);
    const names = ['a', 'b', 'c'];
    const versions = await Promise.all(names.map((name) => build.openUpload(registry, name)));
    const changes = names.map((name, at) => build.put(name, versions[at] ?? build.newVersion()));
    const [, bad] = changes;
    assert.ok(bad);
    changes[1] = { ...bad, sealed: { ...bad.sealed, follows: 99n } };
    const outcomes = await registry.commit(build.step(changes));
    assert.deepEqual(outcomes.map(build.codeOf), ['done', 'stale_follows', 'done']);
    const found = await registry.getNames(names);
    assert.deepEqual(
      found.map((entry) => entry?.version),
      [versions[0], undefined, versions[2]],
    );
    assert.ok((found[0]?.sequence ?? 0n) < (found[2]?.sequence ?? 0n));
  });

  it('refuses a whole batch with a name or operation twice, none, or more than 100 changes', async ({ registry }) => {
    await build.createNetwork(registry);
    const change = build.put('a', await build.openUpload(registry, 'a'));
    const renamed = build.rename('b', 'a', build.newVersion(), 1n);
    const other = build.put('b', build.newVersion());
    const many = Array.from({ length: 101 }, (_, at) => build.put(`n${at}`, build.newVersion()));
    const batches = [
      [change, { ...change, operationId: build.newOperation() }],
      [change, renamed],
      [build.rename('b', 'b', build.newVersion(), 1n)],
      [change, { ...other, operationId: change.operationId }],
      [],
      many,
    ];
    for (const batch of batches) {
      await assert.rejects(registry.commit(build.step(batch)), { code: 'bad-request' });
    }
    assert.equal(await registry.countNames(), 0);
  });

  it('renames, also onto an existing name, and removes', async ({ registry }) => {
    await build.createNetwork(registry);
    const a = await build.putName(registry, 'a', ['n1:1']);
    const b = await build.putName(registry, 'b', ['n2:1']);
    const change = build.rename('a', 'b', a.version, a.sequence, b.sequence);
    const moved = await build.commitDone(registry, change);
    assert.deepEqual(moved.replaced, { version: b.version, sequence: b.sequence });
    const [old, now] = await registry.getNames(['a', 'b']);
    assert.equal(old, undefined);
    assert.deepEqual([now?.version, now?.sequence, now?.chunkCount], [a.version, moved.sequence, 1]);
    assert.deepEqual(await build.publicKeysOf(registry), build.publicKeysFor([['b', ['n1:1']]]));
    const gone = await build.commitDone(registry, build.remove('b', a.version, moved.sequence));
    assert.deepEqual(gone.replaced, { version: a.version, sequence: moved.sequence });
    assert.deepEqual(await registry.getNames(['b']), [undefined]);
    assert.deepEqual(await build.publicKeysOf(registry), {});
    assert.equal(await registry.countNames(), 0);
  });
};

const testRefusals = (it: RegistryTest): void => {
  it('names why a change is refused, with the current version, and writes nothing', async ({ registry }) => {
    await build.createNetwork(registry);
    const a = await build.putName(registry, 'a');
    const b = await build.putName(registry, 'b');
    const version = await build.openUpload(registry, 'a');
    const follows = a.sequence;
    const ok = { sealed: { follows } };
    const rename = build.rename('a', 'b', a.version, a.sequence, b.sequence);
    const foreign = build.newVersion();
    const cases: [string, 'a' | 'b' | undefined, Parameters<typeof build.commitOne>[1], object?][] = [
      ['stale-incarnation', 'a', build.put('a', version, ok), { incarnation: 2 }],
      ['exists', 'a', build.put('a', version, { ...ok, condition: { ifAbsent: true } })],
      ['conflict', 'a', build.put('a', version, { ...ok, condition: { ifVersion: b.version } })],
      ['layout-changed', 'a', build.put('a', version, ok), { layoutNumber: 2 }],
      ['stale_epoch', 'a', build.put('a', version, { sealed: { follows, wrap: build.wrap(2) } })],
      ['stale_follows', 'a', build.put('a', version)],
      ['stale_follows', 'a', build.put('a', version, { sealed: { follows: follows + 1n } })],
      ['exists', 'b', { ...rename, condition: { ifAbsent: true } }],
      ['stale_follows', 'b', { ...rename, sealed: { ...rename.sealed, follows: 0n } }],
      ['conflict', 'a', { ...rename, sealed: { ...rename.sealed, version: foreign } }],
      ['conflict', 'a', { ...rename, tombstone: { ...rename.tombstone, follows: b.sequence } }],
      ['stale_epoch', 'a', { ...rename, tombstone: { ...rename.tombstone, wrap: build.wrap(0) } }],
      ['conflict', 'a', build.remove('a', foreign, follows)],
      ['stale_follows', 'a', build.remove('a', a.version, b.sequence)],
      ['not-found', undefined, build.remove('nothing', foreign, 0n)],
      ['not-found', undefined, build.rename('nothing', 'else', foreign, 0n)],
    ];
    const before = [
      await registry.readLife(),
      await registry.getNames(['a', 'b', 'else']),
      await registry.listPending(9),
    ];
    const currents = {
      a: { version: a.version, sequence: a.sequence },
      b: { version: b.version, sequence: b.sequence },
    };
    for (const [code, name, change, over] of cases) {
      const current = name && currents[name];
      assert.deepEqual(await build.commitOne(registry, change, over), { done: false, code, current });
    }
    const after = [
      await registry.readLife(),
      await registry.getNames(['a', 'b', 'else']),
      await registry.listPending(9),
    ];
    assert.deepEqual(after, before);
    assert.equal(build.codeOf(await build.commitOne(registry, build.put('a', version, ok))), 'done');
  });

  it('holds the conditions that are met', async ({ registry }) => {
    await build.createNetwork(registry);
    const version = await build.openUpload(registry, 'a');
    await build.commitDone(registry, build.put('a', version, { condition: { ifAbsent: true } }));
    const [current] = await registry.getNames(['a']);
    const next = await build.openUpload(registry, 'a');
    const follows = current?.sequence ?? 0n;
    await build.commitDone(registry, build.put('a', next, { sealed: { follows }, condition: { ifVersion: version } }));
  });

  it('lets exactly one of two concurrent puts follow the same sequence', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const clients = [registry, other()];
    for (let round = 0; round < 5; round++) {
      const [current] = await registry.getNames(['a']);
      const outcomes = await Promise.all(
        clients.map(async (each) => {
          const version = await build.openUpload(each, 'a');
          return build.commitOne(each, build.put('a', version, { sealed: { follows: current?.sequence ?? 0n } }));
        }),
      );
      assert.deepEqual(outcomes.map(build.codeOf).sort(), ['done', 'stale_follows']);
    }
  });
};

const testPending = (it: RegistryTest): void => {
  it('keeps each change pending with its manifests until it is cleared', async ({ registry }) => {
    await build.createNetwork(registry);
    const a = await build.putName(registry, 'a');
    const change = build.rename('a', 'b', a.version, a.sequence);
    const moved = await build.commitDone(registry, change);
    const manifest = (state: 'live' | 'dead', sealed: typeof change.sealed) =>
      ({ version: sealed.version, state, body: sealed.body, wrap: sealed.wrap }) as const;
    const expected = {
      name: 'b',
      sequence: moved.sequence,
      incarnation: 1,
      operationId: change.operationId,
      manifests: [manifest('live', change.sealed), manifest('dead', change.tombstone)],
    };
    assert.deepEqual(await registry.getPending(moved.sequence), expected);
    assert.deepEqual(
      (await registry.listPending(1000)).map((entry) => entry.sequence),
      [a.sequence, moved.sequence],
    );
    assert.equal((await registry.listPending(1)).length, 1);
    const after = async (sequence: bigint): Promise<bigint[]> =>
      (await registry.listPending(9, sequence)).map((entry) => entry.sequence);
    assert.deepEqual(await after(a.sequence - 1n), [a.sequence, moved.sequence]);
    assert.deepEqual(await after(a.sequence), [moved.sequence], 'strictly after');
    assert.deepEqual(await after(moved.sequence), []);
    for (const name of ['a', 'b']) assert.deepEqual(await registry.listPendingOf([name]), [expected]);
    assert.deepEqual(await registry.listPendingOf(['a', 'b', 'c']), [expected]);
    await registry.clearPending([a.sequence, 12345n]);
    assert.equal((await registry.getNames(['b']))[0]?.pending, moved.sequence);
    await registry.clearPending([moved.sequence, moved.sequence]);
    assert.equal(await registry.getPending(moved.sequence), undefined);
    assert.deepEqual(await registry.listPending(1000), []);
    assert.deepEqual(await registry.listPendingOf(['a', 'b']), []);
    assert.equal((await registry.getNames(['b']))[0]?.pending, undefined);
  });

  it('finds the pending removal of a name that is gone', async ({ registry }) => {
    await build.createNetwork(registry);
    const a = await build.putName(registry, 'a');
    const change = build.remove('a', a.version, a.sequence);
    const gone = await build.commitDone(registry, change);
    const [found] = await registry.listPendingOf(['a']);
    assert.deepEqual([found?.sequence, found?.manifests.map((entry) => entry.state)], [gone.sequence, ['dead']]);
    assert.deepEqual(found?.manifests[0]?.body, change.sealed.body);
  });

  it('drops bodies over 4 KiB when pending is cleared, and no other', async ({ registry }) => {
    await build.createNetwork(registry);
    const sizes = [4096, 4097, 100_000];
    for (const size of sizes) {
      const version = await build.openUpload(registry, `s${size}`);
      const body = new Uint8Array(size).fill(size % 251);
      const done = await build.commitDone(registry, build.put(`s${size}`, version, { sealed: { body } }));
      const lengths = async () => (await registry.getNames([`s${size}`])).map((entry) => entry?.body?.length);
      assert.deepEqual(await lengths(), [size]);
      assert.deepEqual((await registry.getPending(done.sequence))?.manifests[0]?.body, body);
      await registry.clearPending([done.sequence]);
      assert.deepEqual(await lengths(), [size > 4096 ? undefined : size]);
    }
  });

  it('keeps the long body of a later change when an earlier one of the name is cleared', async ({ registry }) => {
    await build.createNetwork(registry);
    const first = await build.putName(registry, 'a');
    const body = new Uint8Array(5000);
    const version = await build.openUpload(registry, 'a');
    const second = build.put('a', version, { sealed: { body, follows: first.sequence } });
    const { sequence } = await build.commitDone(registry, second);
    await registry.clearPending([first.sequence]);
    const [found] = await registry.getNames(['a']);
    assert.deepEqual([found?.body?.length, found?.pending], [5000, sequence]);
  });
};

const oddNames = [
  'sol',
  'sola',
  'sol/earth',
  'so',
  'Sol',
  ' a b ',
  '*?[a-z]',
  'a:b:c',
  'network:data',
  '__proto__',
  'constructor',
  '%2f%00',
  'été',
  '😀',
  '\u{10ffff}x',
  '\uffff',
  '-',
  '+',
  '(a',
  '[a',
  '"\'\\;--',
  'ü'.repeat(512),
  'x'.repeat(1024),
];

const testNames = (it: RegistryTest): void => {
  it('keeps odd names apart and lists them in byte order, page by page', async ({ registry }) => {
    await build.createNetwork(registry);
    for (const name of oddNames) await build.putName(registry, name, ['n1:1']);
    const sorted = [...oddNames].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const limit of [1, 7, 1000]) {
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await registry.listNames({ prefix: '', limit, ...(after === undefined ? {} : { after }) });
        assert.ok(page.records.length <= limit);
        seen.push(...page.records.map((entry) => entry.name));
        after = page.next;
      } while (after !== undefined);
      assert.deepEqual(seen, sorted);
    }
    const found = await registry.getNames(sorted);
    assert.deepEqual(
      found.map((entry) => entry?.name),
      sorted,
    );
    const expected = build.publicKeysFor(oddNames.map((name) => [name, ['n1:1']]));
    assert.deepEqual(await build.publicKeysOf(registry), expected);
    for (const entry of found) {
      if (entry) await build.commitDone(registry, build.remove(entry.name, entry.version, entry.sequence));
    }
    assert.deepEqual(await build.publicKeysOf(registry), {});
  });

  it('lists exactly the names that begin with a prefix', async ({ registry }) => {
    await build.createNetwork(registry);
    for (const name of oddNames) await build.putName(registry, name);
    for (const prefix of ['sol', 'sol/', 'so', 's', 'solb', '\u{10ffff}', '*', 'ü', 'network:', 'x'.repeat(1024)]) {
      const { records, next } = await registry.listNames({ prefix, limit: 1000 });
      const expected = oddNames.filter((name) => name.startsWith(prefix)).sort();
      assert.deepEqual(records.map((entry) => entry.name).sort(), expected);
      assert.equal(next, undefined);
    }
    const after = await registry.listNames({ prefix: 'sol', after: 'a', limit: 1 });
    assert.deepEqual([after.records[0]?.name, after.next], ['sol', 'sol']);
    const beyond = await registry.listNames({ prefix: 'sol', after: 'zzz', limit: 1 });
    assert.deepEqual(beyond, { records: [], next: undefined });
  });

  it('shows every name that stays exactly once on pages read while others come and go', async ({ registry }) => {
    await build.createNetwork(registry);
    const stay = Array.from({ length: 12 }, (_, at) => `s${String(at).padStart(2, '0')}`);
    for (const name of stay) await build.putName(registry, name);
    const seen: string[] = [];
    let after: string | undefined;
    for (let round = 0; ; round++) {
      const page = await registry.listNames({ prefix: 's', limit: 3, ...(after === undefined ? {} : { after }) });
      seen.push(...page.records.map((entry) => entry.name).filter((name) => stay.includes(name)));
      after = page.next;
      if (after === undefined) break;
      const passing = await build.putName(registry, `s${String(round * 2).padStart(2, '0')}x`);
      await build.commitDone(
        registry,
        build.remove(`s${String(round * 2).padStart(2, '0')}x`, passing.version, passing.sequence),
      );
      await build.putName(registry, `s00${round}`);
    }
    assert.deepEqual(seen, stay);
  });

  it('refuses names and limits outside their bounds', async ({ registry }) => {
    await build.createNetwork(registry);
    for (const name of ['', 'x'.repeat(1025), 'a\0b', '\ud800']) {
      await assert.rejects(registry.getNames([name]), { code: 'bad-name' });
      await assert.rejects(registry.commit(build.step([build.put(name, build.newVersion())])), { code: 'bad-name' });
    }
    for (const limit of [0, -1, 1001, 1.5, Number.NaN]) {
      await assert.rejects(registry.listNames({ prefix: '', limit }), { code: 'bad-request' });
    }
    await assert.rejects(registry.getNames(Array.from({ length: 1001 }, () => 'a')), { code: 'bad-request' });
  });
};
