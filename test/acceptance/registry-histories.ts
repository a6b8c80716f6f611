// Random histories of names, uploads, layouts and key epochs, carried out by a registry and by the model in memory:
// outcomes, names, catalogues, pending changes and public keys must be equal, and the public keys those of a naive
// recount. Both draw their sequences from a counter that was set far ahead of any clock, so sequences are equal too.
import assert from 'node:assert/strict';
import * as check from 'fast-check';
import { MemoryRegistryStore } from '../../src/registry/memory-store.ts';
import { MemoryRegistry } from '../../src/registry/memory.ts';
import type { NameChange, NameVersion, Registry } from '../../src/registry/registry.ts';
import { ManualClock } from '../support/manual-clock.ts';
import * as build from '../support/registry-builders.ts';
import type { RegistryTest } from './registry.ts';

const names = ['sol', 'sola', 'sol/*', '__proto__', '😀'] as const;
const nodes = ['n1:1', 'n2:1', 'n3:1', '[::1]:4'] as const;
const farAhead = 2n ** 52n;
const histories = 25;
const historyLength = 24;

const nameOf = check.constantFrom(...names);

/** One command; what it needs of the present (versions, sequences) is looked up when it runs. */
const commands = check.oneof(
  {
    weight: 6,
    arbitrary: check.record({
      kind: check.constant('put' as const),
      name: nameOf,
      to: nameOf,
      owners: check.subarray([...nodes]),
      stale: check.nat(7),
      long: check.boolean(),
      catalogue: check.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: check.record({ kind: check.constant('rename' as const), name: nameOf, to: nameOf, stale: check.nat(9) }),
  },
  {
    weight: 2,
    arbitrary: check.record({ kind: check.constant('remove' as const), name: nameOf, stale: check.nat(9) }),
  },
  { weight: 1, arbitrary: check.record({ kind: check.constant('repeat' as const) }) },
  { weight: 2, arbitrary: check.record({ kind: check.constant('clear' as const), count: check.nat(3) }) },
  { weight: 1, arbitrary: check.record({ kind: check.constant('layout' as const) }) },
  { weight: 1, arbitrary: check.record({ kind: check.constant('rebuild' as const) }) },
);

type Command = typeof commands extends check.Arbitrary<infer Value> ? Value : never;

/** What the history knows; kept from the model's answers. */
interface History {
  readonly registries: readonly Registry[];
  layout: number;
  last: readonly NameChange[];
}

/** Carries a step out on every registry and demands equal answers; answers the model's. */
const onAll = async <T>(history: History, body: (registry: Registry) => Promise<T>): Promise<T> => {
  const answers: T[] = [];
  for (const registry of history.registries) answers.push(await body(registry));
  const [expected, ...rest] = answers;
  for (const answer of rest) assert.deepEqual(answer, expected);
  if (answers.length === 0 || expected === undefined) throw new Error('no registry');
  return expected;
};

const currentOf = async (history: History, name: string): Promise<NameVersion> => {
  const [found] = await onAll(history, (registry) => registry.getNames([name]));
  return { version: found?.version ?? build.newVersion(), sequence: found?.sequence ?? 0n };
};

const commit = async (history: History, changes: readonly NameChange[]): Promise<void> => {
  history.last = changes;
  await onAll(history, (registry) => registry.commit(build.step(changes, { layoutNumber: history.layout })));
};

const ownersOf = (version: string): readonly string[] => nodes.filter((_, at) => version.charCodeAt(at) % 2 === 0);

const runCommand = async (history: History, command: Command): Promise<void> => {
  if (command.kind === 'repeat') return history.last.length > 0 ? commit(history, history.last) : undefined;
  if (command.kind === 'clear') {
    const pending = await onAll(history, (registry) => registry.listPending(10));
    const cleared = pending.filter((_, at) => at % (command.count + 1) === 0).map((change) => change.sequence);
    await Promise.all(history.registries.map((registry) => registry.clearPending(cleared)));
    return;
  }
  if (command.kind === 'layout') {
    history.layout += 1;
    const layout = { number: history.layout, layout: build.record(`layout ${history.layout}`) };
    await onAll(history, (registry) => registry.appendLayout(layout, 1));
    return;
  }
  if (command.kind === 'rebuild') {
    const { layout } = history;
    const rebuild = (registry: Registry) =>
      registry.rebuildPlacements(
        layout,
        async () =>
          ({ version }) =>
            ownersOf(version),
      );
    await Promise.all(history.registries.map(rebuild));
    return;
  }
  await commit(history, [await changeOf(history, command)]);
};

const changeOf = async (
  history: History,
  command: Extract<Command, { readonly kind: 'put' | 'rename' | 'remove' }>,
): Promise<NameChange> => {
  const { name, stale } = command;
  const current = await currentOf(history, name);
  const follows = stale === 1 ? current.sequence + 1n : current.sequence;
  const version = stale === 2 ? build.newVersion() : current.version;
  if (command.kind === 'remove') return build.remove(name, version, follows);
  if (command.kind === 'rename') {
    const to = command.to === name ? `${name}/moved` : command.to;
    const target = await currentOf(history, to);
    const change = build.rename(name, to, version, current.sequence, stale === 3 ? 7n : target.sequence);
    if (stale === 4) return { ...change, condition: { ifAbsent: true } };
    return stale === 1 ? { ...change, tombstone: { ...change.tombstone, follows } } : change;
  }
  const fresh = build.newVersion();
  const uploads = [{ version: fresh, name: stale === 3 ? command.to : name }];
  const open = { incarnation: 1, client: build.client, layoutNumber: history.layout, uploads };
  await onAll(history, (registry) => registry.openUploads(open));
  const wrap = build.wrap(stale === 4 ? 2 : 1);
  const body = new Uint8Array(command.long ? 5000 : 50).fill(stale);
  const put = build.put(name, fresh, {
    sealed: { follows, wrap, body },
    nodes: command.owners,
    catalogue: command.catalogue,
  });
  if (stale === 5) return { ...put, condition: { ifAbsent: true } };
  return stale === 6 ? { ...put, condition: { ifVersion: current.version } } : put;
};

const compare = async (history: History): Promise<void> => {
  const page = await onAll(history, (registry) => registry.listNames({ prefix: '', limit: 1000 }));
  const catalogues = await onAll(history, (registry) => registry.listCatalogues({ prefix: '', max: 1000 }));
  assert.deepEqual(
    catalogues,
    page.records.flatMap(({ name, version, sequence, chunkCount, catalogue, pending }) =>
      catalogue ? { name, version, sequence, chunkCount, pending } : [],
    ),
  );
  await onAll(history, (registry) => registry.listPending(1000));
  await onAll(history, async (registry) => (await registry.readLife()).sequence);
  const keys = await onAll(history, build.publicKeysOf);
  const files = page.records.map(({ name }) => [name, keys[`network:data:file:${name}`] ?? []] as const);
  assert.deepEqual(keys, build.publicKeysFor(files));
};

export const testRegistryHistories = (it: RegistryTest): void => {
  it('answers random histories as the model in memory does', async ({ registry, other }) => {
    await build.createNetwork(registry);
    const second = other();
    let round = 0;
    let base = farAhead;
    const property = check.asyncProperty(
      check.array(commands, { minLength: 1, maxLength: historyLength }),
      async (history) => {
        base += 1_000_000n;
        const model = new MemoryRegistry(new MemoryRegistryStore(), new ManualClock());
        await model.createNetwork(build.networkId, build.firstRoster);
        const state = await registry.readLayouts();
        const layout = state.unretired.at(-1)?.number ?? 1;
        const layouts = [{ number: layout, layout: build.record('layout') }];
        await model.restore({ incarnation: 1, sequence: base, layouts });
        await registry.restore({ incarnation: 1, sequence: base });
        await empty(registry);
        // Two clients of one database take turns, so nothing of it may be remembered on one side.
        const run: History = { registries: [model, round++ % 2 === 0 ? registry : second], layout, last: [] };
        await registry.restore({ incarnation: 1, sequence: base + 500_000n });
        await model.restore({ incarnation: 1, sequence: base + 500_000n });
        for (const command of history) await runCommand(run, command);
        await compare(run);
      },
    );
    await check.assert(property, { numRuns: histories, seed: 20_261_123, endOnFailure: true });
  });
};

/** Takes every name and pending change away, as a start for the next history. */
const empty = async (registry: Registry): Promise<void> => {
  const { records } = await registry.listNames({ prefix: '', limit: 1000 });
  const dead = records.map(({ name, sequence }) => ({ name, sequence: sequence + 1n }));
  await registry.restore({ incarnation: 1, dead });
  await registry.clearPending((await registry.listPending(1000)).map((change) => change.sequence));
};
