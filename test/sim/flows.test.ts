// Random histories of a small network: nodes join and restart, messages are lost and late, clients put, overwrite,
// rename, remove and read. Whatever was acknowledged stays true; a failing seed is printed and can be run alone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { removeFile, renameFile } from '../../src/client/names.ts';
import type { Session } from '../../src/client/session.ts';
import { isOperaError } from '../../src/errors/errors.ts';
import { nodesOfFile } from '../../src/placement/movement.ts';
import { copiesOf, get, newestLayoutOf, put } from '../support/cluster-client.ts';
import { MemoryCluster } from '../support/memory-cluster.ts';
import { SeededRandom } from '../support/seeded.ts';

const seeds = Number(process.env['OPERA_TEST_SEEDS'] ?? 50);
/** Two clients work at once, each on names of its own, so that the model knows the order of what it expects. */
const namesOf = [
  ['a', 'b'],
  ['c/d', 'é'],
] as const;
const names = namesOf.flat();

/** What a name may hold: after an operation without an answer it is one of several contents. Undefined is no file. */
class Model {
  readonly #may = new Map<string, readonly (string | undefined)[]>();

  of(name: string): readonly (string | undefined)[] {
    return this.#may.get(name) ?? [undefined];
  }

  set(name: string, content: string | undefined): void {
    this.#may.set(name, [content]);
  }

  /** The operation may have been carried out, or be carried out yet. */
  perhaps(name: string, ...contents: readonly (string | undefined)[]): void {
    this.#may.set(name, [...new Set([...this.of(name), ...contents])]);
  }

  saw(name: string, content: string | undefined, certain: boolean): void {
    assert.ok(this.of(name).includes(content), `${name} held ${content}, and not one of ${this.of(name).join(', ')}`);
    if (certain) this.set(name, content);
  }
}

const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

class History {
  readonly cluster: MemoryCluster;
  readonly random: SeededRandom;
  readonly model = new Model();
  readonly sessions: readonly Session[];
  joined: number;
  #count = 0;

  constructor(cluster: MemoryCluster, random: SeededRandom, sessions: readonly Session[], joined: number) {
    this.cluster = cluster;
    this.random = random;
    this.sessions = sessions;
    this.joined = joined;
  }

  /** One operation of each client, and something that happens in the middle of them. */
  async step(): Promise<void> {
    const { cluster, random, sessions } = this;
    cluster.clock.after(random.below(1_500), () => void this.#event());
    const works = sessions.map((session, at) => this.#operate(session, namesOf[at] ?? []));
    await cluster.during(Promise.all(works), 300_000);
  }

  async #event(): Promise<void> {
    const { cluster, random } = this;
    const event = random.below(8);
    if (event === 0 && this.joined < 5) await cluster.startNode(this.joined++);
    if (event === 1) {
      const at = random.below(this.joined);
      if (cluster.node(at).life?.ended) await cluster.startNode(at);
      else cluster.stopNode(at);
    }
    if (event === 2) {
      const at = random.below(2);
      cluster.stopMaster(at);
      await cluster.startMaster(at);
    }
  }

  /** Answers when the network answered or the client gave up. */
  async #operate(session: Session, own: readonly string[]): Promise<void> {
    const { random, model, cluster } = this;
    const name = random.pick(own);
    const kind = random.below(10);
    const before = model.of(name);
    const content = `${name} ${this.#count++} ${'x'.repeat(random.below(300))}`;
    const to = random.pick(own.filter((other) => other !== name));
    try {
      if (kind < 4) {
        await put(session, name, Buffer.from(content));
        model.set(name, content);
      } else if (kind < 8) {
        model.saw(name, textOf(await get(session, name)), true);
      } else if (kind < 9) {
        await removeFile(session, name);
        model.set(name, undefined);
      } else if (before.length === 1) {
        await renameFile(session, { from: name, to, replace: true });
        model.set(to, before[0]);
        model.set(name, undefined);
      }
    } catch (error) {
      if (cluster.strange.length > 0) throw cluster.strange[0];
      if (!isOperaError(error)) throw error;
      if (isOperaError(error, 'not-found')) {
        if (!before.includes(undefined)) throw error;
        return model.set(name, undefined);
      }
      if (isOperaError(error, 'integrity', 'internal', 'hash-conflict', 'bad-request')) throw error;
      if (kind < 4) model.perhaps(name, content);
      else if (kind === 8) model.perhaps(name, undefined);
      else if (kind === 9) {
        model.perhaps(name, undefined);
        model.perhaps(to, ...before);
      }
    }
  }

  /** Everything acknowledged is there, in enough copies, and the public keys say exactly where. */
  async check(): Promise<void> {
    const { cluster, model, sessions } = this;
    const [session] = sessions;
    if (!session) throw new Error('there is no client');
    cluster.faultOf = () => undefined;
    for (let at = 0; at < this.joined; at++) if (cluster.node(at).life?.ended) await cluster.startNode(at);
    await cluster.quiet(this.joined, 120_000);
    const registry = cluster.registry();
    const layout = await newestLayoutOf(cluster);
    const addresses = new Map(cluster.nodes.map(({ member, address }) => [member.signer.keyHash, address]));
    const expected = new Map<string, string[]>();
    const add = (key: string, value: string): void => {
      expected.set(key, [...(expected.get(key) ?? []), value]);
    };
    for (let at = 0; at < this.joined; at++) add('network:nodes', cluster.node(at).address);
    for (const name of names) {
      const content = textOf(await cluster.during(get(session, name)));
      model.saw(name, content, true);
      const [record] = await registry.getNames([name]);
      assert.equal(record === undefined, content === undefined);
      if (!record) continue;
      const { chunks, manifests } = await copiesOf(cluster, record.version);
      assert.ok(chunks >= layout.writeCopies, `${name} has ${chunks} copies`);
      assert.ok(manifests >= layout.writeCopies, `${name} has ${manifests} manifests`);
      add('network:data', name);
      for (const node of nodesOfFile(layout, record.version, record.chunkCount)) {
        const address = addresses.get(node) ?? '';
        add(`network:data:node:${address}`, name);
        add(`network:data:file:${name}`, address);
      }
    }
    const sorted = (keys: ReadonlyMap<string, readonly string[]>) =>
      Object.fromEntries([...keys].sort().map(([key, values]) => [key, [...values].sort()]));
    assert.deepEqual(sorted(await registry.readPublicKeys()), sorted(expected));
  }
}

const run = async (seed: number): Promise<void> => {
  const random = new SeededRandom(`history ${seed}`);
  const cluster = await MemoryCluster.create({ seed, nodes: 5, masters: 2 });
  try {
    await cluster.startMaster(0);
    await cluster.startMaster(1);
    const first = 1 + random.below(4);
    for (let at = 0; at < first; at++) await cluster.startNode(at);
    await cluster.until(async () => (await cluster.registry().readLayouts()).unretired.length > 0);
    const history = new History(cluster, random, [await cluster.session(0), await cluster.session(1)], first);
    const [loss, late] = [random.pick([0, 0.02, 0.04, 0.15]), random.below(3) * 0.1];
    cluster.faultOf = () => {
      const draw = random.fraction();
      if (draw < loss / 2) return { lost: true };
      if (draw < loss) return { answerLost: true };
      return draw < loss + late ? { delayMs: random.below(400) } : undefined;
    };
    for (let step = 0; step < 8; step++) await history.step();
    await cluster.clock.advance(2_000);
    await history.check();
  } finally {
    cluster.stopAll();
  }
};

// The histories run before a test is registered: the runner's hooks on every promise would take most of the time.
const only = process.env['OPERA_TEST_SEED'];
const chosen = Array.from({ length: seeds }, (_, seed) => seed).filter((seed) => (only ?? `${seed}`) === `${seed}`);
const outcomes = new Map<number, unknown>();
for (const seed of chosen) {
  await run(seed).catch((error: unknown) => outcomes.set(seed, error ?? new Error('it failed')));
}

describe('random histories', () => {
  for (const seed of chosen) {
    test(`what was acknowledged stays true: seed ${seed}`, () => {
      if (outcomes.has(seed)) throw outcomes.get(seed);
    });
  }
});
