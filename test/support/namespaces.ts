// Machines of a network in miniature: each a network namespace with an address of its own, joined by one router, in
// which single directions between two of them can be cut. What is cut is swallowed in silence, as by a broken switch:
// nobody is told, no connection is refused. Needs root and `ip`; without them `available` is false.
import { execFileSync } from 'node:child_process';

const ip = (...args: readonly string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

export class Namespaces {
  readonly #tag: string;
  /** Machine → third number of its address. */
  readonly #numbers = new Map<string, number>();
  readonly #cuts: (readonly [from: string, to: string])[] = [];

  /** `tag` tells the namespaces of one test run from those of others. */
  constructor(tag: string) {
    this.#tag = tag;
    ip('netns', 'add', this.#name('router'));
    ip('netns', 'exec', this.#name('router'), 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  }

  /** Whether this machine lets us: a namespace is made and removed. */
  static get available(): boolean {
    try {
      const tried = new Namespaces(`opera-try-${process.pid}`);
      tried.add('a');
      tried.close();
      return true;
    } catch {
      return false;
    }
  }

  /** A further machine. */
  add(machine: string): void {
    const number = this.#numbers.size + 1;
    const [router, own] = [this.#name('router'), this.#name(machine)];
    ip('netns', 'add', own);
    this.#numbers.set(machine, number);
    ip('link', 'add', `to${number}`, 'netns', router, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', own);
    for (const [at, device, last] of [
      [router, `to${number}`, 1],
      [own, 'eth0', 2],
    ] as const) {
      ip('-n', at, 'addr', 'add', `10.77.${number}.${last}/24`, 'dev', device);
      ip('-n', at, 'link', 'set', device, 'up');
    }
    ip('-n', own, 'link', 'set', 'lo', 'up');
    ip('-n', own, 'route', 'add', 'default', 'via', `10.77.${number}.1`);
  }

  addressOf(machine: string): string {
    return `10.77.${this.#numbers.get(machine) ?? 0}.2`;
  }

  /** Words that run a program on a machine. */
  on(machine: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#name(machine)];
  }

  /** Nothing that `from` sends reaches `to` any more. */
  cutOneWay(from: string, to: string): void {
    ip('-n', this.#name('router'), 'rule', 'add', ...this.#rule(from, to));
    this.#cuts.push([from, to]);
  }

  cut(one: string, others: readonly string[]): void {
    for (const other of others) {
      this.cutOneWay(one, other);
      this.cutOneWay(other, one);
    }
  }

  heal(): void {
    for (const [from, to] of this.#cuts.splice(0)) {
      ip('-n', this.#name('router'), 'rule', 'del', ...this.#rule(from, to));
    }
  }

  /** Removes all of it; processes in it must have ended. */
  close(): void {
    for (const machine of [...this.#numbers.keys(), 'router']) ip('netns', 'del', this.#name(machine));
  }

  #name(machine: string): string {
    return `${this.#tag}-${machine}`;
  }

  #rule(from: string, to: string): string[] {
    return ['from', this.addressOf(from), 'to', this.addressOf(to), 'blackhole'];
  }
}
