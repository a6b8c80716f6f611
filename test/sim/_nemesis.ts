// The one who breaks things: picks faults by weight, injects them at times of its own and heals them after a while.
// At the end everything is healed. A fault that cannot be injected now (nobody left to kill) is passed over.
import { diskFaults } from './_faults-disks.ts';
import { hygieneFaults } from './_faults-hygiene.ts';
import { messageFaults } from './_faults-messages.ts';
import { orderFaults } from './_faults-orders.ts';
import { processFaults } from './_faults-processes.ts';
import { registryFaults } from './_faults-registry.ts';
import type { World } from './_world.ts';

export type Heal = () => void | Promise<void>;

export interface FaultKind {
  /** How often it is picked, beside the weights of the others. */
  readonly weight: number;
  /** Answers how to heal it; undefined when it cannot be injected now. */
  readonly inject: (world: World) => Heal | undefined | Promise<Heal | undefined>;
}

const faultKinds = {
  ...messageFaults,
  ...processFaults,
  ...diskFaults,
  ...registryFaults,
  ...hygieneFaults,
  ...orderFaults,
} as const;
export type FaultName = keyof typeof faultKinds;
export const faultNames = Object.keys(faultKinds) as FaultName[];

const isFaultName = (name: string): name is FaultName => Object.hasOwn(faultKinds, name);

/** The faults of a list such as `kill,pause`; `all` and `default` are lists of their own. */
export const parseFaults = (list: string, defaults: readonly FaultName[]): FaultName[] =>
  list.split(',').flatMap((name) => {
    if (name === 'all') return faultNames;
    if (name === 'default') return [...defaults];
    if (name === '' || name === 'none') return [];
    if (!isFaultName(name)) throw new Error(`there is no fault ${name}; there are ${faultNames.join(', ')}`);
    return [name];
  });

/** A fault lasts at most so long, ms; most end much earlier. */
const lastsMax = 40_000;

export class Nemesis {
  readonly #world: World;
  readonly #kinds: readonly FaultName[];
  readonly #active = new Map<number, Heal>();
  /** Injections and healings under way: starting a process takes a moment. */
  #work: Promise<unknown> = Promise.resolve();
  #count = 0;
  #ended = false;

  constructor(world: World, kinds: readonly FaultName[]) {
    this.#world = world;
    this.#kinds = kinds.flatMap((name) => Array.from({ length: faultKinds[name].weight }, () => name));
  }

  /** Breaks something at a random time within the next second and a half; sometimes nothing, sometimes two things. */
  act(): void {
    const { random, cluster } = this.#world;
    for (let count = random.pick([0, 1, 1, 2]); count > 0 && this.#kinds.length > 0; count--) {
      const name = random.pick(this.#kinds);
      cluster.clock.after(random.below(1_500), () => this.#queue(() => this.#inject(name)));
    }
  }

  #queue(step: () => Promise<void>): void {
    this.#work = this.#work.then(step);
  }

  async #inject(name: FaultName): Promise<void> {
    const world = this.#world;
    const heal = this.#ended ? undefined : await faultKinds[name].inject(world);
    if (!heal) return;
    const id = this.#count++;
    world.trace.add(`fault ${id} ${name}`);
    this.#active.set(id, heal);
    const { random, cluster } = world;
    const lastsMs = random.below(random.pick([500, 5_000, 5_000, lastsMax]));
    cluster.clock.after(lastsMs, () => this.#queue(() => this.#heal(id)));
  }

  async #heal(id: number): Promise<void> {
    const heal = this.#active.get(id);
    if (!heal) return;
    this.#active.delete(id);
    this.#world.trace.add(`heal ${id}`);
    await heal();
  }

  /** All of them, and the wires; when it resolves nothing is broken any more. */
  async healAll(): Promise<void> {
    this.#ended = true;
    for (const id of this.#active.keys()) this.#queue(() => this.#heal(id));
    await this.#world.cluster.during(this.#work);
    this.#world.calm();
    this.#world.cluster.links.heal();
    for (const process of this.#world.cluster.processes) {
      if (process.life && !process.runs) await this.#world.cluster.during(this.#world.start(process));
    }
  }
}
