// What happens to a simulated database: it answers late or not at all, is out of one process's reach, restarts, fails
// over to a copy that lags, is put back to an earlier state, or is emptied.
import { OperaError } from '../../src/errors/errors.ts';
import { MemoryRegistry } from '../../src/registry/memory.ts';
import { MemoryRegistryStore } from '../../src/registry/memory-store.ts';
import type { LayoutState, MemberRecord, Registry } from '../../src/registry/registry.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { Links } from './memory-links.ts';
import type { SeededRandom } from './seeded.ts';

/** Address of the database on the simulated wires. */
export const registryAddress = 'registry';
/** How long a process waits for an answer of the database. */
const stepTimeoutMs = 1_000;

/** Readers here change nothing of what they are given, so the largest answers are not copied for each. */
export class SharedMemoryRegistry extends MemoryRegistry {
  readonly #keyEpoch: () => number;

  /** `keyEpoch` is that of the newest roster, which whoever makes the database again puts into it. */
  constructor(store: MemoryRegistryStore, clock: Clock, keyEpoch: () => number) {
    super(store, clock);
    this.#keyEpoch = keyEpoch;
  }

  override createNetwork(
    ...[network, first, again]: Parameters<MemoryRegistry['createNetwork']>
  ): ReturnType<MemoryRegistry['createNetwork']> {
    return super.createNetwork(network, { ...first, keyEpoch: this.#keyEpoch() }, again);
  }

  override async readLayouts(): Promise<LayoutState> {
    const { layouts, retiredUpTo } = this.open();
    return { unretired: [...layouts.values()].sort((a, b) => a.number - b.number), retiredUpTo };
  }

  override async listMembers(): Promise<readonly MemberRecord[]> {
    return [...this.open().members.values()];
  }
}

export interface RegistryWeather {
  /** Longest time of a step and of its answer, ms. */
  slowMs: number;
  /** Part of the steps whose answer is lost although they were taken. */
  answersLost: number;
}

/** The registry as a process at `from` reaches it. */
export const linkRegistry = (
  registry: Registry,
  from: string,
  seams: {
    readonly links: Links;
    readonly clock: Clock;
    readonly random: SeededRandom;
    readonly weather: RegistryWeather;
  },
): Registry => {
  const { links, clock, random, weather } = seams;
  const lost = async (): Promise<never> => {
    await clock.sleep(stepTimeoutMs);
    throw new OperaError('registry-unavailable', 'no answer of the database');
  };
  const step = async (call: () => Promise<unknown>): Promise<unknown> => {
    if (weather.slowMs > 0) await clock.sleep(random.below(weather.slowMs));
    if (!(await links.pass(from, registryAddress))) return lost();
    const answer = await call();
    if (weather.slowMs > 0) await clock.sleep(random.below(weather.slowMs));
    const heard = await links.pass(registryAddress, from);
    return !heard || random.fraction() < weather.answersLost ? lost() : answer;
  };
  return new Proxy(registry, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const call = (args: unknown[]) => async () => Reflect.apply(value, target, args) as unknown;
      return (...args: unknown[]) => step(call(args));
    },
  });
};

export type RegistrySnapshot = ReadonlyMap<string, unknown>;

export const snapshotOf = (store: MemoryRegistryStore): RegistrySnapshot =>
  new Map(Object.entries(store).map(([key, value]) => [key, structuredClone(value) as unknown]));

const refill = (into: unknown, from: unknown): boolean => {
  if (into instanceof Map && from instanceof Map) {
    into.clear();
    for (const [key, value] of from) into.set(key, value);
    return true;
  }
  if (Array.isArray(into) && Array.isArray(from)) {
    into.splice(0, into.length, ...(from as unknown[]));
    return true;
  }
  return false;
};

/** The database as it was; its life goes on under the number it has now unless `restart` follows. */
export const putBack = (store: MemoryRegistryStore, snapshot: RegistrySnapshot): void => {
  for (const [key, value] of snapshot) {
    if (key === 'lifeNumber' || key === 'unavailable') continue;
    const copy = structuredClone(value);
    if (!refill(Reflect.get(store, key), copy)) Reflect.set(store, key, copy);
  }
};

/** A database that knows nothing, as after FLUSHALL. */
export const empty = (store: MemoryRegistryStore): void => putBack(store, snapshotOf(new MemoryRegistryStore()));
